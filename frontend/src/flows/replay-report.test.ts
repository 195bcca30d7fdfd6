import { expect, test } from "vitest";
import { counts } from "./replay-report";

test("only what there is is counted, in words", () => {
  expect(counts({ records: 1_000, unchanged: 990, changed: 0, newly_failing: 10 })).toEqual(["990 are sent as they were", "10 were sent, and would stop"]);
});
