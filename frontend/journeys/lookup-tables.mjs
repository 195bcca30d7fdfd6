// Lookup tables: values that wait are answered from the inbox, a file is read in after it was tried, and a version is said again.
import assert from "node:assert/strict";
import { heading, until } from "./journeys.mjs";
import { inBothThemes, look } from "./page.mjs";
import { send, withSku } from "./shop.mjs";

export const lookupTables = {
  async a_value_that_deliveries_wait_for_is_answered_once_for_all({ page, stack }) {
    for (let number = 6_000; number < 6_003; number += 1) await send(stack.hookUrl, number, withSku("hat m"));
    await page.keyboard.press("g");
    await page.keyboard.press("l");
    await heading(page, "Lookup tables");
    const row = page.getByRole("region", { name: "Inbox" }).getByRole("row").filter({ hasText: "hat m" });
    await until("all three in one row", async () => /^3 since/m.test(await row.getByRole("cell").nth(1).innerText({ timeout: 1_000 }).catch(() => "")));
    // What it may mean is offered, and nothing is taken that was not chosen.
    await row.getByRole("button", { name: "HAT-M: 1002" }).click();
    await inBothThemes(page, "lookup-tables");
    await row.getByRole("button", { name: "Add and retry all" }).click();
    await page.getByText("“hat m” is in the table “SKUs”, and 3 go on.").waitFor();
    await row.waitFor({ state: "detached" });
  },

  async a_table_is_filled_from_a_file_that_was_tried_first_and_goes_back_to_what_it_said({ page }) {
    await page.keyboard.press("g");
    await page.keyboard.press("l");
    await heading(page, "Lookup tables");
    await page.getByRole("button", { name: "New table" }).click();
    await page.getByRole("dialog").getByLabel("Name").fill("SKUs");
    await page.getByRole("button", { name: "Make the table", exact: true }).click();
    await page.getByRole("dialog").getByRole("alert").waitFor();
    await page.getByRole("dialog").getByLabel("Name").fill("Carriers");
    await page.getByRole("button", { name: "Make the table", exact: true }).click();
    await page.getByRole("link", { name: "Carriers" }).click();
    await heading(page, "Carriers");
    await page.getByText("The table is empty").waitFor();
    await page.getByRole("button", { name: "Import a file" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Or paste its rows").fill("from,to\nups,007\ndhl\n=cmd,9007199254740993123\n");
    await dialog.getByRole("button", { name: "What would it do?" }).click();
    await dialog.getByText("1 rows are bad").waitFor();
    await look(page, "lookup-import");
    await dialog.getByRole("checkbox", { name: "Leave them out" }).check();
    await dialog.getByRole("button", { name: "Import", exact: true }).click();
    await page.getByText(/2 entries were added/).waitFor();
    // Digits stay text: leading zeros, and more of them than a number holds.
    await page.getByRole("cell", { name: "007", exact: true }).waitFor();
    await page.getByRole("cell", { name: "9007199254740993123", exact: true }).waitFor();
    await page.getByRole("button", { name: "Change ups" }).click();
    await dialog.getByLabel("Becomes").fill("008");
    await dialog.getByRole("button", { name: "Keep it" }).click();
    await page.getByRole("cell", { name: "008", exact: true }).waitFor();
    await inBothThemes(page, "lookup-table");
    await page.getByRole("button", { name: "Back to 2", exact: true }).click();
    await page.getByRole("cell", { name: "007", exact: true }).waitFor();
    await page.getByLabel("Search entries").fill("nothing like it");
    await page.getByText("No entry has “nothing like it”").waitFor();
    await page.getByLabel("Search entries").fill("");
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Export" }).click();
    assert.equal((await download).suggestedFilename(), "Carriers.csv");
  },
};
