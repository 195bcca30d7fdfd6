//! Backfills: a period or some ids of a source, brought page by page. The next page is read when what the last one brought has come to rest, so that
//! live work never stands behind more than one page of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use domain::call_payload::ToldCall;
use domain::id::{BackfillId, TenantId};
use domain::poll::again_at;
use domain::scope::Scope;
use domain::task::Stage;
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::backfill::{Backfill, BackfillPage, What};
use infra::postgres::poll::Listed;
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use crate::directory::Directory;
use crate::listing::{Listing, ListingError};
use crate::poll::each_once;
use crate::{Context, leased};

/// Backfills that one process works on: live work comes first.
const AT_ONCE: usize = 4;
/// How long a page may take until another worker takes it.
const LEASE_S: f64 = 90.0;
/// How often it is looked whether a page has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Ids of one page, each a call.
const IDS_PAGE: usize = 25;
/// A page ends after this, however few of its ids were asked for: well before its lease does.
const PAGE_FOR: Duration = Duration::from_secs(30);
/// Pages that an estimate reads.
const ESTIMATE_PAGES: usize = 3;
/// Calls that it makes for them, where each record takes some of its own, and how long it may take.
const ESTIMATE_CALLS: usize = 500;
const ESTIMATE_FOR: Duration = Duration::from_secs(45);
/// A failure is tried again after this at first, s.
const RETRY_S: i32 = 30;
/// A connection that is paused is looked at again after this.
const PAUSED_WAIT: TimeDelta = TimeDelta::seconds(30);

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.backfills_take(count_max, LEASE_S).await;
    let stopped = stop.clone();
    leased::run(context, stop, "backfills", AT_ONCE, take, move |context, tenant, (id, lease)| {
        work(context, directory.clone(), tenant, id, lease, stopped.clone())
    })
    .await;
}

async fn work(
    context: Arc<Context>,
    directory: Arc<Directory>,
    tenant: TenantId,
    id: BackfillId,
    lease: Uuid,
    stop: watch::Receiver<bool>,
) {
    let scope = Scope::system(tenant, "backfill");
    if let Err(error) = work_once(&context, &directory, &scope, (id, lease), stop).await {
        warn!(error = chain(&error), backfill.id = %id, "A backfill broke off; it goes on where its last page ended");
    }
}

/// What is worked with, and what was called since it was last written down.
struct Bringing<'a> {
    context: &'a Context,
    scope: &'a Scope,
    backfill: &'a Backfill,
    listing: Listing<'a>,
    stop: watch::Receiver<bool>,
    calls: Vec<ToldCall>,
}

async fn work_once(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    (id, lease): (BackfillId, Uuid),
    stop: watch::Receiver<bool>,
) -> Result<(), StoreError> {
    let store = context.store.within(scope);
    let Some(backfill) = store.backfill_load(id, lease).await? else { return Ok(()) };
    if !backfill.is_connection_active {
        return store.backfill_give_back(&backfill, Utc::now() + PAUSED_WAIT, None, &[]).await;
    }
    let mut calls = Vec::new();
    let outcome = match Listing::open(context, directory, scope, backfill.connection).await {
        Ok(listing) => {
            let mut bringing = Bringing { context, scope, backfill: &backfill, listing: listing.hasty(), stop, calls: vec![] };
            let outcome = bringing.go().await;
            calls = bringing.calls;
            calls.extend(bringing.listing.take_calls());
            outcome
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(true) => store.backfill_done(&backfill).await,
        Ok(false) => store.backfill_give_back(&backfill, Utc::now(), None, &calls).await,
        Err(ListingError::Store(error)) if error.is_passing() => Err(error),
        Err(error) => {
            let due_at = again_at(Utc::now(), RETRY_S, backfill.failures + 1, rand::random()).max(Utc::now() + error.wait());
            store.backfill_give_back(&backfill, due_at, Some(&error.to_string()), &calls).await
        }
    }
}

impl Bringing<'_> {
    /// True where everything was brought; false where it is to be gone on with later, or by another.
    async fn go(&mut self) -> Result<bool, ListingError> {
        match &self.backfill.what {
            What::Period(since, until) if !self.backfill.is_running => {
                let (since, until) = (*since, *until);
                self.estimate(since, until).await?;
                Ok(false)
            }
            What::Period(_, until) => {
                let until = *until;
                self.period(until).await
            }
            What::Ids(ids) => {
                let ids = ids.clone();
                self.ids(&ids).await
            }
        }
    }

    async fn period(&mut self, until: DateTime<Utc>) -> Result<bool, ListingError> {
        let mut pages = self.listing.pages_from(self.backfill.kind, &self.backfill.position).ok_or(ListingError::Gone)?;
        loop {
            if !self.rests().await? {
                return Ok(false);
            }
            let Some(mut records) = self.listing.next(&mut pages).await? else { return Ok(true) };
            // What changed later comes by itself.
            records.retain(|(_, changed_at)| changed_at.is_none_or(|changed_at| changed_at < until));
            let page = BackfillPage { records: each_once(records), position: pages.position(), ..BackfillPage::default() };
            if !self.write(page).await? {
                return Ok(false);
            }
        }
    }

    async fn ids(&mut self, ids: &[String]) -> Result<bool, ListingError> {
        let mut next = self.backfill.next_id;
        while next < ids.len() {
            if !self.rests().await? {
                return Ok(false);
            }
            let (begun, mut page) = (Instant::now(), BackfillPage::default());
            for id in ids.iter().skip(next).take(IDS_PAGE) {
                match self.listing.get(self.backfill.kind, id).await?.ok_or(ListingError::Single)? {
                    Some(body) => page.records.push(Listed::new(id.clone(), None, body.to_vec())),
                    None => page.missing += 1,
                }
                next += 1;
                if begun.elapsed() >= PAGE_FOR {
                    break;
                }
            }
            page.next_id = next;
            if !self.write(page).await? {
                return Ok(false);
            }
        }
        self.rests().await
    }

    async fn write(&mut self, mut page: BackfillPage<'_>) -> Result<bool, ListingError> {
        self.calls.extend(self.listing.take_calls());
        let calls = std::mem::take(&mut self.calls);
        page.calls = &calls;
        let store = self.context.store.within(self.scope);
        let Some(brought) = store.backfill_page(self.backfill, &page, LEASE_S).await? else { return Ok(false) };
        self.context.broker.nudge(Stage::Receive, brought).await;
        Ok(true)
    }

    /// Waits until what the last page brought has come to rest; false where it is to stop, or somebody else leads it.
    async fn rests(&mut self) -> Result<bool, ListingError> {
        loop {
            let store = self.context.store.within(self.scope);
            match store.backfill_is_settled(self.backfill, LEASE_S).await? {
                Some(true) => return Ok(true),
                None => return Ok(false),
                Some(false) if *self.stop.borrow() => return Ok(false),
                Some(false) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Reads a few pages and says how many there are: counted where that was all, else by how much of the period they are.
    async fn estimate(&mut self, since: DateTime<Utc>, until: DateTime<Utc>) -> Result<(), ListingError> {
        let mut pages = self.listing.pages_from(self.backfill.kind, &self.backfill.position).ok_or(ListingError::Gone)?;
        let (mut count, mut times, mut is_exact) = (0_i64, Vec::new(), false);
        let (begun, mut read, mut calls) = (Instant::now(), 0, 0);
        while read < ESTIMATE_PAGES && calls < ESTIMATE_CALLS && begun.elapsed() < ESTIMATE_FOR {
            let Some(records) = self.listing.next(&mut pages).await? else {
                is_exact = true;
                break;
            };
            calls += 1;
            // A call for a part of a record, or for the list of what has records, brings none.
            read += usize::from(!records.is_empty());
            let within = records.iter().filter(|(_, changed_at)| changed_at.is_none_or(|at| at < until));
            count += i64::try_from(within.count()).unwrap_or(i64::MAX);
            times.extend(records.iter().filter_map(|(_, changed_at)| *changed_at));
        }
        let estimate = if is_exact { Some(count) } else { domain::poll::estimate(count, &times, since, until) };
        self.calls.extend(self.listing.take_calls());
        let calls = std::mem::take(&mut self.calls);
        Ok(self.context.store.within(self.scope).backfill_estimated(self.backfill, estimate, is_exact, &calls).await?)
    }
}
