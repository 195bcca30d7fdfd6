import { afterEach, expect, test, vi } from "vitest";
import { events, listen, paced } from "./changes";

vi.mock("../session/session", () => ({ accessToken: () => Promise.resolve("token") }));

const stream = (...pieces: string[]) =>
  new Response(new ReadableStream({ start: (body) => (pieces.forEach((piece) => body.enqueue(new TextEncoder().encode(piece))), body.close()) }), {
    headers: { "Content-Type": "text/event-stream" },
  });
const NEXT = 'event: next\ndata: {"data":{"changes":{"at":"2026-11-29T00:00:00Z"}}}\n\n';

afterEach(() => void vi.unstubAllGlobals());

test("a stream is read event by event, wherever it is cut", () => {
  expect(events(`:\n\n${NEXT}event: comp`)).toEqual({ told: [{ event: "next", data: NEXT.slice(18, -2) }], rest: "event: comp" });
  expect(events("event: complete\ndata:\n\n")).toEqual({ told: [{ event: "complete", data: "" }], rest: "" });
});

test("each change is told, a stream that ends is begun anew, and pages ask less often meanwhile", async () => {
  const over = new AbortController();
  const asked: RequestInit[] = [];
  vi.stubGlobal("fetch", (_url: string, init: RequestInit) => {
    asked.push(init);
    return Promise.resolve(stream(NEXT.slice(0, 9), NEXT.slice(9), "event: complete\ndata:\n\n"));
  });
  const told: boolean[] = [];
  await listen("subscription { changes { at } }", "acme", over.signal, (isBeginning) => {
    told.push(isBeginning);
    expect(paced(1_000)).toBe(6_000);
    if (told.length === 2) over.abort();
  });
  // That one listens is told once; what comes with the next stream may have changed between the two.
  expect(told).toEqual([true, false]);
  expect(asked.length).toBe(2);
  expect(asked[0]?.headers).toMatchObject({ Accept: "text/event-stream", "X-Crossdock-Tenant": "acme", Authorization: "Bearer token" });
  expect(paced(1_000)).toBe(1_000);
});

test("a stream that breaks off is told once, so that who does not answer is found out at once", async () => {
  const over = new AbortController();
  let asked = 0;
  vi.stubGlobal("fetch", () => {
    asked += 1;
    if (asked > 1) over.abort();
    return Promise.resolve(asked > 1 ? new Response("no", { status: 503 }) : stream(NEXT));
  });
  vi.useFakeTimers();
  const told: boolean[] = [];
  const listening = listen("subscription { changes { at } }", "acme", over.signal, (isBeginning) => told.push(isBeginning));
  await vi.runAllTimersAsync();
  await listening;
  vi.useRealTimers();
  expect(told).toEqual([true, false]);
  expect(asked).toBe(2);
});

test("a stream that falls silent is left after a while, and pages ask as often as they say again", async () => {
  const over = new AbortController();
  const asked: AbortSignal[] = [];
  const hanging = ({ signal }: RequestInit) => {
    if (signal) asked.push(signal);
    const body = new ReadableStream({
      start: (begun) => {
        begun.enqueue(new TextEncoder().encode(NEXT));
        signal?.addEventListener("abort", () => begun.error(signal.reason));
        // A sign of life is heard, too.
        setTimeout(() => signal?.aborted || begun.enqueue(new TextEncoder().encode(":\n\n")), 60_000);
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  };
  vi.stubGlobal("fetch", (_url: string, init: RequestInit) => Promise.resolve(hanging(init)));
  vi.useFakeTimers();
  const told: boolean[] = [];
  const listening = listen("subscription { changes { at } }", "acme", over.signal, (isBeginning) => told.push(isBeginning));
  await vi.advanceTimersByTimeAsync(149_000);
  expect([asked.length, asked[0]?.aborted, paced(1_000)]).toEqual([1, false, 6_000]);
  await vi.advanceTimersByTimeAsync(2_000);
  // What was missed is asked for at once.
  expect([asked.length, asked[0]?.aborted, told, paced(1_000)]).toEqual([1, true, [true, false], 1_000]);
  await vi.advanceTimersByTimeAsync(5_000);
  expect([asked.length, paced(1_000)]).toEqual([2, 6_000]);
  over.abort();
  await vi.runAllTimersAsync();
  await listening;
  vi.useRealTimers();
});

test("where no stream comes, nothing is told and pages ask as often as they say", async () => {
  for (const answer of [() => new Response("no", { status: 503 }), () => stream('event: next\ndata: {"errors":[{"message":"no room"}]}\n\n'), () => stream(":\n\n")]) {
    const over = new AbortController();
    vi.stubGlobal("fetch", () => (setTimeout(() => over.abort(), 5), Promise.resolve(answer())));
    await listen("subscription { changes { at } }", "acme", over.signal, () => expect.unreachable());
    expect(paced(1_000)).toBe(1_000);
  }
});
