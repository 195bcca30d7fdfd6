//! Which record is which id where. The first that has an id keeps it: an answer that names another record's id is none to our call.

use std::collections::{BTreeMap, HashSet};

use domain::delivery::Receipt;
use domain::id::{ConnectionId, DeliveryId, RecordId};
use domain::record::RecordKind;
use domain::scope::Scope;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::{StoreError, TenantStore};

/// An id that a destination gave for a record.
pub(super) struct Given<'g> {
    pub delivery: DeliveryId,
    pub connection: ConnectionId,
    pub kind: RecordKind,
    pub receipt: &'g Receipt,
    pub record: RecordId,
}

/// Learns ids; returns the deliveries whose id belongs to another record. Of customers and items several may be one there.
pub(super) async fn learn(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    given: &[Given<'_>],
) -> Result<HashSet<DeliveryId>, StoreError> {
    // Each id once and in one order: a statement touches no row twice, and two transactions never wait for each other for ever.
    let mut owners: BTreeMap<(Uuid, &str, &str), Uuid> = BTreeMap::new();
    for one in given {
        owners.entry((one.connection.0, one.kind.as_str(), one.receipt.id.as_str())).or_insert(one.record.0);
    }
    if owners.is_empty() {
        return Ok(HashSet::new());
    }
    // Of what is known already only another record's is returned, and nothing is written.
    let rows = sqlx::query(
        "INSERT INTO external_ids AS e (tenant_id, connection_id, kind, value, record_id)
         SELECT $1, connection_id, kind, value, record_id FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[])
                AS i (connection_id, kind, value, record_id)
         ON CONFLICT (connection_id, kind, value) DO UPDATE SET record_id = e.record_id WHERE e.record_id <> excluded.record_id
         RETURNING connection_id, kind, value, record_id",
    )
    .bind(scope.tenant.0)
    .bind(owners.keys().map(|key| key.0).collect::<Vec<_>>())
    .bind(owners.keys().map(|key| key.1).collect::<Vec<_>>())
    .bind(owners.keys().map(|key| key.2).collect::<Vec<_>>())
    .bind(owners.values().copied().collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    for row in &rows {
        let key = (row.try_get("connection_id")?, row.try_get("kind")?, row.try_get("value")?);
        owners.insert(key, row.try_get("record_id")?);
    }
    let is_anothers = |one: &&Given<'_>| {
        let owner = owners.get(&(one.connection.0, one.kind.as_str(), one.receipt.id.as_str()));
        !one.kind.may_be_shared() && owner.is_some_and(|owner| *owner != one.record.0)
    };
    Ok(given.iter().filter(is_anothers).map(|one| one.delivery).collect())
}

impl TenantStore<'_> {
    /// True where an id at a connection belongs to another record than this.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn external_id_is_anothers(
        &self,
        connection: ConnectionId,
        kind: RecordKind,
        id: &str,
        record: RecordId,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let query = "SELECT record_id FROM external_ids WHERE connection_id = $1 AND kind = $2 AND value = $3";
        let query = sqlx::query_scalar(query).bind(connection.0).bind(kind.as_str()).bind(id);
        let owner: Option<Uuid> = query.fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(!kind.may_be_shared() && owner.is_some_and(|owner| owner != record.0))
    }
}
