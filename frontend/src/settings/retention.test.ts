import { expect, test } from "vitest";
import { kept, takesMore } from "./retention";

test("a rule says in words what becomes of events", () => {
  expect(kept({ keepDays: null, legalHold: null })).toBe("For ever: no event is ever removed.");
  expect(kept({ keepDays: 400, legalHold: null })).toBe("Events are removed 400 days after they were sealed, within a day.");
});

test.each([
  [null, 400, true],
  [400, 30, true],
  [400, 400, false],
  [30, 400, false],
  [30, null, false],
  [null, null, false],
])("from %s days to %s takes more: %s", (before, after, isMore) => expect(takesMore(before, after)).toBe(isMore));
