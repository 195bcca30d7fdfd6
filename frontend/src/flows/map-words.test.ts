import { expect, test } from "vitest";
import { connectionsOf, onMap, standingOf } from "./map-words";

const SHOP = { id: "con_1", name: "Shop" };
const ERP = { id: "con_2", name: "ERP" };
const flow = (id: string, state: "HEALTHY" | "UNHEALTHY" | "UNPROVEN", openExceptions = 0, over: object = {}) => ({ id, name: id, source: SHOP, destination: ERP, published: { version: 1 }, health: { state, openExceptions }, ...over });

test("a flow has the colour of what is worst, and says it in words", () => {
  const flows = [flow("a", "HEALTHY"), flow("b", "UNPROVEN"), flow("c", "UNHEALTHY", 1_234), flow("d", "UNPROVEN", 0, { published: null })];
  expect(onMap(flows, []).map(({ tone, words, isStopped }) => [tone, words, isStopped])).toEqual([
    ["good", "healthy", false],
    ["warn", "unproven", false],
    ["bad", "unhealthy, 1,234 for a person", false],
    ["info", "nothing is published", true],
  ]);
});

test("what waits is summed over its destinations, and what is late is bad", () => {
  const [one] = onMap([flow("a", "HEALTHY")], [
    { flowId: "a", deliveries: 100, overdue: 0 },
    { flowId: "a", deliveries: 20, overdue: 3 },
    { flowId: "b", deliveries: 7, overdue: 7 },
  ]);
  expect([one?.tone, one?.words]).toEqual(["bad", "healthy, 120 to deliver, 3 overdue"]);
});

test("an end that is gone is on the map, and so is a connection of which nothing is known", () => {
  const flows = [flow("a", "HEALTHY"), flow("b", "HEALTHY", 0, { destination: null }), flow("c", "HEALTHY", 0, { source: null })];
  const [, toNone, fromNone] = onMap(flows, []);
  const ends = connectionsOf(flows, [{ id: "con_1", state: "paused", health: "silent" }]);
  expect([ends.get("con_1")?.state, ends.get("con_2")?.state]).toEqual(["paused", null]);
  expect([ends.get(toNone?.to ?? "")?.isGone, ends.get(fromNone?.from ?? "")?.isGone, ends.size]).toEqual([true, true, 4]);
});

test("all of it is one sentence, which says nothing of what there is not", () => {
  expect(standingOf(onMap([flow("a", "HEALTHY")], []))).toBe("1 flow between 2 connections: 1 healthy.");
  expect(standingOf(onMap([flow("a", "HEALTHY"), flow("b", "UNPROVEN"), flow("c", "UNPROVEN", 2)], []))).toBe("3 flows between 2 connections: 1 with something that needs a person or is late, 1 unproven, 1 healthy.");
});
