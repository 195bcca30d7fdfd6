// One comparison: how far it came, what both sides say, and each difference down to its fields, with the two acts that there are about it.
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { isAwaited, useAsk } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Empty, Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { Differences, useDifferences } from "./differences";
import { ReconcileNowDocument, ReconciliationDetailDocument, ReconciliationFlowDocument, type ReconcileNowMutation, type ReconciliationDetailQuery } from "./query.generated";
import { counts, found, KINDS, sentenceOf, type Report } from "./report";

type Node = NonNullable<ReconciliationDetailQuery["reconciliation"]>;

export function ReconciliationPage() {
  const { reconciliationId, tenant } = useParams({ from: "/t/$tenant/reconciliations/$reconciliationId" });
  const { kind } = useSearch({ from: "/t/$tenant/reconciliations/$reconciliationId" });
  const asked = useAsk(ReconciliationDetailDocument, { id: reconciliationId }, { everyMs: 2_000 });
  const one = asked.data?.reconciliation;
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/reconciliations" params={{ tenant }}>
          Reconciliations
        </Link>
      </p>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : !asked.data ? (
        <Loading what="the reconciliation" />
      ) : one ? (
        <Shown one={one} tenant={tenant} kind={kind} />
      ) : (
        <Empty isPage title="There is no such reconciliation">
          <p>It is none of this tenant’s, or the address is cut off.</p>
        </Empty>
      )}
    </div>
  );
}

function Shown({ one, tenant, kind }: { one: Node; tenant: string; kind: string | undefined }) {
  const named = useAsk(ReconciliationFlowDocument, { id: one.flowId });
  const flow = named.data?.flow;
  const differences = useDifferences(one.id, kind);
  const report = (one.report ?? {}) as Report;
  const kinds = found(report);
  const may = useMay();
  const navigate = useNavigate();
  const open = ({ reconciliationStart: { reconciliation } }: ReconcileNowMutation) => {
    if (reconciliation) void navigate({ to: "/t/$tenant/reconciliations/$reconciliationId", params: { tenant, reconciliationId: reconciliation.id } });
  };
  const isRunning = one.state === "queued" || one.state === "running";
  // What both sides are called may take another line.
  if (isAwaited(named)) return <Loading what="the reconciliation" />;
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">
            {flow ? (
              <>
                {flow.source?.name ?? "The source"} beside {flow.destination?.name ?? "the destination"}
              </>
            ) : (
              "Reconciliation"
            )}
          </h1>
          <p>
            {flow && (
              <>
                <Link to="/t/$tenant/flows/$flowId" params={{ tenant, flowId: flow.id }}>
                  {flow.name}
                </Link>
                ,{" "}
              </>
            )}
            <Time at={one.from} /> to <Time at={one.until} />
          </p>
        </div>
        <div className="row">
          <Badge state={one.isProof ? "proven" : one.state} />
          {one.state === "failed" && may("work") && (
            <ActButton document={ReconcileNowDocument} values={{ flowId: one.flowId, from: one.from, until: one.until }} payloadOf={(result) => result.reconciliationStart} label="Compare it again" done="Both sides are being read, behind live work." then={open} />
          )}
        </div>
      </div>
      <p className={`note ${one.isProof ? "good" : one.state === "failed" ? "bad" : isRunning ? "" : "warn"}`} role="status">
        <strong>{sentenceOf(one)}</strong>
      </p>
      {counts(report).length > 0 && (
        <dl className="strip panel">
          {counts(report).map(({ count, what }) => (
            <div key={what}>
              <dt>{what}</dt>
              <dd className="num">{count.toLocaleString()}</dd>
            </div>
          ))}
        </dl>
      )}
      {(report.notes ?? []).map((note) => (
        <p key={note} className="note warn">
          {note}
        </p>
      ))}
      {(kinds.length > 0 || isRunning || kind) && (
        <nav className="tabs" aria-label="Kinds of difference">
          <Link to="/t/$tenant/reconciliations/$reconciliationId" params={{ tenant, reconciliationId: one.id }} search={{}} replace data-state={kind ? undefined : "active"}>
            All
          </Link>
          {kinds.map((each) => (
            <Link key={each.kind} to="/t/$tenant/reconciliations/$reconciliationId" params={{ tenant, reconciliationId: one.id }} search={{ kind: each.kind }} replace data-state={kind === each.kind ? "active" : undefined}>
              {each.kind.replaceAll("_", " ")} <span className="muted">{each.count.toLocaleString()}</span>
            </Link>
          ))}
        </nav>
      )}
      {kind && KINDS[kind] && <p className="muted">{KINDS[kind].means}</p>}
      <Differences asked={differences} state={one.state} />
      {/* Below what has its height only once it is there. */}
      {!isAwaited(differences) && <Compared report={report} />}
    </>
  );
}

function Compared({ report }: { report: Report }) {
  const [compared, uncompared] = [report.fields_compared ?? [], report.fields_uncompared ?? []];
  if (compared.length + uncompared.length === 0) return null;
  return (
    <section className="panel stack tight">
      <h2>Which fields were compared</h2>
      <p className="break">
        {compared.map((field) => (
          <span key={field}>
            <code>{field}</code>{" "}
          </span>
        ))}
      </p>
      {uncompared.length > 0 && (
        <>
          <h3>Never said by the destination, so not proven</h3>
          <p className="break">
            {uncompared.map((field) => (
              <span key={field}>
                <code>{field}</code>{" "}
              </span>
            ))}
          </p>
        </>
      )}
    </section>
  );
}
