//! The token endpoint (RFC 6749): what is asked of it for each grant, how the client proves itself there, and what its answer means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest, Method};
use domain::secret::{ExposeSecret, SecretString};
use domain::value::{Value, decimal};
use url::form_urlencoded;

use super::token::TokenSet;
use super::{encode, identity_of, jwt, put_header};
use crate::connector::Connector;
use crate::manifest::{ClientAuth, Grant, Oauth2};
use crate::path;
use crate::request::{RequestContext, RequestError};
use crate::response::{is_success, parse};
use crate::template::{fill, names};

/// A longer token does not fit the headers that servers take.
const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// A longer life than ten years is none that anybody plans with.
const LIFETIME_S_MAX: i64 = 10 * 366 * 86_400;
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// The parameters of a request for tokens, in order.
pub(super) type Params = Vec<(String, String)>;

impl Connector {
    pub(super) fn oauth2_token_request(
        &self,
        oauth2: &Oauth2,
        context: &RequestContext<'_>,
    ) -> Result<HttpRequest, RequestError> {
        let endpoint = &oauth2.token;
        if let Some(refresh_token) = refresh_token(oauth2, context) {
            let mut params = vec![pair("grant_type", "refresh_token"), pair("refresh_token", refresh_token)];
            if oauth2.refresh.scopes {
                params.extend(scope(oauth2));
            }
            let url = endpoint.refresh_url.as_ref().unwrap_or(&endpoint.url);
            return self.token_call(oauth2, url, params, context);
        }
        let mut params = match oauth2.grant {
            Grant::AuthorizationCode => return Err(RequestError::Consent(self.title().to_owned())),
            Grant::RefreshToken => {
                let field = endpoint.refresh_token.as_deref().unwrap_or("refresh_token");
                return Err(RequestError::Secret(field.to_owned()));
            }
            Grant::ClientCredentials => vec![pair("grant_type", "client_credentials")],
            Grant::JwtBearer => vec![pair("grant_type", JWT_BEARER), pair("assertion", &assertion(oauth2, context)?)],
            Grant::Password => {
                let mut params = vec![pair("grant_type", "password")];
                for (name, field) in [("username", &endpoint.user), ("password", &endpoint.password)] {
                    if let Some(field) = field {
                        params.push(pair(name, context.secret(field)?));
                    }
                }
                params
            }
        };
        params.extend(scope(oauth2));
        self.token_call(oauth2, &endpoint.url, params, context)
    }

    /// A call of the token endpoint, with the proof of who the client is and with what the manifest adds.
    pub(super) fn token_call(
        &self,
        oauth2: &Oauth2,
        url: &str,
        mut params: Params,
        context: &RequestContext<'_>,
    ) -> Result<HttpRequest, RequestError> {
        let endpoint = &oauth2.token;
        let mut request = HttpRequest {
            method: Method::Post,
            url: self.auth_url(url, context)?,
            headers: vec![("Accept".to_owned(), "application/json".to_owned())],
            body: Bytes::new(),
            identity: identity_of(&self.manifest.auth, context)?,
        };
        let secret = |field: &Option<String>| field.as_deref().map(|field| context.secret(field)).transpose();
        let client_id = secret(&endpoint.client_id)?;
        match endpoint.client {
            ClientAuth::Body => {
                params.extend(client_id.map(|id| pair("client_id", id)));
                params.extend(secret(&endpoint.client_secret)?.map(|secret| pair("client_secret", secret)));
            }
            ClientAuth::Basic => {
                // RFC 6749 section 2.3.1: both are encoded first, so that a colon in the id does no harm. A space is %20, which every decoder
                // reads; some know no "+".
                let secret = secret(&endpoint.client_secret)?;
                let both = format!("{}:{}", encode(client_id.unwrap_or_default()), encode(secret.unwrap_or_default()));
                put_header(&mut request, "Authorization", format!("Basic {}", STANDARD.encode(both)))?;
            }
            ClientAuth::Assertion => {
                params.extend(client_id.map(|id| pair("client_id", id)));
                params.push(pair("client_assertion_type", ASSERTION_TYPE));
                params.push(pair("client_assertion", &assertion(oauth2, context)?));
            }
            ClientAuth::None => params.extend(client_id.map(|id| pair("client_id", id))),
        }
        let find = |name: &str| context.find_with_credential(name);
        set_all(&mut params, &endpoint.params, find)?;
        let mut headers = Params::new();
        set_all(&mut headers, &endpoint.headers, find)?;
        for (name, value) in headers {
            put_header(&mut request, &name, value)?;
        }
        let (kind, body) = if endpoint.json {
            let tree: serde_json::Map<_, _> = params.into_iter().map(|(name, value)| (name, value.into())).collect();
            ("application/json", serde_json::Value::Object(tree).to_string())
        } else {
            let mut form = form_urlencoded::Serializer::new(String::new());
            ("application/x-www-form-urlencoded", form.extend_pairs(params).finish())
        };
        put_header(&mut request, "Content-Type", kind.to_owned())?;
        request.body = body.into();
        Ok(request)
    }

    /// An address of `auth`: a template, after `base_url` where it starts with `/`.
    pub(super) fn auth_url(&self, template: &str, context: &RequestContext<'_>) -> Result<String, RequestError> {
        // As with base_url, settings are not percent-encoded: they are checked against their patterns when they are saved.
        let url = context.fill(template, false)?;
        if url.starts_with('/') { Ok(self.base_url(context)? + &url) } else { Ok(url) }
    }

    pub(super) fn read_oauth2_answer(
        &self,
        oauth2: &Oauth2,
        answer: &HttpAnswer,
        previous: Option<&TokenSet>,
        now: DateTime<Utc>,
    ) -> Result<TokenSet, Fault> {
        let body = parse(answer);
        let at = |path: &str| body.as_ref().and_then(|body| path::first(body, path)).and_then(Value::to_text);
        let standard = |name: &'static str| at(oauth2.token.paths.get(name).map_or(name, String::as_str));
        let token =
            |name: &'static str| standard(name).filter(|token| is_token(token)).map(|token| SecretString::from(token.as_ref()));
        let Some(access_token) = token("access_token").filter(|_| is_success(answer)) else {
            return Err(self.token_fault(oauth2, answer, body.as_ref(), previous.is_some()));
        };
        let after = |seconds: Option<i64>| seconds.map(|seconds| now + Duration::seconds(seconds.clamp(0, LIFETIME_S_MAX)));
        let said = |name: &'static str| standard(name).and_then(|text| seconds(&text));
        let expires_at = after(said("expires_in"))
            .or_else(|| standard("expires_at").and_then(|text| time(&text)).map(|at| sensible(at, now)))
            .or_else(|| after(oauth2.lifetime_s.map(Into::into)));
        // A refresh that brings no new refresh token leaves the old one in force (RFC 6749 section 6); one that brings it ends the old one
        // at some vendors at once, so the last that was given is the one to keep.
        let refresh_token = token("refresh_token").or_else(|| previous?.refresh_token.clone());
        let lifetime = oauth2.refresh.lifetime_s.and_then(|seconds| i64::try_from(seconds).ok());
        let refresh_expires_at = after(said("refresh_token_expires_in").or(lifetime)).or_else(|| previous?.refresh_expires_at);
        let mut settings = previous.map(|previous| previous.settings.clone()).unwrap_or_default();
        for (path, setting) in &oauth2.token.keep {
            settings.extend(at(path).filter(|value| is_token(value)).map(|value| (setting.clone(), value.into_owned())));
        }
        Ok(TokenSet {
            access_token,
            refresh_expires_at: refresh_expires_at.filter(|_| refresh_token.is_some()),
            refresh_token,
            expires_at,
            cookies: Vec::new(),
            scope: standard("scope").map(|scope| scope.into_owned()).or_else(|| previous?.scope.clone()),
            settings,
        })
    }

    fn token_fault(&self, oauth2: &Oauth2, answer: &HttpAnswer, body: Option<&Value>, is_renewal: bool) -> Fault {
        let text = |name: &str| self.text_at(&[name.to_owned()], body);
        let passing = matches!(answer.status, 429 | 500..=599);
        let Some(code) = text("error").filter(|_| !passing) else {
            let fits = !is_success(answer);
            return if fits { self.classify(answer) } else { self.tokenless(answer, "compare it with auth.oauth2.token.paths") };
        };
        let title = self.title();
        let said = text("error_description").map(|said| format!(": {said}")).unwrap_or_default();
        let by_person = oauth2.grant == Grant::AuthorizationCode || is_renewal;
        let (class, reason, owner, fix) = match code.as_str() {
            "invalid_grant" if by_person => (
                FaultClass::Authentication,
                format!("{title} no longer accepts what it was connected with{said}"),
                Owner::Developer,
                format!("Connect {title} again."),
            ),
            "invalid_grant" => (
                FaultClass::Authentication,
                format!("{title} does not accept what this connection signs in with{said}"),
                Owner::Developer,
                format!("Store the credential again, or connect {title} again."),
            ),
            "invalid_client" | "unauthorized_client" => (
                FaultClass::Authentication,
                format!("{title} does not accept this client{said}"),
                Owner::Developer,
                "Compare the client's id and secret with those that the vendor shows, and store the credential again.".into(),
            ),
            "invalid_scope" | "access_denied" | "insufficient_scope" => (
                FaultClass::Permission,
                format!("{title} does not grant what the connector needs{said}"),
                Owner::Developer,
                format!("Give the account at {title} the rights that the setup guide names, then connect {title} again."),
            ),
            "temporarily_unavailable" | "server_error" => (
                FaultClass::Outage,
                format!("{title} gives no tokens at the moment{said}"),
                Owner::Vendor,
                "Nothing to do: it is tried again.".into(),
            ),
            "slow_down" => (
                FaultClass::Limit,
                format!("{title} gives no more tokens at the moment{said}"),
                Owner::Vendor,
                "Nothing to do: it is tried again.".into(),
            ),
            "invalid_request" | "unsupported_grant_type" | "unsupported_response_type" => (
                FaultClass::Validation,
                format!("{title} refuses the way in which the connector asks for a token{said}"),
                Owner::Crossdock,
                "Compare auth in the connector with the vendor's documentation.".into(),
            ),
            _ => {
                let fault = self.classify(answer);
                // 200 with an error inside says that it did not work, but not that it passes.
                let class = if is_success(answer) { FaultClass::Authentication } else { fault.class };
                let fix = if is_success(answer) { format!("Connect {title} again.") } else { fault.fix };
                (class, format!("{title} gives no token: {code}{said}"), fault.owner, fix)
            }
        };
        Fault::new(class, &code, reason, owner, &fix).answered(answer.status)
    }

    /// A success that carries no token.
    pub(super) fn tokenless(&self, answer: &HttpAnswer, hint: &str) -> Fault {
        let reason = format!("{} answered {} without a token that can be used", self.title(), answer.status);
        let fix = format!("Look at the answer: {hint}.");
        Fault::new(FaultClass::Validation, "no_token", reason, Owner::Crossdock, &fix).answered(answer.status)
    }
}

/// The refresh token to use: that of the last answer, or the one that the tenant brings. Grants that need no person are simply asked for
/// again (RFC 6749 section 4.4.3), so that no refresh token of theirs can end.
fn refresh_token<'c>(oauth2: &Oauth2, context: &'c RequestContext<'_>) -> Option<&'c str> {
    if matches!(oauth2.grant, Grant::ClientCredentials | Grant::JwtBearer) {
        return None;
    }
    let last = context.token.filter(|token| token.refresh_expires_at.is_none_or(|end| end > context.now));
    let last = last.and_then(|token| token.refresh_token.as_ref()).map(ExposeSecret::expose_secret);
    last.or_else(|| {
        let field = oauth2.token.refresh_token.as_deref().filter(|_| oauth2.grant == Grant::RefreshToken)?;
        context.secret(field).ok()
    })
}

fn assertion(oauth2: &Oauth2, context: &RequestContext<'_>) -> Result<String, RequestError> {
    let missing = || RequestError::Template("auth.oauth2 needs an assertion".into());
    jwt::make(oauth2.assertion.as_ref().ok_or_else(missing)?, context, &|_| None)
}

fn scope(oauth2: &Oauth2) -> Option<(String, String)> {
    (!oauth2.scopes.is_empty()).then(|| pair("scope", &oauth2.scopes.join(" ")))
}

pub(super) fn pair(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// What the manifest adds, in place of what has the same name; an empty value takes it away, and what names something that this connection
/// does not have is left out.
pub(super) fn set_all<'v>(
    params: &mut Params,
    more: &indexmap::IndexMap<String, String>,
    find: impl Fn(&str) -> Option<std::borrow::Cow<'v, str>>,
) -> Result<(), RequestError> {
    for (name, template) in more.iter().filter(|(_, template)| names(template).all(|name| find(name).is_some())) {
        let value = fill(template, false, &find)?;
        params.retain(|(known, _)| known != name);
        if !value.is_empty() {
            params.push((name.clone(), value));
        }
    }
    Ok(())
}

/// RFC 6749 appendix A.12: visible characters. One with a line break would not stay in its header.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.len() <= TOKEN_BYTES_MAX && !text.chars().any(char::is_control)
}

/// As a number or as a text.
fn seconds(text: &str) -> Option<i64> {
    let seconds = decimal(text.trim())?.trunc();
    Some(i64::try_from(seconds).unwrap_or(LIFETIME_S_MAX))
}

/// Some vendors tell milliseconds where others tell seconds: of a moment that nobody can mean, the nearest that we can keep.
fn sensible(at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    at.clamp(DateTime::UNIX_EPOCH, now + Duration::seconds(LIFETIME_S_MAX))
}

/// Unix seconds, or RFC 3339.
fn time(text: &str) -> Option<DateTime<Utc>> {
    match decimal(text.trim()) {
        Some(seconds) => {
            let at = i64::try_from(seconds.trunc()).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            Some(at.unwrap_or(if seconds.is_sign_negative() { DateTime::UNIX_EPOCH } else { DateTime::<Utc>::MAX_UTC }))
        }
        None => DateTime::parse_from_rfc3339(text.trim()).ok().map(|at| at.to_utc()),
    }
}
