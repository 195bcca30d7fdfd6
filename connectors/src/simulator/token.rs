//! The token endpoint and the log-in: who proves who it is gets what the guard lets in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use domain::fault::FaultClass;
use domain::secret::SecretFields;
use domain::value::Value;

use super::guard::{Account, Guard};
use super::incoming::Incoming;
use super::key::Key;
use super::refusal::{Refusal, concrete};
use super::route::says;
use super::seed::empty;
use super::write::Served;
use super::{SimAnswer, Simulator};
use crate::connector::Connector;
use crate::manifest::{Auth, ClientAuth, Oauth2, Session, TokenEndpoint};
use crate::path;

/// Where the manifest does not say how long an access token lives, s.
const LIFETIME_S: u32 = 3_600;

impl Simulator<'_> {
    /// Token endpoint and log-in.
    pub(super) fn open(&mut self, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Served {
        enum Way<'m> {
            Token(&'m Oauth2),
            LogIn(&'m Session),
        }
        fn way(auth: &Auth) -> Option<Way<'_>> {
            match auth {
                Auth::Oauth2(oauth) => Some(Way::Token(oauth)),
                Auth::Session(session) => Some(Way::LogIn(session)),
                Auth::MutualTls(tls) => way(tls.with.as_deref()?),
                _ => None,
            }
        }
        fn account<'a>(connector: &'a Connector, settings: &'a serde_json::Value, credential: &'a SecretFields) -> Account<'a> {
            Account { connector, settings, credential }
        }
        let refused = || Refusal::new(FaultClass::Authentication, "The log-in is wrong.");
        let connector = self.connector;
        match way(&connector.manifest.auth).ok_or_else(refused)? {
            Way::Token(oauth) => {
                // Whoever is none of the clients is refused in the words of the first.
                let is_its = |key: &&Key| is_client(&oauth.token, account(connector, &self.settings, &key.credential), incoming);
                let key = self.keys.rows.iter().find(is_its).or(self.keys.rows.first());
                let key = key.map_or(&self.credential, |key| &key.credential);
                Ok(self.guard.give_token(oauth, account(connector, &self.settings, key), incoming, now))
            }
            Way::LogIn(session) => {
                let says = |key: &&Key| says(connector, &self.settings, &key.credential, &session.login, incoming);
                let key = self.keys.rows.iter().find(says).ok_or_else(refused)?;
                self.guard.log_in(session, account(connector, &self.settings, &key.credential), incoming, now).ok_or_else(refused)
            }
        }
    }
}

impl Guard {
    /// Tokens for whoever proves who it is (RFC 6749 sections 4 to 6).
    pub fn give_token(&mut self, oauth: &Oauth2, account: Account<'_>, incoming: &Incoming<'_>, now: DateTime<Utc>) -> SimAnswer {
        let refuse = |status: u16, code: &str, why: &str| {
            let body = serde_json::json!({"error": code, "error_description": why});
            SimAnswer { code: Some(code.to_owned()), ..SimAnswer::json(status, &Value::from(&body)) }
        };
        if !is_client(&oauth.token, account, incoming) {
            return refuse(401, "invalid_client", "Client authentication failed.");
        }
        let said = |name: &str| incoming.body.as_ref().and_then(|body| body.get(name)).and_then(Value::to_text);
        let grant_type = said("grant_type").unwrap_or_default().into_owned();
        let ends = now.timestamp_millis() + i64::from(oauth.lifetime_s.unwrap_or(LIFETIME_S)) * 1_000;
        let mut scope = None;
        let (grant, refresh) = match grant_type.as_str() {
            "refresh_token" => {
                let token = said("refresh_token").unwrap_or_default().into_owned();
                let brought = oauth.token.refresh_token.as_deref().and_then(|field| account.secret(field));
                if brought == Some(token.as_str()) && !token.is_empty() {
                    self.refresh.entry(token.clone()).or_insert((0, false));
                }
                match self.refresh.get(&token).copied() {
                    None => return refuse(400, "invalid_grant", "The refresh token is not known."),
                    Some((grant, true)) => {
                        // Whoever uses an old one may have stolen it, so the whole grant ends.
                        self.refresh.retain(|_, (of, used)| *of != grant || *used);
                        self.tokens.retain(|_, (_, of)| *of != grant);
                        return refuse(400, "invalid_grant", "The refresh token was used before; connect again.");
                    }
                    Some((grant, false)) if oauth.refresh.rotates => {
                        self.refresh.insert(token, (grant, true));
                        (grant, true)
                    }
                    Some((grant, false)) => (grant, false),
                }
            }
            "authorization_code" => match self.redeem(incoming, now) {
                Ok((grant, granted)) => {
                    scope = Some(granted).filter(|_| !oauth.scopes.is_empty());
                    (grant, true)
                }
                Err(why) => return refuse(400, "invalid_grant", why),
            },
            "password" => {
                self.given += 1;
                (self.given, true)
            }
            "client_credentials" => (u64::MAX, false),
            other if other.ends_with("jwt-bearer") && said("assertion").is_some() => (u64::MAX, false),
            // Some vendors have a body of their own and no grant type at all.
            "" if incoming.body.as_ref().is_none_or(|body| body.get("refresh_token").is_none()) => (u64::MAX, false),
            _ => return refuse(400, "unsupported_grant_type", "This grant is not known."),
        };
        let mut body = empty();
        let mut put = |name: &str, value: Value| {
            let at = oauth.token.paths.get(name).map_or(name, String::as_str);
            path::put(&mut body, &concrete(at), value);
        };
        put("access_token", self.make("access", ends, grant).into());
        put("token_type", "Bearer".into());
        put("expires_in", i64::from(oauth.lifetime_s.unwrap_or(LIFETIME_S)).into());
        // What else the connector keeps of the answer is what the account says of itself.
        for (at, setting) in &oauth.token.keep {
            let own = account.settings.get(setting).and_then(serde_json::Value::as_str).unwrap_or("simulated");
            put(at, own.into());
        }
        if let Some(scope) = scope {
            put("scope", scope.into());
        }
        if refresh {
            put("refresh_token", self.make("refresh", 0, grant).into());
        }
        SimAnswer::json(200, &body)
    }

    /// Opens a session; `None` where the log-in does not say what it must.
    pub fn log_in(
        &mut self,
        session: &Session,
        account: Account<'_>,
        incoming: &Incoming<'_>,
        now: DateTime<Utc>,
    ) -> Option<SimAnswer> {
        if !says(account.connector, account.settings, account.credential, &session.login, incoming) {
            return None;
        }
        let ends = now.timestamp_millis() + i64::from(session.lifetime_s) * 1_000;
        let mut body = empty();
        let mut headers = Vec::new();
        if let Some(place) = &session.token {
            let token = self.make("session", ends, 0);
            headers.extend(place.header.first().map(|name| (name.clone(), token.clone())));
            if let Some(at) = &place.path {
                path::put(&mut body, &concrete(at), token.into());
            }
        }
        for name in &session.cookies {
            headers.push(("Set-Cookie".to_owned(), format!("{name}={}; Path=/; HttpOnly", self.make("cookie", ends, 0))));
        }
        let mut answer = SimAnswer::json(200, &body);
        answer.headers.extend(headers);
        Some(answer)
    }
}

fn is_client(endpoint: &TokenEndpoint, account: Account<'_>, incoming: &Incoming<'_>) -> bool {
    let secret = |field: &Option<String>| field.as_deref().and_then(|field| account.secret(field));
    let (id, key) = (secret(&endpoint.client_id), secret(&endpoint.client_secret));
    let said = |name: &str| incoming.body.as_ref().and_then(|body| body.get(name)).and_then(Value::to_text);
    match endpoint.client {
        ClientAuth::Body => {
            id.is_none_or(|id| said("client_id").as_deref() == Some(id))
                && key.is_none_or(|key| said("client_secret").as_deref() == Some(key))
        }
        ClientAuth::Basic => {
            let claimed = incoming.header("authorization").and_then(|value| value.strip_prefix("Basic "));
            let encode = |text: &str| percent_encoding::utf8_percent_encode(text, crate::template::ENCODED).to_string();
            let (id, key) = (id.unwrap_or_default(), key.unwrap_or_default());
            // RFC 6749 says that both are form-encoded first; many clients do not, and most servers take both.
            claimed == Some(STANDARD.encode(format!("{id}:{key}")).as_str())
                || claimed == Some(STANDARD.encode(format!("{}:{}", encode(id), encode(key))).as_str())
        }
        ClientAuth::Assertion => said("client_assertion").is_some_and(|assertion| assertion.split('.').count() == 3),
        ClientAuth::None => true,
    }
}
