//! The tenants' data keys while the master key is replaced: which master key has wrapped what, and the wrapping anew. What a data key has sealed is
//! not touched, and whoever reads meanwhile knows both master keys.

use domain::audit::Action;
use domain::id::TenantId;
use domain::scope::{Actor, Request, Scope};
use sqlx::Row;
use uuid::Uuid;

use super::receive::audit;
use super::{Store, StoreError, enter};
use crate::vault::Vault;

/// Data keys of one transaction.
const PAGE: usize = 100;

/// How far a rotation came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rotation {
    /// Data keys that were wrapped anew.
    pub rewrapped: usize,
    after: (Uuid, i32),
}

/// What one master key has wrapped or sealed itself.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct MasterKeyUse {
    pub master_key_id: String,
    pub data_keys: i64,
    pub second_factors: i64,
    /// Mails that wait.
    pub mails: i64,
}

impl Store {
    /// Which master keys are in use, and for how much.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn master_keys(&self) -> Result<Vec<MasterKeyUse>, StoreError> {
        let query = sqlx::query_as("SELECT master_key_id, data_keys, second_factors, mails FROM master_keys()");
        Ok(query.fetch_all(self.pool()).await?)
    }

    /// Wraps the next data keys anew, in one transaction, and tells each tenant's audit log. `None` at the end. A process that dies in between
    /// has done its pages whole; the next one begins with what is left.
    ///
    /// # Errors
    /// Where the database does not answer, or a key was wrapped by a master key that is not known.
    pub async fn data_keys_rewrap(&self, vault: &Vault, rotation: Rotation) -> Result<Option<Rotation>, StoreError> {
        let mut tx = self.pool().begin().await?;
        let query = sqlx::query("SELECT tenant_id, version, master_key_id, wrapped FROM data_keys_of_others($1, $2, $3, $4)");
        let query = query.bind(vault.master_key_id()).bind(rotation.after.0).bind(rotation.after.1);
        let rows = query.bind(i32::try_from(PAGE).unwrap_or(i32::MAX)).fetch_all(&mut *tx).await?;
        let (mut tenants, mut versions, mut olds, mut news) = (vec![], vec![], vec![], vec![]);
        for row in &rows {
            let (tenant, version): (Uuid, i32) = (row.try_get("tenant_id")?, row.try_get("version")?);
            let old: Vec<u8> = row.try_get("wrapped")?;
            news.push(vault.rewrap(TenantId(tenant), version, row.try_get("master_key_id")?, &old)?);
            tenants.push(tenant);
            versions.push(version);
            olds.push(old);
        }
        let (Some(tenant), Some(version)) = (tenants.last().copied(), versions.last().copied()) else { return Ok(None) };
        let query = sqlx::query_scalar("SELECT data_keys_rewrap($1, $2, $3, $4, $5)").bind(vault.master_key_id());
        let done: Vec<Uuid> = query.bind(tenants).bind(versions).bind(olds).bind(news).fetch_all(&mut *tx).await?;
        for tenant in &done {
            let scope = Scope { tenant: TenantId(*tenant), actor: Actor::Operator, request: Request::own() };
            enter(&mut tx, scope.tenant).await?;
            audit(&mut tx, &scope, Action::DataKeyRewrapped, "tenant", &[*tenant]).await?;
        }
        tx.commit().await?;
        Ok(Some(Rotation { rewrapped: rotation.rewrapped + done.len(), after: (tenant, version) }))
    }
}
