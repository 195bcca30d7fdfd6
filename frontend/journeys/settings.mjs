// Settings: who comes in, which programs may, one's own account, and how long the audit log is kept.
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { colleague, sql } from "./database.mjs";
import { asDeveloper, heading, until } from "./journeys.mjs";
import { inBothThemes, look, open, visit, wrong } from "./page.mjs";
import { signIn } from "./people.mjs";
import { send } from "./shop.mjs";

const part = async (page, stack, path) => {
  await visit(page, `${stack.url}/t/acme/settings/${path}`);
  await heading(page, "Settings");
};

/** What somebody who was invited chooses. */
const OWN_PASSWORD = "a password of her own";

/** Asks the API as a program with this key does. */
const asProgram = (stack, key) =>
  fetch(`${stack.url}/graphql`, { method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` }, body: JSON.stringify({ query: "{ flows(first: 1) { nodes { id } } }" }) }).then((answer) => answer.json());

/** What an authenticator app shows (RFC 6238), so many steps from now. */
export function codeOf(secret, steps = 0) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const counter = Buffer.alloc(8);
  counter.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000) + steps));
  const mac = createHmac("sha1", Buffer.from(bits.match(/.{8}/g).map((byte) => Number.parseInt(byte, 2)))).update(counter).digest();
  return String((mac.readUInt32BE(mac[19] & 15) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

export const settings = {
  async a_second_factor_is_set_up_asked_for_and_taken_away_in_settings({ browser, stack }) {
    colleague(stack, "ada@acme.example", "operator");
    const { page, close } = await signIn(browser, stack, "ada@acme.example");
    await part(page, stack, "account");
    await page.getByRole("button", { name: "Set up an app" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Your password").fill("not this password");
    await dialog.getByRole("button", { name: "Go on" }).click();
    await dialog.getByText("This is not your password.").waitFor();
    await dialog.getByLabel("Your password").fill(stack.password);
    await dialog.getByRole("button", { name: "Go on" }).click();
    await dialog.getByRole("img", { name: /^QR code/ }).waitFor();
    const secret = (await dialog.locator("code").innerText()).replaceAll(" ", "");
    await look(page, "settings-second-factor-setup");
    await dialog.getByLabel("The code of your app").fill("000000");
    await dialog.getByRole("button", { name: "Turn it on" }).click();
    await dialog.getByText(/not the code that your app should show now/).waitFor();
    // Half a minute early or late are good, and none twice: this one, the next one, and then one on paper. No half minute that passes meanwhile spoils it.
    await dialog.getByLabel("The code of your app").fill(codeOf(secret));
    await dialog.getByRole("button", { name: "Turn it on" }).click();
    await dialog.getByRole("heading", { name: "Your recovery codes" }).waitFor();
    const paper = (await dialog.getByRole("listitem").first().innerText()).trim();
    await look(page, "settings-recovery-codes");
    await dialog.getByRole("button", { name: "I have kept them" }).click();
    await page.getByText(/10 of your recovery codes are left/).waitFor();
    await inBothThemes(page, "settings-second-factor");

    await page.context().clearCookies();
    await page.evaluate(() => localStorage.clear());
    await page.goto(stack.url);
    await page.getByLabel("E-mail").fill("ada@acme.example");
    await page.getByLabel("Password").fill(stack.password);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByLabel("Code").waitFor();
    await look(page, "sign-in-code");
    await page.getByLabel("Code").fill("000000");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText(/^The code is not right/).waitFor();
    await page.getByLabel("Code").fill(codeOf(secret, 1));
    await page.getByRole("button", { name: "Sign in" }).click();
    await heading(page, "Overview");

    await part(page, stack, "account");
    await page.getByRole("button", { name: "Take it away" }).click();
    await dialog.getByLabel("Your password").fill(stack.password);
    await dialog.getByLabel("The code of your app").fill(paper);
    await dialog.getByRole("button", { name: "Take it away" }).click();
    await page.getByRole("button", { name: "Set up an app" }).waitFor();
    await close();
  },

  async a_tenant_demands_a_second_factor_and_who_has_none_sets_one_up_before_anything_else({ page, browser, stack }) {
    colleague(stack, "joan@acme.example", "operator");
    const other = await signIn(browser, stack, "joan@acme.example");
    await part(page, stack, "people");
    const demand = page.getByRole("region", { name: "Second factor of everybody" });
    await demand.getByText(/^Without one now: .*Grace/).waitFor();
    await demand.getByRole("button", { name: "Demand it of everybody" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByRole("button", { name: "Demand it" }).click();
    await dialog.getByText(/^Set up your own second factor first/).waitFor();
    await look(page, "settings-demand-own-first");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await part(page, stack, "account");
    await page.getByRole("button", { name: "Set up an app" }).click();
    await dialog.getByLabel("Your password").fill(stack.password);
    await dialog.getByRole("button", { name: "Go on" }).click();
    const own = (await dialog.locator("code").innerText()).replaceAll(" ", "");
    await dialog.getByLabel("The code of your app").fill(codeOf(own));
    await dialog.getByRole("button", { name: "Turn it on" }).click();
    await dialog.getByRole("button", { name: "I have kept them" }).click();
    await part(page, stack, "people");
    await demand.getByRole("button", { name: "Demand it of everybody" }).click();
    await dialog.getByRole("button", { name: "Demand it" }).click();
    await demand.getByText(/^Kept out until they have one: /).waitFor();
    await inBothThemes(page, "settings-demand");

    // Her page that is open says so by itself, and what she can do.
    await other.page.getByRole("heading", { name: /demands a second factor$/ }).waitFor({ timeout: 30_000 });
    await look(other.page, "second-factor-demanded");
    await other.page.evaluate(() => (document.documentElement.dataset.theme = "dark"));
    await other.page.setViewportSize({ width: 390, height: 844 });
    await look(other.page, "second-factor-demanded-telephone");
    // What her page asked for before it knew was refused, and nothing else went wrong.
    assert.deepEqual(wrong().filter((one) => !one.includes("demands a second factor")), []);
    await other.page.getByRole("button", { name: "Set up an app" }).click();
    const hers = other.page.getByRole("dialog");
    await hers.getByLabel("Your password").fill(stack.password);
    await hers.getByRole("button", { name: "Go on" }).click();
    const secret = (await hers.locator("code").innerText()).replaceAll(" ", "");
    await hers.getByLabel("The code of your app").fill(codeOf(secret));
    await hers.getByRole("button", { name: "Turn it on" }).click();
    await hers.getByRole("heading", { name: "Your recovery codes" }).waitFor();
    await hers.getByRole("button", { name: "I have kept them" }).click();
    await heading(other.page, "Overview");
    await other.close();

    await demand.getByRole("button", { name: "Leave it to each" }).click();
    await dialog.getByRole("button", { name: "Leave it to each" }).click();
    await demand.getByText(/^A password that somebody learns/).waitFor();
    await part(page, stack, "account");
    await page.getByRole("button", { name: "Take it away" }).click();
    await dialog.getByLabel("Your password").fill(stack.password);
    await dialog.getByLabel("The code of your app").fill(codeOf(own, 1));
    await dialog.getByRole("button", { name: "Take it away" }).click();
    await page.getByRole("button", { name: "Set up an app" }).waitFor();
  },

  async a_passkey_is_registered_signs_in_and_is_taken_away_in_settings({ browser, stack }) {
    colleague(stack, "hedy@acme.example", "operator");
    // Keys belong to names: at this machine's number they are localhost's.
    const named = { ...stack, url: stack.url.replace("127.0.0.1", "localhost") };
    const { page, close } = await signIn(browser, named, "hedy@acme.example");
    const cdp = await page.context().newCDPSession(page);
    await cdp.send("WebAuthn.enable");
    const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
    const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
    await part(page, named, "account");
    const keys = page.getByRole("region", { name: "Passkeys and security keys" });
    const dialog = page.getByRole("dialog");
    await keys.getByRole("button", { name: "Register a key" }).click();
    await dialog.getByLabel("What you call it").fill("Hedy’s laptop");
    await dialog.getByLabel("Your password").fill("not this password");
    await dialog.getByRole("button", { name: "Go on" }).click();
    await dialog.getByText("This is not your password.").waitFor();
    await dialog.getByLabel("Your password").fill(stack.password);
    await look(page, "settings-passkey-register");
    await dialog.getByRole("button", { name: "Go on" }).click();
    await dialog.getByRole("heading", { name: "Your recovery codes" }).waitFor();
    await dialog.getByRole("button", { name: "I have kept them" }).click();
    await keys.getByText("Hedy’s laptop").waitFor();
    await keys.getByRole("button", { name: "Rename Hedy’s laptop" }).click();
    await dialog.getByLabel("What you call it").fill("Laptop");
    await dialog.getByRole("button", { name: "Keep the name" }).click();
    await keys.getByRole("button", { name: "Rename Laptop" }).waitFor();
    await keys.getByRole("button", { name: "Make other recovery codes" }).click();
    await dialog.getByLabel("Your password").fill(stack.password);
    await dialog.getByRole("button", { name: "Make them" }).click();
    await dialog.getByRole("button", { name: "I have kept them" }).click();
    await keys.getByText(/^10 of your recovery codes are left/).waitFor();
    await inBothThemes(page, "settings-passkeys");

    await page.context().clearCookies();
    await page.evaluate(() => localStorage.clear());
    await page.goto(named.url);
    await page.getByLabel("E-mail").fill("hedy@acme.example");
    await page.getByLabel("Password").fill(stack.password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.getByRole("button", { name: "Use your passkey or security key" }).waitFor();
    await look(page, "sign-in-passkey");
    // Nobody touches it: then a code is there still.
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: false });
    await page.getByRole("button", { name: "Use your passkey or security key" }).click();
    await page.getByText(/^No key answered/).waitFor({ timeout: 30_000 });
    await cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified: true });
    await page.getByRole("button", { name: "Use your passkey or security key" }).click();
    await heading(page, "Overview");

    await part(page, named, "account");
    await keys.getByRole("button", { name: "Take away Laptop" }).click();
    await dialog.getByLabel("Your password").fill(stack.password);
    await dialog.getByRole("button", { name: "Take it away" }).click();
    await keys.getByRole("button", { name: "Take away Laptop" }).waitFor({ state: "detached" });
    await close();
  },

  async people_are_invited_given_a_role_and_removed_in_settings({ page, stack }) {
    colleague(stack, "linus@acme.example", "operator");
    await page.keyboard.press("g");
    await page.keyboard.press(",");
    await page.getByRole("region", { name: "Members" }).waitFor();
    await page.getByRole("button", { name: "Invite somebody" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("E-mail").fill("linus@acme.example");
    await dialog.getByRole("button", { name: "Invite", exact: true }).click();
    await dialog.getByText("This person is a member already.").waitFor();
    await dialog.getByLabel("E-mail").fill("new@acme.example");
    await dialog.getByLabel("Role").selectOption("AUDITOR");
    await look(page, "settings-invite");
    await dialog.getByRole("button", { name: "Invite", exact: true }).click();
    // Without a mail server the link is handed on by another way, and leads to the offer.
    const link = await dialog.getByLabel("The link of the invitation").innerText();
    assert.match(new URL(link.trim()).hash, /^#.{20,}/);
    await look(page, "settings-invitation-link");
    await dialog.getByRole("button", { name: "I have it" }).click();
    await page.getByRole("region", { name: "Invitations" }).getByText("new@acme.example").waitFor();
    await inBothThemes(page, "settings-people");
    await page.getByRole("button", { name: "Withdraw the invitation of new@acme.example" }).click();
    await page.getByText("Nobody is invited now").waitFor();
    const row = page.getByRole("region", { name: "Members" }).getByRole("row").filter({ hasText: "linus@acme.example" });
    await row.getByRole("button", { name: /^Change the role/ }).click();
    await dialog.getByLabel("Role").selectOption("BILLING");
    await dialog.getByRole("button", { name: "Give the role" }).click();
    await row.getByText("billing").waitFor();
    // A role that was given by mistake is taken back by one key.
    await dialog.waitFor({ state: "detached" });
    await page.keyboard.press("z");
    await row.getByText("operator").waitFor();
    await row.getByRole("button", { name: /^Remove/ }).click();
    await look(page, "settings-remove");
    await dialog.getByRole("button", { name: "Remove" }).click();
    await row.waitFor({ state: "detached" });
    // The last owner stays, and is told why.
    await page.getByRole("region", { name: "Members" }).getByRole("row").filter({ hasText: "you" }).getByRole("button", { name: /^Change the role/ }).click();
    await dialog.getByLabel("Role").selectOption("ADMIN");
    await dialog.getByRole("button", { name: "Give the role" }).click();
    await dialog.getByText(/^This is the last owner/).waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
  },

  async whoever_has_the_link_of_an_invitation_chooses_a_password_and_comes_in_with_the_role_it_says({ page, browser, stack }) {
    await part(page, stack, "people");
    await page.getByRole("button", { name: "Invite somebody" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("E-mail").fill("katherine@acme.example");
    await dialog.getByLabel("Role").selectOption("AUDITOR");
    await dialog.getByRole("button", { name: "Invite", exact: true }).click();
    const { pathname, hash } = new URL((await dialog.getByLabel("The link of the invitation").innerText()).trim());
    await dialog.getByRole("button", { name: "I have it" }).click();

    const { context, page: theirs } = await open(browser, "light");
    theirs.setDefaultTimeout(15_000);
    await visit(theirs, `${stack.url}${pathname}${hash}`);
    await heading(theirs, /^Join /);
    await theirs.getByText("As auditor, with the address katherine@acme.example.").waitFor();
    await look(theirs, "invitation");
    await theirs.getByLabel("Your name").fill("Katherine");
    await theirs.getByLabel(/^A password/).fill("too short");
    await theirs.getByRole("button", { name: "Join" }).click();
    await theirs.getByText("a password has 12 to 1024 bytes", { exact: true }).waitFor();
    await heading(theirs, /^Join /);
    await theirs.getByLabel(/^A password/).fill(OWN_PASSWORD);
    await theirs.getByRole("button", { name: "Join" }).click();
    // They are in, with the role that was given and no other.
    await heading(theirs, "Overview");
    await theirs.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Audit log" }).waitFor();
    await theirs.getByRole("link", { name: "Flows", exact: true }).click();
    await heading(theirs, "Flows");
    await theirs.getByRole("link", { name: /orders: shopify/ }).waitFor();
    // An auditor is offered no act, as soon as it is known that they are one.
    await theirs.getByRole("link", { name: "New flow" }).waitFor({ state: "detached" });

    // The account is theirs: it signs in with the password that they chose, and the link works no second time.
    await theirs.getByRole("button", { name: "acme", exact: true }).click();
    await theirs.getByRole("menuitem", { name: "Sign out" }).click();
    await heading(theirs, "Sign in to Crossdock");
    await visit(theirs, `${stack.url}${pathname}${hash}`);
    await heading(theirs, "This invitation is over");
    await theirs.getByRole("link", { name: "Sign in", exact: true }).click();
    await theirs.getByLabel("E-mail").fill("katherine@acme.example");
    await theirs.getByLabel("Password").fill(OWN_PASSWORD);
    await theirs.getByRole("button", { name: "Sign in", exact: true }).click();
    await heading(theirs, "Overview");
    await context.close();

    await part(page, stack, "people");
    const row = page.getByRole("region", { name: "Members" }).getByRole("row").filter({ hasText: "katherine@acme.example" }).filter({ hasText: /Katherine/ });
    await row.getByText("auditor").first().waitFor();
    await row.getByRole("button", { name: /^Remove/ }).click();
    await dialog.getByRole("button", { name: "Remove" }).click();
    await row.waitFor({ state: "detached" });
  },

  async an_api_key_is_shown_once_rotated_with_overlap_and_revoked_in_settings({ page, stack }) {
    await part(page, stack, "api-keys");
    await page.getByText("There is no API key yet").waitFor();
    await page.getByRole("button", { name: "New API key" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("What it is for").fill("warehouse sync");
    await dialog.getByRole("checkbox", { name: /^See flows/ }).uncheck();
    await dialog.getByRole("button", { name: "Make the key" }).click();
    await dialog.getByText(/one permission at least/).waitFor();
    await dialog.getByRole("checkbox", { name: /^See flows/ }).check();
    await look(page, "settings-api-key-new");
    await dialog.getByRole("button", { name: "Make the key" }).click();
    const shown = dialog.getByLabel("The key of warehouse sync");
    const first = (await shown.innerText()).trim();
    assert.match(first, /^cdk_/);
    await look(page, "settings-api-key-shown");
    await dialog.getByRole("button", { name: "I have kept it" }).click();
    assert.equal((await asProgram(stack, first)).errors, undefined);
    assert.equal(await page.getByText(first).count(), 0);
    await page.getByRole("button", { name: /^Rotate warehouse sync/ }).click();
    await dialog.getByLabel(/^The old one is good/).fill("1");
    await dialog.getByRole("button", { name: "Make the new key" }).click();
    await dialog.getByText("The one before is good for 1 hour more.").waitFor();
    const second = (await shown.innerText()).trim();
    await dialog.getByRole("button", { name: "I have kept it" }).click();
    for (const key of [first, second]) assert.equal((await asProgram(stack, key)).errors, undefined);
    await page.getByRole("row").nth(2).waitFor();
    await inBothThemes(page, "settings-api-keys");
    await page.getByRole("button", { name: /^Revoke warehouse sync/ }).first().click();
    await look(page, "settings-api-key-revoke");
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await page.getByText("The key of warehouse sync is worth nothing any more.").waitFor();
    assert.notEqual((await asProgram(stack, second)).errors, undefined);
    await page.getByRole("checkbox", { name: "Also those that are over" }).check();
    await page.getByText("revoked", { exact: true }).waitFor();
  },

  async an_operation_is_registered_asked_by_its_hash_and_removed_with_what_breaks_in_settings({ page, stack }) {
    await part(page, stack, "api-keys");
    const registered = page.getByRole("region", { name: "Registered operations" }).first();
    await registered.getByText("No operation is registered").waitFor();
    await look(page, "settings-operations-empty");
    await registered.getByRole("button", { name: "Register an operation" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("What it is for").fill("flows of the partner");
    const text = dialog.getByLabel("Operation", { exact: true });
    await text.fill("query Flows {\n  flows(first: 1) { nodes { id }\n}");
    await dialog.getByRole("button", { name: "Register it" }).click();
    await dialog.getByText(/^Line 3, column \d+: the operation ends too early/).waitFor();
    // The cursor stands where it is wrong.
    assert.equal(await text.evaluate((field) => field === document.activeElement), true);
    await look(page, "settings-operation-wrong");
    const operation = "query Flows {\n  flows(first: 1) { nodes { id } }\n}";
    await text.fill(operation);
    await dialog.getByText("reads", { exact: true }).waitFor();
    const hash = createHash("sha256").update(operation).digest("hex");
    await dialog.getByText(hash).waitFor();
    await look(page, "settings-operation-new");
    await dialog.getByRole("button", { name: "Register it" }).click();
    assert.equal((await dialog.getByLabel("The hash").innerText()).trim(), hash);
    const request = await dialog.getByLabel("The request").innerText();
    await look(page, "settings-operation-shown");
    await dialog.getByRole("button", { name: "Close" }).click();

    await registered.getByRole("button", { name: "New key kept to them" }).click();
    await dialog.getByLabel("What it is for").fill("partner");
    assert.equal(await dialog.getByRole("checkbox", { name: /only the operations that are registered/ }).isChecked(), true);
    await dialog.getByText(/^One is registered/).waitFor();
    await look(page, "settings-operation-key");
    await dialog.getByRole("button", { name: "Make the key" }).click();
    const key = (await dialog.getByLabel("The key of partner").innerText()).trim();
    await dialog.getByRole("button", { name: "I have kept it" }).click();
    const asPartner = (body) => fetch(`${stack.url}/graphql`, { method: "POST", headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` }, body }).then((answer) => answer.json());
    assert.ok((await asPartner(request)).data.flows);
    assert.equal((await asPartner(JSON.stringify({ query: "{ connections(first: 1) { nodes { id } } }" }))).errors[0].extensions.code, "FORBIDDEN");
    await part(page, stack, "api-keys");
    await registered.getByText(/^Kept to them, and to nothing else: “partner”/).waitFor();
    await inBothThemes(page, "settings-operations");
    await page.setViewportSize({ width: 390, height: 844 });
    await look(page, "settings-operations-telephone");
    assert.ok((await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)) <= 0, "no wider than a telephone");
    await page.setViewportSize({ width: 1440, height: 900 });

    // The same text is the same operation: it gets another name.
    await registered.getByRole("button", { name: "Register an operation" }).click();
    await dialog.getByLabel("What it is for").fill("flows of the dashboard");
    await text.fill(operation);
    await dialog.getByText("It is registered already, as “flows of the partner”.").waitFor();
    await dialog.getByRole("button", { name: "Give it this name" }).click();
    await dialog.getByRole("button", { name: "Close" }).click();
    await registered.getByRole("button", { name: "Remove flows of the dashboard" }).click();
    await dialog.getByText("What would break:").waitFor();
    await look(page, "settings-operation-remove");
    await dialog.getByRole("button", { name: "Remove it" }).click();
    await registered.getByText("The key partner is kept to registered operations, and can ask nothing.").waitFor();
    assert.equal((await asPartner(request)).errors[0].extensions.code, "PERSISTED_QUERY_NOT_FOUND");
    await page.keyboard.press("z");
    await registered.getByRole("button", { name: "Remove flows of the dashboard" }).waitFor();
    assert.ok((await asPartner(request)).data.flows);
    await page.getByRole("button", { name: /^Revoke partner/ }).click();
    await dialog.getByRole("button", { name: "Revoke" }).click();
    await registered.getByText(/^No key is kept to them/).waitFor();
  },

  async whoever_is_signed_in_elsewhere_is_seen_and_ended_in_settings({ page, browser, stack }) {
    const other = await signIn(browser, stack, stack.email);
    await part(page, stack, "account");
    await page.getByText("not proven").waitFor();
    await page.getByRole("region", { name: "Your sessions" }).getByText("this one").waitFor();
    await page.getByRole("button", { name: "End all others" }).waitFor();
    await inBothThemes(page, "settings-account");
    // The installation sends no mail, and says who can help instead.
    await page.getByRole("button", { name: "Send me a mail to prove it" }).click();
    await page.getByText(/This installation sends no mail/).waitFor();
    await page.getByLabel("The one you have").fill("not this password");
    await page.getByLabel(/^The new one/).fill("long enough for a password");
    await page.getByRole("button", { name: "Change the password" }).click();
    await page.getByText("This is not your password.").waitFor();
    await page.getByRole("button", { name: "End all others" }).click();
    await page.getByText("All of your sessions but this one have ended.").waitFor();
    await page.getByRole("button", { name: "End all others" }).waitFor({ state: "detached" });
    // Their page goes by itself as soon as it asks again.
    await heading(other.page, "Sign in to Crossdock", { timeout: 90_000 });
    await other.close();
    // What it asked after its end is refused, and nothing else is wrong.
    assert.deepEqual(wrong().filter((one) => !one.includes("sign in first")), []);
  },

  async how_long_the_audit_log_is_kept_is_said_twice_before_it_is_shortened_in_settings({ page, stack }) {
    await part(page, stack, "audit-log");
    await page.getByText("For ever: no event is ever removed.").waitFor();
    const dialog = page.getByRole("dialog");
    await page.getByRole("button", { name: "Change", exact: true }).click();
    await dialog.getByLabel("Events are kept").selectOption("days");
    await dialog.getByLabel("Days", { exact: true }).fill("400");
    await dialog.getByRole("checkbox", { name: /^Events that were sealed more than 400 days ago/ }).check();
    await look(page, "settings-audit-log-rule");
    await dialog.getByRole("button", { name: "Keep the rule" }).click();
    await page.getByText("Events are removed 400 days after they were sealed, within a day.").waitFor();
    await page.getByRole("button", { name: "Change", exact: true }).click();
    await dialog.getByRole("checkbox", { name: /^A legal hold/ }).check();
    await dialog.getByLabel("Why").fill("Case 2026-17");
    await dialog.getByRole("button", { name: "Keep the rule" }).click();
    await page.getByText("Case 2026-17").waitFor();
    await inBothThemes(page, "settings-audit-log");
    await page.getByRole("button", { name: "Change", exact: true }).click();
    await dialog.getByLabel("Events are kept").selectOption("ever");
    await dialog.getByRole("checkbox", { name: /^A legal hold/ }).uncheck();
    await dialog.getByRole("button", { name: "Keep the rule" }).click();
    await page.getByText("For ever: no event is ever removed.").waitFor();
  },

  async a_persons_data_is_counted_and_then_erased_in_settings({ page, stack }) {
    await send(stack.hookUrl, 6_680, (order) => {
      order.email = order.contact_email = order.customer.email = "forget.me@example.com";
    });
    await part(page, stack, "audit-log");
    await page.getByRole("button", { name: "Erase a person's data" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByLabel("Why").fill("Request 2026-17");
    await dialog.getByLabel("Address").fill("nobody.knows@example.com");
    await dialog.getByRole("button", { name: "Count what there is" }).click();
    await dialog.getByText(/^Nothing is known of that person here/).waitFor();
    await dialog.getByLabel("Address").fill("forget.me@example.com");
    // It is on its way here.
    const counted = dialog.getByText(/^1 record/);
    for (let tries = 0; tries < 30 && !(await counted.isVisible()); tries += 1) {
      // The answer takes the button away.
      await dialog.getByRole("button", { name: "Count what there is" }).click({ timeout: 1_000 }).catch(() => null);
      await counted.waitFor({ timeout: 1_000 }).catch(() => null);
    }
    await dialog.getByText("1 message as it came").waitFor();
    await look(page, "settings-erase");
    // Another address is counted anew.
    await dialog.getByLabel("Address").fill("forget.me@example.co");
    await dialog.getByRole("button", { name: "Count what there is" }).waitFor();
    await dialog.getByLabel("Address").fill("forget.me@example.com");
    await dialog.getByRole("checkbox", { name: /^It cannot be brought back/ }).check();
    await dialog.getByRole("button", { name: "Erase it for good" }).click();
    await page.getByText(/^Erased in 1 record\./).waitFor();
    await dialog.waitFor({ state: "detached" });
  },

  async a_tenant_is_deleted_by_its_slug_kept_once_more_and_then_gone_in_settings({ page, stack }) {
    const { ask } = await asDeveloper(stack);
    await ask("mutation($input: TenantCreateInput!) { tenantCreate(input: $input) { userErrors { message } } }", { input: { name: "Passing", slug: "passing" } });
    await visit(page, `${stack.url}/t/passing/settings/tenant`);
    await heading(page, "Settings");
    const panel = page.getByRole("region", { name: "Delete this tenant" });
    const dialog = page.getByRole("dialog");
    const begin = async (slug) => {
      await panel.getByRole("button", { name: "Delete this tenant" }).click();
      await dialog.getByLabel("Type the slug of this tenant: passing").fill(slug);
      await dialog.getByLabel("Why").fill("The contract ended");
      await dialog.getByRole("checkbox", { name: /^I have an export/ }).check();
      await dialog.getByRole("button", { name: "Delete it in 7 days" }).click();
    };
    await inBothThemes(page, "settings-tenant");
    await begin("acme");
    await dialog.getByText("This is not passing.").waitFor();
    await look(page, "settings-tenant-delete");
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await begin("passing");
    const banner = page.getByRole("status", { name: "This tenant is to be deleted" });
    await banner.waitFor();
    await panel.getByText("The contract ended").waitFor();
    await inBothThemes(page, "settings-tenant-deleted");
    // Wherever in it one is.
    await visit(page, `${stack.url}/t/passing/flows`);
    await look(page, "tenant-to-be-deleted");
    await banner.getByRole("button", { name: "Keep it" }).click();
    await banner.waitFor({ state: "detached" });
    await visit(page, `${stack.url}/t/passing/settings/tenant`);
    await begin("passing");
    await banner.waitFor();
    // Nobody is left to ask while its last rows go.
    await visit(page, `${stack.url}/t/acme`);
    await heading(page, "Overview");
    sql(stack, "UPDATE tenant_deletions SET deletes_at = now(), due_at = now()");
    await until("the tenant is gone", async () => sql(stack, "SELECT count(*) FROM deleted_tenants d WHERE d.slug = 'passing' AND d.place IS NULL AND NOT EXISTS (SELECT FROM tenants t WHERE t.id = d.id)") === "1");
  },
};
