//! Operations of GraphQL that a tenant has registered for its partners' programs, by the hash of their text.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::UserId;
use domain::merkle::{Hash, hex};
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::receive::audit_each;
use super::{StoreError, TenantStore};

/// Operations of a tenant.
pub const PERSISTED_OPERATIONS_MAX: i64 = 200;
pub const DOCUMENT_BYTES_MAX: usize = 32 * 1024;

/// An operation that is registered. Its text never changes: another text has another hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PersistedOperation {
    /// SHA-256 of the document, byte for byte.
    pub hash: Hash,
    pub name: String,
    pub document: String,
    pub created_by: UserId,
    pub created_at: DateTime<Utc>,
}

/// What is to be registered.
#[derive(Debug)]
pub struct NewPersistedOperation<'a> {
    pub hash: Hash,
    pub name: &'a str,
    pub document: &'a str,
    pub created_by: UserId,
}

const COLUMNS: &str = "hash, name, document, created_by, created_at";

fn operation(row: &PgRow) -> Result<PersistedOperation, StoreError> {
    let hash: Vec<u8> = row.try_get("hash")?;
    Ok(PersistedOperation {
        // The schema takes no other length.
        hash: hash.try_into().unwrap_or_default(),
        name: row.try_get("name")?,
        document: row.try_get("document")?,
        created_by: UserId(row.try_get("created_by")?),
        created_at: row.try_get("created_at")?,
    })
}

impl TenantStore<'_> {
    /// All of them, the newest first.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn persisted_operations(&self) -> Result<Vec<PersistedOperation>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "SELECT {COLUMNS} FROM persisted_operations WHERE tenant_id = $1 ORDER BY created_at DESC, hash LIMIT {PERSISTED_OPERATIONS_MAX}"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().map(operation).collect()
    }

    /// The text of one; `None` where it is not registered in this tenant.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn persisted_document(&self, hash: &Hash) -> Result<Option<String>, StoreError> {
        let mut tx = self.begin().await?;
        let find = "SELECT document FROM persisted_operations WHERE tenant_id = $1 AND hash = $2";
        let document =
            sqlx::query_scalar(find).bind(self.scope().tenant.0).bind(hash.as_slice()).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(document)
    }

    /// Registers one, or gives it another name where it is registered already; `None` where the tenant has too many.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn persisted_operation_register(
        &self,
        new: &NewPersistedOperation<'_>,
    ) -> Result<Option<PersistedOperation>, StoreError> {
        let mut tx = self.begin().await?;
        // One at a time within a tenant, so that the count holds.
        sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('persisted_operations' || $1::text, 0))")
            .bind(self.scope().tenant.0)
            .execute(&mut *tx)
            .await?;
        sqlx::query("DELETE FROM persisted_operations WHERE tenant_id = $1 AND hash = $2")
            .bind(self.scope().tenant.0)
            .bind(new.hash.as_slice())
            .execute(&mut *tx)
            .await?;
        let sql = format!(
            "INSERT INTO persisted_operations (tenant_id, hash, name, document, created_by)
             SELECT $1, $2, $3, $4, $5 WHERE (SELECT count(*) FROM persisted_operations WHERE tenant_id = $1) < $6
             RETURNING {COLUMNS}"
        );
        let made = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(self.scope().tenant.0)
            .bind(new.hash.as_slice())
            .bind(new.name)
            .bind(new.document)
            .bind(new.created_by.0)
            .bind(PERSISTED_OPERATIONS_MAX)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(made) = made.as_ref().map(operation).transpose()? else { return Ok(None) };
        let detail = serde_json::json!({"name": made.name, "sha256": hex(&made.hash)}).to_string();
        self.tell_operation(&mut tx, Action::PersistedOperationRegistered, &detail).await?;
        tx.commit().await?;
        Ok(Some(made))
    }

    /// Takes one away, so that no key runs it from the next request on by its hash alone; false where it was never there.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn persisted_operation_remove(&self, hash: &Hash) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let remove = "DELETE FROM persisted_operations WHERE tenant_id = $1 AND hash = $2 RETURNING name";
        let removed = sqlx::query_scalar::<_, String>(remove).bind(self.scope().tenant.0).bind(hash.as_slice());
        let Some(name) = removed.fetch_optional(&mut *tx).await? else { return Ok(false) };
        let detail = serde_json::json!({"name": name, "sha256": hex(hash)}).to_string();
        self.tell_operation(&mut tx, Action::PersistedOperationRemoved, &detail).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn tell_operation(
        &self,
        tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
        action: Action,
        detail: &str,
    ) -> Result<(), StoreError> {
        // They have no id but their hash, which the detail tells: the tenant is what it is about.
        audit_each(tx, self.scope(), action, "tenant", &[self.scope().tenant.0], &[Some(detail)]).await
    }
}
