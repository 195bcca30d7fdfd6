//! A replay runs a draft over records that were delivered, sends nothing, and says what would have been different: field by field, to the
//! cent, and which records would begin or cease to fail. It is how a change is known before it is made.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::comparison::{FieldChange, compare};
use crate::exception::Reason;
use crate::id::RecordId;
use crate::value::Value;

/// Records of one replay at most.
pub const RECORDS_MAX: u32 = 50_000;
/// Fields, causes and currencies that a report tells; what is beyond is counted.
pub(crate) const FIELDS_MAX: usize = 200;
const CAUSES_MAX: usize = 50;
pub(crate) const EXAMPLES_MAX: usize = 5;
/// Differences of one record; a document that became another altogether needs no more to be seen.
const CHANGES_MAX: usize = 2_000;
const SHOWN_CHARS_MAX: usize = 200;

/// What a replay runs over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Over {
    /// The newest records, so many of them.
    Last(u32),
    /// The records that came in a time.
    Period { from: DateTime<Utc>, to: DateTime<Utc> },
}

/// Why a replay is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverError {
    #[error("a replay runs over 1 to {RECORDS_MAX} records, and not over {0}")]
    Count(u32),
    #[error("the time ends at {to}, before it begins at {from}")]
    Period { from: DateTime<Utc>, to: DateTime<Utc> },
}

impl Over {
    /// # Errors
    /// What cannot be run over.
    pub fn check(&self) -> Result<(), OverError> {
        match self {
            Self::Last(count) if !(1..=RECORDS_MAX).contains(count) => Err(OverError::Count(*count)),
            Self::Period { from, to } if from >= to => Err(OverError::Period { from: *from, to: *to }),
            Self::Last(_) | Self::Period { .. } => Ok(()),
        }
    }
}

/// What was made of a record until now.
#[derive(Debug)]
pub enum Before {
    /// This was sent.
    Sent(Value),
    /// Nothing was: it is or was an exception.
    Failed,
    /// Nothing was: the flow did not take it, or it has not come to it yet.
    Nothing,
}

/// What the draft makes of it.
#[derive(Debug)]
pub enum After {
    /// This would be sent.
    Sent(Value),
    Failed(Box<Reason>),
    /// The filter leaves it out.
    Left,
}

/// What is said of a record beside.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    pub record: RecordId,
    pub number: Option<&'a str>,
    pub currency: Option<&'a str>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub records: u64,
    pub unchanged: u64,
    pub changed: u64,
    /// They were sent, and would not be: the draft has no answer for them.
    pub newly_failing: u64,
    pub newly_passing: u64,
    pub still_failing: u64,
    /// The filter takes them now, and did not.
    pub newly_taken: u64,
    /// The filter took them, and does not now.
    pub newly_left: u64,
    /// Neither takes them.
    pub left: u64,
    pub fields: Vec<FieldReport>,
    pub causes: Vec<CauseReport>,
    /// What the amounts that differ come to, by currency: after less before.
    pub money: Vec<Money>,
    /// Fields or causes beyond those that are told.
    pub untold: u64,
}

/// A field that differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FieldReport {
    /// `lines[].amount`
    pub field: String,
    pub records: u64,
    /// Of all its values that differ: those that were not there before, those that would be gone.
    pub changes: u64,
    pub added: u64,
    pub removed: u64,
    /// Where it is an amount.
    pub money: Vec<Money>,
    pub examples: Vec<Example>,
}

/// Records that would fail for the same reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CauseReport {
    pub reason: Reason,
    /// Of these, those that would not have failed before.
    pub newly: u64,
    pub records: u64,
    pub examples: Vec<Example>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub currency: String,
    pub amount: Decimal,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Example {
    pub record: RecordId,
    pub number: Option<String>,
    /// With its rows: `lines[2].amount`.
    pub path: String,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Report {
    /// True where the draft does what was done: it changes nothing, and nothing begins to fail.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.changed + self.newly_failing + self.newly_taken + self.newly_left == 0
    }

    /// Adds a record. `is_money` says which fields are amounts, by their names without rows.
    pub fn add(&mut self, of: Of<'_>, before: &Before, after: After, is_money: &dyn Fn(&str) -> bool) {
        self.records += 1;
        match (before, after) {
            (Before::Sent(before), After::Sent(after)) => {
                let changes = compare(before, &after, CHANGES_MAX);
                if changes.is_empty() {
                    self.unchanged += 1;
                } else {
                    self.changed += 1;
                    self.changes(of, &changes, is_money);
                }
            }
            (Before::Sent(_), After::Failed(reason)) => {
                self.newly_failing += 1;
                add_cause(&mut self.causes, &mut self.untold, of, *reason, true);
            }
            (Before::Failed, After::Sent(_)) => self.newly_passing += 1,
            (Before::Failed, After::Failed(reason)) => {
                self.still_failing += 1;
                add_cause(&mut self.causes, &mut self.untold, of, *reason, false);
            }
            (Before::Nothing, After::Sent(_)) => self.newly_taken += 1,
            (Before::Nothing, After::Failed(reason)) => {
                self.newly_failing += 1;
                add_cause(&mut self.causes, &mut self.untold, of, *reason, true);
            }
            (Before::Sent(_) | Before::Failed, After::Left) => self.newly_left += 1,
            (Before::Nothing, After::Left) => self.left += 1,
        }
    }

    fn changes(&mut self, of: Of<'_>, changes: &[FieldChange<'_>], is_money: &dyn Fn(&str) -> bool) {
        let mut fields: BTreeMap<String, Vec<&FieldChange<'_>>> = BTreeMap::new();
        for change in changes {
            fields.entry(change.field().into_owned()).or_default().push(change);
        }
        for (name, changes) in fields {
            let amount = is_money(&name).then(|| difference(&changes));
            if let Some(amount) = amount {
                add_money(&mut self.money, of.currency, amount);
            }
            let at = match self.fields.iter().position(|field| field.field == name) {
                Some(at) => at,
                None if self.fields.len() < FIELDS_MAX => {
                    self.fields.push(FieldReport { field: name, ..FieldReport::default() });
                    self.fields.len() - 1
                }
                None => {
                    self.untold += 1;
                    continue;
                }
            };
            let field = &mut self.fields[at];
            field.records += 1;
            field.changes += changes.len() as u64;
            field.added += changes.iter().filter(|change| change.before.is_none()).count() as u64;
            field.removed += changes.iter().filter(|change| change.after.is_none()).count() as u64;
            if let Some(amount) = amount {
                add_money(&mut field.money, of.currency, amount);
            }
            if field.examples.len() < EXAMPLES_MAX
                && let Some(change) = changes.first()
            {
                field.examples.push(example(of, &change.path, change.before, change.after));
            }
        }
    }

    /// The most frequent first, as people read it.
    pub fn sort(&mut self) {
        self.fields.sort_by(|a, b| b.records.cmp(&a.records).then_with(|| a.field.cmp(&b.field)));
        self.causes.sort_by_key(|cause| std::cmp::Reverse((cause.newly, cause.records)));
    }
}

/// Counts a reason among those of its cause.
pub(crate) fn add_cause(causes: &mut Vec<CauseReport>, untold: &mut u64, of: Of<'_>, reason: Reason, is_new: bool) {
    let key = reason.cause_key("");
    let at = match causes.iter().position(|cause| cause.reason.cause_key("") == key) {
        Some(at) => at,
        None if causes.len() < CAUSES_MAX => {
            causes.push(CauseReport { reason, newly: 0, records: 0, examples: vec![] });
            causes.len() - 1
        }
        None => {
            *untold += 1;
            return;
        }
    };
    let cause = &mut causes[at];
    cause.records += 1;
    cause.newly += u64::from(is_new);
    if cause.examples.len() < EXAMPLES_MAX {
        let path = cause.reason.path.clone().unwrap_or_default();
        cause.examples.push(example(of, &path, None, None));
    }
}

/// After less before, over all rows: a side that is not there counts as nothing, and so does what is no number.
fn difference(changes: &[&FieldChange<'_>]) -> Decimal {
    let amount = |value: Option<&Value>| value.and_then(Value::to_decimal).unwrap_or_default();
    let each = changes.iter().filter_map(|change| amount(change.after).checked_sub(amount(change.before)));
    each.fold(Decimal::ZERO, |sum, amount| sum.checked_add(amount).unwrap_or(sum))
}

pub(crate) fn add_money(sums: &mut Vec<Money>, currency: Option<&str>, amount: Decimal) {
    let currency = currency.unwrap_or("");
    match sums.iter_mut().find(|sum| sum.currency == currency) {
        Some(sum) => sum.amount = sum.amount.checked_add(amount).unwrap_or(sum.amount),
        None => sums.push(Money { currency: currency.to_owned(), amount }),
    }
}

pub(crate) fn example(of: Of<'_>, path: &str, before: Option<&Value>, after: Option<&Value>) -> Example {
    let shown =
        |value: &Value| value.to_text().map_or_else(|| value.to_json(), Into::into).chars().take(SHOWN_CHARS_MAX).collect();
    Example {
        record: of.record,
        number: of.number.map(str::to_owned),
        path: path.to_owned(),
        before: before.map(shown),
        after: after.map(shown),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Limits;

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    fn add(report: &mut Report, currency: &str, before: Before, after: After) {
        let of = Of { record: RecordId(uuid::Uuid::nil()), number: Some("#1"), currency: Some(currency) };
        report.add(of, &before, after, &|field| field.ends_with("amount"));
    }

    #[test]
    fn a_replay_sums_what_differs_to_the_cent_and_by_currency() {
        let mut report = Report::default();
        let before = || Before::Sent(value(r#"{"lines": [{"amount": "10.00"}, {"amount": "0.10"}], "memo": "a"}"#));
        add(&mut report, "USD", before(), After::Sent(value(r#"{"lines": [{"amount": "10.01"}], "memo": "b"}"#)));
        add(
            &mut report,
            "USD",
            before(),
            After::Sent(value(r#"{"lines": [{"amount": "10.00"}, {"amount": "0.30"}], "memo": "a"}"#)),
        );
        add(
            &mut report,
            "JPY",
            before(),
            After::Sent(value(r#"{"lines": [{"amount": "11"}, {"amount": "0.10"}], "memo": "a"}"#)),
        );
        add(
            &mut report,
            "JPY",
            before(),
            After::Sent(value(r#"{"lines": [{"amount": "10.00"}, {"amount": "0.10"}], "memo": "a"}"#)),
        );
        report.sort();
        assert_eq!((report.records, report.changed, report.unchanged, report.is_clean()), (4, 3, 1, false));
        let money: Vec<String> = report.money.iter().map(|sum| format!("{} {}", sum.amount, sum.currency)).collect();
        assert_eq!(money, ["0.11 USD", "1.00 JPY"]);
        let fields: Vec<(&str, u64, u64, u64)> =
            report.fields.iter().map(|f| (f.field.as_str(), f.records, f.changes, f.removed)).collect();
        assert_eq!(fields, [("lines[].amount", 3, 4, 1), ("memo", 1, 1, 0)]);
        assert_eq!(report.fields[0].examples[0].path, "lines[0].amount");
    }

    #[test]
    fn what_begins_to_fail_is_told_apart_from_what_failed_before() {
        let reason = || After::Failed(Box::new(Reason::internal("Order #1", "no entry")));
        let sent = || Before::Sent(value("{}"));
        let mut report = Report::default();
        add(&mut report, "USD", sent(), reason());
        add(&mut report, "USD", Before::Failed, reason());
        add(&mut report, "USD", Before::Failed, After::Sent(value("{}")));
        add(&mut report, "USD", Before::Nothing, After::Sent(value("{}")));
        add(&mut report, "USD", sent(), After::Left);
        add(&mut report, "USD", Before::Nothing, After::Left);
        let counts = [
            report.newly_failing,
            report.still_failing,
            report.newly_passing,
            report.newly_taken,
            report.newly_left,
            report.left,
        ];
        assert_eq!(counts, [1; 6]);
        assert_eq!((report.causes.len(), report.causes[0].newly, report.causes[0].records), (1, 1, 2));
    }

    #[test]
    fn a_replay_that_only_mends_is_clean() {
        let mut report = Report::default();
        add(&mut report, "USD", Before::Failed, After::Sent(value("{}")));
        add(&mut report, "USD", Before::Sent(value("{}")), After::Sent(value("{}")));
        assert!(report.is_clean());
        assert_eq!(serde_json::from_value::<Report>(serde_json::to_value(&report).unwrap()).unwrap(), report);
    }

    #[test]
    fn what_cannot_be_run_over_is_refused_in_words() {
        assert_eq!(Over::Last(0).check().unwrap_err().to_string(), "a replay runs over 1 to 50000 records, and not over 0");
        let at = |text: &str| text.parse().unwrap();
        let period = Over::Period { from: at("2026-11-28T00:00:00Z"), to: at("2026-11-27T00:00:00Z") };
        assert!(period.check().is_err() && Over::Last(10_000).check().is_ok());
    }
}
