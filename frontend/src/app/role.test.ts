import { expect, test } from "vitest";
import { may, PERMISSIONS } from "./role";

test("each role sees the acts that the server would take from it", () => {
  const of = (role: string) => PERMISSIONS.filter((one) => may(role, one));
  expect(Object.fromEntries(["owner", "admin", "operator", "developer", "auditor", "billing"].map((role) => [role, of(role).join(" ")]))).toEqual({
    owner: "read work configure audit usage members owners keys",
    admin: "read work configure audit usage members keys",
    operator: "read work usage",
    developer: "read work configure usage",
    auditor: "read audit usage",
    billing: "usage",
  });
});

test("a role that is not known yet, or not here, leaves it to the server", () => {
  expect([may(undefined, "configure"), may("a new role", "work")]).toEqual([true, true]);
});
