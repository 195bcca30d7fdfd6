// The audit log: found, taken out, and checked in the browser, where what was tampered with is named.
import assert from "node:assert/strict";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { colleague, sql } from "./database.mjs";
import { asDeveloper, heading } from "./journeys.mjs";
import { DESK, inBothThemes, look, quiet, TELEPHONE, visit } from "./page.mjs";
import { signIn } from "./people.mjs";

const find = async (page, values) => {
  for (const [label, value] of Object.entries(values)) await page.getByLabel(label, { exact: true }).fill(value);
  await page.getByRole("button", { name: "Search", exact: true }).click();
  await quiet(page);
};

/** What is checked: this text as a file. */
async function check(page, folder, name, text) {
  const path = join(folder, name);
  await writeFile(path, text);
  await page.getByLabel("The export").setInputFiles(path);
  await page.getByRole("button", { name: "Check it" }).click();
  await page.getByRole("region", { name: "What was found" }).waitFor({ timeout: 60_000 });
  return page.getByRole("region", { name: "What was found" }).innerText();
}

export const audit = {
  async what_was_done_is_found_in_the_audit_log_by_act_or_id({ page, browser, stack }) {
    await page.keyboard.press("g");
    await page.keyboard.press("t");
    await heading(page, "Audit log");
    await page.getByRole("region", { name: "Events" }).getByRole("row").nth(5).waitFor();
    await inBothThemes(page, "audit");
    await find(page, { "What was done": "flow.published" });
    const events = page.getByRole("region", { name: "Events" });
    await events.getByRole("button", { name: "flow: published" }).first().waitFor();
    await events.getByRole("button", { name: "attempt: started" }).first().waitFor({ state: "detached" });
    await events.getByRole("button", { name: "flow: published" }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText("flow.published").waitFor();
    await look(page, "audit-event");
    // A link to it means the same for whoever opens it.
    const link = page.url();
    await visit(page, link.replace("action=flow.published&", ""));
    await dialog.getByText("flow.published").waitFor();
    await dialog.getByRole("link", { name: "All that it did" }).click();
    await dialog.waitFor({ state: "detached" });
    await events.getByRole("button", { name: "flow: published" }).first().waitFor();
    await page.getByRole("link", { name: "Show all" }).click();
    // An order's number is no id of ours: what is known by it is offered.
    await find(page, { "Any id": "1001" });
    await page.getByText("the record itself").waitFor();
    await look(page, "audit-records");
    await page.getByRole("link", { name: /^What was done to the delivery of revision 1/ }).first().click();
    await events.getByText(/^dlv_/).first().waitFor();
    await events.getByRole("button", { name: "attempt: started" }).first().waitFor();
    await find(page, { "What was done": "no.such_act" });
    await page.getByText("No event fits").waitFor();
    await page.setViewportSize({ width: 390, height: 844 });
    await visit(page, `${stack.url}/t/acme/audit`);
    await look(page, "audit-telephone");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    await page.setViewportSize({ width: 1440, height: 900 });
    colleague(stack, "oscar@acme.example", "operator");
    const other = await signIn(browser, stack, "oscar@acme.example");
    // It goes as soon as the role is known.
    await other.page.getByRole("link", { name: "Audit log" }).waitFor({ state: "detached" });
    await visit(other.page, `${stack.url}/t/acme/audit`);
    await other.page.getByText("Your role does not see the audit log").waitFor();
    await other.close();
  },

  async whence_something_was_asked_for_stands_on_its_events_page_to_be_copied_and_searched_by({ page, context, stack }) {
    const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    const { ask } = await asDeveloper(stack, "acme", { traceparent: `00-${trace}-00f067aa0ba902b7-01` });
    const { lookupTableCreate } = await ask("mutation($name: String!) { lookupTableCreate(name: $name) { lookupTable { id } userErrors { message } } }", { name: "Traced" });
    const { id } = lookupTableCreate.lookupTable;
    const { auditEvents } = await ask("query($id: ID!) { auditEvents(subjectId: $id, first: 1) { nodes { id requestId } } }", { id });
    const [event] = auditEvents.nodes;
    await visit(page, `${stack.url}/t/acme/audit/events/${event.id}`);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    const shown = (label) => page.getByRole("textbox", { name: label, exact: true });
    for (const [label, text] of [["The address", "127.0.0.1"], ["The request", event.requestId], ["The trace", trace], ["The event", event.id]]) {
      assert.equal((await shown(label).innerText()).trim(), text);
      await page.getByRole("button", { name: `Copy ${label.replace("The", "the")}`, exact: true }).click();
      await page.locator(".copy", { has: shown(label) }).getByText("Copied.").waitFor();
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text);
    }
    await context.clearPermissions();
    await inBothThemes(page, "audit-event-whence");
    await page.setViewportSize(TELEPHONE);
    await look(page, "audit-event-whence-telephone");
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)) <= 0, "no wider than a telephone");
    await page.setViewportSize(DESK);
    // The same in the list, and from there to all that the request did.
    await visit(page, `${stack.url}/t/acme/audit?q=${id}&event=${event.id}`);
    await page.getByRole("dialog").getByRole("textbox", { name: "The trace", exact: true }).waitFor();
    await look(page, "audit-event-whence-dialog");
    await page.getByRole("dialog").getByRole("link", { name: "All that it did" }).click();
    await page.getByRole("region", { name: "Events" }).getByRole("button", { name: "lookup table: created" }).waitFor();
    assert.equal(new URL(page.url()).searchParams.get("as"), "request");
    // And to all that came from its address, and all of its trace, of which the table is.
    for (const [link, as, q] of [["All that came from it", "address", "127.0.0.1"], ["All that is of it", "trace", trace]]) {
      await visit(page, `${stack.url}/t/acme/audit/events/${event.id}`);
      await page.getByRole("link", { name: link, exact: true }).click();
      await page.getByRole("region", { name: "Events" }).getByRole("row").nth(1).waitFor();
      const { searchParams } = new URL(page.url());
      assert.deepEqual([searchParams.get("as"), searchParams.get("q")], [as, q]);
    }
    await page.getByRole("region", { name: "Events" }).getByRole("button", { name: "lookup table: created" }).waitFor();
    await ask("mutation($id: ID!) { lookupTableDelete(id: $id) { userErrors { message } } }", { id });
  },

  async what_was_sent_is_looked_at_searched_and_held_against_its_seal_on_an_events_page({ page, browser, stack }) {
    const { ask } = await asDeveloper(stack);
    const { auditEvents } = await ask('{ auditEvents(action: "attempt.started", first: 10) { nodes { id subjectId detail payload { text length } } } }', {});
    const event = auditEvents.nodes.find((one) => one.payload?.text.startsWith("{") && one.payload.length > 200) ?? assert.fail("a call that sent something");
    await visit(page, `${stack.url}/t/acme/audit?q=${event.id}&as=event&event=${event.id}`);
    await page.getByRole("dialog").getByRole("link", { name: "What was sent" }).click();
    await heading(page, "attempt: started");
    await page.getByText(/^It is what was sealed, to the byte/).waitFor();
    const tree = page.getByRole("tree", { name: "What was sent" });
    await inBothThemes(page, "audit-payload");

    // Searched, gone through, and the place stands in the address.
    const name = /"(\w+)":/g.exec(event.payload.text)[1];
    await page.keyboard.press("/");
    await page.keyboard.type(name);
    await page.getByRole("button", { name: "Show the first" }).click();
    await page.getByRole("region", { name: "What is chosen" }).waitFor();
    const path = (await page.getByLabel("The path").innerText()).trim();
    assert.ok(path.includes(name), path);
    await inBothThemes(page, "audit-payload-found");
    const link = page.url();
    assert.equal(new URL(link).searchParams.get("at"), path);
    await visit(page, link);
    await page.getByRole("region", { name: "What is chosen" }).getByText(path, { exact: true }).waitFor();
    assert.equal(await tree.locator('[aria-selected="true"]').count(), 1);

    // By keys alone: the top, down, closed and opened again.
    await tree.focus();
    await page.keyboard.press("Home");
    const rows = await tree.getByRole("treeitem").count();
    await page.keyboard.press("ArrowLeft");
    assert.equal(await tree.getByRole("treeitem").count(), 1);
    await page.keyboard.press("ArrowRight");
    assert.equal(await tree.getByRole("treeitem").count(), rows);
    await page.keyboard.press("ArrowDown");
    assert.equal(await tree.locator('[aria-selected="true"]').getAttribute("aria-level"), "2");
    await page.getByRole("button", { name: "As text" }).click();
    await page.getByRole("region", { name: "All of it as text" }).waitFor();
    await look(page, "audit-payload-text");
    await page.setViewportSize({ width: 390, height: 844 });
    await page.getByRole("button", { name: "As a tree" }).click();
    await look(page, "audit-payload-telephone");
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)) <= 0, "no wider than a telephone");
    await page.setViewportSize({ width: 1440, height: 900 });

    // Somebody changes it in the database: it is said to be another.
    const attempt = `delivery_id = '${event.subjectId.split("_")[1]}' AND number = ${JSON.parse(event.detail).attempt}`;
    sql(stack, `UPDATE attempts SET request = request || ' '::bytea WHERE ${attempt}`);
    await visit(page, `${stack.url}/t/acme/audit/events/${event.id}`);
    await page.getByText(/^It is not what was sealed/).waitFor();
    await inBothThemes(page, "audit-payload-altered");
    sql(stack, `UPDATE attempts SET request = substring(request FOR length(request) - 1) WHERE ${attempt}`);

    // What came is proven, too, until somebody changes it.
    const { auditEvents: received } = await ask('{ auditEvents(action: "message.received", first: 20) { nodes { id subjectId payload { text } } } }', {});
    const came = { nodes: received.nodes.filter(({ payload }) => payload?.text.startsWith("{") && /@example\.com|•••/.test(payload.text)) };
    await visit(page, `${stack.url}/t/acme/audit/events/${came.nodes[0].id}`);
    await page.getByText(/^It is what was sealed, to the byte/).waitFor();
    await look(page, "audit-payload-came");
    const message = `id = '${came.nodes[0].subjectId.split("_")[1]}'`;
    sql(stack, `UPDATE messages SET body = body || ' '::bytea WHERE ${message}`);
    await visit(page, `${stack.url}/t/acme/audit/events/${came.nodes[0].id}`);
    await page.getByText(/^It is not what was sealed/).waitFor();
    sql(stack, `UPDATE messages SET body = substring(body FOR length(body) - 1) WHERE ${message}`);
    await visit(page, `${stack.url}/t/acme/audit/events/aud_${"0".repeat(32)}`);
    await heading(page, "There is no such event");

    // An auditor sees that it is as it was sealed, and no buyer's name; it is said why.
    colleague(stack, "aud@acme.example", "auditor");
    const other = await signIn(browser, stack, "aud@acme.example");
    await visit(other.page, `${stack.url}/t/acme/audit/events/${came.nodes[0].id}`);
    await other.page.getByText(/is ••• for your role, whose work does not need it/).waitFor();
    await look(other.page, "audit-payload-hidden");
    await other.close();
  },

  async an_export_of_the_audit_log_is_checked_here_and_whatever_was_done_to_it_is_named({ page, stack }) {
    await visit(page, `${stack.url}/t/acme/audit`);
    await page.getByRole("button", { name: "Export" }).click();
    const dialog = page.getByRole("dialog");
    const first = page.waitForEvent("download");
    await dialog.getByRole("button", { name: "Export", exact: true }).click();
    const text = await readFile(await (await first).path(), "utf8");
    assert.equal((await first).suggestedFilename(), "audit-acme.jsonl");
    await dialog.getByText(/is among your downloads/).waitFor();
    await look(page, "audit-export");
    await dialog.getByLabel("As", { exact: true }).selectOption("sheet");
    const second = page.waitForEvent("download");
    await dialog.getByRole("button", { name: "Export", exact: true }).click();
    assert.match(await readFile(await (await second).path(), "utf8"), /^id,at,actor,action,/);
    await dialog.getByRole("button", { name: "Close" }).click();
    await page.getByRole("link", { name: "Check an export" }).click();
    await heading(page, "Check an export");
    const folder = await mkdtemp(join(tmpdir(), "crossdock-audit-"));
    assert.match(await check(page, folder, "audit.jsonl", text), /It is as it was sealed/);
    await inBothThemes(page, "audit-check-good");
    const lines = text.trimEnd().split("\n");
    assert.ok(lines.length > 100, `an export of ${lines.length} lines`);
    const isEvent = (line) => line.startsWith('{"event"');
    const at = lines.findIndex((line, index) => index > 20 && isEvent(line) && isEvent(lines[index + 1]));
    const id = (line) => /aud_[0-9a-f]{32}/.exec(line)[0];
    const tampered = (change) => `${lines.toSpliced(...change).join("\n")}\n`;
    const altered = lines[at].replace('"at":"2', '"at":"1');
    const found = await check(page, folder, "altered.jsonl", tampered([at, 1, altered]));
    assert.ok(found.includes(`event ${id(lines[at])} of seal`) && found.includes("was altered") && found.includes(`line ${(at + 1).toLocaleString("en")} `), found);
    await inBothThemes(page, "audit-check-bad");
    assert.match(await check(page, folder, "missing.jsonl", tampered([at, 1])), new RegExp(`event ${id(lines[at])} of seal \\d+ is missing`));
    assert.match(await check(page, folder, "twice.jsonl", tampered([at, 0, lines[at]])), new RegExp(`event ${id(lines[at])} was added`));
    assert.match(await check(page, folder, "moved.jsonl", tampered([at, 2, lines[at + 1], lines[at]])), new RegExp(`event ${id(lines[at + 1])} of seal \\d+ is not in its place`));
    const last = lines.findLastIndex((line) => line.startsWith('{"seal"'));
    assert.match(await check(page, folder, "cut.jsonl", `${lines.slice(0, last).join("\n")}\n`), /its end is cut off/);
    // A head that was kept goes with the log that it is of.
    const head = await page.getByLabel("The head", { exact: true }).innerText();
    await page.getByLabel("A head that you kept").fill(lines[0]);
    assert.match(await check(page, folder, "audit.jsonl", text), /goes as far as the head that you kept/);
    await page.getByLabel("A head that you kept").fill(`${head.slice(0, 40)}`);
    await page.getByRole("button", { name: "Check it" }).click();
    await page.getByText(/^This is no head/).waitFor();
  },
};
