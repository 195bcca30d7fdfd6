//! Reconciliations: queued by a person or a schedule, leased by one worker at a time, and read again from the beginning where that one died,
//! because reading changes nothing. What they read of the ledger is here; what they find is in `difference`.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::delivery::DeliveryState;
use domain::id::{ConnectionId, DeliveryId, FlowId, FlowVersionId, ReconciliationId, RecordId, TenantId};
use domain::lane::Lane;
use domain::reconciliation::{Period, Report};
use domain::record::RecordKind;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::call_payload::audit_calls;
use super::flow::FlowVersion;
use super::receive::{audit, audit_each};
use super::revision::RevisionRow;
use super::{Store, StoreError, TenantStore};

/// Reconciliations of a tenant that wait or are under way.
const QUEUED_MAX: i64 = 20;

/// One, as its worker needs it.
#[derive(Debug, Clone)]
pub struct Reconciliation {
    pub id: ReconciliationId,
    pub flow: FlowId,
    pub period: Period,
    /// Since when the version that runs does: what came before it was another version's to take or leave.
    pub published_at: Option<DateTime<Utc>>,
    /// Fields of the payload that the destination changes on purpose.
    pub ignored_fields: Vec<String>,
}

/// How often a flow is reconciled by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconciliationSchedule {
    pub every_hours: i32,
    pub back_hours: i32,
    pub ignored_fields: Vec<String>,
    pub next_at: DateTime<Utc>,
}

/// What is known of a flow's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Open ones.
    pub exceptions: i64,
    pub differences: i64,
    /// Of the newest proof.
    pub proven_until: Option<DateTime<Utc>>,
    pub proven_at: Option<DateTime<Utc>>,
    /// Of the last reconciliation that ended.
    pub reconciled_at: Option<DateTime<Utc>>,
    pub last_is_proof: bool,
}

/// What came of an id at a source.
#[derive(Debug, Clone)]
pub enum Came {
    /// A message of it waits to be received or read back.
    UnderWay,
    /// A message of it waits for a person.
    Stopped,
    Record {
        record: RecordId,
        /// The last revision.
        document: String,
        /// When that was stored.
        revised_at: DateTime<Utc>,
        /// What the flow planned of it last.
        delivery: Option<(DeliveryId, DeliveryState)>,
    },
}

/// A delivery that was confirmed, and what the destination called it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmed {
    pub delivery: DeliveryId,
    pub destination_id: String,
    pub source_id: String,
}

/// The same with all that its payload is made of.
#[derive(Debug, Clone)]
pub struct ConfirmedRevision {
    pub delivery: DeliveryId,
    pub version: FlowVersionId,
    pub revision: RevisionRow,
    /// It restored what stood there before: an earlier revision than the record has. What its source said since is not there.
    pub is_behind: bool,
}

impl Store {
    /// The next reconciliations of any tenant, leased for so long; those that a schedule asks for are queued first.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliations_take(
        &self,
        count_max: i32,
        lease_s: f64,
    ) -> Result<Vec<(TenantId, ReconciliationId)>, StoreError> {
        self.take("SELECT tenant_id, id FROM reconciliations_take($1, make_interval(secs => $2))", count_max, lease_s).await
    }
}

impl TenantStore<'_> {
    /// Queues a reconciliation; `None` where as many as may are queued or under way, or there is no such flow.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_start(&self, flow: FlowId, period: Period) -> Result<Option<ReconciliationId>, StoreError> {
        let (id, mut tx) = (ReconciliationId::generate(), self.begin().await?);
        let made = sqlx::query(
            "INSERT INTO reconciliations (id, tenant_id, flow_id, from_at, until_at, started_by)
             SELECT $1, $2, f.id, $4, $5, $6 FROM flows f WHERE f.id = $3
               AND (SELECT count(*) FROM reconciliations WHERE tenant_id = $2 AND state IN ('queued', 'running')) < $7",
        )
        .bind(id.0)
        .bind(self.scope().tenant.0)
        .bind(flow.0)
        .bind(period.from)
        .bind(period.until)
        .bind(self.scope().actor_json())
        .bind(QUEUED_MAX)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(None);
        }
        audit(&mut tx, self.scope(), Action::ReconciliationStarted, "reconciliation", &[id.0]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_load(&self, id: ReconciliationId) -> Result<Option<Reconciliation>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT r.flow_id, r.from_at, r.until_at, CASE WHEN s.flow_id IS NULL THEN '{}' ELSE s.ignored_fields END AS ignored_fields,
                    (SELECT v.published_at FROM flow_versions v WHERE v.flow_id = r.flow_id AND v.state = 'published') AS published_at
             FROM reconciliations r LEFT JOIN reconciliation_schedules s ON s.flow_id = r.flow_id WHERE r.id = $1",
        )
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Reconciliation {
            id,
            flow: FlowId(row.try_get("flow_id")?),
            period: Period { from: row.try_get("from_at")?, until: row.try_get("until_at")? },
            published_at: row.try_get("published_at")?,
            ignored_fields: row.try_get("ignored_fields")?,
        }))
    }

    /// Tells that it goes on; false where it is somebody else's by now, and not to be gone on with.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_goes_on(&self, id: ReconciliationId, report: &Report, lease_s: f64) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let kept = sqlx::query(
            "UPDATE reconciliations SET lease_until = now() + make_interval(secs => $2), report = $3
             WHERE id = $1 AND state = 'running' AND lease_until > now()",
        )
        .bind(id.0)
        .bind(lease_s)
        .bind(serde_json::to_value(report).expect("a report is plain data"))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(kept.rows_affected() == 1)
    }

    /// Ends it with its report, or with why there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_end(&self, id: ReconciliationId, outcome: Result<&Report, &str>) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let ended = sqlx::query(
            "UPDATE reconciliations SET state = CASE WHEN $3::text IS NULL THEN 'done' ELSE 'failed' END, ended_at = now(), failure = $3,
                    report = CASE WHEN $2::jsonb IS NULL THEN report ELSE $2 END, is_proof = $4
             WHERE id = $1 AND state = 'running'",
        )
        .bind(id.0)
        .bind(outcome.ok().map(|report| serde_json::to_value(report).expect("a report is plain data")))
        .bind(outcome.err())
        .bind(outcome.is_ok_and(Report::is_proof))
        .execute(&mut *tx)
        .await?;
        if ended.rows_affected() == 1 {
            audit(&mut tx, self.scope(), Action::ReconciliationEnded, "reconciliation", &[id.0]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Writes down the calls that read a side: the audit has what the wire had.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_read(&self, id: ReconciliationId, calls: &[ToldCall]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        audit_calls(&mut tx, self.scope(), Action::ReconciliationRead, "reconciliation", id.0, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What came of a page of ids that the source listed, in their order; `None` where nothing did.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_came(
        &self,
        source: ConnectionId,
        kind: RecordKind,
        flow: FlowId,
        ids: &[&str],
        since: DateTime<Utc>,
    ) -> Result<Vec<Option<Came>>, StoreError> {
        let mut tx = self.begin().await?;
        // Leans on records_connection_id_kind_source_id_key, record_revisions_pkey and deliveries_record.
        let rows = sqlx::query(
            "SELECT i.at, r.id AS record_id, v.document, v.created_at AS revised_at, d.id AS delivery_id, d.state
             FROM unnest($1::text[]) WITH ORDINALITY AS i (source_id, at)
             JOIN records r ON r.connection_id = $2 AND r.kind = $3 AND r.source_id = i.source_id
             JOIN record_revisions v ON v.tenant_id = r.tenant_id AND v.id = r.revision_id
             LEFT JOIN LATERAL (SELECT d.id, d.state FROM deliveries d WHERE d.record_id = r.id AND d.flow_id = $4
                                ORDER BY d.revision DESC, d.id DESC LIMIT 1) d ON true",
        )
        .bind(ids)
        .bind(source.0)
        .bind(kind.as_str())
        .bind(flow.0)
        .fetch_all(&mut *tx)
        .await?;
        let mut came: Vec<Option<Came>> = vec![None; ids.len()];
        for row in rows {
            let record = Came::Record {
                record: RecordId(row.try_get("record_id")?),
                document: row.try_get("document")?,
                revised_at: row.try_get("revised_at")?,
                delivery: delivery(&row)?,
            };
            if let Some(place) = place(&mut came, &row)? {
                *place = Some(record);
            }
        }
        let missing: Vec<&str> = ids.iter().zip(&came).filter(|(_, came)| came.is_none()).map(|(id, _)| *id).collect();
        if !missing.is_empty() {
            // Messages that became no record yet. Leans on messages_list: those of the time that is reconciled, and of this source.
            let rows = sqlx::query(
                "SELECT m.source_id, bool_or(m.state = 'exception') AS stopped FROM messages m
                 WHERE m.tenant_id = $1 AND m.id >= uuid7_floor($2) AND m.connection_id = $3 AND m.record_kind = $4
                   AND m.state IN ('received', 'fetching', 'exception') AND m.source_id = ANY($5) GROUP BY m.source_id",
            )
            .bind(self.scope().tenant.0)
            .bind(since)
            .bind(source.0)
            .bind(kind.as_str())
            .bind(&missing)
            .fetch_all(&mut *tx)
            .await?;
            for row in rows {
                let (id, stopped): (String, bool) = (row.try_get("source_id")?, row.try_get("stopped")?);
                for (at, _) in ids.iter().enumerate().filter(|(_, other)| **other == id) {
                    came[at] = Some(if stopped { Came::Stopped } else { Came::UnderWay });
                }
            }
        }
        tx.commit().await?;
        Ok(came)
    }

    /// The flow's confirmed deliveries that were planned in a period, in the order of their ids: of each record the last one. Leans on
    /// deliveries_list.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_confirmed(
        &self,
        flow: FlowId,
        destination: ConnectionId,
        period: Period,
        after: Option<DeliveryId>,
        first: i64,
    ) -> Result<Vec<Confirmed>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT d.id, d.receipt_id, r.source_id FROM deliveries d JOIN records r ON r.id = d.record_id
             WHERE d.tenant_id = $1 AND d.id >= uuid7_floor($2) AND d.id < uuid7_floor($3) AND d.id > $4
               AND d.flow_id = $5 AND d.connection_id = $6 AND d.state IN ('confirmed', 'reconciled') AND d.receipt_id IS NOT NULL
               AND NOT EXISTS (SELECT FROM deliveries e WHERE e.record_id = d.record_id AND e.connection_id = d.connection_id
                                 AND (e.revision > d.revision OR (e.revision = d.revision AND e.undoes IS NOT NULL AND e.id > d.id))
                                 AND e.state NOT IN ('superseded', 'cancelled'))
             ORDER BY d.id LIMIT $7",
        )
        .bind(self.scope().tenant.0)
        .bind(period.from)
        .bind(period.until)
        .bind(after.map_or(Uuid::nil(), |id| id.0))
        .bind(flow.0)
        .bind(destination.0)
        .bind(first)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let confirmed = |row: PgRow| -> Result<Confirmed, StoreError> {
            Ok(Confirmed {
                delivery: DeliveryId(row.try_get("id")?),
                destination_id: row.try_get("receipt_id")?,
                source_id: row.try_get("source_id")?,
            })
        };
        rows.into_iter().map(confirmed).collect()
    }

    /// Where the flow's deliveries of the period stand that are not confirmed: how many are under way, and how many wait for a person.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_owed(&self, flow: FlowId, period: Period) -> Result<(u64, u64), StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT count(*) FILTER (WHERE d.state <> 'exception') AS under_way, count(*) FILTER (WHERE d.state = 'exception') AS stopped
             FROM deliveries d WHERE d.tenant_id = $1 AND d.id >= uuid7_floor($2) AND d.id < uuid7_floor($3) AND d.flow_id = $4
               AND d.state NOT IN ('confirmed', 'reconciled', 'superseded', 'cancelled')",
        )
        .bind(self.scope().tenant.0)
        .bind(period.from)
        .bind(period.until)
        .bind(flow.0)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        let count = |name| -> Result<u64, StoreError> { Ok(u64::try_from(row.try_get::<i64, _>(name)?).unwrap_or(0)) };
        Ok((count("under_way")?, count("stopped")?))
    }

    /// What these deliveries carry. A delivery that moved on since is left out.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_revisions(&self, deliveries: &[Uuid]) -> Result<Vec<ConfirmedRevision>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT d.id, d.flow_version_id, d.record_id, d.revision, d.origin_at, r.source_id, r.number, v.document, v.unbalanced,
                    v.revision < d.revision AS is_behind
             FROM deliveries d JOIN records r ON r.id = d.record_id
             JOIN record_revisions v ON v.tenant_id = d.tenant_id AND v.id = d.revision_id
             WHERE d.id = ANY($1) AND d.state IN ('confirmed', 'reconciled')",
        )
        .bind(deliveries)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let revision = |row: PgRow| -> Result<ConfirmedRevision, StoreError> {
            Ok(ConfirmedRevision {
                delivery: DeliveryId(row.try_get("id")?),
                version: FlowVersionId(row.try_get("flow_version_id")?),
                revision: RevisionRow::read(&row)?,
                is_behind: row.try_get("is_behind")?,
            })
        };
        rows.into_iter().map(revision).collect()
    }

    /// Plans what came and was never planned: the last revisions of these records, by the version that runs.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_plan(&self, version: &FlowVersion, records: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
        let mut tx = self.begin().await?;
        let planned: Vec<Uuid> = sqlx::query_scalar(
            "INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, origin_at,
                                     due_at, sweep_at, lane)
             SELECT i.id, r.tenant_id, $3, $4, r.id, r.revision, r.revision_id, $5, v.created_at, now(), now() + interval '10 seconds', $6
             FROM unnest($1::uuid[], $2::uuid[]) AS i (id, record_id) JOIN records r ON r.id = i.record_id
             JOIN record_revisions v ON v.tenant_id = r.tenant_id AND v.id = r.revision_id
             ON CONFLICT (flow_id, record_id, revision) WHERE undoes IS NULL DO NOTHING RETURNING id",
        )
        .bind(records.iter().map(|_| DeliveryId::generate().0).collect::<Vec<_>>())
        .bind(records)
        .bind(version.flow.0)
        .bind(version.id.0)
        .bind(version.destination.0)
        .bind(Lane::Retry.rank())
        .fetch_all(&mut *tx)
        .await?;
        audit(&mut tx, self.scope(), Action::DeliveryPlanned, "delivery", &planned).await?;
        tx.commit().await?;
        Ok(planned)
    }

    /// Which of these ids are known as records at a connection.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn known_ids(&self, connection: ConnectionId, kind: RecordKind, ids: &[&str]) -> Result<Vec<String>, StoreError> {
        let mut tx = self.begin().await?;
        let known =
            sqlx::query_scalar("SELECT value FROM external_ids WHERE connection_id = $1 AND kind = $2 AND value = ANY($3)");
        let known = known.bind(connection.0).bind(kind.as_str()).bind(ids).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(known)
    }

    /// Deliveries whose record the destination has as we sent it: they are reconciled.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_agreed(&self, deliveries: &[Uuid]) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let moved: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE deliveries SET state = 'reconciled' WHERE id = ANY($1) AND state = 'confirmed' RETURNING id",
        )
        .bind(deliveries)
        .fetch_all(&mut *tx)
        .await?;
        audit(&mut tx, self.scope(), Action::DeliveryReconciled, "delivery", &moved).await?;
        tx.commit().await?;
        Ok(())
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_health(&self, flow: FlowId) -> Result<Health, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM exceptions WHERE tenant_id = $2 AND flow_id = $1 AND state = 'open') AS exceptions,
                    (SELECT count(*) FROM differences WHERE flow_id = $1 AND state = 'open') AS differences,
                    p.until_at AS proven_until, p.ended_at AS proven_at, l.ended_at AS reconciled_at, l.is_proof
             FROM (VALUES (1)) AS one
             LEFT JOIN LATERAL (SELECT until_at, ended_at FROM reconciliations WHERE flow_id = $1 AND is_proof
                                ORDER BY id DESC LIMIT 1) p ON true
             LEFT JOIN LATERAL (SELECT ended_at, is_proof FROM reconciliations WHERE flow_id = $1 AND ended_at IS NOT NULL
                                ORDER BY id DESC LIMIT 1) l ON true",
        )
        .bind(flow.0)
        .bind(self.scope().tenant.0)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Health {
            exceptions: row.try_get("exceptions")?,
            differences: row.try_get("differences")?,
            proven_until: row.try_get("proven_until")?,
            proven_at: row.try_get("proven_at")?,
            reconciled_at: row.try_get("reconciled_at")?,
            last_is_proof: row.try_get::<Option<bool>, _>("is_proof")?.unwrap_or(false),
        })
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_schedule(&self, flow: FlowId) -> Result<Option<ReconciliationSchedule>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT every_hours, back_hours, ignored_fields, next_at FROM reconciliation_schedules WHERE flow_id = $1",
        );
        let row = row.bind(flow.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let schedule = |row: PgRow| -> Result<_, StoreError> {
            Ok(ReconciliationSchedule {
                every_hours: row.try_get("every_hours")?,
                back_hours: row.try_get("back_hours")?,
                ignored_fields: row.try_get("ignored_fields")?,
                next_at: row.try_get("next_at")?,
            })
        };
        row.map(schedule).transpose()
    }

    /// Says how often a flow is reconciled, or that it is not any more; false where there is no such flow.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn reconciliation_schedule_set(
        &self,
        flow: FlowId,
        schedule: Option<&ReconciliationSchedule>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let changed = match schedule {
            None => sqlx::query("DELETE FROM reconciliation_schedules WHERE flow_id = $1").bind(flow.0).execute(&mut *tx).await?,
            Some(schedule) => sqlx::query(
                "INSERT INTO reconciliation_schedules AS s (flow_id, tenant_id, every_hours, back_hours, ignored_fields, next_at)
                     SELECT f.id, f.tenant_id, $2, $3, $4, $5 FROM flows f WHERE f.id = $1
                     ON CONFLICT (flow_id) DO UPDATE SET every_hours = $2, back_hours = $3, ignored_fields = $4, next_at = $5",
            )
            .bind(flow.0)
            .bind(schedule.every_hours)
            .bind(schedule.back_hours)
            .bind(&schedule.ignored_fields)
            .bind(schedule.next_at)
            .execute(&mut *tx)
            .await?,
        };
        if changed.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = schedule.map(|schedule| {
            serde_json::json!({"every_hours": schedule.every_hours, "back_hours": schedule.back_hours, "ignored_fields": schedule.ignored_fields})
                .to_string()
        });
        audit_each(&mut tx, self.scope(), Action::ReconciliationScheduled, "flow", &[flow.0], &[detail.as_deref()]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

fn delivery(row: &PgRow) -> Result<Option<(DeliveryId, DeliveryState)>, StoreError> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("delivery_id")? else { return Ok(None) };
    let state = DeliveryState::parse(row.try_get("state")?).ok_or_else(|| StoreError::Corrupt {
        what: "the state",
        id: DeliveryId(id).to_string(),
        why: "unknown word".to_owned(),
    })?;
    Ok(Some((DeliveryId(id), state)))
}

/// Where the row with `at`, counted from 1, belongs.
fn place<'c>(came: &'c mut [Option<Came>], row: &PgRow) -> Result<Option<&'c mut Option<Came>>, StoreError> {
    let at = usize::try_from(row.try_get::<i64, _>("at")? - 1).unwrap_or(usize::MAX);
    Ok(came.get_mut(at))
}
