// One act as one button, which says what came of it.
import type { Query, UserError } from "../api/client";
import { useAct } from "../api/hooks";
import { useIsThere } from "./is-there";
import { useTell, type Undo } from "./notice";
import { sentence } from "./state";

/** What is said of an act: as good news, where it says nothing else, with the way back where there is one. */
type Told = string | { text: string; tone?: "good" | "bad"; undo?: Undo | undefined };

/**
 * Does an act that has no form, and says what came of it: also where what it was about has gone from the page by then, which its own outcome often does.
 * `then` is for a page that is still there.
 */
export function useToldAct<Result, Variables, Payload extends { userErrors: UserError[] }>(
  document: Query<Result, Variables>,
  payloadOf: (result: Result) => Payload,
  done: (payload: Payload, values: Variables) => Told,
  then?: (result: Result) => void,
): { run: (values: Variables) => void; isPending: boolean } {
  const tell = useTell();
  const isThere = useIsThere();
  const { mutateAsync, isPending } = useAct(document);
  const finish = (result: Result, values: Variables) => {
    const payload = payloadOf(result);
    const refused = payload.userErrors[0];
    if (refused) return tell(sentence(refused.message), "bad");
    const told = done(payload, values);
    if (typeof told === "string") tell(told);
    else tell(told.text, told.tone, told.undo);
    if (isThere.current) then?.(result);
  };
  // By its promise: what is given to `mutate` itself is not called any more once its button is gone.
  return { run: (values) => void mutateAsync(values).then((result) => finish(result, values), (error: Error) => tell(sentence(error.message), "bad")), isPending };
}

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
  const act = useToldAct(document, payloadOf, () => ({ text: done, undo }), then);
  return (
    <button type="button" className={isMain ? "button main-act" : isQuiet ? "button quiet" : "button"} disabled={act.isPending} onClick={() => act.run(values)} aria-label={name}>
      {label}
    </button>
  );
}
