//! The headers of an interchange (ISA) and of a functional group (GS), read and written.

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};

use super::control_number::ControlNumber;
use super::flaw::{GroupFlaw, InterchangeFault};
use super::segment::Segment;
use super::separators::Separators;

/// How many characters each element of ISA has, from ISA01 on. With the id and the separators that makes 106 bytes.
const ISA_WIDTHS: [usize; 16] = [2, 10, 2, 10, 2, 15, 2, 15, 6, 4, 1, 5, 9, 1, 1, 1];
pub(crate) const ISA_BYTES: usize = 106;
/// From this version of the envelope on ISA11 is the repetition separator. Before, it is the letter U.
const REPETITION_SINCE: &str = "00402";

/// Who sends or receives: a qualifier such as `01` (D-U-N-S), `08`, `12` (phone), `14`, `ZZ` (agreed on), and the id without its padding.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartyId {
    pub qualifier: String,
    pub id: String,
}

impl std::fmt::Display for PartyId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.qualifier, self.id)
    }
}

/// Whether an interchange is meant: ISA15.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Usage {
    Production,
    Test,
    Information,
}

impl Usage {
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Production => "P",
            Self::Test => "T",
            Self::Information => "I",
        }
    }

    fn read(code: &str) -> Option<Self> {
        [Self::Production, Self::Test, Self::Information].into_iter().find(|usage| usage.code() == code)
    }
}

/// What ISA says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterchangeHeader {
    pub sender: PartyId,
    pub receiver: PartyId,
    /// Of the sender's clock and zone, to the minute.
    pub at: NaiveDateTime,
    /// Of the envelope: `00401`, `00501`.
    pub version: String,
    pub control_number: ControlNumber,
    /// The sender wants a TA1 for the interchange itself (ISA14). The 997 is agreed on apart from this.
    pub wants_receipt: bool,
    pub usage: Usage,
}

impl InterchangeHeader {
    /// Reads the first 106 bytes: they say where they are cut.
    pub(crate) fn read(bytes: &[u8]) -> Result<(Self, Separators), InterchangeFault> {
        let lead = &bytes[..bytes.len().min(3)];
        if lead != b"ISA" {
            return Err(InterchangeFault::NotX12(String::from_utf8_lossy(lead).into_owned()));
        }
        let Some((head, rest)) = bytes.split_at_checked(ISA_BYTES) else {
            return Err(InterchangeFault::Truncated { bytes: bytes.len() });
        };
        let element = head[3];
        let (mut at, mut elements) = (3, Vec::with_capacity(16));
        for (index, width) in ISA_WIDTHS.into_iter().enumerate() {
            let number = index + 1;
            if head[at] != element {
                return Err(InterchangeFault::IsaWidth {
                    number: number.saturating_sub(1),
                    width: ISA_WIDTHS[index.saturating_sub(1)],
                });
            }
            let text = &head[at + 1..at + 1 + width];
            // ISA11 and ISA16 may be separators.
            if text.contains(&element) && !matches!(number, 11 | 16) {
                return Err(InterchangeFault::IsaWidth { number, width });
            }
            elements.push(std::str::from_utf8(text).map_err(|_| InterchangeFault::IsaText { number })?);
            at += 1 + width;
        }
        let version = elements[11];
        let repetition = Some(elements[10].as_bytes()[0]).filter(|byte| version >= REPETITION_SINCE && *byte != b'U');
        let line_break = match (head[ISA_BYTES - 1], rest) {
            (b'\r', [b'\n', ..]) => "\n",
            (b'\n' | b'\r', _) => "",
            (_, [b'\r', b'\n', ..]) => "\r\n",
            (_, [b'\n', ..]) => "\n",
            _ => "",
        };
        let separators =
            Separators { element, component: head[ISA_BYTES - 2], repetition, segment: head[ISA_BYTES - 1], line_break };
        if let Some(fault) = separators.fault() {
            return Err(InterchangeFault::Separators(fault));
        }
        Ok((Self::of(&elements)?, separators))
    }

    fn of(elements: &[&str]) -> Result<Self, InterchangeFault> {
        let wrong = |number: usize, what| InterchangeFault::IsaValue { number, what, value: elements[number - 1].to_owned() };
        let party = |qualifier: usize| PartyId {
            qualifier: elements[qualifier - 1].trim_end().to_owned(),
            id: elements[qualifier].trim_end().to_owned(),
        };
        let date = NaiveDate::parse_from_str(&format!("20{}", elements[8]), "%Y%m%d");
        let date = date.map_err(|_| wrong(9, "no date of the form YYMMDD"))?;
        let time = time(elements[9]).filter(|_| elements[9].len() == 4).ok_or_else(|| wrong(10, "no time of the form HHMM"))?;
        if elements[11].len() != 5 || !elements[11].bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(wrong(12, "no version such as 00401"));
        }
        let control_number = elements[12];
        let control_number = Some(control_number).filter(|text| text.len() == 9).and_then(ControlNumber::read);
        Ok(Self {
            sender: party(5),
            receiver: party(7),
            at: date.and_time(time),
            version: elements[11].to_owned(),
            control_number: control_number.ok_or_else(|| wrong(13, "no control number of nine digits from 000000001 on"))?,
            wants_receipt: elements[13] == "1",
            usage: Usage::read(elements[14]).ok_or_else(|| wrong(15, "not P, T or I"))?,
        })
    }

    /// The ISA segment, without its terminator. Nothing of it may be longer than its place.
    pub(crate) fn write(&self, separators: &Separators) -> Result<String, InterchangeFault> {
        let wrong = |number: usize, what, value: &str| InterchangeFault::IsaValue { number, what, value: value.to_owned() };
        let fits = |number: usize, text: &str| {
            let width = ISA_WIDTHS[number - 1];
            let is_plain = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) && !text.is_empty();
            if is_plain && text.len() <= width && text.chars().all(|character| separators.role(character).is_none()) {
                Ok(format!("{text:<width$}"))
            } else {
                Err(wrong(number, "empty, too long or has a character that an envelope cannot have", text))
            }
        };
        if let Some(fault) = separators.fault() {
            return Err(InterchangeFault::Separators(fault));
        }
        let is_version = self.version.len() == 5 && self.version.bytes().all(|byte| byte.is_ascii_digit());
        if !is_version {
            return Err(wrong(12, "no version such as 00401", &self.version));
        }
        let repetition = separators.repetition.filter(|_| self.version.as_str() >= REPETITION_SINCE).unwrap_or(b'U');
        if !(2000..2100).contains(&chrono::Datelike::year(&self.at)) {
            return Err(wrong(9, "no date of this century", &self.at.to_string()));
        }
        let elements = [
            "00".to_owned(),
            " ".repeat(10),
            "00".to_owned(),
            " ".repeat(10),
            fits(5, &self.sender.qualifier)?,
            fits(6, &self.sender.id)?,
            fits(7, &self.receiver.qualifier)?,
            fits(8, &self.receiver.id)?,
            self.at.format("%y%m%d").to_string(),
            self.at.format("%H%M").to_string(),
            char::from(repetition).to_string(),
            self.version.clone(),
            self.control_number.padded(),
            if self.wants_receipt { "1" } else { "0" }.to_owned(),
            self.usage.code().to_owned(),
            char::from(separators.component).to_string(),
        ];
        let separator = char::from(separators.element).to_string();
        Ok(format!("ISA{separator}{}", elements.join(&separator)))
    }
}

/// What GS says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupHeader {
    /// Which sets it holds: `PO` are 850s.
    pub functional_id: String,
    pub sender: String,
    pub receiver: String,
    pub date: Option<NaiveDate>,
    /// Digits, as they came: HHMM, HHMMSS or with a fraction behind.
    pub time: String,
    pub control_number: Option<ControlNumber>,
    /// `X`: an X12 standard.
    pub agency: String,
    /// `004010`, perhaps with the name of an industry's guide behind: `004010VICS`.
    pub version: String,
}

impl GroupHeader {
    pub(crate) fn read(segment: &Segment<'_>) -> (Self, Vec<GroupFlaw>) {
        let element = |number| segment.element(number).to_owned();
        let date = Some(segment.element(4)).filter(|text| text.len() == 8);
        let header = Self {
            functional_id: element(1),
            sender: element(2),
            receiver: element(3),
            date: date.and_then(|text| NaiveDate::parse_from_str(text, "%Y%m%d").ok()),
            time: element(5),
            control_number: ControlNumber::read(segment.element(6)),
            agency: element(7),
            version: element(8),
        };
        let mut flaws = Vec::new();
        if header.control_number.is_none() {
            flaws.push(GroupFlaw::ControlNumber(element(6)));
        }
        if !is_supported(&header.version) {
            flaws.push(GroupFlaw::Version(element(8)));
        }
        (header, flaws)
    }

    /// The first six characters of the version: `004010`.
    #[must_use]
    pub fn release(&self) -> &str {
        self.version.get(..6).unwrap_or(&self.version)
    }
}

/// The releases whose dates have eight digits and whose segments the guides describe.
pub(crate) fn is_supported(version: &str) -> bool {
    version.get(..6).is_some_and(|release| ("004010".."005020").contains(&release))
}

/// HHMM, HHMMSS, HHMMSSD or HHMMSSDD.
pub(crate) fn time(text: &str) -> Option<NaiveTime> {
    if !(4..=8).contains(&text.len()) || text.len() == 5 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| text.get(at..at + 2).map_or(Ok(0), str::parse);
    NaiveTime::from_hms_opt(part(0).ok()?, part(2).ok()?, if text.len() > 4 { part(4).ok()? } else { 0 })
}
