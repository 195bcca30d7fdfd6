// A rule in words: which causes it is about, and what is done about them.
import { money } from "../ui/money";

export interface RuleLike {
  ageMinMinutes?: number | null;
  codePrefix?: string | null;
  countMin?: number | null;
  moneyMin?: { amount: string; currency: string } | null;
  owner?: string | null;
  tag?: string | null;
}

/** 90 minutes are "90 minutes", 120 are "2 hours". */
export function minutes(count: number): string {
  const of = (n: number, unit: string) => `${n} ${unit}${n === 1 ? "" : "s"}`;
  if (count % 1_440 === 0) return of(count / 1_440, "day");
  return count % 60 === 0 ? of(count / 60, "hour") : of(count, "minute");
}

/** What must be so of a cause; `where` names the connection and the flow. */
export function conditions(rule: RuleLike, where: string[] = []): string {
  const said = [
    ...where,
    rule.codePrefix && `its code begins with ${rule.codePrefix}`,
    rule.owner && `it is for ${rule.owner}`,
    rule.tag && `it is tagged ${rule.tag}`,
    rule.countMin && `at least ${rule.countMin} are open`,
    rule.ageMinMinutes && `the oldest is open for ${minutes(rule.ageMinMinutes)}`,
    rule.moneyMin && `at least ${money(rule.moneyMin.amount, rule.moneyMin.currency)} are at stake`,
  ].filter(Boolean);
  return said.length === 0 ? "Every cause" : `A cause where ${said.join(", and ")}`;
}

/** A line of quiet hours: `22:00 07:00 Sat Sun`. */
export function quietHoursOf(text: string): { from: string; until: string; days: string[] }[] {
  return text
    .split("\n")
    .map((line) => line.split(/[\s,]+|-/).filter((word) => word !== "" && word !== "to"))
    .filter((words) => words.length > 0)
    .map(([from = "", until = "", ...days]) => ({ from, until, days }));
}
