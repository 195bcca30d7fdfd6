// A browser's page that notices what nobody may miss: errors of the page or of the policy, and what axe finds.
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

const axe = createRequire(import.meta.url).resolve("axe-core/axe.min.js");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
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

export function watch(page) {
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
  await page.goto(url);
  await page.waitForLoadState("networkidle");
}

/** Looks at a page in the theme it has: a screenshot, and all that axe finds. */
export async function look(page, name) {
  const theme = await page.evaluate(() => document.documentElement.dataset.theme);
  await page.waitForFunction(() => !document.querySelector(".loading"));
  await mkdir(SHOTS, { recursive: true });
  await page.screenshot({ path: join(SHOTS, `${name}-${theme}.png`), fullPage: true });
  if (!(await page.evaluate(() => "axe" in window))) await page.addScriptTag({ path: axe });
  const { violations } = await page.evaluate((rules) => window.axe.run(document, { runOnly: rules, resultTypes: ["violations"] }), RULES);
  for (const one of violations) problems.push(`axe, ${name} (${theme}): ${one.help} at ${one.nodes.map((node) => node.target.join(" ")).slice(0, 4).join(", ")}`);
}

export async function inBothThemes(page, name) {
  await look(page, name);
  await page.getByRole("button", { name: /theme$/ }).click();
  await look(page, name);
  await page.getByRole("button", { name: /theme$/ }).click();
}
