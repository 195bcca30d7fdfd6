import { beforeEach, expect, test, vi } from "vitest";

const stored = new Map<string, string>();
/** Of the browser's cookies those that scripts see. */
const seen = new Map<string, string>();
let busy: Promise<unknown> = Promise.resolve();

function inMinutes(minutes: number): string {
  return new Date(Date.now() + minutes * 60_000).toISOString();
}

beforeEach(() => {
  vi.resetModules();
  stored.clear();
  seen.clear();
  vi.stubGlobal("location", { protocol: "https:" });
  vi.stubGlobal("document", {
    get cookie() {
      return [...seen].map(([name, value]) => `${name}=${value}`).join("; ");
    },
    set cookie(text: string) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(text) ?? [];
      if (/; Max-Age=0(;|$)/.test(text)) seen.delete(name);
      else seen.set(name, value);
    },
  });
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

test("who signs out while the server does not answer may go, is told that they are not signed out yet, and is as soon as it answers", async () => {
  stored.set("signed-in", "1");
  api("first");
  const { endsAlone, isSignedIn, leftAt, onSession, signOut, signOutAgain } = await import("./session");
  const told = vi.fn();
  onSession(told);
  const closed: string[] = [];
  let isBack = false;
  vi.stubGlobal("fetch", async (address: string) => {
    closed.push(address);
    return isBack ? { ok: true, json: async () => ({ session: null, reason: "signed out" }) } : Promise.reject(new TypeError("no network"));
  });
  await signOut();
  expect([isSignedIn(), typeof leftAt(), told.mock.calls.length]).toEqual([false, "string", 1]);
  expect(endsAlone("2026-11-01T00:00:00.000Z")).toBe("2026-12-01T00:00:00.000Z");
  expect([await signOutAgain(), leftAt() === null]).toEqual([false, false]);

  isBack = true;
  expect(await Promise.all([signOutAgain(), signOutAgain()])).toEqual([true, true]);
  expect([leftAt(), stored.size]).toEqual([null, 0]);
  expect(closed).toEqual(["/session/close", "/session/close", "/session/close"]);
  // There is nothing left to end, and the server is not asked.
  expect([await signOutAgain(), closed.length]).toEqual([true, 3]);
});

test("a server that is silent keeps nobody who wants to go", async () => {
  stored.set("signed-in", "1");
  vi.stubGlobal("fetch", () => new Promise(() => undefined));
  vi.useFakeTimers();
  const { isSignedIn, leftAt, signOut } = await import("./session");
  const leaving = signOut();
  await vi.advanceTimersByTimeAsync(10_000);
  await leaving;
  vi.useRealTimers();
  expect([isSignedIn(), leftAt() === null]).toEqual([false, false]);
  // The lock is let go by the browser's own limit of the request, and here by nobody.
  busy = Promise.resolve();
});

test("who signs in after it ends the session that was left behind first, and never the new one", async () => {
  stored.set("left", new Date().toISOString());
  const fetched = api("first");
  const { isSignedIn, leftAt, signIn, signOutAgain } = await import("./session");
  const [refusal] = await Promise.all([signIn("ann@example.com", "right"), signOutAgain()]);
  expect([refusal, isSignedIn(), leftAt()]).toEqual([null, true, null]);
  expect(fetched.mock.calls.map(([address]) => address)).toEqual(["/session/close", "/session/open"]);
});

test("who comes back by their company after they were not signed out is in, and no address alone brings back what they left", async () => {
  stored.set("left", new Date().toISOString());
  const fetched = api("first");
  const { adoptSession, isSignedIn, leftAt, mayAdopt, signOut, signOutAgain } = await import("./session");
  expect([mayAdopt(), leftAt() === null]).toEqual([false, false]);
  // What another host of the domain could set says nothing, and neither does another value.
  seen.set("crossdock-signed-in", "1").set("__Host-crossdock-signed-in", "");
  expect(mayAdopt()).toBe(false);

  // As /sso/callback sets it; the page that waits in another tab to end what was left does not end what came.
  seen.set("__Host-crossdock-signed-in", "1");
  expect([await signOutAgain(), fetched.mock.calls.length, leftAt()]).toEqual([true, 0, null]);
  stored.set("left", new Date().toISOString());
  seen.set("__Host-crossdock-signed-in", "1");
  expect([mayAdopt(), await adoptSession(), isSignedIn(), leftAt()]).toEqual([true, true, true, null]);
  expect(fetched.mock.calls.map(([address]) => address)).toEqual(["/session/refresh"]);

  // It spoke for that session once, and for none that is left after it.
  expect([...seen.keys()]).toEqual(["crossdock-signed-in"]);
  seen.set("__Host-crossdock-signed-in", "1");
  vi.stubGlobal("fetch", async () => Promise.reject(new TypeError("no network")));
  await signOut();
  expect([mayAdopt(), leftAt() === null]).toEqual([false, false]);
});

test("over plain http on one's own machine the word of the server has no prefix", async () => {
  vi.stubGlobal("location", { protocol: "http:" });
  stored.set("left", new Date().toISOString());
  seen.set("crossdock-signed-in", "1");
  const { mayAdopt } = await import("./session");
  expect([mayAdopt(), seen.size, stored.size]).toEqual([true, 0, 0]);
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
