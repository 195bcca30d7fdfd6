// The audit log: all that was done, by whom, to what; found by any id, address, person, act, kind of thing and time, and taken out as files.
import { useEffect, useRef, useState } from "react";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { SELDOM, useAsk, usePages, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { words } from "../ui/badge";
import { Field } from "../ui/field";
import { useKeys } from "../ui/keys";
import { toldApart } from "../ui/person";
import { Asked, Empty, LoadMore, Loading } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { fromLocal, Time, toLocal } from "../ui/time";
import { EventDialog } from "./event";
import { ExportDialog } from "./export";
import { AuditEventsDocument, AuditNamesDocument, AuditRecordsDocument, type AuditEventsQuery } from "./query.generated";
import { actionInWords, ACTIONS, asked, kindOfId, KINDS, whoDid, type Names } from "./words";

export type AuditEvent = AuditEventsQuery["auditEvents"]["nodes"][number];
const EVERY_MS = 15_000;

export function Audit() {
  return (
    <Permitted isPage to="audit" otherwise="Your role does not see the audit log" advice="Owners, admins and auditors do. Ask one of them.">
      <Log />
    </Permitted>
  );
}

function Log() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/audit" });
  const known = useAsk(AuditNamesDocument, {}, SELDOM);
  const names = known.data;
  const q = search.q?.trim() ?? "";
  const isText = q !== "" && (search.as ?? kindOfId(q)) === "text";
  const list = usePages(AuditEventsDocument, { ...asked(search), first: 50 }, (result) => result.auditEvents, { everyMs: EVERY_MS, isWanted: !isText });
  const rows = list.rows;
  const [chosenId, setChosenId] = useState<string | null>(null);
  const [isExporting, setExporting] = useState(false);
  const focused = rows.length > 0 ? Math.max(0, rows.findIndex((one) => one.id === chosenId)) : -1;
  const open = (event: string | undefined) => {
    if (event) setChosenId(event);
    void navigate({ to: "/t/$tenant/audit", params: { tenant }, search: { ...search, event }, replace: true });
  };
  const move = (by: number) => setChosenId(rows[Math.min(rows.length - 1, Math.max(0, focused + by))]?.id ?? null);
  useKeys([
    { key: "j", label: "Next event", act: () => move(1) },
    { key: "k", label: "Event before", act: () => move(-1) },
    { key: "Enter", label: "Open the event", act: () => rows[focused] && open(rows[focused].id) },
    { key: "/", label: "Search the log", act: () => document.querySelector<HTMLInputElement>('[role="search"] input[name="q"]')?.focus() },
  ]);
  const shown = search.event ?? (kindOfId(q) === "event" && rows.some((one) => one.id === q) && chosenId !== q ? q : undefined);
  const isNarrowed = Object.keys(search).some((key) => key !== "event");
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Audit log</h1>
          <p>Every message, call, retry, edit, sign-in and export: when, who, what, to which thing. It is sealed once a minute, so that whoever changes it afterwards is found out.</p>
        </div>
        <div className="row">
          <Link className="button" to="/t/$tenant/audit/verify" params={{ tenant }}>
            Check an export
          </Link>
          <button type="button" className="button" onClick={() => setExporting(true)}>
            Export
          </button>
        </div>
      </div>
      <SearchForm names={names} />
      {isText ? (
        <Records text={q} />
      ) : (
        <Asked of={list} what="the audit log">
          <section className="panel flush">
            {known.isPending ? (
              // A name that comes later would move the rows.
              <Loading what="who did it" />
            ) : rows.length === 0 ? (
              <Empty title={isNarrowed ? "No event fits" : "Nothing was done yet"}>
                <p>{isNarrowed ? "Nothing in the log is as you searched: take something away above, or look at a longer time." : "The log begins with the first thing that is done here."}</p>
              </Empty>
            ) : (
              <Table label="Events" columns={columns(names, open)} rows={rows} idOf={(row) => row.id} focused={focused} currentId={search.event} onSeenEnd={list.more} />
            )}
          </section>
          {/* It would stand below “who did it” until the rows come, and then be pushed away. */}
          {!known.isPending && <LoadMore of={list} what="events" />}
        </Asked>
      )}
      {shown && <EventDialog id={shown} known={rows.find((one) => one.id === shown)} names={names} close={() => { setChosenId(shown); open(undefined); }} />}
      {isExporting && <ExportDialog search={search} isNarrowed={isNarrowed && !isText} close={() => setExporting(false)} />}
    </div>
  );
}

function columns(names: Names | undefined, open: (id: string) => void): Column<AuditEvent>[] {
  return [
    { header: "When", cell: ({ row }) => <span className="nowrap"><Time at={row.original.at} /></span> },
    {
      header: "What",
      cell: ({ row: { original: one } }) => (
        <button type="button" className="link" onClick={() => open(one.id)}>
          {actionInWords(one.action)}
        </button>
      ),
    },
    { header: "Who", cell: ({ row }) => <span className="break who">{whoDid(row.original.actor, names)}</span> },
    {
      header: "To what",
      cell: ({ row: { original: one } }) => (
        <>
          <span className="nowrap">{words(one.subjectKind)}</span> <code className="muted nowrap">{one.subjectId}</code>
        </>
      ),
    },
    { header: "More", cell: ({ row }) => row.original.detail && <code className="muted short-line">{row.original.detail}</code> },
  ];
}

/** Chosen by pressing a button and not while one types: each search is a question to a log of any length. */
function SearchForm({ names }: { names: Names | undefined }) {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/audit" });
  const said = (form: FormData, key: string) => String(form.get(key) ?? "").trim() || undefined;
  const submit = (form: FormData) => {
    const moment = (key: string) => fromLocal(String(form.get(key))) ?? undefined;
    const next = { q: said(form, "q"), as: said(form, "as"), by: said(form, "by"), action: said(form, "action"), kind: said(form, "kind"), from: moment("from"), until: moment("until") };
    void navigate({ to: "/t/$tenant/audit", params: { tenant }, search: next });
  };
  const form = useRef<HTMLFormElement>(null);
  const more = useRef<HTMLDetailsElement>(null);
  // What stands in the address is what the form says, whichever way one came there.
  useEffect(() => {
    const local = (at: string | undefined) => (at && !Number.isNaN(Date.parse(at)) ? toLocal(new Date(at)) : "");
    const { q = "", as = "", by = "", action = "", kind = "" } = search;
    // What narrows the list is never out of sight.
    if (more.current && (as || kind || search.from || search.until)) more.current.open = true;
    // Again when the names are there, because only then can a person be chosen.
    for (const [name, value] of Object.entries({ q, as, by, action, kind, from: local(search.from), until: local(search.until) })) {
      const field = form.current?.elements.namedItem(name);
      if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) field.value = value;
    }
  }, [search, names]);
  return (
    <form
      ref={form}
      className="panel stack tight"
      role="search"
      aria-label="The audit log"
      onSubmit={(event) => {
        event.preventDefault();
        submit(new FormData(event.currentTarget));
      }}
    >
      <div className="cards even">
        <Field label="Any id">
          {(props) => <input {...props} name="q" type="search" placeholder="An order, dlv_…, a request" autoComplete="off" spellCheck={false} />}
        </Field>
        <Field label="Who">
          {(props) => (
            <select {...props} name="by" style={{ width: "100%" }}>
              <option value="">anybody</option>
              {names?.members.map((one) => (
                <option key={one.userId} value={one.userId}>
                  {toldApart(one)}
                </option>
              ))}
            </select>
          )}
        </Field>
        <Field label="What was done">
          {(props) => (
            <>
              <input {...props} name="action" list="audit-actions" placeholder="flow.published" autoComplete="off" spellCheck={false} />
              <datalist id="audit-actions">
                {ACTIONS.map((one) => (
                  <option key={one} value={one} />
                ))}
              </datalist>
            </>
          )}
        </Field>
      </div>
      <details ref={more}>
        <summary>More: the kind of thing, the time, what an id is of</summary>
        <div className="cards even padded-top">
          <Field label="To what kind of thing">
            {(props) => (
              <select {...props} name="kind" style={{ width: "100%" }}>
                <option value="">any</option>
                {KINDS.map((kind) => (
                  <option key={kind} value={kind}>
                    {words(kind)}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label="From">{(props) => <input {...props} name="from" type="datetime-local" />}</Field>
          <Field label="Until">{(props) => <input {...props} name="until" type="datetime-local" />}</Field>
          <Field label="It is the id of">
            {(props) => (
              <select {...props} name="as" style={{ width: "100%" }}>
                <option value="">what it looks like</option>
                <option value="thing">the thing it was done to</option>
                <option value="actor">whoever did it</option>
                <option value="request">the request that did it</option>
                <option value="address">the address it was asked for from</option>
                <option value="trace">the trace it was asked for in</option>
                <option value="event">the event itself</option>
                <option value="text">a record, elsewhere</option>
              </select>
            )}
          </Field>
        </div>
      </details>
      <div className="row">
        <button type="submit" className="button main-act">
          Search
        </button>
        <Link className="button" to="/t/$tenant/audit" params={{ tenant }} search={{}}>
          Show all
        </Link>
      </div>
    </form>
  );
}

/** A text that is no id of ours: the records that are known by it. */
function Records({ text }: { text: string }) {
  const tenant = useTenant();
  const found = useAsk(AuditRecordsDocument, { text }, { isDear: true });
  const hits = found.data?.search ?? [];
  return (
    <section className="panel stack tight" aria-label="Records">
      <h2>Records that are known by “{text}”</h2>
      {found.data && hits.length === 0 && (
        <p className="muted">There is none. Give the number of an order or another id of a record, an id such as dlv_…, the id of a request as an error shows it, a network address, or the id of a trace.</p>
      )}
      {hits.map(({ record }) => {
        const name = `${words(record.kind)} ${record.number ?? record.sourceId}`;
        return (
          <div key={record.id} className="stack tight">
            <h3>
              {name}:{" "}
              <Link to="/t/$tenant/records/$recordId" params={{ tenant, recordId: record.id }}>
                its story
              </Link>
            </h3>
            <ul>
              <Thing id={record.id} label="the record itself" />
              {record.revisions.map((one) => (
                <Thing key={one.revision} id={one.messageId} label={`the message of revision ${one.revision}`} />
              ))}
              {record.deliveries.nodes.map((one) => (
                <Thing key={one.id} id={one.id} label={`the delivery of revision ${one.revision}, ${words(one.state)}`} />
              ))}
            </ul>
          </div>
        );
      })}
    </section>
  );
}

function Thing({ id, label }: { id: string; label: string }) {
  const tenant = useTenant();
  return (
    <li>
      <Link to="/t/$tenant/audit" params={{ tenant }} search={{ q: id }}>
        What was done to {label}
      </Link>
    </li>
  );
}
