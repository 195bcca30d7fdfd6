//! Sign-ins by a tenant's identity provider: begun, ended once, and what they make of a person. Nobody is anybody's member yet, so all of it goes through
//! named functions.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{SessionId, TenantId, UserId};
use domain::identity_provider::{EmailDomain, Refusal};
use domain::scope::{Actor, Role, Scope};
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::invitation::withdraw_of;
use super::receive::audit_each;
use super::session::Whence;
use super::{Store, StoreError, enter};

/// Who acts where nobody is known yet.
const STAGE: &str = "sso";

/// A sign-in that was begun. Of what the browser keeps there is a hash only.
#[derive(Debug)]
pub struct Begun<'a> {
    pub tenant: TenantId,
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub state_hash: &'a [u8],
    pub browser_hash: &'a [u8],
    pub expires_at: DateTime<Utc>,
}

/// A sign-in that comes back: at whose provider it was begun.
#[derive(Debug)]
pub struct Taken {
    pub tenant: TenantId,
    pub issuer: String,
    pub client_id: String,
}

/// Whom a provider vouches for.
#[derive(Debug)]
pub struct Vouched<'a> {
    pub tenant: TenantId,
    pub issuer: &'a str,
    pub subject: &'a str,
    /// Verified, says the provider.
    pub email: &'a str,
    pub name: &'a str,
    /// What the groups that the token names give; where the tenant's directory tells of groups (SCIM), those decide.
    pub role: Option<Role>,
    /// Of a password that nobody knows, for a person who is new.
    pub password_hash: &'a str,
    pub token_hash: &'a [u8],
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vouching {
    Opened { user: UserId, session: SessionId, ends_at: DateTime<Utc> },
    Refused(Refusal),
}

impl Store {
    /// The tenant whose provider is meant: by its slug, or by the domain of an address that it enforces.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sso_tenant(
        &self,
        slug: Option<&str>,
        domain: Option<&EmailDomain>,
    ) -> Result<Option<(TenantId, String)>, StoreError> {
        let query = sqlx::query_as::<_, (Uuid, String)>("SELECT tenant_id, slug FROM sso_tenant($1, $2)").bind(slug);
        let found = query.bind(domain.map(EmailDomain::as_str)).fetch_optional(self.pool()).await?;
        Ok(found.map(|(tenant, slug)| (TenantId(tenant), slug)))
    }

    /// # Errors
    /// Where the database does not answer.
    pub async fn sso_begin(&self, begun: &Begun<'_>) -> Result<(), StoreError> {
        let begin = sqlx::query("SELECT sso_begin($1, $2, $3, $4, $5, $6)").bind(begun.state_hash).bind(begun.tenant.0);
        let begin = begin.bind(begun.browser_hash).bind(begun.issuer).bind(begun.client_id).bind(begun.expires_at);
        begin.execute(self.pool()).await?;
        Ok(())
    }

    /// Takes a sign-in that this browser began, once.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sso_take(&self, state_hash: &[u8], browser_hash: &[u8]) -> Result<Option<Taken>, StoreError> {
        let take = sqlx::query("SELECT tenant_id, issuer, client_id FROM sso_take($1, $2)").bind(state_hash).bind(browser_hash);
        let row = take.fetch_optional(self.pool()).await?;
        row.map(|row| {
            Ok(Taken {
                tenant: TenantId(row.try_get("tenant_id")?),
                issuer: row.try_get("issuer")?,
                client_id: row.try_get("client_id")?,
            })
        })
        .transpose()
    }

    /// Finds or makes the person, gives them the role of their groups and opens their session, or says why not; all or nothing, and told to the tenant,
    /// but for [`Refusal::Changed`].
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sso_sign_in(&self, vouched: &Vouched<'_>, whence: Whence<'_>) -> Result<Vouching, StoreError> {
        let session = SessionId::generate();
        let mut tx = self.pool().begin().await?;
        let query = sqlx::query("SELECT * FROM sso_sign_in($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)");
        let query =
            query.bind(vouched.tenant.0).bind(vouched.issuer).bind(vouched.subject).bind(vouched.email).bind(vouched.name);
        let query = query.bind(vouched.role.map(Role::as_str)).bind(UserId::generate().0).bind(vouched.password_hash);
        let query = query.bind(session.0).bind(vouched.token_hash).bind(whence.device).bind(whence.address);
        let row = query.fetch_one(&mut *tx).await?;
        let user: Option<Uuid> = row.try_get("user_id")?;
        let was: Option<&str> = row.try_get("was")?;
        let was = was.and_then(Role::parse);
        let refusal = match row.try_get("outcome")? {
            "opened" => None,
            "no_role" => Some(Refusal::NoRole),
            "not_proven" => Some(Refusal::DomainNotProven),
            "owner" => Some(Refusal::Owner),
            "last_owner" => Some(Refusal::LastOwner),
            "inactive" => Some(Refusal::Inactive),
            _ => Some(Refusal::Changed),
        };
        if refusal == Some(Refusal::Changed) {
            return Ok(Vouching::Refused(Refusal::Changed));
        }
        enter(&mut tx, vouched.tenant).await?;
        let scope = Scope { tenant: vouched.tenant, actor: Actor::system(STAGE), request: whence.request };
        let is_linked: bool = row.try_get("is_linked")?;
        let mut told = Told { tx: &mut tx, scope, user, by: serde_json::json!({"by": "sso", "subject": vouched.subject}) };
        if let Some(refusal) = refusal {
            if refusal == Refusal::NoRole && is_linked && was.is_some() {
                told.tell(Action::MemberRemoved, serde_json::json!({"role": was})).await?;
                withdraw_of(told.tx, &told.scope, user.as_slice()).await?;
            }
            let detail = serde_json::json!({"reason": refusal.as_str(), "email": vouched.email, "address": whence.address});
            told.tell(Action::SsoRefused, detail).await?;
            tx.commit().await?;
            return Ok(Vouching::Refused(refusal));
        }
        let Some(user) = user else { return Ok(Vouching::Refused(Refusal::Internal)) };
        // What the groups of the token give, or those of the directory.
        let role = sqlx::query_scalar::<_, String>("SELECT role FROM members WHERE tenant_id = $1 AND user_id = $2");
        let role = role.bind(vouched.tenant.0).bind(user).fetch_one(&mut **told.tx).await?;
        let Some(role) = Role::parse(&role) else { return Ok(Vouching::Refused(Refusal::Internal)) };
        match was {
            None => told.tell(Action::MemberJoined, serde_json::json!({"role": role, "email": vouched.email})).await?,
            Some(was) if was != role => {
                told.tell(Action::MemberRoleSet, serde_json::json!({"from": was, "to": role})).await?;
                withdraw_of(told.tx, &told.scope, &[user]).await?;
            }
            Some(_) => {}
        }
        told.scope.actor = Actor::Member { user: UserId(user), role };
        let ends_at = row.try_get("ends_at")?;
        let detail = serde_json::json!({
            "session": session, "issuer": vouched.issuer, "role": role, "linked_now": !is_linked, "new_person": row.try_get::<bool, _>("is_new")?,
            "address": whence.address, "device": whence.device, "ends_at": ends_at,
        });
        told.tell(Action::SsoSignedIn, detail).await?;
        tx.commit().await?;
        Ok(Vouching::Opened { user: UserId(user), session, ends_at })
    }

    /// Tells a tenant that a sign-in by its provider came to nothing before anybody was known.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sso_refused(&self, tenant: TenantId, refusal: Refusal, why: &str, whence: Whence<'_>) -> Result<(), StoreError> {
        let mut tx = self.pool().begin().await?;
        enter(&mut tx, tenant).await?;
        let scope = Scope { tenant, actor: Actor::system(STAGE), request: whence.request };
        let detail = serde_json::json!({"reason": refusal.as_str(), "why": why, "address": whence.address});
        let mut told = Told { tx: &mut tx, scope, user: None, by: serde_json::json!({}) };
        told.tell(Action::SsoRefused, detail).await?;
        tx.commit().await?;
        Ok(())
    }

    /// The slug of a tenant that keeps this person to its provider; `None` where a password is enough.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn user_must_use_sso(&self, user: UserId) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT user_must_use_sso($1)").bind(user.0).fetch_one(self.pool()).await?)
    }

    /// The tenant whose provider vouched for a session; `None` where a password did.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn session_tenant(&self, session: SessionId) -> Result<Option<TenantId>, StoreError> {
        let query = sqlx::query_scalar::<_, Option<Uuid>>("SELECT session_tenant($1)");
        Ok(query.bind(session.0).fetch_one(self.pool()).await?.map(TenantId))
    }
}

/// What is told to the tenant, about the person or, where none is known, about its provider.
struct Told<'t> {
    tx: &'t mut Transaction<'static, Postgres>,
    scope: Scope,
    user: Option<Uuid>,
    by: serde_json::Value,
}

impl Told<'_> {
    async fn tell(&mut self, action: Action, detail: serde_json::Value) -> Result<(), StoreError> {
        let mut whole = self.by.clone();
        if let (Some(whole), serde_json::Value::Object(detail)) = (whole.as_object_mut(), detail) {
            whole.extend(detail);
        }
        let (kind, subject) = match self.user {
            Some(user) => ("user", user),
            None => ("identity_provider", self.scope.tenant.0),
        };
        audit_each(self.tx, &self.scope, action, kind, &[subject], &[Some(&whole.to_string())]).await
    }
}
