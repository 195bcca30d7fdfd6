// Support in the place of a tenant, from both sides: the staff ask and look, the tenant answers, watches and ends it.
import assert from "node:assert/strict";
import { colleague, sql, staff } from "./database.mjs";
import { heading, until } from "./journeys.mjs";
import { inBothThemes, look, open, visit, watch, wrong } from "./page.mjs";
import { signIn } from "./people.mjs";
import { codeOf } from "./settings.mjs";

const STAFF = "sue@crossdock.example";
const REASON = "Orders of yesterday are missing in the ERP";

/** Somebody of the staff, in a browser of their own and at their desk. */
async function atTheDesk(browser, stack) {
  const { context, page } = await open(browser, "light");
  page.setDefaultTimeout(15_000);
  await page.goto(stack.url);
  await page.getByLabel("E-mail").fill(STAFF);
  await page.getByLabel("Password").fill(stack.password);
  await page.getByRole("button", { name: "Sign in" }).click();
  await heading(page, "Where to?");
  return { context, page };
}

async function secondFactor(page, stack) {
  await page.getByRole("link", { name: "Set it up in your account" }).click();
  await heading(page, "Your account");
  await inBothThemes(page, "account");
  await page.getByRole("button", { name: "Set up an app" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Your password").fill(stack.password);
  await dialog.getByRole("button", { name: "Go on" }).click();
  const secret = (await dialog.locator("code").innerText()).replaceAll(" ", "");
  await dialog.getByLabel("The code of your app").fill(codeOf(secret));
  await dialog.getByRole("button", { name: "Turn it on" }).click();
  await dialog.getByRole("button", { name: "I have kept them" }).click();
}

async function ask(page, ticket, hasWrites) {
  await page.getByLabel("Tenant", { exact: true }).fill("acme");
  await page.getByLabel("Ticket").fill(ticket);
  await page.getByLabel("Reason").fill(REASON);
  if (hasWrites) await page.getByLabel("With writes").check();
  await page.getByRole("button", { name: "Ask the tenant" }).click();
}

const banner = (page) => page.getByRole("status", { name: "Support in a tenant’s place" });
const toSettings = async (page, stack) => {
  await visit(page, `${stack.url}/t/acme/settings/support`);
  await heading(page, "Settings");
};

async function telephone(page, name, then = async () => undefined) {
  await page.setViewportSize({ width: 390, height: 844 });
  await look(page, name);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true, `${name} is wider than a telephone`);
  await then();
  await page.setViewportSize({ width: 1440, height: 900 });
}

/** What is told to a token that is worth nothing any more, and to who has no place in the tenant; nothing else went wrong. */
const nothingButRefusals = () => assert.deepEqual(wrong().filter((one) => !/sign in first|say which tenant you mean/.test(one)), []);

export const support = {
  async support_asks_with_a_second_factor_is_let_in_sees_and_changes_nothing_and_is_ended_by_the_tenant({ page, browser, stack }) {
    staff(stack, STAFF, "Sue");
    await toSettings(page, stack);
    await page.getByText("Nobody of support asks to come in").waitFor();
    await page.getByText("Support was never in your place").waitFor();
    await inBothThemes(page, "settings-support-empty");

    const { context, page: desk } = await atTheDesk(browser, stack);
    await look(desk, "tenants-staff");
    await desk.getByRole("link", { name: "Support console" }).click();
    await heading(desk, "Support console");
    await desk.getByText("Set up a second factor first.").waitFor();
    await desk.getByText("You have asked no tenant yet").waitFor();
    await inBothThemes(desk, "support-no-factor");
    await secondFactor(desk, stack);

    // A link of the help desk fills it in.
    await visit(desk, `${stack.url}/support?tenant=nobody&ticket=HELP-1042`);
    assert.equal(await desk.getByLabel("Ticket").inputValue(), "HELP-1042");
    await desk.getByLabel("Reason").fill(REASON);
    await desk.getByRole("button", { name: "Ask the tenant" }).click();
    await desk.getByText("No tenant has this id or slug.").waitFor();
    await desk.getByLabel("Tenant", { exact: true }).fill("acme");
    await desk.getByRole("button", { name: "Begin now" }).click();
    await desk.getByText("The tenant does not let support in; ask it.").waitFor();
    await inBothThemes(desk, "support-refused");
    await ask(desk, "HELP-1042", true);
    const requests = desk.getByRole("region", { name: "Your requests" });
    await requests.getByText("waits for an answer").waitFor();

    // Whoever may answer is told wherever they are, and says yes, to reading.
    await visit(page, `${stack.url}/t/acme`);
    await page.getByText("Somebody of support asks to be let in, and waits for an answer.").waitFor();
    await look(page, "overview-support-waits");
    await page.getByRole("link", { name: /^Settings 1/ }).waitFor();
    await page.getByRole("link", { name: "Answer", exact: true }).click();
    const request = page.getByRole("article", { name: "The request of Sue" });
    await request.getByText(REASON).waitFor();
    await inBothThemes(page, "settings-support-request");
    await request.getByRole("button", { name: /^Yes, read only/ }).click();
    await page.getByRole("button", { name: /^Take the yes back/ }).waitFor();

    await requests.getByText("allowed", { exact: true }).waitFor();
    await inBothThemes(desk, "support-allowed");
    await requests.getByRole("button", { name: /^Begin/ }).click();
    await desk.getByRole("dialog").getByLabel("Minutes").fill("30");
    await look(desk, "support-begin");
    await desk.getByRole("dialog").getByRole("button", { name: "Begin" }).click();

    // In its place: said above every page, with the time that is left.
    await heading(desk, "Overview");
    await banner(desk).getByText("You are in the place of acme").or(banner(desk).getByText(/You are in the place of/)).first().waitFor();
    await banner(desk).getByText("read only").waitFor();
    assert.match(await banner(desk).getByRole("timer").innerText(), /^(30:00|29:\d\d) left$/);
    for (const said of ["Sue", "HELP-1042", REASON]) assert.ok((await banner(desk).innerText()).includes(said), said);
    await inBothThemes(desk, "in-place-overview");
    for (const hidden of ["Audit log"]) assert.equal(await desk.getByRole("link", { name: hidden }).count(), 0, hidden);
    await desk.getByRole("link", { name: "Exceptions", exact: true }).click();
    await heading(desk, "Exceptions");
    await desk.getByRole("region", { name: "Causes" }).getByRole("link").first().waitFor();
    await banner(desk).waitFor();
    await inBothThemes(desk, "in-place-exceptions");
    await desk.keyboard.press("r");
    assert.equal(await desk.getByRole("dialog").count(), 0, "no act by a key, either");
    await desk.getByRole("region", { name: "Causes" }).getByRole("link").first().click();
    await desk.getByText("Your role here may look at exceptions and not work them.").waitFor();
    await desk.getByRole("region", { name: "The exception" }).waitFor();
    for (const act of ["Retry", "Assign", "Ignore", "Edit and retry"]) assert.equal(await desk.getByRole("button", { name: act }).count(), 0, act);
    assert.equal(await desk.getByRole("region", { name: "Exceptions of this cause" }).getByRole("checkbox").count(), 0, "nothing is chosen where nothing can be done with it");
    // Why there are dots in the place of the buyer is said beside them.
    await desk.getByText(/of people are ••• for support/).waitFor();
    await look(desk, "in-place-cause");
    for (const [path, title, act] of [
      ["connections", "Connections", "Connect a system"],
      ["flows", "Flows", "New flow"],
      ["lookup-tables", "Lookup tables", "New table"],
      ["reconciliations", "Reconciliations", "Compare now"],
      ["settings", "Settings", "Invite somebody"],
    ]) {
      await desk.locator(`header.side a[href="/t/acme/${path}"]`).first().click();
      await heading(desk, title);
      await banner(desk).waitFor();
      const seen = desk.getByRole("button", { name: act }).or(desk.getByRole("link", { name: act }));
      assert.equal(await seen.count(), 0, `support is offered “${act}”`);
    }
    await desk.getByRole("link", { name: "People" }).waitFor();
    for (const other of ["Your account", "API keys", "Support"]) assert.equal(await desk.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: other }).count(), 0, other);
    // On a telephone it stays in sight and makes no page wider.
    await telephone(desk, "in-place-telephone", async () => {
      await desk.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
      assert.equal(await banner(desk).evaluate((one) => Math.round(one.getBoundingClientRect().top)), 0);
    });

    // A tab that is loaded anew has no token, and gets one only when it is told to.
    await desk.reload();
    await heading(desk, "You are no member of acme");
    await look(desk, "in-place-loaded-anew");
    await desk.getByRole("button", { name: "Go on in its place" }).click();
    await heading(desk, "Settings");
    await banner(desk).waitFor();
    nothingButRefusals();

    // The tenant sees it, with what was done, and ends it; the tab says so within seconds.
    await toSettings(page, stack);
    const row = page.getByRole("region", { name: "Support in your place" }).getByRole("row").filter({ hasText: "HELP-1042" });
    await row.getByText("in now").waitFor();
    await row.getByText(/^by the yes of/).waitFor();
    await page.getByText("Sue of support is in your place now").waitFor();
    await inBothThemes(page, "settings-support-running");
    await row.getByRole("link", { name: /events in the audit log/ }).click();
    await page.getByRole("region", { name: "Events" }).getByRole("button", { name: "impersonation: used" }).first().waitFor();
    await page.getByText("Sue of support, ticket HELP-1042").first().waitFor();
    await look(page, "audit-impersonation");
    // Whoever begins at the overview reads it there, too.
    await visit(page, `${stack.url}/t/acme`);
    await page.getByText("Sue of support is in your place now").waitFor();
    await page.getByText(/They have changed nothing\.$/).waitFor();
    await inBothThemes(page, "overview-support-in");
    await toSettings(page, stack);
    await row.getByRole("button", { name: /^End it now/ }).click();
    await row.getByText(/ended here, by/).waitFor();
    await heading(desk, "Support console");
    await desk.getByText(/ended it, or took its consent back: you are not in its place any more/).waitFor();
    assert.equal(await banner(desk).count(), 0);
    await inBothThemes(desk, "support-ended");
    nothingButRefusals();

    // And a no is a no.
    await ask(desk, "HELP-1043", false);
    await page.getByRole("article", { name: "The request of Sue" }).getByRole("button", { name: /^No/ }).click({ timeout: 30_000 });
    const answered = requests.getByRole("row").filter({ hasText: "HELP-1043" });
    await answered.getByText("refused").waitFor();
    assert.equal(await answered.getByRole("button").count(), 0);
    await telephone(desk, "support-telephone");
    await context.close();
  },

  async a_standing_consent_lets_support_in_with_writes_until_its_time_or_until_it_leaves({ page, browser, stack }) {
    if (sql(stack, `SELECT count(*) FROM users WHERE email = '${STAFF}'`) === "0") staff(stack, STAFF, "Sue");
    sql(stack, `DELETE FROM second_factors WHERE user_id = (SELECT id FROM users WHERE email = '${STAFF}')`);
    await toSettings(page, stack);
    await page.getByRole("button", { name: "Let support in at any time" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("They may").selectOption("writes");
    await look(page, "settings-support-consent");
    await dialog.getByRole("button", { name: "Let them in" }).click();
    await page.getByText("let in, with writes").waitFor();
    await inBothThemes(page, "settings-support-consented");

    const { context, page: desk } = await atTheDesk(browser, stack);
    await desk.getByRole("link", { name: "Support console" }).click();
    await secondFactor(desk, stack);
    // Where somebody's link led is where one arrives.
    await visit(desk, `${stack.url}/t/acme/exceptions`);
    await heading(desk, "You are no member of acme");
    await desk.getByRole("link", { name: "Ask it, or begin" }).click();
    await heading(desk, "Support console");
    await desk.getByLabel("Ticket").fill("HELP-7");
    await desk.getByLabel("Reason").fill("A retry that nobody of the tenant can do now");
    await desk.getByLabel("With writes").check();
    await desk.getByRole("button", { name: "Begin now" }).click();
    await heading(desk, "Exceptions");
    await banner(desk).getByText("with writes").waitFor();
    await inBothThemes(desk, "in-place-writes");
    await desk.getByRole("region", { name: "Causes" }).getByRole("link").first().click();
    await desk.getByRole("toolbar", { name: "Acts" }).getByRole("button", { name: "Retry" }).waitFor();
    nothingButRefusals();

    // Another tab gets a token of its own, and reads that it was left here, and not that the tenant had ended it.
    const other = watch(await context.newPage());
    await visit(other, `${stack.url}/support`);
    await other.getByRole("button", { name: "Go on in its place" }).click();
    await banner(other).waitFor();
    await banner(desk).getByRole("button", { name: "Leave its place" }).click();
    for (const tab of [desk, other]) {
      await heading(tab, "Support console");
      await tab.getByText(/^You left the place of/).waitFor();
    }

    // By its time: said a minute before, and over by itself.
    await desk.getByLabel("Tenant", { exact: true }).fill("acme");
    await desk.getByLabel("Ticket").fill("HELP-8");
    await desk.getByLabel("Reason").fill("One more look");
    await desk.getByLabel("Minutes").fill("1");
    await desk.getByRole("button", { name: "Begin now" }).click();
    await heading(desk, "Overview");
    await banner(desk).getByText("Less than a minute is left.").waitFor({ state: "attached" });
    await look(desk, "in-place-nearly-over");
    // A minute is the least that can be asked for, and all of it is waited for: whatever is done within less of it is a race on a slow machine.
    await desk.getByText(/^The time in the place of/).waitFor({ timeout: 90_000 });

    await page.getByRole("button", { name: /^Take it back/ }).click();
    await page.getByRole("button", { name: "Let support in at any time" }).waitFor();
    await until("three of them are listed as over", async () => (await page.getByRole("region", { name: "Support in your place" }).getByText("over", { exact: true }).count()) >= 2);
    await look(page, "settings-support-over");
    await telephone(page, "settings-support-telephone");
    nothingButRefusals();
    await context.close();

    // Who reads the audit log reads this, and decides nothing.
    colleague(stack, "abby@acme.example", "auditor");
    const auditor = await signIn(browser, stack, "abby@acme.example");
    await toSettings(auditor.page, stack);
    await auditor.page.getByText("Owners and admins decide.").waitFor();
    await auditor.page.getByRole("link", { name: /events in the audit log/ }).first().waitFor();
    for (const act of [/^Let support in/, /^Take/, /^End it now/]) assert.equal(await auditor.page.getByRole("button", { name: act }).count(), 0, String(act));
    await auditor.close();
  },
};
