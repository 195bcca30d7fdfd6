//! Receive: messages become revisions of records, and those become planned deliveries, in one transaction for a whole batch.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::drift::Worth;
use domain::exception::Reason;
use domain::flow::{Ordering, Schedule, Trigger};
use domain::id::{ConnectionId, DeliveryId, FlowId, FlowVersionId, MessageId, RecipeId, RecordId, RevisionId, TenantId};
use domain::lane::Lane;
use domain::mapping::Rules;
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::task::{Nudge, Stage};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::exception::{self, Subject, Taken};
use super::ledger::{TableVersion, table_versions};
use super::split::{self, Ways};
use super::stray;
use super::sweep::NUDGE_GRACE_S;
use super::{StoreError, TenantStore};
use crate::vault::StoredKey;

/// A message in hand: no other worker has it until the transaction ends.
#[derive(Debug)]
pub struct Inbound {
    pub id: MessageId,
    pub connection: ConnectionId,
    pub connector: String,
    pub connection_name: String,
    pub settings: serde_json::Value,
    pub topic: String,
    pub kind: Option<RecordKind>,
    pub source_id: Option<String>,
    pub body: Vec<u8>,
    /// Thin and not yet read back.
    pub must_fetch: bool,
    pub failures: i32,
    pub received_at: DateTime<Utc>,
    pub lane: Lane,
    /// It was listed, and not sent by the vendor.
    pub is_listed: bool,
    /// Grows with every change of what is held for review; 0 where nothing ever was.
    pub drift_version: i64,
}

/// A published flow that starts at one of the connections in hand.
#[derive(Debug, Clone)]
pub struct PublishedFlow {
    pub flow: FlowId,
    pub version: FlowVersionId,
    pub kind: RecordKind,
    pub source: ConnectionId,
    pub destination: ConnectionId,
    pub filter: Option<String>,
    /// The tenant's rules over those by which the source's connector reads.
    pub source_mapping: Rules,
    pub ordering: Ordering,
    pub trigger: Trigger,
    /// What a record is due by that says no time of its own.
    pub cut_off: Option<Schedule>,
    /// Where its records may go beside the destination; `None` where it was never swapped.
    pub ways: Option<Arc<Ways>>,
}

/// What the mapping made of a message.
#[derive(Debug)]
pub enum Reading {
    Record(Box<Revised>),
    /// The thing is not at its source any more.
    Deleted {
        kind: RecordKind,
        source_id: String,
    },
    Ignored,
    Exception(Reason),
}

/// A canonical document, ready to become a revision.
#[derive(Debug)]
pub struct Revised {
    pub kind: RecordKind,
    pub source_id: String,
    pub number: Option<String>,
    pub search: String,
    /// What it is found by, each once.
    pub keys: Vec<StoredKey>,
    pub document: String,
    pub content_hash: [u8; 32],
    pub source_updated_at: Option<DateTime<Utc>>,
    /// When it must be where it goes, for the business.
    pub due_by: Option<DateTime<Utc>>,
    /// Why its parts do not add up to its total.
    pub unbalanced: Option<String>,
    /// What it was made with; none where a person has made it.
    pub recipe: Option<RecipeId>,
    /// What it comes to, where its kind has a total.
    pub worth: Option<Worth>,
    /// The flows that take it.
    pub flows: Vec<PublishedFlow>,
    /// Flows of its kind whose filter it does not pass: what they planned of earlier revisions and have not sent is not to be sent.
    pub left: Vec<FlowId>,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Received {
    /// The deliveries that were planned, for the nudge.
    pub planned: Vec<Nudge>,
    /// The records that are new.
    pub created: Vec<Created>,
}

/// A record that was not there before.
#[derive(Debug)]
pub struct Created {
    pub connection: ConnectionId,
    pub kind: RecordKind,
    pub worth: Option<Worth>,
}

/// A transaction over the messages of one task.
pub struct Receiving<'a> {
    tx: Transaction<'static, Postgres>,
    scope: &'a Scope,
    pub messages: Vec<Inbound>,
    pub flows: Vec<PublishedFlow>,
    /// The tenant's lookup tables, where rules of the flows may look into them.
    pub tables: Vec<TableVersion>,
}

impl<'a> TenantStore<'a> {
    /// Takes the messages of a task that still wait. Those that another worker holds are left to it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn receive(&self, ids: &[Uuid]) -> Result<Receiving<'a>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT m.id, m.connection_id, c.connector, c.name, c.settings, c.drift_version, m.topic, m.record_kind, m.source_id, m.failures, m.received_at,
                    m.lane, m.origin IN ('poll', 'backfill') AS is_listed, m.thin AND m.fetched IS NULL AS must_fetch, coalesce(m.fetched, m.body) AS body
             FROM messages m JOIN connections c ON c.id = m.connection_id
             WHERE m.id = ANY($1) AND m.state || '' = 'received'  -- No index has it so: that of all that waits would be read to its end for these.
             ORDER BY m.id
             FOR UPDATE OF m SKIP LOCKED",
        )
        .bind(ids)
        .fetch_all(&mut *tx)
        .await?;
        let mut messages = Vec::with_capacity(rows.len());
        for row in rows {
            messages.push(Inbound {
                id: MessageId(row.try_get("id")?),
                connection: ConnectionId(row.try_get("connection_id")?),
                connector: row.try_get("connector")?,
                connection_name: row.try_get("name")?,
                settings: row.try_get("settings")?,
                topic: row.try_get("topic")?,
                kind: row.try_get::<Option<&str>, _>("record_kind")?.and_then(RecordKind::parse),
                source_id: row.try_get("source_id")?,
                body: row.try_get("body")?,
                must_fetch: row.try_get("must_fetch")?,
                failures: row.try_get("failures")?,
                received_at: row.try_get("received_at")?,
                lane: Lane::of_rank(row.try_get("lane")?).unwrap_or_default(),
                is_listed: row.try_get("is_listed")?,
                drift_version: row.try_get("drift_version")?,
            });
        }
        stray::refuse(&mut tx, self.scope(), Stage::Receive, ids, messages.iter().map(|message| message.id.0)).await?;
        let sources: Vec<Uuid> = messages.iter().map(|m| m.connection.0).collect::<HashSet<_>>().into_iter().collect();
        let flows = if sources.is_empty() { vec![] } else { published_flows(&mut tx, self.scope().tenant, &sources).await? };
        let has_rules = flows.iter().any(|flow| !flow.source_mapping.is_empty());
        let tables = if has_rules { table_versions(&mut tx, self.scope().tenant).await? } else { vec![] };
        Ok(Receiving { tx, scope: self.scope(), messages, flows, tables })
    }
}

async fn published_flows(
    tx: &mut Transaction<'static, Postgres>,
    tenant: TenantId,
    sources: &[Uuid],
) -> Result<Vec<PublishedFlow>, StoreError> {
    let rows = sqlx::query(
        "SELECT f.id, v.id AS version_id, f.record_kind, f.source_connection_id, f.destination_connection_id, v.filter, v.source_mapping,
                v.policy->>'ordering' AS ordering, v.policy->'cut_off' AS cut_off, v.trigger, f.was_swapped, w.connection_id AS candidate_id, w.version_id AS candidate_version_id,
                w.percent, CASE WHEN f.was_swapped THEN (SELECT array_agg(s.before_connection_id) FROM swaps s
                    WHERE s.flow_id = f.id AND s.state = 'done' AND s.moves_known) END AS moved
         FROM flows f JOIN flow_versions v ON v.flow_id = f.id AND v.state = 'published'
         LEFT JOIN LATERAL (
             SELECT s.connection_id, s.percent, c.id AS version_id FROM swaps s JOIN flow_versions c ON c.flow_id = s.flow_id AND c.state = 'candidate'
             WHERE s.flow_id = f.id AND s.state = 'cutting') w ON f.was_swapped
         WHERE f.tenant_id = $2 AND f.source_connection_id = ANY($1)",
    )
    .bind(sources)
    .bind(tenant.0)
    .fetch_all(&mut **tx)
    .await?;
    let mut flows = Vec::with_capacity(rows.len());
    for row in rows {
        let Some(kind) = RecordKind::parse(row.try_get("record_kind")?) else { continue };
        let flow = FlowId(row.try_get("id")?);
        let corrupt =
            |what| move |error: serde_json::Error| StoreError::Corrupt { what, id: flow.to_string(), why: error.to_string() };
        let ordering = row.try_get::<Option<&str>, _>("ordering")?;
        flows.push(PublishedFlow {
            flow,
            source_mapping: serde_json::from_value(row.try_get("source_mapping")?).map_err(corrupt("the source mapping"))?,
            ordering: if ordering == Some("each") { Ordering::Each } else { Ordering::Latest },
            trigger: serde_json::from_value(row.try_get("trigger")?).map_err(corrupt("the trigger"))?,
            cut_off: row
                .try_get::<Option<serde_json::Value>, _>("cut_off")?
                .map(serde_json::from_value)
                .transpose()
                .map_err(corrupt("the cut-off"))?,
            version: FlowVersionId(row.try_get("version_id")?),
            kind,
            source: ConnectionId(row.try_get("source_connection_id")?),
            destination: ConnectionId(row.try_get("destination_connection_id")?),
            filter: row.try_get("filter")?,
            ways: Ways::read(&row)?,
        });
    }
    Ok(flows)
}

impl<'a> Receiving<'a> {
    /// A transaction that has a message of its own in hand, for records of these sources.
    pub(super) async fn of(
        mut tx: Transaction<'static, Postgres>,
        scope: &'a Scope,
        sources: &[Uuid],
    ) -> Result<Self, StoreError> {
        let flows = published_flows(&mut tx, scope.tenant, sources).await?;
        Ok(Self { tx, scope, messages: vec![], flows, tables: vec![] })
    }

    pub(super) fn tx(&mut self) -> &mut Transaction<'static, Postgres> {
        &mut self.tx
    }

    pub(super) fn scope(&self) -> &'a Scope {
        self.scope
    }

    /// Writes what became of the messages and commits.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the messages still wait, and the sweeper brings them again.
    pub async fn finish(mut self, readings: Vec<(Inbound, Reading)>) -> Result<Received, StoreError> {
        let mut received = Received::default();
        let (mut ignored, mut stopped) = (Vec::new(), Vec::new());
        let mut waves: Vec<Vec<(Inbound, Revised)>> = Vec::new();
        let mut wave_of: HashMap<(ConnectionId, RecordKind, String), usize> = HashMap::new();
        let mut deleted: HashMap<(ConnectionId, RecordKind, String), MessageId> = HashMap::new();
        for (message, reading) in readings {
            match reading {
                Reading::Ignored => ignored.push(message.id.0),
                Reading::Exception(reason) => stopped.push((message, reason)),
                Reading::Deleted { kind, source_id } => {
                    // Of two that say the same, the first is told; the other changes nothing.
                    let key = (message.connection, kind, source_id);
                    match deleted.entry(key) {
                        Entry::Occupied(_) => ignored.push(message.id.0),
                        Entry::Vacant(entry) => {
                            entry.insert(message.id);
                        }
                    }
                }
                Reading::Record(revised) => {
                    // What is told of a thing after that it was deleted says that it is there again.
                    let key = (message.connection, revised.kind, revised.source_id.clone());
                    if let Some(id) = deleted.remove(&key) {
                        ignored.push(id.0);
                    }
                    // Two messages of one record in one batch become revisions one after the other.
                    let wave = wave_of
                        .entry((message.connection, revised.kind, revised.source_id.clone()))
                        .and_modify(|w| *w += 1)
                        .or_insert(0);
                    if waves.len() <= *wave {
                        waves.resize_with(*wave + 1, Vec::new);
                    }
                    waves[*wave].push((message, *revised));
                }
            }
        }
        if !ignored.is_empty() {
            self.settle(&ignored, "ignored", &vec![None; ignored.len()]).await?;
            audit(&mut self.tx, self.scope, Action::MessageIgnored, "message", &ignored).await?;
        }
        self.stop(&stopped).await?;
        for wave in waves {
            self.write_wave(wave, &mut received).await?;
        }
        if !deleted.is_empty() {
            self.delete(&deleted).await?;
        }
        self.tx.commit().await?;
        Ok(received)
    }

    async fn stop(&mut self, stopped: &[(Inbound, Reason)]) -> Result<(), StoreError> {
        if stopped.is_empty() {
            return Ok(());
        }
        let messages: Vec<Uuid> = stopped.iter().map(|(message, _)| message.id.0).collect();
        self.settle(&messages, "exception", &vec![None; messages.len()]).await?;
        audit(&mut self.tx, self.scope, Action::MessageException, "message", &messages).await?;
        let opened = stopped.iter().map(|(m, reason)| (Subject::Message { message: m.id, connection: m.connection }, reason));
        exception::open(&mut self.tx, self.scope, &opened.collect::<Vec<_>>()).await
    }

    async fn write_wave(&mut self, wave: Vec<(Inbound, Revised)>, received: &mut Received) -> Result<(), StoreError> {
        let tenant = self.scope.tenant.0;
        let revision_ids: Vec<Uuid> = wave.iter().map(|_| RevisionId::generate().0).collect();
        self.found_again(&wave).await?;
        // Leans on the unique key (connection_id, kind, source_id). A row comes back only where a revision was made.
        let rows = sqlx::query(
            "INSERT INTO records AS r (id, tenant_id, kind, connection_id, source_id, number, search, revision, revision_id, content_hash,
                                       source_updated_at)
             SELECT id, $1, kind, connection_id, source_id, number, search, 1, revision_id, content_hash, source_updated_at
             FROM unnest($2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::uuid[], $9::bytea[], $10::timestamptz[])
                  AS i (id, kind, connection_id, source_id, number, search, revision_id, content_hash, source_updated_at)
             ORDER BY connection_id, kind, source_id
             ON CONFLICT (connection_id, kind, source_id) DO UPDATE SET
                 number = excluded.number, search = excluded.search, revision = r.revision + 1, revision_id = excluded.revision_id,
                 content_hash = excluded.content_hash, source_updated_at = excluded.source_updated_at, updated_at = now(), deleted_at = NULL
             -- What was deleted and is there again is a revision, even where it says what it said before; what is older than that is not.
             WHERE (r.content_hash <> excluded.content_hash OR r.deleted_at IS NOT NULL)
               AND (r.deleted_at IS NULL OR excluded.source_updated_at IS NULL OR excluded.source_updated_at > r.deleted_at)
               AND (r.source_updated_at IS NULL OR excluded.source_updated_at IS NULL OR excluded.source_updated_at >= r.source_updated_at)
             RETURNING id, revision, revision_id",
        )
        .bind(tenant)
        .bind(wave.iter().map(|_| RecordId::generate().0).collect::<Vec<_>>())
        .bind(wave.iter().map(|(_, r)| r.kind.as_str()).collect::<Vec<_>>())
        .bind(wave.iter().map(|(m, _)| m.connection.0).collect::<Vec<_>>())
        .bind(wave.iter().map(|(_, r)| r.source_id.as_str()).collect::<Vec<_>>())
        .bind(wave.iter().map(|(_, r)| r.number.as_deref()).collect::<Vec<_>>())
        .bind(wave.iter().map(|(_, r)| r.search.as_str()).collect::<Vec<_>>())
        .bind(&revision_ids)
        .bind(wave.iter().map(|(_, r)| r.content_hash.to_vec()).collect::<Vec<_>>())
        .bind(wave.iter().map(|(_, r)| r.source_updated_at).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx)
        .await?;
        let mut made: HashMap<Uuid, (Uuid, i32)> = HashMap::with_capacity(rows.len());
        for row in rows {
            made.insert(row.try_get("revision_id")?, (row.try_get("id")?, row.try_get("revision")?));
        }
        let (mut revised, mut same) = (Vec::new(), Vec::new());
        for ((message, record), revision_id) in wave.into_iter().zip(revision_ids) {
            match made.get(&revision_id) {
                Some((record_id, revision)) => {
                    revised.push(Made { message, record, revision_id, record_id: *record_id, revision: *revision })
                }
                None => same.push((message, record)),
            }
        }
        if !same.is_empty() {
            self.write_unchanged(&same).await?;
        }
        if !revised.is_empty() {
            received.planned.extend(self.write_revisions(&revised).await?);
        }
        let created = revised.into_iter().filter(|made| made.revision == 1);
        received.created.extend(created.map(|Made { message, record, .. }| Created {
            connection: message.connection,
            kind: record.kind,
            worth: record.worth,
        }));
        Ok(())
    }

    /// What a source lists is there, whatever was told before and however old it is. What a webhook tells may be older than its deletion.
    async fn found_again(&mut self, wave: &[(Inbound, Revised)]) -> Result<(), StoreError> {
        let listed: Vec<&(Inbound, Revised)> = wave.iter().filter(|(message, _)| message.is_listed).collect();
        if listed.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "UPDATE records r SET deleted_at = NULL, content_hash = '' FROM unnest($1::uuid[], $2::text[], $3::text[]) AS i (connection_id, kind, source_id)
             WHERE r.connection_id = i.connection_id AND r.kind = i.kind AND r.source_id = i.source_id AND r.deleted_at IS NOT NULL",
        )
        .bind(listed.iter().map(|(message, _)| message.connection.0).collect::<Vec<_>>())
        .bind(listed.iter().map(|(_, revised)| revised.kind.as_str()).collect::<Vec<_>>())
        .bind(listed.iter().map(|(_, revised)| revised.source_id.as_str()).collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }

    async fn write_revisions(&mut self, made: &[Made]) -> Result<Vec<Nudge>, StoreError> {
        let tenant = self.scope.tenant.0;
        let keys = || made.iter().flat_map(|m| m.record.keys.iter().map(|key| (key, m.record_id)));
        sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::int[], $5::uuid[], $6::text[], $7::uuid[], $8::text[], $9::text[], $10::uuid[],
                                      $11::text[])
                     AS i (id, record_id, revision, message_id, document, connection_id, kind, source_id, recipe_id, unbalanced)
             ), ids AS (
                 INSERT INTO external_ids (tenant_id, connection_id, kind, value, record_id, claim)
                 SELECT $1, connection_id, kind, source_id, record_id, 'key' FROM i WHERE revision = 1
                 ON CONFLICT DO NOTHING
             ), keys AS (
                 INSERT INTO search_keys (tenant_id, kind, value, record_id)
                 SELECT $1, kind, value, record_id FROM unnest($12::text[], $13::text[], $14::uuid[]) AS k (kind, value, record_id)
                 ON CONFLICT DO NOTHING
             ), due AS (
                 INSERT INTO match_dues AS d (tenant_id, record_id)
                 SELECT $1, record_id FROM unnest($15::uuid[]) AS m (record_id)
                 WHERE EXISTS (SELECT FROM match_policies p WHERE p.tenant_id = $1)
                 ON CONFLICT (record_id) DO UPDATE SET asked = d.asked + 1, tries = 0, due_at = now()
             ), stock AS (
                 INSERT INTO inventory_dues AS d (tenant_id, record_id)
                 SELECT $1, record_id FROM unnest($16::uuid[]) AS m (record_id)
                 WHERE EXISTS (SELECT FROM inventory_policies p WHERE p.tenant_id = $1)
                 ON CONFLICT (record_id) DO UPDATE SET asked = d.asked + 1, due_at = now()
             )
             INSERT INTO record_revisions (id, tenant_id, record_id, revision, message_id, document, recipe_id, unbalanced)
             SELECT id, $1, record_id, revision, message_id, document, recipe_id, unbalanced FROM i",
        )
        .bind(tenant)
        .bind(made.iter().map(|m| m.revision_id).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.record_id).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.revision).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.message.id.0).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.record.document.as_str()).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.message.connection.0).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.record.kind.as_str()).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.record.source_id.as_str()).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.record.recipe.map(|recipe| recipe.0)).collect::<Vec<_>>())
        .bind(made.iter().map(|m| m.record.unbalanced.as_deref()).collect::<Vec<_>>())
        .bind(keys().map(|(key, _)| key.kind.as_str()).collect::<Vec<_>>())
        .bind(keys().map(|(key, _)| key.value.as_str()).collect::<Vec<_>>())
        .bind(keys().map(|(_, record)| record).collect::<Vec<_>>())
        .bind(made.iter().filter(|m| m.changes_a_match()).map(|m| m.record_id).collect::<Vec<_>>())
        .bind(made.iter().filter(|m| m.changes_the_stock()).map(|m| m.record_id).collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        if made.iter().any(|m| m.revision > 1) {
            self.supersede(made).await?;
        }
        let messages: Vec<Uuid> = made.iter().map(|m| m.message.id.0).collect();
        let records: Vec<Option<Uuid>> = made.iter().map(|m| Some(m.record_id)).collect();
        self.settle(&messages, "mapped", &records).await?;
        let taken = made.iter().map(|m| Taken {
            message: m.message.id.0,
            connection: m.message.connection.0,
            kind: m.record.kind.as_str(),
            source_id: &m.record.source_id,
            record: Some(m.record_id),
        });
        exception::close_overtaken(&mut self.tx, self.scope, &taken.collect::<Vec<_>>()).await?;
        audit(&mut self.tx, self.scope, Action::MessageMapped, "message", &messages).await?;
        self.plan(made).await
    }

    async fn plan(&mut self, made: &[Made]) -> Result<Vec<Nudge>, StoreError> {
        let duties: Vec<(&Made, &PublishedFlow)> =
            made.iter().flat_map(|m| m.record.flows.iter().map(move |flow| (m, flow))).collect();
        if duties.is_empty() {
            return Ok(vec![]);
        }
        let ids: Vec<Uuid> = duties.iter().map(|_| DeliveryId::generate().0).collect();
        let routed: Vec<_> = duties.iter().map(|(m, flow)| (RecordId(m.record_id), m.revision, *flow)).collect();
        let ways = split::ways(&mut self.tx, &routed).await?;
        let now = Utc::now();
        // Those of a live flow are due now, by the clock of the database.
        let due = |flow: &PublishedFlow| (flow.trigger != Trigger::Live).then(|| flow.trigger.due(now));
        sqlx::query(
            "INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, origin_at,
                                     due_at, sweep_at, lane, due_by)
             SELECT id, $1, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, origin_at, coalesce(due_at, now()),
                    coalesce(due_at, now() + make_interval(secs => $10)), lane, due_by
             FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::int[], $7::uuid[], $8::uuid[], $9::timestamptz[], $11::timestamptz[],
                         $12::smallint[], $13::timestamptz[])
                  AS i (id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, origin_at, due_at, lane, due_by)
             ON CONFLICT (flow_id, record_id, revision) WHERE undoes IS NULL DO NOTHING",
        )
        .bind(self.scope.tenant.0)
        .bind(&ids)
        .bind(duties.iter().map(|(_, f)| f.flow.0).collect::<Vec<_>>())
        .bind(ways.iter().map(|way| way.version.0).collect::<Vec<_>>())
        .bind(duties.iter().map(|(m, _)| m.record_id).collect::<Vec<_>>())
        .bind(duties.iter().map(|(m, _)| m.revision).collect::<Vec<_>>())
        .bind(duties.iter().map(|(m, _)| m.revision_id).collect::<Vec<_>>())
        .bind(ways.iter().map(|way| way.connection.0).collect::<Vec<_>>())
        .bind(duties.iter().map(|(m, _)| m.message.received_at).collect::<Vec<_>>())
        .bind(NUDGE_GRACE_S)
        .bind(duties.iter().map(|(_, f)| due(f)).collect::<Vec<_>>())
        .bind(duties.iter().map(|(m, _)| m.message.lane.rank()).collect::<Vec<_>>())
        .bind(duties.iter().map(|(m, f)| m.record.due_by.or_else(|| Some(f.cut_off.as_ref()?.next(m.message.received_at)))).collect::<Vec<_>>())
        .execute(&mut *self.tx)
        .await?;
        audit(&mut self.tx, self.scope, Action::DeliveryPlanned, "delivery", &ids).await?;
        let tenant = self.scope.tenant;
        let live = duties.iter().zip(ways.iter().zip(ids)).filter(|((_, flow), _)| flow.trigger == Trigger::Live);
        Ok(live.map(|((m, _), (way, id))| Nudge::new(tenant, way.connection, m.message.lane, id)).collect())
    }

    /// A later revision takes the place of deliveries that have not been sent; an exception over one of them closes itself.
    /// A write that may have had its effect is not superseded: it is proven first. Nor is one that is stored and whose actions are to come.
    async fn supersede(&mut self, made: &[Made]) -> Result<(), StoreError> {
        let mut duties: Vec<(Uuid, i32, Uuid, bool)> = Vec::new();
        for m in made.iter().filter(|m| m.revision > 1) {
            // A flow that delivers each revision keeps those that wait, one after the other.
            let latest = m.record.flows.iter().filter(|flow| flow.ordering == Ordering::Latest);
            let flows = latest.map(|flow| (flow.flow, false)).chain(m.record.left.iter().map(|flow| (*flow, true)));
            duties.extend(flows.map(|(flow, is_left)| (m.record_id, m.revision, flow.0, is_left)));
        }
        let superseded: Vec<Uuid> = sqlx::query_scalar(
            "WITH o AS (
                 SELECT d.id FROM unnest($1::uuid[], $2::int[], $3::uuid[], $4::bool[]) AS i (record_id, revision, flow_id, is_left)
                 JOIN deliveries d ON d.record_id = i.record_id AND d.flow_id = i.flow_id
                 -- Where the later revision is not sent, what was sent wrongly is still to be undone.
                 WHERE d.record_id = ANY($1) AND d.revision < i.revision AND (d.undoes IS NULL OR NOT i.is_left)
                   AND d.state IN ('planned', 'waiting', 'held', 'exception') AND NOT d.unproven AND d.calls_done = 0
                 FOR UPDATE OF d
             )
             UPDATE deliveries d SET state = 'superseded', settled_at = now() FROM o WHERE d.id = o.id
             RETURNING d.id",
        )
        .bind(duties.iter().map(|d| d.0).collect::<Vec<_>>())
        .bind(duties.iter().map(|d| d.1).collect::<Vec<_>>())
        .bind(duties.iter().map(|d| d.2).collect::<Vec<_>>())
        .bind(duties.iter().map(|d| d.3).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx)
        .await?;
        exception::close_superseded(&mut self.tx, self.scope, &superseded, exception::OVERTAKEN).await
    }

    /// Messages that made no revision: they say what is known, or are older than what is known.
    async fn write_unchanged(&mut self, same: &[(Inbound, Revised)]) -> Result<(), StoreError> {
        // What is said again was true later than we knew: a message from between the two must not take its place.
        let rows = sqlx::query(
            "WITH i AS (
                 SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::timestamptz[])
                     AS i (message_id, connection_id, kind, source_id, content_hash, source_updated_at)
             ), known AS (
                 SELECT i.message_id, i.source_updated_at, r.id, r.content_hash = i.content_hash AS unchanged
                 FROM i JOIN records r USING (connection_id, kind, source_id)
             ), touched AS (
                 UPDATE records r SET source_updated_at = k.source_updated_at
                 FROM known k WHERE r.id = k.id AND k.unchanged AND k.source_updated_at > r.source_updated_at
             )
             SELECT message_id, id AS record_id, unchanged FROM known",
        )
        .bind(same.iter().map(|(m, _)| m.id.0).collect::<Vec<_>>())
        .bind(same.iter().map(|(m, _)| m.connection.0).collect::<Vec<_>>())
        .bind(same.iter().map(|(_, r)| r.kind.as_str()).collect::<Vec<_>>())
        .bind(same.iter().map(|(_, r)| r.source_id.as_str()).collect::<Vec<_>>())
        .bind(same.iter().map(|(_, r)| r.content_hash.to_vec()).collect::<Vec<_>>())
        .bind(same.iter().map(|(_, r)| r.source_updated_at).collect::<Vec<_>>())
        .fetch_all(&mut *self.tx)
        .await?;
        let (mut unchanged, mut stale): (Vec<Known>, Vec<Known>) = (vec![], vec![]);
        for row in rows {
            let pair = (row.try_get("message_id")?, Some(row.try_get("record_id")?));
            if row.try_get("unchanged")? { unchanged.push(pair) } else { stale.push(pair) }
        }
        for (group, state, action) in [(unchanged, "unchanged", Action::MessageUnchanged), (stale, "stale", Action::MessageStale)]
        {
            if group.is_empty() {
                continue;
            }
            let (messages, records): (Vec<Uuid>, Vec<Option<Uuid>>) = group.into_iter().unzip();
            self.settle(&messages, state, &records).await?;
            audit(&mut self.tx, self.scope, action, "message", &messages).await?;
        }
        Ok(())
    }

    pub(super) async fn settle(&mut self, messages: &[Uuid], state: &str, records: &[Option<Uuid>]) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE messages m SET state = $3, record_id = i.record_id
             FROM unnest($1::uuid[], $2::uuid[]) AS i (id, record_id) WHERE m.id = ANY($1) AND m.id = i.id",
        )
        .bind(messages)
        .bind(records)
        .bind(state)
        .execute(&mut *self.tx)
        .await?;
        Ok(())
    }
}

/// A message and the record it speaks of.
type Known = (Uuid, Option<Uuid>);

struct Made {
    message: Inbound,
    record: Revised,
    revision_id: Uuid,
    record_id: Uuid,
    revision: i32,
}

impl Made {
    /// True where an order may agree or disagree with its shipments and invoices now. A new order has none: those that came before it wait for it.
    fn changes_a_match(&self) -> bool {
        matches!(self.record.kind, RecordKind::Shipment | RecordKind::Invoice)
            || (matches!(self.record.kind, RecordKind::Order | RecordKind::PurchaseOrder) && self.revision > 1)
    }

    /// True of what says how much there is of an item, or wants or takes some of it.
    fn changes_the_stock(&self) -> bool {
        matches!(self.record.kind, RecordKind::InventoryLevel | RecordKind::Order | RecordKind::Shipment)
    }
}

/// Adds one audit row for each subject, in the transaction that causes them.
pub(crate) async fn audit(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    action: Action,
    subject_kind: &str,
    subjects: &[Uuid],
) -> Result<(), StoreError> {
    audit_each(tx, scope, action, subject_kind, subjects, &vec![None; subjects.len()]).await
}

/// As [`audit`], where each row tells something beside, in the same order.
pub(crate) async fn audit_told(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    action: Action,
    subject_kind: &str,
    subjects: &[Uuid],
    told: &[String],
) -> Result<(), StoreError> {
    let details: Vec<Option<&str>> = told.iter().map(|told| Some(told.as_str())).collect();
    audit_each(tx, scope, action, subject_kind, subjects, &details).await
}

/// As [`audit`], with what rows tell beside, in the same order; some may tell nothing.
pub(crate) async fn audit_each(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    action: Action,
    subject_kind: &str,
    subjects: &[Uuid],
    details: &[Option<&str>],
) -> Result<(), StoreError> {
    if subjects.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
         SELECT id, $1, $2, $3, $4, subject_id, $5, detail FROM unnest($6::uuid[], $7::uuid[], $8::text[]) AS i (id, subject_id, detail)",
    )
    .bind(scope.tenant.0)
    .bind(scope.audit_actor_json())
    .bind(action.as_str())
    .bind(subject_kind)
    .bind(scope.request.id)
    .bind(subjects.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
    .bind(subjects)
    .bind(details)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
