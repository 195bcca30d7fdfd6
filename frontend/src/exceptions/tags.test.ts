import { expect, test } from "vitest";
import { wayBack } from "./tags";

const causes = [
  { selection: { causeKey: "had" }, tags: ["later", "socks"] },
  { selection: { causeKey: "lacked" }, tags: ["socks"] },
];

test("a tag that is taken back stays with those that had it before", () => {
  expect(wayBack(causes, " Later ", true)).toEqual([{ input: { causeKey: "lacked" }, add: [], remove: ["later"] }]);
});

test("a tag that is given back goes to those alone that had it", () => {
  expect(wayBack(causes, "later", false)).toEqual([{ input: { causeKey: "had" }, add: ["later"], remove: [] }]);
});

test("some exceptions of a cause are taken back as one", () => {
  const some = [["a", []], ["b", ["later"]], ["c", ["other"]]] as const;
  expect(wayBack(some.map(([id, tags]) => ({ selection: { ids: [id] }, tags })), "later", true)).toEqual([{ input: { ids: ["a", "c"] }, add: [], remove: ["later"] }]);
});

test("where nothing was another than it is now, there is no way back", () => {
  expect(wayBack(causes, "socks", true)).toEqual([]);
  expect(wayBack(causes, "hats", false)).toEqual([]);
});
