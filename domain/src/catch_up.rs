//! Catching up: how long a backlog takes, at the rate at which its destination takes it.

use chrono::{DateTime, TimeDelta, Utc};

/// A finish that is further away is not told: nobody plans by it.
const HORIZON: TimeDelta = TimeDelta::days(30);

/// What a person decided about a flow's place in the backlog of its destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rank {
    First,
    /// By lane, then by business deadline, then by age.
    Normal,
    Last,
}

impl Rank {
    /// As it is stored: the lower, the sooner.
    #[must_use]
    pub fn number(self) -> i16 {
        match self {
            Self::First => -1,
            Self::Normal => 0,
            Self::Last => 1,
        }
    }

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Normal => "normal",
            Self::Last => "last",
        }
    }
}

/// What a prediction rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// How fast it drains now.
    Measured,
    /// The best minute of the last day, because nothing drains now. It may be faster than ever, so this is the latest.
    Past,
}

/// How fast a destination takes deliveries, each a minute.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Rates {
    /// Confirmed of late; 0 where nothing drains.
    pub confirms: f64,
    /// Confirmed in the best minute of the last day.
    pub best: f64,
    /// Planned of late in the lane that goes before a backlog.
    pub arrives: f64,
}

/// When a backlog is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    At(DateTime<Utc>, Basis),
    /// More arrives than it takes.
    Never,
    /// Nothing drains, and the last day tells nothing of how fast it would.
    Unknown,
}

impl Rates {
    /// How fast a backlog gets shorter; `None` where nothing is known.
    #[must_use]
    pub fn drains(&self) -> Option<(f64, Basis)> {
        if self.confirms > 0.0 {
            Some((self.confirms - self.arrives, Basis::Measured))
        } else if self.best > 0.0 {
            Some((self.best, Basis::Past))
        } else {
            None
        }
    }

    /// When so many deliveries are done, those that go before them included, if it begins at `from`.
    #[must_use]
    pub fn finish(&self, count: i64, from: DateTime<Utc>) -> Finish {
        let Some((per_minute, basis)) = self.drains() else { return Finish::Unknown };
        if per_minute <= 0.0 {
            return Finish::Never;
        }
        #[expect(clippy::cast_precision_loss, reason = "a backlog fits a double")]
        let seconds = count.max(0) as f64 / per_minute * 60.0;
        #[expect(clippy::cast_precision_loss, reason = "a month of seconds fits a double")]
        if seconds > HORIZON.num_seconds() as f64 {
            return if basis == Basis::Measured { Finish::Never } else { Finish::Unknown };
        }
        #[expect(clippy::cast_possible_truncation, reason = "it is at most a month")]
        Finish::At(from + TimeDelta::milliseconds((seconds * 1_000.0) as i64), basis)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finish_is_told_by_what_drains_now_else_by_the_past_and_not_at_all_where_nothing_is_known() {
        let now = Utc::now();
        let rates = |confirms, best, arrives| Rates { confirms, best, arrives };
        let minutes = |minutes| now + TimeDelta::minutes(minutes);
        for (rates, count, finish) in [
            (rates(600.0, 900.0, 0.0), 6_000, Finish::At(minutes(10), Basis::Measured)),
            (rates(600.0, 900.0, 100.0), 6_000, Finish::At(minutes(12), Basis::Measured)),
            (rates(0.0, 900.0, 100.0), 9_000, Finish::At(minutes(10), Basis::Past)),
            (rates(600.0, 900.0, 600.0), 6_000, Finish::Never),
            (rates(0.1, 900.0, 0.0), 6_000, Finish::Never),
            (rates(0.0, 0.1, 50.0), 6_000, Finish::Unknown),
            (rates(0.0, 0.0, 0.0), 6_000, Finish::Unknown),
            (rates(60.0, 0.0, 0.0), 0, Finish::At(now, Basis::Measured)),
        ] {
            assert_eq!(rates.finish(count, now), finish, "{rates:?} {count}");
        }
    }
}
