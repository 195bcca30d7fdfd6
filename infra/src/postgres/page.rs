//! Keyset pagination, once. Ids sort by age, so a cursor is an id, and a page costs the same however deep it lies.

pub use sea_orm::Select;
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect};
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

    /// Rows by their ids, in no order: what a loader asks for.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn find_all<E>(&self, ids: &[Uuid]) -> Result<Vec<E::Model>, StoreError>
    where
        E: Listed,
        E::Model: Send + Sync,
    {
        let tx = self.begin_orm().await?;
        let rows =
            E::find().filter(E::TENANT.eq(self.scope().tenant.0)).filter(E::ID.is_in(ids.iter().copied())).all(&tx).await?;
        tx.commit().await?;
        Ok(rows)
    }

    /// How many rows pass the filter.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn count_rows<E>(&self, filter: impl FnOnce(Select<E>) -> Select<E>) -> Result<u64, StoreError>
    where
        E: Listed,
        E::Model: sea_orm::FromQueryResult + Send + Sync,
    {
        let tx = self.begin_orm().await?;
        let count = filter(E::find()).filter(E::TENANT.eq(self.scope().tenant.0)).count(&tx).await?;
        tx.commit().await?;
        Ok(count)
    }
}
