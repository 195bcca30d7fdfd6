// The one door to the API: POST /graphql with the session's token and the tenant that the page is about.
import { ended, heldIn, tokenIn } from "../session/impersonation";
import { accessToken, forgetSession } from "../session/session";
import { stringify } from "./digits";

declare const result: unique symbol;
declare const variables: unique symbol;
/** The text of a query, and what it gives and takes. */
export type Query<Result, Variables> = string & { readonly [result]?: Result; readonly [variables]?: Variables };

export interface UserError {
  field: string[];
  code: string;
  message: string;
}

/** What stands in the way of a page as a whole. What a person can mend in a form comes as `userErrors` instead. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly requestId?: string,
    /** After how long the server says that it may be asked again; where it says nothing, null. */
    readonly waitMs: number | null = null,
    /** When it was said. */
    readonly at: number = Date.now(),
  ) {
    super(message);
  }
}

const AGAIN = ["OFFLINE", "INTERNAL", "RATE_LIMITED"];
const TRIES_MAX = 3;
/** Longer than the server's windows are nobody waits in front of a page. */
const WAIT_MAX_MS = 60_000;

/** What a person has to decide is not made right by asking again; a server that does not answer, or asks for patience, may be. */
export const isPassing = (error: unknown): error is ApiError => error instanceof ApiError && AGAIN.includes(error.code);

export const isAskedAgain = (count: number, error: unknown) => count < TRIES_MAX && isPassing(error);

/** What was answered before is no older answer, but one that this person has no more: it is taken away, gone, or not to be read by this page. */
export const isRefused = (error: unknown) => error !== null && !isPassing(error);

/** As the server says; else twice as long each time. */
export const waitBeforeMs = (count: number, error: unknown) => Math.min((error instanceof ApiError ? error.waitMs : null) ?? 1_000 * 2 ** count, WAIT_MAX_MS);

/** For how long yet the server wants nobody to ask again. */
export const restMs = (error: unknown, now: number) => (error instanceof ApiError && error.waitMs !== null ? Math.max(0, error.at + error.waitMs - now) : 0);

/** How an answer's text becomes values: `digits.parse` where numbers of a JSON field must keep theirs. */
export type Read = (text: string) => unknown;

interface Answer {
  data?: unknown;
  errors?: { message: string; extensions?: { code?: string; requestId?: string } }[];
}

/** The token that what is about this tenant is asked with: the session's, or that of support in the tenant's place. */
export async function tokenFor(tenant?: string): Promise<string> {
  const token = tokenIn(tenant) ?? (await accessToken());
  if (token === null) throw new ApiError("You are signed out. Sign in again to go on.", "UNAUTHENTICATED");
  return token;
}

/** Asks as the person who is signed in, about one tenant. */
export async function ask<Result, Variables>(
  query: Query<Result, Variables>,
  values: Variables,
  tenant?: string,
  signal?: AbortSignal,
  read?: Read,
): Promise<Result> {
  const held = heldIn(tenant);
  const token = await tokenFor(tenant);
  try {
    return await post(query, values, { Authorization: `Bearer ${token}`, ...(tenant ? { "X-Crossdock-Tenant": tenant } : {}) }, signal, read);
  } catch (error) {
    // The session was closed somewhere else: the tokens that are kept here are worth nothing any more.
    if (error instanceof ApiError && error.code === "UNAUTHENTICATED") {
      if (held) void ended(held.id);
      else forgetSession();
    }
    throw error;
  }
}

/** By how much the server's clock is before this machine's, to the second that its answers tell. */
let aheadMs = 0;
const UNNOTICED_MS = 2_000;

/** What the server would say the time is: what ends, ends by its clock. */
export function serverNow(): number {
  return Date.now() + aheadMs;
}

/** Asks as a stranger: signing in, and trading a refresh token. */
export async function post<Result, Variables>(
  query: Query<Result, Variables>,
  values: Variables,
  headers: Record<string, string> = {},
  signal?: AbortSignal,
  read?: Read,
): Promise<Result> {
  let response: Response;
  try {
    response = await fetch("/graphql", {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: stringify({ query, variables: values }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError("Crossdock does not answer. Check your connection; this page tries again by itself.", "OFFLINE");
  }
  const ahead = Date.parse(response.headers.get("Date") ?? "") - Date.now();
  if (!Number.isNaN(ahead)) aheadMs = Math.abs(ahead) > UNNOTICED_MS ? ahead : 0;
  const answer = (await (read ? response.text().then(read) : response.json()).catch(() => null)) as Answer | null;
  const error = answer?.errors?.[0];
  const waitS = Number.parseInt(response.headers.get("Retry-After") ?? "", 10);
  if (error) throw new ApiError(error.message, error.extensions?.code ?? "BAD_REQUEST", error.extensions?.requestId, Number.isNaN(waitS) ? null : waitS * 1_000);
  if (!response.ok || !answer?.data) {
    throw new ApiError(`Crossdock answered with ${response.status}. This page tries again by itself.`, "OFFLINE");
  }
  return answer.data as Result;
}
