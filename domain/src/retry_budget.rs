//! How many of a connection's calls may be retries: a share of its first tries, so that retries never become a storm of their own while a
//! vendor is in trouble. What finds no room waits a little longer and loses nothing.

use std::time::Duration;

/// What each first try adds, retries.
const SHARE: f64 = 0.2;
/// Retries that may come at once after a quiet time.
const BURST: f64 = 50.0;
/// So that a connection without new orders finishes its old ones, retries a second.
const TRICKLE_PER_S: f64 = 2.0;

/// What is left. The time is counted from any fixed moment.
#[derive(Debug, Clone, Copy)]
pub struct RetryBudget {
    left: f64,
    at: Duration,
}

impl RetryBudget {
    #[must_use]
    pub fn new(now: Duration) -> Self {
        Self { left: BURST, at: now }
    }

    pub fn first_try(&mut self) {
        self.left = (self.left + SHARE).min(BURST);
    }

    /// True where there is room for a retry, which is then used.
    pub fn take_retry(&mut self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.left = (self.left + passed * TRICKLE_PER_S).min(BURST);
        self.at = self.at.max(now);
        let is_left = self.left >= 1.0;
        if is_left {
            self.left -= 1.0;
        }
        is_left
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quiet_connection_retries_a_burst_and_then_a_trickle() {
        let mut budget = RetryBudget::new(Duration::ZERO);
        assert_eq!((0..1_000).filter(|_| budget.take_retry(Duration::ZERO)).count(), 50);
        assert_eq!((0..1_000).filter(|_| budget.take_retry(Duration::from_secs(10))).count(), 20);
    }

    proptest! {
        /// However first tries and retries come, the retries are at most the share, the burst and the trickle.
        #[test]
        fn retries_never_exceed_their_share(tries in prop::collection::vec((prop::bool::ANY, 0..50u64), 1..2_000)) {
            let mut budget = RetryBudget::new(Duration::ZERO);
            let (mut first, mut retries, mut now) = (0u32, 0u32, 0u64);
            for (is_retry, passed_ms) in tries {
                now += passed_ms;
                if !is_retry {
                    budget.first_try();
                    first += 1;
                } else if budget.take_retry(Duration::from_millis(now)) {
                    retries += 1;
                }
                #[expect(clippy::cast_precision_loss, reason = "a test runs for seconds")]
                let bound = BURST + f64::from(first) * SHARE + now as f64 / 1_000.0 * TRICKLE_PER_S;
                prop_assert!(f64::from(retries) <= bound + 1e-6);
            }
        }
    }
}
