// Says that what is shown may be old, as soon as Crossdock stops to answer or cannot, and goes away by itself when it does again. Without it a page that
// asks again in vain would look as if nothing had happened. A refusal of one part is no outage, and is said in that part's place.
import { useEffect, useRef, useSyncExternalStore } from "react";
import { useQueryClient, type Query, type QueryClient } from "@tanstack/react-query";
import { isPassing, restMs, type ApiError } from "../api/client";
import { Time } from "../ui/time";

/** How long nobody asks before one part of the page does, for all. */
const AGAIN_MS = 5_000;

/** What is said of an outage, what says most first. */
const SAID: Record<string, string> = {
  OFFLINE: "Crossdock does not answer.",
  INTERNAL: "Crossdock cannot answer: something on its side failed.",
  RATE_LIMITED: "Crossdock cannot answer for a while: it was asked too much at once.",
};

type State = Pick<Query["state"], "error" | "fetchFailureReason" | "dataUpdatedAt">;

export interface Outage {
  code: string;
  /** When what is shown was asked for, of the oldest that could not be asked for again; 0 where there is nothing to show. */
  seenAt: number;
  /** Before that nobody asks again, because the server said so; 0 where it said nothing. */
  againAt: number;
}

export function Offline() {
  const client = useQueryClient();
  const cache = client.getQueryCache();
  const last = useRef<Outage | null>(null);
  const out = useSyncExternalStore(
    (listener) => cache.subscribe(listener),
    () => {
      const now = outage(cache.findAll({ type: "active" }));
      // The same one as long as it says the same: another one each time would be drawn for ever.
      if (JSON.stringify(now) !== JSON.stringify(last.current)) last.current = now;
      return last.current;
    },
  );
  const isSaid = out !== null;
  useEffect(() => {
    if (!isSaid) return;
    const timer = setInterval(() => void askAgain(client, Date.now()), AGAIN_MS);
    return () => clearInterval(timer);
  }, [client, isSaid]);
  if (!out) return null;
  const { code, seenAt, againAt } = out;
  return (
    <div className="note warn offline" role="alert">
      {SAID[code]}{" "}
      {seenAt > 0 && (
        <>
          {code === "OFFLINE" ? "What you see is of" : "The oldest of what you see is of"} <Time at={new Date(seenAt).toISOString()} as="clock" />.{" "}
        </>
      )}
      It is asked again by itself{againAt > 0 && <>, at <Time at={new Date(againAt).toISOString()} as="clock" /></>}.
    </div>
  );
}

/**
 * One part of the page asks for all whether Crossdock answers again, and the others follow as soon as it does: what is asked for seldom, or never by
 * itself, is not left old, and a server that comes back is not met by everything at once. A server that asked for patience is asked by nobody before.
 */
export async function askAgain(client: QueryClient, now: number): Promise<void> {
  const out = client.getQueryCache().findAll({ type: "active" }).filter(({ state }) => failureOf(state));
  if (out.some(({ state }) => restMs(failureOf(state), now) > 0)) return;
  const isAsking = ({ state }: Query) => state.fetchStatus !== "idle";
  // Whoever asks a server that is away learns it for all.
  if (out.some((one) => failureOf(one.state)?.code === "OFFLINE" && isAsking(one))) return;
  // One that fails for reasons of its own must not keep the others from their turn: who asked longest ago is next.
  const [first] = out.filter((one) => !isAsking(one)).sort((a, b) => a.state.errorUpdatedAt - b.state.errorUpdatedAt);
  if (!first) return;
  await client.refetchQueries({ predicate: (query) => query === first });
  if (!failureOf(first.state)) await client.refetchQueries({ type: "active", predicate: ({ state }) => failureOf(state) !== null });
}

/** What the outage is; null where all is well. */
export function outage(queries: readonly { state: State }[]): Outage | null {
  const failures = queries.flatMap(({ state }) => failureOf(state) ?? []);
  const code = Object.keys(SAID).find((one) => failures.some((failure) => failure.code === one));
  if (code === undefined) return null;
  // A part that never had an answer shows nothing that could be old.
  const seen = queries.filter(({ state }) => failureOf(state) && state.dataUpdatedAt > 0).map(({ state }) => state.dataUpdatedAt);
  return { code, seenAt: seen.length === 0 ? 0 : Math.min(...seen), againAt: Math.max(0, ...failures.map(({ at, waitMs }) => (waitMs === null ? 0 : at + waitMs))) };
}

/** Why a part is old. One that has nothing to show says it in its own place, and who is not reached at all is said above all of them once more. */
function failureOf({ error, fetchFailureReason, dataUpdatedAt }: State): ApiError | null {
  const failure = fetchFailureReason ?? error;
  return isPassing(failure) && (dataUpdatedAt > 0 || failure.code === "OFFLINE") ? failure : null;
}
