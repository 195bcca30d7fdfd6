// What the destination of now does and the candidate does not, the worst first, each with what to do.
import { Badge } from "../ui/badge";
import type { SwapGapsQuery } from "./query.generated";

type Gap = SwapGapsQuery["swapGaps"][number];
const SEVERITIES: Record<string, [string, "bad" | "warn" | "info"]> = {
  blocks: ["blocks: nothing would be delivered", "bad"],
  loses: ["loses data or a safety", "warn"],
  differs: ["differs", "info"],
};

export function Gaps({ gaps }: { gaps: readonly Gap[] }) {
  return (
    <section className="panel stack tight" aria-label="Gaps">
      <h2>What the candidate does not do</h2>
      {gaps.length === 0 && <p className="note good">Nothing is missing: it does all that the destination of now does.</p>}
      <ul className="stack">
        {gaps.map((gap) => {
          const [words, tone] = SEVERITIES[gap.severity] ?? [gap.severity, "info" as const];
          return (
            <li key={`${gap.topic} ${gap.subject ?? ""} ${gap.sentence}`}>
              <p className="break">
                <Badge tone={tone}>{words}</Badge> {gap.sentence}
              </p>
              <p className="muted small break">{gap.nextStep}</p>
            </li>
          );
        })}
      </ul>
    </section>
  );
}
