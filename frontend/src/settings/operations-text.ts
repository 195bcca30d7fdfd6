// An operation that is registered, as people look at it: what it is called and does, its hash, where its syntax is wrong, and what a program sends.
import { sha256 } from "../audit/sha256";

/** api/src/graphql/persisted_operation.rs */
export const DOCUMENT_BYTES_MAX = 32 * 1024;

const encoder = new TextEncoder();
export const bytesOf = (document: string) => encoder.encode(document).length;

/** Byte for byte, as programs make it of the same text. Ours, because over plain http a browser gives pages none. */
export function hashOf(document: string): string {
  return [...sha256(encoder.encode(document))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export type OperationKind = "query" | "mutation" | "subscription";
export interface Operation {
  kind: OperationKind;
  /** Empty where it has none. */
  name: string;
}

/** What cannot hold the beginning of an operation: comments and texts. */
const ASIDE = /#[^\n\r]*|"""[\s\S]*?(?<!\\)"""|"(?:\\.|[^"\\\n\r])*"/g;
const PIECES = /[{}()]|[A-Za-z_]\w*/g;

/** The operations of a document, without its fragments. Right for what the API takes as one; of anything else it says what it can. */
export function operationsIn(document: string): Operation[] {
  const found: Operation[] = [];
  let depth = 0;
  let before: string[] = [];
  for (const [piece] of document.replace(ASIDE, " ").matchAll(PIECES)) {
    if (piece === "{" || piece === "(") {
      if (depth === 0) {
        const [kind = "query", name = ""] = before;
        // The brackets behind a name are its variables': the operation itself is still to come.
        if (piece === "{" && kind !== "fragment") found.push({ kind: kind as OperationKind, name });
      }
      depth += 1;
    } else if (piece === "}" || piece === ")") {
      depth -= 1;
      if (depth === 0 && piece === "}") before = [];
    } else if (depth === 0) before.push(piece);
  }
  return found;
}

export interface Wrong {
  line: number;
  column: number;
  /** What should stand there, in words. */
  sentence: string;
}

/** The parser's names of what may stand somewhere, in words; others are written as they are. */
const RULES: Record<string, string> = {
  EOI: "the end",
  executable_definition: "an operation or a fragment",
  selection: "a field",
  selection_set: "fields in { }",
  name: "a name",
  value: "a value",
  variable: "a variable ($…)",
  variable_definition: "a variable ($…)",
  variable_definitions: "variables in ( )",
  argument: "an argument",
  arguments: "arguments in ( )",
  directive: "a directive (@…)",
  directives: "a directive (@…)",
  type_: "a type",
  type_condition: "a type (on …)",
};

/** Where the parser of the API stopped; null of a message that names no place. */
export function wrongIn(message: string): Wrong | null {
  const [, line, column] = /-->\s*(\d+):(\d+)/.exec(message) ?? [];
  if (!line || !column) return null;
  const [, expected] = /=\s*(?:unexpected [^;]*; )?expected (.+)/.exec(message) ?? [];
  const rules = expected?.split(/, or | or |, /).map((rule) => RULES[rule.trim()] ?? rule.trim().replaceAll("_", " "));
  const should = rules && [...new Set(rules)];
  const sentence = should ? `here should stand ${should.length > 1 ? `${should.slice(0, -1).join(", ")} or ${should.at(-1)}` : should[0]}` : "this cannot stand here";
  return { line: Number(line), column: Number(column), sentence };
}

/** The place as a text's own count, for the cursor. */
export function placeIn(document: string, { line, column }: Pick<Wrong, "line" | "column">): number {
  const lines = document.split("\n");
  const before = lines.slice(0, line - 1).reduce((sum, one) => sum + one.length + 1, 0);
  // The parser counts characters, and a text its halves.
  return before + [...(lines[line - 1] ?? "")].slice(0, column - 1).join("").length;
}

/** What a program sends in the place of the document. */
export function requestOf(sha256Hash: string): string {
  return JSON.stringify({ variables: {}, extensions: { persistedQuery: { version: 1, sha256Hash } } });
}
