//! The erasing of a person's data: which records are theirs, that nothing of those is under way, and one function of the database that writes over all of it at
//! once. Each record that was erased is told in the audit log, with digests of what was there.

use std::collections::BTreeMap;

use domain::audit::Action;
use domain::id::RecordId;
use domain::search_key::{KeyKind, SearchKey};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit_told;
use super::{StoreError, TenantStore, configure};
use crate::vault::Vault;

/// Records of one call: their rows are locked while it runs.
pub const RECORDS_MAX: usize = 500;
/// A call that was begun so long ago and never closed is under way no more.
const UNDER_WAY_S: f64 = 600.0;

/// Whose data it is.
#[derive(Debug, Clone)]
pub enum Whom {
    /// These records, and no others.
    Records(Vec<RecordId>),
    /// All records that are known by this address, and what refers to those among them that are orders.
    Email(SearchKey),
}

/// What came of it.
#[derive(Debug, Clone)]
pub enum Erasure {
    /// Why nothing may be erased.
    Held(String),
    /// Calls, or messages, of these records are under way.
    UnderWay(i64),
    Done(Erased),
}

/// What was erased, or would be.
#[derive(Debug, Clone, Default)]
pub struct Erased {
    pub records: Vec<RecordId>,
    /// There are more of that person: ask again.
    pub has_more: bool,
    /// Rows of each table.
    pub places: BTreeMap<String, i64>,
}

impl TenantStore<'_> {
    /// Erases what tells of a person in these records. Without `is_meant` nothing is changed, and the answer is what would be: it is done and rolled back.
    ///
    /// # Errors
    /// Where the database does not answer: then nothing was erased.
    pub async fn personal_data_erase(
        &self,
        vault: &Vault,
        whom: &Whom,
        reason: &str,
        is_meant: bool,
    ) -> Result<Erasure, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let held: Option<Option<String>> = sqlx::query_scalar("SELECT hold FROM audit_policies WHERE tenant_id = $1")
            .bind(tenant)
            .fetch_optional(&mut *tx)
            .await?;
        if let Some(why) = held.flatten() {
            return Ok(Erasure::Held(why));
        }
        let mut ids = match whom {
            Whom::Records(records) => records.iter().map(|record| record.0).collect(),
            Whom::Email(address) => known_by(&mut tx, vault, self, address).await?,
        };
        let has_more = ids.len() > RECORDS_MAX;
        ids.truncate(RECORDS_MAX);
        // In one order, so that two who erase do not wait for each other; what is received meanwhile waits for this, and is new then.
        let lock = sqlx::query_scalar("SELECT id FROM records WHERE tenant_id = $1 AND id = ANY($2) ORDER BY id FOR UPDATE");
        let ids: Vec<Uuid> = lock.bind(tenant).bind(&ids).fetch_all(&mut *tx).await?;
        let under_way = under_way(&mut tx, tenant, &ids).await?;
        if under_way > 0 {
            return Ok(Erasure::UnderWay(under_way));
        }
        let rows = sqlx::query("SELECT record_id, place, erased, sha256 FROM personal_data_erase($1)");
        let rows = rows.bind(&ids).fetch_all(&mut *tx).await?;
        let mut erased = Erased { has_more, ..Erased::default() };
        let mut told: BTreeMap<Uuid, serde_json::Map<String, serde_json::Value>> = BTreeMap::new();
        for row in rows {
            let (record, place, count): (Uuid, String, i64) =
                (row.try_get("record_id")?, row.try_get("place")?, row.try_get("erased")?);
            let sha256: String = row.try_get("sha256")?;
            *erased.places.entry(place.clone()).or_default() += count;
            told.entry(record).or_default().insert(place, serde_json::json!({"rows": count, "sha256": sha256}));
        }
        erased.records = told.keys().copied().map(RecordId).collect();
        if !is_meant {
            tx.rollback().await?;
            return Ok(Erasure::Done(erased));
        }
        let records: Vec<Uuid> = told.keys().copied().collect();
        let details: Vec<String> =
            told.into_values().map(|places| serde_json::json!({"reason": reason, "erased": places}).to_string()).collect();
        audit_told(&mut tx, self.scope(), Action::PersonalDataErased, "record", &records, &details).await?;
        tx.commit().await?;
        Ok(Erasure::Done(erased))
    }
}

/// The records of an address that are not erased yet: first what refers to its orders, as long as those are found, then they themselves.
async fn known_by(
    tx: &mut Transaction<'static, Postgres>,
    vault: &Vault,
    store: &TenantStore<'_>,
    address: &SearchKey,
) -> Result<Vec<Uuid>, StoreError> {
    let tenant = store.scope().tenant;
    let key = configure::key_hasher(tx, vault, tenant).await?.store(address.clone());
    // Leans on the primary key of search_keys, on search_keys_record and external_ids_record. A number is an order's where no other order has it.
    let ids = sqlx::query_scalar(
        "WITH known AS MATERIALIZED (
             SELECT k.record_id FROM search_keys k WHERE k.tenant_id = $1 AND k.kind = $2 AND k.value = $3 COLLATE \"C\"
         ), by_id AS (
             SELECT k.record_id FROM known
             JOIN external_ids x ON x.record_id = known.record_id AND x.tenant_id = $1 AND x.kind = 'order'
             JOIN search_keys k ON k.tenant_id = $1 AND k.kind = 'order_id' AND k.value = lower(x.value) COLLATE \"C\"
             JOIN records r ON r.id = k.record_id AND r.tenant_id = $1 AND r.connection_id = x.connection_id
         ), by_number AS (
             SELECT k.record_id FROM known
             JOIN records o ON o.id = known.record_id AND o.tenant_id = $1 AND o.kind = 'order'
             JOIN search_keys n ON n.tenant_id = $1 AND n.record_id = o.id AND n.kind = 'number'
             JOIN search_keys k ON k.tenant_id = $1 AND k.kind = 'order_number' AND k.value = n.value
             WHERE NOT EXISTS (SELECT FROM search_keys s JOIN records other ON other.id = s.record_id AND other.kind = 'order'
                               WHERE s.tenant_id = $1 AND s.kind = 'number' AND s.value = n.value AND s.record_id <> o.id)
         ), found AS (
             SELECT record_id, false AS is_known FROM by_id UNION SELECT record_id, false FROM by_number UNION SELECT record_id, true FROM known
         )
         SELECT f.record_id FROM found f
         JOIN records r ON r.id = f.record_id AND r.tenant_id = $1
         JOIN record_revisions v ON v.tenant_id = $1 AND v.id = r.revision_id
         WHERE f.is_known OR NOT is_tombstone(v.document)
         GROUP BY f.record_id ORDER BY bool_or(f.is_known), f.record_id LIMIT $4",
    )
    .bind(tenant.0)
    .bind(KeyKind::Email.as_str())
    .bind(&key.value)
    .bind(i64::try_from(RECORDS_MAX).unwrap_or(i64::MAX) + 1)
    .fetch_all(&mut **tx)
    .await?;
    Ok(ids)
}

/// Calls of their deliveries that have not ended, groups that are not written yet, and messages that are being read: what they hold in memory would be
/// written after it was erased.
async fn under_way(tx: &mut Transaction<'static, Postgres>, tenant: Uuid, ids: &[Uuid]) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar(
        "WITH sent AS MATERIALIZED (
             SELECT d.id, d.state FROM deliveries d WHERE d.tenant_id = $1 AND d.record_id = ANY($2) FOR UPDATE
         )
         SELECT (SELECT count(*) FROM sent WHERE state = 'sending')
              + (SELECT count(*) FROM sent JOIN attempts a ON a.delivery_id = sent.id
                 WHERE sent.state <> 'sending' AND a.tenant_id = $1 AND a.ended_at IS NULL AND a.started_at > now() - make_interval(secs => $3))
              + (SELECT count(*) FROM sent JOIN sent_groups g ON g.delivery_id = sent.id WHERE g.tenant_id = $1 AND g.state IN ('planned', 'placed'))
              -- Leans on messages_sweep; one that is read for the first time has no record yet.
              + (SELECT count(*) FROM records r JOIN messages m ON m.connection_id = r.connection_id AND m.source_id = r.source_id
                 WHERE r.tenant_id = $1 AND r.id = ANY($2) AND m.tenant_id = $1 AND m.state IN ('received', 'fetching'))",
    )
    .bind(tenant)
    .bind(ids)
    .bind(UNDER_WAY_S)
    .fetch_one(&mut **tx)
    .await?;
    Ok(count)
}
