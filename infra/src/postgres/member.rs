//! Members: the people of a tenant. There is always an owner.

use domain::audit::Action;
use domain::id::UserId;
use domain::scope::Role;
use sqlx::{Postgres, Row, Transaction};

use super::invitation::withdraw_of;
use super::receive::audit_each;
use super::{StoreError, TenantStore};

/// A person who belongs to a tenant, as the others of it see them.
#[derive(Debug, Clone)]
pub struct Member {
    pub user: UserId,
    pub name: String,
    pub email: String,
    pub role: Role,
}

/// What became of a change of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberChange {
    Done,
    NotFound,
    /// Somebody must stay an owner.
    LastOwner,
    /// Only an owner may make or unmake one.
    OwnersOnly,
}

impl TenantStore<'_> {
    /// The people of the tenant, by name; at most 500.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn members(&self) -> Result<Vec<Member>, StoreError> {
        const MEMBERS_MAX: i64 = 500;
        let mut tx = self.begin().await?;
        let rows = sqlx::query(
            "SELECT u.id, u.name, u.email, m.role FROM members m JOIN users u ON u.id = m.user_id
             WHERE m.tenant_id = $1 ORDER BY u.name, u.email LIMIT $2",
        )
        .bind(self.scope().tenant.0)
        .bind(MEMBERS_MAX)
        .fetch_all(&mut *tx)
        .await?;
        tx.commit().await?;
        let member = |row: sqlx::postgres::PgRow| -> Result<Member, sqlx::Error> {
            Ok(Member {
                user: UserId(row.try_get("id")?),
                name: row.try_get("name")?,
                email: row.try_get("email")?,
                role: Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor),
            })
        };
        Ok(rows.into_iter().map(member).collect::<Result<_, _>>()?)
    }

    /// Gives a member another role, and takes back what they have offered and may not give as that. `may_owners`: whoever asks may make and unmake owners.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn member_role_set(&self, user: UserId, role: Role, may_owners: bool) -> Result<MemberChange, StoreError> {
        let mut tx = self.begin().await?;
        let before = match self.member_may_change(&mut tx, user, Some(role), may_owners).await? {
            Ok(before) => before,
            Err(refusal) => return Ok(refusal),
        };
        if before != role {
            let set = sqlx::query("UPDATE members SET role = $3 WHERE tenant_id = $1 AND user_id = $2");
            set.bind(self.scope().tenant.0).bind(user.0).bind(role.as_str()).execute(&mut *tx).await?;
            let detail = serde_json::json!({"from": before, "to": role}).to_string();
            audit_each(&mut tx, self.scope(), Action::MemberRoleSet, "user", &[user.0], &[Some(&detail)]).await?;
            withdraw_of(&mut tx, self.scope(), &[user.0]).await?;
        }
        tx.commit().await?;
        Ok(MemberChange::Done)
    }

    /// Takes a member out of the tenant: their next request is a stranger's there. What they made stays, but for offers that nobody took: by one of those
    /// they could come back at another address.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn member_remove(&self, user: UserId, may_owners: bool) -> Result<MemberChange, StoreError> {
        let mut tx = self.begin().await?;
        let before = match self.member_may_change(&mut tx, user, None, may_owners).await? {
            Ok(before) => before,
            Err(refusal) => return Ok(refusal),
        };
        let remove = sqlx::query("DELETE FROM members WHERE tenant_id = $1 AND user_id = $2");
        remove.bind(self.scope().tenant.0).bind(user.0).execute(&mut *tx).await?;
        let detail = serde_json::json!({"role": before}).to_string();
        audit_each(&mut tx, self.scope(), Action::MemberRemoved, "user", &[user.0], &[Some(&detail)]).await?;
        withdraw_of(&mut tx, self.scope(), &[user.0]).await?;
        tx.commit().await?;
        Ok(MemberChange::Done)
    }

    /// The role of a member who may be given another one, or none; else why not.
    async fn member_may_change(
        &self,
        tx: &mut Transaction<'static, Postgres>,
        user: UserId,
        to: Option<Role>,
        may_owners: bool,
    ) -> Result<Result<Role, MemberChange>, StoreError> {
        let tenant = self.scope().tenant.0;
        // One change of a tenant's members at a time: of two owners who go at once, one stays.
        sqlx::query("SELECT FROM tenants WHERE id = $1 FOR NO KEY UPDATE").bind(tenant).execute(&mut **tx).await?;
        let query = sqlx::query(
            "SELECT role, (SELECT count(*) FROM members WHERE tenant_id = $1 AND role = 'owner') AS owners
             FROM members WHERE tenant_id = $1 AND user_id = $2",
        );
        let Some(row) = query.bind(tenant).bind(user.0).fetch_optional(&mut **tx).await? else {
            return Ok(Err(MemberChange::NotFound));
        };
        let (before, owners) = (Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor), row.try_get::<i64, _>("owners")?);
        Ok(match (before, to) {
            (Role::Owner, _) | (_, Some(Role::Owner)) if !may_owners => Err(MemberChange::OwnersOnly),
            (Role::Owner, to) if to != Some(Role::Owner) && owners <= 1 => Err(MemberChange::LastOwner),
            _ => Ok(before),
        })
    }
}
