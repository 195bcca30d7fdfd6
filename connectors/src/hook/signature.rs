//! How a webhook proves who sent it. `verify` judges what a vendor sends; `sign` makes the same, for a simulator that plays the vendor.
//! The time comes in as a value, so a verdict is a pure function of what was sent.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use domain::secret::SecretFields;
use subtle::Choice;

use super::key::{Signer, Verifier, usable};
use super::{HookCall, HookRefusal, HookTrust};
use crate::hex::{hex, unhex};
use crate::manifest::{Encoding, Signature, SignatureAlgorithm, SignedAtUnit};
use crate::template::fill;

/// A longer signature header is refused unread; eight signatures of RSA-4096 fit.
const HEADER_BYTES_MAX: usize = 8 * 1024;
/// A signature header with more items is refused. While a secret is rotated there are two or three.
const ITEMS_MAX: usize = 32;

/// Whether any of the connection's secrets made any of the signatures that were sent, and lately enough.
pub(super) fn verify(rule: &Signature, call: &HookCall<'_>, trust: &HookTrust<'_>) -> Result<(), HookRefusal> {
    // Two signatures are one too many: which of them a proxy before us looked at is anybody's guess.
    let (name, header) = one(call.headers, &rule.header)?;
    let malformed = |what: &str| HookRefusal::Malformed { header: name.to_owned(), what: what.to_owned() };
    let sent = Sent::read(rule, header).map_err(|what| malformed(&what))?;
    let signed_at = match rule.timestamp.as_ref().map(|at| at.header.as_ref()) {
        None => None,
        Some(Some(header)) => Some(one(call.headers, std::slice::from_ref(header))?.1),
        Some(None) => Some(sent.signed_at.ok_or_else(|| malformed("it does not say when it was signed"))?),
    };
    let keys = usable(rule, trust.credential, trust.more, Verifier::new)?;
    let message = message(rule, call, call.headers, signed_at)?;
    // Every secret is tried with every signature, in constant time, so that timing tells nothing of which one fits.
    let fits = keys.iter().fold(Choice::from(0), |fits, key| fits | key.fits(&message, &sent.signatures));
    if !bool::from(fits) {
        return Err(HookRefusal::BadSignature);
    }
    let (Some(at), Some(text)) = (&rule.timestamp, signed_at) else { return Ok(()) };
    let signed_ms = read_time(at.unit, text).ok_or_else(|| malformed("the time that it was signed cannot be read"))?;
    let age_ms = i128::from(call.now.timestamp_millis()) - i128::from(signed_ms);
    // What was signed in our future is no late retry, however much is borne of the past.
    let tolerance_s = if age_ms > 0 { at.tolerance_s.max(trust.late_s) } else { at.tolerance_s };
    if age_ms.unsigned_abs() > u128::from(tolerance_s) * 1_000 {
        return Err(HookRefusal::Stale { age_ms, tolerance_s: at.tolerance_s });
    }
    Ok(())
}

/// The headers that a vendor adds to a delivery. With items, one signature for each secret, as vendors do while one is rotated.
pub(super) fn sign(
    rule: &Signature,
    call: &HookCall<'_>,
    credential: &SecretFields,
) -> Result<Vec<(String, String)>, HookRefusal> {
    let signed_at = rule.timestamp.as_ref().map(|at| write_time(at.unit, call.now));
    let own = rule.timestamp.as_ref().and_then(|at| at.header.clone()).zip(signed_at.clone());
    let headers: Vec<(String, String)> = call.headers.iter().cloned().chain(own.clone()).collect();
    let message = message(rule, call, &headers, signed_at.as_deref())?;
    let mut signatures = Vec::new();
    for signer in usable(rule, credential, &[], Signer::new)? {
        let digest = match signer {
            Signer::Shared(secret) => secret,
            signer => {
                let bytes = signer.sign(&message).ok_or(HookRefusal::NoSecret)?;
                match rule.encoding {
                    Encoding::Base64 => STANDARD.encode(bytes),
                    Encoding::Hex => hex(&bytes),
                }
            }
        };
        signatures.push(format!("{}{digest}", rule.prefix));
    }
    let value = match &rule.items {
        None => signatures.into_iter().next().ok_or(HookRefusal::NoSecret)?,
        Some(items) => {
            let when = rule.timestamp.as_ref().and_then(|at| at.item.as_deref()).zip(signed_at.as_deref());
            let when = when.map(|(name, at)| format!("{name}{}{at}", items.assign));
            let each = signatures.iter().map(|signature| format!("{}{}{signature}", items.name, items.assign));
            when.into_iter().chain(each).collect::<Vec<_>>().join(&items.separator)
        }
    };
    let name = rule.header.first().cloned().unwrap_or_default();
    Ok(own.into_iter().chain([(name, value)]).collect())
}

/// The signature header, read.
struct Sent<'h> {
    /// Any of them may fit.
    signatures: Vec<Vec<u8>>,
    signed_at: Option<&'h str>,
}

impl<'h> Sent<'h> {
    fn read(rule: &Signature, header: &'h str) -> Result<Self, String> {
        if header.len() > HEADER_BYTES_MAX {
            return Err(format!("it has {} bytes, more than the {HEADER_BYTES_MAX} allowed", header.len()));
        }
        let decode = |text: &str| {
            let text = text.strip_prefix(&rule.prefix)?;
            match (rule.algorithm, rule.encoding) {
                (SignatureAlgorithm::Shared, _) => Some(text.as_bytes().to_vec()),
                (_, Encoding::Base64) => STANDARD.decode(text).ok(),
                (_, Encoding::Hex) => unhex(text),
            }
        };
        let unreadable = || match rule.encoding {
            _ if !header.contains(&rule.prefix) => format!("it has no \"{}\"", rule.prefix),
            Encoding::Base64 => "it has no signature in base64".to_owned(),
            Encoding::Hex => "it has no signature in hexadecimal digits".to_owned(),
        };
        let Some(items) = &rule.items else {
            return Ok(Self { signatures: vec![decode(header).ok_or_else(unreadable)?], signed_at: None });
        };
        let (mut signatures, mut signed_at) = (Vec::new(), None);
        let time = rule.timestamp.as_ref().and_then(|at| at.item.as_deref());
        for (index, item) in header.split(items.separator.as_str()).enumerate() {
            if index >= ITEMS_MAX {
                return Err(format!("it has more than {ITEMS_MAX} items"));
            }
            let Some((name, value)) = item.trim().split_once(items.assign.as_str()) else { continue };
            if Some(name) == time && signed_at.replace(value).is_some() {
                return Err("it says twice when it was signed".to_owned());
            }
            if name == items.name {
                signatures.extend(decode(value));
            }
        }
        if signatures.is_empty() {
            return Err(unreadable());
        }
        Ok(Self { signatures, signed_at })
    }
}

/// What is signed. The body goes in as its bytes, whatever they are.
fn message<'c>(
    rule: &Signature,
    call: &HookCall<'c>,
    headers: &[(String, String)],
    signed_at: Option<&str>,
) -> Result<Cow<'c, [u8]>, HookRefusal> {
    let Some(mut rest) = rule.signed.as_deref() else { return Ok(Cow::Borrowed(call.body)) };
    let mut out = Vec::with_capacity(call.body.len() + 256);
    while let Some(start) = rest.find("{{") {
        let end = rest[start..].find("}}").map_or(rest.len(), |end| start + end + 2);
        out.extend_from_slice(&rest.as_bytes()[..start]);
        let placeholder = &rest[start..end];
        if crate::template::placeholder(placeholder) == Some("body") {
            out.extend_from_slice(call.body);
        } else {
            // Two headers of one name would let a stranger choose which one is meant.
            if let Some(name) = crate::template::names(placeholder).find_map(|name| name.strip_prefix("header.")) {
                one(headers, std::slice::from_ref(&name.to_owned()))?;
            }
            let find = |name: &str| match name {
                "timestamp" => signed_at.map(Cow::Borrowed),
                "method" => Some(Cow::Borrowed(call.method)),
                "url" => Some(Cow::Borrowed(call.url)),
                name => super::find(headers, &[name.strip_prefix("header.")?.to_owned()]).map(Cow::Borrowed),
            };
            // What a template may say is checked when the connector is loaded.
            let text = fill(placeholder, false, find).map_err(|error| HookRefusal::Unreadable(error.to_string()))?;
            out.extend_from_slice(text.as_bytes());
        }
        rest = &rest[end..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(Cow::Owned(out))
}

/// The one header of these names.
fn one<'h>(headers: &'h [(String, String)], names: &[String]) -> Result<(&'h str, &'h str), HookRefusal> {
    let mut found = headers.iter().filter(|(name, _)| names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)));
    let (name, value) = found.next().ok_or_else(|| super::missing(names))?;
    match found.next() {
        Some(_) => Err(HookRefusal::Doubled(name.clone())),
        None => Ok((name, value)),
    }
}

/// Milliseconds since 1970.
fn read_time(unit: SignedAtUnit, text: &str) -> Option<i64> {
    let digits = || Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse::<i64>().ok();
    match unit {
        SignedAtUnit::UnixS => digits()?.checked_mul(1_000),
        SignedAtUnit::UnixMs => digits(),
        SignedAtUnit::Rfc3339 => Some(DateTime::parse_from_rfc3339(text).ok()?.timestamp_millis()),
    }
}

fn write_time(unit: SignedAtUnit, at: DateTime<Utc>) -> String {
    match unit {
        SignedAtUnit::UnixS => at.timestamp().to_string(),
        SignedAtUnit::UnixMs => at.timestamp_millis().to_string(),
        SignedAtUnit::Rfc3339 => at.to_rfc3339_opts(SecondsFormat::Millis, true),
    }
}
