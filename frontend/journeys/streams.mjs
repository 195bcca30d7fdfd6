// Where nothing is told: a proxy that ends streams, or lets them hang. Pages ask by themselves then, and show what is so.
import assert from "node:assert/strict";
import { heading } from "./journeys.mjs";
import { open, visit } from "./page.mjs";
import { send, withSku } from "./shop.mjs";

const isStream = (request) => request.headers()["accept"] === "text/event-stream";
/** As often as the page says that it asks, and some for the way. */
const PATIENCE_MS = 20_000;

async function signedIn(browser, stack, hinder) {
  const { context, page } = await open(browser, "light");
  page.setDefaultTimeout(15_000);
  let hindered = 0;
  await context.route("**/graphql", async (route) => {
    if (!isStream(route.request())) return route.continue();
    hindered += 1;
    return hinder(route);
  });
  await page.goto(`${stack.url}/t/acme`);
  await page.getByLabel("E-mail").fill(stack.email);
  await page.getByLabel("Password").fill(stack.password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await heading(page, "Overview");
  return { context, page, hindered: () => hindered };
}

export const streams = {
  async pages_show_what_is_new_where_no_stream_comes_through({ browser, stack }) {
    let number = 6_800;
    for (const [how, hinder] of [
      ["ended", (route) => route.abort()],
      ["hanging", () => new Promise(() => {})],
    ]) {
      const { context, page, hindered } = await signedIn(browser, stack, hinder);
      const waiting = page.getByRole("region", { name: "Waits for a person" });
      const before = await waiting.innerText();
      const sku = `STREAM-${how}`;
      await send(stack.hookUrl, (number += 1), withSku(sku));
      await page.waitForFunction(({ before }) => document.querySelector('[aria-label="Waits for a person"]')?.innerText !== before, { before }, { timeout: PATIENCE_MS });
      await page.getByRole("link", { name: "Exceptions", exact: true }).click();
      await page.getByRole("link", { name: new RegExp(sku) }).waitFor();
      // What comes while one looks is there without a hand's turn.
      await send(stack.hookUrl, (number += 1), withSku(`${sku}-2`));
      await page.getByRole("link", { name: new RegExp(`${sku}-2`) }).waitFor({ timeout: PATIENCE_MS });
      assert.ok(hindered() > 0, "a stream was asked for");
      assert.equal(await page.getByText("Crossdock does not answer").count(), 0, "nobody is alarmed by it");
      await visit(page, `${stack.url}/t/acme/deliveries?state=exception`);
      await page.getByRole("region", { name: "Deliveries" }).getByRole("row").nth(1).waitFor();
      await context.close();
    }
  },
};
