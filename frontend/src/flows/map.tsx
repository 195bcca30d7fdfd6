// All flows as a map: which connections they go from and to, and how each stands. The list says the same in rows, and is what one comes to first.
import { lazy, useEffect, useMemo } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, usePages, useTenant } from "../api/hooks";
import { Later } from "../ui/later";
import { Asked, Empty, Loading, Problem } from "../ui/state";
import { MapBacklogDocument, MapConnectionsDocument, MapFlowsDocument } from "./map.generated";
import { connectionsOf, onMap, standingOf } from "./map-words";

const EVERY_MS = 15_000;
/** More are no map any more. */
const FLOWS_MAX = 300;
const CONNECTIONS_MAX = 600;

const FlowMap = lazy(() => import("./map-picture").then((part) => ({ default: part.FlowMap })));

/** All pages of a list, up to so many rows: a map that grows while one looks would move under the reader. */
function useAllOf<Row>(asked: { rows: Row[]; hasNextPage: boolean; isFetchNextPageError: boolean; more: () => void }, rowsMax: number): boolean {
  const { rows, hasNextPage, isFetchNextPageError, more } = asked;
  const isMissing = hasNextPage && rows.length < rowsMax;
  useEffect(() => {
    if (isMissing && !isFetchNextPageError) more();
  }, [isMissing, isFetchNextPageError, more]);
  return !isMissing;
}

export function FlowsMap() {
  const tenant = useTenant();
  const flows = usePages(MapFlowsDocument, {}, (result) => result.flows, { everyMs: EVERY_MS, isDear: true });
  const connections = usePages(MapConnectionsDocument, {}, (result) => result.connections, { everyMs: EVERY_MS, isDear: true });
  const backlog = useAsk(MapBacklogDocument, {}, { everyMs: EVERY_MS, isDear: true });
  const hasFlows = useAllOf(flows, FLOWS_MAX);
  const hasConnections = useAllOf(connections, CONNECTIONS_MAX);
  const shown = useMemo(() => onMap(flows.rows.slice(0, FLOWS_MAX), backlog.data?.catchUps ?? []), [flows.rows, backlog.data]);
  const boxes = useMemo(() => connectionsOf(flows.rows.slice(0, FLOWS_MAX), connections.rows), [flows.rows, connections.rows]);
  const apart = connections.rows.filter((one) => !boxes.has(one.id)).length;
  const failed = flows.isFetchNextPageError || connections.isFetchNextPageError;
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Map of flows</h1>
          <p>Which connections records go from and to, and whether they arrive. The list says the same in rows.</p>
        </div>
        <Link className="button" to="/t/$tenant/flows" params={{ tenant }}>
          List
        </Link>
      </div>
      <Asked of={flows} what="flows">
        <Asked of={connections} what="connections">
          {failed && !(hasFlows && hasConnections) ? (
            <Problem error={flows.error ?? connections.error} retry={() => [flows, connections].forEach((one) => one.more())} />
          ) : !hasFlows || !hasConnections || backlog.isPending ? (
            <Loading what="the map" />
          ) : shown.length === 0 ? (
            <section className="panel">
              <Empty title="There is no flow yet">
                <p>A flow takes records from one of your connections to another. Begin with a template for the two.</p>
              </Empty>
            </section>
          ) : (
            <>
              <p>
                {standingOf(shown)}
                {apart > 0 && (
                  <span className="muted">
                    {" "}
                    {apart.toLocaleString()} {apart === 1 ? "connection is" : "connections are"} in none of them:{" "}
                    <Link to="/t/$tenant/connections" params={{ tenant }}>
                      all connections
                    </Link>
                    .
                  </span>
                )}
              </p>
              {/* Without it nothing on the map is late. */}
              {backlog.error && !backlog.data && <Problem error={backlog.error} retry={() => void backlog.refetch()} />}
              {flows.hasNextPage && <p className="note warn">There are more: these are the newest {FLOWS_MAX.toLocaleString()}. All of them are in the list.</p>}
              <Later className="flow-map">
                <FlowMap flows={shown} connections={boxes} />
              </Later>
            </>
          )}
        </Asked>
      </Asked>
    </div>
  );
}
