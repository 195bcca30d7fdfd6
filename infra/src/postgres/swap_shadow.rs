//! What a shadow run reads and keeps: the deliveries that were planned since, page by page, and how far it came.

use domain::id::{DeliveryId, SwapId, TenantId};
use domain::swap::Parity;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::revision::RevisionRow;
use super::swap::Swap;
use super::{Store, StoreError, TenantStore};

/// A delivery's id is older than its commit: the shadow looks at those only that are older than this, so that none appears behind it.
const SETTLE_S: f64 = 3.0;

/// A planned delivery with its revision, whatever became of it.
pub type Shadowed = (DeliveryId, RevisionRow);

/// A page, and how far the shadow has seen with it.
#[derive(Debug)]
pub struct ShadowPage {
    pub rows: Vec<Shadowed>,
    pub seen: Uuid,
    pub is_full: bool,
}

impl Store {
    /// Shadows of any tenant whose next look is due, leased for so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swaps_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<(TenantId, SwapId)>, StoreError> {
        self.take("SELECT tenant_id, id FROM swaps_take($1, make_interval(secs => $2))", count_max, lease_s).await
    }
}

impl TenantStore<'_> {
    /// The flow's deliveries behind the cursor, in the order of their ids. Leans on deliveries_list.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_page(&self, swap: &Swap, first: i64) -> Result<ShadowPage, StoreError> {
        let mut tx = self.begin().await?;
        let cursor = swap.cursor.unwrap_or_default();
        let until = sqlx::query_scalar("SELECT greatest($2::uuid, uuid7_floor(now() - make_interval(secs => $1)))");
        let until: Uuid = until.bind(SETTLE_S).bind(cursor).fetch_one(&mut *tx).await?;
        let rows = sqlx::query(
            "SELECT d.id, d.record_id, d.revision, d.origin_at, r.source_id, r.number, v.document, v.unbalanced
             FROM deliveries d JOIN records r ON r.id = d.record_id
             JOIN record_revisions v ON v.tenant_id = d.tenant_id AND v.id = d.revision_id
             WHERE d.tenant_id = $1 AND d.id > $2 AND d.id < $3 AND d.flow_id = $4 AND d.connection_id = $5
               AND d.undoes IS NULL AND NOT is_tombstone(v.document) ORDER BY d.id LIMIT $6",
        )
        .bind(self.scope().tenant.0)
        .bind(cursor)
        .bind(until)
        .bind(swap.flow.0)
        .bind(swap.before.0)
        .bind(first)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let shadowed =
            |row: PgRow| -> Result<Shadowed, StoreError> { Ok((DeliveryId(row.try_get("id")?), RevisionRow::read(&row)?)) };
        let page = rows.into_iter().map(shadowed).collect::<Result<Vec<_>, _>>()?;
        let is_full = i64::try_from(page.len()).is_ok_and(|count| count >= first);
        let seen = page.last().filter(|_| is_full).map_or(until, |(last, _)| last.0);
        Ok(ShadowPage { rows: page, seen, is_full })
    }

    /// Keeps what a page added; false where somebody else did, or the swap went on: then it is not added. The next look comes after `wait_s`.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_seen(&self, swap: &Swap, seen: Uuid, report: &Parity, wait_s: f64) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let kept = sqlx::query(
            "UPDATE swaps SET cursor_id = $3, report = $4, failure = NULL, lease_until = now() + make_interval(secs => $5)
             WHERE id = $1 AND state = 'shadow' AND cursor_id IS NOT DISTINCT FROM $2 AND mapping = $6",
        )
        .bind(swap.id.0)
        .bind(swap.cursor)
        .bind(seen)
        .bind(serde_json::to_value(report).expect("a report is plain data"))
        .bind(wait_s)
        .bind(serde_json::to_value(&swap.mapping).expect("rules are plain data"))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(kept.rows_affected() == 1)
    }

    /// Says why the shadow cannot go on by these rules, or by any where it cannot even be read; it is tried again after `wait_s`.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn swap_failed(&self, id: SwapId, by: Option<&Swap>, why: &str, wait_s: f64) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let failed = sqlx::query(
            "UPDATE swaps SET failure = $2, lease_until = now() + make_interval(secs => $3) WHERE id = $1 AND state = 'shadow' AND mapping = coalesce($4, mapping)",
        );
        let mapping = by.map(|swap| serde_json::to_value(&swap.mapping).expect("rules are plain data"));
        failed.bind(id.0).bind(why).bind(wait_s).bind(mapping).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}
