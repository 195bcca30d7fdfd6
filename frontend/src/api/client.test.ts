import { afterEach, expect, test, vi } from "vitest";
import { ApiError, isAskedAgain, isRefused, post, restMs, waitBeforeMs } from "./client";

afterEach(() => void vi.unstubAllGlobals());

const refused = (code: string, headers: Record<string, string>) =>
  vi.stubGlobal("fetch", () => Promise.resolve(new Response(JSON.stringify({ errors: [{ message: "no", extensions: { code } }] }), { status: 429, headers })));

test("who asks too often is asked for again after the time that the server says", async () => {
  refused("RATE_LIMITED", { "Retry-After": "8" });
  const error = await post("{ a }", {}).catch((error: unknown) => error);
  expect(error).toBeInstanceOf(ApiError);
  expect([isAskedAgain(0, error), isAskedAgain(2, error), isAskedAgain(3, error)]).toEqual([true, true, false]);
  expect(waitBeforeMs(0, error)).toBe(8_000);
});

test("where the server says nothing the waits double, and nobody waits for longer than a minute", async () => {
  const error = new ApiError("away", "OFFLINE");
  expect([0, 1, 2, 9].map((count) => waitBeforeMs(count, error))).toEqual([1_000, 2_000, 4_000, 60_000]);
  refused("RATE_LIMITED", { "Retry-After": "86400" });
  expect(waitBeforeMs(0, await post("{ a }", {}).catch((error: unknown) => error))).toBe(60_000);
});

test("what a person has to decide is not asked again", () => {
  expect(isAskedAgain(0, new ApiError("no", "FORBIDDEN"))).toBe(false);
  expect(isAskedAgain(0, new Error("a mistake of the page"))).toBe(false);
});

test("a server that asks for patience is given it, and no longer", () => {
  const error = new ApiError("too often", "RATE_LIMITED", undefined, 8_000, 1_000);
  expect([1_000, 8_999, 9_000, 20_000].map((now) => restMs(error, now))).toEqual([8_000, 1, 0, 0]);
  expect([restMs(new ApiError("away", "OFFLINE"), 1_000), restMs(null, 1_000)]).toEqual([0, 0]);
});

test("an older answer outlives an outage, and no refusal", () => {
  expect([null, ...["OFFLINE", "INTERNAL", "RATE_LIMITED"].map((code) => new ApiError("no", code))].map(isRefused)).toEqual([false, false, false, false]);
  expect(["FORBIDDEN", "NO_TENANT", "BAD_REQUEST"].map((code) => isRefused(new ApiError("no", code)))).toEqual([true, true, true]);
  expect(isRefused(new Error("a mistake of the page"))).toBe(true);
});
