// Exceptions of a cause that are closed: how they ended, and the way back of those that were ignored.
import { Link } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Table, type Column } from "../ui/table";
import { useExceptionAct } from "./act";
import { ExceptionReopenDocument, type ExceptionsQuery, type ExceptionSelectionInput } from "./query.generated";
import { reopened } from "./reopened";

type Row = ExceptionsQuery["exceptions"]["nodes"][number];

/** Opens ignored exceptions again. It asks nothing first: nothing is sent by it. */
export function useReopen() {
  const { run, isBusy } = useExceptionAct(ExceptionReopenDocument, (result) => result.exceptionReopen, () => undefined, false, "");
  return { isBusy, reopen: (input: ExceptionSelectionInput) => run({ input }, (_, payloads) => reopened(payloads)) };
}

export function Closed({ title, rows }: { title: string; rows: Row[] }) {
  const tenant = useTenant();
  const may = useMay();
  const { reopen, isBusy } = useReopen();
  const first = rows[0];
  if (!first) return null;
  const isWay = may("work") && rows.some((row) => row.state === "ignored");
  const columns: Column<Row>[] = [
    {
      header: "Exception",
      accessorKey: "sentence",
      cell: ({ row }) => (row.original.recordId ? <Link to="/t/$tenant/records/$recordId" params={{ tenant, recordId: row.original.recordId }}>{row.original.sentence}</Link> : row.original.sentence),
    },
    { header: "State", accessorKey: "state", cell: ({ row }) => <Badge state={row.original.state} /> },
    { header: "How it ended", accessorKey: "resolution", cell: ({ row }) => row.original.resolution },
  ];
  if (isWay) {
    columns.push({
      id: "reopen",
      header: () => <span className="hidden-label">Reopen</span>,
      cell: ({ row: { original: row } }) =>
        row.state === "ignored" && (
          <button type="button" className="button quiet" disabled={isBusy} aria-label={`Reopen: ${row.sentence}`} onClick={() => reopen({ ids: [row.id] })}>
            Reopen
          </button>
        ),
    });
  }
  return (
    <section className="panel flush">
      <div className="row apart">
        <h2>{title}</h2>
        {isWay && (
          <button type="button" className="button" disabled={isBusy} onClick={() => reopen({ causeKey: first.causeKey })}>
            Reopen all that were ignored
          </button>
        )}
      </div>
      <Table label={title === "Ignored" ? "Ignored exceptions" : "Closed exceptions"} idOf={(row) => row.id} rows={rows} columns={columns} />
    </section>
  );
}
