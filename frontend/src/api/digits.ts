// JSON whose numbers stay the digits that were written: a parser would change ids of 64 bits and amounts. Numbers become `Digits`, and go out again
// as they came in.

/** A number as it is written: 10.50, 5123456789012345607. */
export class Digits {
  constructor(readonly text: string) {}

  toString(): string {
    return this.text;
  }
}

const STRINGS_AND_NUMBERS = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/** As `JSON.parse`, and throws as it does. */
export function parse(text: string): unknown {
  JSON.parse(text);
  // Nobody can know it beforehand, so no text of a document is taken for a number.
  const mark = `${[...crypto.getRandomValues(new Uint32Array(4))].join("-")}:`;
  const marked = text.replace(STRINGS_AND_NUMBERS, (token) => (token.startsWith('"') ? token : `"${mark}${token}"`));
  return JSON.parse(marked, (_, value: unknown) => (typeof value === "string" && value.startsWith(mark) ? new Digits(value.slice(mark.length)) : value));
}

/** As `JSON.stringify`, with the digits that were read. */
export function stringify(value: unknown): string {
  if (value instanceof Digits) return value.text;
  if (Array.isArray(value)) return `[${value.map((one) => stringify(one ?? null)).join(",")}]`;
  if (value !== null && typeof value === "object") {
    const fields = Object.entries(value).filter(([, one]) => one !== undefined);
    return `{${fields.map(([key, one]) => `${JSON.stringify(key)}:${stringify(one)}`).join(",")}}`;
  }
  return JSON.stringify(value) ?? "null";
}
