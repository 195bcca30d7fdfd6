// What the tenant pays: the running month as it stands and what it would come to, and the invoices of those before.
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useAsk, usePages, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { isMonth, monthName } from "../usage/months";
import { Badge } from "../ui/badge";
import { money } from "../ui/money";
import { Asked, Empty, Loading, LoadMore, Problem } from "../ui/state";
import { NUMBERS, Table, type Column } from "../ui/table";
import { Time } from "../ui/time";
import { Lines } from "./lines";
import { InvoiceDraftDocument, InvoicesDocument, type InvoiceDraftQuery, type InvoicesQuery } from "./query.generated";
import { dayName, isCreditNote, title } from "./words";

type Row = InvoicesQuery["invoices"]["nodes"][number];
type Draft = NonNullable<InvoiceDraftQuery["invoiceDraft"]>;

export function Invoices() {
  const tenant = useTenant();
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/usage" params={{ tenant }}>
          Usage
        </Link>
      </p>
      <div className="head">
        <div>
          <h1>Invoices</h1>
          <p>What is billed for each month: computed from what was counted in it and from the plan, and from nothing else. A month is closed a day after its end and never changes; what was wrong is given back by a credit note.</p>
        </div>
      </div>
      <Permitted to="invoices" otherwise="Your role does not see what the tenant pays" advice="Owners, admins, auditors and billing do. What is counted stands under Usage.">
        <Parts />
      </Permitted>
    </div>
  );
}

function useDraft() {
  const { month } = useSearch({ from: "/t/$tenant/usage/invoices" });
  return { month, asked: useAsk(InvoiceDraftDocument, { month: isMonth(month) ? month : null }, { everyMs: 60_000, isDear: true }) };
}

/** What is closed stands below the running month, and waits for its height. */
function Parts() {
  const { asked } = useDraft();
  return (
    <>
      <Running />
      {!asked.isPending && <Closed />}
    </>
  );
}

function Running() {
  const tenant = useTenant();
  const navigate = useNavigate();
  const { month, asked } = useDraft();
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="the running month" />;
  const draft = asked.data.invoiceDraft;
  if (!draft) {
    return (
      <div className="panel">
        <Empty title={month ? `Nothing is open of ${isMonth(month) ? monthName(month) : "that month"}` : "No plan is agreed"}>
          <p>{month ? "It is closed, or the tenant was on no plan in it." : "What is counted is not billed. Whoever runs Crossdock puts the tenant on a plan."}</p>
          {month && (
            <p>
              <button type="button" className="button" onClick={() => void navigate({ to: "/t/$tenant/usage/invoices", params: { tenant }, search: {} })}>
                Show the running month
              </button>
            </p>
          )}
        </Empty>
      </div>
    );
  }
  return <DraftPanel draft={draft} />;
}

function DraftPanel({ draft }: { draft: Draft }) {
  const tenant = useTenant();
  const { soFar, estimate, currency } = draft;
  return (
    <section className="panel flush" aria-label="The running month">
      <div className="row apart">
        <h2>{monthName(draft.month)}, not closed yet</h2>
        <span className="muted">
          It is closed on <Time at={draft.closesAt} />
        </span>
      </div>
      {draft.nextMonth !== draft.month && (
        <p className="note padded-line">
          {monthName(draft.nextMonth)} is over and not closed yet, either.{" "}
          <Link to="/t/$tenant/usage/invoices" params={{ tenant }} search={{ month: draft.nextMonth }}>
            Show it
          </Link>
        </p>
      )}
      <dl className="facts padded">
        <dt>So far</dt>
        <dd>
          <strong className="num">{money(soFar.total, currency)}</strong> <span className="muted">with the base fee of the whole month</span>
        </dd>
        {estimate && (
          <>
            <dt>It would come to</dt>
            <dd>
              <strong className="num">{money(estimate.total, currency)}</strong> <span className="muted">if the month goes on as it did until now</span>
            </dd>
          </>
        )}
        <dt>Plan</dt>
        <dd>
          {draft.agreements.map((one) => (
            <span key={one.from} className="agreement">
              {one.plan} from {dayName(one.from)}, {money(one.baseFee, currency)} a month
              <br />
            </span>
          ))}
        </dd>
      </dl>
      <Lines label="What is counted so far" month={draft.month} currency={currency} lines={soFar.lines} total={soFar.total} />
      <p className="muted small padded above">
        Months and days are those of UTC. Of a part of a month the base fee and what is included count by days: fees are rounded to the currency’s smallest unit, halves up; what is included to the next whole one. What is counted is the same as{" "}
        <Link to="/t/$tenant/usage" params={{ tenant }}>
          Usage
        </Link>{" "}
        shows.
      </p>
    </section>
  );
}

function Closed() {
  const tenant = useTenant();
  const asked = usePages(InvoicesDocument, {}, (result) => result.invoices, { everyMs: 60_000 });
  const columns: Column<Row>[] = [
    {
      header: "Number",
      accessorKey: "number",
      cell: ({ row: { original: one } }) => (
        <Link className="row-link" to="/t/$tenant/usage/invoices/$invoiceId" params={{ tenant, invoiceId: one.id }}>
          {title(one)}
        </Link>
      ),
    },
    { header: "Month", accessorKey: "month", cell: ({ row: { original: one } }) => monthName(one.month) },
    {
      header: "Amount",
      accessorKey: "total",
      enableSorting: false,
      meta: NUMBERS,
      cell: ({ row: { original: one } }) => (
        <span className="num nowrap">
          {money(one.total, one.currency)} {isCreditNote(one) && <span className="muted">of invoice {one.corrects?.number}</span>}
          {one.creditNotes.length > 0 && <Badge tone="info">{one.creditNotes.map((note) => `${money(note.total, one.currency)} by ${note.number}`).join(", ")}</Badge>}
        </span>
      ),
    },
    { header: "Closed", accessorKey: "closedAt", cell: ({ row: { original: one } }) => <Time at={one.closedAt} /> },
  ];
  return (
    <section className="panel flush" aria-label="Closed months">
      <h2>Closed months</h2>
      <Asked of={asked} what="the invoices">
        {asked.rows.length === 0 ? (
          <Empty title="No month is closed yet">
            <p>A month is closed a day after its end.</p>
          </Empty>
        ) : (
          <Table label="Invoices" columns={columns} rows={asked.rows} idOf={(one) => one.id} />
        )}
        <LoadMore of={asked} />
      </Asked>
    </section>
  );
}
