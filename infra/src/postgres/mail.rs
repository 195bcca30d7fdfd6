//! Mails to people, from the moment they are written until the mail server has taken them: kept in the transaction of what they tell of, so that
//! neither goes without the other.

use chrono::{DateTime, Utc};
use domain::id::{MailId, TenantId};
use domain::secret::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row, Transaction};
use uuid::Uuid;

use super::{Store, StoreError};
use crate::vault::{Vault, VaultError};

/// Mails of one transaction, while they are sealed anew.
const PAGE: i32 = 100;

/// What is told to whom. No `Debug`: a link that opens an account may be in it.
#[derive(Clone, Serialize, Deserialize)]
pub struct Mail {
    /// One address, or several with commas between.
    pub to: String,
    pub subject: String,
    pub text: String,
}

/// One that is ready to be kept: only the process has read it.
pub struct SealedMail {
    id: MailId,
    master_key_id: String,
    sealed: Vec<u8>,
    until: DateTime<Utc>,
}

impl SealedMail {
    /// `until` is when what it says is over: nobody is sent a link that does nothing.
    ///
    /// # Errors
    /// Where the system has no randomness.
    pub fn new(vault: &Vault, mail: &Mail, until: DateTime<Utc>) -> Result<Self, VaultError> {
        let id = MailId::generate();
        let content = serde_json::to_string(mail).expect("three texts are JSON");
        let sealed = vault.seal_of_mail(id, &content.into())?;
        Ok(Self { id, master_key_id: vault.master_key_id().to_owned(), sealed, until })
    }
}

/// A mail that is to be sent now.
pub struct OutgoingMail {
    pub id: MailId,
    /// Tries so far, this one among them.
    pub tries: i32,
    pub until: DateTime<Utc>,
    master_key_id: String,
    sealed: Vec<u8>,
}

impl OutgoingMail {
    /// What it says; `None` where it cannot be opened: by another key, or altered.
    #[must_use]
    pub fn open(&self, vault: &Vault) -> Option<Mail> {
        let content = vault.open_of_mail(self.id, &self.master_key_id, &self.sealed).ok()?;
        serde_json::from_str(content.expose_secret()).ok()
    }
}

/// How it goes with a mail about something of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailFailure {
    /// Why the last try failed.
    pub why: String,
    /// When it is tried again; `None` where it was given up.
    pub again_at: Option<DateTime<Utc>>,
}

/// Keeps mails with what the transaction does. `about` is what of the tenant they are about, where the tenant may see what becomes of them.
pub(super) async fn put(
    tx: &mut Transaction<'static, Postgres>,
    about: Option<(TenantId, Uuid)>,
    mails: &[SealedMail],
) -> Result<(), StoreError> {
    let put = sqlx::query(
        "SELECT mail_put(i.id, $1, $2, i.master_key_id, i.sealed, i.until)
         FROM unnest($3::uuid[], $4::text[], $5::bytea[], $6::timestamptz[]) AS i (id, master_key_id, sealed, until)",
    );
    let put = put.bind(about.map(|(tenant, _)| tenant.0)).bind(about.map(|(_, about)| about));
    let put = put.bind(mails.iter().map(|mail| mail.id.0).collect::<Vec<_>>());
    let put = put.bind(mails.iter().map(|mail| mail.master_key_id.as_str()).collect::<Vec<_>>());
    let put = put.bind(mails.iter().map(|mail| mail.sealed.as_slice()).collect::<Vec<_>>());
    put.bind(mails.iter().map(|mail| mail.until).collect::<Vec<_>>()).execute(&mut **tx).await?;
    Ok(())
}

/// What is not to be mailed any more, about any of these.
pub(super) async fn withdraw(tx: &mut Transaction<'static, Postgres>, about: &[Uuid]) -> Result<(), StoreError> {
    let withdraw = sqlx::query("SELECT mails_withdraw(i.id) FROM unnest($1::uuid[]) AS i (id)").bind(about);
    withdraw.execute(&mut **tx).await?;
    Ok(())
}

/// A failure out of the columns `mail_failure`, `mail_due_at` and `mail_given_up_at`.
pub(super) fn failure(row: &PgRow) -> Result<Option<MailFailure>, StoreError> {
    let Some(why) = row.try_get::<Option<String>, _>("mail_failure")? else { return Ok(None) };
    let given_up: Option<DateTime<Utc>> = row.try_get("mail_given_up_at")?;
    let again_at = if given_up.is_some() { None } else { row.try_get("mail_due_at")? };
    Ok(Some(MailFailure { why, again_at }))
}

impl Store {
    /// Mails that are due, which are nobody's; whoever takes them has so long to send them.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn mails_take(&self, count_max: i32, lease_s: f64) -> Result<Vec<((), OutgoingMail)>, StoreError> {
        let rows = sqlx::query("SELECT id, master_key_id, sealed, tries, until FROM mails_take($1, make_interval(secs => $2))");
        let rows = rows.bind(count_max).bind(lease_s).fetch_all(self.pool()).await?;
        let outgoing = |row: PgRow| -> Result<_, StoreError> {
            let outgoing = OutgoingMail {
                id: MailId(row.try_get("id")?),
                tries: row.try_get("tries")?,
                until: row.try_get("until")?,
                master_key_id: row.try_get("master_key_id")?,
                sealed: row.try_get("sealed")?,
            };
            Ok(((), outgoing))
        };
        rows.into_iter().map(outgoing).collect()
    }

    /// The mail server has it: nothing of it is kept.
    ///
    /// # Errors
    /// Where the database does not answer: it is sent again, under the same id.
    pub async fn mail_sent(&self, id: MailId) -> Result<(), StoreError> {
        sqlx::query("SELECT mail_sent($1)").bind(id.0).execute(self.pool()).await?;
        Ok(())
    }

    /// A try failed; without a next one it is given up, and what it said is not kept.
    ///
    /// # Errors
    /// Where the database does not answer.
    pub async fn mail_failed(&self, id: MailId, why: &str, again_at: Option<DateTime<Utc>>) -> Result<(), StoreError> {
        sqlx::query("SELECT mail_failed($1, $2, $3)").bind(id.0).bind(why).bind(again_at).execute(self.pool()).await?;
        Ok(())
    }

    /// Seals anew what another master key has sealed, page by page: how many, and where the next page begins.
    ///
    /// # Errors
    /// Where the database does not answer, or no key of ours has sealed one.
    pub async fn mails_reseal(&self, vault: &Vault, after: MailId) -> Result<Option<(i64, MailId)>, StoreError> {
        let query = sqlx::query("SELECT id, master_key_id, sealed FROM mails_of_others($1, $2, $3)");
        let rows = query.bind(vault.master_key_id()).bind(after.0).bind(PAGE).fetch_all(self.pool()).await?;
        let (mut ids, mut olds, mut news) = (vec![], vec![], vec![]);
        for row in &rows {
            let (id, old): (Uuid, Vec<u8>) = (row.try_get("id")?, row.try_get("sealed")?);
            let content: SecretString = vault.open_of_mail(MailId(id), row.try_get("master_key_id")?, &old)?;
            news.push(vault.seal_of_mail(MailId(id), &content)?);
            ids.push(id);
            olds.push(old);
        }
        let Some(last) = ids.last().copied() else { return Ok(None) };
        let query = sqlx::query_scalar("SELECT mails_reseal($1, $2, $3, $4)").bind(vault.master_key_id());
        Ok(Some((query.bind(ids).bind(olds).bind(news).fetch_one(self.pool()).await?, MailId(last))))
    }
}
