//! Search by any id: the keys that receiving has stored, the ids that other systems have of a record, and our own.

use domain::id::{AttemptId, DeliveryId, ExceptionId, MessageId, RecordId, RevisionId};
use domain::record::RecordKind;
use domain::search_key::{Asked, KeyKind, SearchKey, prefix_end};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::entity::record;
use super::{StoreError, TenantStore, configure};
use crate::vault::{KeyHasher, StoredKey, Vault};

/// Records of one answer: whoever gets more of them should ask for something narrower.
pub const HITS_MAX: i64 = 50;
/// Connections whose ids are looked through.
const CONNECTIONS_MAX: i64 = 1_000;

/// By which id a record was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    Key(KeyKind),
    /// The id that a connected system has of it.
    ExternalId,
    /// An id of ours: its own, or that of a message, delivery, attempt, exception or revision of it.
    OwnId,
}

#[derive(Debug, Clone)]
pub struct Hit {
    pub matched: Matched,
    /// The key as it is stored, without `#` and in small letters; of an address and of ids what was asked.
    pub value: String,
    /// False where the key only begins with what was asked.
    pub is_exact: bool,
    pub record: record::Model,
}

impl TenantStore<'_> {
    /// What hashes the tenant's search keys; made where the tenant has no data key yet.
    ///
    /// # Errors
    /// Where the database does not answer or the data key does not open.
    pub async fn key_hasher(&self, vault: &Vault) -> Result<KeyHasher, StoreError> {
        let mut tx = self.begin().await?;
        let hasher = configure::key_hasher(&mut tx, vault, self.scope().tenant).await?;
        tx.commit().await?;
        Ok(hasher)
    }

    /// The records that are known by this, the best matches first and of those alike the newest; each record once.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn search(&self, vault: &Vault, asked: &Asked, first: i64) -> Result<Vec<Hit>, StoreError> {
        match asked {
            Asked::Own { prefix, row } => self.search_own(prefix, *row).await,
            Asked::Keys { keys, text } => self.search_keys(vault, keys, text, first.clamp(1, HITS_MAX)).await,
        }
    }

    async fn search_own(&self, prefix: &'static str, row: Uuid) -> Result<Vec<Hit>, StoreError> {
        // Each by the primary key, and in a partitioned table by the time within the id.
        let of = match prefix {
            RecordId::PREFIX => "SELECT $1::uuid",
            DeliveryId::PREFIX => "SELECT record_id FROM deliveries WHERE id = $1",
            MessageId::PREFIX => "SELECT record_id FROM messages WHERE id = $1",
            RevisionId::PREFIX => "SELECT record_id FROM record_revisions WHERE id = $1",
            AttemptId::PREFIX => {
                "SELECT CASE WHEN a.delivery_id IS NULL THEN (SELECT m.record_id FROM messages m WHERE m.id = a.message_id)
                             ELSE (SELECT d.record_id FROM deliveries d WHERE d.id = a.delivery_id) END
                 FROM attempts a WHERE a.id = $1"
            }
            ExceptionId::PREFIX => {
                "SELECT CASE WHEN e.record_id IS NULL THEN (SELECT m.record_id FROM messages m WHERE m.id = e.message_id)
                             ELSE e.record_id END
                 FROM exceptions e WHERE e.id = $1"
            }
            _ => return Ok(vec![]),
        };
        let mut tx = self.begin().await?;
        let record: Option<Option<Uuid>> = sqlx::query_scalar(of).bind(row).fetch_optional(&mut *tx).await?;
        let Some(record) = record.flatten() else { return Ok(vec![]) };
        let found = sqlx::query("SELECT * FROM records WHERE id = $1").bind(record).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let hit = |row: &PgRow| -> Result<Hit, StoreError> {
            Ok(Hit { matched: Matched::OwnId, value: prefix.to_owned(), is_exact: true, record: record_model(row)? })
        };
        found.iter().map(hit).collect()
    }

    async fn search_keys(&self, vault: &Vault, keys: &[SearchKey], text: &str, first: i64) -> Result<Vec<Hit>, StoreError> {
        let mut tx = self.begin().await?;
        let mut stored: Vec<StoredKey> = Vec::with_capacity(keys.len());
        let mut address = None;
        for key in keys {
            if key.kind == KeyKind::Email {
                // Few searches are for one, and only those need the data key.
                address = Some(key.text.clone());
                stored.push(configure::key_hasher(&mut tx, vault, self.scope().tenant).await?.store(key.clone()));
            } else {
                stored.push(StoredKey { kind: key.kind, value: key.text.clone() });
            }
        }
        let ends = stored.iter().map(|key| if key.kind.has_prefixes() { prefix_end(&key.value) } else { None });
        // Each kind is one walk along the primary key, no longer than the answer: backwards among equal keys, so that the newest come first.
        let rows = sqlx::query(
            "WITH asked AS (
                 SELECT * FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS a (kind, value, below, rank)
             ), hits AS (
                 SELECT a.rank, a.kind, k.value, k.record_id FROM asked a CROSS JOIN LATERAL (
                     SELECT s.value, s.record_id FROM search_keys s WHERE s.tenant_id = $1 AND s.kind = a.kind AND s.value = a.value COLLATE \"C\"
                     ORDER BY s.record_id DESC LIMIT $5) k
                 UNION ALL
                 SELECT 50, '', e.value, e.record_id
                 FROM (SELECT c.id FROM connections c WHERE c.tenant_id = $1 ORDER BY c.id LIMIT $8) c CROSS JOIN unnest($6::text[]) AS t (kind)
                 CROSS JOIN LATERAL (
                     SELECT x.value, x.record_id FROM external_ids x WHERE x.connection_id = c.id AND x.kind = t.kind AND x.value = $7 LIMIT 1) e
                 UNION ALL
                 SELECT 100 + a.rank, a.kind, k.value, k.record_id FROM asked a CROSS JOIN LATERAL (
                     SELECT s.value, s.record_id FROM search_keys s
                     WHERE s.tenant_id = $1 AND s.kind = a.kind AND s.value > a.value COLLATE \"C\" AND s.value < a.below COLLATE \"C\"
                     ORDER BY s.value, s.record_id LIMIT $5) k
                 WHERE a.below IS NOT NULL
             ), best AS (
                 SELECT DISTINCT ON (record_id) rank, kind, value, record_id FROM hits ORDER BY record_id, rank, value
             ), top AS (
                 SELECT * FROM best ORDER BY rank, value, record_id DESC LIMIT $5
             )
             SELECT t.rank, t.kind AS key_kind, t.value, r.* FROM top t JOIN records r ON r.id = t.record_id
             ORDER BY t.rank, t.value, t.record_id DESC",
        )
        .bind(self.scope().tenant.0)
        .bind(stored.iter().map(|key| key.kind.as_str()).collect::<Vec<_>>())
        .bind(stored.iter().map(|key| key.value.as_str()).collect::<Vec<_>>())
        .bind(ends.collect::<Vec<_>>())
        .bind(first)
        .bind(RecordKind::ALL.map(RecordKind::as_str))
        .bind(text)
        .bind(CONNECTIONS_MAX)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let hit = |row: &PgRow| -> Result<Hit, StoreError> {
            let kind = KeyKind::parse(row.try_get("key_kind")?);
            let value = match kind {
                Some(KeyKind::Email) => address.clone().unwrap_or_default(),
                _ => row.try_get("value")?,
            };
            let matched = kind.map_or(Matched::ExternalId, Matched::Key);
            Ok(Hit { matched, value, is_exact: row.try_get::<i64, _>("rank")? <= 50, record: record_model(row)? })
        };
        rows.iter().map(hit).collect()
    }
}

/// A row of `records`, as lists show it.
pub(super) fn record_model(row: &PgRow) -> Result<record::Model, sqlx::Error> {
    Ok(record::Model {
        id: row.try_get("id")?,
        tenant_id: row.try_get("tenant_id")?,
        kind: row.try_get("kind")?,
        connection_id: row.try_get("connection_id")?,
        source_id: row.try_get("source_id")?,
        number: row.try_get("number")?,
        search: row.try_get("search")?,
        revision: row.try_get("revision")?,
        revision_id: row.try_get("revision_id")?,
        created_at: row.try_get("created_at")?,
        updated_at: row.try_get("updated_at")?,
        deleted_at: row.try_get("deleted_at")?,
    })
}
