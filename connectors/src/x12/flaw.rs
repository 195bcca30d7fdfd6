//! What can be wrong with envelopes: of an interchange (nothing of it is taken), of a group (nothing of the group is taken) and of a set.

use super::envelope::InterchangeHeader;
use super::segment::Place;

/// Why nothing of an interchange is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{fault} ({place})", self.whose())]
pub struct InterchangeError {
    pub fault: InterchangeFault,
    pub place: Place,
    /// Where the header could be read: so that a person can tell the sender which one it was.
    pub header: Option<Box<InterchangeHeader>>,
}

impl InterchangeError {
    fn whose(&self) -> String {
        let whose = |header: &InterchangeHeader| format!("interchange {} of {}: ", header.control_number, header.sender.id);
        self.header.as_deref().map(whose).unwrap_or_default()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InterchangeFault {
    #[error("this is no X12 interchange: it begins with {0:?} and not with \"ISA\"")]
    NotX12(String),
    #[error("the ISA segment is cut off: it has {bytes} bytes of 106")]
    Truncated { bytes: usize },
    #[error("ISA{number:02} does not have exactly {width} characters: the element separator is not where it must be")]
    IsaWidth { number: usize, width: usize },
    #[error("ISA{number:02} is not text")]
    IsaText { number: usize },
    #[error("ISA{number:02} is {value:?}: {what}")]
    IsaValue { number: usize, what: &'static str, value: String },
    #[error("its separators cannot be used: {0}")]
    Separators(String),
    #[error("the file ends in the middle of a segment: the segment terminator is missing")]
    Unterminated,
    #[error("the IEA segment is missing, so the interchange may be cut off")]
    NoIea,
    #[error("a {0} segment stands outside of any group")]
    Stray(String),
    #[error("IEA02 says control number {found:?}, but ISA13 says {expected:?}")]
    ControlNumber { expected: String, found: String },
    #[error("IEA01 says {said:?} groups, but there are {found}")]
    GroupCount { said: String, found: usize },
    #[error("it has more than {max} {of}")]
    TooMuch { max: usize, of: &'static str },
}

/// Why nothing of a group is taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupFlaw {
    #[error("sets of the version {0:?} are not read here: 004010 to 005010 are")]
    Version(String),
    #[error("the GE segment is missing")]
    NoTrailer,
    #[error("GE02 says control number {found:?}, but GS06 says {expected:?}")]
    TrailerControlNumber { expected: String, found: String },
    #[error("GE01 says {said:?} transaction sets, but there are {found}")]
    SetCount { said: String, found: usize },
    #[error("GS06 is {0:?}, which is no control number from 1 to 999999999")]
    ControlNumber(String),
    #[error("another group of this interchange has the control number {0} too")]
    Repeated(String),
    #[error("a {id} segment stands outside of any transaction set ({place})")]
    Stray { id: String, place: Place },
}

impl GroupFlaw {
    /// AK905: the nearest code that a 997 has.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Version(_) => "2",
            Self::NoTrailer => "3",
            Self::TrailerControlNumber { .. } => "4",
            Self::SetCount { .. } | Self::Stray { .. } => "5",
            Self::ControlNumber(_) | Self::Repeated(_) => "6",
        }
    }
}

/// Why a set is not taken, whatever its segments say.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetFlaw {
    #[error("transaction sets {0:?} are not read here")]
    NotSupported(String),
    #[error("the SE segment is missing")]
    NoTrailer,
    #[error("SE02 says control number {found:?}, but ST02 says {expected:?}")]
    TrailerControlNumber { expected: String, found: String },
    #[error("SE01 says {said:?} segments, but there are {found}")]
    SegmentCount { said: String, found: usize },
    #[error("a set {set:?} does not belong into a group of {group:?}")]
    Group { set: String, group: String },
    #[error("ST02 is {0:?}, which is no control number of four to nine characters")]
    ControlNumber(String),
    #[error("another set of this group has the control number {0} too")]
    Repeated(String),
}

impl SetFlaw {
    /// AK502: the nearest code that a 997 has.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotSupported(_) => "1",
            Self::NoTrailer => "2",
            Self::TrailerControlNumber { .. } => "3",
            Self::SegmentCount { .. } => "4",
            Self::Group { .. } => "6",
            Self::ControlNumber(_) | Self::Repeated(_) => "7",
        }
    }
}
