// Prepares an undo: what a version did at the destination is looked at, and nothing is sent before a person has seen it. And the undos of a flow.
import { useState } from "react";
import { Link, useNavigate } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { LoadMore } from "../ui/state";
import { fromLocal, Time } from "../ui/time";
import { FlowUndoPrepareDocument, FlowUndosDocument } from "./query.generated";

export function PrepareDialog({ flowId, version, close }: { flowId: string; version: number; close: () => void }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const [to, setTo] = useState<"PREVIOUS" | "PUBLISHED">("PREVIOUS");
  const act = useFormAct(FlowUndoPrepareDocument, (result) => result.flowUndoPrepare, () => "It is being prepared. Nothing is sent.", ({ flowUndoPrepare: { undo } }) => {
    close();
    if (undo) void navigate({ to: "/t/$tenant/flows/$flowId/undos/$undoId", params: { tenant, flowId, undoId: undo.id } });
  });
  return (
    <FormDialog
      title={`Undo what version ${version} did`}
      about="Each delivery of it is looked at: what was sent, what stood there before, what would be sent. Nothing is sent before you have seen that and approved it."
      label="Prepare it"
      act={act}
      fields={["to", "since"]}
      close={close}
      submit={(form) => act.run({ id: flowId, version, input: { to, leavesCreated: form.get("leavesCreated") === "on", since: fromLocal(String(form.get("since"))) } })}
    >
      <Field
        label="What is to stand there"
        help={to === "PREVIOUS" ? "As the ledger says it was sent before, to the letter where that can be. What the source has changed since is not in it: such records are told." : "Of the same revisions, by the rules that run now: for when the source has changed since."}
        wrong={act.wrong("to")}
      >
        {(props) => (
          <select {...props} value={to} onChange={(event) => setTo(event.target.value as typeof to)} style={{ maxWidth: "100%" }}>
            <option value="PREVIOUS">What stood there before</option>
            <option value="PUBLISHED">What the version that is published now makes of it</option>
          </select>
        )}
      </Field>
      <Field label="Only what was confirmed from" help="Empty: all that the version did, at most 50,000 deliveries." wrong={act.wrong("since")}>
        {(props) => <input {...props} name="since" type="datetime-local" style={{ maxWidth: 240 }} />}
      </Field>
      <label className="row nowrap-start">
        <input type="checkbox" name="leavesCreated" />
        <span>What the version created is only told, and not corrected</span>
      </label>
    </FormDialog>
  );
}

/** Nothing is shown of a flow that was never undone. */
export function Undos({ flowId }: { flowId: string }) {
  const tenant = useTenant();
  const asked = usePages(FlowUndosDocument, { flowId }, (result) => result.flowUndos, { everyMs: 10_000 });
  if (asked.rows.length === 0) return null;
  return (
    <section className="panel stack tight" aria-label="Undos">
      <h2>Undos</h2>
      <ul className="stack tight">
        {asked.rows.map((one) => (
          <li key={one.id} className="row apart">
            <span>
              <Link to="/t/$tenant/flows/$flowId/undos/$undoId" params={{ tenant, flowId, undoId: one.id }}>
                Of version {one.version}
              </Link>
              <span className="muted small">
                {" "}
                <Time at={one.createdAt} />
              </span>
            </span>
            <Badge state={one.state} tone={one.state === "prepared" ? "warn" : undefined} />
          </li>
        ))}
      </ul>
      <LoadMore of={asked} />
    </section>
  );
}
