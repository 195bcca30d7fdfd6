//! The canonical model: what a record of each kind must say, whatever system it comes from.
//! [`check`] refuses a document that breaks it, so that no wrong record is ever planned for a destination.

mod order;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::mapping::{Issue, IssueCode};
use crate::record::RecordKind;
use crate::value::{Map, Value};

// Both are part of index rows, which Postgres bounds.
const SOURCE_ID_BYTES_MAX: usize = 200;
const NUMBER_CHARS_MAX: usize = 200;

/// What lists and searches show of a record.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub number: Option<String>,
    pub updated_at: Option<DateTime<Utc>>,
    pub customer_email: Option<String>,
    pub currency: Option<String>,
    pub grand_total: Option<Decimal>,
}

/// Checks a document against the model.
///
/// # Errors
/// All that is wrong with it.
pub fn check(kind: RecordKind, document: &Value) -> Result<Summary, Vec<Issue>> {
    let mut check = Check { issues: vec![] };
    let Some(map) = document.as_map() else {
        check.fail("", IssueCode::BadType, "the document is no group of fields".into());
        return Err(check.issues);
    };
    check.texts(map, "", &["source_id"], true);
    check.bounded(map, "source_id", SOURCE_ID_BYTES_MAX, "bytes", str::len);
    check.bounded(map, "number", NUMBER_CHARS_MAX, "characters", |text| text.chars().count());
    if text(map, "source_id").is_some_and(|id| id.contains(char::is_control)) {
        check.fail("source_id", IssueCode::OutOfRange, "the field source_id has a control character".into());
    }
    let summary = match kind {
        RecordKind::Order => check.order(map),
        // The other kinds get their own file with their own connectors; an id is what every one of them needs.
        _ => Summary { number: text(map, "number"), updated_at: check.time(map, "updated_at"), ..Summary::default() },
    };
    if check.issues.is_empty() { Ok(summary) } else { Err(check.issues) }
}

/// The id of the thing at its source.
#[must_use]
pub fn source_id(document: &Value) -> Option<String> {
    document.get("source_id").and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_owned)
}

/// SHA-256 over what the document says, apart from when it was last touched: a webhook that only moves `updated_at` changes nothing.
#[must_use]
pub fn content_hash(document: &Value) -> [u8; 32] {
    match document {
        Value::Map(map) if map.contains_key("updated_at") => {
            let mut map: Map = map.clone();
            map.shift_remove("updated_at");
            Value::Map(map).canonical_hash()
        }
        other => other.canonical_hash(),
    }
}

fn text(map: &Map, key: &str) -> Option<String> {
    map.get(key).and_then(Value::as_str).map(str::to_owned)
}

struct Check {
    issues: Vec<Issue>,
}

impl Check {
    fn fail(&mut self, to: &str, code: IssueCode, sentence: String) {
        const ISSUES_MAX: usize = 50;
        if self.issues.len() < ISSUES_MAX {
            self.issues.push(Issue { to: to.to_owned(), code, sentence, ..Issue::default() });
        }
    }

    fn texts(&mut self, map: &Map, at: &str, keys: &[&str], required: bool) {
        for key in keys {
            match map.get(*key) {
                Some(Value::Text(text)) if !text.is_empty() || !required => {}
                None | Some(Value::Null) if !required => {}
                None | Some(Value::Null | Value::Text(_)) => {
                    self.fail(
                        &join(at, key),
                        IssueCode::Required,
                        format!("the field {} is required and has no value", join(at, key)),
                    );
                }
                Some(_) => self.fail(&join(at, key), IssueCode::BadType, format!("the field {} is no text", join(at, key))),
            }
        }
    }

    fn bounded(&mut self, map: &Map, key: &str, max: usize, unit: &str, length: impl Fn(&str) -> usize) {
        let length = map.get(key).and_then(Value::as_str).map_or(0, length);
        if length > max {
            self.fail(key, IssueCode::OutOfRange, format!("the field {key} has {length} {unit}, more than the {max} allowed"));
        }
    }

    /// Fields beyond these are refused: what the model has no word for belongs in `attributes`.
    fn only(&mut self, map: &Map, at: &str, known: &[&str]) {
        for key in map.keys().filter(|key| !known.contains(&key.as_str())) {
            self.fail(
                &join(at, key),
                IssueCode::OutOfRange,
                format!("the model has no field {}; put it into attributes", join(at, key)),
            );
        }
    }

    fn one_of(&mut self, map: &Map, at: &str, key: &str, words: &[&str]) {
        if let Some(Value::Text(word)) = map.get(key)
            && !words.contains(&word.as_str())
        {
            self.fail(&join(at, key), IssueCode::OutOfRange, format!("\"{word}\" is none of {}", words.join(", ")));
        }
    }

    fn time(&mut self, map: &Map, key: &str) -> Option<DateTime<Utc>> {
        let text = map.get(key)?.as_str()?;
        match DateTime::parse_from_rfc3339(text) {
            Ok(at) => Some(at.with_timezone(&Utc)),
            Err(_) => {
                self.fail(key, IssueCode::BadType, format!("\"{text}\" is no RFC 3339 time"));
                None
            }
        }
    }

    /// A decimal as text, at most 14 digits before the point and 6 after it.
    fn amount(&mut self, map: &Map, at: &str, key: &str, required: bool) -> Option<Decimal> {
        let name = join(at, key);
        let Some(value) = map.get(key).filter(|v| !v.is_null()) else {
            if required {
                self.fail(&name, IssueCode::Required, format!("the amount {name} is required and has no value"));
            }
            return None;
        };
        let number = value.as_str().and_then(crate::value::decimal);
        let fits = |n: &Decimal| n.abs() < Decimal::from(100_000_000_000_000_i64) && n.normalize().scale() <= 6;
        match number {
            Some(number) if fits(&number) => Some(number),
            _ => {
                self.fail(&name, IssueCode::BadType, format!("the amount {name} is no decimal of 14 digits and 6 places"));
                None
            }
        }
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}
