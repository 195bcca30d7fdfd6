//! Whether two payloads say the same, and where they do not. A number is its value and a time its instant, however they are written; null, an
//! empty text and a field that is not there are one.

use chrono::DateTime;

use crate::value::{Value, decimal};

/// Differences that are told; the first is enough to find the others.
const DIFFERENCES_MAX: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Difference {
    /// The field, with its row: `lines[2].quantity`.
    pub to: String,
    pub one: Value,
    pub other: Value,
}

pub(super) fn differences(one: &Value, other: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", one, other, &mut found);
    found
}

fn compare(to: &str, one: &Value, other: &Value, found: &mut Vec<Difference>) {
    if found.len() >= DIFFERENCES_MAX || is_same(one, other) {
        return;
    }
    match (one, other) {
        (Value::Map(first), Value::Map(second)) => {
            let added = second.keys().filter(|name| !first.contains_key(*name));
            for name in first.keys().chain(added) {
                let to = if to.is_empty() { name.clone() } else { format!("{to}.{name}") };
                compare(&to, first.get(name).unwrap_or(&Value::Null), second.get(name).unwrap_or(&Value::Null), found);
            }
        }
        (Value::List(first), Value::List(second)) if first.len() == second.len() => {
            for (index, (one, other)) in first.iter().zip(second).enumerate() {
                compare(&format!("{to}[{index}]"), one, other, found);
            }
        }
        _ => found.push(Difference { to: to.to_owned(), one: one.clone(), other: other.clone() }),
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    if one == other || (is_nothing(one) && is_nothing(other)) {
        return true;
    }
    let (Some(one), Some(other)) = (one.to_text(), other.to_text()) else { return false };
    let numbers = decimal(&one).zip(decimal(&other));
    let times = || DateTime::parse_from_rfc3339(&one).ok().zip(DateTime::parse_from_rfc3339(&other).ok());
    numbers.map_or_else(|| times().is_some_and(|(one, other)| one == other), |(one, other)| one == other)
}

/// A list of one empty row is one thing more than no list.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        Value::List(rows) => rows.is_empty(),
        Value::Map(map) => map.values().all(is_nothing),
        Value::Bool(_) | Value::Number(_) => false,
    }
}
