import { expect, test } from "vitest";
import { may } from "./role";

test("each role sees the acts that the server would take from it", () => {
  const of = (role: string) => (["read", "work", "configure", "audit"] as const).filter((one) => may(role, one));
  expect(Object.fromEntries(["owner", "admin", "operator", "developer", "auditor", "billing"].map((role) => [role, of(role).join(" ")]))).toEqual({
    owner: "read work configure audit",
    admin: "read work configure audit",
    operator: "read work",
    developer: "read work configure",
    auditor: "read audit",
    billing: "",
  });
});

test("a role that is not known yet, or not here, leaves it to the server", () => {
  expect([may(undefined, "configure"), may("a new role", "work")]).toEqual([true, true]);
});
