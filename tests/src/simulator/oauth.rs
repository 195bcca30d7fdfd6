//! Checks OAuth 1.0a with HMAC-SHA256 as the vendor does. Written apart from the platform's signer, so that a mistake there is seen here.

use std::collections::{BTreeMap, HashSet, VecDeque};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::Sha256;

const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const WINDOW_S: i64 = 300;
const NONCES_MAX: usize = 200_000;

/// What the account knows of its one integration.
#[derive(Debug, Clone)]
pub struct Keys {
    pub account: String,
    pub consumer_key: String,
    pub consumer_secret: String,
    pub token_id: String,
    pub token_secret: String,
}

/// Nonces that were seen; the oldest go first.
#[derive(Default)]
pub struct Nonces(HashSet<String>, VecDeque<String>);

impl Nonces {
    fn is_new(&mut self, nonce: &str) -> bool {
        if self.1.len() >= NONCES_MAX
            && let Some(oldest) = self.1.pop_front()
        {
            self.0.remove(&oldest);
        }
        let new = self.0.insert(nonce.to_owned());
        if new {
            self.1.push_back(nonce.to_owned());
        }
        new
    }
}

/// `url` without its query; `query` as it stands in the request.
pub fn check(
    keys: &Keys,
    nonces: &mut Nonces,
    authorization: &str,
    method: &str,
    url: &str,
    query: &str,
    now: i64,
) -> Result<(), &'static str> {
    let parameters = authorization.strip_prefix("OAuth ").ok_or("no OAuth header")?;
    let mut given = BTreeMap::new();
    for pair in parameters.split(',') {
        let (name, value) = pair.trim().split_once('=').ok_or("malformed header")?;
        let value = percent_decode_str(value.trim_matches('"')).decode_utf8().map_err(|_| "malformed header")?.into_owned();
        if given.insert(name.to_owned(), value).is_some() {
            return Err("a parameter is there twice");
        }
    }
    let get = |name: &str| given.get(name).map(String::as_str).unwrap_or_default();
    if get("realm") != keys.account {
        return Err("wrong realm");
    }
    if get("oauth_consumer_key") != keys.consumer_key || get("oauth_token") != keys.token_id {
        return Err("unknown consumer or token");
    }
    if get("oauth_signature_method") != "HMAC-SHA256" || get("oauth_version") != "1.0" {
        return Err("wrong method or version");
    }
    let timestamp: i64 = get("oauth_timestamp").parse().map_err(|_| "no timestamp")?;
    if (now - timestamp).abs() > WINDOW_S {
        return Err("timestamp out of the window");
    }
    let mut pairs: Vec<(String, String)> = given
        .iter()
        .filter(|(name, _)| name.starts_with("oauth_") && *name != "oauth_signature")
        .map(|(name, value)| (encode(name), encode(value)))
        .collect();
    pairs.extend(url::form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (encode(&name), encode(&value))));
    pairs.sort();
    let joined = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
    let base = format!("{method}&{}&{}", encode(url), encode(&joined));
    let key = format!("{}&{}", encode(&keys.consumer_secret), encode(&keys.token_secret));
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).map_err(|_| "key")?;
    mac.update(base.as_bytes());
    let signature = STANDARD.decode(get("oauth_signature")).map_err(|_| "malformed signature")?;
    mac.verify_slice(&signature).map_err(|_| "wrong signature")?;
    // Last, so that a forged request cannot burn a nonce.
    if nonces.is_new(get("oauth_nonce")) { Ok(()) } else { Err("nonce used before") }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}
