// Comparing a flow's sides for a time, now or again and again.
import { useState } from "react";
import { useNavigate } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { fromLocal, toLocal } from "../ui/time";
import type { FlowRow } from "./list";
import { ReconcileNowDocument, ReconciliationScheduleSetDocument } from "./query.generated";

const HOUR_MS = 60 * 60 * 1000;

export function CompareDialog({ flow, close }: { flow: FlowRow; close: () => void }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const act = useFormAct(
    ReconcileNowDocument,
    (result) => result.reconciliationStart,
    ({ reconciliationStart: { reconciliation } }) => {
      if (reconciliation) void navigate({ to: "/t/$tenant/reconciliations/$reconciliationId", params: { tenant, reconciliationId: reconciliation.id } });
      return "Both sides are being read, behind live work.";
    },
    close,
  );
  return (
    <FormDialog
      title={`Compare “${flow.name}”`}
      about="What never came is brought and planned. What was confirmed and is gone or changed at the destination is shown to you; nothing there is changed."
      label="Compare now"
      act={act}
      fields={["from", "until"]}
      close={close}
      submit={(form) => act.run({ flowId: flow.id, from: fromLocal(String(form.get("from"))) ?? "", until: fromLocal(String(form.get("until"))) })}
    >
      <Field label="From" help="Of your own clock. At most 93 days at once." wrong={act.wrong("from")}>
        {(props) => <input {...props} name="from" type="datetime-local" required defaultValue={toLocal(new Date(Date.now() - 24 * HOUR_MS))} style={{ maxWidth: 240 }} />}
      </Field>
      <Field label="Until" help="Empty: until six minutes ago, because what came since may still be on its way." wrong={act.wrong("until")}>
        {(props) => <input {...props} name="until" type="datetime-local" style={{ maxWidth: 240 }} />}
      </Field>
    </FormDialog>
  );
}

export function ScheduleDialog({ flow, close }: { flow: FlowRow; close: () => void }) {
  const now = flow.reconciliationSchedule;
  const [isOn, setOn] = useState(true);
  const act = useFormAct(ReconciliationScheduleSetDocument, (result) => result.reconciliationScheduleSet, ({ reconciliationScheduleSet: { schedule } }) => (schedule ? "It is compared by itself from now on." : "It is not compared by itself any more."), close);
  const submit = (form: FormData) => {
    const ignoredFields = String(form.get("ignoredFields") ?? "").split(/[\s,]+/).filter(Boolean);
    act.run({ flowId: flow.id, schedule: isOn ? { everyHours: Number(form.get("everyHours")), backHours: Number(form.get("backHours")), ignoredFields } : null });
  };
  return (
    <FormDialog title={`When “${flow.name}” is compared by itself`} label="Keep it" act={act} fields={["everyHours", "backHours", "ignoredFields"]} close={close} submit={submit}>
      <label className="row">
        <input type="checkbox" checked={isOn} onChange={(event) => setOn(event.target.checked)} />
        It is compared by itself
      </label>
      {isOn && (
        <>
          <Field label="Every so many hours" wrong={act.wrong("everyHours")}>
            {(props) => <input {...props} name="everyHours" type="number" min={1} step={1} required defaultValue={now?.everyHours ?? 24} style={{ maxWidth: 120 }} />}
          </Field>
          <Field label="Each time over the last so many hours" help="More than between two, so that what changed late is seen." wrong={act.wrong("backHours")}>
            {(props) => <input {...props} name="backHours" type="number" min={1} step={1} required defaultValue={now?.backHours ?? 48} style={{ maxWidth: 120 }} />}
          </Field>
          <Field label="Fields that the destination changes on purpose" help="As the payload names them: lines[].description. They are not compared." wrong={act.wrong("ignoredFields")}>
            {(props) => <textarea {...props} className="mono" name="ignoredFields" defaultValue={(now?.ignoredFields ?? []).join("\n")} spellCheck={false} />}
          </Field>
        </>
      )}
    </FormDialog>
  );
}
