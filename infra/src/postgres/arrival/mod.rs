//! Arrivals in Postgres: what each tenant counts ([`count`]), the look that learns from it and raises alarms ([`look`]), and what people set of
//! them (this file).

mod count;
pub mod look;

pub use count::{COUNT_SQL, PLANNED_SQL};

use chrono::{DateTime, Utc};
use domain::arrival::{Alarm, AlarmPolicy, Series};
use domain::audit::Action;
use domain::id::ArrivalSeriesId;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::receive::{audit, audit_each};
use super::{StoreError, TenantStore};

/// The word that is stored.
pub(super) fn alarm_word(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::Silence => "silence",
        Alarm::Surge => "surge",
    }
}

/// A series as its row has it; one that cannot be read begins anew.
#[must_use]
pub fn series(
    begun_at: DateTime<Utc>,
    until_at: DateTime<Utc>,
    last_at: Option<DateTime<Utc>>,
    alarm: Option<&str>,
    memory: &[u8],
) -> Series {
    let mut series = Series::new(begun_at);
    (series.until, series.last_at) = (until_at, last_at);
    series.alarm = [Alarm::Silence, Alarm::Surge].into_iter().find(|one| alarm == Some(alarm_word(*one)));
    if series.read(memory) { series } else { Series::new(until_at) }
}

impl TenantStore<'_> {
    /// How the tenant wants its alarms.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alarm_policy(&self) -> Result<AlarmPolicy, StoreError> {
        let mut tx = self.begin().await?;
        let policy = policy(&mut tx, self.scope().tenant.0).await?;
        tx.commit().await?;
        Ok(policy)
    }

    /// Sets how the tenant wants its alarms. What was learned by another clock is turned to the new one.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alarm_policy_set(&self, new: &AlarmPolicy) -> Result<(), StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        watch_lock(&mut tx, tenant).await?;
        let before = policy(&mut tx, tenant).await?;
        sqlx::query(
            "INSERT INTO alarm_policies (tenant_id, policy) VALUES ($1, $2)
             ON CONFLICT (tenant_id) DO UPDATE SET policy = excluded.policy, changed_at = now()",
        )
        .bind(tenant)
        .bind(serde_json::to_value(new).expect("a policy is plain data"))
        .execute(&mut *tx)
        .await?;
        if before.zone != new.zone {
            let all = "SELECT id, begun_at, until_at, last_at, alarm, memory FROM arrival_series WHERE tenant_id = $1";
            let (mut ids, mut memories) = (Vec::new(), Vec::new());
            for row in sqlx::query(all).bind(tenant).fetch_all(&mut *tx).await? {
                let mut series = of_row(&row)?;
                series.turn(before.zone, new.zone);
                ids.push(row.try_get::<Uuid, _>("id")?);
                memories.push(series.to_bytes());
            }
            sqlx::query(
                "UPDATE arrival_series s SET memory = i.memory FROM unnest($1::uuid[], $2::bytea[]) AS i (id, memory) WHERE s.id = i.id",
            )
            .bind(ids)
            .bind(memories)
            .execute(&mut *tx)
            .await?;
        }
        // What was quiet may be told now.
        sqlx::query("UPDATE alert_watches SET look_at = now() WHERE tenant_id = $1").bind(tenant).execute(&mut *tx).await?;
        audit(&mut tx, self.scope(), Action::AlarmPolicySet, "tenant", &[tenant]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Raises nothing of a series until then, and closes what is raised; without a time, raises again what is so. False where there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn arrival_mute(&self, id: ArrivalSeriesId, until: Option<DateTime<Utc>>) -> Result<bool, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        watch_lock(&mut tx, tenant).await?;
        let muted = sqlx::query("UPDATE arrival_series SET muted_until = $2 WHERE id = $1").bind(id.0).bind(until);
        if muted.execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        let detail = serde_json::json!({ "until": until }).to_string();
        audit_each(&mut tx, self.scope(), Action::ArrivalMuted, "arrival_series", &[id.0], &[Some(&detail)]).await?;
        self.look_now(&mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Forgets what was learned of a series, which is another than it was: it learns anew. False where there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn arrival_forget(&self, id: ArrivalSeriesId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        watch_lock(&mut tx, self.scope().tenant.0).await?;
        let forgotten = sqlx::query(
            "UPDATE arrival_series SET begun_at = until_at, memory = '', alarm = NULL, muted_until = NULL WHERE id = $1",
        );
        if forgotten.bind(id.0).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        audit(&mut tx, self.scope(), Action::ArrivalForgotten, "arrival_series", &[id.0]).await?;
        self.look_now(&mut tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn look_now(&self, tx: &mut Transaction<'static, Postgres>) -> Result<(), StoreError> {
        let now = "UPDATE arrival_watches SET look_at = now() WHERE tenant_id = $1";
        sqlx::query(now).bind(self.scope().tenant.0).execute(&mut **tx).await?;
        Ok(())
    }
}

pub(in crate::postgres) async fn policy(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
) -> Result<AlarmPolicy, StoreError> {
    let row = sqlx::query_scalar::<_, serde_json::Value>("SELECT policy FROM alarm_policies WHERE tenant_id = $1");
    let Some(json) = row.bind(tenant).fetch_optional(&mut **tx).await? else { return Ok(AlarmPolicy::default()) };
    let corrupt = |error: serde_json::Error| StoreError::Corrupt {
        what: "the alarm policy",
        id: tenant.to_string(),
        why: error.to_string(),
    };
    serde_json::from_value(json).map_err(corrupt)
}

/// Who looks and who changes what is looked at go one after the other. Returns how far is counted.
async fn watch_lock(tx: &mut Transaction<'static, Postgres>, tenant: Uuid) -> Result<Option<DateTime<Utc>>, StoreError> {
    let lock = sqlx::query_scalar("SELECT counted_until FROM arrival_watches WHERE tenant_id = $1 FOR UPDATE");
    Ok(lock.bind(tenant).fetch_optional(&mut **tx).await?)
}

fn of_row(row: &sqlx::postgres::PgRow) -> Result<Series, StoreError> {
    Ok(series(
        row.try_get("begun_at")?,
        row.try_get("until_at")?,
        row.try_get("last_at")?,
        row.try_get("alarm")?,
        row.try_get("memory")?,
    ))
}
