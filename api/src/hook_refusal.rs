//! Hooks that were refused, on their way to the audit log of their tenant. Whoever knows a hook's address may send to it as often as they like and must
//! neither fill the log nor slow an answer: so refusals are counted in memory, each connection's for each cause, and told together, beside the answers.
//!
//! What was counted and not told yet is lost with a process that is killed; one that is stopped tells it before.

use std::collections::HashMap;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use domain::hook_refusal::{Cause, Refused, why};
use domain::id::{ConnectionId, TenantId};
use domain::scope::{Request, Scope};
use futures::stream::{self, StreamExt};
use infra::chain;
use infra::postgres::Store;
use tokio::sync::watch;
use tracing::warn;

/// How long the first of a connection and cause waits for others: a vendor or an attacker seldom sends one.
const LINGER: Duration = Duration::from_secs(5);
/// They are told so often at most.
const EVERY: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Connections and causes that are counted: of all tenants, and of one. Beyond its own a tenant is told of all others together.
const COUNTS_MAX: usize = 10_000;
const COUNTS_OF_TENANT_MAX: usize = 200;
/// Tenants that are told at a time.
const AT_ONCE: usize = 4;
/// How soon a process that is stopped tries again what the database has not taken.
const FLUSH_AGAIN: Duration = Duration::from_millis(200);

/// Counts refusals. Cheap to clone; all clones are one.
#[derive(Clone, Default)]
pub struct HookRefusals(Arc<Mutex<Counter>>);

#[derive(Default)]
struct Counter {
    counts: HashMap<TenantId, HashMap<Place, Count>>,
    /// How many counts there are, of all tenants.
    size: usize,
    /// Those that found no room at all.
    untold: u64,
}

/// One connection's hook and a cause; none and [`Cause::Others`] for what a tenant has beyond its room.
type Place = (Option<ConnectionId>, Cause);

struct Count {
    /// Since it was told last; may be none.
    count: u64,
    /// The first of them.
    first: First,
    due: Instant,
}

#[derive(Clone)]
struct First {
    at: DateTime<Utc>,
    asked: Request,
    why: Option<String>,
}

impl HookRefusals {
    /// Counts a refusal. Neither waits nor fails.
    pub fn note(&self, tenant: TenantId, connection: ConnectionId, cause: Cause, asked: Request, said: &str) {
        self.lock().note((tenant, connection, cause), asked, said, (Utc::now(), Instant::now()));
    }

    /// Tells what is due, until `stop` says so, and then all that there is. [`Self::flush`] is to tell the rest, after the last answer.
    pub async fn write(&self, store: &Store, mut stop: watch::Receiver<bool>) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
            self.tell(store, false).await;
        }
        // Not only after the last answer: whoever stops this process may not wait for that.
        self.tell(store, true).await;
    }

    /// Tells all that is not told yet, and tries until the database has taken it. The caller bounds it.
    pub async fn flush(&self, store: &Store) {
        while !self.tell(store, true).await {
            tokio::time::sleep(FLUSH_AGAIN).await;
        }
    }

    /// What the database does not take is told with what comes after; false where there is some.
    async fn tell(&self, store: &Store, is_over: bool) -> bool {
        let (due, untold) = self.lock().take(Instant::now(), is_over);
        if untold > 0 {
            warn!(count = untold, "{untold} refused hooks are told to nobody: more connections have some than are counted");
        }
        // Several at a time: one whose rows somebody holds must not keep the others from being told.
        let told = stream::iter(due).map(|(tenant, refused)| async move {
            let scope = Scope::system(tenant, "intake");
            let told = store.within(&scope).hooks_refused(&refused).await;
            if let Err(error) = &told {
                warn!(error = chain(error), tenant.id = %tenant, "Refused hooks were not told to their tenant; it is tried again");
                self.lock().give_back(tenant, refused, Instant::now());
            }
            told.is_ok()
        });
        told.buffer_unordered(AT_ONCE).fold(true, |all, is_told| ready(all && is_told)).await
    }

    fn lock(&self) -> MutexGuard<'_, Counter> {
        self.0.lock().expect("no code panics while it holds the counts")
    }
}

impl Counter {
    fn note(
        &mut self,
        (tenant, connection, cause): (TenantId, ConnectionId, Cause),
        asked: Request,
        said: &str,
        (at, now): (DateTime<Utc>, Instant),
    ) {
        let own = self.counts.get(&tenant);
        let is_known = |place: &Place| own.is_some_and(|own| own.contains_key(place));
        let mut place = (Some(connection), cause);
        if !is_known(&place) && own.is_some_and(|own| own.len() >= COUNTS_OF_TENANT_MAX) {
            place = (None, Cause::Others);
        }
        if !is_known(&place) {
            if self.size >= COUNTS_MAX {
                self.untold = self.untold.saturating_add(1);
                return;
            }
            self.size += 1;
        }
        let first = || First { at, asked, why: place.0.map(|_| why(said)) };
        let count = self.counts.entry(tenant).or_default().entry(place);
        let count = count.or_insert_with(|| Count { count: 0, first: first(), due: now + LINGER });
        if count.count == 0 {
            count.first = first();
        }
        count.count = count.count.saturating_add(1);
    }

    /// What is due now, or all of it; and how many are told to nobody. What was told stays for its minute, so that it is not told again within it.
    fn take(&mut self, now: Instant, is_over: bool) -> (Vec<(TenantId, Vec<Refused>)>, u64) {
        let mut due = Vec::new();
        self.counts.retain(|tenant, counts| {
            let mut refused = Vec::new();
            counts.retain(|(connection, cause), count| {
                if now < count.due && !is_over {
                    return true;
                }
                if count.count == 0 {
                    return false;
                }
                let First { at: since, asked, why } = count.first.clone();
                refused.push(Refused { connection: *connection, cause: *cause, count: count.count, since, asked, why });
                count.count = 0;
                count.due = now + EVERY;
                true
            });
            if !refused.is_empty() {
                due.push((*tenant, refused));
            }
            !counts.is_empty()
        });
        self.size = self.counts.values().map(HashMap::len).sum();
        (due, std::mem::take(&mut self.untold))
    }

    /// Counts again what could not be told, with what came since.
    fn give_back(&mut self, tenant: TenantId, refused: Vec<Refused>, now: Instant) {
        let counts = self.counts.entry(tenant).or_default();
        for Refused { connection, cause, count, since: at, asked, why } in refused {
            let first = First { at, asked, why };
            let kept = counts.entry((connection, cause)).or_insert_with(|| Count { count: 0, first: first.clone(), due: now });
            *kept = Count { count: kept.count.saturating_add(count), first, due: now + LINGER };
        }
        self.size = self.counts.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: [(&str, u64); 0] = [];

    /// A counter whose clock is moved by hand.
    struct Story {
        counter: Counter,
        now: Instant,
    }

    impl Story {
        fn new() -> Self {
            Self { counter: Counter::default(), now: Instant::now() }
        }

        fn refused(&mut self, tenant: TenantId, connection: ConnectionId, cause: Cause, count: usize) {
            for _ in 0..count {
                self.counter.note((tenant, connection, cause), Request::own(), cause.as_str(), (Utc::now(), self.now));
            }
        }

        /// What is told after so many seconds more, each cause with its count, in the order of the words.
        fn told(&mut self, after_s: u64) -> Vec<(&'static str, u64)> {
            self.now += Duration::from_secs(after_s);
            let (due, _) = self.counter.take(self.now, false);
            let mut told: Vec<_> = due.iter().flat_map(|(_, all)| all).map(|one| (one.cause.as_str(), one.count)).collect();
            told.sort_unstable();
            told
        }
    }

    #[test]
    fn a_flood_is_one_event_a_minute_with_the_count_since_the_last() {
        let (mut story, tenant, shop) = (Story::new(), TenantId::generate(), ConnectionId::generate());
        story.refused(tenant, shop, Cause::BadSignature, 3);
        story.refused(tenant, shop, Cause::TooLarge, 1);
        assert_eq!(story.told(4), NOTHING);
        story.refused(tenant, shop, Cause::BadSignature, 1);
        assert_eq!(story.told(1), [("bad_signature", 4), ("too_large", 1)]);
        story.refused(tenant, shop, Cause::BadSignature, 100_000);
        assert_eq!(story.told(59), NOTHING);
        assert_eq!(story.told(1), [("bad_signature", 100_000)]);
        assert_eq!(story.told(60), NOTHING, "nothing came since");
        assert_eq!((story.counter.counts.len(), story.counter.size), (0, 0), "and nothing is remembered");
        story.refused(tenant, shop, Cause::BadSignature, 1);
        assert_eq!(story.told(5), [("bad_signature", 1)]);
    }

    #[test]
    fn an_event_tells_of_the_first_that_came_since_the_last_event() {
        let (mut story, tenant, shop) = (Story::new(), TenantId::generate(), ConnectionId::generate());
        let place = (tenant, shop, Cause::MissingHeader);
        let [first, second, third] = ["203.0.113.1", "203.0.113.2", "203.0.113.3"]
            .map(|address| Request { address: address.parse().ok(), ..Request::own() });
        story.counter.note(place, first, "the header X is missing", (Utc::now(), story.now));
        story.counter.note(place, second, "the header Y is missing", (Utc::now(), story.now));
        let (told, _) = story.counter.take(story.now + LINGER, false);
        let [(whose, refused)] = told.as_slice() else { panic!("one tenant is told: {told:?}") };
        let [one] = refused.as_slice() else { panic!("of one: {told:?}") };
        assert_eq!((*whose, one.connection, one.count, one.asked), (tenant, Some(shop), 2, first));
        assert_eq!(one.why.as_deref(), Some("the header X is missing"));
        story.counter.note(place, third, "the header Z is missing", (Utc::now(), story.now + LINGER));
        let (told, _) = story.counter.take(story.now + LINGER + EVERY, false);
        assert_eq!((told[0].1[0].asked, told[0].1[0].count), (third, 1));
    }

    #[test]
    fn what_is_counted_is_bounded_and_what_overflows_is_counted_under_one_key() {
        let (mut story, greedy, other) = (Story::new(), TenantId::generate(), TenantId::generate());
        for _ in 0..COUNTS_OF_TENANT_MAX + 50 {
            story.refused(greedy, ConnectionId::generate(), Cause::BadSignature, 2);
        }
        story.refused(other, ConnectionId::generate(), Cause::Stale, 1);
        assert_eq!(story.counter.size, COUNTS_OF_TENANT_MAX + 2, "of all others together, and of the neighbour");
        let told = story.told(5);
        assert_eq!(told.iter().filter(|(cause, _)| *cause == "bad_signature").count(), COUNTS_OF_TENANT_MAX);
        assert!(told.contains(&("others", 100)) && told.contains(&("stale", 1)), "{told:?}");

        for _ in 0..COUNTS_MAX {
            story.refused(TenantId::generate(), ConnectionId::generate(), Cause::Stale, 1);
        }
        assert_eq!(story.counter.size, COUNTS_MAX);
        let (_, untold) = story.counter.take(story.now, false);
        assert_eq!(untold, COUNTS_OF_TENANT_MAX as u64 + 2, "those that found no room are counted, too");
    }

    #[test]
    fn what_the_database_did_not_take_is_told_with_what_came_since_and_the_rest_at_the_end() {
        let (mut story, tenant, shop) = (Story::new(), TenantId::generate(), ConnectionId::generate());
        story.refused(tenant, shop, Cause::Stale, 2);
        let (due, _) = story.counter.take(story.now + LINGER, false);
        let (_, refused) = due.into_iter().next().unwrap();
        story.refused(tenant, shop, Cause::Stale, 1);
        story.counter.give_back(tenant, refused, story.now + LINGER);
        assert_eq!(story.counter.size, 1);
        assert_eq!(story.told(10), [("stale", 3)]);
        story.refused(tenant, shop, Cause::Stale, 1);
        let (due, _) = story.counter.take(story.now, true);
        assert_eq!(due[0].1[0].count, 1, "a process that ends waits for no minute");
    }
}
