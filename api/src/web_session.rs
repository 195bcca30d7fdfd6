//! The web app's sign-in. Its refresh token lives in a cookie that no script can read and that goes to these addresses only; the page has the
//! access token in its memory. Programs keep their tokens themselves and use `sessionOpen`, `sessionRefresh` and `sessionClose` instead.
//!
//! A cookie goes with whatever a browser sends here, so each request must come from a page of this origin: it says so itself, in headers that
//! no script can set, and its body is JSON, which no form can send.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, COOKIE, HOST, HeaderMap, ORIGIN, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use chrono::Utc;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tracing::error;

use crate::auth::{self, Caller, Session, SignIn, SignInError};
use crate::graphql::{Code, is_json, refuse};
use crate::passkey::{Answer, Challenge};
use crate::second_factor::Proof;
use crate::{AppState, body, quota};

/// Where the cookie goes, and no further.
const PATH: &str = "/session";
/// In which a page comes up that was just sent to.
const JUST_OPENED_S: u32 = 60;
const BODY_BYTES_MAX: usize = 8 * 1024;

/// How the refresh token's cookie is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cookie {
    /// Sent over an encrypted connection only; the name says so, and a browser takes no other under it.
    Secure,
    /// For the web app over plain http on this machine.
    Plain,
}

impl Cookie {
    fn name(self) -> &'static str {
        match self {
            Self::Secure => "__Secure-crossdock-session",
            Self::Plain => "crossdock-session",
        }
    }

    fn set(self, token: &str, seconds: i64) -> String {
        let secure = if self == Self::Secure { "; Secure" } else { "" };
        format!("{}={token}; Path={PATH}; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}", self.name())
    }

    /// What a browser keeps of a session, as long as that can last.
    pub(crate) fn of_session(self, session: &Session) -> String {
        self.set(&session.refresh_token, (session.refresh_expires_at - Utc::now()).num_seconds().max(0))
    }

    /// Tells the page, which cannot read the cookie of the session, that it holds one that was opened just now. Somebody may have left before whom nobody could
    /// tell signed out: no address alone revives what they left, and what they came back with is not ended in its place.
    pub(crate) fn just_opened(self) -> String {
        let (begin, secure) = if self == Self::Secure { ("__Host-", "; Secure") } else { ("", "") };
        format!("{begin}crossdock-signed-in=1; Path=/; Max-Age={JUST_OPENED_S}; SameSite=Strict{secure}")
    }

    fn find(self, headers: &HeaderMap) -> Option<String> {
        find(headers, self.name())
    }
}

/// The cookie of this name that came.
pub(crate) fn find(headers: &HeaderMap, wanted: &str) -> Option<String> {
    let cookies = headers.get_all(COOKIE).filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(';'));
    let mut pairs = cookies.filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, value)| *name == wanted && !value.is_empty()).map(|(_, value)| value.to_owned())
}

#[derive(Deserialize)]
pub(crate) struct Open {
    pub(crate) email: String,
    pub(crate) password: String,
    /// Of the second factor.
    pub(crate) code: Option<String>,
    /// What a key of theirs answered, in its place.
    passkey: Option<Answer>,
}

#[derive(Deserialize)]
struct Nothing {}

pub fn routes(config: &mut web::ServiceConfig) {
    let scope = web::scope(PATH)
        .route("/open", web::post().to(open))
        .route("/refresh", web::post().to(refresh))
        .route("/close", web::post().to(close));
    config.service(scope);
}

async fn open(state: web::Data<AppState>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    let Open { email, password, code, passkey } = match read(&state, &request, payload).await {
        Ok(open) => open,
        Err(refusal) => return refusal,
    };
    let caller = Caller::of(&state, &request);
    let proof = Proof { code: code.as_deref(), passkey: passkey.as_ref() };
    match auth::sign_in(&state, &caller, &email, password.into(), proof).await {
        Ok(SignIn::Opened(session)) => {
            // Whoever was signed in here before is not any more: their cookie is overwritten.
            if let Err(failure) = forget(&state, &request, &caller).await {
                return failure;
            }
            opened(state.cookie, &session)
        }
        Ok(ended) => {
            let reason = ended.refusal().unwrap_or_default();
            let (needs, asked) = match ended {
                SignIn::CodeNeeded(asked) | SignIn::CodeRefused(asked) => (Some("code"), asked),
                SignIn::Sso(_) => (Some("sso"), None),
                SignIn::Opened(_) | SignIn::Refused => (None, None),
            };
            closed(None, reason, needs, asked)
        }
        Err(SignInError::Store(error)) => internal(&caller, &error),
        Err(ref error @ SignInError::TooMany(ref spent)) => quota::too_many(spent, &error.to_string()),
        Err(error @ SignInError::Password(_)) => refuse(StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, &error.to_string()),
    }
}

async fn refresh(state: web::Data<AppState>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    if let Err(refusal) = read::<Nothing>(&state, &request, payload).await {
        return refusal;
    }
    let caller = Caller::of(&state, &request);
    let Some(token) = state.cookie.find(request.headers()) else {
        return refused(None, "nobody is signed in here; sign in");
    };
    match auth::refresh(&state, &caller, &token).await {
        Ok(Some(session)) => opened(state.cookie, &session),
        Ok(None) => refused(Some(state.cookie), "the session has expired or was ended; sign in again"),
        Err(error) => internal(&caller, &error),
    }
}

async fn close(state: web::Data<AppState>, request: HttpRequest, payload: web::Payload) -> HttpResponse {
    if let Err(refusal) = read::<Nothing>(&state, &request, payload).await {
        return refusal;
    }
    let caller = Caller::of(&state, &request);
    if let Err(failure) = forget(&state, &request, &caller).await {
        return failure;
    }
    refused(Some(state.cookie), "signed out")
}

/// Ends the session of the cookie that came, if one did.
async fn forget(state: &AppState, request: &HttpRequest, caller: &Caller) -> Result<(), HttpResponse> {
    let Some(token) = state.cookie.find(request.headers()) else { return Ok(()) };
    auth::close(state, caller, &token).await.map_err(|error| internal(caller, &error))
}

/// What was sent, if a page of ours sent it.
async fn read<T: DeserializeOwned>(state: &AppState, request: &HttpRequest, payload: web::Payload) -> Result<T, HttpResponse> {
    if !is_own(request.headers(), &state.public_url) {
        let reason = "only the pages of this address sign in here; a program uses sessionOpen at /graphql";
        return Err(refuse(StatusCode::FORBIDDEN, Code::Forbidden, reason));
    }
    let spent = quota::of_address(state, &Caller::of(state, request)).await;
    if !spent.is_granted {
        return Err(quota::too_many(&spent, quota::reason(None)));
    }
    if !is_json(request.headers()) {
        return Err(refuse(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::BadRequest,
            "the body is JSON: Content-Type: application/json",
        ));
    }
    let bytes = body::read(request.headers(), payload, BODY_BYTES_MAX, body::READ_TIMEOUT, |_| true)
        .await
        .map_err(|error| refuse(error.status(), Code::BadRequest, &error.to_string()))?;
    // The cause could repeat the password.
    parse(&bytes).ok_or_else(|| refuse(StatusCode::BAD_REQUEST, Code::BadRequest, "the body is not what was expected"))
}

/// A body, if it is what was expected.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok().filter(|_| !bytes.contains(&0) && !has_nul(bytes))
}

/// Postgres has no NUL in a text; within JSON it is written as an escape.
fn has_nul(bytes: &[u8]) -> bool {
    bytes.windows(6).any(|window| window == b"\\u0000")
}

/// True where the request comes from a page of this origin. Browsers of this decade say so in `Sec-Fetch-Site`; of others, and over plain http,
/// the page's origin must be the address that they sent the request to, or the one that the operator says people use.
pub(crate) fn is_own(headers: &HeaderMap, public_url: &str) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header("Sec-Fetch-Site") {
        return site == "same-origin";
    }
    let Some((scheme, authority)) = header(ORIGIN.as_str()).and_then(|origin| origin.split_once("://")) else { return false };
    let public = public_url.split_once("://").map(|(scheme, rest)| (scheme, rest.split('/').next().unwrap_or_default()));
    let is_here = header(HOST.as_str()).is_some_and(|host| host.eq_ignore_ascii_case(authority));
    Some((scheme, authority)) == public || (matches!(scheme, "http" | "https") && is_here)
}

/// The access token for the page, the refresh token for the cookie.
fn opened(cookie: Cookie, session: &Session) -> HttpResponse {
    let body = serde_json::json!({
        "session": {"accessToken": session.access_token, "accessExpiresAt": session.access_expires_at},
        "reason": null,
    });
    HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((SET_COOKIE, cookie.of_session(session)))
        .json(body)
}

fn refused(forgotten: Option<Cookie>, reason: &str) -> HttpResponse {
    closed(forgotten, reason, None, None)
}

/// No session, why, what else is asked for, and of a key what. `forgotten` takes the cookie away.
fn closed(forgotten: Option<Cookie>, reason: &str, needs: Option<&str>, asked: Option<Challenge>) -> HttpResponse {
    let mut answer = HttpResponse::Ok();
    answer.insert_header((CACHE_CONTROL, "no-store"));
    if let Some(cookie) = forgotten {
        answer.insert_header((SET_COOKIE, cookie.set("", 0)));
    }
    let asked = asked.map(|asked| serde_json::json!({"challenge": asked.id, "options": asked.options}));
    answer.json(serde_json::json!({"session": null, "reason": reason, "needs": needs, "passkey": asked}))
}

fn internal(caller: &Caller, cause: &infra::postgres::StoreError) -> HttpResponse {
    error!(request.id = %caller.request, error = infra::chain(cause), "A request about a session failed");
    refuse(StatusCode::SERVICE_UNAVAILABLE, Code::Internal, "something on our side failed; try again")
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_page_of_another_origin_is_refused_whatever_it_sends() {
        let public = "https://hub.example.com/app";
        let at = |pairs: &[(&'static str, &'static str)]| is_own(&headers(pairs), public);
        assert!(at(&[("sec-fetch-site", "same-origin"), ("origin", "https://hub.example.com")]));
        assert!(at(&[("origin", "https://hub.example.com"), ("host", "10.0.0.7:8080")]), "behind a proxy, from an old browser");
        assert!(at(&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")]));
        for pairs in [
            &[][..],
            &[("host", "hub.example.com")],
            &[("sec-fetch-site", "cross-site"), ("origin", "https://hub.example.com")],
            &[("sec-fetch-site", "same-site"), ("origin", "https://hub.example.com")],
            &[("sec-fetch-site", "none")],
            &[("origin", "https://evil.example.com"), ("host", "hub.example.com")],
            &[("origin", "http://hub.example.com"), ("host", "10.0.0.7:8080")],
            &[("origin", "https://hub.example.com.evil.example"), ("host", "hub.example.com")],
            &[("origin", "null"), ("host", "null")],
            &[("origin", "file://"), ("host", "")],
        ] {
            assert!(!at(pairs), "{pairs:?}");
        }
    }

    #[test]
    fn the_cookie_is_for_no_script_no_other_site_and_no_other_address() {
        let set = Cookie::Secure.set("abc", 60);
        assert_eq!(set, "__Secure-crossdock-session=abc; Path=/session; Max-Age=60; HttpOnly; SameSite=Strict; Secure");
        assert_eq!(Cookie::Plain.set("abc", 60), "crossdock-session=abc; Path=/session; Max-Age=60; HttpOnly; SameSite=Strict");
        let sent = headers(&[("cookie", "theme=dark; crossdock-session=plain; __Secure-crossdock-session=t-o_k")]);
        assert_eq!(Cookie::Secure.find(&sent).as_deref(), Some("t-o_k"));
        assert_eq!(Cookie::Plain.find(&sent).as_deref(), Some("plain"));
        assert_eq!(Cookie::Secure.find(&headers(&[("cookie", "crossdock-session=plain")])), None);
        // The page reads this one, and learns no more of it than that it is there.
        let told = Cookie::Secure.just_opened();
        assert_eq!(told, "__Host-crossdock-signed-in=1; Path=/; Max-Age=60; SameSite=Strict; Secure");
        assert_eq!(Cookie::Plain.just_opened(), "crossdock-signed-in=1; Path=/; Max-Age=60; SameSite=Strict");
    }
}
