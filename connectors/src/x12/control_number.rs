//! Control numbers: the next one to send, and what a received one says about those before it. One sequence for each pair of parties and
//! direction; whoever keeps the rows calls these functions inside the transaction that takes or sends.

use std::fmt;

use super::envelope::PartyId;

const MAX: u32 = 999_999_999;

/// From 1 to 999,999,999; after the last one comes the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ControlNumber(u32);

impl ControlNumber {
    pub const FIRST: Self = Self(1);

    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (1..=MAX).contains(&number).then_some(Self(number))
    }

    /// One to nine digits, perhaps with zeros before it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let are_digits = (1..=9).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| are_digits).and_then(Self::new)
    }

    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }

    #[must_use]
    pub fn next(self) -> Self {
        if self.0 == MAX { Self::FIRST } else { Self(self.0 + 1) }
    }

    /// Nine digits, as ISA13 and IEA02 have it.
    #[must_use]
    pub fn padded(self) -> String {
        format!("{:09}", self.0)
    }

    /// How many steps of [`Self::next`] lead from the other one to this one.
    fn steps_after(self, other: Self) -> u32 {
        if self.0 >= other.0 { self.0 - other.0 } else { MAX - other.0 + self.0 }
    }
}

impl fmt::Display for ControlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Direction {
    Sent,
    Received,
}

/// Whose numbers are counted: those of one partner, ours to them or theirs to us.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence {
    pub sender: PartyId,
    pub receiver: PartyId,
    pub direction: Direction,
}

/// What a received interchange is, by its number and its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrival {
    /// To be taken. `missing`: how many numbers were left out before it; one that comes later is still taken.
    New { missing: u32 },
    /// To be taken: it fills a gap, or came late.
    Late,
    /// The same bytes were taken before: acknowledge them again and do nothing else.
    Repeated,
    /// Other bytes of a number that was taken before. Nothing is taken; a person asks the sender.
    Conflict,
}

impl Arrival {
    /// What a person is told, where there is something to tell.
    #[must_use]
    pub fn sentence(&self, number: ControlNumber) -> Option<String> {
        match self {
            Self::New { missing: 0 } | Self::Late => None,
            Self::New { missing } => Some(format!(
                "Before interchange {number}, {missing} other control number{} did not come. Ask the sender whether they were sent; they are taken \
                 whenever they come.",
                if *missing == 1 { "" } else { "s" }
            )),
            Self::Repeated => Some(format!(
                "Interchange {number} was taken before, with the same bytes. It was acknowledged again and nothing was done twice."
            )),
            Self::Conflict => Some(format!(
                "Interchange {number} was taken before, but with other content. Nothing of this one was taken. Ask the sender to send it again \
                 under a new control number, if it is meant."
            )),
        }
    }
}

/// Decides about a received interchange. `last`: the newest number that was taken of its sequence; `seen`: the hash of the interchange that was
/// taken under the same number within the time for which a number counts as used. A sequence of 999,999,999 numbers comes round again, so
/// whoever keeps the hashes forgets them before it does.
#[must_use]
pub fn arrival(last: Option<ControlNumber>, seen: Option<&[u8; 32]>, number: ControlNumber, hash: &[u8; 32]) -> Arrival {
    match (seen, last) {
        (Some(seen), _) if seen == hash => Arrival::Repeated,
        (Some(_), _) => Arrival::Conflict,
        (None, None) => Arrival::New { missing: 0 },
        (None, Some(last)) => match number.steps_after(last) {
            // The same number was taken so long ago that its hash is forgotten, or comes from the other half of the circle.
            0 => Arrival::Late,
            steps if steps > MAX / 2 => Arrival::Late,
            steps => Arrival::New { missing: steps - 1 },
        },
    }
}
