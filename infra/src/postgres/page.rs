//! Keyset pagination, once. Ids sort by age, so a cursor is an id, and a page costs the same however deep it lies.

pub use sea_orm::Select;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{StoreError, TenantStore};

/// Rows of one page.
pub const PAGE_MAX: u64 = 100;

/// A table whose rows belong to a tenant and are listed by age.
pub trait Listed: EntityTrait {
    const ID: Self::Column;
    const TENANT: Self::Column;
}

/// Some rows, newest first, and whether there are more.
#[derive(Debug)]
pub struct Page<T> {
    pub rows: Vec<T>,
    pub has_next: bool,
}

impl TenantStore<'_> {
    /// Rows older than `after`, newest first, that pass the filter.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn page<E>(
        &self,
        filter: impl FnOnce(Select<E>) -> Select<E>,
        after: Option<Uuid>,
        first: u64,
    ) -> Result<Page<E::Model>, StoreError>
    where
        E: Listed,
        E::Model: Send + Sync,
    {
        let first = first.clamp(1, PAGE_MAX);
        let tx = self.begin_orm().await?;
        let mut select = filter(E::find()).filter(E::TENANT.eq(self.scope().tenant.0));
        if let Some(after) = after {
            select = select.filter(E::ID.lt(after));
        }
        // One row more tells whether there is a next page.
        let mut rows = select.order_by_desc(E::ID).limit(first + 1).all(&tx).await?;
        tx.commit().await?;
        let has_next = rows.len() as u64 > first;
        rows.truncate(usize::try_from(first).unwrap_or(usize::MAX));
        Ok(Page { rows, has_next })
    }

    /// One row by id; another tenant's is not found.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn find<E>(&self, id: Uuid) -> Result<Option<E::Model>, StoreError>
    where
        E: Listed,
        E::Model: Send + Sync,
    {
        let tx = self.begin_orm().await?;
        let row = E::find().filter(E::TENANT.eq(self.scope().tenant.0)).filter(E::ID.eq(id)).one(&tx).await?;
        tx.commit().await?;
        Ok(row)
    }

    /// The body of a message, as it came.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn message_body(&self, message: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        self.large("SELECT body FROM messages WHERE tenant_id = $1 AND id = $2", message).await
    }

    /// The payload of an attempt, as it was sent.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn attempt_request(&self, attempt: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        self.large("SELECT request FROM attempts WHERE tenant_id = $1 AND id = $2", attempt).await
    }

    /// The canonical document of a revision.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn revision_document(&self, revision: Uuid) -> Result<Option<String>, StoreError> {
        self.large("SELECT document FROM record_revisions WHERE tenant_id = $1 AND id = $2", revision).await
    }

    /// One large value of one row. Leans on the primary key, and on the time within the id for the partition.
    async fn large<T>(&self, sql: &'static str, id: Uuid) -> Result<Option<T>, StoreError>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        let mut tx = self.begin().await?;
        let value = sqlx::query_scalar(sql).bind(self.scope().tenant.0).bind(id).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(value)
    }
}
