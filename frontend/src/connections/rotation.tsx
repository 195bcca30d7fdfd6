// The exchange of a connection's secret for a new one: how old it is, how often it is exchanged, how far an exchange is, and what a person does for it.
import { useState } from "react";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { Time } from "../ui/time";
import {
  RotationBeginDocument,
  RotationCancelDocument,
  RotationRemovalConfirmDocument,
  RotationScheduleSetDocument,
  RotationSecretEnterDocument,
  type ConnectionHealthQuery,
} from "./query.generated";

type Row = ConnectionHealthQuery["connectionHealth"]["nodes"][number];
type Rotation = NonNullable<Row["rotation"]>;
type Newest = NonNullable<Rotation["newest"]>;

const WORD: Record<Newest["state"], { word: string; tone: "good" | "warn" | "bad" | "info" }> = {
  DUE: { word: "a new one is to be made", tone: "warn" },
  MAKING: { word: "a new one is being made", tone: "info" },
  CHECKING: { word: "the new one is being tried", tone: "info" },
  OVERLAPPING: { word: "both work", tone: "info" },
  REMOVING: { word: "the old one is to be removed", tone: "warn" },
  RETIRED: { word: "exchanged", tone: "good" },
  FAILED: { word: "not exchanged", tone: "bad" },
};
const SOON_MS = 30 * 24 * 60 * 60 * 1000;
const isOpen = (newest: Newest | null | undefined) => newest != null && newest.state !== "RETIRED" && newest.state !== "FAILED";

const days = (count: number) => `${count} ${count === 1 ? "day" : "days"}`;

/** For the board: how old the secret is, and when it is exchanged next. */
export function SecretAge({ row }: { row: Pick<Row, "secretAgeDays" | "rotation"> }) {
  const newest = row.rotation?.newest;
  const due = row.rotation?.dueAt;
  return (
    <>
      {row.secretAgeDays == null ? <span className="muted">None is stored</span> : <span>{row.secretAgeDays === 0 ? "Set today" : `${days(row.secretAgeDays)} old`}</span>}
      {newest && (isOpen(newest) || newest.state === "FAILED") ? (
        <span className="block">
          <Badge tone={WORD[newest.state].tone}>{WORD[newest.state].word}</Badge>
        </span>
      ) : (
        due && (
          <span className="small block">
            exchanged next <Time at={due} /> {new Date(due).getTime() - Date.now() < SOON_MS && row.rotation?.way === "GUIDED" && <Badge tone="warn">soon</Badge>}
          </span>
        )
      )}
    </>
  );
}

/** On the connection's page; nothing where its connector does not say how a secret is exchanged. */
export function RotationPanel({ id, row }: { id: string; row: Row }) {
  const may = useMay()("configure");
  const { rotation } = row;
  if (!rotation) return null;
  const { newest } = rotation;
  const open = isOpen(newest);
  return (
    <section className="panel stack tight">
      <div className="row apart">
        <h2>Exchange of the secret</h2>
        {newest && <Badge tone={WORD[newest.state].tone}>{WORD[newest.state].word}</Badge>}
      </div>
      <p>
        {row.secretAgeDays != null && `The secret is ${row.secretAgeDays === 0 ? "new today" : `${days(row.secretAgeDays)} old`}. `}
        {rotation.everyDays == null ? "It is exchanged only when somebody says so." : `It is exchanged every ${days(rotation.everyDays)}${rotation.way === "AUTOMATIC" ? ", by itself" : "; you are told in time"}.`}{" "}
        {rotation.dueAt && !open && (
          <>
            Next: <Time at={rotation.dueAt} />.
          </>
        )}
      </p>
      {newest && (
        <div className={newest.state === "FAILED" ? "note bad" : undefined}>
          <p>{newest.sentence}</p>
          {newest.reason && <p className="break">{newest.reason}</p>}
          {newest.nextStep && <p className="small">{newest.nextStep}</p>}
          {newest.state === "OVERLAPPING" && newest.overlapUntil && (
            <p className="small">
              Both work until <Time at={newest.overlapUntil} />.
            </p>
          )}
        </div>
      )}
      {may && <Steps id={id} rotation={rotation} />}
      {may && !open && <Schedule id={id} rotation={rotation} />}
    </section>
  );
}

/** What can be done now. */
function Steps({ id, rotation }: { id: string; rotation: Rotation }) {
  const [isGuided, setGuided] = useState(false);
  const { newest, guide } = rotation;
  const state = newest && isOpen(newest) ? newest.state : null;
  // What is under way shows itself how it goes on, and the next time is begun anew.
  if (isGuided && state) setGuided(false);
  const takeBack = <ActButton document={RotationCancelDocument} values={{ id }} payloadOf={(one) => one.rotationCancel} label="Take it back" done="The secret stays as it is." isQuiet />;
  const confirm = <ActButton document={RotationRemovalConfirmDocument} values={{ id }} payloadOf={(one) => one.rotationRemovalConfirm} label="It is removed" done="The secret is exchanged." isMain={state === "REMOVING"} />;
  if (!guide) {
    return (
      <div className="row">
        {state == null && <ActButton document={RotationBeginDocument} values={{ id }} payloadOf={(one) => one.rotationBegin} label="Exchange it now" done="A new secret is asked for." />}
        {(state === "DUE" || state === "MAKING" || state === "CHECKING") && takeBack}
        {state === "REMOVING" && newest?.nextStep && confirm}
      </div>
    );
  }
  if (state === "OVERLAPPING" || state === "REMOVING") {
    return (
      <div className="stack tight">
        <h3>The last step</h3>
        <p>{guide.remove}</p>
        <div className="row">
          {confirm}
          <a href={guide.page} target="_blank" rel="noreferrer noopener">
            The vendor's page
          </a>
        </div>
      </div>
    );
  }
  if (state === "CHECKING") return <div className="row">{takeBack}</div>;
  if (state !== "DUE" && !isGuided) {
    return (
      <div className="row">
        <button type="button" className="button" onClick={() => setGuided(true)}>
          Exchange it now
        </button>
      </div>
    );
  }
  return (
    <div className="stack tight">
      <h3>Step by step</h3>
      <ol className="points">
        {guide.steps.map((step) => (
          <li key={step}>{step}</li>
        ))}
        <li>Enter it here. It is tried before it is used; the old one is used until then.</li>
      </ol>
      <p>
        <a href={guide.page} target="_blank" rel="noreferrer noopener">
          The vendor's page
        </a>
      </p>
      <SecretForm id={id} guide={guide} overlapHours={rotation.overlapHours ?? null} done={() => setGuided(false)} />
      <div className="row">
        {state === "DUE" ? (
          takeBack
        ) : (
          <button type="button" className="button quiet" onClick={() => setGuided(false)}>
            Not now
          </button>
        )}
      </div>
    </div>
  );
}

function SecretForm({ id, guide, overlapHours, done }: { id: string; guide: NonNullable<Rotation["guide"]>; overlapHours: number | null; done: () => void }) {
  const enter = useFormAct(
    RotationSecretEnterDocument,
    (result) => result.rotationSecretEnter,
    ({ rotationSecretEnter: { health } }) =>
      health?.rotation?.newest?.state === "CHECKING" ? "The vendor has not answered yet. It is tried again by itself." : "The new secret works, and is used now.",
    done,
  );
  return (
    <form
      className="stack tight"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        const secrets = Object.fromEntries(guide.secrets.map(({ name }) => [name, String(form.get(`secret.${name}`) ?? "").trim()] as const));
        enter.run({ id, secrets });
      }}
    >
      <FormErrors act={enter} fields={guide.secrets.map(({ name }) => name)} />
      {guide.secrets.map((secret) => (
        <Field key={secret.name} label={`New: ${secret.title}`} help={secret.help ?? null} wrong={enter.wrong(secret.name)}>
          {(props) => <input {...props} name={`secret.${secret.name}`} type="password" autoComplete="off" spellCheck={false} required />}
        </Field>
      ))}
      <p className="small muted">
        {overlapHours == null ? "With the new one the old one ends at the vendor." : `Both work for ${overlapHours % 24 === 0 ? days(overlapHours / 24) : `${overlapHours} hours`}; if the new one is refused meanwhile, the old one is used again.`}
      </p>
      <div>
        <button type="submit" className="button main-act" disabled={enter.isBusy}>
          {enter.isBusy ? "Trying…" : "Try it and use it"}
        </button>
      </div>
    </form>
  );
}

/** How often. */
function Schedule({ id, rotation }: { id: string; rotation: Rotation }) {
  const said = rotation.everyDays == null ? "never" : rotation.followsAdvice ? "advice" : "days";
  const [how, setHow] = useState(said);
  const set = useFormAct(
    RotationScheduleSetDocument,
    (result) => result.rotationScheduleSet,
    () => (how === "never" ? "It is exchanged only when somebody says so." : "It is exchanged on schedule."),
  );
  return (
    <form
      className="stack tight"
      onSubmit={(event) => {
        event.preventDefault();
        const count = Number(new FormData(event.currentTarget).get("days"));
        const schedule = how === "advice" ? { followAdvice: true } : how === "days" ? { everyDays: count } : {};
        set.run({ id, schedule });
      }}
    >
      <FormErrors act={set} fields={["everyDays"]} />
      <Field label="How often" wrong={set.wrong("everyDays")}>
        {(props) => (
          <select {...props} value={how} onChange={(event) => setHow(event.target.value)}>
            <option value="advice">As is advised: every {days(rotation.advisedDays)}</option>
            <option value="days">After a number of days</option>
            <option value="never">Only when somebody says so</option>
          </select>
        )}
      </Field>
      {how === "days" && <Field label="Days">{(props) => <input {...props} name="days" type="number" min={1} max={730} required defaultValue={rotation.everyDays ?? rotation.advisedDays} />}</Field>}
      <div className="row">
        <button type="submit" className="button" disabled={set.isBusy}>
          Save
        </button>
        {rotation.source && (
          <a className="small" href={rotation.source} target="_blank" rel="noreferrer noopener">
            What the vendor says
          </a>
        )}
      </div>
    </form>
  );
}
