//! Invitations: how somebody becomes a member.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Duration, Utc};
use domain::id::InvitationId;
use domain::permission::{Permission, Role};
use infra::mail::check_addresses;
use infra::postgres::invitation::{INVITATIONS_MAX, Invitation, NewInvitation, NotInvited, Refusal};
use infra::postgres::mail::MailFailure;

use super::error::{Code, UserError, UserErrorCode, fail, internal, state, viewer, within};
use super::member::MemberRole;
use super::page::{cost, uuid};
use super::session::{SIGN_IN_COST, caller, sign_in_refused};
use crate::auth;
use crate::password::{self, PasswordError};

const DAYS: i64 = 7;

/// A place in the tenant that was offered to an address.
#[derive(SimpleObject)]
#[graphql(name = "Invitation")]
struct InvitationNode {
    id: ID,
    email: String,
    role: MemberRole,
    /// The person who invited.
    invited_by: ID,
    created_at: DateTime<Utc>,
    /// Seven days later.
    expires_at: DateTime<Utc>,
    accepted_at: Option<DateTime<Utc>>,
    withdrawn_at: Option<DateTime<Utc>>,
    /// Why its link is refused, though it was neither taken nor withdrawn: it has expired, or whoever invited may not give its role any more. To invite the
    /// address again takes its place. Null while it can be taken.
    refusal: Option<String>,
    /// Why it was not mailed yet; null where it was, is about to be, or its link was handed on by another way.
    mail_failure: Option<MailFailureNode>,
}

impl From<Invitation> for InvitationNode {
    fn from(invitation: Invitation) -> Self {
        Self {
            id: ID(invitation.id.to_string()),
            email: invitation.email,
            role: invitation.role.into(),
            invited_by: ID(invitation.invited_by.to_string()),
            created_at: invitation.created_at,
            expires_at: invitation.expires_at,
            accepted_at: invitation.accepted_at,
            withdrawn_at: invitation.withdrawn_at,
            refusal: invitation.refusal.map(|refusal| refused_because(refusal).to_owned()),
            mail_failure: invitation.mail_failure.map(Into::into),
        }
    }
}

fn refused_because(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Expired => "it has expired; invite the address again",
        Refusal::Inviter => "whoever invited has left or may not give this role any more; invite the address again",
    }
}

/// A mail that the mail server has not taken.
#[derive(SimpleObject)]
#[graphql(name = "MailFailure")]
pub(super) struct MailFailureNode {
    /// Why the last try failed.
    message: String,
    /// When it is tried again; null where it was given up: begin anew once the reason is gone.
    again_at: Option<DateTime<Utc>>,
}

impl From<MailFailure> for MailFailureNode {
    fn from(failure: MailFailure) -> Self {
        Self { message: failure.why, again_at: failure.again_at }
    }
}

/// What the holder of an invitation's token is invited to.
#[derive(SimpleObject)]
struct InvitationOffer {
    tenant_name: String,
    email: String,
    role: MemberRole,
    /// The address has an account already: it is taken with that account's password.
    has_account: bool,
}

#[derive(SimpleObject)]
struct InvitationPayload {
    invitation: Option<InvitationNode>,
    /// Where no mail server is set up: the address to hand on by another way. Whoever has it can accept.
    link: Option<String>,
    user_errors: Vec<UserError>,
}

#[derive(InputObject)]
struct InvitationAcceptInput {
    token: String,
    /// Of a person without an account: what the others see; at most 200 characters.
    #[graphql(default)]
    name: String,
    /// Of a person without an account: the one to sign in with, 12 to 1,024 bytes. Else the account's own.
    password: String,
}

#[derive(SimpleObject)]
struct InvitationAcceptPayload {
    accepted: bool,
    user_errors: Vec<UserError>,
}

fn refuse(field: &str, code: UserErrorCode, message: impl Into<String>) -> InvitationPayload {
    InvitationPayload { invitation: None, link: None, user_errors: vec![UserError::new(field, code, message)] }
}

#[derive(Default)]
pub struct InvitationQuery;

#[Object]
impl InvitationQuery {
    /// The tenant's invitations, the newest first, those that are over too; at most 500.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn invitations(&self, ctx: &Context<'_>) -> Result<Vec<InvitationNode>> {
        let invitations = within(ctx, Permission::ManageMembers, async |store| store.invitations().await).await?;
        Ok(invitations.into_iter().map(Into::into).collect())
    }

    /// What the holder of this token is invited to; null where it is over.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn invitation(&self, ctx: &Context<'_>, token: String) -> Result<Option<InvitationOffer>> {
        let offer = state(ctx).store.invitation_find(&auth::hashed(&token)).await.map_err(|error| internal(ctx, &error))?;
        Ok(offer.map(|offer| InvitationOffer {
            tenant_name: offer.tenant_name,
            email: offer.email,
            role: offer.role.into(),
            has_account: offer.account.is_some(),
        }))
    }
}

#[derive(Default)]
pub struct InvitationMutation;

#[Object]
impl InvitationMutation {
    /// Offers a place in the tenant to an address, for seven days; at most 100 wait at once. It takes the place of one to the same address that nobody can
    /// take any more. Only an owner invites an owner.
    async fn invitation_create(&self, ctx: &Context<'_>, email: String, role: MemberRole) -> Result<InvitationPayload> {
        let viewer = viewer(ctx)?;
        let (user, _) = viewer.person()?;
        let (email, role) = (email.trim(), Role::from(role));
        if role == Role::Owner && !viewer.may(Permission::ManageOwners) {
            return Err(fail(Code::Forbidden, "only an owner invites an owner"));
        }
        if email.len() > auth::EMAIL_BYTES_MAX || email.contains(',') || check_addresses(email).is_err() {
            return Ok(refuse("email", UserErrorCode::Invalid, "this is no mail address"));
        }
        let mailing = &state(ctx).mailing;
        let (token, token_hash) = auth::new_token();
        let (token, expires_at) = (token.into(), Utc::now() + Duration::days(DAYS));
        let tenant = viewer.membership().map_or("a tenant", |membership| membership.name.as_str());
        let mail = match mailing.is_set_up() {
            true => {
                Some(mailing.invitation(email, tenant, role, &token, expires_at).map_err(|error| internal(ctx, &error.into()))?)
            }
            false => None,
        };
        let new = NewInvitation { email, role, token_hash: &token_hash, mail: mail.as_ref(), invited_by: user, expires_at };
        let made = match within(ctx, Permission::ManageMembers, async |store| store.invitation_create(&new).await).await? {
            Ok(made) => made,
            Err(NotInvited::Member) => return Ok(refuse("email", UserErrorCode::Taken, "this person is a member already")),
            Err(NotInvited::Invited) => {
                let message = "this address is invited already; withdraw that invitation to send another";
                return Ok(refuse("email", UserErrorCode::Taken, message));
            }
            Err(NotInvited::TooMany) => {
                let message = format!("{INVITATIONS_MAX} invitations wait already; withdraw one");
                return Ok(refuse("email", UserErrorCode::TooMany, message));
            }
        };
        let link = mail.is_none().then(|| mailing.invitation_link(&token));
        Ok(InvitationPayload { invitation: Some(made.into()), link, user_errors: vec![] })
    }

    /// Takes an offer back: its link is worth nothing from then on.
    async fn invitation_withdraw(&self, ctx: &Context<'_>, id: ID) -> Result<InvitationPayload> {
        let missing = || refuse("id", UserErrorCode::NotFound, "there is no such invitation, or it is over");
        let Some(id) = uuid::<InvitationId>(&id).map(InvitationId) else { return Ok(missing()) };
        if !within(ctx, Permission::ManageMembers, async |store| store.invitation_withdraw(id).await).await? {
            return Ok(missing());
        }
        let invitations = within(ctx, Permission::ManageMembers, async |store| store.invitations().await).await?;
        let invitation = invitations.into_iter().find(|invitation| invitation.id == id).map(Into::into);
        Ok(InvitationPayload { invitation, link: None, user_errors: vec![] })
    }

    /// Takes an invitation, once. A person without an account gets one; sign in with `sessionOpen` then.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn invitation_accept(&self, ctx: &Context<'_>, input: InvitationAcceptInput) -> Result<InvitationAcceptPayload> {
        let refuse = |field: &str, code, message: &str| {
            Ok(InvitationAcceptPayload { accepted: false, user_errors: vec![UserError::new(field, code, message)] })
        };
        let over = "the invitation was taken, withdrawn, or has expired; ask for another one";
        let (state, caller) = (state(ctx), caller(ctx));
        if input.name.chars().count() > 200 {
            return refuse("name", UserErrorCode::Invalid, "a name has 200 characters at most");
        }
        let token_hash = auth::hashed(&input.token);
        auth::try_of(state, caller, &token_hash).await.map_err(|error| sign_in_refused(ctx, error))?;
        let offer = state.store.invitation_find(&token_hash).await.map_err(|error| internal(ctx, &error))?;
        let Some(offer) = offer else { return refuse("token", UserErrorCode::NotFound, over) };
        let hash = if offer.account.is_some() {
            match auth::check(state, caller, &offer.email, input.password.into()).await {
                Ok(Some(_)) => String::new(),
                Ok(None) => return refuse("password", UserErrorCode::SignInRefused, "this is not the password of your account"),
                Err(error) => return Err(sign_in_refused(ctx, error)),
            }
        } else {
            match password::hash(input.password.into()).await {
                Ok(hash) => hash,
                Err(error @ PasswordError::Length) => return refuse("password", UserErrorCode::Invalid, &error.to_string()),
                Err(error) => return Err(fail(Code::RateLimited, &error.to_string())),
            }
        };
        // An account that was made meanwhile would be joined without its password.
        let taken = async {
            match state.store.invitation_find(&token_hash).await? {
                Some(now) if now.account.is_some() == offer.account.is_some() => {
                    state.store.invitation_accept(&token_hash, input.name.trim(), &hash, caller.request).await
                }
                _ => Ok(None),
            }
        };
        match taken.await.map_err(|error| internal(ctx, &error))? {
            Some(_) => Ok(InvitationAcceptPayload { accepted: true, user_errors: vec![] }),
            None => refuse("token", UserErrorCode::NotFound, over),
        }
    }
}
