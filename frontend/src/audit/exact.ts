// JSON as it was written, for hashes: numbers keep their digits, nothing is said twice, and what goes out again is what serde_json writes (the
// implementation beside this one: domain/src/seal). Never JSON.parse and JSON.stringify of a whole: they change numbers and the order of keys.
import { Digits } from "../api/digits";

export type Exact = string | Digits | boolean | null | Exact[] | Map<string, Exact>;

/** As deep as serde_json reads. */
const DEPTH_MAX = 128;
const SPACE = /[ \t\n\r]*/y;
const STRING = /"[^"\\]*(?:\\.[^"\\]*)*"/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const WORD = /true|false|null/y;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** Throws an Error that says what is wrong where. */
export function read(text: string): Exact {
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text)?.[0];
    if (found !== undefined) at += found.length;
    return found;
  };
  const fail = (what: string): never => {
    throw new Error(`${what} at character ${at + 1}`);
  };
  const isNext = (char: string) => {
    take(SPACE);
    if (text[at] !== char) return false;
    at += 1;
    return true;
  };
  const string = (): string => {
    take(SPACE);
    const token = take(STRING) ?? fail("no text");
    let value = "";
    try {
      value = JSON.parse(token) as string;
    } catch {
      fail("no text");
    }
    return LONE_SURROGATE.test(value) ? fail("half a character") : value;
  };
  const any = (depth: number): Exact => {
    if (depth > DEPTH_MAX) fail("too deep");
    if (isNext("{")) {
      const fields = new Map<string, Exact>();
      if (isNext("}")) return fields;
      do {
        const key = string();
        if (fields.has(key)) fail(`"${key}" twice`);
        if (!isNext(":")) fail("no colon");
        fields.set(key, any(depth + 1));
      } while (isNext(","));
      return isNext("}") ? fields : fail("no end of an object");
    }
    if (isNext("[")) {
      const items: Exact[] = [];
      if (isNext("]")) return items;
      do items.push(any(depth + 1));
      while (isNext(","));
      return isNext("]") ? items : fail("no end of a list");
    }
    if (text[at] === '"') return string();
    const word = take(WORD);
    if (word !== undefined) return word === "null" ? null : word === "true";
    const digits = take(NUMBER);
    return digits === undefined ? fail("no value") : new Digits(digits);
  };
  const value = any(0);
  take(SPACE);
  return at === text.length ? value : fail("more than one value");
}

/** Without spaces, the keys of each object in the order of their bytes. */
export function writeSorted(value: Exact): string {
  if (value instanceof Digits) return value.text;
  if (Array.isArray(value)) return `[${value.map(writeSorted).join(",")}]`;
  if (value instanceof Map) {
    const fields = [...value].sort(([a], [b]) => byBytes(a, b));
    return `{${fields.map(([key, one]) => `${JSON.stringify(key)}:${writeSorted(one)}`).join(",")}}`;
  }
  return JSON.stringify(value);
}

/** The order of UTF-8, which is that of code points, and not JavaScript's own of UTF-16. */
function byBytes(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let at = 0; at < Math.min(left.length, right.length); at += 1) {
    const order = (left[at]?.codePointAt(0) ?? 0) - (right[at]?.codePointAt(0) ?? 0);
    if (order !== 0) return order;
  }
  return left.length - right.length;
}
