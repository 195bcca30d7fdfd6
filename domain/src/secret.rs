//! Secrets that cannot be printed. `secrecy` wipes them from memory when dropped and shows `[REDACTED]` in every log.

use std::collections::BTreeMap;

pub use secrecy::{ExposeSecret, SecretString};

/// The fields of a credential by name, as the connector's `credential` form declares them.
/// `Debug` shows the names only.
#[derive(Clone, Default)]
pub struct SecretFields(pub BTreeMap<String, SecretString>);

impl SecretFields {
    #[must_use]
    pub fn get(&self, field: &str) -> Option<&SecretString> {
        self.0.get(field)
    }
}

impl std::fmt::Debug for SecretFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl FromIterator<(String, SecretString)> for SecretFields {
    fn from_iter<I: IntoIterator<Item = (String, SecretString)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}
