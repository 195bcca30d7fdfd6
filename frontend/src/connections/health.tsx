// How connections are kept: whether each answers to its credential, what of it ends and when, and what was not allowed. What needs somebody comes first.
import { Link } from "@tanstack/react-router";
import { usePages, useTenant } from "../api/hooks";
import { useMay } from "../app/role";
import { Badge } from "../ui/badge";
import { useToldAct } from "../ui/act-button";
import { Asked, Empty, LoadMore } from "../ui/state";
import { Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { SecretAge } from "./rotation";
import { ConnectionHealthDocument, ConnectionTestDocument, type ConnectionHealthQuery } from "./query.generated";

type Row = ConnectionHealthQuery["connectionHealth"]["nodes"][number];
const EVERY_MS = 10_000;
/** From here on somebody is told. */
const SOON_DAYS = 30;
const URGENT_DAYS = 7;

const soonest = (row: Row) => row.ends[0]?.daysLeft ?? Number.POSITIVE_INFINITY;
const isBroken = (row: Row) => row.probe?.state === "FAILS" || row.needsConsent;
/** An exchange of the secret waits for somebody. */
const isHalted = (row: Row) => row.rotation?.newest?.state === "FAILED" || row.rotation?.newest?.state === "REMOVING";

/** What cannot be called at all, then what ends soonest, then the rest by name. */
const byNeed = (a: Row, b: Row) =>
  Number(isBroken(b)) - Number(isBroken(a)) || Number(isHalted(b)) - Number(isHalted(a)) || Math.min(soonest(a), 366) - Math.min(soonest(b), 366) || a.connection.name.localeCompare(b.connection.name);

export function ConnectionHealth() {
  const tenant = useTenant();
  const may = useMay()("configure");
  const asked = usePages(ConnectionHealthDocument, {}, (result) => result.connectionHealth, { everyMs: EVERY_MS });
  const rows = [...asked.rows].sort(byNeed);
  const columns: Column<Row>[] = [
    {
      header: "Connection",
      id: "connection",
      cell: ({ row: { original: one } }) => (
        <Link className="row-link" to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: one.connection.id }}>
          {one.connection.name}
        </Link>
      ),
    },
    { header: "Does it answer?", id: "probe", cell: ({ row }) => <Answer row={row.original} /> },
    { header: "What ends", id: "ends", cell: ({ row }) => <Ends row={row.original} /> },
    { header: "Secret", id: "secret", cell: ({ row }) => <SecretAge row={row.original} /> },
    { header: "What is missing", id: "missing", cell: ({ row }) => <Missing row={row.original} /> },
    ...(may ? [{ header: () => <span className="hidden-label">Acts</span>, id: "test", cell: ({ row }: { row: { original: Row } }) => <TestButton id={row.original.connection.id} name={row.original.connection.name} /> } satisfies Column<Row>] : []),
  ];
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/connections" params={{ tenant }}>
          Connections
        </Link>
      </p>
      <div className="head">
        <div>
          <h1>Health of connections</h1>
          <p>Each is asked once a day whether it answers. Of what ends, the alert rules tell 30, 14, 7 and 1 days before.</p>
        </div>
      </div>
      <Asked of={asked} what="connections">
        <section className="panel flush">
          {rows.length === 0 ? (
            <Empty title="Nothing is connected yet">
              <p>What you connect is watched here.</p>
            </Empty>
          ) : (
            <Table label="Health of connections" columns={columns} rows={rows} idOf={(row) => row.connection.id} onSeenEnd={asked.more} />
          )}
          <LoadMore of={asked} />
        </section>
      </Asked>
    </div>
  );
}

export function Answer({ row }: { row: Pick<Row, "probe"> }) {
  const { probe } = row;
  if (!probe || probe.state === "WAITING") return <span className="muted">Not asked yet</span>;
  const tone = probe.state === "WORKS" ? "good" : probe.state === "FAILS" ? "bad" : "info";
  const word = { WORKS: "it answers", FAILS: "it does not", UNTOLD: "cannot be asked" }[probe.state];
  return (
    <>
      <Badge tone={tone}>{word}</Badge> {probe.probedAt && <Time at={probe.probedAt} />}
      {probe.state === "FAILS" && (
        <p className="small break">
          {probe.sentence} {probe.nextStep}
        </p>
      )}
    </>
  );
}

const WHAT: Record<string, string> = { CONSENT: "The consent", SECRET: "A secret", CERTIFICATE: "The certificate" };

export function Ends({ row }: { row: Pick<Row, "ends"> }) {
  if (row.ends.length === 0) return <span className="muted">Nothing that is known</span>;
  return row.ends.map((one) => (
    <p key={one.what}>
      {WHAT[one.what] ?? one.what}: {one.daysLeft < 0 ? "over since " : ""}
      <Time at={one.at} />{" "}
      {one.daysLeft <= SOON_DAYS && (
        <Badge tone={one.daysLeft <= URGENT_DAYS ? "bad" : "warn"}>{one.daysLeft < 0 ? "over" : one.daysLeft === 0 ? "within a day" : `${one.daysLeft} ${one.daysLeft === 1 ? "day" : "days"}`}</Badge>
      )}
      {one.daysLeft <= SOON_DAYS && <span className="small block">{one.nextStep}</span>}
    </p>
  ));
}

function Missing({ row }: { row: Row }) {
  if (row.needsConsent) return <Badge tone="bad">nobody has consented</Badge>;
  if (row.missingScopes.length === 0) return <span className="muted">Nothing</span>;
  return (
    <ul>
      {row.missingScopes.map((one) => (
        <li key={one.name}>{one.title}</li>
      ))}
    </ul>
  );
}

/** Asks the vendor now, and says what came of it. */
export function TestButton({ id, name }: { id: string; name: string }) {
  const test = useToldAct(
    ConnectionTestDocument,
    (result) => result.connectionTest,
    ({ probe }) => {
      if (!probe) return { text: "It could not be tested.", tone: "bad" };
      if (probe.isUnderWay) return `${name} has not answered yet. What comes of it is shown here.`;
      return { text: probe.sentence, tone: probe.state === "FAILS" ? "bad" : "good" };
    },
  );
  return (
    <button type="button" className="button" disabled={test.isPending} onClick={() => test.run({ id })} aria-label={`Test ${name}`}>
      {test.isPending ? "Asking…" : "Test"}
    </button>
  );
}
