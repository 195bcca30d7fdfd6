// One act as one button, which says what came of it.
import type { Query, UserError } from "../api/client";
import { useAct } from "../api/hooks";
import { useTell, type Undo } from "./notice";
import { sentence } from "./state";

interface ActButtonProps<Result, Variables> {
  document: Query<Result, Variables>;
  values: Variables;
  payloadOf: (result: Result) => { userErrors: UserError[] };
  label: string;
  /** Where many stand under each other: what tells this one from the others, for who does not see where it stands. */
  name?: string;
  /** What is said when it is done. */
  done: string;
  isMain?: boolean;
  isQuiet?: boolean;
  /** The way back, where there is one. */
  undo?: Undo;
  /** Where it goes on, once it is done. */
  then?: (result: Result) => void;
}

export function ActButton<Result, Variables>({ document, values, payloadOf, label, name, done, isMain = false, isQuiet = false, undo, then }: ActButtonProps<Result, Variables>) {
  const tell = useTell();
  const act = useAct(document);
  const run = () =>
    act.mutate(values, {
      onSuccess: (result) => {
        const error = payloadOf(result).userErrors[0];
        if (error) return tell(sentence(error.message), "bad");
        tell(done, "good", undo);
        then?.(result);
      },
      onError: (error) => tell(sentence(error.message), "bad"),
    });
  return (
    <button type="button" className={isMain ? "button main-act" : isQuiet ? "button quiet" : "button"} disabled={act.isPending} onClick={run} aria-label={name}>
      {label}
    </button>
  );
}
