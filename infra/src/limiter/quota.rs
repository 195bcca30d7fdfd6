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
            && let Some(spent) = redis.spend(owner, &[("", quota)], calls).await
        {
            return spent;
        }
        self.0.quotas.spend(owner, self.blind(quota), calls, Instant::now())
    }

    /// Takes a call of a part of `owner`'s, and of all its parts together: of both, or of neither. What it says is of the one that lets less follow.
    pub async fn spend_part(&self, owner: &str, of_all: Quota, part: &str, quota: Quota) -> Spent {
        let part = format!(":{part}");
        if let Some(redis) = &self.0.redis
            && let Some(spent) = redis.spend(owner, &[(part.as_str(), quota), ("", of_all)], 1.0).await
        {
            return spent;
        }
        self.0.quotas.spend_part(owner, self.blind(of_all), &part, self.blind(quota), Instant::now())
    }

    /// What this process keeps within where it cannot know of the others.
    fn blind(&self, quota: Quota) -> Quota {
        if self.0.shares_blindly { quota.halved() } else { quota }
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

    fn spend_part(&self, owner: &str, of_all: Quota, part: &str, quota: Quota, at: Instant) -> Spent {
        let part = format!("{owner}{part}");
        let spent = self.spend(&part, quota, 1.0, at);
        if !spent.is_granted {
            return spent;
        }
        let of_all = self.spend(owner, of_all, 1.0, at);
        if !of_all.is_granted {
            // A call that was not let in costs its part nothing.
            self.spend(&part, quota, -1.0, at);
        }
        spent.tighter(of_all)
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
            let found = redis.spend("somebody", &[("", quota)], calls).await.unwrap();
            assert_eq!(found, expected, "step {step}");
            granted += u32::from(found.is_granted);
            refused += u32::from(!found.is_granted);
        }
        assert!(granted > 100 && refused > 40, "the sequence does what is to be compared: {granted} {refused}");
    }

    /// With Redis where `REDIS_URL` is set, as the checks do.
    #[tokio::test]
    async fn a_call_of_a_part_is_of_all_its_parts_too_or_of_neither() {
        let url = std::env::var("REDIS_URL").ok().filter(|url| !url.is_empty());
        let prefix = format!("test-{}.", uuid::Uuid::new_v4().simple());
        let with_redis = url.map(|url| Limiter::redis(&url, &prefix, TIMEOUT).unwrap());
        for limiter in [Some(Limiter::in_process(TIMEOUT)), with_redis].into_iter().flatten() {
            let (of_all, narrow, wide) = (Quota::at_once(3), Quota::at_once(1), Quota::at_once(5));
            let take = async |part: &str, quota: Quota| {
                let spent = limiter.spend_part("owner", of_all, part, quota).await;
                (spent.is_granted, spent.quota, spent.left)
            };
            assert_eq!(take("a", narrow).await, (true, narrow, 0));
            assert_eq!(take("a", narrow).await, (false, narrow, 0));
            assert_eq!(take("b", wide).await, (true, of_all, 1), "what a part was refused is not spent of all");
            assert_eq!(take("b", wide).await, (true, of_all, 0));
            assert_eq!(take("b", wide).await, (false, of_all, 0));
            let left = match &limiter.0.redis {
                Some(redis) => redis.spend("owner", &[(":b", wide)], 0.0).await.unwrap().left,
                None => limiter.0.quotas.spend("owner:b", wide, 0.0, Instant::now()).left,
            };
            assert_eq!(left, 3, "what was refused of all is not spent of a part");
        }
    }
}
