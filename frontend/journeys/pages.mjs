// Every page there is, as the router itself has them: axe, a screenshot in both themes and on a telephone, a title and one heading, and no text of a vendor's
// that became markup. A page that is new is looked at by itself; one whose address has a new part says here what stands in it.
import assert from "node:assert/strict";
import { sql } from "./database.mjs";
import { asDeveloper } from "./journeys.mjs";
import { DESK, look, nothingRan, open, quiet, TELEPHONE, visit, watch } from "./page.mjs";

/** Those whose reader is not signed in; a link by mail has its token behind #. */
const OUTSIDE = { "/sign-in": "/sign-in", "/company": "/company?who=acme", "/invitation": "/invitation#no-such-token", "/password": "/password", "/verify": "/verify#no-such-token" };
/** They lead on to another page at once. */
export const LEADING = ["/", "/t/$tenant/settings"];
/** Of a thing that no journey before has made: the page says that there is none. */
const NONE = "0".repeat(32);

/** What stands in the parts of an address. */
export async function parts(stack) {
  const { ask } = await asDeveloper(stack);
  const query = `{ exceptionGroups(first: 1) { nodes { causeKey } } records(first: 1) { nodes { id } } connections(first: 1) { nodes { id } } flows(first: 15) { nodes { id name } }
    lookupTables(first: 1) { nodes { id } } reconciliations(first: 1) { nodes { id } } flowUndos(first: 1) { nodes { id } } swaps(first: 1) { nodes { id } } auditEvents(first: 1, action: "attempt.started") { nodes { id } } }`;
  const { exceptionGroups, records, connections, flows, lookupTables, reconciliations, flowUndos, swaps, auditEvents } = await ask(query, {});
  const invoice = sql(stack, "SELECT id FROM invoices ORDER BY number LIMIT 1").replaceAll("-", "");
  const first = (list, prefix) => list.nodes[0]?.id ?? `${prefix}_${NONE}`;
  return {
    $tenant: "acme",
    $causeKey: exceptionGroups.nodes[0]?.causeKey ?? "none",
    $recordId: first(records, "rec"),
    $connector: "shopify",
    $connectionId: first(connections, "con"),
    $flowId: flows.nodes.find((one) => one.name.startsWith("orders: shopify"))?.id ?? first(flows, "flw"),
    $tableId: first(lookupTables, "lut"),
    $reconciliationId: first(reconciliations, "rcn"),
    $undoId: first(flowUndos, "und"),
    $swapId: first(swaps, "swp"),
    $eventId: first(auditEvents, "aud"),
    // Whoever builds flows does not see what is paid.
    $invoiceId: `ivc_${invoice || NONE}`,
  };
}

/** As the router says them; a trailing slash means the same page. */
export const patternsOf = async (page) => [...new Set((await page.evaluate(() => Object.keys(window.__TSR_ROUTER__.routesByPath))).map((pattern) => pattern.replace(/(?<=.)\/$/, "")))].sort();

/** An address of the pattern. */
export const pathOf = (pattern, values) => pattern.replace(/\$\w+/g, (part) => encodeURIComponent(values[part] ?? assert.fail(`${pattern}: say in pages.mjs what stands for ${part}`)));

const slugOf = (pattern) => `page${pattern.replace("/t/$tenant", "").replaceAll("$", "").replaceAll("/", "-") || "-overview"}`;

async function inspect(page, pattern, titles) {
  await page.getByRole("heading", { level: 1 }).first().waitFor();
  await quiet(page);
  assert.equal(await page.locator("h1").count(), 1, `${pattern} has one heading of the first level`);
  // An address that leads nowhere is a page, too, and would be looked at in the place of the one that was meant.
  assert.equal(await page.getByText("There is no such page").count(), 0, `${pattern} leads to a page`);
  const title = await page.title();
  assert.match(title, /^.+ · Crossdock$/, `${pattern} has a title of its own`);
  titles.push(title);
  await nothingRan(page, pattern);
  for (const theme of ["light", "dark"]) {
    await page.evaluate((theme) => { document.documentElement.dataset.theme = theme; }, theme);
    await look(page, slugOf(pattern), theme === "dark");
  }
  await page.setViewportSize(TELEPHONE);
  for (const theme of ["dark", "light"]) {
    await page.evaluate((theme) => { document.documentElement.dataset.theme = theme; }, theme);
    await look(page, `${slugOf(pattern)}-telephone`, theme === "light");
  }
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  assert.ok(wide <= 0, `${pattern} is ${wide} px wider than a telephone`);
  await page.setViewportSize(DESK);
}

export const pages = {
  async every_page_that_the_router_knows_is_for_everybody_in_both_themes_and_on_a_telephone({ browser, context, page, stack }) {
    const values = await parts(stack);
    const patterns = await patternsOf(page);
    assert.ok(patterns.length > 40, `the router knows ${patterns.length} pages`);
    const titles = [];
    const stranger = await open(browser, "light");
    stranger.page.setDefaultTimeout(15_000);
    const signedIn = watch(await context.newPage());
    signedIn.setDefaultTimeout(15_000);
    for (const pattern of patterns) {
      if (LEADING.includes(pattern)) continue;
      const path = OUTSIDE[pattern] ?? pathOf(pattern, values);
      const tab = pattern in OUTSIDE ? stranger.page : signedIn;
      // What stands behind # alone would load nothing.
      if (pattern in OUTSIDE) await tab.goto("about:blank");
      await visit(tab, `${stack.url}${path}`);
      await inspect(tab, pattern, titles);
    }
    await signedIn.close();
    await stranger.context.close();
    // Tabs and bookmarks are told apart.
    const twice = titles.filter((title, index) => titles.indexOf(title) !== index);
    assert.deepEqual(twice, []);
    console.log(`       ${patterns.length - LEADING.length} pages, each in both themes and on a telephone`);
  },
};
