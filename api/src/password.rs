//! Passwords: argon2id with the parameters of the OWASP Password Storage Cheat Sheet (19 MiB, 2 passes, 1 lane).
//! Hashing runs beside the event loop and a few at a time, so that sign-ins never starve the API.

use std::sync::LazyLock;

use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use domain::secret::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

pub const PASSWORD_BYTES: std::ops::RangeInclusive<usize> = 12..=1024;
const AT_ONCE: usize = 2;
static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    #[error("a password has 12 to 1024 bytes")]
    Length,
    #[error("the password could not be hashed")]
    Hash,
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
/// Where the password is too short or too long.
pub async fn hash(password: SecretString) -> Result<String, PasswordError> {
    if !PASSWORD_BYTES.contains(&password.expose_secret().len()) {
        return Err(PasswordError::Length);
    }
    let _turn = TURNS.acquire().await.map_err(|_| PasswordError::Hash)?;
    tokio::task::spawn_blocking(move || hash_now(password.expose_secret())).await.map_err(|_| PasswordError::Hash)?
}

/// True where the password fits. Without a hash it takes the same time and is false: an unknown address costs what a known one does.
pub async fn verify(password: SecretString, hash: Option<String>) -> bool {
    static NOBODY: LazyLock<String> = LazyLock::new(|| hash_now("the password of nobody at all").unwrap_or_default());
    if password.expose_secret().len() > *PASSWORD_BYTES.end() {
        return false;
    }
    let Ok(_turn) = TURNS.acquire().await else { return false };
    let verified = tokio::task::spawn_blocking(move || {
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| NOBODY.clone());
        let fits = argon2().verify_password(password.expose_secret().as_bytes(), hash.as_str()).is_ok();
        known && fits
    });
    verified.await.unwrap_or(false)
}
