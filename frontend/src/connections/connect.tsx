// The guided form of one connector: the guide on one side, what it asks for on the other.
import { Link, useNavigate, useParams } from "@tanstack/react-router";
import { isRefused } from "../api/client";
import { SELDOM, useAsk } from "../api/hooks";
import { Field } from "../ui/field";
import { useFormAct } from "../ui/form-dialog";
import { Guide } from "../ui/guide";
import { Empty, Loading, Problem, sentence } from "../ui/state";
import { useLeave } from "./consent";
import { Fields, filled, others } from "./form";
import { ConnectionCreateDocument, ConnectorFormDocument, type ConnectorFormQuery } from "./query.generated";

export function Connect() {
  const { tenant, connector: name } = useParams({ from: "/t/$tenant/connections/new/$connector" });
  const asked = useAsk(ConnectorFormDocument, {}, SELDOM);
  const connector = asked.data?.connectors.find((one) => one.name === name);
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/connections" params={{ tenant }}>
          Connections
        </Link>
        {" / "}
        <Link to="/t/$tenant/connections/new" params={{ tenant }}>
          Connect a system
        </Link>
      </p>
      {/* Beside the form, and not in its place: what was typed into it is kept nowhere else. */}
      {asked.error && (!asked.data || isRefused(asked.error)) && <Problem error={asked.error} retry={() => void asked.refetch()} />}
      {!asked.data ? (
        !asked.error && <Loading what="the form" />
      ) : connector?.available ? (
        <Form connector={connector} tenant={tenant} />
      ) : (
        <Empty isPage title="There is no such connector here">
          <p>Choose one from the catalog.</p>
        </Empty>
      )}
    </div>
  );
}

function Form({ connector, tenant }: { connector: ConnectorFormQuery["connectors"][number]; tenant: string }) {
  const navigate = useNavigate();
  const { leave, isLeaving } = useLeave();
  const create = useFormAct(
    ConnectionCreateDocument,
    (result) => result.connectionCreate,
    ({ connectionCreate: { connection } }) => connection && `${connection.name} is ${connector.consent ? `made, and is connected once somebody has allowed it at ${connector.title}` : "connected"}.`,
    ({ connectionCreate: { connection } }) => {
      if (!connection) return;
      if (connector.consent) leave(connection.id);
      else void navigate({ to: "/t/$tenant/connections/$connectionId", params: { tenant, connectionId: connection.id } });
    },
  );
  const submit = (form: FormData) => {
    const input = {
      connector: connector.name,
      name: String(form.get("name")).trim(),
      settings: filled(form, "settings", connector.settings),
      credential: filled(form, "credential", connector.credential),
    };
    create.run({ input });
  };
  return (
    <>
      <h1>Connect {connector.title}</h1>
      <div className="grid2">
        <form
          className="panel stack"
          onSubmit={(event) => {
            event.preventDefault();
            submit(new FormData(event.currentTarget));
          }}
        >
          {Boolean(create.error) && <Problem error={create.error} />}
          {others(create.errors, [...connector.settings, ...connector.credential]).map((one) => (
            <p key={one.message} className="note bad" role="alert">
              {sentence(one.message)}
            </p>
          ))}
          <Field label="Name" help="What your people call it." wrong={create.wrong("name")}>
            {(props) => <input {...props} name="name" defaultValue={connector.title} required maxLength={200} />}
          </Field>
          {connector.settings.length > 0 && <h2>Settings</h2>}
          <Fields fields={connector.settings} prefix="settings" errors={create.errors} />
          {connector.credential.length > 0 && (
            <div>
              <h2>Credential</h2>
              <p className="muted small">Sealed when it arrives, and never shown again: only its last characters are.</p>
            </div>
          )}
          <Fields fields={connector.credential} prefix="credential" errors={create.errors} />
          {connector.consent && (
            <div className="note">
              <p>Next you are sent to {connector.title}, where you allow this:</p>
              <ul className="points">
                {connector.consent.scopes.map((one) => (
                  <li key={one.name}>{one.title}</li>
                ))}
              </ul>
              <p>
                Your app there must send people back to exactly this address: <code className="break">{connector.consent.redirectUri}</code>
              </p>
            </div>
          )}
          <div>
            <button type="submit" className="button main-act" disabled={create.isBusy || isLeaving}>
              {create.isBusy || isLeaving ? "Connecting…" : connector.consent ? `Go on to ${connector.title}` : "Connect"}
            </button>
          </div>
        </form>
        <section className="panel stack tight" aria-label="Guide">
          {connector.setup ? <Guide text={connector.setup} /> : <p className="muted">This connector has no guide.</p>}
        </section>
      </div>
    </>
  );
}
