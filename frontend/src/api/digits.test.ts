import { expect, test } from "vitest";
import { Digits, parse, stringify } from "./digits";

test.each(['{"id":5123456789012345607,"total":10.50,"big":1e400,"texts":["10.50","\\"7\\"",""],"nothing":null,"is":true}', "[]", '"7"', "-0.10"])(
  "%s goes out as it came in",
  (text) => expect(stringify(parse(text))).toBe(text),
);

test("a number is digits and a text is text, whatever it says", () => {
  expect(parse('{"a":1,"b":"1","c":"x: 2"}')).toEqual({ a: new Digits("1"), b: "1", c: "x: 2" });
});

test("what is no JSON is refused, and what is not said is left out", () => {
  expect(() => parse("{a: 01}")).toThrow();
  expect(stringify({ a: undefined, b: [undefined], c: "é" })).toBe('{"b":[null],"c":"é"}');
});
