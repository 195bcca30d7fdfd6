// Months as they are billed: of UTC, so that everybody of a tenant sees the same ones, wherever they sit.

const name = new Intl.DateTimeFormat(undefined, { month: "long", year: "numeric", timeZone: "UTC" });

/** 2026-11 is November 2026 */
export function monthName(month: string): string {
  return name.format(new Date(`${month}-01T00:00:00Z`));
}

const short = new Intl.DateTimeFormat(undefined, { month: "short", timeZone: "UTC" });

/** 2026-11 is Nov, where the year is plain. */
export function shortName(month: string): string {
  return short.format(new Date(`${month}-01T00:00:00Z`));
}

/** The month of a moment, and those before it, the newest first. */
export function lastMonths(now: Date, count: number): string[] {
  return Array.from({ length: count }, (_, back) => start(now.getUTCFullYear(), now.getUTCMonth() - back).toISOString().slice(0, 7));
}

export function isMonth(text: string | undefined): text is string {
  return text !== undefined && /^\d{4}-(0[1-9]|1[0-2])$/.test(text);
}

/** From when to when a month and the one before it are counted; `soFarTo` is as far into the one before as `now` is into this one. */
export function boundsOf(month: string, now: Date) {
  const [year = 0, number = 1] = month.split("-").map(Number);
  const [from, to, beforeFrom] = [start(year, number - 1), start(year, number), start(year, number - 2)];
  const into = Math.max(0, now.getTime() - from.getTime());
  const soFarTo = new Date(Math.min(beforeFrom.getTime() + into, from.getTime()));
  const isRunning = from <= now && now < to;
  return { isRunning, from: from.toISOString(), to: to.toISOString(), beforeFrom: beforeFrom.toISOString(), beforeTo: from.toISOString(), soFarTo: soFarTo.toISOString() };
}

function start(year: number, month: number): Date {
  return new Date(Date.UTC(year, month, 1));
}

/** How much more or less, in words: +12 %, −3 %, as much. */
export function change(now: number, before: number): string {
  if (before === 0) return now === 0 ? "" : "new";
  const percent = Math.round(((now - before) / before) * 100);
  return percent === 0 ? "as much" : `${percent > 0 ? "+" : "−"}${Math.abs(percent).toLocaleString()} %`;
}
