import { expect, test } from "vitest";
import { money } from "./money";

test.each([
  ["1234567.5", "EUR", "1,234,567.50 EUR"],
  ["120.74", "USD", "120.74 USD"],
  ["666212", "JPY", "666,212 JPY"],
  ["1.5", "KWD", "1.500 KWD"],
  ["-0.125", "USD", "-0.125 USD"],
  ["12.3400", "EUR", "12.34 EUR"],
  ["0", "EUR", "0.00 EUR"],
  ["90071992547409931234.05", "USD", "90,071,992,547,409,931,234.05 USD"],
  ["5", null, "5"],
  ["3.10", "POINTS", "3.10 POINTS"],
  ["not a number", "EUR", "not a number EUR"],
])("%s %s is shown as %s", (amount, currency, shown) => {
  expect(money(amount, currency)).toBe(shown);
});
