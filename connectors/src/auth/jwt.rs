//! A JSON Web Token that we sign ourselves (RFC 7519, RFC 7518): for each request, or as the assertion at a token endpoint (RFC 7523).

use std::borrow::Cow;

use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Map, Value};

use super::key_bytes;
use crate::der;
use crate::manifest::{Assertion, JwtAlgorithm};
use crate::request::{RequestContext, RequestError};
use crate::template::fill;

/// A key of RSA with 8,192 bits. One that is longer takes seconds for each signature, and one without end for ever.
const KEY_BYTES_MAX: usize = 5 * 1024;

/// `more` are the names that the claims may use beside those of the context.
pub(super) fn make<'v>(
    assertion: &Assertion,
    context: &'v RequestContext<'_>,
    more: &dyn Fn(&str) -> Option<Cow<'v, str>>,
) -> Result<String, RequestError> {
    let find = |name: &str| context.find_with_credential(name).or_else(|| more(name));
    let issued_at = context.now.timestamp();
    let mut claims = Map::new();
    claims.insert("iat".into(), issued_at.into());
    claims.insert("exp".into(), (issued_at + i64::from(assertion.lifetime_s)).into());
    claims.insert("jti".into(), context.nonce.into());
    for (name, claim) in &assertion.claims {
        match fill_claim(claim, &find)? {
            Value::Null => claims.remove(name),
            claim => claims.insert(name.clone(), claim),
        };
    }
    let mut header = Header::new(algorithm(assertion.algorithm));
    header.kid = assertion.key_id.as_deref().map(|template| fill(template, false, find)).transpose()?;
    let key = key(assertion, context.secret(&assertion.key)?)?;
    encode(&header, &claims, &key).map_err(|error| unusable(assertion, format!("nothing could be signed with it ({error})")))
}

fn fill_claim<'v>(claim: &Value, find: &impl Fn(&str) -> Option<Cow<'v, str>>) -> Result<Value, RequestError> {
    Ok(match claim {
        Value::String(template) => Value::String(fill(template, false, find)?),
        Value::Array(list) => Value::Array(list.iter().map(|value| fill_claim(value, find)).collect::<Result<_, _>>()?),
        Value::Object(map) => {
            let filled = map.iter().map(|(name, value)| Ok((name.clone(), fill_claim(value, find)?)));
            Value::Object(filled.collect::<Result<_, RequestError>>()?)
        }
        plain => plain.clone(),
    })
}

fn algorithm(algorithm: JwtAlgorithm) -> Algorithm {
    match algorithm {
        JwtAlgorithm::Hs256 => Algorithm::HS256,
        JwtAlgorithm::Rs256 => Algorithm::RS256,
        JwtAlgorithm::Ps256 => Algorithm::PS256,
        JwtAlgorithm::Es256 => Algorithm::ES256,
        JwtAlgorithm::Es384 => Algorithm::ES384,
    }
}

fn key(assertion: &Assertion, text: &str) -> Result<EncodingKey, RequestError> {
    // The library would go into whatever a tenant nests; what it is given is checked, and written anew.
    let block = der::blocks(text).next().filter(|block| block.der.len() <= KEY_BYTES_MAX);
    let pem = block.and_then(|block| block.to_pem()).unwrap_or_default();
    match assertion.algorithm {
        JwtAlgorithm::Hs256 => {
            let bytes = key_bytes(text, assertion.key_encoding, &STANDARD);
            bytes
                .map(|bytes| EncodingKey::from_secret(&bytes))
                .ok_or_else(|| unusable(assertion, "it is not encoded as it should be".into()))
        }
        JwtAlgorithm::Rs256 | JwtAlgorithm::Ps256 => EncodingKey::from_rsa_pem(pem.as_bytes())
            .map_err(|_| unusable(assertion, "an RSA key in PEM was expected, without a passphrase".into())),
        JwtAlgorithm::Es256 | JwtAlgorithm::Es384 => EncodingKey::from_ec_pem(pem.as_bytes()).map_err(|_| {
            let hint = "\"openssl pkcs8 -topk8 -nocrypt\" makes one of a key that begins with \"BEGIN EC PRIVATE KEY\"";
            unusable(
                assertion,
                format!("an elliptic-curve key in PEM that begins with \"BEGIN PRIVATE KEY\" was expected; {hint}"),
            )
        }),
    }
}

fn unusable(assertion: &Assertion, why: String) -> RequestError {
    RequestError::Key { field: assertion.key.clone(), why }
}
