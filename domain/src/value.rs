//! A JSON document whose numbers keep their digits: a 64-bit id, `1.10` and `12345678901234567890.12` leave as they came.
//!
//! The parser is strict ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)), bounded in size, depth and nodes, and says where it stopped.

use std::borrow::Cow;
use std::fmt::Write as _;

use indexmap::IndexMap;
use rust_decimal::Decimal;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use sha2::{Digest, Sha256};

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

/// The digits of a JSON number, exactly as they arrived.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

impl Number {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Exact, or nothing: a number of more than 28 digits is not rounded.
    #[must_use]
    pub fn to_decimal(&self) -> Option<Decimal> {
        decimal(&self.0)
    }
}

impl From<Decimal> for Number {
    fn from(decimal: Decimal) -> Self {
        Self(decimal.to_string().into())
    }
}

/// Reads a decimal exactly, exponents included; `None` where it does not fit 28 digits.
#[must_use]
pub fn decimal(text: &str) -> Option<Decimal> {
    if text.len() > 64 {
        return None;
    }
    if text.contains(['e', 'E']) {
        Decimal::from_scientific(text).ok()
    } else {
        Decimal::from_str_exact(text.strip_prefix('+').unwrap_or(text)).ok()
    }
}

/// What a document may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes_max: usize,
    pub depth_max: usize,
    pub nodes_max: usize,
}

impl Limits {
    pub const DEFAULT: Limits = Limits { bytes_max: 2 * 1024 * 1024, depth_max: 64, nodes_max: 200_000 };
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} at line {line}, column {column}")]
pub struct ValueError {
    pub what: String,
    pub line: usize,
    pub column: usize,
}

impl Value {
    /// # Errors
    /// Where the bytes are no JSON, or more of it than the limits allow.
    pub fn parse(json: &[u8], limits: &Limits) -> Result<Value, ValueError> {
        let fail = |what: String, at: usize| {
            let before = &json[..at.min(json.len())];
            let line = 1 + before.iter().filter(|b| **b == b'\n').count();
            let column = 1 + before.iter().rev().take_while(|b| **b != b'\n').count();
            ValueError { what, line, column }
        };
        if json.len() > limits.bytes_max {
            return Err(fail(format!("{} bytes are more than the {} allowed,", json.len(), limits.bytes_max), 0));
        }
        let text = std::str::from_utf8(json).map_err(|error| fail("the text is not UTF-8".into(), error.valid_up_to()))?;
        let mut parser = Parser { text, bytes: json, at: 0, nodes_left: limits.nodes_max, depth_max: limits.depth_max };
        parser.document().map_err(|what| fail(what, parser.at))
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
            Value::Text(text) => write_text(text, out),
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
                    write_text(key, out);
                    out.push(':');
                    value.write_json(out, sorted);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let mut clean = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[clean..at]);
        if escape.is_empty() {
            let _ = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
        clean = at + 1;
    }
    out.push_str(&text[clean..]);
    out.push('"');
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
        Value::Number(Number(number.to_string().into()))
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
            serde_json::Value::Number(number) => Value::Number(Number(number.to_string().into())),
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

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    nodes_left: usize,
    depth_max: usize,
}

type Parsed<T> = Result<T, String>;

impl Parser<'_> {
    fn document(&mut self) -> Parsed<Value> {
        let value = self.value(0)?;
        self.space();
        if self.at < self.bytes.len() { Err("there is more text after the end of the document".into()) } else { Ok(value) }
    }

    fn value(&mut self, depth: usize) -> Parsed<Value> {
        if depth > self.depth_max {
            return Err(format!("the document is nested deeper than {} levels", self.depth_max));
        }
        self.nodes_left = self.nodes_left.checked_sub(1).ok_or("the document has more values than are allowed")?;
        self.space();
        match self.bytes.get(self.at) {
            Some(b'{') => self.map(depth),
            Some(b'[') => self.list(depth),
            Some(b'"') => Ok(Value::Text(self.string()?)),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => Err("a value was expected".into()),
            None => Err("the document ends early".into()),
        }
    }

    fn map(&mut self, depth: usize) -> Parsed<Value> {
        self.at += 1;
        let mut map = Map::new();
        loop {
            self.space();
            match self.bytes.get(self.at) {
                Some(b'}') if map.is_empty() => break,
                Some(b'"') => {}
                _ => return Err("a key in quotes was expected".into()),
            }
            let key = self.string()?;
            self.space();
            self.expect(b':')?;
            let value = self.value(depth + 1)?;
            // Two values for one key: which one a signature or another reader means is anybody's guess.
            if map.insert(key, value).is_some() {
                return Err("a key is there twice".into());
            }
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return Err("\",\" or \"}\" was expected".into()),
            }
        }
        self.at += 1;
        Ok(Value::Map(map))
    }

    fn list(&mut self, depth: usize) -> Parsed<Value> {
        self.at += 1;
        let mut list = Vec::new();
        loop {
            self.space();
            if list.is_empty() && self.bytes.get(self.at) == Some(&b']') {
                break;
            }
            list.push(self.value(depth + 1)?);
            self.space();
            match self.bytes.get(self.at) {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return Err("\",\" or \"]\" was expected".into()),
            }
        }
        self.at += 1;
        Ok(Value::List(list))
    }

    fn string(&mut self) -> Parsed<String> {
        self.at += 1;
        let start = self.at;
        let mut out = String::new();
        let mut clean = start;
        loop {
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let rest = &self.text[clean..self.at];
                    self.at += 1;
                    return Ok(if out.is_empty() { rest.to_owned() } else { out + rest });
                }
                Some(b'\\') => {
                    out.push_str(&self.text[clean..self.at]);
                    self.at += 1;
                    out.push(self.escape()?);
                    clean = self.at;
                }
                Some(0..=0x1f) => return Err("a control character stands unescaped in a text".into()),
                Some(_) => self.at += 1,
                None => return Err("a text has no end".into()),
            }
        }
    }

    fn escape(&mut self) -> Parsed<char> {
        let byte = *self.bytes.get(self.at).ok_or("a text has no end")?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let high = self.hex4()?;
                if high == 0 {
                    self.at -= r"\u0000".len();
                    // Postgres stores no text with NUL: one such message would make all that are committed with it fail.
                    return Err("a text has the character U+0000, which cannot be stored,".into());
                }
                if !(0xd800..0xe000).contains(&high) {
                    return char::from_u32(high).ok_or_else(|| "an escape is no character".into());
                }
                if !self.bytes[self.at..].starts_with(b"\\u") {
                    return Err("half of a surrogate pair stands alone".into());
                }
                self.at += 2;
                let low = self.hex4()?;
                if !(0xd800..0xdc00).contains(&high) || !(0xdc00..0xe000).contains(&low) {
                    return Err("half of a surrogate pair stands alone".into());
                }
                char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).ok_or("an escape is no character")?
            }
            _ => return Err("an unknown escape".into()),
        })
    }

    fn hex4(&mut self) -> Parsed<u32> {
        let digits = self.bytes.get(self.at..self.at + 4).ok_or("an escape has fewer than four digits")?;
        let mut code = 0;
        for digit in digits {
            code = code * 16 + char::from(*digit).to_digit(16).ok_or("an escape has a digit that is none")?;
        }
        self.at += 4;
        Ok(code)
    }

    fn number(&mut self) -> Parsed<Value> {
        let start = self.at;
        self.skip(b'-');
        match self.bytes.get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ => return Err("a number has no digits".into()),
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            if !self.skip(b'+') {
                self.skip(b'-');
            }
            self.digits()?;
        }
        Ok(Value::Number(Number(self.text[start..self.at].into())))
    }

    fn digits(&mut self) -> Parsed<()> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err("a number lacks digits".into()) } else { Ok(()) }
    }

    fn word(&mut self, word: &str, value: Value) -> Parsed<Value> {
        if self.bytes[self.at..].starts_with(word.as_bytes()) {
            self.at += word.len();
            Ok(value)
        } else {
            Err("a value was expected".into())
        }
    }

    fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.skip(byte) { Ok(()) } else { Err(format!("\"{}\" was expected", char::from(byte))) }
    }

    fn skip(&mut self, byte: u8) -> bool {
        let found = self.bytes.get(self.at) == Some(&byte);
        self.at += usize::from(found);
        found
    }

    fn space(&mut self) {
        while matches!(self.bytes.get(self.at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
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
