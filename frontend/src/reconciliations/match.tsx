// Order to cash: whether orders are held against their shipments and invoices, and how much may be off. What does not fit becomes an exception.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { useUndo } from "../ui/undo";
import { MatchPolicyDocument, MatchPolicyRemoveDocument, MatchPolicySetDocument, type MatchPolicyQuery } from "./query.generated";

type Policy = NonNullable<MatchPolicyQuery["matchPolicy"]>;
const FIELDS = ["quantityPercent", "amount", "amountPercent", "billWithinDays"];

/** What a policy lets pass and waits for, in sentences. */
export function sentencesOf(policy: Policy): string[] {
  return [
    policy.billsAfterShipping ? "An invoice comes after its goods: what is billed and not shipped is an exception." : "An invoice may come before its goods.",
    policy.quantityPercent === "0" ? "Quantities must agree." : `Quantities may be off by ${policy.quantityPercent} %.`,
    `Prices and totals may be off by ${policy.amount} in the order’s currency${policy.amountPercent === "0" ? "" : `, or by ${policy.amountPercent} % where that is more`}.`,
    policy.billWithinDays == null ? "Nobody waits for an invoice." : `What was shipped is billed within ${policy.billWithinDays} days.`,
  ];
}

export function Match() {
  const tenant = useTenant();
  const may = useMay();
  const asked = useAsk(MatchPolicyDocument, {});
  const [isOpen, setOpen] = useState(false);
  if (!asked.data) return null;
  const policy = asked.data.matchPolicy ?? null;
  return (
    <section className="panel stack tight" aria-label="Orders, shipments and invoices">
      <div className="row apart">
        <h2>
          Orders, shipments and invoices {policy ? <Badge tone="good">compared</Badge> : <Badge>not compared</Badge>}
        </h2>
        {may("configure") && (
          <span className="row">
            <button type="button" className="button" onClick={() => setOpen(true)}>
              {policy ? "Change" : "Compare them"}
            </button>
            {policy && <Remove policy={policy} />}
          </span>
        )}
      </div>
      {policy ? (
        <ul className="stack tight">
          {sentencesOf(policy).map((one) => (
            <li key={one}>{one}</li>
          ))}
        </ul>
      ) : (
        <p className="muted">What was ordered, shipped and billed can be compared: too much shipped, billed before it left, another price. What does not fit becomes an exception, before anybody pays it.</p>
      )}
      {policy && (
        <p>
          <Link to="/t/$tenant/exceptions" params={{ tenant }} search={{ text: "billed" }}>
            See what does not fit
          </Link>
        </p>
      )}
      {isOpen && <PolicyDialog policy={policy} close={() => setOpen(false)} />}
    </section>
  );
}

function Remove({ policy }: { policy: Policy }) {
  const undo = useUndo();
  const back = undo(MatchPolicySetDocument, { input: { ...policy } }, (result) => result.matchPolicySet, "They are compared again, and those of the last 30 days.");
  return <ActButton isQuiet document={MatchPolicyRemoveDocument} values={{}} payloadOf={(result) => result.matchPolicyRemove} label="Compare no more" done="Orders are not compared any more; what was found and open is closed." undo={back} />;
}

function PolicyDialog({ policy, close }: { policy: Policy | null; close: () => void }) {
  const act = useFormAct(MatchPolicySetDocument, (result) => result.matchPolicySet, () => "They are compared from now on, and those of the last 30 days.", close);
  const submit = (form: FormData) => {
    const text = (name: string) => String(form.get(name) ?? "").trim() || null;
    act.run({
      input: {
        billsAfterShipping: form.get("billsAfterShipping") === "on",
        quantityPercent: text("quantityPercent"),
        amount: text("amount"),
        amountPercent: text("amountPercent"),
        billWithinDays: text("billWithinDays") === null ? null : Number(text("billWithinDays")),
      },
    });
  };
  return (
    <FormDialog title="Orders, shipments and invoices" about="Compared from now on, and the shipments and invoices of the last 30 days." label="Compare them" act={act} fields={FIELDS} close={close} submit={submit}>
      <Field label="Quantities may be off by, percent" wrong={act.wrong("quantityPercent")}>
        {(props) => <input {...props} name="quantityPercent" inputMode="decimal" defaultValue={policy?.quantityPercent ?? "0"} style={{ maxWidth: 140 }} />}
      </Field>
      <Field label="Prices and totals may be off by" help="In the order’s currency." wrong={act.wrong("amount")}>
        {(props) => <input {...props} name="amount" inputMode="decimal" defaultValue={policy?.amount ?? "0.01"} style={{ maxWidth: 140 }} />}
      </Field>
      <Field label="Or by, percent" help="The larger of both counts." wrong={act.wrong("amountPercent")}>
        {(props) => <input {...props} name="amountPercent" inputMode="decimal" defaultValue={policy?.amountPercent ?? "0"} style={{ maxWidth: 140 }} />}
      </Field>
      <label className="row">
        <input type="checkbox" name="billsAfterShipping" defaultChecked={policy?.billsAfterShipping ?? true} />
        An invoice comes after its goods
      </label>
      <Field label="What was shipped is billed within, days" help="Empty: nobody waits for it." wrong={act.wrong("billWithinDays")}>
        {(props) => <input {...props} name="billWithinDays" type="number" min={1} max={365} step={1} defaultValue={policy?.billWithinDays ?? ""} style={{ maxWidth: 140 }} />}
      </Field>
    </FormDialog>
  );
}
