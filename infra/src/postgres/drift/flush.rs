//! What workers gathered becomes part of what is known, in one transaction for each tenant: the profiles are locked, merged, compared and
//! written, so that two workers that flush at once come one after the other.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use connectors::Catalog;
use domain::audit::Action;
use domain::drift::{Baseline, Gatherer, Learning, Policies, Policy, Profile, Volume, What};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::hold::{bump, policies};
use super::raise::raise;
use super::{DriftPlace, Finding, Key, columns, json, place};
use crate::postgres::receive::audit;
use crate::postgres::{StoreError, TenantStore};

/// Notices that are open at once for the connections of one flush. Beyond that none is raised: somebody has much to look at already.
const OPEN_MAX: i64 = 2_000;
/// How long volumes are kept.
const VOLUME_DAYS: i32 = 31;

/// What came of a flush.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Flushed {
    pub raised: usize,
    pub resolved: usize,
}

impl TenantStore<'_> {
    /// Merges what was gathered into the profiles, and raises and resolves notices.
    ///
    /// # Errors
    /// Where the database does not answer: then what was gathered is lost.
    pub async fn drift_flush(
        &self,
        catalog: &Catalog,
        learning: &Learning,
        gathered: &[(DriftPlace, &Gatherer)],
        volumes: &[(DriftPlace, &Volume)],
        now: DateTime<Utc>,
    ) -> Result<Flushed, StoreError> {
        let mut tx = self.begin().await?;
        let places: Vec<DriftPlace> = gathered.iter().map(|(place, _)| *place).collect();
        let mut baselines = lock(&mut tx, self.scope().tenant.0, &places, now).await?;
        let connections: Vec<Uuid> = places.iter().map(|place| place.connection.0).collect::<HashSet<_>>().into_iter().collect();
        let policies = policies(&mut tx, &connections).await?;
        let open = open(&mut tx, &connections).await?;
        let none = Policies::default();
        let (mut findings, mut seen, mut back, mut established) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (place, gatherer) in gathered {
            // The connection may be gone by now.
            let Some(baseline) = baselines.get_mut(place) else { continue };
            let (profile, was_established) = (gatherer.profile(), baseline.established_at.is_some());
            let policies = policies.get(&(place.connection, place.kind)).unwrap_or(&none);
            for drift in baseline.take(&profile, learning, now) {
                match open.get(&Key::of(*place, &drift)) {
                    Some(id) => seen.push(*id),
                    None if policies.of(&drift) == Policy::Pass => {}
                    None => findings.push(Finding { place: *place, example: gatherer.example(&drift), drift }),
                }
            }
            let is_back =
                |key: &Key| key.place == *place && key.what == What::Vanished && profile.get(&key.path.as_str().into()).is_some();
            back.extend(open.iter().filter(|(key, _)| is_back(key)).map(|(_, id)| *id));
            if !was_established && baseline.established_at.is_some() {
                established.push(place.connection.0);
            }
        }
        if i64::try_from(open.len()).is_ok_and(|open| open >= OPEN_MAX) {
            findings.clear();
        }
        write(&mut tx, &baselines).await?;
        write_volumes(&mut tx, self.scope().tenant.0, volumes, now.date_naive()).await?;
        see(&mut tx, &seen).await?;
        let resolved: Vec<Uuid> = if back.is_empty() {
            vec![]
        } else {
            sqlx::query_scalar(
                "UPDATE drifts SET state = 'resolved', closed_at = now() WHERE id = ANY($1) AND state = 'open' RETURNING id",
            )
            .bind(&back)
            .fetch_all(&mut *tx)
            .await?
        };
        audit(&mut tx, self.scope(), Action::DriftResolved, "drift", &resolved).await?;
        established.extend(findings.iter().map(|finding| finding.place.connection.0));
        let raised = raise(&mut tx, self.scope(), catalog, findings).await?;
        // What is open, or was learned, decides what is held.
        bump(&mut tx, &established).await?;
        tx.commit().await?;
        Ok(Flushed { raised: raised.len(), resolved: resolved.len() })
    }
}

/// The profiles of these places, made where there are none, in an order that no two flushes take differently.
async fn lock(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    places: &[DriftPlace],
    now: DateTime<Utc>,
) -> Result<BTreeMap<DriftPlace, Baseline>, StoreError> {
    let mut places = places.to_vec();
    places.sort_unstable();
    let (connections, kinds, sides) = columns(places.iter());
    sqlx::query(
        "INSERT INTO drift_profiles (tenant_id, connection_id, record_kind, side, started_at, recent_since)
         SELECT $1, c.id, i.record_kind, i.side, $5, $5
         FROM unnest($2::uuid[], $3::text[], $4::text[]) AS i (connection_id, record_kind, side) JOIN connections c ON c.id = i.connection_id
         ORDER BY c.id, i.record_kind, i.side
         ON CONFLICT DO NOTHING",
    )
    .bind(tenant)
    .bind(&connections)
    .bind(&kinds)
    .bind(&sides)
    .bind(now)
    .execute(&mut **tx)
    .await?;
    let rows = sqlx::query(
        "SELECT p.connection_id, p.record_kind, p.side, p.known, p.recent, p.started_at, p.established_at, p.recent_since
         FROM drift_profiles p JOIN unnest($1::uuid[], $2::text[], $3::text[]) AS i (connection_id, record_kind, side)
              USING (connection_id, record_kind, side)
         ORDER BY p.connection_id, p.record_kind, p.side
         FOR UPDATE OF p",
    )
    .bind(&connections)
    .bind(&kinds)
    .bind(&sides)
    .fetch_all(&mut **tx)
    .await?;
    let mut baselines = BTreeMap::new();
    for row in &rows {
        let Some(place) = place(row)? else { continue };
        baselines.insert(place, baseline(row)?);
    }
    Ok(baselines)
}

pub(super) fn baseline(row: &sqlx::postgres::PgRow) -> Result<Baseline, StoreError> {
    Ok(Baseline {
        known: json(row, "known")?,
        recent: json(row, "recent")?,
        started_at: row.try_get("started_at")?,
        established_at: row.try_get("established_at")?,
        recent_since: row.try_get("recent_since")?,
    })
}

async fn write(tx: &mut Transaction<'static, Postgres>, baselines: &BTreeMap<DriftPlace, Baseline>) -> Result<(), StoreError> {
    let (connections, kinds, sides) = columns(baselines.keys());
    let profile = |profile: &Profile| serde_json::to_value(profile).expect("a profile is plain data");
    sqlx::query(
        "UPDATE drift_profiles p SET known = i.known, recent = i.recent, established_at = i.established_at, recent_since = i.recent_since,
             updated_at = now()
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::jsonb[], $6::timestamptz[], $7::timestamptz[])
              AS i (connection_id, record_kind, side, known, recent, established_at, recent_since)
         WHERE p.connection_id = i.connection_id AND p.record_kind = i.record_kind AND p.side = i.side",
    )
    .bind(connections)
    .bind(kinds)
    .bind(sides)
    .bind(baselines.values().map(|baseline| profile(&baseline.known)).collect::<Vec<_>>())
    .bind(baselines.values().map(|baseline| profile(&baseline.recent)).collect::<Vec<_>>())
    .bind(baselines.values().map(|baseline| baseline.established_at).collect::<Vec<_>>())
    .bind(baselines.values().map(|baseline| baseline.recent_since).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn write_volumes(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    volumes: &[(DriftPlace, &Volume)],
    day: NaiveDate,
) -> Result<(), StoreError> {
    if volumes.is_empty() {
        return Ok(());
    }
    // One row for each currency; of a kind without money one with none.
    let rows: Vec<_> = volumes.iter().flat_map(|(place, volume)| volume.iter().map(move |sums| (place, sums))).collect();
    let (connections, kinds, sides) = columns(rows.iter().map(|(place, _)| *place));
    sqlx::query(
        "INSERT INTO drift_volumes AS v (tenant_id, connection_id, record_kind, side, day, currency, records, amount)
         SELECT $1, c.id, i.record_kind, i.side, $2, i.currency, i.records, i.amount::numeric
         FROM unnest($3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[])
              AS i (connection_id, record_kind, side, currency, records, amount) JOIN connections c ON c.id = i.connection_id
         ORDER BY c.id, i.record_kind, i.side, i.currency
         ON CONFLICT (connection_id, record_kind, side, day, currency) DO UPDATE SET
             records = v.records + excluded.records, amount = v.amount + excluded.amount",
    )
    .bind(tenant)
    .bind(day)
    .bind(&connections)
    .bind(kinds)
    .bind(sides)
    .bind(rows.iter().map(|(_, (currency, ..))| *currency).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, (_, records, _))| i64::try_from(*records).unwrap_or(i64::MAX)).collect::<Vec<_>>())
    .bind(rows.iter().map(|(_, (_, _, amount))| amount.to_string()).collect::<Vec<_>>())
    .execute(&mut **tx)
    .await?;
    sqlx::query("DELETE FROM drift_volumes WHERE connection_id = ANY($1) AND day < $2 - $3")
        .bind(connections)
        .bind(day)
        .bind(VOLUME_DAYS)
        .execute(&mut **tx)
        .await?;
    Ok(())
}

/// The open notices of these connections; leans on drifts_open.
async fn open(tx: &mut Transaction<'static, Postgres>, connections: &[Uuid]) -> Result<HashMap<Key, Uuid>, StoreError> {
    let rows = sqlx::query(
        "SELECT id, connection_id, record_kind, side, path, what, value, has_value FROM drifts
         WHERE connection_id = ANY($1) AND state = 'open' ORDER BY id LIMIT $2",
    )
    .bind(connections)
    .bind(OPEN_MAX)
    .fetch_all(&mut **tx)
    .await?;
    let mut open = HashMap::with_capacity(rows.len());
    for row in &rows {
        if let Some(key) = Key::read(row)? {
            open.insert(key, row.try_get("id")?);
        }
    }
    Ok(open)
}

pub(super) async fn see(tx: &mut Transaction<'static, Postgres>, seen: &[Uuid]) -> Result<(), StoreError> {
    if seen.is_empty() {
        return Ok(());
    }
    sqlx::query("UPDATE drifts SET last_seen_at = now() WHERE id = ANY($1) AND last_seen_at < now() - interval '1 hour'")
        .bind(seen)
        .execute(&mut **tx)
        .await?;
    Ok(())
}
