//! A tenant's identity provider: how it is reached, which of its groups give which role, and our secret there, which is sealed and never read back.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::UserId;
use domain::identity_provider::RoleTable;
use domain::scope::Role;
use domain::secret::{SecretFields, SecretString};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};

use super::configure::data_key;
use super::receive::audit_each;
use super::{StoreError, TenantStore, opened};
use crate::vault::{Sealed, Vault};

/// The one field of what is sealed.
const SECRET: &str = "client_secret";

/// A provider as it was set.
#[derive(Debug, Clone)]
pub struct Provider {
    pub issuer: String,
    pub client_id: String,
    /// Beside `openid`.
    pub scopes: Vec<String>,
    /// The claim that names a person's groups, or the JSON pointer of one.
    pub groups_claim: String,
    pub roles: RoleTable,
    pub session_hours: i32,
    pub set_by: UserId,
    pub set_at: DateTime<Utc>,
}

/// What a provider is set to.
#[derive(Debug)]
pub struct ProviderEdit<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    /// `None` keeps the one that is there, for the same issuer and client only: it is told to nobody else.
    pub client_secret: Option<&'a SecretString>,
    pub scopes: &'a [String],
    pub groups_claim: &'a str,
    pub roles: &'a RoleTable,
    pub session_hours: i32,
    pub set_by: UserId,
}

/// What became of a change of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderChange {
    Done,
    NotFound,
    /// It makes owners, or is to make them.
    OwnersOnly,
    /// It is new, or another one, and no secret came.
    SecretMissing,
    /// Domains are enforced for it.
    Enforced,
    /// The tenant's directory tells who is in which of its groups.
    Scim,
}

const SELECT: &str =
    "SELECT issuer, client_id, scopes, groups_claim, default_role, session_hours, set_by, set_at FROM identity_providers
     WHERE tenant_id = $1";

fn provider(row: &PgRow, by_group: Vec<(String, Role)>) -> Result<Provider, StoreError> {
    let otherwise: Option<&str> = row.try_get("default_role")?;
    Ok(Provider {
        issuer: row.try_get("issuer")?,
        client_id: row.try_get("client_id")?,
        scopes: row.try_get("scopes")?,
        groups_claim: row.try_get("groups_claim")?,
        roles: RoleTable { by_group, otherwise: otherwise.and_then(Role::parse) },
        session_hours: row.try_get("session_hours")?,
        set_by: UserId(row.try_get("set_by")?),
        set_at: row.try_get("set_at")?,
    })
}

impl TenantStore<'_> {
    /// The tenant's provider.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn identity_provider(&self) -> Result<Option<Provider>, StoreError> {
        let mut tx = self.begin().await?;
        let found = self.provider_find(&mut tx).await?;
        tx.commit().await?;
        Ok(found)
    }

    /// The tenant's provider, and our secret there.
    ///
    /// # Errors
    /// Where the database does not answer, or what is sealed does not open.
    pub async fn identity_provider_opened(&self, vault: &Vault) -> Result<Option<(Provider, SecretString)>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(found) = self.provider_find(&mut tx).await? else { return Ok(None) };
        let row = sqlx::query(
            "SELECT p.sealed, p.data_key_version, k.master_key_id, k.wrapped FROM identity_providers p
             JOIN data_keys k ON k.tenant_id = p.tenant_id AND k.version = p.data_key_version WHERE p.tenant_id = $1",
        );
        let row = row.bind(self.scope().tenant.0).fetch_one(&mut *tx).await?;
        tx.commit().await?;
        let fields = opened(&row, vault, self.scope().tenant, Sealed::IdentityProvider)?;
        let secret = fields.get(SECRET).cloned().unwrap_or_default();
        Ok(Some((found, secret)))
    }

    /// Sets the provider, or sets it anew. `may_owners`: whoever asks may make and unmake owners.
    ///
    /// # Errors
    /// Where the database does not answer or the system has no randomness.
    pub async fn identity_provider_set(
        &self,
        vault: &Vault,
        edit: &ProviderEdit<'_>,
        may_owners: bool,
    ) -> Result<ProviderChange, StoreError> {
        let (scope, tenant) = (self.scope(), self.scope().tenant);
        let mut tx = self.begin().await?;
        let before = self.provider_lock(&mut tx).await?;
        if !may_owners && (edit.roles.makes_owners() || before.as_ref().is_some_and(|it| it.roles.makes_owners())) {
            return Ok(ProviderChange::OwnersOnly);
        }
        let is_same = before.as_ref().is_some_and(|it| it.issuer == edit.issuer && it.client_id == edit.client_id);
        match edit.client_secret {
            Some(secret) => {
                let (key, version) = data_key(&mut tx, vault, tenant).await?;
                let fields: SecretFields = [(SECRET.to_owned(), secret.clone())].into_iter().collect();
                let sealed = key.seal(tenant, Sealed::IdentityProvider, &fields)?;
                let insert = "INSERT INTO identity_providers (tenant_id, issuer, client_id, data_key_version, sealed, scopes, groups_claim, session_hours, set_by)
                     VALUES ($1, $2, $3, $4, $5, '{}', 'groups', 12, $6)
                     ON CONFLICT (tenant_id) DO UPDATE SET data_key_version = $4, sealed = $5";
                let insert = sqlx::query(insert).bind(tenant.0).bind(edit.issuer).bind(edit.client_id).bind(version).bind(sealed);
                insert.bind(edit.set_by.0).execute(&mut *tx).await?;
            }
            None if is_same => {}
            None => return Ok(ProviderChange::SecretMissing),
        }
        let update =
            "UPDATE identity_providers SET issuer = $2, client_id = $3, scopes = $4, groups_claim = $5, default_role = $6,
                 session_hours = $7, set_by = $8, set_at = now() WHERE tenant_id = $1";
        let update = sqlx::query(update).bind(tenant.0).bind(edit.issuer).bind(edit.client_id).bind(edit.scopes);
        let update = update.bind(edit.groups_claim).bind(edit.roles.otherwise.map(Role::as_str)).bind(edit.session_hours);
        update.bind(edit.set_by.0).execute(&mut *tx).await?;
        sqlx::query("DELETE FROM identity_provider_roles WHERE tenant_id = $1").bind(tenant.0).execute(&mut *tx).await?;
        let (groups, roles): (Vec<&str>, Vec<&str>) =
            edit.roles.by_group.iter().map(|(group, role)| (group.as_str(), role.as_str())).unzip();
        let insert =
            "INSERT INTO identity_provider_roles (tenant_id, group_name, role) SELECT $1, * FROM unnest($2::text[], $3::text[])";
        sqlx::query(insert).bind(tenant.0).bind(groups).bind(roles).execute(&mut *tx).await?;
        let by_group: serde_json::Map<String, serde_json::Value> =
            edit.roles.by_group.iter().map(|(group, role)| (group.clone(), role.as_str().into())).collect();
        let detail = serde_json::json!({
            "issuer": edit.issuer, "client_id": edit.client_id, "secret_set": edit.client_secret.is_some(), "groups_claim": edit.groups_claim,
            "roles": by_group, "default_role": edit.roles.otherwise, "session_hours": edit.session_hours,
        });
        audit_each(&mut tx, scope, Action::IdentityProviderSet, "identity_provider", &[tenant.0], &[Some(&detail.to_string())])
            .await?;
        // What the groups of the directory give may be another now.
        self.scim_apply(&mut tx, None).await?;
        tx.commit().await?;
        Ok(ProviderChange::Done)
    }

    /// Takes the provider away, and ends the sessions that it vouched for.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn identity_provider_remove(&self, may_owners: bool) -> Result<ProviderChange, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let Some(before) = self.provider_lock(&mut tx).await? else { return Ok(ProviderChange::NotFound) };
        if before.roles.makes_owners() && !may_owners {
            return Ok(ProviderChange::OwnersOnly);
        }
        let enforced = "SELECT EXISTS (SELECT FROM email_domains WHERE tenant_id = $1 AND enforced_at IS NOT NULL)";
        if sqlx::query_scalar::<_, bool>(enforced).bind(tenant).fetch_one(&mut *tx).await? {
            return Ok(ProviderChange::Enforced);
        }
        let told = "SELECT EXISTS (SELECT FROM scim_tokens WHERE tenant_id = $1 AND revoked_at IS NULL AND expires_at > now())";
        if sqlx::query_scalar::<_, bool>(told).bind(tenant).fetch_one(&mut *tx).await? {
            return Ok(ProviderChange::Scim);
        }
        sqlx::query("DELETE FROM identity_providers WHERE tenant_id = $1").bind(tenant).execute(&mut *tx).await?;
        let ended: i64 = sqlx::query_scalar("SELECT sso_sessions_revoke()").fetch_one(&mut *tx).await?;
        let detail = serde_json::json!({"issuer": before.issuer, "sessions_ended": ended}).to_string();
        audit_each(
            &mut tx,
            self.scope(),
            Action::IdentityProviderRemoved,
            "identity_provider",
            &[tenant],
            &[Some(detail.as_str())],
        )
        .await?;
        tx.commit().await?;
        Ok(ProviderChange::Done)
    }

    /// One change of a tenant's provider, domains and members at a time.
    async fn provider_lock(&self, tx: &mut Transaction<'static, Postgres>) -> Result<Option<Provider>, StoreError> {
        let lock = sqlx::query("SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE");
        lock.bind(self.scope().tenant.0).execute(&mut **tx).await?;
        self.provider_find(tx).await
    }

    async fn provider_find(&self, tx: &mut Transaction<'static, Postgres>) -> Result<Option<Provider>, StoreError> {
        let tenant = self.scope().tenant.0;
        let Some(row) = sqlx::query(SELECT).bind(tenant).fetch_optional(&mut **tx).await? else { return Ok(None) };
        let roles = "SELECT group_name, role FROM identity_provider_roles WHERE tenant_id = $1 ORDER BY group_name";
        let rows: Vec<(String, String)> = sqlx::query_as(roles).bind(tenant).fetch_all(&mut **tx).await?;
        let by_group = rows.into_iter().filter_map(|(group, role)| Some((group, Role::parse(&role)?))).collect();
        provider(&row, by_group).map(Some)
    }
}
