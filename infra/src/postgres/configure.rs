//! What a tenant sets up: connections with their credentials, flows and their versions.

use domain::audit::Action;
use domain::connection::ConnectionState;
use domain::flow::FlowState;
use domain::id::{ConnectionId, CredentialId, FlowId, FlowVersionId};
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::secret::{ExposeSecret, SecretFields};
use sqlx::Row;
use uuid::Uuid;

use super::receive::audit;
use super::{StoreError, TenantStore};
use crate::vault::{DataKey, Sealed, Vault};

/// True where a name is taken already.
pub(super) fn is_taken(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
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
        credential: &SecretFields,
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
        if !credential.0.is_empty() {
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
        tx.commit().await?;
        Ok(Changed::Done)
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
        let mut tx = self.begin().await?;
        let query = sqlx::query("UPDATE connections SET state = $2 WHERE id = $1 AND state <> $2");
        if query.bind(connection.0).bind(state.as_str()).execute(&mut *tx).await?.rows_affected() == 1 {
            audit(&mut tx, self.scope(), action, "connection", &[connection.0]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// Stores the next version of a connection's credential and retires the one before. The new one has a new id, which is what workers
    /// keep opened credentials by, so the old one is used no more from the next batch on. False where there is no such connection.
    ///
    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn credential_replace(
        &self,
        vault: &Vault,
        connection: ConnectionId,
        credential: &SecretFields,
    ) -> Result<bool, StoreError> {
        let scope = self.scope();
        let mut tx = self.begin().await?;
        // Two who replace at once come one after the other, so that their versions differ and one of them is active.
        let lock = sqlx::query("SELECT id FROM connections WHERE id = $1 FOR UPDATE");
        if lock.bind(connection.0).fetch_optional(&mut *tx).await?.is_none() {
            return Ok(false);
        }
        let last = sqlx::query_scalar("SELECT coalesce(max(version), 0) FROM credentials WHERE connection_id = $1");
        let last: i32 = last.bind(connection.0).fetch_one(&mut *tx).await?;
        let retire = sqlx::query_scalar(
            "UPDATE credentials SET state = 'retired' WHERE connection_id = $1 AND state = 'active' RETURNING id",
        );
        let retired: Vec<Uuid> = retire.bind(connection.0).fetch_all(&mut *tx).await?;
        audit(&mut tx, scope, Action::CredentialRetired, "credential", &retired).await?;
        if !credential.0.is_empty() {
            credential_store(&mut tx, scope, vault, connection, last + 1, credential).await?;
        }
        tx.commit().await?;
        Ok(true)
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

    /// A new flow with its first draft; `None` where the name is taken. The connections must be the tenant's own.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_create(&self, flow: &NewFlow<'_>) -> Result<Option<FlowId>, StoreError> {
        let (scope, id) = (self.scope(), FlowId::generate());
        let mut tx = self.begin().await?;
        let made = sqlx::query(
            "INSERT INTO flows (id, tenant_id, name, record_kind, source_connection_id, destination_connection_id) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (tenant_id, name) DO NOTHING",
        )
        .bind(id.0)
        .bind(scope.tenant.0)
        .bind(flow.name)
        .bind(flow.kind.as_str())
        .bind(flow.source.0)
        .bind(flow.destination.0)
        .execute(&mut *tx)
        .await?;
        if made.rows_affected() == 0 {
            return Ok(None);
        }
        version_insert(&mut tx, scope, id, 1, &flow.policy, flow.filter, &flow.mapping).await?;
        audit(&mut tx, scope, Action::FlowCreated, "flow", &[id.0]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// A new draft of a flow, in the place of the draft it may have. What the draft does not say is as in the newest version.
    /// False where there is no such flow.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_draft(&self, flow: FlowId, draft: &Draft<'_>) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        // Two who draft at once come one after the other: the second sees the first's version.
        let lock = sqlx::query("SELECT id FROM flows WHERE id = $1 FOR UPDATE");
        if lock.bind(flow.0).fetch_optional(&mut *tx).await?.is_none() {
            return Ok(false);
        }
        // Locks the version too, so that a draft that is being published is not changed beneath that.
        let newest = sqlx::query(
            "SELECT id, version, state, policy, filter, mapping FROM flow_versions WHERE flow_id = $1 ORDER BY version DESC LIMIT 1 FOR UPDATE",
        );
        let newest = newest.bind(flow.0).fetch_one(&mut *tx).await?;
        let policy = draft.policy.map_or_else(|| newest.try_get("policy"), |policy| Ok(policy.clone()))?;
        let mapping = draft.mapping.map_or_else(|| newest.try_get("mapping"), |mapping| Ok(mapping.clone()))?;
        let filter = draft.filter.map_or_else(|| newest.try_get("filter"), |filter| Ok(filter.map(str::to_owned)))?;
        let (policy, mapping): (serde_json::Value, serde_json::Value) = (policy, mapping);
        let mut version: i32 = newest.try_get("version")?;
        if newest.try_get::<&str, _>("state")? == FlowState::Draft.as_str() {
            let replaced: Uuid = newest.try_get("id")?;
            sqlx::query("DELETE FROM flow_versions WHERE id = $1").bind(replaced).execute(&mut *tx).await?;
        } else {
            version += 1;
        }
        version_insert(&mut tx, self.scope(), flow, version, &policy, filter.as_deref(), &mapping).await?;
        audit(&mut tx, self.scope(), Action::FlowDrafted, "flow", &[flow.0]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Publishes the newest draft and retires what was published before. False where there is no draft.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_publish(&self, flow: FlowId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query(
            "SELECT id FROM flow_versions WHERE flow_id = $1 AND state = 'draft' ORDER BY version DESC LIMIT 1 FOR UPDATE",
        );
        let Some(draft) = query.bind(flow.0).fetch_optional(&mut *tx).await? else { return Ok(false) };
        let draft: Uuid = draft.try_get("id")?;
        sqlx::query("UPDATE flow_versions SET state = 'retired' WHERE flow_id = $1 AND state = 'published'")
            .bind(flow.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("UPDATE flow_versions SET state = 'published', published_at = now() WHERE id = $1")
            .bind(draft)
            .execute(&mut *tx)
            .await?;
        audit(&mut tx, self.scope(), Action::FlowPublished, "flow", &[flow.0]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Retires the published version: nothing new is planned, what is planned is still delivered. False where none is published.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn flow_retire(&self, flow: FlowId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query("UPDATE flow_versions SET state = 'retired' WHERE flow_id = $1 AND state = 'published'");
        if query.bind(flow.0).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        audit(&mut tx, self.scope(), Action::FlowRetired, "flow", &[flow.0]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// What the published flows are mapped by.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn published_rules(&self) -> Result<Vec<PublishedRules>, StoreError> {
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT f.name, f.record_kind, c.connector, v.mapping
             FROM flow_versions v JOIN flows f ON f.id = v.flow_id JOIN connections c ON c.id = f.destination_connection_id
             WHERE v.tenant_id = $1 AND v.state = 'published' ORDER BY f.name",
        );
        let rows = rows.bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let rules = |row: sqlx::postgres::PgRow| -> Result<PublishedRules, StoreError> {
            Ok(PublishedRules {
                name: row.try_get("name")?,
                kind: row.try_get("record_kind")?,
                connector: row.try_get("connector")?,
                mapping: row.try_get("mapping")?,
            })
        };
        rows.into_iter().map(rules).collect()
    }
}

/// The rules of a published flow, as the tenant laid them over its destination connector's.
#[derive(Debug, Clone)]
pub struct PublishedRules {
    /// The flow's name.
    pub name: String,
    pub kind: String,
    /// The destination's.
    pub connector: String,
    pub mapping: serde_json::Value,
}

/// A flow, about to be made.
#[derive(Debug)]
pub struct NewFlow<'a> {
    pub name: &'a str,
    pub kind: RecordKind,
    pub source: ConnectionId,
    pub destination: ConnectionId,
    pub policy: serde_json::Value,
    pub filter: Option<&'a str>,
    pub mapping: serde_json::Value,
}

/// The next version of a flow, about to be made. What is `None` is as in the newest version.
#[derive(Debug, Default)]
pub struct Draft<'a> {
    pub policy: Option<&'a serde_json::Value>,
    /// `Some(None)` takes the filter away.
    pub filter: Option<Option<&'a str>>,
    pub mapping: Option<&'a serde_json::Value>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changed {
    Done,
    NotFound,
    /// Another has the name.
    Taken,
}

/// Seals a credential and makes it its connection's active one.
async fn credential_store(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    scope: &Scope,
    vault: &Vault,
    connection: ConnectionId,
    version: i32,
    credential: &SecretFields,
) -> Result<(), StoreError> {
    let (data_key, data_key_version) = data_key(tx, vault, scope.tenant).await?;
    let id = CredentialId::generate();
    let sealed = data_key.seal(scope.tenant, Sealed::Credential(id), credential)?;
    sqlx::query(
        "INSERT INTO credentials (id, tenant_id, connection_id, version, data_key_version, sealed, hint) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(id.0)
    .bind(scope.tenant.0)
    .bind(connection.0)
    .bind(version)
    .bind(data_key_version)
    .bind(sealed)
    .bind(hint(credential))
    .execute(&mut **tx)
    .await?;
    audit(tx, scope, Action::CredentialStored, "credential", &[id.0]).await
}

/// A draft of a flow.
async fn version_insert(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    scope: &Scope,
    flow: FlowId,
    version: i32,
    policy: &serde_json::Value,
    filter: Option<&str>,
    mapping: &serde_json::Value,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO flow_versions (id, tenant_id, flow_id, version, policy, filter, mapping) VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(FlowVersionId::generate().0)
    .bind(scope.tenant.0)
    .bind(flow.0)
    .bind(version)
    .bind(policy)
    .bind(filter)
    .bind(mapping)
    .execute(&mut **tx)
    .await?;
    Ok(())
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

/// The last four characters of the first secret that is long enough not to be guessed from them.
fn hint(credential: &SecretFields) -> String {
    const SECRET_CHARS_MIN: usize = 12;
    let long =
        credential.0.values().map(|secret| secret.expose_secret()).find(|secret| secret.chars().count() >= SECRET_CHARS_MIN);
    long.map(|secret| format!("…{}", secret.chars().skip(secret.chars().count() - 4).collect::<String>())).unwrap_or_default()
}
