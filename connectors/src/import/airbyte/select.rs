//! From an answer's documents to records: found, filtered, changed.

use domain::value::{Map, Value};

use super::ImportError;
use super::dpath;
use super::jinja::Scope;
use super::literal::{self, Literal};
use super::model::{Extractor, Filter, Text, Transformation, ValueType};

/// The records of the documents.
pub(crate) fn extract(extractor: &Extractor, documents: Vec<Value>, scope: &Scope) -> Result<Vec<Value>, ImportError> {
    let scope = scope.and("parameters", &extractor.parameters.0);
    let path = extractor.field_path.iter().map(|segment| scope.text(&segment.0)).collect::<Result<Vec<_>, _>>()?;
    let mut records = Vec::new();
    for document in documents {
        let found = if path.is_empty() {
            document
        } else if path.iter().any(|segment| segment == "*" || segment == "**") {
            Value::List(dpath::all(&document, &path).into_iter().cloned().collect())
        } else {
            dpath::get(&document, &path).cloned().unwrap_or(Value::Null)
        };
        match found {
            Value::List(list) => records.extend(list),
            one if literal::is_true(&one) => records.push(one),
            _ => {}
        }
    }
    Ok(records)
}

/// Whether a record stays.
pub(crate) fn keeps(filter: Option<&Filter>, record: &Value, scope: &Scope) -> Result<bool, ImportError> {
    let Some(filter) = filter else { return Ok(true) };
    let condition = filter.condition.as_ref().map_or("", |condition| &condition.0);
    scope.and("parameters", &filter.parameters.0).and("record", record).is_true(condition)
}

fn holds(condition: Option<&Text>, scope: &Scope) -> Result<Option<bool>, ImportError> {
    condition.filter(|condition| !condition.0.is_empty()).map(|condition| scope.is_true(&condition.0)).transpose()
}

pub(crate) fn transform(record: &mut Value, transformations: &[Transformation], scope: &Scope) -> Result<(), ImportError> {
    for transformation in transformations {
        match transformation {
            Transformation::AddFields { fields, condition, parameters } => {
                for field in fields {
                    let scope = scope.and("record", record);
                    let own = scope.and("parameters", &field.parameters.0);
                    let value = match number_of(&field.value.0, record).filter(|_| field.value_type.is_none()) {
                        Some(number) => number,
                        None => typed(&field.value.0, field.value_type, &own)?,
                    };
                    let path: Vec<String> = field.path.iter().map(|segment| segment.0.clone()).collect();
                    let places = Value::List(path.iter().map(|segment| Value::from(segment.as_str())).collect());
                    let scope = scope.and("parameters", &parameters.0).and("value", &value).and("path", &places);
                    if holds(condition.as_ref(), &scope)?.unwrap_or(true) && !dpath::put(record, &path, value) {
                        return Err(ImportError::Shape(format!("the field {} cannot be added to a record", path.join("."))));
                    }
                }
            }
            Transformation::RemoveFields { field_pointers, condition, parameters } => {
                for pointer in field_pointers {
                    let path: Vec<String> = pointer.iter().map(|segment| segment.0.clone()).collect();
                    match condition.as_ref().filter(|condition| !condition.0.is_empty()) {
                        None => dpath::delete(record, &path),
                        Some(condition) => {
                            let scope = scope.and("parameters", &parameters.0);
                            delete_where(record, &scope, &condition.0)?;
                        }
                    }
                }
            }
            Transformation::KeysToLower {} => {
                if let Value::Map(map) = record {
                    *map = std::mem::take(map).into_iter().map(|(key, value)| (key.to_lowercase(), value)).collect();
                }
            }
            Transformation::FlattenFields { flatten_lists } => {
                *record = flatten(std::mem::replace(record, Value::Null), flatten_lists.unwrap_or(true))
            }
        }
    }
    Ok(())
}

/// With a condition, all plain values that it holds for go, wherever they stand: so the reference does, whatever the pointer.
fn delete_where(value: &mut Value, scope: &Scope, condition: &str) -> Result<(), ImportError> {
    let is_leaf = |value: &Value| !matches!(value, Value::List(_) | Value::Map(_));
    let goes = |value: &Value| if is_leaf(value) { scope.and("property", value).is_true(condition) } else { Ok(false) };
    match value {
        Value::Map(map) => {
            let mut kept = Map::new();
            for (key, mut value) in std::mem::take(map) {
                if !goes(&value)? {
                    delete_where(&mut value, scope, condition)?;
                    kept.insert(key, value);
                }
            }
            *map = kept;
        }
        Value::List(list) => {
            for at in (0..list.len()).rev() {
                if goes(&list[at])? {
                    if at + 1 == list.len() {
                        list.pop();
                    } else {
                        list[at] = Value::Null;
                    }
                } else {
                    delete_where(&mut list[at], scope, condition)?;
                }
            }
        }
        _ => {}
    }
    Ok(())
}

fn typed(template: &str, kind: Option<ValueType>, scope: &Scope) -> Result<Value, ImportError> {
    let Some(kind) = kind else { return Ok(scope.value(template)?.into_value()) };
    let is_whole = |digits: &str| !digits.contains(['.', 'e', 'E']);
    let (rendered, value) = scope.rendered(template)?;
    Ok(match (kind, value) {
        (ValueType::String, Literal::Value(value @ Value::Text(_)))
        | (ValueType::Boolean | ValueType::Integer, Literal::Value(value @ Value::Bool(_))) => value,
        (ValueType::Number, Literal::Value(Value::Number(number))) if !is_whole(number.as_str()) => Value::Number(number),
        (ValueType::Integer, Literal::Value(Value::Number(number))) if is_whole(number.as_str()) => Value::Number(number),
        _ => Value::Text(rendered),
    })
}

/// The number that `{{ record['a'].b }}` names, with its digits, which an expression would round.
fn number_of(template: &str, record: &Value) -> Option<Value> {
    let inner = template.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let mut rest = inner.strip_prefix("record")?;
    let mut here = record;
    while !rest.is_empty() {
        let (key, after) = if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(after.len());
            after.split_at(end)
        } else {
            let after = rest.strip_prefix('[')?;
            let quote = after.chars().next().filter(|char| matches!(char, '\'' | '"'))?;
            let (key, after) = after[1..].split_once(quote)?;
            (key, after.strip_prefix(']')?)
        };
        here = here.get(key)?;
        rest = after;
    }
    matches!(here, Value::Number(_)).then(|| here.clone())
}

/// All plain values side by side. A name that is there already gets its parent's before it, and so does all that is within a list.
fn flatten(record: Value, lists: bool) -> Value {
    let mut stack = vec![(record, "_".to_owned())];
    let mut out = Map::new();
    let mut with_parent = false;
    while let Some((value, name)) = stack.pop() {
        match value {
            Value::Map(map) => {
                for (key, value) in map {
                    let key = if with_parent || out.contains_key(&key) { format!("{name}.{key}") } else { key };
                    stack.push((value, key));
                }
            }
            Value::List(list) if lists => {
                for (at, item) in list.into_iter().enumerate() {
                    with_parent = true;
                    stack.push((item, format!("{name}.{at}")));
                }
            }
            plain => {
                out.insert(name, plain);
            }
        }
    }
    Value::Map(out)
}

#[cfg(test)]
mod tests {
    use domain::value::Limits;

    use super::*;

    #[test]
    fn a_number_that_is_only_copied_keeps_its_digits() {
        let record = Value::parse(br#"{"price":1.10,"a":{"b c":12345678901234567890.12},"name":"x"}"#, &Limits::DEFAULT).unwrap();
        let copied = |template: &str| number_of(template, &record).map(|value| value.to_json());
        assert_eq!(copied("{{ record['price'] }}").as_deref(), Some("1.10"));
        assert_eq!(copied("{{ record.a['b c'] }}").as_deref(), Some("12345678901234567890.12"));
        for other in
            ["{{ record.name }}", "{{ record.price + 1 }}", "{{ record.price }} EUR", "{{ record }}", "{{ records.price }}"]
        {
            assert_eq!(copied(other), None, "{other}");
        }
    }
}
