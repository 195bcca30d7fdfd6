//! What comes before an impersonation: the staff ask, and the tenant's owners and admins say what support may do there, once or until they say otherwise.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{SupportConsentId, SupportRequestId};
use domain::impersonation;
use domain::permission::Permission;
use infra::postgres::mail::SealedMail;
use infra::postgres::support::{Errand, SupportConsent, SupportRefusal, SupportRequest, Told};
use infra::vault::VaultError;

use super::error::{UserError, UserErrorCode, internal, state, viewer, within};
use super::impersonation::{RunningImpersonation, StaffPerson};
use super::page::{cost, uuid};
use crate::mailing::SupportNews;

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum SupportRequestState {
    /// For an answer, for 24 hours.
    Waiting,
    /// It can be begun, once, within 24 hours.
    Allowed,
    /// It was begun.
    Used,
    Refused,
    /// It was allowed, and that was taken back.
    Withdrawn,
    /// Nobody answered in time, or nobody came in time.
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq, Enum)]
enum SupportConsentState {
    Active,
    /// By one of the staff, once: it is good for no other.
    Used,
    Withdrawn,
    /// Its time is over.
    Over,
}

/// What somebody of the staff asks: to be let in.
#[derive(SimpleObject)]
#[graphql(name = "SupportRequest")]
pub struct SupportRequestNode {
    id: ID,
    /// The tenant's name.
    tenant: String,
    tenant_slug: String,
    staff: StaffPerson,
    reason: String,
    ticket: String,
    /// They want to change something, as an operator may.
    wants_write: bool,
    state: SupportRequestState,
    asked_at: DateTime<Utc>,
    /// When it is over if nobody answers: 24 hours after it was asked.
    expires_at: DateTime<Utc>,
    answered_at: Option<DateTime<Utc>>,
    /// Who answered; the staff are not told.
    answered_by: Option<ID>,
    /// What was allowed, where something was.
    may_write: Option<bool>,
    /// Until when it must be begun, where it was allowed.
    use_until: Option<DateTime<Utc>>,
    /// What came of it, where it was allowed: to be withdrawn by.
    consent_id: Option<ID>,
}

impl SupportRequestNode {
    fn new(request: SupportRequest, now: DateTime<Utc>) -> Self {
        let consent = request.consent.as_ref();
        let state = match (request.is_allowed, consent.map(|consent| state_of(consent, now))) {
            (None, _) if request.expires_at > now => SupportRequestState::Waiting,
            (Some(true), Some(SupportConsentState::Active)) => SupportRequestState::Allowed,
            (Some(true), Some(SupportConsentState::Used)) => SupportRequestState::Used,
            (Some(true), Some(SupportConsentState::Withdrawn)) => SupportRequestState::Withdrawn,
            (Some(false), _) => SupportRequestState::Refused,
            (None | Some(true), _) => SupportRequestState::Over,
        };
        Self {
            id: ID(request.id.to_string()),
            tenant: request.tenant_name,
            tenant_slug: request.tenant_slug,
            staff: StaffPerson { name: request.staff_name, email: request.staff_email },
            reason: request.reason,
            ticket: request.ticket,
            wants_write: request.wants_write,
            state,
            asked_at: request.asked_at,
            expires_at: request.expires_at,
            answered_at: request.answered_at,
            answered_by: request.answered_by.map(|user| ID(user.to_string())),
            may_write: consent.map(|consent| consent.may_write),
            use_until: consent.and_then(|consent| consent.until),
            consent_id: consent.map(|consent| ID(consent.id.to_string())),
        }
    }
}

/// That the tenant lets support in.
#[derive(SimpleObject)]
#[graphql(name = "SupportConsent")]
struct SupportConsentNode {
    id: ID,
    /// What it answers; null where it stands for all of the staff.
    request_id: Option<ID>,
    /// What an operator writes is allowed, too; else nothing is changed.
    may_write: bool,
    state: SupportConsentState,
    /// The person who gave it.
    given_by: ID,
    given_at: DateTime<Utc>,
    /// Null: until it is withdrawn.
    until: Option<DateTime<Utc>>,
    used_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
    /// The person who withdrew it.
    ended_by: Option<ID>,
}

fn state_of(consent: &SupportConsent, now: DateTime<Utc>) -> SupportConsentState {
    let is_over = consent.until.is_some_and(|until| until <= now);
    match (consent.ended_by, consent.used_at) {
        (Some(_), _) => SupportConsentState::Withdrawn,
        (None, Some(_)) => SupportConsentState::Used,
        (None, None) if is_over || consent.ended_at.is_some() => SupportConsentState::Over,
        (None, None) => SupportConsentState::Active,
    }
}

impl SupportConsentNode {
    fn new(consent: &SupportConsent, now: DateTime<Utc>) -> Self {
        Self {
            id: ID(consent.id.to_string()),
            request_id: consent.request.map(|request| ID(request.to_string())),
            may_write: consent.may_write,
            state: state_of(consent, now),
            given_by: ID(consent.given_by.to_string()),
            given_at: consent.given_at,
            until: consent.until,
            used_at: consent.used_at,
            ended_at: consent.ended_at,
            ended_by: consent.ended_by.map(|user| ID(user.to_string())),
        }
    }
}

/// What one of the staff has asked and begun.
#[derive(SimpleObject)]
struct SupportDesk {
    /// Your own, of whichever tenant, the newest first; at most 100.
    requests: Vec<SupportRequestNode>,
    /// Your impersonation that runs; `impersonationResume` gives a token of it.
    running: Option<RunningImpersonation>,
}

#[derive(InputObject)]
struct SupportRequestCreateInput {
    /// Its id or slug.
    tenant: String,
    /// Why; the tenant reads it. At most 500 characters.
    reason: String,
    /// As your help desk knows it, at most 100 characters.
    ticket: String,
    /// To change something, as an operator may.
    #[graphql(default = false)]
    may_write: bool,
}

#[derive(SimpleObject)]
struct SupportRequestPayload {
    support_request: Option<SupportRequestNode>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct SupportConsentPayload {
    support_consent: Option<SupportConsentNode>,
    user_errors: Vec<UserError>,
}

fn no_request(error: UserError) -> SupportRequestPayload {
    SupportRequestPayload { support_request: None, user_errors: vec![error] }
}

fn no_consent(field: &str, code: UserErrorCode, message: &str) -> SupportConsentPayload {
    SupportConsentPayload { support_consent: None, user_errors: vec![UserError::new(field, code, message)] }
}

#[derive(Default)]
pub struct SupportQuery;

#[Object]
impl SupportQuery {
    /// Whether support in your place sees what tells of a person in records and payloads; it does not until an owner or admin says so.
    async fn support_sees_personal_data(&self, ctx: &Context<'_>) -> Result<bool> {
        within(ctx, Permission::ReadAudit, async |store| store.support_sees_personal().await).await
    }

    /// What you have asked tenants as one of the staff, and what runs.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn support_desk(&self, ctx: &Context<'_>) -> Result<SupportDesk> {
        let (user, _) = viewer(ctx)?.person()?;
        let store = &state(ctx).store;
        let requests = store.support_requests_of(user).await.map_err(|error| internal(ctx, &error))?;
        let running = store.impersonation_running(user).await.map_err(|error| internal(ctx, &error))?;
        let now = Utc::now();
        // Who of the tenant answered is the tenant's own.
        let own = |request| SupportRequestNode { answered_by: None, ..SupportRequestNode::new(request, now) };
        Ok(SupportDesk { requests: requests.into_iter().map(own).collect(), running: running.as_ref().map(Into::into) })
    }

    /// What support has asked of the tenant, the newest first; at most 500.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn support_requests(&self, ctx: &Context<'_>) -> Result<Vec<SupportRequestNode>> {
        let requests = within(ctx, Permission::ReadAudit, async |store| store.support_requests().await).await?;
        let now = Utc::now();
        Ok(requests.into_iter().map(|request| SupportRequestNode::new(request, now)).collect())
    }

    /// What the tenant has allowed support, the newest first, what is over too; at most 500.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn support_consents(&self, ctx: &Context<'_>) -> Result<Vec<SupportConsentNode>> {
        let consents = within(ctx, Permission::ReadAudit, async |store| store.support_consents().await).await?;
        let now = Utc::now();
        Ok(consents.iter().map(|consent| SupportConsentNode::new(consent, now)).collect())
    }
}

#[derive(SimpleObject)]
struct SupportPersonalDataPayload {
    is_shown: bool,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SupportMutation;

#[Object]
impl SupportMutation {
    /// Asks a tenant to let you in, once. Its owners and admins are told by mail, and have 24 hours to answer; one request of yours waits at a tenant at a
    /// time.
    #[graphql(complexity = "100 + child_complexity")]
    async fn support_request_create(&self, ctx: &Context<'_>, input: SupportRequestCreateInput) -> Result<SupportRequestPayload> {
        let viewer = viewer(ctx)?;
        let (user, _) = viewer.person()?;
        let (tenant, reason, ticket) = (input.tenant.trim(), input.reason.trim(), input.ticket.trim());
        if let Some(error) = wrong(reason, ticket) {
            return Ok(no_request(error));
        }
        let errand = Errand { user, tenant, reason, ticket, may_write: input.may_write };
        let store = &state(ctx).store;
        let made = store.support_request_create(&errand, viewer.request, &|told| writer(ctx, &errand, told)).await;
        let id = match made.map_err(|error| internal(ctx, &error))? {
            Ok(id) => id,
            Err(why) => return Ok(no_request(refusal(why))),
        };
        let own = store.support_requests_of(user).await.map_err(|error| internal(ctx, &error))?;
        let made = own.into_iter().find(|request| request.id == id).map(|request| SupportRequestNode::new(request, Utc::now()));
        Ok(SupportRequestPayload { support_request: made, user_errors: vec![] })
    }

    /// Lets whoever asked in, once and within 24 hours, or does not. With `mayWrite` they may change what an operator may; else they read.
    async fn support_request_answer(
        &self,
        ctx: &Context<'_>,
        id: ID,
        is_allowed: bool,
        #[graphql(default = false)] may_write: bool,
    ) -> Result<SupportRequestPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let missing = || {
            let message = "there is no such request, or it was answered, or it is over; `supportRequests` lists them";
            Ok(no_request(UserError::new("id", UserErrorCode::NotFound, message)))
        };
        let Some(id) = uuid::<SupportRequestId>(&id).map(SupportRequestId) else { return missing() };
        let answer = async |store: infra::postgres::TenantStore<'_>| {
            store.support_request_answer(id, user, is_allowed, is_allowed && may_write).await
        };
        if !within(ctx, Permission::ManageSupport, answer).await? {
            return missing();
        }
        let all = within(ctx, Permission::ManageSupport, async |store| store.support_requests().await).await?;
        let answered = all.into_iter().find(|request| request.id == id);
        let support_request = answered.map(|request| SupportRequestNode::new(request, Utc::now()));
        Ok(SupportRequestPayload { support_request, user_errors: vec![] })
    }

    /// Lets all of the staff in, each for an hour at a time and for a reason that they say: until `until`, or until it is withdrawn. It takes the place of
    /// the consent that stood before, and what began by that ends.
    async fn support_consent_give(
        &self,
        ctx: &Context<'_>,
        may_write: bool,
        until: Option<DateTime<Utc>>,
    ) -> Result<SupportConsentPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        if until.is_some_and(|until| until <= Utc::now()) {
            return Ok(no_consent("until", UserErrorCode::Invalid, "it ends in the future, or, left out, when you withdraw it"));
        }
        let give = async |store: infra::postgres::TenantStore<'_>| store.support_consent_give(user, may_write, until).await;
        match within(ctx, Permission::ManageSupport, give).await? {
            Some(id) => consent(ctx, id).await,
            None => Ok(no_consent("until", UserErrorCode::Changed, "somebody else gave one in this moment; look at that first")),
        }
    }

    /// Takes a consent back: what support has begun by it ends at once.
    async fn support_consent_withdraw(&self, ctx: &Context<'_>, id: ID) -> Result<SupportConsentPayload> {
        let (user, _) = viewer(ctx)?.person()?;
        let missing = "there is no such consent, or it is over; `supportConsents` lists them";
        let missing = || Ok(no_consent("id", UserErrorCode::NotFound, missing));
        let Some(id) = uuid::<SupportConsentId>(&id).map(SupportConsentId) else { return missing() };
        let withdraw = async |store: infra::postgres::TenantStore<'_>| store.support_consent_withdraw(id, user).await;
        if within(ctx, Permission::ManageSupport, withdraw).await? { consent(ctx, id).await } else { missing() }
    }

    /// Shows support in your place what tells of a person in records and payloads, or hides it again, from its next request on.
    async fn support_personal_data_set(&self, ctx: &Context<'_>, is_shown: bool) -> Result<SupportPersonalDataPayload> {
        within(ctx, Permission::ManageSupport, async |store| store.support_sees_personal_set(is_shown).await).await?;
        Ok(SupportPersonalDataPayload { is_shown, user_errors: vec![] })
    }
}

async fn consent(ctx: &Context<'_>, id: SupportConsentId) -> Result<SupportConsentPayload> {
    let all = within(ctx, Permission::ManageSupport, async |store| store.support_consents().await).await?;
    let now = Utc::now();
    let support_consent = all.iter().find(|consent| consent.id == id).map(|consent| SupportConsentNode::new(consent, now));
    Ok(SupportConsentPayload { support_consent, user_errors: vec![] })
}

/// What is wrong with what the staff say of why they come.
pub(super) fn wrong(reason: &str, ticket: &str) -> Option<UserError> {
    let (field, message) = impersonation::check(reason, ticket).err()?;
    Some(UserError::new(&format!("input.{field}"), UserErrorCode::Invalid, message))
}

/// Why support may not do what it wants to, as it is told.
pub(super) fn refusal(why: SupportRefusal) -> UserError {
    let (field, code, message) = match why {
        SupportRefusal::NotStaff => ("input", UserErrorCode::Blocked, "you are no staff of this installation any more"),
        SupportRefusal::NoSecondFactor => {
            ("input", UserErrorCode::Blocked, "support needs a second factor; set yours up first (secondFactorBegin)")
        }
        SupportRefusal::NoTenant => ("input.tenant", UserErrorCode::NotFound, "no tenant has this id or slug"),
        SupportRefusal::Waits => {
            ("input.tenant", UserErrorCode::Taken, "you have asked this tenant already; it has 24 hours to answer")
        }
        SupportRefusal::Often => {
            let message = "you have asked this tenant three times within a day, and were not let in; ask it another way";
            ("input.tenant", UserErrorCode::TooMany, message)
        }
        SupportRefusal::Runs => {
            ("input", UserErrorCode::Blocked, "an impersonation of yours runs; leave it first (impersonationLeave)")
        }
        SupportRefusal::NoConsent => {
            ("input.tenant", UserErrorCode::Blocked, "the tenant does not let support in; ask it (supportRequestCreate)")
        }
        SupportRefusal::ReadOnly => {
            let message =
                "the tenant lets support read and change nothing; begin without mayWrite, or ask it (supportRequestCreate)";
            ("input.mayWrite", UserErrorCode::Blocked, message)
        }
    };
    UserError::new(field, code, message)
}

/// What a tenant's owners and admins are mailed of an errand.
pub(super) fn writer(ctx: &Context<'_>, errand: &Errand<'_>, told: &Told) -> std::result::Result<Vec<SealedMail>, VaultError> {
    let Errand { reason, ticket, may_write, .. } = *errand;
    state(ctx).mailing.support(told, SupportNews { reason, ticket, may_write })
}
