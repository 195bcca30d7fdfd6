//! What is different between two versions of a flow, field by field and rule by rule, as people compare them.

use serde_json::Value;

use super::FlowSpec;
use crate::mapping::{Rule, Rules};

/// One thing that two versions say differently.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// `filter`, `policy.attempts_max`, or of rules the field that they write: `mapping item.items`.
    pub field: String,
    /// `None`: nothing there.
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// In the order of the fields; empty where both say the same.
#[must_use]
pub fn differences(before: &FlowSpec, after: &FlowSpec) -> Vec<Difference> {
    let mut all = Vec::new();
    push(&mut all, "filter".to_owned(), before.filter.clone().map(Value::String), after.filter.clone().map(Value::String));
    rules(&mut all, "source_mapping", &before.source_mapping, &after.source_mapping);
    rules(&mut all, "mapping", &before.mapping, &after.mapping);
    let (one, other) = (json(&before.policy), json(&after.policy));
    let names = one.as_object().into_iter().chain(other.as_object()).flat_map(|map| map.keys());
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
            push(&mut all, format!("policy.{name}"), one.get(name).cloned(), other.get(name).cloned());
        }
    }
    push(&mut all, "trigger".to_owned(), Some(json(&before.trigger)), Some(json(&after.trigger)));
    all
}

fn push(all: &mut Vec<Difference>, field: String, before: Option<Value>, after: Option<Value>) {
    if before != after {
        all.push(Difference { field, before, after });
    }
}

/// Rules are told apart by the field that they write; several may write one.
fn rules(all: &mut Vec<Difference>, field: &str, before: &Rules, after: &Rules) {
    if before == after {
        return;
    }
    let of = |rules: &Rules, to: &str| -> Option<Value> {
        let mut same: Vec<Value> = rules.0.iter().filter(|rule| rule.to == to).map(json).collect();
        match same.len() {
            0 => None,
            1 => same.pop(),
            _ => Some(Value::Array(same)),
        }
    };
    let (known, mut seen) = (all.len(), Vec::new());
    for Rule { to, .. } in before.0.iter().chain(&after.0) {
        if !seen.contains(&to) {
            seen.push(to);
            push(all, format!("{field} {to}"), of(before, to), of(after, to));
        }
    }
    if all.len() == known {
        let order = |rules: &Rules| Some(rules.0.iter().map(|rule| Value::String(rule.to.clone())).collect());
        push(all, format!("{field}, the order of its rules"), order(before), order(after));
    }
}

fn json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("a flow is plain data")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn spec(json: Value) -> FlowSpec {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_difference_is_told_by_field_and_by_rule() {
        let before = spec(json!({"filter": "true", "mapping": [{"to": "a", "from": "x"}, {"to": "b", "from": "y"}]}));
        let after = spec(json!({"policy": {"attempts_max": 3}, "mapping": [{"to": "a", "from": "z"}, {"to": "c", "from": "y"}]}));
        let told: Vec<(String, Option<Value>, Option<Value>)> =
            differences(&before, &after).into_iter().map(|one| (one.field, one.before, one.after)).collect();
        let attempts = json!(FlowSpec::default().policy.attempts_max);
        assert_eq!(
            told,
            [
                ("filter".to_owned(), Some(json!("true")), None),
                ("mapping a".to_owned(), Some(json!({"to": "a", "from": "x"})), Some(json!({"to": "a", "from": "z"}))),
                ("mapping b".to_owned(), Some(json!({"to": "b", "from": "y"})), None),
                ("mapping c".to_owned(), None, Some(json!({"to": "c", "from": "y"}))),
                ("policy.attempts_max".to_owned(), Some(attempts), Some(json!(3))),
            ]
        );
        assert_eq!(differences(&after, &after), []);
    }

    #[test]
    fn rules_in_another_order_are_another_mapping() {
        let before = spec(json!({"mapping": [{"to": "a", "from": "x"}, {"to": "b", "from": "y"}]}));
        let after = spec(json!({"mapping": [{"to": "b", "from": "y"}, {"to": "a", "from": "x"}]}));
        let told = differences(&before, &after);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].field, "mapping, the order of its rules");
    }

    #[test]
    fn two_specs_are_equal_exactly_where_nothing_is_told() {
        let all = [
            json!({}),
            json!({"trigger": {"schedule": {"every_minutes": 5}}}),
            json!({"mapping": [{"to": "a", "from": "x", "when": "p"}, {"to": "a", "from": "y"}]}),
            json!({"mapping": [{"to": "a", "from": "y"}, {"to": "a", "from": "x", "when": "p"}]}),
            json!({"source_mapping": [{"to": "a", "from": "y"}]}),
            json!({"policy": {"missing": "keep"}}),
        ];
        for one in &all {
            for other in &all {
                let is_same = differences(&spec(one.clone()), &spec(other.clone())).is_empty();
                assert_eq!(is_same, one == other, "{one} {other}");
            }
        }
    }
}
