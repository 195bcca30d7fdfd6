// Everything that happened to a record, oldest first and day by day, with the bytes of each message and call one click away.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { nodeWith, useAsk, usePages, useTenant } from "../api/hooks";
import { HiddenNote } from "../app/hidden";
import { Dialog } from "../ui/dialog";
import { Document } from "../ui/document";
import { Loading, Problem } from "../ui/state";
import { dayOf, Time } from "../ui/time";
import { Remade } from "./remade";
import { RecordAttemptsDocument, RecordMessageDocument, RecordTimelineDocument, type RecordTimelineQuery } from "./query.generated";

type Entry = RecordTimelineQuery["timeline"]["nodes"][number];
/** What is shown as it was, as the address names it: a message by its id, a call by its own and its delivery's. */
type Raw = { kind: "message"; id: string } | { kind: "attempt"; id: string; deliveryId: string };

function rawOf(text: string | undefined): Raw | null {
  const [id = "", deliveryId] = (text ?? "").split(",");
  if (id === "") return null;
  return deliveryId ? { kind: "attempt", id, deliveryId } : { kind: "message", id };
}
const EVERY_MS = 5_000;

export function Story({ recordId }: { recordId: string }) {
  const asked = usePages(RecordTimelineDocument, { id: recordId }, (result) => result.timeline, { everyMs: EVERY_MS });
  const navigate = useNavigate();
  const tenant = useTenant();
  const raw = rawOf(useSearch({ from: "/t/$tenant/records/$recordId" }).raw);
  const show = (text?: string) => void navigate({ to: "/t/$tenant/records/$recordId", params: { tenant, recordId }, search: text ? { raw: text } : {}, replace: true, resetScroll: false });
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (asked.isPending) return <Loading what="its story" />;
  const rows = asked.rows;
  return (
    <>
      <ol className="story">
        {rows.flatMap((entry, index) => {
          const before = rows[index - 1];
          const isNewDay = !before || dayOf(before.at) !== dayOf(entry.at);
          return [
            ...(isNewDay ? [<li key={`day ${entry.id}`} className="day">{dayOf(entry.at)}</li>] : []),
            <li key={entry.id}>
              <Time at={entry.at} as="clock" />
              <span className={`dot ${tone(entry)}`} aria-hidden="true" />
              <div className="break">
                <p>{entry.sentence}</p>
                {entry.call?.reason && <p className="muted small">{entry.call.reason}</p>}
                <p className="row small">
                  {/* Calls that read a source back belong to a message and no delivery: the API keeps no attempt of them to show. */}
                  {entry.call && entry.deliveryId && (
                    <button
                      type="button"
                      className="button quiet"
                      onClick={() => entry.call && entry.deliveryId && show(`${entry.call.attemptId},${entry.deliveryId}`)}
                    >
                      What was sent and answered
                    </button>
                  )}
                  {entry.messageId && entry.what === "message.received" && (
                    <button type="button" className="button quiet" onClick={() => entry.messageId && show(entry.messageId)}>
                      As it came
                    </button>
                  )}
                </p>
              </div>
            </li>,
          ];
        })}
      </ol>
      {asked.hasNextPage && (
        <button type="button" className="button" onClick={asked.more}>
          What happened then
        </button>
      )}
      {raw?.kind === "message" && <MessageDialog id={raw.id} close={() => show()} />}
      {raw?.kind === "attempt" && <AttemptDialog id={raw.id} deliveryId={raw.deliveryId} close={() => show()} />}
    </>
  );
}

/** What went well, what went wrong, what waits, and what a person did. */
function tone(entry: Entry): string {
  if (entry.who) return "act";
  const outcome = entry.call?.outcome;
  if (outcome === "failed" || entry.what === "exception.opened") return "bad";
  if (outcome === "unknown" || /waiting|held|unknown/.test(entry.what)) return "warn";
  return outcome === "stored" || /confirmed|reconciled|resolved/.test(entry.what) ? "good" : "";
}

function MessageDialog({ id, close }: { id: string; close: () => void }) {
  const asked = useAsk(RecordMessageDocument, { id }, { isDear: true });
  const message = nodeWith(asked.data?.node, "body");
  return (
    <Dialog title="As it came" about={message ? `${message.origin} ${message.topic}` : undefined} open close={close}>
      {asked.error && !asked.data ? <Problem error={asked.error} /> : message ? (
        <>
          <HiddenNote texts={[message.body]} />
          <Document text={message.body} label="The message" />
        </>
      ) : <Loading what="the message" />}
      <div>
        <button type="button" className="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}

function AttemptDialog({ id, deliveryId, close }: { id: string; deliveryId: string; close: () => void }) {
  const asked = useAsk(RecordAttemptsDocument, { id: deliveryId }, { everyMs: EVERY_MS });
  const attempt = asked.data?.delivery?.attempts.find((one) => one.id === id);
  return (
    <Dialog title="What was sent and answered" about={attempt ? `${attempt.method} ${attempt.url}` : undefined} open close={close}>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} />
      ) : attempt ? (
        <>
          <HiddenNote texts={[attempt.request, attempt.answer]} />
          <h3>Sent</h3>
          <Document text={attempt.request || "Nothing was in it."} label="The request" />
          <h3>Answered{attempt.status ? ` with ${attempt.status}` : ""}</h3>
          <Document text={attempt.answer || "No answer is kept."} label="The answer" />
          {(attempt.kind === "write" || attempt.kind === "update") && <Remade attemptId={attempt.id} />}
        </>
      ) : asked.data ? (
        <p>Only the newest hundred calls of a delivery are kept at hand, and this one is older.</p>
      ) : (
        <Loading what="the call" />
      )}
      <div>
        <button type="button" className="button" onClick={close}>
          Close
        </button>
      </div>
    </Dialog>
  );
}
