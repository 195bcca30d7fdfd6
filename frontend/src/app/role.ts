// What the person who looks may do in this tenant. The server says it (`viewer { permissions }`) and decides in any case; this only keeps acts that it
// would refuse out of the way, and lets pages say why they are not there.
import { useHeld, useTenant } from "../api/hooks";
import type { ViewerQuery } from "../session/query.generated";
import { useViewer } from "./tenants";

type Viewer = NonNullable<ViewerQuery["viewer"]>;
type Named = Viewer["permissions"][number];

/** Each permission in one word, and as the API names it. */
export const PERMISSIONS = {
  read: "READ_OPERATIONS",
  work: "WORK_EXCEPTIONS",
  configure: "CONFIGURE",
  audit: "READ_AUDIT",
  usage: "READ_USAGE",
  invoices: "READ_INVOICES",
  members: "MANAGE_MEMBERS",
  owners: "MANAGE_OWNERS",
  keys: "MANAGE_API_KEYS",
  support: "MANAGE_SUPPORT",
  personal: "READ_PERSONAL_DATA",
} as const satisfies Record<string, Named>;
export type Permission = keyof typeof PERMISSIONS;

/** The least that support may in a tenant's place. */
const SUPPORT_LEAST: readonly Named[] = ["READ_OPERATIONS", "READ_USAGE"];

/** The roles, the most powerful first, as the API names them and with what each is for. */
export const ROLES = {
  OWNER: "all, other owners included",
  ADMIN: "all but making and unmaking owners",
  OPERATOR: "works exceptions",
  DEVELOPER: "works exceptions; changes connections, flows and lookup tables",
  AUDITOR: "reads everything, the audit log too, and changes nothing",
  BILLING: "sees what is counted and what is billed",
} as const;

/** The viewer's place in a tenant, which its address names by slug or id. */
export function membershipIn(viewer: Viewer | null | undefined, tenant: string): Viewer["memberships"][number] | undefined {
  return viewer?.memberships.find((one) => one.tenant.slug === tenant || one.tenant.id === tenant);
}

/** What they may there; undefined until it is known, and for who has no place there. Support is shown the least meanwhile, and never an act too many. */
export function permissionsIn(viewer: Viewer | null | undefined, tenant: string, isSupport: boolean): readonly Named[] | undefined {
  if (isSupport) return viewer?.impersonation ? viewer.permissions : SUPPORT_LEAST;
  return membershipIn(viewer, tenant) ? viewer?.permissions : undefined;
}

export function may(permissions: readonly Named[] | undefined, permission: Permission): boolean {
  // Until it is known, the server is asked.
  return permissions?.includes(PERMISSIONS[permission]) ?? true;
}

export function usePermissions(): readonly Named[] | undefined {
  const tenant = useTenant();
  const held = useHeld();
  const viewer = useViewer();
  return permissionsIn(viewer.data?.viewer, tenant, held !== null);
}

export function useMay(): (permission: Permission) => boolean {
  const permissions = usePermissions();
  return (permission) => may(permissions, permission);
}
