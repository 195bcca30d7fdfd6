// What a retry would do, before it is done: tried with what the mapping and the tables say now, or would say. Nothing is sent.
import { useState } from "react";
import { useAsk } from "../api/hooks";
import { Problem } from "../ui/state";
import { ExceptionWhatIfDocument, type ExceptionSelectionInput, type SupposedEntryInput } from "./query.generated";

interface WhatIfProps {
  selection: ExceptionSelectionInput;
  /** Entries that are not there yet. */
  entries: SupposedEntryInput[];
  label: string;
  isPossible?: boolean;
  /** Tried without being told to: few are soon tried. */
  isAtOnce?: boolean;
}

export function WhatIf({ selection, entries, label, isPossible = true, isAtOnce = false }: WhatIfProps) {
  const key = JSON.stringify([selection, entries]);
  const [pressed, setPressed] = useState<string | null>(isAtOnce ? key : null);
  const isWanted = pressed === key;
  const asked = useAsk(ExceptionWhatIfDocument, { input: selection, lookupValues: entries }, { isWanted, isDear: true });
  const answer = isWanted && !asked.isPlaceholderData ? asked.data?.exceptionWhatIf : undefined;
  return (
    <div className="stack tight" aria-live="polite">
      <div>
        <button type="button" className="button" data-what-if disabled={!isPossible || (asked.isFetching && isWanted)} onClick={() => (isWanted ? void asked.refetch() : setPressed(key))}>
          {asked.isFetching && isWanted ? "Trying…" : label}
        </button>{" "}
        <span className="muted small">Nothing is sent.</span>
      </div>
      {asked.error && isWanted && <Problem error={asked.error} />}
      {answer && (
        <div className={`note ${answer.passes === answer.tried && answer.tried > 0 ? "good" : "warn"}`}>
          <p>
            <strong>
              {answer.tried === 0
                ? "None can be tried: these are messages that became no record."
                : `${answer.passes.toLocaleString()} of ${answer.tried.toLocaleString()} would go on.`}
            </strong>{" "}
            {answer.left > 0 && `The flow’s filter would leave out ${answer.left.toLocaleString()}. `}
            {answer.hasMore && "More are open than were tried."}
          </p>
          {answer.reasons.map((reason) => (
            <p key={`${reason.cause} ${reason.example}`} className="break">
              {reason.count.toLocaleString()} would stop again: {reason.cause} <span className="muted">{reason.nextStep} For example {reason.example}.</span>
            </p>
          ))}
        </div>
      )}
    </div>
  );
}
