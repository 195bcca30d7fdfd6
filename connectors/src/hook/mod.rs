//! A hook that arrives: its signature over the raw bytes, then who sent it, what it is about and what makes it a duplicate.

mod check;
mod key;
mod secret;
mod signature;
mod subscription;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use domain::canonical::shape::ID_BYTES_MAX;
use domain::hook_refusal::Cause;
use domain::record::RecordKind;
use domain::secret::{SecretFields, SecretString};
use domain::value::{Limits, Value};
use sha2::{Digest, Sha256};

pub(crate) use check::check;
pub use secret::SecretSource;
pub use subscription::{
    Comparison, ListedSubscription, Subscription, SubscriptionReader, compare, is_same_address, is_same_topic,
};

use crate::connector::Connector;
use crate::hex::hex;
use crate::manifest::{Hook, Place};
use crate::path;
use crate::template::fill;

/// A longer key is replaced by its hash.
const DEDUPE_BYTES_MAX: usize = 200;
const TOPIC_BYTES_MAX: usize = 100;
const API_VERSION_BYTES_MAX: usize = 100;
/// Events of one delivery; the largest that a vendor states is 100.
const EVENTS_MAX: usize = 1_000;

/// A delivery of a vendor as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct HookCall<'a> {
    pub method: &'a str,
    /// Where the vendor sent it to: the hook's public address with its query, as some vendors sign it.
    pub url: &'a str,
    pub headers: &'a [(String, String)],
    /// The raw bytes.
    pub body: &'a [u8],
    pub now: DateTime<Utc>,
}

/// Whom a delivery is believed from.
#[derive(Debug, Clone, Copy)]
pub struct HookTrust<'a> {
    pub credential: &'a SecretFields,
    /// Secrets besides those of the credential, written as the vendor writes them: what it gave with a subscription, and the one before.
    pub more: &'a [SecretString],
    /// How old a delivery may be beyond what the connector says, s. Only where a second arrival of it is told from the first by what is signed: what
    /// was sent before is a duplicate then, and what was not is an honest retry, however late.
    pub late_s: u32,
}

/// What a verified hook says of one thing.
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
    /// The event alone, where the connector says that bodies list several; none where the event is the whole body.
    pub event: Option<Bytes>,
}

/// Why a hook is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookRefusal {
    #[error("this connection takes no hooks")]
    NoHooks,
    #[error("the header {0} is missing")]
    MissingHeader(String),
    #[error("the header {0} came more than once; take one away, or what adds it")]
    Doubled(String),
    #[error("the header {header} is not as this vendor writes it: {what}")]
    Malformed { header: String, what: String },
    #[error("the signature does not fit the body; check that both sides have the same secret")]
    BadSignature,
    #[error("{}", stale(*.age_ms, *.tolerance_s))]
    Stale {
        /// Negative where it was signed in our future.
        age_ms: i128,
        tolerance_s: u32,
    },
    #[error("the delivery comes from another account than the connection's")]
    WrongSource,
    #[error("the connection has no secret to verify with")]
    NoSecret,
    #[error("the connection's secret \"{0}\" is not written as this vendor writes secrets; store it again")]
    BadSecret(String),
    #[error("the body is not the JSON it should be: {0}")]
    Unreadable(String),
}

impl HookRefusal {
    /// True where the sender could not prove who it is; false where what it sent cannot be used.
    #[must_use]
    pub fn is_forged(&self) -> bool {
        !matches!(self, Self::Unreadable(_))
    }

    /// As the tenant is told of it.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Self::NoHooks => Cause::NoHooks,
            Self::MissingHeader(_) => Cause::MissingHeader,
            Self::Doubled(_) => Cause::DoubledHeader,
            Self::Malformed { .. } => Cause::MalformedHeader,
            Self::BadSignature => Cause::BadSignature,
            Self::Stale { .. } => Cause::Stale,
            Self::WrongSource => Cause::OtherAccount,
            Self::NoSecret => Cause::NoSecret,
            Self::BadSecret(_) => Cause::BadSecret,
            Self::Unreadable(_) => Cause::Unreadable,
        }
    }
}

fn stale(age_ms: i128, tolerance_s: u32) -> String {
    let off_s = age_ms.unsigned_abs() / 1_000;
    if age_ms < 0 {
        format!("it was signed {off_s} s ahead of our time, and {tolerance_s} s are allowed; set the clocks right")
    } else {
        format!(
            "it was signed {off_s} s ago, and {tolerance_s} s are allowed; an old delivery was sent again, or the clocks differ"
        )
    }
}

impl Connector {
    /// Verifies a hook over its raw bytes, before anything reads them, and says what it is about: one thing, or several where the
    /// connector names `events`. Such a list may be empty, as vendors send it to see whether we verify.
    ///
    /// # Errors
    /// Where it cannot be trusted, or cannot be read.
    pub fn verify_hook(
        &self,
        call: &HookCall<'_>,
        credential: &SecretFields,
        settings: &serde_json::Value,
    ) -> Result<Vec<HookInfo>, HookRefusal> {
        self.verify_hook_of(call, &HookTrust { credential, more: &[], late_s: 0 }, settings)
    }

    /// As [`Self::verify_hook`], with more secrets than the credential has, and later.
    ///
    /// # Errors
    /// As [`Self::verify_hook`].
    pub fn verify_hook_of(
        &self,
        call: &HookCall<'_>,
        trust: &HookTrust<'_>,
        settings: &serde_json::Value,
    ) -> Result<Vec<HookInfo>, HookRefusal> {
        let hook = self.manifest.webhooks.as_ref().ok_or(HookRefusal::NoHooks)?;
        let late_s = if tells_duplicates(hook) { trust.late_s } else { 0 };
        signature::verify(&hook.signature, call, &HookTrust { late_s, ..*trust })?;
        if let Some(source) = &hook.source {
            let claimed = find(call.headers, &source.header).ok_or_else(|| missing(&source.header))?;
            let expected =
                fill(&source.equals, false, |name| self.setting(settings, name)).map_err(|_| HookRefusal::WrongSource)?;
            if !claimed.eq_ignore_ascii_case(&expected) {
                return Err(HookRefusal::WrongSource);
            }
        }
        let parsed = Value::parse(call.body, &Limits::DEFAULT).map_err(|error| HookRefusal::Unreadable(error.to_string()))?;
        match hook.events.as_deref() {
            None => Ok(vec![read(hook, call.headers, call.body, &parsed, false)?]),
            Some(at) => events(hook, at, call.headers, &parsed),
        }
    }

    /// The headers by which a vendor proves that a delivery is its own, for a simulator that plays the vendor. `call.headers` has the
    /// others, which may be signed too. For RSA and ECDSA the fields of the credential are private keys in PEM (PKCS #8).
    ///
    /// # Errors
    /// Where the connector takes no hooks, or the credential has no key that can sign.
    pub fn sign_hook(&self, call: &HookCall<'_>, credential: &SecretFields) -> Result<Vec<(String, String)>, HookRefusal> {
        let hook = self.manifest.webhooks.as_ref().ok_or(HookRefusal::NoHooks)?;
        signature::sign(&hook.signature, call, credential)
    }
}

fn events(hook: &Hook, at: &str, headers: &[(String, String)], body: &Value) -> Result<Vec<HookInfo>, HookRefusal> {
    let found = path::all(body, at);
    if found.is_empty() {
        return Err(HookRefusal::Unreadable(format!("it has no events at \"{at}\"")));
    }
    let mut events = Vec::new();
    for value in found {
        match value {
            Value::List(list) => events.extend(list),
            one => events.push(one),
        }
    }
    if events.len() > EVENTS_MAX {
        return Err(HookRefusal::Unreadable(format!("it has {} events, more than the {EVENTS_MAX} allowed", events.len())));
    }
    let read = |(index, event): (usize, &Value)| {
        let bytes = Bytes::from(event.to_json());
        let info = read(hook, headers, &bytes, event, true).map_err(|refusal| match refusal {
            HookRefusal::Unreadable(what) => HookRefusal::Unreadable(format!("event {}: {what}", index + 1)),
            other => other,
        })?;
        Ok(HookInfo { event: Some(bytes), ..info })
    };
    events.into_iter().enumerate().map(read).collect()
}

/// What one event says. `among_others`: the headers are of the delivery and not of this event alone.
fn read(
    hook: &Hook,
    headers: &[(String, String)],
    bytes: &[u8],
    parsed: &Value,
    among_others: bool,
) -> Result<HookInfo, HookRefusal> {
    let place = |place: &Place| {
        let header = find(headers, &place.header).map(str::to_owned);
        header
            .or_else(|| parsed.at(place.path.as_deref()?)?.to_text().map(|text| text.into_owned()))
            .filter(|text| !text.is_empty())
    };
    let topic = place(&hook.topic).ok_or_else(|| match hook.topic.path.as_deref() {
        Some(path) if hook.topic.header.is_empty() => HookRefusal::Unreadable(format!("it has no topic at \"{path}\"")),
        _ => missing(&hook.topic.header),
    })?;
    let topic: String = topic.chars().filter(|c| !c.is_control()).take(TOPIC_BYTES_MAX).collect();
    let known = hook.topics.get(&topic);
    let source_id = known.and_then(|known| parsed.at(&known.id)).and_then(Value::to_text).map(|id| id.into_owned());
    if let Some(id) = &source_id {
        if id.len() > ID_BYTES_MAX {
            let what = format!("its id has {} bytes, more than the {ID_BYTES_MAX} allowed", id.len());
            return Err(HookRefusal::Unreadable(what));
        }
        if id.contains(char::is_control) {
            return Err(HookRefusal::Unreadable("its id has a control character".into()));
        }
    }
    let given =
        hook.dedupe.as_ref().and_then(place).filter(|key| key.len() <= DEDUPE_BYTES_MAX && !key.contains(char::is_control));
    // A header's key is that of the whole delivery: alone it would make all events of one the same.
    let shared =
        given.as_ref().filter(|_| among_others && hook.dedupe.as_ref().is_some_and(|d| find(headers, &d.header).is_some()));
    let dedupe_key = match (&given, shared) {
        (Some(key), None) => key.clone(),
        (_, None) => hash(&[topic.as_bytes(), bytes]),
        (_, Some(delivery)) => hash(&[topic.as_bytes(), delivery.as_bytes(), bytes]),
    };
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
        event: None,
    })
}

/// True where whoever sends a delivery once more, and changes nothing that is signed, cannot make it look like another one.
fn tells_duplicates(hook: &Hook) -> bool {
    let signed = hook.signature.signed.as_deref();
    let is_signed = |place: &Place| {
        let names = || signed.into_iter().flat_map(crate::template::names).filter_map(|name| name.strip_prefix("header."));
        // What stands in the body is signed with it.
        place.header.iter().all(|header| names().any(|name| name.eq_ignore_ascii_case(header)))
    };
    match &hook.dedupe {
        Some(place) => is_signed(place) && (hook.events.is_none() || is_signed(&hook.topic)),
        // The hash of topic and body.
        None => is_signed(&hook.topic),
    }
}

fn hash(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            hash.update([0]);
        }
        hash.update(part);
    }
    format!("sha256:{}", hex(&hash.finalize()))
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
