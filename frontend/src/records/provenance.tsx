// Of which fields of the source's message each field of the record was made.
import { useState } from "react";
import { useAsk } from "../api/hooks";
import { words } from "../ui/badge";
import { Loading, Problem } from "../ui/state";
import { RecordProvenanceDocument } from "./query.generated";

export function Provenance({ recordId }: { recordId: string }) {
  const [isOpen, setOpen] = useState(false);
  const asked = useAsk(RecordProvenanceDocument, { id: recordId }, { isWanted: isOpen, isDear: true });
  const fields = asked.data?.record?.provenance ?? [];
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>Where each field comes from</summary>
      {isOpen && asked.error && !asked.data && <Problem error={asked.error} />}
      {isOpen && asked.isPending && <Loading what="where its fields come from" />}
      {asked.data && fields.length === 0 && <p className="muted">That was not kept of it.</p>}
      {fields.length > 0 && (
        <div className="scroll short" tabIndex={0} role="region" aria-label="Where each field comes from">
          <table>
            <thead>
              <tr>
                <th scope="col" style={{ width: "45%" }}>
                  Field
                </th>
                <th scope="col">Of the message</th>
                <th scope="col">How</th>
              </tr>
            </thead>
            <tbody>
              {fields.map((one) => (
                <tr key={one.field}>
                  <td className="break">
                    <code>{one.field}</code>
                  </td>
                  <td className="break">{one.from.length > 0 ? <code>{one.from.join(", ")}</code> : <span className="muted">always the same</span>}</td>
                  <td>{words(one.how)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
