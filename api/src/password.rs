//! Passwords: argon2id with the parameters of the OWASP Password Storage Cheat Sheet (19 MiB, 2 passes, 1 lane).
//! Hashing runs beside the event loop and a few at a time, so that sign-ins never starve the API.

use std::sync::LazyLock;
use std::time::Duration;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::secret::{ExposeSecret, SecretString};
use tokio::sync::{OnceCell, Semaphore, SemaphorePermit};

use crate::auth::new_token;

pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 12..=1024;
const AT_ONCE: usize = 2;
/// Those that wait for their turn, and how long: about what two turns of some 50 ms get through in that time.
const QUEUE_MAX: usize = 200;
const QUEUE_WAIT: Duration = Duration::from_secs(5);
static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);
static QUEUE: Semaphore = Semaphore::const_new(QUEUE_MAX);

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has 12 to 1024 bytes")]
    Length,
    #[error("the password could not be hashed")]
    Hash,
    #[error("too many passwords are being checked at this moment; try again in a few seconds")]
    Busy,
}

/// A turn at the processor. It goes with the work, because that runs on where whoever asked has gone away.
async fn turn(wait: Duration) -> Result<SemaphorePermit<'static>, PasswordError> {
    let _place = QUEUE.try_acquire().map_err(|_| PasswordError::Busy)?;
    tokio::time::timeout(wait, TURNS.acquire()).await.ok().and_then(Result::ok).ok_or(PasswordError::Busy)
}

fn argon2() -> Argon2<'static> {
    Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(19 * 1024, 2, 1, None).expect("the parameters are within bounds"),
    )
}

fn hash_now(password: &str) -> Result<String, PasswordError> {
    argon2().hash_password(password.as_bytes()).map(|hash| hash.to_string()).map_err(|_| PasswordError::Hash)
}

/// # Errors
/// Where the password is too short or too long, or too many wait for their turn.
pub async fn hash(password: SecretString) -> Result<String, PasswordError> {
    if !PASSWORD_BYTES.contains(&password.expose_secret().len()) {
        return Err(PasswordError::Length);
    }
    let turn = turn(QUEUE_WAIT).await?;
    let hashed = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        hash_now(password.expose_secret())
    });
    hashed.await.map_err(|_| PasswordError::Hash)?
}

/// The hash of a password that was forgotten as soon as it was made: who comes by a provider or a directory has none until they set one by mail.
///
/// # Errors
/// Where too many wait for their turn.
pub async fn nobodys() -> Result<&'static str, PasswordError> {
    static HASH: OnceCell<String> = OnceCell::const_new();
    HASH.get_or_try_init(|| hash(new_token().0.into())).await.map(String::as_str)
}

/// True where a hash was made with less than is asked for now: it is made anew when its person signs in.
#[must_use]
pub fn is_outdated(hash: &str) -> bool {
    !hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
}

/// True where the password fits. Without a hash it takes the same time and is false: an unknown address costs what a known one does.
///
/// # Errors
/// Where too many wait for their turn.
pub async fn verify(password: SecretString, hash: Option<String>) -> Result<bool, PasswordError> {
    static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("the password of nobody at all").unwrap_or_default());
    if password.expose_secret().len() > *PASSWORD_BYTES.end() {
        return Ok(false);
    }
    let turn = turn(QUEUE_WAIT).await?;
    let verified = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let fits = argon2().verify_password(password.expose_secret().as_bytes(), hash.as_str()).is_ok();
        known && fits
    });
    Ok(verified.await.unwrap_or(false))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_of_weaker_parameters_still_fits_and_is_known_to_be_old() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8 * 1024, 1, 1, None).unwrap());
        let old = weak.hash_password(b"a long password").unwrap().to_string();
        let new = hash("a long password".to_owned().into()).await.unwrap();
        for hash in [&old, &new] {
            assert!(verify("a long password".to_owned().into(), Some(hash.clone())).await.unwrap(), "{hash}");
        }
        assert_eq!([&old, &new].map(|hash| is_outdated(hash)), [true, false], "{new}");
    }

    #[tokio::test]
    async fn a_password_has_bounds_and_a_huge_one_costs_nothing() {
        for (length, fits) in [(11, false), (12, true), (1024, true), (1025, false)] {
            assert_eq!(hash("x".repeat(length).into()).await.is_ok(), fits, "{length}");
        }
        // It is refused before anything is hashed: there is no turn for that.
        let held = TURNS.acquire_many(AT_ONCE as u32).await.unwrap();
        assert!(!verify("x".repeat(1024 * 1024).into(), Some("no hash at all".to_owned())).await.unwrap());
        drop(held);
    }

    #[tokio::test]
    async fn who_finds_no_turn_in_time_is_told_so_and_not_kept() {
        let held = TURNS.acquire_many(AT_ONCE as u32).await.unwrap();
        assert!(matches!(turn(Duration::from_millis(10)).await, Err(PasswordError::Busy)));
        drop(held);
        assert!(turn(QUEUE_WAIT).await.is_ok());
    }
}
