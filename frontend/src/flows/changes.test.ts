import { expect, test } from "vitest";
import { changes } from "./changes";

test("what differs between two versions, field by field", () => {
  const before = { filter: null, policy: { attempts_max: 8 }, mapping: [{ to: "a", from: "b" }] };
  const after = { filter: "total > 0", policy: { attempts_max: 9 }, mapping: [{ to: "a", from: "b" }, { to: "c", from: "d" }] };
  expect(changes(before, after)).toEqual([
    { path: "filter", before: null, after: "total > 0" },
    { path: "policy.attempts_max", before: "8", after: "9" },
    { path: "mapping[1]", before: null, after: '{"to":"c","from":"d"}' },
  ]);
  expect(changes(before, structuredClone(before))).toEqual([]);
});
