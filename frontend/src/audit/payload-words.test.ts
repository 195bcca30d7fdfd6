import { expect, test } from "vitest";
import { hiddenWhy, lengthSentence, payloadKind, verdict } from "./payload-words";

test.each([
  ["message.received", null, "came"],
  ["message.received", '{"body_sha256":"ab"}', "came"],
  ["message.fetched", '{"body_sha256":"ab"}', "came"],
  ["message.fetched", null, null],
  ["message.duplicate", '{"body_sha256":"ab"}', null],
  ["message.exception", '{"call":"fetch","status":404,"answer_sha256":"ab"}', "answered"],
  ["attempt.started", '{"attempt":1,"request_sha256":"ab"}', "sent"],
  ["attempt.started", '{"attempt":1}', null],
  ["attempt.confirmed", '{"status":200,"answer_sha256":"ab"}', "answered"],
  ["attempt.failed", '{"status":500,"answer_sha256":"ab"}', "answered"],
  ["attempt.confirmed", '{"status":204}', null],
  ["poll.read", '{"request_sha256":"ab","answer_sha256":"cd"}', "sent"],
  ["attempt.started", '{"attempt":1,"answer_sha256":"ab"}', null],
  ["flow.published", '{"version":2}', null],
  ["flow.published", "no JSON", null],
  ["flow.published", undefined, null],
])("%s with %s is about %s", (action, detail, kind) => expect(payloadKind({ action, detail: detail ?? null })).toBe(kind));

test("a payload that is not what was sealed is said to be, and one without a digest proves nothing", () => {
  expect([verdict("sent", true).tone, verdict("answered", false).tone, verdict("came", null).tone]).toEqual(["good", "bad", null]);
  expect(verdict("sent", false).sentence).toContain("not what was sealed");
  expect(verdict("came", null).sentence).toContain("does not prove");
});

test("whatever is hidden has a reason, and who sees it", () => {
  expect(hiddenWhy("sent", '{"a":1}', false)).toEqual([]);
  expect(hiddenWhy("sent", '{"token":"•••"}', true, true)).toEqual([expect.stringContaining("for everybody")]);
  expect(hiddenWhy("answered", '{"token":"•••"}', true)).toEqual([expect.stringContaining("secret of the connection")]);
  expect(hiddenWhy("answered", '{"name":"•••"}', false)).toHaveLength(2);
  expect(hiddenWhy("came", '{"name":"•••"}', false)).toEqual([expect.stringContaining("Owners, admins and operators")]);
  expect(hiddenWhy(null, '{"name":"•••"}', true)).toEqual([]);
  expect(hiddenWhy("sent", "••• (12 bytes that are not JSON: shown to who may read personal data)", false)).toEqual([expect.stringContaining("as a whole")]);
});

test("an answer that was cut says so", () => {
  expect([lengthSentence("answered", 16_383), lengthSentence("answered", 900), lengthSentence("sent", 16_384), lengthSentence("sent", 0), lengthSentence("came", 1)]).toEqual([
    "16,383 bytes: of an answer the first 16 KiB are kept.",
    "900 bytes.",
    "16,384 bytes.",
    "Nothing was in it: the call was its address alone.",
    "1 byte.",
  ]);
});
