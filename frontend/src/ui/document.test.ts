import { expect, test } from "vitest";
import { lastName, piecesOf, pretty } from "./document";

test("a document is indented without a digit being changed", () => {
  const text = '{"id":5123456789012345607,"total":10.50,"tags":[],"lines":[{"sku":"A \\"B\\" {,}"}]}';
  expect(pretty(text)).toBe(
    '{\n  "id": 5123456789012345607,\n  "total": 10.50,\n  "tags": [],\n  "lines": [\n    {\n      "sku": "A \\"B\\" {,}"\n    }\n  ]\n}',
  );
});

test("what is indented already stays as it is, and what is no JSON too", () => {
  const once = pretty('{"a":{"b":[1,2]}}');
  expect(pretty(once)).toBe(once);
  expect(pretty("<order>7</order>")).toBe("<order>7</order>");
});

test("a path's last name", () => {
  expect(lastName("item.items[].item.id")).toBe("id");
  expect(lastName("lines[2].sku")).toBe("sku");
  expect(lastName("tags[]")).toBe("tags");
});

test("what is at fault is marked line by line, and all else is one piece, however long", () => {
  const long = Array.from({ length: 10_000 }, (_, index) => `  "line": ${index},`);
  const text = ["{", ...long, '  "sku": "HAT-XL",', ...long, '  "code": "HAT-XL"', "}"].join("\n");
  const pieces = piecesOf(text, "lines[0].sku", "HAT-XL");
  expect(pieces.filter((one) => one.isMarked).map((one) => one.text)).toEqual(['  "sku": "HAT-XL",', '  "code": "HAT-XL"']);
  expect(pieces.length).toBe(5);
  expect(pieces.map((one) => one.text).join("")).toBe(text);
});
