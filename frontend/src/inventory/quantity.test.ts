import { expect, test } from "vitest";
import { compare, locationsOf } from "./quantity";

test.each([
  ["9", "10", -1],
  ["10", "9.5", 1],
  ["2.50", "2.5", 0],
  ["-3", "2", -1],
  ["-3", "-4", 1],
  ["-0", "0", 0],
  ["007", "7", 0],
  ["0.1", "0.09", 1],
  ["9007199254740993", "9007199254740992", 1],
])("%s beside %s", (a, b, order) => expect(Math.sign(compare(a, b))).toBe(order));

test("places are named once, however they are written", () => {
  expect(locationsOf(" EAST, WEST\nEAST,, ")).toEqual(["EAST", "WEST"]);
  expect(locationsOf("")).toEqual([]);
});
