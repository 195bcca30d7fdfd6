// A record: where it went, what belongs to it, and its story over all flows and systems.
import { Link, useParams } from "@tanstack/react-router";
import { isAwaited, SELDOM, useAsk, useTenant } from "../api/hooks";
import { HiddenNote } from "../app/hidden";
import { isOpen, meaningOf } from "../deliveries/states";
import { Badge, words } from "../ui/badge";
import { Document } from "../ui/document";
import { Empty, Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { ConnectionNamesDocument, RecordDetailDocument, type RecordDetailQuery } from "./query.generated";
import { Provenance } from "./provenance";
import { Story } from "./story";

type RecordNode = NonNullable<RecordDetailQuery["record"]>;
const EVERY_MS = 5_000;

export function RecordPage() {
  const { recordId, tenant } = useParams({ from: "/t/$tenant/records/$recordId" });
  const asked = useAsk(RecordDetailDocument, { id: recordId }, { everyMs: EVERY_MS });
  // Asked at the same time and waited for: no connection becomes another one under the reader.
  const names = useAsk(ConnectionNamesDocument, {}, { isDear: true });
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data || isAwaited(names)) return <Loading what="the record" />;
  const record = asked.data.record;
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/records" params={{ tenant }}>
          Records
        </Link>
      </p>
      {record ? (
        <Shown record={record} />
      ) : (
        <Empty isPage title="There is no such record">
          <p>It is none of this tenant’s, or the address is cut off. Search for any id you have.</p>
        </Empty>
      )}
    </div>
  );
}

function Shown({ record }: { record: RecordNode }) {
  const tenant = useTenant();
  const names = useAsk(ConnectionNamesDocument, {}, SELDOM);
  const nameOf = (id: string) => names.data?.connections.nodes.find((one) => one.id === id)?.name ?? "a connection";
  return (
    <>
      <div className="head">
        <div>
          <h1 className="break">
            {words(record.kind).replace(/^./, (letter) => letter.toUpperCase())} {record.number ?? record.sourceId}
          </h1>
          <p>
            From {nameOf(record.connectionId)}, where its id is <code>{record.sourceId}</code>. Revision {record.revision}, changed <Time at={record.updatedAt} />.
          </p>
        </div>
      </div>
      <div className="grid2 aside-first">
        <section className="panel">
          <h2>Where it went</h2>
          {record.deliveries.nodes.length === 0 && <p className="muted">Nowhere yet: no published flow takes it.</p>}
          <ul className="stack">
            {record.deliveries.nodes.map((one) => (
              <li key={one.id} className="stack tight">
                <div className="row apart">
                  <span>
                    {nameOf(one.connectionId)}, revision {one.revision}
                  </span>
                  <Badge state={one.state} />
                </div>
                <p className="muted small">
                  {one.receiptId && (
                    <>
                      There it is <code>{one.receiptId}</code>.{" "}
                    </>
                  )}
                  {one.settledAt ? (
                    <>
                      Settled <Time at={one.settledAt} />.
                    </>
                  ) : one.waiting ? (
                    <>
                      {one.waiting.sentence} It has waited since <Time at={one.waiting.since} />
                      {one.waiting.until && (
                        <>
                          , until <Time at={one.waiting.until} />
                        </>
                      )}
                      .
                    </>
                  ) : isOpen(one.state) ? (
                    <>
                      Next step <Time at={one.dueAt} />.
                    </>
                  ) : (
                    meaningOf(one.state)?.means
                  )}
                </p>
                {one.exceptions
                  .filter((exception) => exception.state === "open")
                  .map((exception) => (
                    <div key={exception.id} className="note bad stack tight">
                      <p className="break">{exception.sentence}</p>
                      <div>
                        <Link className="button main-act" to="/t/$tenant/exceptions/$causeKey" params={{ tenant, causeKey: exception.causeKey }} search={{ exception: exception.id }}>
                          Work it
                        </Link>
                      </div>
                    </div>
                  ))}
              </li>
            ))}
          </ul>
        </section>
        <section className="panel">
          <h2>What happened</h2>
          <Story recordId={record.id} />
        </section>
        <div className="stack">
          {record.related.length > 0 && (
            <section className="panel">
              <h2>What belongs to it</h2>
              <ul className="stack tight">
                {record.related.map(({ record: other, isReferredTo }) => (
                  <li key={other.id}>
                    {isReferredTo ? "Its " : ""}
                    {words(other.kind)}{" "}
                    <Link to="/t/$tenant/records/$recordId" params={{ tenant, recordId: other.id }}>
                      {other.number ?? other.sourceId}
                    </Link>
                  </li>
                ))}
              </ul>
            </section>
          )}
          <section className="panel stack tight">
            <h2>The record</h2>
            <Provenance key={record.revision} recordId={record.id} />
            <HiddenNote texts={[record.document]} />
            {record.document ? <Document text={record.document} label="The record" /> : <p className="muted">It has no document.</p>}
          </section>
        </div>
      </div>
    </>
  );
}
