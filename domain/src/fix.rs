//! Fixes: what a person can do about an exception with one act. A connector's error rule may name one (`fix_kind`); for the platform's own
//! reasons one table does.

use serde::{Deserialize, Serialize};

/// The words are stored, so a variant is never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FixKind {
    /// A lookup table lacks a value: it is added, and all that wait for it are tried again.
    AddLookupValue,
    /// The account is refused: a person connects it again.
    Reconnect,
    /// A limit of the account stands in the way: it is raised there, or the connection is told the right one.
    RaiseLimit,
    /// A field of the record is corrected here, and the record is delivered with it.
    EditField,
    /// What the record refers to must be at the destination first.
    CreateFirst,
    /// A person has done it there by hand: its id there is written down, and nothing is sent.
    DoneElsewhere,
}

impl FixKind {
    pub const ALL: [Self; 6] =
        [Self::AddLookupValue, Self::Reconnect, Self::RaiseLimit, Self::EditField, Self::CreateFirst, Self::DoneElsewhere];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddLookupValue => "add_lookup_value",
            Self::Reconnect => "reconnect",
            Self::RaiseLimit => "raise_limit",
            Self::EditField => "edit_field",
            Self::CreateFirst => "create_first",
            Self::DoneElsewhere => "done_elsewhere",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// What it is called on a button.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::AddLookupValue => "Add the value to the lookup table, and retry",
            Self::Reconnect => "Connect the account again",
            Self::RaiseLimit => "Raise the limit, and retry",
            Self::EditField => "Correct the field, and deliver",
            Self::CreateFirst => "Deliver what it refers to first",
            Self::DoneElsewhere => "It was done by hand: note its id there",
        }
    }
}

/// Fixes by the beginning of an exception's code; the first line that fits counts.
const OF_CODES: &[(&str, &[FixKind])] = &[
    ("no_entry", &[FixKind::AddLookupValue]),
    ("unmapped.no_entry", &[FixKind::AddLookupValue]),
    ("unmapped.", &[]),
    ("unreadable", &[]),
    ("unfetched.", &[]),
    ("internal", &[]),
    // Both are the acts of differences: send it again, or accept what is there.
    ("difference.", &[]),
    ("required", &[FixKind::EditField]),
    ("unbalanced", &[FixKind::EditField]),
    ("bad_type", &[FixKind::EditField]),
    ("out_of_range", &[FixKind::EditField]),
    ("authentication.", &[FixKind::Reconnect]),
    ("permission.", &[FixKind::Reconnect]),
    ("limit.", &[FixKind::RaiseLimit]),
    // The connector, the connection or the mapping is what has to be mended: no field of the record is.
    ("validation.request", &[]),
    ("validation.mapping", &[]),
    ("validation.address", &[]),
    ("validation.connector", &[]),
    ("validation.look_ups", &[]),
    ("validation.unprovable", &[]),
    ("validation.", &[FixKind::EditField]),
];

/// What can be done about exceptions of this code, the most fitting first: what the connector's error rule names (`named`), then what the code
/// says. What failed on its way to a destination may always have been done there by hand.
#[must_use]
pub fn fixes(code: &str, named: Option<FixKind>, has_delivery: bool) -> Vec<FixKind> {
    let of_code = OF_CODES.iter().find(|(beginning, _)| code.starts_with(beginning)).map_or(&[][..], |(_, kinds)| kinds);
    let by_hand = (has_delivery && !code.starts_with("difference.")).then_some(FixKind::DoneElsewhere);
    let mut fixes: Vec<FixKind> = Vec::new();
    for kind in named.into_iter().chain(of_code.iter().copied()).chain(by_hand) {
        if !fixes.contains(&kind) {
            fixes.push(kind);
        }
    }
    fixes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_and_a_connector_say_what_can_be_done() {
        use FixKind::{AddLookupValue, CreateFirst, DoneElsewhere, EditField, Reconnect};
        for (code, named, has_delivery, expected) in [
            ("no_entry", None, true, vec![AddLookupValue, DoneElsewhere]),
            ("unmapped.no_entry", None, false, vec![AddLookupValue]),
            ("unbalanced", None, true, vec![EditField, DoneElsewhere]),
            ("authentication.http_401", None, true, vec![Reconnect, DoneElsewhere]),
            ("validation.INVALID_CONTENT", Some(CreateFirst), true, vec![CreateFirst, EditField, DoneElsewhere]),
            ("conflict.EXISTS", Some(DoneElsewhere), true, vec![DoneElsewhere]),
            ("validation.unprovable", None, true, vec![DoneElsewhere]),
            ("unreadable", None, false, vec![]),
        ] {
            assert_eq!(fixes(code, named, has_delivery), expected, "{code}");
        }
        assert!(FixKind::ALL.iter().all(|kind| FixKind::parse(kind.as_str()) == Some(*kind)));
    }
}
