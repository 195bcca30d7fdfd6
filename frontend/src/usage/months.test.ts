import { expect, test } from "vitest";
import { boundsOf, change, isMonth, lastMonths } from "./months";

test("months go back over a year's end", () => {
  expect(lastMonths(new Date("2026-02-28T23:59:59Z"), 4)).toEqual(["2026-02", "2026-01", "2025-12", "2025-11"]);
});

test("a month that runs is compared with as much of the one before", () => {
  expect(boundsOf("2026-11", new Date("2026-11-11T12:00:00Z"))).toEqual({
    isRunning: true,
    from: "2026-11-01T00:00:00.000Z",
    to: "2026-12-01T00:00:00.000Z",
    beforeFrom: "2026-10-01T00:00:00.000Z",
    beforeTo: "2026-11-01T00:00:00.000Z",
    soFarTo: "2026-10-11T12:00:00.000Z",
  });
});

test("one that is longer than the one before is compared with all of that", () => {
  expect(boundsOf("2026-03", new Date("2026-03-31T00:00:00Z")).soFarTo).toBe("2026-03-01T00:00:00.000Z");
  expect(boundsOf("2026-03", new Date("2027-01-01T00:00:00Z")).isRunning).toBe(false);
});

test.each([
  [112, 100, "+12 %"],
  [97, 100, "−3 %"],
  [100, 100, "as much"],
  [5, 0, "new"],
  [0, 0, ""],
  [0, 5, "−100 %"],
])("%d after %d is %s", (now, before, words) => expect(change(now, before)).toBe(words));

test.each([["2026-11", true], ["2026-13", false], ["now", false], [undefined, false]])("%s is a month: %s", (text, is) => expect(isMonth(text)).toBe(is));
