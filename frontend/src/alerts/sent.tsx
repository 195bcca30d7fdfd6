// What was sent to whom in the last 30 days, and why something did not arrive.
import { useState } from "react";
import { usePages } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Asked, Empty, LoadMore, sentence } from "../ui/state";
import { Time } from "../ui/time";
import { AlertsDocument } from "./query.generated";
import type { Receiver } from "./settings";

export function Sent({ receivers }: { receivers: readonly Receiver[] }) {
  const [state, setState] = useState("");
  const asked = usePages(AlertsDocument, { receiverId: null, state: state || null }, (result) => result.alerts, { everyMs: 5_000 });
  return (
    <section className="panel stack tight" aria-label="What was sent">
      <div className="row apart">
        <h2>What was sent</h2>
        <span>
          <label className="hidden-label" htmlFor="alert-state">
            Which
          </label>
          <select id="alert-state" value={state} onChange={(event) => setState(event.target.value)}>
            <option value="">All</option>
            <option value="pending">Those on their way</option>
            <option value="failed">Those that did not arrive</option>
            <option value="sent">Those that arrived</option>
          </select>
        </span>
      </div>
      <Asked of={asked} what="what was sent">
        {asked.rows.length === 0 ? (
          <Empty title="Nothing was sent">
            <p>Alerts are kept here for 30 days.</p>
          </Empty>
        ) : (
          <ul className="stack">
            {asked.rows.map((one) => (
              <li key={one.id}>
                <details>
                  <summary>
                    {one.subject} <Badge tone={one.state === "sent" ? "good" : one.state === "failed" ? "bad" : "info"} state={one.state} />{" "}
                    <span className="muted small">
                      to {receivers.find((other) => other.id === one.receiverId)?.name ?? "a receiver that is gone"}, <Time at={one.createdAt} as="ago" />
                      {one.isEscalated && ", escalated"}
                    </span>
                  </summary>
                  <pre className="document">{one.text}</pre>
                </details>
                {one.failure && (
                  <p className={one.state === "failed" ? "note bad break" : "note warn break"}>
                    {sentence(one.failure)}{" "}
                    {one.state === "pending" && (
                      <>
                        It is tried again <Time at={one.dueAt} as="clock" />.
                      </>
                    )}
                  </p>
                )}
              </li>
            ))}
          </ul>
        )}
      </Asked>
      <LoadMore of={asked} />
    </section>
  );
}
