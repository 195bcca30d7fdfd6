// A flow as its steps, from where its records come to where they go: what each does, how it stands, and where that is mended.
import type { Tone } from "../ui/badge";
import { toneOf, words } from "../ui/badge";

/** Where one goes from a step, or from something that is said at it. */
export type Way =
  | { to: "connection"; id: string }
  | { to: "mapping"; side: "read" | "write" }
  | { to: "deliveries"; state?: string }
  | { to: "lookup-tables" }
  | { to: "drifts" };

export interface Mark {
  text: string;
  tone: Tone;
  way: Way;
}

export interface Step {
  id: "source" | "read" | "filter" | "write" | "destination";
  /** What it is for: Source, Reads by. */
  what: string;
  name: string;
  /** Beside the name, where there is something to say. */
  about: string;
  /** The name is an expression. */
  isCode: boolean;
  way: Way | null;
  marks: Mark[];
}

interface End {
  id: string;
  name: string;
  connector: string;
}

interface Standing {
  state: string;
  health: string;
}

export interface Told {
  source: End | null | undefined;
  destination: End | null | undefined;
  version: { filter?: string | null; mapping: unknown; sourceMapping: unknown };
  openExceptions: number;
  /** Until they are there, nothing is said of them. */
  sourceStands?: Standing | null | undefined;
  destinationStands?: Standing | null | undefined;
  backlog?: { deliveries: number; overdue: number } | undefined;
  tables?: readonly { name: string; exists: boolean }[] | undefined;
  drifts: readonly { side: string; risk: string }[];
}

const TABLES_NAMED = 2;

export function stepsOf(told: Told): Step[] {
  const { source, destination, version, tables = [] } = told;
  const missing = tables.filter((table) => !table.exists);
  return [
    { id: "source", what: "Source", ...end(source), marks: marksOf(source, told.sourceStands) },
    { id: "read", what: "Reads by", ...rules(version.sourceMapping), about: "", way: { to: "mapping", side: "read" }, marks: driftsOn("source", told) },
    {
      id: "filter",
      what: "Filter",
      name: version.filter || "Everything goes on",
      about: "",
      isCode: Boolean(version.filter),
      way: { to: "mapping", side: "write" },
      marks: [],
    },
    {
      id: "write",
      what: "Writes by",
      ...rules(version.mapping),
      about: tables.length > 0 ? `looks into ${someOf(tables.map((table) => table.name))}` : "",
      way: { to: "mapping", side: "write" },
      marks: [
        ...(missing.length > 0 ? [{ text: `no ${missing.length === 1 ? "table" : "tables"} ${someOf(missing.map((table) => table.name))}`, tone: "bad", way: { to: "lookup-tables" } } satisfies Mark] : []),
        ...driftsOn("destination", told),
      ],
    },
    {
      id: "destination",
      what: "Destination",
      ...end(destination),
      marks: [...marksOf(destination, told.destinationStands), ...waiting(told)],
    },
  ];
}

function end(of: End | null | undefined): Pick<Step, "name" | "about" | "isCode" | "way"> {
  if (!of) return { name: "A connection that is gone", about: "", isCode: false, way: null };
  return { name: of.name, about: of.connector, isCode: false, way: { to: "connection", id: of.id } };
}

/** Paused says more than any health. */
function marksOf(of: End | null | undefined, stands: Standing | null | undefined): Mark[] {
  if (!of || !stands) return [];
  const state = stands.state === "paused" ? "paused" : stands.health;
  return state === "healthy" ? [] : [{ text: words(state), tone: toneOf(state), way: { to: "connection", id: of.id } }];
}

function rules(mapping: unknown): Pick<Step, "name" | "isCode"> {
  const count = Array.isArray(mapping) ? mapping.length : 0;
  return { name: count === 0 ? "The connector’s rules" : `${count.toLocaleString()} ${count === 1 ? "rule" : "rules"} of your own`, isCode: false };
}

function driftsOn(side: string, { drifts }: Told): Mark[] {
  const here = drifts.filter((drift) => drift.side === side);
  if (here.length === 0) return [];
  return [{ text: `${here.length.toLocaleString()} ${here.length === 1 ? "drift" : "drifts"}`, tone: here.some((drift) => drift.risk === "high") ? "bad" : "warn", way: { to: "drifts" } }];
}

function waiting({ openExceptions, backlog }: Told): Mark[] {
  const marks: Mark[] = [];
  if (openExceptions > 0) marks.push({ text: `${openExceptions.toLocaleString()} for a person`, tone: "bad", way: { to: "deliveries", state: "exception" } });
  if (backlog && backlog.deliveries > 0) marks.push({ text: `${backlog.deliveries.toLocaleString()} to deliver`, tone: "info", way: { to: "deliveries" } });
  if (backlog && backlog.overdue > 0) marks.push({ text: `${backlog.overdue.toLocaleString()} overdue`, tone: "bad", way: { to: "deliveries" } });
  return marks;
}

function someOf(names: readonly string[]): string {
  const rest = names.length - TABLES_NAMED;
  return names.slice(0, TABLES_NAMED).join(", ") + (rest > 0 ? ` and ${rest.toLocaleString()} more` : "");
}

export interface Place {
  x: number;
  y: number;
  width: number;
  height: number;
}

/** Beside each other where there is room, as `.steps-picture` of style.css has it; else under each other. Where most may have to be said is most room. */
export const HEIGHT = 168;
const GAP = 30;
const PARTS: Record<Step["id"], number> = { source: 1, read: 0.9, filter: 1, write: 1, destination: 1.3 };
const UNDER_GAP = 20;
const UNDER: Record<Step["id"], number> = { source: 64, read: 64, filter: 64, write: 64, destination: 92 };
export const UNDER_HEIGHT = Object.values(UNDER).reduce((sum, height) => sum + height, 0) + UNDER_GAP * (Object.keys(UNDER).length - 1);

export function placesOf(steps: readonly Pick<Step, "id">[], width: number, isUnder: boolean): Place[] {
  const gaps = GAP * (steps.length - 1);
  const part = Math.max(0, width - gaps) / steps.reduce((sum, { id }) => sum + PARTS[id], 0);
  let next = 0;
  return steps.map(({ id }) => {
    const place = isUnder ? { x: 0, y: next, width, height: UNDER[id] } : { x: next, y: 0, width: Math.floor(part * PARTS[id]), height: HEIGHT };
    next += isUnder ? place.height + UNDER_GAP : place.width + GAP;
    return place;
  });
}
