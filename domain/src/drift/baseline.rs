//! What is known of the documents of one place, and what came since. Until enough came over long enough, all of it is learned and nothing is
//! said: a shop's week-end is not like its Monday. From then on what came since is compared with what was known, and becomes part of it when
//! there is enough of it: so a change that nobody minds is normal in the end, and an old habit is forgotten.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::compare::{Drift, compare};
use super::profile::Profile;

/// Documents that came since before they become part of what is known: at once with so many, or
const FOLD_DOCUMENTS: u64 = 200;
/// with so many, if the first of them is a day old.
const FOLD_DOCUMENTS_MIN: u64 = 20;
const FOLD_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// With more documents known, the old ones weigh half.
const KNOWN_DOCUMENTS_MAX: u64 = 20_000;

/// When enough is known to call something different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learning {
    pub documents_min: u64,
    pub age_min: Duration,
}

impl Default for Learning {
    fn default() -> Self {
        Self { documents_min: 50, age_min: Duration::from_secs(24 * 60 * 60) }
    }
}

/// What documents of one connection, kind and side look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Baseline {
    pub known: Profile,
    /// What came since, and is not part of what is known.
    pub recent: Profile,
    pub started_at: DateTime<Utc>,
    /// When enough was known; nothing is raised before.
    pub established_at: Option<DateTime<Utc>>,
    pub recent_since: DateTime<Utc>,
}

impl Baseline {
    #[must_use]
    pub fn new(now: DateTime<Utc>) -> Self {
        Self { known: Profile::default(), recent: Profile::default(), started_at: now, established_at: None, recent_since: now }
    }

    /// Takes what was gathered; says what of it is different.
    pub fn take(&mut self, gathered: &Profile, learning: &Learning, now: DateTime<Utc>) -> Vec<Drift> {
        let age = |since: DateTime<Utc>| (now - since).to_std().unwrap_or_default();
        if self.established_at.is_none() {
            self.known.merge(gathered);
            if self.known.documents >= learning.documents_min && age(self.started_at) >= learning.age_min {
                self.established_at = Some(now);
                self.recent_since = now;
            }
            return vec![];
        }
        if self.recent.documents == 0 {
            self.recent_since = now;
        }
        self.recent.merge(gathered);
        let drifts = compare(&self.known, &self.recent);
        let is_old = self.recent.documents >= FOLD_DOCUMENTS_MIN && age(self.recent_since) >= FOLD_AGE;
        if self.recent.documents >= FOLD_DOCUMENTS || is_old {
            self.known.merge(&std::mem::take(&mut self.recent));
            if self.known.documents > KNOWN_DOCUMENTS_MAX {
                self.known.age();
            }
        }
        drifts
    }

    /// All that came, whether it is part of what is known yet or not.
    #[must_use]
    pub fn all(&self) -> Profile {
        let mut all = self.known.clone();
        all.merge(&self.recent);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::{Field, What};

    fn documents(count: u64, word: &str) -> Profile {
        let mut types = [0; 7];
        types[4] = count;
        let values = Some([(word.to_owned(), count)].into());
        let field = Field { documents: count, filled: count, types, values, chars_max: 5 };
        Profile { documents: count, fields: [("status".into(), field)].into() }
    }

    #[test]
    fn nothing_is_said_before_enough_is_known_for_long_enough() {
        let start: DateTime<Utc> = "2026-11-27T12:00:00Z".parse().unwrap();
        let hour = |n: i64| start + chrono::Duration::hours(n);
        let (learning, mut baseline) = (Learning::default(), Baseline::new(start));
        assert_eq!(baseline.take(&documents(500, "paid"), &learning, hour(1)), vec![], "a busy hour is no day");
        assert_eq!(baseline.take(&documents(1, "open"), &learning, hour(2)), vec![]);
        assert_eq!(baseline.take(&documents(1, "open"), &learning, hour(25)), vec![]);
        assert_eq!(baseline.established_at, Some(hour(25)));

        let mut quiet = Baseline::new(start);
        assert_eq!(quiet.take(&documents(49, "paid"), &learning, hour(100)), vec![]);
        assert_eq!(quiet.established_at, None, "49 documents say little");

        let drifts = baseline.take(&documents(1, "split"), &learning, hour(26));
        assert_eq!(
            drifts.iter().map(|drift| (drift.what, drift.value.as_deref())).collect::<Vec<_>>(),
            [(What::NewValue, Some("split"))]
        );
        assert_eq!(baseline.take(&documents(1, "paid"), &learning, hour(27)).len(), 1, "it is still not like it was");
        assert_eq!(baseline.take(&documents(198, "paid"), &learning, hour(28)).len(), 1);
        assert_eq!(baseline.take(&documents(1, "split"), &learning, hour(29)), vec![], "by now it is known");
        assert_eq!((baseline.known.documents, baseline.recent.documents), (702, 1));
        baseline.take(&documents(20, "paid"), &learning, hour(54));
        assert_eq!((baseline.known.documents, baseline.recent.documents), (723, 0), "a day later fewer are enough");
    }
}
