// One box for any id. Nobody has to say which it is; each hit says by which it was found.
import { useEffect, useRef, useState } from "react";
import { Link, useNavigate, useRouter, useSearch } from "@tanstack/react-router";
import { SELDOM, useAsk, usePages, useTenant } from "../api/hooks";
import { Badge, words } from "../ui/badge";
import { KINDS } from "../ui/kinds";
import { useKeys } from "../ui/keys";
import { Empty, LoadMore, Loading, Problem } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { ConnectionNamesDocument, RecordsDocument, SearchDocument, type RecordsQuery, type SearchQuery } from "./query.generated";

type Hit = SearchQuery["search"][number];
type Row = RecordsQuery["records"]["nodes"][number];
/** Long enough that nobody's typing is asked for letter by letter. */
const TYPING_MS = 180;
const EVERY_MS = 5_000;

export function Records() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const router = useRouter();
  const { q = "", kind } = useSearch({ from: "/t/$tenant/records" });
  const [text, setText] = useState(q);
  const box = useRef<HTMLInputElement>(null);
  /** What this box has put into the address itself. */
  const own = useRef(q);
  useEffect(() => {
    if (q === own.current) return;
    // Searched from the frame's box, or gone back: the address says what is searched.
    own.current = q;
    setText(q);
  }, [q]);
  useEffect(() => {
    if (text === own.current) return;
    const wait = setTimeout(() => {
      // Whoever has chosen a record meanwhile is on the way there, and is not brought back.
      if (router.state.status === "pending") return;
      own.current = text;
      void navigate({ to: "/t/$tenant/records", params: { tenant }, search: { ...(text ? { q: text } : {}), ...(kind ? { kind } : {}) }, replace: true });
    }, TYPING_MS);
    return () => clearTimeout(wait);
  }, [text, kind, navigate, router, tenant]);
  useKeys([{ key: "/", label: "Search for any id", act: () => box.current?.focus() }]);
  const wanted = q.trim();
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Records</h1>
          <p>Find an order, a shipment or anything else by whatever id you have: #1042, a purchase order number, an SKU, a tracking number, a customer’s whole address, an id at any system, or one of ours.</p>
        </div>
      </div>
      <div className="search" role="search">
        <svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
          <path d="M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.6-1.4L14 14" fill="none" stroke="currentColor" strokeWidth="1.6" strokeLinecap="round" />
        </svg>
        <label className="hidden-label" htmlFor="find-record">
          Any id
        </label>
        <input id="find-record" ref={box} type="search" placeholder="Any id" value={text} onChange={(event) => setText(event.target.value)} autoFocus autoComplete="off" spellCheck={false} />
      </div>
      {wanted ? <Hits text={wanted} /> : <Newest kind={kind} choose={(next) => void navigate({ to: "/t/$tenant/records", params: { tenant }, search: next ? { kind: next } : {}, replace: true })} />}
    </div>
  );
}

/** Names of connections; null until they are there, because a column that fills later would move the rows. */
function useConnectionNames(): ((id: string) => string) | null {
  const names = useAsk(ConnectionNamesDocument, {}, SELDOM);
  if (names.isPending) return null;
  return (id) => names.data?.connections.nodes.find((one) => one.id === id)?.name ?? "";
}

function Hits({ text }: { text: string }) {
  const tenant = useTenant();
  const nameOf = useConnectionNames();
  const asked = useAsk(SearchDocument, { text }, { everyMs: EVERY_MS });
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data || !nameOf) return <Loading what="what fits" />;
  const hits = asked.data.search;
  if (hits.length === 0) {
    return (
      <div className="panel">
        <Empty title={`Nothing is known by “${text}”`}>
          <p>Numbers are found by their beginning, everything else whole. If it should be here, look whether its connection is healthy and whether the source sent it: what never arrived has no record.</p>
        </Empty>
      </div>
    );
  }
  const columns: Column<Hit>[] = [
    { header: "Record", accessorFn: (hit) => hit.record.number ?? hit.record.sourceId, cell: ({ row: { original: hit } }) => <RecordLink tenant={tenant} record={hit.record} /> },
    { header: "Kind", accessorFn: (hit) => hit.record.kind, cell: ({ row }) => words(row.original.record.kind) },
    {
      header: "Found by",
      accessorKey: "matched",
      cell: ({ row: { original: hit } }) => (
        <>
          {words(hit.matched)} <code className="break">{hit.matched === "EMAIL" ? "" : hit.value}</code> {!hit.isExact && <span className="muted">begins so</span>}
        </>
      ),
    },
    { header: "From", cell: ({ row }) => nameOf(row.original.record.connectionId) },
    {
      header: "Deliveries",
      cell: ({ row }) => (
        <span className="row">
          {row.original.record.deliveries.nodes.map((one) => (
            <Badge key={one.id} state={one.state} />
          ))}
          {row.original.record.deliveries.nodes.length === 0 && <span className="muted">none</span>}
        </span>
      ),
    },
    { header: "Changed", accessorFn: (hit) => hit.record.updatedAt, cell: ({ row }) => <Time at={row.original.record.updatedAt} /> },
  ];
  return (
    <section className="panel flush" aria-live="polite">
      <h2>
        {hits.length} {hits.length === 1 ? "record" : "records"}
        {hits.length === 50 && ", the best 50"}
      </h2>
      <Table label="Records that fit" columns={columns} rows={hits} idOf={(hit) => hit.record.id} />
    </section>
  );
}

function Newest({ kind, choose }: { kind: string | undefined; choose: (kind: string) => void }) {
  const tenant = useTenant();
  const nameOf = useConnectionNames();
  const asked = usePages(RecordsDocument, { kind: kind ?? null, first: 100 }, (result) => result.records, { everyMs: EVERY_MS });
  const columns: Column<Row>[] = [
    { header: "Record", accessorFn: (record) => record.number ?? record.sourceId, cell: ({ row }) => <RecordLink tenant={tenant} record={row.original} /> },
    { header: "Kind", accessorKey: "kind", cell: ({ row }) => words(row.original.kind) },
    { header: "From", accessorFn: (record) => nameOf?.(record.connectionId) ?? "" },
    { header: "Revision", accessorKey: "revision", meta: NUMBERS },
    { header: "Changed", accessorKey: "updatedAt", cell: ({ row }) => <Time at={row.original.updatedAt} /> },
  ];
  return (
    <section className="panel flush">
      <div className="row apart">
        <h2>Newest</h2>
        <span className="row">
          <label className="hidden-label" htmlFor="find-kind">
            Kind
          </label>
          <select id="find-kind" value={kind ?? ""} onChange={(event) => choose(event.target.value)}>
            <option value="">All kinds</option>
            {KINDS.map((one) => (
              <option key={one} value={one}>
                {words(one)}
              </option>
            ))}
          </select>
        </span>
      </div>
      {asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : asked.isPending || !nameOf ? (
        <Loading what="records" />
      ) : asked.rows.length === 0 ? (
        <Empty title={kind ? `No ${words(kind)} came yet` : "No record came yet"}>
          <p>A record is made of each message that a connection sends or a poll finds. Connect a source and publish a flow; then it appears here within seconds.</p>
        </Empty>
      ) : (
        <>
          <Table label="Newest records" columns={columns} rows={asked.rows} idOf={(row) => row.id} onSeenEnd={asked.more} />
          <LoadMore of={asked} />
        </>
      )}
    </section>
  );
}

function RecordLink({ tenant, record }: { tenant: string; record: { id: string; number?: string | null; sourceId: string } }) {
  return (
    <Link className="row-link break" to="/t/$tenant/records/$recordId" params={{ tenant, recordId: record.id }}>
      {record.number ?? record.sourceId}
    </Link>
  );
}
