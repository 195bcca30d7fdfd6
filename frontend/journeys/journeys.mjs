// What people come to do, one after the other with one sign-in. Each is named after what is true.
import assert from "node:assert/strict";
import { inBothThemes, look, open, visit, wrong } from "./page.mjs";
import { HOSTILE, send, withSku } from "./shop.mjs";

export const heading = (page, name, patience = {}) => page.getByRole("heading", { level: 1, name }).waitFor(patience);

/** Until it is so: the stack works behind the pages. A look that fails is followed by the next; why the last one did is said in the end. */
export async function until(what, isSo, patienceMs = 60_000) {
  const end = Date.now() + patienceMs;
  let failure = null;
  while (Date.now() < end) {
    try {
      if (await isSo()) return;
      failure = null;
    } catch (error) {
      failure = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`${what} did not come about within ${patienceMs / 1000} s${failure ? `: ${failure.message}` : ""}`, { cause: failure });
}

/** Chooses the two connections of a new flow. Each choice is a part of the address, which the next one adds to: the page must know of it before. */
export async function chooseEnds(page, from, to) {
  for (const [key, select, label] of [["from", page.getByLabel("From"), from], ["to", page.getByLabel("To", { exact: true }), to]]) {
    await select.selectOption({ label });
    await page.waitForURL((url) => Boolean(url.searchParams.get(key)));
    await until(`${label} is chosen`, async () => (await select.inputValue()) !== "");
  }
}

/** How many exceptions a row of the list of causes says there are; "" while it is not there. Behind the box to choose it and what happened. */
export const countIn = (row) => row.getByRole("cell").nth(2).innerText({ timeout: 3_000 }).catch(() => "");

/** What the API says where something on its side failed. */
const FAILED = "something on our side failed; try again, and tell support the request id if it stays";
const refusing = (route, code, message, headers = {}) => route.fulfill({ json: { errors: [{ message, extensions: { code } }] }, headers });
/** That the page was refused what a journey refuses it is no news; that anything else went wrong is. */
export const nothingBut = (...messages) => assert.deepEqual(wrong().filter((one) => !messages.some((message) => one.includes(message))), []);

async function openCause(page, text) {
  await page.keyboard.press("g");
  await page.keyboard.press("e");
  await heading(page, "Exceptions");
  await page.getByRole("link", { name: new RegExp(text) }).first().click();
  await page.getByRole("region", { name: "Fix" }).waitFor();
}

export const journeys = {
  async signs_in({ page, stack }) {
    await page.goto(`${stack.url}/t/acme/records?q=1001`);
    await heading(page, "Sign in to Crossdock");
    await look(page, "sign-in");
    await page.getByLabel("E-mail").fill(stack.email);
    await page.getByLabel("Password").fill("not this password");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("The address or the password is not right").waitFor();
    await page.getByLabel("Password").fill(stack.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    // Where one wanted to go is where one arrives.
    await heading(page, "Records");
    assert.equal(await page.getByLabel("Any id").inputValue(), "1001");
  },

  async the_overview_says_how_everything_stands({ page, stack }) {
    await page.goto(stack.url);
    await heading(page, "Overview");
    await page.getByText("Where deliveries stand").waitFor();
    await page.getByText("50 confirmed").first().waitFor();
    // What comes and goes is gone through piece by piece, without a pointer, too.
    const chart = page.getByRole("slider", { name: /^Messages a minute/ });
    await until("the pieces", async () => (await chart.getAttribute("aria-valuemax")) === "12");
    await chart.focus();
    await page.keyboard.press("Home");
    assert.equal(await chart.getAttribute("aria-valuenow"), "1");
    assert.match(await chart.getAttribute("aria-valuetext"), /accepted, .* confirmed$/);
    await page.keyboard.press("ArrowRight");
    assert.equal(await chart.getAttribute("aria-valuenow"), "2");
    await inBothThemes(page, "overview");
  },

  async a_cause_is_found_tried_and_fixed_for_all_by_keys_alone({ page, stack }) {
    for (let number = 5_000; number < 5_120; number += 1) await send(stack.hookUrl, number, withSku("CAP-RED"));
    await page.keyboard.press("g");
    await page.keyboard.press("e");
    await heading(page, "Exceptions");
    const row = page.getByRole("row").filter({ hasText: "CAP-RED" });
    // What is at stake of all 120.
    await until("all 120 in one cause", async () => /14,488\.80 USD/.test(await row.innerText().catch(() => "")));
    assert.equal(await countIn(row), "120");
    await inBothThemes(page, "exceptions");
    await page.keyboard.press("?");
    await page.getByRole("dialog").getByText("Retry: what is chosen, or all of this cause").waitFor();
    await look(page, "keys");
    await page.keyboard.press("Escape");
    // The largest cause stands first and has the focus of the keys.
    await page.locator('tr[data-focused="true"]', { hasText: "CAP-RED" }).waitFor();
    await page.keyboard.press("Enter");
    await page.getByRole("region", { name: "Fix" }).waitFor();
    const focused = page.locator('tr[data-focused="true"]');
    await focused.waitFor();
    const first = await focused.innerText();
    await page.keyboard.press("j");
    await until("the next exception", async () => (await focused.innerText()) !== first);
    await page.getByRole("region", { name: "The record" }).waitFor();
    await inBothThemes(page, "exception");
    await page.keyboard.press("f");
    await page.keyboard.type("1999");
    await page.getByRole("button", { name: "What would that do?" }).press("Enter");
    await page.getByText("120 of 120 would go on.").waitFor();
    await page.getByRole("button", { name: "Add and retry all" }).press("Enter");
    await page.getByText(/and 120 go on/).waitFor();
    await page.getByText("Nothing of this cause is open any more").waitFor();
    await look(page, "exception-worked");
  },

  async a_cause_is_assigned_commented_snoozed_ignored_with_a_reason_and_opened_again({ page, stack }) {
    for (let number = 5_200; number < 5_203; number += 1) await send(stack.hookUrl, number, withSku("SOCK-9"));
    await until("the cause", async () => {
      await visit(page, `${stack.url}/t/acme/exceptions?text=SOCK-9`);
      await heading(page, "Exceptions");
      const row = page.getByRole("row").filter({ hasText: "SOCK-9" });
      return (await countIn(row)) === "3";
    });
    await page.getByRole("link", { name: /SOCK-9/ }).click();
    await page.getByRole("region", { name: "Fix" }).waitFor();
    await page.keyboard.press("a");
    await page.getByRole("dialog").getByLabel("To whom").waitFor();
    await look(page, "assign");
    await page.getByRole("dialog").getByRole("button", { name: "Assign" }).click();
    await page.getByText("Assigned.").waitFor();
    await page.keyboard.press("c");
    await page.getByLabel("What is to be known").fill(`Asked the shop. ${HOSTILE}`);
    await page.getByRole("dialog").getByRole("button", { name: "Comment" }).click();
    await page.getByText("Your comment is kept.").waitFor();
    await page.getByText(`Asked the shop. ${HOSTILE}`).waitFor();
    await page.keyboard.press("t");
    await page.getByRole("textbox", { name: "Tag" }).fill("socks");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await page.getByText("Tagged.").waitFor();
    await page.keyboard.press("s");
    await page.getByRole("dialog").getByRole("button", { name: "Snooze" }).click();
    await page.getByText("Put away. It comes back by itself.").waitFor();
    await page.keyboard.press("x");
    await page.getByText("1 chosen").waitFor();
    await page.keyboard.press("i");
    await page.getByRole("dialog").getByLabel("Why").fill("A test order");
    await look(page, "ignore");
    await page.getByRole("dialog").getByRole("button", { name: "Ignore" }).click();
    await page.getByText("1 exception will not be sent.").waitFor();
    // It was no test order: it stands below those that are open, with its reason and its way back.
    const ignored = page.getByRole("region", { name: "Ignored exceptions" });
    await ignored.getByText("A test order").waitFor();
    await inBothThemes(page, "exception-ignored");
    await ignored.getByRole("button", { name: /^Reopen: Order #520\d/ }).click();
    await page.getByText("1 exception is open again.").waitFor();
    await ignored.waitFor({ state: "detached" });
    // It was chosen when it was ignored, and is again.
    await page.getByText("1 chosen").waitFor();
    await page.keyboard.press("i");
    await page.getByRole("dialog").getByLabel("Why").fill("It was one after all");
    await page.getByRole("dialog").getByRole("button", { name: "Ignore" }).click();
    await ignored.getByText("It was one after all").waitFor();
    await page.goto(`${stack.url}/t/acme/exceptions`);
    await heading(page, "Exceptions");
    // The address says whether it is checked, a moment after it is pressed.
    await page.getByRole("checkbox", { name: "Snoozed" }).click();
    await page.getByRole("link", { name: /SOCK-9/ }).waitFor();
  },

  async an_edit_that_does_not_fit_says_why_and_one_that_does_is_sent({ page, stack }) {
    await send(stack.hookUrl, 5_400, withSku("GLOVE-L"));
    await until("the cause", async () => {
      await visit(page, `${stack.url}/t/acme/exceptions?text=GLOVE-L`);
      return page.getByRole("link", { name: /GLOVE-L/ }).waitFor({ timeout: 3_000 }).then(() => true, () => false);
    });
    await page.getByRole("link", { name: /GLOVE-L/ }).click();
    await page.getByRole("button", { name: "Edit and retry" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    assert.equal(await dialog.getByLabel("Field", { exact: true }).inputValue(), "lines[0].sku");
    await dialog.getByLabel("Field", { exact: true }).fill("lines[0].colour");
    await dialog.getByLabel("New value").fill("red");
    await dialog.getByRole("button", { name: "Save and retry" }).click();
    await dialog.getByRole("alert").first().waitFor();
    await look(page, "edit");
    await dialog.getByLabel("Field", { exact: true }).fill("lines[0].sku");
    await dialog.getByLabel("New value").fill("TEE-M");
    await dialog.getByRole("button", { name: "Save and retry" }).click();
    await page.getByText("Your edit is kept, and it is sent again.").waitFor();
    await page.getByText("Nothing of this cause is open any more").waitFor();
  },

  async an_order_is_found_by_any_id_and_tells_its_story({ page }) {
    await page.keyboard.press("g");
    await page.keyboard.press("r");
    await heading(page, "Records");
    await page.getByRole("region", { name: "Newest records" }).waitFor();
    await inBothThemes(page, "records");
    await page.getByLabel("Any id").fill("#5400");
    await page.getByRole("link", { name: "#5400" }).click();
    await heading(page, "Order #5400");
    await page.getByRole("listitem").filter({ hasText: "became revision 2" }).waitFor();
    await until("the delivery", () => page.getByText("confirmed", { exact: true }).first().isVisible());
    await inBothThemes(page, "record");
    await page.getByRole("button", { name: "As it came" }).first().click();
    await page.getByRole("dialog").getByText("GLOVE-L").first().waitFor();
    await look(page, "message");
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "What was sent and answered" }).last().click();
    await page.getByRole("region", { name: "The request" }).waitFor();
    await page.keyboard.press("Escape");
  },

  async texts_of_a_vendor_are_shown_as_text({ page, stack }) {
    await send(stack.hookUrl, 5_300, (order) => {
      order.line_items[0].sku = HOSTILE;
      order.note = HOSTILE;
    });
    await until("the cause", async () => {
      await visit(page, `${stack.url}/t/acme/exceptions?text=onerror`);
      return page.getByRole("link", { name: /onerror/ }).waitFor({ timeout: 3_000 }).then(() => true, () => false);
    });
    await page.getByRole("link", { name: /onerror/ }).click();
    await page.getByRole("region", { name: "The message as it came" }).getByText("onerror").first().waitFor();
    await page.getByRole("link", { name: "Its whole story" }).click();
    await heading(page, "Order #5300");
    await page.getByRole("region", { name: "The record" }).getByText("<script>").first().waitFor();
    assert.equal(await page.evaluate(() => window.owned), undefined);
    assert.equal(await page.locator('img[src="x"]').count(), 0);
  },

  async a_system_is_connected_by_its_own_form({ page }) {
    await page.keyboard.press("g");
    await page.keyboard.press("c");
    await heading(page, "Connections");
    await page.getByRole("link", { name: "Acme ERP" }).waitFor();
    await inBothThemes(page, "connections");
    await page.getByRole("link", { name: "Connect a system" }).click();
    await page.getByLabel("Search connectors").fill("woo");
    await inBothThemes(page, "catalog");
    await page.getByRole("link", { name: "Connect", exact: true }).click();
    await heading(page, "Connect WooCommerce");
    await inBothThemes(page, "connect");
    for (const box of await page.locator("form input[required]").all()) await box.fill("not what it wants");
    await page.getByLabel("Name", { exact: true }).fill("Acme ERP");
    await page.getByRole("button", { name: "Connect", exact: true }).click();
    await page.getByRole("alert").first().waitFor();
    await look(page, "connect-refused");
    // What was typed outlives an API that fails meanwhile: the form is asked for again when somebody comes back to the tab.
    await page.route("**/graphql", (route) => (route.request().postData()?.includes("query ConnectorForm") ? refusing(route, "INTERNAL", FAILED) : route.fallback()));
    const outage = page.getByText(/^Crossdock cannot answer: something on its side failed\./);
    await until("the notice", async () => {
      await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
      return outage.isVisible();
    });
    await page.getByRole("button", { name: "Connect", exact: true }).waitFor();
    for (const box of await page.locator("form input[required]:not([name=name])").all()) assert.equal(await box.inputValue(), "not what it wants");
    await page.unroute("**/graphql");
    await outage.waitFor({ state: "detached", timeout: 60_000 });
    for (const box of await page.locator("form input[required]:not([name=name])").all()) assert.equal(await box.inputValue(), "not what it wants");
    nothingBut(FAILED);
  },

  async a_connection_shows_its_limits_and_is_paused_and_resumed({ page, stack }) {
    await page.goto(`${stack.url}/t/acme/connections`);
    await page.getByRole("link", { name: "Acme ERP" }).click();
    await page.getByText("at once are under way").waitFor();
    await inBothThemes(page, "connection");
    await page.getByRole("button", { name: "Pause" }).click();
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("button", { name: "Pause" }).waitFor();
  },

  async a_flow_is_published_with_a_note_and_rolled_back({ page, stack }) {
    await draft(stack);
    await page.keyboard.press("g");
    await page.keyboard.press("f");
    await heading(page, "Flows");
    await page.getByRole("link", { name: /orders: shopify/ }).waitFor();
    await inBothThemes(page, "flows");
    await page.getByRole("link", { name: /orders: shopify/ }).click();
    await page.getByRole("button", { name: /^Replay the last/ }).click();
    await page.getByText("It changes nothing.").or(page.getByText("It would change what is sent.")).waitFor({ timeout: 30_000 });
    await page.getByText("What it found").click();
    await page.getByText("are sent as they were").waitFor();
    await inBothThemes(page, "flow-draft");
    await page.getByRole("button", { name: "Publish version 2" }).click();
    await page.getByRole("dialog").getByText("filter").first().waitFor();
    await look(page, "publish");
    await page.getByLabel("Note").fill("Only orders that are worth something");
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    await page.getByText(/^Published\./).waitFor();
    await page.getByText("Only orders that are worth something").first().waitFor();
    await inBothThemes(page, "flow");
    await page.getByRole("button", { name: "Roll back to version 1" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
    await page.getByText("What version 1 says runs again.").waitFor();
  },

  async a_new_flow_begins_with_what_two_connections_can_do({ page, stack }) {
    await page.goto(`${stack.url}/t/acme/flows`);
    await page.getByRole("link", { name: "New flow" }).click();
    await heading(page, "New flow");
    await chooseEnds(page, "Acme shop", "Acme ERP");
    const form = page.getByRole("form").first();
    await form.waitFor();
    await inBothThemes(page, "flow-new");
    // The name of another flow is said beside the field, and nothing is made.
    await form.getByLabel("Name").fill("orders: shopify to netsuite");
    await form.getByRole("button", { name: "Make the draft" }).click();
    await form.getByRole("alert").first().waitFor();
    await form.getByLabel("Name").fill("A second way");
    await form.getByRole("button", { name: "Make the draft" }).click();
    await heading(page, "A second way");
    await page.getByRole("button", { name: "Publish version 1" }).waitFor();
  },

  async the_pages_keep_the_policy_they_are_served_with({ browser, stack }) {
    const served = await fetch(stack.url, { headers: { Accept: "text/html" } });
    const policy = served.headers.get("content-security-policy") ?? "";
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*/);
    const { context, page } = await open(browser, "light", { width: 1280, height: 800 });
    await page.goto(stack.url);
    await page.getByLabel("E-mail").fill(stack.email);
    await page.getByLabel("Password").fill(stack.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await heading(page, "Overview");
    await page.getByText("Where deliveries stand").waitFor();
    // What Radix and the tables do at run time must not need more either: dialogs, menus, positions.
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await openCause(page, "SOCK-9|is required|onerror");
    await page.keyboard.press("r");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: "acme", exact: true }).click();
    await page.getByRole("menuitem", { name: "acme" }).waitFor();
    await page.keyboard.press("Escape");
    // So must what hands a file to the browser, and checks one.
    await page.getByRole("link", { name: "Audit log" }).click();
    await page.getByRole("button", { name: "Export" }).click();
    const download = page.waitForEvent("download");
    await page.getByRole("dialog").getByRole("button", { name: "Export", exact: true }).click();
    const path = await (await download).path();
    await page.getByRole("dialog").getByRole("button", { name: "Close" }).click();
    await page.getByRole("link", { name: "Check an export" }).click();
    await page.getByLabel("The export").setInputFiles(path);
    await page.getByRole("button", { name: "Check it" }).click();
    await page.getByText(/^It is as it was sealed/).waitFor();
    // So must what is drawn by libraries: charts, the map of flows and the steps of one.
    await page.getByRole("link", { name: "Usage", exact: true }).click();
    await page.getByRole("slider", { name: "Messages accepted, by month" }).locator("svg").waitFor();
    await page.getByRole("link", { name: "Flows", exact: true }).click();
    await page.getByRole("link", { name: "Map", exact: true }).click();
    await page.getByRole("group", { name: "Map of flows" }).getByRole("link", { name: /orders: shopify/ }).click();
    await page.getByRole("region", { name: "How it runs" }).getByRole("link", { name: /^Filter: / }).waitFor();
    // And what the mapping editor draws over its table.
    await page.getByRole("link", { name: "Edit the mapping" }).click();
    // Wrong on purpose, so that it is never kept.
    await page.getByLabel("Filter", { exact: true }).pressSequentially("1 + + tot");
    await page.getByRole("option", { name: "totals.grand" }).waitFor();
    assert.deepEqual(wrong(), []);
    // What it forbids does not run, and fails whatever journey it happens in: here it is what is wanted.
    await page.evaluate((text) => document.querySelector("main").append(document.createRange().createContextualFragment(text)), `${HOSTILE}<p style="color: red">`);
    const refused = [];
    await until("each of the three is told", () => {
      refused.push(...wrong());
      return ["script-src-elem", "script-src-attr", "style-src-attr"].every((directive) => refused.some((one) => one.includes(`the policy refused ${directive}`)));
    });
    assert.equal(await page.evaluate(() => window.owned), undefined);
    await context.close();
    wrong();
  },

  async whoever_is_a_member_of_two_tenants_chooses_and_an_empty_one_says_how_to_begin({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    const create = "mutation($input: TenantCreateInput!) { tenantCreate(input: $input) { userErrors { message } } }";
    const { tenantCreate } = await ask(create, { input: { name: "Globex", slug: "globex" } });
    assert.deepEqual(tenantCreate.userErrors, []);
    await page.goto(stack.url);
    await heading(page, "Which tenant?");
    await look(page, "tenants");
    await page.getByRole("link", { name: /Globex/ }).click();
    await page.getByText("Nothing is connected yet").waitFor();
    await inBothThemes(page, "overview-empty");
    for (const [name, title, empty] of [
      ["exceptions", "Exceptions", "Nothing needs you"],
      ["records", "Records", "No record came yet"],
      ["connections", "Connections", "Nothing is connected yet"],
      ["flows", "Flows", "There is no flow yet"],
    ]) {
      await page.getByRole("link", { name: title, exact: true }).click();
      await page.getByText(empty).waitFor();
      await look(page, `${name}-empty`);
    }
    // An address of another tenant's shows nothing of it.
    const { flows } = await ask("{ flows(first: 1) { nodes { id } } }", {});
    await page.goto(`${stack.url}/t/globex/flows/${flows.nodes[0].id}`);
    await page.getByText("There is no such flow").waitFor();
    await page.getByRole("button", { name: "Globex" }).click();
    await page.getByRole("menuitem", { name: "acme" }).click();
    await page.getByText("Where deliveries stand").waitFor();
  },

  async a_server_that_does_not_answer_is_said_and_comes_back_by_itself({ page, stack }) {
    await page.goto(`${stack.url}/t/acme`);
    await page.getByText("Where deliveries stand").waitFor();
    await page.route("**/graphql", (route) => route.abort());
    // Nobody broke the stream off, so the page asks as seldom as one that is told.
    await page.getByText(/Crossdock does not answer\. What you see is of/).waitFor({ timeout: 60_000 });
    await page.getByText("Where deliveries stand").waitFor();
    await look(page, "offline");
    await page.unroute("**/graphql");
    await page.getByText(/Crossdock does not answer/).waitFor({ state: "detached", timeout: 30_000 });
  },

  async a_server_that_answers_and_cannot_is_said_and_a_part_that_is_refused_says_so_in_its_place({ page, stack }) {
    let refuse = (route) => route.fallback();
    // Nobody is told of changes, so that pages ask as often as they say.
    await page.route("**/graphql", (route) => (route.request().headers()["accept"] === "text/event-stream" ? route.abort() : refuse(route)));
    await page.goto(`${stack.url}/t/acme`);
    await page.getByText("Where deliveries stand").waitFor();
    const outage = page.getByText(/^Crossdock cannot answer/);
    refuse = (route) => refusing(route, "INTERNAL", FAILED);
    await page.getByText(/^Crossdock cannot answer: something on its side failed\. The oldest of what you see is of /).waitFor({ timeout: 60_000 });
    await page.getByText("Where deliveries stand").waitFor();
    await look(page, "failing");
    refuse = (route) => route.fallback();
    await outage.waitFor({ state: "detached", timeout: 60_000 });

    const often = "you ask more often than a person may in this tenant; wait, or let a program ask with an API key";
    refuse = (route) => refusing(route, "RATE_LIMITED", often, { "Retry-After": "5" });
    await page.getByText(/^Crossdock cannot answer for a while: .* The oldest of what you see is of .* It is asked again by itself, at /).waitFor({ timeout: 60_000 });
    refuse = (route) => route.fallback();
    await outage.waitFor({ state: "detached", timeout: 60_000 });

    // One part that one may not see any more is no outage, and does not look as if it were so still.
    await page.goto(`${stack.url}/t/acme/records`);
    const newest = page.getByRole("region", { name: "Newest records" });
    await newest.waitFor();
    refuse = (route) => (route.request().postData()?.includes("query Records(") ? refusing(route, "FORBIDDEN", "your role does not include this") : route.fallback());
    await page.getByText("Your role in this tenant does not include it.").waitFor({ timeout: 60_000 });
    assert.deepEqual([await newest.count(), await outage.count()], [0, 0]);
    refuse = (route) => route.fallback();
    await newest.waitFor({ timeout: 60_000 });
    await page.unroute("**/graphql");
    nothingBut(FAILED, often, "your role does not include this");
  },

  async a_telephone_is_enough({ page, stack }) {
    await page.setViewportSize({ width: 390, height: 844 });
    for (const [name, title] of [["overview", ""], ["exceptions", "exceptions"], ["records", "records"], ["connections", "connections"], ["flows", "flows"]]) {
      await page.goto(`${stack.url}/t/acme/${title}`);
      await page.getByRole("heading", { level: 1 }).waitFor();
      await look(page, `${name}-telephone`);
      // Tables scroll by themselves; the page does not.
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, name);
      // The page begins where the menu ends.
      const gap = await page.evaluate(() => document.querySelector("main").getBoundingClientRect().top - document.querySelector(".side").getBoundingClientRect().bottom);
      assert.ok(Math.abs(gap) < 2, `a gap of ${gap} under the menu of ${name}`);
    }
    for (const path of ["flows/map", "lookup-tables", "reconciliations", "incidents", "drifts", "backfills", "files", "alerts", "inventory", "inventory/policy", "audit", "audit/verify", "usage", "settings/people", "settings/api-keys", "settings/account", "settings/audit-log", "settings/tenant"]) {
      await visit(page, `${stack.url}/t/acme/${path}`);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, path);
    }
    await page.setViewportSize({ width: 1440, height: 900 });
  },

  async a_page_that_is_not_there_says_where_to_go_and_signing_out_ends_the_session({ page, stack }) {
    await page.goto(`${stack.url}/nowhere`);
    await page.getByText("There is no such page").waitFor();
    await look(page, "not-found");
    await visit(page, `${stack.url}/t/acme/nowhere`);
    await page.getByText("There is no such page").waitFor();
    await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Overview" }).waitFor();
    // The cookie is another one once the page has traded what is in it.
    await visit(page, `${stack.url}/t/acme`);
    await heading(page, "Overview");
    const cookie = (await page.context().cookies()).find(({ name }) => name.endsWith("crossdock-session"));
    assert.deepEqual([cookie.httpOnly, cookie.sameSite, cookie.path], [true, "Strict", "/session"]);
    assert.equal(await page.evaluate(() => document.cookie + JSON.stringify(localStorage)).then((seen) => seen.includes(cookie.value)), false);
    await page.getByRole("button", { name: "acme", exact: true }).click();
    await look(page, "menu");
    // Nobody is told that they are signed out by a server that was not told itself, and no address brings back what they left.
    await page.route("**/session/close", (route) => route.abort());
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await heading(page, "Sign in to Crossdock");
    await page.getByText("You are not signed out yet.").waitFor();
    await look(page, "not-signed-out");
    await page.goto(`${stack.url}/sign-in?sso=done`);
    await page.getByText("You are not signed out yet.").waitFor();
    await page.unroute("**/session/close");
    await page.getByText("You are signed out now.").waitFor({ timeout: 30_000 });
    const headers = { "Content-Type": "application/json", Origin: stack.url, Cookie: `${cookie.name}=${cookie.value}` };
    const answer = await fetch(`${stack.url}/session/refresh`, { method: "POST", headers, body: "{}" });
    assert.equal((await answer.json()).session, null);
  },
};

/** The demo's person, as a program signs in; `more` headers go with each request. */
export async function asDeveloper(stack, tenant = "acme", more = {}) {
  const post = async (query, variables, headers) => {
    const answer = await fetch(`${stack.url}/graphql`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Crossdock-Tenant": tenant, ...more, ...headers },
      body: JSON.stringify({ query, variables }),
    });
    const { data, errors } = await answer.json();
    if (errors) throw new Error(errors[0].message);
    return data;
  };
  const signIn = "mutation($input: SessionOpenInput!) { sessionOpen(input: $input) { session { accessToken } } }";
  const { sessionOpen } = await post(signIn, { input: { email: stack.email, password: stack.password } }, {});
  const headers = { Authorization: `Bearer ${sessionOpen.session.accessToken}` };
  return { ask: (query, variables) => post(query, variables, headers) };
}

/** A draft of the demo's flow, as a developer would make one by the API. */
async function draft(stack) {
  const { ask } = await asDeveloper(stack);
  const { flows } = await ask("{ flows(first: 1) { nodes { id } } }", {});
  const change = "mutation($id: ID!, $input: FlowDraftInput!) { flowDraft(id: $id, input: $input) { userErrors { message } } }";
  const { flowDraft } = await ask(change, { id: flows.nodes[0].id, input: { filter: "totals.grand > 0" } });
  if (flowDraft.userErrors[0]) throw new Error(flowDraft.userErrors[0].message);
}
