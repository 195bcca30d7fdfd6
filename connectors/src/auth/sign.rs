//! A signature of the vendor's own making, as steps: place what is known, make the text, sign it, place the signature.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use domain::http::HttpRequest;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};
use url::Url;

use super::{hmac_sha256, key_bytes, parse_url, put_header, put_query, sorted_query};
use crate::hex::hex;
use crate::manifest::{Sign, SignAlgorithm, SignEncoding, TimestampUnit};
use crate::request::{RequestContext, RequestError};
use crate::template::{fill, names};

/// The names of [`find`] and [`sign`], for the check at load time.
pub(crate) const NAMES: [&str; 10] =
    ["method", "url", "host", "path", "query", "sorted_query", "sorted_pairs", "body", "body_sha256_hex", "body_md5_base64"];
pub(crate) const TIMESTAMP: &str = "timestamp";
pub(crate) const SIGNATURE: &str = "signature";

pub(super) fn sign(steps: &Sign, request: &mut HttpRequest, context: &RequestContext<'_>) -> Result<(), RequestError> {
    request.url = parse_url(request)?.into();
    let timestamp = timestamp(context.now, steps.timestamp_unit);
    place(steps, request, context, &timestamp, None)?;
    let text = fill_with(&steps.canonical, request, context, &timestamp, None)?;
    let key = match &steps.key {
        Some(template) => {
            let key = fill_with(template, request, context, &timestamp, None)?;
            key_bytes(&key, steps.key_encoding, &STANDARD).ok_or_else(|| RequestError::Key {
                field: names(template).find_map(|name| name.strip_prefix("credential.")).unwrap_or(template).to_owned(),
                why: format!("it is not {:?}", steps.key_encoding).to_lowercase(),
            })?
        }
        None => Vec::new(),
    };
    let signature = match steps.algorithm {
        SignAlgorithm::HmacSha1 => {
            let mut mac = Hmac::<Sha1>::new_from_slice(&key).expect("HMAC takes a key of any length");
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        SignAlgorithm::HmacSha256 => hmac_sha256(&key, text.as_bytes()).to_vec(),
        SignAlgorithm::HmacSha512 => {
            let mut mac = Hmac::<Sha512>::new_from_slice(&key).expect("HMAC takes a key of any length");
            mac.update(text.as_bytes());
            mac.finalize().into_bytes().to_vec()
        }
        SignAlgorithm::Sha256 => Sha256::digest(&text).to_vec(),
        SignAlgorithm::Md5 => Md5::digest(&text).to_vec(),
    };
    let signature = match steps.encoding {
        SignEncoding::Hex => hex(&signature),
        SignEncoding::Base64 => STANDARD.encode(signature),
        SignEncoding::Base64url => URL_SAFE_NO_PAD.encode(signature),
    };
    place(steps, request, context, &timestamp, Some(&signature))
}

/// Before the text is made, what does not name the signature, so that it can be signed; afterwards, what does.
fn place(
    steps: &Sign,
    request: &mut HttpRequest,
    context: &RequestContext<'_>,
    timestamp: &str,
    signature: Option<&str>,
) -> Result<(), RequestError> {
    let is_due = |template: &str| names(template).any(|name| name == SIGNATURE) == signature.is_some();
    for (name, template) in steps.query.iter().filter(|(_, template)| is_due(template)) {
        let value = fill_with(template, request, context, timestamp, signature)?;
        put_query(request, name, &value);
    }
    for (name, template) in steps.headers.iter().filter(|(_, template)| is_due(template)) {
        let value = fill_with(template, request, context, timestamp, signature)?;
        put_header(request, name, value)?;
    }
    Ok(())
}

fn fill_with(
    template: &str,
    request: &HttpRequest,
    context: &RequestContext<'_>,
    timestamp: &str,
    signature: Option<&str>,
) -> Result<String, RequestError> {
    let url = parse_url(request)?;
    let filled = fill(template, false, |name| match name {
        TIMESTAMP => Some(timestamp.to_owned().into()),
        SIGNATURE => signature.map(|signature| signature.to_owned().into()),
        _ => find(name, request, &url).or_else(|| context.find_with_credential(name)),
    })?;
    Ok(filled)
}

/// What a template may name of the request itself. A header that is not there is empty, as vendors' canonical texts want it.
pub(super) fn find<'v>(name: &str, request: &HttpRequest, url: &Url) -> Option<Cow<'v, str>> {
    let text = match name {
        "method" => request.method.as_str().to_owned(),
        "url" => url.to_string(),
        "host" => {
            let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
            format!("{}{port}", url.host_str().unwrap_or_default())
        }
        "path" => url.path().to_owned(),
        "query" => url.query().unwrap_or_default().to_owned(),
        "sorted_query" => sorted_query(url),
        "sorted_pairs" => {
            let mut pairs: Vec<_> = url.query_pairs().collect();
            pairs.sort_unstable();
            pairs.into_iter().map(|(name, value)| format!("{name}{value}")).collect()
        }
        "body" => String::from_utf8_lossy(&request.body).into_owned(),
        "body_sha256_hex" => hex(&Sha256::digest(&request.body)),
        "body_md5_base64" => STANDARD.encode(Md5::digest(&request.body)),
        _ => {
            let wanted = name.strip_prefix("header.")?;
            let header = request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            header.map(|(_, value)| value.clone()).unwrap_or_default()
        }
    };
    Some(text.into())
}

fn timestamp(now: DateTime<Utc>, unit: TimestampUnit) -> String {
    match unit {
        TimestampUnit::UnixS => now.timestamp().to_string(),
        TimestampUnit::UnixMs => now.timestamp_millis().to_string(),
        TimestampUnit::Rfc3339 => now.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        TimestampUnit::Iso8601Basic => now.format("%Y%m%dT%H%M%SZ").to_string(),
    }
}
