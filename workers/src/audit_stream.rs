//! The audit log, sent to the tenants' own systems as it is sealed, beside the way of orders. A stream is leased in Postgres and its cursor stands there: what
//! a process leaves undone another sends again, with the same ids.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use domain::audit::AuditEvent;
use domain::audit_stream::{BATCH_MAX, StreamKind, SyslogAddress, http_batches, syslog_frame, syslog_host, try_again};
use domain::http::NoAnswer;
use domain::id::{AuditStreamId, TenantId};
use domain::scope::Scope;
use domain::seal::EVENTS_MAX;
use infra::postgres::StoreError;
use infra::postgres::audit_stream::Streaming;
use infra::{chain, webhook};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Context, leased};

/// Streams of one process at a time.
const STREAMS_MAX: usize = 4;
/// Seals of one turn; then others have theirs.
const SEALS_MAX: usize = 10;
/// After how long a turn begins no further seal.
const TURN_MAX: Duration = Duration::from_secs(60);
/// Calls that the last one may take, and what else may take its time.
#[expect(clippy::cast_possible_truncation, reason = "ten")]
const CALLS_OF_SEAL_MAX: u32 = EVENTS_MAX.div_ceil(BATCH_MAX) as u32;
const LEASE_MARGIN: Duration = Duration::from_secs(30);
/// How often is looked for a new seal, and how soon a turn follows that left something.
const LOOK_S: f64 = 5.0;
const MORE_S: f64 = 0.0;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.audit_streams_take(count_max, lease_s(context)).await;
    leased::run(context, stop, "audit streams", STREAMS_MAX, take, send).await;
}

/// How long a turn may take before another worker begins one, s: where a process died in it, nothing is sent before. What two of them send comes under the
/// same ids.
fn lease_s(context: &Context) -> f64 {
    (TURN_MAX + context.outbound.timeout() * CALLS_OF_SEAL_MAX + LEASE_MARGIN).as_secs_f64()
}

async fn send(context: Arc<Context>, tenant: TenantId, id: AuditStreamId) {
    if let Err(error) = turn(&context, tenant, id).await {
        warn!(error = chain(&error), audit_stream.id = %id, "What became of the audit stream {id} was not written; it is sent again");
    }
}

/// Sends the next seals, one after the other, until there are no more, enough for a turn, or one that does not arrive.
async fn turn(context: &Context, tenant: TenantId, id: AuditStreamId) -> Result<(), StoreError> {
    let scope = Scope::system(tenant, "audit_stream");
    let store = context.store.within(&scope);
    let Some(stream) = store.audit_stream_load(&context.vault, id).await? else { return Ok(()) };
    let begun = Instant::now();
    for seal in (stream.seal + 1..).take(SEALS_MAX).take_while(|_| begun.elapsed() < TURN_MAX) {
        let Some(events) = store.audit_seal_events(seal).await? else {
            return store.audit_stream_rest(id, LOOK_S, true).await;
        };
        if let Err(why) = put(context, &stream, tenant, seal, &events).await {
            let again = try_again(stream.tries + 1, Utc::now(), rand::random());
            warn!(audit_stream.id = %id, seal, why, tries = stream.tries + 1, "Seal {seal} did not arrive at the audit stream {id}");
            if store.audit_stream_failed(id, &why, again).await? {
                info!(audit_stream.id = %id, "Told that the audit stream {id} lags");
            }
            return Ok(());
        }
        store.audit_stream_sent(id, seal).await?;
    }
    store.audit_stream_rest(id, MORE_S, false).await
}

/// # Errors
/// Why it did not arrive, without anything secret.
async fn put(context: &Context, stream: &Streaming, tenant: TenantId, seal: u64, events: &[AuditEvent]) -> Result<(), String> {
    // The tenant keeps them no longer.
    if events.is_empty() {
        return Ok(());
    }
    match stream.kind {
        StreamKind::Syslog => {
            let address = SyslogAddress::parse(&stream.address).ok_or("its address is none of syslog")?;
            let host = syslog_host(context.settings.public_url.as_deref());
            let bytes: Vec<u8> = events.iter().flat_map(|event| syslog_frame(seal, event, &host)).collect();
            context.outbound.stream(&address, stream.ca_pem.as_deref(), &bytes).await.map_err(NoAnswer::into_why)
        }
        StreamKind::Http => {
            let secret = stream.secret.get("secret").ok_or("the stream has no secret any more; make it anew")?;
            for (batch, body) in http_batches(stream.id, tenant, seal, events) {
                let request = webhook::signed(&stream.address, &batch, Utc::now(), body, secret)?;
                match context.outbound.send(request).await {
                    Ok(answer) if (200..300).contains(&answer.status) => {}
                    Ok(answer) => return Err(format!("the server answered {}", answer.status)),
                    Err(error) => return Err(error.into_why()),
                }
            }
            Ok(())
        }
    }
}
