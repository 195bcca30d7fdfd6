import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { bytesOf, hashOf, operationsIn, placeIn, requestOf, wrongIn } from "./operations-text";

test.each(["query Open { exceptions { nodes { id } } }", "{ a }\n", "{ größe(text: \"🎩\") }", ""])("the hash of %s is that which programs make of it", (document) => {
  expect(hashOf(document)).toBe(createHash("sha256").update(document).digest("hex"));
  expect(bytesOf(document)).toBe(Buffer.byteLength(document));
});

test.each([
  ["{ flows { nodes { id } } }", ["query "]],
  ["query Open($n: Int = 3, $o: In = {a: 1}) @x(y: {z: 1}) { a }", ["query Open"]],
  ["mutation M { a } query Q { b } fragment F on T { c } subscription S { d }", ["mutation M", "query Q", "subscription S"]],
  ["# mutation No { a }\nquery Q { a(text: \"} mutation N {\", long: \"\"\"{ mutation O { \\\"\"\" }\"\"\") }", ["query Q"]],
  ["fragment F on T { c } mutation { a }", ["mutation "]],
  ["query {", ["query "]],
  ["", []],
])("%s holds %j", (document, operations) => expect(operationsIn(document).map(({ kind, name }) => `${kind} ${name}`)).toEqual(operations));

const said = ' --> 2:9\n  |\n2 | query { \n  |         ^---\n  |\n  = expected selection';

test("where the syntax is wrong is a line, a column, and what should stand there", () => {
  expect(wrongIn(`this is no operation of GraphQL: ${said}`)).toEqual({ line: 2, column: 9, sentence: "here should stand a field" });
  expect(wrongIn(" --> 1:1\n  |\n  = expected EOI or executable_definition")?.sentence).toBe("here should stand the end or an operation or a fragment");
  expect(wrongIn(" --> 1:7\n  = expected name, variable_definitions, directives, or selection_set")?.sentence).toBe("here should stand a name, variables in ( ), a directive (@…) or fields in { }");
  expect(wrongIn(" --> 1:7\n  = unexpected x; expected other_rule")?.sentence).toBe("here should stand other rule");
  expect(wrongIn("this is no operation of GraphQL: document contains multiple operations")).toBeNull();
});

test("the cursor stands where the parser stopped, beyond characters of two halves, too", () => {
  expect(placeIn("a\nquery { ", { line: 2, column: 9 })).toBe(10);
  expect(placeIn("# 🎩\n{ 🎩 }", { line: 2, column: 4 })).toBe(5 + "{ 🎩".length);
  expect(placeIn("{", { line: 9, column: 9 })).toBe(2);
});

test("a program names it as clients of automatic persisted queries do", () => {
  expect(JSON.parse(requestOf("5f1c"))).toEqual({ variables: {}, extensions: { persistedQuery: { version: 1, sha256Hash: "5f1c" } } });
});
