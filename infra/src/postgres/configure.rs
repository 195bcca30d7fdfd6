//! What a tenant sets up: connections with their credentials, lookup tables, flows and their versions.

use domain::audit::Action;
use domain::id::{ConnectionId, CredentialId, FlowId, FlowVersionId, LookupTableId};
use domain::record::RecordKind;
use domain::secret::{ExposeSecret, SecretFields};
use sqlx::Row;
use uuid::Uuid;

use super::receive::audit;
use super::{StoreError, TenantStore};
use crate::vault::{DataKey, Vault};

/// Entries of one change of a lookup table.
pub const ENTRIES_MAX: usize = 5_000;

/// True where a name is taken already.
fn is_taken(error: &sqlx::Error) -> bool {
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
            let (data_key, version) = data_key(&mut tx, vault, scope.tenant).await?;
            let credential_id = CredentialId::generate();
            let sealed = data_key.seal(scope.tenant, credential_id, credential)?;
            sqlx::query(
                "INSERT INTO credentials (id, tenant_id, connection_id, version, data_key_version, sealed, hint) VALUES ($1, $2, $3, 1, $4, $5, $6)",
            )
            .bind(credential_id.0)
            .bind(scope.tenant.0)
            .bind(id.0)
            .bind(version)
            .bind(sealed)
            .bind(hint(credential))
            .execute(&mut *tx)
            .await?;
            audit(&mut tx, scope, Action::CredentialStored, "credential", &[credential_id.0]).await?;
        }
        tx.commit().await?;
        Ok(Some(id))
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

    /// A new, empty lookup table; `None` where the name is taken.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_table_create(&self, name: &str) -> Result<Option<LookupTableId>, StoreError> {
        let id = LookupTableId::generate();
        let mut tx = self.begin().await?;
        let query = sqlx::query(
            "INSERT INTO lookup_tables (id, tenant_id, name) VALUES ($1, $2, $3) ON CONFLICT (tenant_id, name) DO NOTHING",
        );
        if query.bind(id.0).bind(self.scope().tenant.0).bind(name).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(None);
        }
        audit(&mut tx, self.scope(), Action::LookupTableCreated, "lookup_table", &[id.0]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Adds and replaces entries; the table's version grows, so that workers read it again. False where there is no such table.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn lookup_entries_set(&self, table: LookupTableId, entries: &[(String, String)]) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let touched =
            sqlx::query("UPDATE lookup_tables SET version = version + 1 WHERE id = $1").bind(table.0).execute(&mut *tx).await?;
        if touched.rows_affected() == 0 {
            return Ok(false);
        }
        // The last of two entries for one value stands.
        let entries: std::collections::BTreeMap<&str, &str> =
            entries.iter().map(|(from, to)| (from.as_str(), to.as_str())).collect();
        sqlx::query(
            "INSERT INTO lookup_entries (tenant_id, table_id, from_value, to_value)
             SELECT $1, $2, from_value, to_value FROM unnest($3::text[], $4::text[]) AS i (from_value, to_value)
             ON CONFLICT (table_id, from_value) DO UPDATE SET to_value = excluded.to_value",
        )
        .bind(self.scope().tenant.0)
        .bind(table.0)
        .bind(entries.keys().copied().collect::<Vec<_>>())
        .bind(entries.values().copied().collect::<Vec<_>>())
        .execute(&mut *tx)
        .await?;
        audit(&mut tx, self.scope(), Action::LookupEntriesSet, "lookup_table", &[table.0]).await?;
        tx.commit().await?;
        Ok(true)
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
        sqlx::query("INSERT INTO flow_versions (id, tenant_id, flow_id, version, policy, filter, mapping) VALUES ($1, $2, $3, 1, $4, $5, $6)")
            .bind(FlowVersionId::generate().0)
            .bind(scope.tenant.0)
            .bind(id.0)
            .bind(&flow.policy)
            .bind(flow.filter)
            .bind(&flow.mapping)
            .execute(&mut *tx)
            .await?;
        audit(&mut tx, scope, Action::FlowCreated, "flow", &[id.0]).await?;
        tx.commit().await?;
        Ok(Some(id))
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

/// The tenant's data key, made when first needed.
async fn data_key(
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
