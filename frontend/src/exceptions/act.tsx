// The acts on exceptions that ask something first: whom, until when, why. One dialog for a cause, for some of its exceptions, and for one.
import { useState } from "react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { ask, type Query, type UserError } from "../api/client";
import { useAsk, useTenant, wrongWith } from "../api/hooks";
import { useViewer } from "../app/tenants";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { useIsThere } from "../ui/is-there";
import { useTell, type Undo } from "../ui/notice";
import { Loading, Problem, sentence } from "../ui/state";
import { useUndo } from "../ui/undo";
import { Working } from "../ui/working";
import { many, meanwhile, stopped, type Progress } from "./progress";
import {
  ExceptionAssignDocument,
  ExceptionCommentDocument,
  ExceptionIgnoreDocument,
  ExceptionReopenDocument,
  ExceptionRetryDocument,
  ExceptionSnoozeDocument,
  ExceptionTagDocument,
  MembersDocument,
  type ExceptionSelectionInput,
} from "./query.generated";
import { reopened } from "./reopened";
import { wayBack, type Tagged } from "./tags";
import { WhatIf } from "./what-if";

export type Act = "retry" | "assign" | "comment" | "snooze" | "ignore" | "tag";

export interface ActPayload {
  count: number;
  hasMore: boolean;
  userErrors: UserError[];
  /** When they were closed, of an act that closes them. */
  endedAt?: string | null | undefined;
}

/** What an act can be taken back to; undefined where that is not one thing for all that is chosen. */
export interface Before {
  assigneeId: string | null | undefined;
  isSnoozed: boolean | undefined;
  /** Each cause, or each exception, by itself: they need not have the same. */
  tagged: readonly Tagged[];
}

/** A cause, or some exceptions of one; an act may be about several causes. */
export interface Chosen {
  selection: ExceptionSelectionInput;
  before: Before;
}

interface ActProps {
  chosen: readonly Chosen[];
  count: number;
  close: () => void;
}

export function ActDialog({ act, about, ...props }: ActProps & { act: Act; about: string }) {
  const title: Record<Act, string> = {
    retry: `Retry ${props.count.toLocaleString()}`,
    assign: "Assign",
    comment: "Comment",
    snooze: "Snooze",
    ignore: `Ignore ${props.count.toLocaleString()}`,
    tag: "Tag",
  };
  return (
    <Dialog title={title[act]} about={about} open close={props.close}>
      {act === "retry" && <Retry {...props} />}
      {act === "assign" && <Assign {...props} />}
      {act === "comment" && <Comment {...props} />}
      {act === "snooze" && <Snooze {...props} />}
      {act === "ignore" && <Ignore {...props} />}
      {act === "tag" && <Tag {...props} />}
    </Dialog>
  );
}

interface Asked<Variables, Payload> {
  all: readonly Variables[];
  /** From how many it was in all, and what was answered about each. */
  done: (count: number, payloads: readonly Payload[]) => string;
  undo?: ((payloads: readonly Payload[]) => Undo | undefined) | undefined;
}

/**
 * Does an act, about one cause after the other where it is about several; says what came of it, and closes. What a person must mend stays in the form, with
 * what went wrong otherwise; who has no form is told both. It goes on when its form is closed, and is told all the same.
 */
export function useExceptionAct<Result, Variables, Payload extends ActPayload>(document: Query<Result, Variables>, payloadOf: (result: Result) => Payload, close: () => void, hasForm = true, more = " More of it are open: do it again for them.") {
  const tell = useTell();
  const tenant = useTenant();
  const client = useQueryClient();
  const [progress, setProgress] = useState<Progress>({ done: 0, count: 0, of: 0 });
  const isThere = useIsThere();
  // A form that is there says it itself.
  const refuse = ({ message }: { message: string }) => {
    if (!hasForm || !isThere.current) tell(sentence(message), "bad");
  };
  const act = useMutation({
    mutationFn: async ({ all }: Asked<Variables, Payload>) => {
      const sum = { count: 0, hasMore: false, userErrors: [] as UserError[], payloads: [] as Payload[] };
      for (const [done, values] of all.entries()) {
        setProgress({ done, count: sum.count, of: all.length });
        const payload = payloadOf(await ask(document, values, tenant));
        const { count, hasMore, userErrors } = payload;
        sum.payloads.push(payload);
        sum.count += count;
        sum.hasMore ||= hasMore;
        sum.userErrors.push(...userErrors);
        if (userErrors.length > 0) break;
      }
      return sum;
    },
    // What cannot be asked is told at once: an act that waited for the network would be done when nobody thinks of it any more.
    networkMode: "always",
    onSuccess: ({ userErrors, count, hasMore, payloads }, { done, undo }) => {
      const refused = userErrors[0];
      if (refused) {
        refuse(refused);
        // What was done before that is done, and may be taken back.
        const back = undo?.(payloads);
        if (back) tell(done(count, payloads), "good", back);
        return;
      }
      tell(done(count, payloads) + (hasMore ? more : ""), "good", undo?.(payloads));
      // Another form may stand in its place by now.
      if (isThere.current) close();
    },
    onError: refuse,
    onSettled: () => void client.invalidateQueries({ queryKey: [tenant] }),
  });
  const run = (values: Variables | readonly Variables[], done: Asked<Variables, Payload>["done"], undo?: Undo) => act.mutate({ all: allOf(values), done, undo: undo && (() => undo) });
  /** As `run`, where the way back is known from what was answered. */
  const runWithWayBack = (values: readonly Variables[], done: Asked<Variables, Payload>["done"], undo: (payloads: readonly Payload[]) => Undo | undefined) => act.mutate({ all: values, done, undo });
  const errors = act.data?.userErrors ?? [];
  return { run, runWithWayBack, errors, isBusy: act.isPending, error: act.error, progress, stopped: errors.length > 0 || act.error ? stopped(progress, !act.error) : null };
}

function allOf<Variables>(values: Variables | readonly Variables[]): readonly Variables[] {
  return Array.isArray(values) ? (values as readonly Variables[]) : [values as Variables];
}

interface ButtonsProps {
  label: string;
  act: { isBusy: boolean; progress: Progress };
  count: number;
  isReady?: boolean;
  close: () => void;
  /** Another act of the same form. */
  children?: React.ReactNode;
}

function Buttons({ label, act: { isBusy, progress }, count, isReady = true, close, children }: ButtonsProps) {
  return (
    <div className="row">
      <button type="submit" className="button main-act" disabled={isBusy || !isReady}>
        {isBusy ? "Working…" : label}
      </button>
      {children}
      <button type="button" className="button" onClick={close}>
        {isBusy ? "Close" : "Cancel"}
      </button>
      <Working isBusy={isBusy}>{meanwhile(progress, count)} It goes on if you close this.</Working>
    </div>
  );
}

interface FormProps {
  submit: (form: FormData) => void;
  error: unknown;
  errors: UserError[];
  stopped: string | null;
  children: React.ReactNode;
}

function Form({ submit, error, errors, stopped, children }: FormProps) {
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        submit(new FormData(event.currentTarget));
      }}
    >
      {Boolean(error) && <Problem error={error} />}
      {errors.map((one) => (
        <p key={one.message} className="note bad" role="alert">
          {sentence(one.message)}
        </p>
      ))}
      {stopped && <p className="note warn">{stopped}</p>}
      {children}
    </form>
  );
}

/** So many are tried in a moment. */
const TRIED_AT_ONCE = 200;

function Retry({ chosen, count, close }: ActProps) {
  const act = useExceptionAct(ExceptionRetryDocument, (result) => result.exceptionRetry, close);
  const only = chosen.length === 1 ? chosen[0] : undefined;
  return (
    <Form
      {...act}
      submit={(form) => act.run(chosen.map(({ selection }) => ({ input: selection, versions: form.get("versions") === "SAME" ? ("SAME" as const) : ("CURRENT" as const) })), (done) => `${many(done)} set free. They are sent within the destination’s limits.`)}
    >
      <p>{many(count)} will be sent with what the mapping and the lookup tables say now. One that stops again comes back to this cause.</p>
      {only && <WhatIf selection={only.selection} entries={[]} label="What would it do now?" isAtOnce={count <= TRIED_AT_ONCE} />}
      <Field label="Version of the flow">
        {(props) => (
          <select {...props} name="versions">
            <option value="CURRENT">The one that is published now</option>
            <option value="SAME">The one it was planned with</option>
          </select>
        )}
      </Field>
      <Buttons label="Retry" act={act} count={count} close={close} />
    </Form>
  );
}

/** The way back to whose they were; none where those of one choice were several people's. */
export function useBackToOwner() {
  const undo = useUndo();
  return (chosen: readonly Chosen[]): Undo | undefined => {
    const before = chosen.flatMap(({ selection, before: { assigneeId } }) => (assigneeId === undefined ? [] : [{ input: selection, userId: assigneeId }]));
    if (before.length < chosen.length) return undefined;
    return undo(ExceptionAssignDocument, before, (result) => result.exceptionAssign, chosen.length === 1 ? "It is whose it was before." : "They are whose they were before.");
  };
}

/** Whom a form chose; null for nobody. */
export function assigneeIn(form: FormData): string | null {
  const id = form.get("userId");
  return typeof id === "string" && id !== "" ? id : null;
}

function Assign({ chosen, count, close }: ActProps) {
  const viewer = useViewer();
  const members = useAsk(MembersDocument, {});
  const act = useExceptionAct(ExceptionAssignDocument, (result) => result.exceptionAssign, close);
  const me = viewer.data?.viewer?.id ?? "";
  const back = useBackToOwner()(chosen);
  // Who one is, is chosen beforehand: without it the choice would be nobody, which nobody chose.
  const isReady = Boolean(members.data && viewer.data);
  const failed = [members, viewer].find((asked) => asked.error && !asked.data);
  return (
    <Form {...act} submit={(form) => act.run(chosen.map(({ selection }) => ({ input: selection, userId: assigneeIn(form) })), () => "Assigned.", back)}>
      {failed && <Problem error={failed.error} retry={() => void failed.refetch()} />}
      {!isReady && !failed && <Loading what="the members" />}
      {isReady && members.data && (
        <Field label="To whom" help="What joins this cause later is theirs too.">
          {(props) => (
            <select {...props} name="userId" defaultValue={me} autoFocus>
              <option value="">Nobody</option>
              {members.data.members.map((one) => (
                <option key={one.userId} value={one.userId}>
                  {one.name || one.email}
                  {one.userId === me ? " (me)" : ""}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      <Buttons label="Assign" act={act} count={count} isReady={isReady} close={close} />
    </Form>
  );
}

function Comment({ chosen, count, close }: ActProps) {
  const act = useExceptionAct(ExceptionCommentDocument, (result) => result.exceptionComment, close);
  return (
    <Form {...act} errors={[]} submit={(form) => act.run(chosen.map(({ selection }) => ({ input: selection, text: String(form.get("text")) })), () => "Your comment is kept.")}>
      <Field label="What is to be known" help="Comments stay, with your name." wrong={act.errors[0]?.message}>
        {(props) => <textarea {...props} name="text" required maxLength={4000} autoFocus />}
      </Field>
      <Buttons label="Comment" act={act} count={count} close={close} />
    </Form>
  );
}

const HOUR_MS = 60 * 60 * 1000;
const SNOOZES = [
  ["1", "One hour"],
  ["4", "Four hours"],
  ["24", "A day"],
  ["168", "A week"],
  ["0", "Show it again now"],
] as const;

function Snooze({ chosen, count, close }: ActProps) {
  const undo = useUndo();
  const act = useExceptionAct(ExceptionSnoozeDocument, (result) => result.exceptionSnooze, close);
  const back = undo(ExceptionSnoozeDocument, chosen.map(({ selection }) => ({ input: selection, until: null, above: null })), (result) => result.exceptionSnooze, "It is shown again.");
  const submit = (form: FormData) => {
    const hours = Number(form.get("hours"));
    const above = String(form.get("above") ?? "");
    const until = hours > 0 ? new Date(Date.now() + hours * HOUR_MS).toISOString() : null;
    act.run(chosen.map(({ selection }) => ({ input: selection, until, above: until && above ? Number(above) : null })), () => (until ? "Put away. It comes back by itself." : "Shown again."), until && chosen.every(({ before }) => before.isSnoozed === false) ? back : undefined);
  };
  return (
    <Form {...act} errors={act.errors.filter((one) => one.field.at(-1) !== "above")} submit={submit}>
      <Field label="For how long">
        {(props) => (
          <select {...props} name="hours" autoFocus>
            {SNOOZES.map(([hours, label]) => (
              <option key={hours} value={hours}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
      {chosen.every(({ selection }) => selection.causeKey) && (
        <Field label="Or until more than so many are open" help="May stay empty." wrong={wrongWith(act.errors, "above")}>
          {(props) => <input {...props} name="above" type="number" min={1} step={1} />}
        </Field>
      )}
      <Buttons label="Snooze" act={act} count={count} close={close} />
    </Form>
  );
}

function Ignore({ chosen, count, close }: ActProps) {
  const act = useExceptionAct(ExceptionIgnoreDocument, (result) => result.exceptionIgnore, close);
  const undo = useUndo();
  // Of a cause only those of this act: what was ignored otherwise was meant to be.
  const back = (payloads: readonly ActPayload[]) => {
    const ended = chosen.flatMap(({ selection }, at) => {
      const endedAt = payloads[at]?.endedAt;
      return endedAt ? [{ input: selection, endedAt }] : [];
    });
    return ended.length > 0 ? undo(ExceptionReopenDocument, ended, (result) => result.exceptionReopen, (results) => reopened(results.map((result) => result.exceptionReopen))) : undefined;
  };
  const submit = (form: FormData) => {
    const reason = String(form.get("reason"));
    act.runWithWayBack(chosen.map(({ selection }) => ({ input: selection, reason })), (done) => `${many(done)} will not be sent.`, back);
  };
  return (
    <Form {...act} errors={act.errors.filter((one) => one.field.at(-1) !== "reason")} submit={submit}>
      <p>{many(count)} will not be sent. The records stay, and a later revision of one is delivered again. They can be opened again.</p>
      <Field label="Why" help="Kept in the audit log, with your name." wrong={wrongWith(act.errors, "reason")}>
        {(props) => <input {...props} name="reason" required maxLength={500} autoFocus />}
      </Field>
      <Buttons label="Ignore" act={act} count={count} close={close} />
    </Form>
  );
}

function Tag({ chosen, count, close }: ActProps) {
  const act = useExceptionAct(ExceptionTagDocument, (result) => result.exceptionTag, close);
  const [tag, setTag] = useState("");
  const undo = useUndo();
  const change = (isAdded: boolean) => {
    const back = wayBack(chosen.flatMap(({ before }) => before.tagged), tag, isAdded);
    act.run(
      chosen.map(({ selection }) => ({ input: selection, add: isAdded ? [tag.trim()] : [], remove: isAdded ? [] : [tag.trim()] })),
      () => (isAdded ? "Tagged." : "The tag is taken away."),
      back.length > 0 ? undo(ExceptionTagDocument, back, (result) => result.exceptionTag, isAdded ? "The tag is taken away again." : "The tag is back.") : undefined,
    );
  };
  return (
    <Form {...act} errors={[]} submit={() => change(true)}>
      <Field label="Tag" wrong={act.errors[0]?.message}>
        {(props) => <input {...props} value={tag} onChange={(event) => setTag(event.target.value)} required maxLength={40} autoFocus />}
      </Field>
      <Buttons label="Add" act={act} count={count} close={close}>
        <button type="button" className="button" disabled={act.isBusy || !tag.trim()} onClick={() => change(false)}>
          Take away
        </button>
      </Buttons>
    </Form>
  );
}
