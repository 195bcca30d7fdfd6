// The last thirteen months beside each other: how the tenant grows, as charts and in numbers, and a sheet for whoever books it.
import { lazy } from "react";
import { Link } from "@tanstack/react-router";
import { save } from "../api/download";
import { useAsk, useTenant } from "../api/hooks";
import { Later } from "../ui/later";
import { UsageHistoryDocument } from "./history.generated";
import { beginnings, monthsOf, sheetOf } from "./by-month";
import { METERS, type Meter } from "./meters";
import { monthName, shortName } from "./months";

const Chart = lazy(() => import("../ui/chart").then((part) => ({ default: part.Chart })));
const short = new Intl.NumberFormat(undefined, { notation: "compact" });
const COUNTED = Object.entries(METERS) as [Meter, string][];

export function History({ now, chosen }: { now: Date; chosen: string }) {
  const tenant = useTenant();
  const asked = useAsk(UsageHistoryDocument, beginnings(now), { isDear: true });
  if (!asked.data) return null;
  const months = monthsOf(asked.data, now);
  const oldestFirst = months.toReversed();
  const pieces = oldestFirst.map(({ month }) => ({ name: shortName(month), title: monthName(month) }));
  return (
    <section className="panel flush" aria-label="The last months">
      <div className="row apart">
        <h2>The last thirteen months</h2>
        <button type="button" className="button" onClick={() => save(new Blob([sheetOf(months)], { type: "text/csv" }), `usage-${tenant}.csv`)}>
          Download as a sheet
        </button>
      </div>
      <div className="cards padded">
        {COUNTED.map(([meter, name]) => (
          <div key={meter}>
            <h3>{name}</h3>
            <Later className="chart">
              <Chart
                label={`${name}, by month`}
                pieces={pieces}
                series={[{ name: name.toLowerCase(), as: "bar", tone: "quiet", values: oldestFirst.map((one) => one.quantities[meter]) }]}
                word={(value) => value.toLocaleString()}
                tick={(value) => short.format(value)}
                isWhole
                current={oldestFirst.findIndex((one) => one.month === chosen)}
                isInTable
              />
            </Later>
          </div>
        ))}
      </div>
      <div className="table stacks" tabIndex={0} role="region" aria-label="Usage by month">
        <table>
          <thead>
            <tr>
              <th scope="col">Month</th>
              {COUNTED.map(([meter, name]) => (
                <th key={meter} scope="col" className="right">
                  {name}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {months.map((one, index) => (
              <tr key={one.month} aria-current={one.month === chosen ? "true" : undefined}>
                <td>
                  <Link className="row-link" to="/t/$tenant/usage" params={{ tenant }} search={index === 0 ? {} : { month: one.month }}>
                    {monthName(one.month)}
                  </Link>
                  {index === 0 && <span className="muted"> so far</span>}
                </td>
                {COUNTED.map(([meter, name]) => (
                  <td key={meter} className="right num" data-label={name}>
                    {one.quantities[meter].toLocaleString()}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}
