// A shift at the queue, by keys alone; every act that can be is taken back; whatever is looked at has an address.
import assert from "node:assert/strict";
import { asDeveloper, chooseEnds, heading, until } from "./journeys.mjs";
import { inBothThemes, look, lookAtNotice, notice, visit } from "./page.mjs";
import { send, withSku } from "./shop.mjs";
import { causeOf } from "./work.mjs";

const SKU = "UNDO-1";

async function press(page, ...keys) {
  for (const key of keys) await page.keyboard.press(key);
}

/** Whatever asks this is not answered, until it is let through again. */
async function unanswered(page, operation) {
  const lost = (route) => (route.request().postData()?.includes(operation) ? route.abort() : route.fallback());
  await page.route("**/graphql", lost);
  return () => page.unroute("**/graphql", lost);
}

async function tag(page, text) {
  await press(page, "t");
  await page.getByRole("textbox", { name: "Tag" }).fill(text);
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

export const triage = {
  async a_shift_is_worked_by_keys_and_each_act_is_taken_back({ page, stack }) {
    for (let number = 6_900; number < 6_903; number += 1) await send(stack.hookUrl, number, withSku(SKU));
    await causeOf(page, stack, SKU, 3);
    await page.goBack();
    await heading(page, "Exceptions");
    const row = page.getByRole("region", { name: "Causes" }).getByRole("row").nth(1);
    await press(page, "m");
    await notice(page, "It is yours now.");
    await until("it is mine", async () => !(await row.innerText()).includes("nobody"));
    await lookAtNotice(page, "notice-undo");
    await press(page, "z");
    await notice(page, "It is whose it was before.");
    await until("it is nobody's again", async () => (await row.innerText()).includes("nobody"));

    await press(page, "Enter");
    await page.getByRole("region", { name: "Fix" }).waitFor();
    await page.getByText(/^All 3$/).waitFor();
    // Nothing can be tried before there is an answer: that is where one is led.
    await press(page, "w");
    await page.keyboard.type("1999");
    await page.getByRole("button", { name: "What would that do?" }).press("Enter");
    await page.getByText("3 of 3 would go on.").waitFor();
    await page.getByRole("heading", { level: 1 }).click();
    await press(page, "X");
    await page.getByText("3 chosen").waitFor();
    await press(page, "t");
    await page.getByRole("textbox", { name: "Tag" }).fill("later");
    await page.getByRole("button", { name: "Add", exact: true }).click();
    await notice(page, "Tagged.");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await press(page, "z");
    await notice(page, "The tag is taken away again.");
    await press(page, "X");
    await page.getByText(/^All 3$/).waitFor();
    await press(page, "s");
    await page.getByRole("dialog").getByRole("button", { name: "Snooze" }).click();
    await notice(page, "Put away. It comes back by itself.");
    await page.getByText("Snoozed until").waitFor();
    await press(page, "z");
    await notice(page, "It is shown again.");
    await page.getByText("Snoozed until").waitFor({ state: "detached" });

    // What a retry would do is said before it is done.
    await press(page, "r");
    await page.getByRole("dialog").getByText("0 of 3 would go on.").waitFor();
    await look(page, "retry-what-if");
    await press(page, "Escape");
    await press(page, "e");
    await page.getByRole("dialog").getByRole("heading", { name: "Edit and retry" }).waitFor();
    await press(page, "Escape");
    await press(page, "o");
    await heading(page, /^Order #690\d$/);
  },

  async what_one_works_on_stays_and_an_address_means_that_exception_alone({ page, stack }) {
    for (const number of [6_920, 6_921]) await send(stack.hookUrl, number, withSku("STAY-1"));
    await causeOf(page, stack, "STAY-1", 2);
    const shown = page.getByRole("region", { name: "The exception", exact: true });
    const sentence = () => shown.getByRole("heading", { level: 2 }).innerText();
    const named = () => new URL(page.url()).searchParams.get("exception");
    await shown.getByRole("heading", { level: 2 }).waitFor();
    // The newest is shown, and stays when a newer one joins, with all that was typed about it.
    const first = await sentence();
    await press(page, "e");
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("New value").fill("half of an answer");
    await send(stack.hookUrl, 6_922, withSku("STAY-1"));
    await page.getByText(/^All 3$/).waitFor({ timeout: 30_000 });
    await page.locator('[aria-label="Exceptions of this cause"] tbody tr').nth(2).waitFor();
    assert.equal(await dialog.getByLabel("New value").inputValue(), "half of an answer");
    await press(page, "Escape");
    await dialog.waitFor({ state: "detached" });
    assert.equal(await sentence(), first);

    // One that is done makes room for the next, and its address stays its own.
    await press(page, "j");
    await until("the address names the oldest", async () => named() !== null && (await sentence()) !== first);
    const [address, oldest, done] = [page.url(), await sentence(), named()];
    await press(page, "x");
    await page.getByText("1 chosen").waitFor();
    await press(page, "i");
    await dialog.getByLabel("Why").fill("Nobody waits for it");
    await dialog.getByRole("button", { name: "Ignore" }).click();
    await notice(page, "1 exception will not be sent.");
    await until("the next is shown", async () => named() !== done && (await sentence()) !== oldest);
    await visit(page, address);
    await shown.getByText("It is ignored: nothing is to be done about it any more.").waitFor();
    await shown.getByText("Nobody waits for it").waitFor();
    assert.equal(await sentence(), oldest);
    assert.equal(await shown.getByRole("button", { name: "Edit and retry" }).count(), 0);
    await look(page, "exception-closed");

    // What is not answered is said, and nothing is done with a choice that nobody could make.
    const assigned = await unanswered(page, "mutation ExceptionAssign(");
    await press(page, "m");
    await notice(page, /^Crossdock does not answer/);
    await assigned();
    const members = await unanswered(page, "query Members ");
    await press(page, "a");
    const assign = dialog.getByRole("button", { name: "Assign", exact: true });
    await assign.waitFor();
    assert.equal(await assign.isDisabled(), true);
    await dialog.getByRole("alert").getByText(/^Crossdock does not answer/).waitFor({ timeout: 30_000 });
    assert.equal(await assign.isDisabled(), true);
    await members();
    // It is asked for again by itself, so that nobody need press anything.
    await dialog.getByLabel("To whom").waitFor({ timeout: 30_000 });
    assert.equal(await assign.isDisabled(), false);
    await press(page, "Escape");
    await dialog.waitFor({ state: "detached" });

    // Also where nothing of the cause is open any more, the address means the one that it names.
    await press(page, "i");
    await dialog.getByLabel("Why").fill("Test orders");
    await dialog.getByRole("button", { name: "Ignore" }).click();
    await page.getByText("Nothing of this cause is open any more").waitFor();
    await shown.getByText("Nobody waits for it").waitFor();
    assert.equal(await sentence(), oldest);
    await inBothThemes(page, "exception-worked-named");
  },

  async several_causes_are_worked_as_one({ page, stack }) {
    for (const [number, sku] of [[6_905, "PAIR-A"], [6_906, "PAIR-B"]]) await send(stack.hookUrl, number, withSku(sku));
    await until("both causes", async () => {
      await visit(page, `${stack.url}/t/acme/exceptions?text=PAIR-`);
      return (await page.getByRole("region", { name: "Causes" }).getByRole("row").count()) === 3;
    });
    await press(page, "X");
    const bar = page.getByRole("toolbar", { name: "Acts" });
    await bar.getByText("2 causes, 2 exceptions").waitFor();
    await inBothThemes(page, "exceptions-chosen");
    await press(page, "m");
    await notice(page, "2 causes are yours now.");
    const region = page.getByRole("region", { name: "Causes" });
    await until("both are mine", async () => !(await region.innerText()).includes("nobody"));
    await press(page, "z");
    await notice(page, "They are whose they were before.");
    await until("both are nobody's", async () => (await region.innerText()).match(/nobody/g)?.length === 2);
    // A tag that one of them had before stays with it when the other gives it back.
    const tagged = region.getByText("pair", { exact: true });
    await press(page, "X");
    await bar.waitFor({ state: "detached" });
    await tag(page, "pair");
    await until("one has the tag", async () => (await tagged.count()) === 1);
    await press(page, "X");
    await bar.getByText("2 causes, 2 exceptions").waitFor();
    await tag(page, "pair");
    await until("both have the tag", async () => (await tagged.count()) === 2);
    await press(page, "z");
    await notice(page, "The tag is taken away again.");
    await until("one has it as before", async () => (await tagged.count()) === 1);
    await press(page, "i");
    await page.getByRole("dialog").getByLabel("Why").fill("Test orders");
    await page.getByRole("dialog").getByRole("button", { name: "Ignore" }).click();
    await notice(page, "2 exceptions will not be sent.");
    await page.getByText("No cause fits").waitFor();
    // Ignored by mistake: both are back, and are still chosen.
    await press(page, "z");
    await notice(page, "2 exceptions are open again.");
    await bar.getByText("2 causes, 2 exceptions").waitFor();
    await press(page, "i");
    await page.getByRole("dialog").getByLabel("Why").fill("Test orders after all");
    await page.getByRole("dialog").getByRole("button", { name: "Ignore" }).click();
    await notice(page, "2 exceptions will not be sent.");
    await page.getByText("No cause fits").waitFor();
  },

  async whatever_is_looked_at_has_an_address_that_means_the_same_for_everybody({ page, stack }) {
    await visit(page, `${stack.url}/t/acme`);
    // From any page to a record, by whatever id one has.
    await press(page, "/");
    await page.keyboard.type("1001");
    await press(page, "Enter");
    await heading(page, "Records");
    assert.equal(new URL(page.url()).searchParams.get("q"), "1001");
    await page.getByRole("link", { name: "#1001", exact: true }).first().click();
    await heading(page, "Order #1001");
    const again = async () => {
      await visit(page, page.url());
      return page.getByRole("dialog");
    };
    await page.getByRole("button", { name: "As it came" }).first().click();
    await page.getByRole("dialog").waitFor();
    await (await again()).getByRole("region", { name: "The message" }).waitFor();
    await press(page, "Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.getByRole("button", { name: "What was sent and answered" }).first().click();
    await page.getByRole("region", { name: "The request" }).waitFor();
    const dialog = await again();
    await dialog.getByRole("region", { name: "The request" }).waitFor();
    // And what would become of it now.
    await dialog.getByRole("button", { name: "What would be sent now?" }).click();
    await dialog.getByText(/^Made again with what stood then/).waitFor();
    await look(page, "record-remade");
    await press(page, "Escape");
    await page.getByText("Where each field comes from").click();
    await page.getByRole("region", { name: "Where each field comes from" }).getByRole("row").nth(3).waitFor();
    await look(page, "record-provenance");
    // Numbers lead to what they count.
    await visit(page, `${stack.url}/t/acme`);
    await page.getByText("Where deliveries stand").waitFor();
    await page.getByRole("link", { name: /confirmed$/ }).first().click();
    await heading(page, "Deliveries");
    assert.equal(new URL(page.url()).searchParams.get("state"), "confirmed");
    await page.getByRole("region", { name: "Deliveries" }).getByRole("row").nth(5).waitFor();
    await inBothThemes(page, "deliveries");
    await page.getByLabel("State", { exact: true }).selectOption("cancelled");
    await page.waitForURL((url) => url.searchParams.get("state") === "cancelled");
    await page.getByText("No delivery is cancelled").or(page.getByRole("region", { name: "Deliveries" })).first().waitFor();
    await visit(page, page.url());
    assert.equal(await page.getByLabel("State", { exact: true }).inputValue(), "cancelled");
  },

  async what_waits_is_put_before_everything_else_and_goes_when_the_destination_is_resumed({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    const { connections } = await ask("{ connections(first: 50) { nodes { id name } } }", {});
    const { id } = connections.nodes.find((one) => one.name === "Acme ERP");
    await ask("mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }", { id });
    for (let number = 6_910; number < 6_914; number += 1) await send(stack.hookUrl, number, () => undefined);
    await visit(page, `${stack.url}/t/acme`);
    const backlog = page.getByRole("region", { name: "Backlog" });
    await backlog.getByText("paused").first().waitFor({ timeout: 30_000 });
    await inBothThemes(page, "overview-backlog");
    // Each says why it waits, on the page of deliveries as on that of its record.
    await visit(page, `${stack.url}/t/acme/deliveries?state=planned`);
    await page.getByLabel("Destination", { exact: true }).selectOption({ label: "Acme ERP" });
    await page.waitForURL((url) => url.searchParams.get("connection") === id);
    await page.getByText("Acme ERP is paused: nothing is sent to it until somebody resumes it.").nth(3).waitFor();
    await inBothThemes(page, "deliveries-waiting");
    await page.getByRole("region", { name: "Deliveries" }).getByRole("link").first().click();
    await page.getByText(/Acme ERP is paused: .* It has waited since /).waitFor();
    await look(page, "record-waiting");
    await visit(page, `${stack.url}/t/acme`);
    const rank = backlog.getByLabel("What waits of it goes").first();
    await rank.selectOption("FIRST");
    await notice(page, /^What waits goes before everything else/);
    await until("it is so", async () => (await rank.inputValue()) === "FIRST");
    await press(page, "Escape");
    await page.getByRole("heading", { level: 1 }).click();
    await press(page, "z");
    await notice(page, "It goes as it did before.");
    await until("it is as before", async () => (await rank.inputValue()) === "NORMAL");
    await ask("mutation($id: ID!) { connectionResume(id: $id) { userErrors { message } } }", { id });
    await backlog.getByText("Nothing waits to be delivered.").waitFor({ timeout: 60_000 });
  },

  async a_flow_is_stopped_and_runs_again_by_one_key({ page, stack }) {
    await visit(page, `${stack.url}/t/acme/flows`);
    await page.getByRole("link", { name: /orders: shopify/ }).click();
    await page.getByRole("button", { name: "Stop", exact: true }).click();
    await look(page, "flow-stop");
    await page.getByRole("dialog").getByRole("button", { name: "Stop it" }).click();
    await notice(page, /is stopped: nothing new is planned/);
    await page.getByRole("button", { name: "Stop", exact: true }).waitFor({ state: "detached" });
    await lookAtNotice(page, "flow-stopped");
    await press(page, "z");
    await notice(page, /runs again, by what version/);
    await page.getByRole("button", { name: "Stop", exact: true }).waitFor();
  },

  async a_flow_is_begun_with_nothing_but_a_kind_and_a_name({ page, stack }) {
    await visit(page, `${stack.url}/t/acme/flows/new`);
    await chooseEnds(page, "Acme shop", "Acme ERP");
    // What was chosen stands in the address.
    await visit(page, page.url());
    const form = page.getByRole("form", { name: "From nothing" });
    await form.getByLabel("Kind of record").selectOption("order");
    await form.getByLabel("Name").fill("orders: shopify to netsuite");
    await form.getByRole("button", { name: /^Make it/ }).click();
    await form.getByRole("alert").first().waitFor();
    await form.getByLabel("Name").fill("From nothing");
    await form.getByRole("button", { name: /^Make it/ }).click();
    await heading(page, "Mapping of From nothing");
    await page.getByText("You have no rule of your own for what is sent").waitFor();
  },

  async orders_are_held_against_their_shipments_and_invoices_where_somebody_says_so({ page, stack }) {
    await visit(page, `${stack.url}/t/globex/reconciliations`);
    const match = page.getByRole("region", { name: "Orders, shipments and invoices" });
    await match.getByText("not compared").waitFor();
    await match.getByRole("button", { name: "Compare them" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Prices and totals may be off by").fill("some");
    await dialog.getByRole("button", { name: "Compare them" }).click();
    await dialog.getByText("A number is written like 2.5.").waitFor();
    await look(page, "match-policy");
    await dialog.getByLabel("Prices and totals may be off by").fill("0.05");
    await dialog.getByLabel("What was shipped is billed within, days").fill("14");
    await dialog.getByRole("button", { name: "Compare them" }).click();
    await match.getByText("What was shipped is billed within 14 days.").waitFor();
    await look(page, "reconciliations-match");
  },
};
