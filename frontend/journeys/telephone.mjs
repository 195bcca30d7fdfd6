// Somebody of operations, woken, with a telephone: what waits is one touch away, an order is found, and what is pressed can be hit.
import assert from "node:assert/strict";
import { heading, until } from "./journeys.mjs";
import { look, open, quiet } from "./page.mjs";
import { send, withSku } from "./shop.mjs";

export const telephone = {
  async what_one_is_woken_for_is_at_hand_on_a_telephone({ browser, stack }) {
    for (let number = 5_450; number < 5_453; number += 1) await send(stack.hookUrl, number, withSku("SOCK-WARM"));
    const { context, page } = await open(browser, "dark");
    page.setDefaultTimeout(15_000);
    await page.setViewportSize({ width: 390, height: 844 });
    await page.goto(`${stack.url}/t/acme`);
    await page.getByLabel("E-mail").fill(stack.email);
    await page.getByLabel("Password").fill(stack.password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await heading(page, "Overview");
    // The menu is closed, and how many wait is said beside it.
    await page.getByRole("link", { name: /wait for a person$/ }).click({ timeout: 30_000 });
    await heading(page, "Exceptions");
    const row = page.getByRole("row").filter({ hasText: "SOCK-WARM" });
    await row.first().waitFor({ timeout: 30_000 });
    await look(page, "telephone-exceptions");
    assert.equal(await row.count(), 1, "one cause, and not one for each");
    await row.getByRole("link").first().click();
    const acts = page.getByRole("toolbar", { name: "Acts" });
    await acts.waitFor();
    assert.ok((await acts.boundingBox()).height < 70, "the acts take one line, and leave the rest for what is worked");
    const small = await page.evaluate(() => [...document.querySelectorAll(".button:not(.chip)")].filter((one) => one.getClientRects().length > 0 && one.getBoundingClientRect().height < 40).map((one) => one.textContent));
    assert.deepEqual(small, [], "what is pressed can be hit by a thumb");
    const three = page.getByRole("region", { name: "Exceptions of this cause" }).locator("tbody tr");
    await until("the three as exceptions of one cause", async () => (await three.count()) === 3);
    await look(page, "telephone-cause");

    await page.getByRole("link", { name: "To the search" }).click();
    await heading(page, "Records");
    const box = page.getByLabel("Any id", { exact: true });
    assert.equal(await box.evaluate((field) => getComputedStyle(field).fontSize), "16px");
    await box.fill("1001");
    await page.getByRole("region", { name: "Records that fit" }).getByRole("link", { name: "1001" }).first().waitFor();
    // Searched by the other box, from the very page that shows what was found.
    await page.getByRole("button", { name: "Pages" }).click();
    await page.getByRole("searchbox", { name: "Find a record" }).fill("1002");
    await page.keyboard.press("Enter");
    await page.getByRole("region", { name: "Records that fit" }).getByRole("link", { name: "1002" }).first().waitFor();
    await quiet(page);
    assert.equal(await box.inputValue(), "1002");
    assert.equal(new URL(page.url()).searchParams.get("q"), "1002");
    await page.goBack();
    await page.getByRole("region", { name: "Records that fit" }).getByRole("link", { name: "1001" }).first().waitFor();
    await look(page, "telephone-found");
    await context.close();
  },
};
