import { expect, test } from "vitest";
import { inWords } from "./erasure";

test("what is erased is told in words, and what has none by its name", () => {
  expect(inWords({ place: "messages", rows: 1 })).toBe("1 message as it came");
  expect(inWords({ place: "record_revisions", rows: 1200 })).toBe("1,200 documents of records");
  expect(inWords({ place: "tomorrows_table", rows: 2 })).toBe("2 tomorrows_table");
});
