// One flow: whether it does what it says, which version runs, what a draft would change, and the way back.
import { useState } from "react";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useAsk } from "../api/hooks";
import { useMay } from "../app/role";
import { FlowDrifts, useFlowDrifts, type OpenDrifts } from "../drifts/of-flow";
import { useToldAct } from "../ui/act-button";
import { Badge, words } from "../ui/badge";
import { Document } from "../ui/document";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { Swaps } from "../swaps/begin";
import { PrepareDialog, Undos } from "../undos/prepare";
import { OpenExceptions } from "./open-exceptions";
import { PublishDialog, RollBackDialog } from "./publish";
import { FlowDetailDocument, FlowGatesSetDocument, FlowReconciliationsDocument, ReconciliationStartDocument, type FlowDetailQuery, type FlowReconciliationsQuery } from "./query.generated";
import { Review } from "./review";
import { HowItRuns } from "./runs";
import { StopDialog } from "./stop";
import { Changes, said, type Version } from "./version";

type FlowNode = NonNullable<FlowDetailQuery["flow"]>;

/** The latest comparisons of both sides. */
interface Proofs {
  rows: FlowReconciliationsQuery["reconciliations"]["nodes"];
  /** Why nobody knows of any: none that is known must not look like none that is. */
  error: Error | null;
  retry: () => void;
}

const EVERY_MS = 10_000;
const PROOFS_EVERY_MS = 5_000;

export function FlowPage() {
  const { flowId, tenant } = useParams({ from: "/t/$tenant/flows/$flowId" });
  const asked = useAsk(FlowDetailDocument, { id: flowId }, { everyMs: EVERY_MS });
  // Asked at the same time and waited for: it stands above other parts on a telephone, and would move them.
  const proofs = useAsk(FlowReconciliationsDocument, { flowId }, { everyMs: PROOFS_EVERY_MS });
  const drifts = useFlowDrifts(flowId);
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/flows" params={{ tenant }}>
          Flows
        </Link>
      </p>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : !asked.data || proofs.isPending || !drifts ? (
        <Loading what="the flow" />
      ) : asked.data.flow ? (
        <Shown flow={asked.data.flow} proofs={{ rows: proofs.data?.reconciliations.nodes ?? [], error: proofs.data ? null : proofs.error, retry: () => void proofs.refetch() }} drifts={drifts} tenant={tenant} />
      ) : (
        <Empty isPage title="There is no such flow">
          <p>It is none of this tenant’s, or the address is cut off.</p>
        </Empty>
      )}
    </div>
  );
}

function Shown({ flow, proofs, drifts, tenant }: { flow: FlowNode; proofs: Proofs; drifts: OpenDrifts; tenant: string }) {
  const may = useMay();
  const [publishing, setPublishing] = useState(false);
  const [back, setBack] = useState<Version | null>(null);
  const [undoing, setUndoing] = useState<Version | null>(null);
  const [stopping, setStopping] = useState(false);
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/flows/$flowId" });
  const running = flow.versions.find((one) => one.id === flow.published?.id);
  const draft = flow.versions.find((one) => one.state === "draft" || one.state === "review");
  const current = flow.versions.find((one) => String(one.version) === search.version) ?? draft ?? running ?? flow.versions[0];
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">{flow.name}</h1>
          <p>
            {words(flow.recordKind).replace(/^./, (letter) => letter.toUpperCase())}s from <ConnectionLink tenant={tenant} connection={flow.source} /> to <ConnectionLink tenant={tenant} connection={flow.destination} />
          </p>
        </div>
        <div className="row">
          <Link className="button" to="/t/$tenant/flows/$flowId/mapping" params={{ tenant, flowId: flow.id }} search={{}}>
            {may("configure") ? "Edit the mapping" : "See the mapping"}
          </Link>
          {running && may("configure") && (
            <Link className="button" to="/t/$tenant/flows/$flowId/swaps/new" params={{ tenant, flowId: flow.id }}>
              Replace the destination
            </Link>
          )}
          {running && may("configure") && (
            <button type="button" className="button" onClick={() => setStopping(true)}>
              Stop
            </button>
          )}
          {draft && may("configure") && (
            <button type="button" className="button main-act" onClick={() => setPublishing(true)}>
              Publish version {draft.version}
            </button>
          )}
        </div>
      </div>
      {current && <HowItRuns flow={flow} version={running ?? current} drifts={drifts.rows} runs={running !== undefined} />}
      <FlowDrifts drifts={drifts} />
      <div className="grid2 aside-first">
        <Health flow={flow} proofs={proofs} tenant={tenant} />
        <div className="stack">
          {draft && <Review flow={flow} draft={draft} />}
          <section className="panel flush">
            <h2>Versions</h2>
            <div className="table stacks" tabIndex={0} role="region" aria-label="Versions">
              <table>
                <thead>
                  <tr>
                    <th scope="col">Version and note</th>
                    <th scope="col">State</th>
                    <th scope="col">Published</th>
                    <th scope="col">
                      <span className="hidden-label">Acts</span>
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {flow.versions.map((one) => (
                    <tr key={one.id} aria-current={one.id === current?.id ? "true" : undefined}>
                      <td className="break">
                        <strong className="only-telephone">Version </strong>
                        {one.version}
                        {(one.note || one.asVersion) && <p className="muted small">{one.note || `Says the same as version ${one.asVersion}`}</p>}
                      </td>
                      <td data-label="State">
                        <Badge state={one.state} />
                      </td>
                      <td className="nowrap" data-label="Published">{one.publishedAt ? <Time at={one.publishedAt} /> : <span className="muted">never</span>}</td>
                      <td>
                        <span className="row">
                          <button type="button" className="button" aria-label={`Show version ${one.version}`} onClick={() => void navigate({ to: "/t/$tenant/flows/$flowId", params: { tenant, flowId: flow.id }, search: { version: String(one.version) }, replace: true, resetScroll: false })}>
                            Show
                          </button>
                          {one.publishedAt && one.id !== running?.id && one.state === "retired" && may("configure") && (
                            <button type="button" className="button" aria-label={`Roll back to version ${one.version}`} onClick={() => setBack(one)}>
                              Roll back
                            </button>
                          )}
                          {one.publishedAt && one.id !== running?.id && one.state === "retired" && may("configure") && (
                            <button type="button" className="button" aria-label={`Undo what version ${one.version} did`} onClick={() => setUndoing(one)}>
                              Undo
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
          {current && (
            <section className="panel stack tight">
              <h2>
                What version {current.version} says{running && current.id !== running.id && `, beside version ${running.version} that runs`}
              </h2>
              {running && current.id !== running.id && <Changes before={running} after={current} />}
              <Document label={`Version ${current.version}`} text={JSON.stringify(said(current))} />
            </section>
          )}
        </div>
        <div className="stack">
          <Undos flowId={flow.id} />
          <Swaps flowId={flow.id} />
        </div>
      </div>
      {publishing && draft && <PublishDialog flow={flow} draft={draft} running={running} close={() => setPublishing(false)} />}
      {back && <RollBackDialog flow={flow} version={back} close={() => setBack(null)} />}
      {stopping && running && <StopDialog flow={flow} running={running} close={() => setStopping(false)} />}
      {undoing && <PrepareDialog flowId={flow.id} version={undoing.version} close={() => setUndoing(null)} />}
    </>
  );
}

function ConnectionLink({ tenant, connection }: { tenant: string; connection: { id: string; name: string } | null | undefined }) {
  if (!connection) return <>a connection that is gone</>;
  return (
    <Link to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: connection.id }}>
      {connection.name}
    </Link>
  );
}

const DAY_MS = 24 * 60 * 60 * 1000;

function Health({ flow, proofs, tenant }: { flow: FlowNode; proofs: Proofs; tenant: string }) {
  const may = useMay();
  const [isGating, setGating] = useState(false);
  const start = useToldAct(
    ReconciliationStartDocument,
    (result) => result.reconciliationStart,
    () => "Both sides are being read.",
  );
  const compare = () => start.run({ flowId: flow.id, from: new Date(Date.now() - DAY_MS).toISOString() });
  const { health } = flow;
  return (
    <section className="panel stack tight">
      <div className="row apart">
        <h2>Health</h2>
        <Badge state={health.state} />
      </div>
      <dl className="facts">
        <dt>Waits for a person</dt>
        <dd>
          <OpenExceptions flowId={flow.id} count={health.openExceptions} />
        </dd>
        <dt>Open differences</dt>
        <dd>{health.openDifferences.toLocaleString()}</dd>
        <dt>Proven until</dt>
        <dd>{health.provenUntil ? <Time at={health.provenUntil} /> : "never"}</dd>
        <dt>Compared by itself</dt>
        <dd>{flow.reconciliationSchedule ? `every ${flow.reconciliationSchedule.everyHours} h` : "no"}</dd>
        <dt>A second person approves</dt>
        <dd>{flow.needsApproval ? "yes" : "no"}</dd>
        <dt>A replay comes first</dt>
        <dd>{flow.needsReplay ? "yes" : "no"}</dd>
      </dl>
      <div className="row">
        {may("work") && (
          <button type="button" className="button" disabled={start.isPending} onClick={compare}>
            Compare the last day now
          </button>
        )}
        {may("configure") && (
          <button type="button" className="button" onClick={() => setGating(true)}>
            What a draft must pass
          </button>
        )}
      </div>
      {isGating && <GatesDialog flow={flow} close={() => setGating(false)} />}
      {proofs.error && <Problem error={proofs.error} retry={proofs.retry} />}
      {proofs.rows.map((one) => (
        <p key={one.id} className="small">
          <Badge state={one.isProof ? "proven" : one.state} />{" "}
          <Link to="/t/$tenant/reconciliations/$reconciliationId" params={{ tenant, reconciliationId: one.id }}>
            <Time at={one.from} /> to <Time at={one.until} />
          </Link>
          {one.failure && `: ${one.failure}`}
        </p>
      ))}
    </section>
  );
}

function GatesDialog({ flow, close }: { flow: FlowNode; close: () => void }) {
  const act = useFormAct(FlowGatesSetDocument, (result) => result.flowGatesSet, () => "It is so from the next publication on.", close);
  return (
    <FormDialog
      title="What a draft must pass"
      about="Before it is published."
      label="Keep it"
      act={act}
      close={close}
      submit={(form) => act.run({ id: flow.id, needsApproval: form.get("needsApproval") === "on", needsReplay: form.get("needsReplay") === "on" })}
    >
      <label className="row">
        <input type="checkbox" name="needsApproval" defaultChecked={flow.needsApproval} />A second person approves it
      </label>
      <label className="row">
        <input type="checkbox" name="needsReplay" defaultChecked={flow.needsReplay} />
        Its replay changes nothing, or somebody accepts what it changes
      </label>
    </FormDialog>
  );
}
