// What the person who looks may do in this tenant, as the server has it (domain/src/permission.rs). The server decides in any case; this only keeps acts
// that it would refuse out of the way, and says why they are not there.
import { useTenant } from "../api/hooks";
import { useViewer } from "./tenants";

export type Permission = "read" | "work" | "configure" | "audit";

const MAY: Record<string, readonly Permission[]> = {
  owner: ["read", "work", "configure", "audit"],
  admin: ["read", "work", "configure", "audit"],
  operator: ["read", "work"],
  developer: ["read", "work", "configure"],
  auditor: ["read", "audit"],
  billing: [],
};

export function may(role: string | undefined, permission: Permission): boolean {
  // Until the role is known, or where it is one that this page does not know, the server is asked.
  return role === undefined || (MAY[role]?.includes(permission) ?? true);
}

export function useRole(): string | undefined {
  const tenant = useTenant();
  const viewer = useViewer();
  return viewer.data?.viewer?.memberships.find((one) => one.tenant.slug === tenant || one.tenant.id === tenant)?.role;
}

export function useMay(): (permission: Permission) => boolean {
  const role = useRole();
  return (permission) => may(role, permission);
}
