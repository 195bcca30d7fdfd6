// What a version of a flow says, and what one says differently from another.
import { changes } from "./changes";
import type { FlowDetailQuery } from "./query.generated";

export type Version = NonNullable<FlowDetailQuery["flow"]>["versions"][number];

export function said(version: Version): Record<string, unknown> {
  const { filter, trigger, policy, mapping, sourceMapping } = version;
  return { filter, trigger, policy, mapping, sourceMapping };
}

export function Changes({ before, after }: { before: Version; after: Version }) {
  const found = changes(said(before), said(after));
  if (found.length === 0) return <p className="note good">It says the same.</p>;
  return (
    <ul className="stack tight">
      {found.map((one) => (
        <li key={one.path} className="break">
          <code>{one.path}</code>: <del>{one.before ?? "nothing"}</del> becomes <ins>{one.after ?? "nothing"}</ins>
        </li>
      ))}
    </ul>
  );
}
