// How long the audit log is kept, and whether a legal hold keeps all of it. What the rule takes is gone for good, so shortening it is asked twice.
import { useState } from "react";
import { useAsk } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Loading, Problem } from "../ui/state";
import { AuditStreams, STREAMS_OFTEN } from "./audit-streams";
import { PersonalData } from "./personal-data";
import { AuditPolicyDocument, AuditPolicySetDocument, AuditStreamsDocument } from "./query.generated";
import { kept, takesMore, type Policy } from "./retention";

const [DAYS_MIN, DAYS_MAX, HOLD_MAX] = [30, 36_500, 500];

export function AuditLog() {
  return (
    <Permitted to="audit" otherwise="Your role does not see the audit log" advice="Owners, admins and auditors do. Ask one of them.">
      <Parts />
    </Permitted>
  );
}

/** All of them at once: each that came by itself would push away what stands below it. */
function Parts() {
  const asked = [useAsk(AuditPolicyDocument, {}), useAsk(AuditStreamsDocument, {}, STREAMS_OFTEN)];
  if (asked.some((one) => one.isPending)) return <Loading what="the rule" />;
  return (
    <>
      <Rule />
      <AuditStreams />
      <PersonalData />
    </>
  );
}

function Rule() {
  const may = useMay();
  const asked = useAsk(AuditPolicyDocument, {});
  const [isOpen, setOpen] = useState(false);
  const policy = asked.data?.auditPolicy;
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!policy) return <Loading what="the rule" />;
  return (
    <section className="panel stack">
      <div className="row apart">
        <h2>How long the audit log is kept</h2>
        {may("members") && (
          <button type="button" className="button" onClick={() => setOpen(true)}>
            Change
          </button>
        )}
      </div>
      <p>{kept(policy)}</p>
      {policy.legalHold != null && (
        <div className="note warn">
          <p className="row">
            <Badge tone="warn">legal hold</Badge> Nothing is removed, however old, while this is said:
          </p>
          <p className="break">{policy.legalHold}</p>
        </div>
      )}
      <p className="muted">
        Seals stay when their events go, and a seal says up to where the rule took them: a check of the log tells what the rule removed from what anybody else did.
        {!may("members") && " Owners and admins change the rule."}
      </p>
      {isOpen && <PolicyDialog policy={policy} close={() => setOpen(false)} />}
    </section>
  );
}

function PolicyDialog({ policy, close }: { policy: Policy; close: () => void }) {
  const act = useFormAct(AuditPolicySetDocument, (result) => result.auditPolicySet, () => "The rule is kept. That it was set stands in the audit log.", close);
  const [isForEver, setForEver] = useState(policy.keepDays == null);
  const [days, setDays] = useState(String(policy.keepDays ?? 400));
  const [hasHold, setHold] = useState(policy.legalHold != null);
  const after = isForEver ? null : Number(days);
  const isMore = takesMore(policy.keepDays ?? null, after);
  const endsHold = policy.legalHold != null && !hasHold && after !== null;
  return (
    <FormDialog
      title="How long the audit log is kept"
      label="Keep the rule"
      act={act}
      fields={["keepDays", "legalHold"]}
      close={close}
      submit={(form) => act.run({ keepDays: after, legalHold: hasHold ? String(form.get("legalHold")).trim() : null })}
    >
      <Field label="Events are kept">
        {(props) => (
          <select {...props} value={isForEver ? "ever" : "days"} onChange={(event) => setForEver(event.target.value === "ever")}>
            <option value="ever">For ever</option>
            <option value="days">For so many days after they were sealed</option>
          </select>
        )}
      </Field>
      {!isForEver && (
        <Field label="Days" help={`${DAYS_MIN} to ${DAYS_MAX.toLocaleString()}. Ask who advises you how long the law wants them kept.`} wrong={act.wrong("keepDays")}>
          {(props) => <input {...props} type="number" min={DAYS_MIN} max={DAYS_MAX} step={1} required value={days} onChange={(event) => setDays(event.target.value)} style={{ maxWidth: 140 }} />}
        </Field>
      )}
      <label className="row">
        <input type="checkbox" checked={hasHold} onChange={(event) => setHold(event.target.checked)} />A legal hold: nothing is removed until it is taken back
      </label>
      {hasHold && (
        <Field label="Why" help={`It stands in the audit log; ${HOLD_MAX} characters at most.`} wrong={act.wrong("legalHold")}>
          {(props) => <textarea {...props} name="legalHold" required maxLength={HOLD_MAX} defaultValue={policy.legalHold ?? ""} placeholder="Case 2026-17, on the advice of counsel" />}
        </Field>
      )}
      {(isMore || endsHold) && !hasHold && (
        <div className="note warn">
          <label className="row nowrap-start">
            <input type="checkbox" required />
            <span>
              Events that were sealed more than {days} days ago are removed within a day. They cannot be brought back. I have an export of them, or nobody needs them.
            </span>
          </label>
        </div>
      )}
    </FormDialog>
  );
}
