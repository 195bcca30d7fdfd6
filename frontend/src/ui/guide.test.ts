import { expect, test } from "vitest";
import { blocks } from "./guide";

test("a guide is headings, lists whose items may be broken, and paragraphs", () => {
  expect(blocks("# Connect\n\n1. Open it\n   and go on.\n2. Copy\n\nAfter that\nwait.\n- a")).toEqual([
    { kind: "heading", lines: "Connect" },
    { kind: "list", isOrdered: true, items: ["Open it and go on.", "Copy"] },
    { kind: "text", lines: "After that wait." },
    { kind: "list", isOrdered: false, items: ["a"] },
  ]);
});
