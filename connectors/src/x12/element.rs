//! One data element: text of the wire to text of a tree, and back, both exact. Nothing is ever rounded, padded away or cut off.

use chrono::{Datelike, NaiveDate};

use super::dictionary::ElementSpec;
use super::envelope::time;
use super::issue::IssueCode;

/// What a data element holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ElementKind {
    /// AN: text.
    Text,
    /// ID: a code.
    Code,
    /// Nn: digits of which the last n stand behind the point; no point is written.
    Implied(usize),
    /// R: a decimal as it stands.
    Decimal,
    /// DT: CCYYMMDD. In a tree `2026-11-28`.
    Date,
    /// TM: HHMM, HHMMSS, HHMMSSD, HHMMSSDD. In a tree `14:30`, `14:30:05`, `14:30:05.5`.
    Time,
}

/// Characters, of numbers digits: the sign and the point do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lengths {
    pub min: usize,
    max: usize,
    /// From a release on.
    later: Option<(String, usize)>,
}

impl Lengths {
    pub fn max(&self, release: &str) -> usize {
        self.later.as_ref().filter(|(since, _)| release >= since.as_str()).map_or(self.max, |(_, max)| *max)
    }
}

impl ElementKind {
    /// `AN 1/30`, or `AN 1/30, 005010 1/50`.
    pub fn parse(text: &str) -> Option<(Self, Lengths)> {
        let (first, later) = text.split_once(", ").map_or((text, None), |(first, later)| (first, Some(later)));
        let (kind, lengths) = first.split_once(' ')?;
        let kind = match kind {
            "AN" => Self::Text,
            "ID" => Self::Code,
            "R" => Self::Decimal,
            "DT" => Self::Date,
            "TM" => Self::Time,
            implied => Self::Implied(implied.strip_prefix('N')?.parse().ok().filter(|places| *places <= 9)?),
        };
        let range = |text: &str| -> Option<(usize, usize)> {
            let (min, max) = text.split_once('/')?;
            Some((min.parse().ok()?, max.parse().ok()?)).filter(|(min, max)| min <= max)
        };
        let (min, max) = range(lengths.trim())?;
        let later = match later {
            Some(later) => {
                let (release, longer) = later.split_once(' ')?;
                Some((release.to_owned(), range(longer)?.1))
            }
            None => None,
        };
        Some((kind, Lengths { min, max, later }))
    }
}

/// What an element of the wire says.
pub(crate) fn read(spec: &ElementSpec, text: &str, release: &str) -> Result<String, IssueCode> {
    if text.chars().any(char::is_control) {
        return Err(IssueCode::BadCharacter);
    }
    let length = match spec.kind {
        ElementKind::Implied(_) | ElementKind::Decimal => text.bytes().filter(u8::is_ascii_digit).count(),
        _ => text.chars().count(),
    };
    let read = match spec.kind {
        // A code is what trees find things by: one that looks like a name of ours could not be told apart from it.
        ElementKind::Code if !spec.names.is_empty() && text.contains(|c: char| c.is_lowercase() || c == '_') => {
            return Err(IssueCode::BadCharacter);
        }
        ElementKind::Text | ElementKind::Code => text.to_owned(),
        ElementKind::Implied(places) => implied(text, places).ok_or(IssueCode::BadCharacter)?,
        ElementKind::Decimal => decimal(text).ok_or(IssueCode::BadCharacter)?,
        ElementKind::Date => {
            let date = NaiveDate::parse_from_str(text, "%Y%m%d").ok().filter(|date| text.len() == 8 && date.year() >= 1000);
            date.ok_or(IssueCode::BadDate)?.to_string()
        }
        ElementKind::Time => {
            time(text).ok_or(IssueCode::BadTime)?;
            let mut read = format!("{}:{}", &text[..2], &text[2..4]);
            for (mark, part) in [(':', text.get(4..6)), ('.', text.get(6..).filter(|part| !part.is_empty()))] {
                read.extend(part.map(|part| format!("{mark}{part}")));
            }
            read
        }
    };
    if length > spec.lengths.max(release) {
        return Err(IssueCode::TooLong { max: spec.lengths.max(release) });
    }
    if length < spec.lengths.min {
        return Err(IssueCode::TooShort { min: spec.lengths.min });
    }
    if spec.codes.as_ref().is_some_and(|codes| !codes.contains(text)) {
        return Err(IssueCode::BadCode);
    }
    Ok(read)
}

/// An element of the wire that says this.
pub(crate) fn write(spec: &ElementSpec, text: &str, release: &str) -> Result<String, IssueCode> {
    let written = match spec.kind {
        ElementKind::Text | ElementKind::Code => text.to_owned(),
        ElementKind::Implied(places) => {
            let digits = unpoint(text, places).ok_or(IssueCode::BadCharacter)?;
            let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
            format!("{sign}{digits:0>width$}", width = spec.lengths.min)
        }
        ElementKind::Decimal => decimal(text).ok_or(IssueCode::BadCharacter)?,
        ElementKind::Date => {
            let date = text.get(..10).filter(|_| text.len() == 10).unwrap_or_default();
            NaiveDate::parse_from_str(date, "%Y-%m-%d").map_err(|_| IssueCode::BadDate)?.format("%Y%m%d").to_string()
        }
        ElementKind::Time => {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            // What is read back must be what was given: so `9:00` is refused.
            Some(digits).filter(|digits| read(spec, digits, release).as_deref() == Ok(text)).ok_or(IssueCode::BadTime)?
        }
    };
    read(spec, &written, release).map(|_| written)
}

fn signed(text: &str) -> (&str, &str) {
    text.strip_prefix('-').map_or(("", text), |digits| ("-", digits))
}

/// `-5` with two places is `-0.05`.
fn implied(text: &str, places: usize) -> Option<String> {
    let (sign, digits) = signed(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, part) = padded.split_at(padded.len() - places);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(if places == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{part}") })
}

/// `-0.05` with two places is `-5`; `0.055` has more than it can have.
fn unpoint(text: &str, places: usize) -> Option<String> {
    let text = decimal(text)?;
    let (sign, digits) = signed(&text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let (kept, lost) = part.split_at(part.len().min(places));
    if lost.bytes().any(|byte| byte != b'0') {
        return None;
    }
    let all = format!("{whole}{kept:0<places$}");
    let all = all.trim_start_matches('0');
    Some(if all.is_empty() { "0".to_owned() } else { format!("{sign}{all}") })
}

/// Digits with at most one point; `.5` and `5.` get the zero that they are short of, everything else stays as it is. Exponents are refused.
fn decimal(text: &str) -> Option<String> {
    let (sign, digits) = signed(text);
    let (whole, part) = digits.split_once('.').map_or((digits, None), |(whole, part)| (whole, Some(part)));
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !part.is_none_or(are_digits) || whole.len() + part.map_or(0, str::len) == 0 {
        return None;
    }
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(match part.filter(|part| !part.is_empty()) {
        Some(part) => format!("{sign}{whole}.{part}"),
        None => format!("{sign}{whole}"),
    })
}
