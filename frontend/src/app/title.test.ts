import { expect, test } from "vitest";
import { titleOf } from "./title";

test("a page is titled by its heading, in one short line, and by the product's name where it has none yet", () => {
  expect([titleOf("Order  #1042\n"), titleOf(null), titleOf(" "), titleOf("<script>")]).toEqual(["Order #1042 · Crossdock", "Crossdock", "Crossdock", "<script> · Crossdock"]);
  expect(titleOf("x".repeat(200))).toBe(`${"x".repeat(79)}… · Crossdock`);
  expect(titleOf("Exceptions", "acme")).toBe("In the place of acme · Exceptions · Crossdock");
});
