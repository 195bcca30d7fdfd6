// The payload of one event: what was sent, answered or came, whether it is still what was sealed, and why something in it is hidden.
import { useMemo, useState } from "react";
import { save } from "../api/download";
import { useAsk } from "../api/hooks";
import { may, usePermissions } from "../app/role";
import { CopyButton } from "../ui/copy";
import { Document } from "../ui/document";
import { Field } from "../ui/field";
import { HIDDEN } from "../ui/hidden";
import { Loading, Problem } from "../ui/state";
import type { AuditEvent } from "./list";
import { hiddenWhy, lengthSentence, PAYLOAD_TITLES, verdict, type Payload, type PayloadKind } from "./payload-words";
import { AuditPayloadDocument } from "./query.generated";
import { Tree } from "./tree";
import { treeOf } from "./tree-rows";

const MS = 1;

/** What of it is looked at, as the address has it. */
export type Looked = { [Key in "find" | "at" | "as"]?: string | undefined };

interface Props {
  event: AuditEvent;
  kind: PayloadKind;
  looked: Looked;
  look: (next: Looked) => void;
}

/** What the event is about, where it is about one. */
export function usePayload(event: AuditEvent, kind: PayloadKind | null) {
  // By all that is known of it: the log has no question for one event.
  const filter = { subjectKind: event.subjectKind, requestId: event.requestId, from: event.at, until: new Date(Date.parse(event.at) + MS).toISOString() };
  // It may be megabytes and does not change: not with each order that comes meanwhile.
  const asked = useAsk(AuditPayloadDocument, { subjectId: event.subjectId, action: event.action, filter }, { isDear: true, isWanted: kind !== null });
  return { asked, isComing: kind !== null && asked.isPending && !asked.error };
}

export function PayloadSection({ asked, event, kind, looked, look }: Props & { asked: ReturnType<typeof usePayload>["asked"] }) {
  const payload = asked.data?.auditEvents.nodes.find((one) => one.id === event.id)?.payload ?? null;
  // The address is about what was sent; what of the answer is looked at is not kept.
  const [lookedAnswer, lookAnswer] = useState<Looked>({});
  const answer = payload?.answer ?? null;
  // Of an attempt another event tells the answer.
  const isWhole = kind === "sent" && event.action !== "attempt.started";
  return (
    <>
      <section className="panel stack" aria-labelledby="payload">
        <h2 id="payload">{PAYLOAD_TITLES[kind]}</h2>
        {asked.error && !asked.data ? (
          <Problem error={asked.error} retry={() => void asked.refetch()} />
        ) : asked.isPending ? (
          <Loading what="the payload" />
        ) : payload ? (
          <Shown payload={payload} kind={kind} isWhole={isWhole} event={event} looked={looked} look={look} />
        ) : (
          <p>It is not kept any more. The event stays, with the digest of it where it has one.</p>
        )}
      </section>
      {answer && (
        <section className="panel stack" aria-labelledby="answer">
          <h2 id="answer">{PAYLOAD_TITLES.answered}</h2>
          <Shown payload={answer} kind="answered" isWhole event={event} looked={lookedAnswer} look={lookAnswer} />
        </section>
      )}
    </>
  );
}

function Shown({ payload, kind, isWhole, event, looked, look }: Props & { payload: Payload; isWhole: boolean }) {
  const seesPersons = may(usePermissions(), "personal");
  const root = useMemo(() => treeOf(payload.text), [payload.text]);
  const { tone, sentence } = verdict(kind, payload.isAsSealed);
  const isTree = root !== null && looked.as !== "text";
  return (
    <>
      <p className={tone ? `note ${tone}` : "note"} role={tone === "bad" ? "alert" : undefined}>
        {sentence}
      </p>
      {hiddenWhy(kind, payload.text, seesPersons, isWhole).map((why) => (
        <p key={why} className="note">
          {why}
        </p>
      ))}
      <dl className="facts">
        <dt>Length</dt>
        <dd>{lengthSentence(kind, payload.length)}</dd>
        <dt>SHA-256</dt>
        <dd>
          <code>{payload.sha256}</code>
          {payload.text.includes(HIDDEN) && <span className="muted small"> of the whole as it is kept, and not of what is shown</span>}
        </dd>
      </dl>
      {payload.text !== "" && (
        <>
          <div className="row apart">
            {root !== null && (
              <div className="tabs even" role="group" aria-label="How it is shown">
                <button type="button" aria-pressed={isTree} data-state={isTree ? "active" : ""} onClick={() => look({ ...looked, as: undefined })}>
                  As a tree
                </button>
                <button type="button" aria-pressed={!isTree} data-state={isTree ? "" : "active"} onClick={() => look({ ...looked, as: "text" })}>
                  As text
                </button>
              </div>
            )}
            <span className="row">
              <CopyButton text={payload.text} label="Copy all" />
              <button type="button" className="button" onClick={() => save(new Blob([payload.text], { type: "text/plain" }), `${event.id}-${kind}.${root ? "json" : "txt"}`)}>
                Save as a file
              </button>
            </span>
          </div>
          {isTree && root !== null ? (
            <>
              <Find text={looked.find ?? ""} find={(text) => look({ ...looked, find: text || undefined })} />
              <Tree root={root} label={PAYLOAD_TITLES[kind]} text={looked.find ?? ""} chosen={looked.at ?? null} choose={(path) => look({ ...looked, at: path })} />
            </>
          ) : (
            <Document text={payload.text} label="All of it as text" />
          )}
        </>
      )}
    </>
  );
}

/** The address follows what is typed. */
function Find({ text, find }: { text: string; find: (text: string) => void }) {
  const [typed, setTyped] = useState(text);
  return (
    <Field label="Find in it">
      {(props) => (
        <input
          {...props}
          type="search"
          name="find"
          placeholder="A field or a value: sku, HAT-XL"
          value={typed}
          onChange={(event) => {
            setTyped(event.target.value);
            find(event.target.value.trim());
          }}
          autoComplete="off"
          spellCheck={false}
          style={{ maxWidth: 420 }}
        />
      )}
    </Field>
  );
}
