import { describe, expect, test } from "vitest";
import { bytes, text } from "./passkey";

describe("bytes as base64url", () => {
  test("there and back again, without padding", () => {
    for (const [plain, written] of [
      [[], ""],
      [[0], "AA"],
      [[251, 255, 254], "-__-"],
      [[1, 2, 3, 4], "AQIDBA"],
    ] as const) {
      expect(text(Uint8Array.from(plain).buffer)).toBe(written);
      expect([...bytes(written)]).toEqual([...plain]);
    }
  });
});
