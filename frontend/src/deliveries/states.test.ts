import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { isOpen, meaningOf, STATES } from "./states";

test("every state that the docs tell of has its meaning here, and no other", () => {
  const docs = readFileSync(join(import.meta.dirname, "../../../docs/delivery.md"), "utf8");
  const table = docs.slice(docs.indexOf("## States"), docs.indexOf("## Moves"));
  const states = [...table.matchAll(/^\| `(\w+)` \|/gm)].map(([, state]) => state);
  expect(states.length).toBe(10);
  expect(STATES.map((one) => one.state).sort()).toEqual([...states].sort());
});

test("a next step has a time only where one is to come", () => {
  expect(STATES.filter((one) => isOpen(one.state)).map((one) => one.state)).toEqual(["planned", "sending", "waiting", "held", "unknown"]);
  expect(meaningOf("nowhere")).toBeUndefined();
});
