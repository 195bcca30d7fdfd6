//! Polls: what a source lists becomes messages, page by page, each kind of a connection led by one worker at a time. A read that broke off goes on
//! where its last page ended, or begins again where the vendor lists the newest first; what was brought already is not brought again.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::Utc;
use domain::call_payload::ToldCall;
use domain::fault::Owner;
use domain::id::{LookupTableId, PollId, TenantId};
use domain::poll::{WEBHOOK_PATIENCE, again_at, next_at};
use domain::scope::Scope;
use domain::task::Stage;
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::deleted::Absent;
use infra::postgres::lookup_entry::DayRate;
use infra::postgres::poll::{Listed, Poll, PollFailure, PollSubject, PolledPage};
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use crate::directory::Directory;
use crate::file::FileReading;
use crate::listing::{ListedRecord, Listing, ListingError};
use crate::{Context, leased};

/// Sources that one process lists at a time; each holds a page in memory.
const AT_ONCE: usize = 32;
/// How long a page may take until another worker takes the poll.
pub const LEASE_S: f64 = 90.0;

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.polls_take(count_max, LEASE_S).await;
    let stopped = stop.clone();
    leased::run(context, stop, "polls", AT_ONCE, take, move |context, tenant, (id, lease)| {
        poll(context, directory.clone(), tenant, id, lease, stopped.clone())
    })
    .await;
}

/// How a read ended that did not fail.
enum End {
    /// It came to its end; the next one begins here.
    Read(Option<serde_json::Value>),
    /// A folder was looked at; some of its files are at rest in so many seconds.
    Looked(Option<u32>),
    /// The connection is paused.
    Paused,
    /// It is to stop, or somebody else leads it: what was read is kept.
    Over,
}

async fn poll(
    context: Arc<Context>,
    directory: Arc<Directory>,
    tenant: TenantId,
    id: PollId,
    lease: Uuid,
    stop: watch::Receiver<bool>,
) {
    let scope = Scope::system(tenant, "poll");
    if let Err(error) = poll_once(&context, &directory, &scope, id, lease, stop).await {
        warn!(error = chain(&error), poll.id = %id, "A poll broke off; it goes on where its last page ended");
    }
}

async fn poll_once(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    id: PollId,
    lease: Uuid,
    stop: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let store = context.store.within(scope);
    let Some(poll) = store.poll_load(id, lease).await? else { return Ok(()) };
    let mut calls = Vec::new();
    let (now, jitter) = (Utc::now(), rand::random());
    match read(context, directory, scope, &poll, stop, &mut calls).await {
        Ok(End::Read(position)) => {
            store.poll_end(&poll, position.as_ref(), next_at(Utc::now(), poll.every_s, jitter)).await?;
        }
        Ok(End::Looked(rest_s)) => {
            let rest = rest_s.map(|rest_s| Utc::now() + chrono::Duration::seconds(i64::from(rest_s) + 1));
            let next = next_at(Utc::now(), poll.every_s, jitter);
            store.poll_end(&poll, None, rest.map_or(next, |rest| rest.min(next))).await?;
        }
        Ok(End::Paused) => store.poll_give_back(&poll, next_at(now, poll.every_s, jitter)).await?,
        Ok(End::Over) => store.poll_give_back(&poll, now).await?,
        Err(ListingError::Store(error)) if error.is_passing() => return Err(error),
        Err(error) => {
            let due_at = again_at(Utc::now(), poll.every_s, poll.failures + 1, jitter).max(Utc::now() + error.wait());
            store.poll_failed(&poll, &failure(&error, "", "could not be listed"), &calls, due_at).await?;
        }
    }
    Ok(())
}

async fn read(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    poll: &Poll,
    stop: watch::Receiver<bool>,
    calls: &mut Vec<ToldCall>,
) -> Result<End, ListingError> {
    if !poll.is_connection_active {
        return Ok(End::Paused);
    }
    let kind = match poll.subject {
        PollSubject::Records(kind) => kind,
        PollSubject::Rates(table) => return feed(context, directory, scope, poll, table, calls).await,
    };
    let mut listing = Listing::open(context, directory, scope, poll.connection).await?.hasty();
    if listing.connector.has_files(kind) {
        let reading =
            FileReading { context, directory, scope, poll, connection: &listing.connection, connector: listing.connector, kind };
        return Ok(match reading.read(&stop, calls).await? {
            Some(rest_s) => End::Looked(rest_s),
            None => End::Over,
        });
    }
    let mut pages = listing.pages_from(kind, &poll.position).ok_or(ListingError::Gone)?;
    let has_webhook = listing.connector.has_topic(kind);
    // It always begins at the beginning, so that a read which comes to its end has listed everything.
    let is_of_all = listing.connector.absent_is_deleted(kind);
    let store = context.store.within(scope);
    loop {
        let page = listing.next(&mut pages).await;
        *calls = listing.take_calls();
        let Some(records) = page? else { break };
        let page = PolledPage {
            records: each_once(records),
            position: pages.position(),
            missed_before: has_webhook.then(|| Utc::now() - WEBHOOK_PATIENCE),
            is_of_all,
            calls,
        };
        let Some(brought) = store.poll_page(poll, &page, LEASE_S).await? else { return Ok(End::Over) };
        calls.clear();
        context.broker.nudge(Stage::Receive, brought).await;
        if *stop.borrow() {
            return Ok(End::Over);
        }
    }
    if is_of_all {
        match store.poll_absent(poll, kind).await? {
            Absent::Told(messages) => context.broker.nudge(Stage::Receive, messages).await,
            Absent::TooMany { absent, known } => return Err(ListingError::Absent { kind, absent, known }),
        }
    }
    Ok(End::Read(pages.position()))
}

/// Feeds a table with the latest rates: one version for all that changed. A pair that is none is left out and told, and holds no other up.
async fn feed(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    poll: &Poll,
    table: LookupTableId,
    calls: &mut Vec<ToldCall>,
) -> Result<End, ListingError> {
    let mut listing = Listing::open(context, directory, scope, poll.connection).await?.hasty();
    let rates = listing.rates().await;
    *calls = listing.take_calls();
    let rates: Vec<DayRate> = rates?
        .ok_or(ListingError::Gone)?
        .into_iter()
        .map(|rate| DayRate { from: rate.from, to: rate.to, day: rate.day, rate: rate.rate })
        .collect();
    let store = context.store.within(scope);
    let Some((edited, bad)) = store.lookup_rates_upsert(table, &rates).await? else { return Err(ListingError::Table) };
    for (at, why) in &bad {
        warn!(poll.id = %poll.id, pair = format!("{}/{}", rates[*at].from, rates[*at].to), why, "A rate was left out");
    }
    let changed = edited.counts.added + edited.counts.changed;
    store.poll_rates(poll, rates.len(), changed, calls).await?;
    calls.clear();
    Ok(End::Read(None))
}

/// Each thing of a page once, as it was said last. What has no id cannot be told apart and is left out: the connector's check refuses such a list.
pub fn each_once(records: Vec<ListedRecord>) -> Vec<Listed> {
    let mut at: HashMap<String, usize> = HashMap::with_capacity(records.len());
    let mut listed: Vec<Listed> = Vec::with_capacity(records.len());
    for (record, changed_at) in records {
        let Some(id) = record.id else { continue };
        let one = Listed::new(id, changed_at, record.bytes.to_vec());
        match at.get(&one.known_by) {
            Some(index) => listed[*index] = one,
            None => {
                at.insert(one.known_by.clone(), listed.len());
                listed.push(one);
            }
        }
    }
    listed
}

/// What people are told: "`before` the connection `what`: why".
pub fn failure(error: &ListingError, before: &str, what: &str) -> PollFailure {
    match error {
        ListingError::Fault { connection, fault } => PollFailure {
            code: format!("{}.{}", fault.class.as_str(), fault.code),
            sentence: format!("{before}{connection} {what}: {}.", fault.reason.trim_end_matches('.')),
            owner: fault.owner,
            next_step: fault.fix.clone(),
        },
        ListingError::Absent { .. } => PollFailure {
            code: "poll.absent".into(),
            sentence: error.to_string(),
            owner: Owner::Operations,
            next_step: "Look whether they are there. If they are, its access may be too narrow; if they were deleted, set the poll anew with since."
                .into(),
        },
        error => PollFailure {
            code: "poll.request".into(),
            sentence: error.to_string(),
            owner: Owner::Developer,
            next_step: "Correct the connection's settings or its connector; it is tried again by itself.".into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use connectors::ReadRecord;

    use super::*;

    #[test]
    fn what_cannot_be_an_id_is_none_and_is_known_by_its_digest() {
        let record = |id: &str| {
            let record = ReadRecord { bytes: bytes::Bytes::from_static(b"{}"), id: Some(id.to_owned()), updated_at: None };
            (record, None)
        };
        let (kept, long) = ("8".repeat(200), "9".repeat(201));
        let listed = each_once(vec![record(&kept), record(&long), record("a\u{0}b"), record("a\tb"), record(&long)]);
        let ids: Vec<Option<&str>> = listed.iter().map(|one| one.source_id.as_deref()).collect();
        assert_eq!(ids, [Some(kept.as_str()), None, None, None]);
        assert_eq!(listed[0].known_by, kept);
        assert!(listed[1..].iter().all(|one| one.known_by.starts_with("sha256:")), "{listed:?}");
    }
}
