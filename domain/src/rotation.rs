//! A rotation exchanges the secret of a connection for a new one. Which step may follow which is decided here, and nowhere else; workers and people only
//! say what happened.
//!
//! `due → making → checking → overlapping → removing → retired`, or `failed` with a reason. The new secret is used once it was checked, and the old one
//! is kept until it was removed at the vendor: where the new one is refused meanwhile, the old one is used again.

use chrono::{DateTime, Duration, Utc};

/// A tenant exchanges a secret no more seldom.
pub const EVERY_DAYS_MAX: i32 = 730;
/// A secret that ends by itself is exchanged so many days before that.
pub const BEFORE_END_DAYS: i64 = 7;

/// Who makes the new secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RotationWay {
    /// We do, by the vendor's API.
    Automatic,
    /// A person does, step by step.
    Guided,
}

impl RotationWay {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Guided => "guided",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Automatic, Self::Guided].into_iter().find(|way| way.as_str() == text)
    }
}

/// How far a rotation is. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RotationState {
    /// A new secret is to be made: by us at once, or by a person.
    Due,
    /// The vendor is asked for one.
    Making,
    /// The new secret is kept, and tried by a probe; the old one is used.
    Checking,
    /// The new one is used, and the old one still works at the vendor.
    Overlapping,
    /// The overlap is over: the old one is to be removed at the vendor.
    Removing,
    /// The old one is removed.
    Retired,
    /// It came to nothing; one of the two is used, and the reason says why.
    Failed,
}

/// What happened to a rotation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RotationEvent {
    /// We mean to ask the vendor for a new secret; nothing was asked yet.
    Begun,
    /// The new secret is sealed and kept.
    SecretKept,
    /// The probe took the new one; `stand_both`: the old one works on for a while.
    Accepted { stand_both: bool },
    /// The probe refused the new one.
    SecretRefused,
    /// The vendor makes no new secret, or did not answer for too long.
    GivenUp,
    /// Both stood for as long as they were to.
    OverlapOver,
    /// The old one is not at the vendor any more: it answered so, or a person says so.
    OldRemoved,
    /// The new one is refused though it had been taken: the old one is used again.
    FellBack,
    /// Somebody stored another secret by hand meanwhile, or takes the rotation back before anything is exchanged.
    Replaced,
}

/// What becomes of the two secrets with a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exchange {
    Nothing,
    /// The new one is kept beside the old one, unused.
    Keep,
    /// The new one is used, and the old one kept.
    Use,
    /// The new one is used, and the old one over.
    UseAlone,
    /// The new one is over.
    Drop,
    /// The old one is used again, and the new one over.
    UseOld,
    /// The old one is over.
    RetireOld,
}

/// A step that may not follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rotation that is {} cannot take this step: {event:?}", .state.as_str())]
pub struct NoSuchStep {
    pub state: RotationState,
    pub event: RotationEvent,
}

impl RotationState {
    pub const ALL: [Self; 7] =
        [Self::Due, Self::Making, Self::Checking, Self::Overlapping, Self::Removing, Self::Retired, Self::Failed];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Due => "due",
            Self::Making => "making",
            Self::Checking => "checking",
            Self::Overlapping => "overlapping",
            Self::Removing => "removing",
            Self::Retired => "retired",
            Self::Failed => "failed",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Retired | Self::Failed)
    }

    /// What follows on what happened, and what becomes of the two secrets with it.
    ///
    /// # Errors
    /// Where that cannot have happened to it: somebody else was faster.
    pub fn after(self, event: RotationEvent, way: RotationWay) -> Result<(Self, Exchange), NoSuchStep> {
        use RotationEvent as Event;
        let (automatic, guided) = (way == RotationWay::Automatic, way == RotationWay::Guided);
        Ok(match (self, event) {
            // A try that broke off begins again: what it may have left at the vendor is removed first.
            (Self::Due | Self::Making, Event::Begun) if automatic => (Self::Making, Exchange::Nothing),
            (Self::Making, Event::SecretKept) if automatic => (Self::Checking, Exchange::Keep),
            (Self::Due, Event::SecretKept) if guided => (Self::Checking, Exchange::Keep),
            (Self::Checking, Event::Accepted { stand_both: true }) => (Self::Overlapping, Exchange::Use),
            (Self::Checking, Event::Accepted { stand_both: false }) => (Self::Retired, Exchange::UseAlone),
            // Who typed it in types it in again.
            (Self::Checking, Event::SecretRefused) if guided => (Self::Due, Exchange::Drop),
            (Self::Checking, Event::SecretRefused) => (Self::Failed, Exchange::Drop),
            (Self::Due | Self::Making, Event::GivenUp) => (Self::Failed, Exchange::Nothing),
            (Self::Checking, Event::GivenUp) => (Self::Failed, Exchange::Drop),
            (Self::Overlapping, Event::OverlapOver) => (Self::Removing, Exchange::Nothing),
            (Self::Removing, Event::OldRemoved) => (Self::Retired, Exchange::RetireOld),
            // Nobody needs to wait for the end of the overlap who has removed it already.
            (Self::Overlapping, Event::OldRemoved) if guided => (Self::Retired, Exchange::RetireOld),
            (Self::Overlapping | Self::Removing, Event::FellBack) => (Self::Failed, Exchange::UseOld),
            (Self::Due | Self::Making, Event::Replaced) => (Self::Failed, Exchange::Nothing),
            (Self::Checking, Event::Replaced) => (Self::Failed, Exchange::Drop),
            (Self::Overlapping | Self::Removing, Event::Replaced) => (Self::Failed, Exchange::RetireOld),
            (state, event) => return Err(NoSuchStep { state, event }),
        })
    }

    /// How it stands, in plain words; `connection` and `title` are what the connection and its vendor are called.
    #[must_use]
    pub fn sentence(self, way: RotationWay, connection: &str, title: &str) -> String {
        match (self, way) {
            (Self::Due, RotationWay::Automatic) => format!("A new secret of {connection} is asked for at {title} in a moment."),
            (Self::Due, RotationWay::Guided) => format!("A new secret of {connection} is to be made at {title}."),
            (Self::Making, _) => format!("{title} is asked for a new secret of {connection}."),
            (Self::Checking, _) => format!("The new secret of {connection} is tried; the old one is used meanwhile."),
            (Self::Overlapping, _) => {
                format!(
                    "The new secret of {connection} is used. The old one still works, and is used again if the new one is refused."
                )
            }
            (Self::Removing, RotationWay::Automatic) => format!("The old secret of {connection} is being removed at {title}."),
            (Self::Removing, RotationWay::Guided) => {
                format!("The new secret of {connection} is used. The old one is still there at {title}.")
            }
            (Self::Retired, _) => format!("The secret of {connection} was exchanged."),
            (Self::Failed, _) => format!("The secret of {connection} was not exchanged."),
        }
    }
}

/// When a secret that was stored then is to be exchanged: after so many days, and some days before it ends by itself.
#[must_use]
pub fn due_at(stored_at: DateTime<Utc>, every_days: i32, ends_at: Option<DateTime<Utc>>) -> DateTime<Utc> {
    let by_age = stored_at + Duration::days(i64::from(every_days.clamp(1, EVERY_DAYS_MAX)));
    // Not before it was stored: one that lives for less than that is exchanged at once, and once.
    let by_end = ends_at.map(|end| (end - Duration::days(BEFORE_END_DAYS)).max(stored_at));
    by_end.map_or(by_age, |by_end| by_end.min(by_age))
}

/// How long a step that did not succeed rests before it is tried again: ever longer, an hour at most.
#[must_use]
pub fn rest(tries: i32) -> Duration {
    const FIRST_S: i64 = 15;
    Duration::seconds((FIRST_S << tries.clamp(0, 8)).min(3_600))
}

/// What a new secret is called at the vendor: whose it is, and of which rotation, so that what a broken try has left there is found again.
#[must_use]
pub fn label(connection: crate::id::ConnectionId, rotation: crate::id::RotationId) -> String {
    // The last digits of an id are its random ones.
    let short = |id: uuid::Uuid| id.simple().to_string()[20..].to_owned();
    format!("{}{}", label_prefix(connection), short(rotation.0))
}

/// What the labels of all rotations of a connection begin with. Those of another connection to the same account begin otherwise, so that none
/// removes another's.
#[must_use]
pub fn label_prefix(connection: crate::id::ConnectionId) -> String {
    format!("crossdock-{}-", &connection.0.simple().to_string()[16..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EVENTS: [RotationEvent; 10] = [
        RotationEvent::Begun,
        RotationEvent::SecretKept,
        RotationEvent::Accepted { stand_both: true },
        RotationEvent::Accepted { stand_both: false },
        RotationEvent::SecretRefused,
        RotationEvent::GivenUp,
        RotationEvent::OverlapOver,
        RotationEvent::OldRemoved,
        RotationEvent::FellBack,
        RotationEvent::Replaced,
    ];

    /// What becomes of two secrets.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Secret {
        None,
        Kept,
        Used,
        Over,
    }

    fn way() -> impl Strategy<Value = RotationWay> {
        prop_oneof![Just(RotationWay::Automatic), Just(RotationWay::Guided)]
    }

    proptest! {
        /// Whatever happens in whatever order: one secret is used at any time, the old one is given up only where the new one was taken, and what is over
        /// stays so.
        #[test]
        fn a_secret_is_used_at_any_time_and_the_old_one_is_there_until_it_is_removed(
            way in way(), steps in proptest::collection::vec(0..EVENTS.len(), 0..24)
        ) {
            let (mut state, mut old, mut new) = (RotationState::Due, Secret::Used, Secret::None);
            for event in steps.into_iter().map(|at| EVENTS[at]) {
                let Ok((next, exchange)) = state.after(event, way) else { continue };
                prop_assert!(!state.is_over(), "{state:?} took {event:?}");
                match exchange {
                    Exchange::Nothing => {}
                    Exchange::Keep => {
                        prop_assert!(matches!(new, Secret::None | Secret::Over));
                        new = Secret::Kept;
                    }
                    Exchange::Use => (old, new) = (Secret::Kept, Secret::Used),
                    Exchange::UseAlone => (old, new) = (Secret::Over, Secret::Used),
                    Exchange::Drop => new = Secret::Over,
                    Exchange::UseOld => {
                        prop_assert_eq!(old, Secret::Kept, "what is used again is still there");
                        (old, new) = (Secret::Used, Secret::Over);
                    }
                    Exchange::RetireOld => old = Secret::Over,
                }
                state = next;
                let used = [old, new].into_iter().filter(|secret| *secret == Secret::Used).count();
                prop_assert_eq!(used, 1, "{:?} after {:?}", state, event);
                let both_kept = matches!(state, RotationState::Overlapping | RotationState::Removing);
                prop_assert_eq!(both_kept, (old, new) == (Secret::Kept, Secret::Used), "{:?}: {:?} {:?}", state, old, new);
                if state == RotationState::Retired {
                    prop_assert_eq!((old, new), (Secret::Over, Secret::Used));
                }
                if state == RotationState::Checking {
                    prop_assert_eq!((old, new), (Secret::Used, Secret::Kept), "the old one is used until the new one is taken");
                }
            }
        }

        #[test]
        fn what_is_due_is_due_in_time(days in -10..1_000i32, ends in proptest::option::of(0..900i64)) {
            let stored: DateTime<Utc> = "2026-11-29T12:00:00Z".parse().unwrap();
            let ends = ends.map(|days| stored + Duration::days(days));
            let due = due_at(stored, days, ends);
            prop_assert!(due >= stored && due <= stored + Duration::days(i64::from(EVERY_DAYS_MAX)));
            prop_assert!(ends.is_none_or(|end| due <= (end - Duration::days(BEFORE_END_DAYS)).max(stored)));
        }
    }

    #[test]
    fn the_automatic_way_and_the_guided_one_are_gone_from_end_to_end() {
        use RotationEvent as Event;
        let go = |way, events: &[RotationEvent]| {
            events.iter().try_fold(RotationState::Due, |state, event| Ok::<_, NoSuchStep>(state.after(*event, way)?.0))
        };
        let both = Event::Accepted { stand_both: true };
        let automatic = [Event::Begun, Event::Begun, Event::SecretKept, both, Event::OverlapOver, Event::OldRemoved];
        assert_eq!(go(RotationWay::Automatic, &automatic), Ok(RotationState::Retired), "begun twice: the first try broke off");
        let guided = [Event::SecretKept, Event::SecretRefused, Event::SecretKept, both, Event::OldRemoved];
        assert_eq!(go(RotationWay::Guided, &guided), Ok(RotationState::Retired), "typed in wrongly at first");
        let refused = go(RotationWay::Automatic, &[Event::Begun, both]).unwrap_err();
        assert_eq!(refused.to_string(), "a rotation that is making cannot take this step: Accepted { stand_both: true }");
    }

    #[test]
    fn each_state_has_a_word_and_a_sentence() {
        for state in RotationState::ALL {
            assert_eq!(RotationState::parse(state.as_str()), Some(state));
            for way in [RotationWay::Automatic, RotationWay::Guided] {
                assert_eq!(RotationWay::parse(way.as_str()), Some(way));
                assert!(state.sentence(way, "Shop", "Acme").ends_with('.'));
            }
        }
    }

    #[test]
    fn a_label_says_whose_it_is_and_no_two_rotations_share_one() {
        let connections = [(); 2].map(|()| crate::id::ConnectionId::generate());
        let labels = [0, 0, 1].map(|at| label(connections[at], crate::id::RotationId::generate()));
        assert!(labels[0].starts_with(&label_prefix(connections[0])) && labels[1].starts_with(&label_prefix(connections[0])));
        assert!(!labels[2].starts_with(&label_prefix(connections[0])));
        assert!(labels[0] != labels[1] && labels[0].len() <= 50, "{labels:?}");
        assert!((0..20).all(|tries| rest(tries) <= Duration::hours(1) && rest(tries) >= Duration::seconds(15)));
    }
}
