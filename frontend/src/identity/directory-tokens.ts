// How a directory stands, by its tokens: whether it can tell us anything, until when, and whether it was told the newest token yet.
import type { DirectoryQuery } from "./query.generated";

export type ScimToken = DirectoryQuery["scimTokens"][number];

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;
/** So many days before its end somebody has to see to it: who makes tokens at the directory is often somebody else. */
export const SOON_DAYS = 30;

export type TokenState = "good" | "soon" | "replaced" | "expired" | "revoked";

/** `all` tells whether a newer one has taken its place: then its end is as it should be. */
export function stateOf(token: ScimToken, all: readonly ScimToken[], now: number): TokenState {
  if (token.revokedAt) return "revoked";
  if (Date.parse(token.expiresAt) <= now) return "expired";
  if (all.some((one) => isGood(one, now) && Date.parse(one.expiresAt) > Date.parse(token.expiresAt) && Date.parse(one.createdAt) > Date.parse(token.createdAt))) return "replaced";
  return Date.parse(token.expiresAt) - now < SOON_DAYS * DAY_MS ? "soon" : "good";
}

const isGood = (token: ScimToken, now: number) => !token.revokedAt && Date.parse(token.expiresAt) > now;

export type Outlook =
  /** None was ever made. */
  | { is: "none" }
  /** The last one is over: nobody comes or goes by it. */
  | { is: "over"; since: string; isRevoked: boolean }
  /** The last one that is good ends soon. */
  | { is: "soon"; days: number; until: string }
  /** A newer one is there, and the directory still comes with one before. */
  | { is: "old"; prefix: string; until: string }
  /** It was never used: the directory was not told it, or not saved it. */
  | { is: "unused"; since: string }
  | { is: "good"; lastUsedAt: string; until: string };

/** `tokens` as the API gives them, the newest first. */
export function outlook(tokens: readonly ScimToken[], now: number): Outlook {
  const good = tokens.filter((one) => isGood(one, now));
  const [newest] = good;
  if (!newest) {
    const ends = tokens.map((one) => ({ since: one.revokedAt ?? one.expiresAt, isRevoked: Boolean(one.revokedAt) })).toSorted((a, b) => Date.parse(b.since) - Date.parse(a.since));
    return ends[0] ? { is: "over", ...ends[0] } : { is: "none" };
  }
  const last = good.reduce((latest, one) => (Date.parse(one.expiresAt) > Date.parse(latest.expiresAt) ? one : latest));
  const leftMs = Date.parse(last.expiresAt) - now;
  if (leftMs < SOON_DAYS * DAY_MS) return { is: "soon", days: Math.floor(leftMs / DAY_MS), until: last.expiresAt };
  // The one in use is that which it came with last.
  const used = good.filter((one) => one.lastUsedAt).toSorted((a, b) => Date.parse(b.lastUsedAt ?? "") - Date.parse(a.lastUsedAt ?? ""))[0];
  if (!used?.lastUsedAt) return { is: "unused", since: newest.createdAt };
  if (used.id !== last.id && !last.lastUsedAt) return { is: "old", prefix: used.prefix, until: used.expiresAt };
  return { is: "good", lastUsedAt: used.lastUsedAt, until: last.expiresAt };
}

/** Where the directory finds us, by where the provider does: both stand under the installation's own address, which a page need not be opened at. */
export function addressOf(redirectUri: string): string {
  return redirectUri.replace(/\/sso\/callback$/, "/scim/v2");
}
