// How much comes and goes, a minute: of twelve pieces of five minutes, the oldest first.
import type { RatesQuery, RatesQueryVariables } from "./rate.generated";

export const PIECES = 12;
export const PIECE_MINUTES = 5;
const MINUTE_MS = 60_000;

export interface Piece {
  accepted: number;
  confirmed: number;
}

/** The borders of the pieces, which end with the minute that runs: the same question while that lasts. */
export function bordersAt(nowMs: number): RatesQueryVariables {
  const end = Math.ceil(nowMs / MINUTE_MS) * MINUTE_MS;
  const at = (index: number) => new Date(end - (PIECES - index) * PIECE_MINUTES * MINUTE_MS).toISOString();
  return Object.fromEntries(Array.from({ length: PIECES + 1 }, (_, index) => [`t${index}`, at(index)])) as unknown as RatesQueryVariables;
}

export function piecesOf(data: RatesQuery): Piece[] {
  const of = (lines: readonly { meter: string; quantity: number }[], meter: string) => lines.find((line) => line.meter === meter)?.quantity ?? 0;
  return Array.from({ length: PIECES }, (_, index) => data[`b${index}` as keyof RatesQuery]).map((lines) => ({ accepted: of(lines, "MESSAGE_ACCEPTED"), confirmed: of(lines, "DELIVERY_CONFIRMED") }));
}

/** 0, 0.4, 12: with a digit behind the point only where it says something. */
export function aMinute(count: number): string {
  const rate = count / PIECE_MINUTES;
  return rate === 0 || rate >= 10 ? Math.round(rate).toLocaleString() : String(Number(rate.toFixed(1)));
}
