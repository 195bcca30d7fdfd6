//! Paths into a document: `data.orders[0].name`. A step into a list without an index goes into each of its values, and `*` into all that a
//! group has. The same path that finds a value in an answer tells a simulator where to put it.

use domain::value::{Map, Value};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
    Any,
}

/// The steps of a path; an empty path is the document itself.
pub(crate) fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|part| !part.is_empty()) {
        let (key, indexes) = part.split_once('[').map_or((part, ""), |(key, rest)| (key, rest));
        match key {
            "" => {}
            "*" => steps.push(Step::Any),
            key => steps.push(Step::Key(key.to_owned())),
        }
        steps.extend(indexes.split('[').filter_map(|index| index.trim_end_matches(']').parse().ok()).map(Step::Index));
    }
    steps
}

/// All values at a path. A list at its end counts as one value.
pub(crate) fn all<'v>(value: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut found = Vec::new();
    walk(value, &steps(path), &mut found);
    found
}

fn walk<'v>(value: &'v Value, steps: &[Step], found: &mut Vec<&'v Value>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(value);
        return;
    };
    match (step, value) {
        (Step::Key(key), Value::Map(map)) => {
            if let Some(next) = map.get(key) {
                walk(next, rest, found);
            }
        }
        (Step::Index(index), Value::List(list)) => {
            if let Some(next) = list.get(*index) {
                walk(next, rest, found);
            }
        }
        (Step::Any, Value::Map(map)) => map.values().for_each(|next| walk(next, rest, found)),
        (Step::Any, Value::List(list)) => list.iter().for_each(|next| walk(next, rest, found)),
        (Step::Key(_), Value::List(list)) => list.iter().for_each(|next| walk(next, steps, found)),
        _ => {}
    }
}

/// The first value at a path.
pub(crate) fn first<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    all(value, path).into_iter().next()
}

/// The values of the list at a path, whether the path ends in it or leads through it; `None` where there is no list.
pub(crate) fn listed<'v>(value: &'v Value, path: &str) -> Option<Vec<&'v Value>> {
    let found = all(value, path);
    match found.as_slice() {
        [Value::List(list)] => Some(list.iter().collect()),
        [] | [Value::Null] => None,
        _ => Some(found),
    }
}

/// True where this text stands at a path.
pub(crate) fn is_text(value: &Value, path: &str, text: &str) -> bool {
    first(value, path).and_then(Value::to_text).is_some_and(|own| own == text)
}

/// Puts a value at a path, making the groups and lists on the way. A step into what is neither is not made.
pub(crate) fn put(into: &mut Value, path: &str, value: Value) {
    let mut here = into;
    for step in steps(path) {
        here = match step {
            Step::Key(key) => {
                if !matches!(here, Value::Map(_)) {
                    *here = Value::Map(Map::new());
                }
                let Value::Map(map) = here else { return };
                map.entry(key).or_insert(Value::Null)
            }
            Step::Index(index) => {
                // A path is written by a connector's author, and no author needs the hundredth value.
                if index > 100 {
                    return;
                }
                if !matches!(here, Value::List(_)) {
                    *here = Value::List(Vec::new());
                }
                let Value::List(list) = here else { return };
                if list.len() <= index {
                    list.resize(index + 1, Value::Null);
                }
                &mut list[index]
            }
            Step::Any => return,
        };
    }
    *here = value;
}

#[cfg(test)]
mod tests {
    use domain::value::Limits;

    use super::*;

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    #[test]
    fn a_step_into_a_list_goes_into_each_of_its_values() {
        let document = value(r#"{"a":{"edges":[{"node":1},{"x":0},{"node":2}]},"b":{"p":{"e":[]},"q":{"e":[3]}}}"#);
        let found = |path: &str| all(&document, path).into_iter().map(Value::to_json).collect::<Vec<_>>();
        assert_eq!(found("a.edges.node"), ["1", "2"]);
        assert_eq!(found("a.edges[2].node"), ["2"]);
        assert_eq!(found("b.*.e"), ["[]", "[3]"]);
        assert_eq!(found("a.none"), [""; 0]);
        assert_eq!(found("").len(), 1);
    }

    #[test]
    fn what_is_put_at_a_path_is_found_there() {
        let mut document = Value::Null;
        put(&mut document, "o:errorDetails[0].o:errorCode", Value::Text("X".into()));
        put(&mut document, "title", Value::Text("t".into()));
        assert_eq!(document.to_json(), r#"{"o:errorDetails":[{"o:errorCode":"X"}],"title":"t"}"#);
        assert_eq!(first(&document, "o:errorDetails[0].o:errorCode").and_then(Value::as_str), Some("X"));
    }
}
