// What a key may be given, by itself or as a service account, and what it has to do without when its account is changed.

/** What a key may be given (domain/src/permission.rs): never what would let it outlive whoever made it. */
export const GRANTS = {
  READ_OPERATIONS: "See flows, records, deliveries, exceptions and connections, never secrets",
  WORK_EXCEPTIONS: "Retry and ignore exceptions, edit lookup tables",
  CONFIGURE: "Create and change connections, flows and lookup tables; publish",
  READ_AUDIT: "See the audit log",
  READ_USAGE: "See what is counted",
  READ_INVOICES: "See what the tenant pays: its plan and its invoices",
  READ_PERSONAL_DATA: "See names, addresses and telephones in records and payloads; without it they are hidden",
  READ_SCHEMA: "Read the schema of the API (introspection)",
} as const;
export type Grant = keyof typeof GRANTS;

interface Key {
  state: string;
  permissions: readonly string[];
  serviceAccount: { id: string } | null;
}

/** All of them, in their order; of an account, those that it has. */
export function grantsOf(account?: { permissions: readonly string[] }): Grant[] {
  return (Object.keys(GRANTS) as Grant[]).filter((grant) => account === undefined || account.permissions.includes(grant));
}

/** The keys of an account that are good. */
export function keysOf<K extends Key>(account: { id: string }, keys: readonly K[]): K[] {
  return keys.filter((key) => key.serviceAccount?.id === account.id && key.state === "ACTIVE");
}

/** What each key loses where its account has no more than this; keys that lose nothing are left out. */
export function lostBy<K extends Key>(keys: readonly K[], has: readonly string[]): { key: K; loses: string[] }[] {
  return keys.map((key) => ({ key, loses: key.permissions.filter((one) => !has.includes(one)) })).filter(({ loses }) => loses.length > 0);
}
