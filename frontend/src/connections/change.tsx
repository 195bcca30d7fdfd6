// Changing a connection's name and settings, and replacing its credential. All fields of a form are given anew: that is what the API takes.
import { isRefused } from "../api/client";
import { SELDOM, useAsk } from "../api/hooks";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { FormErrors, useFormAct, type FormAct } from "../ui/form-dialog";
import { Loading, Problem } from "../ui/state";
import { Fields, filled, type FormField } from "./form";
import { ConnectionUpdateDocument, ConnectorFormDocument, CredentialReplaceDocument } from "./query.generated";

interface ChangeProps {
  connection: { id: string; name: string; connector: string; settings: unknown };
  close: () => void;
}

export function SettingsDialog({ connection, close }: ChangeProps) {
  const act = useFormAct(ConnectionUpdateDocument, (result) => result.connectionUpdate, () => "The settings are changed.", close);
  return (
    <ChangeDialog
      title="Change settings"
      about="Work under way finishes with the settings it began with."
      connection={connection}
      close={close}
      prefix="settings"
      act={act}
      save={(form, fields) => act.run({ id: connection.id, input: { name: String(form.get("name")).trim(), settings: filled(form, "settings", fields) } })}
    />
  );
}

export function CredentialDialog({ connection, close }: ChangeProps) {
  const act = useFormAct(CredentialReplaceDocument, (result) => result.credentialReplace, () => "The credential is replaced. What it held is tried again now.", close);
  return (
    <ChangeDialog
      title="Replace the credential"
      about="The one before is retired at once, and what was refused is tried again."
      connection={connection}
      close={close}
      prefix="credential"
      act={act}
      save={(form, fields) => act.run({ id: connection.id, credential: filled(form, "credential", fields) })}
    />
  );
}

interface ChangeDialogProps extends ChangeProps {
  title: string;
  about: string;
  prefix: "settings" | "credential";
  act: FormAct<never>;
  save: (form: FormData, fields: readonly FormField[]) => void;
}

function ChangeDialog({ title, about, connection, close, prefix, act, save }: ChangeDialogProps) {
  const asked = useAsk(ConnectorFormDocument, {}, SELDOM);
  const connector = asked.data?.connectors.find((one) => one.name === connection.connector);
  const fields = connector?.[prefix] ?? [];
  return (
    <Dialog title={title} about={about} open close={close}>
      {asked.error && (!asked.data || isRefused(asked.error)) && <Problem error={asked.error} />}
      {!asked.data && !asked.error && <Loading what="the form" />}
      {asked.data && (
        <form
          className="stack"
          onSubmit={(event) => {
            event.preventDefault();
            save(new FormData(event.currentTarget), fields);
          }}
        >
          <FormErrors act={act} fields={["name", ...fields.map((field) => field.name)]} />
          {prefix === "settings" && (
            <Field label="Name" wrong={act.wrong("name")}>
              {(props) => <input {...props} name="name" defaultValue={connection.name} required maxLength={200} />}
            </Field>
          )}
          <Fields fields={fields} prefix={prefix} errors={act.errors} values={(connection.settings ?? {}) as Record<string, unknown>} />
          <div className="row">
            <button type="submit" className="button main-act" disabled={act.isBusy}>
              {act.isBusy ? "Working…" : "Save"}
            </button>
            <button type="button" className="button" onClick={close}>
              {act.isBusy ? "Close" : "Cancel"}
            </button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
