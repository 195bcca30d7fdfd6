// How much comes and goes, a minute: of twelve pieces of five minutes, the oldest first.
import type { RatesQuery, RatesQueryVariables } from "./rate.generated";

export type Piece = RatesQuery["throughput"][number];

export const PIECES = 12;
export const PIECE_MINUTES = 5;
const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/** The pieces end with the minute that runs: the same question while that lasts. The day is a minute short of what the API allows. */
export function bordersAt(nowMs: number): RatesQueryVariables {
  const end = Math.ceil(nowMs / MINUTE_MS) * MINUTE_MS;
  return { from: new Date(end - PIECES * PIECE_MINUTES * MINUTE_MS).toISOString(), since: new Date(end - DAY_MS + MINUTE_MS).toISOString() };
}

/** Of what was counted in one piece. */
export const perMinute = (count: number) => count / PIECE_MINUTES;

/** 0, 0.4, 12: with a digit behind the point only where it says something. */
export function said(rate: number): string {
  return rate === 0 || rate >= 10 ? Math.round(rate).toLocaleString() : String(Number(rate.toFixed(1)));
}

export const aMinute = (count: number) => said(perMinute(count));

const UNITS = [
  { ms: 60 * 60_000, name: "h" },
  { ms: 60_000, name: "min" },
  { ms: 1_000, name: "s" },
];
/** An axis of so long has less than this of a unit only where there is no smaller one. */
const UNITS_MIN = 2;

/** In what an axis up to so long is counted, so that round numbers stand at it. */
export function unitOf(mostMs: number): { ms: number; name: string } {
  return UNITS.find((unit) => mostMs >= UNITS_MIN * unit.ms) ?? { ms: 1, name: "ms" };
}

/** The newest piece in which something was confirmed: what runs may have nothing yet. */
export function lastConfirmed(pieces: readonly Piece[]): Piece | undefined {
  return pieces.findLast((one) => one.p50Ms !== null);
}
