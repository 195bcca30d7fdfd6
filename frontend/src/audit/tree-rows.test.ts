import { expect, test } from "vitest";
import { find, firstOpen, FOUND_MAX, isContainer, rowsOf, said, textOf, treeOf, valueAt, way, type Row } from "./tree-rows";

const ORDER = `{"id":5123456789012345607,"2":"b","1":"a","customer":{"name":"Ada","tags":[]},"lines":[{"sku":"HAT-XL","price":10.50},{"sku":"CAP","price":1e2}],"a b":null}`;
const tree = (text: string) => {
  const value = treeOf(text);
  if (!value) throw new Error("no tree");
  return value;
};
const seen = (rows: Row[]) => rows.map((row) => `${"  ".repeat(row.depth)}${row.key ?? "$"}${isContainer(row.value) ? "" : `: ${said(row.value)}`}`);

test("a payload is shown in its order and with its digits", () => {
  const root = tree(ORDER);
  expect(seen(rowsOf(root, firstOpen(root)))).toEqual([
    "$",
    "  id: 5123456789012345607",
    "  2: b",
    "  1: a",
    "  customer",
    "    name: Ada",
    "    tags",
    "  lines",
    "    0",
    "      sku: HAT-XL",
    "      price: 10.50",
    "    1",
    "      sku: CAP",
    "      price: 1e2",
    "  a b: null",
  ]);
  expect(textOf(root).replace(/\n */g, "").replaceAll('": ', '":')).toBe(ORDER);
});

test("what is closed hides what is in it, and nothing else", () => {
  expect(seen(rowsOf(tree(ORDER), new Set(["", "lines"])))).toEqual(["$", "  id: 5123456789012345607", "  2: b", "  1: a", "  customer", "  lines", "    0", "    1", "  a b: null"]);
  expect(seen(rowsOf(tree(ORDER), new Set()))).toEqual(["$"]);
});

test.each(["id", "customer.name", "customer.tags", "lines[1].price", '["a b"]', '["2"]', ""])("%s is found by its path, and what has to be open for it", (path) => {
  const root = tree(ORDER);
  const open = way(root, path);
  expect(rowsOf(root, new Set(open)).some((row) => row.path === path)).toBe(true);
  expect(valueAt(root, path)).toBeDefined();
});

test("a path that is none of this payload leads nowhere", () => {
  for (const path of ["lines[2]", "line", "id.x", "customer.nam", "lines.0", "customer[0]", "lines[x", '["half', "..", "customer..name", "customer.name ", String.raw`["\x"]`]) expect([way(tree(ORDER), path), valueAt(tree(ORDER), path)]).toEqual([null, undefined]);
  // One name is the beginning of another.
  expect(way(tree('{"line":{"a":1},"lines":{"a":2}}'), "lines.a")).toEqual(["", "lines"]);
});

test("names and values are searched, in any case and by any part", () => {
  const root = tree(ORDER);
  expect([find(root, "sku"), find(root, "hat-"), find(root, "0.5"), find(root, "123456789"), find(root, " "), find(root, "nothing of it")]).toEqual([
    ["lines[0].sku", "lines[1].sku"],
    ["lines[0].sku"],
    ["lines[0].price"],
    ["id"],
    [],
    [],
  ]);
  expect(find(tree(`[${Array.from({ length: 5_000 }, () => '"x"').join(",")}]`), "x")).toHaveLength(FOUND_MAX);
});

test("of very much only the upper rows are open from the beginning", () => {
  const long = tree(`{"head":{"a":1},"items":[${Array.from({ length: 5_000 }, (_, n) => `{"n":${n}}`).join(",")}]}`);
  expect([...firstOpen(long)]).toEqual(["", "head"]);
  const only = tree(`[${Array.from({ length: 5_000 }, () => "[1]").join(",")}]`);
  expect([...firstOpen(only)]).toEqual([""]);
});

test("what is no JSON, or none that holds others, is no tree", () => {
  for (const text of ["", "ISA*00*", "<a/>", '"text"', "12", '{"cut":', '{"a":1,"a":2}']) expect(treeOf(text)).toBeNull();
});

test("a place in very much is found by its steps", () => {
  const root = tree(`{"items":[${Array.from({ length: 50_000 }, (_, n) => `{"sku":"S${n}","a.b":{"c d":${n}}}`).join(",")}]}`);
  for (let n = 0; n < 100; n += 1) expect(valueAt(root, `items[${n * 499}]["a.b"]["c d"]`)?.toString()).toBe(String(n * 499));
});

test("a field without a name has a place, too", () => expect(valueAt(tree('{"":{"":1}}'), '[""][""]')?.toString()).toBe("1"));
