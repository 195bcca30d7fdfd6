//! Upkeep: each connection is asked once a day whether it answers to its credential, and at once when somebody wants to know; and what of it ends is told
//! before it does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;
use domain::call_payload::ToldCall;
use domain::fault::{FaultClass, Owner};
use domain::id::{ConnectionId, TenantId};
use domain::scope::Scope;
use domain::upkeep::{TOLD_DAYS, Upkeep};
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::upkeep::{ProbeFailure, ProbeOutcome, Probed};
use tokio::sync::watch;
use tracing::{info, warn};
use uuid::Uuid;

use crate::directory::Directory;
use crate::listing::{Listing, ListingError};
use crate::{Context, leased};

/// Accounts that one process asks at a time.
const AT_ONCE: usize = 8;
/// What a probe may take beyond its calls: a token, a turn at the vendor's limit, the writing of its end.
const LEASE_MARGIN: Duration = Duration::from_secs(60);
const PROBE_EVERY_S: i64 = 24 * 60 * 60;
/// A failure that may pass is asked about again sooner.
const PROBE_AGAIN_S: i64 = 60 * 60;
/// How often it is looked what ends, or does not any more: whoever stored a new secret looks whether it is known.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Of one look; the next one is made at once where there are more.
const MOVED_MAX: usize = 500;

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, stop: watch::Receiver<bool>) {
    tokio::join!(probes(context.clone(), directory, stop.clone()), ends(&context, stop));
}

async fn probes(context: Arc<Context>, directory: Arc<Directory>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| {
        let lease = context.outbound.timeout() * 3 + LEASE_MARGIN;
        context.store.connection_probes_take(count_max, lease.as_secs_f64()).await
    };
    leased::run(context, stop, "probes of connections", AT_ONCE, take, move |context, tenant, (id, lease)| {
        probe(context, directory.clone(), tenant, id, lease)
    })
    .await;
}

async fn probe(context: Arc<Context>, directory: Arc<Directory>, tenant: TenantId, id: ConnectionId, lease: Uuid) {
    let scope = Scope::system(tenant, "upkeep");
    if let Err(error) = probe_once(&context, &directory, &scope, id, lease).await {
        warn!(error = chain(&error), connection.id = %id, "A probe of {id} broke off; it is made again");
    }
}

async fn probe_once(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    id: ConnectionId,
    lease: Uuid,
) -> Result<(), StoreError> {
    let begun = Instant::now();
    let mut calls = vec![];
    let asked = ask(context, directory, scope, id, &mut calls).await;
    let took_ms = i32::try_from(begun.elapsed().as_millis()).unwrap_or(i32::MAX);
    let (outcome, failure) = match asked {
        Ok(true) => (ProbeOutcome::Works, None),
        Ok(false) => (ProbeOutcome::Untold, None),
        Err(ListingError::Store(error)) if error.is_passing() => return Err(error),
        Err(error) => (ProbeOutcome::Fails, Some(failure(&error))),
    };
    let again_s = if failure.as_ref().is_some_and(|failure| failure.is_passing) { PROBE_AGAIN_S } else { PROBE_EVERY_S };
    // A little apart from each other.
    let jitter_s = i64::from(rand::random::<u16>()) / 20;
    let due_at = Utc::now() + chrono::Duration::seconds(again_s + jitter_s);
    let missing = missing(context, scope, id).await?;
    let probed = Probed { outcome, took_ms, failure, missing };
    context.store.within(scope).connection_probed(id, lease, &probed, &calls, due_at).await
}

/// True where the vendor answers; false where there is nothing to ask it.
async fn ask(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    id: ConnectionId,
    calls: &mut Vec<ToldCall>,
) -> Result<bool, ListingError> {
    let mut listing = Listing::open(context, directory, scope, id).await?.hasty();
    let answered = listing.probe().await;
    calls.extend(listing.take_calls());
    answered
}

/// What the connector needs now and the vendor did not grant, or has taken back: after a token was renewed, or the connector needs more.
async fn missing(context: &Context, scope: &Scope, id: ConnectionId) -> Result<Option<ProbeFailure>, StoreError> {
    let store = context.store.within(scope);
    let Some(granted) = store.granted_scope(id).await? else { return Ok(None) };
    let Some(row) = store.connection_rows(&[id.0]).await?.pop() else { return Ok(None) };
    let Some(connector) = context.catalog.get(&row.connector) else { return Ok(None) };
    let missing: Vec<&str> = connector.missing_scopes(&granted).into_iter().map(|scope| scope.title).collect();
    Ok((!missing.is_empty()).then(|| ProbeFailure {
        code: Upkeep::Scopes.code(),
        sentence: format!(
            "{} may do less than it needs. Not allowed at {}: {}.",
            row.name,
            connector.title(),
            missing.join(", ")
        ),
        owner: Owner::Developer,
        next_step: Upkeep::Scopes.next_step(connector.title()),
        is_passing: false,
    }))
}

pub fn failure(error: &ListingError) -> ProbeFailure {
    match error {
        ListingError::Fault { connection, fault } => ProbeFailure {
            code: format!("{}.{}", fault.class.as_str(), fault.code),
            sentence: format!("{connection}: {}.", fault.reason.trim_end_matches('.')),
            owner: fault.owner,
            next_step: fault.fix.clone(),
            is_passing: fault.class.is_passing() || fault.class == FaultClass::Unknown,
        },
        error => ProbeFailure {
            code: "probe.request".into(),
            sentence: error.to_string(),
            owner: Owner::Developer,
            next_step: "Correct the connection's settings, its credential or its connector, then test it again.".into(),
            is_passing: false,
        },
    }
}

async fn ends(context: &Context, mut stop: watch::Receiver<bool>) {
    loop {
        let wait = match look(context).await {
            Ok(MOVED_MAX) => Duration::ZERO,
            Ok(0) => LOOK_EVERY,
            Ok(count) => {
                info!(count, "Told of {count} things that end, or do not any more");
                LOOK_EVERY
            }
            Err(error) => {
                warn!(error = chain(&error), "What ends could not be looked for; the next look tries again");
                LOOK_EVERY
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Tells what ends soon. Several workers may do so at once: the second finds nothing, and one incident is open for each at most.
async fn look(context: &Context) -> Result<usize, StoreError> {
    let within = chrono::Duration::days(TOLD_DAYS[0]);
    let moved = context.store.upkeep_moved(within, i32::try_from(MOVED_MAX).unwrap_or(i32::MAX)).await?;
    for (tenant, moved) in &moved {
        let scope = Scope::system(*tenant, "upkeep");
        let store = context.store.within(&scope);
        let row = store.connection_rows(&[moved.connection.0]).await?.pop();
        let named = row.as_ref().map(|row| {
            let title = context.catalog.get(&row.connector).map_or("the vendor", |connector| connector.title());
            (row.name.as_str(), title)
        });
        store.upkeep_tell(moved, named).await?;
    }
    Ok(moved.len())
}
