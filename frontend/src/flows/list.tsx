// The tenant's flows: what goes from where to where, which version runs, and whether it is proven.
import { Link } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge, words } from "../ui/badge";
import { Asked, Empty, LoadMore } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { OpenExceptions } from "./open-exceptions";
import { FlowsDocument, type FlowsQuery } from "./query.generated";

type Row = FlowsQuery["flows"]["nodes"][number];
const EVERY_MS = 10_000;

export function Flows() {
  const may = useMay();
  const tenant = useTenant();
  const asked = usePages(FlowsDocument, {}, (result) => result.flows, { everyMs: EVERY_MS });
  const columns: Column<Row>[] = [
    {
      header: "Flow",
      accessorKey: "name",
      cell: ({ row: { original: flow } }) => (
        <>
          <Link className="row-link" to="/t/$tenant/flows/$flowId" params={{ tenant, flowId: flow.id }}>
            {flow.name}
          </Link>
          <p className="muted small">
            {words(flow.recordKind)}s from {flow.source?.name ?? "?"} to {flow.destination?.name ?? "?"}
          </p>
        </>
      ),
    },
    {
      header: "Runs",
      accessorFn: (flow) => flow.published?.version ?? 0,
      cell: ({ row: { original: flow } }) =>
        flow.published ? (
          <>
            version {flow.published.version}
            {flow.newest && flow.newest.version !== flow.published.version && (
              <>
                {" "}
                <Badge state={flow.newest.state}>
                  {flow.newest.state} {flow.newest.version}
                </Badge>
              </>
            )}
          </>
        ) : (
          <span className="muted">nothing is published</span>
        ),
    },
    { header: "Health", accessorFn: (flow) => flow.health.state, cell: ({ row }) => <Badge state={row.original.health.state} /> },
    {
      header: "Waits for a person",
      meta: NUMBERS,
      accessorFn: (flow) => flow.health.openExceptions,
      cell: ({ row: { original: flow } }) => <OpenExceptions flowId={flow.id} count={flow.health.openExceptions} />,
    },
    {
      header: "Proven until",
      accessorFn: (flow) => flow.health.provenUntil ?? "",
      cell: ({ row }) => (row.original.health.provenUntil ? <Time at={row.original.health.provenUntil} /> : <span className="muted">never</span>),
    },
  ];
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Flows</h1>
          <p>One kind of record from one connection to another, by rules that have versions.</p>
        </div>
        <div className="row">
          <Link className="button" to="/t/$tenant/flows/map" params={{ tenant }}>
            Map
          </Link>
          {may("configure") && (
            <Link className="button main-act" to="/t/$tenant/flows/new" params={{ tenant }}>
              New flow
            </Link>
          )}
        </div>
      </div>
      <Asked of={asked} what="flows">
        <section className="panel flush">
          {asked.rows.length === 0 ? (
            <Empty title="There is no flow yet">
              <p>A flow takes records from one of your connections to another. Begin with a template for the two.</p>
            </Empty>
          ) : (
            <Table label="Flows" columns={columns} rows={asked.rows} idOf={(row) => row.id} onSeenEnd={asked.more} />
          )}
          <LoadMore of={asked} />
        </section>
      </Asked>
    </div>
  );
}
