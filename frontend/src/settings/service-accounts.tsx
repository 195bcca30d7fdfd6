// Service accounts: the programs of partners and of one's own that stay who they are when their keys are exchanged. What they may, what they have, and their end.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { GRANTS, grantsOf, keysOf, lostBy, type Grant } from "./grants";
import { KeyUsed, Used } from "./key-used";
import { nameOf } from "./people";
import {
  MembersDocument,
  ServiceAccountChangeDocument,
  ServiceAccountCreateDocument,
  ServiceAccountEndDocument,
  ServiceAccountsDocument,
  type ApiKeysQuery,
  type ServiceAccountsQuery,
} from "./query.generated";

type ApiKey = ApiKeysQuery["apiKeys"][number];
export type ServiceAccount = ServiceAccountsQuery["serviceAccounts"][number];
const ACCOUNTS_MAX = 50;
const WHY_MAX = 500;

export function useServiceAccounts() {
  return useAsk(ServiceAccountsDocument, {}, { everyMs: 60_000, isDear: true });
}

/** In words, and by its name where there are none yet. */
export const inWords = (permission: string) => GRANTS[permission as Grant] ?? permission;

export function ServiceAccounts({ keys, makeKey }: { keys: readonly ApiKey[]; makeKey: (of: ServiceAccount) => void }) {
  const tenant = useTenant();
  const may = useMay();
  const asked = useServiceAccounts();
  const members = useAsk(MembersDocument, {}).data?.members ?? [];
  const [hasAll, setAll] = useState(false);
  const [dialog, setDialog] = useState<{ act: "change" | "end"; of: ServiceAccount } | "new" | null>(null);
  const close = () => setDialog(null);
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="the service accounts" />;
  const all = asked.data.serviceAccounts;
  const live = all.filter((one) => !one.endedAt);
  const rows = hasAll ? [...all] : live;
  const columns: Column<ServiceAccount>[] = [
    {
      header: "Program",
      accessorKey: "name",
      cell: ({ row: { original: one } }) => (
        <span className="break">
          <strong>{one.name}</strong>
          <br />
          <span className="muted small">{one.purpose}</span>
        </span>
      ),
    },
    {
      header: "May at most",
      enableSorting: false,
      cell: ({ row }) => (
        <ul className="small">
          {row.original.permissions.map((permission) => (
            <li key={permission}>{inWords(permission)}</li>
          ))}
        </ul>
      ),
    },
    { header: "Calls a minute", accessorKey: "callsPerMinute", meta: NUMBERS, cell: ({ row }) => row.original.callsPerMinute.toLocaleString() },
    { header: "Keys", enableSorting: false, cell: ({ row }) => <Keys of={row.original} keys={keys} /> },
    {
      header: "Made",
      accessorKey: "createdAt",
      cell: ({ row: { original: one } }) => (
        <>
          <Time at={one.createdAt} /> <span className="muted">by {nameOf(members, one.createdBy)}</span>
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
            <Link className="button quiet" to="/t/$tenant/audit" params={{ tenant }} search={{ q: one.id, as: "actor" }} aria-label={`What it did: ${one.name}`}>
              What it did
            </Link>
          )}
          {!one.endedAt && (
            <>
              <button type="button" className="button quiet" aria-label={`New key of ${one.name}`} onClick={() => makeKey(one)}>
                New key
              </button>
              <button type="button" className="button quiet" aria-label={`Change ${one.name}`} onClick={() => setDialog({ act: "change", of: one })}>
                Change
              </button>
              <button type="button" className="button quiet" aria-label={`End ${one.name}`} onClick={() => setDialog({ act: "end", of: one })}>
                End
              </button>
            </>
          )}
        </span>
      ),
    },
  ];
  return (
    <section className="panel flush" id="service-accounts" aria-labelledby="service-accounts-title">
      <div className="row apart">
        <h2 id="service-accounts-title">Service accounts</h2>
        <span className="row">
          {all.length > live.length && (
            <label className="row">
              <input type="checkbox" checked={hasAll} onChange={(event) => setAll(event.target.checked)} />
              Also those that have ended
            </label>
          )}
          <button type="button" className="button" disabled={live.length >= ACCOUNTS_MAX} onClick={() => setDialog("new")}>
            New service account
          </button>
        </span>
      </div>
      {rows.length === 0 ? (
        <Empty title="There is no service account">
          <p>
            Keys come and go; a service account stays. Make one for each program of a partner, and its keys as it: then the audit log names one thing over years, none of its keys may more than it, and you end all of them at once.
          </p>
        </Empty>
      ) : (
        <>
          {live.length >= ACCOUNTS_MAX && <p className="muted small padded">There cannot be more than {ACCOUNTS_MAX}: end one that nobody needs.</p>}
          <Table label="Programs and their keys" columns={columns} rows={rows} idOf={(one) => one.id} />
        </>
      )}
      {dialog === "new" && <Create close={close} />}
      {dialog !== null && dialog !== "new" && dialog.act === "change" && <Change of={dialog.of} keys={keysOf(dialog.of, keys)} close={close} />}
      {dialog !== null && dialog !== "new" && dialog.act === "end" && <End of={dialog.of} keys={keysOf(dialog.of, keys)} close={close} />}
    </section>
  );
}

function Keys({ of, keys }: { of: ServiceAccount; keys: readonly ApiKey[] }) {
  if (of.endedAt) {
    return (
      <>
        <Badge>ended</Badge> <Time at={of.endedAt} />
      </>
    );
  }
  const own = keysOf(of, keys);
  if (own.length === 0) return <span className="muted">none: nobody asks as it</span>;
  return (
    <ul className="small">
      {own.map((key) => (
        <li key={key.id} className="break">
          {key.name} <code className="muted nowrap">cdk_{key.prefix}_…</code>, <Used of={key} />
        </li>
      ))}
    </ul>
  );
}

/** What an account is and may; `chosen` is the one that stands, if any. */
function Said({ chosen, wrong, may, setMay }: { chosen?: ServiceAccount; wrong: (field: string) => string | null; may: readonly Grant[]; setMay: (may: Grant[]) => void }) {
  return (
    <>
      <Field label="Its name" help="The audit log calls it so: Acme 3PL" wrong={wrong("name")}>
        {(props) => <input {...props} name="name" required maxLength={100} defaultValue={chosen?.name} autoFocus autoComplete="off" />}
      </Field>
      <Field label="What it is for" help="And whose it is, for whoever reads the log in some years" wrong={wrong("purpose")}>
        {(props) => <textarea {...props} name="purpose" required maxLength={500} defaultValue={chosen?.purpose} placeholder="Reads our orders and sends tracking; operations of Acme, ops@acme.example" />}
      </Field>
      <fieldset className="plain stack tight">
        <legend>What its keys may at most</legend>
        {grantsOf().map((grant) => (
          <label key={grant} className="row nowrap-start">
            <input type="checkbox" checked={may.includes(grant)} onChange={(event) => setMay(event.target.checked ? [...may, grant] : may.filter((one) => one !== grant))} />
            <span>{GRANTS[grant]}</span>
          </label>
        ))}
        {wrong("permissions") && (
          <span className="bad-text" role="alert">
            {wrong("permissions")}
          </span>
        )}
      </fieldset>
      <Field label="Calls a minute" help="Of all its keys together, a sixth of them at once. Each key has its own limit besides." wrong={wrong("callsPerMinute")}>
        {(props) => <input {...props} name="callsPerMinute" type="number" min={1} max={60_000} step={1} defaultValue={chosen?.callsPerMinute ?? 600} required style={{ maxWidth: 120 }} />}
      </Field>
    </>
  );
}

const FIELDS = ["name", "purpose", "permissions", "callsPerMinute"];

function saidIn(form: FormData, may: readonly Grant[]) {
  return { name: String(form.get("name")).trim(), purpose: String(form.get("purpose")).trim(), permissions: [...may], callsPerMinute: Number(form.get("callsPerMinute")) };
}

function Create({ close }: { close: () => void }) {
  const [may, setMay] = useState<Grant[]>(["READ_OPERATIONS"]);
  const act = useFormAct(ServiceAccountCreateDocument, (result) => result.serviceAccountCreate, ({ serviceAccountCreate: { serviceAccount } }) => `${serviceAccount?.name} is there. Make it a key, so that it can ask.`, close);
  return (
    <FormDialog
      title="New service account"
      about="A program that stays who it is when its keys are exchanged. It has no key yet: make it one afterwards."
      label="Make it"
      act={act}
      fields={FIELDS}
      close={close}
      submit={(form) => act.run({ input: saidIn(form, may) })}
    >
      <Said wrong={act.wrong} may={may} setMay={setMay} />
    </FormDialog>
  );
}

function Change({ of, keys, close }: { of: ServiceAccount; keys: readonly ApiKey[]; close: () => void }) {
  const [may, setMay] = useState<Grant[]>(grantsOf(of));
  const act = useFormAct(ServiceAccountChangeDocument, (result) => result.serviceAccountChange, ({ serviceAccountChange: { serviceAccount } }) => `${serviceAccount?.name} is changed.`, close);
  const lost = lostBy(keys, may);
  return (
    <FormDialog
      title={`Change ${of.name}`}
      about="It counts from the next request of its keys on, and stands in the audit log. A key has never more than it was made with."
      label="Change it"
      act={act}
      fields={FIELDS}
      close={close}
      submit={(form) => act.run({ id: of.id, input: saidIn(form, may) })}
    >
      <Said chosen={of} wrong={act.wrong} may={may} setMay={setMay} />
      {lost.length > 0 && (
        <div className="note warn stack tight" role="status">
          <p>
            <strong>What would be refused:</strong> these keys have it now.
          </p>
          <ul>
            {lost.map(({ key, loses }) => (
              <li key={key.id} className="break">
                <KeyUsed of={key} />
                <ul className="small">
                  {loses.map((one) => (
                    <li key={one}>{inWords(one)}</li>
                  ))}
                </ul>
              </li>
            ))}
          </ul>
        </div>
      )}
    </FormDialog>
  );
}

function End({ of, keys, close }: { of: ServiceAccount; keys: readonly ApiKey[]; close: () => void }) {
  const act = useFormAct(ServiceAccountEndDocument, (result) => result.serviceAccountEnd, () => `${of.name} has ended, and no key of it is worth anything any more.`, close);
  return (
    <FormDialog
      title={`End ${of.name}`}
      about="All its keys are refused from their next request on. Neither it nor they can be brought back; what it did stays in the audit log under its name."
      label="End it"
      act={act}
      fields={["why"]}
      close={close}
      submit={(form) => act.run({ id: of.id, why: String(form.get("why")) })}
    >
      {keys.length > 0 && (
        <div className="note warn stack tight">
          <p>
            <strong>What stops:</strong> the programs that have {keys.length === 1 ? "this key" : `these ${keys.length} keys`}.
          </p>
          <ul>
            {keys.map((key) => (
              <li key={key.id} className="break">
                <KeyUsed of={key} />
              </li>
            ))}
          </ul>
        </div>
      )}
      <Field label="Why" help="It stands in the audit log." wrong={act.wrong("why")}>
        {(props) => <textarea {...props} name="why" required maxLength={WHY_MAX} autoFocus />}
      </Field>
    </FormDialog>
  );
}
