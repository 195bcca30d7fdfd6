// The fixes of a cause, the most fitting first and each as one button, with a word of what it would do before it is done.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useTenant, wrongWith } from "../api/hooks";
import { HiddenAnswer, useIsHidden } from "../app/hidden";
import { Field } from "../ui/field";
import { Problem, sentence } from "../ui/state";
import { Working } from "../ui/working";
import { useExceptionAct } from "./act";
import { many } from "./progress";
import {
  ExceptionCreateFirstDocument,
  ExceptionFixLookupValueDocument,
  ExceptionMarkDoneDocument,
  type ExceptionGroupQuery,
} from "./query.generated";
import { WhatIf } from "./what-if";

type Group = NonNullable<ExceptionGroupQuery["exceptionGroup"]>;
interface FixesProps {
  group: Group;
  picked: string[];
  currentId: string | undefined;
}

export function Fixes({ group, picked, currentId }: FixesProps) {
  const tenant = useTenant();
  const connection = { to: "/t/$tenant/connections/$connectionId", params: { tenant, connectionId: group.connectionId } } as const;
  const isOf = (kind: string) => group.fixes.find((fix) => fix.kind === kind);
  const reconnect = isOf("RECONNECT") ?? isOf("RAISE_LIMIT");
  return (
    <section className="panel stack" id="fix" aria-label="Fix">
      <h2>Fix</h2>
      {isOf("ADD_LOOKUP_VALUE") && <AddLookupValue group={group} />}
      {reconnect && (
        <div className="stack tight">
          <p>Mend the account on the page of its connection, then come back and retry. What waits is also tried by itself once it works.</p>
          <div>
            <Link className="button main-act" {...connection}>
              {reconnect.label}
            </Link>
          </div>
        </div>
      )}
      {isOf("CREATE_FIRST") && <CreateFirst group={group} picked={picked} label={isOf("CREATE_FIRST")?.label ?? ""} />}
      {isOf("EDIT_FIELD") && <p>{isOf("EDIT_FIELD")?.label}: choose an exception below, then “Edit and retry”. It is sent as soon as what you write is right.</p>}
      {!isOf("ADD_LOOKUP_VALUE") && <WhatIf selection={picked.length > 0 ? { ids: picked } : { causeKey: group.causeKey }} entries={[]} label="What would a retry do now?" />}
      {isOf("DONE_ELSEWHERE") && currentId && <DoneElsewhere key={currentId} id={currentId} label={isOf("DONE_ELSEWHERE")?.label ?? ""} />}
    </section>
  );
}

function AddLookupValue({ group }: { group: Group }) {
  const [to, setTo] = useState("");
  const act = useExceptionAct(ExceptionFixLookupValueDocument, (result) => result.exceptionFixLookupValue, () => undefined);
  const isHidden = useIsHidden();
  const { lookupTable, value } = group;
  if (!lookupTable || value == null) return null;
  if (isHidden(value)) return <HiddenAnswer />;
  return (
    <form
      className="stack tight"
      onSubmit={(event) => {
        event.preventDefault();
        act.run({ causeKey: group.causeKey, to: to.trim() }, (count) => `“${value}” is in the table “${lookupTable}”, and ${count.toLocaleString()} go on.`);
      }}
    >
      {Boolean(act.error) && <Problem error={act.error} />}
      <Field
        label={`What is “${value}” at the destination?`}
        help={`Becomes an entry of the table “${lookupTable}”. ${group.count === 1 ? "The one that lacks it is" : `All ${group.count.toLocaleString()} that lack it are`} tried again at once.`}
        wrong={wrongWith(act.errors, "to") ?? act.errors[0]?.message}
      >
        {(props) => (
          <div className="row">
            <input {...props} value={to} onChange={(event) => setTo(event.target.value)} required style={{ maxWidth: 320 }} autoComplete="off" />
            <button type="submit" className="button main-act" disabled={act.isBusy || !to.trim()}>
              {act.isBusy ? "Working…" : "Add and retry all"}
            </button>
            <Working isBusy={act.isBusy}>Adding it, and setting {many(group.count)} free.</Working>
          </div>
        )}
      </Field>
      <WhatIf selection={{ causeKey: group.causeKey }} entries={to.trim() ? [{ lookupTable, from: value, to: to.trim() }] : []} label="What would that do?" isPossible={to.trim() !== ""} />
    </form>
  );
}

function CreateFirst({ group, picked, label }: { group: Group; picked: string[]; label: string }) {
  const act = useExceptionAct(ExceptionCreateFirstDocument, (result) => result.exceptionCreateFirst, () => undefined);
  return (
    <div className="stack tight">
      {Boolean(act.error) && <Problem error={act.error} />}
      {act.errors.map((one) => (
        <p key={one.message} className="note bad" role="alert">
          {sentence(one.message)}
        </p>
      ))}
      <div>
        <button
          type="button"
          className="button main-act"
          disabled={act.isBusy}
          onClick={() => act.run({ input: picked.length > 0 ? { ids: picked } : { causeKey: group.causeKey } }, (count) => `${count.toLocaleString()} wait for what must be there first, and go on by themselves.`)}
        >
          {label}
        </button>{" "}
        <Working isBusy={act.isBusy}>Working on {many(picked.length > 0 ? picked.length : group.count)}.</Working>
      </div>
    </div>
  );
}

function DoneElsewhere({ id, label }: { id: string; label: string }) {
  const act = useExceptionAct(ExceptionMarkDoneDocument, (result) => result.exceptionMarkDone, () => undefined);
  return (
    <details>
      <summary>{label}</summary>
      <form
        className="stack tight"
        onSubmit={(event) => {
          event.preventDefault();
          const destinationId = String(new FormData(event.currentTarget).get("destinationId"));
          act.run({ done: [{ id, destinationId }], note: null }, () => "It counts as confirmed by you. Later revisions change what has this id there.");
        }}
      >
        {Boolean(act.error) && <Problem error={act.error} />}
        <Field label="Its id at the destination" help="About the exception that is shown below. Nothing is sent." wrong={act.errors[0]?.message}>
          {(props) => <input {...props} name="destinationId" required maxLength={200} style={{ maxWidth: 320 }} />}
        </Field>
        <div>
          <button type="submit" className="button" disabled={act.isBusy}>
            {label}
          </button>
        </div>
      </form>
    </details>
  );
}
