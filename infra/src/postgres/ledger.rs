//! The ledger of deliveries: load all that a batch needs, commit the attempts as started, and write everything that came of them.
//! Every move is one conditional UPDATE, so a doubled task or a late worker changes nothing.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::breaker::Signal;
use domain::call_payload::Part;
use domain::delivery::{DeliveryState, Receipt};
use domain::drift::Worth;
use domain::exception::Reason;
use domain::fault::{Fault, FaultClass, Owner};
use domain::flow::FlowSpec;
use domain::id::{
    AttemptId, ConnectionId, CredentialId, DeliveryId, FlowId, FlowVersionId, LookupTableId, RecipeId, RecordId, SentGroupId,
    TenantId,
};
use domain::lane::Lane;
use domain::protocol::{self, Event};
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::secret::SecretFields;
use domain::task::{Nudge, Stage};
use domain::usage::Meter;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::breaker::{self, BreakerNote, OpenBreaker};
use super::exception::{self, Subject};
use super::external_id::{self, Given, Theirs};
use super::{StoreError, TenantStore, opened, sent_group, stray};
use crate::vault::{Sealed, Vault};

/// A vendor that mixed up its answers is asked after a moment.
const ASK_AFTER_ANOTHERS: chrono::Duration = chrono::Duration::seconds(1);

/// A delivery with the revision it carries.
#[derive(Debug, Clone)]
pub struct Parcel {
    pub id: DeliveryId,
    pub state: DeliveryState,
    /// The last attempt when it was loaded: nothing is begun or moved by what was read before another.
    pub attempt: Option<AttemptId>,
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
    /// Why its parts do not add up to its total.
    pub unbalanced: Option<String>,
    pub attempts: i32,
    pub failures: i32,
    /// When the message that caused it was accepted.
    pub origin_at: DateTime<Utc>,
    /// The latest moment at which a write of it may have left us: what an unknown outcome is counted from.
    pub sent_until: Option<DateTime<Utc>>,
    /// The breaker that let it go.
    pub released_by: Option<Uuid>,
    /// 0 nothing yet, 1 the record is written, 1 + n so many of the actions that belong to the write are done.
    pub calls_done: i16,
    /// How often it was sent anew, because it was gone or changed there.
    pub resends: i16,
    /// The record at the destination: what this delivery wrote, or an earlier one did.
    pub stored: Option<Receipt>,
    /// What a person has changed of its payload, as JSON.
    pub edits: Option<String>,
    /// Since when it is to be sent, where that is not when its message was accepted: it undoes an earlier delivery.
    pub undoes_since: Option<DateTime<Utc>>,
}

/// A connection as a worker needs it.
#[derive(Debug, Clone)]
pub struct ConnectionRow {
    pub id: ConnectionId,
    pub connector: String,
    pub name: String,
    pub settings: serde_json::Value,
    pub credential: Option<CredentialId>,
    /// Percent of its limits that are kept for other applications of the account; none where the connector says it.
    pub reserve_pct: Option<u32>,
    /// Those of its breakers that are not closed.
    pub breakers: Vec<OpenBreaker>,
}

/// What a published version of a flow says; it never changes.
#[derive(Debug, Clone)]
pub struct FlowVersionRow {
    pub id: FlowVersionId,
    pub spec: FlowSpec,
}

/// Everything that a batch of deliveries needs, from one transaction.
#[derive(Debug, Default)]
pub struct Load {
    pub parcels: Vec<Parcel>,
    pub connections: Vec<ConnectionRow>,
    pub tables: Vec<TableVersion>,
}

/// A lookup table of the tenant as it is now: id, name and version.
pub type TableVersion = (LookupTableId, String, i64);

/// An attempt, about to be made.
#[derive(Debug)]
pub struct Start {
    pub delivery: DeliveryId,
    pub attempt: AttemptId,
    /// The attempt before, as the delivery was loaded.
    pub after: Option<AttemptId>,
    /// `write`, `update`, `action` or `proof`.
    pub kind: &'static str,
    pub method: &'static str,
    pub url: String,
    pub request: Vec<u8>,
    /// What it was made with; none of a proof.
    pub recipe: Option<RecipeId>,
    /// What was known of the destination, as JSON.
    pub inputs: Option<String>,
    /// The batch that it goes in: one call of several attempts.
    pub batch: Option<Uuid>,
}

/// A call that only read, before the one that the delivery is about: it changed nothing, so it is told after it was made.
#[derive(Debug)]
pub struct ReadBefore {
    pub delivery: DeliveryId,
    pub connection: ConnectionId,
    pub method: &'static str,
    pub url: String,
    /// What was asked and answered, without the credential; both bounded, and none where it was empty.
    pub request: Option<Part>,
    pub answer: Option<Part>,
    pub status: Option<u16>,
    pub fault: Option<Fault>,
    pub started_at: DateTime<Utc>,
    pub ended_at: DateTime<Utc>,
}

impl ReadBefore {
    /// What its event holds of what was asked and answered.
    fn digests(&self) -> serde_json::Value {
        let mut told = serde_json::Map::new();
        for (side, part) in [("request", &self.request), ("answer", &self.answer)] {
            if let Some(part) = part {
                part.note(side, &mut told);
            }
        }
        serde_json::Value::Object(told)
    }
}

/// What of it stands in the attempt.
fn text(part: Option<&Part>) -> Option<&str> {
    part.map(|part| part.text.as_str())
}

/// What came of a delivery's step, decided.
#[derive(Debug, Clone)]
pub struct Finish {
    pub delivery: DeliveryId,
    pub record: RecordId,
    pub kind: RecordKind,
    pub flow: FlowId,
    pub destination: ConnectionId,
    /// The state it was loaded in, and its last attempt then.
    pub seen: DeliveryState,
    pub after: Option<AttemptId>,
    /// The attempt that ends; none where the mapping had no answer and nothing was called.
    pub attempt: Option<Ended>,
    pub step: Step,
    /// What it says of the destination's health, where it says anything.
    pub health: Option<Health>,
    /// What the record comes to, where a person is to be asked.
    pub worth: Option<Worth>,
    /// The group of X12 that it is written in.
    pub group: Option<SentGroupId>,
}

/// What the end of a call says of its operation's health.
#[derive(Debug, Clone)]
pub struct Health {
    /// `order.write`
    pub operation: String,
    pub signal: Signal,
    /// A breaker of the operation, or of the whole connection, was not closed when it began: then an answer is news.
    pub is_watched: bool,
}

impl Finish {
    /// What happened to the delivery, to the protocol.
    fn event(&self) -> Event {
        let (is_called, is_proof) = (self.attempt.is_some(), self.seen == DeliveryState::Unknown);
        match &self.step {
            Step::Confirmed(_) if is_proof => Event::Found,
            Step::Confirmed(_) if is_called => Event::Stored,
            Step::Confirmed(_) => Event::Adopted,
            Step::Proceed(_) if is_proof => Event::FoundInPart,
            Step::Proceed(_) if is_called => Event::StoredInPart,
            Step::Proceed(_) => Event::AdoptedInPart,
            Step::Wait { .. } => Event::Passing,
            Step::Unknown { counts: true, .. } if is_proof => Event::Silent,
            Step::Unknown { .. } if is_proof => Event::AbsentEarly,
            Step::Unknown { .. } => Event::Lost,
            Step::Resend => Event::Absent,
            Step::Hold { .. } if is_called => Event::Unauthorised,
            Step::Hold { .. } => Event::BreakerOpened,
            Step::Stop(_) if is_proof => Event::GivenUp,
            Step::Stop(_) if is_called => Event::Refused,
            Step::Stop(_) => Event::Unmade,
        }
    }

    /// The id that the destination gave for the record.
    fn given(&self) -> Option<Given<'_>> {
        let (Step::Confirmed(receipt) | Step::Proceed(receipt)) = &self.step else { return None };
        Some(Given {
            delivery: self.delivery,
            connection: self.destination,
            kind: self.kind,
            receipt,
            record: self.record,
            by_key: !self.is_answer(),
        })
    }

    /// The attempt that ends is a write; else a look-up by business key.
    fn is_answer(&self) -> bool {
        self.attempt.is_some() && self.seen == DeliveryState::Planned
    }

    /// The same where the answer named another record's id: it says nothing of ours, which is asked for by its key. Where that is what a look-up
    /// found, it is asked again while the other record is, and then a person must look.
    fn is_anothers(&self, theirs: Theirs) -> Self {
        let id = self.given().map(|given| given.receipt.id.clone()).unwrap_or_default();
        let is_proof = self.attempt.is_some() && self.seen == DeliveryState::Unknown;
        let step = if self.is_answer() || (is_proof && theirs == Theirs::Disputed) {
            Step::Unknown { prove_at: Utc::now() + ASK_AFTER_ANOTHERS, counts: true }
        } else {
            let fault = Fault::new(
                FaultClass::Conflict,
                "another_record",
                format!("it is there under the id {id}, which belongs to another record"),
                Owner::Operations,
                "Compare the two there and at the source; change the number of one of them, then press Retry.",
            );
            Step::Stop(Reason::from_fault(&format!("The {}", self.kind), "its destination", &fault))
        };
        let attempt = self.attempt.clone().map(|ended| Ended { outcome: "unknown", ..ended });
        Self { step, attempt, ..self.clone() }
    }

    /// The state that follows, by the protocol's table.
    fn next_state(&self) -> DeliveryState {
        let from = if self.is_answer() { DeliveryState::Sending } else { self.seen };
        protocol::next(from, self.event()).expect("the table has a row for the end of every step").to
    }
}

/// How an attempt ended.
#[derive(Debug, Clone)]
pub struct Ended {
    pub id: AttemptId,
    /// stored, failed, unknown, absent, not_sent
    pub outcome: &'static str,
    pub status: Option<u16>,
    pub answer: Option<Part>,
    pub fault: Option<Fault>,
    /// Its call is another attempt's too, which counts it: they went in one batch.
    pub shares_call: bool,
    pub ended_at: DateTime<Utc>,
}

impl Ended {
    /// What an event tells of its end, beside what it tells already: with the digests of what was answered, a seal over the event holds that, too.
    pub(super) fn told(
        &self,
        mut told: serde_json::Map<String, serde_json::Value>,
    ) -> serde_json::Map<String, serde_json::Value> {
        let code = self.fault.as_ref().map(|fault| fault.code.as_str());
        let ended: [(&str, serde_json::Value); 3] =
            [("outcome", self.outcome.into()), ("status", self.status.into()), ("code", code.into())];
        told.extend(ended.map(|(name, value)| (name.to_owned(), value)));
        if let Some(answer) = &self.answer {
            answer.note("answer", &mut told);
        }
        told
    }
}

/// The next state of a delivery.
#[derive(Debug, Clone)]
pub enum Step {
    Confirmed(Receipt),
    /// This call is done, and the next one is due.
    Proceed(Receipt),
    Wait {
        until: DateTime<Utc>,
        counts: bool,
    },
    /// `counts` is false where only a limit stood in the way.
    Unknown {
        prove_at: DateTime<Utc>,
        counts: bool,
    },
    /// The destination does not have it: it may be sent.
    Resend,
    /// It waits for this breaker; `None`: for that of the whole connection, because its credential was refused.
    Hold {
        breaker: Option<Uuid>,
    },
    Stop(Reason),
}

impl Step {
    /// True where it is a failure that the delivery's patience is measured by.
    fn counts(&self) -> bool {
        matches!(self, Self::Wait { counts: true, .. } | Self::Unknown { counts: true, .. } | Self::Stop(_))
    }
}

impl TenantStore<'_> {
    /// Deliveries of a task that may be worked on now: planned ones whose turn it is, and unknown ones whose time to be proven has come.
    ///
    /// `lease_s` is how long an attempt may last: one that never closed may have been sent until then.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn load_deliveries(&self, ids: &[Uuid], lease_s: f64) -> Result<Load, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let mut load = Load::default();
        let (blocked, overtaken) = load_parcels(&mut tx, ids, lease_s, &mut load.parcels).await?;
        if !overtaken.is_empty() {
            self.overtake(&mut tx, &overtaken).await?;
        }
        // Most often nothing stands before a delivery, and this costs nothing.
        if !blocked.is_empty() && self.unblock(&mut tx, &blocked).await? {
            load_parcels(&mut tx, &blocked, lease_s, &mut load.parcels).await?;
        }
        let taken = load.parcels.iter().map(|parcel| parcel.id.0).chain(blocked).chain(overtaken);
        stray::refuse(&mut tx, self.scope(), Stage::Deliver, ids, taken).await?;
        if load.parcels.is_empty() {
            tx.commit().await?;
            return Ok(load);
        }
        let needed: HashSet<Uuid> = load.parcels.iter().flat_map(|p| [p.destination.0, p.source.0]).collect();
        load.connections = connections(&mut tx, &needed.into_iter().collect::<Vec<_>>()).await?;
        load.tables = table_versions(&mut tx, tenant).await?;
        tx.commit().await?;
        Ok(load)
    }

    /// What has a later revision beside it by now, which was planned while this one was under way: that takes its place.
    async fn overtake(&self, tx: &mut Transaction<'static, Postgres>, ids: &[Uuid]) -> Result<(), StoreError> {
        let superseded: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE deliveries SET state = 'superseded', settled_at = now()
             WHERE id = ANY($1) AND state = 'planned' AND NOT unproven AND calls_done = 0 RETURNING id",
        )
        .bind(ids)
        .fetch_all(&mut **tx)
        .await?;
        exception::close_superseded(tx, self.scope(), &superseded, exception::OVERTAKEN).await
    }

    /// Takes away what stands before later revisions and will not move by itself: an earlier revision that became an exception or waits
    /// is superseded, also where its flow is retired. What may have had its effect stays, and is proven or worked on first.
    async fn unblock(&self, tx: &mut Transaction<'static, Postgres>, ids: &[Uuid]) -> Result<bool, StoreError> {
        let superseded: Vec<Uuid> = sqlx::query_scalar(
            "UPDATE deliveries e SET state = 'superseded', settled_at = now()
             FROM deliveries d
             WHERE d.id = ANY($1) AND d.state = 'planned'
               AND e.record_id = d.record_id AND e.connection_id = d.connection_id AND e.revision < d.revision
               AND e.state IN ('planned', 'waiting', 'held', 'exception') AND NOT e.unproven AND e.calls_done = 0
               AND (e.flow_id = d.flow_id AND NOT EXISTS (SELECT FROM flow_versions v WHERE v.id = e.flow_version_id AND v.policy->>'ordering' = 'each')
                    OR NOT EXISTS (SELECT FROM flow_versions v WHERE v.flow_id = e.flow_id AND v.state = 'published'))
             RETURNING e.id",
        )
        .bind(ids)
        .fetch_all(&mut **tx)
        .await?;
        exception::close_superseded(tx, self.scope(), &superseded, exception::OVERTAKEN).await?;
        Ok(!superseded.is_empty())
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

    /// The tenant's lookup tables, as they are now.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_table_versions(&self) -> Result<Vec<TableVersion>, StoreError> {
        let mut tx = self.begin().await?;
        let versions = table_versions(&mut tx, self.scope().tenant).await?;
        tx.commit().await?;
        Ok(versions)
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_version_rows(&self, ids: &[Uuid]) -> Result<Vec<FlowVersionRow>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT id, flow_id, filter, source_mapping, mapping, policy, trigger FROM flow_versions WHERE tenant_id = $1 AND id = ANY($2)",
        )
            .bind(self.scope().tenant.0)
            .bind(ids)
            .fetch_all(&mut *tx)
            .await?;
        tx.commit().await?;
        rows.into_iter()
            .map(|row| {
                let spec = super::flow::spec(&row, FlowId(row.try_get("flow_id")?))?;
                Ok(FlowVersionRow { id: FlowVersionId(row.try_get("id")?), spec })
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
             FROM credentials c JOIN data_keys k ON k.tenant_id = c.tenant_id AND k.version = c.data_key_version
             WHERE c.tenant_id = $1 AND c.id = $2",
        )
        .bind(tenant.0)
        .bind(id.0)
        .fetch_one(&mut *tx)
        .await?;
        tx.commit().await?;
        opened(&row, vault, tenant, Sealed::Credential(id))
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
                 SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bytea[], $8::uuid[], $13::uuid[], $14::text[],
                                      $15::uuid[], $16::uuid[])
                     AS i (delivery_id, attempt_id, kind, method, url, request, audit_id, recipe_id, inputs, after_id, batch_id)
             ), begun AS (
                 UPDATE deliveries d SET
                     -- A proof leaves the delivery unknown: it is a question, not a sending.
                     state = CASE WHEN i.kind = 'proof' THEN d.state ELSE 'sending' END,
                     attempts = d.attempts + 1, attempt_id = i.attempt_id,
                     due_at = CASE WHEN i.kind = 'proof' THEN now() + make_interval(secs => $9) ELSE d.due_at END,
                     sweep_at = now() + make_interval(secs => $9)
                 FROM i
                 WHERE d.id = ANY($2) AND d.id = i.delivery_id AND d.state = CASE WHEN i.kind = 'proof' THEN 'unknown' ELSE 'planned' END AND d.due_at <= now()
                   -- Decided by what was known before another attempt, it would be decided wrongly.
                   AND d.attempt_id IS NOT DISTINCT FROM i.after_id
                 RETURNING d.id, d.attempts, i.attempt_id, i.kind, i.method, i.url, i.request, i.audit_id, i.recipe_id, i.inputs, i.batch_id
             ), started AS (
                 INSERT INTO attempts (id, tenant_id, delivery_id, number, kind, method, url, request, recipe_id, inputs)
                 SELECT attempt_id, $1, id, attempts, kind, method, url, request, recipe_id, inputs FROM begun
             ), audited AS (
                 INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
                 -- With the digest of what is sent, a seal over the event holds that, too.
                 SELECT audit_id, $1, $10, $11, 'delivery', id, $12, '{\"attempt\":' || attempts || ',\"call\":\"' || kind || '\"'
                        || ',\"request_sha256\":\"' || encode(sha256(request), 'hex') || '\"'
                        || coalesce(',\"batch\":\"' || batch_id || '\",\"of\":' || count(*) OVER (PARTITION BY batch_id), '') || '}'
                 FROM begun
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
        .bind(scope.audit_actor_json())
        .bind(Action::AttemptStarted.as_str())
        .bind(scope.request.id)
        .bind(starts.iter().map(|s| s.recipe.map(|recipe| recipe.0)).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.inputs.as_deref()).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.after.map(|attempt| attempt.0)).collect::<Vec<_>>())
        .bind(starts.iter().map(|s| s.batch).collect::<Vec<_>>())
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(rows.into_iter().map(AttemptId).collect())
    }

    /// Writes what was read before calls, as attempts that have ended: the audit has every call that the destination saw.
    ///
    /// # Errors
    /// Where the transaction did not commit.
    pub async fn note_reads(&self, reads: &[ReadBefore]) -> Result<(), StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::int[], $7::jsonb[], $8::timestamptz[], $9::timestamptz[],
                                      $10::uuid[], $14::text[], $15::text[], $16::jsonb[])
                     AS i (attempt_id, delivery_id, method, url, status, fault, started_at, ended_at, audit_id, request, answer, digests)
             ), counted AS (
                 UPDATE deliveries d SET attempts = d.attempts + n.count
                 FROM (SELECT delivery_id, count(*)::int AS count FROM i GROUP BY delivery_id) n
                 WHERE d.id = ANY($3) AND d.id = n.delivery_id
                 RETURNING d.id, d.attempts - n.count AS before
             ), noted AS (
                 INSERT INTO attempts (id, tenant_id, delivery_id, number, kind, method, url, request, answer, started_at, ended_at, outcome, status, fault)
                 SELECT attempt_id, $1, delivery_id, before + row_number() OVER (PARTITION BY delivery_id ORDER BY started_at), 'read', method, url,
                        convert_to(coalesce(request, ''), 'UTF8'), answer, started_at, ended_at,
                        CASE WHEN fault IS NULL THEN 'stored' ELSE 'failed' END, status, fault
                 FROM i JOIN counted ON counted.id = i.delivery_id
                 RETURNING id, number
             )
             INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
             SELECT audit_id, $1, $11, $12, 'delivery', delivery_id, $13,
                    (jsonb_strip_nulls(jsonb_build_object('attempt', number, 'call', 'read', 'status', status)) || digests)::text
             FROM i JOIN noted ON noted.id = i.attempt_id",
        )
        .bind(scope.tenant.0)
        .bind(reads.iter().map(|_| AttemptId::generate().0).collect::<Vec<_>>())
        .bind(reads.iter().map(|read| read.delivery.0).collect::<Vec<_>>())
        .bind(reads.iter().map(|read| read.method).collect::<Vec<_>>())
        .bind(reads.iter().map(|read| read.url.as_str()).collect::<Vec<_>>())
        .bind(reads.iter().map(|read| read.status.map(i32::from)).collect::<Vec<_>>())
        .bind(reads.iter().map(|read| read.fault.as_ref().and_then(|fault| serde_json::to_value(fault).ok())).collect::<Vec<_>>())
        .bind(reads.iter().map(|read| read.started_at).collect::<Vec<_>>())
        .bind(reads.iter().map(|read| read.ended_at).collect::<Vec<_>>())
        .bind(reads.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(scope.audit_actor_json())
        .bind(Action::AttemptRead.as_str())
        .bind(scope.request.id)
        .bind(reads.iter().map(|read| text(read.request.as_ref())).collect::<Vec<_>>())
        .bind(reads.iter().map(|read| text(read.answer.as_ref())).collect::<Vec<_>>())
        .bind(reads.iter().map(ReadBefore::digests).collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
        count(&mut tx, scope, reads.iter().map(|read| (Meter::VendorCall, read.connection))).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Writes what came of a batch: attempts closed, deliveries moved, exceptions opened, external ids learned, audit and usage.
    /// Returns deliveries whose turn has come because an earlier revision is settled.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the attempts stay open, and the sweeper makes their deliveries unknown.
    pub async fn finish_attempts(&self, batch: &[Finish], notes: &[BreakerNote]) -> Result<Vec<Nudge>, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        let holding: Vec<ConnectionId> =
            batch.iter().filter(|f| matches!(f.step, Step::Hold { .. })).map(|f| f.destination).collect();
        let breakers = breaker::note(&mut tx, scope, notes, &holding).await?;
        let given: Vec<Given<'_>> = batch.iter().filter_map(Finish::given).collect();
        let anothers = external_id::learn(&mut tx, scope, &given).await?;
        let replaced: Vec<Finish>;
        let batch = if anothers.is_empty() {
            batch
        } else {
            replaced = batch
                .iter()
                .map(|f| anothers.get(&f.delivery).map_or_else(|| f.clone(), |theirs| f.is_anothers(*theirs)))
                .collect();
            &replaced
        };
        let ended: Vec<&Ended> = batch.iter().filter_map(|f| f.attempt.as_ref()).collect();
        let closed = close_attempts(&mut tx, &ended).await?;
        // Written again because the first commit's answer was lost, a batch closes and moves nothing, and counts nothing.
        let lanes: HashMap<Uuid, Lane> = self.move_deliveries(&mut tx, batch, &breakers).await?.into_iter().collect();
        let moved: Vec<&Finish> = batch.iter().filter(|f| lanes.contains_key(&f.delivery.0)).collect();
        let is_news = |f: &&Finish| match &f.attempt {
            Some(ended) => closed.contains(&ended.id),
            None => lanes.contains_key(&f.delivery.0),
        };
        let told: Vec<&Finish> = batch.iter().filter(is_news).collect();
        let opened = moved.iter().filter_map(|f| match &f.step {
            Step::Stop(reason) => {
                let subject = Subject::Delivery {
                    delivery: f.delivery,
                    record: f.record,
                    flow: f.flow,
                    destination: f.destination,
                    worth: f.worth.as_ref(),
                };
                Some((subject, reason))
            }
            _ => None,
        });
        exception::open(&mut tx, scope, &opened.collect::<Vec<_>>()).await?;
        self.tell(&mut tx, &told).await?;
        let called =
            told.iter().filter(|f| f.attempt.as_ref().is_some_and(|ended| ended.outcome != "not_sent" && !ended.shares_call));
        let confirmed = || moved.iter().filter(|f| matches!(f.step, Step::Confirmed(_)));
        let metered = called.map(|f| (Meter::VendorCall, f.destination));
        count(&mut tx, scope, metered.chain(confirmed().map(|f| (Meter::DeliveryConfirmed, f.destination)))).await?;
        let groups: Vec<Uuid> = confirmed().filter_map(|f| f.group).map(|group| group.0).collect();
        sent_group::sent(&mut tx, scope, &groups).await?;
        let (records, destinations): (Vec<Uuid>, Vec<Uuid>) = confirmed().map(|f| (f.record.0, f.destination.0)).unzip();
        let nudge = |connection, lane: Option<Lane>, id| Nudge::new(scope.tenant, connection, lane.unwrap_or_default(), id);
        let resend = moved.iter().filter(|f| matches!(f.step, Step::Resend | Step::Proceed(_)));
        let mut next: Vec<Nudge> =
            resend.map(|f| nudge(f.destination, lanes.get(&f.delivery.0).copied(), f.delivery.0)).collect();
        if !records.is_empty() {
            // Leans on deliveries_record. The state is asked for in a way that the index of all that waits does not serve: that has the record
            // in no column, and a plan that takes it reads a connection's backlog for each record.
            let turns = sqlx::query(
                "SELECT d.connection_id, d.id, d.lane FROM unnest($1::uuid[], $2::uuid[]) AS i (record_id, connection_id)
                 JOIN deliveries d ON d.record_id = i.record_id AND d.connection_id = i.connection_id AND (d.state = $3) IS NOT FALSE",
            );
            let turns = turns.bind(&records).bind(&destinations).bind(DeliveryState::Planned.as_str());
            for row in turns.fetch_all(&mut *tx).await? {
                let connection = ConnectionId(row.try_get("connection_id")?);
                next.push(nudge(connection, Lane::of_rank(row.try_get("lane")?), row.try_get("id")?));
            }
        }
        tx.commit().await?;
        Ok(next)
    }

    async fn move_deliveries(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        batch: &[Finish],
        breakers: &breaker::Locked,
    ) -> Result<Vec<(Uuid, Lane)>, StoreError> {
        let held_by = |f: &Finish| match f.step {
            Step::Hold { breaker: None } => breakers.account(f.destination),
            Step::Hold { breaker } => breaker.filter(|id| breakers.holds(*id)),
            _ => None,
        };
        // A breaker that closed meanwhile holds nothing: the delivery stays planned, and its turn comes again.
        let batch: Vec<&Finish> = batch.iter().filter(|f| !matches!(f.step, Step::Hold { .. }) || held_by(f).is_some()).collect();
        let due = |step: &Step| match step {
            Step::Wait { until, .. } => Some(*until),
            Step::Unknown { prove_at, .. } => Some(*prove_at),
            Step::Confirmed(_) | Step::Proceed(_) | Step::Resend | Step::Hold { .. } | Step::Stop(_) => None,
        };
        let receipt = |f: &Finish| match &f.step {
            Step::Confirmed(receipt) | Step::Proceed(receipt) => Some(receipt.clone()),
            _ => None,
        };
        // A delivery moves only while the attempt that ends is still its current one; one whose mapping had no answer, only while planned.
        let moved: Vec<(Uuid, i16)> = sqlx::query_as(
            "WITH i AS (
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::timestamptz[], $5::int[], $6::text[], $7::text[], $8::text[], $9::uuid[],
                                      $10::uuid[])
                     AS i (id, attempt_id, state, due_at, failed, receipt_id, receipt_version, seen, held_by, after_id)
             ), moved AS (
                 UPDATE deliveries d SET state = i.state, due_at = coalesce(i.due_at, now()),
                     sweep_at = coalesce(i.due_at, now() + interval '10 seconds'),
                     -- While its breaker has heard nothing of what it let go as a probe (there was no slot, or a limit), that is still the probe.
                     held_by = CASE WHEN i.state IN ('waiting', 'unknown') AND d.held_by IS NOT NULL
                                     AND EXISTS (SELECT FROM breakers b WHERE b.id = d.held_by AND b.state = 'half_open') THEN d.held_by
                                    ELSE i.held_by END,
                     failures = d.failures + i.failed,
                     -- What failed comes again behind what has just happened.
                     lane = CASE WHEN i.state = 'waiting' AND i.failed > 0 THEN greatest(d.lane, $11) ELSE d.lane END,
                     receipt_id = coalesce(i.receipt_id, d.receipt_id),
                     receipt_version = coalesce(i.receipt_version, d.receipt_version),
                     calls_done = d.calls_done + (i.receipt_id IS NOT NULL)::int,
                     settled_at = CASE WHEN i.state = 'confirmed' THEN now() END,
                     unproven = CASE WHEN i.state = 'unknown' THEN true WHEN i.state IN ('confirmed', 'planned') THEN false ELSE d.unproven END
                 FROM i
                 WHERE d.id = ANY($1) AND d.id = i.id
                   AND ((i.attempt_id IS NOT NULL AND d.attempt_id = i.attempt_id AND d.state IN ('sending', 'unknown'))
                     OR (i.attempt_id IS NULL AND d.state = i.seen AND d.attempt_id IS NOT DISTINCT FROM i.after_id))
                 RETURNING d.id, d.lane
             )
             SELECT id, lane FROM moved",
        )
        .bind(batch.iter().map(|f| f.delivery.0).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.attempt.as_ref().map(|a| a.id.0)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.next_state().as_str()).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| due(&f.step)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| i32::from(f.step.counts())).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| receipt(f).map(|r| r.id)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| receipt(f).and_then(|r| r.version)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.seen.as_str()).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| held_by(f)).collect::<Vec<_>>())
        .bind(batch.iter().map(|f| f.after.map(|attempt| attempt.0)).collect::<Vec<_>>())
        .bind(Lane::Retry.rank())
        .fetch_all(&mut **tx)
        .await?;
        Ok(moved.into_iter().map(|(id, lane)| (id, Lane::of_rank(lane).unwrap_or_default())).collect())
    }

    /// An audit row for the end of each step.
    async fn tell(&self, tx: &mut Transaction<'static, Postgres>, told: &[&Finish]) -> Result<(), StoreError> {
        let scope = self.scope();
        let action = |f: &Finish| match (&f.step, f.attempt.is_some()) {
            (Step::Confirmed(_) | Step::Proceed(_), _) => Action::AttemptConfirmed,
            (Step::Resend, _) => Action::DeliveryAbsent,
            (Step::Unknown { .. }, _) => Action::AttemptUnknown,
            (Step::Stop(_), false) => Action::DeliveryException,
            (Step::Wait { .. }, false) => Action::DeliveryWaits,
            (Step::Hold { .. }, false) => Action::DeliveryHeld,
            _ => Action::AttemptFailed,
        };
        let detail = |f: &Finish| {
            let told = f.attempt.as_ref()?.told(serde_json::Map::new());
            Some(serde_json::Value::Object(told).to_string())
        };
        sqlx::query(
            "INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
             SELECT id, $1, $2, action, 'delivery', subject_id, $3, detail
             FROM unnest($4::uuid[], $5::text[], $6::uuid[], $7::text[]) AS i (id, action, subject_id, detail)",
        )
        .bind(scope.tenant.0)
        .bind(scope.audit_actor_json())
        .bind(scope.request.id)
        .bind(told.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(told.iter().map(|f| action(f).as_str()).collect::<Vec<_>>())
        .bind(told.iter().map(|f| f.delivery.0).collect::<Vec<_>>())
        .bind(told.iter().map(|f| detail(f)).collect::<Vec<_>>())
        .execute(&mut **tx)
        .await?;
        Ok(())
    }
}

/// Closes attempts; returns those that were open until now.
pub(super) async fn close_attempts(
    tx: &mut Transaction<'static, Postgres>,
    ended: &[&Ended],
) -> Result<HashSet<AttemptId>, StoreError> {
    if ended.is_empty() {
        return Ok(HashSet::new());
    }
    let closed: Vec<Uuid> = sqlx::query_scalar(
        "UPDATE attempts a SET ended_at = i.ended_at, outcome = i.outcome, status = i.status, answer = i.answer, fault = i.fault
         FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::int[], $5::text[], $6::jsonb[])
              AS i (id, ended_at, outcome, status, answer, fault)
         WHERE a.id = ANY($1) AND a.id = i.id AND a.ended_at IS NULL
         RETURNING a.id",
    )
    .bind(ended.iter().map(|e| e.id.0).collect::<Vec<_>>())
    .bind(ended.iter().map(|e| e.ended_at).collect::<Vec<_>>())
    .bind(ended.iter().map(|e| e.outcome).collect::<Vec<_>>())
    .bind(ended.iter().map(|e| e.status.map(i32::from)).collect::<Vec<_>>())
    .bind(ended.iter().map(|e| text(e.answer.as_ref())).collect::<Vec<_>>())
    .bind(ended.iter().map(|e| e.fault.as_ref().and_then(|f| serde_json::to_value(f).ok())).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    Ok(closed.into_iter().map(AttemptId).collect())
}

/// Usage rows, one for each meter and connection.
pub(super) async fn count(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    counted: impl Iterator<Item = (Meter, ConnectionId)>,
) -> Result<(), StoreError> {
    let mut meters: Vec<((Meter, ConnectionId), i64)> = Vec::new();
    for one in counted {
        match meters.iter_mut().find(|(known, _)| *known == one) {
            Some((_, quantity)) => *quantity += 1,
            None => meters.push((one, 1)),
        }
    }
    if meters.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO usage_events (id, tenant_id, meter, connection_id, quantity)
         SELECT id, $1, meter, connection_id, quantity
         FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::bigint[]) AS u (id, meter, connection_id, quantity)",
    )
    .bind(scope.tenant.0)
    .bind(meters.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(meters.iter().map(|((meter, _), _)| meter.as_str()).collect::<Vec<_>>())
    .bind(meters.iter().map(|((_, connection), _)| connection.0).collect::<Vec<_>>())
    .bind(meters.iter().map(|(_, quantity)| *quantity).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// The tenant's lookup tables.
pub(super) async fn table_versions(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
) -> Result<Vec<TableVersion>, StoreError> {
    let rows = sqlx::query("SELECT id, name, version FROM lookup_tables WHERE tenant_id = $1 AND deleted_at IS NULL")
        .bind(tenant.0)
        .fetch_all(&mut **tx)
        .await?;
    rows.into_iter().map(|row| Ok((LookupTableId(row.try_get("id")?), row.try_get("name")?, row.try_get("version")?))).collect()
}

/// Loads what may be worked on; returns the planned ones that an earlier delivery of their record stands before, and those whose place a later
/// one takes.
async fn load_parcels(
    tx: &mut Transaction<'static, Postgres>,
    ids: &[Uuid],
    lease_s: f64,
    parcels: &mut Vec<Parcel>,
) -> Result<(Vec<Uuid>, Vec<Uuid>), StoreError> {
    let rows = sqlx::query(
        "SELECT d.id, d.state, d.attempt_id, d.flow_id, d.flow_version_id, d.connection_id, d.record_id, d.revision, d.attempts, d.failures, d.origin_at,
                d.held_by, d.calls_done, d.resends, d.payload_edits,
                CASE WHEN d.undoes IS NOT NULL THEN d.planned_at END AS undoes_since, s.receipt_id, s.receipt_version,
                r.kind, r.number, r.connection_id AS source, r.source_id, v.document, v.unbalanced,
                -- From its end on, or from that of its lease: a call that took long may have left late.
                CASE WHEN d.state = 'unknown' THEN (SELECT max(coalesce(a.ended_at, a.started_at + make_interval(secs => $3))) FROM attempts a
                                                    WHERE a.delivery_id = d.id AND a.kind NOT IN ('proof', 'read')) END AS sent_until,
                -- Deliveries of one record to one destination go one at a time and in the order of revisions.
                EXISTS (SELECT FROM deliveries e WHERE e.record_id = d.record_id AND e.connection_id = d.connection_id
                          AND (e.revision < d.revision OR (e.revision = d.revision AND e.id < d.id))
                          AND e.state NOT IN ('confirmed', 'reconciled', 'superseded', 'cancelled')) AS blocked,
                -- What was not begun was overtaken when the later one was planned. What undoes is overtaken by any, whatever its flow's ordering.
                CASE WHEN (d.undoes IS NULL AND d.attempts = 0) OR d.unproven OR d.calls_done > 0 THEN false
                     ELSE EXISTS (SELECT FROM deliveries e WHERE e.record_id = d.record_id AND e.connection_id = d.connection_id
                                    AND e.revision > d.revision AND e.state NOT IN ('superseded', 'cancelled')
                                    AND (d.undoes IS NOT NULL OR (e.flow_id = d.flow_id AND NOT EXISTS (
                                         SELECT FROM flow_versions f WHERE f.id = d.flow_version_id AND f.policy->>'ordering' = 'each')))) END AS overtaken
         FROM deliveries d
         JOIN records r ON r.id = d.record_id
         JOIN record_revisions v ON v.tenant_id = d.tenant_id AND v.id = d.revision_id
         JOIN connections c ON c.id = d.connection_id AND c.state = 'active'
         -- What the destination calls the record; leans on deliveries_record, as what stands before it does.
         LEFT JOIN LATERAL (
             SELECT e.receipt_id, e.receipt_version FROM deliveries e
             WHERE e.record_id = d.record_id AND e.connection_id = d.connection_id AND e.revision <= d.revision AND e.receipt_id IS NOT NULL
             ORDER BY e.revision DESC, e.id DESC LIMIT 1) s ON true
         -- No index has the state so: that of all that waits for a connection would be read to its end for these.
         WHERE d.id = ANY($1) AND d.state || '' = ANY($2) AND d.due_at <= now()
         -- As they came: what goes first was decided where they waited.
         ORDER BY array_position($1, d.id)",
    )
    .bind(ids)
    .bind([DeliveryState::Planned, DeliveryState::Unknown].map(DeliveryState::as_str))
    .bind(lease_s)
    .fetch_all(&mut **tx)
    .await?;
    let (mut blocked, mut overtaken) = (Vec::new(), Vec::new());
    for row in rows {
        // What may have had its effect is asked about whatever stands before it.
        let is_planned = row.try_get::<&str, _>("state")? == DeliveryState::Planned.as_str();
        if is_planned && row.try_get("overtaken")? {
            overtaken.push(row.try_get("id")?);
        } else if is_planned && row.try_get("blocked")? {
            blocked.push(row.try_get("id")?);
        } else {
            parcels.push(parcel(&row)?);
        }
    }
    Ok((blocked, overtaken))
}

fn parcel(row: &sqlx::postgres::PgRow) -> Result<Parcel, StoreError> {
    let id = DeliveryId(row.try_get("id")?);
    let corrupt = |what: &'static str, why: &str| StoreError::Corrupt { what, id: id.to_string(), why: why.to_owned() };
    Ok(Parcel {
        id,
        state: DeliveryState::parse(row.try_get("state")?).ok_or_else(|| corrupt("the state", "unknown word"))?,
        attempt: row.try_get::<Option<Uuid>, _>("attempt_id")?.map(AttemptId),
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
        unbalanced: row.try_get("unbalanced")?,
        attempts: row.try_get("attempts")?,
        failures: row.try_get("failures")?,
        origin_at: row.try_get("origin_at")?,
        sent_until: row.try_get("sent_until")?,
        released_by: row.try_get("held_by")?,
        calls_done: row.try_get("calls_done")?,
        resends: row.try_get("resends")?,
        edits: row.try_get("payload_edits")?,
        undoes_since: row.try_get("undoes_since")?,
        stored: row
            .try_get::<Option<String>, _>("receipt_id")?
            .map(|id| Ok::<_, sqlx::Error>(Receipt { id, version: row.try_get("receipt_version")? }))
            .transpose()?,
    })
}

async fn connections(tx: &mut Transaction<'static, Postgres>, ids: &[Uuid]) -> Result<Vec<ConnectionRow>, StoreError> {
    let rows = sqlx::query(
        "SELECT c.id, c.connector, c.name, c.settings, c.reserve_pct, k.id AS credential_id,
                (SELECT json_agg(json_build_object('id', b.id, 'operation', b.operation, 'state', b.state, 'batch', b.batch, 'next_at', b.next_at))
                 FROM breakers b WHERE b.connection_id = c.id AND b.state <> 'closed') AS breakers
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
                reserve_pct: row.try_get::<Option<i32>, _>("reserve_pct")?.and_then(|percent| percent.try_into().ok()),
                breakers: breaker::open_breakers(row.try_get("breakers")?),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What workers can decide: from what is planned, with a call or without one, and from what is unknown.
    #[test]
    fn every_end_of_a_step_is_a_move_of_the_table() {
        let receipt = || Receipt { id: "1".into(), version: None };
        let steps = || {
            [
                Step::Confirmed(receipt()),
                Step::Proceed(receipt()),
                Step::Wait { until: Utc::now(), counts: true },
                Step::Unknown { prove_at: Utc::now(), counts: true },
                Step::Unknown { prove_at: Utc::now(), counts: false },
                Step::Resend,
                Step::Hold { breaker: None },
                Step::Stop(Reason::internal("It", "no reason")),
            ]
        };
        let ended = || Ended {
            id: AttemptId::generate(),
            outcome: "stored",
            status: None,
            answer: None,
            fault: None,
            shares_call: false,
            ended_at: Utc::now(),
        };
        // A call that is planned is not asked about, nor is it absent; what is unknown does not wait for a breaker or a retry.
        let impossible = |seen, is_called: bool, step: &Step| match (seen, step) {
            (DeliveryState::Planned, Step::Resend) => true,
            (DeliveryState::Planned, Step::Unknown { .. }) => !is_called,
            (DeliveryState::Unknown, Step::Hold { .. } | Step::Wait { .. }) => true,
            _ => false,
        };
        for (seen, is_called) in [
            (DeliveryState::Planned, true),
            (DeliveryState::Planned, false),
            (DeliveryState::Unknown, true),
            (DeliveryState::Unknown, false),
        ] {
            for step in steps().into_iter().filter(|step| !impossible(seen, is_called, step)) {
                let finish = Finish {
                    delivery: DeliveryId::generate(),
                    record: RecordId::generate(),
                    kind: RecordKind::Order,
                    flow: FlowId::generate(),
                    destination: ConnectionId::generate(),
                    seen,
                    after: None,
                    attempt: is_called.then(ended),
                    step,
                    group: None,
                    worth: None,
                    health: None,
                };
                let (from, to) = (
                    if is_called && seen == DeliveryState::Planned { DeliveryState::Sending } else { seen },
                    finish.next_state(),
                );
                assert!(from.may_become(to), "{} to {}: {:?}", from.as_str(), to.as_str(), finish.step);
            }
        }
    }
}
