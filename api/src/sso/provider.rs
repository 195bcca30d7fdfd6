//! Asking an identity provider: what it is (discovery), its keys, a person's tokens. A tenant says where it is, so all of it goes through the one door out,
//! is bounded, and follows no redirect. What it is and its keys are kept for a while, each process for itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::http::{HttpRequest, Method, NoAnswer};
use domain::identity_provider::Refusal;
use domain::secret::{ExposeSecret, SecretString};
use infra::outbound::Outbound;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use super::id_token::is_usable;

/// Somebody waits for it at a browser.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
const ANSWER_BYTES_MAX: usize = 256 * 1024;
const METADATA_KEPT: Duration = Duration::from_secs(10 * 60);
const KEYS_KEPT: Duration = Duration::from_secs(60 * 60);
/// An id of a key that is not known asks for the keys anew, no more often than that.
const KEYS_AGAIN: Duration = Duration::from_secs(60);
const KEYS_MAX: usize = 100;
/// Providers whose answers are kept.
const KEPT_MAX: usize = 1_000;
/// Of what a provider says of an error.
const ERROR_CHARS_MAX: usize = 200;
/// What was asked, as people are told.
const DISCOVERY: &str = "its discovery document";
const KEYS: &str = "its list of keys";
const TOKENS: &str = "its token endpoint";
const USER_INFO: &str = "its user info";

/// Why a provider could not be asked, or its answer not be used.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    #[error("{what} was not reached: {source}")]
    NoAnswer { what: &'static str, source: NoAnswer },
    #[error("{what} took longer than {} s", CALL_TIMEOUT.as_secs())]
    Slow { what: &'static str },
    #[error("{what} answered with a redirect ({status}), which is not followed; give the address that it leads to")]
    Redirect { what: &'static str, status: u16 },
    #[error("{what} answered with status {status}")]
    Status { what: &'static str, status: u16 },
    #[error("{what} answered with what is not the JSON of the standard, or more than 256 KiB of it")]
    Unreadable { what: &'static str },
    #[error("it calls itself \"{said}\"; the issuer must be written exactly so, its last slash included")]
    OtherIssuer { said: String },
    #[error("its {what} is no https address")]
    Insecure { what: &'static str },
    #[error("it takes no sign-in by code with PKCE (S256)")]
    NoPkce,
    #[error("it takes our secret neither in a header (client_secret_basic) nor in the form (client_secret_post)")]
    NoClientMethod,
    #[error("it does not know this client, or its secret is another: {said}")]
    Client { said: String },
    #[error("it refused the code: {said}")]
    Grant { said: String },
    #[error("it gave no ID token; openid must be allowed as a scope")]
    NoIdToken,
    #[error("its user info is about somebody else")]
    OtherSubject,
}

impl ProviderError {
    /// What the person is told.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Client { .. } | Self::NoClientMethod => Refusal::ClientRefused,
            Self::Grant { .. } => Refusal::ProviderFailed,
            Self::OtherIssuer { .. } | Self::NoIdToken | Self::OtherSubject => Refusal::NotBelieved,
            _ => Refusal::ProviderAway,
        }
    }
}

/// What a provider says of itself (OpenID Connect Discovery 1.0), as far as it is needed.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub jwks_uri: String,
    pub userinfo_endpoint: Option<String>,
    response_types_supported: Option<Vec<String>>,
    code_challenge_methods_supported: Option<Vec<String>>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    pub claims_supported: Option<Vec<String>>,
    /// Its answers name it (RFC 9207), and one that does not is not its own.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// What a code is traded for.
#[derive(Deserialize)]
pub struct Tokens {
    access_token: Option<SecretString>,
    id_token: Option<String>,
}

/// What is shown at the token endpoint.
pub struct Code<'a> {
    pub code: &'a str,
    pub verifier: &'a str,
    pub redirect_uri: &'a str,
}

/// Whom it knows us as.
pub struct Client<'a> {
    pub id: &'a str,
    pub secret: &'a SecretString,
}

struct Keys {
    keys: Arc<Vec<Jwk>>,
    at: Instant,
    /// When they were last asked for anew because of a key that was not among them.
    again_at: Option<Instant>,
}

/// Asks, and keeps what may be kept.
pub struct Providers {
    outbound: Outbound,
    metadata: Mutex<HashMap<String, (Instant, Arc<Metadata>)>>,
    /// By issuer and address: what one provider names does not touch what is kept of another.
    keys: Mutex<HashMap<(String, String), Keys>>,
}

impl Providers {
    pub fn new(outbound: Outbound) -> Self {
        Self { outbound, metadata: Mutex::default(), keys: Mutex::default() }
    }

    /// True for an address that a provider may have: https, or one that the operator has opened.
    pub fn is_fit(&self, address: &str) -> bool {
        is_fit(address, |address| self.outbound.is_opened(address))
    }

    /// What the provider of this issuer says of itself.
    pub async fn metadata(&self, issuer: &str) -> Result<Arc<Metadata>, ProviderError> {
        let now = Instant::now();
        let kept = locked(&self.metadata).get(issuer).filter(|(at, _)| now.duration_since(*at) < METADATA_KEPT).cloned();
        if let Some((_, metadata)) = kept {
            return Ok(metadata);
        }
        let metadata = Arc::new(self.discover(issuer).await?);
        keep(&mut locked(&self.metadata), issuer.to_owned(), (now, metadata.clone()));
        Ok(metadata)
    }

    /// As [`Self::metadata`], asked for now.
    pub async fn discover(&self, issuer: &str) -> Result<Metadata, ProviderError> {
        if !self.is_fit(issuer) {
            return Err(ProviderError::Insecure { what: "issuer" });
        }
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let (status, body) = self.call(DISCOVERY, get(address, None)).await?;
        if status != 200 {
            return Err(ProviderError::Status { what: DISCOVERY, status });
        }
        Metadata::read(issuer, &body, |address| self.is_fit(address))
    }

    /// The provider's keys. `again`: one that is not among those that are kept is wanted.
    pub async fn keys(&self, metadata: &Metadata, again: bool) -> Result<Arc<Vec<Jwk>>, ProviderError> {
        let (name, now) = ((metadata.issuer.clone(), metadata.jwks_uri.clone()), Instant::now());
        {
            let mut kept = locked(&self.keys);
            if let Some(it) = kept.get_mut(&name).filter(|it| now.duration_since(it.at) < KEYS_KEPT) {
                if !again || it.again_at.is_some_and(|at| now.duration_since(at) < KEYS_AGAIN) {
                    return Ok(it.keys.clone());
                }
                it.again_at = Some(now);
            }
        }
        let keys = Arc::new(self.keys_now(metadata).await?);
        let it = Keys { keys: keys.clone(), at: now, again_at: again.then_some(now) };
        keep(&mut locked(&self.keys), name, it);
        Ok(keys)
    }

    /// As [`Self::keys`], asked for now.
    pub async fn keys_now(&self, metadata: &Metadata) -> Result<Vec<Jwk>, ProviderError> {
        let (status, body) = self.call(KEYS, get(metadata.jwks_uri.clone(), None)).await?;
        if status == 200 { read_keys(&body) } else { Err(ProviderError::Status { what: KEYS, status }) }
    }

    /// Trades a code for tokens.
    pub async fn tokens(&self, metadata: &Metadata, client: &Client<'_>, code: &Code<'_>) -> Result<Tokens, ProviderError> {
        let (status, body) = self.call(TOKENS, token_request(metadata, client, code)?).await?;
        Tokens::read(status, &body)
    }

    /// What the provider says of a person beside the ID token.
    pub async fn user_info(
        &self,
        metadata: &Metadata,
        tokens: &Tokens,
        subject: &str,
    ) -> Result<Map<String, Value>, ProviderError> {
        let (Some(address), Some(token)) = (&metadata.userinfo_endpoint, &tokens.access_token) else { return Ok(Map::new()) };
        let (status, body) = self.call(USER_INFO, get(address.clone(), Some(token))).await?;
        if status == 200 { read_user_info(&body, subject) } else { Err(ProviderError::Status { what: USER_INFO, status }) }
    }

    /// One call: status and body, bounded.
    async fn call(&self, what: &'static str, request: HttpRequest) -> Result<(u16, Bytes), ProviderError> {
        let asked = async {
            let mut answer = self.outbound.open(request).await.map_err(|source| ProviderError::NoAnswer { what, source })?;
            let status = answer.head.status;
            if (300..400).contains(&status) {
                return Err(ProviderError::Redirect { what, status });
            }
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(|source| ProviderError::NoAnswer { what, source })? {
                body.extend_from_slice(&chunk);
                if body.len() > ANSWER_BYTES_MAX {
                    return Err(ProviderError::Unreadable { what });
                }
            }
            Ok((status, Bytes::from(body)))
        };
        tokio::time::timeout(CALL_TIMEOUT, asked).await.map_err(|_| ProviderError::Slow { what })?
    }
}

impl Metadata {
    /// What a provider says of itself, if it is the one of this issuer and can do what is needed. `is_fit` says which addresses it may have.
    pub fn read(issuer: &str, body: &[u8], is_fit: impl Fn(&str) -> bool) -> Result<Self, ProviderError> {
        let metadata: Self = read(DISCOVERY, body)?;
        // Else another provider could answer in its place (mix-up).
        if metadata.issuer != issuer {
            return Err(ProviderError::OtherIssuer { said: cut(&metadata.issuer) });
        }
        for (what, address) in [
            ("authorization_endpoint", Some(&metadata.authorization_endpoint)),
            ("token_endpoint", Some(&metadata.token_endpoint)),
            ("jwks_uri", Some(&metadata.jwks_uri)),
            ("userinfo_endpoint", metadata.userinfo_endpoint.as_ref()),
        ] {
            if address.is_some_and(|address| !is_fit(address)) {
                return Err(ProviderError::Insecure { what });
            }
        }
        let lacks = |list: &Option<Vec<String>>, word: &str| list.as_ref().is_some_and(|all| !all.iter().any(|one| one == word));
        if lacks(&metadata.response_types_supported, "code") || lacks(&metadata.code_challenge_methods_supported, "S256") {
            return Err(ProviderError::NoPkce);
        }
        Ok(metadata)
    }
}

impl Tokens {
    /// What was given for a code, or why nothing was.
    pub fn read(status: u16, body: &[u8]) -> Result<Self, ProviderError> {
        #[derive(Deserialize)]
        struct Failure {
            error: String,
            error_description: Option<String>,
        }
        if status == 200 {
            return read(TOKENS, body);
        }
        let Ok(Failure { error, error_description }) = serde_json::from_slice(body) else {
            // One that does not say why: 401 is what is said to a client (RFC 6749, 5.2).
            let said = format!("status {status}");
            return Err(if status == 401 {
                ProviderError::Client { said }
            } else {
                ProviderError::Status { what: TOKENS, status }
            });
        };
        let said = cut(&match error_description {
            Some(description) => format!("{error}: {description}"),
            None => error.clone(),
        });
        Err(match error.as_str() {
            "invalid_client" | "unauthorized_client" => ProviderError::Client { said },
            _ => ProviderError::Grant { said },
        })
    }

    pub fn id_token(&self) -> Result<&str, ProviderError> {
        self.id_token.as_deref().ok_or(ProviderError::NoIdToken)
    }
}

/// One of a kind that is not known is left out, as the standard wants it (RFC 7517, 5).
pub fn read_keys(body: &[u8]) -> Result<Vec<Jwk>, ProviderError> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let set: Set = read(KEYS, body)?;
    let known = set.keys.into_iter().take(KEYS_MAX).filter_map(|key| serde_json::from_value(key).ok());
    Ok(known.filter(is_usable).collect())
}

/// What is said of this person, and of nobody else: a token of somebody else would bring their claims (OpenID Connect Core 1.0, 5.3.2).
pub fn read_user_info(body: &[u8], subject: &str) -> Result<Map<String, Value>, ProviderError> {
    let claims: Map<String, Value> = read(USER_INFO, body)?;
    let is_theirs = claims.get("sub").and_then(Value::as_str) == Some(subject);
    if is_theirs { Ok(claims) } else { Err(ProviderError::OtherSubject) }
}

/// True for https, and for http where `is_opened`.
pub fn is_fit(address: &str, is_opened: impl Fn(&str) -> bool) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let is_plain = url.username().is_empty() && url.password().is_none() && url.fragment().is_none() && url.has_host();
    is_plain && (url.scheme() == "https" || (url.scheme() == "http" && is_opened(address)))
}

fn get(url: String, token: Option<&SecretString>) -> HttpRequest {
    let mut headers = vec![("Accept".to_owned(), "application/json".to_owned())];
    headers.extend(token.map(|token| ("Authorization".to_owned(), format!("Bearer {}", token.expose_secret()))));
    HttpRequest { method: Method::Get, url, headers, body: Bytes::new(), identity: None }
}

pub fn token_request(metadata: &Metadata, client: &Client<'_>, code: &Code<'_>) -> Result<HttpRequest, ProviderError> {
    let methods = metadata.token_endpoint_auth_methods_supported.as_deref();
    let takes = |method: &str| methods.is_some_and(|all| all.iter().any(|one| one == method));
    let mut form = Serializer::new(String::new());
    form.append_pair("grant_type", "authorization_code").append_pair("code", code.code);
    form.append_pair("redirect_uri", code.redirect_uri).append_pair("code_verifier", code.verifier);
    let mut headers = vec![
        ("Accept".to_owned(), "application/json".to_owned()),
        ("Content-Type".to_owned(), "application/x-www-form-urlencoded".to_owned()),
    ];
    // The header is what the standard has where a provider says nothing.
    if methods.is_none() || takes("client_secret_basic") {
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = STANDARD.encode(format!("{}:{}", encoded(client.id), encoded(client.secret.expose_secret())));
        headers.push(("Authorization".to_owned(), format!("Basic {pair}")));
    } else if takes("client_secret_post") {
        form.append_pair("client_id", client.id).append_pair("client_secret", client.secret.expose_secret());
    } else {
        return Err(ProviderError::NoClientMethod);
    }
    let body = Bytes::from(form.finish());
    Ok(HttpRequest { method: Method::Post, url: metadata.token_endpoint.clone(), headers, body, identity: None })
}

fn read<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, ProviderError> {
    serde_json::from_slice(body).map_err(|_| ProviderError::Unreadable { what })
}

/// What a provider says, for a person to read.
pub fn cut(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).take(ERROR_CHARS_MAX).collect()
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().expect("no code panics while it holds what is kept")
}

fn keep<K: std::hash::Hash + Eq, V>(kept: &mut HashMap<K, V>, key: K, value: V) {
    // Whoever fills it up makes everybody ask anew, and no more.
    if kept.len() >= KEPT_MAX && !kept.contains_key(&key) {
        kept.clear();
    }
    kept.insert(key, value);
}

#[cfg(test)]
mod tests {
    use infra::outbound::AllowList;

    use super::*;

    fn metadata(methods: Option<&[&str]>) -> Metadata {
        let methods = methods.map(|all| all.iter().map(|one| (*one).to_owned()).collect());
        Metadata {
            issuer: "https://id.example.com".into(),
            authorization_endpoint: "https://id.example.com/auth".into(),
            token_endpoint: "https://id.example.com/token".into(),
            jwks_uri: "https://id.example.com/keys".into(),
            userinfo_endpoint: None,
            response_types_supported: None,
            code_challenge_methods_supported: None,
            token_endpoint_auth_methods_supported: methods,
            claims_supported: None,
            authorization_response_iss_parameter_supported: false,
        }
    }

    #[test]
    fn our_secret_goes_where_the_provider_takes_it() {
        let secret = SecretString::from("s:cret +");
        let client = Client { id: "us", secret: &secret };
        let code = Code { code: "c", verifier: "v", redirect_uri: "https://hub.example.com/sso/callback" };
        let request = |methods| token_request(&metadata(methods), &client, &code);
        for methods in [None, Some(&["client_secret_post", "client_secret_basic"][..])] {
            let request = request(methods).unwrap();
            let basic = STANDARD.encode("us:s%3Acret+%2B");
            assert!(request.headers.contains(&("Authorization".into(), format!("Basic {basic}"))), "{:?}", request.headers);
            assert!(!String::from_utf8_lossy(&request.body).contains("secret"));
        }
        let posted = request(Some(&["client_secret_post"])).unwrap();
        assert!(String::from_utf8_lossy(&posted.body).ends_with("&client_id=us&client_secret=s%3Acret+%2B"));
        assert!(matches!(request(Some(&["private_key_jwt"])), Err(ProviderError::NoClientMethod)));
    }

    #[test]
    fn a_provider_is_asked_over_https_or_where_the_operator_has_opened_it() {
        let outbound = Outbound::new(AllowList::parse("127.0.0.1:9000"), CALL_TIMEOUT).unwrap();
        let providers = Providers::new(outbound);
        for (address, expected) in [
            ("https://id.example.com", true),
            ("https://id.example.com/tenant/a", true),
            ("http://id.example.com", false),
            ("http://127.0.0.1:9000", true),
            ("http://127.0.0.1:9001", false),
            ("https://user@id.example.com", false),
            ("https://id.example.com/#x", false),
            ("file:///etc/passwd", false),
            ("javascript:alert(1)", false),
            ("id.example.com", false),
        ] {
            assert_eq!(providers.is_fit(address), expected, "{address}");
        }
    }
}
