//! How far ahead a lane works: how long things take here, how many calls are begun, and how many deliveries make one call.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Calls that one lane begins ahead, whatever the vendor allows.
const WINDOW_MAX: u32 = 256;
/// How long a started attempt may wait for a slot of the vendor's limit.
pub const SLOT_WAIT: Duration = Duration::from_secs(2);

/// How long things take here, as a moving average: what decides how many calls are begun ahead.
#[derive(Default)]
pub struct Pace(AtomicU64);

impl Pace {
    pub fn note(&self, took: Duration) {
        let (old, new) = (self.0.load(Ordering::Relaxed), u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(60_000_000));
        self.0.store(if old == 0 { new } else { (old * 7 + new) / 8 }, Ordering::Relaxed);
    }

    pub fn us(&self) -> u64 {
        self.0.load(Ordering::Relaxed).max(1)
    }
}

/// So many calls begun that the vendor's slots stay busy while the next batch is loaded and committed: no more, because a begun attempt
/// that waits for its slot is one that a crash makes unknown.
pub fn window(concurrency_max: u32, begin_us: u64, call_us: u64) -> usize {
    if u128::from(call_us) >= SLOT_WAIT.as_micros() {
        // What is begun beyond the slots would only find out that none becomes free in time.
        return usize::try_from(concurrency_max).unwrap_or(usize::MAX);
    }
    let ahead = u64::from(concurrency_max) * 2 * begin_us / call_us;
    let least = u64::from(concurrency_max) + u64::from(concurrency_max) / 2 + 1;
    usize::try_from((u64::from(concurrency_max) + ahead).clamp(least, u64::from(WINDOW_MAX.max(concurrency_max * 2))))
        .unwrap_or(usize::MAX)
}

/// How many deliveries a lane may take for each call of its window, after it began so many of them with so many calls: as many as went
/// together last, and twice as many where all went in one. Where each needs a call of its own, it is one again.
pub fn per_call(deliveries: usize, calls: usize) -> usize {
    match calls {
        0 => 1,
        1 if deliveries > 1 => deliveries * 2,
        calls => (deliveries / calls).max(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_vendor_gets_calls_ahead_and_a_slow_one_hardly_more_than_its_slots() {
        assert_eq!(window(15, 20_000, 5_000), 135);
        assert_eq!(window(5, 20_000, 1_000_000), 8);
        assert_eq!(window(5, 20_000, 30_000_000), 5);
        assert_eq!(window(1, 20_000, 100), 256);
        assert_eq!(window(200, 1, 1_000_000), 301);
    }

    #[test]
    fn a_lane_takes_more_for_each_call_only_where_deliveries_went_together() {
        assert_eq!((per_call(0, 0), per_call(1, 1), per_call(40, 40)), (1, 1, 1));
        assert_eq!((per_call(3, 1), per_call(100, 5), per_call(100, 60)), (6, 20, 1));
    }
}
