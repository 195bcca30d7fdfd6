import { expect, test } from "vitest";
import { counts, needsWhy, stateInWords } from "./words";

test("what a shadow found is said, and what is nothing is left out", () => {
  expect(counts({ deliveries: 1_200, made: 1_190, refused: 10 })).toEqual(["1,190 have a request on both sides", "10 the candidate has no request for, and the destination of now has"]);
});

test("one is spoken of as one", () => {
  expect(counts({ deliveries: 1, made: 1 })).toEqual(["1 has a request on both sides"]);
});

test.each([
  [null, true],
  [{}, true],
  [{ deliveries: 5, made: 5 }, false],
  [{ deliveries: 5, made: 4, refused: 1 }, true],
  [{ deliveries: 5, made: 5, lost: [{ field: "note", records: 1 }] }, true],
])("%j needs a reason: %s", (report, needs) => expect(needsWhy(report)).toBe(needs));

test("each state says where new records go", () => {
  expect(stateInWords("cutting", 10, "Old ERP", "New ERP")).toMatch(/^10 of a hundred new records go to New ERP/);
  expect(stateInWords("back", 0, "Old ERP", "New ERP")).toMatch(/new records go to Old ERP/);
});
