//! Mails to people about their accounts: handed to the operator's mail server, or to nobody where there is none. A link carries its token behind `#`,
//! so that no server on the way writes it into a log.

use chrono::{DateTime, Utc};
use domain::id::InvitationId;
use domain::permission::Role;
use domain::secret::{ExposeSecret, SecretString};
use infra::mail::{MailError, Mailer};
use infra::postgres::support::Told;
use uuid::Uuid;

/// Writes and sends them.
#[derive(Clone)]
pub struct Mailing {
    mailer: Option<Mailer>,
    public_url: String,
}

/// What a tenant's owners and admins are told of support.
#[derive(Debug, Clone)]
pub struct SupportNews {
    tenant: String,
    staff: String,
    reason: String,
    ticket: String,
    may_write: bool,
    /// When what was begun ends at the latest; `None` where it is only asked for.
    ends_at: Option<DateTime<Utc>>,
}

impl SupportNews {
    #[must_use]
    pub fn new(told: &Told, reason: &str, ticket: &str, may_write: bool, ends_at: Option<DateTime<Utc>>) -> Self {
        let (tenant, staff) = (one_line(&told.tenant_name), one_line(&told.staff_name));
        Self { tenant, staff, reason: one_line(reason), ticket: one_line(ticket), may_write, ends_at }
    }
}

/// So that what somebody has typed cannot look like the rest of a mail.
fn one_line(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

impl Mailing {
    #[must_use]
    pub fn new(mailer: Option<Mailer>, public_url: &str) -> Self {
        Self { mailer, public_url: public_url.to_owned() }
    }

    /// True where the operator has set up a mail server.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.mailer.is_some()
    }

    /// The address of the web app's page that takes an invitation.
    #[must_use]
    pub fn invitation_link(&self, token: &SecretString) -> String {
        format!("{}/invitation#{}", self.public_url, token.expose_secret())
    }

    /// # Errors
    /// Where the mail server did not take it.
    pub async fn invite(
        &self,
        to: &str,
        id: InvitationId,
        tenant: &str,
        role: Role,
        token: &SecretString,
    ) -> Result<(), MailError> {
        let link = self.invitation_link(token);
        let text = format!(
            "You are invited to {tenant} at Crossdock, with the role {role}.\n\nTo accept, open this address within 7 days:\n\n{link}\n\n\
             If you do not know what this is about, do nothing."
        );
        self.send(to, &id.to_string(), &format!("Invitation to {tenant}"), text).await
    }

    /// # Errors
    /// Where the mail server did not take it.
    pub async fn reset(&self, to: &str, token: &SecretString) -> Result<(), MailError> {
        let link = format!("{}/password#{}", self.public_url, token.expose_secret());
        let text = format!(
            "Somebody asked to set a new password for this address at Crossdock.\n\nTo set one, open this address within an hour:\n\n{link}\n\n\
             If that was not you, do nothing: your password stays as it is."
        );
        self.send(to, &Uuid::now_v7().to_string(), "Set a new password", text).await
    }

    /// # Errors
    /// Where the mail server did not take it.
    pub async fn verify(&self, to: &str, token: &SecretString) -> Result<(), MailError> {
        let link = format!("{}/verify#{}", self.public_url, token.expose_secret());
        let text = format!(
            "To prove that this is your address at Crossdock, open this within a day:\n\n{link}\n\nIf you did not ask for it, do nothing."
        );
        self.send(to, &Uuid::now_v7().to_string(), "Is this your address?", text).await
    }

    /// # Errors
    /// Where the mail server did not take it.
    pub async fn support(&self, to: &str, id: &str, news: &SupportNews) -> Result<(), MailError> {
        let SupportNews { tenant, staff, reason, ticket, may_write, ends_at } = news;
        let why = format!("Reason: {reason}\nTicket: {ticket}");
        let (subject, text) = if let Some(ends_at) = ends_at {
            let does = if *may_write { "read, and change what an operator may change" } else { "read, and change nothing" };
            let text = format!(
                "{staff} of support has begun to look at {tenant} at Crossdock in your place. They may {does}, until {} at the latest.\n\n{why}\n\n\
                 All that they do is in your audit log. An owner or admin can end it at once: {}",
                ends_at.format("%Y-%m-%d %H:%M UTC"),
                self.public_url
            );
            (format!("Support looks at {tenant}"), text)
        } else {
            let wants =
                if *may_write { "to read, and to change what an operator may change" } else { "to read, and to change nothing" };
            let text = format!(
                "{staff} of support asks to look at {tenant} at Crossdock in your place, for an hour at most: {wants}.\n\n{why}\n\n\
                 An owner or admin answers within 24 hours: {}\n\nIf nobody answers, nobody is let in.",
                self.public_url
            );
            (format!("Support asks to look at {tenant}"), text)
        };
        self.send(to, id, &subject, text).await
    }

    /// # Errors
    /// Where the mail server did not take it.
    pub async fn prove_domain(&self, to: &str, domain: &str, tenant: &str, code: &SecretString) -> Result<(), MailError> {
        let code = code.expose_secret();
        let text = format!(
            "{tenant} says at Crossdock that the domain {domain} is its own, to sign in everybody who has an address there.\n\n\
             If that is right, hand this code to whoever asked for it, within a day:\n\n{code}\n\n\
             If you do not know what this is about, do nothing: without the code nothing happens."
        );
        self.send(to, &Uuid::now_v7().to_string(), &format!("Is {domain} yours?"), text).await
    }

    async fn send(&self, to: &str, id: &str, subject: &str, text: String) -> Result<(), MailError> {
        let Some(mailer) = &self.mailer else { return Err(MailError::Refused("no mail server is set up".to_owned())) };
        // A tenant chooses its own name.
        mailer.send(to, id, &one_line(subject), text).await
    }
}
