//! The consent of a person (RFC 6749 section 4.1): where it is asked for, what comes back, and the code that becomes tokens, with proof key
//! (RFC 7636). The caller keeps the state and the verifier between the two, and compares the state before it uses the code.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::http::HttpRequest;
use domain::secret::{ExposeSecret, SecretFields, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use url::form_urlencoded;

use super::oauth2::{is_token, pair, set_all};
use super::token::TokenSet;
use super::{Stateful, encode, stateful};
use crate::connector::Connector;
use crate::manifest::{Authorize, Oauth2};
use crate::request::{RequestContext, RequestError};
use crate::response::TEXT_CHARS_MAX;

/// No browser sends a longer one.
const CALLBACK_BYTES_MAX: usize = 16 * 1024;

/// Proof key for code exchange, S256 (RFC 7636 section 4).
#[derive(Debug, Clone)]
pub struct Pkce {
    /// Kept until the code is exchanged.
    pub verifier: SecretString,
    /// Sent with the person.
    pub challenge: String,
}

impl Pkce {
    /// Out of 32 bytes that nobody can guess.
    #[must_use]
    pub fn new(random: &[u8; 32]) -> Self {
        let verifier = URL_SAFE_NO_PAD.encode(random);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&verifier));
        Self { verifier: verifier.into(), challenge }
    }
}

/// What the vendor sends the person back with.
#[derive(Debug, Clone)]
pub struct Callback {
    /// To be compared with the one that was kept: [`is_same_state`].
    pub state: String,
    pub code: SecretString,
    /// Settings that came with it, as `authorize.keep` says.
    pub settings: BTreeMap<String, String>,
    /// What was granted, where the vendor says so here and not with the tokens.
    pub scope: Option<String>,
}

/// A scope that the connector needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OauthScope<'c> {
    pub name: &'c str,
    /// What it lets us do; its name where the connector does not say.
    pub title: &'c str,
}

/// Why there is no consent, for the person who asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    #[error("{title} did not give its consent ({code}){said}; connect {title} again and accept what is asked")]
    Refused { title: String, code: String, said: String },
    #[error("{title} sent you back without \"{name}\"; connect {title} again")]
    Missing { title: String, name: &'static str },
    #[error("{title} sent \"{name}\" more than once; connect {title} again")]
    Twice { title: String, name: &'static str },
    #[error("what {0} sent you back with is too long; connect {0} again")]
    TooLong(String),
    #[error("the answer is not of {title}: it calls itself {said}, and {expected} was expected")]
    OtherIssuer { title: String, said: String, expected: String },
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error("this connector asks nobody for consent")]
    NoConsent,
}

/// The state of a callback, to find what was kept under it, whatever else it says.
#[must_use]
pub fn callback_state(query: &str) -> Option<String> {
    let query = Some(query).filter(|query| query.len() <= CALLBACK_BYTES_MAX)?;
    form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "state").map(|(_, state)| state.into_owned())
}

/// In constant time, so that nobody learns a state by trying.
#[must_use]
pub fn is_same_state(kept: &str, came: &str) -> bool {
    !kept.is_empty() && bool::from(kept.as_bytes().ct_eq(came.as_bytes()))
}

impl Connector {
    /// True where a person must consent at the vendor before there is a token.
    #[must_use]
    pub fn needs_consent(&self) -> bool {
        self.consent().is_some()
    }

    /// True where the consent goes with a proof key ([`Pkce`]).
    #[must_use]
    pub fn uses_pkce(&self) -> bool {
        self.consent().is_some_and(|(_, authorize)| authorize.pkce)
    }

    /// True where what a person consented to is worth as much with the one credential as with the other: it was given to the client, whatever its
    /// secret is now.
    #[must_use]
    pub fn keeps_consent(&self, before: &SecretFields, after: &SecretFields) -> bool {
        let Some(id) = self.consent().and_then(|(oauth2, _)| oauth2.token.client_id.as_ref()) else { return false };
        let of = |fields: &SecretFields| fields.get(id).map(|id| id.expose_secret().to_owned());
        of(before).is_some() && of(before) == of(after)
    }

    fn consent(&self) -> Option<(&Oauth2, &Authorize)> {
        match stateful(&self.manifest.auth)? {
            Stateful::Oauth2(oauth2) => Some((oauth2, oauth2.authorize.as_ref()?)),
            Stateful::Session(_) => None,
        }
    }

    /// Where a person is sent to consent. `code_challenge` is [`Pkce::challenge`], and is used where the vendor takes one.
    ///
    /// # Errors
    /// Where the connector asks for no consent, or the connection lacks something.
    pub fn authorize_url(
        &self,
        state: &str,
        code_challenge: &str,
        redirect_uri: &str,
        context: &RequestContext<'_>,
    ) -> Result<String, RequestError> {
        let (oauth2, authorize) = self.consent().ok_or_else(no_consent)?;
        let mut params = vec![pair("response_type", "code")];
        if let Some(field) = &oauth2.token.client_id {
            params.push(pair("client_id", context.secret(field)?));
        }
        params.push(pair("redirect_uri", redirect_uri));
        if !oauth2.scopes.is_empty() {
            params.push(pair("scope", &oauth2.scopes.join(authorize.scope_separator.as_deref().unwrap_or(" "))));
        }
        params.push(pair("state", state));
        if authorize.pkce {
            params.extend([pair("code_challenge", code_challenge), pair("code_challenge_method", "S256")]);
        }
        // The address goes through a browser: a secret has no place in it, so these templates know none.
        set_all(&mut params, &authorize.params, |name| context.find(name))?;
        let mut url = self.auth_url(&authorize.url, context)?;
        let mut separator = if url.contains('?') { '&' } else { '?' };
        for (name, value) in params {
            url.push_str(&format!("{separator}{}={}", encode(&name), encode(&value)));
            separator = '&';
        }
        url::Url::parse(&url).map_err(|error| RequestError::Url(error.to_string()))?;
        Ok(url)
    }

    /// Reads the query that the person comes back with.
    ///
    /// # Errors
    /// A sentence for the person.
    pub fn read_callback(&self, query: &str) -> Result<Callback, CallbackError> {
        let (_, authorize) = self.consent().ok_or(CallbackError::NoConsent)?;
        let title = || self.title().to_owned();
        if query.len() > CALLBACK_BYTES_MAX {
            return Err(CallbackError::TooLong(title()));
        }
        let params: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        let all = |name: &str| {
            params.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str()).collect::<Vec<_>>()
        };
        let printable = |text: &str| text.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect::<String>();
        if let Some(code) = all("error").first() {
            let said = all("error_description").first().map(|said| format!(": {}", printable(said))).unwrap_or_default();
            return Err(CallbackError::Refused { title: title(), code: printable(code), said });
        }
        // RFC 6749 section 3.1: no parameter comes twice. Which of two states was meant is anybody's guess.
        let one = |name: &'static str| match all(name)[..] {
            [value] if is_token(value) => Ok(value.to_owned()),
            [] | [_] => Err(CallbackError::Missing { title: title(), name }),
            _ => Err(CallbackError::Twice { title: title(), name }),
        };
        let (state, code) = (one("state")?, SecretString::from(one("code")?));
        let kept = authorize.keep.iter().filter_map(|(name, setting)| Some((setting.clone(), all(name).first()?.to_string())));
        let settings = kept.filter(|(_, value)| is_token(value)).collect();
        let scope = all("scope").first().map(|granted| printable(granted));
        Ok(Callback { state, code, settings, scope })
    }

    /// Whether a call back is of the server that the person was sent to (RFC 9207), where the vendor's name themselves. A code that another
    /// server gave would else be shown to this one, or the other way round.
    ///
    /// # Errors
    /// Where it names none or another, or the connection lacks what the expected one is made of.
    pub fn check_issuer(&self, query: &str, context: &RequestContext<'_>) -> Result<(), CallbackError> {
        let Some((_, authorize)) = self.consent() else { return Err(CallbackError::NoConsent) };
        let Some(template) = &authorize.issuer else { return Ok(()) };
        let expected = context.fill(template, false)?;
        let said: Vec<String> = form_urlencoded::parse(query.as_bytes())
            .filter(|(name, _)| name == "iss")
            .map(|(_, said)| said.chars().filter(|c| !c.is_control()).take(TEXT_CHARS_MAX).collect())
            .collect();
        if said == [expected.as_str()] {
            return Ok(());
        }
        let said = if said.is_empty() { "nothing".to_owned() } else { said.join(", ") };
        Err(CallbackError::OtherIssuer { title: self.title().to_owned(), said, expected })
    }

    /// The scopes that the connector needs, in its order.
    pub fn scopes(&self) -> impl Iterator<Item = OauthScope<'_>> {
        let oauth2 = match stateful(&self.manifest.auth) {
            Some(Stateful::Oauth2(oauth2)) => Some(oauth2),
            _ => None,
        };
        oauth2.into_iter().flat_map(|oauth2| {
            oauth2.scopes.iter().map(|name| OauthScope { name, title: oauth2.scope_titles.get(name).unwrap_or(name) })
        })
    }

    /// Those of [`Self::scopes`] that are neither among the granted ones nor come with one of them.
    #[must_use]
    pub fn missing_scopes(&self, granted: &str) -> Vec<OauthScope<'_>> {
        let Some(Stateful::Oauth2(oauth2)) = stateful(&self.manifest.auth) else { return Vec::new() };
        let granted: Vec<&str> = granted.split([' ', ',']).collect();
        let has = |scope: &str| {
            let comes_with =
                |wider: &str| oauth2.scope_implies.get(wider).is_some_and(|with| with.iter().any(|one| one == scope));
            granted.iter().any(|one| *one == scope || comes_with(one))
        };
        self.scopes().filter(|scope| !has(scope.name)).collect()
    }

    /// The request that turns a code into tokens; [`Self::read_token_answer`] reads what it brings.
    ///
    /// # Errors
    /// As [`Self::authorize_url`].
    pub fn code_request(
        &self,
        code: &SecretString,
        code_verifier: &SecretString,
        redirect_uri: &str,
        context: &RequestContext<'_>,
    ) -> Result<HttpRequest, RequestError> {
        let (oauth2, authorize) = self.consent().ok_or_else(no_consent)?;
        let mut params = vec![
            pair("grant_type", "authorization_code"),
            pair("code", code.expose_secret()),
            pair("redirect_uri", redirect_uri),
        ];
        if authorize.pkce {
            params.push(pair("code_verifier", code_verifier.expose_secret()));
        }
        self.token_call(oauth2, &oauth2.token.url, params, context)
    }
}

impl TokenSet {
    /// With the settings of the callback, which the answer with the tokens does not repeat.
    #[must_use]
    pub fn with_settings(mut self, settings: BTreeMap<String, String>) -> Self {
        self.settings.extend(settings);
        self
    }
}

fn no_consent() -> RequestError {
    RequestError::Template("this connector asks nobody for consent".into())
}
