//! Two kinds of errors. What a person can mend comes as `userErrors` of a mutation; the rest is a top-level error with a code.

use std::sync::Arc;

use async_graphql::{Context, Enum, Error, ErrorExtensions, Result, SimpleObject};
use domain::id::{SessionId, UserId};
use domain::scope::{Permission, Scope};
use infra::postgres::api_key::LiveKey;
use infra::postgres::{StoreError, TenantStore};
use tracing::error;

use super::api_key::word;
use crate::AppState;
use crate::auth::{Caller, Identity, Viewer};

/// What the caller may do about a top-level error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Unauthenticated,
    Forbidden,
    NoTenant,
    BadRequest,
    RateLimited,
    /// No operation of this hash is registered.
    PersistedQueryNotFound,
    /// The tenant demands a second factor of its people, and whoever asks has none: they set one up, and ask again.
    SecondFactorNeeded,
    Internal,
}

impl Code {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::NoTenant => "NO_TENANT",
            Self::BadRequest => "BAD_REQUEST",
            Self::RateLimited => "RATE_LIMITED",
            Self::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            Self::SecondFactorNeeded => "SECOND_FACTOR_NEEDED",
            Self::Internal => "INTERNAL",
        }
    }
}

pub fn fail(code: Code, message: &str) -> Error {
    Error::new(message).extend_with(|_, extensions| extensions.set("code", code.as_str()))
}

/// The cause stays in the log, under the request's id.
pub fn internal(ctx: &Context<'_>, cause: &StoreError) -> Error {
    let request = ctx.data_opt::<Caller>().map(|caller| caller.request.to_string()).unwrap_or_default();
    error!(request.id = %request, error = infra::chain(cause), "A request failed");
    Error::new("something on our side failed; try again, and tell support the request id if it stays").extend_with(
        |_, extensions| {
            extensions.set("code", Code::Internal.as_str());
            extensions.set("requestId", request.clone());
        },
    )
}

/// Why a mutation did not do what it was asked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub enum UserErrorCode {
    /// It is there already.
    Taken,
    /// There is no such thing, or not in this tenant.
    NotFound,
    /// The value is not of the expected form.
    Invalid,
    /// A value is missing.
    Required,
    /// More than is allowed at once.
    TooMany,
    /// Somebody else has changed it meanwhile.
    Changed,
    /// Something else must come first; the message says what.
    Blocked,
    /// Address, password or code do not fit, or the account rests after too many tries.
    SignInRefused,
    /// The password is right; a code of the second factor is needed, too.
    SecondFactorNeeded,
    /// The password is right; the tenant takes none for this address, but its own provider's sign-in: `/sso/<its slug>/start`.
    SsoNeeded,
}

/// One thing a person can mend.
#[derive(Debug, Clone, SimpleObject)]
pub struct UserError {
    /// The path of the input field it is about.
    pub field: Vec<String>,
    pub code: UserErrorCode,
    /// A sentence for people.
    pub message: String,
}

impl UserError {
    pub fn new(field: &str, code: UserErrorCode, message: impl Into<String>) -> Self {
        Self { field: field.split('.').map(str::to_owned).collect(), code, message: message.into() }
    }
}

/// The longest reason that stands in the audit log, characters; and where somebody else decides by it.
pub const WHY_CHARS_MAX: usize = 500;
pub const WHY_LONG_CHARS_MAX: usize = 2_000;

/// Why somebody does a thing, as it stands in the audit log: 1 to `most` characters, without space at its ends.
///
/// # Errors
/// What whoever said nothing, or too much, is told.
pub fn said<'t>(field: &str, why: &'t str, most: usize) -> std::result::Result<&'t str, UserError> {
    let why = why.trim();
    let code = match why.chars().count() {
        0 => UserErrorCode::Required,
        count if count > most => UserErrorCode::Invalid,
        _ => return Ok(why),
    };
    Err(UserError::new(field, code, format!("say why, in 1 to {most} characters: it stands in the audit log")))
}

/// Whoever showed who they are: a person or an API key.
pub fn viewer<'c>(ctx: &Context<'c>) -> Result<&'c Arc<Viewer>> {
    ctx.data::<Arc<Viewer>>().map_err(|_| fail(Code::Unauthenticated, SIGN_IN_FIRST))
}

/// What a stranger is told.
pub const SIGN_IN_FIRST: &str = "sign in first: sessionOpen, or an API key; then the header Authorization: Bearer …";

impl Viewer {
    /// The person who asks, and their session.
    ///
    /// # Errors
    /// Where it is an API key that asks, or support in the place of a tenant.
    pub fn person(&self) -> Result<(UserId, SessionId)> {
        match &self.identity {
            Identity::Person { user, session, .. } => Ok((*user, *session)),
            Identity::ApiKey(_) => Err(fail(Code::Forbidden, "this is for people; an API key may not do it")),
            Identity::Impersonation(_) => Err(fail(Code::Forbidden, NOT_FOR_SUPPORT)),
        }
    }

    /// The scope of the request, if whoever asks may do what is asked; else why not.
    ///
    /// # Errors
    /// Where the request names no tenant of theirs, or they lack the permission there.
    pub fn permitted(&self, permission: Permission) -> std::result::Result<Scope, (Code, String)> {
        if let Some(name) = &self.kept_out_of {
            let why = format!("{name} demands a second factor of its people: set one up (secondFactorBegin), and ask again");
            return Err((Code::SecondFactorNeeded, why));
        }
        let Some(scope) = self.scope() else {
            let which = "say which tenant you mean with the header X-Crossdock-Tenant; `viewer { memberships { tenant { slug } } }` lists yours";
            return Err((Code::NoTenant, which.to_owned()));
        };
        if self.may(permission) {
            return Ok(scope);
        }
        let why = match (&self.identity, self.role()) {
            (Identity::Impersonation(live), _) if !live.may_write && domain::impersonation::may(permission, true, false) => {
                READ_ONLY_SUPPORT.to_owned()
            }
            (Identity::Impersonation(_), _) => NOT_FOR_SUPPORT.to_owned(),
            (Identity::ApiKey(LiveKey { account: Some(account), .. }), _) => format!(
                "this key of the service account {} may not {}; an owner or admin lets the account have it, and makes a key with it",
                account.name,
                word(permission)
            ),
            (_, Some(role)) => format!("the role {role} may not do this; ask an owner or admin of the tenant"),
            (_, None) => {
                format!("this API key was not given {}; an owner or admin can make another", word(permission))
            }
        };
        Err((Code::Forbidden, why))
    }
}

/// What support in the place of a tenant is told of what is not for it, whatever the tenant has allowed.
pub const NOT_FOR_SUPPORT: &str = "this is not for support in the place of a tenant; an owner or admin of the tenant does it, or leave the impersonation first (impersonationLeave)";
/// And of what it could do with another consent.
pub const READ_ONLY_SUPPORT: &str =
    "the tenant lets support read here and change nothing; ask it for a consent with writes (supportRequestCreate)";

/// The scope of this request, if whoever asks may do what is asked.
pub fn scope(ctx: &Context<'_>, permission: Permission) -> Result<Scope> {
    viewer(ctx)?.permitted(permission).map_err(|(code, why)| fail(code, &why))
}

pub fn state<'c>(ctx: &Context<'c>) -> &'c AppState {
    ctx.data_unchecked::<AppState>()
}

/// Runs one query in the tenant's store.
pub async fn within<T>(
    ctx: &Context<'_>,
    permission: Permission,
    query: impl AsyncFnOnce(TenantStore<'_>) -> Result<T, StoreError>,
) -> Result<T> {
    let scope = scope(ctx, permission)?;
    query(state(ctx).store.within(&scope)).await.map_err(|error| internal(ctx, &error))
}
