import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { ADVICE, adviceOn, plain, scopesOf, stateOf, STEP_ORDER } from "./words";

/** What the API may say, as its source has it. */
const said = ["identity_provider.rs", "email_domain.rs", "scim_token.rs"].flatMap((file) => {
  const source = readFileSync(join(import.meta.dirname, "../../../api/src/graphql", file), "utf8");
  return [...source.matchAll(/"([a-z][^"{}]{20,})"/g)].map(([, text]) => text ?? "").filter((text) => text.includes(" ") && !text.includes("complexity"));
});

test("no sentence of the API names one of its calls on the page", () => {
  expect(said.length).toBeGreaterThan(20);
  expect(said.map(plain).filter((text) => /\b[a-z]+[A-Z]\w*\b/.test(text))).toEqual([]);
});

test("whatever the API refuses with the name of a call has a next step here", () => {
  const named = said.filter((text) => plain(text) !== text);
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((text) => !adviceOn(text) && !text.startsWith("there is no such "))).toEqual([]);
});

test("each step of the check has a title and an advice, in the order in which it is looked at", () => {
  expect(STEP_ORDER).toEqual(["DISCOVERY", "KEYS", "CLIENT", "GROUPS", "EMAIL"]);
  expect(Object.keys(ADVICE)).toEqual(STEP_ORDER);
});

test("a domain is as far as the last thing that was done about it", () => {
  const domain = { domain: "acme.example", addedAt: "2026-11-29T00:00:00Z", mailedAt: null, provenAt: null, enforcedAt: null };
  const at = "2026-11-29T01:00:00Z";
  expect([stateOf(domain), stateOf({ ...domain, mailedAt: at }), stateOf({ ...domain, mailedAt: at, provenAt: at }), stateOf({ ...domain, provenAt: at, enforcedAt: at })]).toEqual([
    "added",
    "mailed",
    "proven",
    "enforced",
  ]);
});

test("scopes are words, and openid is asked for in any case", () => {
  expect([scopesOf("openid  email,profile"), scopesOf(" "), scopesOf("openid")]).toEqual([["email", "profile"], undefined, undefined]);
});
