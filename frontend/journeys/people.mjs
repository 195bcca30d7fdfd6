// More than one person: a draft that somebody else approves, and what each role sees.
import { colleague } from "./database.mjs";
import { heading } from "./journeys.mjs";
import { inBothThemes, look, open, visit } from "./page.mjs";

/** Somebody else in a browser of their own. */
export async function signIn(browser, stack, email) {
  const { context, page } = await open(browser, "light");
  page.setDefaultTimeout(15_000);
  // Where somebody is a member of two tenants, the address says which.
  await page.goto(`${stack.url}/t/acme`);
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(stack.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await heading(page, "Overview");
  return { page, close: () => context.close() };
}

async function openFlow(page, stack) {
  await visit(page, `${stack.url}/t/acme/flows`);
  await page.getByRole("link", { name: /orders: shopify/ }).click();
  await page.getByText("What a draft must pass").waitFor();
}

export const people = {
  async a_draft_is_approved_by_somebody_else_before_it_is_published({ page, browser, stack }) {
    colleague(stack, "grace@acme.example", "developer");
    await openFlow(page, stack);
    await page.getByRole("button", { name: "What a draft must pass" }).click();
    await page.getByRole("checkbox", { name: "A second person approves it" }).check();
    await page.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
    await page.getByText("It is so from the next publication on.").waitFor();
    await page.getByRole("link", { name: "Edit the mapping" }).click();
    await heading(page, /^Mapping of orders/);
    await page.getByRole("tab", { name: /^Writes to/ }).click();
    await page.getByLabel("Filter", { exact: true }).fill("totals.grand >= 0");
    await page.keyboard.press("Tab");
    await page.getByText(/Everything is kept as draft version/).waitFor();
    await page.getByRole("link", { name: "Go on to publish" }).click();
    await page.getByRole("button", { name: "Hand it over" }).click();
    await page.getByText("It waits for somebody else than its author to approve it.").waitFor();
    await inBothThemes(page, "flow-review");
    await page.getByRole("button", { name: "Approve" }).click();
    // Nobody approves their own: it is said, and waits as before.
    await page.getByText("Whoever drafted it cannot approve it; ask another admin, owner or developer.", { exact: true }).waitFor();
    await page.getByText("It waits for somebody else than its author to approve it.").waitFor();
    const other = await signIn(browser, stack, "grace@acme.example");
    await openFlow(other.page, stack);
    await other.page.getByRole("button", { name: "Approve" }).click();
    await other.page.getByText("Approved. It can be published.").waitFor();
    await other.page.getByText(/^Approved /).first().waitFor();
    await look(other.page, "flow-approved");
    await other.close();
    await page.getByText(/^Approved /).first().waitFor({ timeout: 30_000 });
    // A note says what it is for and changes nothing of what was approved, so it is written beside it and the approval stays.
    await page.getByRole("button", { name: /^Publish version/ }).click();
    await page.getByRole("dialog").getByLabel("Note").fill("Approved by Grace, with a note of its publisher");
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    await page.getByText(/^Published\./).waitFor();
    const version = page.getByRole("region", { name: "Versions" }).getByRole("row").filter({ hasText: "Approved by Grace, with a note of its publisher" });
    await version.getByText("published", { exact: true }).waitFor();
    await page.getByRole("button", { name: "What a draft must pass" }).click();
    await page.getByRole("checkbox", { name: "A second person approves it" }).uncheck();
    await page.getByRole("dialog").getByRole("button", { name: "Keep it" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
  },

  async an_auditor_sees_everything_and_no_act_that_would_be_refused({ browser, stack }) {
    colleague(stack, "audrey@acme.example", "auditor");
    const { page, close } = await signIn(browser, stack, "audrey@acme.example");
    for (const [path, title, act] of [
      ["connections", "Connections", "Connect a system"],
      ["flows", "Flows", "New flow"],
      ["lookup-tables", "Lookup tables", "New table"],
      ["backfills", "Backfills", "New backfill"],
      ["alerts", "Alerts", "Add a receiver"],
      ["reconciliations", "Reconciliations", "Compare now"],
    ]) {
      await visit(page, `${stack.url}/t/acme/${path}`);
      await heading(page, title);
      const seen = page.getByRole("button", { name: act }).or(page.getByRole("link", { name: act }));
      if (await seen.count()) throw new Error(`an auditor sees “${act}”`);
    }
    await page.getByRole("link", { name: "Certificates" }).click();
    await page.getByRole("button", { name: "Make the certificate" }).waitFor();
    await visit(page, `${stack.url}/t/acme/flows`);
    await page.getByRole("link", { name: /orders: shopify/ }).click();
    await page.getByRole("link", { name: "See the mapping" }).click();
    await page.getByText(/^Your role here may look at the mapping/).waitFor();
    await look(page, "mapping-auditor");
    await close();
  },
};
