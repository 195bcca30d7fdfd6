//! When a source is listed: as often as its poll says, never all at once, and more seldom while it fails.

use chrono::{DateTime, Duration, Utc};

use crate::record::RecordKind;

/// How often a source may be listed, s.
pub const EVERY_S: std::ops::RangeInclusive<i32> = 30..=604_800;
/// A vendor that is down or refuses us is not asked more seldom than this, s.
const FAILED_WAIT_S_MAX: i64 = 3_600;
/// Reads that fail one after the other before people are told: a passing failure is none of theirs.
pub const FAILURES_TOLD: i32 = 3;
/// A webhook may take so long; what is listed and not here after that was missed.
pub const WEBHOOK_PATIENCE: Duration = Duration::minutes(5);

/// A vendor that lists so many fewer things than before is not believed: more than this, and more than half of them.
pub const ABSENT_MAX: i64 = 10;

/// The topic of a message that tells that a thing is not listed any more.
#[must_use]
pub fn absent_topic(kind: RecordKind) -> String {
    format!("poll/{kind}/absent")
}

/// When the next read begins. `jitter` is uniform in 0..1: polls that were made together drift apart, a tenth of their time at most.
#[must_use]
pub fn next_at(now: DateTime<Utc>, every_s: i32, jitter: f64) -> DateTime<Utc> {
    now + spread(i64::from(every_s), 0.1, jitter)
}

/// When it is tried again after so many failures in a row: soon at first, then ever more seldom, and never more often than it is listed.
#[must_use]
pub fn again_at(now: DateTime<Utc>, every_s: i32, failures: i32, jitter: f64) -> DateTime<Utc> {
    let doubled = i64::from(*EVERY_S.start()).saturating_mul(1 << failures.clamp(0, 20));
    let longest = i64::from(every_s).max(FAILED_WAIT_S_MAX);
    now + spread(doubled.min(longest).max(i64::from(every_s.min(300))), 0.2, jitter)
}

/// About how many records a period has, by some of them and when they changed; `None` where they say no times, or all the same.
#[must_use]
pub fn estimate(count: i64, times: &[DateTime<Utc>], since: DateTime<Utc>, until: DateTime<Utc>) -> Option<i64> {
    let (first, last) = (times.iter().min()?, times.iter().max()?);
    let span = (*last - *first).num_milliseconds();
    let period = (until - since).num_milliseconds();
    (span > 0 && period > 0).then(|| count.saturating_mul(period) / span).map(|estimate| estimate.max(count))
}

fn spread(seconds: i64, share: f64, jitter: f64) -> Duration {
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "milliseconds of a week fit a double")]
    let ms = (seconds as f64 * 1_000.0 * (1.0 + share * (2.0 * jitter.clamp(0.0, 1.0) - 1.0))) as i64;
    Duration::milliseconds(ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_estimated_by_how_much_of_it_some_pages_are() {
        let at = |minute: i64| DateTime::UNIX_EPOCH + Duration::minutes(minute);
        assert_eq!(estimate(100, &[at(0), at(30), at(10)], at(0), at(300)), Some(1_000));
        // Never fewer than there are.
        assert_eq!(estimate(100, &[at(0), at(600)], at(0), at(300)), Some(100));
        assert_eq!(estimate(100, &[at(5), at(5)], at(0), at(300)), None);
        assert_eq!(estimate(100, &[], at(0), at(300)), None);
    }

    #[test]
    fn polls_drift_apart_and_failures_are_tried_ever_more_seldom() {
        let now = DateTime::UNIX_EPOCH;
        let s = |at: DateTime<Utc>| (at - now).num_seconds();
        assert_eq!([0.0, 0.5, 1.0].map(|jitter| s(next_at(now, 300, jitter))), [270, 300, 330]);
        let waits: Vec<i64> = (1..=9).map(|failures| s(again_at(now, 60, failures, 0.5))).collect();
        assert_eq!(waits, [60, 120, 240, 480, 960, 1_920, 3_600, 3_600, 3_600]);
        // One that is listed daily is not given up for a day because of one failure.
        assert_eq!(s(again_at(now, 86_400, 1, 0.5)), 300);
        assert_eq!(s(again_at(now, 86_400, 20, 0.5)), 86_400);
    }
}
