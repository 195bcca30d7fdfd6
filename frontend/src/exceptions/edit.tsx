// Edit and retry: fields of the record, or of what is sent for this one delivery. What does not fit is said beside its field, and nothing is sent.
import { useState } from "react";
import { useIsHidden } from "../app/hidden";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { Problem, sentence } from "../ui/state";
import { useExceptionAct } from "./act";
import { ExceptionEditPayloadDocument, ExceptionEditRecordDocument } from "./query.generated";
import { fieldsOf, toJson, type DocumentField } from "./fields";

const EDITS_MAX = 50;

interface EditProps {
  exception: { id: string; sentence: string; path?: string | null; value?: string | null };
  document: string;
  /** What was sent last; null where nothing was. */
  payload: string | null;
  close: () => void;
}

export function EditDialog({ exception, document, payload: sent, close }: EditProps) {
  const isHidden = useIsHidden();
  const [isPayload, setPayload] = useState(false);
  const fields = fieldsOf(isPayload && sent !== null ? sent : document);
  // The field at fault is named as the destination names it, and the record has names of its own: the value that was refused is found there first. Of
  // hidden values one is like the other.
  const startOf = (all: readonly DocumentField[]) => all.find((field) => exception.value && !isHidden(exception.value) && field.value === exception.value) ?? all.find((field) => exception.path && field.path === exception.path);
  const start = startOf(fields);
  const [edits, setEdits] = useState<DocumentField[]>([start ?? { path: "", value: "", isText: true }]);
  const turn = (toPayload: boolean) => {
    setPayload(toPayload);
    // The two name their fields each in its own way: what was begun for one says nothing in the other.
    setEdits([startOf(fieldsOf(toPayload && sent !== null ? sent : document)) ?? { path: "", value: "", isText: true }]);
  };
  const record = useExceptionAct(ExceptionEditRecordDocument, (result) => result.exceptionEditRecord, close);
  const payload = useExceptionAct(ExceptionEditPayloadDocument, (result) => result.exceptionEditPayload, close);
  const act = isPayload ? payload : record;
  const change = (index: number, edit: Partial<DocumentField>) => setEdits((all) => all.map((one, at) => (at === index ? { ...one, ...edit } : one)));
  /** The API names a field by its place in the list: edits.0.value. */
  const wrong = (index: number) => act.errors.find((one) => one.field.includes(String(index)) || (edits.length === 1 && one.field.includes("edits")))?.message;
  const others = act.errors.filter((one) => !edits.some((_, index) => wrong(index) === one.message));
  return (
    <Dialog title="Edit and retry" about={exception.sentence} open close={close}>
      <form
        className="stack"
        onSubmit={(event) => {
          event.preventDefault();
          act.run({ id: exception.id, edits: edits.map((one) => ({ path: one.path.trim(), value: toJson(one) })) }, () => "Your edit is kept, and it is sent again.");
        }}
      >
        {Boolean(act.error) && <Problem error={act.error} />}
        {others.map((one) => (
          <p key={one.message} className="note bad" role="alert">
            {sentence(one.message)}
          </p>
        ))}
        <Field
          label="What is edited"
          help={isPayload ? "Only this delivery. Fields by the destination’s own names." : "A new revision by you. A later change at the source counts again."}
        >
          {(props) => (
            <select {...props} value={isPayload ? "payload" : "record"} onChange={(event) => turn(event.target.value === "payload")}>
              <option value="record">The record</option>
              {sent !== null && <option value="payload">What is sent, this once</option>}
            </select>
          )}
        </Field>
        {edits.map((edit, index) => (
          <fieldset key={index} className="stack tight" style={{ border: 0, padding: 0, margin: 0 }}>
            <legend className="hidden-label">Field {index + 1}</legend>
            <Field label="Field" help={isPayload ? "For example item.items[0].item.id: choose from what was sent, or type one." : "For example lines[0].sku: choose from the record’s fields, or type one."}>
              {(props) => (
                <input
                  {...props}
                  className="mono"
                  list="fields"
                  value={edit.path}
                  required
                  onChange={(event) => {
                    const known = fields.find((one) => one.path === event.target.value);
                    change(index, known ?? { path: event.target.value });
                  }}
                />
              )}
            </Field>
            <Field label="New value" wrong={wrong(index) ? sentence(wrong(index) ?? "") : null}>
              {(props) => <input {...props} value={edit.value} onChange={(event) => change(index, { value: event.target.value })} autoFocus={index === 0 && Boolean(start)} />}
            </Field>
            <label className="row">
              <input type="checkbox" checked={edit.isText} onChange={(event) => change(index, { isText: event.target.checked })} />
              It is text <span className="muted small">(otherwise a number, true, false or null; digits stay as you write them)</span>
            </label>
          </fieldset>
        ))}
        <datalist id="fields">
          {fields.slice(0, 1000).map((field) => (
            <option key={field.path} value={field.path} />
          ))}
        </datalist>
        <div className="row">
          <button type="submit" className="button main-act" disabled={act.isBusy}>
            {act.isBusy ? "Working…" : "Save and retry"}
          </button>
          <button type="button" className="button" disabled={edits.length >= EDITS_MAX} onClick={() => setEdits((all) => [...all, { path: "", value: "", isText: true }])}>
            Another field
          </button>
          <button type="button" className="button" onClick={close}>
            Cancel
          </button>
        </div>
      </form>
    </Dialog>
  );
}
