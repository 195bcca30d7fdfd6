//! Bytes become segments: cut at the separators, with where each begins. Nothing is copied.

use std::fmt;

use super::separators::Separators;

/// Elements of one segment. The longest that a guide knows has 31.
pub const ELEMENTS_MAX: usize = 100;

/// Where something stands in the bytes that came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    /// From 1: ISA is segment 1 of its interchange.
    pub segment: usize,
    /// From 0, of the first byte, in the bytes that were given.
    pub byte: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, byte {}", self.segment, self.byte)
    }
}

/// One segment, cut and not yet understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment<'b> {
    /// `BEG`; empty where it is no text.
    pub id: &'b str,
    /// What follows the id; an element that is no text is empty, see `not_text`.
    pub elements: Vec<&'b str>,
    pub place: Place,
    /// The first element that is not UTF-8, from 1; 0 is the id.
    pub not_text: Option<usize>,
    /// It has more than [`ELEMENTS_MAX`] elements; the rest is left out.
    pub is_too_long: bool,
}

impl<'b> Segment<'b> {
    /// An element by its number, from 1; empty where it is not there.
    #[must_use]
    pub fn element(&self, number: usize) -> &'b str {
        number.checked_sub(1).and_then(|index| self.elements.get(index)).copied().unwrap_or_default()
    }
}

/// Cuts one segment after the other.
pub(crate) struct Scanner<'b> {
    bytes: &'b [u8],
    /// Of the next segment.
    pub at: usize,
    pub count: usize,
    separators: Separators,
}

impl<'b> Scanner<'b> {
    /// From `at` on, behind `count` segments.
    pub fn new(bytes: &'b [u8], at: usize, count: usize, separators: Separators) -> Self {
        Self { bytes, at, count, separators }
    }

    /// The line break that some write behind each segment.
    fn skip_line_break(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| matches!(byte, b'\r' | b'\n')) {
            self.at += 1;
        }
    }
}

/// A segment, or where the bytes end in the middle of one.
pub(crate) type Cut<'b> = Result<Segment<'b>, Place>;

impl<'b> Iterator for Scanner<'b> {
    type Item = Cut<'b>;

    fn next(&mut self) -> Option<Cut<'b>> {
        self.skip_line_break();
        let rest = self.bytes.get(self.at..).filter(|rest| !rest.is_empty())?;
        let place = Place { segment: self.count + 1, byte: self.at };
        let Some(length) = rest.iter().position(|byte| *byte == self.separators.segment) else { return Some(Err(place)) };
        (self.at, self.count) = (self.at + length + 1, self.count + 1);
        let mut parts = rest[..length].split(|byte| *byte == self.separators.element);
        let mut not_text = None;
        let mut text = |number: usize, part: &'b [u8]| {
            std::str::from_utf8(part).unwrap_or_else(|_| {
                not_text.get_or_insert(number);
                ""
            })
        };
        let id = text(0, parts.next().unwrap_or_default());
        let elements: Vec<&str> =
            parts.by_ref().take(ELEMENTS_MAX).enumerate().map(|(index, part)| text(index + 1, part)).collect();
        Some(Ok(Segment { id, elements, place, not_text, is_too_long: parts.next().is_some() }))
    }
}
