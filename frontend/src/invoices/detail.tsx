// One invoice, as it was closed: on the screen, as a sheet, and on paper (the browser prints this page; style.css says what of it).
import { Link, useParams } from "@tanstack/react-router";
import { save } from "../api/download";
import { useAsk, useTenant } from "../api/hooks";
import { Permitted } from "../app/permitted";
import { monthName } from "../usage/months";
import { money } from "../ui/money";
import { Empty, Loading, Problem } from "../ui/state";
import { Time } from "../ui/time";
import { Lines } from "./lines";
import { InvoiceDocument } from "./query.generated";
import { isCreditNote, sheetOf, title, type Invoice } from "./words";

export function InvoicePage() {
  const tenant = useTenant();
  return (
    <div className="stack">
      <p className="crumb">
        <Link to="/t/$tenant/usage/invoices" params={{ tenant }}>
          Invoices
        </Link>
      </p>
      <Permitted isPage to="invoices" otherwise="Your role does not see what the tenant pays" advice="Owners, admins, auditors and billing do. What is counted stands under Usage.">
        <Found />
      </Permitted>
    </div>
  );
}

function Found() {
  const { invoiceId } = useParams({ from: "/t/$tenant/usage/invoices/$invoiceId" });
  const asked = useAsk(InvoiceDocument, { id: invoiceId });
  if (asked.error && !asked.data) return <Problem error={asked.error} retry={() => void asked.refetch()} />;
  if (!asked.data) return <Loading what="the invoice" />;
  const invoice = asked.data.invoice;
  if (!invoice) {
    return (
      <div className="panel">
        <Empty isPage title="There is no such invoice">
          <p>It may be of another tenant. The list has all that are of this one.</p>
        </Empty>
      </div>
    );
  }
  return <Paper invoice={invoice} />;
}

function Paper({ invoice }: { invoice: Invoice }) {
  const tenant = useTenant();
  const { corrects, creditNotes } = invoice;
  return (
    <>
      <div className="head">
        <div>
          <h1>{title(invoice)}</h1>
          <p>{isCreditNote(invoice) ? `What is given back of ${monthName(invoice.month)}` : monthName(invoice.month)}</p>
        </div>
        <div className="row acts">
          <button type="button" className="button" onClick={() => save(new Blob([sheetOf(invoice)], { type: "text/csv" }), `invoice-${invoice.number}.csv`)}>
            Download as a sheet
          </button>
          <button type="button" className="button main-act" onClick={() => window.print()}>
            Print
          </button>
        </div>
      </div>
      <section className="panel" aria-label="Whom and what it is for">
        <dl className="facts">
          <dt>For</dt>
          <dd>{invoice.tenantName}</dd>
          <dt>Month</dt>
          <dd>{monthName(invoice.month)}, in UTC</dd>
          <dt>Closed</dt>
          <dd>
            <Time at={invoice.closedAt} />
          </dd>
          <dt>Total</dt>
          <dd>
            <strong className="num">{money(invoice.total, invoice.currency)}</strong> <span className="muted">without taxes</span>
          </dd>
          {corrects && (
            <>
              <dt>Gives back of</dt>
              <dd>
                <Link to="/t/$tenant/usage/invoices/$invoiceId" params={{ tenant, invoiceId: corrects.id }}>
                  Invoice {corrects.number}
                </Link>
              </dd>
            </>
          )}
          {creditNotes.length > 0 && (
            <>
              <dt>Given back</dt>
              <dd>
                {creditNotes.map((note) => (
                  <span key={note.id}>
                    <Link to="/t/$tenant/usage/invoices/$invoiceId" params={{ tenant, invoiceId: note.id }}>
                      {money(note.total, invoice.currency)} by credit note {note.number}
                    </Link>
                    <br />
                  </span>
                ))}
              </dd>
            </>
          )}
        </dl>
      </section>
      <section className="panel flush" aria-label="Lines">
        <Lines label="Lines of the invoice" month={invoice.month} currency={invoice.currency} lines={invoice.lines} total={invoice.total} />
        <p className="muted small padded above">
          Beyond is what was used less what is included. An amount is how many times the price, rounded to the currency’s smallest unit, halves up; a fee of a part of a month is that of its days. The total is the sum of the amounts.
        </p>
      </section>
    </>
  );
}
