// A flow as a picture: its steps from left to right, or under each other on a telephone, and at each what stands in the way. Each step leads to where it
// is mended.
import { Link } from "@tanstack/react-router";
import { Handle, MarkerType, Position, ReactFlow, type Edge, type EdgeMarker, type Node, type NodeHandle, type NodeProps } from "@xyflow/react";
import "@xyflow/react/dist/base.css";
import { useMemo, useSyncExternalStore } from "react";
import { useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { useWidth } from "../ui/width";
import { placesOf, type Place, type Step, type Way } from "./steps";

/** As style.css has it. */
const UNDER = "(max-width: 1100px)";

type StepNode = Node<{ step: Step; flowId: string; isUnder: boolean }, "step">;
const KINDS = { step: StepBox };
/** As large whatever the width of its line. */
export const arrow = (color: string): EdgeMarker => ({ type: MarkerType.ArrowClosed, color, width: 16, height: 16, markerUnits: "userSpaceOnUse" });
/** What React Flow says of itself to screen readers is about moving things, which nobody does here. */
export const SILENT = { "aria-roledescription": undefined };
/** It is looked at and not edited: no key and no wheel is taken from the page. */
export const LOOKED_AT = {
  nodesDraggable: false,
  nodesConnectable: false,
  nodesFocusable: false,
  edgesFocusable: false,
  elementsSelectable: false,
  disableKeyboardA11y: true,
  zoomOnScroll: false,
  preventScrolling: false,
} as const;

export function FlowPicture({ flowId, steps, runs }: { flowId: string; steps: readonly Step[]; runs: boolean }) {
  const [place, width] = useWidth<HTMLDivElement>();
  const isUnder = useSyncExternalStore(onUnder, () => matchMedia(UNDER).matches);
  const nodes = useMemo(() => {
    const places = placesOf(steps, width, isUnder);
    return steps.flatMap((step, index): StepNode[] => {
      const at = places[index];
      if (!at) return [];
      const size = { width: at.width, height: at.height };
      return [{ id: step.id, type: "step", position: { x: at.x, y: at.y }, ...size, measured: size, handles: handlesOf(at, isUnder), data: { step, flowId, isUnder }, domAttributes: SILENT }];
    });
  }, [steps, width, isUnder, flowId]);
  const edges = useMemo(
    () =>
      steps.slice(1).map((step, index): Edge => {
        const before = steps[index] as Step;
        return { id: step.id, source: before.id, target: step.id, type: "straight", className: runs ? "line" : "line stopped", domAttributes: { "aria-hidden": true }, markerEnd: arrow("var(--line-strong)") };
      }),
    [steps, runs],
  );
  return (
    <div ref={place} className="steps-picture">
      {width > 0 && (
        <ReactFlow
          ref={asPart}
          id="steps"
          aria-label="The steps of the flow"
          nodes={nodes}
          edges={edges}
          nodeTypes={KINDS}
          {...LOOKED_AT}
          // Nor is it moved.
          panOnDrag={false}
          panOnScroll={false}
          zoomOnPinch={false}
          zoomOnDoubleClick={false}
          // The map of flows names the library.
          proOptions={{ hideAttribution: true }}
        />
      )}
    </div>
  );
}

/** Where its lines arrive and leave: said, and not measured, because a box that changes its width would be measured too late. */
function handlesOf({ width, height }: Place, isUnder: boolean): NodeHandle[] {
  return isUnder
    ? [
        { type: "target", position: Position.Top, x: width / 2, y: 0 },
        { type: "source", position: Position.Bottom, x: width / 2, y: height },
      ]
    : [
        { type: "target", position: Position.Left, x: 0, y: height / 2 },
        { type: "source", position: Position.Right, x: width, y: height / 2 },
      ];
}

function onUnder(listener: () => void): () => void {
  const narrow = matchMedia(UNDER);
  narrow.addEventListener("change", listener);
  return () => narrow.removeEventListener("change", listener);
}

/** React Flow calls itself an application, in which screen readers hand over all keys; this is a part of a page like others. */
export function asPart(element: HTMLDivElement | null): void {
  element?.setAttribute("role", "group");
}

function StepBox({ data: { step, flowId, isUnder } }: NodeProps<StepNode>) {
  const tenant = useTenant();
  const worst = step.marks.some(({ tone }) => tone === "bad") ? "bad" : step.marks.some(({ tone }) => tone === "warn") ? "warn" : "";
  return (
    <div className={`step ${worst}${isUnder ? " flat" : ""}`}>
      <Handle type="target" position={isUnder ? Position.Top : Position.Left} isConnectable={false} />
      <p className="muted small">
        {step.what}
        {step.about && <span className="break">{` · ${step.about}`}</span>}
      </p>
      <p className="name" title={step.name}>
        {step.way ? (
          <WayLink way={step.way} tenant={tenant} flowId={flowId} className="row-link" label={`${step.what}: ${step.name}`}>
            {step.isCode ? <code>{step.name}</code> : step.name}
          </WayLink>
        ) : (
          step.name
        )}
      </p>
      {step.marks.length > 0 && (
        <p className="row">
          {step.marks.map((mark) => (
            <WayLink key={mark.text} way={mark.way} tenant={tenant} flowId={flowId} className="plain-link">
              <Badge tone={mark.tone}>{mark.text}</Badge>
            </WayLink>
          ))}
        </p>
      )}
      <Handle type="source" position={isUnder ? Position.Bottom : Position.Right} isConnectable={false} />
    </div>
  );
}

function WayLink({ way, tenant, flowId, className, label, children }: { way: Way; tenant: string; flowId: string; className: string; label?: string; children: React.ReactNode }) {
  const shared = { className, "aria-label": label, draggable: false };
  switch (way.to) {
    case "connection":
      return (
        <Link {...shared} to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: way.id }}>
          {children}
        </Link>
      );
    case "mapping":
      return (
        <Link {...shared} to="/t/$tenant/flows/$flowId/mapping" params={{ tenant, flowId }} search={{ side: way.side }}>
          {children}
        </Link>
      );
    case "deliveries":
      return (
        <Link {...shared} to="/t/$tenant/deliveries" params={{ tenant }} search={{ flow: flowId, ...(way.state ? { state: way.state } : {}) }}>
          {children}
        </Link>
      );
    case "lookup-tables":
      return (
        <Link {...shared} to="/t/$tenant/lookup-tables" params={{ tenant }}>
          {children}
        </Link>
      );
    case "drifts":
      return (
        <Link {...shared} to="/t/$tenant/drifts" params={{ tenant }} search={{}}>
          {children}
        </Link>
      );
  }
}
