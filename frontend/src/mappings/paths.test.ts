import { expect, test } from "vitest";
import { pathsOf, pathsWithin, rowAt, shown, treeOf, valueAt } from "./paths";

const TREE = treeOf('{"id":5123456789012345607,"lines":[{"sku":"A","tax":[{"rate":0.10}]},{"sku":"B"}],"tags":[],"to":{"city":"Köln"}}');

test("the fields of a document, each once", () => {
  expect(pathsOf(TREE)).toEqual(["id", "lines[]", "lines[].sku", "lines[].tax[]", "lines[].tax[].rate", "tags[]", "to", "to.city"]);
  expect(pathsOf(treeOf("no JSON"))).toEqual([]);
});

test("within a list a rule names the fields of the row, and those of the document by $root", () => {
  expect(pathsWithin(["id", "lines[]", "lines[].sku", "lines[].tax[].rate"], ["lines"])).toEqual(["sku", "tax.rate", "$root.id", "$root.lines", "$root.lines.sku", "$root.lines.tax.rate"]);
  expect(pathsWithin(["lines[].tax[].rate"], ["lines", "tax"])[0]).toBe("rate");
  expect(pathsWithin(["lines[].sku"], [])).toEqual(["lines.sku"]);
});

test("a path finds what a mapping would, with its digits", () => {
  expect([shown(valueAt(TREE, "id")), shown(valueAt(TREE, "lines.sku")), shown(valueAt(TREE, "lines[1].sku")), shown(valueAt(TREE, "lines.tax.rate"))]).toEqual(["5123456789012345607", "“A” and 1 more", "“B”", "0.10"]);
  expect([shown(valueAt(TREE, "lines[]")), shown(valueAt(TREE, "nowhere.at")), shown(valueAt(TREE, "to")), shown(valueAt(TREE, "tags"))]).toEqual(["2 rows", "nothing", "1 fields", "an empty list"]);
});

test("rules of a list are shown by its first row", () => {
  expect(shown(valueAt(rowAt(TREE, ["lines"]), "sku"))).toBe("“A”");
  expect(shown(valueAt(rowAt(TREE, ["lines", "tax"]), "rate"))).toBe("0.10");
  expect(shown(valueAt(rowAt(TREE, ["tags"]), "sku"))).toBe("nothing");
});
