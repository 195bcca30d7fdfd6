// Drift: where data or an API is not any more as the mappings were made for, who reads it, what it is worth, and what is done about it.
import { useMemo, useState } from "react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { nodeWith, useAsk, usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge, words } from "../ui/badge";
import { Dialog } from "../ui/dialog";
import { Document } from "../ui/document";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { money } from "../ui/money";
import { Asked, Empty, LoadMore, Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { byRisk, toneOf } from "./risk";
import { DriftAcceptDocument, DriftExampleDocument, DriftPolicySetDocument, DriftsDocument, type DriftsQuery } from "./query.generated";

type Drift = DriftsQuery["drifts"]["nodes"][number];
const STATES = ["open", "accepted", "resolved"] as const;

export function Drifts() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/drifts" });
  const state = search.state ?? "open";
  const asked = usePages(DriftsDocument, { state: state === "all" ? null : state }, (result) => result.drifts, { everyMs: 15_000 });
  const rows = useMemo(() => byRisk(asked.rows), [asked.rows]);
  const [example, setExample] = useState<Drift | null>(null);
  const [holding, setHolding] = useState<Drift | null>(null);
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Drift</h1>
          <p>Sources change without a word: a field goes, a number becomes a text, a new tax has a new code. What is different is said here, with who reads it and what it is worth.</p>
        </div>
        <div>
          <label className="hidden-label" htmlFor="drift-state">
            Which
          </label>
          <select id="drift-state" value={state} onChange={(event) => void navigate({ to: "/t/$tenant/drifts", params: { tenant }, search: event.target.value === "open" ? {} : { state: event.target.value }, replace: true })}>
            {STATES.map((one) => (
              <option key={one} value={one}>
                {one}
              </option>
            ))}
            <option value="all">all</option>
          </select>
        </div>
      </div>
      <Asked of={asked} what="drift">
        {asked.rows.length === 0 ? (
          <div className="panel">
            <Empty title={state === "open" ? "Everything looks as it did" : "There is none"}>
              <p>Documents are compared with what came until now, once enough of them are known: fifty over a day. What is different after that is said here before it breaks a mapping.</p>
            </Empty>
          </div>
        ) : (
          rows.map((one) => <Shown key={one.id} one={one} tenant={tenant} show={setExample} hold={setHolding} />)
        )}
      </Asked>
      <LoadMore of={asked} />
      {example?.exampleMessageId && <Example id={example.exampleMessageId} field={example.field} value={example.after} close={() => setExample(null)} />}
      {holding && <PolicyDialog drift={holding} close={() => setHolding(null)} />}
    </div>
  );
}

function Shown({ one, tenant, show, hold }: { one: Drift; tenant: string; show: (drift: Drift) => void; hold: (drift: Drift) => void }) {
  const may = useMay();
  return (
    <article className="panel stack tight" aria-label={one.sentence}>
      <div className="row apart">
        <h2 className="break">{one.sentence}</h2>
        <span className="row">
          <Badge tone={toneOf(one.risk)}>{one.risk} risk</Badge>
          {one.state !== "open" && <Badge state={one.state} tone="good" />}
        </span>
      </div>
      <p>
        {one.nextStep} <span className="muted">Owner: {one.owner}.</span>
      </p>
      <dl className="facts in-pairs">
        <dt>Where</dt>
        <dd>
          <Link to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: one.connection.id }}>
            {one.connection.name}
          </Link>
          , {words(one.recordKind)}s that it {one.side === "source" ? "sends" : "took"}, field <code>{one.field}</code>
        </dd>
        <dt>Read by</dt>
        <dd>
          {one.flows.length === 0 && <span className="muted">no published flow</span>}
          {one.flows.map(({ flow, fields }) => (
            <span key={flow.id}>
              <Link to="/t/$tenant/flows/$flowId/mapping" params={{ tenant, flowId: flow.id }} search={{ side: one.side === "source" ? "read" : "write" }}>
                {flow.name}
              </Link>{" "}
              {fields.length > 0 && <>for {fields.map((field) => <code key={field}>{field} </code>)}</>}
            </span>
          ))}
        </dd>
        <dt>It was</dt>
        <dd>{one.before}</dd>
        <dt>It is</dt>
        <dd>{one.after}</dd>
        <dt>A day</dt>
        <dd>
          {Math.round(one.recordsPerDay).toLocaleString()} records{one.moneyPerDay.map((sum) => `, ${money(sum.amount, sum.currency)}`)}
        </dd>
        <dt>Seen</dt>
        <dd>
          first <Time at={one.raisedAt} />, last <Time at={one.lastSeenAt} as="ago" />
        </dd>
      </dl>
      <div className="row">
        {one.state === "open" && may("work") && <ActButton document={DriftAcceptDocument} values={{ id: one.id }} payloadOf={(act) => act.driftAccept} label="Accept it" done="It is normal from now on. What was held for it passes with the next retry." />}
        {may("configure") && (
          <button type="button" className="button" onClick={() => hold(one)}>
            What is done about it
          </button>
        )}
        {one.exampleMessageId && (
          <button type="button" className="button" onClick={() => show(one)}>
            See a message that shows it
          </button>
        )}
      </div>
    </article>
  );
}

function Example({ id, field, value, close }: { id: string; field: string; value: string; close: () => void }) {
  const asked = useAsk(DriftExampleDocument, { id }, { isDear: true });
  const message = nodeWith(asked.data?.node, "body");
  return (
    <Dialog title="A message that shows it" open close={close}>
      {asked.error && !asked.data ? <Problem error={asked.error} /> : message ? <Document text={message.body} field={field} value={value} label="The message" /> : asked.data ? <p>The message is not kept any more.</p> : <Loading what="the message" />}
      <div>
        <button type="button" className="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function PolicyDialog({ drift, close }: { drift: Drift; close: () => void }) {
  const act = useFormAct(DriftPolicySetDocument, (result) => result.driftPolicySet, () => "It is done so from now on.", close);
  return (
    <FormDialog
      title="What is done about it"
      about={
        <>
          About <code>{drift.field}</code> of {words(drift.recordKind)}s of {drift.connection.name}, and all that lies in it.
        </>
      }
      label="Keep it"
      act={act}
      fields={["policy"]}
      close={close}
      submit={(form) => act.run({ input: { connectionId: drift.connection.id, recordKind: drift.recordKind, field: drift.field, policy: String(form.get("policy")) } })}
    >
      <Field label="When it drifts" wrong={act.wrong("policy")}>
        {(props) => (
          <select {...props} name="policy">
            <option value="warn">It is said, and records go on</option>
            <option value="hold">It is said, and what shows it waits for a person</option>
            <option value="pass">Nothing is said</option>
          </select>
        )}
      </Field>
    </FormDialog>
  );
}
