// What is broken or unusual at a connection now: one incident, however many deliveries it holds.
import { Link } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Time } from "../ui/time";

interface Incident {
  id: string;
  kind: string;
  sentence: string;
  nextStep: string;
  owner: string;
  openedAt: string;
  closedAt?: string | null;
  nextTryAt?: string | null;
  waiting: number;
  connection?: { id: string; name: string } | null;
}

/** One that is over is told, and no alarm any more. */
const toneOf = (one: Incident) => (one.closedAt ? "good" : one.kind === "SURGE" || one.kind === "EXPIRY" ? "warn" : "bad");

export function Incidents({ incidents, title = "Incidents" }: { incidents: readonly Incident[]; title?: string }) {
  const tenant = useTenant();
  return (
    <section className="stack tight" aria-label="Incidents">
      <h2>{title}</h2>
      {incidents.map((one) => (
        <div key={one.id} className={`note ${toneOf(one)}`}>
          <div className="row apart">
            <strong>
              {one.connection && (
                <Link to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: one.connection.id }}>
                  {one.connection.name}
                </Link>
              )}{" "}
              {one.sentence}
            </strong>
            <Badge tone={toneOf(one)} state={one.kind} />
          </div>
          <p>
            {one.nextStep} <span className="muted">Owner: {one.owner}.</span>
          </p>
          <p className="muted small">
            {one.closedAt ? (
              <>
                From <Time at={one.openedAt} /> to <Time at={one.closedAt} />
              </>
            ) : (
              <>
                Since <Time at={one.openedAt} />
              </>
            )}
            {one.waiting > 0 && `; ${one.waiting.toLocaleString()} ${one.waiting === 1 ? "delivery waits" : "deliveries wait"}`}
            {one.nextTryAt && (
              <>
                ; tried again <Time at={one.nextTryAt} as="clock" />
              </>
            )}
            .
          </p>
        </div>
      ))}
    </section>
  );
}
