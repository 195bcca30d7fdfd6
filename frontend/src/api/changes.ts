// What the server tells while a page is looked at: that something changed, so that what is shown is asked for again at once and not when its time comes.
// It is a hint. Where no stream comes through (a proxy, a server that ends, one too many), pages ask by themselves as often as they say.
import { accessToken } from "../session/session";
import { type Query } from "./client";

/** A stream ends after a minute, so that a session that was ended learns nothing more; the next one begins at once. */
const AGAIN_MS = 250;
const WAIT_FIRST_MS = 2_000;
const WAIT_MAX_MS = 60_000;
/** Whoever says nothing for so long is gone, whatever the connection looks like: a stream ends after a minute, and gives a sign of life each 15 s until then. */
const SILENT_MAX_MS = 90_000;
/** Pages ask so many times less often by themselves while they are told. */
const TOLD_FACTOR = 6;

let isTold = false;

/** How often a page asks by itself now. */
export function paced(ms: number): number {
  return isTold ? ms * TOLD_FACTOR : ms;
}

/** The events of one piece of a stream, and what is left of it. */
export function events(text: string): { told: { event: string; data: string }[]; rest: string } {
  const blocks = text.split("\n\n");
  const rest = blocks.pop() ?? "";
  const told = blocks.map((block) => {
    const of = (field: string) => block.split("\n").find((line) => line.startsWith(`${field}:`))?.slice(field.length + 1).trim() ?? "";
    return { event: of("event"), data: of("data") };
  });
  return { told: told.filter(({ event }) => event !== ""), rest };
}

/** Listens to one stream until it ends or falls silent; true where it ended as it should. */
async function once<Result, Variables>(query: Query<Result, Variables>, tenant: string, signal: AbortSignal, tell: () => void): Promise<boolean> {
  const silence = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const hear = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), SILENT_MAX_MS);
  };
  hear();
  try {
    return await read(query, tenant, AbortSignal.any([signal, silence.signal]), hear, tell);
  } finally {
    clearTimeout(timer);
  }
}

async function read<Result, Variables>(query: Query<Result, Variables>, tenant: string, signal: AbortSignal, hear: () => void, tell: () => void): Promise<boolean> {
  const token = await accessToken();
  if (token === null) return false;
  const response = await fetch("/graphql", {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream", Authorization: `Bearer ${token}`, "X-Crossdock-Tenant": tenant },
    body: JSON.stringify({ query }),
    signal,
  });
  if (!response.ok || !response.body || !response.headers.get("Content-Type")?.startsWith("text/event-stream")) return false;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return false;
    hear();
    const { told, rest } = events(text + value);
    text = rest;
    for (const { event, data } of told) {
      if (event === "complete") return isTold;
      if (event !== "next" || (JSON.parse(data) as { errors?: unknown }).errors) return false;
      isTold = true;
      tell();
    }
  }
}

/** Listens until it is told to stop, one stream after the other; where none comes it waits longer each time. The first thing told is that it begins. */
export async function listen<Result, Variables>(query: Query<Result, Variables>, tenant: string, signal: AbortSignal, tell: (isBeginning: boolean) => void): Promise<void> {
  let waitMs = WAIT_FIRST_MS;
  let isBeginning = true;
  const hear = () => {
    tell(isBeginning);
    isBeginning = false;
  };
  while (!signal.aborted) {
    const ended = await once(query, tenant, signal, hear).catch(() => false);
    // One that breaks off says something, too: whoever does not answer any more is found out at once, and not when the page would ask next.
    if (isTold && !ended && !signal.aborted) tell(false);
    isTold = isTold && ended;
    waitMs = ended ? WAIT_FIRST_MS : Math.min(waitMs * 2, WAIT_MAX_MS);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ended ? AGAIN_MS : waitMs);
      signal.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    });
  }
  isTold = false;
}
