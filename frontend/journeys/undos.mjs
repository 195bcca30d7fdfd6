// Undo: a version that sent what was wrong is rolled back, and what it did at the destination is looked at, approved and written back.
import assert from "node:assert/strict";
import { asDeveloper, heading, until } from "./journeys.mjs";
import { inBothThemes, look, visit } from "./page.mjs";
import { send } from "./shop.mjs";

const ORDERS = [6_700, 6_701];

/** A version with a wrong note, published over whatever the demo's flow says, by which two orders go out; then the one before runs again. */
async function publishWrong(stack) {
  const { ask } = await asDeveloper(stack);
  const { flows } = await ask("{ flows(first: 15) { nodes { id name published { version } versions { version mapping } } } }", {});
  const flow = flows.nodes.find(({ name }) => name.startsWith("orders: shopify"));
  const before = flow.published.version;
  const { mapping } = flow.versions.find(({ version }) => version === before);
  const act = async (name, query, values) => {
    const result = await ask(query, values);
    assert.deepEqual(result[name].userErrors, [], name);
    return result[name];
  };
  const input = { mapping: [...mapping, { to: "memo", expr: "concat(number, ' wrong')" }], note: "A note for everybody" };
  await act("flowDraft", "mutation($id: ID!, $input: FlowDraftInput!) { flowDraft(id: $id, input: $input) { userErrors { message } } }", { id: flow.id, input });
  const { flow: made } = await act("flowPublish", "mutation($id: ID!) { flowPublish(id: $id) { flow { published { version } } userErrors { message } } }", { id: flow.id });
  for (const number of ORDERS) await send(stack.hookUrl, number, () => undefined);
  await until("both are confirmed by it", async () => {
    const found = await Promise.all(ORDERS.map((number) => ask("query($text: String!) { search(text: $text, first: 1) { record { deliveries(first: 1) { nodes { state } } } } }", { text: String(number) })));
    return found.every(({ search }) => search[0]?.record.deliveries.nodes[0]?.state === "confirmed");
  });
  await act("flowRollBack", "mutation($id: ID!, $version: Int!) { flowRollBack(id: $id, version: $version) { userErrors { message } } }", { id: flow.id, version: before });
  return { id: flow.id, version: made.published.version };
}

export const undos = {
  async what_a_wrong_version_did_is_seen_approved_and_undone_item_by_item({ page, stack }) {
    const wrong = await publishWrong(stack);
    await visit(page, `${stack.url}/t/acme/flows/${wrong.id}`);
    const begin = page.getByRole("button", { name: `Undo what version ${wrong.version} did` });
    await begin.click();
    const dialog = page.getByRole("dialog");
    await look(page, "undo-prepare");
    await dialog.getByRole("button", { name: "Prepare it" }).click();
    await heading(page, new RegExp(`^Undo of version ${wrong.version} of orders`));
    await page.getByText(/^It is prepared, and a person decides/).waitFor({ timeout: 40_000 });
    await page.getByText(/Of 2 deliveries 2 would be written/).waitFor();
    await page.getByRole("region", { name: "Items" }).getByRole("button", { name: "#6700" }).click();
    await dialog.getByText("#6700 wrong").waitFor();
    await look(page, "undo-item");
    await dialog.getByRole("button", { name: "Close" }).click();
    await inBothThemes(page, "undo");
    // Decided against, nothing was sent; a second one is prepared and approved.
    await page.getByRole("button", { name: "Cancel it" }).click();
    await dialog.getByRole("button", { name: "Cancel the undo" }).click();
    await page.getByText("It was cancelled. Nothing was sent.").waitFor();
    await page.getByRole("link", { name: "The flow" }).click();
    await page.getByRole("region", { name: "Undos" }).getByText("cancelled").waitFor();
    await begin.click();
    await dialog.getByRole("button", { name: "Prepare it" }).click();
    await page.getByText(/^It is prepared, and a person decides/).waitFor({ timeout: 40_000 });
    await page.getByRole("button", { name: "Approve" }).click();
    await dialog.getByLabel("Why").fill("The note was for nobody");
    await look(page, "undo-approve");
    await dialog.getByRole("button", { name: "Approve" }).click();
    await page.getByText(/^It is done/).waitFor({ timeout: 60_000 });
    await page.getByText(/The note was for nobody/).waitFor();
    await page.getByLabel("Which").selectOption("cannot");
    await page.getByText("None is of this kind").waitFor();
    await look(page, "undo-done");
    await page.setViewportSize({ width: 390, height: 844 });
    await page.reload();
    await heading(page, new RegExp(`^Undo of version ${wrong.version} of orders`));
    await look(page, "undo-telephone");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    await page.setViewportSize({ width: 1440, height: 900 });
  },
};
