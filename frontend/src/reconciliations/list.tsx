// Whether both sides of each flow agree, since when that is proven, and the comparisons that say so.
import { useState } from "react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useAsk, usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Empty, LoadMore, Loading, Problem } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { CompareDialog, ScheduleDialog } from "./compare";
import { Match } from "./match";
import { ReconciliationFlowsDocument, ReconciliationsDocument, type ReconciliationFlowsQuery, type ReconciliationsQuery } from "./query.generated";
import { sentenceOf } from "./report";

export type FlowRow = ReconciliationFlowsQuery["flows"]["nodes"][number];
type Row = ReconciliationsQuery["reconciliations"]["nodes"][number];

export function Reconciliations() {
  const tenant = useTenant();
  const flows = useAsk(ReconciliationFlowsDocument, {}, { everyMs: 10_000 });
  const navigate = useNavigate();
  const { flow: flowId = "" } = useSearch({ from: "/t/$tenant/reconciliations" });
  const asked = usePages(ReconciliationsDocument, { flowId: flowId || null }, (result) => result.reconciliations, { everyMs: 3_000 });
  const [comparing, setComparing] = useState<FlowRow | null>(null);
  const [planning, setPlanning] = useState<FlowRow | null>(null);
  const nameOf = (id: string) => flows.data?.flows.nodes.find((flow) => flow.id === id)?.name ?? "A flow";
  const columns: Column<Row>[] = [
    {
      header: "Compared",
      accessorFn: (one) => one.from,
      cell: ({ row: { original: one } }) => (
        <>
          <Link className="row-link" to="/t/$tenant/reconciliations/$reconciliationId" params={{ tenant, reconciliationId: one.id }}>
            {nameOf(one.flowId)}
          </Link>
          <p className="muted small">
            <Time at={one.from} /> to <Time at={one.until} />
          </p>
        </>
      ),
    },
    { header: "State", accessorKey: "state", cell: ({ row }) => <Badge state={row.original.isProof ? "proven" : row.original.state} /> },
    { header: "What it found", cell: ({ row }) => <span className="break">{sentenceOf(row.original)}</span> },
    { header: "Begun", accessorKey: "createdAt", cell: ({ row }) => <Time at={row.original.createdAt} as="ago" /> },
  ];
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Reconciliations</h1>
          <p>A flow without an error may still be wrong. So both sides are listed and compared, down to the ids and the fields.</p>
        </div>
        <Link className="button" to="/t/$tenant/certificates" params={{ tenant }}>
          Certificates
        </Link>
      </div>
      {flows.error && !flows.data ? <Problem error={flows.error} retry={() => void flows.refetch()} /> : !flows.data ? <Loading what="flows" /> : <Proofs flows={flows.data.flows.nodes} compare={setComparing} plan={setPlanning} />}
      {flows.data?.flows.pageInfo.hasNextPage && (
        <p className="muted">
          These are the newest flows. <Link to="/t/$tenant/flows" params={{ tenant }}>All flows</Link> are compared on their own pages.
        </p>
      )}
      {flows.isPending ? null : asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : asked.isPending ? (
        <Loading what="reconciliations" />
      ) : (
        <section className="panel flush">
          <div className="row apart">
            <h2>What was compared</h2>
            <span>
              <label className="hidden-label" htmlFor="compared-flow">
                Flow
              </label>
              <select id="compared-flow" value={flowId} onChange={(event) => void navigate({ to: "/t/$tenant/reconciliations", params: { tenant }, search: event.target.value ? { flow: event.target.value } : {}, replace: true, resetScroll: false })}>
                <option value="">All flows</option>
                {flows.data?.flows.nodes.map((flow) => (
                  <option key={flow.id} value={flow.id}>
                    {flow.name}
                  </option>
                ))}
              </select>
            </span>
          </div>
          {asked.rows.length === 0 ? (
            <Empty title="Nothing was compared yet">
              <p>Compare a flow’s last day now, or let it be compared by itself every night. What never came is brought then, and what differs is shown to you field by field.</p>
            </Empty>
          ) : (
            <Table label="Reconciliations" columns={columns} rows={asked.rows} idOf={(row) => row.id} onSeenEnd={asked.more} />
          )}
          <LoadMore of={asked} />
        </section>
      )}
      {!flows.isPending && !asked.isPending && <Match />}
      {comparing && <CompareDialog flow={comparing} close={() => setComparing(null)} />}
      {planning && <ScheduleDialog flow={planning} close={() => setPlanning(null)} />}
    </div>
  );
}

function Proofs({ flows, compare, plan }: { flows: readonly FlowRow[]; compare: (flow: FlowRow) => void; plan: (flow: FlowRow) => void }) {
  const tenant = useTenant();
  const may = useMay();
  if (flows.length === 0) {
    return (
      <div className="panel">
        <Empty title="There is no flow to compare yet">
          <p>Publish a flow first. Then its two sides can be compared.</p>
          <Link className="button main-act" to="/t/$tenant/flows" params={{ tenant }}>
            To the flows
          </Link>
        </Empty>
      </div>
    );
  }
  return (
    <section className="panel flush">
      <h2>Flows and their last proof</h2>
      <div className="table stacks" tabIndex={0} role="region" aria-label="Flows and their last proof">
        <table>
          <thead>
            <tr>
              <th scope="col">Flow</th>
              <th scope="col">Health</th>
              <th scope="col">Proven until</th>
              <th scope="col" className="right">
                Open differences
              </th>
              <th scope="col">Compared by itself</th>
              <th scope="col">
                <span className="hidden-label">Acts</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {flows.map((flow) => (
              <tr key={flow.id}>
                <td className="break">
                  <Link className="row-link" to="/t/$tenant/flows/$flowId" params={{ tenant, flowId: flow.id }}>
                    {flow.name}
                  </Link>
                  <p className="muted small">
                    {flow.source?.name ?? "?"} to {flow.destination?.name ?? "?"}
                  </p>
                </td>
                <td data-label="Health">
                  <Badge state={flow.health.state} />
                </td>
                <td data-label="Proven until">{flow.health.provenUntil ? <Time at={flow.health.provenUntil} /> : <span className="muted">never</span>}</td>
                <td className="right num" data-label="Open differences">{flow.health.openDifferences.toLocaleString()}</td>
                <td data-label="Compared by itself">
                  {flow.reconciliationSchedule ? (
                    <span>
                      every {flow.reconciliationSchedule.everyHours} h, next <Time at={flow.reconciliationSchedule.nextAt} />
                    </span>
                  ) : (
                    <span className="muted">no</span>
                  )}
                </td>
                <td>
                  <span className="row">
                    {may("work") && (
                      <button type="button" className="button" aria-label={`Compare now: ${flow.name}`} onClick={() => compare(flow)}>
                        Compare now
                      </button>
                    )}
                    {may("configure") && (
                      <button type="button" className="button quiet" aria-label={`Schedule: ${flow.name}`} onClick={() => plan(flow)}>
                        Schedule
                      </button>
                    )}
                  </span>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
