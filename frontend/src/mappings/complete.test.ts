import { expect, test } from "vitest";
import { offerExpression, offerPaths } from "./complete";
import { FUNCTIONS } from "./functions.generated";

const KNOWN = { paths: ["totals.grand", "totals.tax", "customer.email"], tables: ["SKUs", "Currencies"] };
const texts = (text: string, cursor = text.length) => offerExpression(text, cursor, KNOWN).choices.map((one) => one.text);

test("a path is offered by its beginning first, then by any part", () => {
  expect(offerPaths("tot", KNOWN.paths).choices.map((one) => one.text)).toEqual(["totals.grand", "totals.tax"]);
  expect(offerPaths("email", KNOWN.paths).choices.map((one) => one.text)).toEqual(["customer.email"]);
});

test("in an expression fields and functions are offered for the word at the cursor", () => {
  expect(texts("1 + totals.t")).toEqual(["totals.tax"]);
  expect(texts("low")).toEqual(["lower(t)"]);
  const offer = offerExpression("a & low", 7, KNOWN);
  expect([offer.from, offer.to, offer.choices[0]?.insert]).toEqual([4, 7, "lower("]);
  expect(texts("$ro")).toEqual(["$root"]);
});

test("in a text nothing is offered, except the names of tables where one belongs", () => {
  expect(texts("'tot")).toEqual([]);
  expect(texts("lookup('sk")).toEqual(["SKUs"]);
  expect(texts("fx(totals.grand, currency, 'USD', \"cur")).toEqual(["Currencies"]);
  expect(offerExpression("lookup('", 8, KNOWN).choices[0]?.insert).toBe("SKUs'");
  expect(texts("12")).toEqual([]);
});

test("every function of the guide is known", () => {
  expect(new Set(FUNCTIONS.map((one) => one.name)).size).toBeGreaterThanOrEqual(38);
  expect(FUNCTIONS.find((one) => one.name === "round_money")?.about).toMatch(/^rounded to the currency's places/);
});
