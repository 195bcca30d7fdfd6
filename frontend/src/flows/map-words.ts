// What the map says of flows and connections, of what the API says of them.
import { toneOf, words, type Tone } from "../ui/badge";
import type { MapBacklogQuery, MapConnectionsQuery, MapFlowsQuery } from "./map.generated";

type Flow = MapFlowsQuery["flows"]["nodes"][number];
type Connection = MapConnectionsQuery["connections"]["nodes"][number];
type Backlog = MapBacklogQuery["catchUps"][number];

export interface MapConnection {
  id: string;
  name: string;
  /** As other pages have it: paused, or its health; null where that is not known. */
  state: string | null;
  isGone: boolean;
}

export interface FlowOnMap {
  id: string;
  name: string;
  from: string;
  to: string;
  tone: Tone;
  /** No version of it is published. */
  isStopped: boolean;
  /** How it stands: unhealthy, 3 for a person, 120 to deliver. */
  words: string;
}

/** Whose end is gone still has that end on the map. */
const [GONE_FROM, GONE_TO] = ["gone from", "gone to"];

export function onMap(flows: readonly Flow[], backlogs: readonly Backlog[]): FlowOnMap[] {
  return flows.map((flow) => {
    const backlog = backlogs.filter((one) => one.flowId === flow.id);
    const [waiting, overdue] = [backlog.reduce((sum, one) => sum + one.deliveries, 0), backlog.reduce((sum, one) => sum + one.overdue, 0)];
    const isStopped = !flow.published;
    const { state, openExceptions } = flow.health;
    const said = [
      isStopped ? "nothing is published" : words(state),
      openExceptions > 0 && `${openExceptions.toLocaleString()} for a person`,
      waiting > 0 && `${waiting.toLocaleString()} to deliver`,
      overdue > 0 && `${overdue.toLocaleString()} overdue`,
    ];
    return {
      id: flow.id,
      name: flow.name,
      from: flow.source?.id ?? GONE_FROM,
      to: flow.destination?.id ?? GONE_TO,
      tone: openExceptions > 0 || overdue > 0 ? "bad" : isStopped ? "info" : toneOf(state),
      isStopped,
      words: said.filter(Boolean).join(", "),
    };
  });
}

/** The ends of these flows, with how they stand where that is known. */
export function connectionsOf(flows: readonly Flow[], known: readonly Connection[]): Map<string, MapConnection> {
  const stands = new Map(known.map((one) => [one.id, one.state === "paused" ? "paused" : one.health]));
  const ends = flows.flatMap(({ source, destination }) => [
    { id: source?.id ?? GONE_FROM, name: source?.name },
    { id: destination?.id ?? GONE_TO, name: destination?.name },
  ]);
  return new Map(ends.map(({ id, name }) => [id, { id, name: name ?? "", state: stands.get(id) ?? null, isGone: name === undefined }]));
}

/** All of it in one sentence. */
export function standingOf(flows: readonly FlowOnMap[]): string {
  const count = (how: string, is: (flow: FlowOnMap) => boolean) => {
    const found = flows.filter(is).length;
    return found > 0 ? [`${found.toLocaleString()} ${how}`] : [];
  };
  const ends = new Set(flows.flatMap(({ from, to }) => [from, to])).size;
  const parts = [
    ...count("with something that needs a person or is late", ({ tone }) => tone === "bad"),
    ...count("unproven", ({ tone }) => tone === "warn"),
    ...count("healthy", ({ tone }) => tone === "good"),
    ...count("not published", ({ tone }) => tone === "info"),
  ];
  return `${flows.length.toLocaleString()} ${flows.length === 1 ? "flow" : "flows"} between ${ends.toLocaleString()} ${ends === 1 ? "connection" : "connections"}: ${parts.join(", ")}.`;
}
