//! Service accounts: a program of a partner or of the tenant's own, that stays who it is when its keys are exchanged. Its keys may no more than it may, and end
//! with it.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ServiceAccountId, UserId};
use domain::permission::Permission;
use serde_json::{Map, Value, json};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::alert::Set;
use super::api_key::{permissions, words};
use super::configure::is_taken;
use super::receive::{audit_each, audit_told};
use super::{StoreError, TenantStore};

/// Accounts of a tenant that have not ended.
pub const SERVICE_ACCOUNTS_MAX: i64 = 50;
/// What its audit events are about.
const KIND: &str = "service_account";

/// An account, as the tenant sees it.
#[derive(Debug, Clone)]
pub struct ServiceAccount {
    pub id: ServiceAccountId,
    pub name: String,
    pub purpose: String,
    /// What its keys may at most.
    pub permissions: Vec<Permission>,
    /// Of all its keys together.
    pub calls_per_minute: i32,
    pub created_by: UserId,
    pub created_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// What a new account is to be.
#[derive(Debug)]
pub struct NewServiceAccount<'a> {
    pub name: &'a str,
    pub purpose: &'a str,
    pub permissions: &'a [Permission],
    pub calls_per_minute: i32,
    pub created_by: UserId,
}

/// What is to be other with an account; the rest stays.
#[derive(Debug)]
pub struct ServiceAccountChange<'a> {
    pub name: Option<&'a str>,
    pub purpose: Option<&'a str>,
    pub permissions: Option<&'a [Permission]>,
    pub calls_per_minute: Option<i32>,
}

/// Of an account `a`, by names that stand beside a key's.
pub(super) const COLUMNS: &str = "a.id AS account_id, a.name AS account_name, a.purpose AS account_purpose, a.permissions AS account_permissions,
    a.calls_per_minute AS account_calls_per_minute, a.created_by AS account_created_by, a.created_at AS account_created_at, a.ended_at AS account_ended_at";

/// The account of a row; `None` beside a key that acts as none.
pub(super) fn account(row: &PgRow) -> Result<Option<ServiceAccount>, StoreError> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("account_id")? else { return Ok(None) };
    Ok(Some(ServiceAccount {
        id: ServiceAccountId(id),
        name: row.try_get("account_name")?,
        purpose: row.try_get("account_purpose")?,
        permissions: permissions(row, "account_permissions")?,
        calls_per_minute: row.try_get("account_calls_per_minute")?,
        created_by: UserId(row.try_get("account_created_by")?),
        created_at: row.try_get("account_created_at")?,
        ended_at: row.try_get("account_ended_at")?,
    }))
}

/// What people say of an account, as the audit log tells it.
fn said(account: &ServiceAccount) -> [(&'static str, Value); 4] {
    [
        ("name", json!(account.name)),
        ("purpose", json!(account.purpose)),
        ("permissions", json!(account.permissions)),
        ("calls_per_minute", json!(account.calls_per_minute)),
    ]
}

impl TenantStore<'_> {
    /// The tenant's accounts: those that have not ended, then those that have, the newest first; at most 200.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn service_accounts(&self) -> Result<Vec<ServiceAccount>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM service_accounts a WHERE a.tenant_id = $1 ORDER BY a.ended_at IS NOT NULL, a.id DESC LIMIT 200"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().filter_map(|row| account(row).transpose()).collect()
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn service_account_create(&self, new: &NewServiceAccount<'_>) -> Result<Set<ServiceAccount>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "INSERT INTO service_accounts AS a (tenant_id, id, name, purpose, permissions, calls_per_minute, created_by)
             SELECT $1, $2, $3, $4, $5, $6, $7
             WHERE (SELECT count(*) FROM service_accounts WHERE tenant_id = $1 AND ended_at IS NULL) < $8
             RETURNING {COLUMNS}"
        );
        let made = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(self.scope().tenant.0)
            .bind(ServiceAccountId::generate().0)
            .bind(new.name)
            .bind(new.purpose)
            .bind(words(new.permissions))
            .bind(new.calls_per_minute)
            .bind(new.created_by.0)
            .bind(SERVICE_ACCOUNTS_MAX)
            .fetch_optional(&mut *tx)
            .await;
        let made = match made {
            Err(error) if is_taken(&error) => return Ok(Set::Taken),
            made => made?,
        };
        let Some(made) = made.as_ref().map(account).transpose()?.flatten() else { return Ok(Set::TooMany) };
        let detail = Map::from_iter(said(&made).map(|(field, value)| (field.to_owned(), value)));
        let detail = Value::Object(detail).to_string();
        audit_each(&mut tx, self.scope(), Action::ServiceAccountCreated, KIND, &[made.id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Set::Done(made))
    }

    /// Changes what is said; its keys are narrowed or widened with it from their next request on.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn service_account_change(
        &self,
        id: ServiceAccountId,
        change: &ServiceAccountChange<'_>,
    ) -> Result<Set<ServiceAccount>, StoreError> {
        let mut tx = self.begin().await?;
        let Some(was) = self.service_account_lock(&mut tx, id, "NO KEY UPDATE").await? else { return Ok(Set::NotFound) };
        let is = ServiceAccount {
            name: change.name.unwrap_or(&was.name).to_owned(),
            purpose: change.purpose.unwrap_or(&was.purpose).to_owned(),
            permissions: change.permissions.unwrap_or(was.permissions.as_slice()).to_vec(),
            calls_per_minute: change.calls_per_minute.unwrap_or(was.calls_per_minute),
            ..was.clone()
        };
        let pairs = said(&was).into_iter().zip(said(&is)).filter(|((_, was), (_, is))| was != is);
        let changed: Map<String, Value> =
            pairs.map(|((field, was), (_, is))| (field.to_owned(), json!({"was": was, "is": is}))).collect();
        if changed.is_empty() {
            return Ok(Set::Done(is));
        }
        let set = "UPDATE service_accounts SET name = $3, purpose = $4, permissions = $5, calls_per_minute = $6 WHERE tenant_id = $1 AND id = $2";
        let set = sqlx::query(set).bind(self.scope().tenant.0).bind(id.0).bind(&is.name).bind(&is.purpose);
        match set.bind(words(&is.permissions)).bind(is.calls_per_minute).execute(&mut *tx).await {
            Err(error) if is_taken(&error) => return Ok(Set::Taken),
            set => set?,
        };
        let detail = json!({"name": is.name, "changed": changed}).to_string();
        audit_each(&mut tx, self.scope(), Action::ServiceAccountChanged, KIND, &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Set::Done(is))
    }

    /// Ends an account and revokes all its keys, at once; `None` where it has ended or was never there.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn service_account_end(&self, id: ServiceAccountId, why: &str) -> Result<Option<ServiceAccount>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let end = format!(
            "UPDATE service_accounts a SET ended_at = now() WHERE a.tenant_id = $1 AND a.id = $2 AND a.ended_at IS NULL RETURNING {COLUMNS}"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(end)).bind(tenant).bind(id.0).fetch_optional(&mut *tx).await?;
        let Some(ended) = row.as_ref().map(account).transpose()?.flatten() else { return Ok(None) };
        // Whoever makes a key of it holds the account meanwhile: the key is there by now, or is not made.
        let revoke = "UPDATE api_keys SET revoked_at = now()
             WHERE tenant_id = $1 AND service_account_id = $2 AND revoked_at IS NULL AND expires_at > now() RETURNING id, name";
        let keys: Vec<(Uuid, String)> = sqlx::query_as(revoke).bind(tenant).bind(id.0).fetch_all(&mut *tx).await?;
        let detail = json!({"name": ended.name, "why": why, "keys": keys.len()}).to_string();
        audit_each(&mut tx, self.scope(), Action::ServiceAccountEnded, KIND, &[id.0], &[Some(&detail)]).await?;
        let details: Vec<String> =
            keys.iter().map(|(_, name)| json!({"name": name, "service_account": id}).to_string()).collect();
        let ids: Vec<Uuid> = keys.iter().map(|(id, _)| *id).collect();
        audit_told(&mut tx, self.scope(), Action::ApiKeyRevoked, "api_key", &ids, &details).await?;
        tx.commit().await?;
        Ok(Some(ended))
    }

    /// An account that has not ended, as it stays until this transaction is over.
    pub(super) async fn service_account_lock(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        id: ServiceAccountId,
        lock: &'static str,
    ) -> Result<Option<ServiceAccount>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM service_accounts a WHERE a.tenant_id = $1 AND a.id = $2 AND a.ended_at IS NULL FOR {lock}"
        );
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).bind(id.0);
        let row = query.fetch_optional(&mut **tx).await?;
        Ok(row.as_ref().map(account).transpose()?.flatten())
    }
}
