//! What people read of an item: what becomes of it and why, whose it is and what to do next.

use crate::delivery::DeliveryState;
use crate::exception::Reason;
use crate::fault::Owner;

use super::{Code, ItemKind};

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
