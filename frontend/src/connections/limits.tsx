// The vendor's limits, bucket by bucket, and how much of each is in use: why something waits.
import { Badge } from "../ui/badge";
import { Time } from "../ui/time";
import type { ConnectionDetailQuery } from "./query.generated";

type Bucket = NonNullable<ConnectionDetailQuery["connection"]>["budget"][number];

const number = (value: number) => value.toLocaleString(undefined, { maximumFractionDigits: 1 });

export function Limits({ budget }: { budget: readonly Bucket[] }) {
  return (
    <section className="panel stack">
      <h2>Limits in use</h2>
      {budget.length === 0 && <p className="muted">This connector declares no limit; what the vendor refuses is learned.</p>}
      {budget.map((one) => (
        <div key={one.bucket} className="stack tight">
          <div className="row apart">
            <strong>{one.bucket || "All calls"}</strong>
            {one.blockedUntil && Date.parse(one.blockedUntil) > Date.now() && (
              <Badge tone="warn">
                The vendor asked to wait until <Time at={one.blockedUntil} as="clock" />
              </Badge>
            )}
          </div>
          {one.remaining != null && one.burst != null && one.burst > 0 && (
            <Gauge label={`${number(one.remaining)} of ${number(one.burst)} ${one.counts} are free now`} part={1 - one.remaining / one.burst} />
          )}
          {one.concurrency != null && (
            <Gauge label={`${one.inFlight} of ${one.learnedConcurrency ?? one.concurrency} calls at once are under way`} part={one.inFlight / (one.learnedConcurrency ?? one.concurrency)} />
          )}
          <p className="muted small">
            {one.perS != null && `${number(one.learnedPerS ?? one.perS)} ${one.counts} come back a second`}
            {one.learnedPerS != null && one.perS != null && one.learnedPerS < one.perS && ` (learned from refusals; declared are ${number(one.perS)})`}
            {one.perS != null && ". "}
            {one.reservePct > 0 && `${one.reservePct} % are kept for other applications of the same account. `}
            {one.toldRemaining != null && `The vendor said last that ${number(one.toldRemaining)} are left. `}
            {one.source === "process" && "Counted by this process alone: Redis is not there."}
          </p>
        </div>
      ))}
    </section>
  );
}

function Gauge({ label, part }: { label: string; part: number }) {
  const used = Math.min(1, Math.max(0, part));
  return (
    <div>
      <p className="small">{label}</p>
      <div className="bar" aria-hidden="true">
        <span style={{ width: `${used * 100}%`, background: used > 0.9 ? "var(--bad)" : used > 0.6 ? "var(--warn)" : "var(--good)" }} />
      </div>
    </div>
  );
}
