// A payload or a record as it is. It is text and stays text: whatever a vendor put into it, React writes it as characters.
import { useMemo } from "react";

/** Beyond this a browser takes seconds to lay it out. */
const CHARS_MAX = 400_000;

interface DocumentProps {
  text: string;
  /** The field at fault: lines that name it are marked. */
  field?: string | null;
  /** The value at fault: lines that say it are marked. */
  value?: string | null;
  label: string;
}

export function Document({ text, field, value, label }: DocumentProps) {
  const shown = useMemo(() => pretty(text), [text]);
  const cut = shown.length > CHARS_MAX;
  const pieces = useMemo(() => piecesOf(cut ? shown.slice(0, CHARS_MAX) : shown, field, value), [shown, cut, field, value]);
  return (
    <>
      <pre className="document" tabIndex={0} role="region" aria-label={label}>
        {pieces.map(({ text, isMarked }, index) => (isMarked ? <mark key={index}>{text}</mark> : text))}
      </pre>
      {cut && <p className="muted small">Only the first {CHARS_MAX.toLocaleString()} characters are shown.</p>}
    </>
  );
}

interface Piece {
  text: string;
  isMarked: boolean;
}

/** The text in pieces, of which those are marked that are at fault: a document of ten thousand lines is a few, and drawn as fast as one line. */
export function piecesOf(text: string, field?: string | null, value?: string | null): Piece[] {
  const name = field ? lastName(field) : null;
  const said = value ? JSON.stringify(value) : null;
  const pieces: Piece[] = [];
  const lines = text.split("\n");
  lines.forEach((line, index) => {
    const isMarked = (name !== null && line.trimStart().startsWith(`"${name}":`)) || (said !== null && line.includes(said));
    const end = index < lines.length - 1 ? "\n" : "";
    const last = pieces.at(-1);
    if (isMarked) pieces.push({ text: line, isMarked }, { text: end, isMarked: false });
    else if (last && !last.isMarked) last.text += line + end;
    else pieces.push({ text: line + end, isMarked });
  });
  return pieces;
}

/** Indents JSON without reading it: a parser would change ids of 64 bits and money. What is no JSON stays as it is. */
export function pretty(text: string): string {
  try {
    JSON.parse(text);
  } catch {
    return text;
  }
  let out = "";
  let depth = 0;
  let inString = false;
  const line = () => `\n${"  ".repeat(depth)}`;
  for (let at = 0; at < text.length; at += 1) {
    const char = text[at] ?? "";
    if (inString) {
      out += char;
      if (char === "\\") out += text[++at] ?? "";
      else if (char === '"') inString = false;
    } else if (char === '"') {
      inString = true;
      out += char;
    } else if (char === "{" || char === "[") {
      const rest = /^\s*[}\]]/.exec(text.slice(at + 1, at + 64));
      if (rest) {
        out += char + rest[0].trim();
        at += rest[0].length;
      } else {
        depth += 1;
        out += char + line();
      }
    } else if (char === "}" || char === "]") {
      depth -= 1;
      out += line() + char;
    } else if (char === ",") out += char + line();
    else if (char === ":") out += ": ";
    else if (!/\s/.test(char)) out += char;
  }
  return out;
}

/** The name that a path ends with: sku of lines[2].sku. */
export function lastName(path: string): string {
  return path.split(".").at(-1)?.replace(/\[\d*\]$/, "") ?? path;
}
