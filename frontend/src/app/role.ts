// What the person who looks may do in this tenant, as the server has it (domain/src/permission.rs). The server decides in any case; this only keeps acts
// that it would refuse out of the way, and says why they are not there.
import { useTenant } from "../api/hooks";
import { useViewer } from "./tenants";

export const PERMISSIONS = ["read", "work", "configure", "audit", "usage", "members", "owners", "keys"] as const;
export type Permission = (typeof PERMISSIONS)[number];

const MAY: Record<string, readonly Permission[]> = {
  owner: PERMISSIONS,
  admin: ["read", "work", "configure", "audit", "usage", "members", "keys"],
  operator: ["read", "work", "usage"],
  developer: ["read", "work", "configure", "usage"],
  auditor: ["read", "audit", "usage"],
  billing: ["usage"],
};

/** The roles, the most powerful first, as the API names them and with what each is for. */
export const ROLES = {
  OWNER: "all, other owners included",
  ADMIN: "all but making and unmaking owners",
  OPERATOR: "works exceptions",
  DEVELOPER: "works exceptions; changes connections, flows and lookup tables",
  AUDITOR: "reads everything, the audit log too, and changes nothing",
  BILLING: "sees what is billed",
} as const;

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
