// A browser's page that notices what nobody may miss: errors of the page or of the policy, and what axe finds.
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** What is different in the other theme. */
const COLOURS = { type: "rule", values: ["color-contrast", "link-in-text-block"] };
/** Outside of the repository: they are artefacts. */
export const SHOTS = process.env.CROSSDOCK_SHOTS ?? join(tmpdir(), "crossdock-web-shots");

export async function open(browser, theme) {
  // axe is put into the page by the test, which the page's own policy forbids: so the checks of the policy use a page that has it (`strict`).
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, colorScheme: theme, reducedMotion: "reduce", bypassCSP: true });
  return { context, page: watch(await context.newPage()) };
}

const problems = [];

/** What went wrong in any page until now. */
export function wrong() {
  return problems.splice(0);
}

/** What each page waits for, and since when it waits for nothing. */
const asked = new WeakMap();
const QUIET_MS = 500;
const PATIENCE_MS = 15_000;

/** Waits until the page asks nothing any more. What it is told of changes comes on a stream that stays open, so the browser's own "network idle" never comes. */
export async function quiet(page) {
  const { pending } = track(page);
  await page.waitForLoadState();
  const end = Date.now() + PATIENCE_MS;
  while (pending.size > 0 || Date.now() - asked.get(page).since < QUIET_MS) {
    if (Date.now() > end) throw new Error(`${page.url()} still asks: ${[...pending].map((request) => request.url()).join(", ")}`);
    await page.waitForTimeout(50);
  }
}

function track(page) {
  const known = asked.get(page);
  if (known) return known;
  const state = { pending: new Set(), since: Date.now() };
  asked.set(page, state);
  const end = (request) => {
    if (state.pending.delete(request)) state.since = Date.now();
  };
  page.on("request", (request) => {
    if (request.headers()["accept"] === "text/event-stream") return;
    state.pending.add(request);
    state.since = Date.now();
  });
  page.on("requestfinished", end);
  page.on("requestfailed", end);
  return state;
}

export function watch(page) {
  track(page);
  page.on("pageerror", (error) => problems.push(`the page threw: ${error.message}`));
  page.on("console", (message) => {
    if (message.type() === "error" && !message.text().includes("net::ERR_")) problems.push(`the console says: ${message.text()}`);
  });
  page.on("response", async (response) => {
    if (!response.url().endsWith("/graphql")) return;
    const answer = await response.json().catch(() => null);
    for (const error of answer?.errors ?? []) problems.push(`the API refused a query: ${error.message}`);
  });
  return page;
}

/** Opens an address, and waits until nothing is asked any more: a page that is left while it trades its refresh token signs out. */
export async function visit(page, url) {
  track(page);
  await page.goto(url);
  await quiet(page);
}

/** Looks at a page in the theme it has: a screenshot, and all that axe finds; what colours have to do with only, where all else was looked at. */
export async function look(page, name, isColoursOnly = false) {
  const theme = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.waitForFunction(() => !document.querySelector(".loading"));
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}-${theme}.png`), fullPage: true });
  if (!(await page.evaluate(() => "axe" in window))) await page.addScriptTag({ path: axe });
  const { violations } = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules, resultTypes: ["violations"] }), isColoursOnly ? COLOURS : RULES);
  for (const one of violations) problems.push(`axe, ${name} (${theme}): ${one.help} at ${one.nodes.map((node) => node.target.join(" ")).slice(0, 4).join(", ")}`);
}

export async function inBothThemes(page, name) {
  await look(page, name);
  await page.getByRole("button", { name: /theme$/ }).click();
  await look(page, name, true);
  await page.getByRole("button", { name: /theme$/ }).click();
}
