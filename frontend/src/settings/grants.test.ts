import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { GRANTS, grantsOf, keysOf, lostBy } from "./grants";

const key = (id: string, of: string | null, permissions: string[], state = "ACTIVE") => ({ id, state, permissions, serviceAccount: of === null ? null : { id: of } });
const keys = [key("1", "a", ["READ_OPERATIONS", "CONFIGURE"]), key("2", "a", ["READ_OPERATIONS"]), key("3", "a", ["CONFIGURE"], "REVOKED"), key("4", "b", ["CONFIGURE"]), key("5", null, ["CONFIGURE"])];

test("a key may be given what is for keys, and of an account what that has", () => {
  const table = readFileSync(join(import.meta.dirname, "../../../domain/src/permission.rs"), "utf8");
  const rows = [...table.matchAll(/Row\((\w+), .*, true\)/g)].map(([, name]) => (name ?? "").replace(/(?<!^)[A-Z]/g, "_$&").toUpperCase());
  expect([...rows].sort()).toEqual(Object.keys(GRANTS).sort());
  expect(grantsOf()).toEqual(Object.keys(GRANTS));
  expect(grantsOf({ permissions: ["CONFIGURE", "READ_OPERATIONS"] })).toEqual(["READ_OPERATIONS", "CONFIGURE"]);
});

test("the keys of an account are those that are good", () => expect(keysOf({ id: "a" }, keys).map((one) => one.id)).toEqual(["1", "2"]));

test("who narrows an account is told which keys lose what", () => {
  const of = keysOf({ id: "a" }, keys);
  expect(lostBy(of, ["READ_OPERATIONS", "READ_AUDIT"]).map(({ key, loses }) => [key.id, loses])).toEqual([["1", ["CONFIGURE"]]]);
  expect(lostBy(of, ["READ_OPERATIONS", "CONFIGURE"])).toEqual([]);
});
