// What an event of the audit log says, in words; and what an id that somebody types is the id of.

/** The lists that people choose from, out of domain/src: `npm run generate`. */
export { ACTIONS, KINDS } from "./words.generated";

export interface Names {
  members: readonly { userId: string; name: string; email: string }[];
  connections: { nodes: readonly { id: string; name: string }[] };
}

/** Who did it, as domain/src/scope.rs has it: what is not known is shown as it is. */
export function whoDid(actor: unknown, names: Names | undefined): string {
  const { kind, user, stage, connection, name, ticket, prefix, service_account_name: account } = (typeof actor === "object" && actor !== null ? actor : {}) as Record<string, unknown>;
  if (kind === "member") {
    const member = names?.members.find((one) => one.userId === user);
    return member ? member.name || member.email : `a member who left, ${String(user)}`;
  }
  if (kind === "system") return `Crossdock, at ${String(stage)}`;
  if (kind === "vendor") return `the vendor of ${names?.connections.nodes.find((one) => one.id === connection)?.name ?? String(connection)}`;
  if (kind === "operator") return "an operator of the installation";
  if (kind === "api_key") return account === undefined ? `the API key ${String(name)}` : `the service account ${String(account)}`;
  if (kind === "scim_token") return `the directory, by the SCIM token ${String(prefix)}`;
  if (kind === "staff") return `${String(name)} of support, ticket ${String(ticket)}`;
  return JSON.stringify(actor);
}

/** The id by which all that they did is found: of a person, a service account, a key by itself, or what support did in the tenant's place that time. */
export function idOfActor(actor: unknown): string | null {
  const { kind, user, key, token, impersonation, service_account: account } = (typeof actor === "object" && actor !== null ? actor : {}) as Record<string, unknown>;
  const id = kind === "member" ? user : kind === "api_key" ? (account ?? key) : kind === "scim_token" ? token : kind === "staff" ? (impersonation ?? user) : null;
  return typeof id === "string" ? id : null;
}

/** Whence it was asked for: the network address, and the trace of the caller's own systems that they say it is of. Neither is there of what Crossdock does by itself. */
export function whence(actor: unknown): { address: string | null; trace: string | null } {
  const { address, trace } = (typeof actor === "object" && actor !== null ? actor : {}) as Record<string, unknown>;
  return { address: typeof address === "string" ? address : null, trace: typeof trace === "string" ? trace : null };
}

/** lookup_table.entries_set is "lookup table: entries set" */
export function actionInWords(action: string): string {
  return action.replace(".", ": ").replaceAll("_", " ");
}

/** What an event says in sentences of its own, where it does: what happened, and what to do next. */
export function sentencesOf(detail: string | null | undefined): string[] {
  let told: unknown;
  try {
    told = JSON.parse(detail ?? "null");
  } catch {
    return [];
  }
  if (typeof told !== "object" || told === null) return [];
  const { sentence, next_step: next } = told as Record<string, unknown>;
  return [sentence, next].filter((text) => typeof text === "string");
}

export type As = "thing" | "actor" | "request" | "address" | "trace" | "event" | "text";

/** Of the form of a network address; whether it is one, the API says. */
function isAddress(text: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(text) || (/^[0-9a-f:.]{2,45}$/i.test(text) && (text.includes("::") || text.split(":").length === 8));
}

/** What an id is most likely of: its prefix says it, a request's is a bare UUID, a trace's are 32 digits. Anything else is a text that records are searched by. */
export function kindOfId(text: string): As {
  if (/^aud_[0-9a-f]{32}$/.test(text)) return "event";
  if (/^(usr|sva|key|imp|sct)_[0-9a-f]{32}$/.test(text)) return "actor";
  if (/^[a-z]{3}_[0-9a-f]{32}$/.test(text)) return "thing";
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return "request";
  if (/^[0-9a-f]{32}$/i.test(text)) return "trace";
  if (isAddress(text)) return "address";
  return "text";
}

/** Clocks of one machine and the next. */
const AROUND_MS = 2_000;

/** An event's id begins with the milliseconds of its birth: the time in which it is found. */
export function timeAround(eventId: string): { from: string; until: string } {
  const at = Number.parseInt(eventId.slice(4, 16), 16);
  return { from: new Date(at - AROUND_MS).toISOString(), until: new Date(at + AROUND_MS).toISOString() };
}

export interface Search {
  q?: string;
  as?: string;
  by?: string;
  action?: string;
  kind?: string;
  from?: string;
  until?: string;
}

/** What is asked of the API for what stands in the address. */
export function asked(search: Search) {
  const q = search.q?.trim() ?? "";
  const as = q === "" ? null : ((search.as ?? kindOfId(q)) as As);
  const around = as === "event" ? timeAround(q) : { from: search.from ?? null, until: search.until ?? null };
  return {
    subjectId: as === "thing" ? q : null,
    action: search.action ?? null,
    filter: {
      actorId: as === "actor" ? q : (search.by ?? null),
      requestId: as === "request" ? q : null,
      address: as === "address" ? q : null,
      trace: as === "trace" ? q : null,
      subjectKind: search.kind ?? null,
      ...around,
    },
  };
}

/** The same as the address of the sheet has it. */
export function sheetPath(search: Search): string {
  const { subjectId, action, filter } = asked(search);
  const all = { subjectId, action, ...filter };
  const query = new URLSearchParams(Object.entries(all).flatMap(([key, value]) => (value ? [[key, value]] : [])));
  return query.size > 0 ? `/audit/events.csv?${query}` : "/audit/events.csv";
}
