//! Sessions: one for each sign-in of a person. They belong to no tenant, so all of it goes through named functions; what becomes of one is told
//! in the audit log of each tenant that its person is a member of.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{SessionId, TenantId, UserId};
use domain::scope::{Actor, Request, Role, Scope};
use sqlx::{Postgres, Row, Transaction};
use tracing::info;
use uuid::Uuid;

use super::people::Membership;
use super::receive::audit_each;
use super::{Store, StoreError, enter};

/// Whence a session is opened or used.
#[derive(Debug, Clone, Copy)]
pub struct Whence<'a> {
    /// The request, as log and audit log know it.
    pub request: Request,
    /// What the program calls itself.
    pub device: &'a str,
    pub address: &'a str,
}

/// A session that can still be used, as its person sees it.
#[derive(Debug, Clone)]
pub struct OpenSession {
    pub id: SessionId,
    pub opened_at: DateTime<Utc>,
    /// When it was opened or last refreshed.
    pub last_used_at: DateTime<Utc>,
    pub device: String,
    pub address: Option<String>,
}

impl Store {
    /// Opens a session.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn session_open(
        &self,
        user: UserId,
        token_hash: &[u8],
        expires_at: DateTime<Utc>,
        whence: Whence<'_>,
    ) -> Result<SessionId, StoreError> {
        let session = SessionId::generate();
        let mut tx = self.pool().begin().await?;
        let open = sqlx::query("SELECT session_open($1, $2, $3, $4, $5, $6)").bind(user.0).bind(session.0);
        let open = open.bind(token_hash).bind(expires_at).bind(whence.device).bind(whence.address);
        open.execute(&mut *tx).await?;
        let detail = serde_json::json!({"address": whence.address, "device": whence.device}).to_string();
        tell(&mut tx, user, whence.request, Action::SignedIn, "session", &[session.0], Some(&detail)).await?;
        tx.commit().await?;
        Ok(session)
    }

    /// Trades a refresh token for the next; `None` where it is unknown, expired, revoked or was used before, but for ten seconds in which the answer may have
    /// been lost (migration 0060). One of a session that has an end ends with it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn session_refresh(
        &self,
        old: &[u8],
        new: &[u8],
        expires_at: DateTime<Utc>,
        whence: Whence<'_>,
    ) -> Result<Option<(SessionId, UserId, DateTime<Utc>)>, StoreError> {
        let mut tx = self.pool().begin().await?;
        let query = sqlx::query("SELECT session_id, user_id, is_reused, expires_at FROM session_refresh($1, $2, $3, $4)");
        let row = query.bind(old).bind(new).bind(expires_at).bind(whence.address).fetch_optional(&mut *tx).await?;
        let Some(row) = row else { return Ok(None) };
        let (session, user) = (SessionId(row.try_get("session_id")?), UserId(row.try_get("user_id")?));
        let (is_reused, expires_at): (bool, _) = (row.try_get("is_reused")?, row.try_get("expires_at")?);
        if is_reused {
            let detail = serde_json::json!({"why": "a refresh token came twice", "address": whence.address}).to_string();
            tell(&mut tx, user, whence.request, Action::SignedOut, "session", &[session.0], Some(&detail)).await?;
        }
        tx.commit().await?;
        Ok((!is_reused).then_some((session, user, expires_at)))
    }

    /// The person's sessions that can still be used, the last used one first; at most 100. `of`: those that this tenant's provider vouched for.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sessions(&self, user: UserId, of: Option<TenantId>) -> Result<Vec<OpenSession>, StoreError> {
        let query = sqlx::query("SELECT id, opened_at, last_used_at, device, address FROM session_list($1, $2)");
        let rows = query.bind(user.0).bind(of.map(|tenant| tenant.0)).fetch_all(self.pool()).await?;
        let session = |row: sqlx::postgres::PgRow| -> Result<OpenSession, StoreError> {
            Ok(OpenSession {
                id: SessionId(row.try_get("id")?),
                opened_at: row.try_get("opened_at")?,
                last_used_at: row.try_get("last_used_at")?,
                device: row.try_get("device")?,
                address: row.try_get("address")?,
            })
        };
        rows.into_iter().map(session).collect()
    }

    /// Ends one of the person's sessions; false where it is none of theirs, or was over. `of`: one that this tenant's provider vouched for.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn session_close(
        &self,
        session: SessionId,
        user: UserId,
        of: Option<TenantId>,
        request: Request,
    ) -> Result<bool, StoreError> {
        Ok(self.session_revoke(user, (Some(session), None), of, request).await? > 0)
    }

    /// Ends all of the person's sessions but this one; says how many.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn session_close_others(
        &self,
        session: SessionId,
        user: UserId,
        of: Option<TenantId>,
        request: Request,
    ) -> Result<usize, StoreError> {
        self.session_revoke(user, (None, Some(session)), of, request).await
    }

    async fn session_revoke(
        &self,
        user: UserId,
        (one, but): (Option<SessionId>, Option<SessionId>),
        of: Option<TenantId>,
        request: Request,
    ) -> Result<usize, StoreError> {
        let mut tx = self.pool().begin().await?;
        let ended: Vec<Uuid> = sqlx::query_scalar("SELECT session_revoke($1, $2, $3, $4)")
            .bind(user.0)
            .bind(one.map(|session| session.0))
            .bind(but.map(|session| session.0))
            .bind(of.map(|tenant| tenant.0))
            .fetch_all(&mut *tx)
            .await?;
        tell(&mut tx, user, request, Action::SignedOut, "session", &ended, None).await?;
        tx.commit().await?;
        Ok(ended.len())
    }

    /// Ends the session that a refresh token is of; one that is over stays so.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn session_close_by_token(&self, token_hash: &[u8], request: Request) -> Result<(), StoreError> {
        let mut tx = self.pool().begin().await?;
        let query = sqlx::query("SELECT session_id, user_id FROM session_close_by_token($1)");
        if let Some(row) = query.bind(token_hash).fetch_optional(&mut *tx).await? {
            let (session, user): (Uuid, Uuid) = (row.try_get("session_id")?, row.try_get("user_id")?);
            tell(&mut tx, UserId(user), request, Action::SignedOut, "session", &[session], None).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    /// What a session is worth now: `None` where it was closed or revoked, else the person's memberships, with those that a demand keeps them out of.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn memberships(&self, session: SessionId, user: UserId) -> Result<Option<Vec<Membership>>, StoreError> {
        let open: bool =
            sqlx::query_scalar("SELECT session_is_open($1, $2)").bind(session.0).bind(user.0).fetch_one(self.pool()).await?;
        if !open {
            return Ok(None);
        }
        let query = sqlx::query("SELECT tenant_id, slug, name, role, lacks_second_factor FROM session_places($1, $2)");
        let rows = query.bind(session.0).bind(user.0).fetch_all(self.pool()).await?;
        let memberships = rows.into_iter().map(|row| {
            Ok(Membership {
                tenant: TenantId(row.try_get("tenant_id")?),
                slug: row.try_get("slug")?,
                name: row.try_get("name")?,
                role: Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor),
                lacks_second_factor: row.try_get("lacks_second_factor")?,
            })
        });
        memberships.collect::<Result<_, StoreError>>().map(Some)
    }
}

/// Says in the audit log of each of the person's tenants what was done as them. Who is a member of none, as most of the staff are, has no such log: there it
/// stands in the installation's own.
pub(super) async fn tell(
    tx: &mut Transaction<'static, Postgres>,
    user: UserId,
    request: Request,
    action: Action,
    subject_kind: &str,
    subjects: &[Uuid],
    detail: Option<&str>,
) -> Result<(), StoreError> {
    if subjects.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query("SELECT tenant_id, role FROM user_tenants($1)").bind(user.0).fetch_all(&mut **tx).await?;
    if rows.is_empty() {
        let (action, address) = (action.as_str(), request.address.map(|address| address.to_string()));
        // The detail is what the audit log would show to a tenant: a device, a reason, and never a secret.
        info!(request.id = %request, user.id = %user, action, address, detail, "{action}: {user}, who is a member of no tenant");
    }
    for row in rows {
        let tenant = TenantId(row.try_get("tenant_id")?);
        enter(tx, tenant).await?;
        let role = Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor);
        let scope = Scope { tenant, actor: Actor::Member { user, role }, request };
        audit_each(tx, &scope, action, subject_kind, subjects, &vec![detail; subjects.len()]).await?;
    }
    Ok(())
}
