// What the deletion of a tenant takes and leaves, in words, and whether what was typed names it.

/** How long an owner can take it back, as migrations/sql has it (`tenant_deletion_wait`). */
export const DAYS = 7;

export const GOES = [
  "its keys: what they sealed, such as the credentials of connections, can be opened by nobody any more",
  "connections, flows, mappings, lookup tables, and the addresses of its hooks",
  "records, messages, deliveries with what was sent and answered, exceptions, files",
  "members, invitations, API keys, single sign-on and the directory: nobody comes in any more. Accounts are their people's own and stay",
  "the audit log, what was counted, and what is not billed yet",
] as const;

export const STAYS = [
  "invoices, because the law wants them kept",
  "the seals of the audit log: digests and signatures, so that an export from before can still be checked",
  "that it was deleted: its id and slug, when, who asked for it, and why",
  "what vendors, partners and backups have: that is not reached from here",
] as const;

/** The slug to the letter: a habit types a name, and this is to be read. */
export function isNamed(typed: string, slug: string): boolean {
  return typed.trim() === slug;
}
