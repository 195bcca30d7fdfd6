//! What a tenant demands of its people when they sign in by password.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::UserId;
use sqlx::Row;
use uuid::Uuid;

use super::receive::audit_each;
use super::{StoreError, TenantStore};

/// What is demanded now.
#[derive(Debug, Clone, Default)]
pub struct SignInPolicy {
    /// Since when a second factor is; `None` where a password is enough.
    pub second_factor_demanded_at: Option<DateTime<Utc>>,
    /// Members who have none, and whom the tenant's provider has never signed in.
    pub without: Vec<UserId>,
}

/// What became of a change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyChange {
    Done,
    /// Whoever demands it has none, and would keep themselves out.
    OwnFactorMissing,
}

impl TenantStore<'_> {
    /// # Errors
    /// Where the database does not answer.
    pub async fn sign_in_policy(&self) -> Result<SignInPolicy, StoreError> {
        let mut tx = self.begin().await?;
        let query = sqlx::query("SELECT second_factor_demanded_at FROM sign_in_policies WHERE tenant_id = $1");
        let row = query.bind(self.scope().tenant.0).fetch_optional(&mut *tx).await?;
        let without: Vec<Uuid> = sqlx::query_scalar("SELECT members_without_second_factor()").fetch_all(&mut *tx).await?;
        tx.commit().await?;
        let second_factor_demanded_at = row.map(|row| row.try_get("second_factor_demanded_at")).transpose()?.flatten();
        Ok(SignInPolicy { second_factor_demanded_at, without: without.into_iter().map(UserId).collect() })
    }

    /// Demands a second factor, or lets it go; from each person's next request on. Whoever demands it has one themselves, unless the tenant's provider
    /// signed them in (`is_by_provider`).
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sign_in_policy_set(
        &self,
        is_demanded: bool,
        by: UserId,
        is_by_provider: bool,
    ) -> Result<PolicyChange, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        // One change of a tenant's sign-in at a time.
        sqlx::query("SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE").bind(tenant).execute(&mut *tx).await?;
        if is_demanded && !is_by_provider {
            let has_one = sqlx::query_scalar::<_, bool>("SELECT user_has_second_factor($1)").bind(by.0);
            if !has_one.fetch_one(&mut *tx).await? {
                return Ok(PolicyChange::OwnFactorMissing);
            }
        }
        let set = "INSERT INTO sign_in_policies AS p (tenant_id, second_factor_demanded_at, set_by) VALUES ($1, CASE WHEN $2 THEN now() END, $3)
             ON CONFLICT (tenant_id) DO UPDATE SET second_factor_demanded_at = CASE WHEN $2 THEN now() END, set_by = $3, set_at = now()
             WHERE (p.second_factor_demanded_at IS NOT NULL) <> $2";
        let set = sqlx::query(set).bind(tenant).bind(is_demanded).bind(by.0).execute(&mut *tx).await?;
        if set.rows_affected() > 0 {
            let detail = serde_json::json!({"second_factor": is_demanded}).to_string();
            audit_each(&mut tx, self.scope(), Action::SignInPolicySet, "sign_in_policy", &[tenant], &[Some(&detail)]).await?;
        }
        tx.commit().await?;
        Ok(PolicyChange::Done)
    }
}
