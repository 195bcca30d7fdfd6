//! The work of operations: how the ledger stands, which exceptions share a cause, and what a person decides about them.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::task::{Place, Stage};
use sqlx::Row;
use uuid::Uuid;

use super::receive::audit;
use super::{StoreError, TenantStore};

/// Exceptions of one decision.
pub const EXCEPTIONS_MAX: i64 = 1_000;

/// Open exceptions of one cause.
#[derive(Debug, Clone)]
pub struct ExceptionGroup {
    pub cause_key: String,
    pub code: String,
    pub cause: String,
    pub owner: String,
    pub next_step: String,
    pub value: Option<String>,
    pub lookup_table: Option<String>,
    pub count: i64,
    pub first_at: DateTime<Utc>,
    pub last_at: DateTime<Utc>,
}

/// Milliseconds from a message's acceptance to its delivery's confirmation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency {
    pub count: i64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
}

/// Which exceptions a decision is about.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub ids: Vec<Uuid>,
    pub cause_key: Option<String>,
}

/// How the ledger of a tenant stands at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Messages by state; they sum up to all that were accepted.
    pub messages: Vec<(String, i64)>,
    /// Deliveries by state.
    pub deliveries: Vec<(String, i64)>,
    /// Arrivals that were known already and had no second effect.
    pub duplicates: i64,
}

/// Rows to nudge after a decision, by stage.
pub type Nudges = Vec<(Stage, Place, Uuid)>;

impl TenantStore<'_> {
    /// The sums of the ledger, read in one statement and so at one moment: read one after the other, an order that moves between the two
    /// would be in neither sum or in both.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn ledger(&self) -> Result<Ledger, StoreError> {
        let mut tx = self.begin().await?;
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT 'message', state, count(*) FROM messages WHERE tenant_id = $1 GROUP BY state
             UNION ALL
             SELECT 'delivery', state, count(*) FROM deliveries WHERE tenant_id = $1 GROUP BY state
             UNION ALL
             SELECT 'duplicate', '', coalesce(sum(duplicates), 0)::bigint FROM message_keys WHERE tenant_id = $1
             ORDER BY 1, 2",
        )
        .bind(self.scope().tenant.0)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let mut ledger = Ledger::default();
        for (of, state, count) in rows {
            match of.as_str() {
                "message" => ledger.messages.push((state, count)),
                "delivery" => ledger.deliveries.push((state, count)),
                _ => ledger.duplicates = count,
            }
        }
        Ok(ledger)
    }

    /// From acceptance to confirmation, for deliveries confirmed since then.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn latency(&self, since: DateTime<Utc>) -> Result<Latency, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT count(*) AS count, percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP
                 (ORDER BY extract(epoch FROM settled_at - origin_at)::float8 * 1000) AS ms
             FROM deliveries WHERE tenant_id = $1 AND state IN ('confirmed', 'reconciled') AND settled_at >= $2",
        )
        .bind(self.scope().tenant.0)
        .bind(since)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        let ms: Option<Vec<f64>> = row.try_get("ms")?;
        let at = |index: usize| ms.as_ref().and_then(|ms| ms.get(index)).copied().unwrap_or_default();
        Ok(Latency { count: row.try_get("count")?, p50_ms: at(0), p95_ms: at(1), p99_ms: at(2) })
    }

    /// Open exceptions by cause, the largest group first; at most 200 groups.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exception_groups(&self) -> Result<Vec<ExceptionGroup>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT cause_key, min(code) AS code, min(cause) AS cause, min(owner) AS owner, min(next_step) AS next_step, min(value) AS value,
                    min(lookup_table) AS lookup_table, count(*) AS count, min(opened_at) AS first_at, max(opened_at) AS last_at
             FROM exceptions WHERE tenant_id = $1 AND state = 'open' GROUP BY cause_key ORDER BY count(*) DESC, cause_key LIMIT 200",
        )
        .bind(self.scope().tenant.0)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        rows.into_iter()
            .map(|row| {
                Ok(ExceptionGroup {
                    cause_key: row.try_get("cause_key")?,
                    code: row.try_get("code")?,
                    cause: row.try_get("cause")?,
                    owner: row.try_get("owner")?,
                    next_step: row.try_get("next_step")?,
                    value: row.try_get("value")?,
                    lookup_table: row.try_get("lookup_table")?,
                    count: row.try_get("count")?,
                    first_at: row.try_get("first_at")?,
                    last_at: row.try_get("last_at")?,
                })
            })
            .collect()
    }

    /// Tries the selected exceptions again: they close, and their deliveries and messages stand where they began.
    /// Returns the exceptions and the rows to nudge.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exceptions_retry(&self, selection: &Selection) -> Result<(Vec<Uuid>, Nudges), StoreError> {
        let mut tx = self.begin().await?;
        let (ids, deliveries, messages) = close(&mut tx, selection, "resolved", "Tried again").await?;
        let tenant = self.scope().tenant;
        let mut nudges = Nudges::new();
        let rows = sqlx::query(
            "UPDATE deliveries d SET
                 -- A write that may have had its effect is asked for before anything is sent again.
                 state = CASE WHEN d.unproven THEN 'unknown' ELSE 'planned' END,
                 failures = 0, due_at = now(), sweep_at = now() + interval '10 seconds',
                 -- Tried with what is published now for where it goes: a mapping that was mended helps.
                 flow_version_id = coalesce((SELECT v.id FROM flow_versions v JOIN flows f ON f.id = v.flow_id
                     WHERE v.flow_id = d.flow_id AND v.state IN ('published', 'candidate')
                       AND coalesce(v.destination_connection_id, f.destination_connection_id) = d.connection_id), d.flow_version_id)
             WHERE d.tenant_id = $2 AND d.id = ANY($1) AND d.state = 'exception' RETURNING d.id, d.connection_id",
        )
        .bind(&deliveries)
        .bind(tenant.0)
        .fetch_all(&mut *tx)
        .await?;
        for row in rows {
            let place = Place { tenant, connection: Some(domain::id::ConnectionId(row.try_get("connection_id")?)) };
            nudges.push((Stage::Deliver, place, row.try_get("id")?));
        }
        let rows = sqlx::query(
            "UPDATE messages SET state = 'received', failures = 0, sweep_at = now() + interval '10 seconds'
             WHERE tenant_id = $1 AND id = ANY($2) AND state = 'exception' RETURNING id, connection_id",
        )
        .bind(tenant.0)
        .bind(&messages)
        .fetch_all(&mut *tx)
        .await?;
        for row in rows {
            let place = Place { tenant, connection: Some(domain::id::ConnectionId(row.try_get("connection_id")?)) };
            nudges.push((Stage::Receive, place, row.try_get("id")?));
        }
        super::three_way_match::again(&mut tx, tenant, &ids).await?;
        audit(&mut tx, self.scope(), Action::ExceptionResolved, "exception", &ids).await?;
        audit(&mut tx, self.scope(), Action::DeliveryRetried, "delivery", &deliveries).await?;
        tx.commit().await?;
        Ok((ids, nudges))
    }

    /// Decides that the selected exceptions will not be sent, with a reason.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn exceptions_ignore(&self, selection: &Selection, reason: &str) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.begin().await?;
        let (ids, deliveries, messages) = close(&mut tx, selection, "ignored", reason).await?;
        sqlx::query("UPDATE deliveries SET state = 'cancelled', settled_at = now() WHERE tenant_id = $2 AND id = ANY($1) AND state = 'exception'")
            .bind(&deliveries)
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE messages SET state = 'ignored' WHERE tenant_id = $2 AND id = ANY($1) AND state = 'exception'")
            .bind(&messages)
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        audit(&mut tx, self.scope(), Action::ExceptionIgnored, "exception", &ids).await?;
        tx.commit().await?;
        Ok(ids)
    }

    /// What is billed, by meter.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn usage(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<(String, i64)>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT meter AS state, sum(quantity)::bigint AS count FROM usage_events WHERE tenant_id = $1 AND at >= $2 AND at < $3 GROUP BY meter ORDER BY meter",
        )
        .bind(self.scope().tenant.0)
        .bind(from)
        .bind(to)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        rows.into_iter().map(|row| Ok((row.try_get("state")?, row.try_get("count")?))).collect()
    }
}

/// Closes the selected open exceptions, oldest first; returns them with their deliveries and messages.
async fn close(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    selection: &Selection,
    state: &str,
    resolution: &str,
) -> Result<(Vec<Uuid>, Vec<Uuid>, Vec<Uuid>), StoreError> {
    let rows = sqlx::query(
        "UPDATE exceptions e SET state = $1, resolution = $2, closed_at = now()
         FROM (SELECT id FROM exceptions WHERE tenant_id = current_tenant() AND state = 'open' AND (id = ANY($3) OR cause_key = $4) ORDER BY id LIMIT $5 FOR UPDATE) s
         WHERE e.id = s.id RETURNING e.id, e.delivery_id, e.message_id",
    )
    .bind(state)
    .bind(resolution)
    .bind(&selection.ids)
    .bind(&selection.cause_key)
    .bind(EXCEPTIONS_MAX)
    .fetch_all(&mut **tx)
    .await?;
    let (mut ids, mut deliveries, mut messages) = (vec![], vec![], vec![]);
    for row in rows {
        ids.push(row.try_get("id")?);
        deliveries.extend(row.try_get::<Option<Uuid>, _>("delivery_id")?);
        messages.extend(row.try_get::<Option<Uuid>, _>("message_id")?);
    }
    Ok((ids, deliveries, messages))
}
