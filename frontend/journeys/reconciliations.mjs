// Reconciliations and certificates of the demo's flow; from-nothing.mjs compares two sides that can both be read.
import assert from "node:assert/strict";
import { heading, until } from "./journeys.mjs";
import { inBothThemes } from "./page.mjs";

export const reconciliations = {
  async a_side_that_cannot_be_read_is_said_and_proves_nothing({ page }) {
    // The journey before ended with a download, which keeps a browser from its keys for a moment.
    await until("the keys are heard", async () => {
      await page.keyboard.press("g");
      await page.keyboard.press("p");
      return page.getByRole("heading", { level: 1, name: "Reconciliations" }).waitFor({ timeout: 5_000 }).then(() => true, () => false);
    });
    await page.getByRole("button", { name: /^Compare now: orders: shopify/ }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Compare now" }).click();
    await page.getByRole("heading", { level: 1, name: "Acme shop beside Acme ERP" }).waitFor();
    await page.getByText(/could not be asked/).waitFor({ timeout: 30_000 });
    await page.getByText("It could not be compared").waitFor();
    await inBothThemes(page, "reconciliation-failed");
    // What could not be compared is compared anew, which is another one for the same time.
    const failed = page.url();
    await page.getByRole("button", { name: "Compare it again" }).click();
    await page.waitForURL((url) => url.href !== failed && /\/reconciliations\/rcn_/.test(url.pathname));
    await page.getByText("It could not be compared").waitFor({ timeout: 30_000 });
  },

  async a_flow_is_compared_by_itself({ page }) {
    await page.keyboard.press("g");
    await page.keyboard.press("p");
    await page.getByRole("button", { name: /^Schedule: orders: shopify/ }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Every so many hours").fill("24");
    await dialog.getByLabel("Each time over the last so many hours").fill("2");
    await dialog.getByRole("button", { name: "Keep it" }).click();
    await dialog.getByRole("alert").first().waitFor();
    await dialog.getByLabel("Each time over the last so many hours").fill("48");
    await dialog.getByRole("button", { name: "Keep it" }).click();
    await page.getByText(/every 24 h, next/).waitFor();
  },

  async a_certificate_says_what_became_of_all_that_arrived({ page }) {
    await page.keyboard.press("g");
    await page.keyboard.press("p");
    await page.getByRole("link", { name: "Certificates" }).click();
    await heading(page, "Certificates");
    await page.getByLabel("Of what").selectOption("One record");
    await page.getByLabel("Any id of the record").fill("#1001");
    await page.getByLabel("The record", { exact: true }).waitFor();
    await page.getByRole("button", { name: "Make the certificate" }).click();
    await page.getByText("Nothing was lost", { exact: false }).first().waitFor();
    await inBothThemes(page, "certificate");
    const download = page.waitForEvent("download");
    await page.getByRole("button", { name: "Save it as a file" }).click();
    assert.match((await download).suggestedFilename(), /^certificate-.*\.json$/);
  },
};
