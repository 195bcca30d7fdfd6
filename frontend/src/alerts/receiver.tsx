// Where alerts go: a new receiver, or another name, address or pace of one. A secret is sealed, and never shown again.
import { useState } from "react";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { AlertReceiverCreateDocument, AlertReceiverUpdateDocument } from "./query.generated";
import { KINDS, type Receiver } from "./settings";

const ADDRESS: Record<Receiver["kind"], [string, string]> = {
  MAIL: ["Mail addresses", "Up to ten, with commas between"],
  SLACK: ["Address of the chat’s webhook", "It is a secret itself: only its host is shown later"],
  WEBHOOK: ["Address", "Where a signed request is sent, as Standard Webhooks says"],
};
const FIELDS = ["name", "address", "secret", "everyMinutes", "kind"];

export function ReceiverDialog({ receiver, close }: { receiver: Receiver | null; close: () => void }) {
  const [kind, setKind] = useState<Receiver["kind"]>(receiver?.kind ?? "MAIL");
  const create = useFormAct(AlertReceiverCreateDocument, (result) => result.alertReceiverCreate, () => "It is added. Send it a test.", close);
  const update = useFormAct(AlertReceiverUpdateDocument, (result) => result.alertReceiverUpdate, () => "It is changed.", close);
  const act = receiver ? update : create;
  const [label, help] = ADDRESS[kind];
  const submit = (form: FormData) => {
    const text = (name: string) => String(form.get(name) ?? "").trim();
    const everyMinutes = Number(form.get("everyMinutes"));
    const secret = text("secret") ? { secret: text("secret") } : {};
    if (receiver) update.run({ id: receiver.id, input: { name: text("name"), everyMinutes, ...(text("address") && text("address") !== receiver.address ? { address: text("address") } : {}), ...secret } });
    else create.run({ input: { kind, name: text("name"), address: text("address"), everyMinutes, ...secret } });
  };
  return (
    <FormDialog title={receiver ? `Change ${receiver.name}` : "Add a receiver"} label={receiver ? "Keep it" : "Add it"} act={{ ...act, run: () => undefined }} fields={FIELDS} submit={submit} close={close}>
      <Field label="Name" wrong={act.wrong("name")}>
        {(props) => <input {...props} name="name" required maxLength={200} defaultValue={receiver?.name ?? ""} autoFocus />}
      </Field>
      {!receiver && (
        <Field label="How" wrong={act.wrong("kind")}>
          {(props) => (
            <select {...props} value={kind} onChange={(event) => setKind(event.target.value as Receiver["kind"])}>
              {Object.entries(KINDS).map(([one, title]) => (
                <option key={one} value={one}>
                  {title}
                </option>
              ))}
            </select>
          )}
        </Field>
      )}
      <Field label={label} help={receiver && kind === "SLACK" ? "Empty: the one it has" : help} wrong={act.wrong("address")}>
        {(props) => <input {...props} name="address" required={!receiver || kind !== "SLACK"} defaultValue={kind === "SLACK" ? "" : (receiver?.address ?? "")} autoComplete="off" spellCheck={false} />}
      </Field>
      {kind === "WEBHOOK" && (
        <Field label="Secret" help={receiver ? "Empty: the one it has" : "whsec_ and 24 to 64 bytes in base64. It is sealed."} wrong={act.wrong("secret")}>
          {(props) => <input {...props} name="secret" type="password" required={!receiver} autoComplete="off" />}
        </Field>
      )}
      <Field label="Of the same cause at most every so many minutes" wrong={act.wrong("everyMinutes")}>
        {(props) => <input {...props} name="everyMinutes" type="number" min={1} max={10_080} step={1} required defaultValue={receiver?.everyMinutes ?? 60} style={{ maxWidth: 120 }} />}
      </Field>
    </FormDialog>
  );
}
