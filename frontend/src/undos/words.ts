// What an undo says, in words: how far it came, and what becomes of each thing that the version did. The report is JSON of the API (docs/undo.md).

interface Sum {
  currency: string;
  amount: string;
}

export interface Report {
  deliveries?: number;
  restore?: number;
  correct?: number;
  created?: number;
  same?: number;
  covered?: number;
  open?: number;
  cannot?: number;
  behind?: number;
  inexact?: number;
  has_more?: boolean;
  values?: { fields?: { field: string; records: number; money?: Sum[] }[]; money?: Sum[] };
}

/** The kinds of items, those that are written first, and what each means. */
export const KINDS = {
  restore: "get back what stood there before",
  correct: "are sent again by good rules",
  created: "were created there, and a person looks: there is nothing to restore",
  same: "are as they are to be already",
  covered: "were confirmed again since: what stands there stays",
  open: "have not settled: settle them, then prepare another undo",
  cannot: "cannot be taken back",
  left: "were to be sent, and something came meanwhile: they are left",
} as const;
export type Kind = keyof typeof KINDS;

export function counts(report: Report): { kind: Kind; count: number }[] {
  return (Object.keys(KINDS) as Kind[]).flatMap((kind) => {
    const count = kind === "left" ? 0 : (report[kind] ?? 0);
    return count > 0 ? [{ kind, count }] : [];
  });
}

/** How many would be, or were, written. */
export function sends(report: Report): number {
  return (report.restore ?? 0) + (report.correct ?? 0);
}

export const isOver = (state: string) => ["done", "failed", "cancelled"].includes(state);

export function stateInWords(state: string, report: Report): string {
  const seen = (report.deliveries ?? 0).toLocaleString("en");
  const sent = sends(report).toLocaleString("en");
  switch (state) {
    case "queued":
      return "It is about to be prepared. Nothing is sent.";
    case "preparing":
      return `It is being prepared: ${seen} deliveries were looked at until now. Nothing is sent.`;
    case "prepared":
      return `It is prepared, and a person decides. Of ${seen} deliveries ${sent} would be written. Nothing was sent yet.`;
    case "approved":
    case "delivering":
      return `It was approved: ${sent} are being written, as deliveries like any other.`;
    case "done":
      return "It is done: each was confirmed, or a person was told why not.";
    case "cancelled":
      return "It was cancelled. Nothing was sent.";
    default:
      return "It failed.";
  }
}

/** The person in what is kept of who did it: an actor, or an actor with a reason. */
export function personIn(actor: unknown, members: readonly { userId: string; name: string; email: string }[]): string {
  const found = /usr_[0-9a-f]{32}/.exec(JSON.stringify(actor ?? null))?.[0];
  const member = members.find((one) => one.userId === found);
  return member ? member.name || member.email : found ? "somebody who left" : "an operator of the installation";
}
