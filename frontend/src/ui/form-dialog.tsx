// A dialog that asks something and does one act: what is wrong stands beside its field, what is about no field above all, and it closes when it is done.
import type { Query, UserError } from "../api/client";
import { useAct } from "../api/hooks";
import { Dialog } from "./dialog";
import { useIsThere } from "./is-there";
import { useTell, type Undo } from "./notice";
import { Problem, sentence } from "./state";
import { Working } from "./working";

export interface FormAct<Variables> {
  run: (values: Variables) => void;
  /** The sentence that is beside a field. */
  wrong: (field: string) => string | null;
  errors: readonly UserError[];
  isBusy: boolean;
  error: unknown;
}

/**
 * Does an act and says what came of it; `done` gives the sentence, and null where nothing is to be said. The act goes on when its form is closed meanwhile, or
 * goes with what it is about: then it is told all the same, and so is why it was not done. `close` is for a form that is still there.
 */
export function useFormAct<Result, Variables>(
  document: Query<Result, Variables>,
  payloadOf: (result: Result) => { userErrors: UserError[] },
  done: (result: Result) => string | null,
  close?: (result: Result) => void,
  /** The way back, where there is one. */
  undo?: Undo,
): FormAct<Variables> {
  const tell = useTell();
  const act = useAct(document);
  const isThere = useIsThere();
  const errors = act.data ? payloadOf(act.data).userErrors : [];
  // A form that is there says it itself.
  const refuse = (message: string) => {
    if (!isThere.current) tell(sentence(message), "bad");
  };
  const finish = (result: Result) => {
    const refused = payloadOf(result).userErrors[0];
    if (refused) return refuse(refused.message);
    const said = done(result);
    if (said) tell(said, "good", undo);
    if (isThere.current) close?.(result);
  };
  return {
    // By its promise: what is given to `mutate` itself is not called any more once the form is gone.
    run: (values) => void act.mutateAsync(values).then(finish, (error: Error) => refuse(error.message)),
    wrong: (field) => {
      const found = errors.find((one) => one.field.at(-1) === field);
      return found ? sentence(found.message) : null;
    },
    errors,
    isBusy: act.isPending,
    error: act.error,
  };
}

interface FormDialogProps<Variables> {
  title: string;
  about?: React.ReactNode;
  /** The button that does it. */
  label: string;
  act: FormAct<Variables>;
  /** The fields that are shown: an error of another one stands above all. */
  fields?: readonly string[];
  submit: (form: FormData) => void;
  close: () => void;
  /** What it does, for where that takes a while. */
  meanwhile?: string;
  children?: React.ReactNode;
}

export function FormDialog<Variables>({ title, about, label, act, fields = [], submit, close, meanwhile = "It is under way.", children }: FormDialogProps<Variables>) {
  return (
    <Dialog title={title} about={about} open close={close}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          submit(new FormData(event.currentTarget));
        }}
      >
        <FormErrors act={act} fields={fields} />
        {children}
        <div className="row">
          <button type="submit" className="button main-act" disabled={act.isBusy}>
            {act.isBusy ? "Working…" : label}
          </button>
          <button type="button" className="button" onClick={close}>
            {act.isBusy ? "Close" : "Cancel"}
          </button>
          <Working isBusy={act.isBusy}>{meanwhile} It goes on if you close this.</Working>
        </div>
      </form>
    </Dialog>
  );
}

/** What went wrong and is about none of these fields. */
export function FormErrors<Variables>({ act, fields = [] }: { act: FormAct<Variables>; fields?: readonly string[] }) {
  return (
    <>
      {Boolean(act.error) && <Problem error={act.error} />}
      {act.errors
        .filter((one) => !fields.includes(one.field.at(-1) ?? ""))
        .map((one) => (
          <p key={one.message} className="note bad" role="alert">
            {sentence(one.message)}
          </p>
        ))}
    </>
  );
}
