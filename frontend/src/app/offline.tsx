// Says that what is shown may be old, as soon as Crossdock stops to answer, and goes away by itself when it does again. Without it a page that asks
// again in vain would look as if nothing had happened.
import { useSyncExternalStore } from "react";
import { useQueryClient, type Query } from "@tanstack/react-query";
import { ApiError } from "../api/client";
import { Time } from "../ui/time";

const isAway = (error: unknown) => error instanceof ApiError && error.code === "OFFLINE";

export function Offline() {
  const cache = useQueryClient().getQueryCache();
  const seenAt = useSyncExternalStore(
    (listener) => cache.subscribe(listener),
    () => oldest(cache.findAll({ type: "active" })),
  );
  if (seenAt === null) return null;
  return (
    <div className="note warn offline" role="alert">
      Crossdock does not answer. {seenAt > 0 && <>What you see is of <Time at={new Date(seenAt).toISOString()} as="clock" />. </>}
      It is asked again by itself.
    </div>
  );
}

/** When what is shown was asked for, of the oldest that could not be asked for again; null where all is well, 0 where there is nothing to show. */
function oldest(queries: readonly Query[]): number | null {
  const away = queries.filter((query) => isAway(query.state.error) || isAway(query.state.fetchFailureReason));
  return away.length === 0 ? null : Math.min(...away.map((query) => query.state.dataUpdatedAt));
}
