// The sample beside the rules: one of the newest records, what the connector comes with, or a message that somebody pastes. What is made of it comes
// from the server, by the draft as it stands, kept or not; nothing is sent.
import { useMemo, useState } from "react";
import { nodeWith, useAsk } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Document } from "../ui/document";
import { Field } from "../ui/field";
import { Loading, Problem } from "../ui/state";
import type { FlowNode, Kept, Side, Spec } from "./draft";
import { treeOf } from "./paths";
import { MappingDryRunDocument, MappingMessageDocument, MappingRecordDocument, type MappingDryRunQuery, type MappingKnownQuery } from "./query.generated";

export type Run = MappingDryRunQuery["flowDryRun"][number];
type Records = MappingKnownQuery["records"]["nodes"];
const OWN = "own";
const SAMPLES = "samples";

export interface Sample {
  chosen: string;
  choose: (chosen: string) => void;
  pasted: string;
  paste: (text: string) => void;
  run: Run | null;
  isRunning: boolean;
  /** Nothing of the first one is shown before all of it is there: one part after the other would push aside what is read. */
  isFirstComing: boolean;
  error: unknown;
  /** What rules of this side read, as text and as a tree, */
  before: string | null;
  tree: unknown;
  /** and what they made. */
  after: string | null;
  made: unknown;
  /** Of a field of the record the fields of the message that it is made of. */
  provenance: readonly { field: string; from: readonly string[] }[];
}

export function useSample(flow: FlowNode, records: Records | undefined, kept: Kept, unsaved: Spec | null, side: Side, areRecordsComing: boolean): Sample {
  const [picked, choose] = useState("");
  const [pasted, paste] = useState("");
  const chosen = picked || (records && records.length === 0 ? SAMPLES : (records?.[0]?.id ?? ""));
  const isRecord = chosen !== "" && chosen !== OWN && chosen !== SAMPLES;
  const record = useAsk(MappingRecordDocument, { id: chosen }, { isWanted: isRecord, isDear: true });
  const stored = isRecord && !record.isPlaceholderData ? record.data?.record : null;
  const messageId = stored?.revisions[0]?.messageId ?? "";
  const message = useAsk(MappingMessageDocument, { id: messageId }, { isWanted: messageId !== "", isDear: true });
  const body = messageId !== "" && !message.isPlaceholderData ? (nodeWith(message.data?.node, "body")?.body ?? null) : null;
  // Reading begins with what came, writing with the record that was made of it.
  const over = !isRecord
    ? chosen === SAMPLES
      ? { samples: true }
      : { messages: [pasted] }
    : side === "read" && body !== null && treeOf(body) !== null
      ? { messages: [body] }
      : { recordIds: [chosen] };
  const isWanted = kept.id !== "" && (isRecord ? Boolean(stored) && !message.isLoading : chosen === SAMPLES || pasted.trim() !== "");
  const asked = useAsk(MappingDryRunDocument, { id: flow.id, input: { version: kept.version, ...over, ...draftOf(unsaved) } }, { isWanted, isDear: true, of: kept.id });
  const isComing = areRecordsComing || (isWanted ? asked.isPending && !asked.error : isRecord && !record.error && (record.isPending || message.isLoading));
  const [isFirstComing, setFirstComing] = useState(true);
  if (isFirstComing && !isComing) setFirstComing(false);
  const run = isWanted ? (asked.data?.flowDryRun[0] ?? null) : null;
  const before = side === "read" ? (isRecord ? body : chosen === OWN ? pasted : null) : (run?.document ?? stored?.document ?? null);
  const after = side === "read" ? (run?.document ?? null) : (run?.request?.body ?? null);
  const tree = useMemo(() => (before === null ? undefined : treeOf(before)), [before]);
  const made = useMemo(() => (after === null ? undefined : treeOf(after)), [after]);
  return { chosen, choose, pasted, paste, run, isRunning: asked.isFetching, isFirstComing, error: asked.error, before, tree, after, made, provenance: stored?.provenance ?? [] };
}

/** What is written and not kept, for a dry run over it. */
export function draftOf(unsaved: Spec | null) {
  return unsaved ? { draft: { filter: unsaved.filter, sourceMapping: unsaved.read, mapping: unsaved.write } } : {};
}

export function SamplePanel({ flow, records, sample, side, isOlder }: { flow: FlowNode; records: Records; sample: Sample; side: Side; isOlder: boolean }) {
  const { run } = sample;
  if (sample.isFirstComing) {
    return (
      <section className="panel stack beside" aria-label="Sample">
        <h2>Beside a sample</h2>
        <Loading what="the sample" />
      </section>
    );
  }
  return (
    <section className="panel stack beside" aria-label="Sample">
      <h2>Beside a sample</h2>
      <Field label="Sample" help={`What came from ${flow.source?.name ?? "the source"}. Nothing is sent.`}>
        {(props) => (
          <select {...props} value={sample.chosen} onChange={(event) => sample.choose(event.target.value)}>
            {records.map((one) => (
              <option key={one.id} value={one.id}>
                {one.number ?? one.sourceId}
              </option>
            ))}
            <option value={SAMPLES}>A sample of the connector’s</option>
            <option value={OWN}>A message that I paste</option>
          </select>
        )}
      </Field>
      {sample.chosen === OWN && (
        <Field label="The message" help="As the source would send it.">
          {(props) => <textarea {...props} className="mono" rows={6} value={sample.pasted} spellCheck={false} onChange={(event) => sample.paste(event.target.value)} />}
        </Field>
      )}
      {Boolean(sample.error) && <Problem error={sample.error} />}
      {run && <Outcome run={run} />}
      {isOlder && run && <p className="muted small">It is of the draft as it was kept last: what you wrote since is not whole yet.</p>}
      {sample.after !== null && (
        <div>
          <h3>{side === "read" ? "The record that is made" : "What would be sent"}</h3>
          <Document text={sample.after} label={side === "read" ? "The record that is made" : "What would be sent"} />
        </div>
      )}
      {sample.before !== null && (
        <div>
          <h3>{side === "read" ? "As it came" : "The record"}</h3>
          <Document text={sample.before} label={side === "read" ? "As it came" : "The record"} />
        </div>
      )}
      {!run && !sample.isRunning && sample.before === null && sample.chosen !== OWN && <p className="muted">Nothing came yet. Choose the connector’s own sample, or paste a message.</p>}
    </section>
  );
}

export function Outcome({ run }: { run: Run }) {
  const words = { SENT: "It would be sent", LEFT: "The filter leaves it out", EXCEPTION: "A person would have to look at it first" } as const;
  return (
    <div className="stack tight" aria-live="polite">
      <p>
        <Badge tone={run.verdict === "SENT" ? "good" : run.verdict === "LEFT" ? "info" : "bad"}>{words[run.verdict]}</Badge>{" "}
        {run.request?.isLookUp && <span className="muted small">after a look-up, which is not made here</span>}
      </p>
      {run.issues.length === 0 && run.reason && (
        <p className="note bad">
          {run.reason.sentence} <span className="muted">{run.reason.nextStep}</span>
        </p>
      )}
      {run.issues.map((issue) => (
        <p key={`${issue.field} ${issue.sentence}`} className="note bad break">
          <code>{issue.field}</code>: {issue.sentence} {issue.suggestion && <span className="muted">{issue.suggestion}</span>}
        </p>
      ))}
    </div>
  );
}
