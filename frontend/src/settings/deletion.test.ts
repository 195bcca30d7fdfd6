import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { DAYS, isNamed } from "./deletion";

test("only the slug itself names a tenant, and not one that is like it", () => {
  expect(isNamed("acme", "acme")).toBe(true);
  expect(isNamed(" acme ", "acme")).toBe(true);
  for (const typed of ["", "Acme", "acme-2", "acm"]) expect(isNamed(typed, "acme"), typed).toBe(false);
});

test("the days that are said are the days that the database waits", () => {
  const sql = readFileSync(join(import.meta.dirname, "../../../migrations/sql/0053_tenant_deletions.up.sql"), "utf8");
  expect(sql).toContain(`interval '${DAYS} days'`);
});
