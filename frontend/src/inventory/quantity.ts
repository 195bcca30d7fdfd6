// Quantities are decimals as text, from the API to the screen: compared as text too, because a number would round what is large.

/** Below 0 where `a` is less than `b`, above where it is more. */
export function compare(a: string, b: string): number {
  const [left, right] = [parts(a), parts(b)];
  if (left.isNegative !== right.isNegative) return left.isNegative ? -1 : 1;
  const order = magnitude(left, right);
  return left.isNegative ? -order : order;
}

interface Parts {
  isNegative: boolean;
  whole: string;
  fraction: string;
}

function parts(text: string): Parts {
  const [, sign = "", whole = "0", fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text.trim()) ?? [];
  const [short, trimmed] = [whole.replace(/^0+(?=\d)/, ""), fraction.replace(/0+$/, "")];
  return { isNegative: sign === "-" && !(short === "0" && trimmed === ""), whole: short, fraction: trimmed };
}

function magnitude(a: Parts, b: Parts): number {
  if (a.whole.length !== b.whole.length) return a.whole.length - b.whole.length;
  const places = Math.max(a.fraction.length, b.fraction.length);
  const [left, right] = [a.whole + a.fraction.padEnd(places, "0"), b.whole + b.fraction.padEnd(places, "0")];
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Codes or ids of places as a person writes them: one after the other, with commas or lines between. */
export function locationsOf(text: string): string[] {
  return [...new Set(text.split(/[,\n]/).map((one) => one.trim()).filter(Boolean))];
}
