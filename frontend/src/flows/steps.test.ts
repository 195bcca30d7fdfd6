import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { HEIGHT, placesOf, stepsOf, UNDER_HEIGHT, type Told } from "./steps";

const WELL: Told = {
  source: { id: "con_1", name: "Shop", connector: "shopify" },
  destination: { id: "con_2", name: "ERP", connector: "netsuite" },
  version: { filter: null, mapping: [], sourceMapping: [] },
  openExceptions: 0,
  sourceStands: { state: "active", health: "healthy" },
  destinationStands: { state: "active", health: "healthy" },
  backlog: undefined,
  tables: [],
  drifts: [],
};
const stepOf = (told: Told, id: string) => stepsOf(told).find((step) => step.id === id);
const said = (told: Told, id: string) => stepOf(told, id)?.marks.map(({ text, tone }) => `${text} (${tone})`);

test("a flow that is well has its five steps, and nothing is said at any", () => {
  expect(stepsOf(WELL).map(({ what, name, marks }) => [what, name, marks.length])).toEqual([
    ["Source", "Shop", 0],
    ["Reads by", "The connector’s rules", 0],
    ["Filter", "Everything goes on", 0],
    ["Writes by", "The connector’s rules", 0],
    ["Destination", "ERP", 0],
  ]);
});

test("what is not well is said where it is mended", () => {
  const told: Told = {
    ...WELL,
    sourceStands: { state: "paused", health: "silent" },
    destinationStands: { state: "active", health: "failing" },
    openExceptions: 3,
    backlog: { deliveries: 1_204, overdue: 2 },
    drifts: [
      { side: "source", risk: "low" },
      { side: "destination", risk: "low" },
      { side: "destination", risk: "high" },
    ],
  };
  expect(said(told, "source")).toEqual(["paused (warn)"]);
  expect(said(told, "read")).toEqual(["1 drift (warn)"]);
  expect(said(told, "write")).toEqual(["2 drifts (bad)"]);
  expect(said(told, "destination")).toEqual(["failing (bad)", "3 for a person (bad)", "1,204 to deliver (info)", "2 overdue (bad)"]);
  expect(stepOf(told, "destination")?.marks.map(({ way }) => way)).toEqual([{ to: "connection", id: "con_2" }, { to: "deliveries", state: "exception" }, { to: "deliveries" }, { to: "deliveries" }]);
});

test("rules of one's own are counted, and tables named, first those that are there", () => {
  const rule = { to: "memo", from: "number" };
  const told: Told = {
    ...WELL,
    version: { filter: "totals.grand > 0", mapping: [rule, rule], sourceMapping: [rule] },
    tables: [
      { name: "SKUs", exists: true },
      { name: "Taxes", exists: false },
      { name: "Units", exists: true },
    ],
  };
  expect([stepOf(told, "read")?.name, stepOf(told, "write")?.name, stepOf(told, "write")?.about]).toEqual(["1 rule of your own", "2 rules of your own", "looks into SKUs, Taxes and 1 more"]);
  expect(stepOf(told, "filter")).toMatchObject({ name: "totals.grand > 0", isCode: true });
  expect(said(told, "write")).toEqual(["no table Taxes (bad)"]);
});

test("a connection that is gone is said, and leads nowhere", () => {
  expect(stepOf({ ...WELL, source: null, sourceStands: null }, "source")).toMatchObject({ name: "A connection that is gone", way: null, marks: [] });
});

test("steps stand beside or under each other, and do not touch", () => {
  const steps = stepsOf(WELL);
  const beside = placesOf(steps, 1_100, false);
  expect(beside.every((place, index) => index === 0 || place.x >= (beside[index - 1]?.x ?? 0) + (beside[index - 1]?.width ?? 0) + 20)).toBe(true);
  expect((beside.at(-1)?.x ?? 0) + (beside.at(-1)?.width ?? 0)).toBeLessThanOrEqual(1_100);
  const under = placesOf(steps, 320, true);
  expect(under.every((place, index) => index === 0 || place.y > (under[index - 1]?.y ?? 0) + (under[index - 1]?.height ?? 0))).toBe(true);
  expect((under.at(-1)?.y ?? 0) + (under.at(-1)?.height ?? 0)).toBe(UNDER_HEIGHT);
});

test("the page keeps as much room for them before they are there", () => {
  const style = readFileSync(join(import.meta.dirname, "../app/style.css"), "utf8");
  expect(style).toContain(`.steps-picture { height: ${HEIGHT}px; }`);
  expect(style).toContain(`.steps-picture { height: ${UNDER_HEIGHT}px; }`);
});
