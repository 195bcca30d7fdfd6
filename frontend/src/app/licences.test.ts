import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

/** What a page may carry; as the Rust side has it in infra/xtask/src/tidy.rs. */
const ALLOWED = ["MIT", "Apache-2.0", "ISC", "BSD-2-Clause", "BSD-3-Clause", "MPL-2.0", "0BSD", "Unlicense", "MIT OR Apache-2.0"];

interface Lock {
  packages: Record<string, { license?: string; resolved?: string }>;
}

test("every package has a licence from the list, and the lock names no registry's host", () => {
  const lock = JSON.parse(readFileSync(join(import.meta.dirname, "../../package-lock.json"), "utf8")) as Lock;
  const others = Object.entries(lock.packages).filter(([, one]) => !ALLOWED.includes(one.license ?? ""));
  expect(others).toEqual([]);
  expect(Object.values(lock.packages).filter((one) => one.resolved)).toEqual([]);
});
