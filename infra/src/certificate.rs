//! Signs a tenant's no-loss certificates and the seals of its audit log, and says whether a signature is good: Ed25519 (RFC 8032). What is
//! signed begins with a word for what it is, so that none passes for the other.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::certificate::{Certificate, CertificateError, Leaf, Statement};
use domain::seal::{Head, HeadStatement, Statement as SealStatement};
use domain::secret::{ExposeSecret, SecretFields, SecretString};
use ring::rand::SystemRandom;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use crate::vault::VaultError;

/// The field of the sealed secret.
const KEY: &str = "pkcs8";

/// A tenant's key.
pub struct CertificateKey(Ed25519KeyPair);

impl CertificateKey {
    /// A new one, and what is sealed of it.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn generate() -> Result<(Self, SecretFields), VaultError> {
        let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| VaultError::Random)?;
        let text = SecretString::from(STANDARD.encode(document.as_ref()));
        let fields: SecretFields = [(KEY.to_owned(), text)].into_iter().collect();
        let key = Self::open(&fields).ok_or(VaultError::Random)?;
        Ok((key, fields))
    }

    /// One that was sealed.
    #[must_use]
    pub fn open(fields: &SecretFields) -> Option<Self> {
        let bytes = STANDARD.decode(fields.0.get(KEY)?.expose_secret()).ok()?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&bytes).ok().map(Self)
    }

    #[must_use]
    pub fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The signature of a seal's statement.
    #[must_use]
    pub fn sign_seal(&self, statement: &SealStatement) -> Vec<u8> {
        self.0.sign(&statement.to_sign()).as_ref().to_vec()
    }

    #[must_use]
    pub fn sign_head(&self, statement: HeadStatement) -> Head {
        let signature = STANDARD.encode(self.0.sign(&statement.to_sign()));
        Head { statement, public_key: STANDARD.encode(self.public()), signature }
    }

    /// A certificate of these leaves.
    #[must_use]
    pub fn sign(&self, statement: Statement, leaves: Vec<Leaf>) -> Certificate {
        let signature = STANDARD.encode(self.0.sign(&statement.to_sign()));
        Certificate { statement, leaves, public_key: STANDARD.encode(self.public()), signature }
    }
}

/// Whether these bytes have this signature of this key.
#[must_use]
pub fn is_signed(key: &[u8], bytes: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, key).verify(bytes, signature).is_ok()
}

/// Checks a certificate whole, without any network: that its messages are those of the statement and that the key signed it. With `expected`
/// (base64) that it is this key: without, that is left to whoever compares it with what the platform shows.
///
/// # Errors
/// What does not fit.
pub fn verify(certificate: &Certificate, expected: Option<&str>) -> Result<(), CertificateError> {
    certificate.check()?;
    let decode = |text: &str| STANDARD.decode(text.trim()).map_err(|_| CertificateError::Signature);
    let key = decode(&certificate.public_key)?;
    if let Some(expected) = expected
        && decode(expected).ok().as_ref() != Some(&key)
    {
        return Err(CertificateError::OtherKey(certificate.public_key.clone()));
    }
    let signature = decode(&certificate.signature)?;
    if is_signed(&key, &certificate.statement.to_sign(), &signature) { Ok(()) } else { Err(CertificateError::Signature) }
}

#[cfg(test)]
mod tests {
    use domain::certificate::Of;
    use domain::id::{RecordId, TenantId};

    use super::*;

    #[test]
    fn what_was_signed_is_good_and_nothing_else_is() {
        let (key, fields) = CertificateKey::generate().unwrap();
        let of = Of::Record(RecordId::generate());
        let made_at = chrono::Utc::now();
        let certificate = key.sign(Statement::of(TenantId::generate(), of, &mut [], made_at), vec![]);
        assert_eq!(verify(&certificate, None), Ok(()));
        assert_eq!(verify(&certificate, Some(&certificate.public_key)), Ok(()));
        // It is read back as it was written, to the last digit of its time.
        let again = Certificate::parse(&serde_json::to_vec(&certificate).unwrap()).unwrap();
        assert_eq!(verify(&again, None), Ok(()));

        let opened = CertificateKey::open(&fields).unwrap();
        assert_eq!(opened.public(), key.public());
        let (other, _) = CertificateKey::generate().unwrap();
        let theirs = other.sign(certificate.statement.clone(), vec![]);
        assert!(matches!(verify(&theirs, Some(&certificate.public_key)), Err(CertificateError::OtherKey(_))));
        let forged = Certificate { public_key: certificate.public_key.clone(), ..theirs };
        assert_eq!(verify(&forged, None), Err(CertificateError::Signature));
        let mut later = certificate;
        later.statement.made_at += chrono::Duration::seconds(1);
        assert_eq!(verify(&later, None), Err(CertificateError::Signature));
    }
}
