//! Paths as lists of keys, the way low-code manifests write them: `*` is any key, `**` any number of them, a number an index of a list.

use domain::value::{Map, Value};

/// Values that one path may find.
const FOUND_MAX: usize = 1_000_000;
/// A path never makes a list longer than this.
const INDEX_MAX: usize = 1_000;

/// The value at a path without patterns.
pub(crate) fn get<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    path.iter().try_fold(value, |here, key| match here {
        Value::Map(map) => map.get(key),
        Value::List(list) => list.get(key.parse::<usize>().ok()?),
        _ => None,
    })
}

/// All values at a path with patterns.
pub(crate) fn all<'v>(value: &'v Value, path: &[String]) -> Vec<&'v Value> {
    let mut found = Vec::new();
    walk(value, path, &mut found);
    found
}

fn walk<'v>(value: &'v Value, path: &[String], found: &mut Vec<&'v Value>) {
    if found.len() >= FOUND_MAX {
        return;
    }
    let Some((key, rest)) = path.split_first() else {
        found.push(value);
        return;
    };
    let mut each = |path: &[String]| match value {
        Value::Map(map) => map.values().for_each(|next| walk(next, path, found)),
        Value::List(list) => list.iter().for_each(|next| walk(next, path, found)),
        _ => {}
    };
    match key.as_str() {
        "*" => each(rest),
        "**" => {
            each(path);
            walk(value, rest, found);
        }
        _ => {
            if let Some(next) = get(value, std::slice::from_ref(key)) {
                walk(next, rest, found);
            }
        }
    }
}

/// Puts a value at a path and makes what is missing on the way. False where something plain stands in the way.
pub(crate) fn put(into: &mut Value, path: &[String], value: Value) -> bool {
    let mut here = into;
    for (at, key) in path.iter().enumerate() {
        let is_index = |key: &String| !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_digit());
        let missing = || {
            if path.get(at + 1).is_some_and(is_index) { Value::List(Vec::new()) } else { Value::Map(Map::new()) }
        };
        here = match here {
            Value::Map(map) => map.entry(key.clone()).or_insert_with(missing),
            Value::List(list) => {
                let Some(index) = key.parse::<usize>().ok().filter(|index| *index <= INDEX_MAX) else { return false };
                if list.len() <= index {
                    list.resize(index, Value::Null);
                    list.push(missing());
                }
                &mut list[index]
            }
            _ => return false,
        };
    }
    *here = value;
    true
}

/// Removes what a path finds. From within a list it leaves nothing in its place, but for the last value of it.
pub(crate) fn delete(from: &mut Value, path: &[String]) {
    let Some((key, rest)) = path.split_first() else { return };
    if key == "**" {
        match from {
            Value::Map(map) => map.values_mut().for_each(|next| delete(next, path)),
            Value::List(list) => list.iter_mut().for_each(|next| delete(next, path)),
            _ => {}
        }
        return if rest.is_empty() { delete(from, &["*".to_owned()]) } else { delete(from, rest) };
    }
    match from {
        Value::Map(map) if rest.is_empty() => {
            if key == "*" {
                map.clear();
            } else {
                map.shift_remove(key);
            }
        }
        Value::Map(map) => {
            for (name, next) in map.iter_mut() {
                if key == "*" || name == key {
                    delete(next, rest);
                }
            }
        }
        Value::List(list) => {
            let all = key == "*";
            let index = if all { Some(0) } else { key.parse::<usize>().ok() };
            let Some(index) = index else { return };
            if !rest.is_empty() {
                return match all {
                    true => list.iter_mut().for_each(|next| delete(next, rest)),
                    false => list.get_mut(index).into_iter().for_each(|next| delete(next, rest)),
                };
            }
            if all {
                list.clear();
            } else if index + 1 == list.len() {
                list.pop();
            } else if let Some(value) = list.get_mut(index) {
                *value = Value::Null;
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use domain::value::Limits;

    use super::*;

    fn value(json: &str) -> Value {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).unwrap()
    }

    fn path(text: &str) -> Vec<String> {
        text.split('/').map(str::to_owned).collect()
    }

    #[test]
    fn a_path_finds_puts_and_deletes() {
        let document = value(r#"{"a":[{"b":1},{"b":2}],"c":{"d":{"b":3}}}"#);
        assert_eq!(get(&document, &path("a/1/b")).map(Value::to_json).as_deref(), Some("2"));
        let found = |text: &str| all(&document, &path(text)).into_iter().map(Value::to_json).collect::<Vec<_>>().join(" ");
        assert_eq!(found("a/*/b"), "1 2");
        assert_eq!(found("**/b"), "1 2 3");
        let mut made = value("{}");
        assert!(put(&mut made, &path("x/1/y"), value("5")));
        assert_eq!(made.to_json(), r#"{"x":[null,{"y":5}]}"#);
        assert!(!put(&mut made, &path("x/1/y/z"), value("5")));
        let mut less = document.clone();
        delete(&mut less, &path("a/0"));
        delete(&mut less, &path("c/*/b"));
        delete(&mut less, &path("nope/b"));
        assert_eq!(less.to_json(), r#"{"a":[null,{"b":2}],"c":{"d":{}}}"#);
    }
}
