import { expect, test } from "vitest";
import { aMinute, bordersAt, PIECES, piecesOf } from "./rates";

test("the pieces lie side by side and end with the minute that runs", () => {
  const borders = Object.values(bordersAt(Date.parse("2026-11-29T10:00:30Z")));
  expect([borders.length, borders[0], borders[1], borders.at(-1)]).toEqual([PIECES + 1, "2026-11-29T09:01:00.000Z", "2026-11-29T09:06:00.000Z", "2026-11-29T10:01:00.000Z"]);
  expect(bordersAt(Date.parse("2026-11-29T10:00:59Z"))).toEqual(bordersAt(Date.parse("2026-11-29T10:00:01Z")));
});

test("a piece has what was accepted and what was confirmed, and nothing where nothing was", () => {
  const none = Object.fromEntries(Array.from({ length: PIECES }, (_, index) => [`b${index}`, []]));
  const pieces = piecesOf({ ...none, b11: [{ meter: "MESSAGE_ACCEPTED", quantity: 7 }, { meter: "VENDOR_CALL", quantity: 90 }] } as never);
  expect([pieces.length, pieces[0], pieces[11]]).toEqual([12, { accepted: 0, confirmed: 0 }, { accepted: 7, confirmed: 0 }]);
});

test("a minute is a whole number where it is large, and never 0 where something came", () => {
  expect([0, 1, 2, 7, 50, 5_000].map(aMinute)).toEqual(["0", "0.2", "0.4", "1.4", "10", "1,000"]);
});
