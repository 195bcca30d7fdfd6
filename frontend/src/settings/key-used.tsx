// A key as it is named where something would stop it: with when it was last used.
import { Time } from "../ui/time";

interface Key {
  name: string;
  prefix: string;
  lastUsedAt?: string | null;
}

export function Used({ of }: { of: Pick<Key, "lastUsedAt"> }) {
  if (!of.lastUsedAt) return "never used";
  return (
    <>
      last used <Time at={of.lastUsedAt} as="ago" />
    </>
  );
}

export function KeyUsed({ of }: { of: Key }) {
  return (
    <>
      <strong>{of.name}</strong> <code className="muted">cdk_{of.prefix}_…</code>, <Used of={of} />
    </>
  );
}
