//! Who is served next: lanes in their order, with ageing, and within a lane the tenants by deficit round robin over worker time.
//!
//! Deficit round robin (Shreedhar and Varghese, SIGCOMM 1995) gives each tenant the same time, weighted, in a constant number of steps. What a
//! turn takes is known when it is over, so the usual cost is charged when it begins, and the difference at its end.
//!
//! Pure: time comes in as what has passed since any fixed moment.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use crate::id::TenantId;
use crate::lane::Lane;

/// Worker time that a tenant of weight 1 may use in one round, µs.
const QUANTUM_US: i64 = 20_000;
/// What the first turn is taken to cost for each item, µs.
const COST_FIRST_US: i64 = 500;

/// What waits for its turn.
#[derive(Debug)]
pub struct Schedule<T> {
    lines: [Line<T>; 3],
    accounts: HashMap<TenantId, Account>,
    /// Items of one tenant in one lane.
    waits_max: usize,
    /// What one item costs, as a moving average, µs.
    cost_us: i64,
}

/// A lane: the tenants that have something in it, in the order of their turns.
#[derive(Debug)]
struct Line<T> {
    ring: VecDeque<TenantId>,
    queues: HashMap<TenantId, VecDeque<(Duration, T)>>,
    count: usize,
    /// How many it may be served out of its turn, because it has aged.
    credit: f64,
}

#[derive(Debug)]
struct Account {
    /// Worker time that is left in this round; what was used beyond it is paid in the next.
    deficit_us: i64,
    weight: i64,
    /// Items in all lanes.
    waiting: usize,
}

/// A turn: items of one tenant and one lane, first come first.
#[derive(Debug)]
pub struct Turn<T> {
    pub tenant: TenantId,
    pub lane: Lane,
    pub items: Vec<T>,
    charged_us: i64,
}

/// What is to be told when a turn is over.
#[derive(Debug, Clone, Copy)]
pub struct Bill {
    tenant: TenantId,
    count: usize,
    charged_us: i64,
}

impl<T> Turn<T> {
    #[must_use]
    pub fn bill(&self) -> Bill {
        Bill { tenant: self.tenant, count: self.items.len(), charged_us: self.charged_us }
    }
}

impl<T> Schedule<T> {
    /// `waits_max` is how many items of a tenant may wait in each lane.
    #[must_use]
    pub fn new(waits_max: usize) -> Self {
        let line = || Line { ring: VecDeque::new(), queues: HashMap::new(), count: 0, credit: 0.0 };
        Self { lines: [line(), line(), line()], accounts: HashMap::new(), waits_max, cost_us: COST_FIRST_US }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.lines.iter().all(|line| line.count == 0)
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.lines.iter().map(|line| line.count).sum()
    }

    /// Lets an item wait. Gives it back where too many of its tenant's wait in that lane already. `weight` is the tenant's share beside a
    /// tenant of weight 1.
    ///
    /// # Errors
    /// The item, where there is no room.
    pub fn push(&mut self, lane: Lane, tenant: TenantId, weight: u16, item: T, now: Duration) -> Result<(), T> {
        let line = &mut self.lines[lane.index()];
        let queue = line.queues.entry(tenant).or_default();
        if queue.len() >= self.waits_max {
            return Err(item);
        }
        if queue.is_empty() {
            line.ring.push_back(tenant);
        }
        queue.push_back((now, item));
        line.count += 1;
        let account = self.accounts.entry(tenant).or_insert(Account { deficit_us: QUANTUM_US, weight: 1, waiting: 0 });
        account.weight = i64::from(weight.max(1));
        account.waiting += 1;
        Ok(())
    }

    /// The next turn, of `max` items at most; none where nothing waits.
    pub fn next(&mut self, max: usize, now: Duration) -> Option<Turn<T>> {
        let lane = self.next_lane(now)?;
        let max = if self.is_out_of_turn(lane) { max.min(whole(self.lines[lane.index()].credit)) } else { max };
        let tenant = self.next_tenant(lane)?;
        let line = &mut self.lines[lane.index()];
        let queue = line.queues.get_mut(&tenant)?;
        let items: Vec<T> = queue.drain(..max.max(1).min(queue.len())).map(|(_, item)| item).collect();
        line.count -= items.len();
        if queue.is_empty() {
            line.queues.remove(&tenant);
            line.ring.pop_front();
        }
        self.note_served(lane, items.len(), now);
        let charged_us = self.cost_us.saturating_mul(i64::try_from(items.len()).unwrap_or(i64::MAX));
        if let Some(account) = self.accounts.get_mut(&tenant) {
            account.deficit_us = account.deficit_us.saturating_sub(charged_us);
            account.waiting -= items.len();
            // Who has nothing waiting neither saves up turns nor pays for old ones.
            if account.waiting == 0 {
                self.accounts.remove(&tenant);
            }
        }
        Some(Turn { tenant, lane, items, charged_us })
    }

    /// A turn is over, and took so much worker time.
    pub fn charge(&mut self, bill: Bill, took: Duration) {
        let took_us = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        if bill.count > 0 {
            let each = took_us / i64::try_from(bill.count).unwrap_or(i64::MAX);
            self.cost_us = ((self.cost_us.saturating_mul(15).saturating_add(each)) / 16).max(1);
        }
        if let Some(account) = self.accounts.get_mut(&bill.tenant) {
            account.deficit_us = account.deficit_us.saturating_add(bill.charged_us).saturating_sub(took_us);
        }
    }

    /// Live before retry before backfill, but for what has waited long and saved up its share.
    fn next_lane(&self, now: Duration) -> Option<Lane> {
        let waits = |lane: &Lane| self.lines[lane.index()].count > 0;
        let aged = Lane::ALL
            .into_iter()
            .rev()
            .filter(waits)
            .find(|lane| *lane != Lane::Live && self.lines[lane.index()].credit >= 1.0 && self.has_aged(*lane, now));
        aged.or_else(|| Lane::ALL.into_iter().find(waits))
    }

    fn has_aged(&self, lane: Lane, now: Duration) -> bool {
        let line = &self.lines[lane.index()];
        let oldest = line.ring.front().and_then(|tenant| line.queues.get(tenant)?.front());
        oldest.is_some_and(|(since, _)| now.saturating_sub(*since) >= lane.aged_after())
    }

    fn is_out_of_turn(&self, lane: Lane) -> bool {
        Lane::ALL.into_iter().any(|before| before < lane && self.lines[before.index()].count > 0)
    }

    /// What was served of a lane lets those behind it save up, where they have aged.
    fn note_served(&mut self, served: Lane, count: usize, now: Duration) {
        #[expect(clippy::cast_precision_loss, reason = "a turn is of some hundreds at most")]
        let count = count as f64;
        for lane in Lane::ALL {
            if lane > served && self.has_aged(lane, now) {
                let line = &mut self.lines[lane.index()];
                line.credit = (line.credit + count * lane.share()).min(100.0);
            }
        }
        let line = &mut self.lines[served.index()];
        line.credit = (line.credit - count).max(0.0);
    }

    /// The tenant at the front of the ring that has time left, after as many rounds as that takes.
    fn next_tenant(&mut self, lane: Lane) -> Option<TenantId> {
        let ring = &mut self.lines[lane.index()].ring;
        for _ in 0..ring.len() {
            let tenant = *ring.front()?;
            if self.accounts.get(&tenant).is_none_or(|account| account.deficit_us > 0) {
                return Some(tenant);
            }
            ring.rotate_left(1);
        }
        // Nobody has time left: as many rounds begin as it takes until somebody has, for all of this lane at once.
        let account = |tenant: &TenantId| self.accounts.get(tenant);
        let rounds =
            ring.iter().filter_map(account).map(|a| 1 + a.deficit_us.saturating_neg() / (QUANTUM_US * a.weight)).min()?;
        let tenants: Vec<TenantId> = ring.iter().copied().collect();
        for tenant in tenants {
            if let Some(account) = self.accounts.get_mut(&tenant) {
                account.deficit_us = account.deficit_us.saturating_add(rounds.saturating_mul(QUANTUM_US * account.weight));
            }
        }
        let at = ring.iter().position(|tenant| self.accounts.get(tenant).is_none_or(|account| account.deficit_us > 0))?;
        ring.rotate_left(at);
        ring.front().copied()
    }
}

fn whole(credit: f64) -> usize {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 0 and 100")]
    let whole = credit as usize;
    whole
}
