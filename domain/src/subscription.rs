//! A subscription is a webhook registration at a vendor that the platform keeps: made when a published flow reads its topic, compared with the
//! vendor's own list again and again, made once more where the vendor dropped it, renewed before it runs out, and taken away at the end.

use chrono::{DateTime, Duration, Utc};

use crate::poll;

/// How often what is registered is compared with what is wanted, s; give or take a tenth.
pub const CHECK_EVERY_S: i32 = 15 * 60;
/// After a failure a check is tried again so soon at first, s, and then ever more seldom.
const FAILED_EVERY_S: i32 = 60;
/// How often a source is listed by itself, where webhooks tell of its changes, s,
pub const SWEEP_EVERY_S: i32 = 15 * 60;
/// and where none do.
pub const POLL_EVERY_S: i32 = 5 * 60;
/// How long what an old secret signed is believed after it was replaced, s: as long as vendors try a delivery again.
pub const OVERLAP_S: i32 = 3 * 24 * 60 * 60;
/// How long it may be believed, s.
pub const OVERLAPS_S: std::ops::RangeInclusive<i32> = 0..=7 * 24 * 60 * 60;
/// A flow that was published long before anybody listened for it by themselves: what changed so long ago at most is brought.
pub const REACH_BACK: Duration = Duration::days(1);

/// Where a subscription stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SubscriptionState {
    /// A published flow reads its topic, and the vendor does not have it yet, or no more.
    Wanted,
    /// The vendor was asked to register it, and what it answered is not known: its list will say.
    Subscribing,
    /// The vendor has it.
    Active,
    /// The vendor said no. It is asked again.
    Failed,
    /// It cannot be asked for: the installation or the connection lacks something that a person must give.
    Blocked,
    /// No flow reads its topic any more, and the vendor still has it.
    Ending,
    /// The vendor has it no more.
    Ended,
}

impl SubscriptionState {
    pub const ALL: [Self; 7] =
        [Self::Wanted, Self::Subscribing, Self::Active, Self::Failed, Self::Blocked, Self::Ending, Self::Ended];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Wanted => "wanted",
            Self::Subscribing => "subscribing",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Blocked => "blocked",
            Self::Ending => "ending",
            Self::Ended => "ended",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// True where a flow reads its topic.
    #[must_use]
    pub fn is_wanted(self) -> bool {
        !matches!(self, Self::Ending | Self::Ended)
    }
}

/// When it is compared next. `jitter` is uniform in 0..1. Something may have to be renewed before.
#[must_use]
pub fn check_at(now: DateTime<Utc>, renew_at: Option<DateTime<Utc>>, jitter: f64) -> DateTime<Utc> {
    let next = poll::next_at(now, CHECK_EVERY_S, jitter);
    renew_at.map_or(next, |renew_at| next.min(renew_at.max(now)))
}

/// When a check that failed so often in a row is tried again.
#[must_use]
pub fn again_at(now: DateTime<Utc>, failures: i32, jitter: f64) -> DateTime<Utc> {
    poll::again_at(now, FAILED_EVERY_S, failures, jitter)
}

/// When one that ends at `expires_at` is renewed: at two thirds of its life, so that a day on which nobody answers ends none.
#[must_use]
pub fn renew_at(made_at: DateTime<Utc>, expires_at: DateTime<Utc>) -> DateTime<Utc> {
    made_at + (expires_at - made_at) * 2 / 3
}

/// From when on a source is listed by itself, for a flow that was published then.
#[must_use]
pub fn since(published_at: DateTime<Utc>, listening_since: DateTime<Utc>) -> DateTime<Utc> {
    published_at.max(listening_since - REACH_BACK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_renewed_at_two_thirds_of_its_life_and_no_check_comes_later_than_that() {
        let now = DateTime::UNIX_EPOCH;
        let (hour, day) = (now + Duration::hours(1), now + Duration::days(3));
        assert_eq!(renew_at(now, day), now + Duration::days(2));
        assert_eq!(check_at(now, Some(day), 0.5), now + Duration::minutes(15));
        assert_eq!(check_at(now, Some(now + Duration::minutes(2)), 0.5), now + Duration::minutes(2));
        // What should have been renewed already is looked at now, and not in the past.
        assert_eq!(check_at(hour, Some(now), 0.5), hour);
        assert_eq!(check_at(now, None, 0.0), now + Duration::seconds(810));
    }

    #[test]
    fn what_was_published_long_ago_is_not_brought_from_its_beginning() {
        let now = DateTime::UNIX_EPOCH + Duration::days(400);
        assert_eq!(since(now, now), now);
        assert_eq!(since(now, now - Duration::days(300)), now);
        assert_eq!(since(now - Duration::days(300), now), now - Duration::days(1));
    }

    #[test]
    fn states_are_words() {
        assert!(SubscriptionState::ALL.into_iter().all(|state| SubscriptionState::parse(state.as_str()) == Some(state)));
        assert_eq!(SubscriptionState::parse("gone"), None);
    }
}
