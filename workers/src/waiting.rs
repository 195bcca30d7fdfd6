//! What waits in a worker's memory for its turn. The rows wait in Postgres; what finds no room here the sweeper brings again.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use domain::id::TenantId;
use domain::lane::Lane;
use domain::schedule::{Bill, Schedule, Turn};
use tokio::sync::{Notify, oneshot};
use uuid::Uuid;

/// Ids of rows that wait, each once.
pub struct Ids {
    schedule: Schedule<Uuid>,
    known: HashSet<Uuid>,
    began: Instant,
}

impl Ids {
    /// `waits_max` is for each tenant and lane.
    pub fn new(waits_max: usize) -> Self {
        Self { schedule: Schedule::new(waits_max), known: HashSet::new(), began: Instant::now() }
    }

    pub fn is_empty(&self) -> bool {
        self.schedule.is_empty()
    }

    pub fn len(&self) -> usize {
        self.schedule.len()
    }

    pub fn push(&mut self, lane: Lane, tenant: TenantId, weight: u16, ids: &[Uuid]) {
        let now = self.began.elapsed();
        for id in ids {
            if self.known.insert(*id) && self.schedule.push(lane, tenant, weight, *id, now).is_err() {
                self.known.remove(id);
            }
        }
    }

    pub fn next(&mut self, max: usize) -> Option<Turn<Uuid>> {
        let turn = self.schedule.next(max, self.began.elapsed())?;
        for id in &turn.items {
            self.known.remove(id);
        }
        Some(turn)
    }

    pub fn charge(&mut self, bill: Bill, took: Duration) {
        self.schedule.charge(bill, took);
    }
}

/// Ids of all tenants, between whoever hears of them and those who work on them.
pub struct Waiting {
    ids: Mutex<Ids>,
    arrived: Notify,
}

impl Waiting {
    pub fn new(waits_max: usize) -> Self {
        Self { ids: Mutex::new(Ids::new(waits_max)), arrived: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Ids> {
        self.ids.lock().expect("no code panics while it holds the ids")
    }

    pub fn push(&self, lane: Lane, tenant: TenantId, weight: u16, ids: &[Uuid]) {
        self.lock().push(lane, tenant, weight, ids);
        self.arrived.notify_one();
    }

    /// The next turn, of `max` ids at most, as soon as there is one. Where nothing waited it lingers for company.
    pub async fn next(&self, max: usize, linger: Duration) -> Turn<Uuid> {
        let mut has_waited = false;
        loop {
            let turn = {
                let mut ids = self.lock();
                let turn = if has_waited && ids.len() < max { None } else { ids.next(max) };
                if turn.is_some() && !ids.is_empty() {
                    self.arrived.notify_one();
                }
                turn
            };
            match turn {
                Some(turn) => return turn,
                None if has_waited => {
                    tokio::time::sleep(linger).await;
                    has_waited = false;
                }
                None => {
                    self.arrived.notified().await;
                    has_waited = true;
                }
            }
        }
    }

    pub fn charge(&self, bill: Bill, took: Duration) {
        self.lock().charge(bill, took);
    }
}

/// A fair semaphore: of those who wait the scheduler's next one goes.
pub struct Turns {
    inner: Mutex<Inner>,
    began: Instant,
}

struct Inner {
    schedule: Schedule<oneshot::Sender<Held>>,
    free: usize,
}

/// A turn under way; its worker time is charged when it is dropped.
pub struct Held {
    turns: Option<Arc<Turns>>,
    bill: Bill,
    started: Instant,
}

impl Turns {
    pub fn new(at_once: usize) -> Arc<Self> {
        let inner = Inner { schedule: Schedule::new(usize::MAX), free: at_once };
        Arc::new(Self { inner: Mutex::new(inner), began: Instant::now() })
    }

    /// Waits for the tenant's turn.
    pub async fn take(self: &Arc<Self>, lane: Lane, tenant: TenantId, weight: u16) -> Option<Held> {
        let (granted, turn) = oneshot::channel();
        {
            let mut inner = self.lock();
            // There is always room.
            let _ = inner.schedule.push(lane, tenant, weight, granted, self.began.elapsed());
            self.grant(&mut inner);
        }
        turn.await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no code panics while it holds the turns")
    }

    fn grant(self: &Arc<Self>, inner: &mut Inner) {
        while inner.free > 0 {
            let Some(turn) = inner.schedule.next(1, self.began.elapsed()) else { return };
            let bill = turn.bill();
            for granted in turn.items {
                let held = Held { turns: Some(self.clone()), bill, started: Instant::now() };
                match granted.send(held) {
                    Ok(()) => inner.free -= 1,
                    // Whoever waited is gone: it costs nothing, and gives nothing back.
                    Err(mut held) => {
                        held.turns = None;
                        inner.schedule.charge(bill, Duration::ZERO);
                    }
                }
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(turns) = self.turns.take() else { return };
        let mut inner = turns.lock();
        inner.schedule.charge(self.bill, self.started.elapsed());
        inner.free += 1;
        turns.grant(&mut inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_turn_that_nobody_waits_for_any_more_goes_to_the_next() {
        let turns = Turns::new(1);
        let (acme, other) = (TenantId::generate(), TenantId::generate());
        let first = turns.take(Lane::Live, acme, 1).await.unwrap();
        let mut gone = Box::pin(turns.take(Lane::Live, acme, 1));
        assert!(futures::poll!(&mut gone).is_pending());
        drop(gone);
        let mut next = Box::pin(turns.take(Lane::Live, other, 1));
        assert!(futures::poll!(&mut next).is_pending(), "one turn at a time");
        drop(first);
        let second = next.await.unwrap();
        drop(second);
        turns.take(Lane::Backfill, acme, 1).await.unwrap();
    }

    #[tokio::test]
    async fn an_id_that_waits_already_does_not_wait_twice() {
        let waiting = Waiting::new(10);
        let id = Uuid::now_v7();
        let acme = TenantId::generate();
        waiting.push(Lane::Live, acme, 1, &[id, id]);
        waiting.push(Lane::Retry, acme, 1, &[id]);
        assert_eq!(waiting.next(10, Duration::ZERO).await.items, [id]);
        assert!(futures::poll!(Box::pin(waiting.next(10, Duration::ZERO))).is_pending());
    }
}
