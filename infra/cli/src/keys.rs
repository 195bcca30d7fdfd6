//! `crossdock keys`: the master key, and what it has wrapped.

use std::process::ExitCode;

use api::master_key::MasterKeys;
use clap::Subcommand;
use domain::id::{MailId, UserId};
use infra::postgres::Store;
use infra::postgres::data_key::{MasterKeyUse, Rotation};

use crate::{Failure, say};

#[derive(Subcommand)]
pub enum KeysCommand {
    /// Lists the master keys that have wrapped tenants' data keys and sealed people's second factors and mails, by their ids. Needs DATABASE_URL and CROSSDOCK_MASTER_KEY.
    List,
    /// Wraps what other master keys have wrapped by CROSSDOCK_MASTER_KEY, while everything runs. All processes must know both keys already
    /// (CROSSDOCK_MASTER_KEY_ALSO). Where it is interrupted, run it again: what is done stays done.
    Rotate,
}

impl KeysCommand {
    /// # Errors
    /// Where a setting is missing, the database does not answer, or a master key is not known.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
        let vault = MasterKeys::from_env()?.vault()?;
        let store = Store::connect(&url, 2).await?;
        if matches!(self, Self::Rotate) {
            // Whoever still wraps by the other key may have made one behind us: so until a whole look finds none.
            loop {
                let mut rotation = Rotation::default();
                while let Some(next) = store.data_keys_rewrap(&vault, rotation).await? {
                    rotation = next;
                    say(&format!("{} data keys are wrapped by {}", rotation.rewrapped, vault.master_key_id()))?;
                }
                let (mut resealed, mut after) = (0, UserId(uuid::Uuid::nil()));
                while let Some((count, last)) = store.second_factors_reseal(&vault, after).await? {
                    (resealed, after) = (resealed + count, last);
                    say(&format!("{resealed} second factors are sealed by {}", vault.master_key_id()))?;
                }
                let (mut mails, mut after) = (0, MailId(uuid::Uuid::nil()));
                while let Some((count, last)) = store.mails_reseal(&vault, after).await? {
                    (mails, after) = (mails + count, last);
                    say(&format!("{mails} mails that wait are sealed by {}", vault.master_key_id()))?;
                }
                if rotation.rewrapped == 0 && resealed == 0 && mails == 0 {
                    break;
                }
            }
        }
        let mut is_done = true;
        for used in store.master_keys().await? {
            let MasterKeyUse { master_key_id: id, data_keys, second_factors, mails } = used;
            let which = match id == vault.master_key_id() {
                true => "CROSSDOCK_MASTER_KEY",
                false if vault.knows(&id) => "CROSSDOCK_MASTER_KEY_ALSO",
                false => "not configured here",
            };
            is_done &= id == vault.master_key_id();
            let some = |count: i64, what: &str| if count > 0 { format!(", {count} {what}") } else { String::new() };
            let (people, waiting) = (some(second_factors, "second factors"), some(mails, "mails that wait"));
            say(&format!("{id}: {data_keys} data keys{people}{waiting} ({which})"))?;
        }
        if is_done {
            say("No other master key is needed any more.")?;
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}
