// The last months beside each other, and as a sheet for whoever books them.
import type { UsageHistoryQuery, UsageHistoryQueryVariables } from "./history.generated";
import type { Meter } from "./meters";
import { lastMonths } from "./months";

export const MONTHS = 13;
export interface Month {
  month: string;
  quantities: Record<Meter, number>;
}

/** The beginnings of the months, the oldest first, and the end of the last one. */
export function beginnings(now: Date): UsageHistoryQueryVariables {
  const months = lastMonths(new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1)), MONTHS + 1).reverse();
  return Object.fromEntries(months.map((month, index) => [`t${index}`, `${month}-01T00:00:00.000Z`])) as unknown as UsageHistoryQueryVariables;
}

/** The newest first. */
export function monthsOf(data: UsageHistoryQuery, now: Date): Month[] {
  const of = (lines: readonly { meter: Meter; quantity: number }[], meter: Meter) => lines.find((line) => line.meter === meter)?.quantity ?? 0;
  return lastMonths(now, MONTHS).map((month, back) => {
    const lines = data[`m${MONTHS - 1 - back}` as keyof UsageHistoryQuery];
    return { month, quantities: { MESSAGE_ACCEPTED: of(lines, "MESSAGE_ACCEPTED"), DELIVERY_CONFIRMED: of(lines, "DELIVERY_CONFIRMED"), VENDOR_CALL: of(lines, "VENDOR_CALL") } };
  });
}

/** One line a month, with the API's names. */
export function sheetOf(months: readonly Month[]): string {
  const lines = months.map(({ month, quantities }) => [month, quantities.MESSAGE_ACCEPTED, quantities.DELIVERY_CONFIRMED, quantities.VENDOR_CALL].join(","));
  return `${["month,message_accepted,delivery_confirmed,vendor_call", ...lines].join("\r\n")}\r\n`;
}
