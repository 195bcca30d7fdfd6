import { expect, test } from "vitest";
import { ApiError } from "../api/client";
import { parse } from "../api/digits";
import { againInMs, saysTheSame } from "./again";

test("a draft that could not be kept is tried again for as long as it takes, less and less often", () => {
  const offline = new ApiError("Crossdock does not answer", "OFFLINE");
  expect([1, 2, 3, 6, 100].map((failures) => againInMs(failures, offline))).toEqual([1_000, 2_000, 4_000, 32_000, 60_000]);
  expect(againInMs(1, new ApiError("Too many", "RATE_LIMITED", undefined, 7_000))).toBe(7_000);
});

test("what a person has to make right is not tried again by itself", () => {
  expect(againInMs(1, new ApiError("Your role does not include it", "FORBIDDEN"))).toBeNull();
  expect(againInMs(0, new ApiError("Crossdock does not answer", "OFFLINE"))).toBeNull();
});

test("a draft is our own whatever the order of its keys, and by every digit of its numbers", () => {
  const sent = parse('{"filter":null,"read":[],"write":[{"to":"memo","from":"number","default":9007199254740993123}]}');
  expect(saysTheSame(sent, parse('{"write":[{"default":9007199254740993123,"from":"number","to":"memo"}],"filter":null,"read":[]}'))).toBe(true);
  expect(saysTheSame(sent, parse('{"write":[{"default":9007199254740993124,"from":"number","to":"memo"}],"filter":null,"read":[]}'))).toBe(false);
  expect(saysTheSame(parse('[{"to":"a"},{"to":"b"}]'), parse('[{"to":"b"},{"to":"a"}]'))).toBe(false);
});
