//! People and their tenants. What is not one tenant's goes through named functions.

use domain::audit::Action;
use domain::id::{TenantId, UserId};
use domain::scope::{Role, Scope};

use super::receive::audit;
use super::{Store, StoreError, enter};

/// A person's place in a tenant.
#[derive(Debug, Clone)]
pub struct Membership {
    pub tenant: TenantId,
    pub slug: String,
    pub name: String,
    pub role: Role,
    /// The tenant demands a second factor, the person has none, and a password opened the session: nothing of the tenant is theirs until they have one.
    pub lacks_second_factor: bool,
}

impl Store {
    /// A new person; `None` where the address is taken.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn user_create(&self, email: &str, name: &str, password_hash: &str) -> Result<Option<UserId>, StoreError> {
        let query = sqlx::query_scalar::<_, Option<uuid::Uuid>>("SELECT user_create($1, $2, $3, $4)");
        let id = query.bind(UserId::generate().0).bind(email).bind(name).bind(password_hash).fetch_one(self.pool()).await?;
        Ok(id.map(UserId))
    }

    /// A new tenant with its first owner; `None` where the slug is taken.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn tenant_create(
        &self,
        scope: &Scope,
        owner: UserId,
        slug: &str,
        name: &str,
    ) -> Result<Option<TenantId>, StoreError> {
        let mut tx = self.pool().begin().await?;
        enter(&mut tx, scope.tenant).await?;
        let made = sqlx::query("INSERT INTO tenants (id, slug, name) VALUES ($1, $2, $3) ON CONFLICT (slug) DO NOTHING");
        if made.bind(scope.tenant.0).bind(slug).bind(name).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(None);
        }
        let member = sqlx::query("INSERT INTO members (tenant_id, user_id, role) VALUES ($1, $2, 'owner')");
        member.bind(scope.tenant.0).bind(owner.0).execute(&mut *tx).await?;
        audit(&mut tx, scope, Action::TenantCreated, "tenant", &[scope.tenant.0]).await?;
        tx.commit().await?;
        Ok(Some(scope.tenant))
    }
}
