//! Two documents, field by field: which fields differ, and from what to what. Rows of lists are compared in their places, and a row that only
//! one side has differs in each of its fields, so that no amount is overlooked because its row came or went.

use std::borrow::Cow;

use crate::value::Value;

/// A field that is not the same on both sides; `None` where a side does not have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldChange<'a> {
    /// With its rows: `lines[2].amount`.
    pub path: String,
    pub before: Option<&'a Value>,
    pub after: Option<&'a Value>,
}

impl FieldChange<'_> {
    /// The path without the rows, `lines[].amount`: what the same field of all rows and records has in common.
    #[must_use]
    pub fn field(&self) -> Cow<'_, str> {
        without_rows(&self.path)
    }
}

/// `lines[2].sku` as `lines[].sku`.
#[must_use]
pub fn without_rows(path: &str) -> Cow<'_, str> {
    if !path.contains('[') {
        return Cow::Borrowed(path);
    }
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.chars() {
        inside = match c {
            '[' => true,
            ']' => false,
            _ => inside,
        };
        if !inside || c == '[' {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// Every leaf that differs, in the order of the fields; at most `changes_max`. Nothing and null are the same: neither says anything.
#[must_use]
pub fn compare<'a>(before: &'a Value, after: &'a Value, changes_max: usize) -> Vec<FieldChange<'a>> {
    let mut changes = Vec::new();
    walk(&mut String::new(), Some(before), Some(after), changes_max, &mut changes);
    changes
}

fn walk<'a>(
    path: &mut String,
    before: Option<&'a Value>,
    after: Option<&'a Value>,
    changes_max: usize,
    changes: &mut Vec<FieldChange<'a>>,
) {
    let there = |value: Option<&'a Value>| value.filter(|value| !value.is_null());
    let (before, after) = (there(before), there(after));
    if changes.len() >= changes_max || before == after {
        return;
    }
    let length = path.len();
    // A group or a list stands against its like or against nothing; against anything else it is another value as a whole.
    match (before, after) {
        (Some(Value::Map(_)) | None, Some(Value::Map(_))) | (Some(Value::Map(_)), None) => {
            let (before, after) = (before.and_then(Value::as_map), after.and_then(Value::as_map));
            let get = |map: Option<&'a crate::value::Map>, key: &str| map.and_then(|map| map.get(key));
            let keys = before.into_iter().flat_map(|map| map.keys());
            let new = after.into_iter().flat_map(|map| map.keys()).filter(|key| get(before, key).is_none());
            for key in keys.chain(new) {
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                walk(path, get(before, key), get(after, key), changes_max, changes);
                path.truncate(length);
            }
        }
        (Some(Value::List(_)) | None, Some(Value::List(_))) | (Some(Value::List(_)), None) => {
            let rows = |value: Option<&'a Value>| value.and_then(Value::as_list).unwrap_or_default();
            let (before, after) = (rows(before), rows(after));
            for row in 0..before.len().max(after.len()) {
                path.push_str(&format!("[{row}]"));
                walk(path, before.get(row), after.get(row), changes_max, changes);
                path.truncate(length);
            }
        }
        _ => changes.push(FieldChange { path: path.clone(), before, after }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Limits;
    use proptest::prelude::*;

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    fn told(before: &str, after: &str) -> Vec<String> {
        let (before, after) = (value(before), value(after));
        let text = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_json);
        let changes = compare(&before, &after, 100);
        changes.iter().map(|change| format!("{}: {} -> {}", change.path, text(change.before), text(change.after))).collect()
    }

    #[test]
    fn each_field_that_differs_is_told_with_both_sides() {
        assert_eq!(
            told(
                r#"{"a": 1, "b": {"c": "x"}, "lines": [{"sku": "A", "price": "1.00"}, {"sku": "B", "price": "2.00"}], "gone": true}"#,
                r#"{"a": 1.0, "b": {"c": "y", "d": null}, "lines": [{"sku": "A", "price": "1.10"}], "new": [1]}"#
            ),
            [
                "a: 1 -> 1.0",
                "b.c: \"x\" -> \"y\"",
                "lines[0].price: \"1.00\" -> \"1.10\"",
                "lines[1].sku: \"B\" -> nothing",
                "lines[1].price: \"2.00\" -> nothing",
                "gone: true -> nothing",
                "new[0]: nothing -> 1",
            ]
        );
        assert_eq!(told(r#"{"a": {"b": 1}}"#, r#"{"a": "b"}"#), ["a: {\"b\":1} -> \"b\""]);
        assert_eq!(told(r#"{"a": null}"#, "{}"), [] as [&str; 0]);
    }

    #[test]
    fn rows_have_one_field_in_common() {
        assert_eq!(without_rows("lines[12].taxes[0].amount"), "lines[].taxes[].amount");
        assert_eq!(without_rows("total"), "total");
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Bool(true)),
            "[a-c]{0,2}".prop_map(Value::Text),
            (0..3i64).prop_map(|n| Value::Number(rust_decimal::Decimal::from(n).into())),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::vec(("[a-c]", inner), 0..4).prop_map(|fields| Value::Map(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_does_not_differ_from_itself_and_the_way_back_is_the_same_way(a in any_value(), b in any_value()) {
            prop_assert!(compare(&a, &a, 100).is_empty());
            let (mut there, mut back) = (compare(&a, &b, 100), compare(&b, &a, 100));
            there.sort_by(|x, y| x.path.cmp(&y.path));
            back.sort_by(|x, y| x.path.cmp(&y.path));
            prop_assert_eq!(there.len(), back.len());
            for (x, y) in there.iter().zip(&back) {
                prop_assert_eq!((&x.path, x.before, x.after), (&y.path, y.after, y.before));
            }
        }
    }
}
