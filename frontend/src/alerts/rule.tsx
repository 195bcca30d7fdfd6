// A rule: all that is said of a cause must fit, and what is left empty fits every one.
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { AlertRuleSetDocument } from "./query.generated";
import type { AlertRule, Names, Receiver } from "./settings";

const OWNERS = ["operations", "developer", "vendor", "crossdock"];
const FIELDS = ["name", "codePrefix", "owner", "tag", "connectionId", "flowId", "countMin", "ageMinMinutes", "amount", "currency", "moneyMin", "receiverIds", "afterMinutes", "assignToId"];

interface RuleDialogProps {
  rule: AlertRule | null;
  receivers: readonly Receiver[];
  names: Names | undefined;
  close: () => void;
}

export function RuleDialog({ rule, receivers, names, close }: RuleDialogProps) {
  const act = useFormAct(AlertRuleSetDocument, (result) => result.alertRuleSet, () => "The rule is kept.", close);
  const submit = (form: FormData) => {
    const text = (name: string) => String(form.get(name) ?? "").trim() || null;
    const number = (name: string) => (text(name) === null ? null : Number(text(name)));
    const all = (name: string) => form.getAll(name).map(String);
    const after = number("afterMinutes");
    act.run({
      id: rule?.id ?? null,
      input: {
        name: text("name") ?? "",
        isPaused: form.get("isPaused") === "on",
        codePrefix: text("codePrefix"),
        owner: text("owner"),
        tag: text("tag"),
        connectionId: text("connectionId"),
        flowId: text("flowId"),
        countMin: number("countMin"),
        ageMinMinutes: number("ageMinMinutes"),
        // Digits, as they are typed.
        moneyMin: text("amount") === null ? null : { amount: text("amount") ?? "", currency: (text("currency") ?? "").toUpperCase() },
        receiverIds: all("receiverIds"),
        assignToId: text("assignToId"),
        escalate: after === null ? null : { afterMinutes: after, receiverIds: all("escalateReceiverIds"), assignToId: text("escalateAssignToId") },
      },
    });
  };
  return (
    <FormDialog title={rule ? `Change ${rule.name}` : "Add a rule"} about="All that you say must be so of a cause. What you leave empty is so of every one." label="Keep the rule" act={act} fields={FIELDS} submit={submit} close={close}>
      <Field label="Name" wrong={act.wrong("name")}>
        {(props) => <input {...props} name="name" required maxLength={200} defaultValue={rule?.name ?? ""} autoFocus />}
      </Field>
      <fieldset className="plain stack tight">
        <legend>A cause where</legend>
        <div className="cards even">
          <Choose label="It is at" name="connectionId" value={rule?.connectionId} wrong={act.wrong("connectionId")} none="any connection" choices={names?.connections.nodes} />
          <Choose label="It is of" name="flowId" value={rule?.flowId} wrong={act.wrong("flowId")} none="any flow" choices={names?.flows.nodes} />
          <Choose label="It is for" name="owner" value={rule?.owner} wrong={act.wrong("owner")} none="anybody" choices={OWNERS.map((one) => ({ id: one, name: one }))} />
          <Text label="Its code begins with" name="codePrefix" value={rule?.codePrefix} wrong={act.wrong("codePrefix")} example="authentication." />
          <Text label="It is tagged" name="tag" value={rule?.tag} wrong={act.wrong("tag")} />
          <Text label="So many are open, at least" name="countMin" value={rule?.countMin} wrong={act.wrong("countMin")} type="number" />
          <Text label="The oldest is open for so many minutes" name="ageMinMinutes" value={rule?.ageMinMinutes} wrong={act.wrong("ageMinMinutes")} type="number" />
          <Text label="So much is at stake, at least" name="amount" value={rule?.moneyMin?.amount} wrong={act.wrong("amount") ?? act.wrong("moneyMin")} example="10000.00" />
          <Text label="in the currency" name="currency" value={rule?.moneyMin?.currency} wrong={act.wrong("currency")} example="EUR" />
        </div>
      </fieldset>
      <Told legend="Who is told" name="receiverIds" receivers={receivers} chosen={rule?.receiverIds ?? []} wrong={act.wrong("receiverIds")} />
      <Choose label="Whose it becomes, where it is nobody’s" name="assignToId" value={rule?.assignToId} wrong={act.wrong("assignToId")} none="nobody’s" choices={names?.members.map((one) => ({ id: one.userId, name: one.name || one.email }))} />
      <details open={rule?.escalate != null}>
        <summary>And if nobody works it</summary>
        <div className="stack tight">
          <Text label="After so many minutes" name="afterMinutes" value={rule?.escalate?.afterMinutes} wrong={act.wrong("afterMinutes")} type="number" />
          <Told legend="these are told" name="escalateReceiverIds" receivers={receivers} chosen={rule?.escalate?.receiverIds ?? []} wrong={null} />
          <Choose label="and it becomes" name="escalateAssignToId" value={rule?.escalate?.assignToId} wrong={null} none="nobody else’s" choices={names?.members.map((one) => ({ id: one.userId, name: one.name || one.email }))} />
        </div>
      </details>
      <label className="row">
        <input type="checkbox" name="isPaused" defaultChecked={rule?.isPaused ?? false} />
        The rule rests
      </label>
    </FormDialog>
  );
}

function Choose({ label, name, value, wrong, none, choices }: { label: string; name: string; value: string | null | undefined; wrong: string | null; none: string; choices: readonly { id: string; name: string }[] | undefined }) {
  return (
    <Field label={label} wrong={wrong}>
      {(props) => (
        // What it may be comes later than the form: only then is what was chosen among it.
        <select {...props} key={choices?.length ?? 0} name={name} defaultValue={value ?? ""}>
          <option value="">{none}</option>
          {(choices ?? []).map((one) => (
            <option key={one.id} value={one.id}>
              {one.name}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

function Text({ label, name, value, wrong, example, type = "text" }: { label: string; name: string; value: string | number | null | undefined; wrong: string | null; example?: string; type?: string }) {
  return (
    <Field label={label} wrong={wrong}>
      {(props) => <input {...props} name={name} type={type} min={type === "number" ? 1 : undefined} defaultValue={value ?? ""} placeholder={example} autoComplete="off" />}
    </Field>
  );
}

function Told({ legend, name, receivers, chosen, wrong }: { legend: string; name: string; receivers: readonly Receiver[]; chosen: readonly string[]; wrong: string | null }) {
  return (
    <fieldset className="plain stack tight">
      <legend>{legend}</legend>
      {receivers.length === 0 && <span className="muted small">There is no receiver yet.</span>}
      {receivers.map((one) => (
        <label key={one.id} className="row">
          <input type="checkbox" name={name} value={one.id} defaultChecked={chosen.includes(one.id)} />
          {one.name}
        </label>
      ))}
      {wrong && (
        <span className="bad-text" role="alert">
          {wrong}
        </span>
      )}
    </fieldset>
  );
}
