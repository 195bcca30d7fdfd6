// Backfills: what a source has of a time, or of some ids, brought once more. Each says first how many records there are, and nothing comes before a
// person has seen that.
import { useState } from "react";
import { SELDOM, useAsk, usePages } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge, words } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { KINDS } from "../ui/kinds";
import { Asked, Empty, LoadMore } from "../ui/state";
import { fromLocal, Time, toLocal } from "../ui/time";
import { part, sentenceOf } from "./progress";
import { BackfillCancelDocument, BackfillConnectionsDocument, BackfillPauseDocument, BackfillPrepareDocument, BackfillRunDocument, BackfillsDocument, type BackfillConnectionsQuery, type BackfillsQuery } from "./query.generated";

type Row = BackfillsQuery["backfills"]["nodes"][number];
type Connections = BackfillConnectionsQuery["connections"]["nodes"];
const EVERY_MS = 3_000;
const WEEK_MS = 7 * 24 * 60 * 60 * 1000;
const IDS_MAX = 1_000;

export function Backfills() {
  const may = useMay();
  const asked = usePages(BackfillsDocument, {}, (result) => result.backfills, { everyMs: EVERY_MS });
  const connections = useAsk(BackfillConnectionsDocument, {}, SELDOM).data?.connections.nodes ?? [];
  const [isNew, setNew] = useState(false);
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Backfills</h1>
          <p>Records of a period, or with ids that you name, are fetched from their source once more. A record that is here already and unchanged is left alone, and live deliveries always go first.</p>
        </div>
        {may("configure") && (
          <button type="button" className="button main-act" onClick={() => setNew(true)}>
            New backfill
          </button>
        )}
      </div>
      <Asked of={asked} what="backfills">
        {asked.rows.length === 0 ? (
          <div className="panel">
            <Empty title="There is no backfill yet">
              <p>When a new flow should begin with the orders of last month, or a vendor lost webhooks, prepare a backfill: it says how many records there are, and waits for you.</p>
            </Empty>
          </div>
        ) : (
          asked.rows.map((one) => <Shown key={one.id} one={one} name={connections.find((other) => other.id === one.connectionId)?.name ?? "a connection"} />)
        )}
      </Asked>
      <LoadMore of={asked} />
      {isNew && <New connections={connections} close={() => setNew(false)} />}
    </div>
  );
}

function Shown({ one, name }: { one: Row; name: string }) {
  const may = useMay();
  const filled = part(one);
  const isOpen = ["preparing", "ready", "running", "paused", "failed"].includes(one.state);
  return (
    <article className="panel stack tight" aria-label={`Backfill of ${words(one.recordKind)}s from ${name}`}>
      <div className="row apart">
        <h2>
          {words(one.recordKind).replace(/^./, (letter) => letter.toUpperCase())}s from {name}
        </h2>
        <Badge state={one.state} tone={one.state === "running" ? "info" : one.state === "ready" ? "warn" : undefined} />
      </div>
      <p className="muted small">
        {one.since && one.until ? (
          <>
            What changed from <Time at={one.since} /> to <Time at={one.until} />
          </>
        ) : (
          "Of ids that were given"
        )}
        , prepared <Time at={one.createdAt} as="ago" />
        {one.endedAt && (
          <>
            , ended <Time at={one.endedAt} as="ago" />
          </>
        )}
        .
      </p>
      {filled !== null && one.state !== "preparing" && (
        <div className="bar" role="progressbar" aria-label="How far it is" aria-valuemin={0} aria-valuemax={100} aria-valuenow={Math.round(filled * 100)}>
          <span style={{ width: `${filled * 100}%`, background: "var(--accent)" }} />
        </div>
      )}
      <p>{sentenceOf(one)}</p>
      {one.failure && (
        <p className={one.state === "failed" ? "note bad" : "note warn"}>
          {one.failure}
          {one.state !== "failed" && one.failures > 0 && ` It is tried again by itself (${one.failures} of 6).`}
        </p>
      )}
      {may("configure") && isOpen && one.state !== "preparing" && (
        <div className="row">
          {one.state !== "running" && (
            <ActButton document={BackfillRunDocument} values={{ id: one.id }} payloadOf={(act) => act.backfillRun} label={one.state === "ready" ? "Run it" : "Go on"} done="It runs, behind live work." isMain />
          )}
          {one.state === "running" && <ActButton document={BackfillPauseDocument} values={{ id: one.id }} payloadOf={(act) => act.backfillPause} label="Pause" done="It stops after its page." />}
          <ActButton document={BackfillCancelDocument} values={{ id: one.id }} payloadOf={(act) => act.backfillCancel} label="Cancel it" done="It is cancelled. What was brought stays." />
        </div>
      )}
    </article>
  );
}

function New({ connections, close }: { connections: Connections; close: () => void }) {
  const [isOfIds, setOfIds] = useState(false);
  const act = useFormAct(BackfillPrepareDocument, (result) => result.backfillPrepare, () => "It is prepared: in a moment it says how many records there are.", close);
  const submit = (form: FormData) => {
    const of = isOfIds
      ? { ids: String(form.get("ids")).split(/[\s,;]+/).filter(Boolean) }
      : { since: fromLocal(String(form.get("since"))), until: fromLocal(String(form.get("until"))) };
    act.run({ input: { connectionId: String(form.get("connectionId")), recordKind: String(form.get("recordKind")), ...of } });
  };
  return (
    <FormDialog title="New backfill" about="It is prepared first. Nothing is brought before you run it." label="Prepare it" act={act} fields={["connectionId", "recordKind", "since", "until", "ids"]} close={close} submit={submit}>
      <Field label="From" wrong={act.wrong("connectionId")}>
        {(props) => (
          <select {...props} name="connectionId" required>
            {connections.map((one) => (
              <option key={one.id} value={one.id}>
                {one.name}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Kind of record" wrong={act.wrong("recordKind")}>
        {(props) => (
          <select {...props} name="recordKind">
            {KINDS.map((kind) => (
              <option key={kind} value={kind}>
                {words(kind)}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="Which">
        {(props) => (
          <select {...props} value={isOfIds ? "ids" : "time"} onChange={(event) => setOfIds(event.target.value === "ids")}>
            <option value="time">Those that changed in a period</option>
            <option value="ids">Those with these ids</option>
          </select>
        )}
      </Field>
      {isOfIds ? (
        <Field label="Ids at the source" help={`One a line, at most ${IDS_MAX.toLocaleString()}`} wrong={act.wrong("ids")}>
          {(props) => <textarea {...props} className="mono" name="ids" required rows={5} spellCheck={false} />}
        </Field>
      ) : (
        <>
          <Field label="Changed from" wrong={act.wrong("since")}>
            {(props) => <input {...props} name="since" type="datetime-local" required defaultValue={toLocal(new Date(Date.now() - WEEK_MS))} style={{ maxWidth: 240 }} />}
          </Field>
          <Field label="Until" help="Empty: until now." wrong={act.wrong("until")}>
            {(props) => <input {...props} name="until" type="datetime-local" style={{ maxWidth: 240 }} />}
          </Field>
        </>
      )}
    </FormDialog>
  );
}
