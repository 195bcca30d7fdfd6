// Invoices in words, and as a sheet. Money stays decimal digits from the API on: nothing here adds.
import { METERS } from "../usage/meters";
import type { InvoiceQuery } from "./query.generated";

export type Invoice = NonNullable<InvoiceQuery["invoice"]>;
export type Line = Invoice["lines"][number];

const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", timeZone: "UTC" });

export function dayName(text: string): string {
  return day.format(new Date(`${text}T00:00:00Z`));
}

/** What a line is for. */
export function what(line: Line): string {
  const meter = line.meter ? METERS[line.meter] : "";
  switch (line.kind) {
    case "BASE_FEE":
      return `Base fee of ${line.plan}`;
    case "USAGE":
      return meter;
    case "LATE_USAGE":
      return `${meter}, counted after that month was closed`;
    case "NO_PLAN":
      return `${meter}, on no plan`;
    case "CREDIT":
      return `Given back: ${line.reason ?? ""}`;
  }
}

/** Its days, where they are not the whole month of the invoice: "11 to 30 Nov 2026". */
export function daysOf(line: Line, month: string): string {
  if (line.from === `${month}-01` && line.to === `${month}-${daysIn(month)}`) return "whole month";
  return line.from === line.to ? dayName(line.from) : `${dayName(line.from)} to ${dayName(line.to)}`;
}

export function dayCount(line: Line): [days: number, ofMonth: number] {
  const [from, to] = [new Date(`${line.from}T00:00:00Z`), new Date(`${line.to}T00:00:00Z`)];
  return [Math.round((to.getTime() - from.getTime()) / 86_400_000) + 1, daysIn(line.from)];
}

/** Of the month of a day or month: 2026-11 has 30. */
function daysIn(text: string): number {
  return new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)), 0)).getUTCDate();
}

/** Something counted has used, included and beyond; a fee and a credit have none. */
export function isCounted(line: Line): boolean {
  return line.meter !== null;
}

export function isCreditNote(invoice: { corrects: unknown }): boolean {
  return invoice.corrects !== null;
}

export function title(invoice: { number: number; corrects: unknown }): string {
  return `${isCreditNote(invoice) ? "Credit note" : "Invoice"} ${invoice.number}`;
}

/** A text of a sheet: in quotes where it has to be, and no formula to whoever opens it. */
function cell(text: string): string {
  const guarded = /^[=+\-@\t\r\n＝＋－＠]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(guarded) ? `"${guarded.replaceAll('"', '""')}"` : guarded;
}

/** One row for each charge, with the API's names; what costs nothing has one, too. The amounts of all rows are the total. */
export function sheetOf(invoice: Invoice): string {
  const head = "number,month,kind,plan,from,to,meter,used,included,beyond,quantity,price,amount,currency";
  const rows = invoice.lines.flatMap((line) => {
    const charges = line.charges.length > 0 ? line.charges : [{ quantity: "", price: line.fee ?? "", amount: line.amount }];
    const start = [invoice.number, invoice.month, line.kind.toLowerCase(), cell(line.plan ?? line.reason ?? ""), line.from, line.to, line.meter?.toLowerCase() ?? "", line.used, line.included, line.beyond];
    return charges.map((charge) => [...start, charge.quantity, charge.price, charge.amount, invoice.currency].join(","));
  });
  return `${[head, ...rows].join("\r\n")}\r\n`;
}
