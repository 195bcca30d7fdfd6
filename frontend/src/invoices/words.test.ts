import { expect, test } from "vitest";
import { dayCount, daysOf, sheetOf, title, what, type Invoice, type Line } from "./words";

const line: Line = { kind: "USAGE", plan: "Growth", from: "2026-11-01", to: "2026-11-30", meter: "VENDOR_CALL", used: 1802, included: 1000, beyond: 802, charges: [{ quantity: 500, price: "0.01", amount: "5.00" }, { quantity: 302, price: "0.005", amount: "1.51" }], fee: null, reason: null, amount: "6.51" };
const fee: Line = { ...line, kind: "BASE_FEE", meter: null, used: 0, included: 0, beyond: 0, charges: [], fee: "100.00", amount: "66.67", from: "2026-11-11" };
const invoice: Invoice = { id: "ivc_1", number: 7, month: "2026-11", currency: "EUR", total: "73.18", tenantName: "Acme", closedAt: "2026-12-02T00:00:00Z", corrects: null, creditNotes: [], lines: [fee, line] };

test("a line says what it is for, and for which days", () => {
  expect([what(fee), what(line), what({ ...line, kind: "LATE_USAGE" }), what({ ...line, kind: "NO_PLAN" })]).toEqual(["Base fee of Growth", "Calls to vendors", "Calls to vendors, counted after that month was closed", "Calls to vendors, on no plan"]);
  expect([daysOf(line, "2026-11"), dayCount(fee)]).toEqual(["whole month", [20, 30]]);
  expect(daysOf(fee, "2026-11")).toContain(" to ");
  expect(daysOf(line, "2026-12")).not.toBe("whole month");
  expect([title(invoice), title({ number: 8, corrects: { number: 7 } })]).toEqual(["Invoice 7", "Credit note 8"]);
});

test("a sheet has a row for each charge, digits as they came, and no formula", () => {
  expect(sheetOf(invoice).split("\r\n")).toEqual([
    "number,month,kind,plan,from,to,meter,used,included,beyond,quantity,price,amount,currency",
    "7,2026-11,base_fee,Growth,2026-11-11,2026-11-30,,0,0,0,,100.00,66.67,EUR",
    "7,2026-11,usage,Growth,2026-11-01,2026-11-30,vendor_call,1802,1000,802,500,0.01,5.00,EUR",
    "7,2026-11,usage,Growth,2026-11-01,2026-11-30,vendor_call,1802,1000,802,302,0.005,1.51,EUR",
    "",
  ]);
  const credit: Line = { ...fee, kind: "CREDIT", plan: null, fee: null, reason: '=SUM("a",1)', amount: "-5.00" };
  expect(sheetOf({ ...invoice, lines: [credit] }).split("\r\n")[1]).toBe(`7,2026-11,credit,"'=SUM(""a"",1)",2026-11-11,2026-11-30,,0,0,0,,,-5.00,EUR`);
});
