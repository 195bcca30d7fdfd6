//! Reconciliation: what a source has of a time against what came from it, and what was delivered against what the destination has, down to
//! the ids and to the fields that the mapping writes. It is what makes a green flow true.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::comparison::without_rows;
use crate::value::Value;

/// What changed later than this long ago may still be on its way, and proves nothing.
pub const SETTLED_AFTER: Duration = Duration::minutes(5);
/// The longest time that one reconciliation covers.
pub const PERIOD_MAX: Duration = Duration::days(93);
/// Differences that one reconciliation keeps; what is beyond is counted.
pub const DIFFERENCES_MAX: u64 = 10_000;
/// Fields of one record that are told.
const FIELDS_MAX: usize = 50;
const SHOWN_CHARS_MAX: usize = 200;
/// Rows of two lists that are matched whatever their order; longer ones are compared in their places.
const ROWS_MATCHED_MAX: usize = 1_000;

/// From a moment until before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    pub from: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    #[error("the time ends at {until}, before it begins at {from}")]
    Backwards { from: DateTime<Utc>, until: DateTime<Utc> },
    #[error("a reconciliation covers at most {} days; make several", PERIOD_MAX.num_days())]
    Long,
    #[error("what changed within the last {} minutes may still be on its way: end it before {latest}", SETTLED_AFTER.num_minutes())]
    Unsettled { latest: DateTime<Utc> },
}

impl Period {
    /// # Errors
    /// What cannot be reconciled at `now`.
    pub fn check(&self, now: DateTime<Utc>) -> Result<(), PeriodError> {
        let latest = now - SETTLED_AFTER;
        if self.from >= self.until {
            return Err(PeriodError::Backwards { from: self.from, until: self.until });
        }
        if self.until > latest {
            return Err(PeriodError::Unsettled { latest });
        }
        if self.until - self.from > PERIOD_MAX {
            return Err(PeriodError::Long);
        }
        Ok(())
    }

    #[must_use]
    pub fn contains(&self, at: DateTime<Utc>) -> bool {
        self.from <= at && at < self.until
    }
}

/// How two sides disagree about one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DifferenceKind {
    /// The source has it, and it never came.
    NeverCame,
    /// What the source says is not what came last.
    Outdated,
    /// It came, the flow takes it, and nothing was planned.
    NotPlanned,
    /// It was confirmed, and the destination has it no more.
    Gone,
    /// Both have it, and they say different things.
    Different,
    /// The destination has a second one under our key.
    Extra,
}

impl DifferenceKind {
    pub const ALL: [DifferenceKind; 6] =
        [Self::NeverCame, Self::Outdated, Self::NotPlanned, Self::Gone, Self::Different, Self::Extra];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeverCame => "never_came",
            Self::Outdated => "outdated",
            Self::NotPlanned => "not_planned",
            Self::Gone => "gone",
            Self::Different => "different",
            Self::Extra => "extra",
        }
    }

    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// True where reconciling mends it at once: what is missing is brought and planned like anything that arrives. What was confirmed and is
    /// gone or changed there is a person's to decide, because somebody may have meant it.
    #[must_use]
    pub fn is_mended(self) -> bool {
        matches!(self, Self::NeverCame | Self::Outdated | Self::NotPlanned)
    }
}

/// One mismatch, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    pub kind: DifferenceKind,
    /// The record's id at the source.
    pub source_id: Option<String>,
    /// And at the destination.
    pub destination_id: Option<String>,
    pub fields: Vec<FieldDifference>,
}

/// A field that the sides do not agree about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldDifference {
    /// With its rows: `lines[2].quantity`.
    pub path: String,
    /// What we sent, at most 200 characters of it; `None` for nothing.
    pub ours: Option<String>,
    /// What is there.
    pub theirs: Option<String>,
}

/// What a comparison of one record came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreement {
    /// The fields that both sides have, without rows.
    pub compared: BTreeSet<String>,
    /// Those that the answer says nothing of: they prove nothing.
    pub uncompared: BTreeSet<String>,
    pub differences: Vec<FieldDifference>,
}

impl Agreement {
    /// Adds what another comparison of the same record says of the fields that this one could not compare.
    pub fn add(&mut self, field: &str, other: Agreement) {
        if other.compared.is_empty() {
            return;
        }
        self.uncompared.remove(field);
        self.compared.insert(field.to_owned());
        let room = FIELDS_MAX.saturating_sub(self.differences.len());
        self.differences.extend(other.differences.into_iter().take(room));
    }
}

/// Compares what was written with what a side says it has. Only what was written counts: a destination adds much of its own. A field whose
/// name the answer does not have at all was not compared; one that it has and that is empty there was.
#[must_use]
pub fn compare(ours: &Value, theirs: &Value, is_ignored: &dyn Fn(&str) -> bool) -> Agreement {
    let mut agreement = Agreement::default();
    walk(&mut String::new(), ours, theirs, is_ignored, &mut agreement);
    agreement
}

fn walk(path: &mut String, ours: &Value, theirs: &Value, is_ignored: &dyn Fn(&str) -> bool, found: &mut Agreement) {
    if is_ignored(&without_rows(path)) {
        return;
    }
    match (ours, theirs) {
        (Value::Map(map), Value::Map(_)) => {
            for (key, ours) in map {
                let length = path.len();
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                match theirs.get(key) {
                    Some(theirs) => walk(path, ours, theirs, is_ignored, found),
                    None if is_nothing(ours) || is_ignored(&without_rows(path)) => {}
                    None => {
                        found.uncompared.insert(without_rows(path).into_owned());
                    }
                }
                path.truncate(length);
            }
        }
        (Value::List(ours), Value::List(theirs)) => {
            let field = without_rows(path).into_owned();
            found.compared.insert(field);
            let (pairs, extra) = pairs(ours, theirs, is_ignored, path);
            for (row, ours) in ours.iter().enumerate() {
                let length = path.len();
                path.push_str(&format!("[{row}]"));
                match pairs[row] {
                    Some(at) => walk(path, ours, &theirs[at], is_ignored, found),
                    None => found.tell(path, Some(ours), None),
                }
                path.truncate(length);
            }
            for row in extra {
                let length = path.len();
                path.push_str(&format!("[{row}]"));
                found.tell(path, None, Some(&theirs[row]));
                path.truncate(length);
            }
        }
        // A group that the answer names by its id or says in one word says nothing of what is within.
        (Value::Map(_), theirs) if !is_nothing(theirs) => {
            found.uncompared.insert(without_rows(path).into_owned());
        }
        _ => {
            found.compared.insert(without_rows(path).into_owned());
            if !agrees(ours, theirs) {
                found.tell(path, Some(ours), Some(theirs));
            }
        }
    }
}

impl Agreement {
    fn tell(&mut self, path: &str, ours: Option<&Value>, theirs: Option<&Value>) {
        if self.differences.len() < FIELDS_MAX {
            let shown = |value: Option<&Value>| {
                let value = value.filter(|value| !value.is_null())?;
                let text = value.to_text().map_or_else(|| value.to_json(), std::borrow::Cow::into_owned);
                Some(text.chars().take(SHOWN_CHARS_MAX).collect())
            };
            self.differences.push(FieldDifference { path: path.to_owned(), ours: shown(ours), theirs: shown(theirs) });
        }
    }
}

/// Which row of theirs stands for each of ours: those that say the same, wherever they stand, then the others in their order; and the rows that
/// stand for none.
fn pairs(ours: &[Value], theirs: &[Value], is_ignored: &dyn Fn(&str) -> bool, path: &str) -> (Vec<Option<usize>>, Vec<usize>) {
    let mut pairs: Vec<Option<usize>> = vec![None; ours.len()];
    let mut free: Vec<bool> = vec![true; theirs.len()];
    let same = |ours: &Value, theirs: &Value| {
        let mut found = Agreement::default();
        walk(&mut format!("{path}[]"), ours, theirs, is_ignored, &mut found);
        found.differences.is_empty() && !found.compared.is_empty()
    };
    for (row, ours) in ours.iter().enumerate() {
        if theirs.get(row).is_some_and(|theirs| same(ours, theirs)) {
            (pairs[row], free[row]) = (Some(row), false);
        }
    }
    if ours.len().max(theirs.len()) <= ROWS_MATCHED_MAX {
        for (row, ours) in ours.iter().enumerate() {
            if pairs[row].is_none()
                && let Some(at) = (0..theirs.len()).find(|at| free[*at] && same(ours, &theirs[*at]))
            {
                (pairs[row], free[at]) = (Some(at), false);
            }
        }
    }
    let mut left = (0..theirs.len()).filter(|at| free[*at]).collect::<Vec<_>>().into_iter();
    for pair in pairs.iter_mut().filter(|pair| pair.is_none()) {
        *pair = left.next();
    }
    (pairs, left.collect())
}

/// Nothing, null, empty text and an empty list say the same: vendors keep one as another.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.trim().is_empty(),
        Value::List(list) => list.iter().all(is_nothing),
        Value::Map(map) => map.iter().all(|(_, value)| is_nothing(value)),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// True where two values say the same thing: `10.0` and `"10.00"`, `2026-11-28T10:00:00+01:00` and `2026-11-28T09:00:00Z`.
#[must_use]
pub fn agrees(ours: &Value, theirs: &Value) -> bool {
    if ours == theirs || is_nothing(ours) && is_nothing(theirs) {
        return true;
    }
    if let (Some(ours), Some(theirs)) = (number(ours), number(theirs)) {
        return ours == theirs;
    }
    match (ours, theirs) {
        (Value::Text(ours), Value::Text(theirs)) => {
            let (ours, theirs) = (ours.trim(), theirs.trim());
            ours == theirs || moment(ours).is_some_and(|at| moment(theirs) == Some(at))
        }
        (Value::Bool(flag), Value::Text(text)) | (Value::Text(text), Value::Bool(flag)) => {
            text.trim().eq_ignore_ascii_case(if *flag { "true" } else { "false" })
        }
        _ => false,
    }
}

fn number(value: &Value) -> Option<rust_decimal::Decimal> {
    match value {
        Value::Number(_) => value.to_decimal(),
        // A code with leading zeros is no number.
        Value::Text(text) if !text.starts_with('0') || text == "0" || text.starts_with("0.") => {
            crate::value::decimal(text.trim())
        }
        _ => None,
    }
}

/// A day is its first moment in UTC, as many vendors write it.
fn moment(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.to_utc());
    }
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0).map(|at| at.and_utc())
}

/// The sums of a reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Records of the period that the source listed.
    pub source_listed: u64,
    /// Those that the flow's filter leaves out.
    pub left: u64,
    /// Those that the source's mapping cannot read.
    pub unreadable: u64,
    /// On their way, or waiting for a retry.
    pub under_way: u64,
    /// Waiting for a person.
    pub exceptions: u64,
    /// Decided by a person or by a later revision: nothing is owed.
    pub settled_otherwise: u64,
    /// Deliveries of the period that were confirmed.
    pub confirmed: u64,
    /// Records that the destination listed.
    pub destination_listed: u64,
    /// Of them, those that no delivery of this flow is about.
    pub destination_others: u64,
    /// Deliveries whose record is there and says what we sent.
    pub agreed: u64,
    pub never_came: u64,
    pub outdated: u64,
    pub not_planned: u64,
    pub gone: u64,
    pub different: u64,
    pub extra: u64,
    /// Confirmed ones that could not be asked for: the period is not proven.
    pub unchecked: u64,
    /// Calls made to both sides.
    pub calls: u64,
    /// Fields, without rows, that were compared in at least one record, and those that an answer never said.
    pub fields_compared: BTreeSet<String>,
    pub fields_uncompared: BTreeSet<String>,
    /// Why a side was not read, where its connector does not list the kind.
    pub notes: Vec<String>,
    /// The source was listed to its end.
    pub source_complete: bool,
    /// All that was confirmed was seen at the destination, or missed there.
    pub destination_complete: bool,
}

/// Fields that a report tells.
const REPORT_FIELDS_MAX: usize = 200;

impl Report {
    pub fn count(&mut self, kind: DifferenceKind) {
        *match kind {
            DifferenceKind::NeverCame => &mut self.never_came,
            DifferenceKind::Outdated => &mut self.outdated,
            DifferenceKind::NotPlanned => &mut self.not_planned,
            DifferenceKind::Gone => &mut self.gone,
            DifferenceKind::Different => &mut self.different,
            DifferenceKind::Extra => &mut self.extra,
        } += 1;
    }

    pub fn compared(&mut self, agreement: &Agreement) {
        for (all, new) in [(&mut self.fields_compared, &agreement.compared), (&mut self.fields_uncompared, &agreement.uncompared)]
        {
            for field in new {
                if all.len() < REPORT_FIELDS_MAX && !all.contains(field) {
                    all.insert(field.clone());
                }
            }
        }
        // What one record's answer leaves out another's may say.
        self.fields_uncompared.retain(|field| !self.fields_compared.contains(field));
    }

    #[must_use]
    pub fn differences(&self) -> u64 {
        self.never_came + self.outdated + self.not_planned + self.gone + self.different + self.extra
    }

    /// Both sides were read to their ends.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.source_complete && self.destination_complete && self.unchecked == 0
    }

    /// Both sides were read to their ends and agree, and nothing of the period is owed: the period is proven.
    #[must_use]
    pub fn is_proof(&self) -> bool {
        self.is_complete() && self.differences() == 0 && self.unreadable == 0 && self.exceptions == 0 && self.under_way == 0
    }
}

#[cfg(test)]
mod tests;
