//! Intake: what arrived is committed before the sender gets its 2xx. Concurrent arrivals share one transaction (group commit),
//! each tenant's rows written under that tenant's row-level security.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use domain::audit::Action;
use domain::id::{ConnectionId, CredentialId, MessageId, TenantId};
use domain::merkle::Hash;
use domain::message::Origin;
use domain::record::RecordKind;
use domain::scope::Request;
use domain::secret::SecretFields;
use domain::usage::Meter;
use sqlx::Row;
use uuid::Uuid;

use super::hook_secret::HookSecrets;
use super::{Store, StoreError, enter_to_insert, opened};
use crate::vault::{Sealed, Vault};

/// How long the direct nudge of a new message may take before the sweeper nudges again.
const NUDGE_GRACE_S: i32 = 10;

/// The connection a hook token belongs to, with its opened credential and what else its deliveries may be signed with.
#[derive(Debug, Clone)]
pub struct Hook {
    pub tenant: TenantId,
    pub connection: ConnectionId,
    pub connector: String,
    pub settings: serde_json::Value,
    pub is_active: bool,
    pub credential: SecretFields,
    pub secrets: HookSecrets,
}

/// A message that was verified and waits to be committed.
#[derive(Debug, Clone)]
pub struct Arrival {
    pub id: MessageId,
    pub tenant: TenantId,
    pub connection: ConnectionId,
    pub origin: Origin,
    pub topic: String,
    pub dedupe_key: String,
    pub kind: Option<RecordKind>,
    pub source_id: Option<String>,
    pub thin: bool,
    pub body: Bytes,
    /// SHA-256 of the body.
    pub body_sha256: Hash,
    pub request: Request,
}

/// What became of an arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    New(MessageId),
    /// It was here before, as this message.
    Duplicate(MessageId),
}

impl Store {
    /// The connection behind a hook token; `None` for an unknown one.
    ///
    /// # Errors
    /// Where the database does not answer, or the credential does not open.
    pub async fn hook_find(&self, vault: &Vault, token: &str) -> Result<Option<Hook>, StoreError> {
        let rows = sqlx::query("SELECT * FROM hook_find_signed($1)").bind(token).fetch_all(self.pool()).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let tenant = TenantId(row.try_get("tenant_id")?);
        let mut credential = SecretFields::default();
        if let Some(id) = row.try_get::<Option<Uuid>, _>("credential_id")? {
            credential = opened(row, vault, tenant, Sealed::Credential(CredentialId(id)))?;
        }
        Ok(Some(Hook {
            tenant,
            connection: ConnectionId(row.try_get("connection_id")?),
            secrets: HookSecrets::of_hook(&rows, vault, tenant)?,
            connector: row.try_get("connector")?,
            settings: row.try_get("settings")?,
            is_active: row.try_get::<&str, _>("state")? == "active",
            credential,
        }))
    }

    /// Commits arrivals of any tenants in one transaction and says what became of each, in their order.
    ///
    /// # Errors
    /// Where the transaction did not commit: then none of them is stored.
    pub async fn commit_arrivals(&self, arrivals: &[Arrival]) -> Result<Vec<Committed>, StoreError> {
        let mut by_tenant: BTreeMap<TenantId, Vec<&Arrival>> = BTreeMap::new();
        for arrival in arrivals {
            by_tenant.entry(arrival.tenant).or_default().push(arrival);
        }
        let mut stored: HashMap<MessageId, MessageId> = HashMap::with_capacity(arrivals.len());
        let mut tx = self.pool().begin().await?;
        for (tenant, arrivals) in by_tenant {
            enter_to_insert(&mut tx, tenant).await?;
            for row in insert(tenant, &arrivals).fetch_all(&mut *tx).await? {
                stored.insert(MessageId(row.try_get("id")?), MessageId(row.try_get("stored")?));
            }
        }
        tx.commit().await?;
        let committed = arrivals.iter().map(|arrival| match stored.get(&arrival.id) {
            Some(id) if *id == arrival.id => Committed::New(*id),
            Some(id) => Committed::Duplicate(*id),
            None => unreachable!("every arrival has a key row"),
        });
        Ok(committed.collect())
    }
}

type Query = sqlx::query::Query<'static, sqlx::Postgres, sqlx::postgres::PgArguments>;

fn insert(tenant: TenantId, arrivals: &[&Arrival]) -> Query {
    const SQL: &str = "
        WITH arrivals AS (
            SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::bool[], $10::bytea[],
                                 $11::uuid[], $12::uuid[], $17::text[], $18::text[], $19::bytea[])
                AS a (id, connection_id, origin, topic, dedupe_key, record_kind, source_id, thin, body, request_id, audit_id, address, trace, sha256)
        ), keys AS (
            -- Those of one batch that are the same thing: the first stands for it, the others are duplicates like any that come later.
            -- Keys go in order, so that two batches that share some cannot wait for each other in a circle.
            INSERT INTO message_keys AS k (tenant_id, connection_id, dedupe_key, message_id, duplicates)
            SELECT $1, connection_id, dedupe_key, (array_agg(id ORDER BY id))[1], count(*) - 1 FROM arrivals
            GROUP BY connection_id, dedupe_key ORDER BY connection_id, dedupe_key
            ON CONFLICT (connection_id, dedupe_key) DO UPDATE SET duplicates = k.duplicates + excluded.duplicates + 1
            RETURNING k.connection_id, k.dedupe_key, k.message_id
        ), known AS (
            SELECT a.*, k.message_id AS stored FROM arrivals a JOIN keys k USING (connection_id, dedupe_key)
        ), fresh AS (
            INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, thin, body, sweep_at)
            SELECT id, $1, connection_id, origin, topic, dedupe_key, record_kind, source_id, thin, body, now() + make_interval(secs => $13)
            FROM known WHERE stored = id
        ), audited AS (
            -- With the digest of what came, a seal over the event holds that, too; of a duplicate, nothing else is kept of what came with it.
            INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
            SELECT audit_id, $1, jsonb_strip_nulls(jsonb_build_object('kind', 'vendor', 'connection', 'con_' || replace(connection_id::text, '-', ''),
                       'address', address, 'trace', trace)),
                   CASE WHEN stored = id THEN $14 ELSE $15 END, 'message', stored, request_id,
                   '{\"body_sha256\":\"' || encode(sha256, 'hex') || '\"}'
            FROM known
        ), counted AS (
            INSERT INTO usage_events (id, tenant_id, meter, connection_id, quantity)
            SELECT (array_agg(audit_id))[1], $1, $16, connection_id, count(*) FROM known WHERE stored = id GROUP BY connection_id
        )
        SELECT id, stored FROM known";
    let column = |f: fn(&Arrival) -> Uuid| arrivals.iter().map(|a| f(a)).collect::<Vec<_>>();
    let text = |f: fn(&Arrival) -> String| arrivals.iter().map(|a| f(a)).collect::<Vec<_>>();
    sqlx::query(SQL)
        .bind(tenant.0)
        .bind(column(|a| a.id.0))
        .bind(column(|a| a.connection.0))
        .bind(text(|a| a.origin.as_str().to_owned()))
        .bind(text(|a| a.topic.clone()))
        .bind(text(|a| a.dedupe_key.clone()))
        .bind(arrivals.iter().map(|a| a.kind.map(RecordKind::as_str)).collect::<Vec<_>>())
        .bind(arrivals.iter().map(|a| a.source_id.clone()).collect::<Vec<_>>())
        .bind(arrivals.iter().map(|a| a.thin).collect::<Vec<_>>())
        .bind(arrivals.iter().map(|a| a.body.to_vec()).collect::<Vec<_>>())
        .bind(column(|a| a.request.id))
        .bind(column(|_| Uuid::now_v7()))
        .bind(f64::from(NUDGE_GRACE_S))
        .bind(Action::MessageReceived.as_str())
        .bind(Action::MessageDuplicate.as_str())
        .bind(Meter::MessageAccepted.as_str())
        .bind(arrivals.iter().map(|a| a.request.address.map(|address| address.to_string())).collect::<Vec<_>>())
        .bind(arrivals.iter().map(|a| a.request.trace.map(|trace| trace.to_string())).collect::<Vec<_>>())
        .bind(arrivals.iter().map(|a| a.body_sha256.to_vec()).collect::<Vec<_>>())
}
