import { expect, test } from "vitest";
import { ACTIONS, actionInWords, asked, idOfActor, kindOfId, KINDS, sentencesOf, sheetPath, timeAround, whence, whoDid } from "./words";

const hex = "0198a3b4c5d67e8f9012345678901234";
const names = { members: [{ userId: "usr_1", name: "", email: "ann@acme.example" }], connections: { nodes: [{ id: "con_1", name: "Acme shop" }] } };

test.each([
  [{ kind: "member", user: "usr_1", role: "owner" }, "ann@acme.example", "usr_1"],
  [{ kind: "member", user: "usr_2", role: "owner" }, "a member who left, usr_2", "usr_2"],
  [{ kind: "system", stage: "deliver" }, "Crossdock, at deliver", null],
  [{ kind: "vendor", connection: "con_1" }, "the vendor of Acme shop", null],
  [{ kind: "operator" }, "an operator of the installation", null],
  [{ kind: "api_key", key: "key_1", name: "warehouse sync", user: "usr_1" }, "the API key warehouse sync", "key_1"],
  [{ kind: "api_key", key: "key_1", name: "2026", user: "usr_1", service_account: "sva_1", service_account_name: "Acme 3PL" }, "the service account Acme 3PL", "sva_1"],
  [{ kind: "staff", user: "usr_3", name: "Sue", on_behalf_of: "ten_1", impersonation: "imp_1", ticket: "HELP-1042" }, "Sue of support, ticket HELP-1042", "imp_1"],
  [{ kind: "staff", user: "usr_3", name: "Sue", on_behalf_of: "ten_1", ticket: "HELP-1042" }, "Sue of support, ticket HELP-1042", "usr_3"],
  [{ kind: "what comes later" }, '{"kind":"what comes later"}', null],
  [null, "null", null],
])("%j is %s", (actor, who, id) => expect([whoDid(actor, names), idOfActor(actor)]).toEqual([who, id]));

test("whence something was asked for is told where somebody sent it", () => {
  const trace = "4bf92f3577b34da6a3ce929d0e0e4736";
  expect(whence({ kind: "member", user: "usr_1", role: "owner", address: "203.0.113.7", trace })).toEqual({ address: "203.0.113.7", trace });
  for (const actor of [{ kind: "system", stage: "deliver" }, { address: 7, trace: {} }, "system", null]) expect(whence(actor)).toEqual({ address: null, trace: null });
});

test.each([
  [`aud_${hex}`, "event"],
  [`usr_${hex}`, "actor"],
  [`key_${hex}`, "actor"],
  [`sva_${hex}`, "actor"],
  [`imp_${hex}`, "actor"],
  [`rec_${hex}`, "thing"],
  ["0198a3b4-c5d6-7e8f-9012-345678901234", "request"],
  [hex, "trace"],
  ["203.0.113.7", "address"],
  ["2001:db8::7", "address"],
  ["2001:db8:0:0:0:0:0:7", "address"],
  ["::ffff:203.0.113.7", "address"],
  ["2026.11.30", "text"],
  ["10:42", "text"],
  ["#1042", "text"],
])("%s is the id of: %s", (text, as) => expect(kindOfId(text)).toBe(as));

test("what is searched is asked for, as a list and as a sheet", () => {
  expect(asked({})).toEqual({ subjectId: null, action: null, filter: { actorId: null, requestId: null, address: null, trace: null, subjectKind: null, from: null, until: null } });
  expect(asked({ q: `usr_${hex}`, as: "thing" }).subjectId).toBe(`usr_${hex}`);
  expect(asked({ q: ` rec_${hex} `, by: "usr_1" })).toMatchObject({ subjectId: `rec_${hex}`, filter: { actorId: "usr_1" } });
  expect(asked({ q: hex }).filter).toMatchObject({ trace: hex, requestId: null, address: null });
  expect(sheetPath({})).toBe("/audit/events.csv");
  expect(sheetPath({ q: "2001:db8::7", as: "address" })).toBe("/audit/events.csv?address=2001%3Adb8%3A%3A7");
  expect(sheetPath({ action: "flow.published", from: "2026-11-01T00:00:00.000Z" })).toBe("/audit/events.csv?action=flow.published&from=2026-11-01T00%3A00%3A00.000Z");
});

test("an event is looked for at the time that its id tells", () => {
  const { from, until } = timeAround(`aud_${hex}`);
  const at = Number.parseInt("0198a3b4c5d6", 16);
  expect([Date.parse(from), Date.parse(until)]).toEqual([at - 2_000, at + 2_000]);
});

test("an event that has sentences of its own says them", () => {
  expect(sentencesOf('{"reason":"stale","count":3,"sentence":"It came too late.","next_step":"Set the clock right."}')).toEqual(["It came too late.", "Set the clock right."]);
  for (const detail of [null, undefined, "no JSON", "[]", "null", '{"sentence":1}']) expect(sentencesOf(detail)).toEqual([]);
});

test("the lists that people choose from are those of the platform", () => {
  expect(ACTIONS).toContain("flow.published");
  expect(ACTIONS).toContain("hook.refused");
  expect(KINDS).toContain("lookup_table");
  expect(ACTIONS.length).toBeGreaterThan(100);
  expect(actionInWords("lookup_table.entries_set")).toBe("lookup table: entries set");
});
