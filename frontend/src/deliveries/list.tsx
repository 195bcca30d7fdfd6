// Deliveries, one by one: what each state holds now, of a flow or of all. Whoever sees a number on the overview comes here to see of what.
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { SELDOM, useAsk, usePages, useTenant } from "../api/hooks";
import { Badge, words } from "../ui/badge";
import { Asked, Empty, LoadMore, Loading } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { DeliveriesDocument, DeliveryNamesDocument, type DeliveriesQuery } from "./query.generated";
import { isOpen, meaningOf, STATES } from "./states";

type Row = DeliveriesQuery["deliveries"]["nodes"][number];
const EVERY_MS = 5_000;

export function Deliveries() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/deliveries" });
  const meaning = meaningOf(search.state);
  const filter = { ...(meaning ? { state: meaning.state } : {}), ...(search.flow ? { flowId: search.flow } : {}), ...(search.connection ? { connectionId: search.connection } : {}) };
  const asked = usePages(DeliveriesDocument, { filter }, (result) => result.deliveries, { everyMs: EVERY_MS });
  const names = useAsk(DeliveryNamesDocument, {}, SELDOM);
  const flows = names.data?.flows.nodes ?? [];
  const connections = names.data?.connections.nodes ?? [];
  const narrow = (change: Partial<typeof search>) => void navigate({ to: "/t/$tenant/deliveries", params: { tenant }, search: { ...search, ...change }, replace: true });
  const nameIn = (all: readonly { id: string; name: string }[] | undefined, id: string) => all?.find((one) => one.id === id)?.name ?? "";
  const columns: Column<Row>[] = [
    {
      header: "Record",
      cell: ({ row: { original: one } }) =>
        one.record ? (
          <>
            <Link className="row-link break" to="/t/$tenant/records/$recordId" params={{ tenant, recordId: one.record.id }}>
              {one.record.number ?? one.record.sourceId}
            </Link>
            <p className="muted small">
              {words(one.record.kind)}, revision {one.revision}
            </p>
          </>
        ) : (
          <span className="muted">a record that is gone</span>
        ),
    },
    {
      header: "Flow",
      cell: ({ row: { original: one } }) => (
        <>
          <span className="break who">{nameIn(flows, one.flowId)}</span>
          <p className="muted small">to {nameIn(connections, one.connectionId) || "a connection"}</p>
        </>
      ),
    },
    { header: "State", cell: ({ row }) => <Badge state={row.original.state} /> },
    { header: "Planned", cell: ({ row }) => <span className="nowrap"><Time at={row.original.plannedAt} /></span> },
    { header: "Next step, or end", cell: ({ row: { original: one } }) => <NextStep one={one} /> },
    { header: "Attempts", meta: NUMBERS, cell: ({ row: { original: one } }) => <span className={one.attemptCount > 1 ? undefined : "usual"}>{one.attemptCount}</span> },
    { header: "Receipt", cell: ({ row }) => (row.original.receiptId ? <code className="break">{row.original.receiptId}</code> : <span className="muted usual">–</span>) },
  ];
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Deliveries</h1>
          <p>Each revision of a record that a destination is to get, with the one state in which it stands. Newest first.</p>
        </div>
        <div className="row">
          <label className="hidden-label" htmlFor="delivery-state">
            State
          </label>
          <select id="delivery-state" value={meaning?.state ?? ""} onChange={(event) => narrow({ state: event.target.value })}>
            <option value="">All states</option>
            {STATES.map(({ state }) => (
              <option key={state} value={state}>
                {state}
              </option>
            ))}
          </select>
          <label className="hidden-label" htmlFor="delivery-flow">
            Flow
          </label>
          <select id="delivery-flow" value={search.flow ?? ""} onChange={(event) => narrow({ flow: event.target.value })}>
            <option value="">All flows</option>
            {flows.map((flow) => (
              <option key={flow.id} value={flow.id}>
                {flow.name}
              </option>
            ))}
          </select>
          <label className="hidden-label" htmlFor="delivery-connection">
            Destination
          </label>
          <select id="delivery-connection" value={search.connection ?? ""} onChange={(event) => narrow({ connection: event.target.value })}>
            <option value="">All destinations</option>
            {connections.map((connection) => (
              <option key={connection.id} value={connection.id}>
                {connection.name}
              </option>
            ))}
          </select>
        </div>
      </div>
      {meaning && (
        <p className="note">
          <Badge state={meaning.state} /> {meaning.means} {meaning.next}{" "}
          {meaning.state === "exception" && (
            <Link to="/t/$tenant/exceptions" params={{ tenant }}>
              Open the queue
            </Link>
          )}
          {meaning.state === "held" && (
            <Link to="/t/$tenant/incidents" params={{ tenant }} search={{}}>
              See the incidents
            </Link>
          )}
        </p>
      )}
      <Asked of={asked} what="deliveries">
        <section className="panel flush">
          {names.isPending ? (
            // A column that fills later would move the rows.
            <Loading what="deliveries" />
          ) : asked.rows.length === 0 ? (
            meaning || search.flow || search.connection ? (
              <Empty title={meaning ? `No delivery is ${meaning.state}` : search.connection ? "Nothing was to be delivered there yet" : "This flow has delivered nothing yet"}>
                <p>{meaning ? "That is so now; the page looks again by itself." : "A delivery is planned for each record that comes once the flow is published."}</p>
                <Link className="button" to="/t/$tenant/deliveries" params={{ tenant }} search={{}}>
                  Show all
                </Link>
              </Empty>
            ) : (
              <Empty title="Nothing was planned yet">
                <p>As soon as a record comes for a published flow, its delivery is here, and stays here with what became of it.</p>
              </Empty>
            )
          ) : (
            <>
              <Table label="Deliveries" columns={columns} rows={asked.rows} idOf={(row) => row.id} onSeenEnd={asked.more} />
              <LoadMore of={asked} what="deliveries" />
            </>
          )}
        </section>
      </Asked>
    </div>
  );
}

/** Why it waits and until when; of what is settled, when that was. */
function NextStep({ one }: { one: Row }) {
  if (one.waiting) {
    return (
      <>
        <span className="break">{one.waiting.sentence}</span>
        <p className="muted small">
          since <Time at={one.waiting.since} as="ago" />
          {one.waiting.until && (
            <>
              , until <Time at={one.waiting.until} as="clock" />
            </>
          )}
        </p>
      </>
    );
  }
  if (isOpen(one.state)) return <Time at={one.dueAt} as="clock" />;
  return one.settledAt ? <span className="nowrap"><Time at={one.settledAt} /></span> : <span className="muted usual">–</span>;
}
