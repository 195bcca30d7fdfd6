// A payload as a tree: which of its rows are in sight, which of them hold what is searched, where each is, and its text with every digit. Read by `exact.ts`, because
// what is looked at here is what was sent, to the letter and in its order.
import { Digits } from "../api/digits";
import { read, type Exact } from "./exact";

export interface Row {
  /** customer.addresses[0].city; empty of the whole. */
  path: string;
  parent: string | null;
  /** As it is called in what holds it. */
  key: string | number | null;
  value: Exact;
  depth: number;
  /** Which of how many, as screen readers say it. */
  position: number;
  of: number;
  isOpen: boolean;
}

/** Null where it is no JSON, or none that could be shown without changing it. */
export function treeOf(text: string): Exact | null {
  try {
    const value = read(text);
    return isContainer(value) ? value : null;
  } catch {
    return null;
  }
}

export type Container = Exact[] | Map<string, Exact>;

export function isContainer(value: Exact): value is Container {
  return Array.isArray(value) || value instanceof Map;
}

export const sizeOf = (value: Container) => (Array.isArray(value) ? value.length : value.size);

/** What is in a container, with the path of each. */
function* within(value: Container, path: string): Generator<{ key: string | number; value: Exact; path: string }> {
  if (Array.isArray(value)) for (const [index, one] of value.entries()) yield { key: index, value: one, path: `${path}[${index}]` };
  else for (const [key, one] of value) yield { key, value: one, path: step(path, key) };
}

function step(path: string, key: string): string {
  if (!/^[A-Za-z_]\w*$/.test(key)) return `${path}[${JSON.stringify(key)}]`;
  return path === "" ? key : `${path}.${key}`;
}

/** As many of these as a person takes in at once are open from the beginning, the upper ones first. */
const OPEN_ROWS = 120;

export function firstOpen(root: Exact): Set<string> {
  const open = new Set<string>();
  const next: { value: Exact; path: string }[] = [{ value: root, path: "" }];
  let rows = 1;
  for (let one = next.shift(); one; one = next.shift()) {
    if (!isContainer(one.value)) continue;
    if (open.size > 0 && rows + sizeOf(one.value) > OPEN_ROWS) continue;
    rows += sizeOf(one.value);
    open.add(one.path);
    // Those of very many are not even looked at.
    if (sizeOf(one.value) <= OPEN_ROWS) next.push(...within(one.value, one.path));
  }
  return open;
}

/** What is in sight, from the top. */
export function rowsOf(root: Exact, open: ReadonlySet<string>): Row[] {
  const rows: Row[] = [];
  const add = (value: Exact, row: Omit<Row, "value" | "isOpen">) => {
    const isOpen = isContainer(value) && open.has(row.path);
    rows.push({ ...row, value, isOpen });
    if (!isOpen) return;
    let position = 0;
    for (const one of within(value, row.path)) add(one.value, { path: one.path, parent: row.path, key: one.key, depth: row.depth + 1, position: (position += 1), of: sizeOf(value) });
  };
  add(root, { path: "", parent: null, key: null, depth: 0, position: 1, of: 1 });
  return rows;
}

/** More are not gone through one by one by anybody. */
export const FOUND_MAX = 1_000;

/** The paths of what is called so or says so, from the top. */
export function find(root: Exact, text: string): string[] {
  const wanted = text.trim().toLowerCase();
  const found: string[] = [];
  if (wanted === "") return found;
  const look = (value: Exact, path: string, key: string | number | null) => {
    if (found.length >= FOUND_MAX) return;
    const isNamed = typeof key === "string" && key.toLowerCase().includes(wanted);
    if (isNamed || (!isContainer(value) && said(value).toLowerCase().includes(wanted))) found.push(path);
    if (isContainer(value)) for (const one of within(value, path)) look(one.value, one.path, one.key);
  };
  look(root, "", null);
  return found;
}

const STEP = /\[(\d+)\]|\[("(?:\\.|[^"\\])*")\]|(?:^|\.)([A-Za-z_]\w*)/y;

/** Undefined of what somebody has written into the address and is no text. */
function textIn(quoted: string): string | undefined {
  try {
    return JSON.parse(quoted) as string;
  } catch {
    return undefined;
  }
}

/** By its steps and not by looking through what is beside it, which may be very much. */
function walk(root: Exact, path: string): { open: string[]; value: Exact } | null {
  const open: string[] = [];
  let value = root;
  STEP.lastIndex = 0;
  while (STEP.lastIndex < path.length) {
    const before = path.slice(0, STEP.lastIndex);
    const step = STEP.exec(path);
    if (!step) return null;
    const [, index, quoted, name] = step;
    const key = quoted === undefined ? name : textIn(quoted);
    const next = Array.isArray(value) && index !== undefined ? value[Number(index)] : value instanceof Map && key !== undefined ? value.get(key) : undefined;
    if (next === undefined) return null;
    open.push(before);
    value = next;
  }
  return { open, value };
}

/** All that has to be open for this to be in sight; null where nothing is at that path. */
export function way(root: Exact, path: string): string[] | null {
  return walk(root, path)?.open ?? null;
}

export function valueAt(root: Exact, path: string): Exact | undefined {
  return walk(root, path)?.value;
}

/** A value that holds no others, as people read it: a text without its quotes. */
export function said(value: Exact): string {
  if (typeof value === "string") return value;
  return value instanceof Digits ? value.text : String(value);
}

/** JSON again, with its digits and in its order; a text by itself is that text. */
export function textOf(value: Exact): string {
  return typeof value === "string" ? value : write(value, "");
}

function write(value: Exact, indent: string): string {
  if (!isContainer(value)) return value instanceof Digits ? value.text : JSON.stringify(value);
  const deeper = `${indent}  `;
  const lines = Array.isArray(value) ? value.map((one) => write(one, deeper)) : [...value].map(([key, one]) => `${JSON.stringify(key)}: ${write(one, deeper)}`);
  const [open, close] = Array.isArray(value) ? ["[", "]"] : ["{", "}"];
  return lines.length === 0 ? open + close : `${open}\n${lines.map((line) => deeper + line).join(",\n")}\n${indent}${close}`;
}
