//! Whether an ID token is believed (OpenID Connect Core 1.0, 3.1.3.7). Signature, issuer, audience and time are the library's to check; what it leaves
//! open stands here: which algorithms, which key, for whom of several, which sign-in.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

/// What providers sign with. None of them takes a key that somebody else could have, such as our own secret or the public one.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Clocks of well-kept servers.
const LEEWAY_S: u64 = 30;
/// It was asked for a moment ago.
const AGE_S_MAX: u64 = 600;
const TOKEN_BYTES_MAX: usize = 64 * 1024;
const SUBJECT_CHARS_MAX: usize = 255;

/// What it must say.
#[derive(Debug)]
pub struct Expected<'a> {
    pub issuer: &'a str,
    pub client_id: &'a str,
    pub nonce: &'a str,
    /// Seconds since 1970.
    pub now: u64,
}

/// Why it is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    #[error("the ID token is none: {0}")]
    NoToken(&'static str),
    #[error("the ID token is not signed as we take it: RS256, ES256 or EdDSA")]
    Algorithm,
    /// The provider may have another one since: ask again, once.
    #[error("the ID token is signed by a key that the provider does not list")]
    UnknownKey,
    #[error("the ID token's signature does not fit")]
    Signature,
    #[error("the ID token is of another issuer")]
    Issuer,
    #[error("the ID token is for another client")]
    Audience,
    #[error("the ID token has expired")]
    Expired,
    #[error("the ID token is not of now; compare the provider's clock with ours")]
    IssuedAt,
    #[error("the ID token is of another sign-in")]
    Nonce,
    #[error("the ID token lacks {0}")]
    Missing(&'static str),
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    aud: OneOrMany,
    azp: Option<String>,
    iat: Option<u64>,
    nonce: Option<String>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// What it says, once it is believed.
#[derive(Debug)]
pub struct Believed {
    pub subject: String,
    pub claims: Map<String, Value>,
}

/// # Errors
/// Why it is not believed.
pub fn believe(token: &str, keys: &[Jwk], expected: &Expected<'_>) -> Result<Believed, Disbelief> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Disbelief::NoToken("it is longer than 64 KiB"));
    }
    // An algorithm that the library does not know, "none" among them, is no header to it.
    let header = jsonwebtoken::decode_header(token).map_err(|_| Disbelief::Algorithm)?;
    if !ALGORITHMS.contains(&header.alg) || header.crit.is_some() {
        return Err(Disbelief::Algorithm);
    }
    // The key is the provider's own; what the token itself says of keys (jwk, jku, x5u) is not looked at.
    let key = key(keys, header.kid.as_deref(), header.alg).ok_or(Disbelief::UnknownKey)?;
    let key = DecodingKey::from_jwk(key).map_err(|_| Disbelief::UnknownKey)?;
    let mut validation = Validation::new(header.alg);
    validation.set_issuer(&[expected.issuer]);
    validation.set_audience(&[expected.client_id]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY_S;
    let claims = jsonwebtoken::decode::<Claims>(token, &key, &validation).map_err(|error| disbelief(&error))?.claims;
    is_for_us(&claims, expected.client_id)?;
    let issued_at = claims.iat.ok_or(Disbelief::Missing("iat"))?;
    if issued_at > expected.now + LEEWAY_S || issued_at + AGE_S_MAX < expected.now {
        return Err(Disbelief::IssuedAt);
    }
    let nonce = claims.nonce.as_deref().ok_or(Disbelief::Nonce)?;
    if !bool::from(nonce.as_bytes().ct_eq(expected.nonce.as_bytes())) {
        return Err(Disbelief::Nonce);
    }
    if claims.sub.is_empty() || claims.sub.chars().count() > SUBJECT_CHARS_MAX {
        return Err(Disbelief::Missing("a subject of 1 to 255 characters"));
    }
    Ok(Believed { subject: claims.sub, claims: claims.others })
}

/// Where it is for several, or says for whom, that must be us.
fn is_for_us(claims: &Claims, client_id: &str) -> Result<(), Disbelief> {
    let is_shared = match &claims.aud {
        OneOrMany::One(one) => one != client_id,
        OneOrMany::Many(many) => many.iter().any(|one| one != client_id),
    };
    match claims.azp.as_deref() {
        Some(azp) if azp != client_id => Err(Disbelief::Audience),
        None if is_shared => Err(Disbelief::Audience),
        _ => Ok(()),
    }
}

/// The key of this id; of a token without one the only key that fits.
fn key<'k>(keys: &'k [Jwk], id: Option<&str>, algorithm: Algorithm) -> Option<&'k Jwk> {
    let mut fitting = keys.iter().filter(|key| fits(key, algorithm));
    match id {
        Some(id) => fitting.find(|key| key.common.key_id.as_deref() == Some(id)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

/// A key is for one algorithm, and for signatures: whatever the token says, it is used for nothing else.
pub fn fits(key: &Jwk, algorithm: Algorithm) -> bool {
    use jsonwebtoken::jwk::AlgorithmParameters::{EllipticCurve, OctetKeyPair, RSA};
    use jsonwebtoken::jwk::EllipticCurve::{Ed25519, P256};
    let is_of_kind = match (&key.algorithm, algorithm) {
        (RSA(_), Algorithm::RS256) => true,
        (EllipticCurve(key), Algorithm::ES256) => key.curve == P256 && is_coordinate(&key.x) && is_coordinate(&key.y),
        (OctetKeyPair(key), Algorithm::EdDSA) => key.curve == Ed25519 && is_coordinate(&key.x),
        _ => false,
    };
    let is_named = match key.common.key_algorithm {
        None => true,
        Some(KeyAlgorithm::RS256) => algorithm == Algorithm::RS256,
        Some(KeyAlgorithm::ES256) => algorithm == Algorithm::ES256,
        Some(KeyAlgorithm::EdDSA) => algorithm == Algorithm::EdDSA,
        Some(_) => false,
    };
    is_of_kind && is_named && key.common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
}

/// 32 bytes, as both curves have them. The library ends with a panic at a shorter one of Ed25519.
fn is_coordinate(text: &str) -> bool {
    URL_SAFE_NO_PAD.decode(text).is_ok_and(|bytes| bytes.len() == 32)
}

/// True where a token of this key could be believed.
pub fn is_usable(key: &Jwk) -> bool {
    ALGORITHMS.into_iter().any(|algorithm| fits(key, algorithm))
}

fn disbelief(error: &jsonwebtoken::errors::Error) -> Disbelief {
    use jsonwebtoken::errors::ErrorKind;
    match error.kind() {
        ErrorKind::InvalidSignature => Disbelief::Signature,
        ErrorKind::InvalidIssuer => Disbelief::Issuer,
        ErrorKind::InvalidAudience => Disbelief::Audience,
        ErrorKind::ExpiredSignature => Disbelief::Expired,
        ErrorKind::ImmatureSignature => Disbelief::IssuedAt,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Disbelief::Algorithm,
        ErrorKind::MissingRequiredClaim(claim) if claim == "exp" => Disbelief::Missing("exp"),
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => Disbelief::Missing("iss"),
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => Disbelief::Missing("aud"),
        ErrorKind::MissingRequiredClaim(_) => Disbelief::Missing("sub"),
        _ => Disbelief::NoToken("its parts cannot be read"),
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use jsonwebtoken::{EncodingKey, Header};
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://id.example.com";
    /// Two keys of this test alone, P-256 and Ed25519 (PKCS#8).
    const ES256: &str = include_str!("testdata/es256.pem");
    const EDDSA: &str = include_str!("testdata/ed25519.pem");

    fn now() -> u64 {
        jsonwebtoken::get_current_timestamp()
    }

    fn claims() -> Value {
        json!({"iss": ISSUER, "aud": "us", "sub": "ann", "exp": now() + 300, "iat": now(), "nonce": "n-1", "email": "ann@example.com"})
    }

    fn with(change: Value) -> Value {
        let mut claims = claims();
        for (name, value) in change.as_object().unwrap() {
            claims[name] = value.clone();
        }
        claims
    }

    fn signed(algorithm: Algorithm, id: &str, claims: &Value, key: &EncodingKey) -> String {
        let header = Header { kid: Some(id.to_owned()), ..Header::new(algorithm) };
        jsonwebtoken::encode(&header, claims, key).unwrap()
    }

    fn es256(claims: &Value) -> String {
        signed(Algorithm::ES256, "ec", claims, &EncodingKey::from_ec_pem(ES256.as_bytes()).unwrap())
    }

    fn keys() -> Vec<Jwk> {
        let ec = EncodingKey::from_ec_pem(ES256.as_bytes()).unwrap();
        let ed = EncodingKey::from_ed_pem(EDDSA.as_bytes()).unwrap();
        let mut keys =
            vec![Jwk::from_encoding_key(&ec, Algorithm::ES256).unwrap(), Jwk::from_encoding_key(&ed, Algorithm::EdDSA).unwrap()];
        for (key, id) in keys.iter_mut().zip(["ec", "ed"]) {
            key.common.key_id = Some(id.to_owned());
        }
        keys
    }

    fn read(token: &str) -> Result<Believed, Disbelief> {
        believe(token, &keys(), &Expected { issuer: ISSUER, client_id: "us", nonce: "n-1", now: now() })
    }

    #[test]
    fn a_token_of_each_kind_of_key_is_believed_and_says_who() {
        let ed = EncodingKey::from_ed_pem(EDDSA.as_bytes()).unwrap();
        for token in [es256(&claims()), signed(Algorithm::EdDSA, "ed", &claims(), &ed)] {
            let believed = read(&token).unwrap();
            assert_eq!((believed.subject.as_str(), &believed.claims["email"]), ("ann", &json!("ann@example.com")));
        }
        assert!(read(&es256(&with(json!({"aud": ["us"]})))).is_ok());
        assert!(read(&es256(&with(json!({"aud": ["us", "them"], "azp": "us"})))).is_ok());
    }

    #[test]
    fn what_does_not_say_exactly_what_it_must_is_not_believed() {
        for (change, expected) in [
            (json!({"iss": "https://id.example.com/"}), Disbelief::Issuer),
            (json!({"iss": "https://evil.example.com"}), Disbelief::Issuer),
            (json!({"aud": "them"}), Disbelief::Audience),
            (json!({"aud": ["us", "them"]}), Disbelief::Audience),
            (json!({"azp": "them"}), Disbelief::Audience),
            (json!({"aud": ["us", "them"], "azp": "them"}), Disbelief::Audience),
            (json!({"exp": now() - 31}), Disbelief::Expired),
            (json!({"iat": now() + 60}), Disbelief::IssuedAt),
            (json!({"iat": now() - 700}), Disbelief::IssuedAt),
            (json!({"nbf": now() + 60}), Disbelief::IssuedAt),
            (json!({"nonce": "n-2"}), Disbelief::Nonce),
            (json!({"nonce": null}), Disbelief::Nonce),
            (json!({"iat": null}), Disbelief::Missing("iat")),
            (json!({"sub": ""}), Disbelief::Missing("a subject of 1 to 255 characters")),
        ] {
            assert_eq!(read(&es256(&with(change.clone()))).unwrap_err(), expected, "{change}");
        }
        for missing in ["exp", "iss", "aud", "sub"] {
            let mut claims = claims();
            claims.as_object_mut().unwrap().remove(missing);
            assert!(read(&es256(&claims)).is_err(), "{missing}");
        }
    }

    #[test]
    fn who_has_no_key_of_the_provider_signs_nothing() {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let body = encode(&claims());
        for header in [json!({"alg": "none"}), json!({"alg": "None", "kid": "ec"}), json!({"typ": "JWT"})] {
            assert_eq!(read(&format!("{}.{body}.", encode(&header))).unwrap_err(), Disbelief::Algorithm, "{header}");
        }
        // The public key as a shared secret, in the forms in which somebody might take it.
        let public = serde_json::to_string(&keys()[0]).unwrap();
        for secret in [public.as_bytes(), ES256.as_bytes()] {
            let forged = signed(Algorithm::HS256, "ec", &claims(), &EncodingKey::from_secret(secret));
            assert_eq!(read(&forged).unwrap_err(), Disbelief::Algorithm);
        }
        let ec = EncodingKey::from_ec_pem(ES256.as_bytes()).unwrap();
        assert_eq!(read(&signed(Algorithm::ES256, "other", &claims(), &ec)).unwrap_err(), Disbelief::UnknownKey);
        assert_eq!(
            read(&signed(Algorithm::ES256, "ed", &claims(), &ec)).unwrap_err(),
            Disbelief::UnknownKey,
            "a key of another kind"
        );
        let token = es256(&claims());
        let (head, signature) = token.rsplit_once('.').unwrap();
        let altered = format!("{}.{}.{signature}", head.split('.').next().unwrap(), encode(&with(json!({"sub": "bob"}))));
        assert_eq!(read(&altered).unwrap_err(), Disbelief::Signature);
        assert!(read(&format!("{head}.")).is_err() && read("").is_err() && read(&"x".repeat(70_000)).is_err());
    }

    #[test]
    fn a_token_that_brings_its_own_key_is_no_better() {
        let ed = EncodingKey::from_ed_pem(EDDSA.as_bytes()).unwrap();
        let mut header = Header::new(Algorithm::EdDSA);
        header.kid = Some("mine".to_owned());
        header.jwk = Some(Jwk::from_encoding_key(&ed, Algorithm::EdDSA).unwrap());
        let token = jsonwebtoken::encode(&header, &claims(), &ed).unwrap();
        assert_eq!(read(&token).unwrap_err(), Disbelief::UnknownKey);
    }

    #[test]
    fn a_key_for_encryption_or_another_algorithm_signs_nothing() {
        let mut keys = keys();
        keys[0].common.public_key_use = Some(PublicKeyUse::Encryption);
        let expected = Expected { issuer: ISSUER, client_id: "us", nonce: "n-1", now: now() };
        assert_eq!(believe(&es256(&claims()), &keys, &expected).unwrap_err(), Disbelief::UnknownKey);
        keys[0].common.public_key_use = Some(PublicKeyUse::Signature);
        keys[0].common.key_algorithm = Some(KeyAlgorithm::ES384);
        assert_eq!(believe(&es256(&claims()), &keys, &expected).unwrap_err(), Disbelief::UnknownKey);
    }
}
