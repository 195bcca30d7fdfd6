// One exception in full: the reason, and beside each other what came, the record that was made of it, and what was sent. What is wrong is marked.
import { useState } from "react";
import { Link, useNavigate } from "@tanstack/react-router";
import { nodeWith, useAsk, useTenant } from "../api/hooks";
import { HiddenNote } from "../app/hidden";
import { useMay } from "../app/role";
import { Document } from "../ui/document";
import { useKeys } from "../ui/keys";
import { Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { EditDialog } from "./edit";
import { ExceptionDeliveryDocument, ExceptionDetailDocument, ExceptionMessageDocument, ExceptionRecordDocument } from "./query.generated";

/** It is another when somebody edits it, and may be long. */
const RECORD_EVERY_MS = 15_000;

export function ExceptionDetail({ id }: { id: string }) {
  const tenant = useTenant();
  const asked = useAsk(ExceptionDetailDocument, { id });
  const exception = nodeWith(asked.data?.node, "causeKey");
  const record = useAsk(ExceptionRecordDocument, { id: exception?.recordId ?? "" }, { isWanted: Boolean(exception?.recordId), everyMs: RECORD_EVERY_MS, isDear: true });
  const delivery = useAsk(ExceptionDeliveryDocument, { id: exception?.deliveryId ?? "" }, { isWanted: Boolean(exception?.deliveryId) });
  const messageId = exception?.messageId ?? record.data?.record?.revisions[0]?.messageId;
  // What came stays as it came, and may be megabytes: on a telephone it is not asked for with each order that comes meanwhile.
  const message = useAsk(ExceptionMessageDocument, { id: messageId ?? "" }, { isWanted: Boolean(messageId), isDear: true });
  const [isEditing, setEditing] = useState(false);
  const may = useMay();
  const navigate = useNavigate();
  const recordId = exception?.recordId;
  useKeys(
    recordId
      ? [
          ...(may("work") ? [{ key: "e", label: "Edit and retry this exception", act: () => setEditing(true) }] : []),
          { key: "o", label: "Its whole story", act: () => void navigate({ to: "/t/$tenant/records/$recordId", params: { tenant, recordId } }) },
        ]
      : [],
  );
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!exception) return <Loading what="the exception" />;
  const came = nodeWith(message.data?.node, "body");
  const stored = record.data?.record;
  const attempt = delivery.data?.delivery?.attempts[0];
  return (
    <section className="panel stack" aria-label="The exception">
      <div className="row apart">
        <h2 className="break">{exception.sentence}</h2>
        <span className="row">
          {exception.recordId && (
            <>
              {may("work") && (
                <button type="button" className="button main-act" onClick={() => setEditing(true)}>
                  Edit and retry <kbd>e</kbd>
                </button>
              )}
              <Link className="button" to="/t/$tenant/records/$recordId" params={{ tenant, recordId: exception.recordId }}>
                Its whole story <kbd>o</kbd>
              </Link>
            </>
          )}
        </span>
      </div>
      <p>
        {exception.nextStep}{" "}
        <span className="muted small">
          Open since <Time at={exception.openedAt} />. Code {exception.code}
          {exception.path && (
            <>
              , field <code>{exception.path}</code>
            </>
          )}
          .
        </span>
      </p>
      <HiddenNote texts={[came?.body, stored?.document, attempt?.request, attempt?.answer]} />
      <div className="halves">
        {came && (
          <div>
            <h3>
              As it came{" "}
              <span className="muted">
                ({came.origin}, <Time at={came.receivedAt} />)
              </span>
            </h3>
            <Document text={came.body} value={exception.value ?? null} label="The message as it came" />
          </div>
        )}
        {stored?.document && (
          <div>
            <h3>
              The record <span className="muted">({stored.kind} {stored.number ?? stored.sourceId}, revision {stored.revision})</span>
            </h3>
            <Document text={stored.document} value={exception.value ?? null} label="The record" />
          </div>
        )}
        {attempt && (
          <div>
            <h3>
              As it was sent <span className="muted">({attempt.method}, {attempt.status ? `answered ${attempt.status}` : (attempt.outcome ?? "no answer")})</span>
            </h3>
            <Document text={attempt.request || "Nothing was in it."} value={exception.value ?? null} field={exception.path ?? null} label="The payload as it was sent" />
            {attempt.answer && (
              <>
                <h3>The answer</h3>
                <Document text={attempt.answer} label="The answer" />
              </>
            )}
          </div>
        )}
      </div>
      {delivery.data && !attempt && <p className="muted">Nothing was sent for it: it stopped before the first call.</p>}
      {isEditing && stored && <EditDialog exception={exception} document={stored.document ?? "{}"} payload={attempt?.kind === "write" || attempt?.kind === "update" ? attempt.request : null} close={() => setEditing(false)} />}
    </section>
  );
}
