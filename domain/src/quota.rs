//! How often somebody may ask us: so many calls a minute, and so many at once (GCRA). One number is kept of each who asks: the moment at which all that
//! they took has come back. `infra/src/limiter/quota.lua` is the same in Redis, step by step; whoever changes one changes the other, and a test runs both.

const MINUTE_MS: f64 = 60_000.0;
/// What is lost to rounding of doubles, as a share of a call.
const SLACK: f64 = 1e-6;

/// What somebody may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    pub per_minute: u32,
    /// Calls at once, after a while of none.
    pub burst: u32,
}

/// What came of asking.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spent {
    pub is_granted: bool,
    pub quota: Quota,
    /// Calls that could follow at once.
    pub left: u32,
    /// When a call would be let in, ms from now; 0 where one would be at once.
    pub wait_ms: f64,
    /// When the whole burst is there again, ms from now.
    pub full_ms: f64,
}

impl Quota {
    /// A sixth of a minute's calls at once.
    #[must_use]
    pub fn per_minute(calls: u32) -> Self {
        Self { per_minute: calls.max(1), burst: (calls / 6).max(1) }
    }

    /// All calls of a minute at once.
    #[must_use]
    pub fn at_once(calls: u32) -> Self {
        Self { per_minute: calls.max(1), burst: calls.max(1) }
    }

    /// What a process keeps within that cannot know what the others let in.
    #[must_use]
    pub fn halved(self) -> Self {
        Self { per_minute: (self.per_minute / 2).max(1), burst: (self.burst / 2).max(1) }
    }

    /// The time in which one call comes back, ms.
    #[must_use]
    pub fn interval_ms(self) -> f64 {
        MINUTE_MS / f64::from(self.per_minute.max(1))
    }

    /// Takes so many calls, or none where there is no room. `back_at` is what was kept (0: nothing), and what is to be kept is the first of the answer. With
    /// 0 it is a look, and with less it gives back: both are always granted.
    #[must_use]
    pub fn spend(self, back_at: f64, calls: f64, now: f64) -> (f64, Spent) {
        let interval = self.interval_ms();
        let most = interval * f64::from(self.burst);
        // What was kept under a larger quota counts as a whole burst of this one.
        let was = back_at.max(now).min(now + most);
        let wanted = (was + calls * interval).max(now);
        let is_granted = calls <= 0.0 || wanted - now <= most + interval * SLACK;
        let back_at = if is_granted { wanted } else { was };
        let left = ((most - (back_at - now)) / interval + SLACK).floor().max(0.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of calls, not above the burst")]
        let left = left as u32;
        let wait_ms = if left >= 1 { 0.0 } else { (back_at + interval - now - most).max(0.0) };
        (back_at, Spent { is_granted, quota: self, left, wait_ms, full_ms: back_at - now })
    }
}

impl Spent {
    /// Of two that both count, the one that lets less follow.
    #[must_use]
    pub fn tighter(self, other: Self) -> Self {
        let room = |spent: &Self| (spent.is_granted, spent.left, spent.quota.per_minute);
        if room(&other) < room(&self) { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_come_back_one_by_one_and_no_more_than_the_burst() {
        let quota = Quota { per_minute: 60, burst: 3 };
        let mut kept = 0.0;
        let mut take = |now: f64, calls: f64| {
            let (next, spent) = quota.spend(kept, calls, now);
            kept = next;
            (spent.is_granted, spent.left, spent.wait_ms, spent.full_ms)
        };
        assert_eq!(take(10_000.0, 1.0), (true, 2, 0.0, 1_000.0));
        assert_eq!(take(10_000.0, 1.0), (true, 1, 0.0, 2_000.0));
        assert_eq!(take(10_000.0, 1.0), (true, 0, 1_000.0, 3_000.0));
        assert_eq!(take(10_400.0, 1.0), (false, 0, 600.0, 2_600.0), "what is refused takes nothing");
        assert_eq!(take(11_000.0, 1.0), (true, 0, 1_000.0, 3_000.0));
        assert_eq!(take(11_000.0, 0.0), (true, 0, 1_000.0, 3_000.0), "a look takes nothing");
        assert_eq!(take(11_000.0, -1.0), (true, 1, 0.0, 2_000.0), "what was given back is there");
        assert_eq!(take(90_000.0, -1.0), (true, 3, 0.0, 0.0), "and never more than the burst");
        assert_eq!(take(90_000.0, 4.0), (false, 3, 0.0, 0.0));
    }

    #[test]
    fn a_quota_that_was_made_smaller_counts_from_now_on() {
        let large = Quota::at_once(60_000);
        let (kept, _) = large.spend(0.0, 60_000.0, 0.0);
        let (_, spent) = Quota::per_minute(60).spend(kept, 1.0, 0.0);
        assert!(!spent.is_granted && spent.wait_ms <= 10_000.0, "{spent:?}");
    }

    #[test]
    fn of_two_quotas_the_tighter_one_is_told() {
        let (_, wide) = Quota::per_minute(600).spend(0.0, 1.0, 0.0);
        let (kept, narrow) = Quota::per_minute(12).spend(0.0, 1.0, 0.0);
        assert_eq!((wide.tighter(narrow), narrow.tighter(wide)), (narrow, narrow));
        let (kept, _) = Quota::per_minute(12).spend(kept, 1.0, 0.0);
        let (_, refused) = Quota::per_minute(12).spend(kept, 1.0, 0.0);
        let (_, last) = Quota::per_minute(6).spend(0.0, 1.0, 0.0);
        assert_eq!((refused.left, last.left), (0, 0));
        assert_eq!((refused.tighter(last), last.tighter(refused)), (refused, refused), "what refuses comes first");
    }

    #[test]
    fn a_sixth_goes_at_once_and_one_at_least() {
        assert_eq!(Quota::per_minute(600), Quota { per_minute: 600, burst: 100 });
        assert_eq!(Quota::per_minute(1), Quota { per_minute: 1, burst: 1 });
        assert_eq!(Quota::per_minute(1).halved(), Quota { per_minute: 1, burst: 1 });
    }
}
