// A flow without a word of anybody's: what the two connectors do of themselves, and the mapping editor to say what they should do otherwise.
import { useNavigate } from "@tanstack/react-router";
import { useTenant } from "../api/hooks";
import { words } from "../ui/badge";
import { Field } from "../ui/field";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { FlowCreateDocument } from "./query.generated";

export function FromNothing({ kinds, sourceId, destinationId }: { kinds: readonly string[]; sourceId: string; destinationId: string }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const act = useFormAct(
    FlowCreateDocument,
    (result) => result.flowCreate,
    () => "The draft is made, with no rule of your own yet. Nothing runs before you publish it.",
    ({ flowCreate: { flow } }) => {
      if (flow) void navigate({ to: "/t/$tenant/flows/$flowId/mapping", params: { tenant, flowId: flow.id }, search: {} });
    },
  );
  return (
    <form
      className="panel stack"
      aria-label="From nothing"
      onSubmit={(event) => {
        event.preventDefault();
        const form = new FormData(event.currentTarget);
        act.run({ input: { name: String(form.get("name")).trim(), recordKind: String(form.get("recordKind")), sourceId, destinationId } });
      }}
    >
      <h2>From nothing</h2>
      <p>Begin with what the two connectors do of themselves, and write your own rules over it beside a sample.</p>
      <FormErrors act={act} fields={["name", "recordKind"]} />
      <div className="row ends">
        <Field label="Kind of record" wrong={act.wrong("recordKind")}>
          {(props) => (
            <select {...props} name="recordKind">
              {kinds.map((kind) => (
                <option key={kind} value={kind}>
                  {words(kind)}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="Name" wrong={act.wrong("name")}>
          {(props) => <input {...props} name="name" required maxLength={200} placeholder="Orders to the warehouse" style={{ width: 340, maxWidth: "100%" }} />}
        </Field>
      </div>
      <div>
        <button type="submit" className="button" disabled={act.isBusy}>
          {act.isBusy ? "Working…" : "Make it and open the mapping"}
        </button>
      </div>
    </form>
  );
}
