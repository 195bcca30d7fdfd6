// How alarms of silence and surge are raised: how sure they are, on which clock the week is read, and when nobody is told.
import { useState } from "react";
import { useMay } from "../app/role";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { AlarmPolicySetDocument, type AlertSettingsQuery } from "./query.generated";
import { quietHoursOf } from "./words";

type Policy = AlertSettingsQuery["alarmPolicy"];
const SENSITIVITY: Record<Policy["sensitivity"], string> = {
  HIGH: "Sooner, and now and then false",
  NORMAL: "Normal",
  LOW: "Later, and hardly ever false",
};

export function AlarmPolicy({ policy }: { policy: Policy }) {
  const may = useMay();
  const [isOpen, setOpen] = useState(false);
  return (
    <section className="panel stack tight" aria-label="Alarms">
      <div className="row apart">
        <h2>Alarms of silence and surge</h2>
        {may("configure") && (
          <button type="button" className="button" onClick={() => setOpen(true)}>
            Change
          </button>
        )}
      </div>
      <dl className="facts">
        <dt>Sensitivity</dt>
        <dd>{SENSITIVITY[policy.sensitivity].toLowerCase()}</dd>
        <dt>Time zone</dt>
        <dd>{policy.zone}</dd>
        <dt>Quiet hours</dt>
        <dd>
          {policy.quietHours.length === 0
            ? "none"
            : policy.quietHours.map((one) => (
                <p key={`${one.from} ${one.days.join()}`}>
                  {one.from} to {one.until}
                  {one.days.length > 0 && `, starting ${one.days.join(", ")}`}
                </p>
              ))}
        </dd>
      </dl>
      {isOpen && <Change policy={policy} close={() => setOpen(false)} />}
    </section>
  );
}

function Change({ policy, close }: { policy: Policy; close: () => void }) {
  const act = useFormAct(AlarmPolicySetDocument, (result) => result.alarmPolicySet, () => "It is so from now on.", close);
  return (
    <FormDialog
      title="Alarms of silence and surge"
      label="Keep it"
      act={act}
      fields={["sensitivity", "zone", "quietHours"]}
      close={close}
      submit={(form) => act.run({ input: { sensitivity: String(form.get("sensitivity")) as Policy["sensitivity"], zone: String(form.get("zone")).trim(), quietHours: quietHoursOf(String(form.get("quietHours"))) } })}
    >
      <Field label="Raised" wrong={act.wrong("sensitivity")}>
        {(props) => (
          <select {...props} name="sensitivity" defaultValue={policy.sensitivity}>
            {Object.entries(SENSITIVITY).map(([one, label]) => (
              <option key={one} value={one}>
                {label}
              </option>
            ))}
          </select>
        )}
      </Field>
      <Field label="On the clock of" help="For example Europe/Berlin" wrong={act.wrong("zone")}>
        {(props) => <input {...props} name="zone" required defaultValue={policy.zone} style={{ maxWidth: 260 }} />}
      </Field>
      <Field label="Nobody is told" help="One time a line: 22:00 to 07:00, or 22:00 to 07:00 Sat Sun for the days on which it begins. What is still so at its end is told then." wrong={act.wrong("quietHours")}>
        {(props) => <textarea {...props} className="mono" name="quietHours" defaultValue={policy.quietHours.map((one) => [`${one.from} to ${one.until}`, ...one.days].join(" ")).join("\n")} />}
      </Field>
    </FormDialog>
  );
}
