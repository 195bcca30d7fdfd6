// Reads an export of the audit log line by line, in this browser, and says what does not fit first: what was altered, is missing, was added or moved,
// which seal was forged. It decides as domain/src/seal/verify.rs does, and holds one seal with its events at a time. No network is asked.
import { digestOf, leafOf, LINE_BYTES_MAX, readLine, type AuditEvent, type Head, type Line, type Seal } from "./lines";
import { fromBase64, hash, hex, leaf, root, type Bytes } from "./merkle";

const FORMAT = 1n;
const NOTHING = "0".repeat(64);
/** An event that says it was done so long before it was sealed is counted. */
const LATE_MS = 60 * 60 * 1000;
/** Of the first test of RFC 8032: a key that every browser takes which knows the kind. */
const SOME_KEY = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

/** Why an export proves nothing: what is wrong first. */
export class Tampered extends Error {
  constructor(
    message: string,
    /** The line of the file, counted from 1, where there is one to look at. */
    readonly line?: number,
    /** The event or the seal that it is about. */
    readonly id?: string,
  ) {
    super(message);
  }
}

/** What a good export proves. */
export interface Verified {
  head: Head;
  seals: number;
  events: number;
  /** Events that the tenant's rule of how long they are kept took away. */
  removed: bigint;
  sealedUntil: string | null;
  /** Events that were sealed more than an hour after the time that they tell, and the first of them. */
  late: number;
  firstLate: string | null;
}

export interface Given {
  /** The key, base64, that must have signed. */
  expected?: string | undefined;
  /** A head that was kept elsewhere. */
  held?: Head | undefined;
}

/** Whether this browser can check what an export is signed with; over plain http none can. */
export async function canVerify(): Promise<boolean> {
  try {
    await keyOf(fromBase64(SOME_KEY) as Bytes);
    return true;
  } catch {
    return false;
  }
}

function keyOf(bytes: Bytes): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", bytes, { name: "Ed25519" }, false, ["verify"]);
}

async function isSigned(key: string, bytes: Bytes, signature: string): Promise<boolean> {
  const [raw, sealed] = [fromBase64(key), fromBase64(signature)];
  if (!raw || !sealed) return false;
  try {
    return await crypto.subtle.verify({ name: "Ed25519" }, await keyOf(raw), sealed, bytes);
  } catch {
    return false;
  }
}

/** The line that was kept elsewhere; throws where it is none. */
export function readHead(text: string): Head {
  const line = readLine(new TextEncoder().encode(text.trim()));
  if (line.kind !== "head") throw new Error("it is no head");
  return line.head;
}

/** Throws `Tampered` where something does not fit. */
export async function verify(lines: AsyncIterable<Uint8Array>, given: Given = {}): Promise<Verified> {
  let verifier: Verifier | null = null;
  let number = 0;
  for await (const bytes of lines) {
    number += 1;
    const line = lineOf(bytes, number);
    if (verifier) await verifier.take(line, number);
    else verifier = await Verifier.begin(line, given);
  }
  if (!verifier) throw new Tampered("it is empty");
  return verifier.finish();
}

function lineOf(bytes: Uint8Array, number: number): Line {
  if (bytes.length > LINE_BYTES_MAX) throw new Tampered(`line ${number} is longer than ${LINE_BYTES_MAX} bytes`, number);
  try {
    return readLine(bytes);
  } catch (error) {
    throw new Tampered(`line ${number} cannot be read: ${error instanceof Error ? error.message : "it is no text"}`, number);
  }
}

/** What is kept of an event until its seal is at its end. */
interface Seen {
  id: string;
  at: string;
  digest: string;
  line: number;
}

class Verifier {
  private readonly verified: Verified;
  /** Where the chain stands; its hash is null before a part that does not begin at the beginning: of what came before nothing is known. */
  private tip: { number: bigint; hash: string | null; events: bigint; removed: bigint };
  private batch: { seal: Seal; line: number; events: Seen[] } | null = null;

  private constructor(
    private readonly head: Head,
    private readonly held: Head | undefined,
  ) {
    this.verified = { head, seals: 0, events: 0, removed: 0n, sealedUntil: null, late: 0, firstLate: null };
    this.tip = { number: head.after, hash: head.after === 0n ? NOTHING : null, events: 0n, removed: 0n };
  }

  static async begin(first: Line, { expected, held }: Given): Promise<Verifier> {
    if (first.kind !== "head") throw new Tampered("it does not begin with a head", 1);
    const { head } = first;
    formatOf(head.format, 1);
    const otherKey = () => new Tampered(`the key is not the expected one: it was signed by ${head.publicKey}`, 1);
    if (expected !== undefined && !isSame(expected, head.publicKey)) throw otherKey();
    if (!(await isSigned(head.publicKey, head.signed, head.signature))) throw signatureOf("its head", 1);
    if (held) {
      if (!(await isSigned(held.publicKey, held.signed, held.signature))) throw signatureOf("the head that you hold");
      if (!isSame(held.publicKey, head.publicKey)) throw otherKey();
      if (held.tenant !== head.tenant) throw tenantOf(head.tenant, 1);
      if (held.seal > head.seal) throw new Tampered(`the head that you hold is of seal ${held.seal}, and this log ends with seal ${head.seal}: its end was cut off after that head was made`);
      if (held.seal > 0n && held.seal < head.after) throw new Tampered(`it begins after seal ${head.after}, and the head that you hold is of seal ${held.seal}: export it from there`);
    }
    return new Verifier(head, held);
  }

  async take(line: Line, number: number): Promise<void> {
    if (line.kind === "head") throw new Tampered(`line ${number} cannot be read: a second head`, number);
    if (line.kind === "event") return this.event(line.event, number);
    this.close();
    await this.beginSeal(line.seal, number);
  }

  finish(): Verified {
    this.close();
    const { head, held, tip } = this;
    if (tip.number < head.seal) throw new Tampered(`its end is cut off: it ends with seal ${tip.number}, and its head says ${head.seal}`);
    if (tip.hash !== null && (tip.hash !== head.hash || tip.events !== head.events || tip.removed !== head.removed)) throw new Tampered("its head does not belong to its last seal", 1);
    if (held && held.seal === head.seal && held.hash !== head.hash) throw notHeld(held.seal);
    return this.verified;
  }

  private async beginSeal(seal: Seal, line: number): Promise<void> {
    const { head, held, tip } = this;
    const expected = tip.number + 1n;
    const id = `seal ${seal.number}`;
    formatOf(seal.format, line);
    if (seal.tenant !== head.tenant) throw tenantOf(seal.tenant, line);
    if (seal.number > expected) throw new Tampered(`seal ${expected} is missing`, line, `seal ${expected}`);
    if (seal.number < expected) throw new Tampered(`${id} stands where seal ${expected} belongs`, line, id);
    if (seal.number > head.seal) throw new Tampered(`${id} was added: its head ends before it`, line, id);
    if (!(await isSigned(head.publicKey, seal.signed, seal.signature))) throw signatureOf(id, line);
    const continues = seal.previous === tip.hash && seal.eventsBefore === tip.events;
    const isFirst = seal.number === 1n && seal.previous === NOTHING && seal.eventsBefore === 0n;
    if ((tip.hash !== null && !continues) || (seal.number === 1n) !== isFirst) throw new Tampered(`${id} does not continue the one before it`, line, id);
    const leaves = seal.entries.map((entry) => leaf(...leafOf(entry)));
    if (BigInt(seal.entries.length) !== seal.events || hex(root(leaves)) !== seal.root) throw new Tampered(`the events that ${id} lists are not those that were signed`, line, id);
    const own = hex(hash(seal.signed));
    for (const [number, one] of [[seal.number, own], [seal.number - 1n, seal.previous]] as const) {
      if (held && held.seal > 0n && held.seal === number && held.hash !== one) throw notHeld(number, line);
    }
    this.tip = { number: seal.number, hash: own, events: seal.eventsBefore + seal.events, removed: seal.removed };
    this.verified.sealedUntil = seal.sealedAt;
    this.batch = { seal, line, events: [] };
  }

  private event(event: AuditEvent, line: number): void {
    if (event.tenant !== this.head.tenant) throw tenantOf(event.tenant, line);
    if (!this.batch) throw unsealed(event.id, line);
    this.batch.events.push({ id: event.id, at: event.at, digest: hex(digestOf(event)), line });
    // One too many: what is wrong is among these, however many come after.
    if (this.batch.events.length > this.batch.seal.entries.length) this.close();
  }

  /** Compares the events of a seal with its list. */
  private close(): void {
    if (!this.batch) return;
    const { seal, line: sealLine, events } = this.batch;
    this.batch = null;
    if (events.length === 0 && seal.number <= this.head.removed) {
      this.verified.seals += 1;
      this.verified.removed += seal.events;
      return;
    }
    const missing = (id: string, line: number) => new Tampered(`event ${id} of seal ${seal.number} is missing`, line, id);
    const place = new Map(seal.entries.map((entry, at) => [entry.id, at]));
    const there = new Set(events.map((event) => event.id));
    for (const [at, event] of events.entries()) {
      const { line } = event;
      const [entry, belongs] = [seal.entries[at], place.get(event.id)];
      if (entry && entry.id === event.id) {
        if (entry.digest !== event.digest) throw new Tampered(`event ${event.id} of seal ${seal.number} was altered`, line, event.id);
        continue;
      }
      // Behind the last seal stands what no seal holds.
      if (!entry && seal.number === this.head.seal && belongs === undefined) throw unsealed(event.id, line);
      // Of no place in this seal, or of one that is taken already.
      if (!entry || belongs === undefined || belongs <= at) throw new Tampered(`event ${event.id} was added to those of seal ${seal.number}`, line, event.id);
      throw there.has(entry.id) ? new Tampered(`event ${event.id} of seal ${seal.number} is not in its place`, line, event.id) : missing(entry.id, line);
    }
    const next = seal.entries[events.length];
    if (next) throw missing(next.id, (events.at(-1)?.line ?? sealLine) + 1);
    for (const event of events) {
      if (Date.parse(seal.sealedAt) - Date.parse(event.at) <= LATE_MS) continue;
      this.verified.late += 1;
      this.verified.firstLate ??= event.id;
    }
    this.verified.seals += 1;
    this.verified.events += events.length;
  }
}

function isSame(one: string, other: string): boolean {
  const [left, right] = [fromBase64(one), fromBase64(other)];
  return left !== null && right !== null && hex(left) === hex(right);
}

function formatOf(format: bigint, line: number): void {
  if (format !== FORMAT) throw new Tampered(`it is of format ${format}, and this version reads format ${FORMAT}`, line);
}

const tenantOf = (tenant: string, line: number) => new Tampered(`line ${line} is of another tenant, ${tenant}`, line);
const unsealed = (id: string, line: number) => new Tampered(`event ${id} was added: it stands in no seal`, line, id);
const notHeld = (seal: bigint, line?: number) => new Tampered(`seal ${seal} is not the one of the head that you hold: the log was written anew after that head was made`, line, `seal ${seal}`);
const signatureOf = (place: string, line?: number) => new Tampered(`the signature of ${place} is not that of the key: it was altered, or another key signed it`, line, place);
