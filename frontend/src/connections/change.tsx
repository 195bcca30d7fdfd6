// Changing a connection's name and settings, and replacing its credential. All fields of a form are given anew: that is what the API takes.
import { isRefused, type UserError } from "../api/client";
import { SELDOM, useAct, useAsk, wrongWith } from "../api/hooks";
import { Dialog } from "../ui/dialog";
import { Field } from "../ui/field";
import { useTell } from "../ui/notice";
import { Loading, Problem, sentence } from "../ui/state";
import { Fields, filled, others, type FormField } from "./form";
import { ConnectionUpdateDocument, ConnectorFormDocument, CredentialReplaceDocument } from "./query.generated";

interface ChangeProps {
  connection: { id: string; name: string; connector: string; settings: unknown };
  close: () => void;
}

export function SettingsDialog({ connection, close }: ChangeProps) {
  const tell = useTell();
  const update = useAct(ConnectionUpdateDocument);
  return (
    <ChangeDialog
      title="Change settings"
      about="Work under way finishes with the settings it began with."
      connection={connection}
      close={close}
      prefix="settings"
      isBusy={update.isPending}
      error={update.error}
      errors={update.data?.connectionUpdate.userErrors ?? []}
      save={(form, fields) =>
        update.mutate(
          { id: connection.id, input: { name: String(form.get("name")).trim(), settings: filled(form, "settings", fields) } },
          {
            onSuccess: ({ connectionUpdate }) => {
              if (connectionUpdate.userErrors.length > 0) return;
              tell("The settings are changed.");
              close();
            },
          },
        )
      }
    />
  );
}

export function CredentialDialog({ connection, close }: ChangeProps) {
  const tell = useTell();
  const replace = useAct(CredentialReplaceDocument);
  return (
    <ChangeDialog
      title="Replace the credential"
      about="The one before is retired at once, and what was refused is tried again."
      connection={connection}
      close={close}
      prefix="credential"
      isBusy={replace.isPending}
      error={replace.error}
      errors={replace.data?.credentialReplace.userErrors ?? []}
      save={(form, fields) =>
        replace.mutate(
          { id: connection.id, credential: filled(form, "credential", fields) },
          {
            onSuccess: ({ credentialReplace }) => {
              if (credentialReplace.userErrors.length > 0) return;
              tell("The credential is replaced. What it held is tried again now.");
              close();
            },
          },
        )
      }
    />
  );
}

interface ChangeDialogProps extends ChangeProps {
  title: string;
  about: string;
  prefix: "settings" | "credential";
  isBusy: boolean;
  error: unknown;
  errors: UserError[];
  save: (form: FormData, fields: readonly FormField[]) => void;
}

function ChangeDialog({ title, about, connection, close, prefix, isBusy, error, errors, save }: ChangeDialogProps) {
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
          {Boolean(error) && <Problem error={error} />}
          {others(errors, fields).map((one) => (
            <p key={one.message} className="note bad" role="alert">
              {sentence(one.message)}
            </p>
          ))}
          {prefix === "settings" && (
            <Field label="Name" wrong={wrongWith(errors, "name") ? sentence(wrongWith(errors, "name") ?? "") : null}>
              {(props) => <input {...props} name="name" defaultValue={connection.name} required maxLength={200} />}
            </Field>
          )}
          <Fields fields={fields} prefix={prefix} errors={errors} values={(connection.settings ?? {}) as Record<string, unknown>} />
          <div className="row">
            <button type="submit" className="button main-act" disabled={isBusy}>
              {isBusy ? "Working…" : "Save"}
            </button>
            <button type="button" className="button" onClick={close}>
              Cancel
            </button>
          </div>
        </form>
      )}
    </Dialog>
  );
}
