//! Who asks: a person, with an access token of ten minutes and a refresh token that is used once, an API key, or somebody of the staff in the place of a
//! tenant, with a token of its own kind that nothing refreshes. A person chooses the tenant with each request; the others are of one.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use actix_web::HttpRequest;
use actix_web::http::header::USER_AGENT;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use domain::id::{ImpersonationId, SessionId, TenantId, UserId};
use domain::permission::{Permission, Role};
use domain::quota::Spent;
use domain::scope::{ActingAccount, Actor, Request, Scope, TraceId};
use domain::secret::{ExposeSecret, SecretString};
use infra::postgres::StoreError;
use infra::postgres::api_key::LiveKey;
use infra::postgres::impersonation::LiveImpersonation;
use infra::postgres::people::Membership;
use infra::postgres::session::Whence;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tracing::warn;

use crate::passkey::{self, Challenge, PasskeyError};
use crate::password::PasswordError;
use crate::second_factor::{self, Proof, Shown};
use crate::{AppState, api_key, client_address, password, quota};

const ACCESS_MINUTES: i64 = 10;
const REFRESH_DAYS: i64 = 30;
const ISSUER: &str = "crossdock";
const AUDIENCE: &str = "crossdock-api";
/// Of impersonations: so that neither token passes for the other, with a process of an older version either.
const SUPPORT_AUDIENCE: &str = "crossdock-support";
/// Names the tenant a request is about: an id or a slug. Not needed by who is a member of one only.
pub const TENANT_HEADER: &str = "X-Crossdock-Tenant";

/// Of W3C Trace Context.
const TRACE_HEADER: &str = "traceparent";
const DEVICE_CHARS_MAX: usize = 200;
/// As long as an address may be.
pub(crate) const EMAIL_BYTES_MAX: usize = 320;

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    iat: i64,
    nbf: i64,
    exp: i64,
    /// Of an impersonation, and of nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    imp: Option<ImpersonationId>,
}

/// Signs and reads access tokens: HS256 and nothing else. By which of the keys a token was signed is found by its signature, and by no word of its own.
pub struct Tokens {
    sign: EncodingKey,
    /// The one that signs, and another one while it is replaced.
    read: Vec<DecodingKey>,
    validation: Validation,
    support: Validation,
}

/// What a sign-in gives.
#[derive(Debug, Clone)]
pub struct Session {
    pub access_token: String,
    pub access_expires_at: DateTime<Utc>,
    pub refresh_token: String,
    pub refresh_expires_at: DateTime<Utc>,
}

/// What is known of a request before anybody signed in.
#[derive(Debug, Clone)]
pub struct Caller {
    /// One request; the log and the audit log know it by its id, and the audit log says whence it came.
    pub request: Request,
    /// Where it comes from: the client's address as far as proxies that the operator named say it, else the connection's. Of IPv6 the /64 network.
    pub peer: IpAddr,
    /// `peer` as it is told and kept.
    address: String,
    /// What the program calls itself, at most 200 characters; it may say anything.
    device: String,
}

impl Caller {
    #[must_use]
    pub fn of(state: &AppState, request: &HttpRequest) -> Self {
        let address = state.proxies.client(request);
        let peer = client_address::peer(address);
        let device = request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let device = device.chars().take(DEVICE_CHARS_MAX).collect();
        Self { request: asked(request, address), peer, address: peer.to_string(), device }
    }

    /// Whence a session is opened or used.
    #[must_use]
    pub fn whence(&self) -> Whence<'_> {
        Whence { request: self.request, device: &self.device, address: &self.address }
    }
}

/// What is told where a second factor is missing, or is not right.
pub(crate) const CODE_NEEDED: &str = "enter the code that your authenticator app shows, or one of your recovery codes";
pub(crate) const CODE_REFUSED: &str = "the code is not right, or was used before; take the next one that your app shows, or a recovery code (after ten wrong codes nothing else works for an hour)";

/// Why nobody looked whether a password fits.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    #[error("too many tries from here; wait a minute and try again")]
    TooMany(Spent),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who a request comes from.
#[derive(Debug, Clone)]
pub enum Identity {
    /// A person with a live session.
    Person {
        user: UserId,
        session: SessionId,
        memberships: Vec<Membership>,
    },
    ApiKey(LiveKey),
    /// Somebody of the staff, in the place of the tenant that let them: no member, and nobody's own session.
    Impersonation(LiveImpersonation),
}

/// Somebody who showed who they are, and the tenant this request is about.
#[derive(Debug, Clone)]
pub struct Viewer {
    pub identity: Identity,
    pub tenant: Option<TenantId>,
    /// The name of the tenant that was meant, where it demands a second factor that they do not have: then the request is about no tenant.
    pub kept_out_of: Option<String>,
    pub request: Request,
}

impl Tokens {
    /// `also` is read and signs nothing.
    #[must_use]
    pub fn new(key: &SecretString, also: Option<&SecretString>) -> Self {
        let read =
            [Some(key), also].into_iter().flatten().map(|key| DecodingKey::from_secret(key.expose_secret().as_bytes())).collect();
        let (validation, support) = (validation(AUDIENCE, &[]), validation(SUPPORT_AUDIENCE, &["imp"]));
        Self { sign: EncodingKey::from_secret(key.expose_secret().as_bytes()), read, validation, support }
    }

    fn claims(&self, token: &str, validation: &Validation) -> Option<Claims> {
        self.read.iter().find_map(|key| jsonwebtoken::decode::<Claims>(token, key, validation).ok()).map(|token| token.claims)
    }

    fn sign(&self, user: UserId, session: SessionId) -> Option<(String, DateTime<Utc>)> {
        let expires_at = Utc::now() + Duration::minutes(ACCESS_MINUTES);
        Some((self.signed(AUDIENCE, (user, session), None, expires_at)?, expires_at))
    }

    fn signed(
        &self,
        audience: &str,
        (user, session): (UserId, SessionId),
        imp: Option<ImpersonationId>,
        expires_at: DateTime<Utc>,
    ) -> Option<String> {
        let now = Utc::now().timestamp();
        let (iss, aud, exp) = (ISSUER.into(), audience.into(), expires_at.timestamp());
        let claims = Claims { iss, aud, sub: user, sid: session, iat: now, nbf: now, exp, imp };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign).ok()
    }

    pub(crate) fn read(&self, token: &str) -> Option<(UserId, SessionId)> {
        let claims = self.claims(token, &self.validation)?;
        claims.imp.is_none().then_some((claims.sub, claims.sid))
    }

    /// A token of an impersonation, good until its end at most: what it is worth is asked of the database with each request.
    pub(crate) fn sign_impersonation(&self, live: &LiveImpersonation, session: SessionId) -> Option<String> {
        self.signed(SUPPORT_AUDIENCE, (live.user, session), Some(live.id), live.ends_at)
    }

    pub(crate) fn read_impersonation(&self, token: &str) -> Option<(ImpersonationId, UserId, SessionId)> {
        let claims = self.claims(token, &self.support)?;
        Some((claims.imp?, claims.sub, claims.sid))
    }
}

fn validation(audience: &str, also: &[&str]) -> Validation {
    let mut validation = Validation::new(Algorithm::HS256);
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&[&["exp", "nbf", "iss", "aud", "sub"], also].concat());
    validation.validate_nbf = true;
    validation.leeway = 5;
    validation
}

impl Viewer {
    /// Their place in the tenant that this request is about; a key and the staff have none.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        self.membership().map(|membership| membership.role)
    }

    /// Their membership of the tenant that this request is about.
    #[must_use]
    pub fn membership(&self) -> Option<&Membership> {
        self.memberships().iter().find(|membership| Some(membership.tenant) == self.tenant)
    }

    /// Where they are a member; a key is none anywhere, and neither are the staff while they are in the place of a tenant.
    #[must_use]
    pub fn memberships(&self) -> &[Membership] {
        match &self.identity {
            Identity::Person { memberships, .. } => memberships,
            Identity::ApiKey(_) | Identity::Impersonation(_) => &[],
        }
    }

    /// True where they may do this in the tenant that the request is about.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        match &self.identity {
            Identity::Person { .. } => self.role().is_some_and(|role| role.may(permission)),
            Identity::ApiKey(key) => self.tenant.is_some() && key.permissions.contains(&permission),
            Identity::Impersonation(live) => self.tenant.is_some() && live.may(permission),
        }
    }

    /// The scope of a request about a tenant.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        let tenant = self.tenant?;
        let actor = match &self.identity {
            Identity::Person { user, .. } => Actor::Member { user: *user, role: self.role()? },
            Identity::ApiKey(key) => {
                let account = key.account.as_ref();
                let account = account.map(|of| ActingAccount { service_account: of.id, service_account_name: of.name.clone() });
                Actor::ApiKey { key: key.id, name: key.name.clone(), user: key.created_by, account }
            }
            Identity::Impersonation(live) => live.actor(),
        };
        Some(Scope { tenant, actor, request: self.request })
    }
}

/// A request that comes in now from this client, and the trace that it says it is of.
#[must_use]
pub(crate) fn asked(request: &HttpRequest, address: IpAddr) -> Request {
    let trace = request.headers().get(TRACE_HEADER).and_then(|value| value.to_str().ok()).and_then(TraceId::of_traceparent);
    Request { address: Some(address), trace, ..Request::own() }
}

/// What a request shows of who sends it.
#[must_use]
pub fn token(request: &HttpRequest) -> Option<&str> {
    request.headers().get("Authorization").and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "))
}

/// A request that was let in, before anybody knows whose it is.
#[derive(Debug)]
pub struct Came {
    /// What it took of its address; `None` where its token was good a while ago.
    spent: Option<Spent>,
    token_hash: Option<[u8; 32]>,
}

/// Counts a request of whom nobody knows, before anything is done for it: one without a token, or with one that was not good a while ago.
///
/// # Errors
/// How long to wait where there were too many from its address.
pub async fn come_in(state: &AppState, request: &HttpRequest, caller: &Caller) -> Result<Came, Spent> {
    let token_hash = token(request).map(hashed);
    if token_hash.is_some_and(|hash| state.known_tokens.has(&hash, Instant::now())) {
        return Ok(Came { spent: None, token_hash });
    }
    let spent = quota::of_address(state, caller).await;
    if spent.is_granted { Ok(Came { spent: Some(spent), token_hash }) } else { Err(spent) }
}

/// Who is behind a request that came in, counted in their own quota.
#[derive(Debug)]
pub enum Admitted {
    Viewer(Arc<Viewer>, Spent),
    Stranger(Spent),
    /// They are known and ask too often, or came with a token that is good no more, from an address of too many.
    TooMany(Option<Arc<Viewer>>, Spent),
}

/// Who is behind a request, and whether they may ask once more. `came` is what [`come_in`] gave.
///
/// # Errors
/// Where the database does not answer.
pub async fn admit(state: &AppState, request: &HttpRequest, caller: &Caller, came: Came) -> Result<Admitted, StoreError> {
    let found = viewer(state, request, caller).await?;
    if let Some(hash) = came.token_hash {
        state.known_tokens.note(hash, found.is_some(), Instant::now());
    }
    let Some(viewer) = found else {
        let Some(spent) = came.spent else {
            // It was good a while ago and is no more: it counts as any other stranger's.
            let spent = quota::of_address(state, caller).await;
            return Ok(if spent.is_granted { Admitted::Stranger(spent) } else { Admitted::TooMany(None, spent) });
        };
        return Ok(Admitted::Stranger(spent));
    };
    let spent = quota::of_viewer(state, &viewer).await;
    Ok(if spent.is_granted { Admitted::Viewer(viewer, spent) } else { Admitted::TooMany(Some(viewer), spent) })
}

/// Who is behind a request; `None` for a stranger, whatever token they show.
///
/// # Errors
/// Where the database does not answer.
pub async fn viewer(state: &AppState, request: &HttpRequest, caller: &Caller) -> Result<Option<Arc<Viewer>>, StoreError> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(token) = token(request) else { return Ok(None) };
    let wanted = header(TENANT_HEADER);
    // Of one tenant: a request that names another one is about none.
    let of_one = |slug: &str, tenant: TenantId| {
        wanted.is_none_or(|wanted| slug == wanted || tenant.to_string() == wanted).then_some(tenant)
    };
    let mut kept_out_of = None;
    let (identity, tenant) = if token.starts_with(api_key::BEGIN) {
        let Some(key) = api_key::find(state, token).await? else { return Ok(None) };
        let tenant = of_one(&key.tenant_slug, key.tenant);
        (Identity::ApiKey(key), tenant)
    } else if let Some((id, user, session)) = state.tokens.read_impersonation(token) {
        // Asked for each request, so that whatever ends it ends it at once.
        let Some(live) = state.store.impersonation_live(id, user, session).await? else { return Ok(None) };
        let tenant = of_one(&live.tenant_slug, live.tenant);
        (Identity::Impersonation(live), tenant)
    } else {
        let Some((user, session)) = state.tokens.read(token) else { return Ok(None) };
        // Asked for each request, so that a closed session or a changed role counts at once.
        let Some(memberships) = state.store.memberships(session, user).await? else { return Ok(None) };
        let chosen = match wanted {
            Some(wanted) => memberships.iter().find(|m| m.slug == wanted || m.tenant.to_string() == wanted),
            None if memberships.len() == 1 => memberships.first(),
            None => None,
        };
        kept_out_of = chosen.filter(|place| place.lacks_second_factor).map(|place| place.name.clone());
        let tenant = chosen.filter(|place| !place.lacks_second_factor).map(|place| place.tenant);
        (Identity::Person { user, session, memberships }, tenant)
    };
    Ok(Some(Arc::new(Viewer { identity, tenant, kept_out_of, request: caller.request })))
}

/// How a sign-in ended.
#[derive(Debug)]
pub enum SignIn {
    Opened(Session),
    /// An unknown address, a wrong password or a resting account: nobody is told which.
    Refused,
    /// The password is right, and the person has a second factor, which was not shown; what a key of theirs is asked, if they have one.
    CodeNeeded(Option<Challenge>),
    /// The password is right, and the code, or what a key signed, is not.
    CodeRefused(Option<Challenge>),
    /// The password is right, and the person's tenant, of this slug, takes none: they come in by its provider.
    Sso(String),
}

impl SignIn {
    /// Why there is no session.
    #[must_use]
    pub fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::Sso(_) => {
                Some("your company signs you in: a password is not enough for your address; choose “Sign in with your company”")
            }
            Self::Opened(_) => None,
            Self::Refused => {
                Some("the address or the password is not right, or there were too many tries; wait a minute and try again")
            }
            Self::CodeNeeded(None) => Some(CODE_NEEDED),
            Self::CodeNeeded(Some(_)) => {
                Some("use your passkey or security key, or enter a code of your authenticator app or a recovery code")
            }
            Self::CodeRefused(_) => Some(CODE_REFUSED),
        }
    }
}

/// Opens a session. What is wrong with address and password is not told, and takes the same time.
///
/// # Errors
/// Where there were too many tries, too many others wait, or the database does not answer.
pub async fn sign_in(
    state: &AppState,
    caller: &Caller,
    email: &str,
    password: SecretString,
    proof: Proof<'_>,
) -> Result<SignIn, SignInError> {
    let Some(user) = check(state, caller, email, password).await? else { return Ok(SignIn::Refused) };
    if let Some(slug) = state.store.user_must_use_sso(user).await? {
        return Ok(SignIn::Sso(slug));
    }
    match second_factor::show(state, caller, user, proof).await? {
        Shown::Enough => {}
        Shown::Missing => return Ok(SignIn::CodeNeeded(challenge(state, user).await?)),
        Shown::Refused => return Ok(SignIn::CodeRefused(challenge(state, user).await?)),
    }
    let (refresh_token, hash) = new_token();
    let refresh_expires_at = Utc::now() + Duration::days(REFRESH_DAYS);
    let session = state.store.session_open(user, &hash, refresh_expires_at, caller.whence()).await?;
    Ok(opened(state, user, session, refresh_token, refresh_expires_at).map_or(SignIn::Refused, SignIn::Opened))
}

/// What a key of theirs is asked; a code is enough where none can be.
async fn challenge(state: &AppState, user: UserId) -> Result<Option<Challenge>, StoreError> {
    match passkey::show_begin(state, user).await {
        Ok(challenge) => Ok(challenge),
        Err(PasskeyError::Store(error)) => Err(error),
        Err(error) => {
            warn!(user.id = %user, %error, "No key of {user} was asked");
            Ok(None)
        }
    }
}

/// Whose password this is; `None` for an unknown address, a wrong password and a locked account alike, after the same time.
///
/// # Errors
/// As [`sign_in`].
pub async fn check(
    state: &AppState,
    caller: &Caller,
    email: &str,
    password: SecretString,
) -> Result<Option<UserId>, SignInError> {
    let email = email.trim();
    let account = take(state, caller, email).await?;
    if email.len() > EMAIL_BYTES_MAX {
        return Ok(None);
    }
    let user = state.store.user_find(email, &caller.address).await?;
    let fits = password::verify(password.clone(), user.as_ref().map(|user| user.password_hash.clone())).await?;
    let Some(user) = user.filter(|user| !user.is_resting) else { return Ok(None) };
    if !fits {
        // Beside the answer: an unknown address has nothing to write, and the time must not tell the two apart.
        let (store, caller) = (state.store.clone(), caller.clone());
        tokio::spawn(async move {
            if let Err(error) = store.sign_in_failed(user.id, caller.whence()).await {
                let error = infra::chain(&error);
                warn!(request.id = %caller.request, user.id = %user.id, error, "A refused sign-in of {} was not counted", user.id);
            }
        });
        return Ok(None);
    }
    // Whoever knows the password does not guess; programs sign in often.
    quota::try_was_right(state, caller, &account).await;
    if password::is_outdated(&user.password_hash) {
        let (store, id, was) = (state.store.clone(), user.id, user.password_hash);
        tokio::spawn(async move {
            // It is not asked for again: a failure only means that the next sign-in tries once more.
            let Ok(hash) = password::hash(password).await else { return };
            if let Err(error) = store.user_rehash(id, &was, &hash).await {
                warn!(user.id = %id, error = infra::chain(&error), "The password of {id} was not kept anew");
            }
        });
    }
    Ok(Some(user.id))
}

/// The person of an address, counted as a try.
///
/// # Errors
/// As [`sign_in`].
pub async fn find(state: &AppState, caller: &Caller, email: &str) -> Result<Option<UserId>, SignInError> {
    let email = email.trim();
    take(state, caller, email).await?;
    if email.len() > EMAIL_BYTES_MAX {
        return Ok(None);
    }
    Ok(state.store.user_find(email, &caller.address).await?.map(|user| user.id))
}

/// Counts a try of this peer, in all and at this account.
async fn take(state: &AppState, caller: &Caller, email: &str) -> Result<[u8; 32], SignInError> {
    let account: [u8; 32] = Sha256::digest(email.to_lowercase().as_bytes()).into();
    try_of(state, caller, &account).await?;
    Ok(account)
}

/// Counts a try of this peer, in all and at the account or with the mailed token of this hash. Nobody finds a token by trying; but whoever has one could have
/// passwords hashed with it as often as they ask.
///
/// # Errors
/// Where there were too many.
pub async fn try_of(state: &AppState, caller: &Caller, hash: &[u8; 32]) -> Result<(), SignInError> {
    let spent = quota::of_try(state, caller, hash).await;
    if spent.is_granted { Ok(()) } else { Err(SignInError::TooMany(spent)) }
}

/// Trades a refresh token for a new session's worth; `None` where it is no good.
///
/// # Errors
/// Where the database does not answer.
pub async fn refresh(state: &AppState, caller: &Caller, token: &str) -> Result<Option<Session>, StoreError> {
    let (refresh_token, hash) = new_token();
    let refresh_expires_at = Utc::now() + Duration::days(REFRESH_DAYS);
    let found = state.store.session_refresh(&hashed(token), &hash, refresh_expires_at, caller.whence()).await?;
    Ok(found.and_then(|(session, user, expires_at)| opened(state, user, session, refresh_token, expires_at)))
}

/// Ends the session that a refresh token is of; one that is no good ends nothing.
///
/// # Errors
/// Where the database does not answer.
pub async fn close(state: &AppState, caller: &Caller, token: &str) -> Result<(), StoreError> {
    state.store.session_close_by_token(&hashed(token), caller.request).await
}

pub(crate) fn opened(
    state: &AppState,
    user: UserId,
    session: SessionId,
    refresh_token: String,
    refresh_expires_at: DateTime<Utc>,
) -> Option<Session> {
    let (access_token, access_expires_at) = state.tokens.sign(user, session)?;
    Some(Session { access_token, access_expires_at, refresh_token, refresh_expires_at })
}

/// 256 random bits, and the hash that the database keeps.
pub(crate) fn new_token() -> (String, [u8; 32]) {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let token = URL_SAFE_NO_PAD.encode(bytes);
    let hash = hashed(&token);
    (token, hash)
}

/// What is kept of a token. It has 256 random bits, so that nobody finds it by trying and a slow hash would help nobody.
pub(crate) fn hashed(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests;
