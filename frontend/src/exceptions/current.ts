// Which exception of a cause is shown: the one that the address names, and only where it names none the first. What somebody works on stays theirs: an
// order that joins the cause meanwhile is the newest, and takes nobody's dialog away.

export interface Current {
  id: string;
  /** What the address named when it was taken. */
  named: string | undefined;
  /** It was seen open here: once it is not any more, it is done. What was closed before somebody came to look at it is shown as it ended. */
  wasOpen: boolean;
}

/** What was shown, what the address names, the open exceptions that were loaded, and what is known of the one that is shown where it is none of those. */
export function currentOf(before: Current | null, named: string | undefined, rows: readonly { id: string }[], known: { id: string; state: string } | null): Current | null {
  const isMoved = before === null || before.named !== named;
  const id = isMoved ? (named ?? rows[0]?.id) : before.id;
  if (id === undefined) return null;
  const isListed = rows.some((row) => row.id === id);
  const state = known?.id === id ? known.state : null;
  const wasOpen = isListed || state === "open" || (before?.id === id && before.wasOpen);
  // Its list may be longer than what was loaded of it, and new ones push it out of that: it is done only where it says so itself.
  const isDone = wasOpen && !isListed && state !== null && state !== "open";
  const next = isDone ? rows[0] : undefined;
  const current = next ? { id: next.id, named, wasOpen: true } : { id, named, wasOpen };
  return before && before.id === current.id && before.named === named && before.wasOpen === current.wasOpen ? before : current;
}

interface Ended {
  state: string;
  resolution?: string | null;
  closedAt?: string | null;
  history: readonly { at: string; by: string; action: string }[];
}

const ENDS = ["exception.resolved", "exception.ignored"];

/** How an exception ended, when, and by whom where that was said; null while it is open. */
export function endOf(exception: Ended): { how: string; at: string | null; by: string | null } | null {
  if (exception.state === "open") return null;
  const end = exception.history.find((one) => ENDS.includes(one.action));
  const how = exception.resolution || (exception.state === "ignored" ? "It was left as it is" : "It went on");
  return { how, at: exception.closedAt ?? end?.at ?? null, by: end?.by ?? null };
}
