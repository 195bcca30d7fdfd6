//! Alerts: where they go and by which rules (this file), the look that raises them ([`look`], of alarms [`alarm`]), and their sending ([`send`]).

mod alarm;
pub mod look;
pub mod send;

use domain::alert::{Match, RECEIVERS_MAX, RULES_MAX, ReceiverKind, Then};
use domain::audit::Action;
use domain::id::{AlertReceiverId, AlertRuleId};
use domain::secret::SecretFields;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::configure::{data_key, is_taken};
use super::receive::audit;
use super::{StoreError, TenantStore};
use crate::vault::{Sealed, Vault};

/// What a receiver is made of. What is `None` of a change stays as it is.
#[derive(Debug, Default)]
pub struct ReceiverEdit<'a> {
    pub name: Option<&'a str>,
    pub address: Option<&'a str>,
    pub secret: Option<&'a SecretFields>,
    pub every_minutes: Option<i32>,
    pub is_paused: Option<bool>,
}

/// What became of a receiver or a rule that was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set<I> {
    Done(I),
    NotFound,
    /// Another has the name.
    Taken,
    /// There are as many as there may be.
    TooMany,
}

impl TenantStore<'_> {
    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn alert_receiver_create(
        &self,
        vault: &Vault,
        kind: ReceiverKind,
        name: &str,
        edit: &ReceiverEdit<'_>,
    ) -> Result<Set<AlertReceiverId>, StoreError> {
        let (id, mut tx) = (AlertReceiverId::generate(), self.begin().await?);
        let made = sqlx::query(
            "INSERT INTO alert_receivers (id, tenant_id, name, kind, address)
             SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM alert_receivers WHERE tenant_id = $2) < $6",
        )
        .bind(id.0)
        .bind(self.scope().tenant.0)
        .bind(name)
        .bind(kind.as_str())
        .bind(edit.address.unwrap_or_default())
        .bind(i64::try_from(RECEIVERS_MAX).unwrap_or(i64::MAX))
        .execute(&mut *tx)
        .await;
        match made {
            Err(error) if is_taken(&error) => return Ok(Set::Taken),
            Ok(made) if made.rows_affected() == 0 => return Ok(Set::TooMany),
            made => made?,
        };
        self.receiver_edit(&mut tx, vault, id, edit).await?;
        tx.commit().await?;
        Ok(Set::Done(id))
    }

    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn alert_receiver_update(
        &self,
        vault: &Vault,
        id: AlertReceiverId,
        edit: &ReceiverEdit<'_>,
    ) -> Result<Set<AlertReceiverId>, StoreError> {
        let mut tx = self.begin().await?;
        let set = match self.receiver_edit(&mut tx, vault, id, edit).await {
            Err(StoreError::Sql(error)) if is_taken(&error) => return Ok(Set::Taken),
            set => set?,
        };
        tx.commit().await?;
        Ok(if set { Set::Done(id) } else { Set::NotFound })
    }

    async fn receiver_edit(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        vault: &Vault,
        id: AlertReceiverId,
        edit: &ReceiverEdit<'_>,
    ) -> Result<bool, StoreError> {
        let tenant = self.scope().tenant;
        let (mut sealed, mut version) = (None, None);
        if let Some(secret) = edit.secret {
            let (key, key_version) = data_key(tx, vault, tenant).await?;
            sealed = Some(key.seal(tenant, Sealed::AlertReceiver(id), secret)?);
            version = Some(key_version);
        }
        let set = sqlx::query(
            "UPDATE alert_receivers SET name = coalesce($2, name), address = coalesce($3, address), sealed = coalesce($4, sealed),
                 data_key_version = coalesce($5, data_key_version), every_minutes = coalesce($6, every_minutes),
                 is_paused = coalesce($7, is_paused)
             WHERE id = $1",
        )
        .bind(id.0)
        .bind(edit.name)
        .bind(edit.address)
        .bind(sealed)
        .bind(version)
        .bind(edit.every_minutes)
        .bind(edit.is_paused)
        .execute(&mut **tx)
        .await?;
        if set.rows_affected() == 0 {
            return Ok(false);
        }
        audit(tx, self.scope(), Action::AlertReceiverSet, "alert_receiver", &[id.0]).await?;
        Ok(true)
    }

    /// False where there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alert_receiver_remove(&self, id: AlertReceiverId) -> Result<bool, StoreError> {
        self.alert_remove("DELETE FROM alert_receivers WHERE id = $1", id.0, Action::AlertReceiverRemoved, "alert_receiver").await
    }

    /// A new rule, or another content of one.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alert_rule_set(
        &self,
        id: Option<AlertRuleId>,
        name: &str,
        when: &Match,
        then: &Then,
        is_paused: bool,
    ) -> Result<Set<AlertRuleId>, StoreError> {
        let mut tx = self.begin().await?;
        let json = |value: Result<serde_json::Value, serde_json::Error>| value.expect("a rule is plain data");
        let (matches, then_does) = (json(serde_json::to_value(when)), json(serde_json::to_value(then)));
        let set = match id {
            Some(id) => {
                sqlx::query("UPDATE alert_rules SET name = $2, matches = $3, then_does = $4, is_paused = $5 WHERE id = $1 AND $6 > 0 AND tenant_id = $7")
                    .bind(id.0)
            }
            None => sqlx::query(
                "INSERT INTO alert_rules (id, tenant_id, name, matches, then_does, is_paused)
                 SELECT $1, $7, $2, $3, $4, $5 WHERE (SELECT count(*) FROM alert_rules WHERE tenant_id = $7) < $6",
            )
            .bind(AlertRuleId::generate().0),
        };
        let set = set
            .bind(name)
            .bind(matches)
            .bind(then_does)
            .bind(is_paused)
            .bind(i64::try_from(RULES_MAX).unwrap_or(i64::MAX))
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await;
        match set {
            Err(error) if is_taken(&error) => return Ok(Set::Taken),
            Ok(set) if set.rows_affected() == 0 => return Ok(if id.is_some() { Set::NotFound } else { Set::TooMany }),
            set => set?,
        };
        let named = sqlx::query_scalar("SELECT id FROM alert_rules WHERE tenant_id = $1 AND name = $2");
        let id: Uuid = named.bind(self.scope().tenant.0).bind(name).fetch_one(&mut *tx).await?;
        sqlx::query("INSERT INTO alert_watches (tenant_id) VALUES ($1) ON CONFLICT (tenant_id) DO UPDATE SET look_at = now()")
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        audit(&mut tx, self.scope(), Action::AlertRuleSet, "alert_rule", &[id]).await?;
        tx.commit().await?;
        Ok(Set::Done(AlertRuleId(id)))
    }

    /// False where there is none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alert_rule_remove(&self, id: AlertRuleId) -> Result<bool, StoreError> {
        self.alert_remove("DELETE FROM alert_rules WHERE id = $1", id.0, Action::AlertRuleRemoved, "alert_rule").await
    }

    async fn alert_remove(&self, sql: &'static str, id: Uuid, action: Action, noun: &str) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        if sqlx::query(sql).bind(id).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        audit(&mut tx, self.scope(), action, noun, &[id]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Which of these are receivers of the tenant.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alert_receivers_known(&self, ids: &[AlertReceiverId]) -> Result<Vec<AlertReceiverId>, StoreError> {
        let mut tx = self.begin().await?;
        let ids: Vec<Uuid> = ids.iter().map(|id| id.0).collect();
        let rows = sqlx::query("SELECT id FROM alert_receivers WHERE id = ANY($1)").bind(ids).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        Ok(rows.into_iter().map(|row| row.try_get("id").map(AlertReceiverId)).collect::<Result<_, _>>()?)
    }
}
