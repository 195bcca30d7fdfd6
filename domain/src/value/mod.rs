//! A JSON document whose numbers keep their digits: a 64-bit id, `1.10` and `12345678901234567890.12` leave as they came.
//!
//! The parser is strict ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), bounded in size, depth and nodes, and says where it stopped.

mod number;
mod parse;
mod tree;
mod wanted;
mod write;

use std::borrow::Cow;

pub use bumpalo::Bump as Arena;
use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use sha2::{Digest, Sha256};

pub use number::{Number, decimal};
pub(crate) use number::{PRINT_BYTES, is_plain, print};
pub use parse::{Limits, ValueError};
pub use tree::{Field, Tree};
pub use wanted::Wanted;

pub type Map = IndexMap<String, Value>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Value>),
    Map(Map),
}

impl Value {
    /// # Errors
    /// Where the bytes are no JSON, or more of it than the limits allow.
    pub fn parse(json: &[u8], limits: &Limits) -> Result<Value, ValueError> {
        let arena = Arena::new();
        Ok(Tree::parse(json, limits, None, &arena)?.to_value())
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Value::Map(map) => map.get(key),
            _ => None,
        }
    }

    /// The value at `customer.addresses[0].city`; `None` where any part is missing.
    #[must_use]
    pub fn at(&self, path: &str) -> Option<&Value> {
        let mut here = self;
        for part in path.split('.') {
            let (key, indexes) = part.split_once('[').map_or((part, None), |(key, rest)| (key, Some(rest)));
            if !key.is_empty() {
                here = here.get(key)?;
            }
            for index in indexes.into_iter().flat_map(|rest| rest.split('[')) {
                here = here.as_list()?.get(index.trim_end_matches(']').parse::<usize>().ok()?)?;
            }
        }
        Some(here)
    }

    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// The text of a plain value: a number's digits, a boolean's word.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'_, str>> {
        match self {
            Value::Text(text) => Some(Cow::Borrowed(text)),
            Value::Number(number) => Some(Cow::Borrowed(number.as_str())),
            Value::Bool(bool) => Some(Cow::Borrowed(if *bool { "true" } else { "false" })),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    #[must_use]
    pub fn as_list(&self) -> Option<&[Value]> {
        if let Value::List(list) = self { Some(list) } else { None }
    }

    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = self { Some(map) } else { None }
    }

    #[must_use]
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// A number or a text that is one, exactly.
    #[must_use]
    pub fn to_decimal(&self) -> Option<Decimal> {
        match self {
            Value::Number(number) => number.to_decimal(),
            Value::Text(text) => decimal(text.trim()),
            _ => None,
        }
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(1024);
        self.write_json(&mut out, false);
        out
    }

    /// SHA-256 over the JSON with sorted keys: two documents that say the same have the same hash.
    #[must_use]
    pub fn canonical_hash(&self) -> [u8; 32] {
        let mut out = String::with_capacity(1024);
        self.write_json(&mut out, true);
        Sha256::digest(out.as_bytes()).into()
    }

    fn write_json(&self, out: &mut String, sorted: bool) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(bool) => out.push_str(if *bool { "true" } else { "false" }),
            Value::Number(number) => out.push_str(number.as_str()),
            Value::Text(text) => write::text(text, out),
            Value::List(list) => {
                out.push('[');
                for (index, value) in list.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    value.write_json(out, sorted);
                }
                out.push(']');
            }
            Value::Map(map) => {
                let mut entries: Vec<(&String, &Value)> = map.iter().collect();
                if sorted {
                    entries.sort_unstable_by_key(|(key, _)| *key);
                }
                out.push('{');
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write::text(key, out);
                    out.push(':');
                    value.write_json(out, sorted);
                }
                out.push('}');
            }
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}
impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}
impl From<bool> for Value {
    fn from(bool: bool) -> Self {
        Value::Bool(bool)
    }
}
impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Number(Number::from_digits(&number.to_string()))
    }
}
impl From<Decimal> for Value {
    fn from(decimal: Decimal) -> Self {
        Value::Number(decimal.into())
    }
}
impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Value::Null,
            serde_json::Value::Bool(bool) => Value::Bool(*bool),
            serde_json::Value::Number(number) => Value::Number(Number::from_digits(&number.to_string())),
            serde_json::Value::String(text) => Value::Text(text.clone()),
            serde_json::Value::Array(list) => Value::List(list.iter().map(Value::from).collect()),
            serde_json::Value::Object(map) => {
                Value::Map(map.iter().map(|(key, value)| (key.clone(), Value::from(value))).collect())
            }
        }
    }
}

impl Serialize for Value {
    /// Numbers beyond what the format holds exactly go as text.
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => s.serialize_unit(),
            Value::Bool(bool) => s.serialize_bool(*bool),
            Value::Number(number) => match number.as_str().parse::<i64>() {
                Ok(integer) => s.serialize_i64(integer),
                Err(_) => s.serialize_str(number.as_str()),
            },
            Value::Text(text) => s.serialize_str(text),
            Value::List(list) => {
                let mut seq = s.serialize_seq(Some(list.len()))?;
                for value in list {
                    seq.serialize_element(value)?;
                }
                seq.end()
            }
            Value::Map(map) => {
                let mut out = s.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    out.serialize_entry(key, value)?;
                }
                out.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(json: &str) -> Result<Value, ValueError> {
        Value::parse(json.as_bytes(), &Limits::DEFAULT)
    }

    #[test]
    fn numbers_leave_as_they_came() {
        let json = r#"{"id":5123456789012345678,"price":1.10,"n":12345678901234567890.12,"big":18446744073709551617,"e":1E+2}"#;
        assert_eq!(parse(json).unwrap().to_json(), json);
    }

    #[test]
    fn an_error_says_where() {
        let error = parse("{\n  \"a\": tru\n}").unwrap_err();
        assert_eq!((error.line, error.column), (2, 8), "{error}");
        for (json, what) in [
            ("{\"a\":1,\"a\":2}", "twice"),
            ("[1] x", "more text"),
            ("\"\\ud800\"", "surrogate"),
            ("{\"\\u0000\":1}", "U+0000"),
            ("01", "more text"),
            ("", "ends early"),
        ] {
            assert!(parse(json).unwrap_err().what.contains(what), "{json}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse(&deep).unwrap_err().what.contains("deeper"));
    }

    #[test]
    fn a_text_with_nul_is_refused_where_it_stands() {
        let error = parse("{\n \"id\": \"a\\u0000\"}").unwrap_err();
        assert_eq!(error.to_string(), "a text has the character U+0000, which cannot be stored, at line 2, column 10");
        assert_eq!(parse(r#""\\u0000\u0001""#).unwrap(), Value::from("\\u0000\u{1}"));
    }

    #[test]
    fn a_path_finds_its_value() {
        let value = parse(r#"{"a":{"b":[{"c":"x"},[1,2]]}}"#).unwrap();
        assert_eq!(value.at("a.b[0].c").and_then(Value::as_str), Some("x"));
        assert_eq!(value.at("a.b[1][1]").and_then(Value::to_text).as_deref(), Some("2"));
        assert_eq!(value.at("a.z.c"), None);
    }

    /// Any text but one with NUL, which we refuse.
    fn text(pattern: &'static str) -> impl Strategy<Value = String> {
        pattern.prop_map(|text| text.replace('\0', "0"))
    }

    fn json() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            text(".{0,12}").prop_map(serde_json::Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                prop::collection::btree_map(text(".{0,6}"), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_and_writes_what_another_parser_does(json in json()) {
            let value = parse(&json.to_string()).unwrap();
            prop_assert_eq!(&value, &Value::from(&json));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&value.to_json()).unwrap(), json);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let ours = Value::parse(&bytes, &Limits::DEFAULT).is_ok();
            // Whatever we accept, the other accepts too (it also takes duplicate keys).
            if ours { prop_assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok() || String::from_utf8_lossy(&bytes).contains(['e', 'E'])); }
        }
    }
}
