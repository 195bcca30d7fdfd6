import { expect, test } from "vitest";
import { addressOf, outlook, stateOf, type ScimToken } from "./directory-tokens";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const inDays = (days: number) => new Date(NOW + days * 86_400_000).toISOString();
let made = 0;
const token = (created: number, expires: number, used: number | null = null, revoked: number | null = null): ScimToken => ({
  id: `sct_${(made += 1)}`,
  prefix: `p${made}`,
  createdBy: "usr_1",
  createdAt: inDays(created),
  expiresAt: inDays(expires),
  lastUsedAt: used === null ? null : inDays(used),
  revokedAt: revoked === null ? null : inDays(revoked),
});

test("a directory without a token, and one whose last token is over, tells nothing", () => {
  expect(outlook([], NOW)).toEqual({ is: "none" });
  expect(outlook([token(-366, -0.01, -0.02), token(-400, -30, -31, -40)], NOW)).toEqual({ is: "over", since: inDays(-0.01), isRevoked: false });
  expect(outlook([token(-10, 356, -1, -0.5)], NOW)).toEqual({ is: "over", since: inDays(-0.5), isRevoked: true });
});

test("a warning is there from thirty days before the last token ends, and not for one that another has taken the place of", () => {
  const before = token(-340, 29.5, -0.01);
  expect(outlook([before], NOW)).toMatchObject({ is: "soon", days: 29 });
  expect(outlook([token(-300, 30.5, -0.01)], NOW)).toMatchObject({ is: "good" });
  const next = token(-1, 365, -0.1);
  const replaced = token(-340, 0.5, -0.9);
  expect(outlook([next, replaced], NOW)).toMatchObject({ is: "good", until: next.expiresAt });
  expect([stateOf(next, [next, replaced], NOW), stateOf(replaced, [next, replaced], NOW), stateOf(before, [before], NOW)]).toEqual(["good", "replaced", "soon"]);
});

test("a directory that was not told its newest token yet is told so before the one it comes with ends", () => {
  const used = token(-340, 0.5, -0.01);
  expect(outlook([token(-0.5, 365), used], NOW)).toEqual({ is: "old", prefix: used.prefix, until: used.expiresAt });
  expect(outlook([token(-0.5, 365)], NOW)).toMatchObject({ is: "unused" });
});

test("a newer token that was revoked takes nobody's place", () => {
  const one = token(-100, 266, -0.01);
  const revoked = token(-1, 365, null, -0.5);
  expect([stateOf(one, [revoked, one], NOW), stateOf(revoked, [revoked, one], NOW), stateOf(token(-400, -34), [], NOW)]).toEqual(["good", "revoked", "expired"]);
  expect(outlook([revoked, one], NOW)).toMatchObject({ is: "good" });
});

test("the directory's address stands beside the provider's", () => {
  expect(addressOf("https://crossdock.example.com/base/sso/callback")).toBe("https://crossdock.example.com/base/scim/v2");
});
