// One lookup table: its entries, as many as there are; a file in and out; and its versions, each of which can be said again.
import { useState } from "react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { ask } from "../api/client";
import { useAsk, usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { words } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { useTell } from "../ui/notice";
import { Asked, Empty, LoadMore, Loading, Problem, sentence } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { fromLocal, Time, toLocal } from "../ui/time";
import { useTyped } from "../ui/typed";
import { useUndo } from "../ui/undo";
import { Working } from "../ui/working";
import { ImportDialog } from "./import";
import { KINDS } from "./list";
import {
  LookupCsvDocument,
  LookupEntriesDocument,
  LookupEntriesRemoveDocument,
  LookupEntriesSetDocument,
  LookupTableDeleteDocument,
  LookupTableDetailDocument,
  LookupTableRenameDocument,
  LookupTableRollbackDocument,
  type LookupEntriesQuery,
  type LookupTableDetailQuery,
} from "./query.generated";

type TableNode = NonNullable<LookupTableDetailQuery["lookupTable"]>;
type Entry = NonNullable<LookupEntriesQuery["lookupTable"]>["entries"]["nodes"][number];
const NO_ENTRIES = { nodes: [] as Entry[], pageInfo: { hasNextPage: false, endCursor: null } };

export function LookupTablePage() {
  const { tableId, tenant } = useParams({ from: "/t/$tenant/lookup-tables/$tableId" });
  const asked = useAsk(LookupTableDetailDocument, { id: tableId }, { everyMs: 10_000 });
  const table = asked.data?.lookupTable;
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/lookup-tables" params={{ tenant }}>
          Lookup tables
        </Link>
      </p>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : !asked.data ? (
        <Loading what="the table" />
      ) : table ? (
        <Shown table={table} />
      ) : (
        <Empty isPage title="There is no such lookup table">
          <p>It was taken away, is none of this tenant’s, or the address is cut off.</p>
        </Empty>
      )}
    </div>
  );
}

/** What the two cells of an entry are, of each kind of table. */
const CELLS: Record<TableNode["kind"], [string, string, string]> = {
  CODES: ["Value at the source", "Becomes", "To the letter, spaces too"],
  RATES: ["Pair", "Rate", "EUR/USD, in force from the day on"],
  UNITS: ["Units", "How many", "case|each, or HAT-XL|case|each for one item alone"],
};

function Shown({ table }: { table: TableNode }) {
  const may = useMay();
  const [dialog, setDialog] = useState<"import" | "rename" | "delete" | Entry | "new" | null>(null);
  const close = () => setDialog(null);
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">{table.name}</h1>
          <p>
            {KINDS[table.kind]}
            {table.inverts && ", either way round"}. {table.entryCount.toLocaleString()} {table.entryCount === 1 ? "entry" : "entries"} in version {table.version}.
          </p>
        </div>
        <div className="row">
          <Export table={table} />
          {may("work") && (
            <>
              <button type="button" className="button" onClick={() => setDialog("import")}>
                Import a file
              </button>
              <button type="button" className="button main-act" onClick={() => setDialog("new")}>
                Add an entry
              </button>
            </>
          )}
        </div>
      </div>
      <div className="grid2">
        <Entries table={table} edit={may("work") ? setDialog : null} />
        <div className="stack">
          <Versions table={table} />
          {may("configure") && (
            <section className="panel stack tight">
              <h2>The table itself</h2>
              <p className="muted small">While a published flow reads it, it can be neither renamed nor taken away.</p>
              <div className="row">
                <button type="button" className="button" onClick={() => setDialog("rename")}>
                  Rename
                </button>
                <button type="button" className="button" onClick={() => setDialog("delete")}>
                  Take it away
                </button>
              </div>
            </section>
          )}
        </div>
      </div>
      {dialog === "import" && <ImportDialog table={table} close={close} />}
      {dialog === "rename" && <Rename table={table} close={close} />}
      {dialog === "delete" && <Delete table={table} close={close} />}
      {dialog === "new" && <EntryDialog table={table} entry={null} close={close} />}
      {dialog !== null && typeof dialog === "object" && <EntryDialog table={table} entry={dialog} close={close} />}
    </>
  );
}

const entryOf = ({ from, to, effectiveFrom, effectiveUntil }: Entry) => ({ from, to, effectiveFrom: effectiveFrom ?? null, effectiveUntil: effectiveUntil ?? null });

function Entries({ table, edit }: { table: TableNode; edit: ((entry: Entry) => void) | null }) {
  const undo = useUndo();
  const tenant = useTenant();
  const navigate = useNavigate();
  const { q: search = "" } = useSearch({ from: "/t/$tenant/lookup-tables/$tableId" });
  const setSearch = useTyped((q) => void navigate({ to: "/t/$tenant/lookup-tables/$tableId", params: { tenant, tableId: table.id }, search: q ? { q } : {}, replace: true, resetScroll: false }));
  const asked = usePages(LookupEntriesDocument, { id: table.id, search: search.trim() || null }, (result) => result.lookupTable?.entries ?? NO_ENTRIES, { everyMs: 30_000 });
  const [from, to] = CELLS[table.kind];
  const columns: Column<Entry>[] = [
    { header: from, accessorKey: "from", cell: ({ row }) => <span className="mono break">{row.original.from}</span> },
    { header: to, accessorKey: "to", cell: ({ row }) => <span className="mono break">{row.original.to}</span> },
    {
      header: "Counts",
      accessorFn: (entry) => entry.effectiveFrom ?? "",
      cell: ({ row: { original: entry } }) =>
        entry.effectiveFrom || entry.effectiveUntil ? (
          <span className="small">
            {entry.effectiveFrom && (
              <>
                from <Time at={entry.effectiveFrom} />{" "}
              </>
            )}
            {entry.effectiveUntil && (
              <>
                until <Time at={entry.effectiveUntil} />
              </>
            )}
          </span>
        ) : (
          <span className="muted usual">always</span>
        ),
    },
    ...(edit
      ? [
          {
            id: "acts",
            header: () => <span className="hidden-label">Acts</span>,
            cell: ({ row }: { row: { original: Entry } }) => (
              <span className="row">
                <button type="button" className="button quiet" aria-label={`Change ${row.original.from}`} onClick={() => edit(row.original)}>
                  Change
                </button>
                <ActButton document={LookupEntriesRemoveDocument} values={{ id: table.id, from: [row.original.from] }} payloadOf={(one) => one.lookupEntriesRemove} label="Take away" isQuiet name={`Take away ${row.original.from}`} done={`“${row.original.from}” is taken away.`} undo={undo(LookupEntriesSetDocument, { id: table.id, entries: asked.rows.filter((one) => one.from === row.original.from).map(entryOf) }, (one) => one.lookupEntriesSet, `“${row.original.from}” is back.`)} />
              </span>
            ),
          } satisfies Column<Entry>,
        ]
      : []),
  ];
  return (
    <section className="panel flush">
      <div className="row apart">
        <h2>Entries</h2>
        <span>
          <label className="hidden-label" htmlFor="find-entry">
            Search entries
          </label>
          <input id="find-entry" type="search" placeholder="Search entries" defaultValue={search} onChange={(event) => setSearch(event.target.value)} />
        </span>
      </div>
      <Asked of={asked} what="its entries">
        {asked.rows.length === 0 ? (
          search ? (
            <Empty title={`No entry has “${search}”`} />
          ) : (
            <Empty title="The table is empty">
              <p>Add entries by hand, import a file, or answer the values that wait under Lookup tables.</p>
            </Empty>
          )
        ) : (
          <Table label="Entries" columns={columns} rows={asked.rows} idOf={(row) => `${row.from}\n${row.effectiveFrom ?? ""}`} onSeenEnd={asked.more} />
        )}
      </Asked>
      <LoadMore of={asked} what="entries" />
    </section>
  );
}

function Versions({ table }: { table: TableNode }) {
  const may = useMay();
  const undo = useUndo();
  return (
    <section className="panel stack tight">
      <h2>Versions</h2>
      <p className="muted small">Every change is one, and nothing of an earlier one is lost.</p>
      <ul className="stack tight">
        {table.versions.map((one) => (
          <li key={one.version} className="row apart">
            <span>
              {one.version}: {words(one.cause)}
              <span className="muted small">
                {" "}
                <Time at={one.madeAt} />; {one.added} added, {one.changed} changed, {one.removed} removed
              </span>
            </span>
            {one.version !== table.version && may("work") && (
              <ActButton document={LookupTableRollbackDocument} values={{ id: table.id, version: one.version }} payloadOf={(act) => act.lookupTableRollback} label={`Back to ${one.version}`} done={`It says what version ${one.version} said.`} undo={undo(LookupTableRollbackDocument, { id: table.id, version: table.version }, (act) => act.lookupTableRollback, `It says what version ${table.version} said.`)} />
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Export({ table }: { table: TableNode }) {
  const tenant = useTenant();
  const tell = useTell();
  const [isBusy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      const { lookupTable } = await ask(LookupCsvDocument, { id: table.id }, tenant);
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob([lookupTable?.csv ?? ""], { type: "text/csv" }));
      link.download = `${table.name}.csv`;
      link.click();
      URL.revokeObjectURL(link.href);
    } catch (error) {
      tell(sentence(error instanceof Error ? error.message : "It could not be exported"), "bad");
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Working isBusy={isBusy}>Writing {table.entryCount.toLocaleString()} entries into a file.</Working>
      <button type="button" className="button" disabled={isBusy} onClick={() => void run()}>
        {isBusy ? "Exporting…" : "Export"}
      </button>
    </>
  );
}

function EntryDialog({ table, entry, close }: { table: TableNode; entry: Entry | null; close: () => void }) {
  const undo = useUndo();
  const back = entry ? undo(LookupEntriesSetDocument, { id: table.id, entries: [entryOf(entry)] }, (result) => result.lookupEntriesSet, `“${entry.from}” is what it was before.`) : undefined;
  const act = useFormAct(LookupEntriesSetDocument, (result) => result.lookupEntriesSet, () => "The entry is kept.", close, back);
  const [from, to, help] = CELLS[table.kind];
  return (
    <FormDialog
      title={entry ? `Change ${entry.from}` : "Add an entry"}
      label="Keep it"
      act={act}
      fields={["from", "to", "effectiveFrom", "effectiveUntil"]}
      close={close}
      submit={(form) =>
        act.run({
          id: table.id,
          entries: [
            {
              from: entry?.from ?? String(form.get("from")),
              to: String(form.get("to")),
              effectiveFrom: entry ? (entry.effectiveFrom ?? null) : fromLocal(String(form.get("effectiveFrom"))),
              effectiveUntil: fromLocal(String(form.get("effectiveUntil"))),
            },
          ],
        })
      }
    >
      {!entry && (
        <Field label={from} help={help} wrong={act.wrong("from")}>
          {(props) => <input {...props} name="from" required autoFocus autoComplete="off" />}
        </Field>
      )}
      <Field label={to} wrong={act.wrong("to")}>
        {(props) => <input {...props} name="to" defaultValue={entry?.to ?? ""} required autoFocus={entry !== null} autoComplete="off" />}
      </Field>
      {!entry && (
        <Field label="Counts from" help="Empty: always. A message that was accepted earlier gets the answer of before." wrong={act.wrong("effectiveFrom")}>
          {(props) => <input {...props} name="effectiveFrom" type="datetime-local" style={{ maxWidth: 240 }} />}
        </Field>
      )}
      <Field label="Counts until" help="Empty: until another begins." wrong={act.wrong("effectiveUntil")}>
        {(props) => <input {...props} name="effectiveUntil" type="datetime-local" defaultValue={entry?.effectiveUntil ? toLocal(new Date(entry.effectiveUntil)) : ""} style={{ maxWidth: 240 }} />}
      </Field>
    </FormDialog>
  );
}

function Rename({ table, close }: { table: TableNode; close: () => void }) {
  const act = useFormAct(LookupTableRenameDocument, (result) => result.lookupTableRename, () => "Renamed.", close);
  return (
    <FormDialog title="Rename" label="Rename" act={act} fields={["name"]} close={close} submit={(form) => act.run({ id: table.id, name: String(form.get("name")).trim() })}>
      <Field label="Name" help="What mappings call it by." wrong={act.wrong("name")}>
        {(props) => <input {...props} name="name" defaultValue={table.name} required maxLength={100} autoFocus />}
      </Field>
    </FormDialog>
  );
}

function Delete({ table, close }: { table: TableNode; close: () => void }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const act = useFormAct(LookupTableDeleteDocument, (result) => result.lookupTableDelete, () => `The table “${table.name}” is taken away.`, () => void navigate({ to: "/t/$tenant/lookup-tables", params: { tenant } }));
  return <FormDialog title={`Take “${table.name}” away`} about="Its name is free then. What was sent by it can still be looked at." label="Take it away" act={act} close={close} submit={() => act.run({ id: table.id })} />;
}
