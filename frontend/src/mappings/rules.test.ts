import { expect, test } from "vitest";
import { Digits } from "../api/digits";
import { added, addressOf, changed, differences, listsAround, moved, removed, rowsOf, ruleAt, sourceOf, targetOf, withSource, type Rule } from "./rules";

const MAPPING: Rule[] = [
  { to: "number", from: "name", required: true },
  { to: "lines", each: "line_items", rules: [{ to: "sku", from: "sku", lookup: "SKUs" }, { to: "amount", expr: "price * quantity" }] },
  { to: "memo", default: new Digits("10.50") },
];

test("the rules of a list stand below it, each at the address that errors name", () => {
  expect(rowsOf(MAPPING).map(({ place, rule }) => `${addressOf(place)} ${rule.to}`)).toEqual([
    "rules[0] number",
    "rules[1] lines",
    "rules[1].rules[0] sku",
    "rules[1].rules[1] amount",
    "rules[2] memo",
  ]);
  expect([targetOf(MAPPING, [1]), targetOf(MAPPING, [1, 1]), listsAround(MAPPING, [1, 1]), listsAround(MAPPING, [0])]).toEqual(["lines", "lines[].amount", ["line_items"], []]);
});

test("a change leaves every other rule as it was, and what becomes empty is left out", () => {
  const next = changed(MAPPING, [1, 0], { lookup: "", required: true });
  expect(ruleAt(next, [1, 0])).toEqual({ to: "sku", from: "sku", required: true });
  expect([next[0] === MAPPING[0], next[2] === MAPPING[2], ruleAt(next, [1, 1]) === ruleAt(MAPPING, [1, 1])]).toEqual([true, true, true]);
  expect(ruleAt(changed(MAPPING, [0], { to: "", required: false }), [0])).toEqual({ to: "", from: "name" });
  // An expression that is begun, and a list that has no name yet, stay what they are.
  expect(ruleAt(changed(MAPPING, [0], withSource({ to: "number", from: "name" }, "=")), [0])).toEqual({ to: "number", expr: "", required: true });
  expect(ruleAt(changed(MAPPING, [1], { each: "" }), [1])).toMatchObject({ each: "" });
});

test("rules are added, moved and taken away where the cursor is", () => {
  const after = added(MAPPING, [1, 0]);
  expect([after.place, rowsOf(after.rules).map(({ rule }) => rule.to)]).toEqual([[1, 1], ["number", "lines", "sku", "", "amount", "memo"]]);
  expect(added([], []).place).toEqual([0]);
  expect(moved(MAPPING, [1, 1], -1)?.rules[1]?.rules?.map((rule) => rule.to)).toEqual(["amount", "sku"]);
  expect([moved(MAPPING, [0], 1)?.place, moved(MAPPING, [0], -1), moved(MAPPING, [1, 1], 1)]).toEqual([[1], null, null]);
  expect(removed(MAPPING, [1]).map((rule) => rule.to)).toEqual(["number", "memo"]);
});

test("one cell says a path, an expression after =, or the list that is gone through", () => {
  expect(rowsOf(MAPPING).map(({ rule }) => sourceOf(rule))).toEqual(["name", "line_items", "sku", "=price * quantity", ""]);
  expect(withSource({ to: "a", from: "b" }, "= b & c")).toEqual({ expr: " b & c", from: undefined });
  expect(withSource({ to: "a", expr: "b" }, "b")).toEqual({ from: "b", expr: undefined });
  expect(withSource({ to: "a", each: "b" }, "= b")).toEqual({ each: "= b" });
});

test("what differs is said by the field that is written, not by where its rule stands", () => {
  const after = [{ to: "first", from: "a" }, ...changed(MAPPING, [1, 0], { from: "id" })];
  expect(differences(MAPPING, after)).toEqual([
    { to: "lines[].sku", key: "from", before: "sku", after: "id" },
    { to: "first", key: "", before: null, after: { to: "first", from: "a" } },
  ]);
  expect(differences(MAPPING, MAPPING)).toEqual([]);
  expect(differences(MAPPING, changed(MAPPING, [2], { default: new Digits("10.5") }))).toHaveLength(1);
  expect(differences(MAPPING, moved(MAPPING, [0], 1)?.rules ?? []).map((one) => one.key)).toEqual(["order"]);
});

test("rules that add rows to one list are each compared", () => {
  const rules: Rule[] = [
    { to: "charges", each: "fees", rules: [{ to: "code", default: "A" }] },
    { to: "charges[]", each: "shipping", rules: [{ to: "code", default: "B" }] },
    { to: "charges[]", each: "tips", rules: [{ to: "code", default: "C" }] },
  ];
  expect([targetOf(rules, [1]), targetOf(rules, [1, 0])]).toEqual(["charges[]", "charges[].code"]);
  const found = (place: number[]) => differences(rules, changed(rules, place, { default: "D" })).map(({ to, before }) => [to, before]);
  expect([found([0, 0]), found([1, 0]), found([2, 0])]).toEqual([[["charges[].code", "A"]], [["charges[].code", "B"]], [["charges[] 2[].code", "C"]]]);
});
