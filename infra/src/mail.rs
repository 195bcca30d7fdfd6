//! Mails, handed to the operator's own SMTP server.

use std::time::Duration;

use domain::secret::{ExposeSecret, SecretString};
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

const TIMEOUT: Duration = Duration::from_secs(20);
/// Of one receiver.
const ADDRESSES_MAX: usize = 10;

#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("CROSSDOCK_SMTP_URL cannot be read: smtps://user:password@host:465, or smtp://host:587?tls=required was expected")]
    Url(#[source] lettre::transport::smtp::Error),
    #[error("CROSSDOCK_MAIL_FROM is no address such as Crossdock <alerts@example.com>")]
    From(#[source] lettre::address::AddressError),
    #[error("the mail could not be written")]
    Content(#[source] lettre::error::Error),
    #[error("the address of a receiver cannot be read")]
    Address(#[source] lettre::address::AddressError),
    #[error("the mail server did not take it: {0}")]
    Refused(String),
    /// It would say the same another time: there is no such mailbox, or it takes nothing of ours.
    #[error("the mail server refused it for good: {0}")]
    RefusedForGood(String),
}

/// SMTP's answers that speak of us and not of the mail: who runs this sets the sign-in right (RFC 4954, section 6).
const SIGN_IN: [u16; 4] = [530, 534, 535, 538];

/// Sends mails; each over a connection of its own, because they are few.
#[derive(Clone)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Mailer {
    /// # Errors
    /// Where the server's address or ours cannot be read.
    pub fn new(url: &SecretString, from: &str) -> Result<Self, MailError> {
        // Fails only where another part of the process has chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose_secret()).map_err(MailError::Url)?;
        Ok(Self { transport: transport.timeout(Some(TIMEOUT)).build(), from: from.parse().map_err(MailError::From)? })
    }

    /// The longest a mail may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        TIMEOUT
    }

    /// One mail of plain text. `id` makes its Message-ID, the same for each try.
    ///
    /// # Errors
    /// Where the server did not take it.
    pub async fn send(&self, to: &str, id: &str, subject: &str, text: String) -> Result<(), MailError> {
        let domain = self.from.email.domain();
        let mut mail = Message::builder().from(self.from.clone()).subject(subject).message_id(Some(format!("<{id}@{domain}>")));
        for address in addresses(to) {
            mail = mail.to(Mailbox::new(None, address.parse().map_err(MailError::Address)?));
        }
        let mail = mail.header(ContentType::TEXT_PLAIN).body(text).map_err(MailError::Content)?;
        self.transport.send(mail).await.map_err(|error| {
            let is_of_the_mail = error.status().is_none_or(|code| !SIGN_IN.contains(&u16::from(code)));
            match error.is_permanent() && is_of_the_mail {
                true => MailError::RefusedForGood(crate::chain(&error)),
                false => MailError::Refused(crate::chain(&error)),
            }
        })?;
        Ok(())
    }
}

fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|address| !address.is_empty())
}

/// One address or several, with commas between.
///
/// # Errors
/// Which is none, as a sentence.
pub fn check_addresses(text: &str) -> Result<(), String> {
    let count = addresses(text).count();
    if !(1..=ADDRESSES_MAX).contains(&count) {
        return Err(format!("say 1 to {ADDRESSES_MAX} addresses, with commas between"));
    }
    match addresses(text).find(|address| address.parse::<Address>().is_err()) {
        Some(bad) => Err(format!("\"{bad}\" is no mail address")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_one_by_one() {
        assert_eq!(check_addresses("ops@example.com, finance@example.com"), Ok(()));
        assert_eq!(check_addresses("ops@example.com, nobody"), Err("\"nobody\" is no mail address".to_owned()));
        assert!(check_addresses(" , ").is_err() && check_addresses("a@b.c\r\nBcc: x@y.z").is_err());
        assert!(check_addresses(&["a@example.com"; 11].join(",")).is_err());
    }
}
