import { expect, test } from "vitest";
import { fieldsOf, toJson } from "./fields";

test("the fields of a record, by the paths that an edit takes", () => {
  expect(fieldsOf('{"number":"#1","lines":[{"sku":"A"},{"quantity":2,"note":null}]}')).toEqual([
    { path: "number", value: "#1", isText: true },
    { path: "lines[0].sku", value: "A", isText: true },
    { path: "lines[1].quantity", value: "2", isText: false },
    { path: "lines[1].note", value: "null", isText: false },
  ]);
  expect(fieldsOf("no JSON")).toEqual([]);
});

test("a value goes as JSON, with the digits that were typed", () => {
  expect(toJson({ path: "a", value: 'HAT "XL"', isText: true })).toBe('"HAT \\"XL\\""');
  expect(toJson({ path: "a", value: " 10.50 ", isText: false })).toBe("10.50");
  expect(toJson({ path: "a", value: "", isText: false })).toBe("null");
});
