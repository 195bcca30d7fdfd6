//! Which record is which id where. The first that has an id keeps it: an answer that names another record's id is none to our call.
//!
//! What an answer to a write names is claimed by less than what a look-up by the record's own key finds. Where the second finds what another record
//! claims by the first, nothing is taken from anybody: that record is asked about by its own key, and the one that was found waits for it.

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::audit::Action;
use domain::delivery::Receipt;
use domain::id::{ConnectionId, DeliveryId, RecordId};
use domain::record::RecordKind;
use domain::scope::Scope;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::audit_told;
use super::{StoreError, TenantStore};

/// An id that a destination gave for a record.
pub(super) struct Given<'g> {
    pub delivery: DeliveryId,
    pub connection: ConnectionId,
    pub kind: RecordKind,
    pub receipt: &'g Receipt,
    pub record: RecordId,
    /// A look-up by the record's own key found it; else an answer named it.
    pub by_key: bool,
}

/// An id at a connection: the connection, the kind and the id itself.
type Key<'k> = (Uuid, &'k str, &'k str);

impl<'g> Given<'g> {
    fn key(&self) -> Key<'g> {
        (self.connection.0, self.kind.as_str(), &self.receipt.id)
    }
}

/// Whose an id is that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theirs {
    /// Another record's.
    Settled,
    /// Another record claims it by no more than an answer, and is being asked about by its own key: it will be known.
    Disputed,
}

/// Learns ids; returns the deliveries whose id belongs to another record. Of customers and items several may be one there.
pub(super) async fn learn(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    given: &[Given<'_>],
) -> Result<HashMap<DeliveryId, Theirs>, StoreError> {
    // Each id once and in one order: a statement touches no row twice, and two transactions never wait for each other for ever.
    let mut ours: BTreeMap<Key<'_>, &Given<'_>> = BTreeMap::new();
    for one in given {
        let first = ours.entry(one.key()).or_insert(one);
        if one.by_key && !first.by_key {
            *first = one;
        }
    }
    if ours.is_empty() {
        return Ok(HashMap::new());
    }
    // Of what is known already only another record's is returned, and nothing is written. What was disputed is had by the record it is found for, once
    // the one that claimed it was asked about.
    let rows = sqlx::query(
        "INSERT INTO external_ids AS e (tenant_id, connection_id, kind, value, record_id, claim)
         SELECT $1, connection_id, kind, value, record_id, claim FROM unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[])
                AS i (connection_id, kind, value, record_id, claim)
         ON CONFLICT (connection_id, kind, value) DO UPDATE SET (record_id, claim) = (
             SELECT CASE WHEN is_had THEN excluded.record_id ELSE e.record_id END,
                    CASE WHEN is_had OR (e.record_id = excluded.record_id AND excluded.claim = 'key') THEN 'key' ELSE e.claim END
             FROM (SELECT e.claim = 'disputed' AND excluded.claim = 'key' AND NOT EXISTS (
                       SELECT FROM deliveries d WHERE d.record_id = e.record_id AND d.connection_id = e.connection_id AND d.unproven) AS is_had) h)
         WHERE e.record_id <> excluded.record_id OR (excluded.claim = 'key' AND e.claim <> 'key')
         RETURNING connection_id, kind, value, record_id, claim",
    )
    .bind(scope.tenant.0)
    .bind(ours.keys().map(|key| key.0).collect::<Vec<_>>())
    .bind(ours.keys().map(|key| key.1).collect::<Vec<_>>())
    .bind(ours.keys().map(|key| key.2).collect::<Vec<_>>())
    .bind(ours.values().map(|one| one.record.0).collect::<Vec<_>>())
    .bind(ours.values().map(|one| if one.by_key { "key" } else { "answer" }).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let (mut owners, mut claimed, mut disputed) = (HashMap::new(), Vec::new(), HashSet::new());
    for row in &rows {
        let key: Key<'_> = (row.try_get("connection_id")?, row.try_get("kind")?, row.try_get("value")?);
        let owner: Uuid = row.try_get("record_id")?;
        match row.try_get("claim")? {
            "answer" if ours.get(&key).is_some_and(|one| one.by_key) => claimed.push((key, owner)),
            "disputed" => drop(disputed.insert(key)),
            _ => {}
        }
        owners.insert(key, owner);
    }
    disputed.extend(dispute(tx, scope, &claimed).await?.into_iter().map(|at| claimed[at].0));
    let theirs = |one: &Given<'_>| {
        let key = one.key();
        let owner = owners.get(&key).copied().or_else(|| Some(ours.get(&key)?.record.0))?;
        let whose = if disputed.contains(&key) { Theirs::Disputed } else { Theirs::Settled };
        (!one.kind.may_be_shared() && owner != one.record.0).then_some((one.delivery, whose))
    };
    Ok(given.iter().filter_map(theirs).collect())
}

/// Ids that are found under another record's key: the records that claim them by an answer are asked about by their own. Returns the places of
/// the ids of which that is so. What has had actions after its write stays, for those cannot be asked about.
async fn dispute(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    claimed: &[(Key<'_>, Uuid)],
) -> Result<HashSet<usize>, StoreError> {
    if claimed.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query(
        "WITH i AS (
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::uuid[]) WITH ORDINALITY AS i (connection_id, kind, value, record_id, n)
         ), asked AS (
             UPDATE deliveries d SET state = 'unknown', unproven = true, failures = 0, calls_done = 0, receipt_id = NULL, receipt_version = NULL,
                 settled_at = NULL, due_at = now(), sweep_at = now()
             FROM i
             WHERE d.record_id = i.record_id AND d.connection_id = i.connection_id AND d.receipt_id = i.value AND d.state IN ('confirmed', 'reconciled')
               AND NOT EXISTS (SELECT FROM deliveries e WHERE e.record_id = i.record_id AND e.connection_id = i.connection_id AND e.calls_done > 1)
             RETURNING d.id, i.connection_id, i.kind, i.value, i.n
         ), noted AS (
             UPDATE external_ids x SET claim = 'disputed' FROM asked a
             WHERE x.connection_id = a.connection_id AND x.kind = a.kind AND x.value = a.value
         )
         SELECT id, n FROM asked",
    )
    .bind(claimed.iter().map(|(key, _)| key.0).collect::<Vec<_>>())
    .bind(claimed.iter().map(|(key, _)| key.1).collect::<Vec<_>>())
    .bind(claimed.iter().map(|(key, _)| key.2).collect::<Vec<_>>())
    .bind(claimed.iter().map(|(_, owner)| *owner).collect::<Vec<_>>())
    .fetch_all(&mut **tx)
    .await?;
    let (mut places, mut deliveries, mut details) = (HashSet::new(), Vec::new(), Vec::new());
    for row in rows {
        let place = usize::try_from(row.try_get::<i64, _>("n")? - 1).expect("an ordinality counts from 1");
        deliveries.push(row.try_get("id")?);
        details.push(serde_json::json!({"id": claimed[place].0.2}).to_string());
        places.insert(place);
    }
    audit_told(tx, scope, Action::DeliveryDisputed, "delivery", &deliveries, &details).await?;
    Ok(places)
}

impl TenantStore<'_> {
    /// Whose an id at a connection is that a look-up by a record's key has found; `None` where that record may have it, or has it
    /// from now on. What another record claims by an answer only is disputed by this.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn external_id_theirs(
        &self,
        connection: ConnectionId,
        kind: RecordKind,
        id: &str,
        record: RecordId,
    ) -> Result<Option<Theirs>, StoreError> {
        if kind.may_be_shared() {
            return Ok(None);
        }
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT e.record_id, e.claim, EXISTS (
                 SELECT FROM deliveries d WHERE d.record_id = e.record_id AND d.connection_id = e.connection_id AND d.unproven) AS is_asked
             FROM external_ids e WHERE e.connection_id = $1 AND e.kind = $2 AND e.value = $3 AND e.record_id <> $4",
        );
        let row = row.bind(connection.0).bind(kind.as_str()).bind(id).bind(record.0).fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(None) };
        let theirs = match row.try_get("claim")? {
            "disputed" if row.try_get("is_asked")? => Some(Theirs::Disputed),
            // The one that claimed it was asked about, and is something else.
            "disputed" => {
                let had = "UPDATE external_ids SET record_id = $4, claim = 'key'
                           WHERE connection_id = $1 AND kind = $2 AND value = $3 AND claim = 'disputed'";
                sqlx::query(had).bind(connection.0).bind(kind.as_str()).bind(id).bind(record.0).execute(&mut *tx).await?;
                None
            }
            "answer" => {
                let claimed = ((connection.0, kind.as_str(), id), row.try_get("record_id")?);
                let is_asked = !dispute(&mut tx, self.scope(), &[claimed]).await?.is_empty();
                Some(if is_asked { Theirs::Disputed } else { Theirs::Settled })
            }
            _ => Some(Theirs::Settled),
        };
        tx.commit().await?;
        Ok(theirs)
    }
}
