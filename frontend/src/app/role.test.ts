import { expect, test } from "vitest";
import { may, PERMISSIONS, permissionsIn, type Permission } from "./role";

const acme = { id: "ten_1", slug: "acme", name: "Acme" };
const operator = { id: "usr_1", isStaff: false, memberships: [{ role: "operator", tenant: acme }], permissions: ["READ_OPERATIONS", "READ_USAGE", "WORK_EXCEPTIONS"] as const, impersonation: null };
const staff = { ...operator, isStaff: true, memberships: [], permissions: [] };
const inPlace = {
  ...staff,
  isStaff: false,
  permissions: ["READ_OPERATIONS", "READ_USAGE"] as const,
  impersonation: { id: "imp_1", reason: "Orders are missing", ticket: "HELP-1042", staff: { name: "Sue", email: "sue@example.com" }, tenant: "Acme", tenantSlug: "acme", endsAt: "2026-11-24T09:30:00Z", mayWrite: false },
};
type Viewer = Parameters<typeof permissionsIn>[0];
const seen = (viewer: unknown, tenant: string, isSupport = false) => {
  const permissions = permissionsIn(viewer as Viewer, tenant, isSupport);
  return permissions && (Object.keys(PERMISSIONS) as Permission[]).filter((one) => may(permissions, one)).join(" ");
};

test("one sees the acts that the server says one may, by the tenant's slug and by its id", () => {
  expect([seen(operator, "acme"), seen(operator, "ten_1")]).toEqual(["read work usage", "read work usage"]);
});

test("what is not known yet is left to the server, and so is a tenant where one has no place", () => {
  expect([seen(undefined, "acme"), seen(operator, "other"), seen(staff, "acme")]).toEqual([undefined, undefined, undefined]);
  expect(may(undefined, "configure")).toBe(true);
});

test("support is shown no act before the server has said that it may one", () => {
  expect([seen(undefined, "acme", true), seen(staff, "acme", true), seen(inPlace, "acme", true)]).toEqual(["read usage", "read usage", "read usage"]);
  expect(seen({ ...inPlace, permissions: operator.permissions }, "acme", true)).toBe("read work usage");
});
