import { expect, test } from "vitest";
import { sentencesOf } from "./match";

test("a policy says what may be off and what is waited for", () => {
  expect(sentencesOf({ billsAfterShipping: true, quantityPercent: "0", amount: "0.05", amountPercent: "1", billWithinDays: 14 })).toEqual([
    "An invoice comes after its goods: what is billed and not shipped is an exception.",
    "Quantities must agree.",
    "Prices and totals may be off by 0.05 in the order’s currency, or by 1 % where that is more.",
    "What was shipped is billed within 14 days.",
  ]);
  expect(sentencesOf({ billsAfterShipping: false, quantityPercent: "2.5", amount: "0", amountPercent: "0", billWithinDays: null }).slice(1)).toEqual([
    "Quantities may be off by 2.5 %.",
    "Prices and totals may be off by 0 in the order’s currency.",
    "Nobody waits for an invoice.",
  ]);
});
