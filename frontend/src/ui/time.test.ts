import { expect, test } from "vitest";
import { age, ago, duration, fromLocal, toLocal } from "./time";

test.each([
  [-3, "0 s"],
  [59, "59 s"],
  [60, "1 min"],
  [3_600, "1 h"],
  [12_000, "3 h 20 min"],
  [90_000, "1 d 1 h"],
  [500_000, "5 d"],
])("%d seconds are %s", (seconds, shown) => expect(age(seconds)).toBe(shown));

test.each([
  [84.6, "85 ms"],
  [1_249, "1.2 s"],
  [180_000, "3 min"],
])("%d ms are %s", (ms, shown) => expect(duration(ms)).toBe(shown));

test("a moment goes into an input and comes back, whatever the zone", () => {
  expect(fromLocal(toLocal(new Date("2026-11-24T08:30:00Z")))).toBe("2026-11-24T08:30:00.000Z");
  expect([fromLocal(""), fromLocal("not a time")]).toEqual([null, null]);
});

test("what was this moment is now, whichever clock runs ahead", () => {
  expect([ago(-2), ago(4.9), ago(5), ago(3_600)]).toEqual(["just now", "just now", "5 s ago", "1 h ago"]);
});
