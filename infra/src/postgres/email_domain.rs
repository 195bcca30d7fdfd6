//! The domains of mail addresses that a tenant says are its own. One is proven by what was mailed to whoever answers for its mail, and only then enforced.

use std::slice;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::EmailDomainId;
use domain::identity_provider::EmailDomain;
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::mail::{self, MailFailure, SealedMail};
use super::receive::audit_each;
use super::{StoreError, TenantStore};

/// Domains of one tenant.
pub const EMAIL_DOMAINS_MAX: i64 = 50;

/// A domain, and how far it is.
#[derive(Debug, Clone)]
pub struct OwnDomain {
    pub domain: String,
    pub added_at: DateTime<Utc>,
    /// When a code was last mailed there.
    pub mailed_at: Option<DateTime<Utc>>,
    pub proven_at: Option<DateTime<Utc>>,
    pub enforced_at: Option<DateTime<Utc>>,
    /// Why the last code was not mailed yet; `None` where it was, or is about to be.
    pub mail_failure: Option<MailFailure>,
}

/// Why the provider is not enforced for a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotEnforced {
    Missing,
    NotProven,
    NoProvider,
    /// No owner has a second factor: nobody would get in where the provider is away.
    NoBreakGlass,
    /// An owner with such an address has no second factor, and the provider makes no owners.
    OwnersLeftOut,
}

/// Why a domain was not added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAdded {
    Taken,
    TooMany,
}

/// Why a domain was not taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotRemoved {
    Missing,
    Enforced,
    /// A code was mailed there within the hour: else taking away and adding would mail as often as somebody likes.
    JustMailed,
}

fn own_domain(row: &PgRow) -> Result<OwnDomain, StoreError> {
    Ok(OwnDomain {
        domain: row.try_get("domain")?,
        added_at: row.try_get("added_at")?,
        mailed_at: row.try_get("mailed_at")?,
        proven_at: row.try_get("proven_at")?,
        enforced_at: row.try_get("enforced_at")?,
        mail_failure: mail::failure(row)?,
    })
}

impl TenantStore<'_> {
    /// The tenant's domains, by name.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn email_domains(&self) -> Result<Vec<OwnDomain>, StoreError> {
        let mut tx = self.begin().await?;
        let query = "SELECT d.domain, d.added_at, d.mailed_at, d.proven_at, d.enforced_at,
                            m.failure AS mail_failure, m.due_at AS mail_due_at, m.given_up_at AS mail_given_up_at
             FROM email_domains d LEFT JOIN mails m ON m.tenant_id = d.tenant_id AND m.about = d.id
             WHERE d.tenant_id = $1 ORDER BY d.domain";
        let rows = sqlx::query(query).bind(self.scope().tenant.0).fetch_all(&mut *tx).await?;
        tx.commit().await?;
        rows.iter().map(own_domain).collect()
    }

    /// Adds a domain, which proves nothing yet.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn email_domain_add(&self, domain: &EmailDomain) -> Result<Result<(), NotAdded>, StoreError> {
        let (tenant, id) = (self.scope().tenant.0, EmailDomainId::generate());
        let mut tx = self.begin().await?;
        let count = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM email_domains WHERE tenant_id = $1");
        if count.bind(tenant).fetch_one(&mut *tx).await? >= EMAIL_DOMAINS_MAX {
            return Ok(Err(NotAdded::TooMany));
        }
        let add = sqlx::query("INSERT INTO email_domains (tenant_id, id, domain) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING");
        if add.bind(tenant).bind(id.0).bind(domain.as_str()).execute(&mut *tx).await?.rows_affected() == 0 {
            return Ok(Err(NotAdded::Taken));
        }
        self.email_domain_audit(&mut tx, Action::EmailDomainAdded, id.0, domain).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Keeps a code's hash, and the mail that carries it; false where enough was, or there is no such domain.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn email_domain_code(
        &self,
        domain: &EmailDomain,
        code_hash: &[u8],
        expires_at: DateTime<Utc>,
        mail: &SealedMail,
    ) -> Result<bool, StoreError> {
        let tenant = self.scope().tenant;
        let mut tx = self.begin().await?;
        let code = sqlx::query_scalar("SELECT email_domain_code($1, $2, $3)").bind(domain.as_str());
        let may: bool = code.bind(code_hash).bind(expires_at).fetch_one(&mut *tx).await?;
        if may {
            let id = sqlx::query_scalar("SELECT id FROM email_domains WHERE tenant_id = $1 AND domain = $2");
            let id = id.bind(tenant.0).bind(domain.as_str()).fetch_one(&mut *tx).await?;
            // The code before is good for nothing any more.
            mail::withdraw(&mut tx, &[id]).await?;
            mail::put(&mut tx, Some((tenant, id)), slice::from_ref(mail)).await?;
        }
        tx.commit().await?;
        Ok(may)
    }

    /// Proves a domain by what was mailed there; false where that is not it.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn email_domain_prove(&self, domain: &EmailDomain, code_hash: &[u8]) -> Result<bool, StoreError> {
        let mut tx = self.begin().await?;
        let prove = sqlx::query_scalar("SELECT email_domain_prove($1, $2)").bind(domain.as_str());
        let Some(id) = prove.bind(code_hash).fetch_one(&mut *tx).await? else { return Ok(false) };
        self.email_domain_audit(&mut tx, Action::EmailDomainProven, id, domain).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Enforces the provider for who has an address there, or lets them go.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn email_domain_enforce(
        &self,
        domain: &EmailDomain,
        is_wanted: bool,
    ) -> Result<Result<(), NotEnforced>, StoreError> {
        let mut tx = self.begin().await?;
        let enforce = sqlx::query("SELECT refusal, id FROM email_domain_enforce($1, $2)").bind(domain.as_str());
        let row = enforce.bind(is_wanted).fetch_one(&mut *tx).await?;
        let refusal: Option<String> = row.try_get("refusal")?;
        if let Some(refusal) = refusal {
            return Ok(Err(match refusal.as_str() {
                "not_proven" => NotEnforced::NotProven,
                "no_provider" => NotEnforced::NoProvider,
                "no_break_glass" => NotEnforced::NoBreakGlass,
                "owners_left_out" => NotEnforced::OwnersLeftOut,
                _ => NotEnforced::Missing,
            }));
        }
        let action = if is_wanted { Action::EmailDomainEnforced } else { Action::EmailDomainReleased };
        self.email_domain_audit(&mut tx, action, row.try_get("id")?, domain).await?;
        tx.commit().await?;
        Ok(Ok(()))
    }

    /// Takes a domain away: whoever came in by it stays.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn email_domain_remove(&self, domain: &EmailDomain) -> Result<Result<(), NotRemoved>, StoreError> {
        let tenant = self.scope().tenant.0;
        let mut tx = self.begin().await?;
        let remove = "DELETE FROM email_domains WHERE tenant_id = $1 AND domain = $2 AND enforced_at IS NULL
             AND (proven_at IS NOT NULL OR mailed_at IS NULL OR mailed_at < now() - interval '1 hour') RETURNING id";
        let removed: Option<Uuid> =
            sqlx::query_scalar(remove).bind(tenant).bind(domain.as_str()).fetch_optional(&mut *tx).await?;
        if let Some(id) = removed {
            self.email_domain_audit(&mut tx, Action::EmailDomainRemoved, id, domain).await?;
            tx.commit().await?;
            return Ok(Ok(()));
        }
        let found = sqlx::query_scalar("SELECT enforced_at IS NOT NULL FROM email_domains WHERE tenant_id = $1 AND domain = $2");
        let is_enforced: Option<bool> = found.bind(tenant).bind(domain.as_str()).fetch_optional(&mut *tx).await?;
        Ok(Err(match is_enforced {
            None => NotRemoved::Missing,
            Some(true) => NotRemoved::Enforced,
            Some(false) => NotRemoved::JustMailed,
        }))
    }

    async fn email_domain_audit(
        &self,
        tx: &mut sqlx::Transaction<'static, sqlx::Postgres>,
        action: Action,
        id: Uuid,
        domain: &EmailDomain,
    ) -> Result<(), StoreError> {
        let detail = serde_json::json!({"domain": domain.as_str()}).to_string();
        audit_each(tx, self.scope(), action, "email_domain", &[id], &[Some(&detail)]).await
    }
}
