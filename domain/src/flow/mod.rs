//! A flow takes one kind of record from connection A to connection B through mappings and a filter, under a policy.
//! Its versions are drafts, in review, published, retired, or candidates of a swap; what was published never changes, and each delivery keeps the version that it
//! ran under.

mod difference;
mod file;
mod schedule;
mod spec;

use serde::{Deserialize, Serialize};

pub use difference::{Difference, differences};
pub use file::{FORMAT, FileError, FlowFile, Gates};
pub use schedule::{Schedule, ScheduleError, Trigger};
pub use spec::{FlowSpec, Ordering};

/// Where a version of a flow stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowState {
    /// It may still change; nothing runs by it.
    Draft,
    /// It is as it would be published, and another person looks at it.
    Review,
    Published,
    Retired,
    /// It is published beside the other, for the records that a swap has chosen for another destination.
    Candidate,
}

impl FlowState {
    pub const ALL: [FlowState; 5] = [Self::Draft, Self::Review, Self::Published, Self::Retired, Self::Candidate];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Review => "review",
            Self::Published => "published",
            Self::Retired => "retired",
            Self::Candidate => "candidate",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// A published version never changes and never comes back: to go back is to publish a new one that says the same.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use FlowState::*;
        matches!((self, next), (Draft, Review | Published) | (Review, Draft | Published) | (Published | Candidate, Retired))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_published_never_becomes_a_draft_again() {
        for state in [FlowState::Published, FlowState::Retired] {
            assert!(!state.may_become(FlowState::Draft) && !state.may_become(FlowState::Review));
        }
        assert!(FlowState::ALL.into_iter().all(|next| !FlowState::Retired.may_become(next)));
    }
}
