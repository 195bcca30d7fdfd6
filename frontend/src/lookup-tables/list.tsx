// Lookup tables: what values at the source become. The values that have no entry stand first, because deliveries wait for them.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Inbox, useInbox } from "./inbox";
import { LookupTableCreateDocument, LookupTablesDocument, type LookupTablesQuery } from "./query.generated";

type Row = LookupTablesQuery["lookupTables"]["nodes"][number];
type Kind = Row["kind"];

/** What a table is for, in words. */
export const KINDS: Record<Kind, string> = {
  CODES: "Codes: a SKU, a tax or a customer becomes another",
  RATES: "Rates: one currency in another, day by day",
  UNITS: "Units: how many of one unit another is",
};

export function LookupTables() {
  const tenant = useTenant();
  const may = useMay();
  const asked = usePages(LookupTablesDocument, {}, (result) => result.lookupTables, { everyMs: 15_000 });
  const inbox = useInbox();
  const [isNew, setNew] = useState(false);
  const columns: Column<Row>[] = [
    {
      header: "Table",
      accessorKey: "name",
      cell: ({ row: { original: table } }) => (
        <Link className="row-link break" to="/t/$tenant/lookup-tables/$tableId" params={{ tenant, tableId: table.id }}>
          {table.name}
        </Link>
      ),
    },
    { header: "What it is for", accessorFn: (table) => table.kind, cell: ({ row }) => KINDS[row.original.kind] },
    { header: "Entries", accessorKey: "entryCount", cell: ({ row }) => <span className="num">{row.original.entryCount.toLocaleString()}</span> },
    { header: "Version", accessorKey: "version", cell: ({ row }) => <Badge>{row.original.version}</Badge> },
  ];
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Lookup tables</h1>
          <p>What a value at the source is at the destination. A value without an entry is never guessed: what needs it waits here for you.</p>
        </div>
        {may("configure") && (
          <button type="button" className="button main-act" onClick={() => setNew(true)}>
            New table
          </button>
        )}
      </div>
      <Inbox asked={inbox} />
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : inbox.isPending ? null : asked.isPending ? (
        // What stands below is shown when what stands above has its height: nothing moves under the reader.
        <Loading what="lookup tables" />
      ) : (
        <section className="panel flush">
          <h2>Tables</h2>
          {asked.rows.length === 0 ? (
            <Empty title="There is no lookup table yet">
              <p>A table says, for example, which item number each SKU has in the ERP. Mappings call it by its name. Make one, then fill it by hand or from a file.</p>
            </Empty>
          ) : (
            <Table label="Lookup tables" columns={columns} rows={asked.rows} idOf={(row) => row.id} onSeenEnd={asked.more} />
          )}
        </section>
      )}
      {isNew && <NewTable close={() => setNew(false)} />}
    </div>
  );
}

function NewTable({ close }: { close: () => void }) {
  const act = useFormAct(LookupTableCreateDocument, (result) => result.lookupTableCreate, () => "The table is made, and empty.", close);
  const [kind, setKind] = useState<Kind>("CODES");
  return (
    <FormDialog
      title="New table"
      label="Make the table"
      act={act}
      fields={["name"]}
      close={close}
      submit={(form) => act.run({ name: String(form.get("name")).trim(), kind, inverts: form.get("inverts") === "on" })}
    >
      <Field label="Name" help="What mappings call it by: SKUs" wrong={act.wrong("name")}>
        {(props) => <input {...props} name="name" required maxLength={100} autoFocus />}
      </Field>
      <Field label="What it is for" help="Stays as it is made.">
        {(props) => (
          <select {...props} value={kind} onChange={(event) => setKind(event.target.value as Kind)}>
            {Object.entries(KINDS).map(([one, label]) => (
              <option key={one} value={one}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
      {kind === "RATES" && (
        <label className="row">
          <input type="checkbox" name="inverts" />A rate says the other way round, too
        </label>
      )}
    </FormDialog>
  );
}
