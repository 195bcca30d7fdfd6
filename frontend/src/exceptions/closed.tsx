// Exceptions of a cause that are closed: how they ended, and the way back of those that were ignored.
import { Link } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { LoadMore, Problem, type Pages } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { useExceptionAct } from "./act";
import { ExceptionReopenDocument, type ExceptionsQuery, type ExceptionSelectionInput } from "./query.generated";
import { reopened } from "./reopened";

type Row = ExceptionsQuery["exceptions"]["nodes"][number];

/** Opens ignored exceptions again. It asks nothing first: nothing is sent by it. */
export function useReopen() {
  const { run, isBusy } = useExceptionAct(ExceptionReopenDocument, (result) => result.exceptionReopen, () => undefined, false, "");
  return { isBusy, reopen: (input: ExceptionSelectionInput, endedAt: string | null = null) => run({ input, endedAt }, (_, payloads) => reopened(payloads)) };
}

interface ClosedProps {
  title: string;
  of: Pages & { rows: Row[] };
}

export function Closed({ title, of }: ClosedProps) {
  const tenant = useTenant();
  const may = useMay();
  const { reopen, isBusy } = useReopen();
  const { rows } = of;
  if (of.error && !of.data) return <Problem error={of.error} retry={() => void of.refetch()} />;
  const first = rows[0];
  if (!first) return null;
  const ignoredAt = rows.flatMap((row) => (row.state === "ignored" && row.closedAt ? [row.closedAt] : []));
  // Of the act that was last: those before it were meant, or were taken back meanwhile.
  const last = ignoredAt.sort().at(-1);
  const isWay = may("work") && last !== undefined;
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
          <button type="button" className="button" disabled={isBusy} onClick={() => reopen({ causeKey: first.causeKey }, last)}>
            Reopen all ignored at once, <Time at={last} />
          </button>
        )}
      </div>
      <Table label={title === "Ignored" ? "Ignored exceptions" : "Closed exceptions"} idOf={(row) => row.id} rows={rows} columns={columns} />
      <LoadMore of={of} />
    </section>
  );
}
