// Support in the place of a tenant, as this tab has it. Its token lives in the tab's memory only: a tab that is loaded anew, and another one, ask for
// one of their own (`impersonationResume`). What is asked about that tenant goes with it, everything else with the staff's own session; once it is over,
// nothing more is asked about the tenant until the tab has left its pages, because their own session has no place there.
import { ApiError, ask, serverNow } from "../api/client";
import { SupportOwnDocument } from "./query.generated";

/** What the API says of one that runs. */
export interface Running {
  id: string;
  tenant: string;
  tenantSlug: string;
  endsAt: string;
}

/** Why one is over, as far as the staff are told. */
export type Why = "left" | "time" | "tenant" | "staff" | "session" | "elsewhere" | "unknown";

export interface Over extends Running {
  why: Why;
}

type State = { is: "none"; over: Over | null } | { is: "held"; held: Running; token: string; over: null } | { is: "ending"; held: Running; over: Over | null };

/** The server's clock is known to some seconds. */
const CLOCKS_MS = 5_000;
const CHANNEL = "crossdock-support";

let state: State = { is: "none", over: null };
const listeners = new Set<() => void>();

function become(next: State): void {
  state = next;
  for (const listener of listeners) listener();
}

/** Tells when one begins, is over, or its pages were left. */
export function onImpersonation(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function impersonation(): State {
  return state;
}

/** The one in the place of this tenant, with whose token it is asked; null where the staff's own session is meant. */
export function heldIn(tenant: string | undefined): Running | null {
  return state.is !== "none" && tenant !== undefined && state.held.tenantSlug === tenant ? state.held : null;
}

export function tokenIn(tenant: string | undefined): string | null {
  const held = heldIn(tenant);
  if (!held) return null;
  if (state.is !== "held") throw new ApiError(`You are not in the place of ${held.tenant} any more.`, "IMPERSONATION_OVER");
  return state.token;
}

export function hold(running: Running, token: string): void {
  const { id, tenant, tenantSlug, endsAt } = running;
  become({ is: "held", held: { id, tenant, tenantSlug, endsAt }, token, over: null });
}

/** It is over, and it is known why: the tab leaves the tenant's pages. */
export function finish(id: string, why: Why): void {
  if (state.is === "none" || state.held.id !== id || state.over) return;
  become({ is: "ending", held: state.held, over: { ...state.held, why } });
}

/** The pages of the tenant were left. What is said of it stays until the next one, or until nobody is signed in. */
export function settle(): void {
  if (state.is === "ending") become({ is: "none", over: state.over });
}

/** Somebody signed in or out: whoever comes next has nothing of it. */
export function forgetImpersonation(): void {
  if (state.is !== "none" || state.over) become({ is: "none", over: null });
}

/** The server does not take its token any more: asks with the staff's own session what is known of why, and says it. */
export async function ended(id: string): Promise<void> {
  if (state.is !== "held" || state.held.id !== id) return;
  const { held } = state;
  // From now on nothing is asked with a token that is worth nothing.
  become({ is: "ending", held, over: null });
  finish(id, whyOver(held, serverNow(), await own()));
}

/** What the staff's own session hears: which one of theirs runs, or why it hears nothing. */
export type Own = { running: string | null } | "no staff" | "signed out" | "no answer";

async function own(): Promise<Own> {
  try {
    const { supportDesk } = await ask(SupportOwnDocument, {});
    return { running: supportDesk.running?.id ?? null };
  } catch (error) {
    const code = error instanceof ApiError ? error.code : "";
    return code === "UNAUTHENTICATED" ? "signed out" : code === "FORBIDDEN" ? "no staff" : "no answer";
  }
}

export function whyOver(held: Running, now: number, own: Own): Why {
  if (own === "signed out") return "session";
  if (own === "no staff") return "staff";
  if (Date.parse(held.endsAt) - CLOCKS_MS <= now) return "time";
  if (own === "no answer") return "unknown";
  // It runs on, and only this token of it is no good: whoever signs in anew takes it along.
  return own.running === held.id ? "elsewhere" : "tenant";
}

/** Tabs of one browser: who leaves in one of them must not read in another that the tenant had ended it. */
const channel = typeof window !== "undefined" && "BroadcastChannel" in window ? new BroadcastChannel(CHANNEL) : null;
channel?.addEventListener("message", (event: MessageEvent<unknown>) => {
  if (typeof event.data === "string") finish(event.data, "left");
});

/** It was left, here. */
export function left(id: string): void {
  finish(id, "left");
  channel?.postMessage(id);
}
