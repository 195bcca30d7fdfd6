// What people do with the mails that they get: a password that nobody knows any more is set anew, and an address is proven. A stack of its own that sends
// mails: without a mail server, as the others run, each page says who can help instead.
import assert from "node:assert/strict";
import { colleague } from "./database.mjs";
import { demo } from "./demo.mjs";
import { heading, nothingBut } from "./journeys.mjs";
import { startMailbox } from "./mailbox.mjs";
import { look, open, visit } from "./page.mjs";
import { signIn } from "./people.mjs";

const MARY = "mary@acme.example";
const STRANGER = "nobody.knows@acme.example";
const NEW_PASSWORD = "a password that is new";
const OVER = "The link was used, has expired or was never made; ask for another one";

/** A link of a mail is opened from there. What differs behind # alone would load nothing. */
async function follow(page, link) {
  await page.goto("about:blank");
  await visit(page, link);
}

async function askForMail(page, email) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByRole("button", { name: "Send me a mail" }).click();
  await page.getByText("If this address has an account, a mail is on its way.").waitFor();
}

async function signInWith(page, email, password) {
  await page.getByLabel("E-mail").fill(email);
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
}

async function aPasswordIsSetAnew(browser, stack, mailbox) {
  colleague(stack, MARY, "operator");
  const before = await signIn(browser, stack, MARY);
  const { context, page } = await open(browser, "light");
  page.setDefaultTimeout(15_000);
  await visit(page, `${stack.url}/sign-in`);
  await page.getByRole("link", { name: "Forgot your password?" }).click();
  await heading(page, "Set a new password");
  // Whether there is such an account is told to nobody.
  await askForMail(page, STRANGER);
  await visit(page, `${stack.url}/password`);
  await askForMail(page, MARY);
  await look(page, "password-asked");
  const link = await mailbox.linkTo(MARY);
  assert.equal(mailbox.of(STRANGER).length, 0);

  await follow(page, link);
  await page.getByLabel(/^A password/).fill("too short");
  await page.getByRole("button", { name: "Set it" }).click();
  await page.getByText("a password has 12 to 1024 bytes", { exact: true }).waitFor();
  await look(page, "password-too-short");
  // It cost no link.
  await page.getByLabel(/^A password/).fill(NEW_PASSWORD);
  await page.getByRole("button", { name: "Set it" }).click();
  await page.getByText("Your new password is set.").waitFor();
  await look(page, "password-set");
  await page.getByRole("link", { name: "Sign in" }).click();
  await heading(page, "Sign in to Crossdock");
  await signInWith(page, MARY, stack.password);
  await page.getByText("The address or the password is not right").waitFor();
  await signInWith(page, MARY, NEW_PASSWORD);
  await heading(page, "Overview");
  // Whoever was in with the one before is out, by themselves as soon as their page asks again.
  await heading(before.page, "Sign in to Crossdock", { timeout: 90_000 });
  await before.close();
  await context.close();

  const later = await open(browser, "dark");
  later.page.setDefaultTimeout(15_000);
  await follow(later.page, link);
  await later.page.getByLabel(/^A password/).fill("another password of hers");
  await later.page.getByRole("button", { name: "Set it" }).click();
  await later.page.getByText(OVER).waitFor();
  await look(later.page, "password-over");
  await later.page.getByRole("link", { name: "Ask for another mail" }).click();
  await askForMail(later.page, MARY);
  assert.notEqual(await mailbox.linkTo(MARY, 2), link);
  await later.context.close();
  // What the page asked that was left open is refused, and nothing else is wrong.
  nothingBut("sign in first");
}

async function anAddressIsProven(browser, stack, mailbox) {
  const { page, close } = await signIn(browser, stack, stack.email);
  await visit(page, `${stack.url}/account`);
  await page.getByText("not proven").waitFor();
  await page.getByRole("button", { name: "Send me a mail to prove it" }).click();
  await page.getByText("A mail is on its way. Its link works once, within a day.").waitFor();
  const link = await mailbox.linkTo(stack.email);
  // Opened wherever the mail is read, where nobody is signed in. Opening it alone proves nothing: programs that look at mails do that, too.
  const reader = await open(browser, "light");
  reader.page.setDefaultTimeout(15_000);
  await follow(reader.page, link);
  await heading(reader.page, "Is this your address?");
  await look(reader.page, "verify");
  await visit(page, `${stack.url}/account`);
  await page.getByText("not proven").waitFor();
  await reader.page.getByRole("button", { name: "Yes, it is mine" }).click();
  await reader.page.getByText("It is proven.").waitFor();
  await look(reader.page, "verify-done");
  await visit(page, `${stack.url}/account`);
  await page.getByText(/^Since .* it is known that mails to it reach you\.$/).waitFor();
  await follow(reader.page, link);
  await reader.page.getByRole("button", { name: "Yes, it is mine" }).click();
  await reader.page.getByText(OVER).waitFor();
  await look(reader.page, "verify-over");
  await reader.page.getByRole("link", { name: "Ask for one in your account" }).click();
  await heading(reader.page, "Sign in to Crossdock");
  await reader.context.close();
  await close();
}

export const mails = {
  async a_password_is_set_anew_by_a_mailed_link_and_an_address_proven_by_another({ browser }) {
    const mailbox = await startMailbox();
    const stack = await demo({ CROSSDOCK_SMTP_URL: mailbox.url, CROSSDOCK_MAIL_FROM: "Crossdock <people@crossdock.example>", CROSSDOCK_ALL_IN_ONE: "1" });
    try {
      await aPasswordIsSetAnew(browser, stack, mailbox);
      await anAddressIsProven(browser, stack, mailbox);
    } finally {
      await stack.stop();
      await mailbox.stop();
    }
  },
};
