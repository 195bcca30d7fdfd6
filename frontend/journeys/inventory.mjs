// Inventory: what is the stock and who sells it is said once; then each item is added up.
import assert from "node:assert/strict";
import { sql } from "./database.mjs";
import { heading, until } from "./journeys.mjs";
import { inBothThemes, look, visit } from "./page.mjs";

export const inventory = {
  async what_is_the_stock_is_said_and_an_item_is_kept_back_in_inventory({ page, stack }) {
    await page.keyboard.press("g");
    await page.keyboard.press("n");
    await heading(page, "Inventory");
    await page.getByText("The stock is not set up yet").waitFor();
    await look(page, "inventory-empty");
    await page.getByRole("link", { name: "Set up the stock" }).click();
    await heading(page, "Stock, sellers and what is kept back");
    const keep = page.getByRole("button", { name: "Keep the policy" });
    assert.equal(await keep.isDisabled(), true);
    await page.getByLabel("Add to the stock").selectOption({ label: "Acme ERP" });
    await page.getByLabel("Add a seller").selectOption({ label: "Acme shop" });
    await page.getByRole("region", { name: "Sellers" }).getByLabel("Buffer", { exact: true }).fill("many");
    await keep.click();
    await page.getByText("A quantity is written like 12 or 2.5.").waitFor();
    await page.getByRole("region", { name: "Sellers" }).getByLabel("Buffer", { exact: true }).fill("1");
    await page.getByLabel("Safety stock").fill("2");
    await page.getByLabel(/^Seconds/).fill("0");
    await inBothThemes(page, "inventory-policy");
    await keep.click();
    await page.getByText("The policy is kept, and everything is added up anew.").waitFor();
    await page.getByText(/^What a seller may offer is said by a connection of its own \(Stock for Acme shop\)/).waitFor();
    const items = page.getByRole("region", { name: "Items" });
    const item = items.getByRole("row").filter({ hasText: "HAT-M" });
    await until("the items of open orders are added up", async () => {
      await visit(page, `${stack.url}/t/acme/inventory`);
      return (await item.count()) === 1;
    });
    await item.getByText("no stock says").waitFor();
    // The demo's ERP tells no levels: one of its warehouse, which has less on hand than open orders want.
    sql(stack, "INSERT INTO inventory_facts (tenant_id, record_id, sku, location, kind, connection_id, on_hand) SELECT c.tenant_id, r.id, 'hat-m', 'EAST', 'level', c.id, 1 FROM connections c, LATERAL (SELECT id FROM records WHERE tenant_id = c.tenant_id ORDER BY id LIMIT 1) r WHERE c.name = 'Acme ERP'");
    sql(stack, "UPDATE inventory_items SET check_at = now() WHERE sku = 'hat-m'");
    await item.getByText("at risk").waitFor({ timeout: 40_000 });
    // The address says whether it is checked, a moment after it is pressed.
    await page.getByRole("checkbox", { name: "At risk only" }).click();
    await until("only what is at risk is shown", async () => (await items.getByRole("row").count()) === 2);
    await page.getByRole("checkbox", { name: "At risk only" }).click();
    await inBothThemes(page, "inventory");
    await page.getByLabel("Search by SKU").fill("hat-");
    await items.getByRole("row").filter({ hasText: "BAG-L" }).waitFor({ state: "detached" });
    await item.getByRole("button", { name: "HAT-M" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("More was sold than is there").waitFor();
    await dialog.getByRole("link", { name: "Acme ERP, EAST" }).waitFor();
    await dialog.getByLabel("How much").fill("a few");
    await dialog.getByRole("button", { name: "Keep it back" }).click();
    await dialog.getByText("A quantity is written like 12 or 2.5.").waitFor();
    await dialog.getByLabel("How much").fill("5");
    await dialog.getByRole("button", { name: "Keep it back" }).click();
    await dialog.locator("dd", { hasText: /^5$/ }).waitFor();
    await look(page, "inventory-item");
    await dialog.getByRole("button", { name: "As the policy says" }).click();
    await dialog.locator("dd", { hasText: /^2$/ }).waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.setViewportSize({ width: 390, height: 844 });
    await visit(page, `${stack.url}/t/acme/inventory`);
    await look(page, "inventory-telephone");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    await page.setViewportSize({ width: 1440, height: 900 });
  },
};
