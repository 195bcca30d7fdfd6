// What the draft says differently from the version that runs, by the field that is written.
import { stringify } from "../api/digits";
import type { Spec } from "./draft";
import { differences, type Difference } from "./rules";

export function Differences({ running, version, spec }: { running: Spec | null; version: number | null; spec: Spec }) {
  if (!running || version === null) return null;
  const filter: Difference[] = running.filter === spec.filter ? [] : [{ to: "filter", key: "", before: running.filter, after: spec.filter }];
  const sides: [string, Difference[]][] = [
    ["Filter", filter],
    ["Reading", differences(running.read, spec.read)],
    ["Writing", differences(running.write, spec.write)],
  ];
  const some = sides.filter(([, found]) => found.length > 0);
  return (
    <section className="panel stack tight" aria-label="Differences">
      <h2>What differs from version {version}, which runs</h2>
      {some.length === 0 && <p className="muted">Nothing.</p>}
      {some.map(([side, found]) => (
        <div key={side}>
          <h3>{side}</h3>
          <ul className="stack tight">
            {found.map((one, index) => (
              <li key={`${one.to} ${one.key} ${index}`} className="break">
                <code>{one.to || "a rule without a target"}</code> {one.key && <>({one.key}) </>}
                {one.before !== null && <del>{written(one.before)}</del>} {one.before !== null && one.after !== null && "becomes "}
                {one.after !== null && <ins>{written(one.after)}</ins>} {one.after === null && "is taken away"}
              </li>
            ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

function written(value: unknown): string {
  return typeof value === "string" ? value : stringify(value);
}
