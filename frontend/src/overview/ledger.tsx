// The ledger as one bar: each delivery stands in exactly one state, and the counts below say the same in numbers.
import { Link } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { Badge, words } from "../ui/badge";

const ORDER = ["confirmed", "reconciled", "planned", "sending", "waiting", "held", "unknown", "exception", "superseded", "cancelled"];
const COLOURS: Record<string, string> = {
  confirmed: "var(--good)",
  reconciled: "var(--good)",
  planned: "var(--accent)",
  sending: "var(--accent)",
  waiting: "var(--warn)",
  held: "var(--warn)",
  unknown: "var(--warn)",
  exception: "var(--bad)",
};

export function LedgerBar({ counts }: { counts: readonly { state: string; count: number }[] }) {
  const tenant = useTenant();
  const shown = ORDER.map((state) => ({ state, count: counts.find((one) => one.state === state)?.count ?? 0 })).filter((one) => one.count > 0);
  if (shown.length === 0) return <p className="muted">No delivery was planned yet. The first one is, as soon as a record comes for a published flow.</p>;
  return (
    <div className="stack tight">
      <div className="bar" aria-hidden="true">
        {shown.map((one) => (
          <span key={one.state} style={{ flexGrow: one.count, flexBasis: 3, background: COLOURS[one.state] ?? "var(--line-strong)" }} />
        ))}
      </div>
      <ul className="row">
        {shown.map((one) => (
          <li key={one.state}>
            <Link className="plain-link" to="/t/$tenant/deliveries" params={{ tenant }} search={{ state: one.state }}>
              <Badge state={one.state}>
                {one.count.toLocaleString()} {one.state === "exception" && one.count !== 1 ? "exceptions" : words(one.state)}
              </Badge>
            </Link>
          </li>
        ))}
      </ul>
    </div>
  );
}
