// Flows as pictures: the steps of one with what stands in the way at each, and all of them as a map, by pointer, by keys and on a telephone.
import assert from "node:assert/strict";
import { asDeveloper, heading, until } from "./journeys.mjs";
import { bestOf } from "./measure.mjs";
import { DESK, inBothThemes, look, nothingRan, quiet, TELEPHONE, visit } from "./page.mjs";
import { HOSTILE } from "./shop.mjs";

/** As many as the map draws, and some more. */
const FLOWS_MAX = 300;
const MANY = 330;
const PAGE = 20;
const FRAMES_MS = 500;

/** Whether the whole of one stands within the other. */
async function isWithin(part, whole) {
  const [a, b] = await Promise.all([part.boundingBox(), whole.boundingBox()]);
  return a.x >= b.x - 1 && a.y >= b.y - 1 && a.x + a.width <= b.x + b.width + 1 && a.y + a.height <= b.y + b.height + 1;
}

/** What the API would say of so many flows between some connections. */
function manyFlows(after) {
  const from = after ? Number(after) + 1 : 0;
  const nodes = Array.from({ length: Math.min(PAGE, MANY - from) }, (_, index) => from + index).map((number) => ({
    id: `flw_${number}`,
    name: `flow ${number}`,
    source: { id: `con_${number % 9}`, name: `System ${number % 9}` },
    destination: { id: `con_${(number * 5 + 1) % 14}`, name: `System ${(number * 5 + 1) % 14}` },
    published: { version: 1 },
    health: { state: "HEALTHY", openExceptions: 0 },
  }));
  return { nodes, pageInfo: { hasNextPage: from + PAGE < MANY, endCursor: String(from + nodes.length - 1) } };
}

export const maps = {
  async what_stands_in_the_way_of_a_flow_is_said_at_its_step_and_leads_to_where_it_is_mended({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    const { connections, flows } = await ask("{ connections(first: 50) { nodes { id name } } flows(first: 15) { nodes { id name } } }", {});
    const { id } = connections.nodes.find((one) => one.name === "Acme ERP");
    const flow = flows.nodes.find((one) => one.name.startsWith("orders: shopify"));
    const { connectionPause } = await ask("mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }", { id });
    assert.deepEqual(connectionPause.userErrors, []);
    await visit(page, `${stack.url}/t/acme/flows/${flow.id}`);
    const steps = page.getByRole("region", { name: "How it runs" });
    for (const name of [/^Source: Acme shop$/, /^Reads by: /, /^Filter: /, /^Writes by: /, /^Destination: Acme ERP$/]) await steps.getByRole("link", { name }).waitFor();
    await steps.getByRole("link", { name: "paused" }).waitFor();
    await inBothThemes(page, "flow-picture");
    // They stand beside each other, in the order in which a record goes through them; on a telephone under each other.
    const middles = async (axis) => Promise.all((await steps.locator(".step").all()).map(async (one) => (await one.boundingBox())[axis]));
    const isRising = (numbers) => numbers.length === 5 && numbers.every((one, index) => index === 0 || one > numbers[index - 1]);
    assert.ok(isRising(await middles("x")), "from left to right");
    await page.setViewportSize(TELEPHONE);
    await until("under each other", async () => isRising(await middles("y")));
    await look(page, "flow-picture-telephone");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    await page.setViewportSize(DESK);
    await until("beside each other again", async () => isRising(await middles("x")));
    await steps.getByRole("link", { name: /^Reads by: / }).click();
    await heading(page, /^Mapping of orders/);
    assert.equal(new URL(page.url()).searchParams.get("side"), "read");
    await page.goBack();
    await steps.getByRole("link", { name: "paused" }).click();
    await heading(page, "Acme ERP");
    await page.getByRole("button", { name: "Resume" }).click();
    await page.getByRole("button", { name: "Pause" }).waitFor();
  },

  async all_flows_are_a_map_for_pointers_keys_and_telephones_and_the_list_stays({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    const { connections } = await ask("{ connections(first: 50) { nodes { id name } } }", {});
    const idOf = (name) => connections.nodes.find((one) => one.name === name).id;
    // What people of the tenant write is no markup here, either.
    const create = "mutation($input: FlowCreateInput!) { flowCreate(input: $input) { userErrors { message } } }";
    const { flowCreate } = await ask(create, { input: { name: HOSTILE, recordKind: "order", sourceId: idOf("Acme shop"), destinationId: idOf("Acme ERP") } });
    assert.deepEqual(flowCreate.userErrors, []);
    await visit(page, `${stack.url}/t/acme/flows`);
    await page.getByRole("link", { name: "Map", exact: true }).click();
    await heading(page, "Map of flows");
    const map = page.getByRole("group", { name: "Map of flows" });
    const lane = map.getByRole("link", { name: /^orders: shopify/ });
    await lane.waitFor();
    await page.getByText(/^\d+ flows between \d+ connections: /).waitFor();
    assert.ok(await isWithin(lane, map), "one begins where there is something to see");
    await map.getByRole("link", { name: HOSTILE }).waitFor();
    await nothingRan(page, "the map of flows");
    await inBothThemes(page, "flows-map");

    // By keys alone: from link to link, each brought into sight, and on to what it is about.
    await page.getByRole("link", { name: "List", exact: true }).focus();
    const seen = new Set();
    for (let step = 0; step < 30; step += 1) {
      await page.keyboard.press("Tab");
      const focused = page.locator(":focus");
      if ((await map.locator(":focus").count()) === 0) continue;
      const name = (await focused.innerText()).split("\n")[0];
      if (seen.has(name)) break;
      seen.add(name);
      if (await focused.evaluate((one) => one.classList.contains("lane"))) await until(`${name} in sight`, () => isWithin(focused, map), 5_000);
    }
    assert.ok(seen.has("Acme shop") && seen.has("Acme ERP") && [...seen].some((name) => name.startsWith("orders: shopify")), `by keys: ${[...seen].join(", ")}`);
    await lane.focus();
    await page.keyboard.press("Enter");
    await heading(page, /^orders: shopify/);
    await page.goBack();
    await heading(page, "Map of flows");

    // It is drawn along by the pointer, made smaller and whole again; the wheel stays the page's.
    await lane.waitFor();
    const before = await lane.boundingBox();
    const box = await map.boundingBox();
    await page.mouse.move(box.x + 20, box.y + box.height - 20);
    await page.mouse.down();
    await page.mouse.move(box.x + 60, box.y + box.height - 40, { steps: 5 });
    await page.mouse.up();
    await until("the map was drawn along", async () => Math.abs((await lane.boundingBox()).x - before.x - 40) < 12);
    await map.getByRole("button", { name: "Smaller" }).click();
    await until("it is smaller", async () => (await lane.boundingBox()).width < before.width);
    await map.getByRole("button", { name: "All of it" }).click();
    await until("all of it is in sight", async () => (await Promise.all((await map.locator(".lane, .step").all()).map((one) => isWithin(one, map)))).every(Boolean));
    await map.getByRole("link", { name: "Acme shop" }).click();
    await heading(page, "Acme shop");
    await page.goBack();
    await heading(page, "Map of flows");
    await page.setViewportSize(TELEPHONE);
    await quiet(page);
    await look(page, "flows-map-telephone");
    assert.equal(await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), true);
    await page.setViewportSize(DESK);
    await page.getByRole("link", { name: "List", exact: true }).click();
    await heading(page, "Flows");
  },

  async a_map_of_very_many_says_that_there_are_more_and_is_drawn_along_without_waiting({ page, stack }) {
    await page.route("**/graphql", (route) => {
      const body = route.request().postData() ?? "";
      return body.includes("query MapFlows(") ? route.fulfill({ json: { data: { flows: manyFlows(JSON.parse(body).variables.after) } } }) : route.fallback();
    });
    await visit(page, `${stack.url}/t/acme/flows/map`);
    await page.getByText("There are more: these are the newest 300. All of them are in the list.").waitFor({ timeout: 30_000 });
    const map = page.getByRole("group", { name: "Map of flows" });
    await until("all that it draws", async () => (await map.locator(".lane").count()) === FLOWS_MAX);
    const box = await map.boundingBox();
    const at = (step) => [box.x + 30 + step * 8, box.y + box.height - 30 - step * 15];
    const { slowest } = await bestOf({ slowest: FRAMES_MS }, async () => {
      await page.mouse.move(...at(0));
      await page.mouse.down();
      const measured = page.evaluate(async () => {
        let slowest = 0;
        for (let frame = 0; frame < 40; frame += 1) {
          const begun = performance.now();
          await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
          slowest = Math.max(slowest, performance.now() - begun);
        }
        return slowest;
      });
      for (let step = 1; step <= 20; step += 1) await page.mouse.move(...at(step));
      await page.mouse.up();
      const slowest = await measured;
      // Back to where it was: each round draws the same.
      await page.mouse.down();
      await page.mouse.move(...at(0));
      await page.mouse.up();
      return { slowest };
    });
    assert.ok(slowest < FRAMES_MS, `a frame took ${Math.round(slowest)} ms`);
    await page.unroute("**/graphql");
    await visit(page, `${stack.url}/t/acme/flows`);
  },
};
