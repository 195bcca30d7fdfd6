// One event of the audit log with an address of its own: what was done, and what was sent, answered or came by it.
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { SELDOM, useAsk, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useKeys } from "../ui/keys";
import { Empty, Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { EventFacts, useEvent } from "./event";
import type { AuditEvent } from "./list";
import { payloadKind } from "./payload-words";
import { PayloadSection, usePayload } from "./payload";
import { AuditNamesDocument } from "./query.generated";
import { actionInWords } from "./words";

export function AuditEventPage() {
  return (
    <Permitted isPage to="audit" otherwise="Your role does not see the audit log" advice="Owners, admins and auditors do. Ask one of them.">
      <EventPage />
    </Permitted>
  );
}

function EventPage() {
  const tenant = useTenant();
  const { eventId } = useParams({ from: "/t/$tenant/audit/events/$eventId" });
  const { event, isMissing, error, refetch } = useEvent(eventId, undefined);
  useKeys([{ key: "/", label: "Find in the payload", act: () => document.querySelector<HTMLInputElement>('input[name="find"]')?.focus() }]);
  if (error) return <Problem error={error} retry={refetch} />;
  if (isMissing) {
    return (
      <div className="panel">
        <Empty isPage title="There is no such event">
          <p>
            <code>{eventId}</code> is none of this tenant’s, or was removed by the rule of how long the log is kept. A seal says so in an export.
          </p>
          <Link className="button" to="/t/$tenant/audit" params={{ tenant }} search={{}}>
            To the audit log
          </Link>
        </Empty>
      </div>
    );
  }
  return event ? <Shown key={event.id} event={event} /> : <Loading what="the event" />;
}

function Shown({ event }: { event: AuditEvent }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/audit/events/$eventId" });
  const names = useAsk(AuditNamesDocument, {}, SELDOM);
  const kind = payloadKind(event);
  const { asked, isComing } = usePayload(event, kind);
  return (
    <div className="stack">
      <div className="head">
        <div>
          <p className="crumb">
            <Link to="/t/$tenant/audit" params={{ tenant }} search={{}}>
              Audit log
            </Link>
          </p>
          <h1 data-title={`${actionInWords(event.action)} · Audit log`}>{actionInWords(event.action)}</h1>
          <p>
            <Time at={event.at} />
          </p>
        </div>
      </div>
      {kind && (
        <PayloadSection
          asked={asked}
          event={event}
          kind={kind}
          looked={search}
          look={(next) => void navigate({ to: "/t/$tenant/audit/events/$eventId", params: { tenant, eventId: event.id }, search: next, replace: true, resetScroll: false })}
        />
      )}
      {/* What stands above would push it away, and without their names all members would have left. */}
      {!isComing && !names.isPending && (
        <section className="panel stack" aria-labelledby="facts">
          <h2 id="facts">The event</h2>
          <EventFacts event={event} names={names.data} />
        </section>
      )}
    </div>
  );
}
