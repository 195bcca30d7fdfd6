// X12: the interchanges that partners sent, and the groups that we sent, each of which waits for a 997.
import { Link } from "@tanstack/react-router";
import { isAwaited, SELDOM, useAsk, usePages, useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Asked, Empty, Loading, LoadMore, type Pages } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { InterchangeConnectionsDocument, InterchangesDocument, SentGroupsDocument, type InterchangesQuery, type SentGroupsQuery } from "./query.generated";

type Came = InterchangesQuery["interchanges"]["nodes"][number];
type Sent = SentGroupsQuery["sentGroups"]["nodes"][number];
const EVERY_MS = 5_000;

export function Interchanges() {
  const tenant = useTenant();
  const known = useAsk(InterchangeConnectionsDocument, {}, SELDOM);
  const names = known.data?.connections.nodes ?? [];
  const nameOf = (id: string) => names.find((one) => one.id === id)?.name ?? "a connection";
  const came = usePages(InterchangesDocument, {}, (result) => result.interchanges, { everyMs: EVERY_MS });
  const sent = usePages(SentGroupsDocument, { state: null }, (result) => result.sentGroups, { everyMs: EVERY_MS });
  // What was sent stands below what came, and waits for its height, and both for their names.
  const isOnItsWay = isAwaited(came) || isAwaited(known);
  const cameColumns: Column<Came>[] = [
    {
      header: "Interchange",
      accessorFn: (one) => one.controlNumber ?? 0,
      cell: ({ row: { original: one } }) => (
        <>
          <strong className="num">{one.controlNumber ?? "no number"}</strong> from {nameOf(one.connectionId)}
          {one.missing > 0 && <p className="note warn">{one.missing} control numbers were left out before it: ask the partner for them.</p>}
          {one.repeats > 0 && <p className="muted small">It came {one.repeats + 1} times; it was acknowledged each time, and taken once.</p>}
          {one.note && <p className="muted small break">{one.note}</p>}
          {one.failure && <p className="note bad break">{one.failure}</p>}
        </>
      ),
    },
    { header: "State", accessorKey: "state", cell: ({ row }) => <Badge tone={row.original.state === "refused" ? "bad" : row.original.state === "taken" ? "good" : "info"} state={row.original.state} /> },
    { header: "Documents", accessorKey: "taken", cell: ({ row }) => <span className="num">{row.original.taken.toLocaleString()}</span> },
    { header: "Rejected", accessorKey: "refused", cell: ({ row }) => <span className="num">{row.original.refused.toLocaleString()}</span> },
    { header: "Came", accessorKey: "receivedAt", cell: ({ row }) => <Time at={row.original.receivedAt} /> },
  ];
  const isLate = (one: Sent) => one.state === "sent" && one.lateAt != null && Date.parse(one.lateAt) < Date.now();
  const sentColumns: Column<Sent>[] = [
    {
      header: "Group",
      accessorKey: "controlNumber",
      cell: ({ row: { original: one } }) => (
        <>
          <strong className="num">{one.controlNumber}</strong> {one.functionalId} {one.set} to {nameOf(one.connectionId)}
          {one.failure && <p className="note bad break">{one.failure}</p>}
        </>
      ),
    },
    {
      header: "State",
      accessorKey: "state",
      cell: ({ row: { original: one } }) => (
        <span className="row">
          <Badge tone={one.state === "rejected" ? "bad" : one.state === "acknowledged" ? "good" : "info"} state={one.state} />
          {isLate(one) && <Badge tone="warn">no 997 yet</Badge>}
        </span>
      ),
    },
    { header: "Sent", accessorFn: (one) => one.sentAt ?? "", cell: ({ row }) => (row.original.sentAt ? <Time at={row.original.sentAt} /> : <span className="muted">not yet</span>) },
    { header: "Acknowledged", accessorFn: (one) => one.acknowledgedAt ?? "", cell: ({ row }) => (row.original.acknowledgedAt ? <Time at={row.original.acknowledgedAt} /> : <span className="muted">–</span>) },
  ];
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/files" params={{ tenant }}>
          Files
        </Link>
      </p>
      <div className="head">
        <div>
          <h1>Interchanges</h1>
          <p>X12 from and to partners. A gap in their control numbers is named; what we sent waits for the partner’s 997.</p>
        </div>
      </div>
      {isOnItsWay ? (
        <Loading what="X12" />
      ) : (
        <>
          <List title="What came" asked={came} empty="No interchange came yet" about="Connect an X12 partner. Its files are taken apart here and acknowledged by a 997; of a broken one nothing is taken.">
            <Table label="Interchanges that came" columns={cameColumns} rows={came.rows} idOf={(row) => row.id} onSeenEnd={came.more} />
          </List>
          <List title="What was sent" asked={sent} empty="Nothing was sent as X12 yet" about="Each group has its control number before it is made, and stands here until the partner has acknowledged it.">
            <Table label="Groups that were sent" columns={sentColumns} rows={sent.rows} idOf={(row) => row.id} onSeenEnd={sent.more} />
          </List>
        </>
      )}
    </div>
  );
}

interface ListProps {
  title: string;
  asked: Pages & { rows: unknown[] };
  empty: string;
  about: string;
  children: React.ReactNode;
}

function List({ title, asked, empty, about, children }: ListProps) {
  return (
    <section className="panel flush">
      <h2>{title}</h2>
      <Asked of={asked} what="X12">
        {asked.rows.length === 0 ? (
          <Empty title={empty}>
            <p>{about}</p>
          </Empty>
        ) : (
          children
        )}
      </Asked>
      <LoadMore of={asked} />
    </section>
  );
}
