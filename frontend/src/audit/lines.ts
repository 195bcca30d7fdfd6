// What the lines of an export say: a head, a seal, an event. The bytes that were signed and hashed are made of them again as domain/src/seal makes them.
// It is as strict as a file that Crossdock wrote: ids and times in another spelling are not read, where the command line would read them as the same.
import { Digits } from "../api/digits";
import { read, writeSorted, type Exact } from "./exact";
import { concat, fromHex, hash, type Bytes } from "./merkle";

/** The longest line: a seal of all the events that one holds takes half of it. */
export const LINE_BYTES_MAX = 2 * 1024 * 1024;

export interface Head {
  format: bigint;
  tenant: string;
  madeAt: string;
  /** The export holds the seals after this one. */
  after: bigint;
  /** The last seal. */
  seal: bigint;
  hash: string;
  events: bigint;
  /** Up to this seal the rule of how long events are kept has taken them away. */
  removed: bigint;
  publicKey: string;
  signature: string;
  signed: Bytes;
}

export interface Entry {
  id: string;
  digest: string;
}

export interface Seal {
  format: bigint;
  tenant: string;
  number: bigint;
  previous: string;
  sealedAt: string;
  events: bigint;
  eventsBefore: bigint;
  root: string;
  removed: bigint;
  entries: Entry[];
  signature: string;
  signed: Bytes;
}

export interface AuditEvent {
  id: string;
  tenant: string;
  at: string;
  /** What is hashed of it. */
  canonical: string;
}

export type Line = { kind: "head"; head: Head } | { kind: "seal"; seal: Seal } | { kind: "event"; event: AuditEvent };

const UTF8 = new TextEncoder();
const TEXT = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const TIME = /^\d{4,}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3}|\.\d{6}|\.\d{9})?Z$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const EVENT = /^aud_[0-9a-f]{32}$/;
const TENANT = /^ten_[0-9a-f]{32}$/;
const ENTRY = /^(aud_[0-9a-f]{32}):([0-9a-f]{64})$/;
const U64_MAX = 2n ** 64n - 1n;

/** Throws an Error that says why it is no line of an export. */
export function readLine(bytes: Uint8Array): Line {
  const text = TEXT.decode(bytes);
  const line = Fields.of(read(text), "the line");
  const [kind] = line.keys();
  if (line.size !== 1 || (kind !== "head" && kind !== "seal" && kind !== "event")) throw new Error("it is no head, no seal and no event");
  const fields = Fields.of(line.get(kind), kind);
  if (kind === "head") return { kind, head: headOf(fields) };
  return kind === "seal" ? { kind, seal: sealOf(fields) } : { kind, event: eventOf(fields) };
}

/** The fields of an object, each of which must be known and of its form. */
class Fields extends Map<string, Exact> {
  static of(value: Exact | undefined, what: string): Fields {
    if (!(value instanceof Map)) throw new Error(`${what} is no object`);
    return new Fields(value);
  }

  only(...names: string[]): this {
    for (const key of this.keys()) if (!names.includes(key)) throw new Error(`unknown field "${key}"`);
    return this;
  }

  text(name: string, pattern?: RegExp): string {
    const value = this.get(name);
    if (typeof value !== "string") throw new Error(`"${name}" is missing or no text`);
    if (pattern && !pattern.test(value)) throw new Error(`"${name}" is not as an export writes it`);
    return value;
  }

  count(name: string, otherwise?: bigint): bigint {
    const value = this.get(name);
    if (value === undefined && otherwise !== undefined) return otherwise;
    if (!(value instanceof Digits) || !/^\d+$/.test(value.text) || BigInt(value.text) > U64_MAX) throw new Error(`"${name}" is missing or no count`);
    return BigInt(value.text);
  }
}

/** The JSON that is signed: these fields in this order; `removed` is left out where nothing was. */
function toSign(label: string, fields: [string, string | bigint][], removed: bigint): Bytes {
  const all = removed === 0n ? fields : [...fields, ["removed", removed] as const];
  const json = all.map(([key, value]) => `"${key}":${typeof value === "bigint" ? String(value) : JSON.stringify(value)}`).join(",");
  return concat(UTF8.encode(`crossdock/${label}/1\n{${json}}`));
}

function headOf(fields: Fields): Head {
  const said = Fields.of(fields.only("statement", "public_key", "signature").get("statement"), "the statement").only("format", "tenant", "made_at", "after", "seal", "hash", "events", "removed");
  const [format, tenant, madeAt, after, seal] = [said.count("format"), said.text("tenant", TENANT), said.text("made_at", TIME), said.count("after"), said.count("seal")];
  const [hashOf, events, removed] = [said.text("hash"), said.count("events"), said.count("removed", 0n)];
  const signed = toSign("audit-head", [["format", format], ["tenant", tenant], ["made_at", madeAt], ["after", after], ["seal", seal], ["hash", hashOf], ["events", events]], removed);
  return { format, tenant, madeAt, after, seal, hash: hashOf, events, removed, signed, publicKey: fields.text("public_key"), signature: fields.text("signature") };
}

function sealOf(fields: Fields): Seal {
  const said = Fields.of(fields.only("statement", "entries", "signature").get("statement"), "the statement").only("format", "tenant", "number", "previous", "sealed_at", "events", "events_before", "root", "removed");
  const [format, tenant, number, previous] = [said.count("format"), said.text("tenant", TENANT), said.count("number"), said.text("previous")];
  const [sealedAt, events, eventsBefore] = [said.text("sealed_at", TIME), said.count("events"), said.count("events_before")];
  const [root, removed, listed] = [said.text("root"), said.count("removed", 0n), fields.get("entries")];
  if (!Array.isArray(listed)) throw new Error('"entries" is no list');
  const entries = listed.map((one) => {
    const [, id, digest] = (typeof one === "string" && ENTRY.exec(one)) || [];
    if (!id || !digest) throw new Error("an entry is no id and digest");
    return { id, digest };
  });
  const signed = toSign(
    "audit-seal",
    [["format", format], ["tenant", tenant], ["number", number], ["previous", previous], ["sealed_at", sealedAt], ["events", events], ["events_before", eventsBefore], ["root", root]],
    removed,
  );
  return { format, tenant, number, previous, sealedAt, events, eventsBefore, root, removed, entries, signed, signature: fields.text("signature") };
}

function eventOf(fields: Fields): AuditEvent {
  fields.only("id", "tenant", "at", "actor", "action", "subject_kind", "subject_id", "request_id", "detail");
  const [id, tenant, at] = [fields.text("id", EVENT), fields.text("tenant", TENANT), fields.text("at", TIME)];
  const actor = fields.get("actor");
  if (actor === undefined) throw new Error('"actor" is missing');
  const detail = fields.get("detail");
  const parts: [string, string][] = [
    ["id", JSON.stringify(id)],
    ["tenant", JSON.stringify(tenant)],
    ["at", JSON.stringify(at)],
    ["actor", writeSorted(actor)],
    ["action", JSON.stringify(fields.text("action"))],
    ["subject_kind", JSON.stringify(fields.text("subject_kind"))],
    ["subject_id", JSON.stringify(fields.text("subject_id", UUID))],
    ["request_id", JSON.stringify(fields.text("request_id", UUID))],
    // Left out where there is none.
    ...(detail == null ? [] : [["detail", JSON.stringify(fields.text("detail"))] satisfies [string, string]]),
  ];
  return { id, tenant, at, canonical: `{${parts.map(([key, json]) => `"${key}":${json}`).join(",")}}` };
}

export function digestOf(event: AuditEvent): Bytes {
  return hash(concat(UTF8.encode(`crossdock/audit-event/1\n${event.canonical}`)));
}

/** What the tree has of an entry: the 16 bytes of the id and the digest. */
export function leafOf(entry: Entry): [Bytes, Bytes] {
  return [fromHex(entry.id.slice("aud_".length)), fromHex(entry.digest)];
}

/** The lines of a file, one at a time, without their ends; nothing longer than a line may be is ever held. */
export async function* linesOf(file: Blob, onRead?: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  const reader = file.stream().getReader();
  let rest: Uint8Array = new Uint8Array();
  let seen = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      seen += value.length;
      onRead?.(seen);
      let buffer: Uint8Array = rest.length === 0 ? value : concat(rest, value);
      for (let end = buffer.indexOf(10); end >= 0; end = buffer.indexOf(10)) {
        yield buffer.subarray(0, end);
        buffer = buffer.subarray(end + 1);
      }
      // Given on as it is: whoever reads it says that it is too long.
      if (buffer.length > LINE_BYTES_MAX) {
        yield buffer;
        return;
      }
      rest = buffer;
    }
    if (rest.length > 0) yield rest;
  } finally {
    reader.releaseLock();
  }
}
