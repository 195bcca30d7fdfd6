//! What ends exceptions by a person's word: they are tried again, will not be sent, or were done by hand. One act may be about thousands; its
//! statements are set-based, and what it sets free goes behind what has just happened.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ConnectionId, ExceptionGroupId};
use domain::lane::Lane;
use domain::task::{Nudge, Stage};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use crate::postgres::receive::{audit, audit_each};
use crate::postgres::{StoreError, TenantStore, difference, inventory, three_way_match};

/// Exceptions of one act that names their cause; what is more is told.
pub const SELECTED_MAX: i64 = 10_000;
/// Deliveries of a connection that are nudged at once; the others are brought by the sweeper as these are done. All wait in the lane for what
/// comes again, so that an order that arrives meanwhile goes before them.
const NUDGED_MAX: i64 = 500;

/// Which exceptions an act is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub ids: Vec<Uuid>,
    pub cause_key: Option<String>,
}

/// With which version of its flow a delivery is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Versions {
    /// The one that is published now for where it goes: a mapping that was mended helps.
    #[default]
    Current,
    /// The one that it was planned with.
    Same,
}

/// Rows to nudge after an act, by stage.
pub type Nudges = Vec<(Stage, Nudge)>;

/// What became of an act that ends exceptions.
#[derive(Debug, Default)]
pub struct Ended {
    /// Those that were open and are not any more.
    pub ids: Vec<Uuid>,
    /// When that was; `None` where there were none.
    pub at: Option<DateTime<Utc>>,
    pub nudges: Nudges,
    /// More of the cause are open: the act is to be done again.
    pub has_more: bool,
}

/// Exceptions that were closed, with what they were about.
#[derive(Debug, Default)]
pub(crate) struct Closed {
    pub ids: Vec<Uuid>,
    pub at: Option<DateTime<Utc>>,
    pub deliveries: Vec<Uuid>,
    pub messages: Vec<Uuid>,
    /// Of the deliveries those that were confirmed, and about which a reconciliation found the destination to say something else.
    pub different: Vec<Uuid>,
}

impl TenantStore<'_> {
    /// Tries the selected exceptions again: they close, and their deliveries and messages stand where they began.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exceptions_retry(&self, selection: &Selection, versions: Versions) -> Result<Ended, StoreError> {
        let mut tx = self.begin().await?;
        let closed = close(&mut tx, selection, "resolved", "Tried again").await?;
        let mut nudges = self.set_free(&mut tx, &closed, versions).await?;
        nudges.extend(difference::resend(&mut tx, self.scope(), &[], &closed.different).await?.1);
        three_way_match::again(&mut tx, self.scope().tenant, &closed.ids).await?;
        inventory::again(&mut tx, self.scope().tenant, &closed.ids).await?;
        audit(&mut tx, self.scope(), Action::ExceptionResolved, "exception", &closed.ids).await?;
        audit(&mut tx, self.scope(), Action::DeliveryRetried, "delivery", &closed.deliveries).await?;
        self.tell_group(&mut tx, selection, Action::ExceptionGroupRetried, closed.ids.len(), None).await?;
        let has_more = has_more(&mut tx, selection, &closed).await?;
        tx.commit().await?;
        Ok(Ended { ids: closed.ids, at: closed.at, nudges, has_more })
    }

    /// Lets deliveries and messages go where they began, those that are due soonest first.
    pub(crate) async fn set_free(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        closed: &Closed,
        versions: Versions,
    ) -> Result<Nudges, StoreError> {
        let tenant = self.scope().tenant;
        let mut nudges = Nudges::new();
        let mut nudge = |stage, rows: Vec<sqlx::postgres::PgRow>| -> Result<(), StoreError> {
            for row in rows {
                if row.try_get("is_nudged")? {
                    let connection = ConnectionId(row.try_get("connection_id")?);
                    nudges.push((stage, Nudge::new(tenant, connection, Lane::Retry, row.try_get("id")?)));
                }
            }
            Ok(())
        };
        if !closed.deliveries.is_empty() {
            let rows = sqlx::query(
                "WITH s AS (
                     SELECT d.id, d.flow_id, d.connection_id, row_number() OVER (PARTITION BY d.connection_id ORDER BY d.due_by, d.id) AS n,
                            -- Where the vendor has no way to be asked, the exception told a person to look, and who retries it has looked.
                            EXISTS (SELECT FROM exceptions e WHERE e.id = ANY($6) AND e.delivery_id = d.id AND e.code = 'validation.unprovable')
                                AS has_looked
                     FROM deliveries d WHERE d.id = ANY($1) AND d.state = 'exception'
                 ), v AS (
                     SELECT DISTINCT ON (p.flow_id, p.connection_id) p.flow_id, p.connection_id, v.id
                     FROM (SELECT DISTINCT flow_id, connection_id FROM s) p
                     JOIN flows f ON f.id = p.flow_id
                     JOIN flow_versions v ON v.flow_id = f.id AND v.state IN ('published', 'candidate')
                      AND CASE WHEN v.destination_connection_id IS NULL THEN f.destination_connection_id ELSE v.destination_connection_id END
                          = p.connection_id
                     WHERE NOT $3 ORDER BY p.flow_id, p.connection_id, v.state DESC
                 )
                 UPDATE deliveries d SET
                     -- A write that may have had its effect is asked for before anything is sent again.
                     state = CASE WHEN d.unproven AND NOT s.has_looked THEN 'unknown' ELSE 'planned' END,
                     unproven = d.unproven AND NOT s.has_looked,
                     failures = 0, due_at = now(), lane = $5,
                     -- In this order.
                     sweep_at = now() + CASE WHEN s.n <= $4 THEN interval '10 seconds' ELSE make_interval(secs => s.n / 1000000.0) END,
                     -- What undoes another delivery is made by the version that it restores, and no other.
                     flow_version_id = CASE WHEN v.id IS NULL OR d.undoes IS NOT NULL THEN d.flow_version_id ELSE v.id END
                 FROM s LEFT JOIN v ON v.flow_id = s.flow_id AND v.connection_id = s.connection_id
                 WHERE d.id = ANY($1) AND d.id = s.id AND d.tenant_id = $2 AND d.state = 'exception'
                 RETURNING d.id, d.connection_id, s.n <= $4 AS is_nudged",
            )
            .bind(&closed.deliveries)
            .bind(tenant.0)
            .bind(versions == Versions::Same)
            .bind(NUDGED_MAX)
            .bind(Lane::Retry.rank())
            .bind(&closed.ids)
            .fetch_all(&mut **tx)
            .await?;
            nudge(Stage::Deliver, rows)?;
        }
        if !closed.messages.is_empty() {
            let rows = sqlx::query(
                "WITH s AS (
                     SELECT m.id, row_number() OVER (PARTITION BY m.connection_id ORDER BY m.id) AS n
                     FROM messages m WHERE m.id = ANY($1) AND m.state = 'exception'
                 )
                 UPDATE messages m SET state = 'received', failures = 0, lane = $4,
                     sweep_at = now() + CASE WHEN s.n <= $3 THEN interval '10 seconds' ELSE make_interval(secs => s.n / 1000000.0) END
                 FROM s WHERE m.id = ANY($1) AND m.id = s.id AND m.tenant_id = $2 AND m.state = 'exception'
                 RETURNING m.id, m.connection_id, s.n <= $3 AS is_nudged",
            )
            .bind(&closed.messages)
            .bind(tenant.0)
            .bind(NUDGED_MAX)
            .bind(Lane::Retry.rank())
            .fetch_all(&mut **tx)
            .await?;
            nudge(Stage::Receive, rows)?;
        }
        Ok(nudges)
    }

    /// Decides that the selected exceptions will not be sent, with a reason.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exceptions_ignore(&self, selection: &Selection, reason: &str) -> Result<Ended, StoreError> {
        let mut tx = self.begin().await?;
        let closed = close(&mut tx, selection, "ignored", reason).await?;
        difference::accept(&mut tx, self.scope(), &[], &closed.different, reason).await?;
        sqlx::query("UPDATE deliveries SET state = 'cancelled', settled_at = now() WHERE id = ANY($1) AND tenant_id = $2 AND state = 'exception'")
            .bind(&closed.deliveries)
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE messages SET state = 'ignored' WHERE id = ANY($1) AND tenant_id = $2 AND state = 'exception'")
            .bind(&closed.messages)
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        // An exception that is opened again has no resolution: why it was left stays in the audit log.
        let detail = serde_json::json!({ "reason": reason }).to_string();
        let details = vec![Some(detail.as_str()); closed.ids.len()];
        audit_each(&mut tx, self.scope(), Action::ExceptionIgnored, "exception", &closed.ids, &details).await?;
        self.tell_group(&mut tx, selection, Action::ExceptionGroupIgnored, closed.ids.len(), Some(reason)).await?;
        let has_more = has_more(&mut tx, selection, &closed).await?;
        tx.commit().await?;
        Ok(Ended { ids: closed.ids, at: closed.at, nudges: vec![], has_more })
    }

    /// One audit row beside those of each exception, so that the history of a group reads alone.
    pub(super) async fn tell_group(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        selection: &Selection,
        action: Action,
        count: usize,
        reason: Option<&str>,
    ) -> Result<(), StoreError> {
        let Some(cause_key) = selection.cause_key.as_ref().filter(|_| count > 0) else { return Ok(()) };
        let group = ExceptionGroupId::of(self.scope().tenant, cause_key);
        let detail = serde_json::json!({"count": count, "reason": reason}).to_string();
        audit_each(tx, self.scope(), action, "exception_group", &[group.0], &[Some(&detail)]).await
    }
}

/// Closes the selected open exceptions, oldest first; returns them with their deliveries and messages.
pub(crate) async fn close(
    tx: &mut Transaction<'static, Postgres>,
    selection: &Selection,
    state: &str,
    resolution: &str,
) -> Result<Closed, StoreError> {
    let rows = sqlx::query(
        "UPDATE exceptions e SET state = $1, resolution = $2, closed_at = now()
         FROM (SELECT id FROM exceptions WHERE tenant_id = current_tenant() AND state = 'open' AND (id = ANY($3) OR cause_key = $4) ORDER BY id LIMIT $5 FOR UPDATE) s
         WHERE e.id = s.id RETURNING e.id, e.delivery_id, e.message_id, e.code, e.closed_at",
    )
    .bind(state)
    .bind(resolution)
    .bind(&selection.ids)
    .bind(&selection.cause_key)
    .bind(SELECTED_MAX)
    .fetch_all(&mut **tx)
    .await?;
    let mut closed = Closed::default();
    for row in rows {
        closed.ids.push(row.try_get("id")?);
        closed.at = row.try_get("closed_at")?;
        let delivery = row.try_get::<Option<Uuid>, _>("delivery_id")?;
        closed.deliveries.extend(delivery);
        if row.try_get::<&str, _>("code")?.starts_with(difference::CODES) {
            closed.different.extend(delivery);
        }
        closed.messages.extend(row.try_get::<Option<Uuid>, _>("message_id")?);
    }
    Ok(closed)
}

async fn has_more(tx: &mut Transaction<'static, Postgres>, selection: &Selection, closed: &Closed) -> Result<bool, StoreError> {
    let is_full = i64::try_from(closed.ids.len()).is_ok_and(|count| count >= SELECTED_MAX);
    let Some(cause_key) = selection.cause_key.as_ref().filter(|_| is_full) else { return Ok(false) };
    let more = "SELECT EXISTS (SELECT FROM exceptions WHERE tenant_id = current_tenant() AND state = 'open' AND cause_key = $1)";
    Ok(sqlx::query_scalar(more).bind(cause_key).fetch_one(&mut **tx).await?)
}
