// What is billed, by month: for whoever pays for it, too.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { colleague } from "./database.mjs";
import { heading } from "./journeys.mjs";
import { inBothThemes, look, visit } from "./page.mjs";

export const usage = {
  async what_is_billed_is_seen_by_month_in_usage_by_whoever_pays_for_it({ page, browser, stack }) {
    await page.keyboard.press("g");
    await page.keyboard.press("u");
    await heading(page, "Usage");
    const row = page.getByRole("region", { name: "What was counted" }).getByRole("row").filter({ hasText: "Deliveries confirmed" });
    await row.waitFor();
    assert.ok(Number((await row.getByRole("cell").nth(1).innerText()).replaceAll(",", "")) >= 50, await row.innerText());
    await page.getByRole("region", { name: "Usage by month" }).getByRole("row").nth(13).waitFor();
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download as a sheet" }).click();
    const sheet = await readFile(await (await download).path(), "utf8");
    assert.match(sheet, /^month,message_accepted,delivery_confirmed,vendor_call\r\n\d{4}-\d\d,\d+,\d+,\d+\r\n/);
    assert.equal(sheet.trim().split("\r\n").length, 14);
    await inBothThemes(page, "usage");
    await page.getByLabel("Month", { exact: true }).selectOption({ index: 2 });
    await page.getByText(/^Nothing was counted in/).waitFor();
    await look(page, "usage-empty");
    colleague(stack, "bill@acme.example", "billing");
    const context = await browser.newContext({ viewport: { width: 390, height: 844 }, reducedMotion: "reduce", bypassCSP: true });
    const other = await context.newPage();
    await other.goto(stack.url);
    await other.getByLabel("E-mail").fill("bill@acme.example");
    await other.getByLabel("Password").fill(stack.password);
    await other.getByRole("button", { name: "Sign in" }).click();
    // Who sees nothing else begins here, and is offered nothing else.
    await heading(other, "Usage");
    await other.getByRole("row").filter({ hasText: "Calls to vendors" }).first().waitFor();
    await other.getByRole("button", { name: "Pages" }).click();
    assert.deepEqual(await other.getByRole("navigation", { name: "Pages" }).getByRole("link").allInnerTexts(), ["Usage", "Settings"]);
    await look(other, "usage-telephone");
    assert.equal(await other.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    await visit(other, `${stack.url}/t/acme/settings`);
    await other.getByText("Where you are signed in").waitFor();
    await context.close();
  },
};
