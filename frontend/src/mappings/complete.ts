// What could stand at the cursor: fields, functions and names of tables. It offers and never changes anything by itself.
import { FUNCTIONS } from "./functions.generated";

export interface Choice {
  text: string;
  /** What is said beside it. */
  note: string;
  /** What is written in the place of the word; the cursor stands after it. */
  insert: string;
}
export interface Offer {
  from: number;
  to: number;
  choices: Choice[];
}
export interface Known {
  paths: readonly string[];
  tables: readonly string[];
}

const CHOICES_MAX = 10;
const VARIABLES: [string, string][] = [
  ["$index", "the number of the row, from 0"],
  ["$root", "the whole document"],
  ["$parent", "the row around this one"],
  ["$this", "the row itself"],
];

/** Those that begin with the word, then those in which it stands somewhere. */
function fitting<One>(all: readonly One[], word: string, textOf: (one: One) => string): One[] {
  const sought = word.toLowerCase();
  const place = (one: One) => textOf(one).toLowerCase().indexOf(sought);
  const begin = all.filter((one) => place(one) === 0 && textOf(one) !== word);
  return [...begin, ...all.filter((one) => place(one) > 0)].slice(0, CHOICES_MAX);
}

export function offerPaths(text: string, paths: readonly string[]): Offer {
  return { from: 0, to: text.length, choices: fitting(paths, text, (path) => path).map((path) => ({ text: path, note: "", insert: path })) };
}

export function offerWords(text: string, words: readonly string[]): Offer {
  return offerPaths(text, words);
}

/** In an expression, at the word that the cursor stands behind. */
export function offerExpression(text: string, cursor: number, known: Known): Offer {
  const before = text.slice(0, cursor);
  const table = /\b(?:lookup\(\s*|(?:fx|convert_unit)\((?:[^,()]*,){3}\s*)(['"])([^'"]*)$/.exec(before);
  if (table) {
    const [, quote = "'", word = ""] = table;
    return { from: cursor - word.length, to: cursor, choices: fitting(known.tables, word, (one) => one).map((one) => ({ text: one, note: "lookup table", insert: one + quote })) };
  }
  // Within a text nothing is named.
  if (((before.replace(/\\./g, "").match(/'|"/g) ?? []).length & 1) === 1) return { from: cursor, to: cursor, choices: [] };
  const word = /[\p{L}\p{N}_$.[\]]*$/u.exec(before)?.[0] ?? "";
  if (word === "" || /^\d/.test(word)) return { from: cursor, to: cursor, choices: [] };
  const functions = FUNCTIONS.map((one) => ({ text: one.call, note: one.about, insert: `${one.name}(` }));
  const variables = VARIABLES.map(([name, note]) => ({ text: name, note, insert: name }));
  const paths = known.paths.map((path) => ({ text: path, note: "", insert: path }));
  const all = word.startsWith("$") ? [...variables, ...paths] : [...paths, ...functions];
  return { from: cursor - word.length, to: cursor, choices: fitting(all, word, (one) => one.text) };
}
