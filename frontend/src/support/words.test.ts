import { expect, test } from "vitest";
import { countdown, mayBeIn, overSentence, plain, plainly, warning, wayInto } from "./words";

test.each([
  [3_600_000, "1:00:00", ""],
  [3_599_001, "1:00:00", ""],
  [300_001, "5:01", ""],
  [300_000, "5:00", "Less than five minutes are left."],
  [59_999, "1:00", "Less than a minute is left."],
  [5_000, "0:05", "Less than a minute is left."],
  [-1, "0:00", "Less than a minute is left."],
])("%d ms are %s", (ms, shown, said) => expect([countdown(ms), warning(ms)]).toEqual([shown, said]));

test("whoever was in a tenant's place reads who or what ended it", () => {
  const said = (["left", "time", "tenant", "staff", "session", "elsewhere", "unknown"] as const).map((why) => overSentence({ why, tenant: "Acme" }));
  expect(new Set(said).size).toBe(7);
  expect(said.every((sentence) => sentence.includes("Acme"))).toBe(true);
});

test("people do not read what programs would call", () => {
  expect(plain("support needs a second factor; set yours up first (secondFactorBegin)")).toBe("support needs a second factor; set yours up first");
  expect(plain("there is no such consent, or it is over; `supportConsents` lists them")).toBe("there is no such consent, or it is over");
  expect(plain("begin without mayWrite, or ask it (supportRequestCreate)")).toBe("begin to read only, or ask it");
  expect(plain("1 to 60 minutes; begin another one then (at once)")).toBe("1 to 60 minutes; begin another one then (at once)");
  expect(plainly({ done: false, userErrors: [{ field: ["input"], code: "BLOCKED", message: "leave it first (impersonationLeave)" }] })).toEqual({ done: false, userErrors: [{ field: ["input"], code: "BLOCKED", message: "leave it first" }] });
});

test("a link leads into the tenant that one is let into, and nowhere else", () => {
  expect(wayInto(undefined, "acme")).toBe("/t/acme");
  expect(wayInto("/t/acme/exceptions?text=1042", "acme")).toBe("/t/acme/exceptions?text=1042");
  expect(wayInto("/t/acme?x=1", "acme")).toBe("/t/acme?x=1");
  for (const to of ["/t/acme2/records", "/t/other", "https://evil.example/t/acme", "//t/acme", "/sign-in"]) expect(wayInto(to, "acme")).toBe("/t/acme");
});

test("who is in is asked only where somebody could be", () => {
  const now = Date.parse("2026-11-29T12:00:00Z");
  const before = (minutes: number) => new Date(now - minutes * 60_000).toISOString();
  const standing = { requestId: null, state: "ACTIVE", usedAt: null } as const;
  const once = { requestId: "srq_1", state: "USED", usedAt: before(59) } as const;
  expect([standing, once].map((one) => mayBeIn(one, now))).toEqual([true, true]);
  expect([{ ...standing, state: "WITHDRAWN" } as const, { ...once, usedAt: before(61) }, { ...once, usedAt: null, state: "ACTIVE" } as const, { ...once, state: "WITHDRAWN" } as const].map((one) => mayBeIn(one, now))).toEqual([false, false, false, false]);
});
