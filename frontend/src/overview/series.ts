// What is said of the series that are not shown: how they stand, as far as they were asked for.
import type { OverviewQuery } from "./query.generated";

export type Series = OverviewQuery["arrivalSeries"]["nodes"][number];

const ORDER: Record<Series["state"], number> = { SILENT: 0, SURGING: 1, LEARNING: 2, STEADY: 3 };

/** Silence first, because that is what somebody looks here for. */
export function bySilence<One extends Pick<Series, "state">>(series: readonly One[]): One[] {
  return series.toSorted((a, b) => ORDER[a.state] - ORDER[b.state]);
}

const SAID: Record<Series["state"], string> = { SILENT: "silent", SURGING: "surging", LEARNING: "still learned", STEADY: "steady" };

/** Of those that are left, in the order of `bySilence`: "And 12 more: 2 silent, 10 steady."; null where none are left. */
export function restSaid(left: readonly Pick<Series, "state">[]): string | null {
  if (left.length === 0) return null;
  const states = [...new Set(left.map((one) => one.state))];
  const [only] = states;
  if (only && states.length === 1) return `And ${left.length.toLocaleString()} more, which ${left.length === 1 ? "is" : "are"} ${SAID[only]}.`;
  const counts = states.map((state) => `${left.filter((one) => one.state === state).length.toLocaleString()} ${SAID[state]}`);
  return `And ${left.length.toLocaleString()} more: ${counts.join(", ")}.`;
}
