//! How often somebody may ask us, over all processes together: one number in Redis for each who asks, one atomic script for each call. While Redis is
//! away, half of it within this process.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use domain::quota::{Quota, Spent};

use super::Limiter;

/// Who is counted in this process at once. Anybody can make up another address, so this is what holds.
const OWNERS_MAX: usize = 50_000;
/// How often a full map looks for those who have all back: the look costs a pass over all of them.
const PURGE_EVERY: Duration = Duration::from_secs(1);

impl Limiter {
    /// Takes so many calls of `owner`'s quota, or says that there is no room; 0 looks and a negative number gives back. `owner` says who is counted and for
    /// what: what belongs to a tenant begins with its id, so that no tenant takes another's.
    pub async fn spend(&self, owner: &str, quota: Quota, calls: f64) -> Spent {
        if let Some(redis) = &self.0.redis
            && let Some(spent) = redis.spend(owner, quota, calls).await
        {
            return spent;
        }
        let quota = if self.0.shares_blindly { quota.halved() } else { quota };
        self.0.quotas.spend(owner, quota, calls, Instant::now())
    }
}

/// Those who are counted in this process's memory.
pub(super) struct Quotas {
    began: Instant,
    kept: Mutex<Kept>,
    owners_max: usize,
}

#[derive(Default)]
struct Kept {
    by_owner: HashMap<String, f64>,
    /// What those share for whom there is no room: a flood of new ones is bounded as one, and those who are known keep their own.
    rest: f64,
    purged_at: Option<Instant>,
}

impl Default for Quotas {
    fn default() -> Self {
        Self::of(OWNERS_MAX)
    }
}

impl Quotas {
    fn of(owners_max: usize) -> Self {
        Self { began: Instant::now(), kept: Mutex::default(), owners_max }
    }

    fn spend(&self, owner: &str, quota: Quota, calls: f64, at: Instant) -> Spent {
        let now = at.saturating_duration_since(self.began).as_secs_f64() * 1000.0;
        let mut kept = self.kept.lock().expect("no code panics while it holds the quotas");
        let Kept { by_owner, rest, purged_at } = &mut *kept;
        let is_new = !by_owner.contains_key(owner);
        let is_full = is_new && by_owner.len() >= self.owners_max;
        if is_full && purged_at.is_none_or(|purged| at.saturating_duration_since(purged) >= PURGE_EVERY) {
            *purged_at = Some(at);
            by_owner.retain(|_, back_at| *back_at > now);
        }
        let has_no_room = is_new && by_owner.len() >= self.owners_max;
        let was = if has_no_room { *rest } else { by_owner.get(owner).copied().unwrap_or_default() };
        let (back_at, spent) = quota.spend(was, calls, now);
        if has_no_room {
            *rest = back_at;
        } else if back_at > now {
            by_owner.insert(owner.to_owned(), back_at);
        } else {
            by_owner.remove(owner);
        }
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    #[test]
    fn a_flood_of_callers_shares_one_quota_and_takes_nobodys() {
        let (quotas, quota) = (Quotas::of(3), Quota::at_once(2));
        let start = quotas.began;
        let take = |owner: u32, at: Instant| quotas.spend(&owner.to_string(), quota, 1.0, at).is_granted;
        assert!(take(0, start));
        assert_eq!(
            (1..1_000).filter(|owner| take(*owner, start)).count(),
            2 + 2,
            "each asks once: two with their own, and the rest with one of two calls"
        );
        assert!(take(0, start) && !take(0, start));
        assert!(take(5_000, start + Duration::from_secs(61)), "who has all back makes room");
    }

    #[tokio::test]
    async fn quotas_hold_for_each_by_itself_and_without_redis_by_half() {
        let (alone, blind) = (Limiter::in_process(TIMEOUT), Limiter::without_redis(TIMEOUT));
        let gone = Limiter::redis("redis://127.0.0.1:1", "x.", TIMEOUT).unwrap();
        for (limiter, granted) in [(alone, 8), (blind, 4), (gone, 4)] {
            for owner in ["ten_1:key_1", "ten_2:key_1"] {
                let mut count = 0;
                while limiter.spend(owner, Quota::at_once(8), 1.0).await.is_granted {
                    count += 1;
                }
                assert_eq!(count, granted, "{owner}");
            }
        }
    }

    /// Runs where `REDIS_URL` is set, as the checks do.
    #[tokio::test]
    async fn the_quota_in_redis_does_what_the_pure_one_does() {
        let Some(url) = std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty()) else { return };
        let prefix = format!("test-{}.", uuid::Uuid::new_v4().simple());
        let mut redis = super::super::redis::Redis::open(&url, &prefix, TIMEOUT).unwrap();
        let (mut now, mut kept, mut dice) = (1_795_512_600_000.25_f64, 0.0, 7_u64);
        let (mut granted, mut refused) = (0, 0);
        for step in 0..600 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            #[expect(clippy::cast_precision_loss, reason = "a small number")]
            let (passed, calls) = (((dice >> 33) % 900) as f64 / 7.0, ((dice >> 45) % 4) as f64 - 1.0);
            now += passed;
            redis.clock = now;
            let quota = if step < 400 { Quota { per_minute: 777, burst: 9 } } else { Quota::per_minute(60) };
            let (next, expected) = quota.spend(kept, calls, now);
            kept = if next > now { next } else { 0.0 };
            let found = redis.spend("somebody", quota, calls).await.unwrap();
            assert_eq!(found, expected, "step {step}");
            granted += u32::from(found.is_granted);
            refused += u32::from(!found.is_granted);
        }
        assert!(granted > 100 && refused > 40, "the sequence does what is to be compared: {granted} {refused}");
    }
}
