//! The delivery protocol as one table: in which state what happens, which state follows, and what is done then. Workers, the sweeper and
//! people move deliveries by these rows and no others; the database refuses a move that is not here. `tests/protocol.rs` explores every
//! interleaving of a small world that moves by this table, and shows that nothing is lost or done twice.

use crate::delivery::DeliveryState;
use DeliveryState::{Cancelled, Confirmed, Exception, Held, Planned, Reconciled, Sending, Superseded, Unknown, Waiting};
use Event as E;

/// What happens to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Event {
    /// Its turn has come: an attempt is committed as started, before the call.
    Started,
    /// The destination said that it stored it.
    Stored,
    /// The same, and calls that belong to it are to come.
    StoredInPart,
    /// A passing failure, a limit, or it was not sent: nothing was done.
    Passing,
    /// The destination refused it: nothing was done, and a person must change something.
    Refused,
    /// The destination refused our credential: nothing was done, and the whole connection waits for a new one.
    Unauthorised,
    /// It was sent, and no answer says what became of it.
    Lost,
    /// The attempt never closed: its worker died at some line.
    NeverClosed,
    /// The destination is asked, by business key, whether it has it.
    Asked,
    /// It has it, in this revision or a later one.
    Found,
    /// The same, and calls that belong to it are to come.
    FoundInPart,
    /// It does not have it, but was asked too early for that to say anything.
    AbsentEarly,
    /// It does not have it, and was asked when it must have shown it.
    Absent,
    /// It did not say.
    Silent,
    /// It did not say for so long, or has no way to be asked, that a person must look.
    GivenUp,
    /// A look-up before the write found it there: it came another way.
    Adopted,
    /// The same, and it is to be changed, or calls that belong to it are to come.
    AdoptedInPart,
    /// No request can be made of it: the mapping or the connector has no answer.
    Unmade,
    /// The breaker of its operation is open.
    BreakerOpened,
    /// The breaker lets it go: as a probe, or because the destination works again.
    BreakerReleased,
    /// Its wait is over.
    Due,
    /// A later revision takes its place. Only where it cannot have had an effect.
    Overtaken,
    /// A person tries it again, and it cannot have had an effect.
    Retried,
    /// A person tries it again, and it may have had its effect.
    RetriedUnproven,
    /// A person says that it was done there by hand.
    DoneElsewhere,
    /// A person decides that it will not be sent.
    Dropped,
    /// A person takes that back. Only where nothing later has taken its place.
    Reopened,
    /// Source and destination were compared and agree.
    Compared,
    /// They were compared, it is gone or changed there, and a person sends ours again.
    SentAnew,
    /// Its id, which only an answer gave, is what a look-up by another record's key found.
    Disputed,
}

impl Event {
    pub const ALL: [Event; 30] = [
        E::Started,
        E::Stored,
        E::StoredInPart,
        E::Passing,
        E::Refused,
        E::Unauthorised,
        E::Lost,
        E::NeverClosed,
        E::Asked,
        E::Found,
        E::FoundInPart,
        E::AbsentEarly,
        E::Absent,
        E::Silent,
        E::GivenUp,
        E::Adopted,
        E::AdoptedInPart,
        E::Unmade,
        E::BreakerOpened,
        E::BreakerReleased,
        E::Due,
        E::Overtaken,
        E::Retried,
        E::RetriedUnproven,
        E::DoneElsewhere,
        E::Dropped,
        E::Reopened,
        E::Compared,
        E::SentAnew,
        E::Disputed,
    ];

    /// What happened, for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            E::Started => "its turn has come; the attempt is committed as started",
            E::Stored => "the destination stored it",
            E::StoredInPart => "the destination stored it, and calls that belong to it are to come",
            E::Passing => "a passing failure, a limit, or it was not sent",
            E::Refused => "the destination refused it",
            E::Unauthorised => "the destination refused the credential",
            E::Lost => "sent, and no answer says what became of it",
            E::NeverClosed => "its worker died; the attempt never closed",
            E::Asked => "the destination is asked whether it has it",
            E::Found => "the destination has it",
            E::FoundInPart => "the destination has it, and calls that belong to it are to come",
            E::AbsentEarly => "not there yet, but it was asked too early for that to say anything",
            E::Absent => "not there, asked when it must have been shown",
            E::Silent => "the destination did not say",
            E::GivenUp => "the destination did not say for too long, or cannot be asked",
            E::Adopted => "a look-up before the write found it there",
            E::AdoptedInPart => "a look-up before the write found it there, and it is to be changed or completed",
            E::Unmade => "no request can be made of it",
            E::BreakerOpened => "the breaker of its operation is open",
            E::BreakerReleased => "the breaker lets it go",
            E::Due => "its wait is over",
            E::Overtaken => "a later revision takes its place",
            E::Retried => "a person tries it again",
            E::RetriedUnproven => "a person tries it again, and it may have had its effect",
            E::DoneElsewhere => "a person says that it was done there by hand",
            E::Dropped => "a person decides that it will not be sent",
            E::Reopened => "a person takes that back, and nothing later has taken its place",
            E::Compared => "source and destination were compared and agree",
            E::SentAnew => "it is gone or changed there, and a person sends it anew",
            E::Disputed => "the id that an answer gave for it is found there under another record's key",
        }
    }
}

/// What is done then.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// The call is made, once.
    Send,
    /// The look-up by business key is made, or waited for.
    Ask,
    /// The next call is planned.
    Go,
    /// It waits, with a time.
    Wait,
    /// It waits without a time, until its breaker releases it; one incident tells of all that wait.
    Hold,
    /// An exception is opened.
    AskPerson,
    /// Nothing: it is settled.
    Settle,
}

impl Action {
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Send => "make the call, once",
            Self::Ask => "ask by business key, when it is time",
            Self::Go => "plan the next call",
            Self::Wait => "wait until a time",
            Self::Hold => "hold; one incident for all",
            Self::AskPerson => "open an exception",
            Self::Settle => "settle",
        }
    }
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    pub from: DeliveryState,
    pub event: Event,
    pub to: DeliveryState,
    pub action: Action,
}

const fn row(from: DeliveryState, event: Event, to: DeliveryState, action: Action) -> Move {
    Move { from, event, to, action }
}

/// All moves. A pair of state and event that is not here changes nothing: the worker was late, or the task was doubled.
pub const TABLE: [Move; 49] = [
    // Before anything is sent.
    row(Planned, E::Started, Sending, Action::Send),
    row(Planned, E::Passing, Waiting, Action::Wait), // What belongs before the call was not read, or the account has no token for now.
    row(Planned, E::Refused, Exception, Action::AskPerson),
    row(Planned, E::Unauthorised, Held, Action::Hold),
    row(Planned, E::Unmade, Exception, Action::AskPerson),
    row(Planned, E::Adopted, Confirmed, Action::Settle),
    row(Planned, E::AdoptedInPart, Planned, Action::Go),
    row(Planned, E::BreakerOpened, Held, Action::Hold),
    row(Planned, E::Overtaken, Superseded, Action::Settle),
    row(Planned, E::Dropped, Cancelled, Action::Settle),
    // The call is under way.
    row(Sending, E::Stored, Confirmed, Action::Settle),
    row(Sending, E::StoredInPart, Planned, Action::Go),
    row(Sending, E::Passing, Waiting, Action::Wait),
    row(Sending, E::Refused, Exception, Action::AskPerson),
    row(Sending, E::Unauthorised, Held, Action::Hold),
    row(Sending, E::Lost, Unknown, Action::Ask),
    row(Sending, E::NeverClosed, Unknown, Action::Ask),
    // It may have had its effect: it is never sent from here, only asked about.
    row(Unknown, E::Asked, Unknown, Action::Ask),
    row(Unknown, E::Found, Confirmed, Action::Settle),
    row(Unknown, E::FoundInPart, Planned, Action::Go),
    row(Unknown, E::AbsentEarly, Unknown, Action::Ask),
    row(Unknown, E::Absent, Planned, Action::Go),
    row(Unknown, E::Silent, Unknown, Action::Ask),
    row(Unknown, E::GivenUp, Exception, Action::AskPerson),
    row(Unknown, E::Unmade, Exception, Action::AskPerson),
    // The answer came after all, later than its worker was waited for, and before anybody asked.
    row(Unknown, E::Stored, Confirmed, Action::Settle),
    row(Unknown, E::StoredInPart, Planned, Action::Go),
    row(Unknown, E::Passing, Waiting, Action::Wait),
    row(Unknown, E::Refused, Exception, Action::AskPerson),
    row(Unknown, E::Unauthorised, Held, Action::Hold),
    row(Unknown, E::Lost, Unknown, Action::Ask),
    // It waits for a time.
    row(Waiting, E::Due, Planned, Action::Go),
    row(Waiting, E::BreakerOpened, Held, Action::Hold),
    row(Waiting, E::Overtaken, Superseded, Action::Settle),
    row(Waiting, E::Dropped, Cancelled, Action::Settle),
    // It waits for its breaker.
    row(Held, E::BreakerReleased, Planned, Action::Go),
    row(Held, E::Overtaken, Superseded, Action::Settle),
    row(Held, E::Dropped, Cancelled, Action::Settle),
    // It waits for a person.
    row(Exception, E::Retried, Planned, Action::Go),
    row(Exception, E::RetriedUnproven, Unknown, Action::Ask),
    row(Exception, E::DoneElsewhere, Confirmed, Action::Settle),
    row(Exception, E::Overtaken, Superseded, Action::Settle),
    row(Exception, E::Dropped, Cancelled, Action::Settle),
    // What may have had its effect is asked for once it is retried, as before.
    row(Cancelled, E::Reopened, Exception, Action::AskPerson),
    row(Confirmed, E::Compared, Reconciled, Action::Settle),
    // It is there no more, or not as it was sent. Its idempotency key is another one from then on.
    row(Confirmed, E::SentAnew, Planned, Action::Go),
    row(Reconciled, E::SentAnew, Planned, Action::Go),
    // The answer that confirmed it named something else: what became of it is not known after all.
    row(Confirmed, E::Disputed, Unknown, Action::Ask),
    row(Reconciled, E::Disputed, Unknown, Action::Ask),
];

/// The move that an event makes from a state; `None` where it makes none.
#[must_use]
pub fn next(from: DeliveryState, event: Event) -> Option<Move> {
    TABLE.into_iter().find(|row| row.from == from && row.event == event)
}

/// Whether a write may have had its effect and nobody knows, after an event. Such a delivery is not overtaken, and a retry of it asks first.
#[must_use]
pub fn is_unproven_after(event: Event, before: bool) -> bool {
    match event {
        E::Lost | E::NeverClosed | E::AbsentEarly | E::Silent | E::Disputed => true,
        E::Stored | E::StoredInPart | E::Found | E::FoundInPart | E::Absent | E::Adopted | E::AdoptedInPart => false,
        // A person has looked.
        E::DoneElsewhere | E::Retried | E::SentAnew => false,
        _ => before,
    }
}

/// The table in Markdown, as `docs/delivery.md` has it.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from("| state | what happens | next state | what is done |\n|---|---|---|---|\n");
    for row in TABLE {
        let cells = [row.from.as_str(), row.event.words(), row.to.as_str(), row.action.words()];
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_makes_one_move_from_a_state_at_most_and_every_event_makes_one() {
        for event in Event::ALL {
            for from in DeliveryState::ALL {
                let rows = TABLE.iter().filter(|row| row.from == from && row.event == event).count();
                assert!(rows <= 1, "{} {event:?}", from.as_str());
            }
            assert!(TABLE.iter().any(|row| row.event == event), "{event:?} does nothing");
        }
    }

    #[test]
    fn a_state_may_become_exactly_what_the_table_says() {
        for from in DeliveryState::ALL {
            for to in DeliveryState::ALL {
                let is_there = TABLE.iter().any(|row| row.from == from && row.to == to);
                assert_eq!(from.may_become(to), is_there, "{} to {}", from.as_str(), to.as_str());
            }
        }
    }

    #[test]
    fn only_what_is_planned_is_ever_sent_and_what_is_unknown_is_only_planned_by_an_answer() {
        for row in TABLE.iter().filter(|row| row.to == Sending) {
            assert_eq!((row.from, row.event), (Planned, E::Started));
        }
        let answers = [E::Absent, E::FoundInPart, E::StoredInPart];
        for row in TABLE.iter().filter(|row| row.from == Unknown && row.to == Planned) {
            assert!(answers.contains(&row.event), "{:?} sends again without an answer", row.event);
        }
    }

    #[test]
    fn every_state_that_is_not_final_is_left_by_itself_or_by_a_person() {
        for state in DeliveryState::ALL.into_iter().filter(|state| !state.is_final()) {
            assert!(TABLE.iter().any(|row| row.from == state && row.to != state), "{} is never left", state.as_str());
        }
    }

    #[test]
    fn the_documentation_has_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/delivery.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (before, rest) = text.split_once("<!-- table -->\n").unwrap();
        let (_, after) = rest.split_once("<!-- end of table -->").unwrap();
        let fresh = format!("{before}<!-- table -->\n{}<!-- end of table -->{after}", markdown());
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &fresh).unwrap();
        }
        assert!(text == fresh || std::env::var_os("UPDATE_DOCS").is_some(), "run UPDATE_DOCS=1 cargo test -p domain protocol");
    }
}
