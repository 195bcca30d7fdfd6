// The fields of a document, and what stands at a path of one: for completion, and to show beside a rule what it finds in the sample.
import { Digits, parse } from "../api/digits";

const PATHS_MAX = 2_000;
const TEXT_MAX = 80;

/** A document of JSON with its digits; null for what is none. */
export function treeOf(text: string): unknown {
  try {
    return parse(text);
  } catch {
    return null;
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object" && !Array.isArray(value) && !(value instanceof Digits);
}

/** Every field once, with lists as `lines[].sku`. */
export function pathsOf(tree: unknown): string[] {
  const found = new Set<string>();
  const walk = (value: unknown, path: string) => {
    if (found.size >= PATHS_MAX) return;
    if (Array.isArray(value)) {
      found.add(`${path}[]`);
      for (const one of value) walk(one, `${path}[]`);
    } else if (isMap(value)) {
      if (path && !path.endsWith("[]")) found.add(path);
      for (const [key, one] of Object.entries(value)) walk(one, path ? `${path}.${key}` : key);
    } else if (path && !path.endsWith("[]")) found.add(path);
  };
  walk(tree, "");
  return [...found];
}

/** Fields as a rule within these lists may name them, the nearest first: those of the row, then those of the document. */
export function pathsWithin(paths: readonly string[], lists: readonly string[]): string[] {
  const written = (path: string) => path.replaceAll("[]", "");
  if (lists.length === 0) return [...new Set(paths.map(written))];
  // A list within a row is named from the row on; one from the document is named $root or by its whole path.
  const around = lists.reduce((whole, list) => (list.startsWith("$root.") || whole === "" ? list.replace("$root.", "") : `${whole}.${list}`), "");
  const row = paths.map(written).filter((path) => path.startsWith(`${around}.`)).map((path) => path.slice(around.length + 1));
  return [...new Set([...row, ...paths.map((path) => `$root.${written(path)}`)])];
}

/** What stands at a path. A step into a list steps into each of its rows, as in a mapping. */
export function valueAt(tree: unknown, path: string): unknown {
  let values: unknown = tree;
  for (const [, key, index] of path.matchAll(/([^.[\]]+)|\[(\d*)\]/g)) {
    if (index === "") continue;
    if (index !== undefined) values = Array.isArray(values) ? values[Number(index)] : undefined;
    else if (Array.isArray(values)) values = values.flat(1).map((one) => (isMap(one) ? one[key ?? ""] : undefined)).filter((one) => one !== undefined);
    else values = isMap(values) ? values[key ?? ""] : undefined;
  }
  return values;
}

/** The first row of the lists around a rule, or the document itself; undefined where the sample has no row. */
export function rowAt(tree: unknown, lists: readonly string[]): unknown {
  return lists.reduce((row: unknown, list) => {
    const value = valueAt(list.startsWith("$root") ? tree : row, list.replace(/^\$(root|this)\.?/, ""));
    return Array.isArray(value) ? value[0] : value;
  }, tree);
}

/** A value for a line below a cell: its digits, its first row and how many more. */
export function shown(value: unknown): string {
  if (value === undefined || value === null) return "nothing";
  if (value instanceof Digits) return value.text;
  if (Array.isArray(value)) {
    if (value.length === 0) return "an empty list";
    if (isMap(value[0])) return `${value.length} ${value.length === 1 ? "row" : "rows"}`;
    return value.length === 1 ? shown(value[0]) : `${shown(value[0])} and ${value.length - 1} more`;
  }
  if (isMap(value)) return `${Object.keys(value).length} fields`;
  const text = typeof value === "string" ? `“${value}”` : String(value);
  return text.length > TEXT_MAX ? `${text.slice(0, TEXT_MAX)}…` : text;
}
