// A call made again, without sending it: what it was made with then, and what would differ with the lookup tables and the connector as they are now.
import { useState } from "react";
import { useAsk } from "../api/hooks";
import { Loading, Problem, sentence } from "../ui/state";
import { RecordRemadeDocument } from "./query.generated";

export function Remade({ attemptId }: { attemptId: string }) {
  const [isWanted, setWanted] = useState(false);
  const asked = useAsk(RecordRemadeDocument, { id: attemptId }, { isWanted, isDear: true });
  if (!isWanted) {
    return (
      <div className="row">
        <button type="button" className="button" onClick={() => setWanted(true)}>
          What would be sent now?
        </button>
        <span className="muted small">By the tables and the connector as they are now. Nothing is sent.</span>
      </div>
    );
  }
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="what would be sent now" />;
  const { then, now } = asked.data;
  if (!then || !now) return <p className="note">It cannot be made again: it was no write, or was sent before it was kept what it was made with.</p>;
  const tables = then.madeWith.lookupTables;
  return (
    <div className="stack tight" aria-live="polite">
      {now.failure ? (
        <p className="note bad">{sentence(now.failure)}</p>
      ) : now.isSame ? (
        <p className="note good">The same would be sent now.</p>
      ) : (
        <div className="note warn">
          <p>
            <strong>{now.changes.length === 1 ? "One field would differ" : `${now.changes.length.toLocaleString()} fields would differ`}:</strong>
          </p>
          <ul className="stack tight">
            {now.changes.map((one) => (
              <li key={one.path} className="break">
                <code>{one.path}</code>: <del>{one.before ?? "nothing"}</del> becomes <ins>{one.after ?? "nothing"}</ins>
              </li>
            ))}
          </ul>
        </div>
      )}
      <p className="muted small break">
        {then.isSame ? "Made again with what stood then, it is the same to the byte." : "Made again with what stood then, it is not the same: part of it was not kept."}
        {tables.length > 0 && ` It looked into ${tables.map((one) => `“${one.name}” version ${one.version}`).join(", ")}.`}
      </p>
    </div>
  );
}
