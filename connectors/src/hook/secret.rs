//! The secret that a vendor signs hooks with: who makes it, how a new one is written, and whether one that a person gives can be used.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::secret::SecretString;

use super::key::Verifier;
use crate::check::names_of;
use crate::connector::Connector;
use crate::hex::hex;
use crate::manifest::{KeyEncoding, SignatureAlgorithm};

/// Who makes the secret of a connection's hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretSource {
    /// The vendor, and says it with the subscription.
    Vendor,
    /// We do, and tell the vendor with the subscription.
    Told,
    /// A person, who gives it to both sides.
    Person,
}

impl Connector {
    /// Who makes the secret; `None` where the connector takes no hooks.
    #[must_use]
    pub fn hook_secret_source(&self) -> Option<SecretSource> {
        let hook = self.manifest.webhooks.as_ref()?;
        let Some(rule) = &hook.subscriptions else { return Some(SecretSource::Person) };
        if rule.subscribe.secret.is_some() {
            return Some(SecretSource::Vendor);
        }
        let tells =
            |name: &str| name.strip_prefix("credential.").is_some_and(|field| hook.signature.secrets.iter().any(|s| s == field));
        let is_told = !self.hook_keys_are_public() && names_of(&rule.subscribe.request).iter().any(|name| tells(name));
        Some(if is_told { SecretSource::Told } else { SecretSource::Person })
    }

    /// The field of the credential that the newest secret belongs into.
    #[must_use]
    pub fn hook_secret_field(&self) -> Option<&str> {
        self.manifest.webhooks.as_ref()?.signature.secrets.first().map(String::as_str)
    }

    /// The fields of the credential that deliveries are verified with.
    #[must_use]
    pub fn hook_secret_fields(&self) -> &[String] {
        self.manifest.webhooks.as_ref().map_or(&[], |hook| &hook.signature.secrets)
    }

    /// A new secret of these random bytes, written as the vendor writes them; `None` where only the vendor can make one.
    #[must_use]
    pub fn new_hook_secret(&self, random: &[u8; 32]) -> Option<SecretString> {
        let rule = &self.manifest.webhooks.as_ref().filter(|_| !self.hook_keys_are_public())?.signature;
        let text = match rule.secret_encoding {
            KeyEncoding::Base64 => STANDARD.encode(random),
            KeyEncoding::Text | KeyEncoding::Hex | KeyEncoding::Nfkd => hex(random),
        };
        Some(format!("{}{text}", rule.secret_prefix).into())
    }

    /// True where deliveries can be verified with this secret.
    #[must_use]
    pub fn takes_hook_secret(&self, secret: &str) -> bool {
        let Some(hook) = &self.manifest.webhooks else { return false };
        let rule = &hook.signature;
        Verifier::new(rule, secret.strip_prefix(&rule.secret_prefix).unwrap_or(secret)).is_some()
    }

    fn hook_keys_are_public(&self) -> bool {
        let algorithm = self.manifest.webhooks.as_ref().map(|hook| hook.signature.algorithm);
        matches!(algorithm, Some(SignatureAlgorithm::RsaSha256 | SignatureAlgorithm::EcdsaSha256))
    }
}
