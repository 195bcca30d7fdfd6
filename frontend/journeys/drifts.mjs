// Drift: a field that no order had until now, and a text longer than any before that a flow reads, are said, with who reads them, also where those are
// looked at; and are right from then on.
import assert from "node:assert/strict";
import { heading, until } from "./journeys.mjs";
import { inBothThemes, quiet, visit } from "./page.mjs";
import { send } from "./shop.mjs";

/** As long as an address may well be. */
const LONG = `${"n".repeat(60)}@${"m".repeat(60)}.${"k".repeat(60)}.example`;

/** All that is said beside a flow: what may break most stands there, and the rest of it on demand. */
async function sayAll(region) {
  const more = region.getByRole("button", { name: /^Show [\d,]+ more$/ });
  if (await more.isVisible()) await more.click();
}

export const drifts = {
  async a_field_that_no_order_had_is_said_and_taken_as_right({ page, stack }) {
    await send(stack.hookUrl, 6_300, (order) => {
      order.delivery_window = { from: "08:00", until: "12:00" };
      order.customer.email = LONG;
    });
    await until("the notice", async () => {
      await visit(page, `${stack.url}/t/acme/drifts`);
      await heading(page, "Drift");
      return (await page.getByText("delivery_window").first().isVisible()) && (await page.getByText("customer.email").first().isVisible());
    }, 60_000);
    await inBothThemes(page, "drifts");
    const notice = page.getByRole("article").filter({ hasText: "delivery_window" }).first();
    await notice.getByRole("button", { name: "What is done about it" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("When it drifts").selectOption("It is said, and what shows it waits for a person");
    await dialog.getByRole("button", { name: "Keep it" }).click();
    await page.getByText("It is done so from now on.").waitFor();
    await notice.getByRole("button", { name: "Accept it" }).click();
    await page.getByText(/^It is normal from now on/).waitFor();
    await notice.waitFor({ state: "detached" });

    // Whoever looks at the flow that reads it, or at its rules, need not know that there is a page of drifts.
    const longer = page.getByRole("article").filter({ hasText: "customer.email" }).first();
    await longer.getByRole("link", { name: /orders: shopify/ }).first().waitFor();
    const said = await longer.getByRole("heading").innerText();
    const region = page.getByRole("region", { name: "Drift", exact: true });
    const beside = region.getByText(said, { exact: true });
    const isSaid = async () => {
      await region.waitFor();
      await sayAll(region);
      await beside.waitFor();
    };
    await visit(page, `${stack.url}/t/acme/flows`);
    await page.getByRole("link", { name: /orders: shopify/ }).click();
    await isSaid();
    await inBothThemes(page, "flow-drifts");
    await page.getByRole("link", { name: "Edit the mapping" }).click();
    await heading(page, /^Mapping of orders/);
    await page.getByRole("tab", { name: /^Reads/ }).click();
    await isSaid();
    await page.getByRole("link", { name: "See what is different" }).first().click();
    await heading(page, "Drift");
    const accepted = page.getByRole("article").filter({ hasText: said });
    await accepted.getByRole("button", { name: "Accept it" }).click();
    await accepted.waitFor({ state: "detached" });
    await visit(page, `${stack.url}/t/acme/flows`);
    await page.getByRole("link", { name: /orders: shopify/ }).click();
    await page.getByRole("heading", { name: "Versions" }).waitFor();
    await quiet(page);
    await sayAll(region);
    assert.equal(await beside.count(), 0, "what was accepted is not said any more");
  },
};
