// What differs between two versions, field by field, as people compare them.
export interface Change {
  path: string;
  before: string | null;
  after: string | null;
}

const CHANGES_MAX = 200;

export function changes(before: unknown, after: unknown): Change[] {
  const found: Change[] = [];
  const walk = (a: unknown, b: unknown, path: string) => {
    if (found.length >= CHANGES_MAX || JSON.stringify(a) === JSON.stringify(b)) return;
    if (isBranch(a) && isBranch(b) && Array.isArray(a) === Array.isArray(b)) {
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
        walk(a[key], b[key], Array.isArray(a) ? `${path}[${key}]` : path ? `${path}.${key}` : key);
      }
    } else found.push({ path, before: shown(a), after: shown(b) });
  };
  walk(before, after, "");
  return found;
}

function isBranch(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === "object";
}

function shown(value: unknown): string | null {
  return value === undefined || value === null ? null : typeof value === "string" ? value : JSON.stringify(value);
}
