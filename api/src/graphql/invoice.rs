//! What the tenant pays: invoices and credit notes, and what a month comes to that is not closed yet. Not the invoices of its buyers, which are records.

use async_graphql::connection::{Connection, Edge, EmptyFields};
use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use chrono::{DateTime, NaiveDate, Utc};
use domain::id::InvoiceId;
use domain::invoice::{self, Charge, Line, LineKind, Month};
use domain::permission::Permission;
use infra::postgres::invoice::{Draft, Invoice, Named};
use rust_decimal::Decimal;

use super::error::{Code, fail, within};
use super::page::{AGGREGATE_COST, cost, id, rows, uuid};
use super::tenant::Meter;

/// What a line is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "LineKind")]
enum InvoiceLineKind {
    /// The base fee of a plan, by the days on it.
    BaseFee,
    /// What was counted of a meter.
    Usage,
    /// What was counted of a meter after the invoice of its month was closed.
    LateUsage,
    /// What was counted while the tenant was on no plan: it costs nothing.
    NoPlan,
    /// What a credit note gives back.
    Credit,
}

/// So many at one price.
#[derive(SimpleObject)]
struct InvoiceCharge {
    quantity: i64,
    /// Decimal digits.
    price: String,
    /// Decimal digits; quantity times price, rounded to the currency's places, halves away from zero.
    amount: String,
}

impl From<&Charge> for InvoiceCharge {
    fn from(charge: &Charge) -> Self {
        Self { quantity: charge.quantity, price: charge.price.to_string(), amount: charge.amount.to_string() }
    }
}

/// One line. `used` less what is `included` is what is `beyond`; its charges are for that, and their sum is the amount.
#[derive(SimpleObject)]
struct InvoiceLine {
    kind: InvoiceLineKind,
    /// The plan's name at that time; null where there was none.
    plan: Option<String>,
    /// The first day that it is for, as `2026-11-01`, in UTC.
    from: String,
    /// The last day that it is for.
    to: String,
    meter: Option<Meter>,
    used: i64,
    included: i64,
    beyond: i64,
    /// At most 20.
    charges: Vec<InvoiceCharge>,
    /// Decimal digits. The base fee of the whole month; of other lines null.
    fee: Option<String>,
    /// Of a credit: why.
    reason: Option<String>,
    /// Decimal digits.
    amount: String,
}

impl From<&Line> for InvoiceLine {
    fn from(line: &Line) -> Self {
        Self {
            kind: line.kind.into(),
            plan: line.plan.clone(),
            from: line.from.to_string(),
            to: line.to.to_string(),
            meter: line.meter.map(Into::into),
            used: line.used,
            included: line.included,
            beyond: line.beyond,
            charges: line.charges.iter().map(Into::into).collect(),
            fee: line.fee.map(|fee| fee.to_string()),
            reason: line.reason.clone(),
            amount: line.amount.to_string(),
        }
    }
}

/// Another invoice or credit note, by its number.
#[derive(SimpleObject)]
struct InvoiceName {
    id: ID,
    number: i64,
    /// Decimal digits.
    total: String,
}

impl From<Named> for InvoiceName {
    fn from(named: Named) -> Self {
        Self { id: id::<InvoiceId>(named.id), number: named.number, total: named.total }
    }
}

/// What the tenant was billed for a month, or a credit note that gives back of that. It never changes.
#[derive(SimpleObject)]
#[graphql(name = "TenantInvoice")]
struct TenantInvoiceNode {
    id: ID,
    /// In the order in which they were closed, over all tenants of the installation and without a gap there.
    number: i64,
    /// As `2026-11`, in UTC.
    month: String,
    /// Of a credit note: the invoice that it gives back of.
    corrects: Option<InvoiceName>,
    /// Credit notes that give back of this one.
    credit_notes: Vec<InvoiceName>,
    /// ISO 4217.
    currency: String,
    /// Decimal digits; the sum of the lines. Of a credit note negative. Taxes are not in it.
    total: String,
    /// A few for each plan of the month.
    lines: Vec<InvoiceLine>,
    /// The tenant's name when it was closed.
    tenant_name: String,
    closed_at: DateTime<Utc>,
}

impl From<Invoice> for TenantInvoiceNode {
    fn from(invoice: Invoice) -> Self {
        Self {
            id: ID(invoice.id.to_string()),
            number: invoice.number,
            month: invoice.month.to_string(),
            corrects: invoice.corrects.map(Into::into),
            credit_notes: invoice.credit_notes.into_iter().map(Into::into).collect(),
            currency: invoice.currency,
            total: invoice.total.to_string(),
            lines: invoice.lines.iter().map(Into::into).collect(),
            tenant_name: invoice.tenant_name,
            closed_at: invoice.closed_at,
        }
    }
}

/// Lines and their sum.
#[derive(SimpleObject)]
struct InvoiceSum {
    /// Decimal digits.
    total: String,
    lines: Vec<InvoiceLine>,
}

impl From<&[Line]> for InvoiceSum {
    fn from(lines: &[Line]) -> Self {
        Self { total: invoice::total(lines).to_string(), lines: lines.iter().map(Into::into).collect() }
    }
}

/// A plan, from a day on.
#[derive(SimpleObject)]
struct PlanAgreement {
    /// The first day of it, as `2026-11-01`, in UTC.
    from: String,
    plan_id: String,
    plan: String,
    /// Decimal digits; of a whole month.
    base_fee: String,
}

/// What a month comes to that is not closed yet.
#[derive(SimpleObject)]
struct InvoiceDraft {
    /// As `2026-11`, in UTC.
    month: String,
    /// ISO 4217.
    currency: String,
    /// With what is counted by now; the base fee is that of the whole month.
    so_far: InvoiceSum,
    /// What it would come to at the pace of the month so far; null within its first day, and once it is over.
    estimate: Option<InvoiceSum>,
    /// When it is closed: a day after its end, so that nothing of it is still under way.
    closes_at: DateTime<Utc>,
    /// The oldest month that is not closed, as `2026-11`; where it is another than this, `invoiceDraft(month:)` shows it.
    next_month: String,
    /// The plans that the tenant was or will be on, the first one first; at most 200.
    agreements: Vec<PlanAgreement>,
}

impl InvoiceDraft {
    fn new(draft: &Draft, now: DateTime<Utc>) -> Self {
        // What came late of earlier months is no part of the pace.
        let late: Vec<Line> = draft.lines.iter().filter(|line| Month::of(line.from) != draft.month).cloned().collect();
        let estimate =
            invoice::estimate(draft.month, &draft.agreements, &draft.usage, now).filter(|_| now < draft.month.ends_at());
        let estimate = estimate.map(|lines| lines.into_iter().chain(late).collect::<Vec<_>>());
        Self {
            month: draft.month.to_string(),
            currency: draft.currency.clone(),
            so_far: draft.lines.as_slice().into(),
            estimate: estimate.map(|lines| lines.as_slice().into()),
            closes_at: draft.due_at,
            next_month: draft.next_month.to_string(),
            agreements: draft.agreements.iter().map(agreement).collect(),
        }
    }
}

fn agreement(agreement: &invoice::Agreement) -> PlanAgreement {
    let (from, plan): (NaiveDate, _) = (agreement.from, &agreement.plan);
    let base_fee: Decimal = plan.base_fee;
    PlanAgreement { from: from.to_string(), plan_id: plan.id.clone(), plan: plan.name.clone(), base_fee: base_fee.to_string() }
}

#[derive(Default)]
pub struct InvoiceQuery;

#[Object]
impl InvoiceQuery {
    /// What the tenant was billed, and what was given back of it: invoices and credit notes, the newest first, at most 100 a page.
    #[graphql(complexity = "cost(first, child_complexity)")]
    async fn invoices(
        &self,
        ctx: &Context<'_>,
        first: Option<i32>,
        after: Option<String>,
    ) -> Result<Connection<String, TenantInvoiceNode, EmptyFields, EmptyFields>> {
        let place =
            after.map(|after| after.parse::<i64>().map_err(|_| fail(Code::BadRequest, "`after` is no cursor of this list")));
        let (first, after) = (rows(first)?, place.transpose()?);
        let page = within(ctx, Permission::ReadInvoices, async |store| store.invoices(after, first).await).await?;
        let mut connection = Connection::new(after.is_some(), page.has_next);
        connection.edges.extend(page.rows.into_iter().map(|row| Edge::new(row.number.to_string(), row.into())));
        Ok(connection)
    }

    /// One of them.
    async fn invoice(&self, ctx: &Context<'_>, id: ID) -> Result<Option<TenantInvoiceNode>> {
        let Some(id) = uuid::<InvoiceId>(&id).map(InvoiceId) else { return Ok(None) };
        let found = within(ctx, Permission::ReadInvoices, async |store| store.invoice(id).await).await?;
        Ok(found.map(Into::into))
    }

    /// What a month comes to that is not closed, from what was metered: the running one, or an earlier one, as `2026-11`, in UTC. Null where the tenant is on
    /// no plan in it, or it is closed.
    #[graphql(complexity = "AGGREGATE_COST + child_complexity")]
    async fn invoice_draft(&self, ctx: &Context<'_>, month: Option<String>) -> Result<Option<InvoiceDraft>> {
        let now = Utc::now();
        let running = Month::of(now.date_naive());
        let month = match month {
            None => running,
            Some(text) => Month::parse(&text).filter(|month| *month <= running).ok_or_else(|| {
                fail(Code::BadRequest, &format!("`month` is one such as {running}, and none that is still to come"))
            })?,
        };
        let draft = within(ctx, Permission::ReadInvoices, async |store| store.invoice_draft(month).await).await?;
        Ok(draft.map(|draft| InvoiceDraft::new(&draft, now)))
    }
}
