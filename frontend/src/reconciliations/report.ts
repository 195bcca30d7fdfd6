// What a reconciliation's report says, in words. It is JSON of the API (docs/reconciliation.md) and grows while it runs: what is missing of it is 0.
export interface Report {
  source_listed?: number;
  left?: number;
  unreadable?: number;
  under_way?: number;
  exceptions?: number;
  settled_otherwise?: number;
  confirmed?: number;
  destination_listed?: number;
  agreed?: number;
  never_came?: number;
  outdated?: number;
  not_planned?: number;
  gone?: number;
  different?: number;
  extra?: number;
  unchecked?: number;
  calls?: number;
  fields_compared?: string[];
  fields_uncompared?: string[];
  notes?: string[];
  source_complete?: boolean;
  destination_complete?: boolean;
}

/** Each kind of difference: what it means, and whether a person decides about it. */
export const KINDS: Record<string, { means: string; isDecided: boolean }> = {
  never_came: { means: "The source has it, and it never came. It is brought now.", isDecided: false },
  outdated: { means: "The source says something newer than what came. It is brought now.", isDecided: false },
  not_planned: { means: "It came, and nothing was planned for it. It is planned now.", isDecided: false },
  gone: { means: "It was confirmed, and the destination has it no more.", isDecided: true },
  different: { means: "Both sides have it, and they do not say the same.", isDecided: true },
  extra: { means: "The destination has a second one under our key.", isDecided: true },
};

const COUNTS: [keyof Report, string][] = [
  ["source_listed", "listed by the source"],
  ["left", "left out by the filter"],
  ["unreadable", "could not be read"],
  ["under_way", "on their way"],
  ["exceptions", "wait for a person"],
  ["settled_otherwise", "settled otherwise, so nothing is owed"],
  ["confirmed", "were confirmed"],
  ["destination_listed", "listed by the destination"],
  ["agreed", "agree on both sides"],
  ["unchecked", "could not be asked for"],
  ["calls", "calls made"],
];

export function counts(report: Report): { count: number; what: string }[] {
  return COUNTS.flatMap(([key, what]) => {
    const count = report[key];
    return typeof count === "number" && (count > 0 || key === "source_listed" || key === "agreed") ? [{ count, what }] : [];
  });
}

/** Differences by kind, those that there are. */
export function found(report: Report): { kind: string; count: number }[] {
  return Object.keys(KINDS).flatMap((kind) => {
    const count = report[kind as keyof Report];
    return typeof count === "number" && count > 0 ? [{ kind, count }] : [];
  });
}

/** What it comes to, as a sentence. */
export function sentenceOf(one: { state: string; isProof: boolean; failure?: string | null; report: unknown }): string {
  const report = (one.report ?? {}) as Report;
  const all = found(report).reduce((sum, kind) => sum + kind.count, 0);
  if (one.state === "queued") return "It begins in a moment.";
  if (one.state === "running") return `It reads both sides: ${(report.source_listed ?? 0).toLocaleString("en")} listed by the source, ${(report.agreed ?? 0).toLocaleString("en")} agree until now.`;
  if (one.failure) return one.failure;
  if (one.isProof) return "Proven: both sides were read to their ends and agree.";
  if (all > 0) return `${all.toLocaleString("en")} ${all === 1 ? "difference" : "differences"} found.`;
  const unread = [report.source_complete === false && "the source", report.destination_complete === false && "the destination"].filter(Boolean).join(" and ");
  if (unread) return `Nothing differs, and nothing is proven: ${unread} could not be read to the end.`;
  const owed = (report.under_way ?? 0) + (report.exceptions ?? 0);
  if (owed > 0) return `Nothing differs, and ${owed.toLocaleString("en")} are still owed: they are on their way or wait for a person.`;
  return "Nothing differs, and not everything could be proven.";
}
