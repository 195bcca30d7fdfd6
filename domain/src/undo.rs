//! An undo takes back what a bad version of a flow did at its destination. Of each delivery that the version sent it says what stood there
//! before, what is to stand there, and what cannot be put right and why; once a person approved, what is to be sent becomes deliveries like
//! any other. [`plan`] decides from what the ledger knows; [`Told`] is what people read.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::comparison::compare;
use crate::delivery::DeliveryState;
use crate::exception::Reason;
use crate::fault::Owner;
use crate::replay;
use crate::value::Value;

/// Deliveries of one undo; what is beyond is told, and another undo's.
pub const ITEMS_MAX: u64 = 50_000;
/// Of why it is approved.
pub const WHY_CHARS_MAX: usize = 2_000;
/// Fields that an item tells; what is beyond is counted.
pub const CHANGES_TOLD_MAX: usize = 50;
const CHANGES_MAX: usize = 2_000;
const SHOWN_CHARS_MAX: usize = 200;

/// What is to stand at the destination. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// What stood there before, as the ledger says it was sent.
    Previous,
    /// What the version that is published now makes of the same revision.
    Published,
}

impl Goal {
    pub const ALL: [Goal; 2] = [Self::Previous, Self::Published];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Previous => "previous",
            Self::Published => "published",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|goal| goal.as_str() == text)
    }
}

/// Where an undo stands. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UndoState {
    Queued,
    /// Its preview is made.
    Preparing,
    /// A person looks at it.
    Prepared,
    /// Its deliveries are planned.
    Approved,
    /// All are planned, and some are under way.
    Delivering,
    /// Each is confirmed, or somebody was told why not.
    Done,
    Failed,
    /// A person decided against it before it was approved.
    Cancelled,
}

impl UndoState {
    pub const ALL: [UndoState; 8] = [
        Self::Queued,
        Self::Preparing,
        Self::Prepared,
        Self::Approved,
        Self::Delivering,
        Self::Done,
        Self::Failed,
        Self::Cancelled,
    ];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Preparing => "preparing",
            Self::Prepared => "prepared",
            Self::Approved => "approved",
            Self::Delivering => "delivering",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// True once a person has approved it: to approve it again changes nothing.
    #[must_use]
    pub fn is_approved(self) -> bool {
        matches!(self, Self::Approved | Self::Delivering | Self::Done)
    }
}

/// What becomes of one delivery. The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemKind {
    /// What stood there before is sent.
    Restore,
    /// The same revision is sent by good rules.
    Correct,
    /// The version created it there, and there is nothing to restore.
    Created,
    /// What is there is what would be sent.
    Same,
    /// A later delivery stands in its place.
    Covered,
    /// It, or a later one, has not settled.
    Open,
    /// It cannot be put right from here.
    Cannot,
    /// It was to be sent, and is not any more: something came between preview and approval.
    Left,
}

impl ItemKind {
    pub const ALL: [ItemKind; 8] =
        [Self::Restore, Self::Correct, Self::Created, Self::Same, Self::Covered, Self::Open, Self::Cannot, Self::Left];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Restore => "restore",
            Self::Correct => "correct",
            Self::Created => "created",
            Self::Same => "same",
            Self::Covered => "covered",
            Self::Open => "open",
            Self::Cannot => "cannot",
            Self::Left => "left",
        }
    }
}

/// What came after a delivery, to the same destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Later {
    Settled,
    UnderWay(DeliveryState),
}

impl Later {
    #[must_use]
    pub fn of(state: DeliveryState) -> Self {
        if matches!(state, DeliveryState::Confirmed | DeliveryState::Reconciled) { Self::Settled } else { Self::UnderWay(state) }
    }
}

/// What the ledger knows of a delivery of the version that is undone.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    pub state: DeliveryState,
    pub later: Option<Later>,
    /// A reconciliation found that the destination says something else now, and nobody has decided.
    pub is_different: bool,
    /// A payload of it was sent: it was not found there, or done by hand.
    pub was_sent: bool,
    /// What the destination calls the record is known.
    pub has_id: bool,
    /// The destination can change what is there.
    pub updates: bool,
    /// Something was confirmed there before, by another version.
    pub has_previous: bool,
    /// There are rules to send it by that has no value of before.
    pub has_good: bool,
    /// The version that is undone reads the source by other rules than the good one: the revision itself may be wrong.
    pub is_misread: bool,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// The previous delivery's revision is sent, by its version.
    Previous,
    /// The same revision is sent, by good rules.
    Good,
    Tell(Code),
}

/// Why nothing is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Later,
    LaterOpen(DeliveryState),
    NotSettled(DeliveryState),
    Different,
    NothingSent,
    Same,
    NoId,
    NoUpdate,
    Created,
    NotTaken,
    Misread,
}

/// Decides what is done about one delivery.
#[must_use]
pub fn plan(seen: &Seen, goal: Goal, leaves_created: bool) -> Plan {
    match seen.later {
        Some(Later::Settled) => return Plan::Tell(Code::Later),
        Some(Later::UnderWay(state)) => return Plan::Tell(Code::LaterOpen(state)),
        None => {}
    }
    if !matches!(seen.state, DeliveryState::Confirmed | DeliveryState::Reconciled) {
        return Plan::Tell(Code::NotSettled(seen.state));
    }
    if seen.is_different {
        return Plan::Tell(Code::Different);
    }
    if !seen.was_sent {
        return Plan::Tell(Code::NothingSent);
    }
    if !seen.has_previous && (leaves_created || !seen.has_good) {
        return Plan::Tell(Code::Created);
    }
    if !seen.has_id {
        return Plan::Tell(Code::NoId);
    }
    if !seen.updates {
        return Plan::Tell(Code::NoUpdate);
    }
    match (seen.has_previous && goal == Goal::Previous, seen.is_misread) {
        (true, _) => Plan::Previous,
        (false, false) => Plan::Good,
        (false, true) => Plan::Tell(Code::Misread),
    }
}

/// What a sentence is about.
#[derive(Debug, Clone, Copy)]
pub struct About<'a> {
    /// "Order #1042"
    pub thing: &'a str,
    /// The destination, by its name.
    pub destination: &'a str,
    /// The version that is undone.
    pub version: i32,
}

/// What an item tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub kind: ItemKind,
    pub code: String,
    pub sentence: String,
    pub owner: Owner,
    /// None where there is nothing to do.
    pub next_step: Option<String>,
}

impl Told {
    /// It is sent: what stood there before, or by good rules.
    #[must_use]
    pub fn sent(is_previous: bool, is_behind: bool, about: About<'_>) -> Self {
        let About { thing, destination, version } = about;
        let (kind, sentence) = match (is_previous, is_behind) {
            (true, false) => {
                (ItemKind::Restore, format!("{thing} at {destination} becomes what stood there before version {version}."))
            }
            (true, true) => (
                ItemKind::Restore,
                format!(
                    "{thing} at {destination} becomes what stood there before version {version}, which is of an earlier revision: its source has changed since."
                ),
            ),
            (false, _) => (
                ItemKind::Correct,
                format!("{thing} at {destination} becomes what good rules make of the revision that version {version} sent."),
            ),
        };
        let next = is_behind
            .then(|| "Undo to what the published version makes of it where the source's later changes are to stay.".to_owned());
        Self { kind, code: kind.as_str().to_owned(), sentence, owner: Owner::Operations, next_step: next }
    }

    /// Nothing is sent.
    #[must_use]
    pub fn why(code: Code, about: About<'_>) -> Self {
        let About { thing, destination, version } = about;
        let another = "Prepare another undo once it has settled.";
        let (kind, word, sentence, next) = match code {
            Code::Later => (
                ItemKind::Covered,
                "later",
                format!("A later delivery of {thing} to {destination} was confirmed since; it stays as it is."),
                None,
            ),
            Code::LaterOpen(state) => (
                ItemKind::Open,
                "later_open",
                format!("A later delivery of {thing} to {destination} is {}.", state.as_str()),
                Some("Let it settle, or work its exception: it takes the place of what was sent.".to_owned()),
            ),
            Code::NotSettled(DeliveryState::Exception) => (
                ItemKind::Open,
                "exception",
                format!("{thing} waits for a person, and was not confirmed by {destination}."),
                Some("Work its exception; a retry takes the version that is published then.".to_owned()),
            ),
            Code::NotSettled(state) => (
                ItemKind::Open,
                "not_settled",
                format!("{thing} to {destination} is {}: version {version} may still arrive there.", state.as_str()),
                Some(another.to_owned()),
            ),
            Code::Different => (
                ItemKind::Open,
                "different",
                format!("{destination} says something else of {thing} than was sent, and nobody has decided about it."),
                Some("Decide about the difference first: accept it, or send ours again. Then prepare another undo.".to_owned()),
            ),
            Code::NothingSent => (
                ItemKind::Same,
                "nothing_sent",
                format!("Version {version} sent nothing of {thing}: {destination} had it, or it was done there by hand."),
                None,
            ),
            Code::Same => (
                ItemKind::Same,
                "same",
                format!("What version {version} sent of {thing} is what is to stand at {destination}."),
                None,
            ),
            Code::NoId => (
                ItemKind::Cannot,
                "no_id",
                format!("What {destination} calls {thing} is not known."),
                Some(format!("Find {thing} at {destination} and correct it there by hand.")),
            ),
            Code::NoUpdate => (
                ItemKind::Cannot,
                "no_update",
                format!("{destination} offers no way to change {thing} once it is there."),
                Some(format!("Correct {thing} at {destination} by hand.")),
            ),
            Code::Created => (
                ItemKind::Created,
                "created",
                format!(
                    "{thing} was created at {destination} by version {version}: nothing stood there before, so there is nothing to restore."
                ),
                Some(format!(
                    "Look at {thing} at {destination}: correct or remove it there by hand, or prepare an undo that corrects what was created."
                )),
            ),
            Code::NotTaken => (
                ItemKind::Created,
                "not_taken",
                format!("{thing} was created at {destination} by version {version}; good rules leave it out."),
                Some(format!("Remove {thing} at {destination} by hand, if it is not to be there.")),
            ),
            Code::Misread => (
                ItemKind::Cannot,
                "misread",
                format!(
                    "Version {version} read {thing} from its source by other rules, so that the revision itself may be wrong."
                ),
                Some("Have the source send it again: it is read by the published rules then, and delivered.".to_owned()),
            ),
        };
        Self { kind, code: word.to_owned(), sentence, owner: Owner::Operations, next_step: next }
    }

    /// What is to stand there cannot be made.
    #[must_use]
    pub fn refused(reason: &Reason, about: About<'_>) -> Self {
        let About { thing, destination, .. } = about;
        Self {
            kind: ItemKind::Cannot,
            code: reason.code.clone(),
            sentence: format!("What is to stand at {destination} of {thing} cannot be made. {}", reason.cause),
            owner: reason.owner,
            next_step: Some(format!("{} Then prepare another undo.", reason.next_step.replace(", then press Retry.", "."))),
        }
    }
}

/// One field of an item. A side that has nothing there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// With its rows: `lines[2].amount`.
    pub path: String,
    /// What the bad version sent.
    pub sent: Option<String>,
    /// What stood there before.
    pub previous: Option<String>,
    /// What will be sent.
    pub will: Option<String>,
}

/// The fields in which what will be sent differs from what was, with what stood there before; and how many more there are.
#[must_use]
pub fn changes(sent: &Value, previous: Option<&Value>, will: &Value) -> (Vec<Change>, usize) {
    let changes = compare(sent, will, CHANGES_MAX);
    let before: HashMap<String, Option<&Value>> = previous
        .map(|previous| compare(sent, previous, CHANGES_MAX).into_iter().map(|change| (change.path, change.after)).collect())
        .unwrap_or_default();
    let untold = changes.len().saturating_sub(CHANGES_TOLD_MAX);
    let told = changes.into_iter().take(CHANGES_TOLD_MAX).map(|change| Change {
        // Where it does not differ from what was sent, it is what was sent.
        previous: previous.and_then(|_| before.get(&change.path).copied().unwrap_or(change.before)).map(shown),
        sent: change.before.map(shown),
        will: change.after.map(shown),
        path: change.path,
    });
    (told.collect(), untold)
}

fn shown(value: &Value) -> String {
    value.to_text().map_or_else(|| value.to_json(), Into::into).chars().take(SHOWN_CHARS_MAX).collect()
}

/// What a preview comes to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Deliveries that were looked at.
    pub deliveries: u64,
    pub restore: u64,
    pub correct: u64,
    pub created: u64,
    pub same: u64,
    pub covered: u64,
    pub open: u64,
    pub cannot: u64,
    /// Of those to restore: their source has changed since.
    pub behind: u64,
    /// Of those to restore: what is made again is not to the letter what was sent then.
    pub inexact: u64,
    /// The version has more deliveries than an undo takes.
    pub has_more: bool,
    /// What will be sent less what was: by field, and where it is an amount the sums by currency.
    pub values: replay::Report,
}

impl Report {
    /// Counts an item.
    pub fn count(&mut self, kind: ItemKind) {
        self.deliveries += 1;
        let count = match kind {
            ItemKind::Restore => &mut self.restore,
            ItemKind::Correct => &mut self.correct,
            ItemKind::Created => &mut self.created,
            ItemKind::Same => &mut self.same,
            ItemKind::Covered => &mut self.covered,
            ItemKind::Open => &mut self.open,
            ItemKind::Cannot | ItemKind::Left => &mut self.cannot,
        };
        *count += 1;
    }

    /// How many will be sent.
    #[must_use]
    pub fn sends(&self) -> u64 {
        self.restore + self.correct
    }
}

/// True where nothing of an undo is under way any more: each is confirmed, or a person was told why not.
#[must_use]
pub fn is_over(states: &[(DeliveryState, u64)]) -> bool {
    use DeliveryState::{Cancelled, Confirmed, Exception, Reconciled, Superseded};
    let is_told = |state| matches!(state, Confirmed | Reconciled | Superseded | Cancelled | Exception);
    states.iter().all(|(state, count)| *count == 0 || is_told(*state))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Limits;

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    const SEEN: Seen = Seen {
        state: DeliveryState::Confirmed,
        later: None,
        is_different: false,
        was_sent: true,
        has_id: true,
        updates: true,
        has_previous: true,
        has_good: true,
        is_misread: false,
    };

    #[test]
    fn what_stood_there_is_restored_and_what_was_created_is_corrected_by_good_rules() {
        assert_eq!(plan(&SEEN, Goal::Previous, false), Plan::Previous);
        assert_eq!(plan(&SEEN, Goal::Published, false), Plan::Good);
        let created = Seen { has_previous: false, ..SEEN };
        assert_eq!(plan(&created, Goal::Previous, false), Plan::Good);
        assert_eq!(plan(&created, Goal::Previous, true), Plan::Tell(Code::Created));
        assert_eq!(plan(&Seen { has_good: false, ..created }, Goal::Previous, false), Plan::Tell(Code::Created));
        // Good rules make nothing right of a revision that was read wrongly; what stood there before was not.
        assert_eq!(plan(&Seen { is_misread: true, ..created }, Goal::Previous, false), Plan::Tell(Code::Misread));
        assert_eq!(plan(&Seen { is_misread: true, ..SEEN }, Goal::Published, false), Plan::Tell(Code::Misread));
        assert_eq!(plan(&Seen { is_misread: true, ..SEEN }, Goal::Previous, false), Plan::Previous);
    }

    #[test]
    fn nothing_is_sent_over_what_came_later_or_is_not_known() {
        let cases = [
            (Seen { later: Some(Later::of(DeliveryState::Reconciled)), ..SEEN }, Code::Later),
            (Seen { later: Some(Later::of(DeliveryState::Held)), ..SEEN }, Code::LaterOpen(DeliveryState::Held)),
            (Seen { is_different: true, ..SEEN }, Code::Different),
            (Seen { was_sent: false, ..SEEN }, Code::NothingSent),
            (Seen { has_id: false, ..SEEN }, Code::NoId),
            (Seen { updates: false, ..SEEN }, Code::NoUpdate),
        ];
        for (seen, code) in cases {
            assert_eq!(plan(&seen, Goal::Previous, false), Plan::Tell(code));
        }
        for state in DeliveryState::ALL {
            let is_settled = matches!(state, DeliveryState::Confirmed | DeliveryState::Reconciled);
            let decided = plan(&Seen { state, ..SEEN }, Goal::Previous, false);
            assert_eq!(decided == Plan::Previous, is_settled, "{}", state.as_str());
        }
    }

    #[test]
    fn whatever_is_not_sent_has_a_reason_and_what_a_person_must_do_a_next_step() {
        let about = About { thing: "Order #1042", destination: "Acme ERP", version: 7 };
        let codes = [
            Code::Later,
            Code::LaterOpen(DeliveryState::Exception),
            Code::NotSettled(DeliveryState::Unknown),
            Code::NotSettled(DeliveryState::Exception),
            Code::Different,
            Code::NothingSent,
            Code::Same,
            Code::NoId,
            Code::NoUpdate,
            Code::Created,
            Code::NotTaken,
            Code::Misread,
        ];
        for code in codes {
            let told = Told::why(code, about);
            assert!(told.sentence.ends_with('.') && told.sentence.contains("Order #1042"), "{told:?}");
            assert_eq!(told.next_step.is_none(), matches!(told.kind, ItemKind::Covered | ItemKind::Same), "{told:?}");
        }
        let refused = Told::refused(&Reason::internal("Order #1042", "no entry"), about);
        assert_eq!(refused.kind, ItemKind::Cannot);
        assert!(refused.next_step.unwrap().ends_with("Then prepare another undo."));
    }

    #[test]
    fn each_field_says_what_was_sent_what_stood_there_and_what_will_be_sent() {
        let sent = value(r#"{"memo": "b", "lines": [{"amount": "1000"}]}"#);
        let previous = value(r#"{"memo": "a", "lines": [{"amount": "10"}]}"#);
        let change = |path: &str, [sent, previous, will]: [Option<&str>; 3]| Change {
            path: path.into(),
            sent: sent.map(Into::into),
            previous: previous.map(Into::into),
            will: will.map(Into::into),
        };
        let restored = changes(&sent, Some(&previous), &previous);
        let memo = change("memo", [Some("b"), Some("a"), Some("a")]);
        assert_eq!(restored, (vec![change("lines[0].amount", [Some("1000"), Some("10"), Some("10")]), memo], 0));
        // The previous value of a field that is corrected further is told beside.
        let will = value(r#"{"memo": "b", "lines": [{"amount": "12"}]}"#);
        let corrected = changes(&sent, Some(&previous), &will);
        assert_eq!(corrected.0, [change("lines[0].amount", [Some("1000"), Some("10"), Some("12")])]);
        assert_eq!(changes(&sent, None, &will).0[0].previous, None);
        let long = value(&format!("[{}]", vec!["1"; 60].join(",")));
        assert_eq!((changes(&Value::Null, None, &long).0.len(), changes(&Value::Null, None, &long).1), (50, 10));
    }

    #[test]
    fn an_undo_is_over_once_each_is_confirmed_or_told() {
        for state in DeliveryState::ALL {
            let is_under_way = !state.is_final() && state != DeliveryState::Exception;
            assert_eq!(is_over(&[(DeliveryState::Confirmed, 3), (state, 1)]), !is_under_way, "{}", state.as_str());
        }
        assert!(is_over(&[]) && is_over(&[(DeliveryState::Held, 0)]));
    }
}
