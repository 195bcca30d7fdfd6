import { expect, test } from "vitest";
import { aMinute, bordersAt, lastConfirmed, unitOf, type Piece } from "./rates";

test("the pieces end with the minute that runs, and are the same while it does", () => {
  expect(bordersAt(Date.parse("2026-11-29T10:00:30Z"))).toEqual({ from: "2026-11-29T09:01:00.000Z", since: "2026-11-28T10:02:00.000Z" });
  expect(bordersAt(Date.parse("2026-11-29T10:00:59Z"))).toEqual(bordersAt(Date.parse("2026-11-29T10:00:01Z")));
});

test("times are told of the newest piece that has any", () => {
  const piece = (from: string, p50Ms: number | null): Piece => ({ from, accepted: 0, confirmed: 0, live: 0, liveOrders: 0, isSampled: false, p50Ms, p95Ms: p50Ms });
  expect(lastConfirmed([piece("a", 3), piece("b", 5), piece("c", null)])?.from).toBe("b");
  expect(lastConfirmed([piece("a", null)])).toBeUndefined();
});

test("a minute is a whole number where it is large, and never 0 where something came", () => {
  expect([0, 1, 2, 7, 50, 5_000].map(aMinute)).toEqual(["0", "0.2", "0.4", "1.4", "10", "1,000"]);
});

test("an axis of times is counted in what makes its numbers small and round", () => {
  expect([0, 850, 1_900, 2_000, 90_000, 120_000, 3 * 3_600_000].map((ms) => unitOf(ms).name)).toEqual(["ms", "ms", "ms", "s", "s", "min", "h"]);
});
