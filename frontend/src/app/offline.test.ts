import { QueryClient, QueryObserver } from "@tanstack/react-query";
import { expect, test, vi } from "vitest";
import { ApiError } from "../api/client";
import { askAgain, outage } from "./offline";

const NOW = Date.parse("2026-11-29T12:00:00Z");
const away = new ApiError("Crossdock does not answer.", "OFFLINE");
const failed = new ApiError("something on our side failed", "INTERNAL");
const patience = new ApiError("you ask too often", "RATE_LIMITED", undefined, 30_000, NOW);
const forbidden = new ApiError("no", "FORBIDDEN");
const query = (dataUpdatedAt: number, fetchFailureReason: Error | null, error: Error | null = null) => ({ state: { error, fetchFailureReason, dataUpdatedAt } });

/** Parts of a page that all asked and failed. */
async function parts(names: readonly string[], answer: (name: string) => Promise<string>) {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  const asked: string[] = [];
  const observers = names.map((name) => {
    // They have shown something before.
    client.setQueryData([name], "before");
    return new QueryObserver(client, { queryKey: [name], queryFn: () => (asked.push(name), answer(name)) });
  });
  const settled = observers.map((observer) => new Promise<void>((resolve) => observer.subscribe(({ isError }) => isError && resolve())));
  await Promise.all(settled);
  asked.length = 0;
  return { client, asked, out: () => outage(client.getQueryCache().findAll({ type: "active" })), end: () => observers.forEach((observer) => observer.destroy()) };
}

test("where one part of a page never had an answer, the age of what is seen is told all the same", () => {
  expect(outage([query(0, away), query(2_000, away), query(3_000, away), query(1_000, null)])).toEqual({ code: "OFFLINE", seenAt: 2_000, againAt: 0 });
  expect(outage([query(0, away)])).toEqual({ code: "OFFLINE", seenAt: 0, againAt: 0 });
});

test("a server that answers and cannot is as much an outage where something older is shown, and one that never was shown says it in its place", () => {
  expect(outage([query(2_000, failed), query(1_000, null)])).toEqual({ code: "INTERNAL", seenAt: 2_000, againAt: 0 });
  expect(outage([query(2_000, null, failed)])?.code).toBe("INTERNAL");
  expect(outage([query(0, failed), query(1_000, null)])).toBeNull();
  expect(outage([query(2_000, patience), query(1_000, patience)])).toEqual({ code: "RATE_LIMITED", seenAt: 1_000, againAt: NOW + 30_000 });
  expect(outage([query(2_000, failed), query(3_000, away), query(1_000, patience)])).toMatchObject({ code: "OFFLINE", seenAt: 1_000 });
});

test("a refusal of one part is no outage, also where it follows on one", () => {
  expect(outage([query(1_000, null), query(1_000, forbidden)])).toBeNull();
  expect(outage([query(1_000, forbidden, failed)])).toBeNull();
});

test("one part of a page asks whether the server is back, and the others follow, also those that nobody would ask again", async () => {
  let isBack = false;
  const { client, asked, out, end } = await parts(["deliveries", "exceptions", "flows"], (name) => (isBack ? Promise.resolve(name) : Promise.reject(away)));
  await askAgain(client, NOW);
  expect(asked).toHaveLength(1);

  isBack = true;
  asked.length = 0;
  await askAgain(client, NOW);
  expect(asked.toSorted()).toEqual(["deliveries", "exceptions", "flows"]);
  expect(out()).toBeNull();

  asked.length = 0;
  await askAgain(client, NOW);
  expect(asked).toEqual([]);
  end();
});

test("a part that fails for reasons of its own does not keep the others from their turn", async () => {
  let isBack = false;
  const { client, asked, out, end } = await parts(["deliveries", "exceptions"], (name) => (isBack && name === "exceptions" ? Promise.resolve(name) : Promise.reject(failed)));
  isBack = true;
  // Turns go by the clock.
  vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
  for (let turn = 0; turn < 2; turn += 1) {
    vi.setSystemTime(Date.now() + 5_000);
    await askAgain(client, NOW);
  }
  vi.useRealTimers();
  expect(asked).toContain("exceptions");
  expect(out()?.code).toBe("INTERNAL");
  asked.length = 0;
  await askAgain(client, NOW);
  expect(asked).toEqual(["deliveries"]);
  end();
});

test("a server that asked for patience is not asked before its time", async () => {
  const { client, asked, end } = await parts(["deliveries", "exceptions"], () => Promise.reject(patience));
  await askAgain(client, NOW + 29_000);
  expect(asked).toEqual([]);
  await askAgain(client, NOW + 30_000);
  expect(asked).toEqual(["deliveries"]);
  end();
});
