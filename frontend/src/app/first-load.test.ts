import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const DIST = join(import.meta.dirname, "../../dist");
const LIMIT_BYTES = 250 * 1024;

/** A script with all that it imports before it runs. What it loads later is `import(…)`, and not counted. */
function withImports(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  const text = readFileSync(file, "utf8");
  for (const [, name] of text.matchAll(/(?:^|[;}\n])import(?:[^"'()]*from)?["'](\.[^"']+)["']/g)) withImports(join(dirname(file), name ?? ""), found);
  return found;
}

/** Pages share most of their files: each is packed once. */
const sizes = new Map<string, number>();
function sizeOf(file: string): number {
  const size = sizes.get(file) ?? gzipSync(readFileSync(file)).length;
  sizes.set(file, size);
  return size;
}
const packed = (files: Iterable<string>) => [...files].reduce((sum, file) => sum + sizeOf(file), 0);

test.runIf(existsSync(DIST))("the first load is below 250 KB of compressed script, whatever page it is", { timeout: 60_000 }, () => {
  const page = readFileSync(join(DIST, "index.html"), "utf8");
  const entry = [...page.matchAll(/<script[^>]+src="([^"]+)"/g)].map(([, source]) => join(DIST, source ?? ""));
  const first = new Set(entry.flatMap((file) => [...withImports(file)]));
  const main = readFileSync(entry.at(-1) ?? "", "utf8");
  const pages = [...main.matchAll(/import\(`?["'`]\.\/([^"'`]+\.js)["'`]/g)].map(([, name]) => join(DIST, "assets", name ?? ""));
  expect(pages.length).toBeGreaterThan(8);
  for (const file of pages) {
    const size = packed(new Set([...first, ...withImports(file)]));
    expect(size, `${file}: ${Math.round(size / 1024)} KB`).toBeLessThan(LIMIT_BYTES);
  }
});

test.runIf(existsSync(DIST))("nothing in the page itself would need the policy to be weaker", () => {
  const page = readFileSync(join(DIST, "index.html"), "utf8");
  expect(page).not.toMatch(/<script(?![^>]*\bsrc=)[^>]*>|<style|\sstyle=|\son\w+=/);
});
