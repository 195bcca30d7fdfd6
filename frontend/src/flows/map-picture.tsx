// The map itself: connections as boxes, flows as lines through lanes with their names, both links. It is panned and zoomed by pointer, by thumb and by the
// buttons on it; by keyboard one goes from link to link, and the map comes along.
import { useCallback, useLayoutEffect, useMemo } from "react";
import { Link } from "@tanstack/react-router";
import { BaseEdge, EdgeLabelRenderer, Handle, Panel, Position, ReactFlow, useReactFlow, useStoreApi, type Edge, type EdgeProps, type Node, type NodeProps } from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import { useTenant } from "../api/hooks";
import { Badge, type Tone } from "../ui/badge";
import { useWidth } from "../ui/width";
import { LANE, layOut, NODE, type Box, type Lane } from "./map-layout";
import type { FlowOnMap, MapConnection } from "./map-words";
import { arrow, asPart, LOOKED_AT, SILENT } from "./picture";

type ConnectionBox = Node<{ connection: MapConnection; box: Box }, "connection">;
type FlowLine = Edge<{ flow: FlowOnMap; lane: Lane }, "flow">;

interface Size {
  width: number;
  height: number;
}

const NODE_KINDS = { connection: ConnectionNode };
const EDGE_KINDS = { flow: FlowEdge };
const EDGE_PX = 24;
/** Above it is what it is zoomed by. */
const HEAD_PX = 60;
/** Smaller, nobody reads it: the rest is panned to. */
const ZOOM_MIN = 0.8;
/** All of the largest map there is, on a screen. */
const ZOOM_OUT_MAX = 0.02;
const COLOURS: Record<Tone, string> = { good: "var(--good)", warn: "var(--warn)", bad: "var(--bad)", info: "var(--line-strong)" };

export function FlowMap({ flows, connections }: { flows: readonly FlowOnMap[]; connections: ReadonlyMap<string, MapConnection> }) {
  const [place, width] = useWidth<HTMLDivElement>();
  const layout = useMemo(() => layOut(flows, (id) => connections.get(id)?.name ?? ""), [flows, connections]);
  const nodes = useMemo(
    () =>
      layout.nodes.map((box): ConnectionBox => {
        const connection = connections.get(box.id) ?? { id: box.id, name: "", state: null, isGone: true };
        return { id: box.id, type: "connection", position: { x: box.x, y: box.y }, ...NODE, measured: NODE, data: { connection, box }, domAttributes: SILENT };
      }),
    [layout, connections],
  );
  const edges = useMemo(() => {
    const of = new Map(flows.map((flow) => [flow.id, flow]));
    return layout.lanes.flatMap((lane): FlowLine[] => {
      const flow = of.get(lane.id);
      if (!flow) return [];
      return [{ id: lane.id, source: lane.from, target: lane.to, type: "flow", data: { flow, lane }, markerEnd: arrow(COLOURS[flow.tone]), domAttributes: { "aria-hidden": true } }];
    });
  }, [layout, flows]);
  const zoom = Math.min(1, Math.max(ZOOM_MIN, (width - 2 * EDGE_PX) / Math.max(1, layout.width)));
  // Where one begins: its head, in its middle, as large as it can be read.
  const x = Math.max(EDGE_PX, (width - layout.width * zoom) / 2);
  return (
    <div ref={place} className="flow-map" style={{ height: `min(72vh, ${Math.ceil(layout.height * zoom) + HEAD_PX + EDGE_PX}px)` }}>
      {width > 0 && (
        <ReactFlow
          ref={asPart}
          id="map"
          aria-label="Map of flows"
          nodes={nodes}
          edges={edges}
          nodeTypes={NODE_KINDS}
          edgeTypes={EDGE_KINDS}
          defaultViewport={{ x, y: HEAD_PX, zoom }}
          minZoom={ZOOM_OUT_MAX}
          maxZoom={1.5}
          // The wheel zooms with Ctrl, as two fingers do.
          {...LOOKED_AT}
        >
          <Again x={x} zoom={zoom} />
          <Zoom size={layout} />
        </ReactFlow>
      )}
    </div>
  );
}

/** Where the room is another, or the map is, one begins anew. */
function Again({ x, zoom }: { x: number; zoom: number }) {
  const { setViewport } = useReactFlow();
  useLayoutEffect(() => {
    void setViewport({ x, y: HEAD_PX, zoom });
  }, [x, zoom, setViewport]);
  return null;
}

function Zoom({ size }: { size: Size }) {
  const { zoomIn, zoomOut, setViewport } = useReactFlow();
  const store = useStoreApi();
  const showAll = () => {
    const { width, height } = store.getState();
    const zoom = Math.min(1, (width - 2 * EDGE_PX) / size.width, (height - HEAD_PX - EDGE_PX) / size.height);
    void setViewport({ x: (width - size.width * zoom) / 2, y: HEAD_PX, zoom });
  };
  return (
    <Panel position="top-right" className="row">
      <button type="button" className="button" onClick={() => void zoomIn()}>
        <span aria-hidden="true">+</span>
        <span className="hidden-label">Larger</span>
      </button>
      <button type="button" className="button" onClick={() => void zoomOut()}>
        <span aria-hidden="true">−</span>
        <span className="hidden-label">Smaller</span>
      </button>
      <button type="button" className="button" onClick={showAll}>
        All of it
      </button>
    </Panel>
  );
}

/** Brings what has the focus into sight: it is somewhere on the map, and the browser can only scroll pages. */
function useShow(): (box: Box, size: Size) => void {
  const { getViewport, setViewport } = useReactFlow();
  const store = useStoreApi();
  return useCallback(
    (box, size) => {
      const { width, height } = store.getState();
      const { x, y, zoom } = getViewport();
      const moved = (at: number, long: number, offset: number, room: number) => {
        const from = at * zoom + offset;
        if (from < EDGE_PX) return offset + EDGE_PX - from;
        return from + long * zoom > room - EDGE_PX ? offset + Math.max(room - EDGE_PX - long * zoom, EDGE_PX) - from : offset;
      };
      const next = { x: moved(box.x, size.width, x, width), y: moved(box.y, size.height, y, height), zoom };
      if (next.x !== x || next.y !== y) void setViewport(next);
    },
    [getViewport, setViewport, store],
  );
}

function ConnectionNode({ data: { connection, box } }: NodeProps<ConnectionBox>) {
  const tenant = useTenant();
  const show = useShow();
  return (
    <div className="step">
      <Handle type="target" position={Position.Left} isConnectable={false} />
      <p className="name" title={connection.name}>
        {connection.isGone ? (
          <span className="muted">A connection that is gone</span>
        ) : (
          <Link className="row-link" to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: connection.id }} onFocus={() => show(box, NODE)} draggable={false}>
            {connection.name}
          </Link>
        )}
      </p>
      {connection.state && (
        <p>
          <Badge state={connection.state} />
        </p>
      )}
      <Handle type="source" position={Position.Right} isConnectable={false} />
    </div>
  );
}

function FlowEdge({ id, data, markerEnd }: EdgeProps<FlowLine>) {
  const tenant = useTenant();
  const show = useShow();
  if (!data) return null;
  const { flow, lane } = data;
  return (
    <>
      <BaseEdge id={id} path={lane.path} className={`line ${flow.tone}${flow.isStopped ? " stopped" : ""}`} {...(markerEnd ? { markerEnd } : {})} />
      <EdgeLabelRenderer>
        <Link
          className={`lane ${flow.tone}`}
          style={{ transform: `translate(${lane.x}px, ${lane.y}px)`, ...LANE }}
          to="/t/$tenant/flows/$flowId"
          params={{ tenant, flowId: id }}
          search={{}}
          onFocus={() => show(lane, LANE)}
          draggable={false}
          title={flow.name}
        >
          <span className="name">{flow.name}</span>
          <span className="small">{flow.words}</span>
        </Link>
      </EdgeLabelRenderer>
    </>
  );
}
