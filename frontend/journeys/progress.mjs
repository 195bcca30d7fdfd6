// What takes its time says what it does meanwhile, how far it is where that is known, and what came of it also to whoever has closed its form.
import assert from "node:assert/strict";
import { asDeveloper, heading, until } from "./journeys.mjs";
import { look, notice, visit } from "./page.mjs";
import { send, withSku } from "./shop.mjs";

/** Holds requests of this operation back from the one with the number on, until they are let go, or are lost. */
async function hold(page, operation, from = 1) {
  let [came, letGo] = [0, () => undefined];
  const end = new Promise((resolve) => (letGo = resolve));
  const held = [];
  const wait = (route) => {
    if (!route.request().postData()?.includes(operation) || (came += 1) < from) return route.fallback();
    const handled = end.then((isLost) => (isLost ? route.abort() : route.fallback()));
    held.push(handled);
    return handled;
  };
  await page.route("**/graphql", wait);
  return async (isLost = false) => {
    letGo(isLost);
    await Promise.all(held);
    await page.unroute("**/graphql", wait);
  };
}

async function bothCauses(page, stack, numbers, sku) {
  for (const [index, number] of numbers.entries()) await send(stack.hookUrl, number, withSku(`${sku}-${index}`));
  await until("both causes", async () => {
    await visit(page, `${stack.url}/t/acme/exceptions?text=${sku}-`);
    return (await page.getByRole("region", { name: "Causes" }).getByRole("row").count()) === numbers.length + 1;
  });
  await page.keyboard.press("X");
  await page.getByRole("toolbar", { name: "Acts" }).getByText(`${numbers.length} causes, ${numbers.length} exceptions`).waitFor();
}

export const progress = {
  async a_file_that_is_read_in_says_so_meanwhile_and_what_came_of_it_after_its_form_was_closed({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    const { lookupTableCreate } = await ask("mutation($name: String!) { lookupTableCreate(name: $name) { lookupTable { id } userErrors { message } } }", { name: "Many" });
    await visit(page, `${stack.url}/t/acme/lookup-tables/${lookupTableCreate.lookupTable.id}`);
    await heading(page, "Many");
    await page.getByRole("button", { name: "Import a file" }).click();
    const dialog = page.getByRole("dialog");
    const rows = Array.from({ length: 2_000 }, (_, index) => `sku-${index},${index}`).join("\n");
    await dialog.getByLabel("File", { exact: true }).setInputFiles({ name: "many.csv", mimeType: "text/csv", buffer: Buffer.from(rows) });
    const read = await hold(page, "mutation LookupTableImport");
    await dialog.getByRole("button", { name: "What would it do?" }).click();
    const said = dialog.getByRole("status").filter({ hasText: "rows" });
    await said.getByText("Reading 2,000 rows. Nothing is written.").waitFor();
    await dialog.getByText(/It has taken \d+ s until now/).waitFor();
    await look(page, "lookup-import-reading");
    await read();
    await dialog.getByText("2,000 would be added").waitFor();
    await said.waitFor({ state: "detached" });
    const write = await hold(page, "mutation LookupTableImport");
    await dialog.getByRole("button", { name: "Import", exact: true }).click();
    await said.getByText(/^Writing 2,000 rows as one version, all of it or nothing\. It goes on if you close this\./).waitFor();
    await dialog.getByText("2,000 would be added").waitFor();
    assert.equal(await dialog.getByRole("button", { name: "Importing…" }).isDisabled(), true);
    await inBothThemesOfDialog(page, "lookup-import-writing");
    await dialog.getByRole("button", { name: "Close" }).click();
    await dialog.waitFor({ state: "detached" });
    await write();
    await notice(page, "2,000 entries were added, 0 changed and 0 taken away.");
    await page.getByText(/2,000 entries in version/).waitFor();

    // What was refused after it was closed is told, too: somebody else was faster.
    await page.getByRole("button", { name: "Import a file" }).click();
    await dialog.getByLabel("Or paste its rows").fill("sku-0,9\n");
    await dialog.getByRole("button", { name: "What would it do?" }).click();
    await dialog.getByText(/1 changed/).waitFor();
    const late = await hold(page, "mutation LookupTableImport");
    await dialog.getByRole("button", { name: "Import", exact: true }).click();
    await dialog.getByRole("button", { name: "Close" }).click();
    await ask('mutation($id: ID!) { lookupEntriesSet(id: $id, entries: [{ from: "sku-1", to: "8" }]) { userErrors { message } } }', { id: lookupTableCreate.lookupTable.id });
    await late();
    await notice(page, /^Nothing was imported into “Many”\./);
    await look(page, "lookup-import-late");
    await ask("mutation($id: ID!) { lookupTableDelete(id: $id) { userErrors { message } } }", { id: lookupTableCreate.lookupTable.id });
  },

  async an_act_on_several_causes_says_how_far_it_is_and_what_was_done_before_it_stopped({ page, stack }) {
    await bothCauses(page, stack, [6_940, 6_941], "FAR");
    const dialog = page.getByRole("dialog");
    const second = await hold(page, "mutation ExceptionComment", 2);
    await page.keyboard.press("c");
    await dialog.getByLabel("What is to be known").fill("The shop knows");
    await dialog.getByRole("button", { name: "Comment" }).click();
    await dialog.getByText(/^1 of 2 causes are done, with 1 exception\. It goes on if you close this\./).waitFor();
    await inBothThemesOfDialog(page, "act-progress");
    // It is lost on its way: what was done before is said.
    await second(true);
    await dialog.getByText("It stopped after 1 of 2 causes: 1 exception is done, whether the next cause is, nobody knows until it is looked at.").waitFor();
    await look(page, "act-stopped");
    await page.keyboard.press("Escape");
    await dialog.waitFor({ state: "detached" });

    const last = await hold(page, "mutation ExceptionIgnore", 2);
    await page.keyboard.press("i");
    await dialog.getByLabel("Why").fill("Test orders");
    await dialog.getByRole("button", { name: "Ignore" }).click();
    await dialog.getByText(/^1 of 2 causes are done/).waitFor();
    await dialog.getByRole("button", { name: "Close" }).click();
    await dialog.waitFor({ state: "detached" });
    // Another form that is opened meanwhile is not closed by it.
    await page.keyboard.press("?");
    await dialog.waitFor();
    await last();
    await notice(page, "2 exceptions will not be sent.");
    assert.equal(await dialog.count(), 1);
    await page.keyboard.press("Escape");
    await page.getByText("No cause fits").waitFor();
  },
};

/** Behind a dialog no button is pressed, so the theme is set by itself. */
async function inBothThemesOfDialog(page, name) {
  await look(page, name);
  const theme = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.evaluate((other) => { document.documentElement.dataset.theme = other; }, theme === "dark" ? "light" : "dark");
  await look(page, name, true);
  await page.evaluate((before) => { document.documentElement.dataset.theme = before; }, theme);
}
