//! Keys of partners and services: `cdk_<prefix>_<secret>`, sent as `Authorization: Bearer …`. The prefix finds the key, the hash of the whole proves it.

use domain::secret::SecretString;
use infra::postgres::StoreError;
use infra::postgres::api_key::LiveKey;
use rand::RngCore;
use subtle::ConstantTimeEq;
use tracing::warn;

use crate::AppState;
use crate::auth::{hashed, new_token};

/// Begins each key, so that people and scanners of source code know one when they see it.
pub const BEGIN: &str = "cdk_";
const PREFIX_BYTES: usize = 6;

/// A new key, or a directory's token: what is shown once, and what is kept.
pub struct NewKey {
    pub text: SecretString,
    pub prefix: String,
    pub hash: [u8; 32],
}

impl NewKey {
    #[must_use]
    pub fn generate() -> Self {
        Self::beginning(BEGIN)
    }

    /// One that begins with this, which says what it is for.
    #[must_use]
    pub fn beginning(begin: &str) -> Self {
        let mut bytes = [0u8; PREFIX_BYTES];
        rand::rng().fill_bytes(&mut bytes);
        let prefix: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = format!("{begin}{prefix}_{}", new_token().0);
        Self { hash: hashed(&text), text: text.into(), prefix }
    }
}

/// The part of a key that is no secret; `None` for what is none.
pub(crate) fn prefix(text: &str) -> Option<&str> {
    prefix_of(BEGIN, text)
}

/// The part that is no secret of what begins so.
pub fn prefix_of<'t>(begin: &str, text: &'t str) -> Option<&'t str> {
    let (prefix, secret) = text.strip_prefix(begin)?.split_once('_')?;
    let is_hex = prefix.len() == 2 * PREFIX_BYTES && prefix.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_hex && secret.len() == 43).then_some(prefix)
}

/// The key that a request came with; `None` for one that is unknown, over or wrong, all alike.
///
/// # Errors
/// Where the database does not answer.
pub async fn find(state: &AppState, text: &str) -> Result<Option<LiveKey>, StoreError> {
    let Some(prefix) = prefix(text) else { return Ok(None) };
    let Some(key) = state.store.api_key_find(prefix).await? else { return Ok(None) };
    if !bool::from(key.hash.ct_eq(&hashed(text))) {
        return Ok(None);
    }
    if key.is_use_old {
        // Beside the answer, and once in five minutes: nobody waits for it.
        let (store, id) = (state.store.clone(), key.id);
        tokio::spawn(async move {
            if let Err(error) = store.api_key_used(id).await {
                warn!(api_key.id = %id, error = infra::chain(&error), "That {id} is used was not noted");
            }
        });
    }
    Ok(Some(key))
}

#[cfg(test)]
mod tests {
    use domain::secret::ExposeSecret;

    use super::*;

    #[test]
    fn a_key_names_itself_and_is_kept_as_a_hash() {
        let key = NewKey::generate();
        let text = key.text.expose_secret();
        assert_eq!(prefix(text), Some(key.prefix.as_str()));
        assert_eq!(key.hash, hashed(text));
        assert!(!format!("{:?}", key.text).contains(&key.prefix));
        for none in [
            "",
            "cdk_",
            "cdk_0123456789ab",
            "cdk_0123456789ab_short",
            &text[4..],
            &text.replace("cdk_", "CDK_"),
            &format!("{text}x"),
        ] {
            assert_eq!(prefix(none), None, "{none}");
        }
    }
}
