//! People, their sessions and their tenants. All of it goes through named functions, because none of it belongs to one tenant.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{SessionId, TenantId, UserId};
use domain::scope::{Role, Scope};
use sqlx::Row;

use super::receive::audit;
use super::{Store, StoreError, TenantStore, enter};

/// Who signs in, as far as the check of the password needs to know.
#[derive(Debug)]
pub struct UserSecret {
    pub id: UserId,
    pub password_hash: String,
    pub locked_until: Option<DateTime<Utc>>,
}

/// A person's place in a tenant.
#[derive(Debug, Clone)]
pub struct Membership {
    pub tenant: TenantId,
    pub slug: String,
    pub name: String,
    pub role: Role,
}

/// A person who belongs to a tenant, as the others of it see them.
#[derive(Debug, Clone)]
pub struct Member {
    pub user: UserId,
    pub name: String,
    pub email: String,
    pub role: Role,
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
}

impl Store {
    /// # Errors
    /// Where the database does not answer.
    pub async fn user_find(&self, email: &str) -> Result<Option<UserSecret>, StoreError> {
        let row = sqlx::query("SELECT id, password_hash, locked_until FROM user_find($1)")
            .bind(email)
            .fetch_optional(self.pool())
            .await?;
        row.map(|row| {
            Ok(UserSecret {
                id: UserId(row.try_get("id")?),
                password_hash: row.try_get("password_hash")?,
                locked_until: row.try_get("locked_until")?,
            })
        })
        .transpose()
    }

    /// A new person; `None` where the address is taken.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn user_create(&self, email: &str, name: &str, password_hash: &str) -> Result<Option<UserId>, StoreError> {
        let query = sqlx::query_scalar::<_, Option<uuid::Uuid>>("SELECT user_create($1, $2, $3, $4)");
        let id = query.bind(UserId::generate().0).bind(email).bind(name).bind(password_hash).fetch_one(self.pool()).await?;
        Ok(id.map(UserId))
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn sign_in_failed(&self, user: UserId) -> Result<(), StoreError> {
        sqlx::query("SELECT user_sign_in_failed($1)").bind(user.0).execute(self.pool()).await?;
        Ok(())
    }

    /// Opens a session and says so in the audit log of each of the person's tenants.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn session_open(
        &self,
        user: UserId,
        token_hash: &[u8],
        expires_at: DateTime<Utc>,
    ) -> Result<SessionId, StoreError> {
        let session = SessionId::generate();
        let mut tx = self.pool().begin().await?;
        let open = sqlx::query("SELECT session_open($1, $2, $3, $4)");
        open.bind(user.0).bind(session.0).bind(token_hash).bind(expires_at).execute(&mut *tx).await?;
        let rows = sqlx::query("SELECT tenant_id, role FROM session_memberships($1, $2)")
            .bind(session.0)
            .bind(user.0)
            .fetch_all(&mut *tx)
            .await?;
        for row in rows {
            let tenant = TenantId(row.try_get("tenant_id")?);
            enter(&mut tx, tenant).await?;
            let role = Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor);
            let scope = Scope { tenant, actor: domain::scope::Actor::Member { user, role }, request: session.0 };
            audit(&mut tx, &scope, Action::SignedIn, "session", &[session.0]).await?;
        }
        tx.commit().await?;
        Ok(session)
    }

    /// Trades a refresh token for the next; `None` where it is unknown, expired, revoked or was used before.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn session_refresh(
        &self,
        old: &[u8],
        new: &[u8],
        expires_at: DateTime<Utc>,
    ) -> Result<Option<(SessionId, UserId)>, StoreError> {
        let query = sqlx::query("SELECT session_id, user_id FROM session_refresh($1, $2, $3)");
        let row = query.bind(old).bind(new).bind(expires_at).fetch_optional(self.pool()).await?;
        row.map(|row| Ok((SessionId(row.try_get("session_id")?), UserId(row.try_get("user_id")?)))).transpose()
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn session_close(&self, session: SessionId, user: UserId) -> Result<(), StoreError> {
        sqlx::query("SELECT session_close($1, $2)").bind(session.0).bind(user.0).execute(self.pool()).await?;
        Ok(())
    }

    /// What a session is worth now: `None` where it was closed or revoked, else the person's memberships.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn memberships(&self, session: SessionId, user: UserId) -> Result<Option<Vec<Membership>>, StoreError> {
        let open: bool =
            sqlx::query_scalar("SELECT session_is_open($1, $2)").bind(session.0).bind(user.0).fetch_one(self.pool()).await?;
        if !open {
            return Ok(None);
        }
        let query = sqlx::query("SELECT tenant_id, slug, name, role FROM session_memberships($1, $2)");
        let rows = query.bind(session.0).bind(user.0).fetch_all(self.pool()).await?;
        let memberships = rows.into_iter().map(|row| {
            Ok(Membership {
                tenant: TenantId(row.try_get("tenant_id")?),
                slug: row.try_get("slug")?,
                name: row.try_get("name")?,
                role: Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor),
            })
        });
        memberships.collect::<Result<_, StoreError>>().map(Some)
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
