import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { reasonOf, startOf } from "./sso";

test("every refusal of the api has a reason in plain words", () => {
  const source = readFileSync(new URL("../../../domain/src/identity_provider.rs", import.meta.url), "utf8");
  const words = [...source.matchAll(/Self::\w+ => "(\w+)",/g)].map((match) => match[1]);
  expect(words.length).toBe(16);
  const unknown = reasonOf("of another version");
  for (const word of words) expect(reasonOf(word), word).not.toBe(unknown);
  expect([reasonOf(undefined), reasonOf("done")]).toEqual([null, null]);
});

test("a name and an address lead to an address of the api, and nothing else does", () => {
  expect(startOf(" Acme ")).toBe("/sso/acme/start");
  expect(startOf("ann@acme.example")).toBe("/sso/start?who=ann%40acme.example");
  expect(startOf("//evil.example/x")).toBe("/sso/start?who=%2F%2Fevil.example%2Fx");
});
