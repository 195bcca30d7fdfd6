import { expect, test } from "vitest";
import { counts, found, sentenceOf } from "./report";

const of = (state: string, report: object, more: object = {}) => sentenceOf({ state, isProof: false, failure: null, report, ...more });

test("a reconciliation comes to one sentence", () => {
  expect(of("running", { source_listed: 1200, agreed: 7 })).toBe("It reads both sides: 1,200 listed by the source, 7 agree until now.");
  expect(of("done", {}, { isProof: true })).toBe("Proven: both sides were read to their ends and agree.");
  expect(of("done", { gone: 1 })).toBe("1 difference found.");
  expect(of("done", { gone: 1, different: 2, source_complete: false })).toBe("3 differences found.");
  expect(of("done", { source_complete: false, destination_complete: true })).toBe("Nothing differs, and nothing is proven: the source could not be read to the end.");
  expect(of("done", { source_complete: true, destination_complete: true, exceptions: 2 })).toBe("Nothing differs, and 2 are still owed: they are on their way or wait for a person.");
  expect(of("failed", {}, { failure: "The source refuses the credential." })).toBe("The source refuses the credential.");
});

test("only what there is is counted, but for what both sides say", () => {
  expect(counts({ source_listed: 0, agreed: 5, left: 0, calls: 3 })).toEqual([
    { count: 0, what: "listed by the source" },
    { count: 5, what: "agree on both sides" },
    { count: 3, what: "calls made" },
  ]);
  expect(found({ gone: 2, extra: 0, agreed: 9 })).toEqual([{ kind: "gone", count: 2 }]);
});
