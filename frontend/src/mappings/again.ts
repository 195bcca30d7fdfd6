// Trying again to keep a draft: when, and whether what stands on the server meanwhile is our own, of a try whose answer was lost.
import { isPassing, waitBeforeMs } from "../api/client";
import { Digits, stringify } from "../api/digits";

/** After how long what failed so many times is tried again by itself; null where only a person makes it right. */
export function againInMs(failures: number, error: unknown): number | null {
  return failures > 0 && isPassing(error) ? waitBeforeMs(failures - 1, error) : null;
}

/** Whether two drafts say the same, in whatever order their keys stand: a database keeps that of its own. */
export function saysTheSame(one: unknown, other: unknown): boolean {
  return stringify(inOrder(one)) === stringify(inOrder(other));
}

function inOrder(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(inOrder);
  if (value === null || typeof value !== "object" || value instanceof Digits) return value;
  const entries = Object.entries(value).map(([key, one]) => [key, inOrder(one)] as const);
  return Object.fromEntries(entries.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}
