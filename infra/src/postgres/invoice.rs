//! What tenants pay. The application reads it; it is written by named functions only, so that a month is closed once, numbers have no gap, and what was
//! billed stays. What is billed is what `usage` shows: both read the same rows by the same bounds.

use chrono::{DateTime, NaiveDate, Utc};
use domain::audit::Action;
use domain::id::{InvoiceId, TenantId};
use domain::invoice::{self, Agreement, DayUsage, LATE_MONTHS, Line, Month};
use domain::plan::Plan;
use domain::scope::{Actor, Request, Scope};
use domain::usage::Meter;
use rust_decimal::Decimal;
use serde_json::json;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::page::{PAGE_MAX, Page};
use super::receive::audit_each;
use super::tenant_deletion::stands;
use super::work::USAGE_BETWEEN;
use super::{Store, StoreError, TenantStore, enter};

/// Plans that a tenant was or will be on; far more than anybody changes.
const AGREEMENTS_MAX: i64 = 200;

/// An invoice, or a credit note.
#[derive(Debug, Clone)]
pub struct Invoice {
    pub id: InvoiceId,
    /// Without gaps over all tenants of the installation.
    pub number: i64,
    pub month: Month,
    /// Of a credit note: what it gives back of.
    pub corrects: Option<Named>,
    /// Credit notes that give back of it.
    pub credit_notes: Vec<Named>,
    pub currency: String,
    pub total: Decimal,
    pub lines: Vec<Line>,
    pub tenant_name: String,
    pub closed_at: DateTime<Utc>,
}

/// Another one, by its number.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Named {
    pub id: Uuid,
    pub number: i64,
    /// Decimal digits.
    pub total: String,
}

/// What a month that is not closed comes to.
#[derive(Debug, Clone)]
pub struct Draft {
    pub month: Month,
    pub currency: String,
    /// The month that is closed next: the drafts begin with it.
    pub next_month: Month,
    /// When this one is closed.
    pub due_at: DateTime<Utc>,
    pub agreements: Vec<Agreement>,
    pub usage: Vec<DayUsage>,
    /// As it would be closed with what is counted by now.
    pub lines: Vec<Line>,
}

/// Why a plan was not agreed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanRefusal {
    #[error("there is no tenant with the slug \"{0}\"")]
    Tenant(String),
    #[error("the tenant is billed in {0} and stays so; make the plan in {0}, or a tenant of its own")]
    Currency(String),
    #[error(
        "{day} lies in a month that was billed; begin on {from} or later, and correct what was billed by `crossdock invoice credit`"
    )]
    Closed { day: NaiveDate, from: NaiveDate },
}

/// Why nothing was given back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreditRefusal {
    #[error("there is no invoice {0}")]
    NotFound(i64),
    #[error("{0} is a credit note itself; name the invoice that it is of")]
    CreditNote(i64),
    #[error("of invoice {number} {rest} {currency} are left to give back, and not {amount}")]
    TooMuch { number: i64, rest: Decimal, currency: String, amount: Decimal },
    #[error("an amount is more than 0 and has the places of {currency}, not {amount}")]
    Amount { currency: String, amount: Decimal },
}

fn corrupt(what: &'static str, id: impl ToString, why: impl ToString) -> StoreError {
    StoreError::Corrupt { what, id: id.to_string(), why: why.to_string() }
}

fn decimal(row: &PgRow, column: &'static str) -> Result<Decimal, StoreError> {
    let text: String = row.try_get(column)?;
    Decimal::from_str_exact(&text).map_err(|why| corrupt("an amount", column, why))
}

fn json_of<T: serde::de::DeserializeOwned>(row: &PgRow, column: &str, what: &'static str) -> Result<T, StoreError> {
    serde_json::from_value(row.try_get(column)?).map_err(|why| corrupt(what, column, why))
}

const INVOICE: &str = "SELECT i.id, i.number, i.month, i.currency, i.total::text AS total, i.lines, i.tenant_name, i.closed_at,
        (SELECT jsonb_build_object('id', o.id, 'number', o.number, 'total', o.total::text) FROM invoices o
         WHERE o.tenant_id = i.tenant_id AND o.id = i.corrects) AS corrects,
        (SELECT coalesce(jsonb_agg(jsonb_build_object('id', c.id, 'number', c.number, 'total', c.total::text) ORDER BY c.number), '[]')
         FROM invoices c WHERE c.tenant_id = i.tenant_id AND c.corrects = i.id) AS credit_notes
    FROM invoices i WHERE i.tenant_id = $1";

fn invoice(row: &PgRow) -> Result<Invoice, StoreError> {
    let corrects: Option<serde_json::Value> = row.try_get("corrects")?;
    Ok(Invoice {
        id: InvoiceId(row.try_get("id")?),
        number: row.try_get("number")?,
        month: Month::of(row.try_get("month")?),
        corrects: corrects
            .map(serde_json::from_value)
            .transpose()
            .map_err(|why| corrupt("what is corrected", "invoices", why))?,
        credit_notes: json_of(row, "credit_notes", "the credit notes")?,
        currency: row.try_get("currency")?,
        total: decimal(row, "total")?,
        lines: json_of(row, "lines", "the lines of an invoice")?,
        tenant_name: row.try_get("tenant_name")?,
        closed_at: row.try_get("closed_at")?,
    })
}

/// The tenant's plans, the first one first.
async fn agreements(tx: &mut Transaction<'static, Postgres>, tenant: TenantId) -> Result<Vec<Agreement>, StoreError> {
    let sql = "SELECT from_day, plan FROM plan_agreements WHERE tenant_id = $1 ORDER BY from_day DESC LIMIT $2";
    let rows = sqlx::query(sql).bind(tenant.0).bind(AGREEMENTS_MAX).fetch_all(&mut **tx).await?;
    let of = |row: &PgRow| Ok(Agreement { from: row.try_get("from_day")?, plan: json_of::<Plan>(row, "plan", "a plan")? });
    rows.iter().rev().map(of).collect()
}

/// What was counted, by day of UTC: as many rows as days and meters.
async fn usage_by_day(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<Vec<DayUsage>, StoreError> {
    let sql = format!(
        "SELECT (at AT TIME ZONE 'UTC')::date AS day, meter, sum(quantity)::bigint AS quantity FROM usage_events
         WHERE {USAGE_BETWEEN} GROUP BY 1, 2 ORDER BY 1, 2"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(tenant.0).bind(from).bind(to);
    let of = |row: PgRow| {
        let meter: String = row.try_get("meter")?;
        let meter = Meter::parse(&meter).ok_or_else(|| corrupt("a meter", &meter, "there is no such one"))?;
        Ok(DayUsage { day: row.try_get("day")?, meter, quantity: row.try_get("quantity")? })
    };
    query.fetch_all(&mut **tx).await?.into_iter().map(of).collect()
}

/// All that the invoice of a month says: the month itself, and what came late of those before it.
async fn lines(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    month: Month,
    agreements: &[Agreement],
) -> Result<(Vec<DayUsage>, Vec<Line>), StoreError> {
    let oldest = month.minus(LATE_MONTHS);
    let sql = "SELECT month, lines FROM invoices WHERE tenant_id = $1 AND month >= $2 AND month < $3 AND corrects IS NULL ORDER BY month";
    let query = sqlx::query(sql).bind(tenant.0).bind(oldest.first_day()).bind(month.first_day());
    let (mut closed, mut billed) = (vec![], vec![]);
    for row in query.fetch_all(&mut **tx).await? {
        closed.push(Month::of(row.try_get("month")?));
        billed.extend(json_of::<Vec<Line>>(&row, "lines", "the lines of an invoice")?);
    }
    let from = closed.first().copied().unwrap_or(month);
    let all = usage_by_day(tx, tenant, from.starts_at(), month.ends_at()).await?;
    let mut lines = invoice::lines(month, agreements, &all);
    for earlier in closed {
        lines.extend(invoice::late(earlier, agreements, &all, &billed));
    }
    let usage = all.into_iter().filter(|one| Month::of(one.day) == month).collect();
    Ok((usage, lines))
}

impl TenantStore<'_> {
    /// Invoices and credit notes, the newest first, after a number.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invoices(&self, after: Option<i64>, first: u64) -> Result<Page<Invoice>, StoreError> {
        let first = first.clamp(1, PAGE_MAX);
        let mut tx = self.begin().await?;
        let sql = format!("{INVOICE} AND ($2::bigint IS NULL OR i.number < $2) ORDER BY i.number DESC LIMIT $3");
        let limit = i64::try_from(first + 1).unwrap_or(i64::MAX);
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).bind(after).bind(limit);
        let mut rows = query.fetch_all(&mut *tx).await?.iter().map(invoice).collect::<Result<Vec<_>, _>>()?;
        tx.commit().await?;
        let has_next = rows.len() as u64 > first;
        rows.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        Ok(Page { rows, has_next })
    }

    /// One of them.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invoice(&self, id: InvoiceId) -> Result<Option<Invoice>, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(sqlx::AssertSqlSafe(format!("{INVOICE} AND i.id = $2"))).bind(self.scope().tenant.0).bind(id.0);
        let row = query.fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        row.as_ref().map(invoice).transpose()
    }

    /// What a month comes to that is not closed; none where the tenant is on no plan in it, or it is closed.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invoice_draft(&self, month: Month) -> Result<Option<Draft>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let sql = "SELECT currency, next_month, invoice_due_at($2) AS due_at FROM billing_accounts WHERE tenant_id = $1";
        let account = sqlx::query(sql).bind(tenant.0).bind(month.first_day()).fetch_optional(&mut *tx).await?;
        let agreements = agreements(&mut tx, tenant).await?;
        let is_on_a_plan = agreements.iter().any(|agreement| agreement.from <= month.last_day());
        let Some(account) = account.filter(|_| is_on_a_plan) else { return Ok(None) };
        let next_month = Month::of(account.try_get("next_month")?);
        if month < next_month {
            return Ok(None);
        }
        let (usage, lines) = lines(&mut tx, tenant, month, &agreements).await?;
        tx.commit().await?;
        let (currency, due_at) = (account.try_get("currency")?, account.try_get("due_at")?);
        Ok(Some(Draft { month, currency, next_month, due_at, agreements, usage, lines }))
    }

    /// Closes a month, in one transaction with its number; none where somebody else has, or its time has not come.
    ///
    /// # Errors
    /// Where the database does not answer, or what was computed does not add up: then nothing is closed.
    pub async fn invoice_close(&self, month: Month) -> Result<Option<i64>, StoreError> {
        let (scope, id) = (self.scope(), InvoiceId::generate());
        let mut tx = self.begin().await?;
        // From here on nobody agrees a plan, and nobody else closes, until this is written or gone.
        let begin = sqlx::query_scalar::<_, bool>("SELECT invoice_begin($1)").bind(month.first_day());
        if !begin.fetch_one(&mut *tx).await? {
            return Ok(None);
        }
        let agreements = agreements(&mut tx, scope.tenant).await?;
        let (_, lines) = lines(&mut tx, scope.tenant, month, &agreements).await?;
        let Some(currency) = agreements.first().map(|agreement| agreement.plan.currency.clone()) else { return Ok(None) };
        invoice::check(&lines, &currency).map_err(|why| corrupt("an invoice that was computed", month, why))?;
        let total = invoice::total(&lines);
        let number: i64 = sqlx::query_scalar("SELECT invoice_close($1, $2, $3, $4, $5)")
            .bind(id.0)
            .bind(month.first_day())
            .bind(&currency)
            .bind(total.to_string())
            .bind(json!(lines))
            .fetch_one(&mut *tx)
            .await?;
        let detail = json!({"number": number, "month": month.to_string(), "total": total, "currency": currency}).to_string();
        audit_each(&mut tx, scope, Action::InvoiceClosed, "invoice", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Some(number))
    }
}

impl Store {
    /// Months of any tenant that are due, each for one worker and so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invoices_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, Month)>, StoreError> {
        let sql = "SELECT tenant_id, month FROM invoices_take($1, make_interval(secs => $2))";
        let rows = sqlx::query(sql).bind(count_max).bind(lease_s).fetch_all(self.pool()).await?;
        rows.iter().map(|row| Ok((TenantId(row.try_get("tenant_id")?), Month::of(row.try_get("month")?)))).collect()
    }

    /// Puts a tenant on a plan from a day on, in the place of what was agreed for that day; the tenant.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn plan_agree(
        &self,
        slug: &str,
        from: NaiveDate,
        plan: &Plan,
    ) -> Result<Result<TenantId, PlanRefusal>, StoreError> {
        let mut tx = self.pool().begin().await?;
        let sql = "SELECT refusal, tenant_id, next_month FROM plan_agree($1, $2, $3)";
        let row = sqlx::query(sql).bind(slug).bind(from).bind(json!(plan)).fetch_one(&mut *tx).await?;
        let refusal: Option<String> = row.try_get("refusal")?;
        if let Some(refusal) = refusal {
            return Ok(Err(match refusal.split_once(' ') {
                Some((_, currency)) => PlanRefusal::Currency(currency.to_owned()),
                None if refusal == "closed" => PlanRefusal::Closed { day: from, from: row.try_get("next_month")? },
                None => PlanRefusal::Tenant(slug.to_owned()),
            }));
        }
        let tenant = TenantId(row.try_get("tenant_id")?);
        let scope = Scope { tenant, actor: Actor::Operator, request: Request::own() };
        enter(&mut tx, tenant).await?;
        let detail = json!({"plan": plan.id, "name": plan.name, "from": from}).to_string();
        audit_each(&mut tx, &scope, Action::PlanAgreed, "tenant", &[tenant.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Ok(tenant))
    }

    /// Gives back an amount of an invoice, or all that is left of it; the number of the credit note.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invoice_credit(
        &self,
        number: i64,
        amount: Option<Decimal>,
        reason: &str,
    ) -> Result<Result<i64, CreditRefusal>, StoreError> {
        let mut tx = self.pool().begin().await?;
        let found = sqlx::query("SELECT * FROM invoice_find($1)").bind(number).fetch_optional(&mut *tx).await?;
        let Some(found) = found else { return Ok(Err(CreditRefusal::NotFound(number))) };
        if found.try_get("is_credit_note")? {
            return Ok(Err(CreditRefusal::CreditNote(number)));
        }
        let currency: String = found.try_get("currency")?;
        let rest = decimal(&found, "total")? - decimal(&found, "credited")?;
        let amount = amount.unwrap_or(rest);
        if amount <= Decimal::ZERO || domain::currency::round_money(amount, &currency) != amount {
            return Ok(Err(CreditRefusal::Amount { currency, amount }));
        }
        if amount > rest {
            return Ok(Err(CreditRefusal::TooMuch { number, rest, currency, amount }));
        }
        let (id, month) = (InvoiceId::generate(), Month::of(found.try_get("month")?));
        let line = invoice::credit(month, reason, amount);
        let credit = sqlx::query_scalar("SELECT invoice_credit($1, $2, $3, $4)");
        let credit = credit.bind(id.0).bind(number).bind(amount.to_string()).bind(json!([line]));
        let note: i64 = credit.fetch_one(&mut *tx).await?;
        let scope = Scope { tenant: TenantId(found.try_get("tenant_id")?), actor: Actor::Operator, request: Request::own() };
        enter(&mut tx, scope.tenant).await?;
        // Invoices outlast their tenant; its audit log does not.
        if stands(&mut tx, scope.tenant).await? {
            let detail =
                json!({"number": note, "of": number, "amount": amount, "currency": currency, "reason": reason}).to_string();
            audit_each(&mut tx, &scope, Action::InvoiceCredited, "invoice", &[id.0], &[Some(&detail)]).await?;
        }
        tx.commit().await?;
        Ok(Ok(note))
    }
}
