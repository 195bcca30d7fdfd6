// A swap: the destination of a flow is replaced by another account while orders come, in steps that each can be looked at and taken back.
import assert from "node:assert/strict";
import { asDeveloper, heading, until } from "./journeys.mjs";
import { inBothThemes, look, visit } from "./page.mjs";
import { send } from "./shop.mjs";

// As the demo's ERP has them: tests/src/simulator/erp.rs.
const CREDENTIAL = { consumer_key: "demo-consumer-key", consumer_secret: "demo-consumer-secret", token_id: "demo-token-id", token_secret: "demo-token-secret" };

/** Another account at the vendor of the demo's ERP. */
async function secondAccount(stack, name) {
  const { ask } = await asDeveloper(stack);
  const { connections, flows } = await ask("{ connections(first: 50) { nodes { name connector settings } } flows(first: 15) { nodes { id name } } }", {});
  const erp = connections.nodes.find((one) => one.name === "Acme ERP");
  const create = "mutation($input: ConnectionCreateInput!) { connectionCreate(input: $input) { userErrors { field message } } }";
  const { connectionCreate } = await ask(create, { input: { connector: erp.connector, name, settings: erp.settings, credential: CREDENTIAL } });
  assert.deepEqual(connectionCreate.userErrors, []);
  return flows.nodes.find((one) => one.name.startsWith("orders: shopify")).id;
}

export const swaps = {
  async a_destination_is_swapped_step_by_step_and_given_up_again({ page, stack }) {
    const flowId = await secondAccount(stack, "New ERP");
    await visit(page, `${stack.url}/t/acme/flows/${flowId}`);
    await page.getByRole("link", { name: "Replace the destination" }).click();
    await heading(page, /^Replace the destination of orders/);
    await page.getByLabel("The candidate").selectOption({ label: "New ERP (netsuite)" });
    await page.getByRole("region", { name: "Gaps" }).waitFor();
    await inBothThemes(page, "swap-new");
    await page.getByRole("button", { name: "Begin the swap" }).click();
    await heading(page, "From Acme ERP to New ERP");
    await page.getByText("Nothing runs by it yet").first().waitFor();
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Change the rules" }).click();
    await dialog.getByLabel("Rules").fill("[{");
    await dialog.getByRole("button", { name: "Keep the rules" }).click();
    await dialog.getByText(/^This is no JSON/).waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await page.getByRole("button", { name: "Let the shadow run" }).click();
    await dialog.getByRole("button", { name: "Let it run" }).click();
    await page.getByText("is made too, and not sent").first().waitFor();
    await send(stack.hookUrl, 6_750, () => undefined);
    await until("the shadow sees an order", async () => /[1-9]\d* (have|has) a request on both sides/.test(await page.getByRole("region", { name: "Shadow" }).innerText()), 60_000);
    await inBothThemes(page, "swap-shadow");
    await page.getByRole("button", { name: "Cut over" }).click();
    await dialog.getByLabel("Percent").fill("10");
    const why = dialog.getByLabel("Why");
    await why.fill("A first tenth, on a quiet day");
    await look(page, "swap-cut");
    await dialog.getByRole("button", { name: "Cut over" }).click();
    await page.getByText(/^10 of a hundred new records go to New ERP/).waitFor();
    await inBothThemes(page, "swap-cutting");
    await page.getByRole("button", { name: "Give it up" }).click();
    await dialog.getByLabel("Why").fill("The other account stays");
    await dialog.getByRole("button", { name: "Give it up" }).click();
    await page.getByText(/^It was given up/).waitFor();
    await page.getByRole("link", { name: "The flow" }).click();
    await page.getByRole("region", { name: "Swaps" }).getByText("back").waitFor();
    await page.setViewportSize({ width: 390, height: 844 });
    await page.getByRole("link", { name: "To New ERP" }).click();
    await heading(page, "From Acme ERP to New ERP");
    await look(page, "swap-telephone");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    await page.setViewportSize({ width: 1440, height: 900 });
  },
};
