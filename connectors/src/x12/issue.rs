//! What is wrong with a set, held against its guide: where, what, and the codes by which a 997 says it.

use std::fmt;

use super::segment::Place;

/// One thing that is wrong with one segment of a set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// `PO1`; of a segment that is missing, its id.
    pub segment: String,
    /// In the set: ST is 1. Of a segment that is missing, where it should have been at the latest.
    pub position: usize,
    pub place: Place,
    pub element: Option<IssueElement>,
    pub code: IssueCode,
    /// What stands there.
    pub value: Option<String>,
}

/// Which element of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssueElement {
    /// From 1.
    pub number: usize,
    /// From 1, where the element is made of several.
    pub component: Option<usize>,
    /// The number that the standard gives it: `324`.
    pub reference: String,
    /// What trees call it.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IssueCode {
    /// No segment that any guide knows.
    UnknownSegment,
    /// A known segment that this set does not have.
    NotInSet,
    OutOfOrder,
    SegmentMissing,
    LoopTooOften {
        max: usize,
    },
    SegmentTooOften {
        max: usize,
    },
    /// An HL whose parent is not there, or is none that it may stand under.
    NoParent,
    /// HL says that something stands under it, and nothing does, or the other way round.
    ChildFlag,
    Missing,
    /// Missing, because another one is there.
    MissingBeside {
        rule: String,
    },
    TooManyElements,
    TooManyComponents,
    Repeated,
    TooShort {
        min: usize,
    },
    TooLong {
        max: usize,
    },
    BadCharacter,
    BadCode,
    BadDate,
    BadTime,
    Excluded {
        rule: String,
    },
    /// A total that says how many there are, and there are others.
    Count {
        found: usize,
    },
}

impl IssueCode {
    /// The set is taken all the same, and the 997 says what was seen.
    #[must_use]
    pub fn is_noted(&self) -> bool {
        matches!(self, Self::Count { .. } | Self::ChildFlag)
    }

    /// AK304.
    #[must_use]
    pub fn segment_code(&self) -> &'static str {
        match self {
            Self::UnknownSegment => "1",
            Self::SegmentMissing => "3",
            Self::LoopTooOften { .. } => "4",
            Self::SegmentTooOften { .. } => "5",
            Self::NotInSet => "6",
            Self::OutOfOrder => "7",
            _ => "8",
        }
    }

    /// AK403, where it is about an element; the nearest one where a 997 of 004010 has none.
    #[must_use]
    pub fn element_code(&self) -> &'static str {
        match self {
            Self::Missing => "1",
            Self::MissingBeside { .. } => "2",
            Self::TooManyElements | Self::TooManyComponents | Self::Repeated => "3",
            Self::TooShort { .. } => "4",
            Self::TooLong { .. } => "5",
            Self::BadDate => "8",
            Self::BadTime => "9",
            Self::Excluded { .. } => "10",
            Self::BadCode | Self::NoParent | Self::ChildFlag | Self::Count { .. } => "7",
            _ => "6",
        }
    }
}

impl fmt::Display for IssueCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSegment => f.write_str("is no segment that is known here"),
            Self::NotInSet => f.write_str("does not belong into this transaction set"),
            Self::OutOfOrder => f.write_str("stands in the wrong place: segments that must come after it came before it"),
            Self::SegmentMissing => f.write_str("is missing"),
            Self::LoopTooOften { max } => write!(f, "begins its loop more than {max} times"),
            Self::SegmentTooOften { max } => write!(f, "stands there more than {}", times(*max)),
            Self::NoParent => f.write_str("does not say, or says wrongly, what it stands under"),
            Self::ChildFlag => f.write_str("says something else than what stands under it"),
            Self::Missing => f.write_str("is missing"),
            Self::MissingBeside { rule } => write!(f, "is missing beside the others of its segment (rule {rule})"),
            Self::TooManyElements => f.write_str("is more than the segment has"),
            Self::TooManyComponents => f.write_str("has the component separator in it, more often than it may"),
            Self::Repeated => f.write_str("has the repetition separator in it, but may stand there once only"),
            Self::TooShort { min } => write!(f, "is shorter than {min}"),
            Self::TooLong { max } => write!(f, "is longer than {max}"),
            Self::BadCharacter => f.write_str("has a character that it cannot have"),
            Self::BadCode => f.write_str("is none of the codes that it may be"),
            Self::BadDate => f.write_str("is no date"),
            Self::BadTime => f.write_str("is no time"),
            Self::Excluded { rule } => write!(f, "may not stand beside the others of its segment (rule {rule})"),
            Self::Count { found } => write!(f, "is not how many there are: {found}"),
        }
    }
}

fn times(max: usize) -> String {
    if max == 1 { "once".to_owned() } else { format!("{max} times") }
}

/// How much of a value is shown.
const SHOWN_CHARS: usize = 60;

impl fmt::Display for Issue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.segment)?;
        if let Some(element) = &self.element {
            write!(f, "{:02}", element.number)?;
            if let Some(component) = element.component {
                write!(f, "-{component}")?;
            }
            if !element.name.is_empty() {
                write!(f, " ({})", element.name)?;
            }
        }
        if let Some(value) = &self.value {
            let cut: String = value.chars().take(SHOWN_CHARS).collect();
            write!(f, " {cut:?}")?;
        }
        write!(f, " {} ({})", self.code, self.place)
    }
}
