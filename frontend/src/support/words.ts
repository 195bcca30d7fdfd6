// What is said of support and of an impersonation, in words.
import type { Over } from "../session/impersonation";

/** A person by their name, and by their address where they gave none. */
export const called = ({ name, email }: { name: string; email: string }) => name || email;

/** 9:05, 1:00:00 */
export function countdown(ms: number): string {
  const s = Math.max(0, Math.ceil(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const [hours, minutes] = [Math.floor(s / 3600), Math.floor((s % 3600) / 60)];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(s % 60)}` : `${minutes}:${two(s % 60)}`;
}

/** Said aloud as the end comes near, and nothing of the seconds between. */
export function warning(ms: number): string {
  if (ms > 5 * 60_000) return "";
  return ms > 60_000 ? "Less than five minutes are left." : "Less than a minute is left.";
}

/** Why one is over, to the staff whose it was. */
export function overSentence({ why, tenant }: Pick<Over, "why" | "tenant">): string {
  switch (why) {
    case "left":
      return `You left the place of ${tenant}.`;
    case "time":
      return `The time in the place of ${tenant} is over. To go on, begin another one.`;
    case "tenant":
      return `${tenant} ended it, or took its consent back: you are not in its place any more.`;
    case "staff":
      return `You are no staff of this installation any more, so what ran in the place of ${tenant} has ended.`;
    case "session":
      return `Your session has ended, and with it what ran in the place of ${tenant}.`;
    case "elsewhere":
      return `You signed in elsewhere and went on in the place of ${tenant} there. You can come back to it here.`;
    case "unknown":
      return `You are not in the place of ${tenant} any more.`;
  }
}

export const REQUEST_STATES = {
  WAITING: { said: "waits for an answer", tone: "warn" },
  ALLOWED: { said: "allowed", tone: "good" },
  USED: { said: "begun", tone: "info" },
  REFUSED: { said: "refused", tone: "bad" },
  WITHDRAWN: { said: "taken back", tone: "bad" },
  OVER: { said: "its time is over", tone: "info" },
} as const;

/** What ended one, to the tenant. */
export const ENDS = {
  LEFT: "they left",
  TENANT: "ended here",
  CONSENT: "its consent was taken back",
  STAFF: "they are no staff any more",
  TIME: "its time was over",
  SESSION: "they signed out, or gave up their second factor",
} as const;

interface Consent {
  requestId: string | null;
  state: "ACTIVE" | "OVER" | "USED" | "WITHDRAWN";
  usedAt: string | null;
}

/** domain/src/impersonation.rs */
const LONGEST_MS = 60 * 60 * 1000;

/** Whether somebody could be in by this consent now. Who is in is dear to ask, and on most days there is nobody to ask for. */
export function mayBeIn({ requestId, state, usedAt }: Consent, now: number): boolean {
  // What was begun by one that stands for all of the staff ends with it.
  if (requestId === null) return state === "ACTIVE";
  return state === "USED" && usedAt !== null && now - Date.parse(usedAt) < LONGEST_MS;
}

/** What became of a consent that stands no more. */
export const CONSENT_ENDS = { OVER: "its time was over", USED: "begun once, and used up", WITHDRAWN: "taken back" } as const;

/** What the API says to programs, too, as people read it: without the names of what a program would call. */
export function plain(message: string): string {
  return message
    .replaceAll(/ \([a-z]+[A-Z]\w*\)/g, "")
    .replaceAll(/; `\w+` lists them/g, "")
    .replaceAll("without mayWrite", "to read only");
}

export function plainly<Payload extends { userErrors: { field: string[]; code: string; message: string }[] }>(payload: Payload): Payload {
  return { ...payload, userErrors: payload.userErrors.map((error) => ({ ...error, message: plain(error.message) })) };
}

/** Where one goes once it has begun: to what somebody's link named, where that is a page of this tenant, and to its overview otherwise. */
export function wayInto(to: string | undefined, slug: string): string {
  const home = `/t/${slug}`;
  return to === home || to?.startsWith(`${home}/`) || to?.startsWith(`${home}?`) ? to : home;
}
