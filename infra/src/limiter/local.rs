//! Budgets of this process alone.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::governor::{Budget, Heard, Want};

use super::{AHEAD, Asked, AskedBucket, Buckets, BudgetView, Permit, milliseconds};

/// Buckets that are kept; then those that stand as new ones do are forgotten.
const BUCKETS_MAX: usize = 10_000;

pub(super) struct Local {
    lease_ms: f64,
    began: Instant,
    began_ms: f64,
    buckets: Mutex<HashMap<String, LocalBucket>>,
}

#[derive(Debug, Default)]
struct LocalBucket {
    budget: Budget,
    /// The calls under way, and when each is taken to be over.
    leases: HashMap<String, f64>,
}

impl Local {
    pub fn new(lease: Duration) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            lease_ms: lease.as_secs_f64() * 1000.0,
            began: Instant::now(),
            began_ms: since.as_secs_f64() * 1000.0,
            buckets: Mutex::default(),
        }
    }

    /// A clock that never goes back.
    fn now(&self) -> f64 {
        self.began_ms + self.began.elapsed().as_secs_f64() * 1000.0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, LocalBucket>> {
        self.buckets.lock().expect("no code panics while it holds the budgets")
    }

    pub fn take(&self, buckets: &Buckets, lease: &str, halved: bool) -> Asked {
        let now = self.now();
        let mut all = self.lock();
        if all.len() >= BUCKETS_MAX {
            all.retain(|_, bucket| bucket.is_in_use(now));
        }
        let (mut longest, mut is_full) = (0.0_f64, false);
        let mut asked = Vec::with_capacity(buckets.of.len());
        for bucket in &buckets.of {
            let want = want(bucket, halved);
            let local = all.entry(buckets.name(bucket)).or_default();
            local.leases.retain(|_, until| *until > now);
            let pace = local.budget.pace(&want.allowed);
            #[expect(clippy::cast_precision_loss, reason = "a thousand calls at most")]
            let in_flight = if want.allowed.concurrency > 0.0 { local.leases.len() as f64 } else { 0.0 };
            is_full |= want.allowed.concurrency > 0.0 && in_flight >= pace.concurrency;
            let wait_ms = local.budget.wait_ms(&want, now);
            longest = longest.max(wait_ms);
            asked.push(AskedBucket { in_flight, tokens: local.budget.tokens(&want), per_s: pace.per_s, wait_ms });
        }
        let granted = !is_full && longest <= AHEAD.as_secs_f64() * 1000.0;
        if granted {
            for (bucket, asked) in buckets.of.iter().zip(&mut asked) {
                let want = want(bucket, halved);
                let local = all.entry(buckets.name(bucket)).or_default();
                local.budget.take(&want, now);
                if want.allowed.concurrency > 0.0 {
                    local.leases.insert(lease.to_owned(), now + self.lease_ms);
                    asked.in_flight += 1.0;
                }
            }
        }
        Asked { granted, now, wait: milliseconds(longest), buckets: asked }
    }

    pub fn give(&self, permit: &Permit, heard: &[Heard]) {
        let now = self.now();
        let mut all = self.lock();
        for (part, heard) in permit.parts.iter().zip(heard) {
            let local = all.entry(part.key.clone()).or_default();
            local.leases.remove(&permit.lease);
            local.budget.hear(&part.allowed, heard, now);
        }
    }

    pub fn look(&self, buckets: &Buckets) -> Vec<BudgetView> {
        let now = self.now();
        let all = self.lock();
        let view = |bucket: &domain::governor::Bucket| {
            let local = all.get(&buckets.name(bucket));
            BudgetView {
                bucket: bucket.clone(),
                budget: local.map(|local| local.budget).unwrap_or_default(),
                now,
                in_flight: local.map_or(0, |local| local.under_way(now)),
                shared: false,
            }
        };
        buckets.of.iter().map(view).collect()
    }
}

impl LocalBucket {
    fn under_way(&self, now: f64) -> u32 {
        u32::try_from(self.leases.values().filter(|until| **until > now).count()).unwrap_or(u32::MAX)
    }

    /// Something would be lost with it.
    fn is_in_use(&self, now: f64) -> bool {
        let budget = &self.budget;
        !self.leases.is_empty()
            || budget.tat > now
            || budget.blocked_until > now
            || (budget.rate > 0.0 || budget.concurrency > 0.0) && now - budget.changed_at < 3_600_000.0
    }
}

fn want(bucket: &domain::governor::Bucket, halved: bool) -> Want {
    let want = bucket.want();
    if halved { Want { allowed: want.allowed.halved(), ..want } } else { want }
}
