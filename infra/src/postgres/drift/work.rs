//! What people see of drift, and what they decide.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::drift::{Baseline, Drift, Path, Policy, Profile, Side, What, accept};
use domain::id::ConnectionId;
use domain::record::RecordKind;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use sqlx::Row;
use uuid::Uuid;

use super::flush::baseline;
use super::hold::bump;
use super::raise::touched;
use super::{DriftPlace, json};
use crate::postgres::entity::{connection, drift, flow};
use crate::postgres::receive::{audit, audit_each};
use crate::postgres::{StoreError, TenantStore};

/// Policies of one connection and kind.
pub const POLICIES_MAX: i64 = 200;
/// Days that a volume is the mean of.
const DAYS: f64 = 7.0;

/// A notice with what it is about.
#[derive(Debug, Clone)]
pub struct DriftDetail {
    pub row: drift::Model,
    pub connection: connection::Model,
    pub drift: Drift,
    pub side: Side,
    /// The flows that read it, by name, and what each makes of it.
    pub flows: Vec<(flow::Model, Vec<String>)>,
    pub per_day: PerDay,
}

/// What comes of a connection and kind in a day, as the mean of the last seven.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PerDay {
    pub records: f64,
    /// By currency, as text.
    pub money: Vec<(String, String)>,
}

/// What became of a decision to accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    Done,
    NotFound,
    /// It is accepted or resolved already.
    Closed,
}

/// What is done about a field.
#[derive(Debug, Clone)]
pub struct PolicyRow {
    pub connection: Uuid,
    pub kind: String,
    pub pattern: String,
    pub policy: String,
    pub changed_at: DateTime<Utc>,
}

/// A profile and when it came to be.
#[derive(Debug, Clone)]
pub struct ProfileRow {
    pub all: Profile,
    pub baseline: Baseline,
}

impl TenantStore<'_> {
    /// What the rows of a list are about: connections, flows and volumes, each from one query.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn drift_details(&self, rows: Vec<drift::Model>) -> Result<Vec<DriftDetail>, StoreError> {
        if rows.is_empty() {
            return Ok(vec![]);
        }
        let ids: Vec<Uuid> = rows.iter().map(|row| row.connection_id).collect();
        let touched: Vec<HashMap<Uuid, Vec<String>>> = rows.iter().map(|row| touched(&row.flows)).collect();
        let flow_ids: Vec<Uuid> = touched.iter().flat_map(HashMap::keys).copied().collect();
        let tx = self.begin_orm().await?;
        let connections = connection::Entity::find().filter(connection::Column::Id.is_in(ids.clone())).all(&tx).await?;
        let flows = flow::Entity::find().filter(flow::Column::Id.is_in(flow_ids)).all(&tx).await?;
        tx.commit().await?;
        let per_day = self.per_day(&ids).await?;
        let detail = |(row, touched): (drift::Model, HashMap<Uuid, Vec<String>>)| {
            let connection = connections.iter().find(|connection| connection.id == row.connection_id)?.clone();
            let side = Side::parse(&row.side)?;
            let place = DriftPlace { connection: ConnectionId(connection.id), kind: RecordKind::parse(&row.record_kind)?, side };
            let mut here: Vec<(flow::Model, Vec<String>)> =
                flows.iter().filter_map(|flow| Some((flow.clone(), touched.get(&flow.id)?.clone()))).collect();
            here.sort_by(|a, b| a.0.name.cmp(&b.0.name));
            let drift = Drift {
                path: Path::from(row.path.as_str()),
                what: What::parse(&row.what)?,
                value: row.has_value.then(|| row.value.clone()),
                before: row.before.clone(),
                after: row.after.clone(),
                news: Profile::default(),
            };
            Some(DriftDetail {
                side,
                drift,
                connection,
                flows: here,
                per_day: per_day.get(&place).cloned().unwrap_or_default(),
                row,
            })
        };
        Ok(rows.into_iter().zip(touched).filter_map(detail).collect())
    }

    /// The means of the last seven days, or of as many as there were. Seven days of a connection are some ten rows for each kind.
    async fn per_day(&self, connections: &[Uuid]) -> Result<HashMap<DriftPlace, PerDay>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT connection_id, record_kind, side, currency, sum(records)::float8 AS records,
                    round(sum(amount) / $2::int, 2)::text AS amount_a_day
             FROM drift_volumes WHERE connection_id = ANY($1) AND day > (now() AT TIME ZONE 'UTC')::date - 7
             GROUP BY connection_id, record_kind, side, currency ORDER BY connection_id, record_kind, side, currency",
        )
        .bind(connections)
        .bind(DAYS as i32)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let mut places: HashMap<DriftPlace, PerDay> = HashMap::new();
        for row in &rows {
            let Some(place) = super::place(row)? else { continue };
            let per_day = places.entry(place).or_default();
            per_day.records += row.try_get::<f64, _>("records")? / DAYS;
            let currency: String = row.try_get("currency")?;
            if !currency.is_empty() {
                per_day.money.push((currency, row.try_get("amount_a_day")?));
            }
        }
        Ok(places)
    }

    /// Makes a drift part of what is known: it is not raised again, and what was held for it passes when it is tried again.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn drift_accept(&self, id: Uuid) -> Result<Accepted, StoreError> {
        let mut tx = self.begin().await?;
        let find = sqlx::query("SELECT connection_id, record_kind, side, path, what, news FROM drifts WHERE id = $1");
        let Some(row) = find.bind(id).fetch_optional(&mut *tx).await? else { return Ok(Accepted::NotFound) };
        let (connection, kind, side): (Uuid, String, String) =
            (row.try_get("connection_id")?, row.try_get("record_kind")?, row.try_get("side")?);
        // The profile first, as a flush takes them: so no two wait for each other.
        let lock = sqlx::query(
            "SELECT known, recent, started_at, established_at, recent_since FROM drift_profiles
             WHERE connection_id = $1 AND record_kind = $2 AND side = $3 FOR UPDATE",
        );
        let profile = lock.bind(connection).bind(&kind).bind(&side).fetch_optional(&mut *tx).await?;
        let close = sqlx::query("UPDATE drifts SET state = 'accepted', closed_at = now() WHERE id = $1 AND state = 'open'");
        if close.bind(id).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Accepted::Closed);
        }
        let what = What::parse(row.try_get("what")?);
        if let (Some(profile), Some(what)) = (profile, what) {
            let (mut baseline, news): (Baseline, Profile) = (baseline(&profile)?, json(&row, "news")?);
            accept(&mut baseline.known, &Path::from(row.try_get::<&str, _>("path")?), what, &news);
            let known = serde_json::to_value(&baseline.known).expect("a profile is plain data");
            sqlx::query("UPDATE drift_profiles SET known = $4, updated_at = now() WHERE connection_id = $1 AND record_kind = $2 AND side = $3")
                .bind(connection)
                .bind(&kind)
                .bind(&side)
                .bind(known)
                .execute(&mut *tx)
                .await?;
        }
        bump(&mut tx, &[connection]).await?;
        audit(&mut tx, self.scope(), Action::DriftAccepted, "drift", &[id]).await?;
        tx.commit().await?;
        Ok(Accepted::Done)
    }

    /// Sets what is done about a field and all that lies in it. `None` where the connection is not there; false where there are too many.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn drift_policy_set(
        &self,
        connection: ConnectionId,
        kind: RecordKind,
        pattern: &str,
        policy: Policy,
    ) -> Result<Option<bool>, StoreError> {
        let mut tx = self.begin().await?;
        // Two who set at once come one after the other, and workers read again.
        let lock = sqlx::query("UPDATE connections SET drift_version = drift_version + 1 WHERE id = $1");
        if lock.bind(connection.0).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(None);
        }
        let count = "SELECT count(*) FROM drift_policies WHERE connection_id = $1 AND record_kind = $2 AND pattern <> $3";
        let count = sqlx::query_scalar(count).bind(connection.0).bind(kind.as_str()).bind(pattern);
        let count: i64 = count.fetch_one(&mut *tx).await?;
        if count >= POLICIES_MAX {
            return Ok(Some(false));
        }
        sqlx::query(
            "INSERT INTO drift_policies (tenant_id, connection_id, record_kind, pattern, policy) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (connection_id, record_kind, pattern) DO UPDATE SET policy = excluded.policy, changed_at = now()",
        )
        .bind(self.scope().tenant.0)
        .bind(connection.0)
        .bind(kind.as_str())
        .bind(pattern)
        .bind(policy.as_str())
        .execute(&mut *tx)
        .await?;
        let detail = serde_json::json!({"kind": kind.as_str(), "path": pattern, "policy": policy.as_str()}).to_string();
        audit_each(&mut tx, self.scope(), Action::DriftPolicySet, "connection", &[connection.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Some(true))
    }

    /// The policies of a connection, at most two hundred for each kind.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn drift_policies(&self, connection: ConnectionId) -> Result<Vec<PolicyRow>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT connection_id, record_kind, pattern, policy, changed_at FROM drift_policies
             WHERE connection_id = $1 ORDER BY record_kind, pattern LIMIT $2",
        )
        .bind(connection.0)
        .bind(POLICIES_MAX * 10)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let policy = |row: sqlx::postgres::PgRow| {
            Ok(PolicyRow {
                connection: row.try_get("connection_id")?,
                kind: row.try_get("record_kind")?,
                pattern: row.try_get("pattern")?,
                policy: row.try_get("policy")?,
                changed_at: row.try_get("changed_at")?,
            })
        };
        rows.into_iter().map(policy).collect()
    }

    /// What documents of a place look like; `None` where none came yet.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn drift_profile(&self, place: DriftPlace) -> Result<Option<ProfileRow>, StoreError> {
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT known, recent, started_at, established_at, recent_since FROM drift_profiles
             WHERE connection_id = $1 AND record_kind = $2 AND side = $3",
        )
        .bind(place.connection.0)
        .bind(place.kind.as_str())
        .bind(place.side.as_str())
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let baseline = baseline(&row)?;
        Ok(Some(ProfileRow { all: baseline.all(), baseline }))
    }
}
