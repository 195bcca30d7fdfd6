// Sunsets: the API versions that connections call and that their vendors will end, what ends soonest first.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Empty, Loading, Problem } from "../ui/state";
import { dayOf, Time } from "../ui/time";
import { SunsetsDocument, type SunsetsQuery } from "./query.generated";

type Sunset = SunsetsQuery["sunsets"][number];
const TONES: Record<string, "bad" | "warn" | "info"> = { critical: "bad", urgent: "bad", warning: "warn", notice: "info", far: "info" };

export function Sunsets() {
  const [within, setWithin] = useState(180);
  const asked = useAsk(SunsetsDocument, { within }, { everyMs: 60_000 });
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Sunsets</h1>
          <p>API versions that your connections call and that their vendors will end. After the day a vendor may answer otherwise, or not at all.</p>
        </div>
        <div>
          <label className="hidden-label" htmlFor="sunset-within">
            Within
          </label>
          <select id="sunset-within" value={within} onChange={(event) => setWithin(Number(event.target.value))}>
            <option value={30}>within a month</option>
            <option value={180}>within half a year</option>
            <option value={3650}>all that are known</option>
          </select>
        </div>
      </div>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : !asked.data ? (
        <Loading what="sunsets" />
      ) : asked.data.sunsets.length === 0 ? (
        <div className="panel">
          <Empty title="No version ends soon">
            <p>What vendors announce in their answers, and what is known of their versions, is watched. It is said here half a year before the day.</p>
          </Empty>
        </div>
      ) : (
        asked.data.sunsets.map((one) => <Shown key={one.id} one={one} />)
      )}
    </div>
  );
}

function Shown({ one }: { one: Sunset }) {
  const tenant = useTenant();
  const left = one.daysLeft == null ? "no day is named" : one.daysLeft < 0 ? `over for ${-one.daysLeft} days` : one.daysLeft === 0 ? "ends today" : `${one.daysLeft} days left`;
  return (
    <article className="panel stack tight" aria-label={one.sentence}>
      <div className="row apart">
        <h2 className="break">{one.sentence}</h2>
        <Badge tone={TONES[one.severity] ?? "info"}>{left}</Badge>
      </div>
      <p>
        {one.nextStep} <span className="muted">Owner: {one.owner}.</span>
      </p>
      <dl className="facts">
        <dt>Connection</dt>
        <dd>
          <Link to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: one.connection.id }}>
            {one.connection.name}
          </Link>
        </dd>
        <dt>Version</dt>
        <dd>
          {one.version || "none is named"}
          {one.servedVersion && `, answered by ${one.servedVersion}`}
        </dd>
        {one.endsAt && (
          <>
            <dt>Ends</dt>
            <dd>{dayOf(one.endsAt)}</dd>
          </>
        )}
        <dt>Flows that it touches</dt>
        <dd>
          {one.flows.length === 0 && <span className="muted">none that is published</span>}
          {one.flows.map((flow, index) => (
            <span key={flow.id}>
              {index > 0 && ", "}
              <Link to="/t/$tenant/flows/$flowId" params={{ tenant, flowId: flow.id }}>
                {flow.name}
              </Link>
            </span>
          ))}
        </dd>
        {one.link && (
          <>
            <dt>The vendor says more at</dt>
            <dd className="break">{one.link}</dd>
          </>
        )}
        <dt>Said last</dt>
        <dd>
          <Time at={one.lastSeenAt} as="ago" />
        </dd>
      </dl>
    </article>
  );
}
