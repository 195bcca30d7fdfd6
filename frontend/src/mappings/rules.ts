// A mapping as the editor holds it: rules in order, with rules of lists within them. Every change gives new rules and leaves the others as they were,
// so that what is shown again is only what changed. The vocabulary is docs/mapping.md's.

export interface Rule {
  to: string;
  from?: string;
  expr?: string;
  as?: string;
  lookup?: string;
  on_missing?: string;
  default?: unknown;
  required?: boolean;
  when?: string;
  zone?: string;
  round?: unknown;
  allocate?: string;
  each?: string;
  flatten?: string;
  where?: string;
  group_by?: string;
  rules?: Rule[];
}
export type Rules = readonly Rule[];
/** Keys of a rule; undefined takes one away. */
export type Edit = { [Key in keyof Rule]?: Rule[Key] | undefined };

/** Where a rule stands: [3, 0] is rules[3].rules[0]. */
export type Place = readonly number[];

export interface Row {
  place: Place;
  rule: Rule;
}

export const TYPES = ["text", "id", "int", "number", "decimal", "money", "tax", "bool", "timestamp", "date", "country", "currency", "unit", "json"];

/** Each rule as a row of the table, those of a list after the list. */
export function rowsOf(rules: Rules, above: Place = []): Row[] {
  return rules.flatMap((rule, index) => {
    const place = [...above, index];
    return [{ place, rule }, ...rowsOf(rule.rules ?? [], place)];
  });
}

export function ruleAt(rules: Rules, place: Place): Rule | undefined {
  const [first, ...rest] = place;
  const rule = first === undefined ? undefined : rules[first];
  return rest.length === 0 ? rule : rule && ruleAt(rule.rules ?? [], rest);
}

/** These rules with those around one place made anew. */
function within(rules: Rules, place: Place, change: (around: Rule[], index: number) => void): Rule[] {
  const [first = 0, ...rest] = place;
  const next = [...rules];
  const rule = next[first];
  if (rest.length === 0) change(next, first);
  else if (rule) next[first] = { ...rule, rules: within(rule.rules ?? [], rest, change) };
  return next;
}

/** What is written empty: an expression that is only begun, and a list that is not named yet. */
const MAY_BE_EMPTY = ["to", "expr", "each"];

/** Changes keys of a rule. What becomes empty is left out: an empty key says something else than none. */
export function changed(rules: Rules, place: Place, edit: Edit): Rule[] {
  return within(rules, place, (around, index) => {
    const rule = { to: "", ...around[index], ...edit };
    around[index] = Object.fromEntries(Object.entries(rule).filter(([key, value]) => value !== undefined && value !== false && (value !== "" || MAY_BE_EMPTY.includes(key)))) as unknown as Rule;
  });
}

/** A new rule after a place; an empty place is before all. Within a list, of that list. */
export function added(rules: Rules, after: Place, rule: Rule = { to: "" }): { rules: Rule[]; place: Place } {
  const place = after.length === 0 ? [0] : [...after.slice(0, -1), (after.at(-1) ?? -1) + 1];
  return { rules: within(rules, place, (around, index) => around.splice(index, 0, rule)), place };
}

export function removed(rules: Rules, place: Place): Rule[] {
  return within(rules, place, (around, index) => around.splice(index, 1));
}

/** One up or down among those beside it; null at the end. */
export function moved(rules: Rules, place: Place, by: 1 | -1): { rules: Rule[]; place: Place } | null {
  const index = (place.at(-1) ?? 0) + by;
  const target = [...place.slice(0, -1), index];
  const rule = ruleAt(rules, place);
  if (!rule || index < 0 || !ruleAt(rules, target)) return null;
  const without = removed(rules, place);
  return { rules: within(without, target, (around, at) => around.splice(at, 0, rule)), place: target };
}

/** As errors name it. */
export function addressOf(place: Place): string {
  return place.map((index) => `rules[${index}]`).join(".");
}

/** The field of a target: a rule that writes charges[] adds rows to charges. */
const fieldOf = (to: string) => to.replace(/\[\]$/, "");

/** The whole field that a rule writes: lines[].sku. */
export function targetOf(rules: Rules, place: Place): string {
  const names = place.map((_, at) => {
    const rule = ruleAt(rules, place.slice(0, at + 1));
    return rule?.each !== undefined && at < place.length - 1 ? `${fieldOf(rule.to)}[]` : rule?.to;
  });
  return names.join(".");
}

/** Lists around a rule, the outermost first, by the paths that they are written with. */
export function listsAround(rules: Rules, place: Place): string[] {
  return place.slice(0, -1).flatMap((_, at) => ruleAt(rules, place.slice(0, at + 1))?.each ?? []);
}

/** What a rule writes from, in one cell: a path, or an expression after "=", as a spreadsheet has it. */
export function sourceOf(rule: Rule): string {
  return rule.each ?? rule.from ?? (rule.expr === undefined ? "" : `=${rule.expr}`);
}

export function withSource(rule: Rule, text: string): Edit {
  if (rule.each !== undefined) return { each: text };
  return text.trimStart().startsWith("=") ? { expr: text.trimStart().slice(1), from: undefined } : { from: text, expr: undefined };
}

export interface Difference {
  /** lines[].sku */
  to: string;
  key: string;
  before: unknown;
  after: unknown;
}

const order = (rules: Rules) => rules.map((rule) => rule.to).join("\n");

/** Rules by their field, of which the last one counts; of those that add rows to one list each does. */
function byField(rules: Rules): Map<string, Rule> {
  const found = new Map<string, Rule>();
  for (const rule of rules) {
    let name = rule.to;
    for (let count = 2; rule.to.endsWith("[]") && found.has(name); count += 1) name = `${rule.to} ${count}`;
    found.set(name, rule);
  }
  return found;
}

/** What two mappings say differently, by the field that a rule writes and not by where it stands. A rule that only one of them has is one difference. */
export function differences(before: Rules, after: Rules, above = ""): Difference[] {
  const [old, now] = [byField(before), byField(after)];
  const found: Difference[] = [];
  for (const to of new Set([...old.keys(), ...now.keys()])) {
    const [a, b] = [old.get(to), now.get(to)];
    const path = above + to;
    if (!a || !b) found.push({ to: path, key: "", before: a ?? null, after: b ?? null });
    else {
      for (const key of new Set([...Object.keys(a), ...Object.keys(b)]) as Set<keyof Rule>) {
        if (key === "rules") found.push(...differences(a.rules ?? [], b.rules ?? [], `${fieldOf(path)}[].`));
        else if (JSON.stringify(a[key]) !== JSON.stringify(b[key])) found.push({ to: path, key, before: a[key] ?? null, after: b[key] ?? null });
      }
    }
  }
  if (found.length === 0 && order(before) !== order(after)) found.push({ to: above.replace(/\[\]\.$/, "") || "all", key: "order", before: order(before), after: order(after) });
  return found;
}
