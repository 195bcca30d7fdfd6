// What is billed: each meter by month, beside the month before.
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useAsk, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { useMay } from "../app/role";
import { Empty, Loading, Problem } from "../ui/state";
import { History } from "./history";
import { METERS, type Meter } from "./meters";
import { boundsOf, change, isMonth, lastMonths, monthName } from "./months";
import { UsageDocument, type UsageQuery } from "./query.generated";

type Line = UsageQuery["month"][number];
const MONTHS = 13;
/** Bounds move with the clock, to the hour: what is asked for stays the same question while somebody looks. */
const HOUR_MS = 60 * 60 * 1000;

const ABOUT: Record<Meter, string> = {
  MESSAGE_ACCEPTED: "What arrived by webhook, poll, backfill, file or by hand, and was kept. What came twice counts once.",
  DELIVERY_CONFIRMED: "Records that a destination was given and has confirmed. What is refused, superseded or waits does not count.",
  VENDOR_CALL: "Each request to a shop, an ERP or another system: reads, writes, proofs, and what is tried again.",
};

export function Usage() {
  const tenant = useTenant();
  const may = useMay();
  return (
    <div className="stack">
      <div className="head">
        <div>
          <h1>Usage</h1>
          <p>What is counted and billed, by month. Each line is written together with the thing that it counts, so none is missing and none is there twice.</p>
        </div>
        {may("invoices") && (
          <Link className="button" to="/t/$tenant/usage/invoices" params={{ tenant }}>
            Invoices
          </Link>
        )}
      </div>
      <Permitted to="usage" otherwise="Your role does not see what is billed" advice="Ask an owner or admin of the tenant.">
        <Months />
      </Permitted>
    </div>
  );
}

function Months() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const search = useSearch({ from: "/t/$tenant/usage" });
  const now = new Date(Math.floor(Date.now() / HOUR_MS) * HOUR_MS + HOUR_MS);
  const months = lastMonths(now, MONTHS);
  const month = isMonth(search.month) ? search.month : (months[0] as string);
  const { isRunning, ...bounds } = boundsOf(month, now);
  const asked = useAsk(UsageDocument, bounds, { everyMs: 60_000 });
  const of = (lines: readonly Line[], meter: string) => lines.find((line) => line.meter === meter)?.quantity ?? 0;
  const all = asked.data;
  const before = monthName(bounds.beforeFrom.slice(0, 7));
  return (
    <>
      <section className="panel flush" aria-label="Usage of the month">
        <div className="row apart">
          <h2>
            {monthName(month)}
            {isRunning && " so far"}
          </h2>
          <span>
            <label className="hidden-label" htmlFor="month">
              Month
            </label>
            <select id="month" value={month} onChange={(event) => void navigate({ to: "/t/$tenant/usage", params: { tenant }, search: event.target.value === months[0] ? {} : { month: event.target.value }, replace: true })}>
              {(months.includes(month) ? months : [month, ...months]).map((one) => (
                <option key={one} value={one}>
                  {monthName(one)}
                </option>
              ))}
            </select>
          </span>
        </div>
        {asked.error && !all ? (
          <Problem error={asked.error} retry={() => void asked.refetch()} />
        ) : !all ? (
          <Loading what="what was counted" />
        ) : (
          <>
            {all.month.length === 0 && (
              <Empty title={`Nothing was counted in ${monthName(month)}`}>
                <p>Counting begins with the first message that is accepted: connect a system and publish a flow.</p>
              </Empty>
            )}
            <div className="table stacks" tabIndex={0} role="region" aria-label="What was counted">
              <table>
                <thead>
                  <tr>
                    <th scope="col">What</th>
                    <th scope="col" className="right">
                      {monthName(month)}
                    </th>
                    {isRunning && (
                      <th scope="col" className="right">
                        {before}, up to this day
                      </th>
                    )}
                    <th scope="col" className="right">
                      {before}
                    </th>
                    <th scope="col" className="right">
                      Change
                    </th>
                  </tr>
                </thead>
                <tbody>
                  {(Object.entries(METERS) as [Meter, string][]).map(([meter, name]) => {
                    const compared = of(isRunning ? all.beforeSoFar : all.before, meter);
                    return (
                      <tr key={meter}>
                        <td>
                          <strong>{name}</strong>
                          <p className="muted small">{ABOUT[meter]}</p>
                        </td>
                        <td className="right num nowrap" data-label={monthName(month)}>
                          <strong>{of(all.month, meter).toLocaleString()}</strong>
                        </td>
                        {isRunning && <td className="right num nowrap" data-label={`${before}, up to this day`}>{compared.toLocaleString()}</td>}
                        <td className="right num nowrap" data-label={before}>
                          {of(all.before, meter).toLocaleString()}
                        </td>
                        <td className="right num nowrap" data-label="Change">
                          {change(of(all.month, meter), compared)}
                        </td>
                      </tr>
                    );
                  })}
                </tbody>
              </table>
            </div>
            <p className="muted small padded above">
              Months are those of UTC. {isRunning && `What is compared is ${before} up to the same day and hour.`}
            </p>
          </>
        )}
      </section>
      {all && <History now={now} chosen={month} />}
    </>
  );
}
