//! A person's second factor: what their app knows, the codes on paper, and how often a code was tried. It belongs to no tenant; what becomes of it is
//! told to each that the person is a member of.

use chrono::{DateTime, Utc};
use domain::audit::Action;
use domain::id::{SessionId, UserId};
use domain::scope::Request;
use domain::secret::SecretString;
use sqlx::Row;
use uuid::Uuid;

use super::session::{Whence, tell};
use super::{Store, StoreError};
use crate::vault::Vault;

/// Second factors of one transaction, while they are sealed anew.
const PAGE: i32 = 100;

/// One that is in use, as its person sees it.
#[derive(Debug, Clone, Copy)]
pub struct SecondFactor {
    pub confirmed_at: DateTime<Utc>,
    /// Codes on paper that were not used.
    pub recovery_codes: i64,
}

/// One that was begun: in use once its person has shown a code of it.
#[derive(Debug)]
pub struct Begun {
    pub secret: SecretString,
    sealed: Vec<u8>,
}

/// A code that is about to be looked at.
#[derive(Debug)]
pub enum Try {
    /// The person has no second factor.
    NotSet,
    /// There were ten wrong codes in a row, the last within an hour.
    Resting,
    /// What the app knows, in base32. The try is counted until [`Store::second_factor_use`].
    Against(SecretString),
}

impl Store {
    /// The person's second factor, where it is in use.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factor(&self, user: UserId) -> Result<Option<SecondFactor>, StoreError> {
        let query = sqlx::query("SELECT confirmed_at, recovery_codes FROM second_factor_find($1) WHERE confirmed_at IS NOT NULL");
        let row = query.bind(user.0).fetch_optional(self.pool()).await?;
        row.map(|row| {
            Ok(SecondFactor { confirmed_at: row.try_get("confirmed_at")?, recovery_codes: row.try_get("recovery_codes")? })
        })
        .transpose()
    }

    /// Begins one, or begins anew; false where one is in use.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factor_begin(&self, vault: &Vault, user: UserId, secret: &SecretString) -> Result<bool, StoreError> {
        let sealed = vault.seal_of_person(user, secret)?;
        let begin = sqlx::query_scalar("SELECT second_factor_begin($1, $2, $3)").bind(user.0);
        Ok(begin.bind(vault.master_key_id()).bind(sealed).fetch_one(self.pool()).await?)
    }

    /// What was begun and not confirmed.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factor_begun(&self, vault: &Vault, user: UserId) -> Result<Option<Begun>, StoreError> {
        let query = sqlx::query("SELECT master_key_id, sealed FROM second_factor_find($1) WHERE confirmed_at IS NULL");
        let Some(row) = query.bind(user.0).fetch_optional(self.pool()).await? else { return Ok(None) };
        let sealed: Vec<u8> = row.try_get("sealed")?;
        let secret = vault.open_of_person(user, row.try_get("master_key_id")?, &sealed)?;
        Ok(Some(Begun { secret, sealed }))
    }

    /// From now on it is asked for, with these codes on paper. Ends every session of the person but this one. False where what was begun is not
    /// what is there any more.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factor_confirm(
        &self,
        user: UserId,
        begun: &Begun,
        step: i64,
        code_hashes: &[Vec<u8>],
        session: SessionId,
        request: Request,
    ) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let confirm = sqlx::query_scalar("SELECT second_factor_confirm($1, $2, $3, $4, $5)").bind(user.0).bind(&begun.sealed);
        let confirmed: bool = confirm.bind(step).bind(code_hashes).bind(session.0).fetch_one(&mut *tx).await?;
        if confirmed {
            tell(&mut tx, user, request, Action::SecondFactorSet, "user", &[user.0], None).await?;
        }
        tx.commit().await?;
        Ok(confirmed)
    }

    /// Counts a try before it is known whether the code is right.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factor_try(&self, vault: &Vault, user: UserId) -> Result<Try, StoreError> {
        let query = sqlx::query("SELECT master_key_id, sealed, is_resting FROM second_factor_try($1)");
        let Some(row) = query.bind(user.0).fetch_optional(self.pool()).await? else { return Ok(Try::NotSet) };
        if row.try_get("is_resting")? {
            return Ok(Try::Resting);
        }
        let sealed: Vec<u8> = row.try_get("sealed")?;
        Ok(Try::Against(vault.open_of_person(user, row.try_get("master_key_id")?, &sealed)?))
    }

    /// Uses the code of this step; false where it, or a later one, was used before.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factor_use(&self, user: UserId, step: i64) -> Result<bool, StoreError> {
        let used = sqlx::query_scalar("SELECT second_factor_use($1, $2)").bind(user.0).bind(step);
        Ok(used.fetch_one(self.pool()).await?)
    }

    /// Uses a code on paper; false where it is none, or was used before.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn recovery_code_use(&self, user: UserId, hash: &[u8], whence: Whence<'_>) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let left: Option<i64> =
            sqlx::query_scalar("SELECT recovery_code_use($1, $2)").bind(user.0).bind(hash).fetch_one(&mut *tx).await?;
        if let Some(left) = left {
            let detail = serde_json::json!({"left": left, "address": whence.address}).to_string();
            tell(&mut tx, user, whence.request, Action::RecoveryCodeUsed, "user", &[user.0], Some(&detail)).await?;
        }
        tx.commit().await?;
        Ok(left.is_some())
    }

    /// Other codes on paper: those before are no good any more. False where no second factor is in use.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn recovery_codes_set(&self, user: UserId, hashes: &[Vec<u8>], request: Request) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let set: bool =
            sqlx::query_scalar("SELECT recovery_codes_set($1, $2)").bind(user.0).bind(hashes).fetch_one(&mut *tx).await?;
        if set {
            tell(&mut tx, user, request, Action::RecoveryCodesMade, "user", &[user.0], None).await?;
        }
        tx.commit().await?;
        Ok(set)
    }

    /// Takes it away; false where none was in use.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factor_remove(&self, user: UserId, request: Request) -> Result<bool, StoreError> {
        let mut tx = self.pool().begin().await?;
        let removed: bool = sqlx::query_scalar("SELECT second_factor_remove($1)").bind(user.0).fetch_one(&mut *tx).await?;
        if removed {
            tell(&mut tx, user, request, Action::SecondFactorRemoved, "user", &[user.0], None).await?;
        }
        tx.commit().await?;
        Ok(removed)
    }

    /// A password was right and the code that came with it was not: told to the person's tenants.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn second_factor_failed(&self, user: UserId, whence: Whence<'_>) -> Result<(), StoreError> {
        let mut tx = self.pool().begin().await?;
        let detail =
            serde_json::json!({"why": "the code of the second factor", "address": whence.address, "device": whence.device});
        tell(&mut tx, user, whence.request, Action::SignInRefused, "user", &[user.0], Some(&detail.to_string())).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Seals the next second factors anew by our own master key; `None` at the end, else how many and after whom to go on.
    ///
    /// # Errors
    /// Where the database does not answer, or one was sealed by a master key that is not known.
    pub async fn second_factors_reseal(&self, vault: &Vault, after: UserId) -> Result<Option<(i64, UserId)>, StoreError> {
        let query = sqlx::query("SELECT user_id, master_key_id, sealed FROM second_factors_of_others($1, $2, $3)");
        let rows = query.bind(vault.master_key_id()).bind(after.0).bind(PAGE).fetch_all(self.pool()).await?;
        let (mut users, mut olds, mut news) = (vec![], vec![], vec![]);
        for row in &rows {
            let (user, old): (Uuid, Vec<u8>) = (row.try_get("user_id")?, row.try_get("sealed")?);
            let secret = vault.open_of_person(UserId(user), row.try_get("master_key_id")?, &old)?;
            news.push(vault.seal_of_person(UserId(user), &secret)?);
            users.push(user);
            olds.push(old);
        }
        let Some(last) = users.last().copied() else { return Ok(None) };
        let query = sqlx::query_scalar("SELECT second_factors_reseal($1, $2, $3, $4)").bind(vault.master_key_id());
        Ok(Some((query.bind(users).bind(olds).bind(news).fetch_one(self.pool()).await?, UserId(last))))
    }
}
