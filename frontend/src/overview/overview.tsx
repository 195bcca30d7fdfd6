// How everything stands, asked again every five seconds while somebody looks: what came and where it is, what needs a person, what is slow, silent
// or refused, and since when it is proven that both sides agree.
import { Link } from "@tanstack/react-router";
import { isAwaited, useAsk, useTenant } from "../api/hooks";
import { Badge } from "../ui/badge";
import { Money } from "../ui/money";
import { Empty, Loading, Problem } from "../ui/state";
import { age, Time } from "../ui/time";
import { Arrivals } from "./arrivals";
import { Backlog } from "./backlog";
import { Begin } from "./begin";
import { Incidents } from "../incidents/incidents";
import { SupportNews } from "../support/news";
import { LedgerBar } from "./ledger";
import { RateCards } from "./rate";
import { OverviewDocument, OverviewFlowsDocument, type OverviewQuery } from "./query.generated";

const EVERY_MS = 5_000;
const PROOF_EVERY_MS = 15_000;

export function Overview() {
  const asked = useAsk(OverviewDocument, {}, { everyMs: EVERY_MS });
  // Whether something is published says whether the way to it stands above all else, so it is known before anything stands there.
  const flows = useAsk(OverviewFlowsDocument, {}, { isDear: true });
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Overview</h1>
          <p>Everything that moves for this tenant, as of now.</p>
        </div>
      </div>
      <SupportNews />
      {asked.data && !isAwaited(flows) ? (
        <Sections data={asked.data} />
      ) : asked.error && !asked.data ? (
        <Problem error={asked.error} retry={() => void asked.refetch()} />
      ) : (
        <Loading what="the overview" />
      )}
    </div>
  );
}

function Sections({ data }: { data: OverviewQuery }) {
  const open = data.ledger.deliveries.find((one) => one.state === "exception")?.count ?? 0;
  const sum = (counts: readonly { count: number }[]) => counts.reduce((total, one) => total + one.count, 0);
  const received = sum(data.ledger.messages) + data.ledger.duplicates;
  const backlog = sum(data.catchUps.map((one) => ({ count: one.deliveries })));
  const connections = data.connections.nodes.length;
  if (connections === 0) return <Begin connections={0} />;
  return (
    <>
      <Begin connections={connections} />
      <div className="cards figures">
        {/* What one comes for first: is there something to do, does it move, then how fast. */}
        <Card title="Waits for a person" figure={open.toLocaleString()} note={open === 0 ? "Nothing needs you" : "Deliveries stopped with a reason"} isBad={open > 0} />
        <Card title="Still to deliver" figure={backlog.toLocaleString()} note={backlog === 0 ? "Nothing waits" : "Finish times are in the backlog"} />
        <Card title="Messages received" figure={received.toLocaleString()} note={`${data.ledger.duplicates.toLocaleString()} came twice and had no second effect`} />
        <RateCards />
      </div>
      <section className="panel">
        <h2>Where deliveries stand</h2>
        <LedgerBar counts={data.ledger.deliveries} />
      </section>
      {data.incidents.nodes.length > 0 && <Incidents incidents={data.incidents.nodes} />}
      <div className="grid2">
        <div className="stack">
          <Causes groups={data.exceptionGroups.nodes} hasMore={data.exceptionGroups.pageInfo.hasNextPage} />
          <Backlog catchUps={data.catchUps} />
        </div>
        <div className="stack">
          <ConnectionHealth connections={data.connections.nodes} />
          <Arrivals series={data.arrivalSeries.nodes} hasMore={data.arrivalSeries.pageInfo.hasNextPage} />
          {/* Asked for by itself, and so the last: nothing stands below that it would move. */}
          <Proof />
        </div>
      </div>
    </>
  );
}

function Card({ title, figure, note, isBad = false }: { title: string; figure: string; note: string; isBad?: boolean }) {
  return (
    <section className="panel" aria-label={title}>
      <h2 className="muted small">{title}</h2>
      <p className={isBad ? "figure bad" : "figure"}>{figure}</p>
      <p className="muted small">{note}</p>
    </section>
  );
}

function Causes({ groups, hasMore }: { groups: OverviewQuery["exceptionGroups"]["nodes"]; hasMore: boolean }) {
  const tenant = useTenant();
  return (
    <section className="panel flush">
      <div className="row apart">
        <h2>Exceptions by cause</h2>
        <Link to="/t/$tenant/exceptions" params={{ tenant }}>
          {hasMore ? "See all causes" : "Open the queue"}
        </Link>
      </div>
      {groups.length === 0 ? (
        <Empty title="No exceptions">
          <p>Everything that came was delivered or is on its way. When something needs a person, its cause is listed here.</p>
        </Empty>
      ) : (
        <div className="table stacks" tabIndex={0} role="region" aria-label="Exceptions by cause">
          <table>
            <thead>
              <tr>
                <th scope="col">Cause and next step</th>
                <th scope="col" className="right">Count</th>
                <th scope="col" className="right">Oldest</th>
                <th scope="col" className="right">At stake</th>
              </tr>
            </thead>
            <tbody>
              {groups.map((group) => (
                <tr key={group.id}>
                  <td className="break cause">
                    <Link className="row-link" to="/t/$tenant/exceptions/$causeKey" params={{ tenant, causeKey: group.causeKey }}>
                      {group.cause}
                    </Link>
                    <p className="muted small">{group.nextStep}</p>
                  </td>
                  <td className="right num" data-label="Count">{group.count.toLocaleString()}</td>
                  <td className="right num nowrap" data-label="Oldest">{age(group.oldestAgeS)}</td>
                  <td className="right" data-label="At stake">
                    <Money sums={group.money} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  );
}

function ConnectionHealth({ connections }: { connections: OverviewQuery["connections"]["nodes"] }) {
  const tenant = useTenant();
  const isWell = (one: (typeof connections)[number]) => one.state !== "paused" && one.health === "healthy";
  // What is not well comes first: nobody looks for it among twenty that are.
  const ordered = [...connections].sort((a, b) => Number(isWell(a)) - Number(isWell(b)));
  return (
    <section className="panel">
      <h2>Connections</h2>
      <ul className="stack tight">
        {ordered.map((one) => (
          <li key={one.id} className="row apart">
            <Link to="/t/$tenant/connections/$connectionId" params={{ tenant, connectionId: one.id }}>
              {one.name}
            </Link>
            <Badge state={one.state === "paused" ? "paused" : one.health} />
          </li>
        ))}
      </ul>
    </section>
  );
}

function Proof() {
  const tenant = useTenant();
  const asked = useAsk(OverviewFlowsDocument, {}, { everyMs: PROOF_EVERY_MS, isDear: true });
  const flows = asked.data?.flows.nodes ?? [];
  return (
    <section className="panel">
      <div className="row apart">
        <h2>Proven by reconciliation</h2>
        {asked.data?.flows.pageInfo.hasNextPage && (
          <Link to="/t/$tenant/flows" params={{ tenant }}>
            See all flows
          </Link>
        )}
      </div>
      {asked.error && !asked.data && <Problem error={asked.error} />}
      {asked.data && flows.length === 0 && <p className="muted">There is no flow yet.</p>}
      <ul className="stack tight">
        {flows.map((flow) => (
          <li key={flow.id}>
            <div className="row apart">
              <Link to="/t/$tenant/flows/$flowId" params={{ tenant, flowId: flow.id }}>
                {flow.name}
              </Link>
              <Badge state={flow.health.state} />
            </div>
            <p className="muted small">
              {flow.health.provenUntil ? (
                <>
                  Both sides agree about everything until <Time at={flow.health.provenUntil} />.
                </>
              ) : (
                "Never reconciled: nobody has compared both sides yet."
              )}
              {flow.health.openDifferences > 0 && ` ${flow.health.openDifferences.toLocaleString()} ${flow.health.openDifferences === 1 ? "difference is" : "differences are"} open.`}
              {flow.health.openExceptions > 0 && ` ${flow.health.openExceptions.toLocaleString()} ${flow.health.openExceptions === 1 ? "waits" : "wait"} for a person.`}
            </p>
          </li>
        ))}
      </ul>
    </section>
  );
}
