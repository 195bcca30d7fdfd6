//! Makes a document that an expression is true (or false) of, where that is simple: `status == 'confirmed' && total > 0`.
//! The error catalog, batches and proofs say with expressions what an answer means; a simulator must answer so that it means that.

use std::collections::BTreeMap;

use domain::mapping::Filter;
use domain::record::RecordKind;
use domain::value::Value;
use indexmap::IndexMap;

use crate::connector::Connector;
use crate::manifest::Resource;
use crate::path;

/// Nobody writes deeper ones by hand.
const DEPTH_MAX: u32 = 16;

/// An expression that documents are made to fulfil, read once.
#[derive(Debug)]
pub(super) struct Wish {
    text: String,
    /// `None` where it cannot be compiled, and so never comes true.
    filter: Option<Filter>,
}

impl Wish {
    pub fn new(expression: &str) -> Self {
        Self { text: expression.to_owned(), filter: Filter::compile(expression).ok() }
    }

    /// Changes the document until the expression is `want` of it; false where that is not simple.
    pub fn grant(&self, document: &mut Value, want: bool) -> bool {
        let Some(filter) = &self.filter else { return false };
        let is_so = |document: &Value| filter.passes(document).unwrap_or(false) == want;
        if is_so(document) {
            return true;
        }
        // Twice, because what one part needs may undo what another seemed to have.
        for _ in 0..2 {
            step(document, &self.text, want, 0);
        }
        is_so(document)
    }
}

/// What the proofs of actions look for, by kind and action.
pub(super) fn marks(connector: &Connector) -> BTreeMap<RecordKind, IndexMap<String, Wish>> {
    let of_kind = |resource: &Resource| {
        let proven = resource.actions.iter().filter_map(|(name, action)| Some((name, action.proof.as_ref()?)));
        proven.map(|(name, proof)| (name.clone(), Wish::new(&proof.done))).collect()
    };
    connector.manifest.resources.iter().map(|(kind, resource)| (*kind, of_kind(resource))).collect()
}

/// [`Wish::grant`] of an expression that is needed once.
pub(super) fn make(document: &mut Value, expression: &str, want: bool) -> bool {
    Wish::new(expression).grant(document, want)
}

fn is_so(document: &Value, expression: &str, want: bool) -> bool {
    Filter::compile(expression).is_ok_and(|filter| filter.passes(document).unwrap_or(false) == want)
}

/// One part of an expression after the other, each changed only where it is not so yet: one side may do what the other needs too.
fn step(document: &mut Value, expression: &str, want: bool, depth: u32) {
    let text = expression.trim();
    if depth > DEPTH_MAX || text.is_empty() || is_so(document, text, want) {
        return;
    }
    if let Some(inner) = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        && split(inner, &[")"]).is_none()
    {
        return step(document, inner, want, depth + 1);
    }
    for (operator, one_is_enough) in [("||", true), ("&&", false)] {
        if let Some((left, _, right)) = split(text, &[operator]) {
            step(document, left, want, depth + 1);
            // One side is enough for a true `||` and for a false `&&`.
            if want != one_is_enough {
                step(document, right, want, depth + 1);
            }
            return;
        }
    }
    for (at, value) in plain(text, want) {
        path::put(document, &at, value);
    }
    if let Some(rest) = text.strip_prefix('!').filter(|rest| !rest.starts_with('=')) {
        step(document, rest, !want, depth + 1);
    }
}

/// Paths and values that make an expression of one part so, as far as its form is known.
fn plain(text: &str, want: bool) -> Vec<(String, Value)> {
    if let Some((left, operator, right)) = split(text, &["==", "!=", "<=", ">=", "<", ">"]) {
        return match (literal(left), literal(right)) {
            (None, Some(value)) => compare(left, operator, &value, want),
            (Some(value), None) => compare(right, flipped(operator), &value, want),
            (None, None) if operator == "==" => same_count(left, right, want),
            _ => Vec::new(),
        };
    }
    if let Some((function, arguments)) = call(text) {
        let (subject, word) = split(arguments, &[","]).map_or((arguments, None), |(left, _, right)| (left, Some(right)));
        // `contains('EFG', status)`: one of its letters, or none of them.
        if let (Some(all), Some(at)) = (literal(subject), word.and_then(subject_path)) {
            let letter = all.as_str().and_then(|all| all.chars().next()).unwrap_or('x').to_string();
            let value = if want { letter } else { "-".to_owned() };
            return if function == "contains" { vec![(at, value.into())] } else { Vec::new() };
        }
        let word = word.and_then(literal);
        let value = match (function, want) {
            ("contains" | "starts_with", true) => word.unwrap_or_else(|| "x".into()),
            ("contains" | "starts_with", false) => "".into(),
            ("is_empty", true) => Value::Null,
            ("is_empty", false) => "x".into(),
            _ => return Vec::new(),
        };
        return subject_path(subject).map(|at| vec![(at, value)]).unwrap_or_default();
    }
    subject_path(text).map(|at| vec![(at, Value::Bool(want))]).unwrap_or_default()
}

/// `count(a.x) == count(a.y)`: there is one of each, or of the second alone.
fn same_count(left: &str, right: &str, want: bool) -> Vec<(String, Value)> {
    let one = |text: &str| match call(text.trim()) {
        Some(("count", inner)) => subject_path(inner).map(|at| (in_list(&at), Value::from("x"))),
        _ => None,
    };
    one(left).filter(|_| want).into_iter().chain(one(right)).collect()
}

/// `order.fulfillments.id` as the place of the only one: `order.fulfillments[0].id`.
fn in_list(at: &str) -> String {
    at.rsplit_once('.').map_or_else(|| at.to_owned(), |(before, last)| format!("{before}[0].{last}"))
}

fn compare(subject: &str, operator: &str, value: &Value, want: bool) -> Vec<(String, Value)> {
    let (subject, is_count) = match call(subject.trim()) {
        Some(("count", inner)) => (inner, true),
        Some(("lower" | "upper" | "text" | "number" | "trim", inner)) => (inner, false),
        Some(_) => return Vec::new(),
        None => (subject, false),
    };
    let Some(at) = subject_path(subject) else { return Vec::new() };
    let by = |step: i64| value.to_decimal().map(|number| Value::from(number + rust_decimal::Decimal::from(step)));
    let other = || match value {
        Value::Null => Some("x".into()),
        Value::Bool(bool) => Some(Value::Bool(!bool)),
        Value::Number(_) => by(1),
        _ => Some("other".into()),
    };
    let made = match (operator, want) {
        ("==" | "<=" | ">=", true) | ("!=" | "<" | ">", false) => Some(value.clone()),
        ("!=", true) | ("==", false) => other(),
        ("<", true) | (">=", false) => by(-1),
        (">", true) | ("<=", false) => by(1),
        _ => None,
    };
    let Some(made) = made else { return Vec::new() };
    if !is_count {
        return vec![(at, made)];
    }
    let count = made.to_text().and_then(|text| text.parse::<usize>().ok()).unwrap_or_default().min(10);
    vec![(at, Value::List(vec!["x".into(); count]))]
}

fn flipped(operator: &str) -> &str {
    match operator {
        "<" => ">",
        ">" => "<",
        "<=" => ">=",
        ">=" => "<=",
        same => same,
    }
}

/// Splits at the first of the operators that stands outside quotes and parentheses.
fn split<'t, 'o>(text: &'t str, operators: &[&'o str]) -> Option<(&'t str, &'o str, &'t str)> {
    let (mut quote, mut depth) = (None, 0_i32);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => continue,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') if depth > 0 => depth -= 1,
            _ if depth == 0 => {
                let found = operators.iter().find(|operator| text[at..].starts_with(**operator));
                if let Some(operator) = found {
                    return Some((&text[..at], operator, &text[at + operator.len()..]));
                }
            }
            _ => {}
        }
    }
    None
}

/// `function(arguments)`, and nothing after it.
fn call(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = text.split_once('(')?;
    let inner = rest.strip_suffix(')')?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    (is_name && split(inner, &[")"]).is_none()).then_some((name, inner))
}

fn literal(text: &str) -> Option<Value> {
    let text = text.trim();
    let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote).map(Value::from);
    match text {
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        "null" => Some(Value::Null),
        _ => quoted('\'').or_else(|| quoted('"')).or_else(|| domain::value::decimal(text).map(Value::from)),
    }
}

fn subject_path(text: &str) -> Option<String> {
    let text = text.trim();
    let text = text.strip_prefix("$root").map_or(text, |rest| rest.strip_prefix('.').unwrap_or(rest));
    let is_path = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '[' | ']' | '-' | ':' | '@');
    (!text.is_empty() && text.chars().all(is_path)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_made_that_the_expression_is_so_of() {
        let simple = [
            "status == 'confirmed'",
            "status != 'SUCCESS'",
            "'done' == state && count(errors) == 0",
            "a.b > 3 || other == 1",
            "contains(message, 'session')",
            "contains(message, 'a (b) && c')",
            "!is_empty(errors) && !(ok)",
            "is_empty(error)",
            "(status == 'a' || status == 'b') && live",
            "count(userErrors) > 0",
            "contains('EFG', status.id) && !is_empty(status.id)",
        ];
        for expression in simple {
            for want in [true, false] {
                let mut document = Value::Map(domain::value::Map::new());
                assert!(make(&mut document, expression, want), "{expression} {want}: {}", document.to_json());
            }
        }
    }
}
