//! Passkeys and security keys as a second factor (WebAuthn): a key signs what it is asked to, for this address and no other, so that no page that looks like
//! ours gets anything of it. What it is asked is kept here and not in the browser, is good once, and for five minutes.

use domain::id::{PasskeyChallengeId, PasskeyId, UserId};
use infra::postgres::StoreError;
use infra::postgres::passkey::{Passkey as Kept, PasskeyPurpose};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tracing::{error, info};
use url::Url;
use uuid::Uuid;
use webauthn_rs::prelude::{
    AuthenticationResult, Passkey, PasskeyAuthentication, PasskeyRegistration, PublicKeyCredential, RegisterPublicKeyCredential,
    Webauthn, WebauthnBuilder, WebauthnError,
};

use crate::AppState;
use crate::auth::Caller;

const RP_NAME: &str = "Crossdock";
/// What a browser sends of a key, with certificates of its maker.
const CREDENTIAL_BYTES_MAX: usize = 64 * 1024;

/// What can be asked of keys here: they belong to the name in the public address.
pub struct Passkeys(Option<Webauthn>);

impl Passkeys {
    /// Keys know names and no numbers (WebAuthn, 5.1.2): for a public address at a loopback number it is `localhost` at the same port. At another number
    /// there are none.
    #[must_use]
    pub fn new(public_url: &str) -> Self {
        let made = origin(public_url).and_then(|origin| {
            let name = origin.domain()?.to_owned();
            WebauthnBuilder::new(&name, &origin).and_then(|builder| builder.rp_name(RP_NAME).build()).ok()
        });
        if made.is_none() {
            info!("Passkeys need a host name in CROSSDOCK_PUBLIC_URL; there are none at {public_url}");
        }
        Self(made)
    }
}

fn origin(public_url: &str) -> Option<Url> {
    let mut url = Url::parse(public_url).ok()?;
    let is_loopback = match url.host()? {
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
        url::Host::Domain(_) => false,
    };
    if is_loopback {
        url.set_host(Some("localhost")).ok()?;
    }
    Some(url)
}

/// What a browser hands to a key.
#[derive(Debug, Clone)]
pub struct Challenge {
    pub id: PasskeyChallengeId,
    /// As `navigator.credentials` takes it, its bytes as base64url.
    pub options: Value,
}

/// What a key answered.
#[derive(Debug, Clone, Deserialize)]
pub struct Answer {
    pub challenge: PasskeyChallengeId,
    pub credential: Value,
}

/// Why nothing is asked of a key.
#[derive(Debug, thiserror::Error)]
pub enum PasskeyError {
    #[error("passkeys need a host name: whoever runs this installation sets CROSSDOCK_PUBLIC_URL to one")]
    NoName,
    #[error("too many questions wait for your key to answer; try again in five minutes")]
    TooMany,
    #[error("the key could not be asked")]
    Refused,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A key that has shown itself for the first time.
pub struct Shown {
    pub id: Vec<u8>,
    pub credential: String,
    pub sign_count: u32,
}

fn read(kept: &[Kept]) -> Vec<(PasskeyId, Passkey)> {
    let read = |key: &Kept| match serde_json::from_str(&key.credential) {
        Ok(credential) => Some((key.id, credential)),
        Err(cause) => {
            error!(passkey.id = %key.id, %cause, "{} cannot be read, and is not asked for", key.id);
            None
        }
    };
    kept.iter().filter_map(read).collect()
}

fn parse<T: DeserializeOwned>(credential: &Value) -> Option<T> {
    let text = credential.to_string();
    if text.len() > CREDENTIAL_BYTES_MAX { None } else { serde_json::from_str(&text).ok() }
}

impl Passkeys {
    /// A new key, if this is what it answered to what it was asked.
    pub(crate) fn registered(&self, asked: &str, credential: &Value) -> Option<Shown> {
        let asked = serde_json::from_str::<PasskeyRegistration>(asked).ok()?;
        let answer = parse::<RegisterPublicKeyCredential>(credential)?;
        let key = self.0.as_ref()?.finish_passkey_registration(&answer, &asked).ok()?;
        let (sign_count, credential) = (sign_count(&key), serde_json::to_string(&key).ok()?);
        Some(Shown { id: key.cred_id().to_vec(), credential, sign_count })
    }

    /// The id of the key that answered, and whether that is right; `None` of what is no answer.
    pub(crate) fn shown(
        &self,
        asked: &str,
        credential: &Value,
    ) -> Option<(Vec<u8>, Result<AuthenticationResult, WebauthnError>)> {
        let asked = serde_json::from_str::<PasskeyAuthentication>(asked).ok()?;
        let answer = parse::<PublicKeyCredential>(credential)?;
        let shown = self.0.as_ref()?.finish_passkey_authentication(&answer, &asked);
        Some((answer.raw_id, shown))
    }

    /// What a new key would be asked, with this challenge in the place of one by chance: to that, answers can be written down.
    pub(crate) fn asks_new(&self, challenge: &str) -> Option<String> {
        let begun = self.0.as_ref()?.start_passkey_registration(Uuid::nil(), "ann@example.com", "Ann", None);
        fixed(&begun.ok()?.1, "rs", challenge)
    }

    /// As [`Self::asks_new`], of a key that is known.
    pub(crate) fn asks_known(&self, key: &Shown, challenge: &str) -> Option<String> {
        let key = serde_json::from_str::<Passkey>(&key.credential).ok()?;
        let begun = self.0.as_ref()?.start_passkey_authentication(&[key]);
        fixed(&begun.ok()?.1, "ast", challenge)
    }
}

fn fixed(asked: &impl serde::Serialize, state: &str, challenge: &str) -> Option<String> {
    let mut asked = serde_json::to_value(asked).ok()?;
    *asked.get_mut(state)?.get_mut("challenge")? = Value::from(challenge);
    Some(asked.to_string())
}

async fn keep(
    state: &AppState,
    user: UserId,
    purpose: PasskeyPurpose,
    asked: &impl serde::Serialize,
    options: &impl serde::Serialize,
) -> Result<Challenge, PasskeyError> {
    let (Ok(asked), Ok(options)) = (serde_json::to_string(asked), serde_json::to_value(options)) else {
        return Err(PasskeyError::Refused);
    };
    let id = state.store.passkey_challenge_make(user, purpose, &asked).await?.ok_or(PasskeyError::TooMany)?;
    Ok(Challenge { id, options })
}

/// Asks for a new key of this person, and for none that they have.
///
/// # Errors
/// Where there are no keys at this address, too much was asked already, or the database does not answer.
pub async fn register_begin(state: &AppState, user: UserId, email: &str) -> Result<Challenge, PasskeyError> {
    let webauthn = state.passkeys.0.as_ref().ok_or(PasskeyError::NoName)?;
    let known = read(&state.store.passkeys(user).await?).into_iter().map(|(_, key)| key.cred_id().clone()).collect();
    let begun = webauthn.start_passkey_registration(user.0, email, email, Some(known));
    let (options, asked) = begun.map_err(|_| PasskeyError::Refused)?;
    keep(state, user, PasskeyPurpose::Register, &asked, &options).await
}

/// Reads what a new key answered; `None` where that is not what it was asked, or not here and now.
///
/// # Errors
/// Where the database does not answer.
pub async fn register_end(
    state: &AppState,
    user: UserId,
    challenge: PasskeyChallengeId,
    credential: &Value,
) -> Result<Option<Shown>, StoreError> {
    let asked = state.store.passkey_challenge_take(challenge, user, PasskeyPurpose::Register).await?;
    Ok(asked.and_then(|asked| state.passkeys.registered(&asked, credential)))
}

/// What the key had counted when it was made: the library keeps it within, and says it of an answer only.
fn sign_count(key: &Passkey) -> u32 {
    let written = serde_json::to_value(key).unwrap_or_default();
    written.pointer("/cred/counter").and_then(Value::as_u64).and_then(|count| count.try_into().ok()).unwrap_or_default()
}

/// Asks for one of the person's keys; `None` where they have none.
///
/// # Errors
/// Where too much was asked already, or the database does not answer.
pub async fn show_begin(state: &AppState, user: UserId) -> Result<Option<Challenge>, PasskeyError> {
    let Some(webauthn) = &state.passkeys.0 else { return Ok(None) };
    let keys: Vec<Passkey> = read(&state.store.passkeys(user).await?).into_iter().map(|(_, key)| key).collect();
    if keys.is_empty() {
        return Ok(None);
    }
    let (options, asked) = webauthn.start_passkey_authentication(&keys).map_err(|_| PasskeyError::Refused)?;
    keep(state, user, PasskeyPurpose::Show, &asked, &options).await.map(Some)
}

/// Whether this is one of the person's keys, and has signed what it was asked. One that counts back was copied: it is refused, and told.
///
/// # Errors
/// Where the database does not answer.
pub async fn show_end(state: &AppState, caller: &Caller, user: UserId, answer: &Answer) -> Result<bool, StoreError> {
    let Some(asked) = state.store.passkey_challenge_take(answer.challenge, user, PasskeyPurpose::Show).await? else {
        return Ok(false);
    };
    let keys = read(&state.store.passkeys(user).await?);
    let Some((id, shown)) = state.passkeys.shown(&asked, &answer.credential) else { return Ok(false) };
    let Some((key, mut kept)) = keys.into_iter().find(|(_, key)| key.cred_id().as_slice() == id.as_slice()) else {
        return Ok(false);
    };
    let is_good = match shown {
        Ok(shown) => {
            kept.update_credential(&shown);
            let Ok(written) = serde_json::to_string(&kept) else { return Ok(false) };
            state.store.passkey_use(user, &id, &written, shown.counter()).await?
        }
        Err(WebauthnError::CredentialPossibleCompromise) => false,
        Err(_) => return Ok(false),
    };
    if !is_good {
        state.store.passkey_copied(user, key, caller.whence()).await?;
    }
    Ok(is_good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_belong_to_a_name_and_on_this_machine_to_localhost() {
        for (url, expected) in [
            ("https://hub.example.com", Some("https://hub.example.com/")),
            ("http://127.0.0.1:8080", Some("http://localhost:8080/")),
            ("http://[::1]:8080", Some("http://localhost:8080/")),
            ("http://localhost:8080", Some("http://localhost:8080/")),
        ] {
            assert_eq!(origin(url).map(String::from).as_deref(), expected, "{url}");
            assert!(Passkeys::new(url).0.is_some(), "{url}");
        }
        assert!(Passkeys::new("http://192.168.1.4:8080").0.is_none());
    }
}
