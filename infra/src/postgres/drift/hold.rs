//! What is held: the policies of a connection, and what is known of the fields that they hold. Workers keep it under the connection's
//! `drift_version`, which grows with every change of either.

use std::collections::HashMap;

use connectors::Catalog;
use domain::drift::{Drift, Path, Policies, Policy, Profile, Side, Watch, What, withhold};
use domain::id::{ConnectionId, MessageId};
use domain::record::RecordKind;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::raise::raise;
use super::{DriftPlace, Finding, json, news};
use crate::postgres::StoreError;
use crate::postgres::receive::Receiving;

/// Policies of all connections of one batch.
const POLICIES_MAX: i64 = 10_000;

/// A message that waits for a person, and why.
#[derive(Debug)]
pub struct Held {
    pub message: MessageId,
    pub connection: ConnectionId,
    pub kind: RecordKind,
    pub drifts: Vec<Drift>,
}

impl Receiving<'_> {
    /// What is held of what these connections send, by kind of record.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn holds(
        &mut self,
        connections: &[ConnectionId],
    ) -> Result<HashMap<(ConnectionId, RecordKind), Watch>, StoreError> {
        let connections: Vec<Uuid> = connections.iter().map(|connection| connection.0).collect();
        let mut policies = policies(self.tx(), &connections).await?;
        policies.retain(|_, policies| policies.holds_any());
        if policies.is_empty() {
            return Ok(HashMap::new());
        }
        let rows = sqlx::query(
            "SELECT connection_id, record_kind, known, recent FROM drift_profiles
             WHERE connection_id = ANY($1) AND side = 'source' AND established_at IS NOT NULL",
        )
        .bind(&connections)
        .fetch_all(&mut **self.tx())
        .await?;
        let mut known_of: HashMap<(ConnectionId, RecordKind), Profile> = HashMap::new();
        for row in &rows {
            let Some(kind) = RecordKind::parse(row.try_get("record_kind")?) else { continue };
            let key = (ConnectionId(row.try_get("connection_id")?), kind);
            if !policies.contains_key(&key) {
                continue;
            }
            let mut known: Profile = json(row, "known")?;
            known.merge(&json(row, "recent")?);
            known_of.insert(key, known);
        }
        let rows = sqlx::query(
            "SELECT connection_id, record_kind, path, what, news FROM drifts
             WHERE connection_id = ANY($1) AND side = 'source' AND state = 'open'",
        )
        .bind(&connections)
        .fetch_all(&mut **self.tx())
        .await?;
        for row in &rows {
            let Some(kind) = RecordKind::parse(row.try_get("record_kind")?) else { continue };
            let Some(known) = known_of.get_mut(&(ConnectionId(row.try_get("connection_id")?), kind)) else { continue };
            let Some(what) = What::parse(row.try_get("what")?) else { continue };
            let (path, news): (Path, Profile) = news(row)?;
            withhold(known, &path, what, &news);
        }
        let watch = |(key, known)| Some((key, Watch::new(known, policies.remove(&key)?)));
        Ok(known_of.into_iter().filter_map(watch).collect())
    }

    /// Raises the notices of what is held, in the transaction that makes the exceptions: whoever works one finds the other.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn hold(&mut self, catalog: &Catalog, held: Vec<Held>) -> Result<(), StoreError> {
        let findings = held.into_iter().flat_map(|held| {
            let place = DriftPlace { connection: held.connection, kind: held.kind, side: Side::Source };
            held.drifts.into_iter().map(move |drift| Finding { place, drift, example: Some(held.message.0) })
        });
        let (findings, scope) = (findings.collect(), self.scope());
        raise(self.tx(), scope, catalog, findings).await?;
        Ok(())
    }
}

/// The policies of these connections, by kind of record.
pub(super) async fn policies(
    tx: &mut Transaction<'static, Postgres>,
    connections: &[Uuid],
) -> Result<HashMap<(ConnectionId, RecordKind), Policies>, StoreError> {
    let rows = sqlx::query(
        "SELECT connection_id, record_kind, pattern, policy FROM drift_policies WHERE connection_id = ANY($1) LIMIT $2",
    )
    .bind(connections)
    .bind(POLICIES_MAX)
    .fetch_all(&mut **tx)
    .await?;
    let mut patterns: HashMap<(ConnectionId, RecordKind), Vec<(String, Policy)>> = HashMap::new();
    for row in rows {
        let Some(kind) = RecordKind::parse(row.try_get("record_kind")?) else { continue };
        let Some(policy) = Policy::parse(row.try_get("policy")?) else { continue };
        patterns.entry((ConnectionId(row.try_get("connection_id")?), kind)).or_default().push((row.try_get("pattern")?, policy));
    }
    Ok(patterns.into_iter().map(|(key, patterns)| (key, Policies::new(patterns))).collect())
}

/// Tells workers that what is held of these connections is to be read again, where anything ever was.
pub(super) async fn bump(tx: &mut Transaction<'static, Postgres>, connections: &[Uuid]) -> Result<(), StoreError> {
    if connections.is_empty() {
        return Ok(());
    }
    // In one order, so that no two wait for each other.
    sqlx::query(
        "UPDATE connections SET drift_version = drift_version + 1
         WHERE id IN (SELECT id FROM connections WHERE id = ANY($1) AND drift_version > 0 ORDER BY id FOR NO KEY UPDATE)",
    )
    .bind(connections)
    .execute(&mut **tx)
    .await?;
    Ok(())
}
