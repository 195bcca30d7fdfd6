// Single sign-on: an owner sets the tenant's provider, is told what is wrong with it, and people come in by it as what their groups give.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { colleague, sql } from "./database.mjs";
import { CLIENT_ID, CLIENT_SECRET, startIssuer } from "./issuer.mjs";
import { heading } from "./journeys.mjs";
import { inBothThemes, look, open, visit } from "./page.mjs";

const DOMAIN = "login.example";
const PERSON = { subject: "sub-of-ines", email: `ines@${DOMAIN}`, email_verified: true, name: "Ines", groups: ["warehouse"] };
const OTHER_OWNER = "olga@acme.example";

const hashed = (code) => createHash("sha256").update(code).digest("hex");
const toPage = async (page, stack) => {
  await visit(page, `${stack.url}/t/acme/settings/sign-on`);
  await heading(page, "Settings");
};

/** Another browser, at the tenant's link. */
async function leaves(browser, stack) {
  const { context, page } = await open(browser, "light");
  page.setDefaultTimeout(15_000);
  await page.goto(`${stack.url}/sso/acme/start`);
  return { page, close: () => context.close() };
}

export const signOn = {
  async people_sign_in_at_the_tenants_own_provider_as_what_their_groups_give({ page, browser, stack }) {
    const issuer = await startIssuer(`${stack.url}/sso/callback`, PERSON);
    await toPage(page, stack);
    await page.getByRole("heading", { name: "People sign in by password" }).waitFor();
    await inBothThemes(page, "settings-sign-on-empty");
    await page.getByRole("button", { name: "Set up single sign-on" }).click();
    const form = page.getByRole("form", { name: "Identity provider" });
    // What the provider must know is there before anything is set.
    assert.equal((await form.getByLabel("The redirect address").innerText()).trim(), `${stack.url}/sso/callback`);
    await form.getByLabel("Issuer").fill("http://login.example.com/?realm=acme");
    await form.getByLabel("Client id").fill(CLIENT_ID);
    await form.getByLabel("Client secret").fill("not the secret");
    await form.getByRole("button", { name: "Set it up" }).click();
    await form.getByText(/^The issuer is an https address without a query/).waitFor();
    await form.getByLabel("Issuer").fill(issuer.url);
    await form.getByRole("button", { name: "Set it up" }).click();
    await form.getByText(/^Nobody would be let in/).waitFor();
    await form.getByLabel("Group 1", { exact: true }).fill("warehouse");
    await form.getByRole("button", { name: "Add a group" }).click();
    await form.getByLabel("Group 2", { exact: true }).fill("warehouse");
    await form.getByLabel("Role of group 2").selectOption("ADMIN");
    await form.getByRole("button", { name: "Set it up" }).click();
    await form.getByText(/^A group gives one role/).waitFor();
    await inBothThemes(page, "settings-sign-on-form");
    await form.getByLabel("Group 2", { exact: true }).fill("it");
    await form.getByRole("button", { name: "Set it up" }).click();

    // Its test names the step that is wrong, and what to do; mended, all is well.
    const provider = page.getByRole("region", { name: "Identity provider" });
    await provider.getByRole("button", { name: "Test it" }).click();
    const found = page.getByRole("region", { name: "What the test found" });
    await found.getByText(/It refuses the client/).waitFor();
    await found.getByText(/^Copy the client id and a new secret/).waitFor();
    await inBothThemes(page, "settings-sign-on-wrong");
    await provider.getByRole("button", { name: "Change" }).click();
    assert.equal(await form.getByLabel("Client secret").inputValue(), "", "the secret is never shown");
    await form.getByLabel("Client secret").fill(CLIENT_SECRET);
    await form.getByRole("button", { name: "Keep it" }).click();
    await provider.getByRole("button", { name: "Test it" }).click();
    await found.getByText(/^It can be used/).waitFor();
    await inBothThemes(page, "settings-sign-on");

    // In as an operator; out of all groups, and told so.
    const ines = await leaves(browser, stack);
    await heading(ines.page, "Overview");
    await ines.page.getByRole("link", { name: "Audit log" }).waitFor({ state: "detached" });
    // Whom nobody could tell signed out, and who comes back this way, is in: what they left is not what they came with.
    await ines.page.route("**/session/close", (route) => route.abort());
    await ines.page.getByRole("button", { name: "acme", exact: true }).click();
    await ines.page.getByRole("menuitem", { name: "Sign out" }).click();
    await ines.page.getByText("You are not signed out yet.").waitFor();
    await ines.page.goto(`${stack.url}/sso/acme/start`);
    await heading(ines.page, "Overview");
    assert.equal(await ines.page.evaluate(() => document.cookie + (localStorage.getItem("left") ?? "")), "");
    await ines.close();
    issuer.person = { ...PERSON, groups: [] };
    const late = await leaves(browser, stack);
    await late.page.getByText(/^None of your groups gives you a role here/).waitFor();
    await look(late.page, "sign-in-refused");
    await late.close();
    await toPage(page, stack);
    await page.getByRole("link", { name: /^See who was refused/ }).click();
    await page.getByRole("button", { name: "sso: refused" }).first().waitFor();
    await issuer.stop();
    // What does not answer is said, and what was not reached is not called well.
    await toPage(page, stack);
    await provider.getByRole("button", { name: "Test it" }).click();
    await found.getByText(/cannot be used/).waitFor();
    assert.equal(await found.getByText("not reached", { exact: true }).count(), 4);
    await look(page, "settings-sign-on-away");
  },

  async a_domain_is_proven_and_then_signed_in_to_by_the_provider_only({ page, browser, stack }) {
    assert.equal(sql(stack, "SELECT count(*) FROM identity_providers"), "1", "it goes on where the journey before ended");
    await toPage(page, stack);
    await page.getByText("No domain is yours yet").waitFor();
    await page.getByRole("button", { name: "Add a domain" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Domain").fill("localhost");
    await dialog.getByRole("button", { name: "Add it" }).click();
    await dialog.getByText(/^A domain is written like example\.com/).waitFor();
    await dialog.getByLabel("Domain").fill(`@${DOMAIN}`);
    await dialog.getByRole("button", { name: "Add it" }).click();
    const domains = page.getByRole("region", { name: "Domains", exact: true });
    await domains.getByText("not proven").waitFor();
    await domains.getByRole("button", { name: /^Mail a code/ }).click();
    await dialog.getByRole("button", { name: "Mail the code" }).click();
    // The demo sends no mail, and says so; what would have been mailed is put where it would stand.
    await dialog.getByText(/^This installation sends no mail/).waitFor();
    await look(page, "settings-domain-no-mail");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    sql(stack, `UPDATE email_domains SET code_hash = '\\x${hashed("the-code")}', code_expires_at = now() + interval '1 day', mailed_at = now()`);
    await toPage(page, stack);
    await domains.getByText("code mailed").waitFor();
    await domains.getByRole("button", { name: /^Take away/ }).click();
    await dialog.getByRole("button", { name: "Take it away" }).click();
    await dialog.getByText(/^A code was mailed there within the hour/).waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await domains.getByRole("button", { name: /^Enter the code/ }).click();
    await dialog.getByLabel("Code", { exact: true }).fill("another-code");
    await dialog.getByRole("button", { name: "Prove it" }).click();
    await dialog.getByText(/^This is not the code/).waitFor();
    await look(page, "settings-domain-code");
    await dialog.getByLabel("Code", { exact: true }).fill("the-code");
    await dialog.getByRole("button", { name: "Prove it" }).click();
    await domains.getByText("proven", { exact: true }).waitFor();

    // Not before somebody gets in when the provider is away.
    await domains.getByRole("button", { name: /^Make it the only way/ }).click();
    await dialog.getByRole("checkbox").check();
    await dialog.getByRole("button", { name: "Make it the only way" }).click();
    await dialog.getByText(/^Nobody could get in where the provider does not answer/).waitFor();
    await dialog.getByRole("link", { name: "Go to your account" }).waitFor();
    await look(page, "settings-domain-enforce");
    colleague(stack, OTHER_OWNER, "owner");
    sql(stack, `INSERT INTO second_factors (user_id, master_key_id, sealed, confirmed_at) SELECT id, 'none', '\\x00', now() FROM users WHERE email = '${OTHER_OWNER}'`);
    await dialog.getByRole("button", { name: "Make it the only way" }).click();
    await domains.getByText("provider only", { exact: true }).waitFor();
    await inBothThemes(page, "settings-domains");

    // A password is not enough any more: the page leads to the company's sign-in.
    colleague(stack, `paul@${DOMAIN}`, "operator");
    const other = await open(browser, "light");
    await other.page.goto(`${stack.url}/t/acme`);
    await other.page.getByLabel("E-mail").fill(`paul@${DOMAIN}`);
    await other.page.getByLabel("Password").fill(stack.password);
    await other.page.getByRole("button", { name: "Sign in", exact: true }).click();
    await heading(other.page, "Sign in with your company");
    await look(other.page, "sign-in-company");
    await other.context.close();

    // The way back: let go, taken away, and the provider removed.
    const provider = page.getByRole("region", { name: "Identity provider" });
    await provider.getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("button", { name: "Remove it" }).click();
    await dialog.getByText(/^It is enforced for domains/).waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await domains.getByRole("button", { name: /^Let go/ }).click();
    await dialog.getByRole("button", { name: "Let it go" }).click();
    await domains.getByText("proven", { exact: true }).waitFor();
    await domains.getByRole("button", { name: /^Take away/ }).click();
    await dialog.getByRole("button", { name: "Take it away" }).click();
    await page.getByText("No domain is yours yet").waitFor();
    await provider.getByRole("button", { name: "Remove" }).click();
    await look(page, "settings-sign-on-remove");
    await dialog.getByRole("button", { name: "Remove it" }).click();
    await page.getByRole("heading", { name: "People sign in by password" }).waitFor();
    sql(stack, `DELETE FROM users WHERE email IN ('${OTHER_OWNER}', 'paul@${DOMAIN}', '${PERSON.email}')`);
  },

  async who_is_no_owner_or_admin_is_told_who_sets_how_people_sign_in({ browser, stack }) {
    colleague(stack, "dora@acme.example", "developer");
    const { context, page } = await open(browser, "dark");
    page.setDefaultTimeout(15_000);
    await page.goto(`${stack.url}/t/acme/settings/sign-on`);
    await page.getByLabel("E-mail").fill("dora@acme.example");
    await page.getByLabel("Password").fill(stack.password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByText("Your role does not set how people sign in").waitFor();
    assert.equal(await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Single sign-on" }).count(), 0);
    await look(page, "settings-sign-on-not-mine");
    await context.close();
  },
};
