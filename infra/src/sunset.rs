//! Signs of an API version's end, on their way from answers and webhooks to the notices in Postgres.
//! A vendor that announces something does so in every answer, so each sign is written once an hour at most, and many in one transaction.
//! Where nothing is announced, nothing is done.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::NaiveDate;
use domain::id::{ConnectionId, TenantId};
use domain::scope::Scope;
use domain::sunset::{Sign, SunsetReason};
use tokio::sync::{Notify, watch};
use tracing::warn;

use crate::chain;
use crate::postgres::Store;

/// How long a sign that was noted says nothing new.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// How long signs wait for company; also the pause after a failed write.
const LINGER: Duration = Duration::from_millis(200);
/// Signs that wait to be written. What finds no room is said again by the next answer.
const WAITING_MAX: usize = 1_000;
/// Signs that are remembered as noted. Beyond that those of the last hour are forgotten, and written once more.
const NOTED_MAX: usize = 50_000;

/// Gathers signs. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Sunsets(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct State {
    noted_at: HashMap<Key, Instant>,
    waiting: Vec<Seen>,
}

/// Signs of the same key say the same. Of two that name different days both are written, because the earlier one counts.
type Key = (ConnectionId, SunsetReason, Option<NaiveDate>);

#[derive(Debug)]
struct Seen {
    tenant: TenantId,
    connection: ConnectionId,
    sign: Sign,
}

impl Seen {
    fn key(&self) -> Key {
        (self.connection, self.sign.reason, self.sign.ends_at.map(|at| at.date_naive()))
    }
}

impl Sunsets {
    /// Notes what an answer or a webhook of this connection says. Neither waits nor fails.
    pub fn note(&self, tenant: TenantId, connection: ConnectionId, signs: impl IntoIterator<Item = Sign>) {
        for sign in signs {
            let seen = Seen { tenant, connection, sign };
            if self.lock().take(seen, Instant::now()) {
                self.0.arrived.notify_one();
            }
        }
    }

    /// Writes what is noted, until `stop` says so. What the database did not take is said again by the next answer.
    pub async fn write(&self, store: &Store, mut stop: watch::Receiver<bool>) {
        loop {
            let is_stopped = tokio::select! {
                () = self.0.arrived.notified() => false,
                _ = stop.wait_for(|stop| *stop) => true,
            };
            if !is_stopped {
                tokio::time::sleep(LINGER).await;
            }
            let waiting = std::mem::take(&mut self.lock().waiting);
            let mut tenants: HashMap<TenantId, Vec<Seen>> = HashMap::new();
            for seen in waiting {
                tenants.entry(seen.tenant).or_default().push(seen);
            }
            for (tenant, seen) in tenants {
                let signs: Vec<(ConnectionId, &Sign)> = seen.iter().map(|seen| (seen.connection, &seen.sign)).collect();
                let scope = Scope::system(tenant, "sunset");
                if let Err(error) = store.within(&scope).sunsets_note(&signs).await {
                    warn!(error = chain(&error), tenant.id = %tenant, "Notices of a version's end were not written; the next answer says it again");
                    let mut state = self.lock();
                    for seen in &seen {
                        state.noted_at.remove(&seen.key());
                    }
                }
            }
            if is_stopped {
                return;
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.state.lock().expect("no code panics while it holds the signs")
    }
}

impl State {
    /// True where the sign is to be written.
    fn take(&mut self, seen: Seen, now: Instant) -> bool {
        let key = seen.key();
        let is_known = self.noted_at.get(&key).is_some_and(|at| now.duration_since(*at) < EVERY);
        if is_known || self.waiting.len() >= WAITING_MAX {
            return false;
        }
        if self.noted_at.len() >= NOTED_MAX {
            self.noted_at.clear();
        }
        self.noted_at.insert(key, now);
        self.waiting.push(seen);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(connection: ConnectionId, reason: SunsetReason, ends_at: Option<&str>) -> Seen {
        let ends_at = ends_at.map(|at| at.parse().unwrap());
        let sign = Sign { reason, version: "1".into(), served_version: None, ends_at, deprecated_at: None, link: None };
        Seen { tenant: TenantId(uuid::Uuid::nil()), connection, sign }
    }

    #[test]
    fn a_sign_that_every_answer_carries_is_written_once_an_hour() {
        let (mut state, start, connection) = (State::default(), Instant::now(), ConnectionId::generate());
        let deprecated = || seen(connection, SunsetReason::Deprecated, None);
        assert!(state.take(deprecated(), start));
        assert!((0..3_600).all(|s| !state.take(deprecated(), start + Duration::from_secs(s))));
        assert!(state.take(deprecated(), start + EVERY));
        // Of another connection, reason or day it is another.
        assert!(state.take(seen(ConnectionId::generate(), SunsetReason::Deprecated, None), start));
        let ends = |at| seen(connection, SunsetReason::AnnouncedByHeader, Some(at));
        assert!(state.take(ends("2027-03-27T00:00:00Z"), start));
        assert!(!state.take(ends("2027-03-27T00:00:01Z"), start));
        assert!(state.take(ends("2027-04-27T00:00:00Z"), start));
    }

    #[test]
    fn what_waits_is_bounded_and_what_finds_no_room_is_not_taken_for_written() {
        let (mut state, now) = (State::default(), Instant::now());
        let many = WAITING_MAX * 2;
        let connections: Vec<ConnectionId> = (0..many).map(|_| ConnectionId::generate()).collect();
        let mut taken = |connections: &[ConnectionId]| {
            let taken = connections.iter().filter(|id| state.take(seen(**id, SunsetReason::Deprecated, None), now)).count();
            state.waiting.clear();
            taken
        };
        assert_eq!(taken(&connections), WAITING_MAX);
        assert_eq!(taken(&connections), WAITING_MAX, "the other half, which the next answers say again");
        assert_eq!(taken(&connections), 0);
    }
}
