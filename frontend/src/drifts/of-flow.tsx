// Drift where it counts: beside the flow, or the rules, that read what is different.
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { OpenDriftsDocument, type OpenDriftsQuery } from "./query.generated";

type Drift = OpenDriftsQuery["drifts"]["nodes"][number];
export interface FlowDrift extends Drift {
  /** What the flow makes of the field. */
  fields: readonly string[];
}

const EVERY_MS = 60_000;

/** The open drift that a published flow reads. */
export function useFlowDrifts(flowId: string): FlowDrift[] {
  const asked = useAsk(OpenDriftsDocument, {}, { everyMs: EVERY_MS });
  return (asked.data?.drifts.nodes ?? []).flatMap((one) => {
    const read = one.flows.find(({ flow }) => flow.id === flowId);
    return read ? [{ ...one, fields: read.fields }] : [];
  });
}

export function FlowDrifts({ drifts }: { drifts: readonly FlowDrift[] }) {
  const tenant = useTenant();
  if (drifts.length === 0) return null;
  return (
    <section className="stack tight" aria-label="Drift">
      {drifts.map((one) => (
        <div key={one.id} className={`note ${one.risk === "high" ? "bad" : "warn"}`}>
          <p className="row apart">
            <strong className="break">{one.sentence}</strong>
            <Badge tone={one.risk === "high" ? "bad" : one.risk === "medium" ? "warn" : "info"}>{one.risk} risk</Badge>
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
    </section>
  );
}
