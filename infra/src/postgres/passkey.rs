//! A person's passkeys and security keys: the public half of each, what it was asked to sign, and what it counted. They belong to no tenant; what becomes of
//! them is told to each that the person is a member of.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{PasskeyChallengeId, PasskeyId, SessionId, UserId};
use domain::scope::Request;
use sqlx::Row;

use super::session::{Whence, tell};
use super::{Store, StoreError};

/// Keys of one person.
pub const PASSKEYS_MAX: usize = 20;

/// A key, as its person sees it, and what is known to check it by.
#[derive(Debug, Clone)]
pub struct Passkey {
    pub id: PasskeyId,
    pub name: String,
    /// As the library writes it.
    pub credential: String,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
}

/// A key that has shown itself.
#[derive(Debug)]
pub struct NewPasskey<'a> {
    pub name: &'a str,
    pub credential_id: &'a [u8],
    pub credential: &'a str,
    pub sign_count: u32,
    /// Of the codes on paper, should it be the first thing that is asked for beside the password.
    pub code_hashes: &'a [Vec<u8>],
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    /// Nothing was asked for before: the codes on paper are good, and the person's other sessions have ended.
    First(PasskeyId),
    Another(PasskeyId),
    /// It is somebody's already.
    Taken,
    TooMany,
}

/// What a key is asked to sign for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasskeyPurpose {
    Register,
    Show,
}

impl PasskeyPurpose {
    fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Show => "show",
        }
    }
}

impl Store {
    /// True where something is asked for beside the person's password.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn has_second_factor(&self, user: UserId) -> Result<bool, StoreError> {
        Ok(sqlx::query_scalar("SELECT user_has_second_factor($1)").bind(user.0).fetch_one(self.pool()).await?)
    }

    /// Codes on paper that were not used.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn recovery_codes_left(&self, user: UserId) -> Result<i64, StoreError> {
        Ok(sqlx::query_scalar("SELECT recovery_codes_left($1)").bind(user.0).fetch_one(self.pool()).await?)
    }

    /// The person's keys, the oldest first.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>, StoreError> {
        let query = sqlx::query("SELECT id, name, credential, created_at, last_used_at FROM passkey_list($1)").bind(user.0);
        let rows = query.fetch_all(self.pool()).await?;
        let key = |row: &sqlx::postgres::PgRow| -> Result<Passkey, StoreError> {
            Ok(Passkey {
                id: PasskeyId(row.try_get("id")?),
                name: row.try_get("name")?,
                credential: row.try_get("credential")?,
                created_at: row.try_get("created_at")?,
                last_used_at: row.try_get("last_used_at")?,
            })
        };
        rows.iter().map(key).collect()
    }

    /// Keeps what a key is about to be asked, for five minutes; `None` where twenty wait for an answer.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn passkey_challenge_make(
        &self,
        user: UserId,
        purpose: PasskeyPurpose,
        state: &str,
    ) -> Result<Option<PasskeyChallengeId>, StoreError> {
        let id = PasskeyChallengeId::generate();
        let make = sqlx::query_scalar::<_, bool>("SELECT passkey_challenge_make($1, $2, $3, $4)").bind(id.0).bind(user.0);
        let made = make.bind(purpose.as_str()).bind(state).fetch_one(self.pool()).await?;
        Ok(made.then_some(id))
    }

    /// Takes what this person's key was asked, once; `None` where it was answered, is too old, or was never asked.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn passkey_challenge_take(
        &self,
        id: PasskeyChallengeId,
        user: UserId,
        purpose: PasskeyPurpose,
    ) -> Result<Option<String>, StoreError> {
        let take = sqlx::query_scalar("SELECT passkey_challenge_take($1, $2, $3)").bind(id.0).bind(user.0);
        Ok(take.bind(purpose.as_str()).fetch_one(self.pool()).await?)
    }

    /// Keeps a key. Ends every session of the person but this one where it is the first thing that is asked for.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn passkey_add(
        &self,
        user: UserId,
        new: &NewPasskey<'_>,
        session: SessionId,
        request: Request,
    ) -> Result<Added, StoreError> {
        let id = PasskeyId::generate();
        let mut tx = self.pool().begin().await?;
        let add = sqlx::query_scalar::<_, String>("SELECT passkey_add($1, $2, $3, $4, $5, $6, $7, $8)").bind(id.0).bind(user.0);
        let add = add.bind(new.name).bind(new.credential_id).bind(new.credential).bind(i64::from(new.sign_count));
        let added = add.bind(new.code_hashes).bind(session.0).fetch_one(&mut *tx).await?;
        let added = match added.as_str() {
            "first" => Added::First(id),
            "added" => Added::Another(id),
            "taken" => return Ok(Added::Taken),
            _ => return Ok(Added::TooMany),
        };
        let detail = serde_json::json!({"name": new.name}).to_string();
        tell(&mut tx, user, request, Action::PasskeyAdded, "passkey", &[id.0], Some(&detail)).await?;
        tx.commit().await?;
        Ok(added)
    }

    /// A key has signed; false where it counted back, or not on.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn passkey_use(
        &self,
        user: UserId,
        credential_id: &[u8],
        credential: &str,
        sign_count: u32,
    ) -> Result<bool, StoreError> {
        let used = sqlx::query_scalar("SELECT passkey_use($1, $2, $3, $4)").bind(user.0).bind(credential_id).bind(credential);
        Ok(used.bind(i64::from(sign_count)).fetch_one(self.pool()).await?)
    }

    /// A key counts back, so there are two of it: told to the person's tenants.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn passkey_copied(&self, user: UserId, key: PasskeyId, whence: Whence<'_>) -> Result<(), StoreError> {
        let mut tx = self.pool().begin().await?;
        let detail = serde_json::json!({"why": "it counts back: there may be a copy of it", "address": whence.address, "device": whence.device});
        tell(&mut tx, user, whence.request, Action::PasskeyRefused, "passkey", &[key.0], Some(&detail.to_string())).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Gives a key another name; false where it is none of theirs.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn passkey_rename(&self, user: UserId, key: PasskeyId, name: &str) -> Result<bool, StoreError> {
        let rename = sqlx::query_scalar("SELECT passkey_rename($1, $2, $3)").bind(key.0).bind(user.0).bind(name);
        Ok(rename.fetch_one(self.pool()).await?)
    }

    /// Takes a key away; false where it is none of theirs.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn passkey_remove(&self, user: UserId, key: PasskeyId, request: Request) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let remove = sqlx::query_scalar::<_, Option<String>>("SELECT passkey_remove($1, $2)").bind(key.0).bind(user.0);
        let Some(name) = remove.fetch_one(&mut *tx).await? else { return Ok(false) };
        let detail = serde_json::json!({"name": name}).to_string();
        tell(&mut tx, user, request, Action::PasskeyRemoved, "passkey", &[key.0], Some(&detail)).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Takes all that is asked for beside a password away, for who has lost it; false where there was nothing.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factors_remove(&self, user: UserId, request: Request) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let keys: i64 = sqlx::query_scalar("SELECT passkeys_remove($1)").bind(user.0).fetch_one(&mut *tx).await?;
        let app: bool = sqlx::query_scalar("SELECT second_factor_remove($1)").bind(user.0).fetch_one(&mut *tx).await?;
        let any = app || keys > 0;
        if any {
            let detail = serde_json::json!({"app": app, "passkeys": keys}).to_string();
            tell(&mut tx, user, request, Action::SecondFactorRemoved, "user", &[user.0], Some(&detail)).await?;
        }
        tx.commit().await?;
        Ok(any)
    }
}
