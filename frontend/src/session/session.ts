// The person who is signed in. The access token lives in this page's memory; the refresh token in a cookie that no script can read and that goes to
// /session only. It works once, and one that comes twice ends the session, but for a few seconds in which its answer may have been lost: so one tab trades it at
// a time, under a lock that all tabs share. What the browser's storage keeps is that somebody is signed in, so that every tab knows of it at once, and that
// somebody left whom the server still holds for signed in, so that nobody is told that they are signed out before they are.
import { ApiError } from "../api/client";
import type { PasskeyAnswer, PasskeyAsked } from "./passkey";

const SIGNED_IN_KEY = "signed-in";
const LEFT_KEY = "left";
const LOCK = "crossdock-session";
/** As the server has it (`just_opened` of api/src/web_session.rs). Over https only what this host itself has set counts. */
const justOpened = () => `${location.protocol === "https:" ? "__Host-" : ""}crossdock-signed-in`;
/** A token that ends while a request is under way would be refused. */
const EARLY_MS = 60_000;
/** Whoever signs out has turned to go, and does not wait for longer. */
const CLOSE_MAX_MS = 8_000;
/** As the server has it (REFRESH_DAYS of api/src/auth.rs): a session that nobody uses ends by itself after so long. */
const SESSION_MAX_MS = 30 * 24 * 60 * 60_000;

interface Access {
  token: string;
  endsAt: number;
}

let access: Access | null = null;
const listeners = new Set<() => void>();
// Before there was the cookie, the refresh token itself was kept here. (Tests of pages run where there is no storage.)
globalThis.localStorage?.removeItem("refresh");

export function isSignedIn(): boolean {
  return localStorage.getItem(SIGNED_IN_KEY) !== null;
}

/** Tells when somebody signs in or out, in this tab or in another. */
export function onSession(listener: () => void): () => void {
  listeners.add(listener);
  const stored = (event: StorageEvent) => {
    if (event.key !== SIGNED_IN_KEY && event.key !== LEFT_KEY) return;
    // Whoever signs in next there may be somebody else.
    access = null;
    listener();
  };
  window.addEventListener("storage", stored);
  return () => {
    listeners.delete(listener);
    window.removeEventListener("storage", stored);
  };
}

/** A token that lives for a while yet; null for who is signed out. */
export async function accessToken(): Promise<string | null> {
  const fresh = () => (isSignedIn() && access !== null && access.endsAt - EARLY_MS > Date.now() ? access.token : null);
  return fresh() ?? navigator.locks.request(LOCK, async () => fresh() ?? refresh());
}

async function refresh(): Promise<string | null> {
  if (!isSignedIn()) return null;
  const { session } = await call("refresh", {});
  if (!session) {
    forgetSession();
    return null;
  }
  return keep(session);
}

interface Session {
  accessToken: string;
  accessExpiresAt: string;
}

function keep(session: Session): string {
  access = { token: session.accessToken, endsAt: Date.parse(session.accessExpiresAt) };
  return session.accessToken;
}

/** Why a sign-in was refused, and whether a code of the second factor is asked for. */
export interface Refusal {
  reason: string;
  needsCode: boolean;
  /** What a key of theirs is asked, in the place of a code. */
  passkey: PasskeyAsked | null;
  /** The company signs this person in. */
  needsSso: boolean;
}

/** Signs in; gives the refusal where it was refused. */
export async function signIn(email: string, password: string, code: string | null = null, shown: PasskeyAnswer | null = null): Promise<Refusal | null> {
  // Not while the session before is being ended: the answer to that takes the cookie away, and must not take the new one.
  return navigator.locks.request(LOCK, async () => {
    if (leftAt() !== null) await close();
    const { session, reason, needs, passkey } = await call("open", { email, password, code, passkey: shown });
    if (!session) return { reason: reason ?? "The sign-in was refused.", needsCode: needs === "code", passkey: passkey ?? null, needsSso: needs === "sso" };
    keep(session);
    signedIn();
    return null;
  });
}

/**
 * Whether what lies in the cookie may be taken on the way back from the company: not the session that somebody meant to leave, which an address must not
 * revive. That it is another one says the server alone.
 */
export function mayAdopt(): boolean {
  settleLeft();
  return leftAt() === null;
}

/**
 * What was left behind lies in the cookie no more where a sign-in with the company has just put its own there: that one is not to be ended for it. What says
 * so counts once, so that it speaks for no session that is left later.
 */
function settleLeft(): void {
  const name = justOpened();
  if (!document.cookie.split("; ").includes(`${name}=1`)) return;
  document.cookie = `${name}=; Path=/; Max-Age=0${name.startsWith("__Host-") ? "; Secure" : ""}`;
  localStorage.removeItem(LEFT_KEY);
}

/** Takes the session that a sign-in with the company left in the cookie; false where there is none. */
export async function adoptSession(): Promise<boolean> {
  const { session } = await navigator.locks.request(LOCK, () => call("refresh", {}));
  if (!session) return false;
  keep(session);
  signedIn();
  return true;
}

function signedIn(): void {
  // Another value each time, so that tabs where somebody else was signed in hear of it, too.
  localStorage.setItem(SIGNED_IN_KEY, String(Date.now()));
  // The cookie of the session before is overwritten.
  localStorage.removeItem(LEFT_KEY);
  tell();
}

/**
 * Ends the session on the server first, so that no copy of its tokens is worth anything. Where the server does not say that it has, whoever wants to go is
 * not kept: this browser forgets what it knows, but for the cookie, which no script can take away, and says until it is done that they are not signed out.
 */
export async function signOut(): Promise<void> {
  settleLeft();
  // Not while another tab trades the token: the one that it gets would stay good. Nor longer than somebody waits who goes.
  const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), CLOSE_MAX_MS));
  const isClosed = await Promise.race([navigator.locks.request(LOCK, close), late]);
  if (!isClosed) localStorage.setItem(LEFT_KEY, new Date().toISOString());
  forgetSession();
}

let again: Promise<boolean> | null = null;

/** Ends the session that somebody left behind; true where there is none any more. */
export function signOutAgain(): Promise<boolean> {
  // One try at a time: a server that is silent would be met by all of them.
  const end = async () => {
    settleLeft();
    return leftAt() === null || close();
  };
  again ??= navigator.locks.request(LOCK, end).finally(() => (again = null));
  return again.then((isClosed) => {
    if (isClosed) tell();
    return isClosed;
  });
}

/** When somebody left whom the server was not told to sign out; null where nobody did. */
export function leftAt(): string | null {
  return localStorage.getItem(LEFT_KEY);
}

/** When a session that was left behind ends by itself, if nobody goes on with it. */
export function endsAlone(left: string): string {
  return new Date(Date.parse(left) + SESSION_MAX_MS).toISOString();
}

async function close(): Promise<boolean> {
  try {
    await call("close", {}, AbortSignal.timeout(CLOSE_MAX_MS));
  } catch {
    return false;
  }
  localStorage.removeItem(LEFT_KEY);
  return true;
}

function tell(): void {
  for (const listener of listeners) listener();
}

export function forgetSession(): void {
  const was = isSignedIn();
  access = null;
  localStorage.removeItem(SIGNED_IN_KEY);
  if (was) tell();
}

interface Answer {
  session?: Session | null;
  reason?: string | null;
  needs?: string | null;
  passkey?: PasskeyAsked | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}

/** Asks at the one address that the cookie goes to. */
async function call(act: "open" | "refresh" | "close", body: object, signal?: AbortSignal): Promise<Answer> {
  let response: Response;
  try {
    response = await fetch(`/session/${act}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      credentials: "same-origin",
      body: JSON.stringify(body),
      ...(signal ? { signal } : {}),
    });
  } catch {
    throw new ApiError("Crossdock does not answer. Check your connection; this page tries again by itself.", "OFFLINE");
  }
  const answer = (await response.json().catch(() => null)) as Answer | null;
  const error = answer?.errors?.[0];
  if (error) throw new ApiError(error.message, error.extensions?.code ?? "BAD_REQUEST");
  if (!response.ok || !answer) throw new ApiError(`Crossdock answered with ${response.status}. This page tries again by itself.`, "OFFLINE");
  return answer;
}
