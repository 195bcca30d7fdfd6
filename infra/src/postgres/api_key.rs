//! Keys of partners and services: made, listed, rotated and revoked within a tenant; found by their prefix before any tenant is known.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ApiKeyId, ServiceAccountId, TenantId, UserId};
use domain::permission::Permission;
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};

use super::receive::audit_each;
use super::service_account::{self, ServiceAccount};
use super::{Store, StoreError, TenantStore};

/// Keys of a tenant that can be used at once.
pub const API_KEYS_MAX: i64 = 200;
/// No key is good for longer.
pub const API_KEY_DAYS_MAX: i64 = 366;

/// A key, as the tenant sees it.
#[derive(Debug, Clone)]
pub struct ApiKey {
    pub id: ApiKeyId,
    pub name: String,
    pub prefix: String,
    /// What it may now: of what it was given, what its account has.
    pub permissions: Vec<Permission>,
    given: Vec<Permission>,
    pub calls_per_minute: i32,
    /// It may ask what is registered, and nothing else.
    pub is_persisted_only: bool,
    pub created_by: UserId,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    /// To five minutes.
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub replaces: Option<ApiKeyId>,
    /// Whom it acts as, if anybody but itself.
    pub account: Option<ServiceAccount>,
}

/// What a new key is to be.
#[derive(Debug)]
pub struct NewApiKey<'a> {
    pub name: &'a str,
    pub permissions: &'a [Permission],
    pub calls_per_minute: i32,
    pub is_persisted_only: bool,
    pub created_by: UserId,
    pub expires_at: DateTime<Utc>,
    pub account: Option<ServiceAccountId>,
}

/// Why no key was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRefusal {
    TooMany,
    /// The account has ended or was never there.
    NoAccount,
    /// More than the account of this name may: what.
    Beyond(String, Vec<Permission>),
}

/// What is kept of a key's text.
#[derive(Debug)]
pub struct KeyText<'a> {
    pub prefix: &'a str,
    pub hash: &'a [u8],
}

/// A key that a request came with, if its hash fits.
#[derive(Debug, Clone)]
pub struct LiveKey {
    pub id: ApiKeyId,
    pub hash: Vec<u8>,
    pub name: String,
    /// Of what it was given, what its account has.
    pub permissions: Vec<Permission>,
    pub calls_per_minute: u32,
    /// It may ask what the tenant has registered, and nothing else.
    pub is_persisted_only: bool,
    pub created_by: UserId,
    /// That it is used is worth a note again.
    pub is_use_old: bool,
    pub tenant: TenantId,
    pub tenant_slug: String,
    pub tenant_name: String,
    pub account: Option<LiveAccount>,
}

/// Whom a key acts as.
#[derive(Debug, Clone)]
pub struct LiveAccount {
    pub id: ServiceAccountId,
    pub name: String,
    /// Of all its keys together.
    pub calls_per_minute: u32,
}

/// Of a key `k` beside its account `a`.
const COLUMNS: &str = "k.id, k.name, k.prefix, k.permissions AS given, permissions_within(k.permissions, a.permissions) AS permissions, k.calls_per_minute,
    k.persisted_only, k.created_by, k.created_at, k.expires_at, k.last_used_at, k.revoked_at, k.replaces";
const ACCOUNT: &str = "LEFT JOIN service_accounts a ON a.tenant_id = k.tenant_id AND a.id = k.service_account_id";

fn key(row: &PgRow) -> Result<ApiKey, StoreError> {
    Ok(ApiKey {
        id: ApiKeyId(row.try_get("id")?),
        name: row.try_get("name")?,
        prefix: row.try_get("prefix")?,
        permissions: permissions(row, "permissions")?,
        given: permissions(row, "given")?,
        calls_per_minute: row.try_get("calls_per_minute")?,
        is_persisted_only: row.try_get("persisted_only")?,
        created_by: UserId(row.try_get("created_by")?),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        last_used_at: row.try_get("last_used_at")?,
        revoked_at: row.try_get("revoked_at")?,
        replaces: row.try_get::<Option<uuid::Uuid>, _>("replaces")?.map(ApiKeyId),
        account: service_account::account(row)?,
    })
}

/// A word that this version does not know gives nothing.
pub(super) fn permissions(row: &PgRow, column: &str) -> Result<Vec<Permission>, StoreError> {
    let words: Vec<String> = row.try_get(column)?;
    Ok(words.iter().filter_map(|word| Permission::parse(word)).filter(|permission| permission.is_for_api_keys()).collect())
}

/// As they are stored.
pub(super) fn words(permissions: &[Permission]) -> Vec<&'static str> {
    permissions.iter().map(|permission| permission.as_str()).collect()
}

fn calls(row: &PgRow, column: &str) -> Result<u32, StoreError> {
    Ok(u32::try_from(row.try_get::<i32, _>(column)?).unwrap_or(1))
}

impl TenantStore<'_> {
    /// The tenant's keys, the newest first, those that are over too; at most 500.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "SELECT {COLUMNS}, {} FROM api_keys k {ACCOUNT} WHERE k.tenant_id = $1 ORDER BY k.id DESC LIMIT 500",
            service_account::COLUMNS
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().map(key).collect()
    }

    /// A new key.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn api_key_create(
        &self,
        new: &NewApiKey<'_>,
        text: &KeyText<'_>,
    ) -> Result<Result<ApiKey, KeyRefusal>, StoreError> {
        let mut tx = self.begin().await?;
        if let Some(id) = new.account {
            // It is neither narrowed nor ended until the key is there.
            let Some(account) = self.service_account_lock(&mut tx, id, "SHARE").await? else {
                return Ok(Err(KeyRefusal::NoAccount));
            };
            let beyond = new.permissions.iter().copied().filter(|permission| !account.permissions.contains(permission));
            let beyond: Vec<Permission> = beyond.collect();
            if !beyond.is_empty() {
                return Ok(Err(KeyRefusal::Beyond(account.name, beyond)));
            }
        }
        let Some(made) = self.api_key_insert(&mut tx, new, text, None).await? else { return Ok(Err(KeyRefusal::TooMany)) };
        let mut detail = serde_json::json!({"name": made.name, "prefix": made.prefix, "permissions": made.permissions, "persisted_only": made.is_persisted_only});
        if let Some(account) = &made.account {
            detail["service_account"] = serde_json::json!(account.id);
        }
        let detail = detail.to_string();
        audit_each(&mut tx, self.scope(), Action::ApiKeyCreated, "api_key", &[made.id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Ok(made))
    }

    /// Another text for a key: a new key of the same account that may what the old one may, for as long as that was made for. The old one is good for so many
    /// hours more. `None` where it is over or was never there.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn api_key_rotate(
        &self,
        id: ApiKeyId,
        by: UserId,
        overlap_hours: i32,
        text: &KeyText<'_>,
    ) -> Result<Option<ApiKey>, StoreError> {
        let mut tx = self.begin().await?;
        // The account before the key, as whoever ends the account has them: so neither waits for the other.
        let hold = "SELECT FROM service_accounts a JOIN api_keys k ON k.tenant_id = a.tenant_id AND k.service_account_id = a.id WHERE k.id = $1 FOR SHARE OF a";
        sqlx::query(hold).bind(id.0).execute(&mut *tx).await?;
        let sql = format!(
            "SELECT {COLUMNS}, {} FROM api_keys k {ACCOUNT} WHERE k.id = $1 AND k.revoked_at IS NULL AND k.expires_at > now() FOR UPDATE OF k",
            service_account::COLUMNS
        );
        let Some(row) = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.0).fetch_optional(&mut *tx).await? else { return Ok(None) };
        let old = key(&row)?;
        let new = NewApiKey {
            name: &old.name,
            permissions: &old.given,
            calls_per_minute: old.calls_per_minute,
            is_persisted_only: old.is_persisted_only,
            created_by: by,
            expires_at: Utc::now() + (old.expires_at - old.created_at),
            account: old.account.as_ref().map(|account| account.id),
        };
        let Some(made) = self.api_key_insert(&mut tx, &new, text, Some(id)).await? else { return Ok(None) };
        let ends =
            sqlx::query("UPDATE api_keys SET expires_at = least(expires_at, now() + make_interval(hours => $2)) WHERE id = $1");
        ends.bind(id.0).bind(overlap_hours).execute(&mut *tx).await?;
        let detail = serde_json::json!({"name": old.name, "by": made.id, "overlap_hours": overlap_hours}).to_string();
        audit_each(&mut tx, self.scope(), Action::ApiKeyRotated, "api_key", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Some(made))
    }

    async fn api_key_insert(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        new: &NewApiKey<'_>,
        text: &KeyText<'_>,
        replaces: Option<ApiKeyId>,
    ) -> Result<Option<ApiKey>, StoreError> {
        // A rotation takes the place of the key that it replaces.
        let sql = format!(
            "WITH k AS (
                 INSERT INTO api_keys (id, tenant_id, name, prefix, key_hash, permissions, calls_per_minute, created_by, expires_at, replaces, persisted_only,
                     service_account_id)
                 SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $12, $13
                 WHERE (SELECT count(*) FROM api_keys WHERE tenant_id = $2 AND revoked_at IS NULL AND expires_at > now() AND id IS DISTINCT FROM $10) < $11
                 RETURNING id, tenant_id, name, prefix, permissions, calls_per_minute, persisted_only, created_by, created_at, expires_at, last_used_at, revoked_at,
                     replaces, service_account_id)
             SELECT {COLUMNS}, {} FROM k {ACCOUNT}",
            service_account::COLUMNS
        );
        let made = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(ApiKeyId::generate().0)
            .bind(self.scope().tenant.0)
            .bind(new.name)
            .bind(text.prefix)
            .bind(text.hash)
            .bind(words(new.permissions))
            .bind(new.calls_per_minute)
            .bind(new.created_by.0)
            .bind(new.expires_at)
            .bind(replaces.map(|key| key.0))
            .bind(API_KEYS_MAX)
            .bind(new.is_persisted_only)
            .bind(new.account.map(|account| account.0))
            .fetch_optional(&mut **tx)
            .await?;
        made.as_ref().map(key).transpose()
    }

    /// Ends a key at once; false where it is over or was never there.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn api_key_revoke(&self, id: ApiKeyId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let revoke =
            "UPDATE api_keys SET revoked_at = now() WHERE id = $1 AND revoked_at IS NULL AND expires_at > now() RETURNING name";
        let Some(name) = sqlx::query_scalar::<_, String>(revoke).bind(id.0).fetch_optional(&mut *tx).await? else {
            return Ok(false);
        };
        let detail = serde_json::json!({"name": name}).to_string();
        audit_each(&mut tx, self.scope(), Action::ApiKeyRevoked, "api_key", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

impl Store {
    /// The key of a prefix, if it can be used; whether the rest of its text fits is for the caller to see.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn api_key_find(&self, prefix: &str) -> Result<Option<LiveKey>, StoreError> {
        let Some(row) = sqlx::query("SELECT * FROM api_key_live($1)").bind(prefix).fetch_optional(self.pool()).await? else {
            return Ok(None);
        };
        let account = row.try_get::<Option<uuid::Uuid>, _>("account_id")?.map(ServiceAccountId);
        let account = account.map(|id| {
            Ok::<_, StoreError>(LiveAccount {
                id,
                name: row.try_get("account_name")?,
                calls_per_minute: calls(&row, "account_calls_per_minute")?,
            })
        });
        Ok(Some(LiveKey {
            id: ApiKeyId(row.try_get("id")?),
            hash: row.try_get("key_hash")?,
            name: row.try_get("name")?,
            permissions: permissions(&row, "permissions")?,
            calls_per_minute: calls(&row, "calls_per_minute")?,
            is_persisted_only: row.try_get("persisted_only")?,
            created_by: UserId(row.try_get("created_by")?),
            is_use_old: row.try_get("is_use_old")?,
            tenant: TenantId(row.try_get("tenant_id")?),
            tenant_slug: row.try_get("tenant_slug")?,
            tenant_name: row.try_get("tenant_name")?,
            account: account.transpose()?,
        }))
    }

    /// Notes that a key is used; once in five minutes at most.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn api_key_used(&self, id: ApiKeyId) -> Result<(), StoreError> {
        sqlx::query("SELECT api_key_used($1)").bind(id.0).execute(self.pool()).await?;
        Ok(())
    }
}
