//! The second factor of a sign-in: a passkey or security key (WebAuthn), a code that the person's app shows for thirty seconds (TOTP, RFC 6238), or one of their
//! codes on paper.
//!
//! A code of the app is good once, half a minute early or late, and after ten wrong ones in a row none is looked at for an hour: whoever has the password and
//! tries on for a year finds one with a chance of 3 %. A code on paper has 80 random bits, so nobody finds it by trying, and it stays good meanwhile.

use chrono::Utc;
use domain::id::UserId;
use domain::secret::{ExposeSecret, SecretString};
use infra::postgres::StoreError;
use infra::postgres::second_factor::Try;
use rand::RngCore;
use totp_rs::{Builder, Secret, Totp, TotpError};

use crate::auth::{Caller, hashed};
use crate::{AppState, passkey};

const ISSUER: &str = "Crossdock";
/// RFC 4226 recommends as many as SHA-1 has.
const SECRET_BYTES: usize = 20;
const CODE_DIGITS: usize = 6;
const RECOVERY_CODES: usize = 10;
const RECOVERY_CODE_BYTES: usize = 10;
/// Sixteen letters and digits in fours.
const RECOVERY_GROUP_CHARS: usize = 4;
/// Longer than any code with its spaces and hyphens.
const CODE_BYTES_MAX: usize = 64;

/// Whether somebody has shown their second factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// They have none, or have shown it.
    Enough,
    /// They have one, and no code came.
    Missing,
    /// The code is wrong, was used before, or none is looked at for a while.
    Refused,
}

/// What somebody shows beside their password.
#[derive(Debug, Clone, Copy, Default)]
pub struct Proof<'p> {
    /// Of their app, or on paper.
    pub code: Option<&'p str>,
    /// What one of their keys has signed; where it came, no code is looked at.
    pub passkey: Option<&'p passkey::Answer>,
}

/// Whether this is the person's second factor. A code that is right is used up, and so is what a key was asked.
///
/// # Errors
/// Where the database does not answer, or what is sealed there cannot be read.
pub async fn show(state: &AppState, caller: &Caller, user: UserId, proof: Proof<'_>) -> Result<Shown, StoreError> {
    if !state.store.has_second_factor(user).await? {
        return Ok(Shown::Enough);
    }
    let code = proof.code.map(plain).filter(|code| !code.is_empty());
    let is_right = if let Some(answer) = proof.passkey {
        passkey::show_end(state, caller, user, answer).await?
    } else {
        let Some(code) = code else { return Ok(Shown::Missing) };
        is_code(state, caller, user, &code).await?
    };
    if !is_right {
        state.store.second_factor_failed(user, caller.whence()).await?;
    }
    Ok(if is_right { Shown::Enough } else { Shown::Refused })
}

/// Whether this is a code of the person's app, or one on paper.
async fn is_code(state: &AppState, caller: &Caller, user: UserId, code: &str) -> Result<bool, StoreError> {
    Ok(if is_of_an_app(code) {
        match state.store.second_factor_try(&state.vault, user).await? {
            Try::NotSet | Try::Resting => false,
            Try::Against(secret) => match step_of(&secret, code) {
                Some(step) => state.store.second_factor_use(user, step).await?,
                None => false,
            },
        }
    } else {
        state.store.recovery_code_use(user, &hashed(code), caller.whence()).await?
    })
}

/// A code without what people put between its groups.
fn plain(code: &str) -> String {
    let code = if code.len() > CODE_BYTES_MAX { "" } else { code };
    code.chars().filter(|char| !char.is_whitespace() && *char != '-').map(|char| char.to_ascii_uppercase()).collect()
}

fn is_of_an_app(code: &str) -> bool {
    code.len() == CODE_DIGITS && code.bytes().all(|byte| byte.is_ascii_digit())
}

/// Six digits of SHA-1 each thirty seconds, one step early or late: what every app can do.
fn totp(secret: &SecretString, email: &str) -> Option<Totp> {
    let secret = Secret::try_from_base32(secret.expose_secret()).ok()?;
    Builder::new().with_secret(secret).with_issuer(Some(ISSUER)).with_account_name(email).build().ok()
}

/// The step that this code is of, now.
pub fn step_of(secret: &SecretString, code: &str) -> Option<i64> {
    let now = u64::try_from(Utc::now().timestamp()).ok()?;
    totp(secret, "")?.check(&plain(code), now).and_then(|step| i64::try_from(step).ok())
}

/// What an app is told: the secret in base32, and the address that a QR code holds.
pub struct Setup {
    pub secret: SecretString,
    pub uri: String,
}

/// A new secret for this person's app.
///
/// # Errors
/// Where the address cannot stand in a label.
pub fn setup(email: &str) -> Result<Setup, TotpError> {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    let secret = Secret::new_stack(bytes);
    // A label has a colon between the issuer and the account, and no other.
    let account = email.replace(':', "_");
    let base32 = SecretString::from(secret.to_base32());
    let totp = Builder::new().with_secret(secret).with_issuer(Some(ISSUER)).with_account_name(account).build()?;
    Ok(Setup { secret: base32, uri: totp.to_url()? })
}

/// Ten codes on paper as a person sees them, and the hashes that are kept.
pub fn recovery_codes() -> (Vec<String>, Vec<Vec<u8>>) {
    let codes: Vec<String> = (0..RECOVERY_CODES)
        .map(|_| {
            let mut bytes = vec![0; RECOVERY_CODE_BYTES];
            rand::rng().fill_bytes(&mut bytes);
            Secret::from(bytes).to_base32()
        })
        .collect();
    let hashes = codes.iter().map(|code| hashed(code).to_vec()).collect();
    let grouped = |code: &String| {
        let groups: Vec<&[u8]> = code.as_bytes().chunks(RECOVERY_GROUP_CHARS).collect();
        String::from_utf8_lossy(&groups.join(&b'-')).into_owned()
    };
    (codes.iter().map(grouped).collect(), hashes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_rfc() {
        // RFC 6238, appendix B, of its eight digits the last six.
        let secret = SecretString::from(Secret::from(b"12345678901234567890".to_vec()).to_base32());
        let totp = totp(&secret, "").unwrap();
        for (time, code) in [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")] {
            assert_eq!(totp.generate(time).to_string(), code, "{time}");
            assert_eq!(totp.check(code, time), Some(time / 30));
            assert_eq!(totp.check(code, time + 30), Some(time / 30), "one step late");
            assert_eq!(totp.check(code, time + 60), None, "two steps late");
        }
    }

    #[test]
    fn a_setup_makes_codes_that_fit_and_an_address_that_apps_read() {
        let setup = setup("ann:lee@example.com").unwrap();
        assert!(setup.uri.starts_with("otpauth://totp/Crossdock:ann_lee%40example.com?"), "{}", setup.uri);
        assert!(setup.uri.contains(setup.secret.expose_secret()) && setup.secret.expose_secret().len() == 32);
        let now = u64::try_from(Utc::now().timestamp()).unwrap();
        let code = totp(&setup.secret, "").unwrap().generate(now).to_string();
        assert!(step_of(&setup.secret, &format!("{} {}", &code[..3], &code[3..])).is_some());
    }

    #[test]
    fn codes_on_paper_are_long_differ_and_are_read_as_people_write_them() {
        let (codes, hashes) = recovery_codes();
        assert_eq!((codes.len(), hashes.len()), (10, 10));
        assert!(codes.iter().all(|code| code.len() == 19 && !is_of_an_app(&plain(code))), "{codes:?}");
        assert_eq!(codes.iter().collect::<std::collections::BTreeSet<_>>().len(), 10);
        assert_eq!(hashed(&plain(&codes[3].to_lowercase().replace('-', " "))).to_vec(), hashes[3]);
        assert_eq!(plain(&"7".repeat(65)), "", "no code is that long");
    }
}
