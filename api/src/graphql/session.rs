//! Signing in and out, and who one is.

use async_graphql::{Context, ID, InputObject, Object, Result, SimpleObject};
use chrono::{DateTime, Utc};

use super::error::{Code, UserError, UserErrorCode, fail, internal, state, viewer};
use crate::auth::{self, Caller, SignInError};

/// What signing in costs of a request's complexity: two fit into one, so that a request is no list of guesses.
const SIGN_IN_COST: usize = 2_000;

/// The person who asks.
#[derive(SimpleObject)]
pub struct ViewerNode {
    id: ID,
    /// The tenants they are a member of.
    memberships: Vec<MembershipNode>,
}

#[derive(SimpleObject)]
#[graphql(name = "Membership")]
pub struct MembershipNode {
    tenant: super::tenant::TenantNode,
    /// owner, admin, operator, developer, auditor or billing.
    role: String,
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

#[derive(Default)]
pub struct SessionQuery;

#[Object]
impl SessionQuery {
    /// Who is signed in; null for a stranger.
    async fn viewer(&self, ctx: &Context<'_>) -> Option<ViewerNode> {
        let viewer = viewer(ctx).ok()?;
        let memberships = viewer.memberships.iter().map(|m| MembershipNode {
            tenant: super::tenant::TenantNode { id: ID(m.tenant.to_string()), slug: m.slug.clone(), name: m.name.clone() },
            role: m.role.to_string(),
        });
        Some(ViewerNode { id: ID(viewer.user.to_string()), memberships: memberships.collect() })
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
        let caller = *ctx.data_unchecked::<Caller>();
        let session = match auth::sign_in(state(ctx), caller, &input.email, input.password.into()).await {
            Ok(session) => session,
            Err(SignInError::Store(error)) => return Err(internal(ctx, &error)),
            Err(error @ (SignInError::TooMany | SignInError::Password(_))) => {
                return Err(fail(Code::RateLimited, &error.to_string()));
            }
        };
        Ok(payload(
            session,
            "the address or the password is not right, or there were too many tries; wait a minute and try again",
        ))
    }

    /// Trades a refresh token for a new session. A token that comes twice ends the session for both who hold it.
    #[graphql(complexity = "SIGN_IN_COST + child_complexity")]
    async fn session_refresh(&self, ctx: &Context<'_>, refresh_token: String) -> Result<SessionPayload> {
        let session = auth::refresh(state(ctx), &refresh_token).await.map_err(|error| internal(ctx, &error))?;
        Ok(payload(session, "the refresh token was used before, has expired or was revoked; sign in again"))
    }

    /// Ends this session at once, on every device that holds its tokens.
    async fn session_close(&self, ctx: &Context<'_>) -> Result<SessionClosePayload> {
        let viewer = viewer(ctx)?;
        state(ctx).store.session_close(viewer.session, viewer.user).await.map_err(|error| internal(ctx, &error))?;
        Ok(SessionClosePayload { closed: true })
    }
}

fn payload(session: Option<auth::Session>, refusal: &str) -> SessionPayload {
    let user_errors =
        if session.is_some() { vec![] } else { vec![UserError::new("input", UserErrorCode::SignInRefused, refusal)] };
    SessionPayload { session: session.map(SessionNode::from), user_errors }
}
