//! What a tenant sets up: its connections, with their credentials.

use domain::audit::Action;
use domain::connection::ConnectionState;
use domain::id::{ConnectionId, CredentialId};
use domain::scope::Scope;
use domain::secret::{ExposeSecret, SecretFields};
use domain::upkeep::Ends;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::consent::grant_follow;
use super::receive::audit;
use super::{StoreError, TenantStore};
use super::{breaker, rotation};
use crate::vault::{DataKey, KeyHasher, Sealed, Vault};

/// True where a name is taken already.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

/// A connection's settings, while nobody else changes it or its secrets: those who do come one after the other. `None` where there is no such
/// connection. Its key stays free: what comes for it meanwhile is written, and a page of a poll that names it does not wait for whoever waits for the poll.
pub(super) async fn lock(
    tx: &mut Transaction<'static, Postgres>,
    connection: ConnectionId,
) -> Result<Option<serde_json::Value>, StoreError> {
    let lock = sqlx::query_scalar("SELECT settings FROM connections WHERE id = $1 FOR NO KEY UPDATE");
    Ok(lock.bind(connection.0).fetch_optional(&mut **tx).await?)
}

impl TenantStore<'_> {
    /// A new connection with its sealed credential; `None` where the name is taken.
    ///
    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn connection_create(
        &self,
        vault: &Vault,
        connector: &str,
        name: &str,
        settings: &serde_json::Value,
        credential: &NewCredential<'_>,
        hook_token: &str,
    ) -> Result<Option<ConnectionId>, StoreError> {
        let (scope, id) = (self.scope(), ConnectionId::generate());
        let mut tx = self.begin().await?;
        let made = sqlx::query(
            "INSERT INTO connections (id, tenant_id, connector, name, settings, hook_token) VALUES ($1, $2, $3, $4, $5, $6)",
        );
        let made = made
            .bind(id.0)
            .bind(scope.tenant.0)
            .bind(connector)
            .bind(name)
            .bind(settings)
            .bind(hook_token)
            .execute(&mut *tx)
            .await;
        match made {
            Err(error) if is_taken(&error) => return Ok(None),
            made => made?,
        };
        audit(&mut tx, scope, Action::ConnectionCreated, "connection", &[id.0]).await?;
        if !credential.fields.0.is_empty() {
            credential_store(&mut tx, scope, vault, id, 1, credential).await?;
        }
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Changes the name, the settings or both; what is `None` stays as it is.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_update(
        &self,
        connection: ConnectionId,
        name: Option<&str>,
        settings: Option<&serde_json::Value>,
    ) -> Result<Changed, StoreError> {
        let mut tx = self.begin().await?;
        let query =
            sqlx::query("UPDATE connections SET name = coalesce($2, name), settings = coalesce($3, settings) WHERE id = $1");
        let updated = match query.bind(connection.0).bind(name).bind(settings).execute(&mut *tx).await {
            Err(error) if is_taken(&error) => return Ok(Changed::Taken),
            updated => updated?,
        };
        if updated.rows_affected() == 0 {
            return Ok(Changed::NotFound);
        }
        audit(&mut tx, self.scope(), Action::ConnectionChanged, "connection", &[connection.0]).await?;
        breaker::try_now(&mut tx, connection).await?;
        tx.commit().await?;
        Ok(Changed::Done)
    }

    /// Keeps so many percent of a connection's limits for other applications of its account; without a number the connector says how many.
    /// False where there is no such connection.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_reserve_set(&self, connection: ConnectionId, reserve_pct: Option<u32>) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let reserve_pct = reserve_pct.and_then(|percent| i32::try_from(percent).ok());
        let query = sqlx::query("UPDATE connections SET reserve_pct = $2 WHERE id = $1");
        if query.bind(connection.0).bind(reserve_pct).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        audit(&mut tx, self.scope(), Action::ConnectionChanged, "connection", &[connection.0]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Pauses or resumes a connection; one that is so already stays so, without a word in the audit log.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn connection_state_set(&self, connection: ConnectionId, state: ConnectionState) -> Result<(), StoreError> {
        let action = match state {
            ConnectionState::Active => Action::ConnectionResumed,
            ConnectionState::Paused => Action::ConnectionPaused,
        };
        if state == ConnectionState::Active {
            self.put_in_order(connection).await?;
        }
        let mut tx = self.begin().await?;
        let query = sqlx::query("UPDATE connections SET state = $2 WHERE id = $1 AND state <> $2");
        if query.bind(connection.0).bind(state.as_str()).execute(&mut *tx).await?.rows_affected() == 1 {
            audit(&mut tx, self.scope(), action, "connection", &[connection.0]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Stores the next version of a connection's credential and retires the one before. The new one has a new id, which is what workers
    /// keep opened credentials by, so the old one is used no more from the next batch on. `keeps_consent`: what a person consented to goes on with it.
    ///
    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn credential_replace(
        &self,
        vault: &Vault,
        connection: ConnectionId,
        credential: &NewCredential<'_>,
        keeps_consent: bool,
    ) -> Result<Replaced, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        // So that the versions of two who replace at once differ and one of them is active.
        if lock(&mut tx, connection).await?.is_none() {
            return Ok(Replaced::NotFound);
        }
        // What was being exchanged is not any more: this takes the place of both.
        rotation::replaced(&mut tx, scope, connection).await?;
        let last = last_version(&mut tx, connection).await?;
        let retire = sqlx::query_scalar(
            "UPDATE credentials SET state = 'retired' WHERE connection_id = $1 AND state = 'active' RETURNING id",
        );
        let retired: Vec<Uuid> = retire.bind(connection.0).fetch_all(&mut *tx).await?;
        audit(&mut tx, scope, Action::CredentialRetired, "credential", &retired).await?;
        if !credential.fields.0.is_empty() {
            let stored = credential_store(&mut tx, scope, vault, connection, last + 1, credential).await?;
            if let Some(before) = retired.first().filter(|_| keeps_consent)
                && !grant_follow(&mut tx, self, vault, CredentialId(*before), stored).await?
            {
                return Ok(Replaced::Busy);
            }
        }
        breaker::try_now(&mut tx, connection).await?;
        tx.commit().await?;
        Ok(Replaced::Done)
    }

    /// The last characters of the active credential of each connection: all that is ever shown of it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn credential_hint(&self, connection: ConnectionId) -> Result<Option<String>, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query_scalar("SELECT hint FROM credentials WHERE connection_id = $1 AND state = 'active'");
        let hint = query.bind(connection.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(hint)
    }
}

/// Secrets that are to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewCredential<'a> {
    pub fields: &'a SecretFields,
    /// When the first of them ends, where that is known.
    pub ends: Option<Ends>,
}

/// What became of a credential that was to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    Done,
    NotFound,
    /// The vendor is asked for a new token at this moment, and what it gives must not be lost: the same works seconds later.
    Busy,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Done,
    NotFound,
    /// Another has the name.
    Taken,
}

/// The version of the newest credential of a connection; 0 where it has none.
pub(super) async fn last_version(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    connection: ConnectionId,
) -> Result<i32, StoreError> {
    let last = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM credentials WHERE connection_id = $1");
    Ok(last.bind(connection.0).fetch_one(&mut **tx).await?)
}

/// Where a credential stands when it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub connection: ConnectionId,
    pub version: i32,
    pub state: &'static str,
    /// What the vendor calls it, where it made it for us.
    pub key_id: Option<&'a str>,
}

/// Seals a credential and makes it its connection's active one.
pub(super) async fn credential_store(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    scope: &Scope,
    vault: &Vault,
    connection: ConnectionId,
    version: i32,
    credential: &NewCredential<'_>,
) -> Result<CredentialId, StoreError> {
    let place = Place { connection, version, state: "active", key_id: None };
    let id = credential_insert(tx, scope, vault, place, credential).await?;
    rotation::follow(tx, connection, None).await?;
    Ok(id)
}

/// Seals a credential and keeps it.
pub(super) async fn credential_insert(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    scope: &Scope,
    vault: &Vault,
    place: Place<'_>,
    credential: &NewCredential<'_>,
) -> Result<CredentialId, StoreError> {
    let (data_key, data_key_version) = data_key(tx, vault, scope.tenant).await?;
    let id = CredentialId::generate();
    let sealed = data_key.seal(scope.tenant, Sealed::Credential(id), credential.fields)?;
    sqlx::query(
        "INSERT INTO credentials (id, tenant_id, connection_id, version, state, key_id, data_key_version, sealed, hint, ends_kind, ends_at)
         VALUES ($1, $2, $3, $4, $10, $11, $5, $6, $7, $8, $9)",
    )
    .bind(id.0)
    .bind(scope.tenant.0)
    .bind(place.connection.0)
    .bind(place.version)
    .bind(data_key_version)
    .bind(sealed)
    .bind(hint(credential.fields))
    .bind(credential.ends.map(|ends| ends.what.as_str()))
    .bind(credential.ends.map(|ends| ends.at))
    .bind(place.state)
    .bind(place.key_id)
    .execute(&mut **tx)
    .await?;
    audit(tx, scope, Action::CredentialStored, "credential", &[id.0]).await?;
    Ok(id)
}

/// The tenant's data key, made when first needed.
pub(super) async fn data_key(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    vault: &Vault,
    tenant: domain::id::TenantId,
) -> Result<(DataKey, i32), StoreError> {
    let (fresh, wrapped) = vault.new_data_key(tenant, 1)?;
    // Two connections made at once: the first key stands, and the second reads it.
    let insert = sqlx::query(
        "INSERT INTO data_keys (tenant_id, version, master_key_id, wrapped) VALUES ($1, 1, $2, $3) ON CONFLICT DO NOTHING",
    );
    if insert.bind(tenant.0).bind(vault.master_key_id()).bind(&wrapped).execute(&mut **tx).await?.rows_affected() == 1 {
        return Ok((fresh, 1));
    }
    let row =
        sqlx::query("SELECT version, master_key_id, wrapped FROM data_keys WHERE tenant_id = $1 ORDER BY version DESC LIMIT 1");
    let row = row.bind(tenant.0).fetch_one(&mut **tx).await?;
    let (version, master): (i32, String) = (row.try_get("version")?, row.try_get("master_key_id")?);
    Ok((vault.unwrap(tenant, version, &master, row.try_get("wrapped")?)?, version))
}

/// What hashes the tenant's search keys: its first data key, because a hash that was stored must be found for ever.
pub(super) async fn key_hasher(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    vault: &Vault,
    tenant: domain::id::TenantId,
) -> Result<KeyHasher, StoreError> {
    let first =
        sqlx::query("SELECT version, master_key_id, wrapped FROM data_keys WHERE tenant_id = $1 ORDER BY version LIMIT 1");
    let Some(row) = first.bind(tenant.0).fetch_optional(&mut **tx).await? else {
        return Ok(data_key(tx, vault, tenant).await?.0.hasher());
    };
    let (version, master): (i32, String) = (row.try_get("version")?, row.try_get("master_key_id")?);
    Ok(vault.unwrap(tenant, version, &master, row.try_get("wrapped")?)?.hasher())
}

/// The last four characters of the first secret that is long enough not to be guessed from them.
fn hint(credential: &SecretFields) -> String {
    const SECRET_CHARS_MIN: usize = 12;
    let long =
        credential.0.values().map(|secret| secret.expose_secret()).find(|secret| secret.chars().count() >= SECRET_CHARS_MIN);
    long.map(|secret| format!("…{}", secret.chars().skip(secret.chars().count() - 4).collect::<String>())).unwrap_or_default()
}
