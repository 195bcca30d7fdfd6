//! Who may come in: what the manifest's `auth` says, verified. One function per kind.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use domain::http::HttpRequest;
use domain::secret::{ExposeSecret, SecretFields};
use domain::value::{Limits, Value};

use super::Simulator;
use super::consent::Code;
use super::incoming::Incoming;
use super::pattern::{Found, Pattern};
use super::seed::hash;
use crate::auth::sign;
use crate::connector::Connector;
use crate::manifest::{ApiKey, Assertion, Auth, JwtAlgorithm, Oauth1, Oauth1Place, SendToken, Session, Sign, TimestampUnit};
use crate::request::RequestContext;

/// A signature is no older, and no further ahead, s.
const SKEW_S: i64 = 300;
/// Nonces of one age; so many more are kept of the age before.
const NONCES_MAX: usize = 200_000;

/// What was given out and may still be used.
#[derive(Debug, Default)]
pub(super) struct Guard {
    seed: u64,
    pub given: u64,
    /// Access tokens and sessions: when they end, ms since 1970, and the grant they are of.
    pub tokens: HashMap<String, (i64, u64)>,
    /// Refresh tokens: the grant they are of, and whether they were used up.
    pub refresh: HashMap<String, (u64, bool)>,
    /// What people consented to, by the code that was given for it.
    pub codes: HashMap<String, Code>,
    nonces: Nonces,
}

/// Nonces that were used, those of this age and of the age before: older ones have a timestamp that is refused anyway.
#[derive(Debug, Default)]
struct Nonces {
    now: HashSet<String>,
    before: HashSet<String>,
    /// When this age began, s since 1970.
    since: i64,
}

impl Nonces {
    /// True where it was not used before; then it is used.
    fn is_new(&mut self, nonce: String, now: i64) -> bool {
        if self.now.len() >= NONCES_MAX || now - self.since > SKEW_S * 2 {
            self.before = std::mem::take(&mut self.now);
            self.since = now;
        }
        !self.before.contains(&nonce) && self.now.insert(nonce)
    }
}

/// What is verified against what.
#[derive(Clone, Copy)]
pub(super) struct Account<'a> {
    pub connector: &'a Connector,
    pub settings: &'a serde_json::Value,
    pub credential: &'a SecretFields,
}

type Verdict = Result<(), &'static str>;

impl Account<'_> {
    pub fn secret(&self, field: &str) -> Option<&str> {
        self.credential.get(field).map(ExposeSecret::expose_secret).filter(|secret| !secret.is_empty())
    }

    fn context<'c>(&'c self, now: DateTime<Utc>, nonce: &'c str) -> RequestContext<'c> {
        RequestContext::new(self.settings, self.credential, now, nonce)
    }

    /// The headers that our own signing would have put, of the same moment and with the same nonce.
    fn signed_again(
        &self,
        auth: &Auth,
        request: &HttpRequest,
        at: DateTime<Utc>,
        nonce: &str,
        without: &[&str],
    ) -> Option<HttpRequest> {
        let mut bare = request.clone();
        bare.headers.retain(|(name, _)| !without.iter().any(|gone| gone.eq_ignore_ascii_case(name)));
        sign(auth, &mut bare, &self.context(at, nonce)).ok()?;
        Some(bare)
    }
}

fn header<'r>(request: &'r HttpRequest, name: &str) -> Option<&'r str> {
    // The last one is what signing has added.
    request.headers.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

impl Guard {
    pub fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub fn verify(&mut self, auth: &Auth, account: Account<'_>, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Verdict {
        match auth {
            Auth::None => Ok(()),
            Auth::ApiKey(key) => api_key(key, account, incoming),
            Auth::Bearer { secret } => bearer(secret, account, incoming),
            Auth::Basic { user, password } => basic(user.as_deref(), password.as_deref(), account, incoming),
            Auth::Oauth1(rule) => self.oauth1(auth, rule, account, incoming, now),
            Auth::Oauth2(oauth) => self.token(&oauth.send, incoming, now),
            Auth::Session(session) => self.session(session, incoming, now),
            Auth::Jwt(assertion) => jwt(auth, assertion, account, incoming, now),
            Auth::Sigv4(_) => sigv4(auth, account, incoming, now),
            Auth::Sign(rule) => signed(auth, rule, account, incoming, now),
            // The certificate, or a log-in by SSH, is the connection's matter, which a handler of values does not see.
            Auth::Sftp(_) => Ok(()),
            Auth::MutualTls(tls) => tls.with.as_deref().map_or(Ok(()), |inner| self.verify(inner, account, incoming, now)),
        }
    }

    fn oauth1(
        &mut self,
        auth: &Auth,
        rule: &Oauth1,
        account: Account<'_>,
        incoming: &Incoming<'_>,
        now: DateTime<Utc>,
    ) -> Verdict {
        let claimed = oauth_parameters(rule.place, incoming).ok_or("no OAuth parameters")?;
        let at = |name: &str| claimed.get(name).map(String::as_str).unwrap_or_default();
        let timestamp = at("oauth_timestamp").parse::<i64>().map_err(|_| "no timestamp")?;
        if (now.timestamp() - timestamp).abs() > SKEW_S {
            return Err("the timestamp is more than five minutes away");
        }
        let moment = DateTime::from_timestamp(timestamp, 0).ok_or("no timestamp")?;
        let mut request = incoming.request.clone();
        for name in claimed.keys().filter(|_| rule.place == Oauth1Place::Query) {
            request.url = without_parameter(&request.url, name);
        }
        let again = account.signed_again(auth, &request, moment, at("oauth_nonce"), &["authorization"]).ok_or("no secret")?;
        if oauth_parameters(rule.place, &Incoming::without_body(&again)).as_ref() != Some(&claimed) {
            return Err("the signature, the keys or the realm are wrong");
        }
        // Last, so that a forged request cannot use up a nonce.
        let is_new = self.nonces.is_new(format!("{timestamp} {}", at("oauth_nonce")), now.timestamp());
        if is_new { Ok(()) } else { Err("the nonce was used before") }
    }

    fn token(&self, send: &SendToken, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Verdict {
        let token = incoming.header(&send.header).and_then(|value| value.strip_prefix(&send.prefix)).ok_or("no access token")?;
        self.lives(token, now)
    }

    fn lives(&self, token: &str, now: DateTime<Utc>) -> Verdict {
        match self.tokens.get(token) {
            None => Err("the token is not one that was given out"),
            Some((ends, _)) if *ends <= now.timestamp_millis() => Err("the token has expired"),
            Some(_) => Ok(()),
        }
    }

    fn session(&self, session: &Session, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Verdict {
        if session.token.is_some() {
            return self.token(&session.send, incoming, now);
        }
        let cookies = incoming.header("cookie").ok_or("no cookie")?;
        let cookie = |name: &String| {
            cookies.split(';').filter_map(|pair| pair.trim().split_once('=')).find(|(own, _)| own == name).map(|(_, value)| value)
        };
        session.cookies.iter().try_for_each(|name| self.lives(cookie(name).ok_or("a cookie is missing")?, now))
    }

    /// All access tokens and sessions end now; refresh tokens stay.
    pub fn expire(&mut self) {
        self.tokens.clear();
    }

    pub fn make(&mut self, what: &str, ends: i64, grant: u64) -> String {
        self.given += 1;
        let number = self.given.to_string();
        let half = |n: &str| hash(self.seed, &[what, &number, n]);
        let token = format!("sim-{what}-{:016x}{:016x}", half("a"), half("b"));
        if what == "refresh" {
            self.refresh.insert(token.clone(), (grant, false));
        } else {
            self.tokens.insert(token.clone(), (ends, grant));
        }
        token
    }
}

impl Simulator<'_> {
    /// All access tokens and sessions end now.
    pub fn expire_tokens(&mut self) {
        self.guard.expire();
    }
}

fn api_key(key: &ApiKey, account: Account<'_>, incoming: &Incoming<'_>) -> Verdict {
    let expected = format!("{}{}", key.prefix, account.secret(&key.secret).ok_or("no secret")?);
    let in_header = key.header.as_deref().and_then(|name| incoming.header(name));
    let in_query = key.query.as_deref().and_then(|name| incoming.parameter(name));
    if in_header.or(in_query) == Some(expected.as_str()) { Ok(()) } else { Err("the key is wrong") }
}

fn bearer(field: &str, account: Account<'_>, incoming: &Incoming<'_>) -> Verdict {
    let claimed = incoming.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    if claimed.is_some() && claimed == account.secret(field) { Ok(()) } else { Err("the token is wrong") }
}

fn basic(user: Option<&str>, password: Option<&str>, account: Account<'_>, incoming: &Incoming<'_>) -> Verdict {
    let part = |field: Option<&str>| field.and_then(|field| account.secret(field)).unwrap_or_default();
    let expected = STANDARD.encode(format!("{}:{}", part(user), part(password)));
    let claimed = incoming.header("authorization").and_then(|value| value.strip_prefix("Basic "));
    if claimed == Some(expected.as_str()) { Ok(()) } else { Err("user or password are wrong") }
}

/// A token that the caller signed itself: made again of the moment and the number that it says. A signature that has chance in it (PSS) is
/// not read, because the key's public half is in no credential.
fn jwt(auth: &Auth, assertion: &Assertion, account: Account<'_>, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Verdict {
    let send = &assertion.send;
    let token = incoming.header(&send.header).and_then(|value| value.strip_prefix(&send.prefix)).ok_or("no token")?;
    let bytes = token.split('.').nth(1).and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok()).ok_or("no token")?;
    let claims = Value::parse(&bytes, &Limits::DEFAULT).map_err(|_| "no token")?;
    let seconds = |name: &str| claims.get(name).and_then(Value::to_text).and_then(|text| text.parse::<i64>().ok());
    let ends = seconds("exp").ok_or("the token has no end")?;
    if ends < now.timestamp() {
        return Err("the token has expired");
    }
    let made = seconds("iat").unwrap_or(ends - i64::from(assertion.lifetime_s));
    if made > now.timestamp() + SKEW_S {
        return Err("the token is of the future");
    }
    let at = DateTime::from_timestamp(made, 0).ok_or("no token")?;
    let number = claims.get("jti").and_then(Value::as_str).unwrap_or_default();
    let again = account.signed_again(auth, incoming.request, at, number, &[&send.header]).ok_or("no secret")?;
    let expected = header(&again, &send.header).and_then(|value| value.strip_prefix(&send.prefix)).unwrap_or_default();
    let is_same = match assertion.algorithm {
        JwtAlgorithm::Ps256 => expected.rsplit_once('.').map(|(said, _)| said) == token.rsplit_once('.').map(|(said, _)| said),
        _ => expected == token,
    };
    if is_same { Ok(()) } else { Err("the token says or is signed otherwise") }
}

/// AWS Signature Version 4: made again of the same moment.
fn sigv4(auth: &Auth, account: Account<'_>, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Verdict {
    let date = incoming.header("x-amz-date").ok_or("no date")?;
    let at = chrono::NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ").map_err(|_| "no date")?.and_utc();
    if (now - at).num_seconds().abs() > SKEW_S {
        return Err("the date is more than five minutes away");
    }
    let own = ["authorization", "x-amz-date", "x-amz-content-sha256", "x-amz-security-token"];
    // What the client library adds on the way was not there when it was signed; what was signed says its name.
    let claimed = incoming.header("authorization").ok_or("no signature")?;
    let signed: Vec<&str> = claimed
        .split_once("SignedHeaders=")
        .map(|(_, rest)| rest.split([',', ' ']).next().unwrap_or_default().split(';').collect())
        .unwrap_or_default();
    let mut request = incoming.request.clone();
    request.headers.retain(|(name, _)| signed.iter().any(|signed| signed.eq_ignore_ascii_case(name)));
    let again = account.signed_again(auth, &request, at, "", &own).ok_or("no secret")?;
    if header(&again, "authorization") == Some(claimed) { Ok(()) } else { Err("the signature is wrong") }
}

/// A signature of the vendor's own making: made again of the moment and the nonce that the request says.
fn signed(auth: &Auth, rule: &Sign, account: Account<'_>, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Verdict {
    let mut found = Found::default();
    let unknown = |_: &str| None;
    let in_headers = rule.headers.iter().map(|(name, template)| (template, incoming.header(name)));
    let in_query = rule.query.iter().map(|(name, template)| (template, incoming.parameter(name)));
    for (template, value) in in_headers.chain(in_query) {
        let value = value.ok_or("a part of the signature is missing")?;
        Pattern::new(template, false, &unknown).read(value, &mut found);
    }
    let at = match found.get("timestamp") {
        None => now,
        Some(text) => match rule.timestamp_unit {
            TimestampUnit::UnixS => text.parse().ok().and_then(|s| DateTime::from_timestamp(s, 0)),
            TimestampUnit::UnixMs => text.parse().ok().and_then(DateTime::from_timestamp_millis),
            TimestampUnit::Rfc3339 => DateTime::parse_from_rfc3339(text).ok().map(|time| time.to_utc()),
            TimestampUnit::Iso8601Basic => {
                chrono::NaiveDateTime::parse_from_str(text, "%Y%m%dT%H%M%SZ").ok().map(|time| time.and_utc())
            }
        }
        .ok_or("no timestamp")?,
    };
    if (now - at).num_seconds().abs() > SKEW_S {
        return Err("the timestamp is more than five minutes away");
    }
    let without: Vec<&str> = rule.headers.keys().map(String::as_str).collect();
    let mut request = incoming.request.clone();
    for name in rule.query.keys() {
        request.url = without_parameter(&request.url, name);
    }
    let again = account.signed_again(auth, &request, at, found.get("nonce").unwrap_or_default(), &without).ok_or("no secret")?;
    let again = Incoming::without_body(&again);
    let same_headers = rule.headers.keys().all(|name| header(again.request, name) == incoming.header(name));
    let same_query = rule.query.keys().all(|name| again.parameter(name) == incoming.parameter(name));
    if same_headers && same_query { Ok(()) } else { Err("the signature is wrong") }
}

fn without_parameter(url: &str, name: &str) -> String {
    let Some((place, query)) = url.split_once('?') else { return url.to_owned() };
    let kept: Vec<&str> = query.split('&').filter(|pair| pair.split('=').next() != Some(name)).collect();
    if kept.is_empty() { place.to_owned() } else { format!("{place}?{}", kept.join("&")) }
}

/// The parameters that sign a request (RFC 5849 sections 3.5.1 and 3.5.3); `None` where one is there twice (section 3.1).
fn oauth_parameters(place: Oauth1Place, incoming: &Incoming<'_>) -> Option<HashMap<String, String>> {
    let pair = |part: &str| {
        let (name, value) = part.trim().split_once('=')?;
        let value = percent_encoding::percent_decode_str(value.trim_matches('"')).decode_utf8_lossy().into_owned();
        Some((name.to_owned(), value))
    };
    match place {
        Oauth1Place::Header => {
            let rest = incoming.header("authorization")?.strip_prefix("OAuth ")?;
            once(rest.split(',').filter_map(pair))
        }
        Oauth1Place::Query => once(incoming.query.iter().filter(|(name, _)| name.starts_with("oauth_")).cloned()),
    }
}

/// A map where each name is there once; else nothing.
fn once(pairs: impl Iterator<Item = (String, String)>) -> Option<HashMap<String, String>> {
    let mut named = HashMap::new();
    for (name, value) in pairs {
        if named.insert(name, value).is_some() {
            return None;
        }
    }
    Some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_is_new_once_as_long_as_its_timestamp_is_good_and_old_ones_are_forgotten() {
        let mut nonces = Nonces::default();
        let start = 1_795_000_000;
        assert!(nonces.is_new("a".into(), start));
        // Another age begins meanwhile, and ends.
        assert!(nonces.is_new("b".into(), start + SKEW_S * 2 + 1));
        assert!(!nonces.is_new("a".into(), start + SKEW_S * 2 + 1));
        assert!(nonces.is_new("c".into(), start + SKEW_S * 4 + 2));
        assert!(nonces.is_new("a".into(), start + SKEW_S * 4 + 2), "its timestamp is refused long since");
        for n in 0..=NONCES_MAX {
            assert!(nonces.is_new(n.to_string(), start + SKEW_S * 4 + 3));
        }
        assert!(!nonces.is_new("0".into(), start + SKEW_S * 4 + 3), "many at once push none of these out");
        assert!(nonces.now.len() + nonces.before.len() <= NONCES_MAX * 2);
    }
}
