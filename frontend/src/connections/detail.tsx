// One connection: how it is and what is to be done, its limits and how much of them is in use, its webhooks and polls, its settings and credential.
import { useState } from "react";
import { Link, useParams, useSearch } from "@tanstack/react-router";
import { isAwaited, SELDOM, useAsk } from "../api/hooks";
import { Incidents } from "../incidents/incidents";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { useTell } from "../ui/notice";
import { Empty, Loading, Problem } from "../ui/state";
import { age, Time } from "../ui/time";
import { CredentialDialog, SettingsDialog } from "./change";
import { ConsentPanel, ConsentResult } from "./consent";
import { Answer, Ends, TestButton } from "./health";
import { Limits } from "./limits";
import { RotationPanel } from "./rotation";
import {
  ConnectionDetailDocument,
  ConnectionHealthDocument,
  ConnectionPauseDocument,
  ConnectionReconnectedDocument,
  ConnectionResumeDocument,
  ConnectorFormDocument,
  SubscriptionCheckDocument,
  type ConnectionDetailQuery,
  type ConnectorFormQuery,
} from "./query.generated";

type ConnectionNode = NonNullable<ConnectionDetailQuery["connection"]>;
type ConnectorNode = ConnectorFormQuery["connectors"][number];
const EVERY_MS = 3_000;
/** What holds deliveries back until it is mended there: of the others nothing waits that could be tried. */
const HOLDS = ["OUTAGE", "CREDENTIAL"];

export function ConnectionPage() {
  const { connectionId, tenant } = useParams({ from: "/t/$tenant/connections/$connectionId" });
  const asked = useAsk(ConnectionDetailDocument, { id: connectionId }, { everyMs: EVERY_MS });
  const connection = asked.data?.connection;
  // How its form calls the settings. The page waits for that, so that no name becomes another one under the reader; without it, it has the API's names.
  const forms = useAsk(ConnectorFormDocument, {}, SELDOM);
  // And how it is kept: what stands below would be pushed away by it.
  const health = useAsk(ConnectionHealthDocument, { connectionId });
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/connections" params={{ tenant }}>
          Connections
        </Link>
      </p>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : !asked.data || isAwaited(forms) || isAwaited(health) ? (
        <Loading what="the connection" />
      ) : connection ? (
        <Shown connection={connection} connector={forms.data?.connectors.find((one) => one.name === connection.connector)} polls={asked.data.polls.nodes} />
      ) : (
        <Empty isPage title="There is no such connection">
          <p>It is none of this tenant’s, or the address is cut off.</p>
        </Empty>
      )}
    </div>
  );
}

function Shown({ connection, connector, polls }: { connection: ConnectionNode; connector: ConnectorNode | undefined; polls: ConnectionDetailQuery["polls"]["nodes"] }) {
  const [dialog, setDialog] = useState<"settings" | "credential" | null>(null);
  const may = useMay()("configure");
  // The word only says that somebody comes back; what it came to is asked of the server.
  const { consent: isBack } = useSearch({ from: "/t/$tenant/connections/$connectionId" });
  const isPaused = connection.state === "paused";
  const health: Record<string, string> = {
    healthy: "Deliveries get through, and things come from it as they usually do.",
    refused: "It refuses the credential. Replace it below; what waits goes on by itself then.",
    failing: "An operation fails. What belongs to it is held, and tried again by itself.",
    silent: "Nothing comes that usually does. Look whether the source still sends.",
    expiring: "What it needs to be called ends soon. What to do is said below.",
  };
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">{connection.name}</h1>
          <p className="row">
            <Badge state={isPaused ? "paused" : connection.health} />{" "}
            {isPaused ? "Nothing is sent, and its webhooks are asked to come again, until it is resumed." : (health[connection.health] ?? "")}
          </p>
        </div>
        {may && (
        <div className="row">
          {isPaused ? (
            <ActButton document={ConnectionResumeDocument} values={{ id: connection.id }} payloadOf={(one) => one.connectionResume} label="Resume" done="Resumed, within five seconds." isMain />
          ) : (
            <ActButton document={ConnectionPauseDocument} values={{ id: connection.id }} payloadOf={(one) => one.connectionPause} label="Pause" done="Paused. Its deliveries stay planned." />
          )}
          {connection.incidents.some(({ kind }) => HOLDS.includes(kind)) && (
            <ActButton document={ConnectionReconnectedDocument} values={{ id: connection.id }} payloadOf={(one) => one.connectionReconnected} label="I have mended it there: try now" done="What is held is tried now." isMain />
          )}
        </div>
        )}
      </div>
      {isBack && connection.consent && <ConsentResult consent={connection.consent} />}
      {connection.incidents.length > 0 && <Incidents incidents={connection.incidents} />}
      <div className="grid2">
        <div className="stack">
          <Limits budget={connection.budget} />
          <Listening connection={connection} polls={polls} />
        </div>
        <div className="stack">
          <ConsentPanel connection={connection} />
          <section className="panel">
            <div className="row apart">
              <h2>Settings</h2>
              {may && (
                <button type="button" className="button" onClick={() => setDialog("settings")}>
                  Change
                </button>
              )}
            </div>
            <dl className="facts titled">
              <dt>Connector</dt>
              <dd>{connector?.title ?? connection.connector}</dd>
              {Object.entries((connection.settings ?? {}) as Record<string, unknown>).map(([name, value]) => (
                <Fact key={name} name={connector?.settings.find((field) => field.name === name)?.title ?? name} value={String(value)} />
              ))}
              <dt>Since</dt>
              <dd>
                <Time at={connection.createdAt} />
              </dd>
            </dl>
          </section>
          <section className="panel">
            <div className="row apart">
              <h2>Credential</h2>
              {may && (
                <button type="button" className="button" onClick={() => setDialog("credential")}>
                  Replace
                </button>
              )}
            </div>
            <p>
              {connection.credentialHint ? (
                <>
                  Ends with <code>{connection.credentialHint}</code>.
                </>
              ) : (
                "None is stored."
              )}{" "}
              <span className="muted">It is sealed, and never shown.</span>
            </p>
          </section>
          <Upkeep id={connection.id} name={connection.name} />
          {connection.hookUrl && <HookUrl url={connection.hookUrl} />}
        </div>
      </div>
      {dialog === "settings" && <SettingsDialog connection={connection} close={() => setDialog(null)} />}
      {dialog === "credential" && <CredentialDialog connection={connection} close={() => setDialog(null)} />}
    </>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt>{name}</dt>
      <dd>{value}</dd>
    </>
  );
}

/** Whether it answers to its credential, what of it ends, and how its secret is exchanged. */
function Upkeep({ id, name }: { id: string; name: string }) {
  const may = useMay()("configure");
  const asked = useAsk(ConnectionHealthDocument, { connectionId: id }, { everyMs: EVERY_MS });
  const row = asked.data?.connectionHealth.nodes[0];
  return (
    <>
      <section className="panel stack tight">
        <div className="row apart">
          <h2>Does it answer?</h2>
          {may && <TestButton id={id} name={name} />}
        </div>
        {row && (
          <>
            <div>
              <Answer row={row} />
            </div>
            <h3>What ends</h3>
            <div>
              <Ends row={row} />
            </div>
          </>
        )}
      </section>
      {row && <RotationPanel id={id} row={row} />}
    </>
  );
}

function HookUrl({ url }: { url: string }) {
  const tell = useTell();
  return (
    <section className="panel stack tight">
      <h2>Webhook address</h2>
      <p className="muted small">Where the vendor sends what happens there. Whoever knows it still needs the secret.</p>
      <code className="break">{url}</code>
      <div>
        <button type="button" className="button" onClick={() => void navigator.clipboard.writeText(url).then(() => tell("Copied."), () => tell("The browser does not let it be copied: select the address instead.", "bad"))}>
          Copy
        </button>
      </div>
    </section>
  );
}

function Listening({ connection, polls }: { connection: ConnectionNode; polls: ConnectionDetailQuery["polls"]["nodes"] }) {
  const check = connection.subscriptionCheck;
  const may = useMay()("configure");
  return (
    <section className="panel stack tight">
      <div className="row apart">
        <h2>Webhooks and polls</h2>
        {check && may && <ActButton document={SubscriptionCheckDocument} values={{ id: connection.id }} payloadOf={(one) => one.subscriptionCheck} label="Check webhooks now" done="Compared with what is registered at the vendor." />}
      </div>
      {check?.failure && <p className="note bad">{check.failure}</p>}
      {connection.subscriptions.map((one) => (
        <div key={one.id}>
          <div className="row apart">
            <span>
              Webhook <code>{one.topic}</code>
            </span>
            <Badge state={one.state} />
          </div>
          {one.failure && <p className="small">{one.failure}</p>}
          {one.restored > 0 && <p className="small muted">The vendor dropped it {one.restored === 1 ? "1 time" : `${one.restored} times`}, and it was made again.</p>}
        </div>
      ))}
      {polls.map((one) => (
        <div key={one.id}>
          <div className="row apart">
            <span>
              {one.recordKind} read every {age(one.everyS)}
            </span>
            <Badge state={one.failure ? "failed" : one.state} />
          </div>
          <p className="small muted">
            {one.failure ?? (one.readAt ? <>Everything before <Time at={one.readAt} /> is here.</> : "No read came to its end yet.")}
          </p>
        </div>
      ))}
      {connection.subscriptions.length === 0 && polls.length === 0 && (
        <p className="muted">
          {connection.hookUrl ? "Whoever set it up sends webhooks to the address on this page; none is registered and nothing is polled by Crossdock." : "No published flow reads it, so it is neither subscribed to nor polled."}
        </p>
      )}
    </section>
  );
}
