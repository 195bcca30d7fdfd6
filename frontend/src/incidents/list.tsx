// All incidents: what is broken or unusual at a connection now, and, where one asks for them, those that are over.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { Asked, Empty, LoadMore } from "../ui/state";
import { Incidents } from "./incidents";
import { IncidentListDocument } from "./query.generated";

export function IncidentList() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const { all } = useSearch({ from: "/t/$tenant/incidents" });
  const asked = usePages(IncidentListDocument, { open: all !== "yes" }, (result) => result.incidents, { everyMs: 5_000 });
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Incidents</h1>
          <p>What is broken or unusual at a connection. However many deliveries it holds, it is one incident, and what it holds goes on by itself when it is over.</p>
        </div>
        <label className="row">
          <input type="checkbox" checked={all === "yes"} onChange={(event) => void navigate({ to: "/t/$tenant/incidents", params: { tenant }, search: event.target.checked ? { all: "yes" } : {}, replace: true })} />
          Also those that are over
        </label>
      </div>
      <Asked of={asked} what="incidents">
        {asked.rows.length === 0 ? (
          <div className="panel">
            <Empty title={all === "yes" ? "There was no incident yet" : "Nothing is broken"}>
              <p>When a vendor fails, refuses a credential, is silent or sends far more than ever, or what a connection needs ends soon, it is said here, with what to do and how many deliveries wait.</p>
            </Empty>
          </div>
        ) : (
          <Incidents incidents={asked.rows} title={all === "yes" ? "Newest first" : "Open now"} />
        )}
      </Asked>
      <LoadMore of={asked} />
    </div>
  );
}
