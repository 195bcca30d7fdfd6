// The rules as a table that is written in directly. Enter goes down, Alt with the arrows moves a rule, Ctrl+Enter begins one below. Below each cell
// stands what it finds in the sample, or what is wrong there and at which character.
import { memo, useCallback, useEffect, useRef, type KeyboardEvent } from "react";
import { Badge } from "../ui/badge";
import { offerExpression, offerPaths, offerWords, type Known } from "./complete";
import { rowAt, pathsWithin, shown, valueAt } from "./paths";
import { cellOf, describedBy, problemsAt, said, wrongId, type Problem } from "./problems";
import { added, addressOf, changed, listsAround, moved, removed, rowsOf, sourceOf, targetOf, TYPES, withSource, type Edit, type Place, type Rule, type Rules } from "./rules";
import { Suggest } from "./suggest";

export interface TableProps {
  rules: Rules;
  /** What the version that runs says of the same side. */
  running: Rules | null;
  problems: readonly Problem[];
  /** What the rules may read and write, and the tables that there are. */
  sources: readonly string[];
  targets: readonly string[];
  tables: readonly string[];
  /** The sample that rules read, and what was made of it. */
  sample: unknown;
  made: unknown;
  selected: string | null;
  select: (address: string | null) => void;
  change: (rules: Rules, isStep?: boolean) => void;
  leave: () => void;
}

const COLUMNS = ["to", "source", "as", "lookup", "required", "when"] as const;
type Column = (typeof COLUMNS)[number];

export function RuleTable(props: TableProps) {
  const { rules, running, problems, change, leave } = props;
  const box = useRef<HTMLDivElement>(null);
  const next = useRef<string | null>(null);
  useEffect(() => {
    if (next.current === null) return;
    box.current?.querySelector<HTMLElement>(`[data-cell="${next.current}"]`)?.focus();
    next.current = null;
  });
  const rows = rowsOf(rules);
  const go = (place: Place | undefined, column: string) => {
    if (place) box.current?.querySelector<HTMLElement>(`[data-cell="${addressOf(place)}/${column}"]`)?.focus();
  };
  const insert = (after: Place, rule?: Rule) => {
    const made = added(rules, after, rule);
    next.current = `${addressOf(made.place)}/to`;
    change(made.rules, true);
  };
  const press = (event: KeyboardEvent) => {
    const cell = event.target instanceof HTMLElement ? event.target.dataset["cell"] : undefined;
    if (event.defaultPrevented || !cell) return;
    const [address, column = "to"] = cell.split("/");
    const at = rows.findIndex((row) => addressOf(row.place) === address);
    const row = rows[at];
    if (!row) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) insert(row.place);
    else if (event.key === "Enter" && event.shiftKey) go(rows[at - 1]?.place, column);
    else if (event.key === "Enter") {
      if (rows[at + 1]) go(rows[at + 1]?.place, column);
      else insert(row.place);
    } else if (event.altKey && (event.key === "ArrowUp" || event.key === "ArrowDown")) {
      const step = moved(rules, row.place, event.key === "ArrowUp" ? -1 : 1);
      if (step) {
        next.current = `${addressOf(step.place)}/${column}`;
        change(step.rules, true);
      }
    } else if (event.altKey && event.key === "Delete") {
      const beside = rows[at + 1] && rows[at + 1]?.place.length === row.place.length ? row.place : rows[at - 1]?.place;
      next.current = beside ? `${addressOf(beside)}/${column}` : null;
      change(removed(rules, row.place), true);
    } else return;
    event.preventDefault();
  };
  // One function for all rows, so that a row is drawn again only where its own rule changed.
  const now = useRef({ rules, change });
  useEffect(() => {
    now.current = { rules, change };
  });
  const edit = useCallback((place: Place, edit: Edit, isStep?: boolean) => now.current.change(changed(now.current.rules, place, edit), isStep), []);
  const drop = useCallback((place: Place) => now.current.change(removed(now.current.rules, place), true), []);
  return (
    <>
      <div ref={box} className="table rules" onKeyDown={press} onBlur={leave} role="region" aria-label="Rules" tabIndex={-1}>
        {rows.length > 0 && (
          <table>
            <thead>
              <tr>
                <th scope="col">Target</th>
                <th scope="col">From, or = expression</th>
                <th scope="col">Type</th>
                <th scope="col">Lookup table</th>
                <th scope="col">
                  <abbr title="Required">Req.</abbr>
                </th>
                <th scope="col">Only when</th>
                <th scope="col">
                  <span className="hidden-label">Acts</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => {
                const address = addressOf(row.place);
                const around = listsAround(rules, row.place);
                const target = targetOf(rules, row.place);
                return (
                  <RuleRow
                    key={address}
                    address={address}
                    rule={row.rule}
                    target={target}
                    lists={around.join("\n")}
                    mark={running === null ? "" : markOf(running, target, row.rule)}
                    problems={problemsAt(problems, row.place)}
                    isSelected={props.selected === address}
                    sources={props.sources}
                    targets={props.targets}
                    tables={props.tables}
                    sample={props.sample}
                    made={props.made}
                    select={props.select}
                    edit={edit}
                    drop={drop}
                  />
                );
              })}
            </tbody>
          </table>
        )}
      </div>
      <div className="row rule-acts">
        <button type="button" className="button" onClick={() => insert(rules.length === 0 ? [] : [rules.length - 1])}>
          Add a rule
        </button>
        <button type="button" className="button" onClick={() => insert(rules.length === 0 ? [] : [rules.length - 1], { to: "", each: "", rules: [{ to: "" }] })}>
          Add a list
        </button>
        <span className="muted small keys-help">
          <kbd>Enter</kbd> down, <kbd>Ctrl</kbd> <kbd>Enter</kbd> a rule below, <kbd>Alt</kbd> <kbd>↑</kbd> <kbd>↓</kbd> move, <kbd>Alt</kbd> <kbd>Delete</kbd> take away, <kbd>↓</kbd> what could stand there
        </span>
      </div>
    </>
  );
}

/** What is different of a rule from the version that runs. */
function markOf(running: Rules, target: string, rule: Rule): "" | "new" | "changed" {
  const before = rowsOf(running).filter((row) => targetOf(running, row.place) === target);
  if (before.length === 0) return "new";
  const own = (one: Rule) => JSON.stringify({ ...one, rules: undefined });
  // The last rule of a field counts; within a list that several rules add to, each does.
  const counting = target.includes("[]") ? before : before.slice(-1);
  return counting.some((row) => own(row.rule) === own(rule)) ? "" : "changed";
}

interface RowProps extends Pick<TableProps, "sources" | "targets" | "tables" | "sample" | "made" | "select"> {
  address: string;
  rule: Rule;
  target: string;
  lists: string;
  mark: "" | "new" | "changed";
  problems: Problem[];
  isSelected: boolean;
  edit: (place: Place, edit: Edit, isStep?: boolean) => void;
  drop: (place: Place) => void;
}

const placeOf = (address: string): Place => [...address.matchAll(/\d+/g)].map(Number);

const RuleRow = memo(
  function RuleRow({ address, rule, target, lists, mark, problems, isSelected, sources, targets, tables, sample, made, select, edit, drop }: RowProps) {
    const place = placeOf(address);
    const name = target || "a new rule";
    const around = lists ? lists.split("\n") : [];
    const paths = pathsWithin(sources, around);
    const known: Known = { paths, tables };
    const write = (change: Edit, isStep?: boolean) => edit(place, change, isStep);
    const depth = place.length - 1;
    const isList = rule.each !== undefined;
    const within = target.includes("[].") ? target.slice(0, target.lastIndexOf("[].") + 3) : "";
    const below = targets.filter((path) => path.startsWith(within)).map((path) => path.slice(within.length).replace(/\[\]$/, ""));
    const cell = (column: Column) => {
      const [at, count] = [`${address}/${column}`, problems.filter((one) => cellOf(one.key) === column).length];
      return { cell: at, isWrong: count > 0, describedBy: describedBy(at, count) };
    };
    const plain = (column: Column) => {
      const { cell: at, isWrong, describedBy: by } = cell(column);
      return { "data-cell": at, "aria-invalid": isWrong, "aria-describedby": by };
    };
    const wrong = { address, problems };
    const source = sourceOf(rule);
    const found = foundIn(rule, rowAt(sample, around));
    const result = made === undefined || rule.to === "" ? undefined : valueAt(made, target.replaceAll("[]", ""));
    return (
      <tr aria-current={isSelected ? "true" : undefined} onFocus={() => select(address)}>
        <td style={{ paddingInlineStart: 8 + depth * 18 }}>
          <Suggest label={`Target of ${name}`} value={rule.to} change={(to) => write({ to })} offer={(text) => offerPaths(text, below.filter((path) => !path.includes("[]")))} {...cell("to")} />
          <Below {...wrong} column="to" text={rule.to} />
          {result !== undefined && !isList && <span className="finds">writes {shown(result)}</span>}
          {mark && <Badge tone={mark === "new" ? "good" : "warn"}>{mark}</Badge>}
        </td>
        <td>
          <span className="source">
            {isList && <span className="muted small">each of</span>}
            <Suggest
              label={`Source of ${name}`}
              value={source}
              change={(text) => write(withSource(rule, text))}
              offer={(text, cursor) => (source.trimStart().startsWith("=") || text.trimStart().startsWith("=") ? offerExpression(text, cursor, known) : offerPaths(text, paths))}
              {...cell("source")}
            />
          </span>
          <Below {...wrong} column="source" text={rule.expr ?? source} />
          {found !== null && <span className="finds">finds {found}</span>}
        </td>
        <td>
          {isList ? (
            <span className="muted">list</span>
          ) : (
            <select aria-label={`Type of ${name}`} {...plain("as")} value={rule.as ?? ""} onChange={(event) => write({ as: event.target.value }, true)}>
              <option value="">as it is</option>
              {TYPES.map((type) => (
                <option key={type}>{type}</option>
              ))}
            </select>
          )}
          <Below {...wrong} column="as" text="" />
        </td>
        <td>
          {!isList && <Suggest label={`Lookup table of ${name}`} value={rule.lookup ?? ""} change={(lookup) => write({ lookup })} offer={(text) => offerWords(text, tables)} {...cell("lookup")} />}
          <Below {...wrong} column="lookup" text="" />
        </td>
        <td>
          <input type="checkbox" aria-label={`${name} is required`} {...plain("required")} checked={rule.required ?? false} onChange={(event) => write({ required: event.target.checked }, true)} />
          <Below {...wrong} column="required" text="" />
        </td>
        <td>
          <Suggest label={`When of ${name}`} value={rule.when ?? ""} change={(when) => write({ when })} offer={(text, cursor) => offerExpression(text, cursor, known)} {...cell("when")} />
          <Below {...wrong} column="when" text={rule.when ?? ""} />
        </td>
        <td>
          <button type="button" className="button quiet" aria-label={`Take ${name} away`} title="Take this rule away" onClick={() => drop(place)}>
            ✕
          </button>
          <Below {...wrong} column="more" text="" />
        </td>
      </tr>
    );
  },
  (before, after) => {
    const { problems: old, ...rest } = before;
    const { problems: now, ...others } = after;
    return JSON.stringify(old) === JSON.stringify(now) && Object.entries(rest).every(([key, value]) => others[key as keyof typeof others] === value);
  },
);

/** What a plain path finds in the sample; an expression is run by the server alone. */
function foundIn(rule: Rule, row: unknown): string | null {
  const path = rule.each ?? rule.from;
  if (row === undefined || row === null || !path || path.startsWith("$")) return null;
  return shown(valueAt(row, path));
}

function Below({ address, problems, column, text }: { address: string; problems: readonly Problem[]; column: Column | "more"; text: string }) {
  const some = problems.filter((one) => cellOf(one.key) === column);
  return some.map((one, index) => (
    <span key={one.sentence} id={wrongId(`${address}/${column}`, index)} className="wrong" role="alert">
      {one.column > 0 && text && (
        <code className="where">
          {[...text].slice(0, one.column - 1).join("")}
          <mark>{[...text][one.column - 1] ?? "⎵"}</mark>
          {[...text].slice(one.column).join("")}
        </code>
      )}
      {column === "more" && `${one.key}: `}
      {said(one)}
    </span>
  ));
}
