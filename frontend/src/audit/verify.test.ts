// The tamper matrix of domain/src/seal/verify/tests.rs, with real signatures: whatever is done to an export, it is found and named.
import { readFile } from "node:fs/promises";
import { beforeAll, expect, test } from "vitest";
import { digestOf, linesOf, readLine } from "./lines";
import { hash, hex, leaf, root, type Bytes } from "./merkle";
import { canVerify, readHead, Tampered, verify, type Given } from "./verify";

const TENANT = `ten_${"0".repeat(32)}`;
const UTF8 = new TextEncoder();
interface Key {
  pair: CryptoKeyPair;
  text: string;
}
interface Tip {
  number: number;
  hash: string;
  events: number;
  removed: number;
}
type Json = Record<string, unknown>;
interface Statement extends Json {
  number: number;
  events: number;
}

const base64 = (bytes: ArrayBuffer) => Buffer.from(bytes).toString("base64");
const id = (n: number) => `aud_${n.toString(16).padStart(32, "0")}`;
let [ours, theirs]: Key[] = [];

async function key(): Promise<Key> {
  const pair = (await crypto.subtle.generateKey({ name: "Ed25519" }, true, ["sign", "verify"])) as CryptoKeyPair;
  return { pair, text: base64(await crypto.subtle.exportKey("raw", pair.publicKey)) };
}

beforeAll(async () => {
  [ours, theirs] = [await key(), await key()];
});

const sign = async (by: Key, label: string, statement: Json) => base64(await crypto.subtle.sign("Ed25519", by.pair.privateKey, UTF8.encode(`crossdock/${label}/1\n${JSON.stringify(statement)}`)));

function event(n: number): Json {
  return {
    id: id(n),
    tenant: TENANT,
    at: "1970-01-01T00:00:00Z",
    actor: { kind: "member", user: "usr_1", role: "owner" },
    action: "flow.published",
    subject_kind: "flow",
    subject_id: "00000000-0000-0000-0000-000000000001",
    request_id: "00000000-0000-0000-0000-000000000000",
    ...(n % 2 === 0 ? { detail: '{"version":1,"note":"é\u2028<b>"}' } : {}),
  };
}

async function digest(one: Json): Promise<Bytes> {
  const line = readLine(UTF8.encode(JSON.stringify({ event: one })));
  if (line.kind !== "event") throw new Error("it is an event");
  return digestOf(line.event);
}

const start = (): Tip => ({ number: 0, hash: "0".repeat(64), events: 0, removed: 0 });
const removedOf = (tip: Tip) => (tip.removed === 0 ? {} : { removed: tip.removed });

/** Moves the tip on. */
async function seal(tip: Tip, events: Json[], by: Key, entriesOf = events): Promise<Json> {
  const digests = await Promise.all(entriesOf.map(digest));
  const entries = entriesOf.map((one, at) => `${String(one["id"])}:${hex(digests[at] as Bytes)}`);
  const leaves = await Promise.all(entriesOf.map((one, at) => leaf(Buffer.from(String(one["id"]).slice(4), "hex"), digests[at] as Bytes)));
  const statement = { format: 1, tenant: TENANT, number: tip.number + 1, previous: tip.hash, sealed_at: "1970-01-01T00:01:00Z", events: entries.length, events_before: tip.events, root: hex(await root(leaves)), ...removedOf(tip) };
  const signature = await sign(by, "audit-seal", statement);
  tip.hash = hex(await hash(UTF8.encode(`crossdock/audit-seal/1\n${JSON.stringify(statement)}`)));
  tip.number += 1;
  tip.events += entries.length;
  return { statement, entries, signature };
}

async function head(tip: Tip, after: number, by: Key): Promise<Json> {
  const statement = { format: 1, tenant: TENANT, made_at: "1970-01-01T00:00:00Z", after, seal: tip.number, hash: tip.hash, events: tip.events, ...removedOf(tip) };
  return { statement, public_key: by.text, signature: await sign(by, "audit-head", statement) };
}

/** Seals of four events each: line 0 is the head, 1 the first seal, 2 to 5 its events, 6 the second seal and so on. */
async function log(by = ours as Key, seals = 3): Promise<Json[]> {
  const [tip, lines] = [start(), [] as Json[]];
  for (let n = 0; n < seals; n += 1) {
    const events = [1, 2, 3, 4].map((at) => event(n * 10 + at));
    lines.push({ seal: await seal(tip, events, by) }, ...events.map((one) => ({ event: one })));
  }
  return [{ head: await head(tip, 0, by) }, ...lines];
}

const check = (lines: Json[], given: Given = { expected: (ours as Key).text }) => verify(linesOf(new Blob([lines.map((line) => `${JSON.stringify(line)}\n`).join("")])), given);

async function found(tamper: (lines: Json[]) => unknown, given?: Given): Promise<string> {
  const lines = structuredClone(await log());
  await tamper(lines);
  const error = await check(lines, given).catch((thrown: unknown) => thrown);
  if (!(error instanceof Tampered)) throw new Error(`it was tampered with, and that was not found: ${String(error)}`);
  return `${error.line ?? "-"}: ${error.message}`;
}

const eventAt = (lines: Json[], at: number) => (lines[at] as { event: Json }).event;
const sealAt = (lines: Json[], at: number) => (lines[at] as { seal: { statement: Statement; entries: string[]; signature: string } }).seal;
const insert = (at: number, n: number) => (lines: Json[]) => lines.splice(at, 0, { event: event(n) });
const swap = (a: number, b: number) => (lines: Json[]) => ([lines[a], lines[b]] = [lines[b] as Json, lines[a] as Json]);

test("what the platform itself has sealed and written is good, and one digit more is not", async () => {
  const text = await readFile(new URL("sample.jsonl", import.meta.url), "utf8");
  const good = await verify(linesOf(new Blob([text])), { expected: "e9tfXsD3CnFxMN5tXQrZ0BtCR1Ezxnqw+irWViLCqO0=" });
  expect([good.head.after, good.seals, good.events, good.late]).toEqual([2n, 1, 3, 0]);
  const altered = text.replace("16:25.215294Z", "16:25.215295Z");
  await expect(verify(linesOf(new Blob([altered])))).rejects.toThrow("event aud_01a224a90085715fa5ffbbed851cec35 of seal 3 was altered");
});

test("this machine knows the kind of key", async () => expect(await canVerify()).toBe(true));

test("an untouched log is good", async () => {
  const good = await check(await log());
  expect([good.seals, good.events, good.head.seal, good.late, good.sealedUntil]).toEqual([3, 12, 3n, 0, "1970-01-01T00:01:00Z"]);
  expect((await check([{ head: await head(start(), 0, ours as Key) }])).events).toBe(0);
});

test.each<[string, (it: Json) => unknown]>([
  ["at", (it) => (it["at"] = "1970-01-01T00:00:00.000001Z")],
  ["actor", (it) => (it["actor"] = { kind: "member", user: "usr_2", role: "owner" })],
  ["action", (it) => (it["action"] = "flow.retired")],
  ["subject_kind", (it) => (it["subject_kind"] = "flo")],
  ["subject_id", (it) => (it["subject_id"] = "00000000-0000-0000-0000-000000000002")],
  ["request_id", (it) => (it["request_id"] = "00000000-0000-0000-0000-000000000002")],
  ["detail", (it) => (it["detail"] = "{}")],
  ["detail, taken out", (it) => delete it["detail"]],
])("alter: %s", async (_, alter) => expect(await found((lines) => alter(eventAt(lines, 8)))).toBe(`9: event ${id(12)} of seal 2 was altered`));

test("of several the first is named", async () => {
  const both = (lines: Json[]) => [9, 3].forEach((at) => (eventAt(lines, at)["detail"] = "x"));
  expect(await found(both)).toBe(`4: event ${id(2)} of seal 1 was altered`);
});

test.each([[2, 1, 1, 3], [4, 3, 1, 5], [5, 4, 1, 6], [15, 24, 3, 16]])("delete: line %d", async (at, n, number, line) =>
  expect(await found((lines) => lines.splice(at, 1))).toBe(`${line}: event ${id(n)} of seal ${number} is missing`));

test.each([[2, 1], [4, 1], [6, 1], [9, 2]])("insert: at line %d", async (at, number) => expect(await found(insert(at, 99))).toMatch(`event ${id(99)} was added to those of seal ${number}`));

test("insert: what stands in no seal, and what stands there twice", async () => {
  expect(await found((lines) => lines.push({ event: event(99) }))).toBe(`17: event ${id(99)} was added: it stands in no seal`);
  expect(await found(insert(1, 99))).toBe(`2: event ${id(99)} was added: it stands in no seal`);
  expect(await found((lines) => lines.splice(3, 0, lines[2] as Json))).toBe(`4: event ${id(1)} was added to those of seal 1`);
});

test.each([
  [3, 4, `4: event ${id(3)} of seal 1 is not in its place`],
  [3, 8, `4: event ${id(12)} was added to those of seal 1`],
  [1, 6, "2: seal 1 is missing"],
])("swap: lines %d and %d", async (a, b, what) => expect(await found(swap(a, b))).toBe(what));

test.each<[string, (lines: Json[]) => unknown, string]>([
  ["after a seal", (lines) => lines.splice(11), "-: its end is cut off: it ends with seal 2, and its head says 3"],
  ["after the head", (lines) => lines.splice(1), "-: its end is cut off: it ends with seal 0, and its head says 3"],
  ["within a seal", (lines) => lines.splice(14), `15: event ${id(23)} of seal 3 is missing`],
  ["its beginning", (lines) => lines.splice(0, 1), "1: it does not begin with a head"],
  ["a seal with its events", (lines) => lines.splice(6, 5), "7: seal 2 is missing"],
  ["a seal without them", (lines) => lines.splice(6, 1), `7: event ${id(11)} was added to those of seal 1`],
])("truncate: %s", async (_, cut, what) => expect(await found(cut)).toBe(what));

test("truncate: what was cut off together with what says so is found by a head that was kept", async () => {
  const [kept, cut] = [readHead(JSON.stringify((await log())[0])), await log(ours, 2)];
  expect((await check(cut)).seals).toBe(2);
  await expect(check(cut, { held: kept })).rejects.toThrow("the head that you hold is of seal 3, and this log ends with seal 2");
  expect((await check(await log(ours, 4), { held: kept })).seals).toBe(4);
  const [tip, lines] = [start(), [] as Json[]];
  for (let n = 0; n < 4; n += 1) {
    const one = event(n * 100 + 1);
    lines.push({ seal: await seal(tip, [one], ours as Key) }, { event: one });
  }
  await expect(check([{ head: await head(tip, 0, ours as Key) }, ...lines], { held: kept })).rejects.toThrow("seal 3 is not the one of the head that you hold");
});

const FORGED = "7: the signature of seal 2 is not that of the key: it was altered, or another key signed it";
test.each<[string, (it: ReturnType<typeof sealAt>) => unknown, string]>([
  ["its time", (it) => (it.statement["sealed_at"] = "1970-01-01T00:01:01Z"), FORGED],
  ["its root", (it) => (it.statement["root"] = "00"), FORGED],
  ["its count", (it) => (it.statement["events_before"] = 0), FORGED],
  ["its signature", (it) => (it.signature = base64(new Uint8Array(64).buffer)), FORGED],
  ["a digest of its list", (it) => (it.entries[0] = `${id(11)}:${"0".repeat(64)}`), "7: the events that seal 2 lists are not those that were signed"],
  ["the order of its list", (it) => it.entries.reverse(), "7: the events that seal 2 lists are not those that were signed"],
  ["the end of its list", (it) => it.entries.pop(), "7: the events that seal 2 lists are not those that were signed"],
  ["a later number", (it) => (it.statement.number = 7), "7: seal 2 is missing"],
  ["an earlier number", (it) => (it.statement.number = 1), "7: seal 1 stands where seal 2 belongs"],
])("forge: %s", async (_, forge, what) => expect(await found((lines) => forge(sealAt(lines, 6)))).toBe(what));

test("forge: an event with a seal that fits it, by another key and by the right one", async () => {
  const made = (by: Key) => async (lines: Json[]) => {
    const altered = event(15);
    lines.splice(6, 5, { seal: await seal({ ...start(), number: 1 }, [altered], by) }, { event: altered });
  };
  expect(await found(made(theirs as Key))).toBe(FORGED);
  expect(await found(made(ours as Key))).toBe("7: seal 2 does not continue the one before it");
  expect(await found(async (lines) => lines.push(...(await log(ours, 4)).slice(16)))).toBe("17: seal 4 was added: its head ends before it");
});

test("forge: all of it with another key, which the expected one and a kept head tell", async () => {
  const all = await log(theirs);
  await expect(check(all)).rejects.toThrow("the key is not the expected one");
  await expect(check(all, { held: readHead(JSON.stringify((await log())[0])) })).rejects.toThrow("the key is not the expected one");
  expect(await found((lines) => ((lines[0] as { head: { statement: Statement } }).head.statement["seal"] = 2))).toBe("1: the signature of its head is not that of the key: it was altered, or another key signed it");
});

test("a part continues the head of the part before", async () => {
  const lines = await log();
  const tip = start();
  for (const n of [0, 1, 2]) await seal(tip, [1, 2, 3, 4].map((at) => event(n * 10 + at)), ours as Key);
  const part = [{ head: await head(tip, 1, ours as Key) }, ...lines.slice(6)];
  const good = await check(part, { held: readHead(JSON.stringify((await log(ours, 1))[0])) });
  expect([good.head.after, good.seals, good.events]).toEqual([1n, 2, 8]);
});

test("what the rule took away is no tampering, and what else is gone is", async () => {
  const tip = start();
  const kept: Json[] = [];
  for (const n of [0, 1, 2]) kept.push({ seal: await seal(tip, [1, 2, 3, 4].map((at) => event(n * 10 + at)), ours as Key) });
  tip.removed = 2;
  const last = event(31);
  kept.push({ seal: await seal(tip, [last], ours as Key) }, { event: last });
  const first = { head: await head(tip, 0, ours as Key) };
  const third = [1, 2, 3, 4].map((at) => ({ event: event(20 + at) }));
  const good = await check([first, ...kept.slice(0, 3), ...third, ...kept.slice(3)]);
  expect([good.seals, good.events, good.removed]).toEqual([4, 5, 8n]);
  await expect(check([first, ...kept])).rejects.toThrow(`event ${id(21)} of seal 3 is missing`);
});

test("what is no line of an export is named by its line", async () => {
  expect(await found((lines) => lines.splice(1, 0, {}))).toMatch(/^2: line 2 cannot be read/);
  expect(await found((lines) => (eventAt(lines, 2)["note"] = "x"))).toMatch('3: line 3 cannot be read: unknown field "note"');
  expect(await found((lines) => (eventAt(lines, 2)["tenant"] = `ten_${"7".repeat(32)}`))).toMatch("3: line 3 is of another tenant");
  const text = (await log()).map((line) => JSON.stringify(line)).join("\n");
  const twice = text.replace('"action":"flow.published"', '"action":"flow.retired","action":"flow.published"');
  await expect(verify(linesOf(new Blob([twice])))).rejects.toThrow(/line 3 cannot be read: "action" twice/);
});

test("an event that says it was done long before it was sealed is counted", async () => {
  const [tip, old] = [start(), { ...event(1), at: "1969-12-31T00:00:00Z" }];
  const one = { seal: await seal(tip, [event(2), old], ours as Key) };
  const good = await check([{ head: await head(tip, 0, ours as Key) }, one, { event: event(2) }, { event: old }]);
  expect([good.late, good.firstLate]).toEqual([1, id(1)]);
});

test("a digest does not hang on the order of the actor's keys", async () => {
  const other = { ...event(1), actor: { role: "owner", user: "usr_1", kind: "member" } };
  expect(hex(await digest(other))).toBe(hex(await digest(event(1))));
});

test("the tree is that of RFC 9162, where the left half is a power of two", async () => {
  const leaves = await Promise.all([0, 1, 2, 3, 4, 5, 6].map((n) => leaf(Uint8Array.of(n))));
  const node = async (left: Bytes, right: Bytes) => hash(new Uint8Array([1, ...left, ...right]));
  const [g, h, i, j, k, l, m] = leaves as [Bytes, Bytes, Bytes, Bytes, Bytes, Bytes, Bytes];
  expect(hex(await root(leaves))).toBe(hex(await node(await node(await node(g, h), await node(i, j)), await node(await node(k, l), m))));
});
