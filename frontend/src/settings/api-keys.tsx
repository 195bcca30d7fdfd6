// API keys: which programs may come in, with what, and when they last did. The key itself is shown once, because nobody keeps it.
import { useState } from "react";
import { isAwaited, useAsk } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { Badge } from "../ui/badge";
import { Copy } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { useShownOnce } from "../ui/shown-once";
import { Empty, Loading, Problem } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { GRANTS, grantsOf, type Grant } from "./grants";
import { Operations, useOperationCount, useOperations } from "./operations";
import { nameOf } from "./people";
import { ApiKeyCreateDocument, ApiKeyRevokeDocument, ApiKeyRotateDocument, ApiKeysDocument, MembersDocument, type ApiKeysQuery } from "./query.generated";
import { inWords, ServiceAccounts, useServiceAccounts, type ServiceAccount } from "./service-accounts";

type ApiKey = ApiKeysQuery["apiKeys"][number];
const DAY_MS = 24 * 60 * 60 * 1000;
/** So many days before its end a key is marked. */
const SOON_DAYS = 14;
const DAYS_MAX = 366;

export function ApiKeys() {
  return (
    <Permitted to="keys" otherwise="Your role makes no API keys" advice="Owners and admins do. Tell one of them what your program has to do, and for how long.">
      <Keys />
    </Permitted>
  );
}

function Keys() {
  const asked = useAsk(ApiKeysDocument, {}, { everyMs: 30_000 });
  const known = useAsk(MembersDocument, {});
  const members = known.data?.members ?? [];
  // All is waited for: what comes later would move what one reads, and who made a key is not somebody who left because their name is still on its way.
  const isOnItsWay = [useServiceAccounts(), useOperations(), known].some(isAwaited);
  const [hasAll, setAll] = useState(false);
  const [dialog, setDialog] = useState<{ act: "rotate" | "revoke"; key: ApiKey } | { act: "new"; isKept: boolean; of?: ServiceAccount } | null>(null);
  const [shown, setShown] = useShownOnce<Shown>("A key was made and could not be shown, because its page was left: revoke it under API keys and make another.");
  const close = () => setDialog(null);
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data || isOnItsWay) return <Loading what="the API keys" />;
  const all = asked.data.apiKeys;
  const rows = all.filter((key) => hasAll || key.state === "ACTIVE");
  const columns: Column<ApiKey>[] = [
    {
      header: "For",
      accessorKey: "name",
      cell: ({ row: { original: key } }) => (
        <span className="break">
          <strong>{key.name}</strong>
          <br />
          <code className="muted nowrap">cdk_{key.prefix}_…</code>
          {key.replacesId && <span className="muted small"> in the place of {all.find((one) => one.id === key.replacesId)?.name === key.name ? "an older one" : "another"}</span>}
          {key.serviceAccount && (
            <>
              <br />
              <span className="muted small">as {key.serviceAccount.name}</span>
            </>
          )}
        </span>
      ),
    },
    {
      header: "May",
      enableSorting: false,
      accessorFn: (key) => key.permissions.join(),
      cell: ({ row }) => (
        <ul className="small">
          {row.original.permissions.map((one) => (
            <li key={one}>{inWords(one)}</li>
          ))}
          {row.original.permissions.length === 0 && <li className="muted">Nothing: its service account has nothing that it was given</li>}
          {row.original.persistedOnly && <li>Nothing but registered operations</li>}
        </ul>
      ),
    },
    { header: "Calls a minute", accessorKey: "callsPerMinute", meta: NUMBERS, cell: ({ row }) => row.original.callsPerMinute.toLocaleString() },
    {
      header: "Last used",
      accessorFn: (key) => key.lastUsedAt ?? "",
      cell: ({ row: { original: key } }) => (key.lastUsedAt ? <Time at={key.lastUsedAt} as="ago" /> : <span className="muted">never</span>),
    },
    { header: "Ends", accessorFn: (key) => key.revokedAt ?? key.expiresAt, cell: ({ row }) => <Ends of={row.original} /> },
    { header: "Made by", accessorFn: (key) => nameOf(members, key.createdBy) },
    {
      id: "acts",
      header: () => <span className="hidden-label">Acts</span>,
      enableSorting: false,
      cell: ({ row: { original: key } }) =>
        key.state === "ACTIVE" && (
          <span className="row">
            <button type="button" className="button quiet" aria-label={`Rotate ${key.name}, ${key.prefix}`} onClick={() => setDialog({ act: "rotate", key })}>
              Rotate
            </button>
            <button type="button" className="button quiet" aria-label={`Revoke ${key.name}, ${key.prefix}`} onClick={() => setDialog({ act: "revoke", key })}>
              Revoke
            </button>
          </span>
        ),
    },
  ];
  return (
    <>
      <section className="panel flush">
        <div className="row apart">
          <h2>API keys</h2>
          <span className="row">
            {all.some((key) => key.state !== "ACTIVE") && (
              <label className="row">
                <input type="checkbox" checked={hasAll} onChange={(event) => setAll(event.target.checked)} />
                Also those that are over
              </label>
            )}
            <button type="button" className="button main-act" onClick={() => setDialog({ act: "new", isKept: false })}>
              New API key
            </button>
          </span>
        </div>
        {rows.length === 0 ? (
          <Empty title="There is no API key yet">
            <p>A key lets a program of a partner or of your own ask the API, with no more than it needs, and until a day that you say. What it does stands in the audit log under its name.</p>
          </Empty>
        ) : (
          <Table label="API keys" columns={columns} rows={rows} idOf={(key) => key.id} />
        )}
      </section>
      <p className="muted small">A key goes into the header “Authorization: Bearer …” of each request. It counts for this tenant only.</p>
      <ServiceAccounts keys={all} makeKey={(of) => setDialog({ act: "new", isKept: false, of })} />
      <Operations keys={all} makeKey={() => setDialog({ act: "new", isKept: true })} />
      {dialog?.act === "new" && <Create isKept={dialog.isKept} of={dialog.of} close={close} show={setShown} />}
      {dialog?.act === "rotate" && <Rotate of={dialog.key} close={close} show={setShown} />}
      {dialog?.act === "revoke" && <Revoke of={dialog.key} close={close} />}
      {shown && <ShownOnce of={shown} close={() => setShown(null)} />}
    </>
  );
}

function Ends({ of }: { of: ApiKey }) {
  if (of.revokedAt) {
    return (
      <>
        <Badge>revoked</Badge> <Time at={of.revokedAt} />
      </>
    );
  }
  const days = (Date.parse(of.expiresAt) - Date.now()) / DAY_MS;
  return (
    <>
      {of.state === "EXPIRED" ? <Badge>expired</Badge> : days < SOON_DAYS && <Badge tone="warn">soon</Badge>} <Time at={of.expiresAt} />
    </>
  );
}

interface Shown {
  name: string;
  key: string;
  expiresAt: string;
  /** What becomes of the key before, where there is one. */
  before?: string;
}

function ShownOnce({ of, close }: { of: Shown; close: () => void }) {
  return (
    <Dialog title={`The key of ${of.name}`} about="It is shown this once and kept nowhere. Put it where the program finds its secrets; who loses it makes another." isHeld open close={close}>
      <Copy text={of.key} label={`The key of ${of.name}`} />
      <p className="muted small">
        It is good until <Time at={of.expiresAt} />. {of.before}
      </p>
      <div>
        <button type="button" className="button main-act" onClick={close}>
          I have kept it
        </button>
      </div>
    </Dialog>
  );
}

function Create({ isKept: isKeptFirst, of, close, show }: { isKept: boolean; of?: ServiceAccount | undefined; close: () => void; show: (shown: Shown) => void }) {
  const [isKept, setKept] = useState(isKeptFirst);
  const [accountId, setAccountId] = useState(of?.id ?? "");
  const accounts = useServiceAccounts().data?.serviceAccounts.filter((one) => !one.endedAt) ?? [];
  const account = accounts.find((one) => one.id === accountId);
  const operations = useOperationCount();
  const act = useFormAct(
    ApiKeyCreateDocument,
    (result) => result.apiKeyCreate,
    ({ apiKeyCreate: { apiKey, key } }) => {
      if (apiKey && key) show({ name: apiKey.name, key, expiresAt: apiKey.expiresAt });
      return null;
    },
    close,
  );
  return (
    <FormDialog
      title="New API key"
      about="Give it no more than its program needs. That it was made, and what it does, stands in the audit log."
      label="Make the key"
      act={act}
      fields={["name", "serviceAccountId", "permissions", "expiresAt", "callsPerMinute"]}
      close={close}
      submit={(form) =>
        act.run({
          input: {
            name: String(form.get("name")).trim(),
            permissions: form.getAll("permission").map((one) => String(one) as Grant),
            expiresAt: new Date(Date.now() + Number(form.get("days")) * DAY_MS).toISOString(),
            callsPerMinute: Number(form.get("callsPerMinute")),
            persistedOnly: isKept,
            serviceAccountId: accountId || null,
          },
        })
      }
    >
      <Field label="What it is for" help="Its name in this list and in the audit log: warehouse sync" wrong={act.wrong("name")}>
        {(props) => <input {...props} name="name" required maxLength={200} autoFocus autoComplete="off" />}
      </Field>
      {accounts.length > 0 && (
        <Field label="It acts as" help="Its service account: whom the audit log names, for as long as the key lives." wrong={act.wrong("serviceAccountId")}>
          {(props) => (
            <select {...props} value={accountId} onChange={(event) => setAccountId(event.target.value)} style={{ maxWidth: "100%" }}>
              <option value="">itself</option>
              {accounts.map((one) => (
                <option key={one.id} value={one.id}>
                  {one.name}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      <fieldset className="plain stack tight">
        <legend>What it may do</legend>
        {grantsOf(account).map((grant) => (
          <label key={grant} className="row nowrap-start">
            <input type="checkbox" name="permission" value={grant} defaultChecked={grant === "READ_OPERATIONS"} />
            <span>{GRANTS[grant]}</span>
          </label>
        ))}
        {account && <span className="muted small">No more than {account.name} may.</span>}
        {act.wrong("permissions") && (
          <span className="bad-text" role="alert">
            {act.wrong("permissions")}
          </span>
        )}
      </fieldset>
      <div className="stack tight">
        <label className="row nowrap-start">
          <input type="checkbox" checked={isKept} onChange={(event) => setKept(event.target.checked)} />
          <span>And of that only the operations that are registered, so that whoever finds the key asks nothing else</span>
        </label>
        {isKept && operations === 0 && <p className="bad-text">None is registered yet: until one is, the key can ask nothing.</p>}
        {isKept && Boolean(operations) && <p className="muted small">{operations === 1 ? "One is registered." : `${operations?.toLocaleString()} are registered.`} What this key may do has to include what they ask.</p>}
      </div>
      <Field label="Ends in days" help={`1 to ${DAYS_MAX}. The key says nothing before it ends: rotate it in time.`} wrong={act.wrong("expiresAt")}>
        {(props) => <input {...props} name="days" type="number" min={1} max={DAYS_MAX} step={1} defaultValue={90} required style={{ maxWidth: 120 }} />}
      </Field>
      <Field label="Calls a minute" help="A sixth of them at once. Beyond that it is told to wait." wrong={act.wrong("callsPerMinute")}>
        {(props) => <input {...props} name="callsPerMinute" type="number" min={1} max={60_000} step={1} defaultValue={600} required style={{ maxWidth: 120 }} />}
      </Field>
    </FormDialog>
  );
}

function Rotate({ of, close, show }: { of: ApiKey; close: () => void; show: (shown: Shown) => void }) {
  const [hours, setHours] = useState("24");
  const act = useFormAct(
    ApiKeyRotateDocument,
    (result) => result.apiKeyRotate,
    ({ apiKeyRotate: { apiKey, key } }) => {
      const before = hours === "0" ? "The one before is worth nothing from now on." : `The one before is good for ${hours} ${hours === "1" ? "hour" : "hours"} more.`;
      if (apiKey && key) show({ name: apiKey.name, key, expiresAt: apiKey.expiresAt, before });
      return null;
    },
    close,
  );
  return (
    <FormDialog
      title={`Rotate ${of.name}`}
      about="Another key takes its place: it may the same, for as long again. Both are good for the overlap, so that the program can be told the new one while it runs."
      label="Make the new key"
      act={act}
      fields={["overlapHours"]}
      close={close}
      submit={() => act.run({ id: of.id, overlapHours: Number(hours) })}
    >
      <Field label="The old one is good for so many hours more" help="0 to 720. 0 where somebody has the key who should not: then the program stands until it has the new one." wrong={act.wrong("overlapHours")}>
        {(props) => <input {...props} type="number" min={0} max={720} step={1} value={hours} onChange={(event) => setHours(event.target.value)} required autoFocus style={{ maxWidth: 120 }} />}
      </Field>
    </FormDialog>
  );
}

function Revoke({ of, close }: { of: ApiKey; close: () => void }) {
  const act = useFormAct(ApiKeyRevokeDocument, (result) => result.apiKeyRevoke, () => `The key of ${of.name} is worth nothing any more.`, close);
  const used = of.lastUsedAt && (
    <>
      {" "}
      It was last used <Time at={of.lastUsedAt} as="ago" />.
    </>
  );
  return (
    <FormDialog
      title={`Revoke ${of.name}`}
      about={<>The program that has it is refused from its next request on, and the key cannot be brought back. To replace it without a stop, rotate it.{used}</>}
      label="Revoke"
      act={act}
      close={close}
      submit={() => act.run({ id: of.id })}
    />
  );
}
