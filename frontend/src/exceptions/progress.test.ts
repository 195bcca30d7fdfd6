import { expect, test } from "vitest";
import { meanwhile, stopped } from "./progress";

test("of several causes it is said how many are done, and of one what is worked on", () => {
  expect(meanwhile({ done: 0, count: 0, of: 1 }, 600)).toBe("Working on 600 exceptions.");
  expect(meanwhile({ done: 0, count: 0, of: 3 }, 9)).toBe("0 of 3 causes are done, with 0 exceptions.");
  expect(meanwhile({ done: 2, count: 1_204, of: 5 }, 1_500)).toBe("2 of 5 causes are done, with 1,204 exceptions.");
});

test("what was done before it stopped is said, where there is any", () => {
  expect(stopped({ done: 0, count: 0, of: 3 }, true)).toBeNull();
  expect(stopped({ done: 3, count: 9, of: 3 }, true)).toBeNull();
  expect(stopped({ done: 1, count: 1, of: 3 }, true)).toBe("It stopped after 1 of 3 causes: 1 exception is done, the others are as they were.");
  expect(stopped({ done: 2, count: 40, of: 3 }, false)).toBe("It stopped after 2 of 3 causes: 40 exceptions are done, whether the next cause is, nobody knows until it is looked at.");
});
