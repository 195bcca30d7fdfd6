// What a swap says, in words: how far it is, and what its shadow found. The report is JSON of the API (docs/swap.md).

export interface Report {
  deliveries?: number;
  made?: number;
  refused?: number;
  mended?: number;
  both_refused?: number;
  left?: number;
  looked_up?: number;
  untold?: number;
  causes?: { reason: { sentence?: string; code?: string }; newly: number; records: number }[];
  lost?: { field: string; records: number; money?: { currency: string; amount: string }[] }[];
  worth?: { currency: string; old: string; candidate: string }[];
}

const COUNTS: readonly (readonly [key: Exclude<keyof Report, "causes" | "lost" | "worth">, words: string, ofOne?: string])[] = [
  ["made", "have a request on both sides", "has a request on both sides"],
  ["refused", "the candidate has no request for, and the destination of now has"],
  ["mended", "only the candidate has a request for"],
  ["both_refused", "neither has a request for"],
  ["left", "the filter leaves out"],
  ["looked_up", "would be looked up at the candidate first; what it finds is not known"],
];

/** The counts that are not nothing. */
export function counts(report: Report): string[] {
  return COUNTS.flatMap(([key, words, ofOne]) => {
    const count = report[key] ?? 0;
    return count > 0 ? [`${count.toLocaleString("en")} ${count === 1 ? (ofOne ?? words) : words}`] : [];
  });
}

/** Only with a reason does one go on from a shadow that saw nothing, or found what is refused or lost. */
export function needsWhy(report: Report | null): boolean {
  return report === null || (report.deliveries ?? 0) === 0 || (report.refused ?? 0) > 0 || (report.lost ?? []).length > 0;
}

export const isOver = (state: string) => state === "done" || state === "back";

export function stateInWords(state: string, percent: number, before: string, candidate: string): string {
  switch (state) {
    case "draft":
      return `Nothing runs by it yet: all goes to ${before}. Look at the gaps, then let the shadow run.`;
    case "shadow":
      return `Of each delivery to ${before} the request for ${candidate} is made too, and not sent.`;
    case "cutting":
      return `${percent} of a hundred new records go to ${candidate}, the others to ${before}. A record stays where it was first delivered.`;
    case "done":
      return `${candidate} is the destination of the flow.`;
    case "back":
      return `It was given up: new records go to ${before}. What ${candidate} has is changed there.`;
    default:
      return state;
  }
}
