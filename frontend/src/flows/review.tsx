// What a draft must pass before it is published: a second person, and a replay over what was delivered. Shown where the flow asks for it, or a
// replay was run.
import { useState } from "react";
import { useAsk } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Problem } from "../ui/state";
import { Time } from "../ui/time";
import { FlowApproveDocument, FlowReplayDocument, FlowRunsDocument, FlowSubmitDocument, FlowWithdrawDocument, RunAcceptDocument, type FlowRunsQuery } from "./query.generated";
import { ReplayReport, type Report } from "./replay-report";
import type { Version } from "./version";

type Run = NonNullable<FlowRunsQuery["flow"]>["runs"]["nodes"][number];
const REPLAYED = 1_000;
const EVERY_MS = 2_000;

export function Review({ flow, draft }: { flow: { id: string; needsApproval: boolean; needsReplay: boolean }; draft: Version }) {
  const asked = useAsk(FlowRunsDocument, { id: flow.id }, { everyMs: EVERY_MS });
  const [accepting, setAccepting] = useState<Run | null>(null);
  const may = useMay()("configure");
  const runs = (asked.data?.flow?.runs.nodes ?? []).filter((run) => run.flowVersionId === draft.id);
  const isInReview = draft.state === "review";
  return (
    <section className="panel stack tight">
      <h2>Before version {draft.version} is published</h2>
      {flow.needsApproval && (
        <div className="row">
          <span>
            {draft.approvedAt ? (
              <>
                Approved <Time at={draft.approvedAt} />.
              </>
            ) : isInReview ? (
              "It waits for somebody else than its author to approve it."
            ) : (
              "A second person approves it: hand it over first."
            )}
          </span>
          {may && !isInReview && <ActButton document={FlowSubmitDocument} values={{ id: flow.id }} payloadOf={(one) => one.flowSubmit} label="Hand it over" done="Handed over. Somebody else approves it." isMain />}
          {may && isInReview && !draft.approvedAt && <ActButton document={FlowApproveDocument} values={{ id: flow.id }} payloadOf={(one) => one.flowApprove} label="Approve" done="Approved. It can be published." isMain />}
          {may && isInReview && <ActButton document={FlowWithdrawDocument} values={{ id: flow.id }} payloadOf={(one) => one.flowWithdraw} label="Take it back" done="It is a draft again." />}
        </div>
      )}
      <div className="row">
        <span>{flow.needsReplay ? "A replay must change nothing, or what it changes is accepted with a reason." : "Try it over what was delivered. Nothing is sent."}</span>
        {may && <ActButton document={FlowReplayDocument} values={{ id: flow.id, input: { last: REPLAYED } }} payloadOf={(one) => one.flowReplay} label={`Replay the last ${REPLAYED.toLocaleString()} records`} done="The replay runs." />}
      </div>
      {asked.error && !asked.data && <Problem error={asked.error} />}
      {runs.map((run) => (
        <div key={run.id} className="stack tight">
          <div className="row">
            <Badge state={run.state} /> <Time at={run.createdAt} />
            <strong>{said(run)}</strong>
            {run.state === "done" && run.isClean === false && !run.acceptedAt && may && (
              <button type="button" className="button" onClick={() => setAccepting(run)}>
                This is wanted
              </button>
            )}
          </div>
          {(run.state === "queued" || run.state === "running") && <Progress run={run} />}
          {run.report != null && (
            <details>
              <summary>What it found</summary>
              <ReplayReport report={run.report} />
            </details>
          )}
        </div>
      ))}
      {accepting && <AcceptDialog run={accepting} close={() => setAccepting(null)} />}
    </section>
  );
}

/** How far it is: the report counts while it runs. */
function Progress({ run }: { run: Run }) {
  const done = (run.report as Report | null)?.records ?? 0;
  const all = (run.over as { last?: number } | null)?.last ?? null;
  return (
    <div className="stack tight">
      <div className="bar" role="progressbar" aria-label="How far the replay is" aria-valuemin={0} aria-valuemax={all ?? undefined} aria-valuenow={all === null ? undefined : done}>
        <span style={{ width: all ? `${Math.min(100, (done / all) * 100)}%` : "100%", background: "var(--accent)", opacity: all ? 1 : 0.5 }} />
      </div>
      <p className="muted small">
        {done.toLocaleString()} {all ? `of at most ${all.toLocaleString()} ` : ""}records are looked at. You can leave this page: it goes on.
      </p>
    </div>
  );
}

function said(run: Run): string {
  if (run.failure) return run.failure;
  if (run.acceptedAt) return `Accepted: ${run.acceptedWhy ?? ""}`;
  if (run.state !== "done") return "It runs.";
  return run.isClean ? "It changes nothing." : "It would change what is sent.";
}

function AcceptDialog({ run, close }: { run: Run; close: () => void }) {
  const act = useFormAct(RunAcceptDocument, (result) => result.runAccept, () => "Accepted.", close);
  return (
    <FormDialog title="What it changes is wanted" about="Kept with your name. The draft can be published then." label="Accept" act={act} fields={["why"]} close={close} submit={(form) => act.run({ id: run.id, why: String(form.get("why")).trim() })}>
      <Field label="Why" wrong={act.wrong("why")}>
        {(props) => <textarea {...props} name="why" required maxLength={2000} autoFocus />}
      </Field>
    </FormDialog>
  );
}
