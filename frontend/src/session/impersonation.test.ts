import { beforeEach, expect, test, vi } from "vitest";
import { whyOver, type Running } from "./impersonation";

const AT = Date.parse("2026-11-24T09:00:00Z");
const held: Running = { id: "imp_1", tenant: "Acme", tenantSlug: "acme", endsAt: "2026-11-24T09:30:00Z" };

test.each([
  [0, { running: null }, "tenant"],
  [0, { running: "imp_2" }, "tenant"],
  [0, { running: "imp_1" }, "elsewhere"],
  [0, "no staff", "staff"],
  [0, "signed out", "session"],
  [0, "no answer", "unknown"],
  [29 * 60_000 + 56_000, { running: null }, "time"],
  [31 * 60_000, "no answer", "time"],
  [31 * 60_000, "no staff", "staff"],
] as const)("%d ms on, and %j: %s", (later, own, why) => expect(whyOver(held, AT + later, own)).toBe(why));

const bearer = (init: { headers: Record<string, string> }) => init.headers["Authorization"];

/** An API where one's own token is "own" and the impersonation's "imp" for as long as it is good. */
function api(isGood: () => boolean, desk: () => unknown, skewMs = 0) {
  const asked: string[] = [];
  vi.stubGlobal("fetch", async (address: string, init: { headers: Record<string, string>; body: string }) => {
    const answer = (body: unknown) => ({ ok: true, headers: new Headers({ Date: new Date(Date.now() + skewMs).toUTCString() }), json: async () => body });
    if (address === "/session/refresh") return answer({ session: { accessToken: "own", accessExpiresAt: new Date(Date.now() + 600_000).toISOString() } });
    const token = bearer(init) ?? "";
    asked.push(`${token} ${init.headers["X-Crossdock-Tenant"] ?? "-"}`);
    if (token === "Bearer imp" && !isGood()) return answer({ data: null, errors: [{ message: "sign in first", extensions: { code: "UNAUTHENTICATED" } }] });
    if (init.body.includes("supportDesk")) return answer(desk());
    return answer({ data: { records: [] } });
  });
  return asked;
}

beforeEach(() => {
  vi.resetModules();
  const stored = new Map([["signed-in", "1"]]);
  vi.stubGlobal("localStorage", { getItem: (key: string) => stored.get(key) ?? null, removeItem: (key: string) => stored.delete(key) });
  vi.stubGlobal("navigator", { locks: { request: (_: string, act: () => Promise<unknown>) => act() } });
});

async function modules() {
  const { isSignedIn } = await import("./session");
  const { ask } = await import("../api/client");
  return { ask, isSignedIn, ...(await import("./impersonation")) };
}
const inAnHour = () => ({ ...held, endsAt: new Date(Date.now() + 3_600_000).toISOString() });
type Any = Parameters<Awaited<ReturnType<typeof modules>>["ask"]>[0];

test("what is about the tenant is asked with its token, and all else with one's own", async () => {
  const { ask, hold } = await modules();
  const asked = api(() => true, () => ({}));
  hold(inAnHour(), "imp");
  await ask("{ records }" as Any, {}, "acme");
  await ask("{ records }" as Any, {}, "other");
  await ask("{ account }" as Any, {});
  expect(asked).toEqual(["Bearer imp acme", "Bearer own other", "Bearer own -"]);
});

test("what the tenant ended is over for this tab at once, says why, and leaves one's own session as it is", async () => {
  const { ask, hold, impersonation, onImpersonation, settle, isSignedIn } = await modules();
  let isGood = true;
  const asked = api(() => isGood, () => ({ data: { supportDesk: { running: null } } }));
  hold(inAnHour(), "imp");
  const told: string[] = [];
  onImpersonation(() => told.push(impersonation().is));
  isGood = false;
  await expect(ask("{ records }" as Any, {}, "acme")).rejects.toThrow("sign in first");
  // Nothing more is asked in the tenant's place, and nothing of it with one's own session, until its pages are left.
  await expect(ask("{ records }" as Any, {}, "acme")).rejects.toThrow("not in the place of Acme any more");
  await vi.waitFor(() => expect(impersonation().over?.why).toBe("tenant"));
  expect(asked).toEqual(["Bearer imp acme", "Bearer own -"]);
  settle();
  expect([impersonation().is, impersonation().over?.why, told.at(-1)]).toEqual(["none", "tenant", "none"]);
  await ask("{ records }" as Any, {}, "acme");
  expect(asked.at(-1)).toBe("Bearer own acme");
  expect(isSignedIn()).toBe(true);
});

test("what ends by the server's clock is not blamed on the tenant because this machine's is slow", async () => {
  const { ask, hold, impersonation } = await modules();
  api(() => false, () => ({ data: { supportDesk: { running: null } } }), 2 * 3_600_000);
  hold(inAnHour(), "imp");
  await expect(ask("{ records }" as Any, {}, "acme")).rejects.toThrow("sign in first");
  await vi.waitFor(() => expect(impersonation().over?.why).toBe("time"));
});

test("whoever left reads that they left, whatever is heard of it afterwards", async () => {
  const { hold, left, ended, finish, impersonation } = await modules();
  api(() => false, () => ({ data: { supportDesk: { running: null } } }));
  hold(inAnHour(), "imp");
  const hearing = ended("imp_1");
  left("imp_1");
  await hearing;
  finish("imp_1", "tenant");
  expect(impersonation().over?.why).toBe("left");
});

test("one that is over ends no other, and who signs out forgets both", async () => {
  const { hold, finish, forgetImpersonation, impersonation, heldIn } = await modules();
  api(() => true, () => ({}));
  hold({ ...inAnHour(), id: "imp_2" }, "imp");
  finish("imp_1", "tenant");
  expect(heldIn("acme")?.id).toBe("imp_2");
  forgetImpersonation();
  expect([heldIn("acme"), impersonation()]).toEqual([null, { is: "none", over: null }]);
});
