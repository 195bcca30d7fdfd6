//! A hook that arrives: its signature over the raw bytes, then who sent it, what it is about and what makes it a duplicate.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::record::RecordKind;
use domain::secret::{ExposeSecret, SecretFields};
use domain::value::{Limits, Value};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::auth::hmac_sha256;
use crate::connector::Connector;
use crate::manifest::{Encoding, Hook, Place, Signature};
use crate::template::fill;

/// A longer key is replaced by its hash.
const DEDUPE_BYTES_MAX: usize = 200;
const TOPIC_BYTES_MAX: usize = 100;
/// Ids are part of index rows, which Postgres bounds.
const SOURCE_ID_BYTES_MAX: usize = 200;
const API_VERSION_BYTES_MAX: usize = 100;

/// What a verified hook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookInfo {
    pub topic: String,
    /// The kind of record it is about; none for a topic that we have no use for.
    pub kind: Option<RecordKind>,
    /// The same on every retry of one delivery.
    pub dedupe_key: String,
    pub source_id: Option<String>,
    pub api_version: Option<String>,
    /// Only an id came; the thing itself is read back.
    pub fetch: bool,
}

/// Why a hook is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookRefusal {
    #[error("this connection takes no hooks")]
    NoHooks,
    #[error("the header {0} is missing")]
    MissingHeader(String),
    #[error("the signature does not fit the body; check that both sides have the same secret")]
    BadSignature,
    #[error("the delivery comes from another account than the connection's")]
    WrongSource,
    #[error("the connection has no secret to verify with")]
    NoSecret,
    #[error("the body is not the JSON it should be: {0}")]
    Unreadable(String),
}

impl HookRefusal {
    /// True where the sender could not prove who it is; false where what it sent cannot be used.
    #[must_use]
    pub fn is_forged(&self) -> bool {
        !matches!(self, Self::Unreadable(_))
    }
}

impl Connector {
    /// Verifies a hook over its raw bytes, before anything reads them.
    ///
    /// # Errors
    /// Where it cannot be trusted, or cannot be read.
    pub fn verify_hook(
        &self,
        headers: &[(String, String)],
        body: &[u8],
        credential: &SecretFields,
        settings: &serde_json::Value,
    ) -> Result<HookInfo, HookRefusal> {
        let hook = self.manifest.webhooks.as_ref().ok_or(HookRefusal::NoHooks)?;
        verify(&hook.signature, headers, body, credential)?;
        if let Some(source) = &hook.source {
            let claimed = find(headers, &source.header).ok_or_else(|| missing(&source.header))?;
            let expected =
                fill(&source.equals, false, |name| self.setting(settings, name)).map_err(|_| HookRefusal::WrongSource)?;
            if !claimed.eq_ignore_ascii_case(&expected) {
                return Err(HookRefusal::WrongSource);
            }
        }
        let parsed = Value::parse(body, &Limits::DEFAULT).map_err(|error| HookRefusal::Unreadable(error.to_string()))?;
        read(hook, headers, body, &parsed)
    }
}

fn verify(
    signature: &Signature,
    headers: &[(String, String)],
    body: &[u8],
    credential: &SecretFields,
) -> Result<(), HookRefusal> {
    // Two signatures are one too many: which of them a proxy before us looked at is anybody's guess.
    let mut claims = headers.iter().filter(|(name, _)| signature.header.iter().any(|header| header.eq_ignore_ascii_case(name)));
    let claimed = claims.next().ok_or_else(|| missing(&signature.header))?.1.as_str();
    if claims.next().is_some() {
        return Err(HookRefusal::BadSignature);
    }
    let claimed = claimed.strip_prefix(&signature.prefix).ok_or(HookRefusal::BadSignature)?;
    let claimed = match signature.encoding {
        Encoding::Base64 => STANDARD.decode(claimed).map_err(|_| HookRefusal::BadSignature)?,
        Encoding::Hex => unhex(claimed).ok_or(HookRefusal::BadSignature)?,
    };
    let secrets: Vec<_> =
        signature.secrets.iter().filter_map(|field| credential.get(field)).filter(|s| !s.expose_secret().is_empty()).collect();
    if secrets.is_empty() {
        return Err(HookRefusal::NoSecret);
    }
    // Every secret is tried, in constant time, so that timing tells nothing of which one fits.
    let mut fits = subtle::Choice::from(0);
    for secret in secrets {
        fits |= hmac_sha256(secret.expose_secret().as_bytes(), body).as_slice().ct_eq(claimed.as_slice());
    }
    if bool::from(fits) { Ok(()) } else { Err(HookRefusal::BadSignature) }
}

fn read(hook: &Hook, headers: &[(String, String)], body: &[u8], parsed: &Value) -> Result<HookInfo, HookRefusal> {
    let place = |place: &Place| {
        let header = find(headers, &place.header).map(str::to_owned);
        header
            .or_else(|| parsed.at(place.path.as_deref()?)?.to_text().map(|text| text.into_owned()))
            .filter(|text| !text.is_empty())
    };
    let topic = place(&hook.topic).ok_or_else(|| missing(&hook.topic.header))?;
    let topic: String = topic.chars().filter(|c| !c.is_control()).take(TOPIC_BYTES_MAX).collect();
    let known = hook.topics.get(&topic);
    let source_id = known.and_then(|known| parsed.at(&known.id)).and_then(Value::to_text).map(|id| id.into_owned());
    if let Some(id) = &source_id {
        if id.len() > SOURCE_ID_BYTES_MAX {
            let what = format!("its id has {} bytes, more than the {SOURCE_ID_BYTES_MAX} allowed", id.len());
            return Err(HookRefusal::Unreadable(what));
        }
        if id.contains(char::is_control) {
            return Err(HookRefusal::Unreadable("its id has a control character".into()));
        }
    }
    let given =
        hook.dedupe.as_ref().and_then(place).filter(|key| key.len() <= DEDUPE_BYTES_MAX && !key.contains(char::is_control));
    let dedupe_key = given.unwrap_or_else(|| {
        let mut hash = Sha256::new();
        hash.update(topic.as_bytes());
        hash.update([0]);
        hash.update(body);
        format!("sha256:{}", hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
    });
    Ok(HookInfo {
        kind: known.map(|known| known.kind),
        fetch: known.is_some_and(|known| known.fetch.is_some()),
        api_version: hook
            .version
            .as_ref()
            .and_then(place)
            .filter(|version| version.len() <= API_VERSION_BYTES_MAX && !version.contains(char::is_control)),
        topic,
        dedupe_key,
        source_id,
    })
}

fn find<'h>(headers: &'h [(String, String)], names: &[String]) -> Option<&'h str> {
    names
        .iter()
        .find_map(|wanted| headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)))
        .map(|(_, value)| value.as_str())
}

fn missing(names: &[String]) -> HookRefusal {
    HookRefusal::MissingHeader(names.first().cloned().unwrap_or_default())
}

pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |b: u8| char::from(b).to_digit(16);
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.as_bytes().chunks(2).map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()).collect()
}

#[cfg(test)]
mod tests {
    use domain::secret::SecretString;

    use super::*;
    use crate::Catalog;

    fn hook(body: &str) -> Result<HookInfo, HookRefusal> {
        let headers = [
            ("X-Shopify-Hmac-Sha256", STANDARD.encode(hmac_sha256(b"s3cret", body.as_bytes()))),
            ("X-Shopify-Shop-Domain", "acme.myshopify.com".to_owned()),
            ("X-Shopify-Topic", "orders/create".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value));
        let credential: SecretFields = [("hook_secret".to_owned(), SecretString::from("s3cret"))].into_iter().collect();
        let settings = serde_json::json!({"shop": "acme.myshopify.com"});
        Catalog::embedded().get("shopify").unwrap().verify_hook(&headers, body.as_bytes(), &credential, &settings)
    }

    #[test]
    fn an_id_that_cannot_be_stored_is_unreadable_and_not_forged() {
        assert_eq!(hook(r#"{"id":1042}"#).unwrap().source_id.as_deref(), Some("1042"));
        assert!(hook(&format!(r#"{{"id":"{}"}}"#, "9".repeat(200))).is_ok());
        for (body, what) in [
            (format!(r#"{{"id":"{}"}}"#, "9".repeat(201)), "201 bytes"),
            (r#"{"id":"a\u0007b"}"#.to_owned(), "control character"),
            (r#"{"id":"a\nb"}"#.to_owned(), "control character"),
            (r#"{"id":"\u0000"}"#.to_owned(), "U+0000, which cannot be stored, at line 1, column 8"),
        ] {
            let refusal = hook(&body).unwrap_err();
            assert!(!refusal.is_forged() && refusal.to_string().contains(what), "{refusal}");
        }
    }
}
