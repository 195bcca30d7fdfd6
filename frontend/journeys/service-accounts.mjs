// Service accounts: a partner's program is one and the same in the audit log, its key may no more than it, and ends with it.
import assert from "node:assert/strict";
import { asDeveloper, heading } from "./journeys.mjs";
import { inBothThemes, look, visit } from "./page.mjs";

/** Of its own: other journeys begin where a tenant has no key. */
const TENANT = "partners";
const NAME = "Acme 3PL";
const CONNECTIONS = "{ connections(first: 1) { nodes { id } } }";
/** Needs more than to read, and stands in the audit log. */
const tableNamed = (name) => `mutation { lookupTableCreate(name: "${name}") { userErrors { message } } }`;

/** Asks the API as a program with this key does. */
const asProgram = async (stack, key, query) => {
  const headers = { "Content-Type": "application/json", Authorization: `Bearer ${key}` };
  const answer = await fetch(`${stack.url}/graphql`, { method: "POST", headers, body: JSON.stringify({ query }) });
  const { data, errors } = await answer.json();
  return { data, refused: errors?.[0].extensions.code };
};

export const serviceAccounts = {
  async a_service_account_is_who_its_key_acts_as_bounds_it_and_takes_it_along_when_it_ends_in_settings({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    const { tenantCreate } = await ask("mutation($input: TenantCreateInput!) { tenantCreate(input: $input) { userErrors { message } } }", { input: { name: "Partners", slug: TENANT } });
    assert.deepEqual(tenantCreate.userErrors, []);
    const accounts = page.getByRole("region", { name: "Service accounts" });
    const row = accounts.getByRole("row").filter({ hasText: NAME });
    const dialog = page.getByRole("dialog");
    const configures = (place) => place.getByRole("checkbox", { name: /^Create and change connections/ });
    const toPage = () => visit(page, `${stack.url}/t/${TENANT}/settings/api-keys`);

    await toPage();
    await accounts.getByText("There is no service account").waitFor();
    await accounts.getByRole("button", { name: "New service account" }).click();
    await dialog.getByLabel("Its name").fill(NAME);
    await dialog.getByLabel("What it is for").fill("Reads our orders and sends tracking; operations of Acme");
    await configures(dialog).check();
    await look(page, "settings-service-account-new");
    await dialog.getByRole("button", { name: "Make it" }).click();
    await page.getByText(`${NAME} is there. Make it a key, so that it can ask.`).waitFor();
    await row.getByText("none: nobody asks as it").waitFor();

    // Its key is offered no more than it may itself, and is shown once.
    await accounts.getByRole("button", { name: `New key of ${NAME}` }).click();
    await dialog.getByText(`No more than ${NAME} may.`).waitFor();
    assert.equal(await dialog.getByRole("checkbox", { name: /^See the audit log/ }).count(), 0);
    await dialog.getByLabel("What it is for").fill("scanners");
    await configures(dialog).check();
    await look(page, "settings-service-account-key");
    await dialog.getByRole("button", { name: "Make the key" }).click();
    const key = (await dialog.getByLabel("The key of scanners").innerText()).trim();
    assert.match(key, /^cdk_/);
    await dialog.getByRole("button", { name: "I have kept it" }).click();
    await dialog.waitFor({ state: "detached" });
    await toPage();
    await row.getByText("never used").waitFor();
    assert.equal(await page.getByText(key).count(), 0);

    // What is done with the key is done by the account.
    assert.deepEqual((await asProgram(stack, key, CONNECTIONS)).data.connections.nodes, []);
    assert.deepEqual((await asProgram(stack, key, tableNamed("Carriers"))).data.lookupTableCreate.userErrors, []);
    await accounts.getByRole("link", { name: `What it did: ${NAME}` }).click();
    await heading(page, "Audit log");
    const made = page.getByRole("region", { name: "Events" }).getByRole("row").filter({ hasText: "lookup table: created" });
    await made.getByText(`the service account ${NAME}`, { exact: true }).waitFor();
    await inBothThemes(page, "audit-service-account");

    // With less for the account there is less for its key, from the next request on.
    await toPage();
    await accounts.getByRole("button", { name: `Change ${NAME}` }).click();
    await configures(dialog).uncheck();
    await dialog.getByText("What would be refused:").waitFor();
    await look(page, "settings-service-account-change");
    await dialog.getByRole("button", { name: "Change it" }).click();
    await page.getByText(`${NAME} is changed.`).waitFor();
    assert.equal((await asProgram(stack, key, tableNamed("Services"))).refused, "FORBIDDEN");
    assert.deepEqual((await asProgram(stack, key, CONNECTIONS)).data.connections.nodes, []);
    await row.getByText(/^Create and change connections/).waitFor({ state: "detached" });
    await inBothThemes(page, "settings-service-accounts");

    // It ends, and its key with it.
    await accounts.getByRole("button", { name: `End ${NAME}` }).click();
    await dialog.getByText("What stops:").waitFor();
    await dialog.getByLabel("Why").fill("The contract is over");
    await look(page, "settings-service-account-end");
    await dialog.getByRole("button", { name: "End it" }).click();
    await page.getByText(`${NAME} has ended, and no key of it is worth anything any more.`).waitFor();
    assert.equal((await asProgram(stack, key, CONNECTIONS)).refused, "UNAUTHENTICATED");
    await accounts.getByText("There is no service account").waitFor();
    await accounts.getByRole("checkbox", { name: "Also those that have ended" }).check();
    await row.getByText("ended", { exact: true }).waitFor();
    await page.getByRole("checkbox", { name: "Also those that are over" }).check();
    await page.getByRole("region", { name: "API keys" }).getByText("revoked", { exact: true }).waitFor();
    await inBothThemes(page, "settings-service-account-ended");
    // The journeys that come after begin here.
    await visit(page, `${stack.url}/t/acme`);
    await heading(page, "Overview");
  },
};
