//! Mails to people about their accounts: written here, kept with what they tell of, and sent by the workers. A link carries its token behind `#`, so that
//! no server on the way writes it into a log.

use chrono::{DateTime, TimeDelta, Utc};
use domain::permission::Role;
use domain::secret::{ExposeSecret, SecretString};
use infra::postgres::mail::{Mail, SealedMail};
use infra::postgres::support::Told;
use infra::postgres::tenant_deletion::DeletionTold;
use infra::vault::{Vault, VaultError};

/// What is told of an impersonation is news for a day.
const NEWS_HOURS: i64 = 24;

/// Writes them.
#[derive(Clone)]
pub struct Mailing {
    vault: Vault,
    is_set_up: bool,
    public_url: String,
}

/// What support does at a tenant, as its owners and admins are told.
#[derive(Debug, Clone, Copy)]
pub struct SupportNews<'a> {
    pub reason: &'a str,
    pub ticket: &'a str,
    pub may_write: bool,
}

/// So that what somebody has typed cannot look like the rest of a mail.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

impl Mailing {
    /// `is_set_up` says whether the operator has a mail server.
    #[must_use]
    pub fn new(vault: Vault, is_set_up: bool, public_url: &str) -> Self {
        Self { vault, is_set_up, public_url: public_url.to_owned() }
    }

    /// True where the operator has set up a mail server.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.is_set_up
    }

    /// The address of the web app's page that takes an invitation.
    #[must_use]
    pub fn invitation_link(&self, token: &SecretString) -> String {
        format!("{}/invitation#{}", self.public_url, token.expose_secret())
    }

    /// An invitation to a tenant, good until it expires.
    ///
    /// # Errors
    /// Where the system has no randomness; so with all of them.
    pub fn invitation(
        &self,
        to: &str,
        tenant: &str,
        role: Role,
        token: &SecretString,
        until: DateTime<Utc>,
    ) -> Result<SealedMail, VaultError> {
        let link = self.invitation_link(token);
        let text = format!(
            "You are invited to {tenant} at Crossdock, with the role {role}.\n\nTo accept, open this address within 7 days:\n\n{link}\n\n\
             If you do not know what this is about, do nothing."
        );
        self.seal(to, &format!("Invitation to {tenant}"), text, until)
    }

    /// # Errors
    /// As [`Self::invitation`].
    pub fn reset(&self, to: &str, token: &SecretString, until: DateTime<Utc>) -> Result<SealedMail, VaultError> {
        let link = format!("{}/password#{}", self.public_url, token.expose_secret());
        let text = format!(
            "Somebody asked to set a new password for this address at Crossdock.\n\nTo set one, open this address within an hour:\n\n{link}\n\n\
             If that was not you, do nothing: your password stays as it is."
        );
        self.seal(to, "Set a new password", text, until)
    }

    /// # Errors
    /// As [`Self::invitation`].
    pub fn verification(&self, to: &str, token: &SecretString, until: DateTime<Utc>) -> Result<SealedMail, VaultError> {
        let link = format!("{}/verify#{}", self.public_url, token.expose_secret());
        let text = format!(
            "To prove that this is your address at Crossdock, open this within a day:\n\n{link}\n\nIf you did not ask for it, do nothing."
        );
        self.seal(to, "Is this your address?", text, until)
    }

    /// To each of a tenant's owners and admins, what support has begun or asks for; none where there is no mail server.
    ///
    /// # Errors
    /// As [`Self::invitation`].
    pub fn support(&self, told: &Told, news: SupportNews<'_>) -> Result<Vec<SealedMail>, VaultError> {
        if !self.is_set_up {
            return Ok(vec![]);
        }
        let (tenant, staff) = (one_line(&told.tenant_name), one_line(&told.staff_name));
        let why = format!("Reason: {}\nTicket: {}", one_line(news.reason), one_line(news.ticket));
        let does = if news.may_write { "read, and change what an operator may change" } else { "read, and change nothing" };
        let (subject, text) = if let Some(ends_at) = told.ends_at {
            let text = format!(
                "{staff} of support has begun to look at {tenant} at Crossdock in your place. They may {does}, until {} at the latest.\n\n{why}\n\n\
                 All that they do is in your audit log. An owner or admin can end it at once: {}",
                ends_at.format("%Y-%m-%d %H:%M UTC"),
                self.public_url
            );
            (format!("Support looks at {tenant}"), text)
        } else {
            let text = format!(
                "{staff} of support asks to look at {tenant} at Crossdock in your place, for an hour at most: to {does}.\n\n{why}\n\n\
                 An owner or admin answers within 24 hours: {}\n\nIf nobody answers, nobody is let in.",
                self.public_url
            );
            (format!("Support asks to look at {tenant}"), text)
        };
        let until = Utc::now() + TimeDelta::hours(NEWS_HOURS);
        told.addresses.iter().map(|address| self.seal(address, &subject, text.clone(), until)).collect()
    }

    /// To each of a tenant's owners, that it is to be deleted, or is kept after all; none where there is no mail server.
    ///
    /// # Errors
    /// As [`Self::invitation`].
    pub fn tenant_deletion(&self, told: &DeletionTold) -> Result<Vec<SealedMail>, VaultError> {
        if !self.is_set_up {
            return Ok(vec![]);
        }
        let tenant = one_line(&told.tenant_name);
        let (subject, text, until) = if let Some(deletes_at) = told.deletes_at {
            let text = format!(
                "An owner of {tenant} asked Crossdock to delete it. On {} all of it is destroyed: connections and their keys, records, messages, the audit log, members. \
                 Nobody can bring it back then.\n\nUntil then everything goes on, and each of its owners can keep it (Settings, This tenant): {}",
                deletes_at.format("%Y-%m-%d %H:%M UTC"),
                self.public_url
            );
            (format!("{tenant} is to be deleted"), text, deletes_at)
        } else {
            let text = format!("{tenant} at Crossdock is not deleted: an owner took that back. Everything goes on as before.");
            (format!("{tenant} is kept"), text, Utc::now() + TimeDelta::hours(NEWS_HOURS))
        };
        told.addresses.iter().map(|address| self.seal(address, &subject, text.clone(), until)).collect()
    }

    /// # Errors
    /// As [`Self::invitation`].
    pub fn domain_code(
        &self,
        to: &str,
        domain: &str,
        tenant: &str,
        code: &SecretString,
        until: DateTime<Utc>,
    ) -> Result<SealedMail, VaultError> {
        let code = code.expose_secret();
        let text = format!(
            "{tenant} says at Crossdock that the domain {domain} is its own, to sign in everybody who has an address there.\n\n\
             If that is right, hand this code to whoever asked for it, within a day:\n\n{code}\n\n\
             If you do not know what this is about, do nothing: without the code nothing happens."
        );
        self.seal(to, &format!("Is {domain} yours?"), text, until)
    }

    fn seal(&self, to: &str, subject: &str, text: String, until: DateTime<Utc>) -> Result<SealedMail, VaultError> {
        // A tenant chooses its own name.
        let mail = Mail { to: to.to_owned(), subject: one_line(subject), text };
        SealedMail::new(&self.vault, &mail, until)
    }
}
