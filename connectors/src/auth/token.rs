//! What a vendor gives for a credential: an access token, or the cookies of a session, until it ends. It is as secret as the credential.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest};
use domain::secret::{ExposeSecret, SecretFields, SecretString};

use super::{Stateful, stateful};
use crate::connector::Connector;
use crate::request::{RequestContext, RequestError};

/// A token is renewed this long before its end where the manifest says nothing: our clock and the vendor's differ, and a call takes time.
const RENEW_BEFORE_S: u32 = 60;

/// Not serializable and not printable: it is stored as the fields of a credential are, sealed ([`Self::to_secret_fields`]).
#[derive(Clone)]
pub struct TokenSet {
    /// Empty for a session that lives in cookies only.
    pub access_token: SecretString,
    pub refresh_token: Option<SecretString>,
    /// None where it does not end.
    pub expires_at: Option<DateTime<Utc>>,
    pub refresh_expires_at: Option<DateTime<Utc>>,
    /// Those of a session, in the order of the manifest.
    pub cookies: Vec<(String, SecretString)>,
    /// What was granted, where the vendor says so.
    pub scope: Option<String>,
    /// Settings that came with the tokens, such as the address of the account. A connection's own go before them.
    pub settings: BTreeMap<String, String>,
}

impl std::fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenSet")
            .field("expires_at", &self.expires_at)
            .field("is_renewable", &self.refresh_token.is_some())
            .finish_non_exhaustive()
    }
}

impl TokenSet {
    /// As fields of text, to be sealed.
    #[must_use]
    pub fn to_secret_fields(&self) -> SecretFields {
        let time = |at: &Option<DateTime<Utc>>| at.map(|at| SecretString::from(at.to_rfc3339()));
        let plain = [
            ("access_token", Some(self.access_token.clone())),
            ("refresh_token", self.refresh_token.clone()),
            ("expires_at", time(&self.expires_at)),
            ("refresh_expires_at", time(&self.refresh_expires_at)),
            ("scope", self.scope.clone().map(SecretString::from)),
        ];
        let plain = plain.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        // The number keeps the order of the cookies, which are sent in that of the manifest.
        let cookies =
            self.cookies.iter().enumerate().map(|(at, (name, value))| (format!("cookie.{at:03}.{name}"), value.clone()));
        let settings = self.settings.iter().map(|(name, value)| (format!("setting.{name}"), SecretString::from(value.as_str())));
        plain.chain(cookies).chain(settings).collect()
    }

    /// The way back; `None` where the fields are not those of a token.
    #[must_use]
    pub fn from_secret_fields(fields: &SecretFields) -> Option<Self> {
        let time = |name: &str| {
            let text = fields.get(name).map(ExposeSecret::expose_secret);
            text.map(|text| DateTime::parse_from_rfc3339(text).map(|at| at.to_utc())).transpose().ok()
        };
        let mut token = Self {
            access_token: fields.get("access_token")?.clone(),
            refresh_token: fields.get("refresh_token").cloned(),
            expires_at: time("expires_at")?,
            refresh_expires_at: time("refresh_expires_at")?,
            cookies: Vec::new(),
            scope: fields.get("scope").map(|scope| scope.expose_secret().to_owned()),
            settings: BTreeMap::new(),
        };
        for (name, value) in &fields.0 {
            if let Some((_, cookie)) = name.strip_prefix("cookie.").and_then(|rest| rest.split_once('.')) {
                token.cookies.push((cookie.to_owned(), value.clone()));
            } else if let Some(setting) = name.strip_prefix("setting.") {
                token.settings.insert(setting.to_owned(), value.expose_secret().to_owned());
            }
        }
        Some(token)
    }
}

impl Connector {
    /// True where the next call needs a new token first. Always false for the kinds of `auth` that need none.
    #[must_use]
    pub fn needs_token(&self, token: Option<&TokenSet>, now: DateTime<Utc>) -> bool {
        let Some(state) = stateful(&self.manifest.auth) else { return false };
        let before_s = match state {
            Stateful::Oauth2(oauth2) => oauth2.refresh.before_s.unwrap_or(RENEW_BEFORE_S),
            Stateful::Session(_) => RENEW_BEFORE_S,
        };
        match token {
            None => true,
            Some(token) => token.expires_at.is_some_and(|end| end - Duration::seconds(before_s.into()) <= now),
        }
    }

    /// The request that brings a new token: a refresh where `context.token` can be refreshed, else the grant or the log-in itself. `None` for
    /// the kinds of `auth` that need no token.
    ///
    /// # Errors
    /// [`RequestError::Consent`] where a person must connect again; else as [`Self::call`].
    pub fn token_request(&self, context: &RequestContext<'_>) -> Result<Option<HttpRequest>, RequestError> {
        match stateful(&self.manifest.auth) {
            None => Ok(None),
            Some(Stateful::Oauth2(oauth2)) => self.oauth2_token_request(oauth2, context).map(Some),
            Some(Stateful::Session(session)) => self.login_request(session, context).map(Some),
        }
    }

    /// Reads the answer to [`Self::token_request`] or to [`Self::code_request`]. What the answer does not bring anew (the refresh token, the
    /// settings) is kept from `previous`.
    ///
    /// # Errors
    /// The classified fault, of class `authentication` where a person must connect again.
    pub fn read_token_answer(
        &self,
        answer: &HttpAnswer,
        previous: Option<&TokenSet>,
        now: DateTime<Utc>,
    ) -> Result<TokenSet, Fault> {
        match stateful(&self.manifest.auth) {
            Some(Stateful::Oauth2(oauth2)) => self.read_oauth2_answer(oauth2, answer, previous, now),
            Some(Stateful::Session(session)) => self.read_login_answer(session, answer, now),
            None => Err(self.tokenless(answer, "auth needs none")),
        }
    }
}
