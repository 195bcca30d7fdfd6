//! Signing in and out, who one is, and where else one is signed in.

use async_graphql::{ComplexObject, Context, ErrorExtensions, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};
use domain::id::{SessionId, TenantId};
use domain::permission::Permission;

use super::api_key::PermissionName;
use super::error::{Code, UserError, UserErrorCode, fail, internal, state, viewer};
use super::impersonation::RunningImpersonation;
use super::page::{cost, uuid};
use crate::auth::{self, Caller, Identity, SignIn, SignInError};
use crate::quota;
use crate::second_factor::Proof;

/// What signing in costs of a request's complexity: two fit into one, so that a request is no list of guesses.
pub(super) const SIGN_IN_COST: usize = 2_000;

/// Who asks: a person, an API key, or somebody of the staff in the place of a tenant.
#[derive(SimpleObject)]
#[graphql(complex)]
pub struct ViewerNode {
    /// The person's or the key's.
    id: ID,
    /// The tenants they are a member of; a key is a member of none, and neither are the staff in the place of a tenant.
    memberships: Vec<MembershipNode>,
    /// What they may do in the tenant that this request is about.
    permissions: Vec<PermissionName>,
    /// Where this is support in the place of a tenant: what everybody who looks at the screen has to know. Null for all others.
    impersonation: Option<RunningImpersonation>,
}

#[ComplexObject]
impl ViewerNode {
    /// They are staff of this installation, who may ask tenants to be let in (`supportDesk`). False while they are in the place of one.
    #[graphql(complexity = "10")]
    async fn is_staff(&self, ctx: &Context<'_>) -> Result<bool> {
        let Identity::Person { user, .. } = &viewer(ctx)?.identity else { return Ok(false) };
        state(ctx).store.is_staff(*user).await.map_err(|error| internal(ctx, &error))
    }
}

#[derive(SimpleObject)]
#[graphql(name = "Membership")]
pub struct MembershipNode {
    tenant: super::tenant::TenantNode,
    /// owner, admin, operator, developer, auditor or billing.
    role: String,
    /// The tenant demands a second factor of them: until they have set one up (`secondFactorBegin`), nothing else of it is theirs.
    needs_second_factor: bool,
}

/// What a sign-in gives.
#[derive(SimpleObject)]
#[graphql(name = "Session")]
pub struct SessionNode {
    /// Goes into the header `Authorization: Bearer …`. Lives ten minutes.
    access_token: String,
    access_expires_at: DateTime<Utc>,
    /// Trade it with `sessionRefresh` before the access token ends. Works once, lives thirty days.
    refresh_token: String,
    refresh_expires_at: DateTime<Utc>,
}

impl From<auth::Session> for SessionNode {
    fn from(session: auth::Session) -> Self {
        Self {
            access_token: session.access_token,
            access_expires_at: session.access_expires_at,
            refresh_token: session.refresh_token,
            refresh_expires_at: session.refresh_expires_at,
        }
    }
}

#[derive(InputObject)]
struct SessionOpenInput {
    email: String,
    /// 12 to 1,024 bytes.
    password: String,
    /// Of the second factor: what the app shows, or a recovery code. Asked for by the code SECOND_FACTOR_NEEDED. A passkey is shown in a browser only
    /// (`POST /session/open`).
    code: Option<String>,
}

#[derive(SimpleObject)]
struct SessionPayload {
    session: Option<SessionNode>,
    user_errors: Vec<UserError>,
}

#[derive(SimpleObject)]
struct SessionClosePayload {
    closed: bool,
}

/// One sign-in of yours that can still be used.
#[derive(SimpleObject)]
struct OpenSession {
    id: ID,
    opened_at: DateTime<Utc>,
    /// When it was opened or last refreshed: within ten minutes of when it was last used.
    last_used_at: DateTime<Utc>,
    /// What the program called itself when it signed in (`User-Agent`); at most 200 characters, and it may say anything.
    device: String,
    /// Whence it was last used: an address, or the network of one. Behind a proxy that is the proxy's.
    address: Option<String>,
    /// The one that asks.
    is_current: bool,
}

#[derive(SimpleObject)]
struct SessionRevokePayload {
    /// How many ended.
    count: i32,
    user_errors: Vec<UserError>,
}

#[derive(Default)]
pub struct SessionQuery;

#[Object]
impl SessionQuery {
    /// Who asks; null for a stranger.
    async fn viewer(&self, ctx: &Context<'_>) -> Option<ViewerNode> {
        let viewer = viewer(ctx).ok()?;
        let memberships = viewer.memberships().iter().map(|m| MembershipNode {
            tenant: super::tenant::TenantNode { id: ID(m.tenant.to_string()), slug: m.slug.clone(), name: m.name.clone() },
            role: m.role.to_string(),
            needs_second_factor: m.lacks_second_factor,
        });
        let id = match &viewer.identity {
            Identity::Person { user, .. } => user.to_string(),
            Identity::ApiKey(key) => key.id.to_string(),
            Identity::Impersonation(live) => live.user.to_string(),
        };
        let impersonation = match &viewer.identity {
            Identity::Impersonation(live) => Some(live.into()),
            Identity::Person { .. } | Identity::ApiKey(_) => None,
        };
        let permissions = Permission::ALL.into_iter().filter(|permission| viewer.may(*permission)).map(Into::into);
        Some(ViewerNode { id: ID(id), memberships: memberships.collect(), permissions: permissions.collect(), impersonation })
    }

    /// Your own sessions that can still be used, the last used one first; at most 100.
    #[graphql(complexity = "cost(Some(100), child_complexity)")]
    async fn sessions(&self, ctx: &Context<'_>) -> Result<Vec<OpenSession>> {
        let (user, current) = viewer(ctx)?.person()?;
        let sessions =
            state(ctx).store.sessions(user, vouched_for(ctx, current).await?).await.map_err(|error| internal(ctx, &error))?;
        let node = |session: infra::postgres::session::OpenSession| OpenSession {
            id: ID(session.id.to_string()),
            opened_at: session.opened_at,
            last_used_at: session.last_used_at,
            device: session.device,
            address: session.address,
            is_current: session.id == current,
        };
        Ok(sessions.into_iter().map(node).collect())
    }
}

#[derive(Default)]
pub struct SessionMutation;

#[Object]
impl SessionMutation {
    /// Signs in. An unknown address, a wrong password and an account that rests get the same answer; at most 10 tries a minute at one
    /// account and 60 in all from one network address, beyond which the error's code is RATE_LIMITED.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn session_open(&self, ctx: &Context<'_>, input: SessionOpenInput) -> Result<SessionPayload> {
        let proof = Proof { code: input.code.as_deref(), passkey: None };
        let ended = auth::sign_in(state(ctx), caller(ctx), &input.email, input.password.into(), proof).await;
        let ended = ended.map_err(|error| sign_in_refused(ctx, error))?;
        let refusal = ended.refusal().unwrap_or_default();
        let (field, code) = match ended {
            SignIn::Opened(session) => return Ok(SessionPayload { session: Some(session.into()), user_errors: vec![] }),
            SignIn::Refused => ("input", UserErrorCode::SignInRefused),
            SignIn::CodeNeeded(_) => ("input.code", UserErrorCode::SecondFactorNeeded),
            SignIn::CodeRefused(_) => ("input.code", UserErrorCode::SignInRefused),
            SignIn::Sso(_) => ("input", UserErrorCode::SsoNeeded),
        };
        Ok(SessionPayload { session: None, user_errors: vec![UserError::new(field, code, refusal)] })
    }

    /// Trades a refresh token for a new session. A token that comes twice ends the session for both who hold it; within ten seconds it may come again where the
    /// answer was lost.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn session_refresh(&self, ctx: &Context<'_>, refresh_token: String) -> Result<SessionPayload> {
        let session = auth::refresh(state(ctx), caller(ctx), &refresh_token).await.map_err(|error| internal(ctx, &error))?;
        let refusal = "the refresh token was used before, has expired or was revoked; sign in again";
        let refused = || vec![UserError::new("input", UserErrorCode::SignInRefused, refusal)];
        let user_errors = if session.is_some() { vec![] } else { refused() };
        Ok(SessionPayload { session: session.map(SessionNode::from), user_errors })
    }

    /// Ends this session at once, on every device that holds its tokens.
    async fn session_close(&self, ctx: &Context<'_>) -> Result<SessionClosePayload> {
        let viewer = viewer(ctx)?;
        let (user, session) = viewer.person()?;
        let closed = state(ctx).store.session_close(session, user, None, viewer.request).await;
        closed.map_err(|error| internal(ctx, &error))?;
        Ok(SessionClosePayload { closed: true })
    }

    /// Ends one of your own sessions at once: whoever holds its tokens is signed out.
    async fn session_revoke(&self, ctx: &Context<'_>, id: ID) -> Result<SessionRevokePayload> {
        let viewer = viewer(ctx)?;
        let (user, current) = viewer.person()?;
        let of = vouched_for(ctx, current).await?;
        let ended = match uuid::<SessionId>(&id) {
            Some(session) => state(ctx).store.session_close(SessionId(session), user, of, viewer.request).await,
            None => Ok(false),
        };
        let ended = ended.map_err(|error| internal(ctx, &error))?;
        let missing = || UserError::new("id", UserErrorCode::NotFound, "you have no such session, or it is over");
        Ok(SessionRevokePayload { count: i32::from(ended), user_errors: if ended { vec![] } else { vec![missing()] } })
    }

    /// Ends all of your sessions but the one that asks.
    async fn session_revoke_others(&self, ctx: &Context<'_>) -> Result<SessionRevokePayload> {
        let viewer = viewer(ctx)?;
        let (user, session) = viewer.person()?;
        let of = vouched_for(ctx, session).await?;
        let ended = state(ctx).store.session_close_others(session, user, of, viewer.request).await;
        let ended = ended.map_err(|error| internal(ctx, &error))?;
        Ok(SessionRevokePayload { count: i32::try_from(ended).unwrap_or(i32::MAX), user_errors: vec![] })
    }
}

/// Why nobody looked whether a password fits.
pub(super) fn sign_in_refused(ctx: &Context<'_>, error: SignInError) -> async_graphql::Error {
    match error {
        SignInError::Store(error) => internal(ctx, &error),
        ref error @ SignInError::TooMany(ref spent) => {
            fail(Code::RateLimited, &error.to_string()).extend_with(|_, extensions| {
                extensions.set("retryAfterMs", quota::retry_after_ms(spent));
            })
        }
        error @ SignInError::Password(_) => fail(Code::RateLimited, &error.to_string()),
    }
}

/// The tenant whose provider vouched for the session that asks: it says nothing about the person's other sessions.
pub(super) async fn vouched_for(ctx: &Context<'_>, session: SessionId) -> Result<Option<TenantId>> {
    state(ctx).store.session_tenant(session).await.map_err(|error| internal(ctx, &error))
}

pub(super) fn caller<'c>(ctx: &Context<'c>) -> &'c Caller {
    ctx.data_unchecked::<Caller>()
}
