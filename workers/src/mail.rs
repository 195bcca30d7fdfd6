//! Mails to people: handed to the operator's mail server, again and again while what they say is good. Where the server has refused one for good, or its
//! time is over, it is given up, and whoever may see it is told why.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use infra::chain;
use infra::mail::{MailError, Mailer};
use infra::postgres::mail::OutgoingMail;
use tokio::sync::watch;
use tracing::{error, warn};

use crate::{Context, leased};

/// Mails that one process sends at a time.
const AT_ONCE: usize = 4;
/// What the mail server and the writing of its answer may take, until another worker takes the mail.
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// The first wait after a failure; each is twice the last,
const WAIT_S: i64 = 5;
/// up to this one.
const WAIT_MAX_S: i64 = 30 * 60;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    // Who has no mail server leaves them to a worker that has one.
    if context.mailer.is_none() {
        return;
    }
    let take = async |context: &Context, count_max| context.store.mails_take(count_max, lease_s(context)).await;
    leased::run(context, stop, "mails", AT_ONCE, take, send).await;
}

fn lease_s(context: &Context) -> f64 {
    (context.mailer.as_ref().map_or(Duration::ZERO, Mailer::timeout) + LEASE_MARGIN).as_secs_f64()
}

async fn send(context: Arc<Context>, (): (), outgoing: OutgoingMail) {
    let (id, now) = (outgoing.id, Utc::now());
    let written = match try_once(&context, &outgoing, now).await {
        Ok(()) => context.store.mail_sent(id).await,
        Err(failed) => {
            let again_at = failed.may_pass.then(|| again_at(outgoing.tries, now)).filter(|at| *at < outgoing.until);
            match again_at {
                Some(_) => {
                    warn!(mail.id = %id, why = failed.why, tries = outgoing.tries, "{id} was not mailed; it is tried again")
                }
                None => error!(mail.id = %id, why = failed.why, tries = outgoing.tries, "{id} was not mailed, and is given up"),
            }
            context.store.mail_failed(id, &failed.why, again_at).await
        }
    };
    if let Err(error) = written {
        warn!(error = chain(&error), mail.id = %id, "What became of a mail was not written; it is sent again under the same id");
    }
}

/// Why a mail did not leave.
struct Failed {
    why: String,
    /// Another try may go better.
    may_pass: bool,
}

async fn try_once(context: &Context, outgoing: &OutgoingMail, now: DateTime<Utc>) -> Result<(), Failed> {
    if outgoing.until <= now {
        let why = "what it says was over before the mail server took it".to_owned();
        return Err(Failed { why, may_pass: false });
    }
    let Some(mail) = outgoing.open(&context.vault) else {
        // A process that has the key may take it next.
        let why = "it was sealed by a master key that this process does not have".to_owned();
        return Err(Failed { why, may_pass: true });
    };
    let Some(mailer) = &context.mailer else { return Err(Failed { why: "no mail server is set up".into(), may_pass: true }) };
    let sent = mailer.send(&mail.to, &outgoing.id.to_string(), &mail.subject, mail.text).await;
    sent.map_err(|error| Failed { may_pass: matches!(error, MailError::Refused(_)), why: chain(&error) })
}

/// When a mail is tried again that has failed so often.
fn again_at(tries: i32, now: DateTime<Utc>) -> DateTime<Utc> {
    let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(0).min(16);
    now + TimeDelta::seconds((WAIT_S << doublings).min(WAIT_MAX_S))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_half_an_hour() {
        let now = Utc::now();
        let waits = [1, 2, 3, 9, 10, i32::MAX].map(|tries| (again_at(tries, now) - now).num_seconds());
        assert_eq!(waits, [5, 10, 20, 1280, 1800, 1800]);
    }
}
