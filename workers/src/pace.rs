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

/// How many calls are begun ahead, and when the next ones are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Calls that are begun, in the vendor's slots and before them.
    pub most: usize,
    /// The next batch is begun when there is room for so many: one by one they would cost a transaction each.
    pub batch: usize,
}

impl Window {
    /// So many that the vendor's slots stay busy while the next batch is loaded and committed: no more, because a begun attempt that waits for
    /// its slot is one that a crash makes unknown.
    pub fn of(concurrency_max: u32, begin_us: u64, call_us: u64) -> Self {
        let slots = u64::from(concurrency_max);
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let slot_wait_us = u64::try_from(SLOT_WAIT.as_micros()).unwrap_or(u64::MAX);
        if call_us >= slot_wait_us {
            // What is begun beyond the slots would only find out that none becomes free in time. A slot is worth more than a transaction.
            return Self { most: count(slots), batch: 1 };
        }
        // Calls that end while one batch is begun. Half as many more wait behind the full slots, because neither takes the same time each time.
        let ending = (slots * begin_us).div_ceil(call_us);
        let (behind, batch) = (ending + ending.div_ceil(2), (ending * 2).max(slots / 4).max(1));
        // Who stands behind so many finds no slot in time; half of that, because neither call takes the same time.
        let in_time = slots * (slot_wait_us / 2) / call_us;
        let ahead = (behind + batch).min(in_time).min(u64::from(WINDOW_MAX.max(concurrency_max * 2)) - slots);
        Self { most: count(slots + ahead), batch: count(batch.min(ahead.div_ceil(2)).max(1)) }
    }

    /// Within what finds its turn: what is begun beyond it would only find out that there is none.
    pub fn within(self, turns_max: Option<usize>) -> Self {
        let most = self.most.min(turns_max.unwrap_or(usize::MAX));
        Self { most, batch: self.batch.min(most.div_ceil(2)).max(1) }
    }
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
        let window = |slots, begin_us, call_us| {
            let Window { most, batch } = Window::of(slots, begin_us, call_us);
            (most, batch)
        };
        assert_eq!(window(15, 20_000, 5_000), (225, 105));
        assert_eq!(window(10, 30_000, 50_000), (31, 11));
        assert_eq!(window(5, 20_000, 1_000_000), (9, 2));
        assert_eq!(window(5, 20_000, 30_000_000), (5, 1));
        assert_eq!(window(1, 20_000, 100), (256, 128));
        assert_eq!(window(200, 1, 1_000_000), (252, 26));
    }

    #[test]
    fn no_slot_is_empty_while_the_next_batch_is_begun() {
        for slots in [1, 2, 3, 5, 10, 15, 40, 100] {
            for (begin_us, call_us) in [(5_000, 50_000), (30_000, 50_000), (50_000, 50_000), (20_000, 150_000)] {
                let Window { most, batch } = Window::of(slots, begin_us, call_us);
                let slots = usize::try_from(slots).unwrap();
                // The fewest that are begun when a batch is: they fill the slots until it is there.
                let ending = (slots * usize::try_from(begin_us).unwrap()).div_ceil(usize::try_from(call_us).unwrap());
                let is_cut = most == usize::try_from(WINDOW_MAX).unwrap();
                assert!(
                    is_cut || most - batch >= slots + ending,
                    "{slots} slots, {begin_us} of {call_us} us: {most} less {batch}"
                );
            }
        }
    }

    #[test]
    fn what_is_begun_ahead_finds_its_slot_in_time() {
        for slots in [1, 5, 40] {
            for call_us in [100, 5_000, 300_000, 900_000, 1_900_000] {
                let window = Window::of(slots, 30_000, call_us);
                let ahead = u64::try_from(window.most).unwrap() - u64::from(slots);
                assert!(
                    Duration::from_micros(ahead * call_us / u64::from(slots)) <= SLOT_WAIT / 2,
                    "{slots} slots, {call_us} us: {window:?}"
                );
            }
        }
    }

    #[test]
    fn what_finds_no_turn_is_not_begun() {
        let window = Window { most: 31, batch: 12 };
        assert_eq!(window.within(None), window);
        assert_eq!(window.within(Some(8)), Window { most: 8, batch: 4 });
        assert_eq!(window.within(Some(1)), Window { most: 1, batch: 1 });
    }

    #[test]
    fn a_lane_takes_more_for_each_call_only_where_deliveries_went_together() {
        assert_eq!((per_call(0, 0), per_call(1, 1), per_call(40, 40)), (1, 1, 1));
        assert_eq!((per_call(3, 1), per_call(100, 5), per_call(100, 60)), (6, 20, 1));
    }
}
