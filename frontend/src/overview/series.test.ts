import { expect, test } from "vitest";
import { bySilence, restSaid } from "./series";

const of = (...states: ("SILENT" | "SURGING" | "LEARNING" | "STEADY")[]) => states.map((state) => ({ state }));

test("silence stands first, and what is learned still is not steady", () => {
  expect(bySilence(of("STEADY", "LEARNING", "SURGING", "SILENT")).map((one) => one.state)).toEqual(["SILENT", "SURGING", "LEARNING", "STEADY"]);
});

test("of what is not shown it is said how it stands, and nothing that is not so", () => {
  expect(restSaid([])).toBeNull();
  expect(restSaid(of("STEADY", "STEADY"))).toBe("And 2 more, which are steady.");
  expect(restSaid(of("LEARNING"))).toBe("And 1 more, which is still learned.");
  expect(restSaid(of("SILENT", "SILENT", "LEARNING", "STEADY"))).toBe("And 4 more: 2 silent, 1 still learned, 1 steady.");
});
