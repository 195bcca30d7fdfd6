// A tenant from nothing to proven, against vendors of its own: connected by their forms, a flow from a template, orders of the past brought by a
// backfill, both sides compared down to a field, alerts that somebody hears.
import assert from "node:assert/strict";
import { sql } from "./database.mjs";
import { asDeveloper, chooseEnds, heading, until } from "./journeys.mjs";
import { inBothThemes, look, quiet, visit } from "./page.mjs";
import { put, records, seed, simulate } from "./simulators.mjs";

const TENANT = "initech";
const vendors = {};
// The connector says 1.5 s; its times are whole seconds.
const SHOWN_AFTER_MS = 3_000;

/** Fills a connector's form with what its simulator says. */
async function connect(page, stack, search, title, name, vendor) {
  await visit(page, `${stack.url}/t/${TENANT}/connections/new?q=${search}`);
  await page.getByRole("link", { name: "Connect", exact: true }).first().click();
  await heading(page, `Connect ${title}`);
  await page.getByLabel("Name", { exact: true }).fill(name);
  for (const [prefix, values] of [["settings", vendor.settings], ["credential", vendor.credential]]) {
    for (const [field, value] of Object.entries(values)) {
      const box = page.locator(`[name="${prefix}.${field}"]`);
      if ((await box.count()) > 0) await box.fill(String(value));
    }
  }
  await page.getByRole("button", { name: "Connect", exact: true }).click();
  await heading(page, name);
}

export const fromNothing = {
  async two_systems_are_connected_and_a_flow_between_them_is_published({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    await ask("mutation($input: TenantCreateInput!) { tenantCreate(input: $input) { userErrors { message } } }", { input: { name: "Initech", slug: TENANT } });
    [vendors.shop, vendors.erp] = await Promise.all([simulate("shopify"), simulate("netsuite")]);
    await visit(page, `${stack.url}/t/${TENANT}`);
    await page.getByText("Nothing is connected yet").waitFor();
    for (const [path, empty] of [
      ["lookup-tables", "There is no lookup table yet"],
      ["reconciliations", "There is no flow to compare yet"],
      ["incidents", "Nothing is broken"],
      ["drifts", "Everything looks as it did"],
      ["sunsets", "No version ends soon"],
      ["backfills", "There is no backfill yet"],
      ["files", "No file was read yet"],
      ["interchanges", "No interchange came yet"],
      ["alerts", "Nobody is told yet"],
    ]) {
      await visit(page, `${stack.url}/t/${TENANT}/${path}`);
      await page.getByText(empty).waitFor();
      // Those that have nothing to show in any other journey are looked at in both themes here.
      await (["files", "interchanges"].includes(path) ? inBothThemes : look)(page, `${path}-empty`);
    }
    await connect(page, stack, "shopify", "Shopify", "Initech shop", vendors.shop);
    await connect(page, stack, "netsuite", "NetSuite", "Initech ERP", vendors.erp);
    await visit(page, `${stack.url}/t/${TENANT}/flows/new`);
    await chooseEnds(page, "Initech shop", "Initech ERP");
    const form = page.getByRole("form").filter({ hasText: /^order|orders/i }).first();
    await form.waitFor();
    for (const make of await form.getByRole("button", { name: /^Make the table/ }).all()) await make.click();
    await form.getByLabel("Name").fill("Orders to the ERP");
    await form.getByRole("button", { name: "Make the draft" }).click();
    await heading(page, "Orders to the ERP");
    await page.getByRole("button", { name: "Publish version 1" }).click();
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    await page.getByText(/^Published\./).waitFor();
  },

  async orders_of_the_past_are_estimated_first_and_then_brought({ page, stack }) {
    await seed(vendors.shop.url, "order", 30);
    await visit(page, `${stack.url}/t/${TENANT}/backfills`);
    await page.getByRole("button", { name: "New backfill" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("From", { exact: true }).selectOption({ label: "Initech ERP" });
    await dialog.getByLabel("Kind of record").selectOption("refund");
    await dialog.getByRole("button", { name: "Prepare it" }).click();
    await dialog.getByRole("alert").first().waitFor();
    await look(page, "backfill-new");
    await dialog.getByLabel("From", { exact: true }).selectOption({ label: "Initech shop" });
    await dialog.getByLabel("Kind of record").selectOption("order");
    await dialog.getByLabel("Changed from").fill("2020-01-01T00:00");
    await dialog.getByRole("button", { name: "Prepare it" }).click();
    await page.getByText(/^(There are|The source does not say) .*Nothing is brought before you run it\.$/).waitFor({ timeout: 30_000 });
    await inBothThemes(page, "backfills");
    await page.getByRole("button", { name: "Run it" }).click();
    await page.getByText("It runs, behind live work.").waitFor();
    await page.getByText(/^[\d,]+ listed, [\d,]+ brought\.$/).waitFor({ timeout: 60_000 });
    await page.getByText("done", { exact: true }).waitFor({ timeout: 60_000 });
  },

  async both_sides_are_compared_and_a_field_that_was_changed_there_is_found({ page, stack }) {
    // What no table has is answered in the inbox, so that orders arrive there.
    const { ask } = await asDeveloper(stack, TENANT);
    const inbox = async () => (await ask("{ lookupInbox(first: 100) { nodes { value lookupTable { id } } } }", {})).lookupInbox.nodes;
    const held = async () => (await ask("{ ledger { deliveries { state count } } }", {})).ledger.deliveries.filter((one) => one.count > 0);
    await until("values in the inbox, or orders that are there", async () => (await inbox()).length > 0 || (await held()).some((one) => one.state === "confirmed"));
    await until("orders at the ERP", async () => {
      for (const { value, lookupTable } of await inbox()) {
        if (lookupTable) await ask("mutation($id: ID!, $value: String!) { lookupInboxResolve(tableId: $id, value: $value, to: \"1001\") { retried userErrors { message } } }", { id: lookupTable.id, value });
      }
      if ((await inbox()).length > 0) return false;
      const deliveries = await held();
      // What is on its way while both sides are listed would be a difference; one whose value was just given is an exception still.
      return deliveries.length > 0 && deliveries.every((one) => one.state === "confirmed");
    }, 60_000);
    const ours = async () => (await records(vendors.erp.url, "order")).filter((one) => one.external_key);
    // It shows what it took some time later, as its own docs say: what is not shown yet would be gone.
    await until("all orders are shown by the ERP", async () => (await ours()).every((one) => Date.now() - Date.parse(one.value.modified) > SHOWN_AFTER_MS));
    const stored = await ours();
    assert.ok(stored.length > 0, "the ERP has orders of ours");
    await put(vendors.erp.url, "order", { ...stored[0].value, email: "somebody.else@example.com" });
    // The last minutes are left out by the page, because things are on their way: this one does not wait for them.
    sql(stack, "INSERT INTO reconciliations (id, tenant_id, flow_id, from_at, until_at, started_by) SELECT gen_random_uuid(), tenant_id, id, '2020-01-01', now() + interval '1 minute', '{}' FROM flows WHERE name = 'Orders to the ERP'");
    await visit(page, `${stack.url}/t/${TENANT}/reconciliations`);
    const row = page.getByRole("region", { name: "Reconciliations" }).getByRole("row").nth(1);
    await row.getByText("done", { exact: true }).or(row.getByText("proven", { exact: true })).first().waitFor({ timeout: 60_000 });
    await inBothThemes(page, "reconciliations");
    await row.getByRole("link").first().click();
    const different = page.getByRole("region", { name: "Differences" }).getByRole("row").filter({ hasText: "somebody.else@example.com" });
    await different.waitFor();
    await inBothThemes(page, "reconciliation");
    await different.getByRole("checkbox").check();
    await page.getByRole("button", { name: "Send ours again" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Send again" }).click();
    await page.getByText("1 are sent again, within the destination’s limits.").waitFor();
    await different.getByText("resent").waitFor();
  },

  async somebody_is_told_by_a_rule_and_a_test_says_whether_it_arrives({ page, stack }) {
    await visit(page, `${stack.url}/t/${TENANT}/alerts`);
    await page.getByRole("button", { name: "Add a receiver" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Name").fill("On call");
    await dialog.getByLabel("How").selectOption("Signed webhook");
    await dialog.getByLabel("Address").fill("not an address");
    await dialog.getByLabel("Secret").fill("whsec_short");
    await dialog.getByRole("button", { name: "Add it" }).click();
    await dialog.getByRole("alert").first().waitFor();
    await look(page, "alert-receiver");
    await dialog.getByLabel("How").selectOption("Mail");
    await dialog.getByLabel("Mail addresses").fill("oncall@initech.example");
    await dialog.getByRole("button", { name: "Add it" }).click();
    await page.getByText("It is added. Send it a test.").waitFor();
    await page.getByRole("button", { name: "Send a test" }).click();
    await page.getByText("A test is on its way: what became of it stands below.").waitFor();
    await page.getByRole("region", { name: "What was sent" }).getByText("On call").waitFor();
    await page.getByRole("button", { name: "Add a rule" }).click();
    await dialog.getByLabel("Name").fill("Much at stake");
    await dialog.getByLabel("So many are open, at least").fill("50");
    await dialog.getByLabel("So much is at stake, at least").fill("10000.50");
    await dialog.getByLabel("in the currency").fill("eur");
    await dialog.getByRole("checkbox", { name: "On call" }).first().check();
    await look(page, "alert-rule");
    await dialog.getByRole("button", { name: "Keep the rule" }).click();
    await page.getByText("A cause where at least 50 are open, and at least 10,000.50 EUR are at stake: On call is told.").waitFor();
    await page.getByRole("region", { name: "Alarms" }).getByRole("button", { name: "Change" }).click();
    await dialog.getByLabel("On the clock of").fill("Europe/Berlin");
    await dialog.getByLabel("Nobody is told").fill("22:00 to 07:00 Sat Sun");
    await dialog.getByRole("button", { name: "Keep it" }).click();
    await page.getByText("22:00 to 07:00, starting Sat, Sun").waitFor();
    await inBothThemes(page, "alerts");
  },

  // What drifts is accepted in drifts.mjs, where enough is known of what is usual.
  async what_ends_one_day_is_said_with_its_day_and_what_it_touches({ page, stack }) {
    const notice = page.getByRole("article", { name: /^By Shopify's documentation, .* ends/ });
    await until("the end of the version of the shop", async () => {
      await visit(page, `${stack.url}/t/${TENANT}/sunsets`);
      await heading(page, "Sunsets");
      await page.getByLabel("Within").selectOption("all that are known");
      await quiet(page);
      return (await notice.count()) === 1;
    }, 60_000);
    await notice.getByRole("link", { name: "Initech shop" }).waitFor();
    await notice.getByRole("link", { name: "Orders to the ERP" }).waitFor();
    await notice.getByText(/^\d+ days left$/).waitFor();
    await inBothThemes(page, "sunsets");
    vendors.shop.stop();
    vendors.erp.stop();
  },
};
