import { expect, test } from "vitest";
import { reopened } from "./reopened";

const stale = (count: number) => ({ code: "overtaken", count, why: "A later version took its place." });

test("it is said how many are open again, and of those that stay how many and why", () => {
  expect(reopened([{ count: 1, hasMore: false, stay: [] }])).toBe("1 exception is open again.");
  expect(reopened([{ count: 1_200, hasMore: false, stay: [stale(1)] }])).toBe("1,200 exceptions are open again. 1 stays ignored: A later version took its place.");
  expect(reopened([{ count: 0, hasMore: false, stay: [stale(3)] }])).toBe("Nothing was opened again. 3 stay ignored: A later version took its place.");
});

test("what was done cause by cause is said as one", () => {
  const two = [
    { count: 2, hasMore: false, stay: [stale(1)] },
    { count: 3, hasMore: true, stay: [stale(4)] },
  ];
  expect(reopened(two)).toBe("5 exceptions are open again. 5 stay ignored: A later version took its place. More can be opened again: do it again for them.");
});
