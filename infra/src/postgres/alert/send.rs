//! The sending of alerts, as the rows have it: an alert is leased for a try, and a try that never ended is made again. So an alert may arrive
//! twice, with the same id; it never gets lost.

use chrono::{DateTime, Utc};
use domain::alert::{Content, ReceiverKind};
use domain::audit::Action;
use domain::id::{AlertId, AlertReceiverId, TenantId};
use domain::secret::SecretFields;
use sqlx::Row;

use crate::postgres::receive::{audit, audit_each};
use crate::postgres::{Store, StoreError, TenantStore, opened};
use crate::vault::{Sealed, Vault};

/// An alert, about to be sent.
#[derive(Debug)]
pub struct Outgoing {
    pub id: AlertId,
    pub receiver: AlertReceiverId,
    pub kind: ReceiverKind,
    pub address: String,
    pub secret: SecretFields,
    pub content: Content,
    /// This one counted.
    pub tries: i32,
    pub created_at: DateTime<Utc>,
}

impl Store {
    /// Alerts of any tenant that are due, leased for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alerts_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, AlertId)>, StoreError> {
        self.take("SELECT tenant_id, id FROM alerts_take($1, make_interval(secs => $2))", count_max, lease_s).await
    }
}

impl TenantStore<'_> {
    /// Puts an alert into the row that says only that alerts arrive; `None` where there is no such receiver.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alert_test(&self, receiver: AlertReceiverId) -> Result<Option<AlertId>, StoreError> {
        let mut tx = self.begin().await?;
        let slug =
            sqlx::query_scalar("SELECT t.slug FROM tenants t JOIN alert_receivers r ON r.tenant_id = t.id WHERE r.id = $1");
        let Some(tenant) = slug.bind(receiver.0).fetch_optional(&mut *tx).await? else { return Ok(None) };
        let content = Content { tenant, is_test: true, ..Content::default() };
        let made = self.alerts_insert(&mut tx, &[(receiver, content)]).await?.pop();
        tx.commit().await?;
        Ok(made)
    }

    /// An alert that still waits; `None` where it does not.
    ///
    /// # Errors
    /// Where the database does not answer, or the secret does not open.
    pub async fn alert_load(&self, vault: &Vault, id: AlertId) -> Result<Option<Outgoing>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT a.receiver_id, a.content, a.tries, a.created_at, r.kind, r.address, r.sealed, r.data_key_version, k.master_key_id, k.wrapped
             FROM alerts a JOIN alert_receivers r ON r.id = a.receiver_id
             LEFT JOIN data_keys k ON k.tenant_id = r.tenant_id AND k.version = r.data_key_version
             WHERE a.id = $1 AND a.state = 'pending'",
        )
        .bind(id.0)
        .fetch_optional(&mut *tx)
        .await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = |why: String| StoreError::Corrupt { what: "the alert", id: id.to_string(), why };
        let receiver = AlertReceiverId(row.try_get("receiver_id")?);
        let kind: &str = row.try_get("kind")?;
        let has_secret = row.try_get::<Option<&[u8]>, _>("sealed")?.is_some();
        let secret =
            if has_secret { opened(&row, vault, tenant, Sealed::AlertReceiver(receiver))? } else { SecretFields::default() };
        Ok(Some(Outgoing {
            id,
            receiver,
            kind: ReceiverKind::parse(kind).ok_or_else(|| corrupt(format!("there is no receiver \"{kind}\"")))?,
            address: row.try_get("address")?,
            secret,
            content: serde_json::from_value(row.try_get("content")?).map_err(|error| corrupt(error.to_string()))?,
            tries: row.try_get("tries")?,
            created_at: row.try_get("created_at")?,
        }))
    }

    /// # Errors
    /// Where the database does not answer: then it is sent once more.
    pub async fn alert_sent(&self, alert: AlertId, receiver: AlertReceiverId) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let sent =
            sqlx::query("UPDATE alerts SET state = 'sent', sent_at = now(), failure = NULL WHERE id = $1 AND state = 'pending'");
        if sent.bind(alert.0).execute(&mut *tx).await?.rows_affected() == 1 {
            sqlx::query("UPDATE alert_receivers SET sent_at = now(), failure = NULL WHERE id = $1")
                .bind(receiver.0)
                .execute(&mut *tx)
                .await?;
            audit(&mut tx, self.scope(), Action::AlertSent, "alert", &[alert.0]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// A try that failed: it is tried again then, or never. The others of the receiver wait with it, so that a receiver that is down is not
    /// called for each.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn alert_failed(
        &self,
        alert: AlertId,
        receiver: AlertReceiverId,
        why: &str,
        again: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        let why: String = why.chars().filter(|c| !c.is_control()).take(500).collect();
        let mut tx = self.begin().await?;
        sqlx::query("UPDATE alert_receivers SET failed_at = now(), failure = $2 WHERE id = $1")
            .bind(receiver.0)
            .bind(&why)
            .execute(&mut *tx)
            .await?;
        let moved = sqlx::query(
            "UPDATE alerts SET state = CASE WHEN $3::timestamptz IS NULL THEN 'failed' ELSE 'pending' END, due_at = coalesce($3, due_at), failure = $2
             WHERE id = $1 AND state = 'pending'",
        );
        moved.bind(alert.0).bind(&why).bind(again).execute(&mut *tx).await?;
        match again {
            Some(again) => {
                sqlx::query(
                    "UPDATE alerts SET due_at = greatest(due_at, $2) WHERE receiver_id = $1 AND state = 'pending' AND tries = 0",
                )
                .bind(receiver.0)
                .bind(again)
                .execute(&mut *tx)
                .await?;
            }
            None => {
                let detail = serde_json::json!({"why": why}).to_string();
                audit_each(&mut tx, self.scope(), Action::AlertFailed, "alert", &[alert.0], &[Some(&detail)]).await?;
            }
        }
        tx.commit().await?;
        Ok(())
    }
}
