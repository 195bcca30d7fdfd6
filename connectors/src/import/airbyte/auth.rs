//! Who asks. Four kinds know at once what to say; OAuth and sessions first ask for a token, which the reader sends for like for a page.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest, Method};
use domain::value::{Map, Value};

use super::ImportError;
use super::decode;
use super::dpath;
use super::jinja::Scope;
use super::literal;
use super::model::{Authenticator, Json, LegacySession, OAuth, Place, RequestOption, SessionToken, SessionUse, Text};
use super::moment::Span;
use super::request::{self, Parts};

/// How long a token lasts whose answer does not say.
const TOKEN_S: i64 = 3_600;
/// A session of the older kind lasts a day.
const SESSION_S: i64 = 86_400;
/// How deep an answer is searched for its token.
const SEARCH_DEPTH_MAX: usize = 5;

#[derive(Debug, Clone)]
pub(crate) struct Auth {
    kind: Authenticator,
    /// The requester's base, which the addresses of an older session are joined to.
    base: String,
    token: Option<Token>,
    /// A session that the settings have is refused: the next step is to log in.
    log_in: bool,
}

#[derive(Clone)]
struct Token {
    text: String,
    until: DateTime<Utc>,
    /// No request has used it yet: it serves one even where it lasts shorter than its answer travelled.
    fresh: bool,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token until {}", self.until)
    }
}

fn text(template: Option<&Text>, default: &str, scope: &Scope) -> Result<String, ImportError> {
    template.map_or_else(|| Ok(default.to_owned()), |template| scope.text(&template.0))
}

fn one_header(name: String, value: String) -> Parts {
    Parts { headers: [(name, Value::Text(value))].into_iter().collect(), ..Parts::default() }
}

impl Auth {
    /// # Errors
    /// Where the settings choose an authenticator that is not there.
    pub(crate) fn new(kind: Option<&Authenticator>, base: &str, config: &Value) -> Result<Auth, ImportError> {
        let mut kind = kind.cloned().unwrap_or(Authenticator::NoAuth {});
        while let Authenticator::SelectiveAuthenticator { authenticator_selection_path: path, authenticators } = kind {
            let path: Vec<String> = path.iter().map(|segment| segment.0.clone()).collect();
            let chosen = dpath::get(config, &path).map(literal::text);
            let missing =
                || ImportError::Setting { name: path.join("."), why: "it chooses no authenticator of the manifest".to_owned() };
            kind = chosen.and_then(|chosen| authenticators.get(&chosen)).cloned().ok_or_else(missing)?;
        }
        Ok(Auth { kind, base: base.to_owned(), token: None, log_in: false })
    }

    /// Before a token is known, the request that asks for it.
    pub(crate) fn request(&self, scope: &Scope, now: DateTime<Utc>) -> Result<Option<HttpRequest>, ImportError> {
        if self.token.as_ref().is_some_and(|token| token.fresh || token.until > now) {
            return Ok(None);
        }
        match &self.kind {
            Authenticator::OAuthAuthenticator(oauth) => oauth_request(oauth, scope),
            Authenticator::SessionTokenAuthenticator(session) => {
                let login = Auth::new(session.login_requester.authenticator.as_deref(), "", &Value::Null)?;
                let login = login.parts(scope)?;
                request::build(&session.login_requester, scope, None, login, Parts::default()).map(Some)
            }
            Authenticator::LegacySessionTokenAuthenticator(session) => self.legacy_request(session, scope).map(Some),
            _ => Ok(None),
        }
    }

    /// What the answer of [`Self::request`] brings.
    pub(crate) fn take(&mut self, answer: &HttpAnswer, scope: &Scope, now: DateTime<Utc>) -> Result<(), Fault> {
        if let (Authenticator::LegacySessionTokenAuthenticator(session), false) = (&self.kind, self.log_in)
            && session_token(session, scope).is_some()
        {
            match (session_token(session, scope), answer.status) {
                (Some(text), 200..=399) => self.token = Some(Token { text, until: after(now, SESSION_S), fresh: true }),
                (_, 401) => self.log_in = true,
                _ => return Err(refusal(answer)),
            }
            return Ok(());
        }
        if answer.status >= 400 {
            return Err(refusal(answer));
        }
        let document = decode::json(&answer.body).map_err(|why| no_token(&why, answer.status))?;
        let broken = |error: ImportError| no_token(&error.to_string(), answer.status);
        let (found, lasts_s) = match &self.kind {
            Authenticator::OAuthAuthenticator(oauth) => {
                let scope = &scope.and("parameters", &oauth.parameters.0);
                let name = text(oauth.access_token_name.as_ref(), "access_token", scope).map_err(broken)?;
                let lasts = text(oauth.expires_in_name.as_ref(), "expires_in", scope).map_err(broken)?;
                let lasts = search(&document, &lasts, 0).and_then(Value::to_decimal);
                (search(&document, &name, 0), lasts.and_then(|s| i64::try_from(s.trunc()).ok()).unwrap_or(TOKEN_S))
            }
            Authenticator::SessionTokenAuthenticator(session) => {
                let path: Vec<String> = session.session_token_path.iter().map(|segment| segment.0.clone()).collect();
                let lasts = session.expiration_duration.as_deref().and_then(Span::parse);
                // Without a duration a token serves one request.
                (
                    dpath::get(&document, &path),
                    lasts.map_or(1, |span| span.micros / 1_000_000 + i64::from(span.months) * 30 * 86_400),
                )
            }
            Authenticator::LegacySessionTokenAuthenticator(session) => {
                let scope = &scope.and("parameters", &session.parameters.0);
                let key = scope.text(&session.session_token_response_key.0).map_err(broken)?;
                (document.get(&key), SESSION_S)
            }
            _ => (None, 0),
        };
        let found = found.map(literal::text).filter(|token| !token.is_empty());
        let token = found.ok_or_else(|| no_token("its answer has no token", answer.status))?;
        self.token = Some(Token { text: token, until: after(now, lasts_s), fresh: true });
        Ok(())
    }

    /// The token is refused: the next request asks for a new one. False where there is none to ask for.
    pub(crate) fn forget(&mut self) -> bool {
        self.token.take().is_some()
    }

    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|token| token.text.as_str())
    }

    /// A request uses the token.
    pub(crate) fn used(&mut self) {
        if let Some(token) = &mut self.token {
            token.fresh = false;
        }
    }

    /// What the authentication adds to a request.
    pub(crate) fn parts(&self, scope: &Scope) -> Result<Parts, ImportError> {
        let token = || self.token.as_ref().map(|token| token.text.clone()).unwrap_or_default();
        match &self.kind {
            Authenticator::NoAuth {} | Authenticator::SelectiveAuthenticator { .. } => Ok(Parts::default()),
            Authenticator::ApiKeyAuthenticator { api_token, header, inject_into, parameters } => {
                let scope = &scope.and("parameters", &parameters.0);
                let token = text(api_token.as_ref(), "", scope)?;
                let by_header = |header: &Text| RequestOption {
                    inject_into: Place::Header,
                    field_name: Some(header.clone()),
                    field_path: None,
                    parameters: parameters.clone(),
                };
                let option = inject_into.clone().or_else(|| header.as_ref().map(by_header));
                let option = option
                    .ok_or_else(|| ImportError::Shape("an ApiKeyAuthenticator has neither inject_into nor header".to_owned()))?;
                let mut parts = Parts::default();
                parts.inject(&option, Value::Text(token), scope)?;
                Ok(parts)
            }
            Authenticator::BearerAuthenticator { api_token, parameters } => {
                let token = scope.and("parameters", &parameters.0).text(&api_token.0)?;
                Ok(one_header("Authorization".to_owned(), format!("Bearer {token}")))
            }
            Authenticator::BasicHttpAuthenticator { username, password, parameters } => {
                let scope = &scope.and("parameters", &parameters.0);
                let pair = format!("{}:{}", scope.text(&username.0)?, text(password.as_ref(), "", scope)?);
                Ok(one_header("Authorization".to_owned(), format!("Basic {}", STANDARD.encode(pair))))
            }
            Authenticator::OAuthAuthenticator(oauth) => {
                let token = match (&self.token, &oauth.token_refresh_endpoint) {
                    (None, None) => text(oauth.access_token_value.as_ref(), "", &scope.and("parameters", &oauth.parameters.0))?,
                    _ => token(),
                };
                Ok(one_header("Authorization".to_owned(), format!("Bearer {token}")))
            }
            Authenticator::SessionTokenAuthenticator(session) => session_parts(session, &token(), scope),
            Authenticator::LegacySessionTokenAuthenticator(session) => {
                Ok(one_header(scope.and("parameters", &session.parameters.0).text(&session.header.0)?, token()))
            }
        }
    }

    fn legacy_request(&self, session: &LegacySession, scope: &Scope) -> Result<HttpRequest, ImportError> {
        let scope = &scope.and("parameters", &session.parameters.0);
        if let (Some(token), false) = (session_token(session, scope), self.log_in) {
            let url = scope.text(&self.base)? + &scope.text(&session.validate_session_url.0)?;
            let headers = vec![(scope.text(&session.header.0)?, token)];
            return Ok(HttpRequest { method: Method::Get, url, headers, body: Bytes::new(), identity: None });
        }
        let pair =
            |name: &str, value: Option<&Text>| Ok::<_, ImportError>((name.to_owned(), Value::Text(text(value, "", scope)?)));
        let body: Map =
            [pair("username", session.username.as_ref())?, pair("password", session.password.as_ref())?].into_iter().collect();
        Ok(HttpRequest {
            method: Method::Post,
            url: scope.text(&self.base)? + &scope.text(&session.login_url.0)?,
            headers: vec![("Content-Type".to_owned(), "application/json".to_owned())],
            body: Bytes::from(Value::Map(body).to_json()),
            identity: None,
        })
    }
}

/// The session that the settings have. It is proven once and then remembered, where the reference proves it before every request.
fn session_token(session: &LegacySession, scope: &Scope) -> Option<String> {
    let scope = &scope.and("parameters", &session.parameters.0);
    let token = scope.optional(&session.session_token.as_ref()?.0).ok()??.into_value();
    literal::is_true(&token).then(|| literal::text(&token))
}

fn session_parts(session: &SessionToken, token: &str, scope: &Scope) -> Result<Parts, ImportError> {
    match &session.request_authentication {
        SessionUse::Bearer {} => Ok(one_header("Authorization".to_owned(), format!("Bearer {token}"))),
        SessionUse::ApiKey { inject_into, api_token } => {
            let scope = scope.and("parameters", &session.parameters.0).and("session_token", &Value::from(token));
            let token = text(api_token.as_ref(), token, &scope)?;
            let mut parts = Parts::default();
            parts.inject(inject_into, Value::Text(token), &scope)?;
            Ok(parts)
        }
    }
}

fn oauth_request(oauth: &OAuth, scope: &Scope) -> Result<Option<HttpRequest>, ImportError> {
    let scope = &scope.and("parameters", &oauth.parameters.0);
    let Some(endpoint) = &oauth.token_refresh_endpoint else { return Ok(None) };
    let endpoint = scope.text(&endpoint.0)?;
    let inputs = |inputs: Option<&Json>| -> Result<Map, ImportError> {
        let mut out = Map::new();
        for (name, value) in inputs.and_then(|inputs| inputs.0.as_map()).into_iter().flatten() {
            let value = match value {
                Value::Text(template) => scope.optional(template)?.map_or(Value::Null, literal::Literal::into_value),
                other => other.clone(),
            };
            out.insert(scope.text(name)?, value);
        }
        Ok(out)
    };
    let own_headers = inputs(oauth.refresh_request_headers.as_ref())?;
    let mut payload = Map::new();
    let mut add = |name: Option<&Text>, default: &str, value: Option<String>| -> Result<(), ImportError> {
        payload.insert(text(name, default, scope)?, value.map_or(Value::Null, Value::Text));
        Ok(())
    };
    let grant = text(oauth.grant_type.as_ref(), "refresh_token", scope)?;
    add(oauth.grant_type_name.as_ref(), "grant_type", Some(grant))?;
    if !own_headers.contains_key("Authorization") {
        add(oauth.client_id_name.as_ref(), "client_id", Some(text(oauth.client_id.as_ref(), "", scope)?))?;
        add(oauth.client_secret_name.as_ref(), "client_secret", Some(text(oauth.client_secret.as_ref(), "", scope)?))?;
    }
    let refresh = oauth.refresh_token.as_ref().map(|token| scope.text(&token.0)).transpose()?;
    add(oauth.refresh_token_name.as_ref(), "refresh_token", refresh)?;
    if let Some(scopes) = oauth.scopes.as_ref().filter(|scopes| !scopes.is_empty()) {
        payload.insert("scopes".to_owned(), Value::List(scopes.iter().map(|scope| Value::from(scope.as_str())).collect()));
    }
    for (name, value) in inputs(oauth.refresh_request_body.as_ref())? {
        payload.entry(name).or_insert(value);
    }
    let as_query = oauth.send_refresh_request_as_query_params.unwrap_or(false);
    let encoded = request::form(&payload);
    let mut headers: Vec<(String, String)> =
        own_headers.iter().map(|(name, value)| (name.clone(), literal::text(value))).collect();
    if !as_query && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()));
    }
    let (url, body) = match (as_query, endpoint.contains('?')) {
        (false, _) => (endpoint, encoded),
        (true, true) => (format!("{endpoint}&{encoded}"), String::new()),
        (true, false) => (format!("{endpoint}?{encoded}"), String::new()),
    };
    Ok(Some(HttpRequest { method: Method::Post, url, headers, body: Bytes::from(body), identity: None }))
}

/// The first value of a key, wherever it stands.
fn search<'v>(value: &'v Value, key: &str, depth: usize) -> Option<&'v Value> {
    if depth > SEARCH_DEPTH_MAX {
        return None;
    }
    match value {
        Value::Map(map) => map.get(key).or_else(|| map.values().find_map(|next| search(next, key, depth + 1))),
        Value::List(list) => list.iter().find_map(|next| search(next, key, depth + 1)),
        _ => None,
    }
}

fn after(now: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    TimeDelta::try_seconds(seconds).and_then(|span| now.checked_add_signed(span)).unwrap_or(now)
}

fn refusal(answer: &HttpAnswer) -> Fault {
    let status = answer.status;
    let (class, owner, fix) = match status {
        429 => (FaultClass::Limit, Owner::Vendor, "Nothing: it is asked again."),
        500.. => (FaultClass::Outage, Owner::Vendor, "Nothing: it is asked again."),
        _ => (FaultClass::Authentication, Owner::Developer, "Enter the connection's credential again."),
    };
    let reason = format!("The vendor gave no token: its answer was {status}.");
    Fault { status: Some(status), ..Fault::new(class, &format!("token_{status}"), reason, owner, fix) }
}

fn no_token(why: &str, status: u16) -> Fault {
    let reason = format!("The vendor's answer to the log-in could not be used: {why}.");
    let fix = "Compare the manifest's authenticator with the vendor's documentation.";
    Fault { status: Some(status), ..Fault::new(FaultClass::Authentication, "token_answer", reason, Owner::Developer, fix) }
}
