//! The audit log, searched; and how long a tenant keeps it. It is sealed and exported in [`super::seal`].

use std::net::IpAddr;

use bytes::Bytes;
use chrono::{DateTime, Duration, SecondsFormat, Utc};
use domain::audit::Action;
use domain::cell::row;
use domain::id::{AuditEventId, TenantId};
use domain::merkle::{Hash, hex};
use domain::scope::TraceId;
use sea_orm::sea_query::{self, Alias, Expr, Query};
use sea_orm::{ColumnTrait, QueryFilter, Select};
use sqlx::{AssertSqlSafe, Row};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::entity::audit_event;
use super::page::PAGE_MAX;
use super::receive::audit_each;
use super::seal::give;
use super::{Store, StoreError, TenantStore};
use crate::vault::Vault;

/// How far the time within an id may lie from that of its event: clocks of machines differ.
const CLOCKS: Duration = Duration::hours(1);
/// Where an index of actions leaves them out.
const SELDOM: &str = "action NOT LIKE 'message.%' AND action NOT LIKE 'delivery.%' AND action NOT LIKE 'attempt.%'";

/// What is looked for: all of it.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub subject: Option<Uuid>,
    pub subject_kind: Option<String>,
    /// The id of a person or key, with its prefix.
    pub actor: Option<String>,
    pub action: Option<String>,
    pub request: Option<Uuid>,
    /// Where it was asked for from, in the form in which the log has it ([`IpAddr::to_canonical`]).
    pub address: Option<IpAddr>,
    pub trace: Option<TraceId>,
    pub from: Option<DateTime<Utc>>,
    pub until: Option<DateTime<Utc>>,
    /// The cursor of the page, which is applied to the events by whoever pages: here it keeps a later page from going through all that an earlier one showed.
    pub after: Option<Uuid>,
}

impl AuditFilter {
    /// Each of them leans on an index: audit_events_subject, audit_actors (who, the address, the trace), audit_events_action, audit_events_request, the primary key.
    #[must_use]
    pub fn apply(self, mut select: Select<audit_event::Entity>) -> Select<audit_event::Entity> {
        use audit_event::Column;
        if let Some(subject) = self.subject {
            select = select.filter(Column::SubjectId.eq(subject));
        }
        if let Some(kind) = self.subject_kind {
            select = select.filter(Column::SubjectKind.eq(kind));
        }
        if let Some(request) = self.request {
            select = select.filter(Column::RequestId.eq(request));
        }
        let least = self.from.map(|from| floor(from.checked_sub_signed(CLOCKS).unwrap_or(from)));
        let below = self.until.map(|until| floor(until.checked_add_signed(CLOCKS).unwrap_or(until)));
        let (address, trace) = (self.address.map(|address| address.to_string()), self.trace.map(|trace| trace.to_string()));
        for told in [self.actor, address, trace].into_iter().flatten() {
            let event = || Expr::col(Alias::new("event_id"));
            let acts = Query::select()
                .column(Alias::new("event_id"))
                .from(Alias::new("audit_actors"))
                .and_where(Expr::cust("tenant_id = current_tenant()"))
                .and_where(sea_query::ExprTrait::eq(Expr::col(Alias::new("actor_id")), told))
                // What bounds the events bounds these only where it is said of them: one address may have sent all that ever came.
                .and_where_option(least.map(|least| sea_query::ExprTrait::gte(event(), least)))
                .and_where_option(below.map(|below| sea_query::ExprTrait::lt(event(), below)))
                .and_where_option(self.after.map(|after| sea_query::ExprTrait::lt(event(), after)))
                .to_owned();
            select = select.filter(Column::Id.in_subquery(acts));
        }
        if let Some(action) = self.action {
            if !["message.", "delivery.", "attempt."].iter().any(|often| action.starts_with(often)) {
                select = select.filter(Expr::cust(SELDOM));
            }
            select = select.filter(Column::Action.eq(action));
        }
        if let (Some(from), Some(least)) = (self.from, least) {
            select = select.filter(Column::Id.gte(least)).filter(Column::At.gte(from));
        }
        if let (Some(until), Some(below)) = (self.until, below) {
            select = select.filter(Column::Id.lt(below)).filter(Column::At.lt(until));
        }
        select
    }
}

/// The smallest id of a moment.
fn floor(at: DateTime<Utc>) -> Uuid {
    const MILLIS_MAX: i64 = (1 << 48) - 1;
    let millis = at.timestamp_millis().clamp(0, MILLIS_MAX);
    Uuid::from_u128(u128::from(millis.unsigned_abs()) << 80)
}

fn sheet_row(event: &audit_event::Model, sees_personal: bool) -> String {
    let (id, at) = (AuditEventId(event.id).to_string(), event.at.to_rfc3339_opts(SecondsFormat::Micros, true));
    let (actor, subject, request) = (event.actor.to_string(), event.subject_id.to_string(), event.request_id.to_string());
    let detail = event.detail.as_deref().unwrap_or_default();
    let hidden = if sees_personal { detail.into() } else { domain::personal::detail(&event.subject_kind, detail) };
    row([&id, &at, &actor, &event.action, &event.subject_kind, &subject, &request, hidden.as_ref()])
}

/// What an event tells of a message that came or was read back, beside what it tells already: with the digest of the body, a seal over the event holds
/// that, too. Webhooks have the same from the statement that takes them ([`super::intake`]).
pub(crate) fn told_with_body(mut told: serde_json::Value, sha256: &Hash) -> String {
    told[BODY_SHA256] = hex(sha256).into();
    told.to_string()
}

const BODY_SHA256: &str = "body_sha256";

/// Where the payload lies that an event is about. It is kept beside the log and not in it: what is sealed is its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PayloadPointer {
    /// What an attempt sent.
    Request { delivery: Uuid, attempt: i32, sha256: String },
    /// What it was answered, cut to its bound.
    Answer { delivery: Uuid, sha256: String },
    /// What arrived. Events from before it was written hold no digest of it.
    Message { message: Uuid, sha256: Option<String> },
    /// What was read back of a message that came thin.
    Fetched { message: Uuid, sha256: String },
    /// What the vendor answered in place of that, cut to its bound.
    FetchRefused { message: Uuid, sha256: String },
    /// What is kept of a call that was told after it was made: of its request, or of its answer.
    Call { event: Uuid, is_answer: bool, sha256: String },
}

impl PayloadPointer {
    /// What this event is about; `None` of one that is about no payload.
    #[must_use]
    pub fn of(event: Uuid, action: &str, subject: Uuid, detail: Option<&str>) -> Option<Self> {
        let detail: Option<serde_json::Value> = detail.and_then(|detail| serde_json::from_str(detail).ok());
        if action == Action::MessageReceived.as_str() {
            let sha256 = detail.and_then(|detail| Some(detail.get(BODY_SHA256)?.as_str()?.to_owned()));
            return Some(Self::Message { message: subject, sha256 });
        }
        let detail = detail?;
        let text = |name: &str| detail.get(name)?.as_str().map(str::to_owned);
        if action == Action::MessageFetched.as_str() {
            return Some(Self::Fetched { message: subject, sha256: text(BODY_SHA256)? });
        }
        if text("call").is_some_and(|call| call == "fetch") {
            return Some(Self::FetchRefused { message: subject, sha256: text("answer_sha256")? });
        }
        let is_attempts = [Action::AttemptStarted, Action::AttemptRead].iter().any(|one| one.as_str() == action);
        if let (true, Some(sha256)) = (is_attempts, text("request_sha256")) {
            let attempt = i32::try_from(detail.get("attempt")?.as_i64()?).ok()?;
            return Some(Self::Request { delivery: subject, attempt, sha256 });
        }
        if let Some(sha256) = text("request_sha256") {
            return Some(Self::Call { event, is_answer: false, sha256 });
        }
        Some(Self::Answer { delivery: subject, sha256: text("answer_sha256")? })
    }

    /// The answer beside the request of a call whose event is about both.
    #[must_use]
    pub fn answer(&self, detail: Option<&str>) -> Option<Self> {
        let detail: serde_json::Value = serde_json::from_str(detail?).ok()?;
        let sha256 = detail.get("answer_sha256")?.as_str()?.to_owned();
        match self {
            Self::Call { event, is_answer: false, .. } => Some(Self::Call { event: *event, is_answer: true, sha256 }),
            Self::Request { delivery, .. } => Some(Self::Answer { delivery: *delivery, sha256 }),
            _ => None,
        }
    }

    /// The digest that the event holds, in lower-case hexadecimal.
    #[must_use]
    pub fn sealed_sha256(&self) -> Option<&str> {
        match self {
            Self::Request { sha256, .. }
            | Self::Answer { sha256, .. }
            | Self::Call { sha256, .. }
            | Self::Fetched { sha256, .. }
            | Self::FetchRefused { sha256, .. } => Some(sha256),
            Self::Message { sha256, .. } => sha256.as_deref(),
        }
    }
}

impl TenantStore<'_> {
    /// The payload that an event is about, whole; `None` where it is not kept any more.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_payload(&self, pointer: &PayloadPointer) -> Result<Option<Vec<u8>>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let query = match pointer {
            PayloadPointer::Message { message, .. } => {
                sqlx::query_scalar("SELECT body FROM messages WHERE tenant_id = $1 AND id = $2").bind(tenant).bind(message)
            }
            PayloadPointer::Fetched { message, .. } => {
                let sql = "SELECT fetched FROM messages WHERE tenant_id = $1 AND id = $2 AND fetched IS NOT NULL";
                sqlx::query_scalar(sql).bind(tenant).bind(message)
            }
            // Leans on the attempts of a delivery (attempts_delivery); it has a few.
            PayloadPointer::Request { delivery, attempt, .. } => {
                let sql = "SELECT request FROM attempts WHERE tenant_id = $1 AND delivery_id = $2 AND number = $3";
                sqlx::query_scalar(sql).bind(tenant).bind(delivery).bind(attempt)
            }
            PayloadPointer::Call { event, is_answer, .. } => {
                let sql = "SELECT convert_to(CASE WHEN $3 THEN answer ELSE request END, 'UTF8') FROM call_payloads
                    WHERE tenant_id = $1 AND event_id = $2 AND CASE WHEN $3 THEN answer ELSE request END IS NOT NULL";
                sqlx::query_scalar(sql).bind(tenant).bind(event).bind(is_answer)
            }
            PayloadPointer::Answer { delivery, sha256 } => {
                sqlx::query_scalar(AssertSqlSafe(answer_of("delivery_id"))).bind(tenant).bind(delivery).bind(sha256)
            }
            PayloadPointer::FetchRefused { message, sha256 } => {
                sqlx::query_scalar(AssertSqlSafe(answer_of("message_id"))).bind(tenant).bind(message).bind(sha256)
            }
        };
        let payload = query.fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(payload)
    }
}

/// How long a tenant's events are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditPolicy {
    /// `None`: for ever.
    pub keep_days: Option<i32>,
    /// Why nothing may be removed, however old: a legal hold.
    pub hold: Option<String>,
}

impl Store {
    /// The newest event of each of these tenants; none where there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_latest(&self, tenants: &[TenantId]) -> Result<Vec<(TenantId, Option<Uuid>)>, StoreError> {
        let ids: Vec<Uuid> = tenants.iter().map(|tenant| tenant.0).collect();
        let rows: Vec<(Uuid, Option<Uuid>)> =
            sqlx::query_as("SELECT tenant_id, id FROM audit_latest($1)").bind(ids).fetch_all(self.pool()).await?;
        Ok(rows.into_iter().map(|(tenant, id)| (TenantId(tenant), id)).collect())
    }

    /// Tenants of which what is too old is to be removed; each is given once a day.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_policies_take(&self, count_max: i32) -> Result<Vec<TenantId>, StoreError> {
        let query = sqlx::query_scalar::<_, Uuid>("SELECT audit_policies_take($1)").bind(count_max);
        Ok(query.fetch_all(self.pool()).await?.into_iter().map(TenantId).collect())
    }
}

impl TenantStore<'_> {
    /// Gives what passes the filter as rows of CSV, newest first, until the end or until nobody takes them any more. That it was asked for stands in
    /// the audit log.
    ///
    /// # Errors
    /// Where the database does not answer, or nobody reads what is given.
    pub async fn audit_sheet(
        &self,
        filter: AuditFilter,
        sees_personal: bool,
        vault: &Vault,
        pieces: &mpsc::Sender<Result<Bytes, StoreError>>,
    ) -> Result<(), StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        audit_each(&mut tx, self.scope(), Action::AuditExported, "tenant", &[tenant.0], &[Some("{\"as\":\"csv\"}")]).await?;
        tx.commit().await?;
        let mut text = row(["id", "at", "actor", "action", "subject_kind", "subject_id", "request_id", "detail"]);
        let mut after = None;
        loop {
            let filter = AuditFilter { after, ..filter.clone() };
            let mut page = self.page::<audit_event::Entity>(|select| filter.apply(select), after, PAGE_MAX).await?;
            after = page.rows.last().map(|event| event.id);
            let details = page.rows.iter_mut().map(|event| event.detail.take()).collect();
            for (event, detail) in page.rows.iter_mut().zip(self.audit_details(vault, details).await?) {
                event.detail = detail;
            }
            text.extend(page.rows.iter().map(|event| sheet_row(event, sees_personal)));
            if !give(pieces, Bytes::from(std::mem::take(&mut text))).await? || !page.has_next {
                return Ok(());
            }
        }
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_policy(&self) -> Result<AuditPolicy, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query("SELECT keep_days, hold FROM audit_policies WHERE tenant_id = $1").bind(self.scope().tenant.0);
        let row = query.fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(AuditPolicy::default()) };
        Ok(AuditPolicy { keep_days: row.try_get("keep_days")?, hold: row.try_get("hold")? })
    }

    /// Says how long events are kept. What is too old goes within a day.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn audit_policy_set(&self, policy: &AuditPolicy) -> Result<(), StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let query = sqlx::query(
            "INSERT INTO audit_policies (tenant_id, keep_days, hold) VALUES ($1, $2, $3)
             ON CONFLICT (tenant_id) DO UPDATE SET keep_days = excluded.keep_days, hold = excluded.hold",
        );
        query.bind(tenant.0).bind(policy.keep_days).bind(&policy.hold).execute(&mut *tx).await?;
        let detail = serde_json::json!({"keep_days": policy.keep_days, "hold": policy.hold}).to_string();
        audit_each(&mut tx, self.scope(), Action::AuditPolicySet, "tenant", &[tenant.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The answer of an attempt whose column `of` is $2 (attempts_delivery, attempts_message), by its digest. One that was altered is found by no digest: the last
/// one that was answered is shown, and that it is not what was sealed. In the place of one that was erased its digest stands.
fn answer_of(of: &str) -> String {
    format!(
        "SELECT convert_to(answer, 'UTF8') FROM attempts WHERE tenant_id = $1 AND {of} = $2 AND answer IS NOT NULL
         ORDER BY encode(sha256(convert_to(answer, 'UTF8')), 'hex') = $3 OR answer = '{{\"erased\":\"' || $3 || '\"}}' DESC, number DESC LIMIT 1"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_points_at_its_payload_with_the_digest_that_it_holds() {
        let (event, subject) = (Uuid::now_v7(), Uuid::now_v7());
        let of = |action: Action, detail: Option<&str>| PayloadPointer::of(event, action.as_str(), subject, detail);
        let came = told_with_body(json!({"poll": "pol_1"}), &[0xab; 32]);
        assert_eq!(came, format!(r#"{{"poll":"pol_1","body_sha256":"{}"}}"#, "ab".repeat(32)));
        let sha256 = "ab".repeat(32);
        let message = PayloadPointer::Message { message: subject, sha256: Some(sha256.clone()) };
        assert_eq!(message.sealed_sha256(), Some(sha256.as_str()));
        assert_eq!(of(Action::MessageReceived, Some(&came)), Some(message));
        // Those of before have no digest, and what is no detail has none either.
        for detail in [None, Some(r#"{"poll":"pol_1"}"#), Some("no JSON")] {
            assert_eq!(of(Action::MessageReceived, detail), Some(PayloadPointer::Message { message: subject, sha256: None }));
        }
        let fetched = PayloadPointer::Fetched { message: subject, sha256: sha256.clone() };
        assert_eq!(of(Action::MessageFetched, Some(&came)), Some(fetched));
        assert_eq!(of(Action::MessageFetched, None), None);
        // Of a duplicate nothing is kept but the digest.
        assert_eq!(of(Action::MessageDuplicate, Some(&came)), None);
        let refusal = format!(r#"{{"call":"fetch","outcome":"failed","status":404,"answer_sha256":"{sha256}"}}"#);
        let refused = PayloadPointer::FetchRefused { message: subject, sha256: sha256.clone() };
        assert_eq!(of(Action::MessageException, Some(&refusal)), Some(refused));
        assert_eq!(of(Action::AttemptStarted, Some(r#"{"call":"fetch"}"#)), None);
        let answer = format!(r#"{{"outcome":"stored","status":201,"answer_sha256":"{sha256}"}}"#);
        assert_eq!(of(Action::AttemptConfirmed, Some(&answer)), Some(PayloadPointer::Answer { delivery: subject, sha256 }));
    }
}
