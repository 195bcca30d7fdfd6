//! Webhooks that we send, signed as Standard Webhooks 1.0 says (standardwebhooks.com): HMAC-SHA256 over id, time and body.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::http::{HttpRequest, Method};
use domain::secret::{ExposeSecret, SecretString};
use ring::hmac;

const PREFIX: &str = "whsec_";
/// Of the key, bytes.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// The key within a secret.
fn key(secret: &SecretString) -> Option<Vec<u8>> {
    let bytes = STANDARD.decode(secret.expose_secret().strip_prefix(PREFIX)?).ok()?;
    KEY_BYTES.contains(&bytes.len()).then_some(bytes)
}

/// # Errors
/// Why no webhook can be signed with it, as a sentence.
pub fn check_secret(secret: &SecretString) -> Result<(), String> {
    key(secret)
        .map(|_| ())
        .ok_or_else(|| format!("the secret is {PREFIX} and then {} to {} bytes in base64", KEY_BYTES.start(), KEY_BYTES.end()))
}

/// A request with the headers `webhook-id`, `webhook-timestamp` and `webhook-signature`. The id is the same for each try.
///
/// # Errors
/// Where the secret is none, as [`check_secret`] says.
pub fn signed(url: &str, id: &str, at: DateTime<Utc>, body: Vec<u8>, secret: &SecretString) -> Result<HttpRequest, String> {
    check_secret(secret)?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key(secret).unwrap_or_default());
    let time = at.timestamp().to_string();
    let mut context = hmac::Context::with_key(&key);
    for part in [id.as_bytes(), b".", time.as_bytes(), b".", &body] {
        context.update(part);
    }
    let signature = format!("v1,{}", STANDARD.encode(context.sign()));
    let mut request = json(url, body);
    request.headers.extend([
        ("webhook-id".to_owned(), id.to_owned()),
        ("webhook-timestamp".to_owned(), time),
        ("webhook-signature".to_owned(), signature),
    ]);
    Ok(request)
}

/// The host of an address that a webhook may be sent to; `None` where it is none.
#[must_use]
pub fn host(address: &str) -> Option<String> {
    let url = url::Url::parse(address).ok()?;
    let is_plain = matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none();
    url.host_str().filter(|_| is_plain).map(str::to_owned)
}

/// A request that posts JSON.
#[must_use]
pub fn json(url: &str, body: Vec<u8>) -> HttpRequest {
    HttpRequest {
        method: Method::Post,
        url: url.to_owned(),
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: Bytes::from(body),
        identity: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_the_one_of_the_standards_own_example() {
        // From the specification's reference libraries: their test vector.
        let secret = SecretString::from("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let at = DateTime::from_timestamp(1_614_265_330, 0).unwrap();
        let request =
            signed("https://example.com/", "msg_p5jXN8AQM9LWM0D4loKWxJek", at, br#"{"test": 2432232314}"#.to_vec(), &secret)
                .unwrap();
        let header = |name: &str| request.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        assert_eq!(header("webhook-signature"), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
        assert_eq!(header("webhook-timestamp"), Some("1614265330"));
    }

    #[test]
    fn a_secret_that_is_none_is_refused() {
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_???"] {
            assert!(check_secret(&SecretString::from(bad)).is_err(), "{bad}");
        }
    }
}
