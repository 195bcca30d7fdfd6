//! The ledger of deliveries: load all that a batch needs, commit the attempts as started, and write everything that came of them.
//! Every move is one conditional UPDATE, so a doubled task or a late worker changes nothing.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::delivery::{DeliveryState, Receipt};
use domain::exception::Reason;
use domain::fault::Fault;
use domain::id::{
    AttemptId, ConnectionId, CredentialId, DeliveryId, ExceptionId, FlowId, FlowVersionId, LookupTableId, RecordId, TenantId,
};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use domain::task::Place;
use domain::usage::Meter;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit;
use super::{Store, StoreError, TenantStore};
use crate::vault::Vault;

/// Bytes of an answer that an attempt keeps.
pub const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A delivery with the revision it carries.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub id: DeliveryId,
    pub state: DeliveryState,
    pub flow: FlowId,
    pub version: FlowVersionId,
    pub destination: ConnectionId,
    pub record: RecordId,
    pub kind: RecordKind,
    pub number: Option<String>,
    pub source: ConnectionId,
    pub source_id: String,
    pub revision: i32,
    pub document: String,
    pub attempts: i32,
    pub failures: i32,
    /// When the last attempt was started; what an unknown outcome is counted from.
    pub attempted_at: Option<DateTime<Utc>>,
}

/// A connection as a worker needs it.
#[derive(Debug, Clone)]
pub struct ConnectionRow {
    pub id: ConnectionId,
    pub connector: String,
    pub name: String,
    pub settings: serde_json::Value,
    pub credential: Option<CredentialId>,
}

/// What a published version of a flow says; it never changes.
#[derive(Debug, Clone)]
pub struct FlowVersionRow {
    pub id: FlowVersionId,
    pub policy: serde_json::Value,
    pub mapping: serde_json::Value,
}

/// Everything that a batch of deliveries needs, from one transaction.
#[derive(Debug, Default)]
pub struct Load {
    pub parcels: Vec<Parcel>,
    pub connections: Vec<ConnectionRow>,
    /// The tenant's lookup tables: id, name and version.
    pub tables: Vec<(LookupTableId, String, i64)>,
}

/// An attempt, about to be made.
#[derive(Debug)]
pub struct Start {
    pub delivery: DeliveryId,
    pub attempt: AttemptId,
    /// `write` or `proof`.
    pub kind: &'static str,
    pub method: &'static str,
    pub url: String,
    pub request: Vec<u8>,
}

/// What came of a delivery's step, decided.
#[derive(Debug)]
pub struct Finish {
    pub delivery: DeliveryId,
    pub record: RecordId,
    pub kind: RecordKind,
    pub flow: FlowId,
    pub destination: ConnectionId,
    /// The attempt that ends; none where the mapping had no answer and nothing was called.
    pub attempt: Option<Ended>,
    pub step: Step,
}

/// How an attempt ended.
#[derive(Debug)]
pub struct Ended {
    pub id: AttemptId,
    /// stored, failed, unknown, absent, not_sent
    pub outcome: &'static str,
    pub status: Option<u16>,
    pub answer: Option<String>,
    pub fault: Option<Fault>,
    pub ended_at: DateTime<Utc>,
}

/// The next state of a delivery.
#[derive(Debug)]
pub enum Step {
    Confirmed(Receipt),
    Wait {
        until: DateTime<Utc>,
        counts: bool,
    },
    Unknown {
        prove_at: DateTime<Utc>,
    },
    /// The destination does not have it: it may be sent.
    Resend,
    Stop(Reason),
}

impl Step {
    fn state(&self) -> &'static str {
        match self {
            Self::Confirmed(_) => "confirmed",
            Self::Wait { .. } => "waiting",
            Self::Unknown { .. } => "unknown",
            Self::Resend => "planned",
            Self::Stop(_) => "exception",
        }
    }
}

impl TenantStore<'_> {
    /// Deliveries of a task that may be worked on now: planned ones whose turn it is, and unknown ones whose time to be proven has come.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn load_deliveries(&self, ids: &[Uuid]) -> Result<Load, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT d.id, d.state, d.flow_id, d.flow_version_id, d.connection_id, d.record_id, d.revision, d.attempts, d.failures,
                    r.kind, r.number, r.connection_id AS source, r.source_id, v.document,
                    CASE WHEN d.state = 'unknown' THEN
                        (SELECT max(a.started_at) FROM attempts a WHERE a.delivery_id = d.id AND a.kind = 'write') END AS attempted_at
             FROM deliveries d
             JOIN records r ON r.id = d.record_id
             JOIN record_revisions v ON v.tenant_id = d.tenant_id AND v.id = d.revision_id
             WHERE d.id = ANY($1) AND d.state IN ('planned', 'unknown') AND d.due_at <= now()
               -- Deliveries of one record to one destination go one at a time and in the order of revisions.
               AND NOT EXISTS (SELECT FROM deliveries e WHERE e.record_id = d.record_id AND e.revision < d.revision
                                 AND e.connection_id = d.connection_id
                                 AND e.state NOT IN ('confirmed', 'reconciled', 'superseded', 'cancelled'))
             ORDER BY d.id",
        )
        .bind(ids)
        .fetch_all(&mut *tx)
        .await?;
        let mut load = Load::default();
        for row in rows {
            load.parcels.push(parcel(&row)?);
        }
        if load.parcels.is_empty() {
            return Ok(load);
        }
        let needed: HashSet<Uuid> = load.parcels.iter().flat_map(|p| [p.destination.0, p.source.0]).collect();
        load.connections = connections(&mut tx, &needed.into_iter().collect::<Vec<_>>()).await?;
        let rows = sqlx::query("SELECT id, name, version FROM lookup_tables WHERE tenant_id = $1")
            .bind(self.scope().tenant.0)
            .fetch_all(&mut *tx)
            .await?;
        for row in rows {
            load.tables.push((LookupTableId(row.try_get("id")?), row.try_get("name")?, row.try_get("version")?));
        }
        tx.commit().await?;
        Ok(load)
    }

    /// Connections by id, without secrets.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_rows(&self, ids: &[Uuid]) -> Result<Vec<ConnectionRow>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = connections(&mut tx, ids).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_version_rows(&self, ids: &[Uuid]) -> Result<Vec<FlowVersionRow>, StoreError> {
        let mut tx = self.begin().await?;
        let rows =
            sqlx::query("SELECT id, policy, mapping FROM flow_versions WHERE id = ANY($1)").bind(ids).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.into_iter()
            .map(|row| {
                Ok(FlowVersionRow {
                    id: FlowVersionId(row.try_get("id")?),
                    policy: row.try_get("policy")?,
                    mapping: row.try_get("mapping")?,
                })
            })
            .collect()
    }

    /// Opens a credential.
    ///
    /// # Errors
    /// Where it is not there any more, or does not open.
    pub async fn credential_open(&self, vault: &Vault, id: CredentialId) -> Result<SecretFields, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT c.sealed, c.data_key_version, k.master_key_id, k.wrapped
             FROM credentials c JOIN data_keys k ON k.tenant_id = c.tenant_id AND k.version = c.data_key_version WHERE c.id = $1",
        )
        .bind(id.0)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        let (version, master): (i32, String) = (row.try_get("data_key_version")?, row.try_get("master_key_id")?);
        let data_key = vault.unwrap(tenant, version, &master, row.try_get("wrapped")?)?;
        Ok(data_key.open(tenant, id, row.try_get("sealed")?)?)
    }

    /// All entries of a lookup table.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries(&self, table: LookupTableId) -> Result<Vec<(String, String)>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query("SELECT from_value, to_value FROM lookup_entries WHERE table_id = $1")
            .bind(table.0)
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        rows.into_iter().map(|row| Ok((row.try_get("from_value")?, row.try_get("to_value")?))).collect()
    }

    /// Commits attempts as started, before any call. Returns those that were: a delivery that somebody else took, superseded or
    /// cancelled in the meantime is not among them. `lease_s` is how long the attempt may last before the sweeper calls it unknown.
    ///
    /// # Errors
    /// Where the transaction did not commit: then nothing may be called.
    pub async fn begin_attempts(&self, starts: &[Start], lease_s: f64) -> Result<HashSet<AttemptId>, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let rows: Vec<Uuid> = sqlx::query_scalar(
            "WITH i AS (
                 SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::uuid[])
                     AS i (delivery_id, attempt_id, kind, method, url, request, audit_id)
             ), begun AS (
                 UPDATE deliveries d SET
                     -- A proof leaves the delivery unknown: it is a question, not a sending.
                     state = CASE WHEN i.kind = 'write' THEN 'sending' ELSE d.state END,
                     attempts = d.attempts + 1, attempt_id = i.attempt_id,
                     due_at = CASE WHEN i.kind = 'write' THEN d.due_at ELSE now() + make_interval(secs => $9) END,
                     sweep_at = now() + make_interval(secs => $9)
                 FROM i
                 WHERE d.id = i.delivery_id AND d.state = CASE WHEN i.kind = 'write' THEN 'planned' ELSE 'unknown' END AND d.due_at <= now()
                 RETURNING d.id, d.attempts, i.attempt_id, i.kind, i.method, i.url, i.request, i.audit_id
             ), started AS (
                 INSERT INTO attempts (id, tenant_id, delivery_id, number, kind, method, url, request)
                 SELECT attempt_id, $1, id, attempts, kind, method, url, request FROM begun
             ), audited AS (
                 INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
                 SELECT audit_id, $1, $10, $11, 'delivery', id, $12, '{\"attempt\":' || attempts || ',\"call\":\"' || kind || '\"}' FROM begun
             )
             SELECT attempt_id FROM begun",
        )
        .bind(scope.tenant.0)
        .bind(starts.iter().map(|s| s.delivery.0).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.attempt.0).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.kind).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.method).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.url.as_str()).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.request.as_slice()).collect::<Vec<_>>())
        .bind(starts.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(lease_s)
        .bind(serde_json::to_value(&scope.actor).expect("an actor is plain data"))
        .bind(Action::AttemptStarted.as_str())
        .bind(scope.request)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(rows.into_iter().map(AttemptId).collect())
    }

    /// Writes what came of a batch: attempts closed, deliveries moved, exceptions opened, external ids learned, audit and usage.
    /// Returns deliveries whose turn has come because an earlier revision is settled.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the attempts stay open, and the sweeper makes their deliveries unknown.
    pub async fn finish_attempts(&self, batch: &[Finish]) -> Result<Vec<(Place, Uuid)>, StoreError> {
        let mut tx = self.begin().await?;
        self.close_attempts(&mut tx, batch).await?;
        let moved: HashSet<Uuid> = self.move_deliveries(&mut tx, batch).await?.into_iter().collect();
        let moved: Vec<&Finish> = batch.iter().filter(|f| moved.contains(&f.delivery.0)).collect();
        self.open_exceptions(&mut tx, &moved).await?;
        self.count(&mut tx, batch, &moved).await?;
        let settled: Vec<Uuid> = moved.iter().filter(|f| matches!(f.step, Step::Confirmed(_))).map(|f| f.record.0).collect();
        let place = |connection| Place { tenant: self.scope().tenant, connection: Some(connection) };
        let resend = moved.iter().filter(|f| matches!(f.step, Step::Resend));
        let mut next: Vec<(Place, Uuid)> = resend.map(|f| (place(f.destination), f.delivery.0)).collect();
        if !settled.is_empty() {
            // Leans on deliveries_record.
            let turns = sqlx::query("SELECT connection_id, id FROM deliveries WHERE record_id = ANY($1) AND state = 'planned'");
            for row in turns.bind(&settled).fetch_all(&mut *tx).await? {
                next.push((place(ConnectionId(row.try_get("connection_id")?)), row.try_get("id")?));
            }
        }
        tx.commit().await?;
        Ok(next)
    }

    async fn close_attempts(&self, tx: &mut Transaction<'static, Postgres>, batch: &[Finish]) -> Result<(), StoreError> {
        let ended: Vec<&Ended> = batch.iter().filter_map(|f| f.attempt.as_ref()).collect();
        if ended.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "UPDATE attempts a SET ended_at = i.ended_at, outcome = i.outcome, status = i.status, answer = i.answer, fault = i.fault
             FROM unnest($2::uuid[], $3::timestamptz[], $4::text[], $5::int[], $6::text[], $7::jsonb[])
                  AS i (id, ended_at, outcome, status, answer, fault)
             WHERE a.tenant_id = $1 AND a.id = i.id",
        )
        .bind(self.scope().tenant.0)
        .bind(ended.iter().map(|e| e.id.0).collect::<Vec<_>>())
        .bind(ended.iter().map(|e| e.ended_at).collect::<Vec<_>>())
        .bind(ended.iter().map(|e| e.outcome).collect::<Vec<_>>())
        .bind(ended.iter().map(|e| e.status.map(i32::from)).collect::<Vec<_>>())
        .bind(ended.iter().map(|e| e.answer.as_deref()).collect::<Vec<_>>())
        .bind(ended.iter().map(|e| e.fault.as_ref().and_then(|f| serde_json::to_value(f).ok())).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }

    async fn move_deliveries(&self, tx: &mut Transaction<'static, Postgres>, batch: &[Finish]) -> Result<Vec<Uuid>, StoreError> {
        let due = |step: &Step| match step {
            Step::Wait { until, .. } => Some(*until),
            Step::Unknown { prove_at } => Some(*prove_at),
            Step::Confirmed(_) | Step::Resend | Step::Stop(_) => None,
        };
        let receipt = |f: &Finish| match &f.step {
            Step::Confirmed(receipt) => Some(receipt.clone()),
            _ => None,
        };
        // A delivery moves only while the attempt that ends is still its current one; one whose mapping had no answer, only while planned.
        let moved = sqlx::query_scalar(
            "WITH i AS (
                 SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::timestamptz[], $6::int[], $7::text[], $8::text[], $9::uuid[], $10::uuid[],
                                      $11::text[])
                     AS i (id, attempt_id, state, due_at, failed, receipt_id, receipt_version, record_id, connection_id, kind)
             ), moved AS (
                 UPDATE deliveries d SET state = i.state, due_at = coalesce(i.due_at, now()),
                     sweep_at = coalesce(i.due_at, now() + interval '10 seconds'),
                     failures = d.failures + i.failed, receipt_id = coalesce(i.receipt_id, d.receipt_id),
                     receipt_version = coalesce(i.receipt_version, d.receipt_version),
                     settled_at = CASE WHEN i.state = 'confirmed' THEN now() END
                 FROM i
                 WHERE d.id = i.id
                   AND ((i.attempt_id IS NOT NULL AND d.attempt_id = i.attempt_id AND d.state IN ('sending', 'unknown'))
                     OR (i.attempt_id IS NULL AND d.state IN ('planned', 'unknown')))
                 RETURNING d.id
             ), learned AS (
                 INSERT INTO external_ids (tenant_id, connection_id, kind, value, record_id)
                 SELECT $1, connection_id, kind, receipt_id, record_id FROM i WHERE receipt_id IS NOT NULL
                 ON CONFLICT DO NOTHING
             )
             SELECT id FROM moved",
        )
        .bind(self.scope().tenant.0)
        .bind(batch.iter().map(|f| f.delivery.0).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.attempt.as_ref().map(|a| a.id.0)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.step.state()).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| due(&f.step)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| i32::from(matches!(f.step, Step::Wait { counts: true, .. } | Step::Stop(_) | Step::Unknown { .. }))).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| receipt(f).map(|r| r.id)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| receipt(f).and_then(|r| r.version)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.record.0).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.destination.0).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.kind.as_str()).collect::<Vec<_>>())
        .fetch_all(&mut **tx)
        .await?;
        Ok(moved)
    }

    async fn open_exceptions(&self, tx: &mut Transaction<'static, Postgres>, moved: &[&Finish]) -> Result<(), StoreError> {
        let opened: Vec<(&Finish, &Reason)> =
            moved.iter().filter_map(|f| if let Step::Stop(reason) = &f.step { Some((*f, reason)) } else { None }).collect();
        if opened.is_empty() {
            return Ok(());
        }
        let ids: Vec<Uuid> = opened.iter().map(|_| ExceptionId::generate().0).collect();
        sqlx::query(
            "INSERT INTO exceptions (id, tenant_id, cause_key, code, sentence, cause, owner, next_step, path, value, lookup_table, delivery_id,
                                     record_id, flow_id, connection_id)
             SELECT id, $1, cause_key, code, sentence, cause, owner, next_step, path, value, lookup_table, delivery_id, record_id, flow_id, connection_id
             FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[],
                         $12::uuid[], $13::uuid[], $14::uuid[], $15::uuid[])
                  AS i (id, cause_key, code, sentence, cause, owner, next_step, path, value, lookup_table, delivery_id, record_id, flow_id, connection_id)
             ON CONFLICT DO NOTHING",
        )
        .bind(self.scope().tenant.0)
        .bind(&ids)
        .bind(opened.iter().map(|(f, r)| r.cause_key(&f.flow.to_string())).collect::<Vec<_>>())
        .bind(opened.iter().map(|(_, r)| r.code.as_str()).collect::<Vec<_>>())
        .bind(opened.iter().map(|(_, r)| r.sentence.as_str()).collect::<Vec<_>>())
        .bind(opened.iter().map(|(_, r)| r.cause.as_str()).collect::<Vec<_>>())
        .bind(opened.iter().map(|(_, r)| r.owner.as_str()).collect::<Vec<_>>())
        .bind(opened.iter().map(|(_, r)| r.next_step.as_str()).collect::<Vec<_>>())
        .bind(opened.iter().map(|(_, r)| r.path.as_deref()).collect::<Vec<_>>())
        .bind(opened.iter().map(|(_, r)| r.value.as_deref()).collect::<Vec<_>>())
        .bind(opened.iter().map(|(_, r)| r.table.as_deref()).collect::<Vec<_>>())
        .bind(opened.iter().map(|(f, _)| f.delivery.0).collect::<Vec<_>>())
        .bind(opened.iter().map(|(f, _)| f.record.0).collect::<Vec<_>>())
        .bind(opened.iter().map(|(f, _)| f.flow.0).collect::<Vec<_>>())
        .bind(opened.iter().map(|(f, _)| f.destination.0).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        audit(tx, self.scope(), Action::ExceptionOpened, "exception", &ids).await
    }

    async fn count(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        batch: &[Finish],
        moved: &[&Finish],
    ) -> Result<(), StoreError> {
        let scope = self.scope();
        let mut subjects: Vec<(Action, Uuid, Option<String>)> = Vec::with_capacity(batch.len());
        for finish in batch {
            let action = match (&finish.step, finish.attempt.as_ref().map(|a| a.outcome)) {
                (Step::Confirmed(_), _) => Action::AttemptConfirmed,
                (Step::Resend, _) => Action::DeliveryAbsent,
                (Step::Unknown { .. }, _) => Action::AttemptUnknown,
                (Step::Stop(_), None) => Action::DeliveryException,
                _ => Action::AttemptFailed,
            };
            let detail = finish.attempt.as_ref().map(|ended| {
                serde_json::json!({"outcome": ended.outcome, "status": ended.status, "code": ended.fault.as_ref().map(|f| f.code.as_str())}).to_string()
            });
            subjects.push((action, finish.delivery.0, detail));
        }
        let mut meters: Vec<(Meter, Uuid, i64)> = Vec::new();
        let mut add = |meter: Meter, connection: Uuid| match meters.iter_mut().find(|(m, c, _)| *m == meter && *c == connection) {
            Some((_, _, quantity)) => *quantity += 1,
            None => meters.push((meter, connection, 1)),
        };
        for finish in batch.iter().filter(|f| f.attempt.as_ref().is_some_and(|a| a.outcome != "not_sent")) {
            add(Meter::VendorCall, finish.destination.0);
        }
        for finish in moved.iter().filter(|f| matches!(f.step, Step::Confirmed(_))) {
            add(Meter::DeliveryConfirmed, finish.destination.0);
        }
        sqlx::query(
            "WITH counted AS (
                 INSERT INTO usage_events (id, tenant_id, meter, connection_id, quantity)
                 SELECT id, $1, meter, connection_id, quantity FROM unnest($8::uuid[], $9::text[], $10::uuid[], $11::bigint[])
                      AS u (id, meter, connection_id, quantity)
             )
             INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
             SELECT id, $1, $2, action, 'delivery', subject_id, $3, detail
             FROM unnest($4::uuid[], $5::text[], $6::uuid[], $7::text[]) AS i (id, action, subject_id, detail)",
        )
        .bind(scope.tenant.0)
        .bind(serde_json::to_value(&scope.actor).expect("an actor is plain data"))
        .bind(scope.request)
        .bind(subjects.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(subjects.iter().map(|s| s.0.as_str()).collect::<Vec<_>>())
        .bind(subjects.iter().map(|s| s.1).collect::<Vec<_>>())
        .bind(subjects.iter().map(|s| s.2.as_deref()).collect::<Vec<_>>())
        .bind(meters.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(meters.iter().map(|m| m.0.as_str()).collect::<Vec<_>>())
        .bind(meters.iter().map(|m| m.1).collect::<Vec<_>>())
        .bind(meters.iter().map(|m| m.2).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

impl Store {
    /// Messages of any tenant whose nudge was lost or whose wait is over; each is leased to the caller for `lease_s`.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sweep_messages(&self, count_max: i32, lease_s: f64) -> Result<Vec<(Place, Uuid)>, StoreError> {
        self.sweep("SELECT tenant_id, connection_id, id FROM sweep_messages($1, make_interval(secs => $2))", count_max, lease_s)
            .await
    }

    /// Deliveries of any tenant that are due. A wait that is over becomes planned; an attempt that never closed becomes unknown.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sweep_deliveries(&self, count_max: i32, lease_s: f64) -> Result<Vec<(Place, Uuid)>, StoreError> {
        self.sweep("SELECT tenant_id, connection_id, id FROM sweep_deliveries($1, make_interval(secs => $2))", count_max, lease_s)
            .await
    }

    async fn sweep(&self, sql: &'static str, count_max: i32, lease_s: f64) -> Result<Vec<(Place, Uuid)>, StoreError> {
        let rows = sqlx::query(sql).bind(count_max).bind(lease_s).fetch_all(self.pool()).await?;
        let place = |row: &sqlx::postgres::PgRow| -> Result<Place, StoreError> {
            Ok(Place {
                tenant: TenantId(row.try_get("tenant_id")?),
                connection: Some(ConnectionId(row.try_get("connection_id")?)),
            })
        };
        rows.into_iter().map(|row| Ok((place(&row)?, row.try_get("id")?))).collect()
    }
}

fn parcel(row: &sqlx::postgres::PgRow) -> Result<Parcel, StoreError> {
    let id = DeliveryId(row.try_get("id")?);
    let corrupt = |what: &'static str, why: &str| StoreError::Corrupt { what, id: id.to_string(), why: why.to_owned() };
    Ok(Parcel {
        id,
        state: DeliveryState::parse(row.try_get("state")?).ok_or_else(|| corrupt("the state", "unknown word"))?,
        flow: FlowId(row.try_get("flow_id")?),
        version: FlowVersionId(row.try_get("flow_version_id")?),
        destination: ConnectionId(row.try_get("connection_id")?),
        record: RecordId(row.try_get("record_id")?),
        kind: RecordKind::parse(row.try_get("kind")?).ok_or_else(|| corrupt("the kind of record", "unknown word"))?,
        number: row.try_get("number")?,
        source: ConnectionId(row.try_get("source")?),
        source_id: row.try_get("source_id")?,
        revision: row.try_get("revision")?,
        document: row.try_get("document")?,
        attempts: row.try_get("attempts")?,
        failures: row.try_get("failures")?,
        attempted_at: row.try_get("attempted_at")?,
    })
}

async fn connections(tx: &mut Transaction<'static, Postgres>, ids: &[Uuid]) -> Result<Vec<ConnectionRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.id, c.connector, c.name, c.settings, k.id AS credential_id
         FROM connections c LEFT JOIN credentials k ON k.connection_id = c.id AND k.state = 'active' WHERE c.id = ANY($1)",
    )
    .bind(ids)
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(ConnectionRow {
                id: ConnectionId(row.try_get("id")?),
                connector: row.try_get("connector")?,
                name: row.try_get("name")?,
                settings: row.try_get("settings")?,
                credential: row.try_get::<Option<Uuid>, _>("credential_id")?.map(CredentialId),
            })
        })
        .collect()
}
