//! The lanes that work waits in. What people wait for goes before what they asked for again, and that before what fills up a history; a lane
//! that has waited long gets a share all the same.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Which work goes first. It is said by a message and by the deliveries that come of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// What has just happened at the source.
    #[default]
    Live,
    /// What failed or had to wait, and comes again: after a failure, an outage, or by a person's word.
    Retry,
    /// What is brought or sent anew in bulk: a period of the past, the undoing of a bad publish.
    Backfill,
}

impl Lane {
    pub const ALL: [Lane; 3] = [Lane::Live, Lane::Retry, Lane::Backfill];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Retry => "retry",
            Self::Backfill => "backfill",
        }
    }

    /// As it is stored: the lower, the sooner.
    #[must_use]
    pub fn rank(self) -> i16 {
        match self {
            Self::Live => 0,
            Self::Retry => 1,
            Self::Backfill => 2,
        }
    }

    #[must_use]
    pub fn of_rank(rank: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.rank() == rank)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.rank().unsigned_abs())
    }

    /// What has waited this long gets its [`share`](Self::share) whatever waits before it.
    pub(crate) fn aged_after(self) -> Duration {
        match self {
            Self::Live => Duration::ZERO,
            Self::Retry => Duration::from_secs(10),
            Self::Backfill => Duration::from_secs(60),
        }
    }

    /// How much of an aged lane is served for each of the lanes before it.
    pub(crate) fn share(self) -> f64 {
        match self {
            Self::Live => 1.0,
            Self::Retry => 0.2,
            Self::Backfill => 0.05,
        }
    }
}
