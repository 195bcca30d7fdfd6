//! The work of operations: how the ledger stands, how long deliveries take, and what is billed.

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::{StoreError, TenantStore};

/// Milliseconds from a message's acceptance to its delivery's confirmation.
#[derive(Debug, Clone, Copy, Default)]
pub struct Latency {
    pub count: i64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    pub p99_ms: f64,
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

/// Which rows a time has, of the tenant $1 from $2 to before $3. An id is made by the clock of who counts and `at` by the database's: two days of margin keep
/// them together, so that the months beside are not read. Whoever bills and whoever shows what is billed uses this one.
pub(super) const USAGE_BETWEEN: &str = "tenant_id = $1 AND at >= $2 AND at < $3
    AND id >= uuid7_floor(greatest($2 - interval '2 days', timestamptz '1970-01-01 00:00:00Z'))
    AND id < uuid7_floor(least(greatest($3, timestamptz '1970-01-01 00:00:00Z') + interval '2 days', timestamptz '9999-12-31 00:00:00Z'))";

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
             FROM deliveries WHERE tenant_id = $1 AND lane IN (0, 1, 2) AND state IN ('confirmed', 'reconciled') AND settled_at >= $2
               AND undoes IS NULL", // All lanes there are: so the index deliveries_settled serves it.
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

    /// What is billed, by meter.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn usage(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<(String, i64)>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT meter AS state, sum(quantity)::bigint AS count FROM usage_events WHERE {USAGE_BETWEEN} GROUP BY meter ORDER BY meter"
        )))
        .bind(self.scope().tenant.0)
        .bind(from)
        .bind(to)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        rows.into_iter().map(|row| Ok((row.try_get("state")?, row.try_get("count")?))).collect()
    }
}
