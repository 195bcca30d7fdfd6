//! How much comes and goes, and how long it takes, in pieces of time side by side. Counts are those of the usage; times are of the newest live deliveries of
//! each piece, of so many at most, so that a look costs the same however much there is.

use chrono::{DateTime, Utc};
use sqlx::Row;

use super::{StoreError, TenantStore};

/// Live deliveries of one piece that are looked at.
pub const SAMPLE_MAX: i64 = 2_000;

/// What came and went in one piece.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Throughput {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    /// Messages that were accepted.
    pub accepted: i64,
    /// Deliveries that were confirmed, of all lanes.
    pub confirmed: i64,
    /// Live deliveries that were confirmed, and of them those of orders; [`SAMPLE_MAX`] at most.
    pub live: i64,
    pub live_orders: i64,
    /// Milliseconds from acceptance to confirmation of the live ones; none where there are none.
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
}

/// Leans on the primary key of usage_events, whose ids are times, and on deliveries_settled: the pieces are made first, because what makes them may not be
/// asked of a row before row-level security is, and so would keep the index from serving.
pub const THROUGHPUT_SQL: &str = "WITH counted AS (
        SELECT floor(extract(epoch FROM u.at - $2) / $3)::integer AS n,
               sum(u.quantity) FILTER (WHERE u.meter = 'message_accepted') AS accepted,
               sum(u.quantity) FILTER (WHERE u.meter = 'delivery_confirmed') AS confirmed
        FROM usage_events u
        WHERE u.tenant_id = $1 AND u.at >= $2 AND u.at < $2 + make_interval(secs => $3 * $4)
          AND u.id >= uuid7_floor($2 - interval '1 hour') AND u.id < uuid7_floor($2 + make_interval(secs => $3 * $4) + interval '1 hour')
        GROUP BY 1
    ), pieces AS MATERIALIZED (
        SELECT n, $2 + make_interval(secs => $3 * n) AS starts_at, $2 + make_interval(secs => $3 * (n + 1)) AS ends_at
        FROM generate_series(0, $4 - 1) n
    )
    SELECT p.starts_at, p.ends_at, coalesce(c.accepted, 0)::bigint AS accepted, coalesce(c.confirmed, 0)::bigint AS confirmed,
           l.live, l.live_orders, l.ms
    FROM pieces p LEFT JOIN counted c ON c.n = p.n
    CROSS JOIN LATERAL (
        SELECT count(*) AS live, count(f.id) AS live_orders,
               percentile_cont(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY extract(epoch FROM s.settled_at - s.origin_at)::float8 * 1000) AS ms
        FROM (SELECT d.flow_id, d.settled_at, d.origin_at FROM deliveries d
              WHERE d.tenant_id = $1 AND d.lane = 0 AND d.state IN ('confirmed', 'reconciled') AND d.undoes IS NULL
                AND d.settled_at >= p.starts_at AND d.settled_at < p.ends_at
              ORDER BY d.settled_at DESC LIMIT $5) s
        LEFT JOIN flows f ON f.tenant_id = $1 AND f.id = s.flow_id AND f.record_kind = 'order'
    ) l
    ORDER BY p.n";

impl TenantStore<'_> {
    /// So many pieces of so many seconds, from a moment on, the oldest first.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn throughput(&self, from: DateTime<Utc>, piece_s: u32, count: u32) -> Result<Vec<Throughput>, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(THROUGHPUT_SQL).bind(self.scope().tenant.0).bind(from);
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        let rows = query.bind(f64::from(piece_s)).bind(count).bind(SAMPLE_MAX).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let piece = |row: sqlx::postgres::PgRow| {
            let ms: Option<Vec<f64>> = row.try_get("ms")?;
            let at = |index: usize| ms.as_ref().and_then(|ms| ms.get(index)).copied();
            Ok(Throughput {
                from: row.try_get("starts_at")?,
                to: row.try_get("ends_at")?,
                accepted: row.try_get("accepted")?,
                confirmed: row.try_get("confirmed")?,
                live: row.try_get("live")?,
                live_orders: row.try_get("live_orders")?,
                p50_ms: at(0),
                p95_ms: at(1),
            })
        };
        rows.into_iter().map(piece).collect()
    }
}
