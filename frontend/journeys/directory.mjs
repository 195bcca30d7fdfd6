// The directory (SCIM): its token is made and shown once, the directory comes with it, and what ends or is over is said before anybody is left in by it.
import assert from "node:assert/strict";
import { sql } from "./database.mjs";
import { asDeveloper, heading } from "./journeys.mjs";
import { inBothThemes, look, visit } from "./page.mjs";

const DOMAIN = "people.example";
const PERSON = `ines@${DOMAIN}`;

const toPage = async (page, stack) => {
  await visit(page, `${stack.url}/t/acme/settings/directory`);
  await heading(page, "Settings");
};

/** Asks as the directory does. */
const asDirectory = async (address, token, path, body) => {
  const answer = await fetch(`${address}${path}`, {
    method: body ? "POST" : "GET",
    headers: { Authorization: `Bearer ${token}`, ...(body ? { "Content-Type": "application/scim+json" } : {}) },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
  return answer.status;
};

export const directory = {
  async a_directory_is_given_a_token_that_is_shown_once_and_said_to_end_before_it_does({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    await toPage(page, stack);
    await page.getByText("No directory tells who your people are").waitFor();
    // Nothing is offered that would be refused: the provider's table comes first.
    assert.equal(await page.getByRole("button", { name: "Make a token" }).count(), 0);
    await inBothThemes(page, "settings-directory-empty");
    const set = "mutation($i: IdentityProviderSetInput!) { identityProviderSet(input: $i) { userErrors { message } } }";
    const roles = [{ group: "it", role: "ADMIN" }, { group: "warehouse", role: "OPERATOR" }];
    const { identityProviderSet } = await ask(set, { i: { issuer: "https://login.example.com", clientId: "crossdock", clientSecret: "what-only-the-two-know", roles } });
    assert.deepEqual(identityProviderSet.userErrors, []);
    await toPage(page, stack);
    await page.getByText("is proven to be yours, and it speaks of nobody else").waitFor();
    await look(page, "settings-directory-no-domain");
    sql(stack, `INSERT INTO email_domains (tenant_id, id, domain, proven_at) SELECT id, gen_random_uuid(), '${DOMAIN}', now() FROM tenants WHERE slug = 'acme'`);
    await toPage(page, stack);
    await page.getByText(`Proven: ${DOMAIN}.`).waitFor();
    await inBothThemes(page, "settings-directory-begin");

    await page.getByRole("button", { name: "Make a token" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Make it" }).click();
    const token = (await dialog.getByLabel("The token").innerText()).trim();
    const address = (await dialog.getByLabel("The address").innerText()).trim();
    assert.match(token, /^cds_/);
    assert.equal(address, `${stack.url}/scim/v2`);
    await look(page, "settings-directory-shown");
    // What is shown once is not lost by a click beside it, nor by Escape.
    await page.mouse.click(5, 5);
    await page.keyboard.press("Escape");
    await dialog.getByRole("button", { name: "I have entered it" }).click();
    assert.equal(await page.getByText(token).count(), 0);
    assert.equal((await page.getByLabel("The address for the directory").innerText()).trim(), address);
    await page.getByText(/^The directory has not come yet/).waitFor();
    await inBothThemes(page, "settings-directory-unused");

    const schemas = ["urn:ietf:params:scim:schemas:core:2.0:User"];
    assert.equal(await asDirectory(address, token, "/Users", { schemas, userName: PERSON, externalId: "1", active: true, name: { givenName: "Ines", familyName: "Z" } }), 201);
    await toPage(page, stack);
    await page.getByText(/^It last came/).waitFor();
    await inBothThemes(page, "settings-directory");
    await page.setViewportSize({ width: 390, height: 844 });
    await look(page, "settings-directory-telephone");
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)) <= 0, "no wider than a telephone");
    await page.setViewportSize({ width: 1440, height: 900 });

    // It ends in twenty days: said until another is made, and then until the directory has that one.
    sql(stack, "UPDATE scim_tokens SET expires_at = now() + interval '20 days 1 hour'");
    await toPage(page, stack);
    await page.getByText(/^Its token ends .* in 20 days\.$/).waitFor();
    await look(page, "settings-directory-soon");
    await page.getByRole("button", { name: "Make the next token" }).click();
    await dialog.getByLabel(/^Those before are good/).fill("2");
    await look(page, "settings-directory-next");
    await dialog.getByRole("button", { name: "Make it" }).click();
    const next = (await dialog.getByLabel("The token").innerText()).trim();
    await dialog.getByRole("button", { name: "I have entered it" }).click();
    await page.getByText(/^The directory still comes with/).waitFor();
    await look(page, "settings-directory-old");
    assert.equal(await asDirectory(address, next, "/Users"), 200);
    await toPage(page, stack);
    await page.getByText(/^It last came/).waitFor();
    await page.getByText("replaced", { exact: true }).waitFor();

    // Both are revoked: the directory is a stranger, and it is said what that means.
    for (const prefix of [token, next].map((one) => one.split("_")[1])) {
      await page.getByRole("button", { name: `Revoke ${prefix}` }).click();
      await dialog.getByText(prefix === token.split("_")[1] ? "Another token is good still." : /^.*It is the last that is good/).waitFor();
      await look(page, "settings-directory-revoke");
      await dialog.getByRole("button", { name: "Revoke it" }).click();
      await page.getByText(`The token ${prefix} is worth nothing any more.`).waitFor();
    }
    await page.getByText(/^The directory has been a stranger since/).waitFor();
    await inBothThemes(page, "settings-directory-over");
    assert.equal(await asDirectory(address, next, "/Users"), 401);
    await page.getByRole("link", { name: /^See what was refused/ }).click();
    await heading(page, "Audit log");

    const { identityProviderRemove } = await ask("mutation { identityProviderRemove { done userErrors { message } } }", {});
    assert.deepEqual(identityProviderRemove.userErrors, []);
    await toPage(page, stack);
    await page.getByText(/^There is no identity provider any more/).waitFor();
    sql(stack, `DELETE FROM email_domains WHERE domain = '${DOMAIN}'; DELETE FROM scim_tokens; DELETE FROM users WHERE email = '${PERSON}'`);
  },
};
