// The keys of a rule that are seldom used, for the rule that has the focus: what stands in place of nothing, rounding, and how a list is gone through.
import { useState } from "react";
import { Digits, parse, stringify } from "../api/digits";
import { Field } from "../ui/field";
import { cellOf, said, type Problem } from "./problems";
import type { Edit, Rule } from "./rules";

interface MoreProps {
  rule: Rule;
  target: string;
  problems: readonly Problem[];
  change: (edit: Edit, isStep?: boolean) => void;
  leave: () => void;
}

export function More({ rule, target, problems, change, leave }: MoreProps) {
  const wrong = (key: string) => {
    const found = problems.find((one) => cellOf(one.key) === "more" && one.key.startsWith(key));
    return found ? said(found) : null;
  };
  const text = (key: "zone" | "flatten" | "where" | "group_by" | "allocate", label: string, help: string) => (
    <Field label={label} help={help} wrong={wrong(key)}>
      {(props) => <input {...props} className="mono" value={rule[key] ?? ""} spellCheck={false} autoComplete="off" onChange={(event) => change({ [key]: event.target.value })} />}
    </Field>
  );
  const isList = rule.each !== undefined;
  return (
    <section className="panel stack" aria-label="More of the rule" onBlur={leave}>
      <h2 className="break">
        More of <code>{target || "the new rule"}</code>
      </h2>
      <div className="cards even">
        {isList ? (
          <>
            {text("where", "Only rows for which", "An expression: quantity > 0")}
            {text("group_by", "One row for each different", "An expression: location.id. The rules then see $group.key and $group.rows")}
            {text("flatten", "A list within each row", "Its rows take the row’s place; $parent is the row around")}
          </>
        ) : (
          <>
            <Default rule={rule} wrong={wrong("default")} change={change} />
            <Field label="A value without an entry" help="What happens where the lookup table has none" wrong={wrong("on_missing")}>
              {(props) => (
                <select {...props} value={rule.on_missing ?? ""} onChange={(event) => change({ on_missing: event.target.value }, true)}>
                  <option value="">As the flow’s policy says</option>
                  <option value="exception">A person adds the entry</option>
                  <option value="keep">Goes on as it is</option>
                  <option value="default">Becomes the default</option>
                </select>
              )}
            </Field>
            {text("zone", "Time zone", "Of a time that says none: America/Los_Angeles")}
            {text("allocate", "An amount to divide", "An expression around the list: totals.shipping. Needs rounding")}
            <Rounding rule={rule} wrong={wrong("round")} change={change} />
          </>
        )}
      </div>
    </section>
  );
}

/** Text, or what JSON says, with the digits that were typed. */
function Default({ rule, wrong, change }: { rule: Rule; wrong: string | null; change: MoreProps["change"] }) {
  const isText = rule.default === undefined || typeof rule.default === "string";
  const [typed, setTyped] = useState<string | null>(null);
  const shown = typed ?? (rule.default === undefined ? "" : typeof rule.default === "string" ? rule.default : stringify(rule.default));
  const put = (text: string, asText: boolean) => {
    setTyped(text);
    if (text === "") return change({ default: undefined });
    if (asText) return change({ default: text });
    try {
      change({ default: parse(text) });
    } catch {
      // Half a number is typed: what it was stays until it is one.
    }
  };
  const [asText, setAsText] = useState(isText);
  const isHalf = !asText && typed !== null && typed !== "" && !isJson(typed);
  return (
    <Field label="Default" help="Written where the source has nothing" wrong={isHalf ? "This is no number, true, false or null" : wrong}>
      {(props) => (
        <span className="stack tight">
          <input {...props} className="mono" value={shown} spellCheck={false} autoComplete="off" onChange={(event) => put(event.target.value, asText)} />
          <label className="row small">
            <input
              type="checkbox"
              checked={asText}
              onChange={(event) => {
                setAsText(event.target.checked);
                put(shown, event.target.checked);
              }}
            />
            It is text
          </label>
        </span>
      )}
    </Field>
  );
}

function isJson(text: string): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}

interface Round {
  scope?: string;
  mode?: string;
  digits?: Digits;
  currency?: string;
}

function Rounding({ rule, wrong, change }: { rule: Rule; wrong: string | null; change: MoreProps["change"] }) {
  const round = (rule.round ?? {}) as Round;
  const places = round.currency ?? (round.digits === undefined ? "" : String(round.digits));
  const put = (edit: Round) => {
    const next = { scope: "line", mode: "half_up", ...round, ...edit };
    change({ round: next.scope === "" ? undefined : Object.fromEntries(Object.entries(next).filter(([, value]) => value !== undefined)) }, true);
  };
  return (
    <fieldset className="plain stack tight">
      <legend>Rounding</legend>
      <label className="row small">
        <span>Rows</span>
        <select value={round.scope ?? ""} onChange={(event) => put({ scope: event.target.value })}>
          <option value="">are not rounded</option>
          <option value="line">each for itself</option>
          <option value="order">so that they add up</option>
        </select>
      </label>
      {round.scope && (
        <>
          <label className="row small">
            <span>Halves</span>
            <select value={round.mode ?? "half_up"} onChange={(event) => put({ mode: event.target.value })}>
              <option value="half_up">away from zero</option>
              <option value="half_even">to the even neighbour</option>
              <option value="down">everything towards zero</option>
              <option value="up">everything away from zero</option>
            </select>
          </label>
          <label className="row small">
            <span>Places, or an expression for the currency</span>
            <input
              className="mono"
              value={places}
              placeholder="2, or $root.currency"
              onChange={(event) => {
                const text = event.target.value.trim();
                put(/^\d+$/.test(text) ? { digits: new Digits(text), currency: undefined as never } : { currency: text, digits: undefined as never });
              }}
            />
          </label>
        </>
      )}
      {wrong && (
        <span className="wrong" role="alert">
          {wrong}
        </span>
      )}
    </fieldset>
  );
}
