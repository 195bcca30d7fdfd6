//! Values in expressions: JSON's into the engine's, the engine's as Python prints them, and the methods that Python's texts, lists, groups
//! and times have.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::value::Value as Json;
use indexmap::IndexMap;
use minijinja::value::{Object, ValueKind, from_args};
use minijinja::{Error, ErrorKind, Output, State, Value};

use super::super::literal;
use super::TEXT_BYTES_MAX;
use super::time::{PLAIN_MAX, Time};

/// Lists within lists, as a value is printed.
const DEPTH_MAX: usize = 64;

/// A JSON value for expressions. Numbers that the engine would round or mistake go as texts.
pub(crate) fn of(json: &Json) -> Value {
    match json {
        Json::Null => Value::from(()),
        Json::Bool(bool) => Value::from(*bool),
        Json::Number(number) => {
            let digits = number.as_str();
            if let Ok(whole) = digits.parse::<i64>() {
                return Value::from(whole);
            }
            match digits.parse::<i128>() {
                Ok(whole) if whole.abs() <= PLAIN_MAX => Value::from(whole),
                Err(_) if digits.contains(['.', 'e', 'E']) => {
                    digits.parse::<f64>().ok().filter(|float| float.is_finite()).map_or_else(|| Value::from(digits), Value::from)
                }
                _ => Value::from(digits),
            }
        }
        Json::Text(text) if text.len() > TEXT_BYTES_MAX => {
            Value::from(Error::new(ErrorKind::InvalidOperation, format!("a text is longer than {TEXT_BYTES_MAX} bytes")))
        }
        Json::Text(text) => Value::from(text.as_str()),
        Json::List(list) => list.iter().map(of).collect(),
        Json::Map(map) => {
            let map: IndexMap<Value, Value> = map.iter().map(|(key, value)| (Value::from(key.as_str()), of(value))).collect();
            Value::from_object(map)
        }
    }
}

/// The headers of an answer: names in any case.
#[derive(Debug)]
pub(crate) struct Headers(BTreeMap<String, Value>);

impl Headers {
    pub(crate) fn value(headers: &[(String, String)]) -> Value {
        Value::from_object(Headers(
            headers.iter().rev().map(|(name, text)| (name.to_ascii_lowercase(), Value::from(text.as_str()))).collect(),
        ))
    }

    /// With `link` as the addresses of the header Link (RFC 8288) by their relation.
    pub(crate) fn with_links(headers: &[(String, String)]) -> Value {
        let mut all: BTreeMap<String, Value> =
            headers.iter().rev().map(|(name, text)| (name.to_ascii_lowercase(), Value::from(text.as_str()))).collect();
        let links: String = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case("link"))
            .map(|(_, text)| text.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let links: IndexMap<Value, Value> =
            links.split(", <").filter_map(link).map(|(rel, link)| (Value::from(rel), link)).collect();
        all.insert("link".to_owned(), Value::from_object(links));
        Value::from_object(Headers(all))
    }
}

fn link(text: &str) -> Option<(String, Value)> {
    let (url, rest) = text.trim().trim_start_matches('<').split_once('>')?;
    let mut parts = vec![("url".to_owned(), url.to_owned())];
    for part in rest.split(';').filter_map(|part| part.split_once('=')) {
        parts.push((part.0.trim().to_owned(), part.1.trim().trim_matches(['"', '\'']).to_owned()));
    }
    let rel = parts.iter().find(|(name, _)| name == "rel").map_or_else(|| url.to_owned(), |(_, rel)| rel.clone());
    let map: IndexMap<Value, Value> = parts.into_iter().map(|(name, text)| (Value::from(name), Value::from(text))).collect();
    Some((rel, Value::from_object(map)))
}

impl Object for Headers {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(&key.as_str()?.to_ascii_lowercase()).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Values(self.0.keys().map(|name| Value::from(name.as_str())).collect())
    }
}

/// Writes a value as Python's `str()` does.
pub(super) fn write(out: &mut Output<'_>, value: &Value) -> Result<(), Error> {
    let text = match value.as_str() {
        Some(text) => return out.write_str(text).map_err(Error::from),
        None if value.is_undefined() => return Ok(()),
        None => repr(value, 0)?,
    };
    out.write_str(&text).map_err(Error::from)
}

fn repr(value: &Value, depth: usize) -> Result<String, Error> {
    if depth > DEPTH_MAX {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("a value is nested deeper than {DEPTH_MAX} levels")));
    }
    Ok(match value.kind() {
        ValueKind::None | ValueKind::Undefined => "None".to_owned(),
        ValueKind::Bool => if value.is_true() { "True" } else { "False" }.to_owned(),
        ValueKind::Number => match Time::of(value) {
            Some(time) => time.iso(' '),
            None if value.is_integer() => value.to_string(),
            None => f64::try_from(value.clone()).map_or_else(|_| value.to_string(), literal::float),
        },
        ValueKind::String => literal::quoted(value.as_str().unwrap_or_default()),
        ValueKind::Seq | ValueKind::Iterable => {
            let mut items = Vec::new();
            for item in value.try_iter()? {
                items.push(repr(&item, depth + 1)?);
            }
            format!("[{}]", items.join(", "))
        }
        ValueKind::Map => {
            let mut pairs = Vec::new();
            for key in value.try_iter()? {
                pairs.push(format!("{}: {}", repr(&key, depth + 1)?, repr(&value.get_item(&key)?, depth + 1)?));
            }
            format!("{{{}}}", pairs.join(", "))
        }
        // An invalid value says itself what is wrong with it.
        _ => return Err(Error::new(ErrorKind::InvalidOperation, value.to_string())),
    })
}

/// The methods that manifests call and the engine does not know.
pub(super) fn method(state: &mut State<'_, '_>, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    if let Some(time) = Time::of(value) {
        return time_method(time, name, args);
    }
    if let Some(text) = value.as_str() {
        return text_method(state, text, value, name, args);
    }
    let unknown = || Err(Error::from(ErrorKind::UnknownMethod));
    if value.kind() != ValueKind::Map {
        return unknown();
    }
    match name {
        "get" => {
            let (key, default): (Value, Option<Value>) = from_args(args)?;
            let found = value.get_item(&key)?;
            Ok(if found.is_undefined() { default.unwrap_or_else(|| Value::from(())) } else { found })
        }
        "keys" => Ok(value.try_iter()?.collect()),
        "values" => value.try_iter()?.map(|key| value.get_item(&key)).collect::<Result<Vec<_>, _>>().map(Value::from),
        "items" => state.apply_filter("items", std::slice::from_ref(value)),
        _ => unknown(),
    }
}

fn time_method(time: Time, name: &str, args: &[Value]) -> Result<Value, Error> {
    match (name, time) {
        ("strftime", _) => {
            let (format,): (String,) = from_args(args)?;
            let written = time.write(&format);
            written
                .map(Value::from)
                .ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("the format {format} is not run")))
        }
        ("isoformat", _) => Ok(Value::from(time.iso('T'))),
        ("date", Time::Moment(at)) => Ok(Time::of(&Time::Date(at).to_value()).map_or_else(|| Value::UNDEFINED, Time::to_value)),
        #[expect(clippy::cast_precision_loss, reason = "Python's timestamps are floats")]
        ("timestamp", Time::Moment(at)) => Ok(Value::from(at.timestamp_micros() as f64 / 1e6)),
        #[expect(clippy::cast_precision_loss, reason = "Python's durations in seconds are floats")]
        ("total_seconds", Time::Span(span)) => Ok(Value::from(span.micros as f64 / 1e6)),
        _ => Err(Error::from(ErrorKind::UnknownMethod)),
    }
}

fn text_method(state: &mut State<'_, '_>, text: &str, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    let chars = |args: &[Value]| -> Result<Vec<char>, Error> {
        let (chars,): (Option<String>,) = from_args(args)?;
        Ok(chars.map_or_else(|| vec![' ', '\t', '\n', '\r'], |chars| chars.chars().collect()))
    };
    Ok(match name {
        "lower" => text.to_lowercase().into(),
        "upper" => text.to_uppercase().into(),
        "strip" => text.trim_matches(chars(args)?.as_slice()).into(),
        "lstrip" => text.trim_start_matches(chars(args)?.as_slice()).into(),
        "rstrip" => text.trim_end_matches(chars(args)?.as_slice()).into(),
        "isdigit" | "isnumeric" => (!text.is_empty() && text.chars().all(|char| char.is_ascii_digit())).into(),
        "startswith" => text.starts_with(from_args::<(&str,)>(args)?.0).into(),
        "endswith" => text.ends_with(from_args::<(&str,)>(args)?.0).into(),
        "find" => {
            let (part,): (&str,) = from_args(args)?;
            text.find(part).map_or(Value::from(-1), |at| Value::from(text[..at].chars().count()))
        }
        "split" => {
            let (separator, count): (Option<&str>, Option<usize>) = from_args(args)?;
            match (separator, count) {
                (Some(""), _) => return Err(Error::new(ErrorKind::InvalidOperation, "a text is not split at nothing")),
                (Some(separator), Some(count)) => text.splitn(count.saturating_add(1), separator).map(Value::from).collect(),
                (Some(separator), None) => text.split(separator).map(Value::from).collect(),
                (None, _) => text.split_whitespace().map(Value::from).collect(),
            }
        }
        // The engine's own filters pay for what they make with fuel.
        "replace" | "join" | "title" | "capitalize" => {
            let mut all = vec![value.clone()];
            all.extend_from_slice(args);
            if name == "join" {
                all.reverse();
            }
            return state.apply_filter(name, &all);
        }
        _ => return Err(Error::from(ErrorKind::UnknownMethod)),
    })
}
