//! A person's account: its password, and what is mailed to its address. It belongs to no tenant; what becomes of it is told to each that the person is a
//! member of.

use std::slice;

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{SessionId, UserId};
use domain::scope::Request;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::mail::{self, SealedMail};
use super::session::{Whence, tell};
use super::{Store, StoreError};

/// Who signs in, as far as the check of the password needs to know.
#[derive(Debug)]
pub struct UserSecret {
    pub id: UserId,
    pub password_hash: String,
    /// After too many wrong tries; from an address that the person signed in from before only after many more.
    pub is_resting: bool,
}

/// What a mailed token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To set another password.
    Reset,
    /// To prove the address.
    Verify,
}

impl Purpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Reset => "reset",
            Self::Verify => "verify",
        }
    }
}

/// A person's own account.
#[derive(Debug)]
pub struct Account {
    pub email: String,
    pub password_hash: String,
    pub email_verified_at: Option<DateTime<Utc>>,
}

impl Store {
    /// The person of an address, who tries from this one.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn user_find(&self, email: &str, from_address: &str) -> Result<Option<UserSecret>, StoreError> {
        let query = sqlx::query("SELECT id, password_hash, is_resting FROM user_find($1, $2)");
        let row = query.bind(email).bind(from_address).fetch_optional(self.pool()).await?;
        row.map(|row| {
            Ok(UserSecret {
                id: UserId(row.try_get("id")?),
                password_hash: row.try_get("password_hash")?,
                is_resting: row.try_get("is_resting")?,
            })
        })
        .transpose()
    }

    /// A wrong password: it counts towards the account's rest and is told to the person's tenants.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn sign_in_failed(&self, user: UserId, whence: Whence<'_>) -> Result<(), StoreError> {
        let mut tx = self.pool().begin().await?;
        sqlx::query("SELECT user_sign_in_failed($1)").bind(user.0).execute(&mut *tx).await?;
        let detail = serde_json::json!({"address": whence.address, "device": whence.device}).to_string();
        tell(&mut tx, user, whence.request, Action::SignInRefused, "user", &[user.0], Some(&detail)).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Keeps a password as passwords are kept now, where it is still the one that was read.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn user_rehash(&self, user: UserId, was: &str, hash: &str) -> Result<(), StoreError> {
        sqlx::query("SELECT user_rehash($1, $2, $3)").bind(user.0).bind(was).bind(hash).execute(self.pool()).await?;
        Ok(())
    }

    /// The person's own account.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn account(&self, user: UserId) -> Result<Option<Account>, StoreError> {
        let query = sqlx::query("SELECT email, password_hash, email_verified_at FROM user_address($1)");
        let row = query.bind(user.0).fetch_optional(self.pool()).await?;
        row.map(|row| {
            Ok(Account {
                email: row.try_get("email")?,
                password_hash: row.try_get("password_hash")?,
                email_verified_at: row.try_get("email_verified_at")?,
            })
        })
        .transpose()
    }

    /// Sets a password and ends every session of the person but `but`, and every link to set another one.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn password_set(
        &self,
        user: UserId,
        hash: &str,
        but: Option<SessionId>,
        request: Request,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool().begin().await?;
        set(&mut tx, user, hash, but, request).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Sets a password by a mailed token, which is used up with it or not at all, and ends every session of the person; whose it was, or `None` where the
    /// token is no good.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn password_reset(&self, token_hash: &[u8], hash: &str, request: Request) -> Result<Option<UserId>, StoreError> {
        let mut tx = self.pool().begin().await?;
        let Some(user) = used(&mut tx, Purpose::Reset, token_hash).await? else { return Ok(None) };
        set(&mut tx, user, hash, None, request).await?;
        tx.commit().await?;
        Ok(Some(user))
    }

    /// Keeps the hash of a token, and the mail that carries it; false where the person was sent three within an hour.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn mailed_token_make(
        &self,
        user: UserId,
        purpose: Purpose,
        token_hash: &[u8],
        expires_at: DateTime<Utc>,
        whence: Whence<'_>,
        mail: &SealedMail,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let make = sqlx::query_scalar("SELECT mailed_token_make($1, $2, $3, $4)").bind(user.0).bind(token_hash);
        let made: bool = make.bind(purpose.as_str()).bind(expires_at).fetch_one(&mut *tx).await?;
        if made && purpose == Purpose::Reset {
            let detail = serde_json::json!({"address": whence.address}).to_string();
            tell(&mut tx, user, whence.request, Action::PasswordResetAsked, "user", &[user.0], Some(&detail)).await?;
        }
        if made {
            mail::put(&mut tx, None, slice::from_ref(mail)).await?;
        }
        tx.commit().await?;
        Ok(made)
    }

    /// True of a mailed token that could be used now. The look does not use it up.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn mailed_token_is_good(&self, purpose: Purpose, token_hash: &[u8]) -> Result<bool, StoreError> {
        let is_good = sqlx::query_scalar("SELECT mailed_token_is_good($1, $2)").bind(token_hash).bind(purpose.as_str());
        Ok(is_good.fetch_one(self.pool()).await?)
    }

    /// Proves an address by a mailed token, which is used up; whose it was, or `None` where it was used, has expired or was never made.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn email_verify(&self, token_hash: &[u8]) -> Result<Option<UserId>, StoreError> {
        let mut tx = self.pool().begin().await?;
        let user = used(&mut tx, Purpose::Verify, token_hash).await?;
        tx.commit().await?;
        Ok(user)
    }
}

/// Uses a mailed token, which proves the address, too: whose it was.
async fn used(
    tx: &mut Transaction<'static, Postgres>,
    purpose: Purpose,
    token_hash: &[u8],
) -> Result<Option<UserId>, StoreError> {
    let user = sqlx::query_scalar::<_, Option<Uuid>>("SELECT mailed_token_use($1, $2)").bind(token_hash);
    Ok(user.bind(purpose.as_str()).fetch_one(&mut **tx).await?.map(UserId))
}

async fn set(
    tx: &mut Transaction<'static, Postgres>,
    user: UserId,
    hash: &str,
    but: Option<SessionId>,
    request: Request,
) -> Result<(), StoreError> {
    let set = sqlx::query("SELECT user_password_set($1, $2, $3)").bind(user.0).bind(hash).bind(but.map(|session| session.0));
    set.execute(&mut **tx).await?;
    tell(tx, user, request, Action::PasswordSet, "user", &[user.0], None).await
}
