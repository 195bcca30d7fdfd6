import { expect, test } from "vitest";
import { hex } from "./merkle";
import { sha256 } from "./sha256";

test("the examples of the standard", () => {
  const of = (text: string) => hex(sha256(new TextEncoder().encode(text)));
  expect(of("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  expect(of("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
});

test("the same as the platform's own, at every length around the blocks", async () => {
  for (let length = 0; length <= 260; length += 1) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    expect(hex(sha256(bytes)), `${length} bytes`).toBe(hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))));
  }
  const large = crypto.getRandomValues(new Uint8Array(60_001));
  expect(hex(sha256(large))).toBe(hex(new Uint8Array(await crypto.subtle.digest("SHA-256", large))));
});
