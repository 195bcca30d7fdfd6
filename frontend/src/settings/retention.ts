// How long the audit log is kept, in words, and when a rule takes what the one before would have kept.
import type { AuditPolicyQuery } from "./query.generated";

export type Policy = AuditPolicyQuery["auditPolicy"];

export function kept(policy: Policy): string {
  return policy.keepDays == null ? "For ever: no event is ever removed." : `Events are removed ${policy.keepDays.toLocaleString()} days after they were sealed, within a day.`;
}

export function takesMore(before: number | null, after: number | null): boolean {
  return after !== null && (before === null || after < before);
}
