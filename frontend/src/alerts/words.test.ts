import { expect, test } from "vitest";
import { conditions, minutes, quietHoursOf } from "./words";

test("a rule is read as a sentence", () => {
  expect(conditions({})).toBe("Every cause");
  expect(conditions({ countMin: 50, moneyMin: { amount: "10000.50", currency: "EUR" } }, ["it is at Acme ERP"])).toBe("A cause where it is at Acme ERP, and at least 50 are open, and at least 10,000.50 EUR are at stake");
  expect(conditions({ codePrefix: "authentication.", owner: "operations", ageMinMinutes: 90 })).toBe("A cause where its code begins with authentication., and it is for operations, and the oldest is open for 90 minutes");
});

test.each([[1, "1 minute"], [90, "90 minutes"], [120, "2 hours"], [1_440, "1 day"]])("%d minutes are %s", (count, said) => expect(minutes(count)).toBe(said));

test("quiet hours are written a line each", () => {
  expect(quietHoursOf("22:00 to 07:00\n\n 12:00-13:00 Sat, Sun ")).toEqual([
    { from: "22:00", until: "07:00", days: [] },
    { from: "12:00", until: "13:00", days: ["Sat", "Sun"] },
  ]);
  expect(quietHoursOf("")).toEqual([]);
});
