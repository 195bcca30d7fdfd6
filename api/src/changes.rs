//! Who looks at a tenant is told when something in it changes. Everything that is done leaves an audit event, so the newest one of each tenant that
//! somebody looks at is asked for once a second, for all of them at once; a tenant that nobody looks at costs nothing.
//!
//! It is a hint and no ledger: two events that are committed out of their order may be told as one. Pages ask again by themselves, too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use domain::id::TenantId;
use infra::chain;
use infra::postgres::Store;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tracing::warn;
use uuid::Uuid;

const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Streams of one process; whoever finds no room asks again and again instead.
const STREAMS_MAX: usize = 2_000;
/// One tenant has at most a quarter of them, so that none sends all others away.
const SHARE: usize = 4;

type Newest = Option<Uuid>;

/// What is watched. Cheap to clone.
#[derive(Clone)]
pub struct Changes(Arc<Inner>);

struct Inner {
    watched: Mutex<Watched>,
    room: Arc<Semaphore>,
    began: Notify,
}

#[derive(Default)]
struct Watched {
    tenants: HashMap<TenantId, watch::Sender<Newest>>,
    is_over: bool,
}

/// Tells of the changes of one tenant.
pub struct Watch {
    newest: watch::Receiver<Newest>,
    _room: OwnedSemaphorePermit,
}

impl Watch {
    /// Returns when something changed since it returned last, and at first as soon as it was looked; false where nobody looks any more.
    pub async fn changed(&mut self) -> bool {
        self.newest.changed().await.is_ok()
    }
}

impl Default for Changes {
    fn default() -> Self {
        Self(Arc::new(Inner { watched: Mutex::default(), room: Arc::new(Semaphore::new(STREAMS_MAX)), began: Notify::new() }))
    }
}

impl Changes {
    /// `None` where there is no room for one more, at all or of this tenant, or this process is about to end.
    #[must_use]
    pub fn watch(&self, tenant: TenantId) -> Option<Watch> {
        let room = self.0.room.clone().try_acquire_owned().ok()?;
        let mut watched = self.lock();
        if watched.is_over {
            return None;
        }
        let newest = watched.tenants.entry(tenant).or_insert_with(|| watch::Sender::new(None));
        if newest.receiver_count() >= STREAMS_MAX / SHARE {
            return None;
        }
        let mut newest = newest.subscribe();
        drop(watched);
        // Whoever comes later is told of what was there before, too: it may have changed since their page was read.
        newest.mark_changed();
        self.0.began.notify_one();
        Some(Watch { newest, _room: room })
    }

    /// Looks until it is told to stop; then every watch ends.
    pub async fn run(&self, store: Store, mut stop: watch::Receiver<bool>) {
        loop {
            let tenants = self.looked_at();
            if tenants.is_empty() {
                tokio::select! {
                    () = self.0.began.notified() => continue,
                    _ = stop.wait_for(|stop| *stop) => break,
                }
            }
            match store.audit_latest(&tenants).await {
                Ok(newest) => self.tell(&newest),
                Err(error) => warn!(error = chain(&error), "Whether something changed is not known; the next look tries again"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        let mut watched = self.lock();
        *watched = Watched { is_over: true, ..Watched::default() };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Watched> {
        self.0.watched.lock().expect("no code panics while it holds what is watched")
    }

    fn looked_at(&self) -> Vec<TenantId> {
        let mut watched = self.lock();
        watched.tenants.retain(|_, newest| newest.receiver_count() > 0);
        watched.tenants.keys().copied().collect()
    }

    fn tell(&self, newest: &[(TenantId, Newest)]) {
        let watched = self.lock();
        for (tenant, id) in newest {
            if let Some(newest) = watched.tenants.get(tenant) {
                newest.send_if_modified(|known| std::mem::replace(known, *id) != *id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn each_who_looks_is_told_at_first_and_then_of_each_change_of_their_own_tenant() {
        let (changes, tenant, other) = (Changes::default(), TenantId::generate(), TenantId::generate());
        let mut first = changes.watch(tenant).unwrap();
        let mut theirs = changes.watch(other).unwrap();
        assert_eq!((first.changed().now_or_never(), theirs.changed().now_or_never()), (Some(true), Some(true)));
        let id = Uuid::now_v7();
        changes.tell(&[(tenant, Some(id))]);
        assert_eq!((first.changed().now_or_never(), theirs.changed().now_or_never()), (Some(true), None));
        changes.tell(&[(tenant, Some(id))]);
        assert_eq!(first.changed().now_or_never(), None, "nothing changed");
        let mut second = changes.watch(tenant).unwrap();
        assert_eq!(second.changed().now_or_never(), Some(true), "whatever was before");
        drop((first, second));
        assert_eq!(changes.looked_at(), [other], "what nobody looks at costs nothing");
    }

    #[tokio::test]
    async fn there_is_room_for_so_many_and_what_leaves_makes_room() {
        let changes = Changes::default();
        let tenants: Vec<TenantId> = (0..SHARE).map(|_| TenantId::generate()).collect();
        let watches = |n: usize| changes.watch(tenants[n % SHARE]).unwrap();
        let mut all: Vec<Watch> = (0..STREAMS_MAX).map(watches).collect();
        assert!(changes.watch(TenantId::generate()).is_none());
        all.pop();
        assert!(changes.watch(TenantId::generate()).is_some());
    }

    #[tokio::test]
    async fn one_tenant_fills_its_share_and_no_more() {
        let (changes, greedy, other) = (Changes::default(), TenantId::generate(), TenantId::generate());
        let mut held: Vec<Watch> = std::iter::from_fn(|| changes.watch(greedy)).take(STREAMS_MAX).collect();
        assert_eq!(held.len(), STREAMS_MAX / SHARE);
        assert!(changes.watch(other).is_some(), "the others have theirs");
        held.pop();
        assert!(changes.watch(greedy).is_some());
    }
}
