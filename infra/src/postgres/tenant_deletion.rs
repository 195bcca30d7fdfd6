//! The deletion of a tenant: asked for and taken back by its owners within a week, done by workers afterwards. All of it goes by named functions, because the
//! application's role may delete nothing of what is destroyed here.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{TenantId, UserId};
use serde_json::json;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::mail::{self, SealedMail};
use super::receive::audit_each;
use super::{Store, StoreError, TenantStore};
use crate::vault::VaultError;

/// Rows of one batch.
const ROWS_MAX: i32 = 5_000;
/// Blocks of one batch, of tables that no index leads into: 160 MiB.
const BLOCKS_MAX: i32 = 20_480;

/// That a tenant is to be deleted.
#[derive(Debug, Clone)]
pub struct TenantDeletion {
    pub asked_at: DateTime<Utc>,
    pub asked_by: UserId,
    pub why: String,
    pub deletes_at: DateTime<Utc>,
}

/// Why a tenant is not to be deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeletionRefusal {
    /// What was typed is not its slug.
    Slug,
    /// Whoever asks is no owner of it any more.
    Owner,
    /// A legal hold stands; what it says.
    Held(String),
    /// It is to be deleted already, at this time.
    Stands(DateTime<Utc>),
}

/// What a tenant's owners are told, and where.
#[derive(Debug)]
pub struct DeletionTold {
    pub tenant_name: String,
    pub addresses: Vec<String>,
    /// When it is deleted; `None` where that was taken back.
    pub deletes_at: Option<DateTime<Utc>>,
}

/// Writes what the owners are mailed, once it is known who they are.
pub type DeletionWriter<'a> = &'a (dyn Fn(&DeletionTold) -> Result<Vec<SealedMail>, VaultError> + Sync);

/// What a batch of the purge did.
#[derive(Debug, Clone, Copy)]
pub struct Purged {
    pub rows: i64,
    /// All tables were gone through.
    pub is_over: bool,
}

impl TenantStore<'_> {
    /// Whether and when the tenant is to be deleted.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn tenant_deletion(&self) -> Result<Option<TenantDeletion>, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query("SELECT asked_at, asked_by, why, deletes_at FROM tenant_deletions WHERE tenant_id = $1");
        let row = query.bind(self.scope().tenant.0).fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        row.map(|row| {
            Ok(TenantDeletion {
                asked_at: row.try_get("asked_at")?,
                asked_by: UserId(row.try_get("asked_by")?),
                why: row.try_get("why")?,
                deletes_at: row.try_get("deletes_at")?,
            })
        })
        .transpose()
    }

    /// Has the tenant deleted in a week, and tells its owners; when, or why not.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn tenant_delete(
        &self,
        by: UserId,
        slug: &str,
        why: &str,
        write: DeletionWriter<'_>,
    ) -> Result<Result<DateTime<Utc>, DeletionRefusal>, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query("SELECT refusal, detail, deletes_at FROM tenant_delete($1, $2, $3)");
        let row = query.bind(by.0).bind(slug).bind(why).fetch_one(&mut *tx).await?;
        match row.try_get::<Option<&str>, _>("refusal")? {
            None => {}
            Some("slug") => return Ok(Err(DeletionRefusal::Slug)),
            Some("hold") => return Ok(Err(DeletionRefusal::Held(row.try_get("detail")?))),
            Some("stands") => return Ok(Err(DeletionRefusal::Stands(row.try_get("deletes_at")?))),
            Some(_) => return Ok(Err(DeletionRefusal::Owner)),
        }
        let deletes_at: DateTime<Utc> = row.try_get("deletes_at")?;
        let detail = json!({"reason": why, "deletes_at": deletes_at}).to_string();
        let tenant = self.scope().tenant.0;
        audit_each(&mut tx, self.scope(), Action::TenantDeletionAsked, "tenant", &[tenant], &[Some(&detail)]).await?;
        tell(&mut tx, tenant, Some(deletes_at), write).await?;
        tx.commit().await?;
        Ok(Ok(deletes_at))
    }

    /// Keeps the tenant after all, and tells its owners; false where nobody had asked to delete it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn tenant_delete_cancel(&self, by: UserId, write: DeletionWriter<'_>) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let cancelled = sqlx::query_scalar("SELECT tenant_delete_cancel($1)").bind(by.0).fetch_one(&mut *tx).await?;
        if cancelled {
            let tenant = self.scope().tenant.0;
            audit_each(&mut tx, self.scope(), Action::TenantDeletionCancelled, "tenant", &[tenant], &[None]).await?;
            tell(&mut tx, tenant, None, write).await?;
        }
        tx.commit().await?;
        Ok(cancelled)
    }
}

/// Mails the owners. These mails are theirs and not the tenant's, so they outlast it.
async fn tell(
    tx: &mut Transaction<'static, Postgres>,
    tenant: Uuid,
    deletes_at: Option<DateTime<Utc>>,
    write: DeletionWriter<'_>,
) -> Result<(), StoreError> {
    let tenant_name = sqlx::query_scalar("SELECT name FROM tenants WHERE id = $1").bind(tenant).fetch_one(&mut **tx).await?;
    let owners = sqlx::query_scalar(
        "SELECT u.email FROM members m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = $1 AND m.role = 'owner' ORDER BY u.email LIMIT 100",
    );
    let addresses = owners.bind(tenant).fetch_all(&mut **tx).await?;
    mail::put(tx, None, &write(&DeletionTold { tenant_name, addresses, deletes_at })?).await
}

impl Store {
    /// Tenants that are due to be deleted, or of which something may be left, each for one worker and so long.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn tenant_deletions_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<TenantId>, StoreError> {
        let query = sqlx::query_scalar::<_, Uuid>("SELECT tenant_deletions_take($1, make_interval(secs => $2))");
        let tenants = query.bind(count_max).bind(lease_s).fetch_all(self.pool()).await?;
        Ok(tenants.into_iter().map(TenantId).collect())
    }

    /// Destroys a tenant's keys and shuts every door to it, in one transaction; false where that is done already, was taken back, or a legal hold stands.
    ///
    /// # Errors
    /// Where the database does not answer: then nothing was destroyed.
    pub async fn tenant_destroy(&self, tenant: TenantId) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT tenant_destroy($1)").bind(tenant.0).fetch_one(self.pool()).await?)
    }

    /// Purges the next batch of a tenant that was destroyed, and keeps it for this worker for so long again.
    ///
    /// # Errors
    /// Where the database does not answer: then the batch stands as it did.
    pub async fn tenant_purge(&self, tenant: TenantId, lease_s: f64) -> Result<Purged, StoreError> {
        let query = sqlx::query("SELECT removed, is_over FROM tenant_purge($1, $2, $3, make_interval(secs => $4))");
        let query = query.bind(tenant.0).bind(ROWS_MAX).bind(BLOCKS_MAX).bind(lease_s);
        let row = query.fetch_one(self.pool()).await?;
        Ok(Purged { rows: row.try_get("removed")?, is_over: row.try_get("is_over")? })
    }
}

/// False of a tenant that was deleted, whether or not something of it is left yet, and of one that never was.
pub(super) async fn stands(tx: &mut Transaction<'static, Postgres>, tenant: TenantId) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar("SELECT tenant_stands($1)").bind(tenant.0).fetch_one(&mut **tx).await?)
}
