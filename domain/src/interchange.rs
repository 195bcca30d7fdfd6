//! Interchanges of X12 with partners: where those that came stand, where those of ours stand, and what people are told of them.

use crate::exception::Reason;
use crate::fault::Owner;

/// Where a group of ours stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SentGroupState {
    /// It has its number.
    Planned,
    /// It is written, and has not got its name yet: of 997s only.
    Placed,
    /// It waits for its 997; a 997 itself waits for nothing.
    Sent,
    Acknowledged,
    Rejected,
}

impl SentGroupState {
    const ALL: [Self; 5] = [Self::Planned, Self::Placed, Self::Sent, Self::Acknowledged, Self::Rejected];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Placed => "placed",
            Self::Sent => "sent",
            Self::Acknowledged => "acknowledged",
            Self::Rejected => "rejected",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl Reason {
    /// A set of a partner that was rejected; `what` are sentences with their places.
    #[must_use]
    pub fn bad_set(set: &str, interchange: &str, source: &str, what: &[String]) -> Self {
        let said = what.join(". ");
        Self {
            code: "x12.bad_set".to_owned(),
            sentence: format!("Set {set} of interchange {interchange} from {source} was not taken: {}.", said.trim_end_matches('.')),
            cause: format!("Sets of interchange {interchange} from {source} cannot be read."),
            owner: Owner::Operations,
            next_step: "The partner was told by a 997. Ask for a corrected set in a new interchange, or dismiss it; the sets beside it were taken."
                .to_owned(),
            value: Some(interchange.to_owned()),
            ..Self::unreadable("", source, "")
        }
    }

    /// An interchange of which nothing was taken.
    #[must_use]
    pub fn bad_interchange(file: &str, source: &str, why: &str) -> Self {
        let why = why.trim_end_matches('.');
        Self {
            code: "x12.bad_interchange".to_owned(),
            sentence: format!("An interchange in the file {file} from {source} was not taken: {why}."),
            cause: format!("Interchanges from {source} are not taken: {why}."),
            owner: Owner::Operations,
            next_step: "Ask the partner to send it again, corrected and under a new control number; it was not acknowledged. Other interchanges of the file \
                        were taken."
                .to_owned(),
            ..Self::unreadable("", source, why)
        }
    }

    /// A control number that was used before, or numbers that were left out; `what` are whole sentences.
    #[must_use]
    pub fn control_number(code: &str, source: &str, what: &str) -> Self {
        Self {
            code: format!("x12.{code}"),
            sentence: format!("{source}: {what}"),
            cause: format!("Control numbers from {source} are not what they should be."),
            owner: Owner::Operations,
            next_step: "Ask the partner what it sent under these numbers, then dismiss this.".to_owned(),
            ..Self::unreadable("", source, "")
        }
    }

    /// A group of ours that a partner rejected, with the partner's reasons.
    #[must_use]
    pub fn rejected_group(thing: &str, set: &str, source: &str, what: &[String]) -> Self {
        Self {
            code: "x12.rejected".to_owned(),
            sentence: format!("{source} rejected {thing} ({set}). {}", what.join(" ")),
            cause: format!("{source} rejects {set}s."),
            owner: Owner::Operations,
            next_step: "Correct the record at its source, or the mapping of the flow, and send it again under a new number; then dismiss this.".to_owned(),
            ..Self::unreadable("", source, "")
        }
    }
}

/// What the incident says of groups that were sent while nobody reads what comes back.
#[must_use]
pub fn unread_sentence(source: &str) -> String {
    format!(
        "What is sent to {source} goes out, and nobody reads its folder: a 997 that rejects it, or does not come, is not seen."
    )
}

/// What the incident says of groups that are not acknowledged in time.
#[must_use]
pub fn late_sentence(source: &str, count: i64, oldest: &str) -> String {
    let others = match count {
        1 => String::new(),
        2 => " One more is late.".to_owned(),
        count => format!(" {} more are late.", count - 1),
    };
    format!("{source} has not acknowledged what was sent. {oldest}{others}")
}
