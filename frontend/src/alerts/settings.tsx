// Alerts: where they go, of which causes, and what was sent. What comes too late to be read on a page must reach somebody.
import { useState } from "react";
import { isAwaited, SELDOM, useAsk } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Empty, Loading, Problem, sentence } from "../ui/state";
import { Time } from "../ui/time";
import { useUndo } from "../ui/undo";
import { AlarmPolicy } from "./alarms";
import { ReceiverDialog } from "./receiver";
import { AlertNamesDocument, AlertReceiverRemoveDocument, AlertReceiverTestDocument, AlertReceiverUpdateDocument, AlertRuleRemoveDocument, AlertRuleSetDocument, AlertSettingsDocument, type AlertNamesQuery, type AlertSettingsQuery } from "./query.generated";
import { RuleDialog } from "./rule";
import { Sent } from "./sent";
import { conditions, minutes } from "./words";

export type Receiver = AlertSettingsQuery["alertReceivers"][number];
export type AlertRule = AlertSettingsQuery["alertRules"][number];
export type Names = AlertNamesQuery;
export const KINDS: Record<Receiver["kind"], string> = { MAIL: "Mail", SLACK: "Chat", WEBHOOK: "Signed webhook" };

export function Alerts() {
  const asked = useAsk(AlertSettingsDocument, {}, { everyMs: 10_000 });
  const known = useAsk(AlertNamesDocument, {}, SELDOM);
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Alerts</h1>
          <p>Who is told when deliveries need a person, or something is silent or broken: by mail, in a chat, or as a signed webhook.</p>
        </div>
      </div>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : !asked.data || isAwaited(known) ? (
        // A name that comes later would move what stands below its rule.
        <Loading what="alerts" />
      ) : (
        <>
          <Receivers receivers={asked.data.alertReceivers} />
          <Rules rules={asked.data.alertRules} receivers={asked.data.alertReceivers} names={known.data} />
          <AlarmPolicy policy={asked.data.alarmPolicy} />
          <Sent receivers={asked.data.alertReceivers} />
        </>
      )}
    </div>
  );
}

function Receivers({ receivers }: { receivers: readonly Receiver[] }) {
  const may = useMay();
  const [shown, setShown] = useState<Receiver | "new" | null>(null);
  const [leaving, setLeaving] = useState<Receiver | null>(null);
  return (
    <section className="panel stack tight" aria-label="Receivers">
      <div className="row apart">
        <h2>Where alerts go</h2>
        {may("configure") && (
          <button type="button" className="button main-act" onClick={() => setShown("new")}>
            Add a receiver
          </button>
        )}
      </div>
      {receivers.length === 0 && (
        <Empty title="Nobody is told yet">
          <p>Add a mail address or the webhook of a chat, test whether it arrives, then add a rule below that says what it hears of.</p>
        </Empty>
      )}
      <ul className="stack">
        {receivers.map((one) => (
          <li key={one.id} className="stack tight">
            <div className="row apart">
              <span className="break">
                <strong>{one.name}</strong> <span className="muted">{KINDS[one.kind]} to {one.address}; of the same cause at most once in {minutes(one.everyMinutes)}</span>
              </span>
              <span>
                {one.isPaused ? <Badge state="paused" /> : one.failure ? <Badge tone="bad">does not arrive</Badge> : one.sentAt ? <Badge tone="good">arrives</Badge> : <Badge>nothing was sent yet</Badge>}
              </span>
            </div>
            {one.failure && (
              <p className="note bad break">
                {sentence(one.failure)} {one.failedAt && <Time at={one.failedAt} as="ago" />}
              </p>
            )}
            {may("configure") && (
              <div className="row">
                <ActButton document={AlertReceiverTestDocument} values={{ id: one.id }} payloadOf={(act) => act.alertReceiverTest} label="Send a test" done="A test is on its way: what became of it stands below." />
                <ActButton
                  document={AlertReceiverUpdateDocument}
                  values={{ id: one.id, input: { isPaused: !one.isPaused } }}
                  payloadOf={(act) => act.alertReceiverUpdate}
                  label={one.isPaused ? "Resume" : "Pause"}
                  done={one.isPaused ? "It hears of causes again." : "It hears of nothing until it is resumed."}
                />
                <button type="button" className="button" aria-label={`Change ${one.name}`} onClick={() => setShown(one)}>
                  Change
                </button>
                <button type="button" className="button" aria-label={`Take away ${one.name}`} onClick={() => setLeaving(one)}>
                  Take away
                </button>
              </div>
            )}
          </li>
        ))}
      </ul>
      {leaving && <RemoveDialog receiver={leaving} close={() => setLeaving(null)} />}
      {shown && <ReceiverDialog receiver={shown === "new" ? null : shown} close={() => setShown(null)} />}
    </section>
  );
}

/** Asked first, because its secret is gone with it. */
function RemoveDialog({ receiver, close }: { receiver: Receiver; close: () => void }) {
  const act = useFormAct(AlertReceiverRemoveDocument, (result) => result.alertReceiverRemove, () => `${receiver.name} is taken away.`, close);
  return (
    <FormDialog
      title={`Take ${receiver.name} away`}
      about="It hears of nothing any more. Rules that name it tell the others; one that names no other tells nobody. To have it back it is added and tested anew."
      label="Take it away"
      act={act}
      close={close}
      submit={() => act.run({ id: receiver.id })}
    />
  );
}

function Rules({ rules, receivers, names }: { rules: readonly AlertRule[]; receivers: readonly Receiver[]; names: Names | undefined }) {
  const may = useMay();
  const [shown, setShown] = useState<AlertRule | "new" | null>(null);
  const undo = useUndo();
  const told = (ids: readonly string[]) => ids.map((id) => receivers.find((one) => one.id === id)?.name ?? "a receiver that is gone").join(", ");
  const person = (id: string | null | undefined) => names?.members.find((one) => one.userId === id)?.name || names?.members.find((one) => one.userId === id)?.email || "somebody";
  const where = (rule: AlertRule) => [
    ...(rule.connectionId ? [`it is at ${names?.connections.nodes.find((one) => one.id === rule.connectionId)?.name ?? "a connection"}`] : []),
    ...(rule.flowId ? [`it is of ${names?.flows.nodes.find((one) => one.id === rule.flowId)?.name ?? "a flow"}`] : []),
  ];
  return (
    <section className="panel stack tight" aria-label="Rules">
      <div className="row apart">
        <h2>Rules</h2>
        {may("configure") && (
          <button type="button" className="button" onClick={() => setShown("new")}>
            Add a rule
          </button>
        )}
      </div>
      {rules.length === 0 && <p className="muted">There is no rule yet, so no alert is sent. A first one may be: every cause that is open for an hour.</p>}
      <ul className="stack">
        {rules.map((rule) => (
          <li key={rule.id} className="stack tight">
            <div className="row apart">
              <strong>{rule.name}</strong>
              {rule.isPaused && <Badge state="paused" />}
            </div>
            <p className="break">
              {conditions(rule, where(rule))}: {rule.receiverIds.length > 0 ? `${told(rule.receiverIds)} is told` : "nobody is told"}
              {rule.assignToId && `, and it becomes ${person(rule.assignToId)}’s`}.
              {rule.escalate && ` After ${minutes(rule.escalate.afterMinutes)} ${rule.escalate.receiverIds.length > 0 ? `${told(rule.escalate.receiverIds)} is told` : "it"}${rule.escalate.assignToId ? ` and becomes ${person(rule.escalate.assignToId)}’s` : ""}.`}
            </p>
            {may("configure") && (
              <div className="row">
                <button type="button" className="button" aria-label={`Change ${rule.name}`} onClick={() => setShown(rule)}>
                  Change
                </button>
                <ActButton document={AlertRuleRemoveDocument} values={{ id: rule.id }} payloadOf={(act) => act.alertRuleRemove} label="Take away" name={`Take away ${rule.name}`} done={`The rule “${rule.name}” is taken away.`} undo={undo(AlertRuleSetDocument, { input: inputOf(rule) }, (act) => act.alertRuleSet, `The rule “${rule.name}” is back.`)} />
              </div>
            )}
          </li>
        ))}
      </ul>
      {shown && <RuleDialog rule={shown === "new" ? null : shown} receivers={receivers} names={names} close={() => setShown(null)} />}
    </section>
  );
}

/** A rule as it is said once more. */
function inputOf({ name, isPaused, codePrefix, owner, tag, connectionId, flowId, countMin, ageMinMinutes, assignToId, receiverIds, moneyMin, escalate }: AlertRule) {
  return {
    name, isPaused, codePrefix, owner, tag, connectionId, flowId, countMin, ageMinMinutes, assignToId, receiverIds,
    moneyMin: moneyMin ? { amount: moneyMin.amount, currency: moneyMin.currency } : null,
    escalate: escalate ? { afterMinutes: escalate.afterMinutes, assignToId: escalate.assignToId ?? null, receiverIds: escalate.receiverIds } : null,
  };
}
