//! How often somebody may try: a token bucket for each key, in this process's memory and bounded.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Where a bucket of a minute is full again.
const REFILL: Duration = Duration::from_secs(60);
/// How often a full map looks for buckets that nobody needs any more: the look costs a pass over all of them.
const PURGE_EVERY: Duration = Duration::from_secs(1);

/// So many tries a minute for each key, all of them at once if need be.
pub struct Throttle<K> {
    tries: f64,
    keys_max: usize,
    buckets: Mutex<Buckets<K>>,
}

struct Buckets<K> {
    by_key: HashMap<K, Bucket>,
    /// What keys share that the map has no room for: a flood of new keys is bounded as one, and known keys keep their own.
    rest: Bucket,
    purged_at: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, tries: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64() / REFILL.as_secs_f64();
        *self = Self { left: (self.left + passed * tries).min(tries), at: now };
    }
}

impl<K: Hash + Eq> Throttle<K> {
    #[must_use]
    pub fn new(tries_per_minute: u32, keys_max: usize) -> Self {
        let tries = f64::from(tries_per_minute);
        let rest = Bucket { left: tries, at: Instant::now() };
        Self { tries, keys_max, buckets: Mutex::new(Buckets { by_key: HashMap::new(), rest, purged_at: None }) }
    }

    /// Counts a try; false where there were too many.
    pub fn take(&self, key: K, now: Instant) -> bool {
        self.with(key, now, |bucket| {
            let may = bucket.left >= 1.0;
            bucket.left -= f64::from(u8::from(may));
            may
        })
    }

    /// A try that was counted and should not have been.
    pub fn give_back(&self, key: K, now: Instant) {
        let tries = self.tries;
        self.with(key, now, |bucket| {
            bucket.left = (bucket.left + 1.0).min(tries);
            true
        });
    }

    /// True where a try would be let through, without counting it.
    pub fn may(&self, key: K, now: Instant) -> bool {
        self.with(key, now, |bucket| bucket.left >= 1.0)
    }

    fn with(&self, key: K, now: Instant, act: impl FnOnce(&mut Bucket) -> bool) -> bool {
        let mut buckets = self.buckets.lock().expect("no code panics while it holds the buckets");
        let Buckets { by_key, rest, purged_at } = &mut *buckets;
        let is_full = by_key.len() >= self.keys_max && !by_key.contains_key(&key);
        if is_full && purged_at.is_none_or(|at| now.saturating_duration_since(at) >= PURGE_EVERY) {
            *purged_at = Some(now);
            by_key.retain(|_, bucket| now.saturating_duration_since(bucket.at) < REFILL);
        }
        let bucket = if by_key.len() >= self.keys_max && !by_key.contains_key(&key) {
            rest
        } else {
            by_key.entry(key).or_insert(Bucket { left: self.tries, at: now })
        };
        bucket.refill(self.tries, now);
        act(bucket)
    }
}

/// What stands for one peer: its address, or the /64 network that one holder of IPv6 addresses chooses among.
#[must_use]
pub fn peer(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(v6)) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        Some(v4) => v4,
        None => IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_come_back_with_time_and_keys_do_not_share() {
        let (throttle, start) = (Throttle::new(3, 10), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!([0, 0, 0, 0].map(|second| throttle.take("ann", at(second))), [true, true, true, false]);
        assert!(throttle.take("bob", at(0)));
        throttle.give_back("ann", at(0));
        assert!(throttle.take("ann", at(0)) && !throttle.take("ann", at(0)));
        assert!(!throttle.may("ann", at(19)));
        assert!(throttle.may("ann", at(20)) && throttle.take("ann", at(20)) && !throttle.take("ann", at(20)));
    }

    #[test]
    fn a_flood_of_keys_shares_one_bucket_and_takes_nobodys() {
        let (throttle, start) = (Throttle::new(2, 3), Instant::now());
        assert!(throttle.take(0, start));
        let let_through = (1..1_000).filter(|key| throttle.take(*key, start)).count();
        assert_eq!(let_through, 2 + 2, "two with buckets of their own, and two of the rest");
        assert!(throttle.take(0, start) && !throttle.take(0, start));
        assert!(throttle.take(5_000, start + REFILL), "what is full again makes room");
    }

    #[test]
    fn one_network_is_one_peer() {
        let peer = |text: &str| peer(Some(text.parse().unwrap()));
        assert_eq!(peer("2001:db8:1:2:3::4"), peer("2001:db8:1:2:9::9"));
        assert_ne!(peer("2001:db8:1:2::1"), peer("2001:db8:1:3::1"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    }
}
