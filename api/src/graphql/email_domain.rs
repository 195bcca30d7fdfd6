//! The domains of mail addresses that are the tenant's own: proven by a code that is mailed to whoever answers for the domain's mail, and then enforced.

use async_graphql::{Context, Enum, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use domain::identity_provider::EmailDomain;
use domain::permission::Permission;
use infra::postgres::TenantStore;
use infra::postgres::email_domain::{EMAIL_DOMAINS_MAX, NotAdded, NotEnforced, NotRemoved, OwnDomain};

use super::error::{Code, UserError, UserErrorCode, fail, internal, state, viewer, within};
use super::invitation::MailFailureNode;
use super::page::cost;
use super::session::caller;
use crate::{auth, quota};

const CODE_HOURS: i64 = 24;

/// Who answers for a domain's mail: both names are kept from ordinary people.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum EmailDomainMailbox {
    /// `postmaster@…`, which every domain with mail has (RFC 5321).
    Postmaster,
    /// `admin@…`
    Admin,
}

impl EmailDomainMailbox {
    fn at(self, domain: &EmailDomain) -> String {
        let name = match self {
            Self::Postmaster => "postmaster",
            Self::Admin => "admin",
        };
        format!("{name}@{domain}")
    }
}

/// A domain that the tenant says is its own.
#[derive(SimpleObject)]
#[graphql(name = "EmailDomain")]
struct EmailDomainNode {
    /// `example.com`; a name beneath it is another one.
    domain: String,
    added_at: DateTime<Utc>,
    /// When a code was last mailed there.
    mailed_at: Option<DateTime<Utc>>,
    /// Since when it is known to be the tenant's: people with an address there are found by it.
    proven_at: Option<DateTime<Utc>>,
    /// Since when people with an address there get into this tenant by its provider only; null where a password does.
    enforced_at: Option<DateTime<Utc>>,
    /// Why the last code was not mailed yet; null where it was, or is about to be.
    mail_failure: Option<MailFailureNode>,
}

impl From<OwnDomain> for EmailDomainNode {
    fn from(own: OwnDomain) -> Self {
        let OwnDomain { domain, added_at, mailed_at, proven_at, enforced_at, mail_failure } = own;
        Self { domain, added_at, mailed_at, proven_at, enforced_at, mail_failure: mail_failure.map(Into::into) }
    }
}

#[derive(SimpleObject)]
struct EmailDomainPayload {
    email_domain: Option<EmailDomainNode>,
    user_errors: Vec<UserError>,
}

fn refuse(field: &str, code: UserErrorCode, message: impl Into<String>) -> EmailDomainPayload {
    EmailDomainPayload { email_domain: None, user_errors: vec![UserError::new(field, code, message)] }
}

fn no_name() -> EmailDomainPayload {
    refuse("domain", UserErrorCode::Invalid, "a domain is written like example.com, in ASCII letters, digits, hyphens and dots")
}

fn missing() -> EmailDomainPayload {
    refuse("domain", UserErrorCode::NotFound, "there is no such domain; add it with emailDomainAdd")
}

#[derive(Default)]
pub struct EmailDomainQuery;

#[Object]
impl EmailDomainQuery {
    /// The tenant's own domains, by name; at most 50.
    #[graphql(complexity = "cost(Some(50), child_complexity)")]
    async fn email_domains(&self, ctx: &Context<'_>) -> Result<Vec<EmailDomainNode>> {
        let domains = within(ctx, Permission::ManageMembers, async |store| store.email_domains().await).await?;
        Ok(domains.into_iter().map(Into::into).collect())
    }
}

#[derive(Default)]
pub struct EmailDomainMutation;

#[Object]
impl EmailDomainMutation {
    /// Says that a domain is the tenant's own; at most 50. Nothing follows from it until it is proven.
    async fn email_domain_add(&self, ctx: &Context<'_>, domain: String) -> Result<EmailDomainPayload> {
        let Some(domain) = EmailDomain::parse(&domain) else { return Ok(no_name()) };
        let add = async |store: TenantStore<'_>| store.email_domain_add(&domain).await;
        match within(ctx, Permission::ManageMembers, add).await? {
            Ok(()) => shown(ctx, &domain).await,
            Err(NotAdded::Taken) => Ok(refuse("domain", UserErrorCode::Taken, "it is among the tenant's domains already")),
            Err(NotAdded::TooMany) => {
                let message = format!("a tenant has {EMAIL_DOMAINS_MAX} domains at most; take one away first");
                Ok(refuse("domain", UserErrorCode::TooMany, message))
            }
        }
    }

    /// Mails a code to whoever answers for the domain's mail. It is good for a day; one goes to a domain in ten minutes, and five to all of them in an hour.
    async fn email_domain_code_send(
        &self,
        ctx: &Context<'_>,
        domain: String,
        #[graphql(default_with = "EmailDomainMailbox::Postmaster")] mailbox: EmailDomainMailbox,
    ) -> Result<EmailDomainPayload> {
        let Some(domain) = EmailDomain::parse(&domain) else { return Ok(no_name()) };
        let mailing = &state(ctx).mailing;
        if !mailing.is_set_up() {
            let message = "this installation sends no mail; whoever runs it can set up a mail server (CROSSDOCK_SMTP_URL)";
            return Ok(refuse("domain", UserErrorCode::Blocked, message));
        }
        let viewer = viewer(ctx)?;
        let (code, code_hash) = auth::new_token();
        let expires_at = Utc::now() + Duration::hours(CODE_HOURS);
        let tenant = viewer.membership().map_or("a tenant", |membership| membership.name.as_str());
        let mail = mailing.domain_code(&mailbox.at(&domain), domain.as_str(), tenant, &code.into(), expires_at);
        let mail = mail.map_err(|error| internal(ctx, &error.into()))?;
        let keep = async |store: TenantStore<'_>| store.email_domain_code(&domain, &code_hash, expires_at, &mail).await;
        if !within(ctx, Permission::ManageMembers, keep).await? {
            let known = within(ctx, Permission::ManageMembers, async |store| store.email_domains().await).await?;
            if !known.iter().any(|own| own.domain == domain.as_str()) {
                return Ok(missing());
            }
            let message =
                "a code was mailed there within the last ten minutes, or five to the tenant's domains within the last hour; wait";
            return Ok(refuse("domain", UserErrorCode::TooMany, message));
        }
        shown(ctx, &domain).await
    }

    /// Proves a domain by the code that was mailed there.
    async fn email_domain_prove(&self, ctx: &Context<'_>, domain: String, code: String) -> Result<EmailDomainPayload> {
        let Some(domain) = EmailDomain::parse(&domain) else { return Ok(no_name()) };
        if !quota::of_step(state(ctx), caller(ctx)).await.is_granted {
            return Err(fail(Code::RateLimited, "too many tries from here; wait a minute and try again"));
        }
        let code_hash = auth::hashed(code.trim());
        let prove = async |store: TenantStore<'_>| store.email_domain_prove(&domain, &code_hash).await;
        if !within(ctx, Permission::ManageMembers, prove).await? {
            let message =
                "this is not the code that was mailed there last, or it is older than a day; send another (emailDomainCodeSend)";
            return Ok(refuse("code", UserErrorCode::Invalid, message));
        }
        shown(ctx, &domain).await
    }

    /// From now on people with an address there get into this tenant by its provider only, those too who are signed in by password; but for owners with a
    /// second factor, who get in where the provider is away.
    async fn email_domain_enforce(&self, ctx: &Context<'_>, domain: String) -> Result<EmailDomainPayload> {
        enforce(ctx, &domain, true).await
    }

    /// Lets people with an address there sign in by password again.
    async fn email_domain_release(&self, ctx: &Context<'_>, domain: String) -> Result<EmailDomainPayload> {
        enforce(ctx, &domain, false).await
    }

    /// Takes a domain away. Whoever came in by it stays.
    async fn email_domain_remove(&self, ctx: &Context<'_>, domain: String) -> Result<EmailDomainPayload> {
        let Some(domain) = EmailDomain::parse(&domain) else { return Ok(no_name()) };
        let remove = async |store: TenantStore<'_>| store.email_domain_remove(&domain).await;
        Ok(match within(ctx, Permission::ManageMembers, remove).await? {
            Ok(()) => EmailDomainPayload { email_domain: None, user_errors: vec![] },
            Err(NotRemoved::Missing) => missing(),
            Err(NotRemoved::Enforced) => {
                refuse("domain", UserErrorCode::Blocked, "it is enforced; let it go first (emailDomainRelease)")
            }
            Err(NotRemoved::JustMailed) => {
                refuse("domain", UserErrorCode::Blocked, "a code was mailed there within the hour; take it away later")
            }
        })
    }
}

async fn enforce(ctx: &Context<'_>, domain: &str, is_wanted: bool) -> Result<EmailDomainPayload> {
    let Some(domain) = EmailDomain::parse(domain) else { return Ok(no_name()) };
    let enforce = async |store: TenantStore<'_>| store.email_domain_enforce(&domain, is_wanted).await;
    let blocked = |message: &str| Ok(refuse("domain", UserErrorCode::Blocked, message));
    match within(ctx, Permission::ManageMembers, enforce).await? {
        Ok(()) => shown(ctx, &domain).await,
        Err(NotEnforced::Missing) => Ok(missing()),
        Err(NotEnforced::NotProven) => blocked("prove first that the domain is yours (emailDomainCodeSend, emailDomainProve)"),
        Err(NotEnforced::NoProvider) => blocked("set the provider first (identityProviderSet)"),
        Err(NotEnforced::NoBreakGlass) => blocked(
            "nobody could get in where the provider does not answer: an owner sets up a second factor first (secondFactorBegin)",
        ),
        Err(NotEnforced::OwnersLeftOut) => blocked(
            "an owner with an address there could not get in any more: each sets up a second factor first, or a group of the provider gives OWNER",
        ),
    }
}

async fn shown(ctx: &Context<'_>, domain: &EmailDomain) -> Result<EmailDomainPayload> {
    let domains = within(ctx, Permission::ManageMembers, async |store| store.email_domains().await).await?;
    let found = domains.into_iter().find(|own| own.domain == domain.as_str()).map(Into::into);
    Ok(EmailDomainPayload { email_domain: found, user_errors: vec![] })
}
