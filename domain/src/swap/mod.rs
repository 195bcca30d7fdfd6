//! A swap replaces a flow's destination by another connection, the candidate: first as a shadow, whose requests are made and not sent, then
//! for a growing part of the new records, then for all. A record stays where it went first, because to make it again elsewhere is to do it
//! twice.

mod parity;

pub use parity::{LostField, Outcome, Parity, Seen, Worths};

use serde::{Deserialize, Serialize};

use crate::id::{ConnectionId, RecordId};

/// All of the new records.
pub const PERCENT_MAX: u8 = 100;

/// Where a swap stands. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SwapState {
    /// Nothing runs by it.
    Draft,
    /// What the candidate would be sent is made beside what is sent, and is not sent.
    Shadow,
    /// So many percent of the new records go to the candidate.
    Cutting,
    /// The candidate is the flow's destination.
    Done,
    /// It was given up: the flow's destination is what it was.
    Back,
}

impl SwapState {
    pub const ALL: [SwapState; 5] = [Self::Draft, Self::Shadow, Self::Cutting, Self::Done, Self::Back];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Shadow => "shadow",
            Self::Cutting => "cutting",
            Self::Done => "done",
            Self::Back => "back",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// A swap that ended is over: whoever wants it after all begins another.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        use SwapState::*;
        matches!((self, next), (Draft, Shadow | Back) | (Shadow, Cutting | Back) | (Cutting, Cutting | Done | Back))
    }
}

/// True where a new record goes to the candidate. It depends on the record alone and grows with the percent: raising it moves no record that
/// the candidate has to the old destination.
#[must_use]
pub fn is_chosen(record: RecordId, percent: u8) -> bool {
    place(record) < u64::from(percent.min(PERCENT_MAX))
}

/// A number below a hundred, the same for a record at any time. Ids of one moment are alike, so their bits are mixed (the finalizer of
/// SplitMix64).
fn place(record: RecordId) -> u64 {
    let (high, low) = record.0.as_u64_pair();
    let mut mixed = high.rotate_left(32) ^ low;
    for factor in [0xbf58_476d_1ce4_e5b9_u64, 0x94d0_49bb_1331_11eb] {
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(factor);
    }
    (mixed ^ (mixed >> 31)) % u64::from(PERCENT_MAX)
}

/// Between which connections a flow's deliveries are split, where it is or was swapped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Split {
    /// The candidate of the swap that is cutting over, and how many percent of the new records it gets.
    pub candidate: Option<(ConnectionId, u8)>,
    /// Destinations before: a person decided that what they know goes to the flow's destination from now on.
    pub moved: Vec<ConnectionId>,
}

/// Where a revision of a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// To the flow's destination, by its published version.
    Destination,
    /// To the candidate, by the candidate's version.
    Candidate,
    /// To where the record is known, by the last version that wrote there.
    Home,
}

impl Split {
    /// `home` is where the last delivery of the record went; none where the flow has delivered nothing of it.
    #[must_use]
    pub fn goes(&self, record: RecordId, home: Option<ConnectionId>, destination: ConnectionId) -> Goes {
        match (home, self.candidate) {
            (None, Some((_, percent))) if is_chosen(record, percent) => Goes::Candidate,
            (None, _) => Goes::Destination,
            (Some(home), _) if home == destination => Goes::Destination,
            (Some(home), Some((candidate, _))) if home == candidate => Goes::Candidate,
            (Some(home), _) if self.moved.contains(&home) => Goes::Destination,
            (Some(_), _) => Goes::Home,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn about_so_many_percent_of_the_new_records_are_chosen_though_they_came_at_once() {
        let records: Vec<RecordId> = (0..10_000).map(|_| RecordId::generate()).collect();
        for percent in [0_u8, 1, 10, 50, 90, 100] {
            let chosen = records.iter().filter(|record| is_chosen(**record, percent)).count();
            let expected = usize::from(percent) * 100;
            assert!(chosen.abs_diff(expected) <= 250, "{chosen} of 10,000 at {percent} %");
            assert!(!matches!(percent, 0 | 100) || chosen == expected);
        }
    }

    proptest! {
        #[test]
        fn raising_the_percent_never_moves_a_record_back(id in any::<u128>(), low in 0..=100_u8, high in 0..=100_u8) {
            let record = RecordId(Uuid::from_u128(id));
            let (low, high) = (low.min(high), low.max(high));
            prop_assert!(!is_chosen(record, low) || is_chosen(record, high));
        }

        #[test]
        fn a_known_record_stays_whatever_the_percent(id in any::<u128>(), percent in 0..=100_u8) {
            let record = RecordId(Uuid::from_u128(id));
            let [old, candidate, elsewhere] = [1, 2, 3].map(|n| ConnectionId(Uuid::from_u128(n)));
            let split = Split { candidate: Some((candidate, percent)), moved: vec![] };
            prop_assert_eq!(split.goes(record, Some(old), old), Goes::Destination);
            prop_assert_eq!(split.goes(record, Some(candidate), old), Goes::Candidate);
            prop_assert_eq!(split.goes(record, Some(elsewhere), old), Goes::Home);
        }
    }

    #[test]
    fn what_went_elsewhere_stays_there_after_the_swap_unless_a_person_moves_it() {
        let record = RecordId::generate();
        let [old, now] = [1, 2].map(|n| ConnectionId(Uuid::from_u128(n)));
        let ended = Split::default();
        assert_eq!(ended.goes(record, Some(old), now), Goes::Home);
        assert_eq!(ended.goes(record, None, now), Goes::Destination);
        assert_eq!(Split { moved: vec![old], ..ended }.goes(record, Some(old), now), Goes::Destination);
    }

    #[test]
    fn an_ended_swap_never_goes_on() {
        for state in [SwapState::Done, SwapState::Back] {
            assert!(SwapState::ALL.into_iter().all(|next| !state.may_become(next)));
        }
        assert!(!SwapState::Draft.may_become(SwapState::Cutting), "the shadow comes first");
        assert!(SwapState::ALL.into_iter().all(|state| SwapState::parse(state.as_str()) == Some(state)));
    }
}
