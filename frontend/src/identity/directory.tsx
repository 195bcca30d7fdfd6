// The directory (SCIM): it tells who the tenant's people are when that changes, and not at their next sign-in. Its tokens, what to enter there, and what follows.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { isAwaited, useAsk, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Copy } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { useShownOnce } from "../ui/shown-once";
import { Empty, Loading, Problem } from "../ui/state";
import { Steps } from "../ui/steps";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { addressOf, outlook, stateOf, type Outlook, type ScimToken } from "./directory-tokens";
import { DirectoryBeginDocument, DirectoryDocument, IdentityNamesDocument, ScimTokenCreateDocument, ScimTokenRevokeDocument, type DirectoryBeginQuery } from "./query.generated";
import { Refusals } from "./refusals";

type Provider = NonNullable<DirectoryBeginQuery["identityProvider"]>;
const EVERY_MS = 30_000;
const OVERLAP_HOURS_MAX = 720;

export function Directory() {
  return (
    <Permitted to="members" otherwise="Your role does not set how people come and go" advice="Owners and admins do. Ask one of them.">
      <Parts />
    </Permitted>
  );
}

function Parts() {
  const asked = useAsk(DirectoryDocument, {}, { everyMs: EVERY_MS });
  const begin = useAsk(DirectoryBeginDocument, {}, { everyMs: EVERY_MS });
  // Who made a token: a name that comes later would move its row.
  const names = useAsk(IdentityNamesDocument, {});
  const [isMaking, setMaking] = useState(false);
  const [revoked, setRevoked] = useState<ScimToken | null>(null);
  const [shown, setShown] = useShownOnce<Shown>("A token was made and could not be shown, because its page was left: revoke it under Directory and make another.");
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (begin.error && !begin.data) return <Problem error={begin.error} retry={() => void begin.refetch()} />;
  if (!asked.data || !begin.data || isAwaited(names)) return <Loading what="your directory" />;
  const tokens = asked.data.scimTokens;
  const provider = begin.data.identityProvider ?? null;
  const proven = begin.data.emailDomains.filter((one) => one.provenAt).map((one) => one.domain);
  const now = Date.now();
  const stands = outlook(tokens, now);
  const hasGood = stands.is !== "none" && stands.is !== "over";
  return (
    <>
      {stands.is === "none" ? (
        <Begin provider={provider} proven={proven} make={() => setMaking(true)} />
      ) : (
        <section className="panel stack" aria-label="How the directory stands">
          <div className="row apart">
            <h2>Your directory</h2>
            <button type="button" className={stands.is === "good" || stands.is === "old" ? "button" : "button main-act"} disabled={!provider} onClick={() => setMaking(true)}>
              {hasGood ? "Make the next token" : "Make a token"}
            </button>
          </div>
          <Standing of={stands} />
          {!provider && <NoProvider />}
        </section>
      )}
      {provider && <Enter address={addressOf(provider.redirectUri)} />}
      {provider && <What provider={provider} proven={proven} />}
      {tokens.length > 0 && <Tokens tokens={tokens} now={now} revoke={setRevoked} />}
      {isMaking && <Make hasGood={hasGood} close={() => setMaking(false)} show={setShown} />}
      {revoked && <Revoke of={revoked} isLast={tokens.filter((one) => isOpen(one, tokens, now)).length === 1} close={() => setRevoked(null)} />}
      {shown && <ShownOnce of={shown} close={() => setShown(null)} />}
    </>
  );
}

const isOpen = (token: ScimToken, all: readonly ScimToken[], now: number) => !["expired", "revoked"].includes(stateOf(token, all, now));

/** What has to be there before a token is worth something, in its order. */
function Begin({ provider, proven, make }: { provider: Provider | null; proven: string[]; make: () => void }) {
  const tenant = useTenant();
  const toSignOn = (label: string) => (
    <Link className="button" to="/t/$tenant/settings/sign-on" params={{ tenant }}>
      {label}
    </Link>
  );
  const steps = [
    {
      title: "Say where people sign in, and which of its groups gives which role",
      about: "The directory’s groups are looked up in the same table. Without it nobody would become anything.",
      isDone: provider !== null,
      act: toSignOn("Set up single sign-on"),
    },
    {
      title: "Prove that a domain is yours",
      about: proven.length > 0 ? `Proven: ${proven.join(", ")}.` : "A directory speaks of people with an address there, and of nobody else.",
      isDone: proven.length > 0,
      act: provider ? toSignOn("Add a domain") : null,
    },
    {
      title: "Make a token, and enter it at your directory",
      about: "It is good for a year, for this and nothing else.",
      isDone: false,
      act: provider && (
        <button type="button" className={proven.length > 0 ? "button main-act" : "button"} onClick={make}>
          Make a token
        </button>
      ),
    },
  ];
  return (
    <section className="panel stack" aria-label="How to begin">
      <div className="stack tight">
        <h2>No directory tells who your people are</h2>
        <p className="muted">
          Without one, who leaves you keeps their place here until their next sign-in. Connect your directory by SCIM 2.0 (Entra ID, Okta and others speak it): who joins is here before they sign in, and who leaves is out within the minute in which
          it says so.
        </p>
      </div>
      <Steps steps={steps} />
    </section>
  );
}

function NoProvider() {
  const tenant = useTenant();
  return (
    <p className="note bad" role="alert">
      There is no identity provider any more, so the directory’s groups give nobody a role and no token can be made.{" "}
      <Link to="/t/$tenant/settings/sign-on" params={{ tenant }}>
        Set one up
      </Link>
      .
    </p>
  );
}

function Standing({ of }: { of: Outlook }) {
  switch (of.is) {
    case "none":
      return null;
    case "over":
      return (
        <p className="note bad" role="alert">
          <strong>The directory has been a stranger since <Time at={of.since} />:</strong> its last token {of.isRevoked ? "was revoked" : "has ended"}. Whom it brought stays, and nobody is taken away any more, whoever leaves you. Make a token, and enter it there.
        </p>
      );
    case "soon":
      return (
        <p className="note warn" role="alert">
          <strong>
            Its token ends <Time at={of.until} />, {of.days === 0 ? "in less than a day" : of.days === 1 ? "in one day" : `in ${of.days} days`}.
          </strong>{" "}
          From then on nobody comes or goes by it. Make the next one and enter it at your directory; the one before is good for as long as you say.
        </p>
      );
    case "old":
      return (
        <p className="note warn" role="alert">
          <strong>
            The directory still comes with <code>cds_{of.prefix}_…</code>, which ends <Time at={of.until} />.
          </strong>{" "}
          Enter the newer token there before. Who has lost it makes another.
        </p>
      );
    case "unused":
      return (
        <p className="note" role="status">
          The directory has not come yet: its token was made <Time at={of.since} /> and never used. Enter it there as below, and let the directory test it.
        </p>
      );
    case "good":
      return (
        <p>
          It last came <Time at={of.lastUsedAt} as="ago" />, and its token is good until <Time at={of.until} />.
        </p>
      );
  }
}

/** What is entered where, as the two that most have call it. */
function Enter({ address }: { address: string }) {
  return (
    <section className="panel stack" aria-labelledby="enter">
      <h2 id="enter">What to enter at the directory</h2>
      <div className="stack tight">
        <h3>The address</h3>
        <Copy text={address} label="The address for the directory" />
      </div>
      <div className="halves">
        <div className="stack tight">
          <h3>Microsoft Entra ID</h3>
          <dl className="facts">
            <dt>Where</dt>
            <dd>Enterprise applications, your application, Provisioning, Automatic</dd>
            <dt>Tenant URL</dt>
            <dd>the address</dd>
            <dt>Secret Token</dt>
            <dd>the token</dd>
            <dt>People</dt>
            <dd>
              <code>userPrincipalName</code> to <code>userName</code>, <code>mail</code> to <code>emails[type eq "work"].value</code>, <code>Switch([IsSoftDeleted], …)</code> to <code>active</code>
            </dd>
            <dt>Groups</dt>
            <dd>
              Provision groups: <code>displayName</code>, <code>externalId</code>, <code>members</code>
            </dd>
          </dl>
        </div>
        <div className="stack tight">
          <h3>Okta</h3>
          <dl className="facts">
            <dt>Where</dt>
            <dd>Applications, your application, Provisioning, SCIM connector</dd>
            <dt>Base URL</dt>
            <dd>the address</dd>
            <dt>Unique identifier</dt>
            <dd>
              <code>userName</code>
            </dd>
            <dt>Authorization</dt>
            <dd>HTTP Header, Bearer, the token</dd>
            <dt>People</dt>
            <dd>Create Users, Update User Attributes, Deactivate Users</dd>
            <dt>Groups</dt>
            <dd>Push Groups</dd>
          </dl>
        </div>
      </div>
      <p className="muted small">Another one that speaks SCIM 2.0 takes the same two: the address, and the token as “Authorization: Bearer …”.</p>
    </section>
  );
}

function What({ provider, proven }: { provider: Provider; proven: string[] }) {
  const tenant = useTenant();
  const may = useMay();
  const toSignOn = (label: string) => (
    <Link to="/t/$tenant/settings/sign-on" params={{ tenant }}>
      {label}
    </Link>
  );
  return (
    <section className="panel stack tight" aria-labelledby="gives">
      <h2 id="gives">What it gives to whom</h2>
      <dl className="facts">
        <dt>Groups</dt>
        <dd>
          <ul>
            {provider.roles.map(({ group, role }) => (
              <li key={group}>
                <code>{group}</code> gives the role {role.toLowerCase()}
              </li>
            ))}
            <li className="muted">{provider.defaultRole ? `Who is in none of them is ${provider.defaultRole.toLowerCase()}` : "Who is in none of them has no place here"}</li>
          </ul>
          {toSignOn("Change which group gives which role")}
        </dd>
        <dt>People</dt>
        <dd>
          {proven.length > 0 ? (
            <>with an address at {proven.join(", ")}</>
          ) : (
            <>
              <Badge tone="bad">nobody yet</Badge> No domain is proven to be yours, and it speaks of nobody else. {toSignOn("Prove one")}
            </>
          )}
        </dd>
        <dt>Who leaves</dt>
        <dd>is no member any more with the next request; their account stays theirs. An owner stays, unless a group gives owners, and the last owner does in any case.</dd>
      </dl>
      {may("audit") && (
        <p className="muted small">
          Somebody is missing, or still here?{" "}
          <Link to="/t/$tenant/audit" params={{ tenant }} search={{ action: "scim.refused" }}>
            See what was refused, and why
          </Link>
          .
        </p>
      )}
    </section>
  );
}

const STATES = {
  good: { tone: "good", word: "good" },
  soon: { tone: "warn", word: "ends soon" },
  replaced: { tone: "info", word: "replaced" },
  expired: { tone: undefined, word: "over" },
  revoked: { tone: undefined, word: "revoked" },
} as const;

function Tokens({ tokens, now, revoke }: { tokens: readonly ScimToken[]; now: number; revoke: (token: ScimToken) => void }) {
  const tenant = useTenant();
  const may = useMay();
  const members = useAsk(IdentityNamesDocument, {}).data?.members;
  const [hasAll, setAll] = useState(false);
  const rows = tokens.filter((one) => hasAll || isOpen(one, tokens, now));
  const maker = (id: string) => {
    const member = members?.find((one) => one.userId === id);
    return member ? member.name || member.email : members ? "somebody who left" : "…";
  };
  const columns: Column<ScimToken>[] = [
    { header: "Token", accessorKey: "prefix", enableSorting: false, cell: ({ row }) => <code className="nowrap">cds_{row.original.prefix}_…</code> },
    {
      header: "Last used",
      accessorFn: (one) => one.lastUsedAt ?? "",
      cell: ({ row: { original: one } }) => (one.lastUsedAt ? <Time at={one.lastUsedAt} as="ago" /> : <span className="muted">never</span>),
    },
    {
      header: "Ends",
      accessorFn: (one) => one.revokedAt ?? one.expiresAt,
      cell: ({ row: { original: one } }) => {
        const { tone, word } = STATES[stateOf(one, tokens, now)];
        return (
          <>
            <Badge tone={tone}>{word}</Badge> <Time at={one.revokedAt ?? one.expiresAt} />
          </>
        );
      },
    },
    {
      header: "Made",
      accessorKey: "createdAt",
      cell: ({ row: { original: one } }) => (
        <>
          <Time at={one.createdAt} /> <span className="muted">by {maker(one.createdBy)}</span>
        </>
      ),
    },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: one } }) => (
        <span className="row">
          {may("audit") && (
            <Link className="button quiet" to="/t/$tenant/audit" params={{ tenant }} search={{ q: one.id, as: "actor" }} aria-label={`What it did: ${one.prefix}`}>
              What it did
            </Link>
          )}
          {isOpen(one, tokens, now) && (
            <button type="button" className="button quiet" aria-label={`Revoke ${one.prefix}`} onClick={() => revoke(one)}>
              Revoke
            </button>
          )}
        </span>
      ),
    },
  ];
  return (
    <section className="panel flush" aria-label="Tokens">
      <div className="row apart">
        <h2>Its tokens</h2>
        {tokens.some((one) => !isOpen(one, tokens, now)) && (
          <label className="row">
            <input type="checkbox" checked={hasAll} onChange={(event) => setAll(event.target.checked)} />
            Also those that are over
          </label>
        )}
      </div>
      {rows.length === 0 ? (
        <Empty title="No token is good">
          <p>The directory is refused, and takes nobody away. Make a token and enter it there.</p>
        </Empty>
      ) : (
        <Table label="The directory’s tokens" columns={columns} rows={rows} idOf={(one) => one.id} />
      )}
    </section>
  );
}

interface Shown {
  token: string;
  url: string;
  expiresAt: string;
}

function ShownOnce({ of, close }: { of: Shown; close: () => void }) {
  return (
    <Dialog title="The directory’s token" about="It is shown this once and kept nowhere. Enter it at the directory now; who loses it makes another." isHeld open close={close}>
      <div className="stack tight">
        <h3>The address</h3>
        <Copy text={of.url} label="The address" />
        <h3>The token</h3>
        <Copy text={of.token} label="The token" />
      </div>
      <p className="muted small">
        It is good until <Time at={of.expiresAt} />. A warning stands here from 30 days before.
      </p>
      <div>
        <button type="button" className="button main-act" onClick={close}>
          I have entered it
        </button>
      </div>
    </Dialog>
  );
}

function Make({ hasGood, close, show }: { hasGood: boolean; close: () => void; show: (shown: Shown) => void }) {
  const [hours, setHours] = useState("24");
  const act = useFormAct(
    ScimTokenCreateDocument,
    (result) => result.scimTokenCreate,
    ({ scimTokenCreate: { scimToken, token, url } }) => {
      if (scimToken && token && url) show({ token, url, expiresAt: scimToken.expiresAt });
      return null;
    },
    close,
  );
  const wrong = act.errors.some((one) => one.code === "INVALID") ? act.wrong("overlapHours") : null;
  return (
    <FormDialog
      title={hasGood ? "Make the next token" : "Make a token"}
      about={hasGood ? "It takes the place of those before. They are good for the overlap, so that the directory can be told the new one while it works." : "Whoever has it says who your people are. It is good for a year and counts for this tenant only."}
      label="Make it"
      act={{ ...act, errors: [] }}
      close={close}
      submit={() => act.run({ overlapHours: Number(hours) })}
    >
      <Refusals errors={act.errors.filter((one) => one.code !== "INVALID")} />
      {hasGood && (
        <Field label="Those before are good for so many hours more" help={`0 to ${OVERLAP_HOURS_MAX}. 0 where somebody has one who should not: then nobody comes or goes until the directory has the new one.`} wrong={wrong}>
          {(props) => <input {...props} type="number" min={0} max={OVERLAP_HOURS_MAX} step={1} value={hours} onChange={(event) => setHours(event.target.value)} required autoFocus style={{ maxWidth: 120 }} />}
        </Field>
      )}
    </FormDialog>
  );
}

function Revoke({ of, isLast, close }: { of: ScimToken; isLast: boolean; close: () => void }) {
  const act = useFormAct(ScimTokenRevokeDocument, (result) => result.scimTokenRevoke, () => `The token ${of.prefix} is worth nothing any more.`, close);
  return (
    <FormDialog
      title={`Revoke cds_${of.prefix}_…`}
      about={
        <>
          The directory is refused with it from its next request on, and it cannot be brought back. Whom it has brought stays.{" "}
          {isLast ? "It is the last that is good: whoever leaves you keeps their place here until another token is entered there." : "Another token is good still."}
          {of.lastUsedAt && (
            <>
              {" "}
              It was last used <Time at={of.lastUsedAt} as="ago" />.
            </>
          )}
        </>
      }
      label="Revoke it"
      act={{ ...act, errors: [] }}
      close={close}
      submit={() => act.run({ id: of.id })}
    >
      <Refusals errors={act.errors} />
    </FormDialog>
  );
}
