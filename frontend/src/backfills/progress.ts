// How far a backfill is, in words and as a part of the whole where that is known.
export interface Backfill {
  state: string;
  estimate?: number | null;
  isExact: boolean;
  listed: number;
  brought: number;
  missing: number;
  failure?: string | null;
  failures: number;
}

/** From 0 to 1; null where nobody knows how many there are. */
export function part(one: Backfill): number | null {
  if (one.state === "done") return 1;
  if (one.estimate == null) return null;
  return one.estimate === 0 ? 1 : Math.min(1, one.listed / one.estimate);
}

const number = (count: number) => count.toLocaleString("en");

export function sentenceOf(one: Backfill): string {
  const all = one.estimate == null ? null : `${one.isExact ? "" : "about "}${number(one.estimate)}`;
  if (one.state === "preparing") return "Some pages are read, to say how many records there are.";
  if (one.state === "ready") return all === null ? "The source does not say how many records there are. Nothing is brought before you run it." : `There are ${all} records. Nothing is brought before you run it.`;
  const listed = `${number(one.listed)}${all === null || one.state === "done" ? "" : ` of ${all}`} listed, ${number(one.brought)} brought`;
  const missing = one.missing > 0 ? `; ${number(one.missing)} ids are not at the source` : "";
  return `${listed}${missing}.`;
}
