// The lines of an invoice: what was used, what of it is included, what is beyond and what that costs, and the sum.
import { money } from "../ui/money";
import { dayCount, daysOf, isCounted, what, type Line } from "./words";

interface LinesProps {
  label: string;
  month: string;
  currency: string;
  lines: readonly Line[];
  total: string;
}

export function Lines({ label, month, currency, lines, total }: LinesProps) {
  return (
    <div className="table stacks" tabIndex={0} role="region" aria-label={label}>
      <table>
        <thead>
          <tr>
            <th scope="col">What</th>
            <th scope="col" className="right">
              Used
            </th>
            <th scope="col" className="right">
              Included
            </th>
            <th scope="col" className="right">
              Beyond
            </th>
            <th scope="col" className="right">
              Price
            </th>
            <th scope="col" className="right">
              Amount
            </th>
          </tr>
        </thead>
        <tbody>
          {lines.map((line) => (
            <tr key={`${line.kind} ${line.from} ${line.meter ?? ""} ${line.reason ?? ""}`}>
              <td>
                <strong className="break">{what(line)}</strong>
                <p className="muted small">{daysOf(line, month)}</p>
              </td>
              <Count line={line} label="Used" count={line.used} />
              <Count line={line} label="Included" count={line.included} />
              <Count line={line} label="Beyond" count={line.beyond} />
              <td className="right num" data-label="Price">
                <div>
                  <Price line={line} currency={currency} />
                </div>
              </td>
              <td className="right num nowrap" data-label="Amount">
                {money(line.amount, currency)}
              </td>
            </tr>
          ))}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row" colSpan={5}>
              Total, without taxes
            </th>
            <td className="right num nowrap">
              <strong>{money(total, currency)}</strong>
            </td>
          </tr>
        </tfoot>
      </table>
    </div>
  );
}

function Count({ line, label, count }: { line: Line; label: string; count: number }) {
  return (
    <td className="right num nowrap" data-label={label}>
      {isCounted(line) && (line.kind !== "NO_PLAN" || label === "Used") ? count.toLocaleString() : <span aria-hidden="true">–</span>}
    </td>
  );
}

function Price({ line, currency }: { line: Line; currency: string }) {
  if (line.fee !== null) {
    const [days, ofMonth] = dayCount(line);
    return (
      <span className="nowrap">
        {money(line.fee, currency)} a month
        {days < ofMonth && <span className="muted">, {days} of {ofMonth} days</span>}
      </span>
    );
  }
  if (line.charges.length === 0) return <span className="muted">none</span>;
  return (
    <>
      {line.charges.map((charge) => (
        <span key={charge.price + charge.quantity} className="nowrap">
          {charge.quantity.toLocaleString()} × {money(charge.price, null)}
          {line.charges.length > 1 && ` = ${money(charge.amount, currency)}`}
          <br />
        </span>
      ))}
    </>
  );
}
