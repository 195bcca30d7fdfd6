//! What becomes of subscriptions at the vendor: each step of a check is written by whoever leads it, with its calls, in one transaction.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::call_payload::ToldCall;
use domain::id::{HookSecretId, SubscriptionId};
use domain::secret::SecretString;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::configure::lock;
use super::hook_secret::credential_over;
use super::poll::sweep_now;
use super::receive::audit_told;
use super::subscription::{SubscriptionCheck, audit_calls};
use super::{StoreError, TenantStore};
use crate::vault::Vault;

/// A registration that the vendor has just made.
#[derive(Debug)]
pub struct NewRegistration<'a> {
    pub vendor_id: &'a str,
    pub hook_url: &'a str,
    pub expires_at: Option<DateTime<Utc>>,
    pub renew_at: Option<DateTime<Utc>>,
    /// What the vendor said that it signs with.
    pub secret: Option<&'a SecretString>,
    /// The one topic that it is for; `None` where it is for all.
    pub topic: Option<&'a str>,
    /// How long the secret before is believed, s.
    pub overlap_s: i32,
}

/// A registration that the vendor's list has.
#[derive(Debug)]
pub struct SeenRegistration<'a> {
    pub subscription: SubscriptionId,
    pub vendor_id: &'a str,
}

impl TenantStore<'_> {
    /// Writes down that the vendor is being asked to register these; false where another leads the check by now, and nobody may be asked.
    ///
    /// # Errors
    /// Where the transaction did not commit: then nobody may be asked.
    pub async fn subscriptions_begin(
        &self,
        check: &SubscriptionCheck,
        ids: &[SubscriptionId],
        lease_s: f64,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let lead =
            "UPDATE subscription_checks SET lease_until = now() + make_interval(secs => $3) WHERE id = $1 AND lease_id = $2";
        let led = sqlx::query(lead).bind(check.id.0).bind(check.lease).bind(lease_s).execute(&mut *tx).await?;
        if led.rows_affected() == 0 {
            return Ok(false);
        }
        let begin = "UPDATE subscriptions SET state = 'subscribing' WHERE id = ANY($1) RETURNING id, topic";
        let rows = sqlx::query(begin).bind(uuids(ids)).fetch_all(&mut *tx).await?;
        self.audit_topics(&mut tx, Action::SubscriptionBegun, rows).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The vendor registered it. Its secret is kept in the same transaction: a registration whose deliveries nobody can verify is never active.
    ///
    /// # Errors
    /// Where the transaction did not commit: then the vendor's list tells of it.
    pub async fn subscriptions_made(
        &self,
        vault: &Vault,
        check: &SubscriptionCheck,
        ids: &[SubscriptionId],
        made: &NewRegistration<'_>,
        calls: &[ToldCall],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // As every way to a connection's secrets does.
        lock(&mut tx, check.connection).await?;
        let mut secret_id: Option<HookSecretId> = None;
        if let Some(secret) = made.secret {
            let id = self.hook_secret_keep(&mut tx, vault, check.connection, made.topic, secret, made.overlap_s).await?;
            let rotates = "SELECT EXISTS (SELECT FROM subscriptions WHERE id = ANY($1) AND is_rotating)";
            if sqlx::query_scalar(rotates).bind(uuids(ids)).fetch_one(&mut *tx).await? {
                credential_over(&mut tx, check.connection, id, made.overlap_s).await?;
            }
            secret_id = Some(id);
        }
        let rows = sqlx::query(
            "UPDATE subscriptions SET state = 'active', vendor_id = $2, hook_url = $3, secret_id = $4, expires_at = $5, renew_at = $6,
                    -- The secret may have been replaced once more since this check began: then it is replaced once more.
                    is_rotating = is_rotating AND EXISTS (SELECT FROM subscription_checks WHERE id = $7 AND asked <> $8),
                    seen_at = NULL, failure = NULL
             WHERE id = ANY($1) RETURNING id, topic",
        )
        .bind(uuids(ids))
        .bind(made.vendor_id)
        .bind(made.hook_url)
        .bind(secret_id.map(|id| id.0))
        .bind(made.expires_at)
        .bind(made.renew_at)
        .bind(check.id.0)
        .bind(check.asked)
        .fetch_all(&mut *tx)
        .await?;
        self.audit_topics(&mut tx, Action::SubscriptionMade, rows).await?;
        self.restore(&mut tx, &uuids(ids)).await?;
        audit_calls(&mut tx, self, check, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// What the vendor's list says: these are there, and those are not although they were.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscriptions_seen(
        &self,
        check: &SubscriptionCheck,
        seen: &[SeenRegistration<'_>],
        hook_url: &str,
        lost: &[SubscriptionId],
        calls: &[ToldCall],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let ids: Vec<Uuid> = seen.iter().map(|seen| seen.subscription.0).collect();
        sqlx::query(
            "UPDATE subscriptions s SET state = 'active', vendor_id = i.vendor_id, hook_url = $3, seen_at = now(), failure = NULL,
                    is_rotating = s.is_rotating AND s.vendor_id IS NOT DISTINCT FROM i.vendor_id,
                    secret_id = CASE WHEN s.vendor_id = i.vendor_id THEN s.secret_id END,
                    expires_at = CASE WHEN s.vendor_id = i.vendor_id THEN s.expires_at END,
                    renew_at = CASE WHEN s.vendor_id = i.vendor_id THEN s.renew_at END
             FROM unnest($1::uuid[], $2::text[]) AS i (id, vendor_id) WHERE s.id = i.id",
        )
        .bind(&ids)
        .bind(seen.iter().map(|seen| seen.vendor_id).collect::<Vec<_>>())
        .bind(hook_url)
        .execute(&mut *tx)
        .await?;
        self.restore(&mut tx, &ids).await?;
        let lost = sqlx::query(
            "UPDATE subscriptions SET state = CASE WHEN state = 'active' THEN 'wanted' ELSE state END, lost_at = coalesce(seen_at, created_at)
             WHERE id = ANY($1) AND lost_at IS NULL RETURNING id, topic",
        )
        .bind(uuids(lost))
        .fetch_all(&mut *tx)
        .await?;
        self.audit_topics(&mut tx, Action::SubscriptionLost, lost).await?;
        audit_calls(&mut tx, self, check, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The vendor said no, or nothing: then `is_unknown`, and its list will tell.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscriptions_failed(
        &self,
        check: &SubscriptionCheck,
        ids: &[SubscriptionId],
        sentence: &str,
        is_unknown: bool,
        calls: &[ToldCall],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        sqlx::query(
            "UPDATE subscriptions SET state = CASE WHEN $3 THEN state ELSE 'failed' END, failure = $2 WHERE id = ANY($1)",
        )
        .bind(uuids(ids))
        .bind(sentence)
        .bind(is_unknown)
        .execute(&mut *tx)
        .await?;
        audit_calls(&mut tx, self, check, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// It lives longer by now.
    ///
    /// # Errors
    /// Where the database does not answer: then it is renewed once more.
    pub async fn subscriptions_renewed(
        &self,
        check: &SubscriptionCheck,
        ids: &[SubscriptionId],
        expires_at: Option<DateTime<Utc>>,
        renew_at: Option<DateTime<Utc>>,
        calls: &[ToldCall],
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query("UPDATE subscriptions SET expires_at = $2, renew_at = $3 WHERE id = ANY($1) RETURNING id, topic");
        let rows = rows.bind(uuids(ids)).bind(expires_at).bind(renew_at).fetch_all(&mut *tx).await?;
        self.audit_topics(&mut tx, Action::SubscriptionRenewed, rows).await?;
        audit_calls(&mut tx, self, check, calls).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The vendor has nothing any more of what no flow needs; what it signed is believed a while longer. `note` is what a person has to do yet.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn subscriptions_ended(
        &self,
        check: &SubscriptionCheck,
        note: Option<&str>,
        overlap_s: i32,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let secrets = "SELECT DISTINCT secret_id FROM subscriptions WHERE connection_id = $1 AND state = 'ending' AND secret_id IS NOT NULL";
        let secrets: Vec<Uuid> = sqlx::query_scalar(secrets).bind(check.connection.0).fetch_all(&mut *tx).await?;
        let rows = sqlx::query(
            "UPDATE subscriptions SET state = 'ended', vendor_id = NULL, secret_id = NULL, expires_at = NULL, renew_at = NULL, seen_at = NULL,
                    lost_at = NULL, failure = $2
             WHERE connection_id = $1 AND state = 'ending' RETURNING id, topic",
        );
        let rows = rows.bind(check.connection.0).bind(note).fetch_all(&mut *tx).await?;
        sqlx::query(
            "UPDATE hook_secrets h SET accepted_until = now() + make_interval(secs => $2)
             WHERE h.id = ANY($1) AND h.accepted_until IS NULL AND NOT EXISTS (SELECT FROM subscriptions s WHERE s.secret_id = h.id)",
        )
        .bind(secrets)
        .bind(f64::from(overlap_s))
        .execute(&mut *tx)
        .await?;
        self.audit_topics(&mut tx, Action::SubscriptionEnded, rows).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Where a subscription was missing and is there again, that is told with how long it may have been missing, and the sweep of its kind that finds
    /// what it did not bring is due at once.
    async fn restore(&self, tx: &mut Transaction<'static, Postgres>, ids: &[Uuid]) -> Result<(), StoreError> {
        let rows = sqlx::query(
            "UPDATE subscriptions s SET restored = s.restored + 1, restored_at = now(), lost_at = NULL
             FROM subscriptions o WHERE o.id = s.id AND s.id = ANY($1) AND s.lost_at IS NOT NULL
             RETURNING s.id, s.topic, s.kind, s.connection_id, o.lost_at",
        );
        let rows = rows.bind(ids).fetch_all(&mut **tx).await?;
        let Some(first) = rows.first() else { return Ok(()) };
        let connection: Uuid = first.try_get("connection_id")?;
        let (mut restored, mut kinds, mut details) = (Vec::new(), Vec::new(), Vec::new());
        for row in &rows {
            kinds.push(row.try_get::<String, _>("kind")?);
            let (topic, since): (String, DateTime<Utc>) = (row.try_get("topic")?, row.try_get("lost_at")?);
            restored.push(row.try_get("id")?);
            details.push(serde_json::json!({"topic": topic, "missing_since": since}).to_string());
        }
        audit_told(tx, self.scope(), Action::SubscriptionRestored, "subscription", &restored, &details).await?;
        let kinds: Vec<_> = kinds.iter().map(|kind| (connection, kind.as_str())).collect();
        sweep_now(tx, &kinds).await
    }

    async fn audit_topics(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        action: Action,
        rows: Vec<sqlx::postgres::PgRow>,
    ) -> Result<(), StoreError> {
        let (mut ids, mut details) = (Vec::with_capacity(rows.len()), Vec::with_capacity(rows.len()));
        for row in rows {
            ids.push(row.try_get("id")?);
            details.push(serde_json::json!({"topic": row.try_get::<String, _>("topic")?}).to_string());
        }
        audit_told(tx, self.scope(), action, "subscription", &ids, &details).await
    }
}

fn uuids(ids: &[SubscriptionId]) -> Vec<Uuid> {
    ids.iter().map(|id| id.0).collect()
}
