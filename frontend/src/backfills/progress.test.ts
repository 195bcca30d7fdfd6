import { expect, test } from "vitest";
import { part, sentenceOf, type Backfill } from "./progress";

const of = (more: Partial<Backfill>): Backfill => ({ state: "running", estimate: 1200, isExact: false, listed: 300, brought: 7, missing: 0, failures: 0, ...more });

test("a backfill says how far it is, and how sure that is", () => {
  expect(sentenceOf(of({}))).toBe("300 of about 1,200 listed, 7 brought.");
  expect(sentenceOf(of({ isExact: true, missing: 2 }))).toBe("300 of 1,200 listed, 7 brought; 2 ids are not at the source.");
  expect(sentenceOf(of({ estimate: null }))).toBe("300 listed, 7 brought.");
  expect(sentenceOf(of({ state: "ready", estimate: null }))).toMatch(/does not say how many/);
});

test("its bar is a part of the estimate, and full when it is done", () => {
  expect([part(of({})), part(of({ listed: 5_000 })), part(of({ estimate: null })), part(of({ state: "done", estimate: null })), part(of({ estimate: 0 }))]).toEqual([0.25, 1, null, 1, 1]);
});
