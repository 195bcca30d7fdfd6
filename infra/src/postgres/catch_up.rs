//! Backlogs: what each flow has still to deliver to each destination, in which order it goes, and how fast.
//!
//! The order of a backlog is one everywhere: what a person put first, then lanes, then business deadlines, then age.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::catch_up::{Rank, Rates};
use domain::id::{ConnectionId, FlowId};
use domain::lane::Lane;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit_each;
use super::{StoreError, TenantStore};

/// Deliveries of one destination that are counted, and put in order by one act.
pub const BACKLOG_MAX: i64 = 100_000;
/// Deliveries that are put in order when a connection goes on: as many as that takes half a minute for, which is the backlog of weeks.
const RESUMED_MAX: i64 = 1_000_000;
/// And of them at once: as many as nobody notices that waits for one of their rows.
const PLACED_AT_ONCE: usize = 20_000;
/// Over how long it is measured how fast a destination drains, s: the shortest of these in which it took as many, in as many batches, as say
/// something, because one that comes back speeds up within seconds. Else the longest.
const MEASURED_S: [f64; 4] = [2.0, 5.0, 10.0, MEASURED_LONGEST_S];
const MEASURED_LONGEST_S: f64 = 30.0;
const MEASURED_COUNT: i64 = 200;
const MEASURED_BATCHES: i64 = 20;
/// What began only a moment ago is taken to be so old, s.
const BEGUN_S: f64 = 5.0;

/// What one flow has still to deliver to one destination.
#[derive(Debug, Clone)]
pub struct Backlog {
    pub flow: FlowId,
    pub destination: ConnectionId,
    pub deliveries: i64,
    /// Of them those that a breaker holds.
    pub held: i64,
    /// When the message of the oldest was accepted.
    pub oldest_at: DateTime<Utc>,
    /// The soonest business deadline.
    pub due_by: Option<DateTime<Utc>>,
    /// Those whose deadline is over, and those whose deadline will be over before they are delivered.
    pub overdue: i64,
    pub will_be_late: i64,
    /// Where the last of them stands in the destination's whole backlog.
    pub last_at: i64,
    /// What a person decided, where that is one for all of them.
    pub rank: Option<i16>,
    pub is_paused: bool,
    /// More wait than are counted.
    pub is_cut: bool,
    pub rates: Rates,
}

impl TenantStore<'_> {
    /// The backlogs of all destinations, or of one, the longest first.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backlogs(&self, destination: Option<ConnectionId>) -> Result<Vec<Backlog>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let connections: Vec<Uuid> =
            sqlx::query_scalar("SELECT id FROM connections WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id = $2)")
                .bind(tenant)
                .bind(destination.map(|id| id.0))
                .fetch_all(&mut *tx)
                .await?;
        let rates = rates(&mut tx, tenant).await?;
        let of = |id: &Uuid| rates.get(id).copied().unwrap_or_default();
        let per_s = |id: &Uuid| of(id).drains().map(|(per_minute, _)| per_minute / 60.0).filter(|per_s| *per_s > 0.0);
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "WITH {BACKLOG}, placed AS (
                 SELECT b.*, row_number() OVER (PARTITION BY b.connection_id ORDER BY {ORDER}) AS at,
                        count(*) OVER (PARTITION BY b.connection_id) AS of_destination FROM backlog b
             )
             SELECT p.connection_id, p.flow_id, count(*) AS deliveries, count(*) FILTER (WHERE p.state = 'held') AS held, min(p.origin_at) AS oldest_at,
                    min(p.due_by) AS due_by, count(*) FILTER (WHERE p.due_by < now()) AS overdue,
                    count(*) FILTER (WHERE p.due_by < now() + make_interval(secs => p.at / r.per_s)) AS will_be_late,
                    max(p.at) AS last_at, max(p.of_destination) AS of_destination, CASE WHEN min(p.rank) = max(p.rank) THEN min(p.rank) END AS rank,
                    bool_or(c.state = 'paused') AS is_paused
             FROM placed p JOIN connections c ON c.id = p.connection_id
             LEFT JOIN unnest($1::uuid[], $3::float8[]) AS r (connection_id, per_s) ON r.connection_id = p.connection_id
             GROUP BY p.connection_id, p.flow_id ORDER BY deliveries DESC, p.flow_id"
        )))
        .bind(&connections)
        .bind(BACKLOG_MAX)
        .bind(connections.iter().map(per_s).collect::<Vec<_>>())
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let backlog = |row: sqlx::postgres::PgRow| -> Result<Backlog, StoreError> {
            let destination: Uuid = row.try_get("connection_id")?;
            Ok(Backlog {
                flow: FlowId(row.try_get("flow_id")?),
                destination: ConnectionId(destination),
                deliveries: row.try_get("deliveries")?,
                held: row.try_get("held")?,
                oldest_at: row.try_get("oldest_at")?,
                due_by: row.try_get("due_by")?,
                overdue: row.try_get("overdue")?,
                will_be_late: row.try_get("will_be_late")?,
                last_at: row.try_get("last_at")?,
                rank: row.try_get("rank")?,
                is_paused: row.try_get("is_paused")?,
                is_cut: row.try_get::<i64, _>("of_destination")? >= BACKLOG_MAX,
                rates: of(&destination),
            })
        };
        rows.into_iter().map(backlog).collect()
    }

    /// Puts what a flow has still to deliver, and has not begun to, before or behind everything else of its destinations, or where it came from. Returns how many.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backlog_rank(&self, flow: FlowId, rank: Rank) -> Result<u64, StoreError> {
        let mut tx = self.begin().await?;
        let connections: Vec<Uuid> = sqlx::query_scalar("SELECT id FROM connections WHERE tenant_id = $1")
            .bind(self.scope().tenant.0)
            .fetch_all(&mut *tx)
            .await?;
        let lane = match rank {
            Rank::First => Lane::Live,
            Rank::Normal => Lane::Retry,
            Rank::Last => Lane::Backfill,
        };
        let ranked = sqlx::query(sqlx::AssertSqlSafe(format!(
            "WITH {BACKLOG}, placed AS (
                 SELECT b.id, row_number() OVER (ORDER BY {ORDER}) AS at FROM backlog b
                 WHERE b.flow_id = $3 AND (b.state IN ('planned', 'held') AND b.due_at <= now())
             )
             UPDATE deliveries d SET rank = $4, lane = $5,
                    sweep_at = CASE WHEN d.state = 'held' THEN d.sweep_at ELSE now() + make_interval(secs => p.at / 1000000.0 - $6) END
             FROM placed p WHERE d.id = p.id AND d.state IN ('planned', 'held')"
        )))
        .bind(&connections)
        .bind(BACKLOG_MAX)
        .bind(flow.0)
        .bind(rank.number())
        .bind(lane.rank())
        // Before what is due now.
        .bind(if rank == Rank::First { 3_600.0 } else { 0.0 })
        .execute(&mut *tx)
        .await?
        .rows_affected();
        if ranked > 0 {
            let detail = serde_json::json!({"rank": rank.as_str(), "deliveries": ranked}).to_string();
            audit_each(&mut tx, self.scope(), Action::BacklogRanked, "flow", &[flow.0], &[Some(&detail)]).await?;
        }
        tx.commit().await?;
        Ok(ranked)
    }
}

/// What waits for each of `$1`, at most `$2` of each.
const BACKLOG: &str = "backlog AS (
    SELECT w.* FROM unnest($1::uuid[]) AS c (id) CROSS JOIN LATERAL (
        SELECT d.connection_id, d.flow_id, d.state, d.rank, d.lane, d.due_by, d.id, d.origin_at, d.due_at FROM deliveries d
        WHERE d.connection_id = c.id AND d.state IN ('planned', 'sending', 'waiting', 'unknown') LIMIT $2) w
    UNION ALL
    SELECT h.* FROM breakers b CROSS JOIN LATERAL (
        SELECT d.connection_id, d.flow_id, d.state, d.rank, d.lane, d.due_by, d.id, d.origin_at, d.due_at FROM deliveries d
        WHERE d.held_by = b.id AND d.state = 'held' LIMIT $2) h
    WHERE b.connection_id = ANY($1))";

/// What goes first; as in the index deliveries_held.
const ORDER: &str = "b.rank, b.lane, b.due_by, b.id";

/// How fast the tenant's destinations take deliveries, by connection.
async fn rates(tx: &mut Transaction<'static, Postgres>, tenant: Uuid) -> Result<HashMap<Uuid, Rates>, StoreError> {
    // Usage is written with what it counts, a row for each batch: that is what there is to add up, by its primary key.
    let rows = sqlx::query(
        "WITH u AS (
             SELECT connection_id, at, quantity FROM usage_events
             WHERE tenant_id = $1 AND id > uuid7_floor(now() - interval '1 day') AND meter = 'delivery_confirmed'
         ), late AS (
             SELECT u.*, min(at) OVER (PARTITION BY connection_id) AS begun_at FROM u WHERE at > now() - make_interval(secs => $3)
         ), spans AS (
             SELECT connection_id, span, sum(quantity) AS quantity, sum(quantity) >= $5 AND count(*) >= $6 AS is_enough,
                    least(span, greatest(extract(epoch FROM now() - begun_at), $4))::float8 AS seconds
             FROM late JOIN unnest($2::float8[]) AS s (span) ON at > now() - make_interval(secs => span) GROUP BY connection_id, span, begun_at
         ), of_late AS (
             SELECT DISTINCT ON (connection_id) connection_id, span, quantity * 60 / seconds AS confirms
             FROM spans ORDER BY connection_id, is_enough DESC, CASE WHEN is_enough THEN span ELSE -span END
         ), best AS (
             SELECT connection_id, max(quantity)::float8 AS best FROM (
                 SELECT connection_id, sum(quantity) AS quantity FROM u GROUP BY connection_id, date_trunc('minute', at)) m
             GROUP BY connection_id
         ), arrives AS (
             -- In the same time: what came during an outage is the backlog, and comes no more.
             SELECT d.connection_id, count(*) * 60 / l.span AS arrives FROM of_late l JOIN deliveries d USING (connection_id)
             WHERE d.tenant_id = $1 AND d.id > uuid7_floor(now() - make_interval(secs => $3)) AND d.id > uuid7_floor(now() - make_interval(secs => l.span))
               AND d.state <> 'superseded' AND d.lane = 0 GROUP BY d.connection_id, l.span
         )
         SELECT connection_id, CASE WHEN c.state = 'paused' THEN 0 ELSE coalesce(l.confirms, 0) END::float8 AS confirms, b.best, coalesce(a.arrives, 0)::float8 AS arrives
         FROM best b JOIN connections c ON c.id = b.connection_id LEFT JOIN of_late l USING (connection_id) LEFT JOIN arrives a USING (connection_id)",
    )
    .bind(tenant)
    .bind(&MEASURED_S[..])
    .bind(MEASURED_LONGEST_S)
    .bind(BEGUN_S)
    .bind(MEASURED_COUNT)
    .bind(MEASURED_BATCHES)
    .fetch_all(&mut **tx)
    .await?;
    let read = |row: sqlx::postgres::PgRow| -> Result<(Uuid, Rates), StoreError> {
        let rates = Rates { confirms: row.try_get("confirms")?, best: row.try_get("best")?, arrives: row.try_get("arrives")? };
        Ok((row.try_get("connection_id")?, rates))
    };
    rows.into_iter().map(read).collect()
}

impl TenantStore<'_> {
    /// Before a connection that was paused goes on: what waits for it is let go in the order of a backlog, behind what arrives from now on. What was left
    /// out would go as if it had just happened, and before what is due first. It goes piece by piece, while nothing is sent yet: one statement over the
    /// backlog of weeks would run out of its time, and keep what arrives for the same records waiting. Who is cut off leaves a connection that is paused.
    pub(super) async fn put_in_order(&self, connection: ConnectionId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let waits: Vec<Uuid> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT b.id FROM deliveries b JOIN connections c ON c.id = b.connection_id AND c.state = 'paused'
             WHERE b.connection_id = $1 AND b.state = 'planned' AND b.due_at <= now() ORDER BY {ORDER} LIMIT $2"
        )))
        .bind(connection.0)
        .bind(RESUMED_MAX)
        .fetch_all(&mut *tx)
        .await?;
        let began_at: DateTime<Utc> = sqlx::query_scalar("SELECT now()").fetch_one(&mut *tx).await?;
        tx.commit().await?;
        let mut placed: i64 = 0;
        for piece in waits.chunks(PLACED_AT_ONCE) {
            let mut tx = self.begin().await?;
            sqlx::query(
                "UPDATE deliveries d SET lane = CASE WHEN d.rank < 0 THEN 0 ELSE greatest(d.lane, $2) END,
                        sweep_at = $3 + make_interval(secs => ($4 + p.at) / 1000000.0)
                 FROM unnest($1::uuid[]) WITH ORDINALITY AS p (id, at)
                 -- Once somebody else has resumed it, what is on its way is not moved under it.
                 WHERE d.id = p.id AND d.id = ANY($1) AND d.state = 'planned'
                   AND EXISTS (SELECT FROM connections c WHERE c.id = $5 AND c.state = 'paused')",
            )
            .bind(piece)
            .bind(Lane::Retry.rank())
            .bind(began_at)
            .bind(placed)
            .bind(connection.0)
            .execute(&mut *tx)
            .await?;
            tx.commit().await?;
            placed += i64::try_from(piece.len()).unwrap_or(i64::MAX);
        }
        Ok(())
    }
}
