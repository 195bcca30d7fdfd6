// One event with everything that it has, and the ways on: the rest of its request, of its thing, of whoever did it, of its address and of its trace.
import { Link } from "@tanstack/react-router";
import { useQuery } from "@tanstack/react-query";
import { ask } from "../api/client";
import { useTenant } from "../api/hooks";
import { may, usePermissions } from "../app/role";
import { words } from "../ui/badge";
import { Copy } from "../ui/copy";
import { Dialog } from "../ui/dialog";
import { Document } from "../ui/document";
import { Loading, Problem } from "../ui/state";
import { dayOf } from "../ui/time";
import type { AuditEvent } from "./list";
import { hiddenWhy, PAYLOAD_TITLES, payloadKind } from "./payload-words";
import { AuditEventsDocument, type AuditEventsQuery } from "./query.generated";
import { actionInWords, idOfActor, sentencesOf, timeAround, whence, whoDid, type As, type Names } from "./words";

const PAGES_MAX = 20;

interface EventDialogProps {
  id: string;
  /** Where it is in the list already. */
  known: AuditEvent | undefined;
  names: Names | undefined;
  close: () => void;
}

/** An event by its id, where it is not known already. */
export function useEvent(id: string, known: AuditEvent | undefined) {
  const isId = /^aud_[0-9a-f]{32}$/.test(id);
  const tenant = useTenant();
  const asked = useQuery({ queryKey: [tenant, "audit event", id], queryFn: ({ signal }) => find(id, tenant, signal), enabled: !known && isId, staleTime: Number.POSITIVE_INFINITY, meta: { isDear: true } });
  return { event: known ?? asked.data ?? undefined, isMissing: !known && (asked.data === null || !isId), error: asked.data === undefined ? asked.error : null, refetch: () => void asked.refetch() };
}

export function EventDialog({ id, known, names, close }: EventDialogProps) {
  const tenant = useTenant();
  const { event, isMissing, error } = useEvent(id, known);
  const kind = event && payloadKind(event);
  return (
    <Dialog title={event ? actionInWords(event.action) : "An event"} open close={close}>
      {event ? (
        <EventFacts event={event} names={names} />
      ) : error ? (
        <Problem error={error} />
      ) : isMissing ? (
        <p>
          There is no event <code>{id}</code> here: it is none of this tenant’s, or was removed by the rule of how long the log is kept. A seal says so in an export.
        </p>
      ) : (
        <Loading what="the event" />
      )}
      <div className="row">
        {event && (
          <Link className={kind ? "button main-act" : "button"} to="/t/$tenant/audit/events/$eventId" params={{ tenant, eventId: event.id }}>
            {kind ? PAYLOAD_TITLES[kind] : "Open its page"}
          </Link>
        )}
        <button type="button" className="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

/** Looks at the time that the id tells, as far as people would wait for it. */
async function find(id: string, tenant: string, signal: AbortSignal): Promise<AuditEvent | null> {
  let after: string | null = null;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const { auditEvents }: AuditEventsQuery = await ask(AuditEventsDocument, { filter: timeAround(id), first: 100, after }, tenant, signal);
    const event = auditEvents.nodes.find((one) => one.id === id);
    if (event || !auditEvents.pageInfo.hasNextPage) return event ?? null;
    after = auditEvents.pageInfo.endCursor ?? null;
  }
  throw new Error("Too much was done at its moment to find it by its id alone. Search by its time and by what was done.");
}

/** On to all in the log that has it, too. */
function Rest({ q, as, children }: { q: string; as: As; children: React.ReactNode }) {
  const tenant = useTenant();
  return (
    <Link to="/t/$tenant/audit" params={{ tenant }} search={{ q, as }}>
      {children}
    </Link>
  );
}

/** All that is known of it, and the ways on. */
export function EventFacts({ event, names }: { event: AuditEvent; names: Names | undefined }) {
  const seesPersons = may(usePermissions(), "personal");
  const actor = idOfActor(event.actor);
  const { address, trace } = whence(event.actor);
  return (
    <>
      {sentencesOf(event.detail).map((sentence) => (
        <p key={sentence}>{sentence}</p>
      ))}
      <dl className="facts">
        <dt>When</dt>
        <dd>
          {dayOf(event.at)}
          <br />
          <code>{event.at}</code>
        </dd>
        <dt>Who</dt>
        <dd>
          {whoDid(event.actor, names)}
          {actor && (
            <>
              <br />
              <Rest q={actor} as="actor">All that they did</Rest>
            </>
          )}
        </dd>
        {address && (
          <>
            <dt>Address</dt>
            <dd>
              <Copy text={address} label="The address" />
              <Rest q={address} as="address">All that came from it</Rest>
            </dd>
          </>
        )}
        <dt>What</dt>
        <dd>
          <code>{event.action}</code>
        </dd>
        <dt>To what</dt>
        <dd>
          {words(event.subjectKind)} <code>{event.subjectId}</code>
          <br />
          <Rest q={event.subjectId} as="thing">All that was done to it</Rest>{" "}
          <Page kind={event.subjectKind} id={event.subjectId} />
        </dd>
        <dt>Request</dt>
        <dd>
          <Copy text={event.requestId} label="The request" />
          <Rest q={event.requestId} as="request">All that it did</Rest>
        </dd>
        {trace && (
          <>
            <dt>Trace</dt>
            <dd>
              <Copy text={trace} label="The trace" />
              <Rest q={trace} as="trace">All that is of it</Rest>
              <br />
              <span className="muted small">As whoever asked says, of their own systems: what the request was a part of is found there by it.</span>
            </dd>
          </>
        )}
        <dt>Event</dt>
        <dd>
          <Copy text={event.id} label="The event" />
        </dd>
      </dl>
      <div className="stack tight">
        <h3>Who, as it is stored</h3>
        <Document text={JSON.stringify(event.actor)} label="The actor as it is stored" />
      </div>
      {event.detail && (
        <div className="stack tight">
          <h3>More, as it is stored</h3>
          <Document text={event.detail} label="The detail as it is stored" />
        </div>
      )}
      {hiddenWhy(null, event.detail ?? "", seesPersons).map((why) => (
        <p key={why} className="muted small">
          {why}
        </p>
      ))}
    </>
  );
}

/** The page of the thing, for the kinds that have one. */
function Page({ kind, id }: { kind: string; id: string }) {
  const tenant = useTenant();
  const label = `Open the ${words(kind)}`;
  if (kind === "record") return <Link to="/t/$tenant/records/$recordId" params={{ tenant, recordId: id }}>{label}</Link>;
  if (kind === "connection") return <Link to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: id }}>{label}</Link>;
  if (kind === "flow") return <Link to="/t/$tenant/flows/$flowId" params={{ tenant, flowId: id }}>{label}</Link>;
  if (kind === "lookup_table") return <Link to="/t/$tenant/lookup-tables/$tableId" params={{ tenant, tableId: id }}>{label}</Link>;
  if (kind === "reconciliation") return <Link to="/t/$tenant/reconciliations/$reconciliationId" params={{ tenant, reconciliationId: id }}>{label}</Link>;
  return null;
}
