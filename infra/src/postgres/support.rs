//! Support before an impersonation: who is staff, what they ask of a tenant, and what a tenant allows. The staff belong to no tenant, so what they do goes
//! through named functions; what comes of it is told in the audit log of the tenant that it is about.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{ImpersonationId, SupportConsentId, SupportRequestId, TenantId, UserId};
use domain::scope::{Actor, Request, Scope};
use serde_json::json;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::configure::is_taken;
use super::impersonation::{Ended, tell_ended};
use super::mail::{self, SealedMail};
use super::receive::{audit, audit_each};
use super::{Store, StoreError, TenantStore, enter};
use crate::vault::VaultError;

/// What somebody of the staff says of why they come, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Errand<'a> {
    pub user: UserId,
    /// An id or a slug.
    pub tenant: &'a str,
    pub reason: &'a str,
    pub ticket: &'a str,
    pub may_write: bool,
}

impl Errand<'_> {
    /// The tenant's id where it is one, else its slug.
    pub(super) fn whom(&self) -> (Option<Uuid>, &str) {
        (self.tenant.parse::<TenantId>().ok().map(Uuid::from), self.tenant)
    }
}

/// Why support may not do what it wants to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupportRefusal {
    NotStaff,
    NoSecondFactor,
    NoTenant,
    /// What they asked before is not answered yet.
    Waits,
    /// Three times within a day they were refused, or nobody answered.
    Often,
    /// An impersonation of theirs runs.
    Runs,
    NoConsent,
    /// There is a consent, and it is for reading.
    ReadOnly,
}

impl SupportRefusal {
    /// As the functions of the database say it.
    pub(super) fn parse(word: &str) -> Result<Self, StoreError> {
        Ok(match word {
            "staff" => Self::NotStaff,
            "second_factor" => Self::NoSecondFactor,
            "tenant" => Self::NoTenant,
            "waits" => Self::Waits,
            "often" => Self::Often,
            "runs" => Self::Runs,
            "consent" => Self::NoConsent,
            "read_only" => Self::ReadOnly,
            _ => return Err(StoreError::Corrupt { what: "a refusal", id: word.to_owned(), why: "no such word is known".into() }),
        })
    }
}

/// Whom to write to about it.
#[derive(Debug, Clone)]
pub struct Told {
    pub tenant_name: String,
    pub staff_name: String,
    /// The addresses of the tenant's owners and admins.
    pub addresses: Vec<String>,
    /// When what was begun ends; `None` where it is only asked for.
    pub ends_at: Option<DateTime<Utc>>,
}

/// Writes what a tenant's owners and admins are mailed, once it is known who they are.
pub type Writer<'a> = &'a (dyn Fn(&Told) -> Result<Vec<SealedMail>, VaultError> + Sync);

/// What was asked, and what came of it.
#[derive(Debug, Clone)]
pub struct SupportRequest {
    pub id: SupportRequestId,
    pub tenant_slug: String,
    pub tenant_name: String,
    pub staff_name: String,
    pub staff_email: String,
    pub reason: String,
    pub ticket: String,
    pub wants_write: bool,
    pub asked_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub answered_at: Option<DateTime<Utc>>,
    pub answered_by: Option<UserId>,
    pub is_allowed: Option<bool>,
    pub consent: Option<SupportConsent>,
}

/// That a tenant lets support in.
#[derive(Debug, Clone)]
pub struct SupportConsent {
    pub id: SupportConsentId,
    /// What it answers; `None` where it stands for all of the staff.
    pub request: Option<SupportRequestId>,
    pub may_write: bool,
    pub given_by: UserId,
    pub given_at: DateTime<Utc>,
    pub until: Option<DateTime<Utc>>,
    pub used_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
    pub ended_by: Option<UserId>,
}

const CONSENT: &str =
    "c.id AS consent_id, c.request_id, c.may_write, c.given_by, c.given_at, c.until, c.used_at, c.ended_at, c.ended_by";

fn consent(row: &PgRow) -> Result<Option<SupportConsent>, StoreError> {
    let Some(id) = row.try_get::<Option<Uuid>, _>("consent_id")? else { return Ok(None) };
    Ok(Some(SupportConsent {
        id: SupportConsentId(id),
        request: row.try_get::<Option<Uuid>, _>("request_id")?.map(SupportRequestId),
        may_write: row.try_get("may_write")?,
        given_by: UserId(row.try_get("given_by")?),
        given_at: row.try_get("given_at")?,
        until: row.try_get("until")?,
        used_at: row.try_get("used_at")?,
        ended_at: row.try_get("ended_at")?,
        ended_by: row.try_get::<Option<Uuid>, _>("ended_by")?.map(UserId),
    }))
}

fn request(row: &PgRow) -> Result<SupportRequest, StoreError> {
    Ok(SupportRequest {
        id: SupportRequestId(row.try_get("id")?),
        tenant_slug: row.try_get("tenant_slug")?,
        tenant_name: row.try_get("tenant_name")?,
        staff_name: row.try_get("staff_name")?,
        staff_email: row.try_get("staff_email")?,
        reason: row.try_get("reason")?,
        ticket: row.try_get("ticket")?,
        wants_write: row.try_get("wants_write")?,
        asked_at: row.try_get("asked_at")?,
        expires_at: row.try_get("expires_at")?,
        answered_at: row.try_get("answered_at")?,
        answered_by: row.try_get::<Option<Uuid>, _>("answered_by")?.map(UserId),
        is_allowed: row.try_get("is_allowed")?,
        consent: consent(row)?,
    })
}

impl Store {
    /// True where they are staff of this installation.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn is_staff(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT staff_is($1)").bind(user.0).fetch_one(self.pool()).await?)
    }

    /// Makes a person staff; false where they are already.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn staff_grant(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT staff_grant($1)").bind(user.0).fetch_one(self.pool()).await?)
    }

    /// Takes it from them, and ends what they have begun at once; false where they are none.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn staff_revoke(&self, user: UserId, request: Request) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let was: bool = sqlx::query_scalar("SELECT staff_is($1)").bind(user.0).fetch_one(&mut *tx).await?;
        let query = sqlx::query("SELECT impersonation_id, tenant_id FROM staff_revoke($1)").bind(user.0);
        for row in query.fetch_all(&mut *tx).await? {
            let scope = Scope { tenant: TenantId(row.try_get("tenant_id")?), actor: Actor::Operator, request };
            enter(&mut tx, scope.tenant).await?;
            tell_ended(&mut tx, &scope, &[row.try_get("impersonation_id")?], Ended::Staff).await?;
        }
        tx.commit().await?;
        Ok(was)
    }

    /// Asks a tenant to be let in, and mails it to whom it concerns; or why it was not asked.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_request_create(
        &self,
        errand: &Errand<'_>,
        request: Request,
        write: Writer<'_>,
    ) -> Result<Result<SupportRequestId, SupportRefusal>, StoreError> {
        let id = SupportRequestId::generate();
        let mut tx = self.pool().begin().await?;
        let (tenant, slug) = errand.whom();
        let query = sqlx::query(
            "SELECT refusal, tenant_id, tenant_name, staff_name FROM support_request_create($1, $2, $3, $4, $5, $6, $7)",
        );
        let query = query.bind(id.0).bind(errand.user.0).bind(tenant).bind(slug);
        let row = query.bind(errand.reason).bind(errand.ticket).bind(errand.may_write).fetch_one(&mut *tx).await?;
        let (scope, told) = match received(&mut tx, &row, errand, None, request).await? {
            Ok(received) => received,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let detail = json!({"reason": errand.reason, "ticket": errand.ticket, "may_write": errand.may_write}).to_string();
        audit_each(&mut tx, &scope, Action::SupportRequested, "support_request", &[id.0], &[Some(&detail)]).await?;
        mail::put(&mut tx, None, &write(&told)?).await?;
        tx.commit().await?;
        Ok(Ok(id))
    }

    /// What one of the staff has asked, of whichever tenant, the newest first; at most 100.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_requests_of(&self, user: UserId) -> Result<Vec<SupportRequest>, StoreError> {
        let query = sqlx::query("SELECT * FROM support_requests_of($1)").bind(user.0);
        query.fetch_all(self.pool()).await?.iter().map(request).collect()
    }
}

/// Enters the tenant that an errand came to, as the database found it: who acts there, for which impersonation, and whom to tell; or why it refused.
pub(super) async fn received(
    tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
    row: &PgRow,
    errand: &Errand<'_>,
    impersonation: Option<ImpersonationId>,
    request: Request,
) -> Result<Result<(Scope, Told), SupportRefusal>, StoreError> {
    if let Some(refusal) = row.try_get::<Option<&str>, _>("refusal")? {
        return Ok(Err(SupportRefusal::parse(refusal)?));
    }
    let (tenant, staff_name) = (TenantId(row.try_get("tenant_id")?), row.try_get::<String, _>("staff_name")?);
    enter(tx, tenant).await?;
    let owners = sqlx::query_scalar(
        "SELECT u.email FROM members m JOIN users u ON u.id = m.user_id WHERE m.tenant_id = $1 AND m.role IN ('owner', 'admin')
         ORDER BY u.email LIMIT 100",
    );
    let addresses = owners.bind(tenant.0).fetch_all(&mut **tx).await?;
    let scope = Scope { tenant, actor: Actor::staff(errand.user, &staff_name, tenant, errand.ticket, impersonation), request };
    Ok(Ok((scope, Told { tenant_name: row.try_get("tenant_name")?, staff_name, addresses, ends_at: None })))
}

impl TenantStore<'_> {
    /// What support has asked of the tenant, the newest first; at most 500.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_requests(&self) -> Result<Vec<SupportRequest>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!(
            "SELECT r.id, t.slug AS tenant_slug, t.name AS tenant_name, r.staff_name, r.staff_email, r.reason, r.ticket, r.wants_write, r.asked_at,
                    r.expires_at, r.answered_at, r.answered_by, r.is_allowed, {CONSENT}
             FROM support_requests r JOIN tenants t ON t.id = r.tenant_id LEFT JOIN support_consents c ON c.request_id = r.id
             WHERE r.tenant_id = $1 ORDER BY r.id DESC LIMIT 500"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().map(request).collect()
    }

    /// Answers what support has asked; false where it was answered, is over or was never asked.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_request_answer(
        &self,
        id: SupportRequestId,
        by: UserId,
        is_allowed: bool,
        may_write: bool,
    ) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let consent = SupportConsentId::generate();
        let query = sqlx::query_scalar("SELECT support_request_answer($1, $2, $3, $4, $5)").bind(id.0).bind(consent.0);
        if !query.bind(by.0).bind(is_allowed).bind(may_write).fetch_one(&mut *tx).await? {
            return Ok(false);
        }
        let detail = is_allowed.then(|| json!({"consent": consent, "may_write": may_write}).to_string());
        let action = if is_allowed { Action::SupportAllowed } else { Action::SupportRefused };
        audit_each(&mut tx, self.scope(), action, "support_request", &[id.0], &[detail.as_deref()]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// What the tenant has allowed, the newest first; at most 500.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_consents(&self) -> Result<Vec<SupportConsent>, StoreError> {
        let mut tx = self.begin().await?;
        let sql = format!("SELECT {CONSENT} FROM support_consents c WHERE c.tenant_id = $1 ORDER BY c.id DESC LIMIT 500");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().filter_map(|row| consent(row).transpose()).collect()
    }

    /// Lets all of the staff in, until then or until it is withdrawn. It takes the place of the consent that stood before, and what began by that ends.
    /// `None` where another one was given in the same moment.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_consent_give(
        &self,
        by: UserId,
        may_write: bool,
        until: Option<DateTime<Utc>>,
    ) -> Result<Option<SupportConsentId>, StoreError> {
        let mut tx = self.begin().await?;
        let stands = "SELECT id FROM support_consents WHERE tenant_id = $1 AND request_id IS NULL AND ended_at IS NULL";
        let before: Option<Uuid> = sqlx::query_scalar(stands).bind(self.scope().tenant.0).fetch_optional(&mut *tx).await?;
        if let Some(before) = before {
            self.support_consent_close(&mut tx, SupportConsentId(before), by).await?;
        }
        let id = SupportConsentId::generate();
        let give = sqlx::query("SELECT support_consent_give($1, $2, $3, $4)").bind(id.0).bind(by.0).bind(may_write).bind(until);
        match give.execute(&mut *tx).await {
            Err(error) if is_taken(&error) => return Ok(None),
            given => given?,
        };
        let detail = json!({"may_write": may_write, "until": until}).to_string();
        audit_each(&mut tx, self.scope(), Action::SupportConsentGiven, "support_consent", &[id.0], &[Some(&detail)]).await?;
        tx.commit().await?;
        Ok(Some(id))
    }

    /// Takes a consent back, and ends at once what began by it; false where it is over or was never given.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_consent_withdraw(&self, id: SupportConsentId, by: UserId) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let withdrawn = self.support_consent_close(&mut tx, id, by).await?;
        tx.commit().await?;
        Ok(withdrawn)
    }

    /// Whether the tenant shows support what tells of a person.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_sees_personal(&self) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let sees = sqlx::query_scalar("SELECT support_sees_personal FROM tenants WHERE id = $1").bind(self.scope().tenant.0);
        let sees = sees.fetch_optional(&mut *tx).await?;
        tx.commit().await?;
        Ok(sees.unwrap_or_default())
    }

    /// Shows it to support, or hides it, from the next request on.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn support_sees_personal_set(&self, sees: bool) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        let set = "UPDATE tenants SET support_sees_personal = $2 WHERE id = $1 AND support_sees_personal <> $2";
        let tenant = self.scope().tenant.0;
        if sqlx::query(set).bind(tenant).bind(sees).execute(&mut *tx).await?.rows_affected() == 1 {
            let detail = json!({"is_shown": sees}).to_string();
            audit_each(&mut tx, self.scope(), Action::SupportPersonalDataSet, "tenant", &[tenant], &[Some(&detail)]).await?;
        }
        tx.commit().await?;
        Ok(())
    }

    async fn support_consent_close(
        &self,
        tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
        id: SupportConsentId,
        by: UserId,
    ) -> Result<bool, StoreError> {
        let query = sqlx::query_scalar::<_, Option<Vec<Uuid>>>("SELECT support_consent_end($1, $2)").bind(id.0).bind(by.0);
        let Some(ended) = query.fetch_one(&mut **tx).await? else { return Ok(false) };
        audit(tx, self.scope(), Action::SupportConsentWithdrawn, "support_consent", &[id.0]).await?;
        tell_ended(tx, self.scope(), &ended, Ended::Consent).await?;
        Ok(true)
    }
}
