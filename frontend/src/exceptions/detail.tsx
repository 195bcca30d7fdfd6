// One exception in full: the reason, and beside each other what came, the record that was made of it, and what was sent. What is wrong is marked.
import { useEffect, useState } from "react";
import { Link, useNavigate } from "@tanstack/react-router";
import { nodeWith, useAsk, useTenant } from "../api/hooks";
import { HiddenNote } from "../app/hidden";
import { useMay } from "../app/role";
import { Document } from "../ui/document";
import { useKeys } from "../ui/keys";
import { Empty, Loading, Problem, sentence } from "../ui/state";
import { Time } from "../ui/time";
import { useReopen } from "./closed";
import { endOf } from "./current";
import { EditDialog } from "./edit";
import {
  ExceptionDeliveryDocument,
  ExceptionDetailDocument,
  ExceptionMessageDocument,
  ExceptionRecordDocument,
  type ExceptionDeliveryQuery,
  type ExceptionDetailQuery,
  type ExceptionMessageQuery,
  type ExceptionRecordQuery,
} from "./query.generated";

type Exception = Extract<ExceptionDetailQuery["node"], { causeKey: string }>;
type Message = Extract<ExceptionMessageQuery["node"], { body: string }>;
type StoredRecord = NonNullable<ExceptionRecordQuery["record"]>;
type Attempt = NonNullable<ExceptionDeliveryQuery["delivery"]>["attempts"][number];

/** It is another when somebody edits it, and may be long. */
const RECORD_EVERY_MS = 15_000;

/** `onPlaced` is told once it has the height that it keeps: what stands below would be pushed away by each of its parts that comes. */
export function ExceptionDetail({ id, causeKey, onPlaced }: { id: string; causeKey: string; onPlaced?: (isPlaced: true) => void }) {
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
  const end = exception ? endOf(exception) : null;
  const mayEdit = may("work") && end === null;
  const { reopen, isBusy } = useReopen();
  const mayReopen = may("work") && exception?.state === "ignored";
  useKeys([
    ...(mayReopen ? [{ key: "b", label: "Reopen this exception", act: () => reopen({ ids: [id] }) }] : []),
    ...(recordId
      ? [
          ...(mayEdit ? [{ key: "e", label: "Edit and retry this exception", act: () => setEditing(true) }] : []),
          { key: "o", label: "Its whole story", act: () => void navigate({ to: "/t/$tenant/records/$recordId", params: { tenant, recordId } }) },
        ]
      : []),
  ]);
  const isComing = (one: { data: unknown; error: unknown }, isWanted: unknown) => Boolean(isWanted) && !one.data && !one.error;
  // How many stand beside each other is known with both of these: before that each that comes would push the others aside.
  const isPlaced = !isComing(record, recordId) && !isComing(delivery, exception?.deliveryId);
  const isWhole = !isComing(asked, true) && isPlaced && !isComing(message, messageId);
  useEffect(() => {
    if (isWhole) onPlaced?.(true);
  }, [isWhole, onPlaced]);
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="the exception" />;
  if (!exception) {
    return (
      <section className="panel" aria-label="The exception">
        <Empty title="There is no such exception">
          <p>It is none of this tenant’s, or the address is cut off.</p>
        </Empty>
      </section>
    );
  }
  const came = nodeWith(message.data?.node, "body");
  const stored = record.data?.record;
  const attempt = delivery.data?.delivery?.attempts[0];
  return (
    <section className="panel stack" aria-label="The exception">
      <div className="row apart">
        <h2 className="break">{exception.sentence}</h2>
        <span className="row">
          {mayReopen && (
            <button type="button" className="button" disabled={isBusy} onClick={() => reopen({ ids: [id] })}>
              Reopen <kbd>b</kbd>
            </button>
          )}
          {exception.recordId && (
            <>
              {mayEdit && (
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
      {end && (
        <p className="note break">
          <strong>It is {exception.state}: nothing is to be done about it any more.</strong> {sentence(end.how)}
          {(end.by || end.at) && (
            <span className="muted small">
              {" "}
              {end.by && `By ${end.by}`}
              {end.by && end.at && ", "}
              {end.at && <Time at={end.at} />}.
            </span>
          )}
        </p>
      )}
      {exception.causeKey !== causeKey && (
        <p className="note warn">
          It is of another cause than the one above:{" "}
          <Link to="/t/$tenant/exceptions/$causeKey" params={{ tenant, causeKey: exception.causeKey }} search={{ exception: exception.id }}>
            see it there
          </Link>
          .
        </p>
      )}
      <p>
        {end === null && `${exception.nextStep} `}
        <span className="muted small">
          {end ? "Opened" : "Open since"} <Time at={exception.openedAt} />. Code {exception.code}
          {exception.path && (
            <>
              , field <code>{exception.path}</code>
            </>
          )}
          .
        </span>
      </p>
      {[record, delivery, message].map((one, index) => one.error && !one.data && <Problem key={index} error={one.error} retry={() => void one.refetch()} />)}
      <HiddenNote texts={[came?.body, stored?.document, attempt?.request, attempt?.answer]} />
      {isPlaced ? (
        <>
          {delivery.data && !attempt && <p className="muted">Nothing was sent for it: it stopped before the first call.</p>}
          <Beside exception={exception} came={came} isStillComing={isComing(message, messageId)} stored={stored ?? null} attempt={attempt} />
        </>
      ) : (
        <Loading what="what came, and what became of it" />
      )}
      {isEditing && stored && <EditDialog exception={exception} document={stored.document ?? "{}"} payload={attempt?.kind === "write" || attempt?.kind === "update" ? attempt.request : null} close={() => setEditing(false)} />}
    </section>
  );
}

interface BesideProps {
  exception: Exception;
  came: Message | null;
  isStillComing: boolean;
  stored: StoredRecord | null;
  attempt: Attempt | undefined;
}

/** What came, what it became and what was sent, with what is wrong marked in each. */
function Beside({ exception, came, isStillComing, stored, attempt }: BesideProps) {
  const value = exception.value ?? null;
  return (
    <div className="halves">
      {came && (
        <div>
          <h3>
            As it came{" "}
            <span className="muted">
              ({came.origin}, <Time at={came.receivedAt} />)
            </span>
          </h3>
          <Document text={came.body} value={value} label="The message as it came" />
        </div>
      )}
      {isStillComing && (
        <div>
          <h3>As it came</h3>
          <Loading what="the message" />
        </div>
      )}
      {stored?.document && (
        <div>
          <h3>
            The record <span className="muted">({stored.kind} {stored.number ?? stored.sourceId}, revision {stored.revision})</span>
          </h3>
          <Document text={stored.document} value={value} label="The record" />
        </div>
      )}
      {attempt && (
        <div>
          <h3>
            As it was sent <span className="muted">({attempt.method}, {attempt.status ? `answered ${attempt.status}` : (attempt.outcome ?? "no answer")})</span>
          </h3>
          <Document text={attempt.request || "Nothing was in it."} value={value} field={exception.path ?? null} label="The payload as it was sent" />
          {attempt.answer && (
            <>
              <h3>The answer</h3>
              <Document text={attempt.answer} label="The answer" />
            </>
          )}
        </div>
      )}
    </div>
  );
}
