//! An undo takes back what a bad version of a flow did at its destination. Of each delivery that the version sent it says what stood there
//! before, what is to stand there, and what cannot be put right and why; once a person approved, what is to be sent becomes deliveries like
//! any other. [`plan`] decides from what the ledger knows; [`Told`] is what people read.

mod told;

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::comparison::compare;
use crate::delivery::DeliveryState;
use crate::replay;
use crate::value::Value;

pub use told::{About, Told};

/// Deliveries of one undo; what is beyond is told, and another undo's.
pub const ITEMS_MAX: u64 = 50_000;
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
mod tests;
