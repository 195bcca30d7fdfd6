import { expect, test } from "vitest";
import { HEIGHT, MARGIN, pieceAt, scalesOf, type Series } from "./scales";

const bars = (...values: (number | null)[]): Series => ({ name: "accepted", as: "bar", tone: "quiet", values });
const names = (count: number) => Array.from({ length: count }, (_, index) => `10:${String(index * 5).padStart(2, "0")}`);

test("values go from 0 at the foot to a round number at the head, with few lines between", () => {
  const { y, lines } = scalesOf(names(3), [bars(3, 0, 37)], 400);
  expect([y.domain(), lines]).toEqual([[0, 40], [0, 20, 40]]);
  expect([y(0), y(40)]).toEqual([HEIGHT - MARGIN.bottom, MARGIN.top]);
});

test("nothing yet is no height at all, and an axis nevertheless", () => {
  expect(scalesOf([], [], 400).lines).toEqual([0, 0.5, 1]);
  const { y } = scalesOf(names(2), [bars(0, null)], 400);
  expect(y(0)).toBe(HEIGHT - MARGIN.bottom);
});

test("of what is counted in whole things no half is at the axis", () => {
  expect(scalesOf(names(2), [bars(1, 0)], 400, true).lines).toEqual([0, 1]);
});

test("as many pieces are named as there is room for, the last one always", () => {
  const named = (width: number) => scalesOf(names(12), [bars(...names(12).map(Number))], width).named;
  expect(named(900)).toHaveLength(12);
  expect(named(380)).toEqual([1, 3, 5, 7, 9, 11]);
  expect(named(150).at(-1)).toBe(11);
  expect(named(150).length).toBeLessThan(4);
});

test("bars of two series stand side by side within their piece", () => {
  const { x, within } = scalesOf(names(4), [bars(1), bars(2)], 400);
  expect((within(1) ?? 0) - (within(0) ?? 0)).toBeGreaterThanOrEqual(within.bandwidth());
  expect((within(1) ?? 0) + within.bandwidth()).toBeLessThanOrEqual(x.bandwidth() + 1e-9);
});

test("whatever is pointed at is a piece: the nearest where it is beside them", () => {
  const { x } = scalesOf(names(12), [bars(1)], 400);
  expect([-50, MARGIN.left + 1, (x(5) ?? 0) + 1, 390, 5_000].map((px) => pieceAt(x, px))).toEqual([0, 0, 5, 11, 11]);
  expect(pieceAt(scalesOf([], [], 0).x, 10)).toBe(0);
});
