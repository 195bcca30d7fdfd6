//! Alerts: looks at the groups of exceptions of tenants that have rules, and sends what was raised, beside the way of orders. Both are leased in
//! Postgres, so that a process may die at any line: what was raised is sent by another.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use domain::alert::{ReceiverKind, try_again};
use domain::id::{AlertId, TenantId};
use domain::scope::Scope;
use domain::secret::{ExposeSecret, SecretString};
use infra::mail::Mailer;
use infra::postgres::alert::send::Outgoing;
use infra::{chain, webhook};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Context, leased};

/// Tenants of one process at a time, and alerts.
const LOOKS_MAX: usize = 2;
const SENDS_MAX: usize = 8;
const LOOK_LEASE_S: f64 = 60.0;
/// What a try may take beyond the call.
const LEASE_MARGIN_S: f64 = 15.0;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    tokio::join!(looks(context.clone(), stop.clone()), sends(context, stop));
}

async fn looks(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.alert_watches_take(count_max, LOOK_LEASE_S).await;
    leased::run(context, stop, "alert rules", LOOKS_MAX, take, look).await;
}

async fn sends(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.alerts_take(count_max, lease_s(context)).await;
    leased::run(context, stop, "alerts", SENDS_MAX, take, send).await;
}

/// How long a try may take before another worker makes it again.
fn lease_s(context: &Context) -> f64 {
    let mail = context.mailer.as_ref().map_or(Duration::ZERO, Mailer::timeout);
    context.outbound.timeout().max(mail).as_secs_f64() + LEASE_MARGIN_S
}

async fn look(context: Arc<Context>, tenant: TenantId, _: TenantId) {
    let scope = Scope::system(tenant, "alert");
    match context.store.within(&scope).alert_look(Utc::now()).await {
        Ok(0) => {}
        Ok(count) => info!(tenant.id = %tenant, count, "Raised {count} alerts"),
        Err(error) => {
            warn!(error = chain(&error), tenant.id = %tenant, "The alert rules could not be looked at; it is tried again")
        }
    }
}

async fn send(context: Arc<Context>, tenant: TenantId, id: AlertId) {
    let scope = Scope::system(tenant, "alert");
    let store = context.store.within(&scope);
    let written = match store.alert_load(&context.vault, id).await {
        Ok(None) => return,
        Ok(Some(alert)) => match try_once(&context, &alert).await {
            Ok(()) => store.alert_sent(id, alert.receiver).await,
            Err(why) => {
                let again = try_again(alert.tries, Utc::now(), rand::random());
                warn!(alert.id = %id, receiver.id = %alert.receiver, why, tries = alert.tries, "Alert {id} did not arrive");
                store.alert_failed(id, alert.receiver, &why, again).await
            }
        },
        Err(error) => Err(error),
    };
    if let Err(error) = written {
        warn!(error = chain(&error), alert.id = %id, "What became of an alert was not written; it is tried again");
    }
}

/// # Errors
/// Why it did not arrive, without anything secret.
async fn try_once(context: &Context, alert: &Outgoing) -> Result<(), String> {
    let request = match alert.kind {
        ReceiverKind::Mail => {
            let mailer = context.mailer.as_ref().ok_or("no mail server is set up: the operator sets CROSSDOCK_SMTP_URL")?;
            let (id, subject) = (alert.id.to_string(), alert.content.subject());
            let sent = mailer.send(&alert.address, &id, &subject, alert.content.text()).await;
            return sent.map_err(|error| chain(&error));
        }
        ReceiverKind::Webhook => {
            // The time of the alert, so that each try has the same body.
            let body = alert.content.webhook(alert.created_at).to_string().into_bytes();
            webhook::signed(&alert.address, &alert.id.to_string(), Utc::now(), body, secret(alert, "secret")?)?
        }
        ReceiverKind::Slack => {
            webhook::json(secret(alert, "url")?.expose_secret(), alert.content.slack().to_string().into_bytes())
        }
    };
    match context.outbound.send(request).await {
        Ok(answer) if (200..300).contains(&answer.status) => Ok(()),
        Ok(answer) => Err(format!("the receiver answered {}", answer.status)),
        Err(silence) => Err(silence.into_why()),
    }
}

fn secret<'a>(alert: &'a Outgoing, name: &str) -> Result<&'a SecretString, String> {
    alert.secret.get(name).ok_or_else(|| format!("the receiver has no {name} any more; set it again"))
}
