// The tenant itself: what it is called, and its deletion. An owner reads what goes and what stays, types its slug, and has a week to take it back.
import { useState } from "react";
import { KeepIt, useDeletion } from "../app/deletion-banner";
import { Permitted } from "../app/permitted";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { DAYS, GOES, isNamed, STAYS } from "./deletion";
import { TenantDeleteDocument } from "./query.generated";

const WHY_MAX = 500;

export function ThisTenant() {
  return (
    <Permitted to="owners" otherwise="Your role does not delete this tenant" advice="Owners do. Ask one of them.">
      <Deletion />
    </Permitted>
  );
}

function Deletion() {
  const asked = useDeletion();
  const [isOpen, setOpen] = useState(false);
  const tenant = asked.data?.tenant;
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!tenant) return <Loading what="the tenant" />;
  const { deletion } = tenant;
  return (
    <section className="panel stack" aria-labelledby="delete-tenant">
      <div className="row apart">
        <h2 id="delete-tenant">Delete this tenant</h2>
        {deletion ? (
          <KeepIt />
        ) : (
          <button type="button" className="button" onClick={() => setOpen(true)}>
            Delete this tenant
          </button>
        )}
      </div>
      {deletion ? (
        <div className="note bad stack tight">
          <p>
            {tenant.name} is deleted on <Time at={deletion.deletesAt} />. That was asked for on <Time at={deletion.askedAt} />, with the words:
          </p>
          <p className="break">{deletion.why}</p>
        </div>
      ) : (
        <p>
          {DAYS} days after an owner asks for it, {tenant.name} is destroyed. Until then everything goes on, its owners are told by mail, and each of them can keep it.
        </p>
      )}
      <WhatBecomesOfIt />
      {isOpen && <DeleteDialog slug={tenant.slug} close={() => setOpen(false)} />}
    </section>
  );
}

function WhatBecomesOfIt() {
  return (
    <div className="stack">
      <h3>What goes</h3>
      <ul className="points">
        {GOES.map((one) => (
          <li key={one}>{one}</li>
        ))}
      </ul>
      <h3>What stays</h3>
      <ul className="points">
        {STAYS.map((one) => (
          <li key={one}>{one}</li>
        ))}
      </ul>
      <p className="muted">It waits for as long as the audit log is under a legal hold. Afterwards another tenant may have the slug.</p>
    </div>
  );
}

function DeleteDialog({ slug, close }: { slug: string; close: () => void }) {
  const [typed, setTyped] = useState("");
  const [why, setWhy] = useState("");
  const [isEarly, setEarly] = useState(false);
  const act = useFormAct(TenantDeleteDocument, (result) => result.tenantDelete, () => `The tenant is to be deleted in ${DAYS} days. Its owners are told.`, close);
  const isWrong = isEarly && !isNamed(typed, slug);
  return (
    <FormDialog
      title="Delete this tenant"
      about={`In ${DAYS} days all of it is destroyed. Retire its flows first where vendors should stop sending: what they send afterwards is refused.`}
      label={`Delete it in ${DAYS} days`}
      act={act}
      fields={["slug", "why"]}
      close={close}
      submit={() => {
        setEarly(true);
        if (isNamed(typed, slug)) act.run({ slug: typed.trim(), why });
      }}
    >
      <Field label={`Type the slug of this tenant: ${slug}`} wrong={isWrong ? `This is not ${slug}.` : act.wrong("slug")}>
        {(props) => <input {...props} required maxLength={63} autoComplete="off" spellCheck={false} value={typed} onChange={(event) => setTyped(event.target.value)} />}
      </Field>
      <Field label="Why" help={`It stands in the audit log, and stays when the tenant is gone. ${WHY_MAX} characters at most.`} wrong={act.wrong("why")}>
        {(props) => <input {...props} required maxLength={WHY_MAX} value={why} onChange={(event) => setWhy(event.target.value)} placeholder="The contract ended" />}
      </Field>
      <label className="row nowrap-start">
        <input type="checkbox" required />
        <span>I have an export of the audit log and of what else we must keep, or nobody needs them.</span>
      </label>
    </FormDialog>
  );
}
