//! Edits: what a person has changed of a document, field by field. They are kept as they were made, so that the same document can be made again.

use crate::comparison::without_rows;
use crate::value::{Limits, Map, Value};

/// Fields of one edit.
pub const EDITS_MAX: usize = 50;
const PATH_BYTES_MAX: usize = 200;
/// All that one edit changes. It is kept within other documents, and what could not be read there would be forgotten without a word.
const KEPT: Limits = Limits { bytes_max: 1024 * 1024, depth_max: 32, nodes_max: 100_000 };

/// One field, and what it becomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// With its rows: `lines[2].sku`.
    pub path: String,
    /// Null takes the field away.
    pub value: Value,
}

/// Several, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edits(pub Vec<Edit>);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EditError {
    #[error("\"{0}\" is no field such as lines[2].sku")]
    Path(String),
    #[error("the value of {0} is no JSON: a text is written with quotes, \"HAT-XL\", and a number without, 10.50")]
    Value(String),
    #[error("there is no {0} to change: only fields of rows and groups that are there are edited")]
    Absent(String),
    #[error("one edit changes 1 to {EDITS_MAX} fields")]
    Count,
    #[error("that is more than can be kept: {} bytes and {} values at most, nested {} deep", KEPT.bytes_max, KEPT.nodes_max, KEPT.depth_max)]
    TooLarge,
}

/// A part of a path: a name, or a row.
enum Step<'p> {
    Name(&'p str),
    Row(usize),
}

fn steps(path: &str) -> Result<Vec<Step<'_>>, EditError> {
    let bad = || EditError::Path(path.chars().take(60).collect());
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return Err(bad());
    }
    let mut steps = Vec::new();
    for part in path.split('.') {
        let (name, mut rows) = part.split_at(part.find('[').unwrap_or(part.len()));
        if name.is_empty() {
            return Err(bad());
        }
        steps.push(Step::Name(name));
        while !rows.is_empty() {
            let (row, rest) = rows.strip_prefix('[').and_then(|rows| rows.split_once(']')).ok_or_else(bad)?;
            steps.push(Step::Row(row.parse().map_err(|_| bad())?));
            rows = rest;
        }
    }
    Ok(steps)
}

impl Edits {
    /// From paths and values as JSON, so that numbers keep their digits.
    ///
    /// # Errors
    /// What is wrong with the first that is.
    pub fn read<'a>(edits: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, EditError> {
        let mut read = Vec::new();
        for (path, json) in edits {
            steps(path)?;
            let value = Value::parse(json.as_bytes(), &Limits::DEFAULT).map_err(|_| EditError::Value(path.to_owned()))?;
            read.push(Edit { path: path.to_owned(), value });
        }
        if !(1..=EDITS_MAX).contains(&read.len()) {
            return Err(EditError::Count);
        }
        let edits = Self(read);
        let is_kept = Value::parse(edits.to_value().to_json().as_bytes(), &KEPT).is_ok();
        if is_kept { Ok(edits) } else { Err(EditError::TooLarge) }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields without rows: `lines[].sku`.
    pub fn fields(&self) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
        self.0.iter().map(|edit| without_rows(&edit.path))
    }

    /// The document with the edits.
    ///
    /// # Errors
    /// Where it has no such row or group.
    pub fn apply(&self, document: &mut Value) -> Result<(), EditError> {
        self.0.iter().try_for_each(|edit| set(document, &edit.path, edit.value.clone()))
    }

    /// As a value that is kept.
    #[must_use]
    pub fn to_value(&self) -> Value {
        let edit = |edit: &Edit| {
            Value::Map(Map::from([("path".to_owned(), Value::Text(edit.path.clone())), ("value".to_owned(), edit.value.clone())]))
        };
        Value::List(self.0.iter().map(edit).collect())
    }

    /// The way back from [`Self::to_value`]; what is none is left out.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let edit = |value: &Value| {
            let path = value.get("path")?.as_str()?.to_owned();
            Some(Edit { path, value: value.get("value").cloned().unwrap_or(Value::Null) })
        };
        Self(value.as_list().unwrap_or_default().iter().filter_map(edit).collect())
    }

    /// As [`Self::from_value`], from its JSON.
    #[must_use]
    pub fn from_json(json: &str) -> Self {
        Value::parse(json.as_bytes(), &Limits::DEFAULT).map(|value| Self::from_value(&value)).unwrap_or_default()
    }
}

fn set(document: &mut Value, path: &str, value: Value) -> Result<(), EditError> {
    let absent = || EditError::Absent(path.to_owned());
    let steps = steps(path)?;
    let (last, way) = steps.split_last().ok_or_else(absent)?;
    let mut place = document;
    for step in way {
        place = match (step, place) {
            (Step::Name(name), Value::Map(map)) => map.get_mut(*name),
            (Step::Row(row), Value::List(list)) => list.get_mut(*row),
            _ => None,
        }
        .ok_or_else(absent)?;
    }
    match (last, place) {
        (Step::Name(name), Value::Map(map)) if value.is_null() => {
            map.shift_remove(*name);
        }
        (Step::Name(name), Value::Map(map)) => {
            map.insert((*name).to_owned(), value);
        }
        (Step::Row(row), Value::List(list)) => *list.get_mut(*row).ok_or_else(absent)? = value,
        _ => return Err(absent()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Value {
        Value::parse(
            br#"{"lines": [{"sku": "A", "price": 10.50}, {"sku": "B"}], "total": 12345678901234567890.10}"#,
            &Limits::DEFAULT,
        )
        .unwrap()
    }

    #[test]
    fn fields_of_rows_are_set_and_taken_away_and_digits_stay() {
        let edits =
            Edits::read([("lines[1].sku", "\"C\""), ("lines[0].price", "null"), ("total", "0.10"), ("note", "\"x\"")]).unwrap();
        let mut edited = document();
        edits.apply(&mut edited).unwrap();
        assert_eq!(edited.to_json(), r#"{"lines":[{"sku":"A"},{"sku":"C"}],"total":0.10,"note":"x"}"#);
        assert_eq!(Edits::from_json(&edits.to_value().to_json()), edits);
        assert_eq!(edits.fields().collect::<Vec<_>>(), ["lines[].sku", "lines[].price", "total", "note"]);
    }

    #[test]
    fn what_is_not_there_and_what_is_no_field_is_refused_in_words() {
        for (path, value) in [("lines[2].sku", "1"), ("total.x", "1"), ("nothing.x", "1"), ("lines.sku", "1"), ("lines[9]", "1")]
        {
            let edits = Edits::read([(path, value)]).unwrap();
            assert_eq!(edits.apply(&mut document()), Err(EditError::Absent(path.to_owned())));
        }
        for path in ["", "a..b", "a[", "a[x]", "a]b[", "[0]", &"x".repeat(201)] {
            assert!(matches!(Edits::read([(path, "1")]), Err(EditError::Path(_))), "{path}");
        }
        assert_eq!(Edits::read([("a", "HAT")]), Err(EditError::Value("a".into())));
        assert_eq!(Edits::read([]), Err(EditError::Count));
        assert_eq!(Edits::read((0..51).map(|_| ("a", "1"))), Err(EditError::Count));
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        assert_eq!(Edits::read([("a", deep.as_str())]), Err(EditError::TooLarge), "kept, it could not be read again");
    }
}
