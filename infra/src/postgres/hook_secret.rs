//! Secrets that a connection's hooks are signed with and that nobody typed in: a vendor gave them with a subscription, or a rotation made them.
//! The one before is believed for a while, so that a delivery which is under way while they change is not refused.

use domain::audit::Action;
use domain::id::{ConnectionId, HookSecretId, TenantId};
use domain::secret::{SecretFields, SecretString};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::configure::{data_key, lock};
use super::receive::{audit, audit_each};
use super::{StoreError, TenantStore, opened, subscription};
use crate::vault::{Sealed, Vault};

/// The name that the one field of a sealed secret has.
const FIELD: &str = "secret";

/// What deliveries of a connection may be signed with, beside its credential.
#[derive(Debug, Clone, Default)]
pub struct HookSecrets {
    /// The one in use and those before it, newest first.
    pub believed: Vec<SecretString>,
    /// The credential's own hook secret was replaced, and its time is over.
    pub is_credential_over: bool,
}

impl HookSecrets {
    /// From what the look-up of a hook says: a row for each secret, or one without any.
    pub(super) fn of_hook(rows: &[PgRow], vault: &Vault, tenant: TenantId) -> Result<Self, StoreError> {
        let mut secrets = Self::default();
        for row in rows {
            secrets.is_credential_over = row.try_get("is_credential_over")?;
            let Some(id) = row.try_get::<Option<Uuid>, _>("secret_id")? else { continue };
            let (version, master): (i32, String) = (row.try_get("secret_key_version")?, row.try_get("secret_master_key_id")?);
            let data_key = vault.unwrap(tenant, version, &master, row.try_get("secret_wrapped")?)?;
            let fields = data_key.open(tenant, Sealed::HookSecret(HookSecretId(id)), row.try_get("secret_sealed")?)?;
            secrets.believed.extend(fields.get(FIELD).cloned());
        }
        Ok(secrets)
    }
}

impl TenantStore<'_> {
    /// The secret in use that is of all topics: one that we made, or that a rotation did.
    ///
    /// # Errors
    /// Where the database does not answer, or the secret does not open.
    pub async fn hook_secret_used(&self, vault: &Vault, connection: ConnectionId) -> Result<Option<SecretString>, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let row = sqlx::query(
            "SELECT s.id, s.sealed, s.data_key_version, k.master_key_id, k.wrapped
             FROM hook_secrets s JOIN data_keys k ON k.tenant_id = s.tenant_id AND k.version = s.data_key_version
             WHERE s.connection_id = $1 AND s.topic IS NULL AND s.accepted_until IS NULL",
        );
        let row = row.bind(connection.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        let Some(row) = row else { return Ok(None) };
        let fields = opened(&row, vault, tenant, Sealed::HookSecret(HookSecretId(row.try_get("id")?)))?;
        Ok(fields.get(FIELD).cloned())
    }

    /// A first secret of a connection's hooks, made by us because there was none. Where another worker was faster, theirs stands.
    ///
    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn hook_secret_make(
        &self,
        vault: &Vault,
        connection: ConnectionId,
        secret: &SecretString,
    ) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, connection).await?;
        let is_there =
            "SELECT EXISTS (SELECT FROM hook_secrets WHERE connection_id = $1 AND topic IS NULL AND accepted_until IS NULL)";
        if !sqlx::query_scalar::<_, bool>(is_there).bind(connection.0).fetch_one(&mut *tx).await? {
            self.hook_secret_keep(&mut tx, vault, connection, None, secret, 0).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Replaces the secret of a connection's hooks, and believes the one before for so long. `secret` is the new one; without it the vendor makes
    /// one when its webhooks are registered anew, which is due at once. False where there is nothing to register anew.
    ///
    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn hook_secret_rotate(
        &self,
        vault: &Vault,
        connection: ConnectionId,
        secret: Option<&SecretString>,
        is_registered_anew: bool,
        overlap_s: i32,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        lock(&mut tx, connection).await?;
        let mut replaced = 0;
        if is_registered_anew {
            // One whose answer is not known was told the secret before: it is not the new one.
            let replace = sqlx::query(
                "UPDATE subscriptions SET is_rotating = true, state = CASE WHEN state = 'subscribing' THEN 'failed' ELSE state END
                 WHERE connection_id = $1 AND state NOT IN ('ending', 'ended')",
            );
            replaced = replace.bind(connection.0).execute(&mut *tx).await?.rows_affected();
            subscription::ask(&mut tx, connection).await?;
        }
        match secret {
            Some(secret) => {
                let id = self.hook_secret_keep(&mut tx, vault, connection, None, secret, overlap_s).await?;
                credential_over(&mut tx, connection, id, overlap_s).await?;
            }
            None if replaced == 0 => return Ok(false),
            None => {}
        }
        let detail = serde_json::json!({"overlap_s": overlap_s}).to_string();
        audit_each(&mut tx, self.scope(), Action::HookSecretRotated, "connection", &[connection.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Seals a secret as the one in use, of a topic or of all; the one before is believed for so long.
    pub(super) async fn hook_secret_keep(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        vault: &Vault,
        connection: ConnectionId,
        topic: Option<&str>,
        secret: &SecretString,
        overlap_s: i32,
    ) -> Result<HookSecretId, StoreError> {
        let (scope, id) = (self.scope(), HookSecretId::generate());
        let before = sqlx::query(
            "UPDATE hook_secrets SET accepted_until = now() + make_interval(secs => $3)
             WHERE connection_id = $1 AND topic IS NOT DISTINCT FROM $2 AND accepted_until IS NULL",
        );
        before.bind(connection.0).bind(topic).bind(f64::from(overlap_s)).execute(&mut **tx).await?;
        // A row that says when the credential's own secret is over stays.
        let over = "DELETE FROM hook_secrets WHERE connection_id = $1 AND accepted_until <= now() AND credential_id IS NULL";
        sqlx::query(over).bind(connection.0).execute(&mut **tx).await?;
        let fields: SecretFields = [(FIELD.to_owned(), secret.clone())].into_iter().collect();
        let (data_key, data_key_version) = data_key(tx, vault, scope.tenant).await?;
        let sealed = data_key.seal(scope.tenant, Sealed::HookSecret(id), &fields)?;
        sqlx::query(
            "INSERT INTO hook_secrets (id, tenant_id, connection_id, topic, data_key_version, sealed) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(id.0)
        .bind(scope.tenant.0)
        .bind(connection.0)
        .bind(topic)
        .bind(data_key_version)
        .bind(sealed)
        .execute(&mut **tx)
        .await?;
        audit(tx, scope, Action::HookSecretStored, "hook_secret", &[id.0]).await?;
        Ok(id)
    }
}

/// What a person typed in is part of the credential, which stays: that it is believed no more after the overlap stands with the secret that follows.
pub(super) async fn credential_over(
    tx: &mut Transaction<'static, Postgres>,
    connection: ConnectionId,
    follower: HookSecretId,
    overlap_s: i32,
) -> Result<(), StoreError> {
    let follow = sqlx::query(
        "UPDATE hook_secrets s SET credential_id = c.id, credential_until = now() + make_interval(secs => $3)
         FROM credentials c WHERE s.id = $1 AND c.connection_id = $2 AND c.state = 'active'
           AND NOT EXISTS (SELECT FROM hook_secrets o WHERE o.credential_id = c.id)",
    );
    follow.bind(follower.0).bind(connection.0).bind(f64::from(overlap_s)).execute(&mut **tx).await?;
    Ok(())
}
