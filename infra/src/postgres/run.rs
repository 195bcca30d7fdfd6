//! Runs: one bounded execution of a flow, in the background. A run is leased by one worker at a time; one whose worker died is taken again.

use domain::audit::Action;
use domain::delivery::DeliveryState;
use domain::id::{DeliveryId, FlowId, FlowVersionId, RecordId, RunId, TenantId};
use domain::replay::{Over, Report};
use sqlx::Row;
use uuid::Uuid;

use super::flow::{FlowVersion, Stepped};
use super::receive::{audit, audit_each};
use super::revision::RevisionRow;
use super::{Store, StoreError, TenantStore};

/// Runs of a tenant that wait or are under way.
const RUNS_MAX: i64 = 10;

/// A run, as its worker needs it.
#[derive(Debug, Clone)]
pub struct Run {
    pub id: RunId,
    pub flow: FlowId,
    pub version: FlowVersionId,
    pub over: Over,
}

/// A record that was delivered, and what was made of it.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// The one that the flow last delivered, or else the last.
    pub revision: RevisionRow,
    /// The message it was read from, where that was asked for: its body as it came, or as it was read back.
    pub body: Option<Vec<u8>>,
    /// None where the flow did not take it.
    pub delivery: Option<(DeliveryId, DeliveryState)>,
    /// The last write that was sent: its payload, and what was known of the destination.
    pub sent: Option<(Vec<u8>, Option<String>)>,
}

impl Store {
    /// The next runs of any tenant, leased for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn runs_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, RunId)>, StoreError> {
        self.take("SELECT tenant_id, id FROM runs_take($1, make_interval(secs => $2))", count_max, lease_s).await
    }

    /// What a named function leases to the caller.
    pub(super) async fn take<I: From<Uuid>>(
        &self,
        sql: &'static str,
        count_max: i32,
        lease_s: f64,
    ) -> Result<Vec<(TenantId, I)>, StoreError> {
        let rows: Vec<(Uuid, Uuid)> = sqlx::query_as(sql).bind(count_max).bind(lease_s).fetch_all(self.pool()).await?;
        Ok(rows.into_iter().map(|(tenant, id)| (TenantId(tenant), I::from(id))).collect())
    }

    /// As [`Self::take`], where whoever takes it shows its lease with all that they write.
    pub(super) async fn take_leased<I: From<Uuid>>(
        &self,
        sql: &'static str,
        count_max: i32,
        lease_s: f64,
    ) -> Result<Vec<(TenantId, (I, Uuid))>, StoreError> {
        let rows: Vec<(Uuid, Uuid, Uuid)> = sqlx::query_as(sql).bind(count_max).bind(lease_s).fetch_all(self.pool()).await?;
        Ok(rows.into_iter().map(|(tenant, id, lease)| (TenantId(tenant), (I::from(id), lease))).collect())
    }
}

impl TenantStore<'_> {
    /// Queues a replay of a version; `None` where as many as may are queued or under way.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn replay_start(&self, version: &FlowVersion, over: &Over) -> Result<Option<RunId>, StoreError> {
        let (id, mut tx) = (RunId::generate(), self.begin().await?);
        let made = sqlx::query(
            "INSERT INTO runs (id, tenant_id, flow_id, flow_version_id, kind, over, started_by)
             SELECT $1, $2, $3, $4, 'replay', $5, $6
             WHERE (SELECT count(*) FROM runs WHERE tenant_id = $2 AND state IN ('queued', 'running')) < $7",
        )
        .bind(id.0)
        .bind(self.scope().tenant.0)
        .bind(version.flow.0)
        .bind(version.id.0)
        .bind(serde_json::to_value(over).expect("what it runs over is plain data"))
        .bind(self.scope().actor_json())
        .bind(RUNS_MAX)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(None);
        }
        audit(&mut tx, self.scope(), Action::RunStarted, "run", &[id.0]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn run_load(&self, id: RunId) -> Result<Option<Run>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query("SELECT flow_id, flow_version_id, over FROM runs WHERE tenant_id = $1 AND id = $2")
            .bind(self.scope().tenant.0)
            .bind(id.0)
            .fetch_optional(&mut *tx)
            .await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let corrupt =
            |error: serde_json::Error| StoreError::Corrupt { what: "the run", id: id.to_string(), why: error.to_string() };
        Ok(Some(Run {
            id,
            flow: FlowId(row.try_get("flow_id")?),
            version: FlowVersionId(row.try_get("flow_version_id")?),
            over: serde_json::from_value(row.try_get("over")?).map_err(corrupt)?,
        }))
    }

    /// Tells that the run goes on; false where it is somebody else's by now, and not to be gone on with.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn run_goes_on(&self, id: RunId, report: &Report, lease_s: f64) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let kept = sqlx::query(
            "UPDATE runs SET lease_until = now() + make_interval(secs => $3), report = $4
             WHERE tenant_id = $1 AND id = $2 AND state = 'running' AND lease_until > now()",
        )
        .bind(self.scope().tenant.0)
        .bind(id.0)
        .bind(lease_s)
        .bind(serde_json::to_value(report).expect("a report is plain data"))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(kept.rows_affected() == 1)
    }

    /// Ends a run with its report, or with why there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn run_end(&self, id: RunId, outcome: Result<&Report, &str>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let report = outcome.ok().map(|report| serde_json::to_value(report).expect("a report is plain data"));
        let ended = sqlx::query(
            "UPDATE runs SET state = CASE WHEN $4::text IS NULL THEN 'done' ELSE 'failed' END, ended_at = now(), report = coalesce($3, report),
                    is_clean = $5, failure = $4
             WHERE tenant_id = $1 AND id = $2 AND state = 'running'",
        )
        .bind(self.scope().tenant.0)
        .bind(id.0)
        .bind(report)
        .bind(outcome.err())
        .bind(outcome.ok().map(Report::is_clean))
        .execute(&mut *tx)
        .await?;
        if ended.rows_affected() == 1 {
            audit(&mut tx, self.scope(), Action::RunEnded, "run", &[id.0]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Decides that what the run would change is wanted, with a reason.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn run_accept(&self, id: RunId, why: &str) -> Result<Stepped, StoreError> {
        let mut tx = self.begin().await?;
        let accepted = sqlx::query(
            "UPDATE runs SET accepted_by = $3, accepted_at = now(), accepted_why = $4 WHERE tenant_id = $1 AND id = $2 AND state = 'done'",
        )
        .bind(self.scope().tenant.0)
        .bind(id.0)
        .bind(self.scope().actor_json())
        .bind(why)
        .execute(&mut *tx)
        .await?;
        if accepted.rows_affected() == 0 {
            return Ok(Stepped::NotFound);
        }
        let detail = serde_json::json!({"why": why}).to_string();
        audit_each(&mut tx, self.scope(), Action::RunAccepted, "run", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Stepped::Done)
    }

    /// Records of a flow's kind and source, older than `before`, newest first, each with what the flow last sent of it. With their messages
    /// only where these are read again.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn delivered(
        &self,
        flow: &FlowVersion,
        over: &Over,
        before: Option<RecordId>,
        first: i64,
        with_messages: bool,
    ) -> Result<Vec<Delivered>, StoreError> {
        let (from, to) = match over {
            Over::Last(_) => (None, None),
            Over::Period { from, to } => (Some(*from), Some(*to)),
        };
        let mut tx = self.begin().await?;
        // Leans on records_list for the page, on deliveries_record and attempts_delivery for what was sent of each.
        let rows = sqlx::query(
            "WITH page AS (
                 SELECT r.id, r.tenant_id, r.number, r.source_id, r.revision, r.revision_id, r.created_at FROM records r
                 WHERE r.tenant_id = $1 AND r.connection_id = $2 AND r.kind = $3 AND ($5::uuid IS NULL OR r.id < $5)
                   -- What went elsewhere is not this version's.
                   AND NOT EXISTS (SELECT FROM deliveries e WHERE e.record_id = r.id AND e.flow_id = $4 AND e.connection_id <> $10)
                   AND ($6::timestamptz IS NULL OR r.id >= uuid7_floor($6)) AND ($7::timestamptz IS NULL OR r.id < uuid7_floor($7))
                 ORDER BY r.id DESC LIMIT $8
             )
             SELECT p.id AS record_id, p.number, p.source_id, CASE WHEN d.revision IS NULL THEN v.revision ELSE d.revision END AS revision, v.document, v.unbalanced, d.id AS delivery_id, d.state,
                    coalesce(d.origin_at, p.created_at) AS origin_at, a.request, a.inputs,
                    CASE WHEN $9 THEN (SELECT coalesce(m.fetched, m.body) FROM messages m WHERE m.id = v.message_id AND m.origin <> 'manual') END AS body
             FROM page p
             LEFT JOIN LATERAL (
                 SELECT d.id, d.state, d.revision, d.revision_id, d.origin_at FROM deliveries d
                 WHERE d.record_id = p.id AND d.flow_id = $4 AND d.state <> 'superseded' ORDER BY d.revision DESC, d.id DESC LIMIT 1) d ON true
             -- By id alone and without coalesce, which row-level security holds for a leak and no index serves then: a plan would read all
             -- revisions of the tenant for each record.
             JOIN record_revisions v ON v.id = CASE WHEN d.revision_id IS NULL THEN p.revision_id ELSE d.revision_id END
             LEFT JOIN LATERAL (
                 SELECT a.request, a.inputs FROM attempts a
                 WHERE a.delivery_id = d.id AND a.kind IN ('write', 'update') AND a.outcome IS DISTINCT FROM 'not_sent'
                 ORDER BY a.number DESC LIMIT 1) a ON true
             ORDER BY p.id DESC",
        )
        .bind(self.scope().tenant.0)
        .bind(flow.source.0)
        .bind(flow.kind.as_str())
        .bind(flow.flow.0)
        .bind(before.map(|record| record.0))
        .bind(from)
        .bind(to)
        .bind(first)
        .bind(with_messages)
        .bind(flow.destination.0)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let mut delivered = Vec::with_capacity(rows.len());
        for row in rows {
            let id: Option<Uuid> = row.try_get("delivery_id")?;
            let state = row.try_get::<Option<&str>, _>("state")?.and_then(DeliveryState::parse);
            let request: Option<Vec<u8>> = row.try_get("request")?;
            let inputs: Option<String> = row.try_get("inputs")?;
            delivered.push(Delivered {
                revision: RevisionRow::read(&row)?,
                body: row.try_get("body")?,
                delivery: id.zip(state).map(|(id, state)| (DeliveryId(id), state)),
                sent: request.map(|request| (request, inputs)),
            });
        }
        Ok(delivered)
    }
}
