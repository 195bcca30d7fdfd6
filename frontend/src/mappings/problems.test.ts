import { expect, test } from "vitest";
import { byPart, cellOf, describedBy, own, placesOf, problemOf, probes, problemsAt, said, wrongId } from "./problems";

test("an error is taken apart into rule, key and column", () => {
  const problem = problemOf('rules[1].rules[0].expr: there is no function "summ"; did you mean sum? at column 1');
  expect(problem).toEqual({ address: "rules[1].rules[0]", key: "expr", sentence: 'there is no function "summ"; did you mean sum?', column: 1 });
  expect(said(problem)).toBe('there is no function "summ"; did you mean sum? (at character 1)');
  expect(problemOf("rules[3]: one of `from`, `expr`")).toMatchObject({ address: "rules[3]", key: "", column: 0 });
  expect(problemOf("a mapping has at most 1000 rules")).toEqual({ address: "", key: "", sentence: "a mapping has at most 1000 rules", column: 0 });
});

test("errors are found at our own rules, wherever they stand among the connector's", () => {
  const rules = [{ to: "memo", from: "a" }, { to: "lines", each: "b", rules: [{ to: "sku", expr: "c(" }] }];
  expect(probes(rules)).toEqual([{ to: "memo", expr: "own_rule_0()" }, { to: "lines", expr: "own_rule_1()" }]);
  const places = placesOf(['rules[3].expr: there is no function "own_rule_1"; there are abs at column 1', 'rules[41].expr: there is no function "own_rule_0"; did you mean it? at column 1']);
  expect([...places]).toEqual([[3, 1], [41, 0]]);
  const problem = own(problemOf("rules[3].rules[0].expr: it ends early at column 3"), places);
  expect([problem.address, problemsAt([problem], [1, 0]).length, problemsAt([problem], [0]).length]).toEqual(["rules[1].rules[0]", 1, 0]);
  expect(own(problemOf("rules[7]: of the connector"), places).address).toBe("");
});

test("each key has its column, and those that are seldom used stand below", () => {
  expect(["expr", "from", "each", "", "when", "round.currency", "zone"].map(cellOf)).toEqual(["source", "source", "source", "source", "when", "more", "more"]);
});

test("a check's errors go to the part that they are about, those of rules that are not ours above all", () => {
  const error = (field: string, message: string) => ({ field: ["input", field], message });
  const found = byPart({
    check: { userErrors: [error("mapping", "rules[9].expr: it ends early at column 2"), error("sourceMapping", "rules[2]: of the connector"), error("filter", "it ends early at column 3"), error("policy", "no policy")] },
    places: { userErrors: [error("mapping", 'rules[9].expr: there is no function "own_rule_0"; there are abs at column 1')] },
  });
  expect(found.write).toEqual([{ address: "rules[0]", key: "expr", sentence: "it ends early", column: 2 }]);
  expect([found.read, found.filter.map(said), found.others.map((one) => one.sentence)]).toEqual([[], ["it ends early (at character 3)"], ["of the connector", "no policy"]]);
  expect(byPart(undefined)).toEqual({ read: [], write: [], filter: [], others: [] });
});

test("a cell is described by each of the sentences below it, and by none where nothing is wrong", () => {
  expect(describedBy("rules[0].rules[1]/source", 0)).toBeUndefined();
  expect(describedBy("rules[0].rules[1]/source", 2)?.split(" ")).toEqual([wrongId("rules[0].rules[1]/source", 0), wrongId("rules[0].rules[1]/source", 1)]);
});
