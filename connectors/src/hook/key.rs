//! The keys behind signatures: what a credential's field holds, as the manifest says that it is written.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use domain::secret::{ExposeSecret, SecretFields, SecretString};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature as public;
use sha2::{Digest, Sha256};
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};
use subtle::{Choice, ConstantTimeEq};

use super::HookRefusal;
use crate::auth::key_bytes;
use crate::manifest::{KeyEncoding, Signature, SignatureAlgorithm};

/// Secrets are copied out of web pages, where the padding gets lost.
const ANY_PADDING: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// RFC 8017 appendix C and RFC 5480 section 2.1.1.
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ELLIPTIC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");

/// The keys of all the secrets that the connection has. One that cannot be read stops no other: perhaps it is the one that is rotated away.
pub(super) fn usable<K>(
    rule: &Signature,
    credential: &SecretFields,
    more: &[SecretString],
    key: fn(&Signature, &str) -> Option<K>,
) -> Result<Vec<K>, HookRefusal> {
    let mut unreadable = None;
    let mut keys = Vec::with_capacity(rule.secrets.len());
    for field in &rule.secrets {
        let Some(secret) = credential.get(field).map(ExposeSecret::expose_secret).filter(|text| !text.is_empty()) else {
            continue;
        };
        match key(rule, secret.strip_prefix(&rule.secret_prefix).unwrap_or(secret)) {
            Some(key) => keys.push(key),
            None => unreadable = Some(field),
        }
    }
    let more = more.iter().map(ExposeSecret::expose_secret);
    keys.extend(more.filter_map(|secret| key(rule, secret.strip_prefix(&rule.secret_prefix).unwrap_or(secret))));
    match unreadable {
        _ if !keys.is_empty() => Ok(keys),
        Some(field) => Err(HookRefusal::BadSecret(field.clone())),
        None => Err(HookRefusal::NoSecret),
    }
}

/// What a signature is held against.
pub(super) enum Verifier {
    Mac(hmac::Key),
    Public(public::UnparsedPublicKey<Vec<u8>>),
    /// Its hash, so that a comparison takes the same time whatever the length.
    Shared([u8; 32]),
}

impl Verifier {
    pub(super) fn new(rule: &Signature, secret: &str) -> Option<Self> {
        let public = |algorithm: &'static dyn public::VerificationAlgorithm, kind| {
            Some(Self::Public(public::UnparsedPublicKey::new(algorithm, public_key(secret, kind)?)))
        };
        match rule.algorithm {
            SignatureAlgorithm::RsaSha256 => public(&public::RSA_PKCS1_2048_8192_SHA256, RSA),
            SignatureAlgorithm::EcdsaSha256 => public(&public::ECDSA_P256_SHA256_ASN1, ELLIPTIC),
            SignatureAlgorithm::Shared => Some(Self::Shared(Sha256::digest(bytes(rule.secret_encoding, secret)?).into())),
            _ => Some(Self::Mac(mac(rule, secret)?)),
        }
    }

    /// Whether any of the signatures is this key's. All of them are looked at.
    pub(super) fn fits(&self, message: &[u8], signatures: &[Vec<u8>]) -> Choice {
        let any = |fits: &dyn Fn(&[u8]) -> Choice| signatures.iter().fold(Choice::from(0), |any, one| any | fits(one));
        match self {
            Self::Mac(key) => {
                let own = hmac::sign(key, message);
                any(&|signature| own.as_ref().ct_eq(signature))
            }
            // Nothing of a public key is secret.
            Self::Public(key) => any(&|signature| Choice::from(u8::from(key.verify(message, signature).is_ok()))),
            Self::Shared(hash) => any(&|claimed| hash.as_slice().ct_eq(Sha256::digest(claimed).as_slice())),
        }
    }
}

/// What makes signatures; only a simulator has the private keys of the public kinds.
pub(super) enum Signer {
    Mac(hmac::Key),
    Rsa(public::RsaKeyPair),
    Ecdsa(public::EcdsaKeyPair),
    Shared(String),
}

impl Signer {
    pub(super) fn new(rule: &Signature, secret: &str) -> Option<Self> {
        Some(match rule.algorithm {
            SignatureAlgorithm::RsaSha256 => Self::Rsa(public::RsaKeyPair::from_pkcs8(&pem(secret)?).ok()?),
            SignatureAlgorithm::EcdsaSha256 => {
                let algorithm = &public::ECDSA_P256_SHA256_ASN1_SIGNING;
                Self::Ecdsa(public::EcdsaKeyPair::from_pkcs8(algorithm, &pem(secret)?, &SystemRandom::new()).ok()?)
            }
            SignatureAlgorithm::Shared => Self::Shared(String::from_utf8(bytes(rule.secret_encoding, secret)?).ok()?),
            _ => Self::Mac(mac(rule, secret)?),
        })
    }

    /// None where the machine has no random bytes.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        // ECDSA needs a random number for each signature; this is the only one that we draw ourselves.
        let random = SystemRandom::new();
        match self {
            Self::Mac(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&public::RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
            Self::Ecdsa(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Self::Shared(secret) => Some(secret.as_bytes().to_vec()),
        }
    }
}

fn mac(rule: &Signature, secret: &str) -> Option<hmac::Key> {
    let algorithm = match rule.algorithm {
        SignatureAlgorithm::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        SignatureAlgorithm::HmacSha512 => hmac::HMAC_SHA512,
        _ => hmac::HMAC_SHA256,
    };
    Some(hmac::Key::new(algorithm, &bytes(rule.secret_encoding, secret)?))
}

/// None where it is not written so, or is empty: a stranger has the empty key too.
fn bytes(encoding: KeyEncoding, secret: &str) -> Option<Vec<u8>> {
    key_bytes(secret, encoding, &ANY_PADDING).filter(|bytes| !bytes.is_empty())
}

/// The bytes between the lines of a PEM (RFC 7468), or of a base64 text that lost them.
fn pem(text: &str) -> Option<Vec<u8>> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("-----"));
    ANY_PADDING.decode(lines.collect::<String>()).ok().filter(|der| !der.is_empty())
}

/// The key itself, as `ring` wants it, out of a "PUBLIC KEY" (RFC 5280) or, for RSA, a bare "RSA PUBLIC KEY".
fn public_key(text: &str, kind: ObjectIdentifier) -> Option<Vec<u8>> {
    let der = pem(text)?;
    match SubjectPublicKeyInfoRef::try_from(der.as_slice()) {
        Ok(info) if info.algorithm.oid == kind => Some(info.subject_public_key.as_bytes()?.to_vec()),
        Err(_) if kind == RSA => Some(der),
        _ => None,
    }
}
