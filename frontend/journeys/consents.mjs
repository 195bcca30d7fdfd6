// An account is connected by a person's consent at the vendor: there and back in one browser, with what came of it said in words.
import assert from "node:assert/strict";
import { sql } from "./database.mjs";
import { heading } from "./journeys.mjs";
import { inBothThemes, look, quiet, visit } from "./page.mjs";
import { OWN_CONNECTORS, consenting, simulate } from "./simulators.mjs";

let vendor;

export const consents = {
  async an_account_is_connected_by_consent_and_the_browser_comes_back_to_it({ page, stack }) {
    vendor = await simulate("moor-books", OWN_CONNECTORS);
    await visit(page, `${stack.url}/t/acme/connections/new?q=moor`);
    await page.getByRole("link", { name: "Connect", exact: true }).first().click();
    await heading(page, "Connect Moor Books");
    await page.getByText("book and change orders").waitFor();
    await page.getByText(`${stack.url}/oauth/callback/moor-books`).waitFor();
    await inBothThemes(page, "consent-form");
    await page.getByLabel("Name", { exact: true }).fill("Our books");
    await page.locator('[name="settings.base_url"]').fill(vendor.url);
    for (const [field, secret] of Object.entries(vendor.credential)) await page.locator(`[name="credential.${field}"]`).fill(secret);
    await consenting(vendor.url, { redirect_uris: [`${stack.url}/oauth/callback/moor-books`], denies: true });
    await page.getByRole("button", { name: "Go on to Moor Books" }).click();
    await heading(page, "Our books");
    await page.getByText("Nothing was connected: the consent was refused at Moor Books (access_denied).").waitFor();
    await quiet(page);
    await inBothThemes(page, "consent-denied");
  },

  async what_was_not_allowed_is_named_and_connecting_again_mends_it({ page, stack }) {
    await consenting(vendor.url, { redirect_uris: [`${stack.url}/oauth/callback/moor-books`], scopes: ["orders.read", "offline"] });
    await page.getByRole("button", { name: "Connect at the vendor" }).click();
    await page.getByText("Moor Books is connected, but not everything that is needed was allowed.").waitFor();
    await page.getByRole("listitem").filter({ hasText: "book and change orders" }).waitFor();
    await quiet(page);
    await look(page, "consent-partly");
    await consenting(vendor.url, { redirect_uris: [] });
    await page.getByRole("button", { name: "Connect again" }).click();
    await page.getByText("Moor Books is connected, with everything that is needed.").waitFor();
    await page.getByText("connected", { exact: true }).waitFor();
    await quiet(page);
    await inBothThemes(page, "consent-given");
    await page.setViewportSize({ width: 390, height: 844 });
    await look(page, "consent-given-phone");
    await page.setViewportSize({ width: 1440, height: 900 });
  },

  async a_connection_is_tested_and_what_ends_is_seen_before_it_does({ page, stack }) {
    sql(stack, "UPDATE credentials SET ends_kind = 'secret', ends_at = now() + interval '6 days 2 hours' WHERE state = 'active' AND connection_id = (SELECT id FROM connections WHERE name = 'Our books')");
    await visit(page, `${stack.url}/t/acme/connections`);
    await page.getByRole("link", { name: "Health", exact: true }).click();
    await heading(page, "Health of connections");
    const row = page.getByRole("row").filter({ hasText: "Our books" });
    await row.getByRole("button", { name: "Test Our books" }).click();
    await page.getByText("Our books answers to its credential.").waitFor({ timeout: 30_000 });
    await row.getByText("it answers").waitFor();
    await row.getByText("6 days", { exact: true }).waitFor();
    await quiet(page);
    await inBothThemes(page, "connection-health");
    await page.setViewportSize({ width: 390, height: 844 });
    await look(page, "connection-health-phone");
    await page.setViewportSize({ width: 1440, height: 900 });
    await row.getByRole("link", { name: "Our books" }).click();
    await heading(page, "Our books");
    await page.getByText(/The secret of Our books ends on/).first().waitFor({ timeout: 30_000 });
    await page.getByText("expiring", { exact: true }).first().waitFor();
    await quiet(page);
    await look(page, "connection-expiring");
  },

  async a_way_back_that_this_browser_did_not_begin_connects_nothing({ page, stack }) {
    await visit(page, `${stack.url}/oauth/callback/moor-books?code=somebody-elses&state=guessed`);
    await heading(page, "Nothing was connected");
    assert.equal(new URL(page.url()).pathname, "/consent");
    await look(page, "consent-lost");
    await page.getByRole("link", { name: "Go to Crossdock" }).click();
    // Where that leads to is waited for: a page that is left while it trades its refresh token signs out.
    await heading(page, /^(Which tenant\?|Overview)$/);
    await quiet(page);
  },
};
