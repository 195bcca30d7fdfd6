// What the sample became by the connectors' own rules, field by field: each can be taken over as a rule of one's own, with what it is made of now.
import { Digits } from "../api/digits";
import { shown } from "./paths";
import type { Side } from "./draft";
import type { Rule, Rules } from "./rules";

interface TakeOverProps {
  side: Side;
  rules: Rules;
  made: unknown;
  provenance: readonly { field: string; from: readonly string[] }[];
  take: (rule: Rule) => void;
}

export function TakeOver({ side, rules, made, provenance, take }: TakeOverProps) {
  const own = new Set(rules.map((rule) => rule.to));
  const fields = leavesOf(made).filter(([path]) => !own.has(path));
  if (fields.length === 0) return null;
  const lists = fields.filter(([, value]) => Array.isArray(value));
  return (
    <details className="panel">
      <summary>
        {fields.length} {fields.length === 1 ? "field" : "fields"} of the sample that the connector’s own rules {side === "read" ? "read" : "write"}
      </summary>
      <div className="table" tabIndex={0} role="region" aria-label="Fields of the connector’s own rules">
        <table>
          <thead>
            <tr>
              <th scope="col">Field</th>
              <th scope="col">In the sample</th>
              {side === "read" && <th scope="col">Made of</th>}
              <th scope="col">
                <span className="hidden-label">Act</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {fields.map(([path, value]) => {
              const from = side === "read" ? (provenance.find((one) => one.field === path)?.from ?? []) : [];
              return (
                <tr key={path}>
                  <td className="break">
                    <code>{path}</code>
                  </td>
                  <td className="break">{shown(value)}</td>
                  {side === "read" && <td className="break">{from.join(", ") || <span className="muted">–</span>}</td>}
                  <td>
                    <button
                      type="button"
                      className="button"
                      aria-label={`Take over ${path}`}
                      onClick={() => take(Array.isArray(value) ? { to: path, each: from[0]?.replace(/\[\].*$/, "") ?? "", rules: [{ to: "" }] } : { to: path, ...(from[0] ? { from: from[0].replaceAll("[]", "") } : {}) })}
                    >
                      Take over
                    </button>
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {lists.length > 0 && <p className="muted small">A list is taken over as a whole: your rules then write all fields of its rows.</p>}
    </details>
  );
}

/** Each plain field and each list of a document, by its path. */
function leavesOf(value: unknown, path = ""): [string, unknown][] {
  if (value === null || typeof value !== "object" || value instanceof Digits || Array.isArray(value)) return path === "" ? [] : [[path, value]];
  return Object.entries(value).flatMap(([key, one]) => leavesOf(one, path ? `${path}.${key}` : key));
}
