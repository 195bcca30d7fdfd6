// What an event's payload is, and what is said of it: whether it is what was sealed, and why something in it is hidden.
import { HIDDEN } from "../ui/hidden";

export interface Payload {
  text: string;
  length: number;
  sha256: string;
  isAsSealed: boolean | null;
}

/** Of an answer no more is kept (infra/src/postgres/ledger.rs); it is cut at a whole character. */
const ANSWER_BYTES_MAX = 16 * 1024;
const CHARACTER_BYTES_MAX = 4;

export type PayloadKind = "sent" | "answered" | "came";

export const PAYLOAD_TITLES: Record<PayloadKind, string> = { sent: "What was sent", answered: "What was answered", came: "What came" };

/** Which payload an event is about, as infra/src/postgres/audit.rs decides it; null of one that is about none. */
export function payloadKind(event: { action: string; detail?: string | null }): PayloadKind | null {
  if (event.action === "message.received") return "came";
  let detail: unknown;
  try {
    detail = JSON.parse(event.detail ?? "null");
  } catch {
    return null;
  }
  if (typeof detail !== "object" || detail === null) return null;
  // What was read back of a webhook that brought an id alone.
  if (event.action === "message.fetched") return "body_sha256" in detail ? "came" : null;
  if ("request_sha256" in detail) return "sent";
  return event.action !== "attempt.started" && "answer_sha256" in detail ? "answered" : null;
}

export interface Verdict {
  tone: "good" | "bad" | null;
  sentence: string;
}

export function verdict(kind: PayloadKind, isAsSealed: boolean | null): Verdict {
  if (isAsSealed === true) return { tone: "good", sentence: "It is what was sealed, to the byte: nobody has changed it since." };
  if (isAsSealed === false) {
    return {
      tone: "bad",
      sentence: "It is not what was sealed: it was changed in the database after it was done. What the event itself says still holds. Tell your operator, and keep an export of the log.",
    };
  }
  return { tone: null, sentence: kind === "came" ? "It came before the log held digests of what comes, so it does not prove these bytes. The digest below is of what is kept now." : "The event holds no digest of it." };
}

/** Why something in it is not shown, in sentences; `kind` is null of what an event tells itself. `isWhole`: of a call that one event tells with its answer. */
export function hiddenWhy(kind: PayloadKind | null, text: string, seesPersons: boolean, isWhole = false): string[] {
  if (!text.includes(HIDDEN)) return [];
  if (isWhole) return [`What was or may be a secret, and what tells of a person, is ${HIDDEN} for everybody: it was taken out before anything was kept.`];
  // Vendors echo what they were sent, and so their answers alone are gone through for it (workers/src/call.rs).
  const secret = kind === "answered" ? [`What was a secret of the connection is ${HIDDEN} for everybody: it was taken out before anything was kept.`] : [];
  if (seesPersons) return secret;
  const who = "Owners, admins and operators see it.";
  if (text.startsWith(`${HIDDEN} (`)) return [`It is hidden from your role as a whole, because it is no JSON and nobody can tell where in it a person is told of. ${who}`];
  return [`What tells of a person (names, addresses, mail, telephones) is ${HIDDEN} for your role, whose work does not need it. ${who}`, ...secret];
}

/** What is said of its length. */
export function lengthSentence(kind: PayloadKind, length: number): string {
  if (length === 0) return kind === "sent" ? "Nothing was in it: the call was its address alone." : "Nothing was in it.";
  const bytes = `${length.toLocaleString()} ${length === 1 ? "byte" : "bytes"}`;
  return kind === "answered" && length > ANSWER_BYTES_MAX - CHARACTER_BYTES_MAX ? `${bytes}: of an answer the first 16 KiB are kept.` : `${bytes}.`;
}
