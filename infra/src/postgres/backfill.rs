//! Backfills: what a source has of a period, or of some ids, once more. A page is one transaction, as that of a poll is, and the next one is read only
//! when what the last one brought has come to rest, so that live work never stands behind more than a page.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::id::{BackfillId, ConnectionId, MessageId, TenantId};
use domain::lane::Lane;
use domain::merkle::hash;
use domain::message::Origin;
use domain::record::RecordKind;
use domain::task::Nudge;
use domain::usage::Meter;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::audit::told_with_body;
use super::call_payload::audit_calls;
use super::poll::Listed;
use super::receive::{audit, audit_each};
use super::sweep::NUDGE_GRACE_S;
use super::{Store, StoreError, TenantStore};

/// Backfills of a tenant that are prepared, ready, under way or paused.
const OPEN_MAX: i64 = 20;
/// Failures in a row after which it fails for good; a person may run it again, and it goes on where it stands.
const FAILURES_MAX: i32 = 6;

/// What is brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// What changed from the one moment on and before the other.
    Period(DateTime<Utc>, DateTime<Utc>),
    Ids(Vec<String>),
}

/// A backfill as whoever leads it needs it.
#[derive(Debug, Clone)]
pub struct Backfill {
    pub id: BackfillId,
    pub lease: Uuid,
    pub connection: ConnectionId,
    pub kind: RecordKind,
    pub what: What,
    pub is_running: bool,
    pub position: serde_json::Value,
    pub next_id: usize,
    pub failures: i32,
    pub is_connection_active: bool,
}

/// What a page came to.
#[derive(Debug, Default)]
pub struct BackfillPage<'a> {
    pub records: Vec<Listed>,
    /// Ids that the source does not have.
    pub missing: usize,
    pub position: Option<serde_json::Value>,
    pub next_id: usize,
    pub calls: &'a [ToldCall],
}

impl Store {
    /// The next backfills of any tenant, one of each, leased to the caller for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backfills_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, (BackfillId, Uuid))>, StoreError> {
        self.take_leased("SELECT tenant_id, id, lease_id FROM backfills_take($1, make_interval(secs => $2))", count_max, lease_s)
            .await
    }
}

impl TenantStore<'_> {
    /// Prepares a backfill: a period is estimated first, ids are counted. `None` where as many as may are open.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backfill_prepare(
        &self,
        connection: ConnectionId,
        kind: RecordKind,
        what: &What,
        position: &serde_json::Value,
    ) -> Result<Option<BackfillId>, StoreError> {
        let (id, scope) = (BackfillId::generate(), self.scope());
        let (since, until, ids) = match what {
            What::Period(since, until) => (Some(*since), Some(*until), None),
            What::Ids(ids) => (None, None, Some(ids)),
        };
        let mut tx = self.begin().await?;
        let made = sqlx::query(
            "INSERT INTO backfills (id, tenant_id, connection_id, kind, since_at, until_at, ids, position, started_by, state, estimate, is_exact)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, CASE WHEN $7 IS NULL THEN 'preparing' ELSE 'ready' END, cardinality($7), $7 IS NOT NULL
             WHERE (SELECT count(*) FROM backfills WHERE tenant_id = $2 AND state IN ('preparing', 'ready', 'running', 'paused')) < $10",
        )
        .bind(id.0)
        .bind(scope.tenant.0)
        .bind(connection.0)
        .bind(kind.as_str())
        .bind(since)
        .bind(until)
        .bind(ids)
        .bind(position)
        .bind(scope.actor_json())
        .bind(OPEN_MAX)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(None);
        }
        audit(&mut tx, scope, Action::BackfillPrepared, "backfill", &[id.0]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Moves a backfill where a person wants it; false where it does not stand where that can be, or is not there.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backfill_move(&self, id: Uuid, to: BackfillMove) -> Result<bool, StoreError> {
        let (from, state, action): (&[&str], &str, Action) = match to {
            BackfillMove::Run => (&["ready", "paused", "failed"], "running", Action::BackfillRun),
            BackfillMove::Pause => (&["running"], "paused", Action::BackfillPaused),
            BackfillMove::Cancel => {
                (&["preparing", "ready", "running", "paused", "failed"], "cancelled", Action::BackfillCancelled)
            }
        };
        let mut tx = self.begin().await?;
        // Whoever leads it leads it no more: a page under way is not written.
        let moved = sqlx::query(
            "UPDATE backfills SET state = $2, due_at = now(), lease_id = NULL, lease_until = NULL, failures = 0, failure = NULL,
                    ended_at = CASE WHEN $2 = 'cancelled' THEN now() END
             WHERE id = $1 AND state = ANY($3)",
        );
        let moved = moved.bind(id).bind(state).bind(from).execute(&mut *tx).await?;
        if moved.rows_affected() == 1 {
            audit(&mut tx, self.scope(), action, "backfill", &[id]).await?;
        }
        tx.commit().await?;
        Ok(moved.rows_affected() == 1)
    }

    /// A backfill that the caller leads; `None` where it is led by another, or has ended.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backfill_load(&self, id: BackfillId, lease: Uuid) -> Result<Option<Backfill>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT b.connection_id, b.kind, b.since_at, b.until_at, b.ids, b.state = 'running' AS is_running, b.position, b.next_id, b.failures,
                    c.state = 'active' AS is_connection_active
             FROM backfills b JOIN connections c ON c.id = b.connection_id
             WHERE b.id = $1 AND b.lease_id = $2 AND b.state IN ('preparing', 'running')",
        );
        let Some(row) = row.bind(id.0).bind(lease).fetch_optional(&mut *tx).await? else { return Ok(None) };
        tx.commit().await?;
        let word: &str = row.try_get("kind")?;
        let corrupt =
            || StoreError::Corrupt { what: "the kind", id: id.to_string(), why: format!("there is no kind \"{word}\"") };
        let what = match row.try_get::<Option<Vec<String>>, _>("ids")? {
            Some(ids) => What::Ids(ids),
            None => What::Period(row.try_get("since_at")?, row.try_get("until_at")?),
        };
        Ok(Some(Backfill {
            id,
            lease,
            connection: ConnectionId(row.try_get("connection_id")?),
            kind: RecordKind::parse(word).ok_or_else(corrupt)?,
            what,
            is_running: row.try_get("is_running")?,
            position: row.try_get("position")?,
            next_id: usize::try_from(row.try_get::<i32, _>("next_id")?).unwrap_or_default(),
            failures: row.try_get("failures")?,
            is_connection_active: row.try_get("is_connection_active")?,
        }))
    }

    /// Writes a page: what is newer than what is here becomes messages. `None` where somebody else leads it now, or it was paused.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the page comes again.
    pub async fn backfill_page(
        &self,
        backfill: &Backfill,
        page: &BackfillPage<'_>,
        lease_s: f64,
    ) -> Result<Option<Vec<Nudge>>, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let messages: Vec<Uuid> = page.records.iter().map(|_| MessageId::generate().0).collect();
        if !leads(&mut tx, backfill, lease_s).await? {
            return Ok(None);
        }
        let brought: Vec<Uuid> = sqlx::query_scalar(
            "WITH i AS (
                 SELECT * FROM unnest($4::uuid[], $5::text[], $6::timestamptz[], $7::bytea[]) AS i (id, source_id, changed_at, body)
             ), fresh AS (
                 SELECT i.* FROM i LEFT JOIN records r ON r.connection_id = $2 AND r.kind = $3 AND r.source_id = i.source_id
                 WHERE r.source_updated_at IS NULL OR i.changed_at IS NULL OR r.source_updated_at < i.changed_at
             ), made AS (
                 INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, body, sweep_at, lane)
                 SELECT id, $1, $2, $8, 'backfill/' || $3, 'backfill:' || id::text, $3, source_id, body, now() + make_interval(secs => $9), $12 FROM fresh
             ), counted AS (
                 INSERT INTO usage_events (id, tenant_id, meter, connection_id, quantity)
                 SELECT $10, $1, $11, $2, count(*) FROM fresh HAVING count(*) > 0
             )
             SELECT id FROM fresh ORDER BY id",
        )
        .bind(scope.tenant.0)
        .bind(backfill.connection.0)
        .bind(backfill.kind.as_str())
        .bind(&messages)
        .bind(page.records.iter().map(|record| record.source_id.as_deref()).collect::<Vec<_>>())
        .bind(page.records.iter().map(|record| record.changed_at).collect::<Vec<_>>())
        .bind(page.records.iter().map(|record| record.body.as_slice()).collect::<Vec<_>>())
        .bind(Origin::Backfill.as_str())
        .bind(NUDGE_GRACE_S)
        .bind(Uuid::now_v7())
        .bind(Meter::MessageAccepted.as_str())
        .bind(Lane::Backfill.rank())
        .fetch_all(&mut *tx)
        .await?;
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        sqlx::query(
            "UPDATE backfills SET position = coalesce($2, position), next_id = $3, page = $4, listed = listed + $5, brought = brought + $6,
                    missing = missing + $7, failures = 0, failure = NULL
             WHERE id = $1",
        )
        .bind(backfill.id.0)
        .bind(&page.position)
        .bind(i32::try_from(page.next_id).unwrap_or(i32::MAX))
        .bind(&brought)
        .bind(count(page.records.len()))
        .bind(count(brought.len()))
        .bind(count(page.missing))
        .execute(&mut *tx)
        .await?;
        self.note_calls(&mut tx, backfill, page.calls).await?;
        let bodies: HashMap<Uuid, &[u8]> =
            messages.into_iter().zip(page.records.iter().map(|record| record.body.as_slice())).collect();
        let told = |id: &Uuid| Some(told_with_body(serde_json::json!({"backfill": backfill.id}), &hash(&[*bodies.get(id)?])));
        let details: Vec<Option<String>> = brought.iter().map(told).collect();
        let details: Vec<Option<&str>> = details.iter().map(Option::as_deref).collect();
        audit_each(&mut tx, scope, Action::MessageReceived, "message", &brought, &details).await?;
        tx.commit().await?;
        let nudge = |id| Nudge::new(scope.tenant, backfill.connection, Lane::Backfill, id);
        Ok(Some(brought.into_iter().map(nudge).collect()))
    }

    async fn note_calls(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        backfill: &Backfill,
        calls: &[ToldCall],
    ) -> Result<(), StoreError> {
        audit_calls(tx, self.scope(), Action::BackfillRead, "backfill", backfill.id.0, calls).await
    }

    /// True where what the last page brought has come to rest: received, and delivered or in a person's hands. `None` where somebody else leads it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backfill_is_settled(&self, backfill: &Backfill, lease_s: f64) -> Result<Option<bool>, StoreError> {
        let mut tx = self.begin().await?;
        if !leads(&mut tx, backfill, lease_s).await? {
            return Ok(None);
        }
        // Leans on the primary key of messages and on deliveries_record.
        let is_settled = sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT FROM backfills b JOIN messages m ON m.id = ANY(b.page) WHERE b.id = $1 AND m.state IN ('received', 'fetching'))
                AND NOT EXISTS (SELECT FROM backfills b JOIN messages m ON m.id = ANY(b.page) JOIN deliveries d ON d.record_id = m.record_id
                                WHERE b.id = $1 AND d.state IN ('planned', 'sending', 'waiting', 'unknown', 'held'))",
        );
        let is_settled = is_settled.bind(backfill.id.0).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        Ok(Some(is_settled))
    }

    /// It is known how many there are, or about how many.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backfill_estimated(
        &self,
        backfill: &Backfill,
        estimate: Option<i64>,
        is_exact: bool,
        calls: &[ToldCall],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE backfills SET state = 'ready', estimate = $3, is_exact = $4, lease_id = NULL, lease_until = NULL, failures = 0, failure = NULL
             WHERE id = $1 AND lease_id = $2 AND state = 'preparing'",
        )
        .bind(backfill.id.0)
        .bind(backfill.lease)
        .bind(estimate)
        .bind(is_exact)
        .execute(&mut *tx)
        .await?;
        self.note_calls(&mut tx, backfill, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Everything was brought.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backfill_done(&self, backfill: &Backfill) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let done = sqlx::query(
            "UPDATE backfills SET state = 'done', ended_at = now(), lease_id = NULL, lease_until = NULL WHERE id = $1 AND lease_id = $2 AND state = 'running'",
        );
        if done.bind(backfill.id.0).bind(backfill.lease).execute(&mut *tx).await?.rows_affected() == 1 {
            audit(&mut tx, self.scope(), Action::BackfillDone, "backfill", &[backfill.id.0]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Gives it back, to be gone on with at that moment. With a failure it counts as one; after some in a row it fails for good.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn backfill_give_back(
        &self,
        backfill: &Backfill,
        due_at: DateTime<Utc>,
        failure: Option<&str>,
        calls: &[ToldCall],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let failed: Option<bool> = sqlx::query_scalar(
            "UPDATE backfills SET due_at = $3, lease_id = NULL, lease_until = NULL, failure = coalesce($4, failure),
                    failures = failures + ($4 IS NOT NULL)::integer,
                    state = CASE WHEN $4 IS NOT NULL AND failures + 1 >= $5 THEN 'failed' ELSE state END
             WHERE id = $1 AND lease_id = $2 RETURNING state = 'failed'",
        )
        .bind(backfill.id.0)
        .bind(backfill.lease)
        .bind(due_at)
        .bind(failure)
        .bind(FAILURES_MAX)
        .fetch_optional(&mut *tx)
        .await?;
        self.note_calls(&mut tx, backfill, calls).await?;
        if failed == Some(true) {
            audit_each(&mut tx, self.scope(), Action::BackfillFailed, "backfill", &[backfill.id.0], &[failure]).await?;
        }
        tx.commit().await?;
        Ok(())
    }
}

/// Where a person wants a backfill to stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BackfillMove {
    Run,
    Pause,
    Cancel,
}

/// Leads it for another while; false where somebody else does, or a person stopped it.
async fn leads(tx: &mut Transaction<'static, Postgres>, backfill: &Backfill, lease_s: f64) -> Result<bool, StoreError> {
    let leads = sqlx::query(
        "UPDATE backfills SET lease_until = now() + make_interval(secs => $3) WHERE id = $1 AND lease_id = $2 AND state = 'running'",
    );
    Ok(leads.bind(backfill.id.0).bind(backfill.lease).bind(lease_s).execute(&mut **tx).await?.rows_affected() == 1)
}
