// The domains of mail addresses that are the tenant's own: added, proven by a code that is mailed there, and then signed in to by the provider only.
import { useState } from "react";
import { useAsk } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem, sentence } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import {
  EmailDomainAddDocument,
  EmailDomainCodeSendDocument,
  EmailDomainEnforceDocument,
  EmailDomainProveDocument,
  EmailDomainReleaseDocument,
  EmailDomainRemoveDocument,
  EmailDomainsDocument,
  type EmailDomainsQuery,
} from "./query.generated";
import { NotMailed } from "../settings/not-mailed";
import { Refusals } from "./refusals";
import { plain, stateOf } from "./words";

type Domain = EmailDomainsQuery["emailDomains"][number];
type Act = "code" | "prove" | "enforce" | "release" | "remove";
const DOMAINS_MAX = 50;

export function Domains({ hasProvider }: { hasProvider: boolean }) {
  const asked = useAsk(EmailDomainsDocument, {}, { everyMs: 30_000 });
  const [isAdding, setAdding] = useState(false);
  const [dialog, setDialog] = useState<{ act: Act; domain: string } | null>(null);
  const close = () => setDialog(null);
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="domains" />;
  const domains = asked.data.emailDomains;
  return (
    <section className="panel flush" id="domains" aria-label="Domains">
      <div className="row apart">
        <h2>Your domains</h2>
        <button type="button" className={`button${domains.length === 0 && hasProvider ? " main-act" : ""}`} disabled={domains.length >= DOMAINS_MAX} onClick={() => setAdding(true)}>
          Add a domain
        </button>
      </div>
      {domains.length === 0 ? (
        <Empty title="No domain is yours yet">
          <p>Whoever has an account here already signs in by your provider once you have proven that the domain of their address is yours. A proven domain can be signed in to by the provider only.</p>
        </Empty>
      ) : (
        <Table label="Your domains" columns={columns(hasProvider, setDialog)} rows={[...domains]} idOf={(one) => one.domain} />
      )}
      {isAdding && <Add close={() => setAdding(false)} />}
      {dialog?.act === "code" && <SendCode domain={dialog.domain} close={close} />}
      {dialog?.act === "prove" && <Prove domain={dialog.domain} close={close} />}
      {dialog?.act === "enforce" && <Enforce domain={dialog.domain} close={close} />}
      {dialog?.act === "release" && <Release domain={dialog.domain} close={close} />}
      {dialog?.act === "remove" && <Remove domain={dialog.domain} close={close} />}
    </section>
  );
}

const STATES = {
  added: { tone: "warn", word: "not proven" },
  mailed: { tone: "warn", word: "code mailed" },
  proven: { tone: "info", word: "proven" },
  enforced: { tone: "good", word: "provider only" },
} as const;

function About({ domain }: { domain: Domain }) {
  switch (stateOf(domain)) {
    case "added":
      return "Nothing follows from it before it is proven.";
    case "mailed":
      return domain.mailedAt ? (
        <>
          The code was mailed <Time at={domain.mailedAt} as="ago" />, and is good for a day.
        </>
      ) : null;
    case "proven":
      return "People with an address there are known by the provider. A password signs them in too.";
    case "enforced":
      return "People with an address there get in by the provider only; an owner with a second factor by password too, should it be away.";
  }
}

function columns(hasProvider: boolean, act: (dialog: { act: Act; domain: string }) => void): Column<Domain>[] {
  return [
    { header: "Domain", accessorKey: "domain", cell: ({ row }) => <strong className="break">{row.original.domain}</strong> },
    {
      header: "State",
      enableSorting: false,
      cell: ({ row: { original: domain } }) => stateOf(domain) === "mailed" && domain.mailFailure ? (
        <NotMailed failure={domain.mailFailure} next="Look whether the domain receives mail at that mailbox at all, and mail another code." />
      ) : (
        <>
          <Badge tone={STATES[stateOf(domain)].tone}>{STATES[stateOf(domain)].word}</Badge>
          <p className="muted small cause">
            <About domain={domain} />
          </p>
        </>
      ),
    },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: domain } }) => {
        const state = stateOf(domain);
        const button = (kind: Act, label: string, isMain = false) => (
          <button type="button" className={isMain ? "button" : "button quiet"} aria-label={`${label}: ${domain.domain}`} onClick={() => act({ act: kind, domain: domain.domain })}>
            {label}
          </button>
        );
        return (
          <span className="row">
            {state === "mailed" && button("prove", "Enter the code", true)}
            {(state === "added" || state === "mailed") && button("code", state === "added" ? "Mail a code" : "Mail another", state === "added")}
            {state === "proven" && hasProvider && button("enforce", "Make it the only way", true)}
            {state === "enforced" ? button("release", "Let go", true) : button("remove", "Take away")}
          </span>
        );
      },
    },
  ];
}

interface DialogProps {
  domain: string;
  close: () => void;
}

function Add({ close }: { close: () => void }) {
  const act = useFormAct(EmailDomainAddDocument, (result) => result.emailDomainAdd, (result) => `${result.emailDomainAdd.emailDomain?.domain ?? "It"} is added. Prove next that it is yours.`, close);
  return (
    <FormDialog title="Add a domain" about="What stands behind the @ of your people’s addresses. A name beneath it is another domain." label="Add it" act={act} fields={["domain"]} close={close} submit={(form) => act.run({ domain: String(form.get("domain")).trim().replace(/^@/, "") })}>
      <Field label="Domain" wrong={act.wrong("domain")}>
        {(props) => <input {...props} name="domain" required maxLength={253} placeholder="example.com" autoFocus autoComplete="off" autoCapitalize="none" spellCheck={false} />}
      </Field>
    </FormDialog>
  );
}

function SendCode({ domain, close }: DialogProps) {
  const [isMailed, setMailed] = useState(false);
  const act = useFormAct(EmailDomainCodeSendDocument, (result) => result.emailDomainCodeSend, () => {
    setMailed(true);
    return null;
  });
  if (isMailed) return <Prove domain={domain} close={close} isMailed />;
  return (
    <FormDialog
      title={`Prove that ${domain} is yours`}
      about="A code is mailed to whoever answers for the domain’s mail: who reads there answers for every address of it. It is good for a day."
      label="Mail the code"
      act={{ ...act, errors: [] }}
      close={close}
      submit={(form) => act.run({ domain, mailbox: form.get("mailbox") === "ADMIN" ? "ADMIN" : "POSTMASTER" })}
    >
      <Refusals errors={act.errors} />
      <Field label="To">
        {(props) => (
          <select {...props} name="mailbox">
            <option value="POSTMASTER">postmaster@{domain}</option>
            <option value="ADMIN">admin@{domain}</option>
          </select>
        )}
      </Field>
    </FormDialog>
  );
}

function Prove({ domain, close, isMailed = false }: DialogProps & { isMailed?: boolean }) {
  const act = useFormAct(EmailDomainProveDocument, (result) => result.emailDomainProve, () => `${domain} is proven to be yours.`, close);
  const wrong = act.wrong("code");
  return (
    <FormDialog
      title={`The code for ${domain}`}
      about={isMailed ? "It is on its way. You can close this and enter the code later." : "As it came by mail; the newest one counts."}
      label="Prove it"
      act={act}
      fields={["code"]}
      close={close}
      submit={(form) => act.run({ domain, code: String(form.get("code")).trim() })}
    >
      <Field label="Code" wrong={wrong && sentence(plain(wrong))}>
        {(props) => <input {...props} name="code" className="mono" required autoFocus autoComplete="off" spellCheck={false} />}
      </Field>
    </FormDialog>
  );
}

function Enforce({ domain, close }: DialogProps) {
  const act = useFormAct(EmailDomainEnforceDocument, (result) => result.emailDomainEnforce, () => `Whoever has an address at ${domain} signs in by the provider from now on.`, close);
  return (
    <FormDialog
      title={`Only the provider for ${domain}`}
      about={
        <>
          <p>From now on people with an address there get into this tenant by the provider only. Who is signed in by password is out with the next request.</p>
          <p>An owner with a second factor still gets in by password and code, so that nobody is locked out when the provider is.</p>
        </>
      }
      label="Make it the only way"
      act={{ ...act, errors: [] }}
      close={close}
      submit={() => act.run({ domain })}
    >
      <Refusals errors={act.errors} />
      <label className="row nowrap-start">
        <input type="checkbox" required />
        <span>I have signed in by the provider, and it let me in.</span>
      </label>
    </FormDialog>
  );
}

function Release({ domain, close }: DialogProps) {
  const act = useFormAct(EmailDomainReleaseDocument, (result) => result.emailDomainRelease, () => `Passwords sign in people of ${domain} again.`, close);
  return (
    <FormDialog title={`Let ${domain} go`} about="People with an address there may sign in by password again, who have one. The provider signs them in as before." label="Let it go" act={{ ...act, errors: [] }} close={close} submit={() => act.run({ domain })}>
      <Refusals errors={act.errors} />
    </FormDialog>
  );
}

function Remove({ domain, close }: DialogProps) {
  const act = useFormAct(EmailDomainRemoveDocument, (result) => result.emailDomainRemove, () => `${domain} is taken away.`, close);
  return (
    <FormDialog title={`Take ${domain} away`} about="Whoever came in by it stays. To have it back it is proven once more." label="Take it away" act={{ ...act, errors: [] }} close={close} submit={() => act.run({ domain })}>
      <Refusals errors={act.errors} />
    </FormDialog>
  );
}
