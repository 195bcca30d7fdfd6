import { expect, test } from "vitest";
import { beginnings, MONTHS, monthsOf, sheetOf } from "./by-month";

const NOW = new Date("2026-11-29T10:00:00Z");

test("thirteen months lie side by side, over a year's end, to the end of this one", () => {
  const borders = Object.values(beginnings(NOW));
  expect([borders.length, borders[0], borders[1], borders.at(-2), borders.at(-1)]).toEqual([14, "2025-11-01T00:00:00.000Z", "2025-12-01T00:00:00.000Z", "2026-11-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z"]);
});

test("each month has its own lines, the newest first, and stands so in the sheet", () => {
  const none = Object.fromEntries(Array.from({ length: MONTHS }, (_, index) => [`m${index}`, []]));
  const months = monthsOf({ ...none, m12: [{ meter: "MESSAGE_ACCEPTED", quantity: 7 }], m0: [{ meter: "VENDOR_CALL", quantity: 2 }] } as never, NOW);
  expect([months[0], months[12]?.month, months[12]?.quantities.VENDOR_CALL]).toEqual([{ month: "2026-11", quantities: { MESSAGE_ACCEPTED: 7, DELIVERY_CONFIRMED: 0, VENDOR_CALL: 0 } }, "2025-11", 2]);
  expect(sheetOf(months.slice(0, 1))).toBe("month,message_accepted,delivery_confirmed,vendor_call\r\n2026-11,7,0,0\r\n");
});
