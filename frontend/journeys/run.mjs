// The journeys of operations people, in a real browser against the real stack with simulated vendors: `npm run journeys`.
import { chromium } from "playwright-core";
import { audit } from "./audit.mjs";
import { bulk } from "./bulk.mjs";
import { browser as findBrowser } from "./chromium.mjs";
import { consents } from "./consents.mjs";
import { demo } from "./demo.mjs";
import { directory } from "./directory.mjs";
import { drifts } from "./drifts.mjs";
import { fromNothing } from "./from-nothing.mjs";
import { hostile } from "./hostile.mjs";
import { inventory } from "./inventory.mjs";
import { journeys as first } from "./journeys.mjs";
import { lookupTables } from "./lookup-tables.mjs";
import { mails } from "./mails.mjs";
import { mappings } from "./mappings.mjs";
import { maps } from "./maps.mjs";
import { open, SHOTS, visit, wrong } from "./page.mjs";
import { pages } from "./pages.mjs";
import { people } from "./people.mjs";
import { progress } from "./progress.mjs";
import { reconciliations } from "./reconciliations.mjs";
import { rotations } from "./rotations.mjs";
import { serviceAccounts } from "./service-accounts.mjs";
import { settings } from "./settings.mjs";
import { signOn } from "./sign-on.mjs";
import { streams } from "./streams.mjs";
import { support } from "./support.mjs";
import { swaps } from "./swaps.mjs";
import { telephone } from "./telephone.mjs";
import { triage } from "./triage.mjs";
import { undos } from "./undos.mjs";
import { usage } from "./usage.mjs";
import { volume } from "./volume.mjs";
import { work } from "./work.mjs";

// Signing out comes last.
const { a_page_that_is_not_there_says_where_to_go_and_signing_out_ends_the_session: last, ...before } = first;
const journeys = { ...before, ...work, ...mappings, ...lookupTables, ...reconciliations, ...people, ...fromNothing, ...consents, ...rotations, ...drifts, ...settings, ...serviceAccounts, ...mails, ...signOn, ...directory, ...support, ...audit, ...usage, ...inventory, ...undos, ...swaps, ...triage, ...progress, ...telephone, ...volume, ...hostile, ...maps, ...streams, ...bulk, ...pages, a_page_that_is_not_there_says_where_to_go_and_signing_out_ends_the_session: last };
const started = Date.now();
const program = findBrowser();
const stack = await demo();
// Some of them, by a part of their names.
const only = process.argv.slice(2);
const isWanted = (name) => name === "signs_in" || only.length === 0 || only.some((part) => name.includes(part));
let failed = 0;
// As root, in containers, Chromium has no sandbox of its own; it only ever opens our own pages.
const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
try {
  const { context, page } = await open(browser, "light");
  page.setDefaultTimeout(15_000);
  for (const [name, journey] of Object.entries(journeys)) {
    if (!isWanted(name)) continue;
    const begun = Date.now();
    let problem = null;
    try {
      // Alone it begins where the journeys before it would have left the page.
      if (only.length > 0 && name !== "signs_in") await visit(page, `${stack.url}/t/acme`);
      await journey({ page, context, browser, stack });
    } catch (error) {
      problem = error.message;
      await page.screenshot({ path: `${SHOTS}/failed-${name}.png` }).catch(() => null);
      // A tab that it left open stands before the next journey's, which would draw nothing behind it.
      for (const left of context.pages()) if (left !== page) await left.close();
      // And what it kept from the server would be kept from it in all that come.
      await page.unrouteAll({ behavior: "ignoreErrors" });
      await page.bringToFront();
    }
    const found = [...(problem ? [problem] : []), ...wrong()];
    failed += found.length > 0 ? 1 : 0;
    console.log(`  ${found.length === 0 ? "ok  " : "FAIL"} ${name.replaceAll("_", " ")} (${((Date.now() - begun) / 1000).toFixed(1)} s)`);
    for (const one of found) console.log(`       ${one.replaceAll("\n", "\n       ")}`);
  }
} finally {
  await browser.close();
  await stack.stop();
}
console.log(`Screenshots: ${SHOTS}. ${((Date.now() - started) / 1000).toFixed(0)} s in all.`);
process.exit(failed === 0 ? 0 : 1);
