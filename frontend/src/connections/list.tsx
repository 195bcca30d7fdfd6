// The tenant's connections and how each is.
import { Link } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { Asked, Empty, LoadMore } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { ConnectionsDocument, type ConnectionsQuery } from "./query.generated";

type Row = ConnectionsQuery["connections"]["nodes"][number];
const EVERY_MS = 10_000;

export function Connections() {
  const may = useMay();
  const tenant = useTenant();
  const asked = usePages(ConnectionsDocument, {}, (result) => result.connections, { everyMs: EVERY_MS });
  const columns: Column<Row>[] = [
    {
      header: "Connection",
      accessorKey: "name",
      cell: ({ row: { original: one } }) => (
        <>
          <Link className="row-link" to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: one.id }}>
            {one.name}
          </Link>
          {one.incidents.map((incident) => (
            <p key={incident.id} className="small break">
              {incident.sentence}
            </p>
          ))}
        </>
      ),
    },
    { header: "Connector", accessorKey: "connector" },
    { header: "Health", accessorKey: "health", cell: ({ row }) => <Badge state={row.original.health} /> },
    { header: "State", accessorKey: "state", cell: ({ row }) => <Badge state={row.original.state} /> },
    { header: "Since", accessorKey: "createdAt", cell: ({ row }) => <Time at={row.original.createdAt} /> },
  ];
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Connections</h1>
          <p>Your accounts at other systems: where records come from, and where they go.</p>
        </div>
        <div className="row">
          <Link className="button" to="/t/$tenant/connections/health" params={{ tenant }}>
            Health
          </Link>
          {may("configure") && (
            <Link className="button main-act" to="/t/$tenant/connections/new" params={{ tenant }}>
              Connect a system
            </Link>
          )}
        </div>
      </div>
      <Asked of={asked} what="connections">
        <section className="panel flush">
          {asked.rows.length === 0 ? (
            <Empty title="Nothing is connected yet">
              <p>Choose a system from the catalog. Its guide says where to find what is asked for.</p>
            </Empty>
          ) : (
            <Table label="Connections" columns={columns} rows={asked.rows} idOf={(row) => row.id} onSeenEnd={asked.more} />
          )}
          <LoadMore of={asked} />
        </section>
      </Asked>
    </div>
  );
}
