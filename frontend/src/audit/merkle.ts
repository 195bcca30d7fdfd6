// The tree that seals are made of: RFC 9162 over SHA-256, as domain/src/merkle.rs has it. Hashing is the browser's.

export type Bytes = Uint8Array<ArrayBuffer>;

export async function hash(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

export function concat(...parts: Uint8Array[]): Bytes {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** A leaf: no inner node is ever one. */
export function leaf(...parts: Uint8Array[]): Promise<Bytes> {
  return hash(concat(Uint8Array.of(0), ...parts));
}

/** Level by level: one that has no other goes up as it is, which makes the tree whose left halves are powers of two. */
export async function root(leaves: readonly Bytes[]): Promise<Bytes> {
  if (leaves.length === 0) return hash(new Uint8Array());
  let level = [...leaves];
  while (level.length > 1) {
    const pairs: Promise<Bytes>[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = [level[at] as Bytes, level[at + 1]];
      pairs.push(right ? hash(concat(Uint8Array.of(1), left, right)) : Promise.resolve(left));
    }
    level = await Promise.all(pairs);
  }
  return level[0] as Bytes;
}

export function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Of lower-case hexadecimal only: one hash has one text. */
export function fromHex(text: string): Bytes {
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** Null where it is none. */
export function fromBase64(text: string): Bytes | null {
  const trimmed = text.trim();
  if (trimmed.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(trimmed)) return null;
  try {
    return Uint8Array.from(atob(trimmed), (char) => char.charCodeAt(0));
  } catch {
    return null;
  }
}
