//! Who asks: an access token of ten minutes and a refresh token that is used once. The tenant is chosen with each request.

use std::sync::Arc;

use actix_web::HttpRequest;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Duration, Utc};
use domain::id::{SessionId, TenantId, UserId};
use domain::scope::{Actor, Role, Scope};
use domain::secret::{ExposeSecret, SecretString};
use infra::postgres::StoreError;
use infra::postgres::people::Membership;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{AppState, password};

const ACCESS_MINUTES: i64 = 10;
const REFRESH_DAYS: i64 = 30;
const ISSUER: &str = "crossdock";
const AUDIENCE: &str = "crossdock-api";
/// Names the tenant a request is about: an id or a slug. Not needed by who is a member of one only.
pub const TENANT_HEADER: &str = "X-Crossdock-Tenant";

#[derive(Debug, Serialize, Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: UserId,
    sid: SessionId,
    iat: i64,
    nbf: i64,
    exp: i64,
}

/// Signs and reads access tokens: HS256 and nothing else.
pub struct Tokens {
    sign: EncodingKey,
    read: DecodingKey,
    validation: Validation,
}

/// What a sign-in gives.
#[derive(Debug, Clone)]
pub struct Session {
    pub access_token: String,
    pub access_expires_at: DateTime<Utc>,
    pub refresh_token: String,
    pub refresh_expires_at: DateTime<Utc>,
}

/// A person with a live session, and the tenant this request is about.
#[derive(Debug, Clone)]
pub struct Viewer {
    pub user: UserId,
    pub session: SessionId,
    pub memberships: Vec<Membership>,
    pub tenant: Option<(TenantId, Role)>,
    pub request: Uuid,
}

impl Tokens {
    #[must_use]
    pub fn new(key: &SecretString) -> Self {
        let bytes = key.expose_secret().as_bytes();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&[ISSUER]);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        validation.validate_nbf = true;
        validation.leeway = 5;
        Self { sign: EncodingKey::from_secret(bytes), read: DecodingKey::from_secret(bytes), validation }
    }

    fn sign(&self, user: UserId, session: SessionId) -> Option<(String, DateTime<Utc>)> {
        let now = Utc::now();
        let expires_at = now + Duration::minutes(ACCESS_MINUTES);
        let claims = Claims {
            iss: ISSUER.into(),
            aud: AUDIENCE.into(),
            sub: user,
            sid: session,
            iat: now.timestamp(),
            nbf: now.timestamp(),
            exp: expires_at.timestamp(),
        };
        Some((jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign).ok()?, expires_at))
    }

    fn read(&self, token: &str) -> Option<(UserId, SessionId)> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.read, &self.validation).ok()?.claims;
        Some((claims.sub, claims.sid))
    }
}

impl Viewer {
    /// The scope of a request about a tenant.
    #[must_use]
    pub fn scope(&self) -> Option<(Scope, Role)> {
        let (tenant, role) = self.tenant?;
        Some((Scope { tenant, actor: Actor::Member { user: self.user, role }, request: self.request }, role))
    }
}

/// The person behind a request; `None` for a stranger, whatever token they show.
///
/// # Errors
/// Where the database does not answer.
pub async fn viewer(state: &AppState, request: &HttpRequest) -> Result<Option<Arc<Viewer>>, StoreError> {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let Some(token) = header("Authorization").and_then(|value| value.strip_prefix("Bearer ")) else { return Ok(None) };
    let Some((user, session)) = state.tokens.read(token) else { return Ok(None) };
    // Asked for each request, so that a closed session or a changed role counts at once.
    let Some(memberships) = state.store.memberships(session, user).await? else { return Ok(None) };
    let chosen = match header(TENANT_HEADER) {
        Some(wanted) => memberships.iter().find(|m| m.slug == wanted || m.tenant.to_string() == wanted),
        None if memberships.len() == 1 => memberships.first(),
        None => None,
    };
    let tenant = chosen.map(|membership| (membership.tenant, membership.role));
    Ok(Some(Arc::new(Viewer { user, session, memberships, tenant, request: Uuid::now_v7() })))
}

/// Opens a session; `None` for an unknown address, a wrong password and a locked account alike, after the same time.
///
/// # Errors
/// Where the database does not answer.
pub async fn sign_in(state: &AppState, email: &str, password: SecretString) -> Result<Option<Session>, StoreError> {
    let user = state.store.user_find(email.trim()).await?;
    let fits = password::verify(password, user.as_ref().map(|user| user.password_hash.clone())).await;
    let Some(user) = user else { return Ok(None) };
    if user.locked_until.is_some_and(|until| until > Utc::now()) {
        return Ok(None);
    }
    if !fits {
        state.store.sign_in_failed(user.id).await?;
        return Ok(None);
    }
    let (refresh_token, hash) = new_token();
    let refresh_expires_at = Utc::now() + Duration::days(REFRESH_DAYS);
    let session = state.store.session_open(user.id, &hash, refresh_expires_at).await?;
    Ok(opened(state, user.id, session, refresh_token, refresh_expires_at))
}

/// Trades a refresh token for a new session's worth; `None` where it is no good.
///
/// # Errors
/// Where the database does not answer.
pub async fn refresh(state: &AppState, token: &str) -> Result<Option<Session>, StoreError> {
    let (refresh_token, hash) = new_token();
    let refresh_expires_at = Utc::now() + Duration::days(REFRESH_DAYS);
    let old: [u8; 32] = Sha256::digest(token.as_bytes()).into();
    let found = state.store.session_refresh(&old, &hash, refresh_expires_at).await?;
    Ok(found.and_then(|(session, user)| opened(state, user, session, refresh_token, refresh_expires_at)))
}

fn opened(
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
    let hash = Sha256::digest(token.as_bytes()).into();
    (token, hash)
}
