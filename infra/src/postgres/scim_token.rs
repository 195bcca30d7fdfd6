//! What a tenant's directory tells us with: made, listed and revoked within a tenant; found by its prefix before any tenant is known.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ScimTokenId, TenantId, UserId};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::api_key::KeyText;
use super::receive::audit_each;
use super::{Store, StoreError, TenantStore};

/// Tokens of a tenant that are good at once: one that is used, and those that it takes the place of.
pub const SCIM_TOKENS_MAX: i64 = 5;

/// A token, as the tenant sees it.
#[derive(Debug, Clone)]
pub struct ScimToken {
    pub id: ScimTokenId,
    pub prefix: String,
    pub created_by: UserId,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// To five minutes.
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
}

/// A token that a request came with, if its hash fits.
#[derive(Debug, Clone)]
pub struct LiveScimToken {
    pub id: ScimTokenId,
    pub hash: Vec<u8>,
    pub tenant: TenantId,
    /// That it is used is worth a note again.
    pub is_use_old: bool,
}

/// Why no token was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotMade {
    /// Without the provider's table nobody would become anything.
    NoProvider,
    TooMany,
}

const COLUMNS: &str = "id, prefix, created_by, created_at, expires_at, last_used_at, revoked_at";

fn token(row: &PgRow) -> Result<ScimToken, StoreError> {
    Ok(ScimToken {
        id: ScimTokenId(row.try_get("id")?),
        prefix: row.try_get("prefix")?,
        created_by: UserId(row.try_get("created_by")?),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
        revoked_at: row.try_get("revoked_at")?,
    })
}

impl TenantStore<'_> {
    /// The tenant's tokens, the newest first, those that are over too; at most 100.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_tokens(&self) -> Result<Vec<ScimToken>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!("SELECT {COLUMNS} FROM scim_tokens WHERE tenant_id = $1 ORDER BY id DESC LIMIT 100");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().map(token).collect()
    }

    /// A new token. Those before are good for so many hours more, so that the directory can be told the new one while it works.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_token_create(
        &self,
        by: UserId,
        expires_at: DateTime<Utc>,
        overlap_hours: i32,
        text: &KeyText<'_>,
    ) -> Result<Result<ScimToken, NotMade>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        sqlx::query("SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE").bind(tenant).execute(&mut *tx).await?;
        let has_provider = "SELECT EXISTS (SELECT FROM identity_providers WHERE tenant_id = $1)";
        if !sqlx::query_scalar::<_, bool>(has_provider).bind(tenant).fetch_one(&mut *tx).await? {
            return Ok(Err(NotMade::NoProvider));
        }
        let ends = "UPDATE scim_tokens SET expires_at = least(expires_at, now() + make_interval(hours => $2))
             WHERE tenant_id = $1 AND revoked_at IS NULL AND expires_at > now() RETURNING expires_at > now()";
        let open: Vec<bool> = sqlx::query_scalar(ends).bind(tenant).bind(overlap_hours).fetch_all(&mut *tx).await?;
        if i64::try_from(open.into_iter().filter(|is_good| *is_good).count()).unwrap_or(i64::MAX) >= SCIM_TOKENS_MAX {
            return Ok(Err(NotMade::TooMany));
        }
        let insert = format!(
            "INSERT INTO scim_tokens (id, tenant_id, prefix, token_hash, created_by, expires_at) VALUES ($1, $2, $3, $4, $5, $6) RETURNING {COLUMNS}"
        );
        let insert = sqlx::query(sqlx::AssertSqlSafe(insert)).bind(ScimTokenId::generate().0).bind(tenant).bind(text.prefix);
        let row = insert.bind(text.hash).bind(by.0).bind(expires_at).fetch_one(&mut *tx).await?;
        let made = token(&row)?;
        let detail =
            serde_json::json!({"prefix": made.prefix, "expires_at": expires_at, "overlap_hours": overlap_hours}).to_string();
        audit_each(&mut tx, self.scope(), Action::ScimTokenCreated, "scim_token", &[made.id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Ok(made))
    }

    /// Ends a token at once; false where it is over or was never there.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_token_revoke(&self, id: ScimTokenId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let revoke = "UPDATE scim_tokens SET revoked_at = now()
             WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL AND expires_at > now() RETURNING prefix";
        let revoke = sqlx::query_scalar::<_, String>(revoke).bind(self.scope().tenant.0).bind(id.0);
        let Some(prefix) = revoke.fetch_optional(&mut *tx).await? else { return Ok(false) };
        let detail = serde_json::json!({"prefix": prefix}).to_string();
        audit_each(&mut tx, self.scope(), Action::ScimTokenRevoked, "scim_token", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl Store {
    /// The token of a prefix, if it can be used; whether the rest of its text fits is for the caller to see.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_token_find(&self, prefix: &str) -> Result<Option<LiveScimToken>, StoreError> {
        let query = sqlx::query("SELECT id, token_hash, tenant_id, is_use_old FROM scim_token_find($1)").bind(prefix);
        let row = query.fetch_optional(self.pool()).await?;
        row.map(|row| {
            Ok(LiveScimToken {
                id: ScimTokenId(row.try_get("id")?),
                hash: row.try_get("token_hash")?,
                tenant: TenantId(row.try_get("tenant_id")?),
                is_use_old: row.try_get("is_use_old")?,
            })
        })
        .transpose()
    }

    /// Notes that a token is used; once in five minutes at most.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn scim_token_used(&self, id: ScimTokenId) -> Result<(), StoreError> {
        sqlx::query("SELECT scim_token_used($1)").bind(id.0).execute(self.pool()).await?;
        Ok(())
    }
}
