// Where the audit log is sent as it grows: a syslog server or an address of HTTP, how far each came, and why one does not go on.
import { useState } from "react";
import { useAsk } from "../api/hooks";
import { useMay } from "../app/role";
import { ActButton } from "../ui/act-button";
import { Badge } from "../ui/badge";
import { Field } from "../ui/field";
import { FormDialog, useFormAct } from "../ui/form-dialog";
import { Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { AuditStreamCreateDocument, AuditStreamPauseDocument, AuditStreamRemoveDocument, AuditStreamsDocument, type AuditStreamsQuery } from "./query.generated";

type Stream = AuditStreamsQuery["auditStreams"][number];
const STREAMS_MAX = 5;

export const STREAMS_OFTEN = { everyMs: 15_000 };

export function AuditStreams() {
  const may = useMay();
  const asked = useAsk(AuditStreamsDocument, {}, STREAMS_OFTEN);
  const [dialog, setDialog] = useState<"new" | Stream | null>(null);
  const streams = asked.data?.auditStreams;
  return (
    <section className="panel stack">
      <div className="row apart">
        <h2>Sent to your own systems</h2>
        {may("members") && streams && streams.length < STREAMS_MAX && (
          <button type="button" className="button" onClick={() => setDialog("new")}>
            Send it somewhere
          </button>
        )}
      </div>
      <p className="muted">Each event arrives at least once, about a minute after it was done: at a syslog server, or as signed batches over HTTP.</p>
      {asked.error && !streams && <Problem error={asked.error} retry={() => void asked.refetch()} />}
      {!streams && !asked.error && <Loading what="the places" />}
      {streams?.length === 0 && <p>It is sent nowhere.</p>}
      {streams?.map((stream) => (
        <div key={stream.id} className="stack tight">
          <div className="row apart">
            <span className="break">
              <strong>{stream.name}</strong> <State of={stream} />
              <br />
              <code className="muted">{stream.address}</code>
            </span>
            {may("members") && <Acts of={stream} remove={() => setDialog(stream)} />}
          </div>
          {stream.failure && (
            <p className="bad-text break">
              The last try failed: {stream.failure}. {stream.behind.toLocaleString()} seals wait{stream.behindSince && <> since <Time at={stream.behindSince} as="ago" /></>}; nothing is lost, and it is tried again by itself.
            </p>
          )}
        </div>
      ))}
      {dialog === "new" && <New close={() => setDialog(null)} />}
      {dialog !== null && dialog !== "new" && <Remove of={dialog} close={() => setDialog(null)} />}
    </section>
  );
}

function State({ of }: { of: Stream }) {
  if (of.isPaused) return <Badge tone="info">paused</Badge>;
  if (of.failure) return <Badge tone="bad">does not arrive</Badge>;
  return <Badge tone="good">{of.sentAt ? "arrives" : "begins"}</Badge>;
}

function Acts({ of, remove }: { of: Stream; remove: () => void }) {
  const label = of.isPaused ? "Resume" : "Pause";
  return (
    <span className="row">
      <ActButton
        document={AuditStreamPauseDocument}
        values={{ id: of.id, isPaused: !of.isPaused }}
        payloadOf={(result) => result.auditStreamPause}
        label={label}
        name={`${label} ${of.name}`}
        done={of.isPaused ? "It goes on from where it was." : "Nothing is sent there until it is resumed."}
      />
      <button type="button" className="button quiet" aria-label={`Remove ${of.name}`} onClick={remove}>
        Remove
      </button>
    </span>
  );
}

function New({ close }: { close: () => void }) {
  const [kind, setKind] = useState<"SYSLOG" | "HTTP">("SYSLOG");
  const act = useFormAct(AuditStreamCreateDocument, (result) => result.auditStreamCreate, () => "The audit log is sent there from now on.", close);
  const text = (form: FormData, name: string) => String(form.get(name) ?? "").trim();
  return (
    <FormDialog
      title="Send the audit log somewhere"
      about="What is sent is the log as it is sealed, with nothing left out."
      label="Send it"
      act={act}
      fields={["name", "address", "secret", "caPem"]}
      close={close}
      submit={(form) =>
        act.run({
          input: {
            name: text(form, "name"),
            kind,
            address: text(form, "address"),
            secret: kind === "HTTP" ? text(form, "secret") : null,
            caPem: text(form, "caPem") || null,
            fromStart: form.has("fromStart"),
          },
        })
      }
    >
      <Field label="Name" help="What you call the place: siem" wrong={act.wrong("name")}>
        {(props) => <input {...props} name="name" required maxLength={200} autoFocus autoComplete="off" />}
      </Field>
      <Field label="How">
        {(props) => (
          <select {...props} value={kind} onChange={(event) => setKind(event.target.value === "HTTP" ? "HTTP" : "SYSLOG")}>
            <option value="SYSLOG">Syslog over TCP or TLS</option>
            <option value="HTTP">Signed batches over HTTP</option>
          </select>
        )}
      </Field>
      <Field label="Address" help={kind === "HTTP" ? "https://lake.example.com/crossdock" : "tls://logs.example.com:6514, or tcp:// inside a network of your own"} wrong={act.wrong("address")}>
        {(props) => <input {...props} name="address" required maxLength={2000} autoComplete="off" spellCheck={false} />}
      </Field>
      {kind === "HTTP" ? (
        <Field label="Secret" help="Batches are signed with it, as Standard Webhooks says: whsec_ and 32 random bytes in base64." wrong={act.wrong("secret")}>
          {(props) => <input {...props} name="secret" type="password" required autoComplete="off" />}
        </Field>
      ) : (
        <Field label="Who vouches for the server" help="Certificates in PEM, where no public authority does; else leave it empty." wrong={act.wrong("caPem")}>
          {(props) => <textarea {...props} name="caPem" maxLength={65_536} spellCheck={false} />}
        </Field>
      )}
      <label className="row nowrap-start">
        <input type="checkbox" name="fromStart" />
        <span>All that the log holds, and not only what comes from now on</span>
      </label>
    </FormDialog>
  );
}

function Remove({ of, close }: { of: Stream; close: () => void }) {
  const act = useFormAct(AuditStreamRemoveDocument, (result) => result.auditStreamRemove, () => `The audit log is sent to ${of.name} no more.`, close);
  return (
    <FormDialog title={`Send it to ${of.name} no more?`} about="What has arrived there stays there. One that is made anew begins anew." label="Remove it" act={act} close={close} submit={() => act.run({ id: of.id })} />
  );
}
