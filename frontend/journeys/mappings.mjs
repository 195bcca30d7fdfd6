// The mapping editor: rules written by keyboard beside a sample, wrong ones told where they are wrong, kept as a draft and published.
import assert from "node:assert/strict";
import { heading, until } from "./journeys.mjs";
import { inBothThemes, look, visit } from "./page.mjs";

const cell = (page, name) => page.getByRole("combobox", { name, exact: true });

async function openEditor(page, stack, side) {
  await visit(page, `${stack.url}/t/acme/flows`);
  await page.getByRole("link", { name: /orders: shopify/ }).click();
  await page.getByRole("link", { name: "Edit the mapping" }).click();
  await heading(page, /^Mapping of orders/);
  await page.getByRole("tab", { name: side }).click();
  await page.getByRole("tabpanel", { name: side }).waitFor();
}

export const mappings = {
  async a_rule_is_written_by_keyboard_beside_a_sample_and_its_error_is_told_in_place({ page, stack }) {
    await openEditor(page, stack, /^Reads from/);
    // The sides are gone through by arrow keys.
    await page.getByRole("tab", { name: /^Reads from/ }).press("ArrowRight");
    await page.getByRole("tab", { name: /^Writes to/, selected: true }).waitFor();
    await page.getByRole("tabpanel", { name: /^Writes to/ }).waitFor();
    await page.getByRole("region", { name: "What would be sent" }).waitFor();
    await page.getByText("You have no rule of your own for what is sent").waitFor();
    await inBothThemes(page, "mapping-empty");
    // A field of the connector's own is taken over, with the cursor where one goes on.
    await page.getByText(/of the sample that the connector’s own rules write/).click();
    await page.getByRole("button", { name: "Take over otherRefNum" }).click();
    await until("the cursor in the source", () => page.evaluate(() => document.activeElement?.getAttribute("aria-label") === "Source of otherRefNum"));
    // The list of what could stand there is worked by keys, and offers functions and fields.
    await page.keyboard.type("=conc");
    await page.getByRole("option", { name: /^concat/ }).waitFor();
    await look(page, "mapping-offers");
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.type("'PO ', summ(1))");
    const row = page.getByRole("row").filter({ has: cell(page, "Source of otherRefNum") });
    await row.getByRole("alert").getByText(/there is no function "summ"; did you mean sum\?/).waitFor();
    assert.match(await row.getByRole("alert").innerText(), /at character 15/);
    // Who does not see what stands below the cell is told it at the cell.
    const reason = await cell(page, "Source of otherRefNum").getAttribute("aria-describedby");
    assert.match(await page.locator(`[id="${reason}"]`).innerText(), /there is no function "summ"/);
    await page.getByText("1 thing is wrong. It is kept as soon as nothing is.").waitFor();
    await inBothThemes(page, "mapping-wrong");
    await cell(page, "Source of otherRefNum").fill("=concat('PO ', number)");
    await page.keyboard.press("Control+Enter");
    // A new rule stands below, and has the cursor; the one before is kept only once nothing is wrong.
    await page.keyboard.type("me");
    await page.getByRole("option", { name: "memo" }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    await page.keyboard.type("number");
    await page.keyboard.press("Tab");
    await page.getByText(/Everything is kept as draft version \d+/).waitFor();
    await row.getByText(/writes “PO #/).waitFor();
    await page.getByRole("region", { name: "What would be sent" }).getByText(/"otherRefNum": "PO #/).waitFor();
    // Rules are moved with their cursor.
    await cell(page, "Target of memo").focus();
    await page.keyboard.press("Alt+ArrowUp");
    await until("the rule moved with its cursor", () => page.evaluate(() => document.activeElement?.getAttribute("data-cell") === "rules[0]/to" && document.activeElement.value === "memo"));
    await page.getByRole("region", { name: "Differences" }).getByText("otherRefNum").first().waitFor();
    await page.getByRole("button", { name: /^Run it over the newest/ }).click();
    await page.getByText(/\d+ of \d+ would be sent\./).waitFor();
    await inBothThemes(page, "mapping");
  },

  async the_digits_of_a_mapping_are_those_that_were_typed({ page, stack }) {
    await openEditor(page, stack, /^Writes to/);
    await page.getByRole("button", { name: "Add a rule" }).click();
    await page.keyboard.type("custbody_number");
    const more = page.getByRole("region", { name: "More of the rule" });
    await more.getByRole("checkbox", { name: "It is text" }).uncheck();
    await more.getByLabel("Default", { exact: true }).fill("9007199254740993123");
    await page.keyboard.press("Tab");
    await page.getByText(/Everything is kept as draft version/).waitFor();
    await visit(page, page.url());
    await cell(page, "Target of custbody_number").focus();
    assert.equal(await more.getByLabel("Default", { exact: true }).inputValue(), "9007199254740993123");
    await page.getByRole("region", { name: "What would be sent" }).getByText("9007199254740993123").waitFor();
    await page.getByRole("button", { name: "Take custbody_number away" }).click();
    await page.getByText(/Everything is kept as draft version/).waitFor();
  },

  async a_draft_that_could_not_be_kept_is_tried_again_by_itself_and_is_ones_own({ page, stack }) {
    await openEditor(page, stack, /^Writes to/);
    let tries = 0;
    await page.route("**/graphql", async (route) => {
      if (tries >= 2 || !route.request().postData()?.includes("mutation MappingDraft(")) return route.fallback();
      tries += 1;
      // The first never arrives; of the second it is the answer that is lost, so that what stands there is one's own draft.
      if (tries === 2) await route.fetch();
      return route.abort();
    });
    await page.getByRole("button", { name: "Add a rule" }).click();
    await page.keyboard.type("custbody_again");
    await page.keyboard.press("Tab");
    await page.keyboard.type("number");
    await page.keyboard.press("Tab");
    await page.getByText(/^It could not be kept\. That is tried again by itself/).waitFor();
    await page.getByText(/Everything is kept as draft version/).waitFor();
    assert.equal(tries, 2);
    await page.unroute("**/graphql");
    await visit(page, page.url());
    await cell(page, "Target of custbody_again").waitFor();
    await page.getByRole("button", { name: "Take custbody_again away" }).click();
    await cell(page, "Target of custbody_again").waitFor({ state: "detached" });
    await page.getByText(/Everything is kept as draft version/).waitFor();
  },

  async what_a_source_sends_is_read_by_rules_of_its_own_and_published({ page, stack }) {
    await openEditor(page, stack, /^Reads from/);
    await page.getByRole("button", { name: "Add a rule" }).click();
    await page.keyboard.type("po_number");
    await page.keyboard.press("Tab");
    await page.keyboard.type("order_num");
    await page.getByRole("option", { name: "order_number" }).waitFor();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("Enter");
    const row = page.getByRole("row").filter({ has: cell(page, "Source of po_number") });
    // What a plain path finds is seen while it is typed, before anything is kept.
    await row.getByText(/finds \d+/).waitFor();
    await page.getByLabel("Type of po_number").selectOption("text");
    await page.getByText(/Everything is kept as draft version/).waitFor();
    await row.getByText(/writes “\d+”/).waitFor();
    await inBothThemes(page, "mapping-reading");
    await page.getByRole("link", { name: "Go on to publish" }).click();
    await page.getByRole("button", { name: /^Publish version/ }).click();
    await page.getByRole("dialog").getByText(/sourceMapping/).first().waitFor();
    await page.getByRole("button", { name: "Publish", exact: true }).click();
    await page.getByText(/^Published\./).waitFor();
    await openEditor(page, stack, /^Writes to/);
    await page.getByText(/^This is version \d+, which runs/).waitFor();
    await cell(page, "Target of otherRefNum").waitFor();
  },
};
