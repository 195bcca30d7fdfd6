// Drift where it counts: beside the flow, or the rules, that read what is different.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Problem } from "../ui/state";
import { byRisk, toneOf } from "./risk";
import { OpenDriftsDocument, type OpenDriftsQuery } from "./query.generated";

type Drift = OpenDriftsQuery["drifts"]["nodes"][number];
export interface FlowDrift extends Drift {
  /** What the flow makes of the field. */
  fields: readonly string[];
}

/** The open drift that a published flow reads. */
export interface OpenDrifts {
  rows: readonly FlowDrift[];
  /** Why nobody knows of any: none that is known must not look like none that is. */
  error: unknown;
  retry: () => void;
}

const EVERY_MS = 60_000;
/** More than that would stand before what the page is about. */
const SHOWN_MAX = 2;

/** Undefined until it is answered, because it stands above what a page is about and would move it. */
export function useFlowDrifts(flowId: string): OpenDrifts | undefined {
  const asked = useAsk(OpenDriftsDocument, {}, { everyMs: EVERY_MS, isDear: true });
  if (asked.isPending) return undefined;
  const rows = (asked.data?.drifts.nodes ?? []).flatMap((one) => {
    const read = one.flows.find(({ flow }) => flow.id === flowId);
    return read ? [{ ...one, fields: read.fields }] : [];
  });
  return { rows, error: asked.data ? null : asked.error, retry: () => void asked.refetch() };
}

/** What of it is on one side, or on both. */
export function FlowDrifts({ drifts: { rows, error, retry }, side }: { drifts: OpenDrifts; side?: string }) {
  const tenant = useTenant();
  const [isAll, setAll] = useState(false);
  if (error) return <Problem error={error} retry={retry} />;
  const ordered = byRisk(rows.filter((one) => !side || one.side === side));
  if (ordered.length === 0) return null;
  const rest = ordered.length - SHOWN_MAX;
  return (
    <section className="stack tight" aria-label="Drift">
      {ordered.slice(0, isAll ? undefined : SHOWN_MAX).map((one) => (
        <div key={one.id} className={`note ${one.risk === "high" ? "bad" : "warn"}`}>
          <p className="row apart">
            <strong className="break">{one.sentence}</strong>
            <Badge tone={toneOf(one.risk)}>{one.risk} risk</Badge>
          </p>
          <p className="break">
            {one.fields.length > 0 && (
              <>
                It is read for{" "}
                {one.fields.map((field, index) => (
                  <span key={field}>
                    {index > 0 && ", "}
                    <code>{field}</code>
                  </span>
                ))}
                .{" "}
              </>
            )}
            {one.nextStep}{" "}
            <Link to="/t/$tenant/drifts" params={{ tenant }} search={{}}>
              See what is different
            </Link>
          </p>
        </div>
      ))}
      {rest > 0 && (
        <div>
          <button type="button" className="button" aria-expanded={isAll} onClick={() => setAll(!isAll)}>
            {isAll ? "Show fewer" : `Show ${rest.toLocaleString()} more`}
          </button>
        </div>
      )}
    </section>
  );
}
