// A person exchanges the secret of a connection for a new one, step by step: what is mistyped is not used, both work for a while, and the old one is removed.
import { sql } from "./database.mjs";
import { heading } from "./journeys.mjs";
import { inBothThemes, look, quiet, visit } from "./page.mjs";
import { OWN_CONNECTORS, keyAdd, keyRemove, simulate } from "./simulators.mjs";

let vendor;
const OF_DESK = "connection_id = (SELECT id FROM connections WHERE name = 'Our desk')";

export const rotations = {
  async the_secret_of_a_connection_is_old_and_somebody_is_told({ page, stack }) {
    vendor = await simulate("harbor-desk", OWN_CONNECTORS);
    await visit(page, `${stack.url}/t/acme/connections/new?q=harbor`);
    await page.getByRole("link", { name: "Connect", exact: true }).first().click();
    await heading(page, "Connect Harbor Desk");
    await page.getByLabel("Name", { exact: true }).fill("Our desk");
    await page.locator('[name="settings.base_url"]').fill(vendor.url);
    for (const [field, secret] of Object.entries(vendor.credential)) await page.locator(`[name="credential.${field}"]`).fill(secret);
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await heading(page, "Our desk");
    await page.getByText("It is exchanged only when somebody says so.").waitFor();
    sql(stack, `UPDATE credentials SET created_at = now() - interval '175 days' WHERE ${OF_DESK}`);
    await page.getByLabel("How often").selectOption("advice");
    await page.getByRole("button", { name: "Save", exact: true }).click();
    await page.getByText("It is exchanged every 180 days; you are told in time.").waitFor();
    await page.getByText(/The secret of Our desk is to be exchanged by/).first().waitFor({ timeout: 30_000 });
    await quiet(page);
    await inBothThemes(page, "rotation-due");
    await visit(page, `${stack.url}/t/acme/connections/health`);
    const row = page.getByRole("row").filter({ hasText: "Our desk" });
    await row.getByText("175 days old").waitFor();
    await quiet(page);
    await look(page, "rotation-board");
    await row.getByRole("link", { name: "Our desk" }).click();
    await heading(page, "Our desk");
  },

  async what_is_mistyped_is_not_used_and_what_works_is({ page }) {
    await page.getByRole("button", { name: "Exchange it now" }).click();
    await page.getByText("Press New secret, and copy what is shown; it is shown once.").waitFor();
    await page.getByLabel("New: Secret").fill("mistyped-by-somebody");
    await page.getByRole("button", { name: "Try it and use it" }).click();
    await page.getByText(/The new secret of Our desk was not taken, and the old one is used on/).first().waitFor({ timeout: 30_000 });
    await quiet(page);
    await inBothThemes(page, "rotation-refused");
    await keyAdd(vendor.url, "by hand", { ...vendor.credential, client_secret: "the-new-secret-of-the-desk" });
    await page.getByLabel("New: Secret").fill("the-new-secret-of-the-desk");
    await page.getByRole("button", { name: "Try it and use it" }).click();
    // Where the machine is slow the page says first that the vendor has not answered yet, and how it ended by itself.
    await page.getByText(/The new secret works, and is used now|The vendor has not answered yet/).waitFor({ timeout: 30_000 });
    await page.getByText(/The old one still works, and is used again if the new one is refused/).waitFor({ timeout: 60_000 });
    await quiet(page);
    await inBothThemes(page, "rotation-both");
    await page.setViewportSize({ width: 390, height: 844 });
    await look(page, "rotation-both-phone");
    await page.setViewportSize({ width: 1440, height: 900 });
  },

  async when_both_have_stood_the_old_one_is_removed_and_a_person_says_so({ page, stack }) {
    sql(stack, `UPDATE rotations SET overlap_until = now() WHERE ${OF_DESK}`);
    sql(stack, `UPDATE rotation_schedules SET wake_at = now() WHERE ${OF_DESK}`);
    await page.getByText("the old one is to be removed").first().waitFor({ timeout: 30_000 });
    await page.getByText("Press Remove beside the older secret at Harbor Desk.", { exact: true }).waitFor();
    await quiet(page);
    await inBothThemes(page, "rotation-removing");
    await keyRemove(vendor.url, "made by hand");
    await page.getByRole("button", { name: "It is removed" }).click();
    await page.getByText("The secret of Our desk was exchanged.").waitFor();
    await page.getByRole("button", { name: "Test Our desk" }).click();
    await page.getByText("Our desk answers to its credential.").waitFor({ timeout: 30_000 });
    await quiet(page);
    await look(page, "rotation-over");
  },
};
