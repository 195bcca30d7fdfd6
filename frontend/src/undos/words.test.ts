import { expect, test } from "vitest";
import { counts, personIn, sends, stateInWords } from "./words";

const report = { deliveries: 412, restore: 400, correct: 5, created: 0, same: 7 };

test("what will be written comes first, and what is nothing is left out", () => {
  expect(counts(report)).toEqual([{ kind: "restore", count: 400 }, { kind: "correct", count: 5 }, { kind: "same", count: 7 }]);
  expect(sends(report)).toBe(405);
  expect(counts({})).toEqual([]);
});

test("each state says whether anything was sent", () => {
  expect(stateInWords("prepared", report)).toBe("It is prepared, and a person decides. Of 412 deliveries 405 would be written. Nothing was sent yet.");
  expect(stateInWords("preparing", {})).toMatch(/0 deliveries were looked at/);
  expect(stateInWords("cancelled", report)).toMatch(/Nothing was sent/);
});

test("whoever did it is named where they are still here", () => {
  const user = `usr_${"0".repeat(32)}`;
  expect(personIn({ kind: "member", user, role: "owner" }, [{ userId: user, name: "", email: "ann@acme.example" }])).toBe("ann@acme.example");
  expect(personIn({ kind: "member", user }, [])).toBe("somebody who left");
  expect(personIn(null, [])).toBe("an operator of the installation");
});
