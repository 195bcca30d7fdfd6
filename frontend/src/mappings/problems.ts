// What the server says against a mapping, at the cells that it is about. Its addresses count the rules of the connector too, over which a tenant's
// rules lie and which the API does not show; so each check asks beside it for the addresses, by rules that each name a function of no one's.
import { addressOf, type Place, type Rule, type Rules } from "./rules";

export interface Problem {
  /** The rule among all of them: rules[17].rules[0]; empty where it is about none. */
  address: string;
  /** The key of the rule: expr, when, lookup. */
  key: string;
  sentence: string;
  /** In the expression, from 1; 0 where none is said. */
  column: number;
}

/** rules[1].rules[0].expr: there is no function "summ"; did you mean sum? at column 1 */
export function problemOf(message: string): Problem {
  const [, address = "", key = "", what = message] = /^(rules\[\d+\](?:\.rules\[\d+\])*)(?:\.([\w.]+))?: ([^]*)$/.exec(message) ?? [];
  const [, sentence = what, column = "0"] = /^([^]*) at column (\d+)$/.exec(what) ?? [];
  return { address, key, sentence, column: Number(column) };
}

const PROBE = "own_rule_";
/** A server names no more errors at once. */
const PROBES_MAX = 100;

/** Rules that write the same fields, and of each of which the server complains by a name that tells where it stood. */
export function probes(rules: Rules): Rule[] {
  return rules.slice(0, PROBES_MAX).map((rule, index) => ({ to: rule.to, expr: `${PROBE}${index}()` }));
}

/** Where the server counts each of these rules: 17 is the first of ours. */
export function placesOf(messages: readonly string[]): Map<number, number> {
  const places = new Map<number, number>();
  for (const message of messages) {
    const { address, sentence } = problemOf(message);
    const at = /^rules\[(\d+)\]$/.exec(address)?.[1];
    const own = new RegExp(`"${PROBE}(\\d+)"`).exec(sentence)?.[1];
    if (at !== undefined && own !== undefined) places.set(Number(at), Number(own));
  }
  return places;
}

/** The same problem at the address that it has among our own rules; empty where it is about one of the connector's. */
export function own(problem: Problem, places: ReadonlyMap<number, number>): Problem {
  const [, first = "", rest = ""] = /^rules\[(\d+)\]([^]*)$/.exec(problem.address) ?? [];
  const at = places.get(Number(first));
  return { ...problem, address: first !== "" && at !== undefined ? `rules[${at}]${rest}` : "" };
}

/** The column of the table that a key of a rule is shown in; "more" for those that stand below it. */
export function cellOf(key: string): "to" | "source" | "as" | "lookup" | "required" | "when" | "more" {
  const first = key.split(".")[0] ?? "";
  if (first === "to" || first === "as" || first === "lookup" || first === "required" || first === "when") return first;
  return first === "from" || first === "expr" || first === "each" || first === "" ? "source" : "more";
}

/** Where a sentence stands, so that its cell can say so to those who do not see that it stands below. */
export const wrongId = (cell: string, index: number) => `${cell}-wrong-${index}`;

/** What a cell is described by: all sentences that are about it. */
export function describedBy(cell: string, count: number): string | undefined {
  return count === 0 ? undefined : Array.from({ length: count }, (_, index) => wrongId(cell, index)).join(" ");
}

/** A sentence with its position, as it stands below the cell. */
export function said(problem: Problem): string {
  return problem.column > 0 ? `${problem.sentence} (at character ${problem.column})` : problem.sentence;
}

/** Of a rule's problems those that are about one of its cells. */
export function problemsAt(problems: readonly Problem[], place: Place): Problem[] {
  const address = addressOf(place);
  return problems.filter((problem) => problem.address === address);
}

/** The parts of the page that errors are about. */
export type Problems = Record<"read" | "write" | "filter" | "others", Problem[]>;

interface Checked {
  check: { userErrors: { field: string[]; message: string }[] };
  places: { userErrors: { field: string[]; message: string }[] };
}

/** Each error with the part of the page that it is about, and the address that its rule has there. */
export function byPart(checked: Checked | undefined): Problems {
  const found: Problems = { read: [], write: [], filter: [], others: [] };
  const of = (errors: Checked["places"]["userErrors"], field: string) => errors.filter((one) => one.field.at(-1) === field).map((one) => one.message);
  const errors = checked?.check.userErrors ?? [];
  for (const [side, field] of [["read", "sourceMapping"], ["write", "mapping"]] as const) {
    const places = placesOf(of(checked?.places.userErrors ?? [], field));
    for (const problem of of(errors, field).map(problemOf).map((one) => own(one, places))) {
      found[problem.address === "" ? "others" : side].push(problem);
    }
  }
  found.filter.push(...of(errors, "filter").map(problemOf));
  const known = ["sourceMapping", "mapping", "filter"];
  found.others.push(...errors.filter((one) => !known.includes(one.field.at(-1) ?? "")).map((one) => problemOf(one.message)));
  return found;
}
