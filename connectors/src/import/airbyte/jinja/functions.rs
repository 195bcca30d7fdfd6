//! The functions and filters that expressions of a low-code manifest call.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use minijinja::value::{Kwargs, Rest};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::super::literal;
use super::super::moment::{self, Span};
use super::NOW;
use super::time::Time;
use crate::hex::hex;

pub(crate) const FUNCTIONS: [&str; 12] = [
    "now_utc",
    "today_utc",
    "timestamp",
    "max",
    "min",
    "day_delta",
    "duration",
    "format_datetime",
    "str_to_datetime",
    "sanitize_url",
    "camel_case_to_snake_case",
    "today_with_timezone",
];

/// The engine's own and ours: what is not here is named in the report.
pub(crate) const FILTERS: [&str; 48] = [
    "abs",
    "base64binascii_decode",
    "base64decode",
    "base64encode",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "e",
    "escape",
    "first",
    "float",
    "format",
    "groupby",
    "hash",
    "hmac",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "pprint",
    "regex_replace",
    "regex_search",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "safe",
    "select",
    "selectattr",
    "slice",
    "sort",
    "split",
    "string",
    "sum",
    "title",
];
const MORE_FILTERS: [&str; 6] = ["tojson", "trim", "unique", "upper", "urlencode", "zip"];

/// A pattern's compiled size, bytes.
const REGEX_BYTES_MAX: usize = 256 * 1024;

fn wrong(why: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, why.into())
}

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_function("now_utc", |state: &State<'_, '_>| now(state).map(|at| Time::Moment(at).to_value()));
    environment.add_function("today_utc", |state: &State<'_, '_>| today(state));
    environment.add_function("today_with_timezone", |state: &State<'_, '_>, zone: String| match zone.as_str() {
        "UTC" | "Etc/UTC" | "GMT" => today(state),
        _ => Err(wrong(format!("the time zone {zone} is not run; only UTC is"))),
    });
    environment.add_function("timestamp", timestamp);
    environment.add_function("max", |values: Rest<Value>| extreme(&values, std::cmp::Ordering::Greater));
    environment.add_function("min", |values: Rest<Value>| extreme(&values, std::cmp::Ordering::Less));
    environment.add_function("duration", |text: String| {
        Span::parse(&text).map(|span| Time::Span(span).to_value()).ok_or_else(|| wrong(format!("{text} is no ISO 8601 duration")))
    });
    environment.add_function("day_delta", day_delta);
    environment.add_function("str_to_datetime", |text: String| time_of(&text).map(Time::to_value));
    environment.add_function("format_datetime", format_datetime);
    environment
        .add_function("sanitize_url", |text: String| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>());
    environment.add_function("camel_case_to_snake_case", |text: String| {
        let mut out = String::with_capacity(text.len() + 8);
        for (at, char) in text.char_indices() {
            if at > 0 && char.is_ascii_uppercase() {
                out.push('_');
            }
            out.extend(char.to_lowercase());
        }
        out
    });
    environment.add_filter("hash", hash);
    environment.add_filter("hmac", keyed_hash);
    environment.add_filter("base64encode", |text: String| STANDARD.encode(text));
    environment.add_filter("base64binascii_decode", |text: String| STANDARD.encode(text));
    environment.add_filter("base64decode", |text: String| {
        let bytes = STANDARD.decode(text).map_err(|error| wrong(error.to_string()))?;
        String::from_utf8(bytes).map_err(|_| wrong("what base64 stands for is no text"))
    });
    environment.add_filter("string", |value: Value| -> Result<String, Error> {
        match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None if value.is_undefined() => Ok(String::new()),
            None => {
                Ok(format!("\"\"\"{}\"\"\"", dumped(&serde_json::to_value(&value).map_err(|error| wrong(error.to_string()))?)))
            }
        }
    });
    environment.add_filter("regex_search", |text: String, pattern: String| -> Result<String, Error> {
        let found = regex(&pattern)?.captures(&text).and_then(|groups| groups.get(1).map(|group| group.as_str().to_owned()));
        Ok(found.unwrap_or_default())
    });
    environment.add_filter("regex_replace", |text: String, pattern: String, by: String| -> Result<String, Error> {
        // The first only pays off with a bound: what comes in is bounded, and so is what replaces it.
        if text.len().saturating_mul(by.len().max(1)) > super::TEXT_BYTES_MAX {
            return Err(wrong("regex_replace would make too long a text"));
        }
        Ok(regex(&pattern)?.replace_all(&text, regex::NoExpand(&by)).into_owned())
    });
}

fn now(state: &State<'_, '_>) -> Result<moment::Moment, Error> {
    let micros = state.lookup(NOW).and_then(|value| i64::try_from(value).ok());
    micros.and_then(moment::from_micros).ok_or_else(|| wrong("the time is not known here"))
}

fn today(state: &State<'_, '_>) -> Result<Value, Error> {
    let date = Time::Date(now(state)?).to_value();
    // Once there and back drops the clock.
    Time::of(&date).map(Time::to_value).ok_or_else(|| wrong("the time is out of range"))
}

fn time_of(text: &str) -> Result<Time, Error> {
    moment::iso(text).map(Time::Moment).ok_or_else(|| wrong(format!("{text} is no ISO 8601 time")))
}

fn timestamp(value: Value) -> Result<Value, Error> {
    #[expect(clippy::cast_precision_loss, reason = "Python's timestamps are floats")]
    let seconds = |time: Time| match time {
        Time::Moment(at) | Time::Date(at) => Ok(Value::from(at.timestamp_micros() as f64 / 1e6)),
        Time::Span(_) => Err(wrong("a duration has no timestamp")),
    };
    match (Time::of(&value), value.as_str()) {
        (Some(time), _) => seconds(time),
        (None, Some(text)) => seconds(time_of(text)?),
        (None, None) => match f64::try_from(value.clone()) {
            #[expect(clippy::cast_possible_truncation, reason = "a saturating cast of a number of seconds")]
            Ok(number) if !value.is_integer() => Ok(Value::from(number as i64)),
            Ok(_) => Ok(value),
            Err(_) => Err(wrong("timestamp takes a time, a text or a number")),
        },
    }
}

fn extreme(values: &[Value], wanted: std::cmp::Ordering) -> Result<Value, Error> {
    let list: Vec<Value> = match values {
        [one] => one.try_iter()?.collect(),
        many => many.to_vec(),
    };
    let best = list.into_iter().reduce(|best, next| if next.cmp(&best) == wanted { next } else { best });
    best.ok_or_else(|| wrong("max and min of nothing"))
}

fn day_delta(state: &State<'_, '_>, days: i64, format: Option<String>, named: Kwargs) -> Result<String, Error> {
    let format = match format {
        Some(format) => format,
        None => named.get::<Option<String>>("format")?.unwrap_or_else(|| "%Y-%m-%dT%H:%M:%S.%f%z".to_owned()),
    };
    named.assert_all_used()?;
    let at = moment::days_from(&now(state)?, days).ok_or_else(|| wrong("the day is out of range"))?;
    moment::write(&at, &format).ok_or_else(|| wrong(format!("the format {format} is not run")))
}

fn format_datetime(value: Value, format: Option<String>, input: Option<String>, named: Kwargs) -> Result<String, Error> {
    let format = match format {
        Some(format) => format,
        None => named.get::<String>("format")?,
    };
    let input = match input {
        Some(input) => Some(input),
        None => named.get::<Option<String>>("input_format")?,
    };
    named.assert_all_used()?;
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let at = match (Time::of(&value), &input) {
        (Some(time), _) => return time.write(&format).ok_or_else(|| wrong(format!("the format {format} is not run"))),
        (None, Some(input)) => moment::parse(&text, input),
        (None, None) if value.is_integer() => moment::parse(&text, "%s"),
        (None, None) => moment::iso(&text),
    };
    let at = at.ok_or_else(|| {
        wrong(format!("{text} is no time{}", input.map(|input| format!(" of the format {input}")).unwrap_or_default()))
    })?;
    moment::write(&at, &format).ok_or_else(|| wrong(format!("the format {format} is not run")))
}

/// As Python prints it, which is what it hashes.
fn printed(value: &Value) -> String {
    match value.as_str() {
        Some(text) => text.to_owned(),
        None => match f64::try_from(value.clone()) {
            Ok(number) if !value.is_integer() => literal::float(number),
            _ => value.to_string(),
        },
    }
}

fn hash(value: Value, kind: Option<String>, salt: Option<Value>, named: Kwargs) -> Result<String, Error> {
    let kind = match kind {
        Some(kind) => kind,
        None => named.get::<Option<String>>("hash_type")?.unwrap_or_else(|| "md5".to_owned()),
    };
    let salt = match salt {
        Some(salt) => Some(salt),
        None => named.get::<Option<Value>>("salt")?,
    };
    named.assert_all_used()?;
    let text = printed(&value) + &salt.map(|salt| printed(&salt)).unwrap_or_default();
    Ok(match kind.as_str() {
        "md5" => hex(&Md5::digest(text)),
        "sha224" => hex(&Sha224::digest(text)),
        "sha256" => hex(&Sha256::digest(text)),
        "sha384" => hex(&Sha384::digest(text)),
        "sha512" => hex(&Sha512::digest(text)),
        other => return Err(wrong(format!("the hash {other} is not run"))),
    })
}

fn keyed_hash(value: Value, key: Value, kind: Option<String>, named: Kwargs) -> Result<String, Error> {
    let kind = match kind {
        Some(kind) => kind,
        None => named.get::<Option<String>>("hash_type")?.unwrap_or_else(|| "sha256".to_owned()),
    };
    named.assert_all_used()?;
    if kind != "sha256" {
        return Err(wrong(format!("hmac with {kind} is not run")));
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(printed(&key).as_bytes()).map_err(|error| wrong(error.to_string()))?;
    mac.update(printed(&value).as_bytes());
    Ok(hex(&mac.finalize().into_bytes()))
}

/// JSON as Python's `json.dumps` writes it: with blanks, and ASCII only.
fn dumped(value: &serde_json::Value) -> String {
    use serde_json::Value as Json;
    match value {
        Json::Array(list) => format!("[{}]", list.iter().map(dumped).collect::<Vec<_>>().join(", ")),
        Json::Object(map) => {
            let pair = |(key, value): (&String, &Json)| format!("{}: {}", dumped(&Json::from(key.as_str())), dumped(value));
            format!("{{{}}}", map.iter().map(pair).collect::<Vec<_>>().join(", "))
        }
        Json::Number(number) if number.is_f64() => number.as_f64().map(literal::float).unwrap_or_default(),
        plain => {
            let mut out = String::new();
            for char in plain.to_string().chars() {
                match char {
                    ascii if ascii.is_ascii() => out.push(ascii),
                    other => other.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
                }
            }
            out
        }
    }
}

fn regex(pattern: &str) -> Result<regex::Regex, Error> {
    regex::RegexBuilder::new(pattern).size_limit(REGEX_BYTES_MAX).build().map_err(|error| {
        wrong(format!("the pattern {pattern} is not run: {}", error.to_string().lines().last().unwrap_or_default()))
    })
}

/// The first filter of a template that we do not have.
pub(super) fn unknown_filter(template: &str) -> Option<&str> {
    let (mut inside, mut quote) = (false, None);
    let mut chars = template.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        let next = chars.peek().map(|(_, next)| *next);
        match (char, quote) {
            ('{', None) if !inside && matches!(next, Some('{' | '%')) => inside = true,
            ('}' | '%', None) if inside && next == Some('}') => inside = false,
            ('\'' | '"', None) if inside => quote = Some(char),
            (_, Some(open)) if char == open => quote = None,
            ('|', None) if inside => {
                let rest = template[at + 1..].trim_start();
                let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
                let name = &rest[..end];
                if !name.is_empty() && !FILTERS.contains(&name) && !MORE_FILTERS.contains(&name) {
                    return Some(name);
                }
            }
            _ => {}
        }
    }
    None
}
