//! Where a person consents (RFC 6749 section 4.1), and what a code is worth afterwards: once, for a minute, to the client and the address that it was
//! given for, and to whoever has its proof key (RFC 7636). The person decides at once, as a test says they do.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use domain::value::Value;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::guard::{Account, Guard};
use super::incoming::Incoming;
use super::{SimAnswer, Simulator};
use crate::auth::{Stateful, stateful};
use crate::request::RequestContext;

/// How long a code is good, s.
const CODE_S: i64 = 60;

/// How the person decides, and what the vendor makes of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields, default)]
pub struct Consenting {
    /// They say no.
    pub denies: bool,
    /// They let us do this much only, where not all that is asked for.
    pub scopes: Option<Vec<String>>,
    /// The answer names another server than this one.
    pub issuer: Option<String>,
    /// The account that they choose, in place of the one of the settings: the value of each parameter that the vendor sends back.
    pub account: Option<String>,
    /// Addresses that the vendor sends people back to; any where none was registered.
    pub redirect_uris: Vec<String>,
}

/// A consent.
#[derive(Debug, Clone)]
pub(super) struct Code {
    redirect_uri: String,
    challenge: Option<String>,
    pub scope: String,
    ends: i64,
    /// The grant that came of it.
    pub used: Option<u64>,
}

impl Simulator<'_> {
    /// From now on people decide so.
    pub fn set_consenting(&mut self, consenting: Consenting) {
        self.consenting = consenting;
    }

    /// Sends the person back with a code, or with why there is none; where it is not sure that the address is the client's, it sends them nowhere
    /// (section 4.1.2.1).
    pub(super) fn authorize(&mut self, incoming: &Incoming<'_>, now: DateTime<Utc>) -> SimAnswer {
        let page = |why: &str| {
            SimAnswer::json(400, &Value::from(&serde_json::json!({"error": "invalid_request", "error_description": why})))
        };
        let said = |name: &str| incoming.parameter(name).map(str::to_owned);
        let connector = self.connector;
        let asks = match stateful(&connector.manifest.auth) {
            Some(Stateful::Oauth2(oauth)) => oauth.authorize.as_ref().map(|authorize| (oauth, authorize)),
            _ => None,
        };
        let Some((oauth, authorize)) = asks else { return page("There is nobody to ask.") };
        let account = Account { connector, settings: &self.settings, credential: &self.credential };
        let client_id = oauth.token.client_id.as_deref().and_then(|field| account.secret(field));
        if client_id.is_some() && said("client_id").as_deref() != client_id {
            return page("The client is not known.");
        }
        let consenting = &self.consenting;
        let Some(redirect_uri) =
            said("redirect_uri").filter(|uri| consenting.redirect_uris.is_empty() || consenting.redirect_uris.contains(uri))
        else {
            return page("The redirect_uri is not one of the client's.");
        };
        let context = RequestContext::new(&self.settings, &self.credential, now, "");
        let issuer = consenting.issuer.clone().or_else(|| context.fill(authorize.issuer.as_ref()?, false).ok());
        let challenge = said("code_challenge");
        let has_proof_key = challenge.is_some() && said("code_challenge_method").as_deref() == Some("S256");
        let mut back = vec![];
        if said("response_type").as_deref() != Some("code") {
            back.push(("error", "unsupported_response_type".to_owned()));
        } else if authorize.pkce && !has_proof_key {
            back.push(("error", "invalid_request".to_owned()));
        } else if consenting.denies {
            back.push(("error", "access_denied".to_owned()));
        } else {
            let asked = said("scope").unwrap_or_default();
            let asked: Vec<&str> = asked.split([' ', ',']).filter(|scope| !scope.is_empty()).collect();
            let granted =
                asked.iter().filter(|scope| consenting.scopes.as_ref().is_none_or(|only| only.iter().any(|one| one == **scope)));
            let scope = granted.copied().collect::<Vec<_>>().join(" ");
            for (parameter, setting) in &authorize.keep {
                let own = self.settings.get(setting).and_then(serde_json::Value::as_str);
                let chosen = consenting.account.as_deref().or(own).unwrap_or("1000001");
                back.push((parameter.as_str(), chosen.to_owned()));
            }
            let kept = Code { redirect_uri: redirect_uri.clone(), challenge, scope, ends: now.timestamp() + CODE_S, used: None };
            back.push(("code", self.guard.give_code(kept)));
        }
        back.extend(said("state").map(|state| ("state", state)));
        back.extend(issuer.map(|issuer| ("iss", issuer)));
        let back: Vec<(String, String)> = back.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(back).finish();
        let separator = if redirect_uri.contains('?') { '&' } else { '?' };
        let mut answer = SimAnswer::empty(302);
        answer.headers.push(("Location".to_owned(), format!("{redirect_uri}{separator}{query}")));
        answer
    }
}

impl Guard {
    fn give_code(&mut self, code: Code) -> String {
        let text = self.make("code", 0, 0);
        self.tokens.remove(&text);
        self.codes.insert(text.clone(), code);
        text
    }

    /// What a code is worth: the grant that it opens now, and what was consented to.
    ///
    /// # Errors
    /// Why it is worth nothing. One that comes twice may have been stolen, so that what came of it ends, too (section 4.1.2).
    pub fn redeem(&mut self, incoming: &Incoming<'_>, now: DateTime<Utc>) -> Result<(u64, String), &'static str> {
        let said = |name: &str| incoming.body.as_ref().and_then(|body| body.get(name)).and_then(Value::to_text);
        let text = said("code").unwrap_or_default().into_owned();
        let Some(code) = self.codes.get(&text).cloned() else { return Err("The code is not known.") };
        if let Some(grant) = code.used {
            self.refresh.retain(|_, (of, _)| *of != grant);
            self.tokens.retain(|_, (_, of)| *of != grant);
            return Err("The code was used before.");
        }
        if code.ends <= now.timestamp() {
            return Err("The code has expired.");
        }
        if said("redirect_uri").as_deref() != Some(code.redirect_uri.as_str()) {
            return Err("The redirect_uri is not the one that the code was given for.");
        }
        let proven = said("code_verifier").map(|verifier| URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes())));
        if code.challenge != proven {
            return Err("The code_verifier does not fit.");
        }
        self.given += 1;
        let grant = self.given;
        if let Some(code) = self.codes.get_mut(&text) {
            code.used = Some(grant);
        }
        Ok((grant, code.scope))
    }
}
