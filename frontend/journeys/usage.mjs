// What is billed, by month: for whoever pays for it, too.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { colleague, sql } from "./database.mjs";
import { heading, nothingBut } from "./journeys.mjs";
import { inBothThemes, look, open, TELEPHONE, visit } from "./page.mjs";

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
    const { context, page: other } = await open(browser, "light", TELEPHONE);
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
    // The overview is asked for before it is known who is here.
    nothingBut("the role billing may not do this");
  },

  async invoices_say_line_by_line_what_the_usage_costs_on_screen_as_a_sheet_and_on_paper({ page, browser, stack }) {
    await visit(page, `${stack.url}/t/acme/usage/invoices`);
    await page.getByRole("heading", { name: "No plan is agreed" }).waitFor();
    await look(page, "invoices-none");
    // As `crossdock plan agree` does it: from within the month before the last one that is closed, as each is a day after its end.
    const closed = "date_trunc('month', (now() AT TIME ZONE 'UTC') - interval '1 day')";
    const terms = { included: 10, beyond: [{ up_to: 20, price: "0.01" }, { price: "0.005" }] };
    const plan = { id: "growth", name: "Growth", currency: "EUR", valid_from: "2020-01-01", base_fee: "490.00", meters: { message_accepted: terms, delivery_confirmed: terms, vendor_call: terms } };
    sql(stack, `SELECT plan_agree('acme', (${closed} - interval '2 months' + interval '9 days')::date, '${JSON.stringify(plan)}')`);
    sql(stack, `INSERT INTO usage_events (id, tenant_id, at, meter, quantity) SELECT uuid7_floor(m.at), t.id, m.at, 'vendor_call', 1234 FROM tenants t, (SELECT (${closed} - interval '12 days') AT TIME ZONE 'UTC') m (at) WHERE t.slug = 'acme'`);
    await page.reload();
    await page.getByRole("region", { name: "What is counted so far" }).waitFor();
    const list = page.getByRole("region", { name: "Invoices", exact: true });
    await list.getByRole("link", { name: /^Invoice \d+$/ }).nth(1).waitFor({ timeout: 60_000 });
    // Of a month's first day nobody knows yet how it goes on.
    if (new Date().getUTCDate() > 1) await page.getByText("It would come to").waitFor();
    await inBothThemes(page, "invoices");
    await list.getByRole("link", { name: /^Invoice \d+$/ }).first().click();
    await heading(page, /^Invoice \d+$/);
    const calls = page.getByRole("region", { name: "Lines of the invoice" }).getByRole("row").filter({ hasText: "Calls to vendors" });
    assert.match(await calls.innerText(), /1,234[^]*1,224[^]*20 × 0\.01 = 0\.20 EUR[^]*1,204 × 0\.005 = 6\.02 EUR[^]*6\.22 EUR/);
    await page.getByRole("row").filter({ hasText: "Total, without taxes" }).getByText("496.22 EUR").waitFor();
    await inBothThemes(page, "invoice");
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Download as a sheet" }).click();
    const sheet = (await readFile(await (await download).path(), "utf8")).trim().split("\r\n");
    const cents = sheet.slice(1).map((row) => Math.round(Number(row.split(",").at(-2)) * 100));
    assert.equal(cents.reduce((sum, amount) => sum + amount, 0), 49_622, sheet.join("\n"));
    // On paper there is the invoice and nothing to press.
    await page.emulateMedia({ media: "print" });
    assert.equal(await page.getByRole("navigation", { name: "Pages" }).isVisible(), false);
    assert.equal(await page.getByRole("button", { name: "Print" }).isVisible(), false);
    await look(page, "invoice-paper");
    await page.emulateMedia({ media: "screen" });
    colleague(stack, "builder@acme.example", "developer");
    const { context, page: other } = await open(browser, "light", TELEPHONE);
    await other.goto(`${stack.url}/t/acme/usage/invoices`);
    await other.getByLabel("E-mail").fill("builder@acme.example");
    await other.getByLabel("Password").fill(stack.password);
    await other.getByRole("button", { name: "Sign in" }).click();
    await other.getByRole("heading", { name: "Your role does not see what the tenant pays" }).waitFor();
    await look(other, "invoices-refused-telephone");
    await context.close();
  },
};
