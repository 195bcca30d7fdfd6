//! A log-in that opens a session. That it is over, an answer says whose class in the error catalog is `authentication`.

use chrono::{DateTime, Duration, Utc};
use domain::fault::Fault;
use domain::http::{HttpAnswer, HttpRequest};
use domain::secret::SecretString;

use super::identity_of;
use super::oauth2::is_token;
use super::token::TokenSet;
use crate::connector::Connector;
use crate::manifest::Session;
use crate::request::{CallVars, RequestContext, RequestError};
use crate::response::parse;

impl Connector {
    pub(super) fn login_request(&self, session: &Session, context: &RequestContext<'_>) -> Result<HttpRequest, RequestError> {
        let vars = CallVars::default();
        let find = |name: &str| context.find_with_credential(name).or_else(|| self.find_var(name, &vars, context));
        let mut request = self.draft_with(&session.login, &vars, context, &find)?.unsigned();
        request.identity = identity_of(&self.manifest.auth, context)?;
        Ok(request)
    }

    pub(super) fn read_login_answer(
        &self,
        session: &Session,
        answer: &HttpAnswer,
        now: DateTime<Utc>,
    ) -> Result<TokenSet, Fault> {
        let body = parse(answer);
        if self.is_failure(answer, body.as_ref()) {
            return Err(self.classify(answer));
        }
        let token = session.token.as_ref().map(|place| place.find(answer, body.as_ref()).filter(|token| is_token(token)));
        let cookies: Vec<(String, SecretString)> =
            session.cookies.iter().filter_map(|name| Some((name.clone(), cookie(name, answer)?.into()))).collect();
        let has_cookies = session.cookies.first().is_none_or(|first| cookies.iter().any(|(name, _)| name == first));
        match token {
            Some(None) => Err(self.tokenless(answer, "compare it with auth.session.token")),
            _ if !has_cookies => Err(self.tokenless(answer, "compare its cookies with auth.session.cookies")),
            token => Ok(TokenSet {
                access_token: token.flatten().unwrap_or_default().into(),
                refresh_token: None,
                expires_at: Some(now + Duration::seconds(session.lifetime_s.into())),
                refresh_expires_at: None,
                cookies,
                scope: None,
                settings: std::collections::BTreeMap::new(),
            }),
        }
    }
}

/// The last of this name wins, as in a browser (RFC 6265 section 5.3).
fn cookie(name: &str, answer: &HttpAnswer) -> Option<String> {
    let set = answer.headers.iter().filter(|(header, _)| header.eq_ignore_ascii_case("set-cookie"));
    let mut pairs = set.filter_map(|(_, value)| value.split(';').next()?.split_once('='));
    let value = pairs.rfind(|(known, _)| known.trim() == name)?.1.trim();
    Some(value.to_owned()).filter(|value| is_token(value))
}
