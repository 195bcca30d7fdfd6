// Work at exceptions that a destination refused: many at once, one payload, and an account that lost its credential.
import assert from "node:assert/strict";
import { countIn, heading, until } from "./journeys.mjs";
import { inBothThemes, look, quiet, visit } from "./page.mjs";
import { send } from "./shop.mjs";
import { fail } from "./simulators.mjs";

const CREDENTIAL = { "Consumer key": "demo-consumer-key", "Consumer secret": "demo-consumer-secret", "Token ID": "demo-token-id", "Token secret": "demo-token-secret" };

/** Opens the cause that says this, once so many are in it. */
export async function causeOf(page, stack, text, count) {
  await until(`${count} in the cause ${text}`, async () => {
    await page.goto(`${stack.url}/t/acme/exceptions?text=${encodeURIComponent(text)}`);
    await quiet(page);
    const row = page.getByRole("region", { name: "Causes" }).getByRole("row").nth(1);
    return (await countIn(row)) === String(count);
  });
  await page.getByRole("region", { name: "Causes" }).getByRole("link").first().click();
  await page.getByRole("region", { name: "Fix" }).waitFor();
}

export const work = {
  async many_are_tried_again_at_once_after_it_was_said_what_that_would_do({ page, stack }) {
    await fail(stack.erp, "order.write", 4, { class: "permission" });
    for (let number = 6_200; number < 6_204; number += 1) await send(stack.hookUrl, number, () => undefined);
    await causeOf(page, stack, "does not allow", 4);
    await page.getByRole("button", { name: "What would a retry do now?" }).click();
    await page.getByText("4 of 4 would go on.").waitFor();
    await page.locator('tr[data-focused="true"][data-index="0"]').waitFor();
    await page.keyboard.press("x");
    await page.keyboard.press("j");
    // The address names the next one before it is chosen.
    await page.locator('tr[data-focused="true"][data-index="1"]').waitFor();
    await page.keyboard.press("x");
    await page.getByText("2 chosen").waitFor();
    await page.keyboard.press("r");
    await page.getByRole("dialog").getByText("2 exceptions will be sent").waitFor();
    await look(page, "retry");
    await page.getByRole("dialog").getByRole("button", { name: "Retry" }).click();
    await page.getByText(/^2 exceptions set free/).waitFor();
    await page.getByText(/^All 2$/).waitFor();
    await page.keyboard.press("r");
    await page.getByRole("dialog").getByRole("button", { name: "Retry" }).click();
    await page.getByText("Nothing of this cause is open any more").waitFor();
  },

  async what_is_sent_this_once_is_corrected_and_goes({ page, stack }) {
    const long = `${"a".repeat(260)}@example.com`;
    await send(stack.hookUrl, 6_250, (order) => {
      order.email = long;
      order.contact_email = long;
      if (order.customer) order.customer.email = long;
    });
    await causeOf(page, stack, "254 characters", 1);
    await page.getByRole("region", { name: "The payload as it was sent" }).waitFor();
    await page.getByRole("button", { name: "Edit and retry" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("What is edited").selectOption("What is sent, this once");
    // The field that was refused is there already, by the name that the destination has for it.
    assert.equal(await dialog.getByLabel("Field", { exact: true }).inputValue(), "email");
    await dialog.getByLabel("New value").fill("ada@example.com");
    await look(page, "edit-payload");
    await dialog.getByRole("button", { name: "Save and retry" }).click();
    await page.getByText("Your edit is kept, and it is sent again.").waitFor();
    await page.getByText("Nothing of this cause is open any more").waitFor();
  },

  async an_account_that_refuses_its_credential_gets_a_new_one_and_goes_on({ page, stack }) {
    await visit(page, `${stack.url}/t/acme/connections`);
    await page.getByRole("link", { name: "Acme ERP" }).click();
    await heading(page, "Acme ERP");
    await replace(page, () => "not the secret");
    await send(stack.hookUrl, 6_260, () => undefined);
    await visit(page, `${stack.url}/t/acme/incidents`);
    const incident = page.getByRole("region", { name: "Incidents" }).getByRole("link", { name: "Acme ERP" });
    await incident.waitFor({ timeout: 30_000 });
    await inBothThemes(page, "incidents");
    await incident.click();
    await heading(page, "Acme ERP");
    await page.getByText(/It refuses the credential/).waitFor();
    await replace(page, (label) => CREDENTIAL[label], () => look(page, "credential"));
    await page.getByText(/Deliveries get through/).waitFor({ timeout: 30_000 });
    await visit(page, `${stack.url}/t/acme/incidents?all=yes`);
    await page.getByText(/^From/).first().waitFor();
  },
};

/** Gives each secret of the form anew. */
async function replace(page, secretOf, filled = () => undefined) {
  await page.getByRole("button", { name: "Replace" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.locator("input").first().waitFor();
  for (const box of await dialog.locator("input").all()) {
    const label = await box.evaluate((element) => element.labels?.[0]?.textContent?.trim() ?? "");
    const secret = secretOf(label);
    assert.ok(secret, `a secret for “${label}”`);
    await box.fill(secret);
  }
  await filled();
  await dialog.getByRole("button", { name: "Save" }).click();
  await page.getByText("The credential is replaced. What it held is tried again now.").first().waitFor();
  await dialog.waitFor({ state: "detached" });
}
