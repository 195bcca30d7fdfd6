//! Invitations: places in a tenant that wait for the person of an address. A tenant makes and withdraws them; whoever holds the token takes one, before
//! they are anybody's member.

use std::slice;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{InvitationId, TenantId, UserId};
use domain::permission::Role;
use domain::scope::{Actor, Request, Scope};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::configure::is_taken;
use super::mail::{self, MailFailure, SealedMail};
use super::receive::{audit, audit_each};
use super::{Store, StoreError, TenantStore, enter};

/// Open at once in a tenant.
pub const INVITATIONS_MAX: i64 = 100;

/// A place that was offered.
#[derive(Debug, Clone)]
pub struct Invitation {
    pub id: InvitationId,
    pub email: String,
    pub role: Role,
    pub invited_by: UserId,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub accepted_at: Option<DateTime<Utc>>,
    pub withdrawn_at: Option<DateTime<Utc>>,
    /// Why its link is refused, though nobody took it or took it back; `None` while it can be taken.
    pub refusal: Option<Refusal>,
    /// Why it was not mailed yet; `None` where it was, or is about to be.
    pub mail_failure: Option<MailFailure>,
}

/// Why an offer that waits can be taken by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    Expired,
    /// Whoever invited may not give this role any more, or is no member.
    Inviter,
}

/// What is offered, and how.
pub struct NewInvitation<'a> {
    pub email: &'a str,
    pub role: Role,
    pub token_hash: &'a [u8],
    /// `None` where there is no mail server: its link is handed on by another way.
    pub mail: Option<&'a SealedMail>,
    pub invited_by: UserId,
    pub expires_at: DateTime<Utc>,
}

/// Why nobody was invited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotInvited {
    Member,
    Invited,
    TooMany,
}

/// What the holder of a token is invited to.
#[derive(Debug, Clone)]
pub struct Offer {
    pub tenant_name: String,
    pub email: String,
    pub role: Role,
    /// The account that the address has, with its password's hash.
    pub account: Option<(UserId, String)>,
}

/// Of an invitation `i`. Who may invite is asked of those alone that wait: there are 100 at most.
const COLUMNS: &str = "i.id, i.email, i.role, i.invited_by, i.created_at, i.expires_at, i.accepted_at, i.withdrawn_at,
    CASE WHEN i.accepted_at IS NOT NULL OR i.withdrawn_at IS NOT NULL THEN NULL WHEN i.expires_at <= now() THEN 'expired'
         WHEN NOT may_invite(i.tenant_id, i.invited_by, i.role) THEN 'inviter' END AS refusal";

fn invitation(row: &PgRow) -> Result<Invitation, StoreError> {
    Ok(Invitation {
        id: InvitationId(row.try_get("id")?),
        email: row.try_get("email")?,
        role: Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor),
        invited_by: UserId(row.try_get("invited_by")?),
        created_at: row.try_get("created_at")?,
        expires_at: row.try_get("expires_at")?,
        accepted_at: row.try_get("accepted_at")?,
        withdrawn_at: row.try_get("withdrawn_at")?,
        refusal: match row.try_get::<Option<&str>, _>("refusal")? {
            Some("expired") => Some(Refusal::Expired),
            Some(_) => Some(Refusal::Inviter),
            None => None,
        },
        mail_failure: mail::failure(row)?,
    })
}

impl TenantStore<'_> {
    /// The tenant's invitations, the newest first; at most 500.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invitations(&self) -> Result<Vec<Invitation>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "SELECT {COLUMNS}, m.failure AS mail_failure, m.due_at AS mail_due_at, m.given_up_at AS mail_given_up_at
             FROM invitations i LEFT JOIN mails m ON m.tenant_id = i.tenant_id AND m.about = i.id
             WHERE i.tenant_id = $1 ORDER BY i.id DESC LIMIT 500"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().map(invitation).collect()
    }

    /// Offers a place to an address. One that was offered before and that nobody can take any more makes room: it has expired, or whoever invited may not
    /// give its role any more.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invitation_create(&self, new: &NewInvitation<'_>) -> Result<Result<Invitation, NotInvited>, StoreError> {
        let (scope, tenant) = (self.scope(), self.scope().tenant.0);
        let mut tx = self.begin().await?;
        let is_member = sqlx::query_scalar::<_, bool>(
            "SELECT EXISTS (SELECT FROM members m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = $1 AND lower(u.email) = lower($2))",
        );
        if is_member.bind(tenant).bind(new.email).fetch_one(&mut *tx).await? {
            return Ok(Err(NotInvited::Member));
        }
        let expired = "UPDATE invitations SET withdrawn_at = now()
             WHERE tenant_id = $1 AND accepted_at IS NULL AND withdrawn_at IS NULL AND expires_at <= now()";
        sqlx::query(expired).bind(tenant).execute(&mut *tx).await?;
        // Who was removed in the same moment as they invited has left one behind.
        withdraw(&mut tx, scope, None).await?;
        let sql = format!(
            "INSERT INTO invitations AS i (id, tenant_id, email, role, token_hash, is_mailed, invited_by, expires_at)
             SELECT $1, $2, $3, $4, $5, $6, $7, $8
             WHERE (SELECT count(*) FROM invitations WHERE tenant_id = $2 AND accepted_at IS NULL AND withdrawn_at IS NULL) < $9
             RETURNING {COLUMNS}, NULL::text AS mail_failure"
        );
        let made = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(InvitationId::generate().0)
            .bind(tenant)
            .bind(new.email)
            .bind(new.role.as_str())
            .bind(new.token_hash)
            .bind(new.mail.is_some())
            .bind(new.invited_by.0)
            .bind(new.expires_at)
            .bind(INVITATIONS_MAX)
            .fetch_optional(&mut *tx)
            .await;
        let made = match made {
            Err(error) if is_taken(&error) => return Ok(Err(NotInvited::Invited)),
            made => made?,
        };
        let Some(row) = made else { return Ok(Err(NotInvited::TooMany)) };
        let made = invitation(&row)?;
        let detail = serde_json::json!({"email": made.email, "role": made.role}).to_string();
        audit_each(&mut tx, scope, Action::MemberInvited, "invitation", &[made.id.0], &[Some(&detail)]).await?;
        if let Some(new) = new.mail {
            mail::put(&mut tx, Some((scope.tenant, made.id.0)), slice::from_ref(new)).await?;
        }
        tx.commit().await?;
        Ok(Ok(made))
    }

    /// Takes an offer back; false where it is over or was never there.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invitation_withdraw(&self, id: InvitationId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let withdraw =
            "UPDATE invitations SET withdrawn_at = now() WHERE id = $1 AND accepted_at IS NULL AND withdrawn_at IS NULL";
        if sqlx::query(withdraw).bind(id.0).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(false);
        }
        mail::withdraw(&mut tx, &[id.0]).await?;
        audit(&mut tx, self.scope(), Action::InvitationWithdrawn, "invitation", &[id.0]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Takes back what these people have offered and may not give any more, as they stand now; told as any other that is taken back.
pub(super) async fn withdraw_of(
    tx: &mut Transaction<'static, Postgres>,
    scope: &Scope,
    inviters: &[Uuid],
) -> Result<(), StoreError> {
    withdraw(tx, scope, Some(inviters)).await
}

/// As [`withdraw_of`]; of no people in particular: what anybody has offered.
async fn withdraw(tx: &mut Transaction<'static, Postgres>, scope: &Scope, inviters: Option<&[Uuid]>) -> Result<(), StoreError> {
    // By `invitations_list`; a tenant has 100 that wait.
    let query = sqlx::query_scalar(
        "UPDATE invitations i SET withdrawn_at = now()
         WHERE i.tenant_id = $1 AND ($2::uuid[] IS NULL OR i.invited_by = ANY ($2)) AND i.accepted_at IS NULL AND i.withdrawn_at IS NULL AND i.expires_at > now()
           AND NOT may_invite(i.tenant_id, i.invited_by, i.role) RETURNING i.id",
    );
    let ended: Vec<Uuid> = query.bind(scope.tenant.0).bind(inviters).fetch_all(&mut **tx).await?;
    mail::withdraw(tx, &ended).await?;
    let detail = serde_json::json!({"why": "whoever invited may not give this role any more"}).to_string();
    let details = vec![Some(detail.as_str()); ended.len()];
    audit_each(tx, scope, Action::InvitationWithdrawn, "invitation", &ended, &details).await
}

impl Store {
    /// What the holder of a token is invited to; `None` where it was taken, withdrawn, has expired or was never made, or whoever invited may not any more.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invitation_find(&self, token_hash: &[u8]) -> Result<Option<Offer>, StoreError> {
        let query = sqlx::query("SELECT tenant_name, email, role, user_id, password_hash FROM invitation_find($1)");
        let Some(row) = query.bind(token_hash).fetch_optional(self.pool()).await? else { return Ok(None) };
        let user: Option<Uuid> = row.try_get("user_id")?;
        let hash: Option<String> = row.try_get("password_hash")?;
        Ok(Some(Offer {
            tenant_name: row.try_get("tenant_name")?,
            email: row.try_get("email")?,
            role: Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor),
            account: user.map(UserId).zip(hash),
        }))
    }

    /// Takes an offer: makes the person where the address has no account, and the member. `None` where it is over meanwhile, as it is with the right of
    /// whoever made it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn invitation_accept(
        &self,
        token_hash: &[u8],
        name: &str,
        password_hash: &str,
        request: Request,
    ) -> Result<Option<UserId>, StoreError> {
        let mut tx = self.pool().begin().await?;
        let query = sqlx::query("SELECT invitation_id, tenant_id, user_id, role FROM invitation_accept($1, $2, $3, $4)");
        let query = query.bind(token_hash).bind(UserId::generate().0).bind(name).bind(password_hash);
        let Some(row) = query.fetch_optional(&mut *tx).await? else { return Ok(None) };
        let (tenant, user) = (TenantId(row.try_get("tenant_id")?), UserId(row.try_get("user_id")?));
        let role = Role::parse(row.try_get("role")?).unwrap_or(Role::Auditor);
        enter(&mut tx, tenant).await?;
        let scope = Scope { tenant, actor: Actor::Member { user, role }, request };
        let detail = serde_json::json!({"invitation": InvitationId(row.try_get("invitation_id")?), "role": role}).to_string();
        audit_each(&mut tx, &scope, Action::MemberJoined, "user", &[user.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Some(user))
    }
}
