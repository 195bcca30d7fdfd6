// The tree that seals are made of: RFC 9162 over SHA-256, as domain/src/merkle.rs has it.
import { sha256 } from "./sha256";

export type Bytes = Uint8Array<ArrayBuffer>;

export const hash = sha256;

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
export function leaf(...parts: Uint8Array[]): Bytes {
  return hash(concat(Uint8Array.of(0), ...parts));
}

/** Level by level: one that has no other goes up as it is, which makes the tree whose left halves are powers of two. */
export function root(leaves: readonly Bytes[]): Bytes {
  if (leaves.length === 0) return hash(new Uint8Array());
  let level = [...leaves];
  while (level.length > 1) {
    const pairs: Bytes[] = [];
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = [level[at] as Bytes, level[at + 1]];
      pairs.push(right ? hash(concat(Uint8Array.of(1), left, right)) : left);
    }
    level = pairs;
  }
  return level[0] as Bytes;
}

const BYTES = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function hex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += BYTES[byte];
  return text;
}

/** Of lower-case hexadecimal only: one hash has one text. */
export function fromHex(text: string): Bytes {
  const bytes = new Uint8Array(text.length / 2);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = Number.parseInt(text.slice(at * 2, at * 2 + 2), 16);
  return bytes;
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
