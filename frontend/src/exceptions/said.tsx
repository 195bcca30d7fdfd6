// What people said and did about a cause or an exception, newest first.
import { words } from "../ui/badge";
import { Time } from "../ui/time";

interface SaidProps {
  about: string;
  comments: readonly { id: string; at: string; by: string; text: string }[];
  history: readonly { at: string; by: string; action: string; detail?: unknown }[];
}

export function Said({ comments, history, about }: SaidProps) {
  if (comments.length === 0 && history.length === 0) return null;
  return (
    <div className="halves">
      <section className="panel">
        <h2>Comments on {about}</h2>
        {comments.length === 0 && <p className="muted">Nobody has said anything yet.</p>}
        <ul className="stack tight">
          {comments.map((one) => (
            <li key={one.id}>
              <p className="muted small">
                {one.by}, <Time at={one.at} />
              </p>
              <p className="break">{one.text}</p>
            </li>
          ))}
        </ul>
      </section>
      <section className="panel">
        <h2>What was done</h2>
        {history.length === 0 && <p className="muted">Nothing yet.</p>}
        <ul className="stack tight">
          {history.map((one) => (
            <li key={`${one.at} ${one.action}`}>
              {words(one.action.replace("exception_group.", "").replace("exception.", ""))}
              <span className="muted small">
                {" "}
                by {one.by}, <Time at={one.at} />
              </span>
            </li>
          ))}
        </ul>
      </section>
    </div>
  );
}
