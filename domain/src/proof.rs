//! A write whose answer was lost is proven: the destination is asked by business key, again and again, until it has it or must have shown it.
//! How long that takes is the vendor's, and stands in its connector. One that is not there before that time may still come.

use chrono::{DateTime, Duration, Utc};

/// Between two look-ups at least; it doubles with the time that has passed.
const LOOK_EVERY_MIN: Duration = Duration::seconds(1);

/// What is known of a write whose answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubt {
    /// It cannot have left us later: when the call ended or, where that is not known, when its lease did.
    pub sent_until: DateTime<Utc>,
    /// How long after it left us it may still take effect.
    pub lands_within: Duration,
    /// How long the vendor takes to show what took effect.
    pub settle: Duration,
}

/// What follows where the destination does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absence {
    /// It never will: it may be sent again.
    ForGood,
    /// It says nothing yet: the destination is asked again at this time.
    Early(DateTime<Utc>),
}

impl Doubt {
    /// From then on what took effect is seen: both may take their time, one after the other.
    #[must_use]
    pub fn shown_at(&self) -> DateTime<Utc> {
        let takes = self.lands_within.checked_add(&self.settle).unwrap_or(Duration::MAX);
        self.sent_until.checked_add_signed(takes).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Decides what an empty look-up says. It shows the vendor as it was at some time after it was `asked_at`, so that only one that was asked
    /// late enough counts: not one whose answer came late enough.
    #[must_use]
    pub fn after_absence(&self, asked_at: DateTime<Utc>, now: DateTime<Utc>) -> Absence {
        let shown_at = self.shown_at();
        if asked_at >= shown_at {
            return Absence::ForGood;
        }
        let passed = now.signed_duration_since(self.sent_until).max(LOOK_EVERY_MIN);
        let next = now.checked_add_signed(passed).unwrap_or(shown_at);
        // The one that counts is not put off, and none is asked for in the past.
        Absence::Early(next.min(shown_at).max(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn doubt(lands_s: i64, settle_s: i64) -> Doubt {
        Doubt { sent_until: DateTime::UNIX_EPOCH, lands_within: Duration::seconds(lands_s), settle: Duration::seconds(settle_s) }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + Duration::seconds(seconds)
    }

    #[test]
    fn an_empty_look_up_counts_by_when_it_was_asked_and_not_by_when_it_was_answered() {
        let doubt = doubt(60, 10);
        assert_eq!(doubt.after_absence(at(69), at(200)), Absence::Early(at(200)));
        assert_eq!(doubt.after_absence(at(70), at(71)), Absence::ForGood);
    }

    #[test]
    fn what_lands_late_takes_its_time_to_be_shown_too() {
        assert_eq!(doubt(60, 10).shown_at(), at(70));
        assert_eq!(doubt(0, 2).shown_at(), at(2));
    }

    #[test]
    fn it_is_asked_ever_less_often_until_the_look_up_that_counts() {
        let doubt = doubt(300, 1);
        let (mut now, mut looks) = (at(1), vec![]);
        while let Absence::Early(next) = doubt.after_absence(now, now) {
            looks.push((next - at(0)).num_seconds());
            now = next;
        }
        assert_eq!(looks, [2, 4, 8, 16, 32, 64, 128, 256, 301]);
    }

    #[test]
    fn numbers_without_bounds_do_not_overflow() {
        let doubt = Doubt { sent_until: DateTime::<Utc>::MAX_UTC, lands_within: Duration::MAX, settle: Duration::MAX };
        assert_eq!(doubt.after_absence(at(0), DateTime::<Utc>::MAX_UTC), Absence::Early(DateTime::<Utc>::MAX_UTC));
        let _ = Doubt { sent_until: at(0), ..doubt }.after_absence(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MIN_UTC);
    }
}
