// A browser's page that notices what nobody may miss: errors of the page or of the policy, and what axe finds.
import assert from "node:assert/strict";
import { mkdir, readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
/** What is different in the other theme. */
const COLOURS = { type: "rule", values: ["color-contrast", "link-in-text-block"] };
/** Outside of the repository: they are artefacts. */
export const SHOTS = process.env.CROSSDOCK_SHOTS ?? join(tmpdir(), "crossdock-web-shots");

export const DESK = { width: 1440, height: 900 };
export const TELEPHONE = { width: 390, height: 844 };

/** A browser of its own, in which the policy is in force that the pages are served with. */
export async function open(browser, theme, viewport = DESK) {
  const context = await browser.newContext({ viewport, colorScheme: theme, reducedMotion: "reduce" });
  // Said by the page itself, where the browser's own message names no element; whatever a page says as an error fails the journey.
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI, target }) => {
      console.error(`the policy refused ${effectiveDirective}, of ${blockedURI}, at ${target instanceof Element ? target.outerHTML.slice(0, 200) : "the document"}`);
    });
  });
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
  // What was just pressed may ask in a moment only.
  const begun = Date.now();
  const end = begun + PATIENCE_MS;
  while (pending.size > 0 || Date.now() - Math.max(begun, asked.get(page).since) < QUIET_MS) {
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
  // By the browser's own door for whoever examines a page: an element that loads it is what the policy forbids.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(AXE);
  const { violations } = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules, resultTypes: ["violations"] }), isColoursOnly ? COLOURS : RULES);
  for (const one of violations) problems.push(`axe, ${name} (${theme}): ${one.help} at ${one.nodes.map((node) => node.target.join(" ")).slice(0, 4).join(", ")}`);
}

export async function inBothThemes(page, name) {
  await look(page, name);
  await page.getByRole("button", { name: /theme$/ }).click();
  await look(page, name, true);
  await page.getByRole("button", { name: /theme$/ }).click();
}

/** What was told at the foot of the page. */
export const notice = (page, text) => page.locator(".notices").getByText(text).last().waitFor();

/** Looks at a page with what was told at its foot, and points at that meanwhile, so that it stays: on a slow machine a look may take longer than it is shown. */
export async function lookAtNotice(page, name) {
  await page.locator(".notices").hover();
  await look(page, name);
  await page.mouse.move(0, 0);
}

/** No script of a text ran, and no element was made of it. */
export async function nothingRan(page, where) {
  assert.equal(await page.evaluate(() => window.owned), undefined, where);
  assert.equal(await page.locator('img[src="x"], main script').count(), 0, where);
}
