// A certificate: a signed statement of what became of all that arrived in a time, or of one record, that anybody can check without Crossdock.
import { useState } from "react";
import { Link } from "@tanstack/react-router";
import { SELDOM, useAsk, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Document } from "../ui/document";
import { Field } from "../ui/field";
import { FormErrors, useFormAct } from "../ui/form-dialog";
import { Empty, Problem } from "../ui/state";
import { fromLocal, toLocal } from "../ui/time";
import { useTyped } from "../ui/typed";
import { Working } from "../ui/working";
import { CertificateKeyDocument, CertificateMakeDocument, CertificateSearchDocument } from "./query.generated";

const DAY_MS = 24 * 60 * 60 * 1000;

export function Certificates() {
  const tenant = useTenant();
  const may = useMay();
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/reconciliations" params={{ tenant }}>
          Reconciliations
        </Link>
      </p>
      <div className="head">
        <div>
          <h1>Certificates</h1>
          <p>A signed statement that nothing was lost: each message that arrived, what became of it, and what is still open. It can be checked by anybody, without this page and without any network.</p>
        </div>
      </div>
      {may("audit") ? (
        <Make />
      ) : (
        <div className="panel">
          <Empty title="Your role makes no certificates">
            <p>Owners, admins and auditors do. Ask one of them.</p>
          </Empty>
        </div>
      )}
    </div>
  );
}

function Make() {
  const key = useAsk(CertificateKeyDocument, {}, SELDOM);
  const [isOfRecord, setOfRecord] = useState(false);
  const [text, setText] = useState("");
  const [recordId, setRecordId] = useState("");
  const [sought, setSought] = useState("");
  const seek = useTyped(setSought);
  const isWanted = isOfRecord && sought !== "";
  const found = useAsk(CertificateSearchDocument, { text: sought }, { isWanted, isDear: true });
  // What was found of other letters is nothing of what is typed.
  const hits = isWanted && sought === text.trim() && !found.isPlaceholderData ? (found.data?.search ?? []) : [];
  const [made, setMade] = useState<{ text: string; nothingLost: boolean; name: string } | null>(null);
  const act = useFormAct(CertificateMakeDocument, (result) => result.certificateMake, ({ certificateMake: { certificate, nothingLost } }) => {
    if (certificate) setMade({ text: certificate, nothingLost: nothingLost ?? false, name: `certificate-${new Date().toISOString().slice(0, 10)}.json` });
    return "The certificate is made. That it was made stands in the audit log.";
  });
  return (
    <div className="grid2">
      <div className="stack">
        <form
          className="panel stack"
          onSubmit={(event) => {
            event.preventDefault();
            const form = new FormData(event.currentTarget);
            setMade(null);
            if (isOfRecord) act.run({ recordId: recordId || hits[0]?.record.id || "" });
            else act.run({ from: fromLocal(String(form.get("from"))), until: fromLocal(String(form.get("until"))) });
          }}
        >
          <h2>Make a certificate</h2>
          <FormErrors act={act} fields={["from", "until", "recordId"]} />
          <Field label="Of what">
            {(props) => (
              <select {...props} value={isOfRecord ? "record" : "time"} onChange={(event) => setOfRecord(event.target.value === "record")}>
                <option value="time">All that arrived in a period</option>
                <option value="record">One record</option>
              </select>
            )}
          </Field>
          {isOfRecord ? (
            <>
              <Field label="Any id of the record" wrong={act.wrong("recordId")}>
                {(props) => <input {...props} value={text} onChange={(event) => { setText(event.target.value); seek(event.target.value.trim()); setRecordId(""); }} required autoComplete="off" spellCheck={false} />}
              </Field>
              {isWanted && sought === text.trim() && found.data && !found.isPlaceholderData && hits.length === 0 && <p className="muted">Nothing is known by “{sought}”.</p>}
              {hits.length > 0 && (
                <Field label="The record">
                  {(props) => (
                    <select {...props} value={recordId || hits[0]?.record.id} onChange={(event) => setRecordId(event.target.value)}>
                      {hits.map(({ record }) => (
                        <option key={record.id} value={record.id}>
                          {record.kind.replaceAll("_", " ")} {record.number ?? record.sourceId}
                        </option>
                      ))}
                    </select>
                  )}
                </Field>
              )}
            </>
          ) : (
            <>
              <Field label="From" help="At most 31 days and 20,000 messages." wrong={act.wrong("from")}>
                {(props) => <input {...props} name="from" type="datetime-local" required defaultValue={toLocal(new Date(Date.now() - DAY_MS))} style={{ maxWidth: 240 }} />}
              </Field>
              <Field label="Until" wrong={act.wrong("until")}>
                {(props) => <input {...props} name="until" type="datetime-local" required defaultValue={toLocal(new Date())} style={{ maxWidth: 240 }} />}
              </Field>
            </>
          )}
          <div>
            <button type="submit" className={made ? "button" : "button main-act"} disabled={act.isBusy || (isOfRecord && hits.length === 0)}>
              {act.isBusy ? "Making…" : "Make the certificate"}
            </button>{" "}
            <Working isBusy={act.isBusy}>{isOfRecord ? "What became of the record is gone through." : "What became of each message of the time is gone through."}</Working>
          </div>
        </form>
        {made && (
          <section className="panel stack" aria-label="The certificate">
            <p className={`note ${made.nothingLost ? "good" : "warn"}`}>
              <strong>{made.nothingLost ? "Nothing was lost: all of it has settled, or waits for a person by an open exception." : "It does not say that nothing was lost: some of it is still on its way."}</strong>
            </p>
            <div>
              <Download text={made.text} name={made.name} />
            </div>
            <Document text={made.text} label="The certificate as it is signed" />
          </section>
        )}
      </div>
      <section className="panel stack tight">
        <h2>How it is checked</h2>
        <p>Whoever has the file and this key checks it on any machine:</p>
        <code className="document">crossdock audit verify certificate.json --key "{key.data?.certificateKey ?? "…"}"</code>
        {key.error && <Problem error={key.error} />}
        <p className="muted small">The key is your tenant’s. Give it to your auditor by another way than the file.</p>
      </section>
    </div>
  );
}

function Download({ text, name }: { text: string; name: string }) {
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    link.download = name;
    link.click();
    URL.revokeObjectURL(link.href);
  };
  return (
    <button type="button" className="button main-act" onClick={save}>
      Save it as a file
    </button>
  );
}
