// What a destination answers is nobody's word but its own: its refusals, its ids, what it says of its records. Wherever a page shows one, it shows a text.
import assert from "node:assert/strict";
import { between } from "./between.mjs";
import { sql } from "./database.mjs";
import { asDeveloper, heading, until } from "./journeys.mjs";
import { inBothThemes, look, nothingRan, visit } from "./page.mjs";
import { HOSTILE } from "./shop.mjs";
import { simulate } from "./simulators.mjs";

const TENANT = "umbrella";
/** One that stands in a part of an address: without a slash. */
const HOSTILE_ID = '<img src=x onerror="window.owned=1">';
/** The table that a mapping asks, whose name is in what people are told. */
const HOSTILE_TABLE = `Notes ${HOSTILE_ID}`;
const REFUSAL = { title: HOSTILE, status: 400, "o:errorDetails": [{ detail: HOSTILE, "o:errorPath": HOSTILE, "o:errorCode": HOSTILE }] };

/** An ERP that refuses one order, calls another by an id of markup, and says markup of all that it has, with one more than it should have. */
function spoken(url) {
  const keys = [];
  let double = null;
  return between(url, async ({ method, path, body }, pass) => {
    const key = method === "PUT" ? path.split("eid:")[1] : undefined;
    if (key !== undefined && !keys.includes(key)) keys.push(key);
    if (key !== undefined && key === keys[0]) return { status: 400, headers: { "content-type": "application/json" }, body: JSON.stringify(REFUSAL) };
    const answer = await pass(double ? body.replaceAll(JSON.stringify(HOSTILE_ID).slice(1, -1), double) : body);
    if (key !== undefined && key === keys[1]) return { ...answer, headers: { ...answer.headers, location: `${url}/services/rest/record/v1/salesOrder/${HOSTILE_ID}` } };
    if (!/FROM transaction t/.test(body) || answer.status !== 200) return answer;
    const said = JSON.parse(answer.body);
    const items = said.items.map((item) => ({ ...item, email: HOSTILE, otherrefnum: HOSTILE, addressee: HOSTILE, city: HOSTILE, memo: HOSTILE }));
    double = items[0]?.id ?? null;
    return { ...answer, body: JSON.stringify({ ...said, items: [...items, ...(double ? [{ ...items[0], id: HOSTILE_ID, tranid: HOSTILE }] : [])] }) };
  });
}

/** Two systems and a published flow whose mapping asks the table with the name. */
async function begin(stack, shop, erp, erpUrl) {
  const { ask: askAnywhere } = await asDeveloper(stack);
  await askAnywhere("mutation($input: TenantCreateInput!) { tenantCreate(input: $input) { userErrors { message } } }", { input: { name: "Umbrella", slug: TENANT } });
  const { ask } = await asDeveloper(stack, TENANT);
  const done = async (query, variables) => {
    const [payload] = Object.values(await ask(query, variables));
    assert.deepEqual(payload.userErrors, []);
    return payload;
  };
  const connect = async (connector, name, { settings, credential }, more = {}) => {
    const input = { connector, name, settings: { ...settings, ...more }, credential };
    return (await done("mutation($input: ConnectionCreateInput!) { connectionCreate(input: $input) { connection { id } userErrors { message } } }", { input })).connection.id;
  };
  const [sourceId, destinationId] = [await connect("shopify", "Umbrella shop", shop), await connect("netsuite", "Umbrella ERP", erp, { base_url: erpUrl })];
  for (const name of ["SKUs", HOSTILE_TABLE]) await done("mutation($name: String!) { lookupTableCreate(name: $name) { userErrors { message } } }", { name });
  const flow = { name: "Orders to the ERP", recordKind: "order", sourceId, destinationId, mapping: [{ to: "memo", from: "number", lookup: HOSTILE_TABLE }] };
  const { flow: { id: flowId } } = await done("mutation($input: FlowCreateInput!) { flowCreate(input: $input) { flow { id } userErrors { message } } }", { input: flow });
  await done("mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }", { id: flowId });
  return { ask, done, sourceId, destinationId, flowId };
}

/** Orders of the past, until each of them stands somewhere; all but those of one number have what the tables are asked for. */
async function bring({ ask, done, sourceId }) {
  const input = { connectionId: sourceId, recordKind: "order", since: "2020-01-01T00:00:00Z" };
  const { backfill: { id } } = await done("mutation($input: BackfillPrepareInput!) { backfillPrepare(input: $input) { backfill { id } userErrors { message } } }", { input });
  const state = async () => (await ask("query($id: ID!) { backfill(id: $id) { state } }", { id })).backfill.state;
  await until("the backfill is prepared", async () => (await state()) === "ready");
  await done("mutation($id: ID!) { backfillRun(id: $id) { userErrors { message } } }", { id });
  await until("the backfill is done", async () => (await state()) === "done", 60_000);
  let kept = null;
  await until("all are confirmed but those that stop for two causes", async () => {
    const { lookupInbox, ledger, exceptionGroups } = await ask("{ lookupInbox(first: 100) { nodes { value lookupTable { id name } } } ledger { deliveries { state count } } exceptionGroups(first: 10) { nodes { causeKey } } }", {});
    for (const { value, lookupTable } of lookupInbox.nodes) {
      if (lookupTable.name === HOSTILE_TABLE) kept ??= value;
      if (value !== kept) await ask('mutation($id: ID!, $value: String!) { lookupInboxResolve(tableId: $id, value: $value, to: "1001") { userErrors { message } } }', { id: lookupTable.id, value });
    }
    const of = (wanted) => ledger.deliveries.find((one) => one.state === wanted)?.count ?? 0;
    return of("confirmed") >= 2 && exceptionGroups.nodes.length === 2 && ["planned", "sending", "waiting", "unknown"].every((one) => of(one) === 0);
  }, 60_000);
}

const shownIn = (place, text = "onerror") => place.getByText(text).filter({ visible: true }).first().waitFor();

async function theRefusal(page, stack, ask) {
  const at = (path) => visit(page, `${stack.url}/t/${TENANT}/${path}`);
  await at(`exceptions?text=${encodeURIComponent("refused")}`);
  await page.getByRole("region", { name: "Causes" }).getByRole("link", { name: /refused .*<script>/ }).click();
  await page.getByRole("region", { name: "Fix" }).waitFor();
  const exception = page.getByRole("region", { name: "The exception", exact: true });
  await shownIn(exception.getByRole("heading", { level: 2 }), "<script>");
  await shownIn(exception.getByRole("region", { name: "The answer" }), "<script>");
  await nothingRan(page, "the exception");
  await inBothThemes(page, "hostile-exception");
  await page.getByRole("button", { name: "Edit and retry" }).click();
  await page.getByRole("dialog").getByLabel("Field", { exact: true }).waitFor();
  await nothingRan(page, "its edit");
  await look(page, "hostile-exception-edit");
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "Its whole story" }).click();
  await heading(page, /^Order /);
  await shownIn(page.getByRole("listitem"), "<script>");
  await page.getByRole("button", { name: "What was sent and answered" }).last().click();
  await shownIn(page.getByRole("dialog").getByRole("region", { name: "The answer" }), "<script>");
  await nothingRan(page, "the call");
  await look(page, "hostile-call");

  // What the audit log keeps of the call, and each event about its delivery.
  const { deliveries } = await ask('{ deliveries(first: 100, filter: { state: "exception" }) { nodes { id attempts { answer } } } }', {});
  const { id } = deliveries.nodes.find((one) => one.attempts.some(({ answer }) => answer?.includes("onerror")));
  const { auditEvents } = await ask("query($id: ID!) { auditEvents(subjectId: $id, first: 50) { nodes { id action } } }", { id });
  for (const event of auditEvents.nodes) {
    await at(`audit/events/${event.id}`);
    await heading(page, event.action.replace(".", ": ").replaceAll("_", " "));
    await nothingRan(page, event.action);
    if (event.action !== "attempt.failed") continue;
    await shownIn(page.getByRole("tree"), "<script>");
    await nothingRan(page, "the answer as a tree");
    await page.getByRole("button", { name: "As text" }).click();
    await shownIn(page.getByRole("region", { name: "All of it as text" }), "<script>");
    await nothingRan(page, "the answer as text");
    await look(page, "hostile-audit-event");
  }
  assert.ok(auditEvents.nodes.some(({ action }) => action === "attempt.failed"), "the failed call is in the log");
}

async function theIds(page, stack, ask) {
  const { deliveries } = await ask('{ deliveries(first: 50, filter: { state: "confirmed" }) { nodes { record { id } receiptId } } }', {});
  const found = deliveries.nodes.find((one) => one.receiptId === HOSTILE_ID) ?? assert.fail(`its id is kept as it came, and these are kept: ${JSON.stringify(deliveries.nodes)}`);
  await visit(page, `${stack.url}/t/${TENANT}/records/${found.record.id}`);
  await page.getByText(HOSTILE_ID, { exact: true }).waitFor();
  await nothingRan(page, "the record with the id");
  await look(page, "hostile-record");
  await visit(page, `${stack.url}/t/${TENANT}/records?q=${encodeURIComponent(HOSTILE_ID)}`);
  await page.getByRole("region", { name: "Records that fit" }).waitFor();
  await nothingRan(page, "the search for the id");
}

async function theDifferences(page, stack, ask) {
  // The last minutes are left out by the page, because things are on their way: this one does not wait for them.
  const [id] = sql(stack, `INSERT INTO reconciliations (id, tenant_id, flow_id, from_at, until_at, started_by) SELECT gen_random_uuid(), f.tenant_id, f.id, '2020-01-01', now() + interval '1 minute', '{}' FROM flows f JOIN tenants t ON t.id = f.tenant_id WHERE t.slug = '${TENANT}' RETURNING id`).split("\n");
  const reconciliation = `rcn_${id.replaceAll("-", "")}`;
  const state = async () => (await ask("query($id: ID!) { reconciliation(id: $id) { state } }", { id: reconciliation })).reconciliation.state;
  await until("both sides are compared", async () => (await state()) === "done", 60_000);
  await visit(page, `${stack.url}/t/${TENANT}/reconciliations/${reconciliation}`);
  const differences = page.getByRole("region", { name: "Differences" });
  const different = differences.getByRole("row").filter({ hasText: "different" }).first();
  await shownIn(different.locator("del"), "<script>");
  await differences.getByRole("cell", { name: HOSTILE_ID, exact: true }).waitFor();
  await nothingRan(page, "the differences");
  await inBothThemes(page, "hostile-differences");
  await page.getByRole("button", { name: "Choose all that are shown" }).click();
  await page.getByRole("button", { name: "Send ours again" }).click();
  await page.getByRole("dialog").waitFor();
  await nothingRan(page, "their act");
  await page.keyboard.press("Escape");
}

async function theTable(page, stack) {
  await visit(page, `${stack.url}/t/${TENANT}/lookup-tables`);
  await shownIn(page.getByRole("region", { name: "Inbox" }));
  await nothingRan(page, "the inbox");
  await visit(page, `${stack.url}/t/${TENANT}/exceptions?text=Notes`);
  await page.getByRole("region", { name: "Causes" }).getByRole("link").first().click();
  await shownIn(page.getByRole("region", { name: "Fix" }));
  await shownIn(page.getByRole("region", { name: "The exception", exact: true }));
  await nothingRan(page, "the value that the table lacks");
  await look(page, "hostile-table");
}

export const hostile = {
  async what_a_destination_answers_is_shown_as_text_and_never_run({ page, stack }) {
    const [shop, erp] = await Promise.all([simulate("shopify"), simulate("netsuite")]);
    const vendor = await spoken(erp.url);
    try {
      const made = await begin(stack, shop, erp, vendor.url);
      await bring(made);
      await theRefusal(page, stack, made.ask);
      await theIds(page, stack, made.ask);
      await theTable(page, stack);
      await theDifferences(page, stack, made.ask);
      // And wherever else some of it may stand.
      for (const path of ["", "exceptions", "deliveries", "deliveries?state=exception", "records", "incidents", "drifts?state=all", "reconciliations", "audit", "connections", "connections/health", `connections/${made.destinationId}`, `flows/${made.flowId}`, `flows/${made.flowId}/mapping`]) {
        await visit(page, `${stack.url}/t/${TENANT}/${path}`);
        await page.getByRole("heading", { level: 1 }).first().waitFor();
        await nothingRan(page, path || "the overview");
      }
    } finally {
      vendor.stop();
      shop.stop();
      erp.stop();
    }
  },
};
