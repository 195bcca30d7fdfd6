//! Sets into groups, groups into an interchange: envelopes, control numbers and counts around segments that are made.

use super::control_number::ControlNumber;
use super::envelope::{GroupHeader, InterchangeHeader, is_supported, time};
use super::flaw::InterchangeFault;
use super::make::MadeSegment;
use super::separators::Separators;

/// Why nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("the envelope cannot be written: {0}")]
    Envelope(#[from] InterchangeFault),
    #[error("GS{number:02} cannot be {value:?}")]
    Group { number: usize, value: String },
    #[error("ST02 cannot be {0:?}: a control number has four to nine letters and digits and stands once in its group")]
    SetControlNumber(String),
    #[error("{0} holds nothing")]
    Empty(&'static str),
}

/// A set to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetDraft {
    /// `850`
    pub id: String,
    /// Four to nine characters, once in its group: `0001`.
    pub control_number: String,
    pub implementation: Option<String>,
    pub segments: Vec<MadeSegment>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDraft {
    pub header: GroupHeader,
    pub sets: Vec<SetDraft>,
}

/// An interchange to be sent. Its control numbers come from whoever keeps the sequences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterchangeDraft {
    pub header: InterchangeHeader,
    pub separators: Separators,
    pub groups: Vec<GroupDraft>,
}

impl InterchangeDraft {
    /// # Errors
    /// Where an envelope has no place for what it should say, or holds nothing.
    pub fn write(&self) -> Result<Vec<u8>, WriteError> {
        let mut out = Out { separators: &self.separators, bytes: Vec::new() };
        let head = self.header.write(&self.separators)?;
        out.bytes.extend_from_slice(head.as_bytes());
        out.end_segment();
        if self.groups.is_empty() {
            return Err(WriteError::Empty("the interchange"));
        }
        for group in &self.groups {
            out.group(group)?;
        }
        out.segment(&["IEA", &self.groups.len().to_string(), &self.header.control_number.padded()]);
        Ok(out.bytes)
    }
}

struct Out<'s> {
    separators: &'s Separators,
    bytes: Vec<u8>,
}

impl Out<'_> {
    fn end_segment(&mut self) {
        self.bytes.push(self.separators.segment);
        self.bytes.extend_from_slice(self.separators.line_break.as_bytes());
    }

    fn segment(&mut self, elements: &[&str]) {
        for (index, element) in elements.iter().enumerate() {
            if index > 0 {
                self.bytes.push(self.separators.element);
            }
            self.bytes.extend_from_slice(element.as_bytes());
        }
        self.end_segment();
    }

    /// Text that stands in an envelope.
    fn is_plain(&self, text: &str, max: usize) -> bool {
        let is_safe = |c: char| c.is_ascii_graphic() && self.separators.role(c).is_none() || c == ' ';
        (1..=max).contains(&text.len()) && text.chars().all(is_safe)
    }

    fn group(&mut self, group: &GroupDraft) -> Result<(), WriteError> {
        let header = &group.header;
        let wrong = |number: usize, value: &str| WriteError::Group { number, value: value.to_owned() };
        for (number, value, max) in [
            (1, &header.functional_id, 2),
            (2, &header.sender, 15),
            (3, &header.receiver, 15),
            (7, &header.agency, 2),
            (8, &header.version, 12),
        ] {
            if !self.is_plain(value, max) {
                return Err(wrong(number, value));
            }
        }
        if !is_supported(&header.version) {
            return Err(wrong(8, &header.version));
        }
        let date = header.date.ok_or_else(|| wrong(4, ""))?.format("%Y%m%d").to_string();
        time(&header.time).ok_or_else(|| wrong(5, &header.time))?;
        let number = header.control_number.map(ControlNumber::get).ok_or_else(|| wrong(6, ""))?.to_string();
        if group.sets.is_empty() {
            return Err(WriteError::Empty("a group"));
        }
        self.segment(&[
            "GS",
            &header.functional_id,
            &header.sender,
            &header.receiver,
            &date,
            &header.time,
            &number,
            &header.agency,
            &header.version,
        ]);
        let mut seen = std::collections::HashSet::new();
        for set in &group.sets {
            let control = &set.control_number;
            let is_number = (4..=9).contains(&control.len()) && control.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_number || !seen.insert(control) {
                return Err(WriteError::SetControlNumber(control.clone()));
            }
            match &set.implementation {
                Some(implementation) => self.segment(&["ST", &set.id, control, implementation]),
                None => self.segment(&["ST", &set.id, control]),
            }
            for MadeSegment(elements) in &set.segments {
                let elements: Vec<&str> = elements.iter().map(String::as_str).collect();
                self.segment(&elements);
            }
            self.segment(&["SE", &(set.segments.len() + 2).to_string(), control]);
        }
        self.segment(&["GE", &group.sets.len().to_string(), &number]);
        Ok(())
    }
}
