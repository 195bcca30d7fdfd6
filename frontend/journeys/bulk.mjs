// A list of a hundred thousand: it comes by cursor while one scrolls, holds in the page what is in sight only, and moves without a stutter.
import assert from "node:assert/strict";
import { sql } from "./database.mjs";
import { asDeveloper } from "./journeys.mjs";
import { bestOf } from "./measure.mjs";
import { look, visit } from "./page.mjs";

const MANY = 100_000;
const TENANT = "bulk";
/** A thousand pages, one after the other, on a machine that may have more to do. */
const PATIENCE_MS = 600_000;
/** More than are in sight, and far fewer than there are. */
const ROWS_IN_PAGE_MAX = 120;
/** On a machine that draws without a graphics card, and shares its two cores with the server. */
const FRAMES_MS = { "95 of 100 frames, read": 50, "each frame, read": 250, "95 of 100 frames, flung": 100, "each frame, flung": 250 };

/** Holds the key for the end down until all rows are there, looking at each frame how many of them are in the page; ends at the latest after so long. */
const toTheEnd = (box, all, patienceMs) =>
  box.evaluate(
    async (element, { all, patienceMs }) => {
      const over = performance.now() + patienceMs;
      let [rows, most] = [0, 0];
      while (rows < all && performance.now() < over) {
        element.scrollTop = element.scrollHeight;
        await new Promise(requestAnimationFrame);
        rows = Number(element.querySelector("table").getAttribute("aria-rowcount"));
        most = Math.max(most, element.querySelectorAll("tbody tr").length);
      }
      return { rows, most };
    },
    { all, patienceMs },
  );

/** Scrolls as a hand does, so many pixels a frame, and says how long each frame took. */
const frames = (box, step, count) =>
  box.evaluate(
    async (element, { step, count }) => {
      const took = [];
      let before = await new Promise(requestAnimationFrame);
      for (let index = 0; index < count; index += 1) {
        element.scrollTop += step;
        const now = await new Promise(requestAnimationFrame);
        took.push(now - before);
        before = now;
      }
      return took.sort((a, b) => a - b);
    },
    { step, count },
  );

export const bulk = {
  async a_list_of_a_hundred_thousand_scrolls_without_a_stutter({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    await ask("mutation($input: TenantCreateInput!) { tenantCreate(input: $input) { userErrors { message } } }", { input: { name: "Bulk", slug: TENANT } });
    sql(
      stack,
      `INSERT INTO records (id, tenant_id, kind, connection_id, source_id, number, revision, revision_id, content_hash)
       SELECT gen_random_uuid(), tenants.id, 'order', '00000000-0000-0000-0000-000000000001', 'bulk-' || n, '#' || n, 1, gen_random_uuid(), '\\x00' FROM tenants, generate_series(1, ${MANY}) n WHERE slug = '${TENANT}'`,
    );
    sql(stack, "ANALYZE records");
    const cursors = new Set();
    page.on("request", (request) => {
      const body = request.postData() ?? "";
      if (body.includes("query Records(")) cursors.add(JSON.parse(body).variables.after ?? null);
    });
    await visit(page, `${stack.url}/t/${TENANT}/records`);
    const box = page.getByRole("region", { name: "Newest records" });
    await box.getByRole("row").nth(5).waitFor();
    const begun = Date.now();
    const { rows, most } = await toTheEnd(box, MANY + 1, PATIENCE_MS);
    assert.equal(rows, MANY + 1, `within ${PATIENCE_MS / 1000} s`);
    assert.ok(most < ROWS_IN_PAGE_MAX, `${most} rows were in the page at once`);
    const loadedMs = Date.now() - begun;
    assert.ok(cursors.size >= MANY / 100, `${cursors.size} pages were asked for, each by its cursor`);
    // From the top, where no row stands half behind the head.
    await box.evaluate((element) => { element.scrollTop = 0; });
    await box.getByRole("row").nth(5).waitFor();
    await look(page, "records-hundred-thousand");
    const at = (all, part) => Math.round(all[Math.floor((all.length - 1) * part)]);
    const { read, flung, ...took } = await bestOf(FRAMES_MS, async () => {
      await box.evaluate((element) => { element.scrollTop = element.scrollHeight / 3; });
      await page.waitForTimeout(300);
      const read = await frames(box, 90, 150);
      const flung = await frames(box, 2_000, 150);
      return { read, flung, "95 of 100 frames, read": at(read, 0.95), "each frame, read": at(read, 1), "95 of 100 frames, flung": at(flung, 0.95), "each frame, flung": at(flung, 1) };
    });
    console.log(`       ${MANY.toLocaleString("en")} rows came in ${(loadedMs / 1000).toFixed(0)} s; a frame takes ${at(read, 0.5)} ms, ${at(read, 0.95)} ms of 95 in 100, ${at(read, 1)} ms at most; flung ${at(flung, 0.5)}, ${at(flung, 0.95)}, ${at(flung, 1)} ms`);
    for (const [which, mostMs] of Object.entries(FRAMES_MS)) assert.ok(took[which] <= mostMs, `${which}: took ${took[which]} ms`);
    // And what is in sight is what stands there.
    const row = box.getByRole("row").nth(8);
    await row.waitFor();
    assert.match(await row.innerText(), /#\d+/);
    sql(stack, `DELETE FROM records WHERE tenant_id = (SELECT id FROM tenants WHERE slug = '${TENANT}')`);
  },
};
