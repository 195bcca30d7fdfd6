import { beforeEach, expect, test, vi } from "vitest";

const stored = new Map<string, string>();
let busy: Promise<unknown> = Promise.resolve();

function inMinutes(minutes: number): string {
  return new Date(Date.now() + minutes * 60_000).toISOString();
}

beforeEach(() => {
  vi.resetModules();
  stored.clear();
  vi.stubGlobal("window", { addEventListener: () => undefined, removeEventListener: () => undefined });
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
  // One after the other, as the browser's locks have it.
  const request = (_: string, act: () => Promise<unknown>) => (busy = busy.then(act, act));
  vi.stubGlobal("navigator", { locks: { request } });
});

/** An API and the browser's cookie, which it trades; no script sees either token of a refresh. */
function api(cookie: string | null) {
  let good: string | null = "first";
  let sent = cookie;
  let count = 0;
  const fetched = vi.fn(async (address: string, options: { body: string }) => {
    const answer = (body: object) => ({ ok: true, json: async () => body });
    if (address === "/session/close") {
      sent = null;
      return answer({ session: null, reason: "signed out" });
    }
    const { password } = JSON.parse(options.body) as { password?: string };
    const isGood = address === "/session/open" ? password === "right" : sent !== null && sent === good;
    if (!isGood) return answer({ session: null, reason: "no" });
    good = sent = `refresh-${++count}`;
    return answer({ session: { accessToken: `access-${count}`, accessExpiresAt: inMinutes(10) }, reason: null });
  });
  vi.stubGlobal("fetch", fetched);
  return fetched;
}

test("requests at once trade one refresh token, because one that comes twice would end the session", async () => {
  stored.set("signed-in", "1");
  const fetched = api("first");
  const { accessToken } = await import("./session");
  expect(await Promise.all([accessToken(), accessToken(), accessToken()])).toEqual(["access-1", "access-1", "access-1"]);
  expect(fetched).toHaveBeenCalledTimes(1);
});

test("no token ever reaches the browser's storage, and what was kept there once is taken away", async () => {
  stored.set("refresh", "of a version before the cookie");
  api(null);
  const { isSignedIn, signIn, signOut } = await import("./session");
  expect([await signIn("ann@example.com", "wrong"), isSignedIn()]).toEqual([{ reason: "no", needsCode: false, passkey: null, needsSso: false }, false]);
  expect([await signIn("ann@example.com", "right"), isSignedIn()]).toEqual([null, true]);
  expect([...stored.keys()]).toEqual(["signed-in"]);
  expect([...stored.values()].join()).toMatch(/^\d+$/);
  await signOut();
  expect([isSignedIn(), stored.size]).toEqual([false, 0]);
});

test("a refresh token that is no good signs out, and tells the pages", async () => {
  stored.set("signed-in", "1");
  api("stolen and used");
  const { accessToken, isSignedIn, onSession } = await import("./session");
  const told = vi.fn();
  onSession(told);
  expect(await accessToken()).toBeNull();
  expect([isSignedIn(), told.mock.calls.length]).toEqual([false, 1]);
});

test("a server that does not answer signs nobody out", async () => {
  stored.set("signed-in", "1");
  vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("no network")));
  const { accessToken, isSignedIn } = await import("./session");
  await expect(accessToken()).rejects.toThrow("does not answer");
  expect(isSignedIn()).toBe(true);
});
