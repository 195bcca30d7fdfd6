//! What tells of a person, hidden from those whose work needs it not. Which roles see it is said by [`Permission::ReadPersonalData`]; which fields of a
//! record tell of a person is said by the canonical model ([`crate::canonical::model`], `personal`). A vendor's own payload has no such list, so there the
//! names of the fields decide, and what cannot be read at all is hidden as a whole: better too much than a name too many.
//!
//! [`Permission::ReadPersonalData`]: crate::permission::Permission::ReadPersonalData

use std::borrow::Cow;

use crate::canonical::shape::{Is, Shape};
use crate::drift::keeps_values;
use crate::record::RecordKind;
use crate::value::{Limits, Map, Value};

/// What stands in the place of what is hidden. Its length tells nothing.
pub const HIDDEN: &str = "•••";
/// Digits that make a number after a plus a telephone's.
const PHONE_DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// A canonical document as those see it who may not see what tells of a person. What is none becomes empty.
#[must_use]
pub fn record(kind: RecordKind, document: &str) -> String {
    let Ok(mut value) = Value::parse(document.as_bytes(), &Limits::DEFAULT) else { return HIDDEN.to_owned() };
    hide_shape(crate::canonical::shape(kind), &mut value);
    value.to_json()
}

/// A payload of a vendor's, or for one: JSON by the names of its fields, anything else as a whole.
#[must_use]
pub fn payload(text: &str) -> String {
    match Value::parse(text.as_bytes(), &Limits::DEFAULT) {
        Ok(mut value) => {
            hide_by_name("", &mut value);
            value.to_json()
        }
        Err(_) if text.is_empty() => String::new(),
        Err(_) => format!("{HIDDEN} ({} bytes that are not JSON: shown to who may read personal data)", text.len()),
    }
}

/// The value of a field, whose path is known: `customer.email`, `lines[2].sku`.
#[must_use]
pub fn value<'a>(path: &str, value: &'a str) -> Cow<'a, str> {
    if is_personal(path) { Cow::Borrowed(HIDDEN) } else { sentence(value) }
}

/// Keys of a report whose texts name something, and repeat nobody's value.
const NAMES: &[&str] = &["path", "field", "code", "owner", "table", "fix_kind"];

/// A report of what differs: a value beside the path of its field, and words for people, which may repeat that value.
pub fn report(told: &mut serde_json::Value) {
    report_of(told, None);
}

/// `around` is the path of the field that it is told of: the values that had no entry stand below it, and say no path of their own.
fn report_of(told: &mut serde_json::Value, around: Option<&str>) {
    match told {
        serde_json::Value::Array(items) => items.iter_mut().for_each(|item| report_of(item, around)),
        serde_json::Value::Object(map) => {
            let own = ["path", "field"].iter().find_map(|key| map.get(*key)?.as_str()).map(str::to_owned);
            let path = own.as_deref().or(around);
            let told_of = map.get("value").and_then(serde_json::Value::as_str).filter(|value| !value.is_empty());
            let word = told_of.filter(|_| path.is_some_and(is_personal)).map(str::to_owned);
            for (key, item) in map {
                let serde_json::Value::String(text) = item else {
                    report_of(item, path);
                    continue;
                };
                let hidden = match (path, &word) {
                    (Some(path), _) if ["before", "after", "value"].contains(&key.as_str()) => value(path, text).into_owned(),
                    (_, Some(word)) if !NAMES.contains(&key.as_str()) => sentence_about(text, word),
                    _ => sentence(text).into_owned(),
                };
                *text = hidden;
            }
        }
        _ => {}
    }
}

/// Things whose acts tell what stands in records. What is done to anything else is about a tenant's own people and settings, and the audit log is there to
/// tell that.
const OF_RECORDS: &[&str] = &["record", "message", "delivery", "attempt", "exception", "exception_group", "difference"];

/// The detail of an audit event about a thing of this kind.
#[must_use]
pub fn detail<'a>(subject_kind: &str, detail: &'a str) -> Cow<'a, str> {
    if OF_RECORDS.contains(&subject_kind) { Cow::Owned(payload(detail)) } else { Cow::Borrowed(detail) }
}

/// True where what stands at this path tells of a person, as far as its name says.
#[must_use]
pub fn is_personal(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap_or_default();
    // An id is a pseudonym, and what support and developers find things by.
    let is_id = last == "id" || last.ends_with("_id") || last.ends_with("Id");
    !is_id && !keeps_values(path)
}

/// A sentence for people, in which addresses of mail and numbers of telephones are hidden.
#[must_use]
pub fn sentence(text: &str) -> Cow<'_, str> {
    if !text.contains(['@', '+']) && !text.contains("%40") {
        return Cow::Borrowed(text);
    }
    let mut said = String::with_capacity(text.len());
    let mut is_changed = false;
    let is_edge = |c: char| {
        c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ';' | '<' | '>' | '“' | '”' | '(' | ')' | '[' | ']' | '=' | '&')
    };
    for piece in text.split_inclusive(is_edge) {
        let word = piece.trim_end_matches(is_edge);
        let is_hidden = is_mail(word) || is_phone(word);
        is_changed |= is_hidden;
        said.push_str(if is_hidden { HIDDEN } else { word });
        said.push_str(&piece[word.len()..]);
    }
    if is_changed { Cow::Owned(said) } else { Cow::Borrowed(text) }
}

/// A sentence for people that repeats this value, which tells of a person.
#[must_use]
pub fn sentence_about(text: &str, word: &str) -> String {
    sentence(&text.replace(word, HIDDEN)).into_owned()
}

fn is_mail(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ':', '!', '?']);
    // In the address of a request it is `%40`.
    word.split_once('@').or_else(|| word.split_once("%40")).is_some_and(|(who, host)| !who.is_empty() && host.contains('.'))
}

/// `+1-415-555-0100`; what is written with spaces between is found by the name of its field only.
fn is_phone(word: &str) -> bool {
    let Some(rest) = word.trim_end_matches(['.', ':', '!', '?']).strip_prefix('+') else { return false };
    let digits = rest.bytes().filter(u8::is_ascii_digit).count();
    PHONE_DIGITS.contains(&digits) && rest.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.' | b'/'))
}

fn hide(value: &mut Value) {
    match value {
        // Whether something is known is no secret, and neither is a yes or no.
        Value::Null | Value::Bool(_) => {}
        Value::Text(text) if text.is_empty() => {}
        Value::Text(_) | Value::Number(_) => *value = HIDDEN.into(),
        Value::List(values) => values.iter_mut().for_each(hide),
        Value::Map(map) => map.values_mut().for_each(hide),
    }
}

fn hide_shape(shape: &Shape, value: &mut Value) {
    let Value::Map(map) = value else { return hide(value) };
    for (name, value) in map {
        match shape.field(name) {
            Some(field) if field.personal => hide(value),
            Some(field) => match (field.is, value) {
                (Is::Group(shape), value) => hide_shape(shape, value),
                (Is::List(shape), Value::List(values)) => values.iter_mut().for_each(|value| hide_shape(shape, value)),
                (Is::Any, value) => hide_by_name(name, value),
                // What a buyer or a colleague wrote.
                (Is::Long, value) if name == "note" => hide(value),
                (_, Value::Text(text)) => hide_words(text),
                _ => {}
            },
            // The model grows; what this version does not know is looked at by its name.
            None => hide_by_name(name, value),
        }
    }
}

fn hide_by_name(path: &str, value: &mut Value) {
    match value {
        Value::Map(map) => hide_each(path, map),
        Value::List(values) => values.iter_mut().for_each(|value| hide_by_name(path, value)),
        Value::Text(_) | Value::Number(_) if is_personal(path) => hide(value),
        Value::Text(text) => hide_words(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn hide_each(path: &str, map: &mut Map) {
    // `{"name": "email", "value": …}`: what a field says of another one's name counts as its name.
    let named = ["name", "key"].into_iter().find_map(|key| map.get(key)?.as_str().map(str::to_owned));
    // `{"path": "customer.name", "before": …, "after": …}`: so we tell ourselves what an edit changed.
    if map.get("path").and_then(Value::as_str).is_some_and(is_personal) {
        map.iter_mut().filter(|(name, _)| *name != "path").for_each(|(_, value)| hide(value));
        return;
    }
    for (name, value) in map {
        let mut below = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        if name == "value"
            && let Some(named) = &named
        {
            below = format!("{below}.{named}");
        }
        hide_by_name(&below, value);
    }
}

fn hide_words(text: &mut String) {
    if let Cow::Owned(hidden) = sentence(text) {
        *text = hidden;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_shows_what_was_bought_and_not_by_whom() {
        let document = r##"{"source_id":"1042","number":"#1042","status":"open","currency":"USD","note":"ring twice",
            "customer":{"source_id":"77","name":"Ada Byron","email":"ada@example.com","phone":"+14155550100","company":"Engines Ltd","tax_ids":[{"kind":"vat","value":"GB123"}]},
            "shipping_address":{"name":"Ada Byron","line1":"1 Main St","city":"London","country":"GB"},
            "lines":[{"sku":"HAT","title":"Hat for ada@example.com","quantity":"2","unit_price":"10.00"}],
            "attributes":{"loyalty_phone":"0171 1234","colour":"red","size":42},"totals":{"grand":"20.00"}}"##;
        let seen = record(RecordKind::Order, document);
        for hidden in ["Ada", "ada@", "4155550100", "Main St", "GB123", "ring twice", "0171"] {
            assert!(!seen.contains(hidden), "{hidden}: {seen}");
        }
        for shown in ["#1042", "\"77\"", "Engines Ltd", "London", "GB\"", "HAT", "Hat for •••", "20.00", "red", "42"] {
            assert!(seen.contains(shown), "{shown}: {seen}");
        }
        assert_eq!(record(RecordKind::Order, "no JSON"), HIDDEN);
    }

    #[test]
    fn a_report_shows_how_much_differs_and_nobodys_name() {
        let mut told = serde_json::json!({"changed": 2, "fields": [
            {"field": "customer.name", "examples": [{"path": "customer.name", "before": "Ada Byron", "after": null}]},
            {"field": "lines[].sku", "examples": [{"path": "lines[0].sku", "before": "HAT", "after": "CAP"}]}],
            "causes": [{"reason": {"code": "mapping.lookup", "sentence": "ada@example.com has no entry", "path": "customer.email", "value": "ada@example.com"}}]});
        report(&mut told);
        let expected = serde_json::json!({"changed": 2, "fields": [
            {"field": "customer.name", "examples": [{"path": "customer.name", "before": HIDDEN, "after": null}]},
            {"field": "lines[].sku", "examples": [{"path": "lines[0].sku", "before": "HAT", "after": "CAP"}]}],
            "causes": [{"reason": {"code": "mapping.lookup", "sentence": format!("{HIDDEN} has no entry"), "path": "customer.email", "value": HIDDEN}}]});
        assert_eq!(told, expected);
    }

    #[test]
    fn a_report_repeats_nobodys_name_in_the_words_beside_it() {
        let reason = |path: &str, value: &str| {
            serde_json::json!({"causes": [{"records": 2, "newly": 1, "reason": {
                "code": "no_entry", "path": path, "value": value, "table": "Names", "owner": "operations",
                "sentence": format!("Order #1 was not sent to the ERP: the value \"{value}\" has no entry in the table \"Names\"."),
                "cause": format!("The value \"{value}\" has no entry in the table \"Names\"."),
                "missing": [{"table": "Names", "value": value}, {"table": "Names", "value": "Augusta King"}]}}]})
        };
        let mut told = reason("customer.name", "Ada Byron");
        report(&mut told);
        let mut expected = reason("customer.name", HIDDEN);
        expected["causes"][0]["reason"]["missing"][1]["value"] = HIDDEN.into();
        assert_eq!(told, expected);

        let mut told = reason("lines[].sku", "HAT");
        report(&mut told);
        assert_eq!(told, reason("lines[].sku", "HAT"), "what tells of nobody stays");
        // A name that is a word of ours spoils nothing that a program reads.
        let mut told = reason("customer.name", "no");
        report(&mut told);
        let seen = ["code", "path", "value"].map(|key| told["causes"][0]["reason"][key].as_str().unwrap());
        assert_eq!(seen, ["no_entry", "customer.name", HIDDEN]);
    }

    /// The table: each field of the model that tells of a person is hidden, in each kind, wherever it stands.
    #[test]
    fn every_field_that_the_model_calls_personal_is_hidden_in_every_kind() {
        fn filled(shape: &Shape, depth: usize, personal: &mut usize) -> Value {
            let mut map = Map::default();
            for field in shape.fields {
                let value = match field.is {
                    Is::Group(shape) if depth > 0 => filled(shape, depth - 1, personal),
                    Is::List(shape) if depth > 0 => Value::List(vec![filled(shape, depth - 1, personal)]),
                    Is::Group(_) | Is::List(_) | Is::Any => Value::Null,
                    _ if field.personal => {
                        *personal += 1;
                        "a-secret-of-somebody".into()
                    }
                    _ => "what everybody sees".into(),
                };
                map.insert(field.name.to_owned(), value);
            }
            Value::Map(map)
        }
        let mut all = 0;
        for kind in RecordKind::ALL {
            let mut personal = 0;
            let document = filled(crate::canonical::shape(kind), 4, &mut personal).to_json();
            let seen = record(kind, &document);
            assert!(!seen.contains("a-secret-of-somebody") && seen.contains("what everybody sees"), "{kind:?}: {seen}");
            assert_eq!(document.matches("a-secret-of-somebody").count(), personal);
            all += personal;
        }
        assert!(all > 30, "the model has them: {all}");
    }

    #[test]
    fn a_payload_is_hidden_by_the_names_of_its_fields_or_as_a_whole() {
        let body = r#"{"id":1,"order_number":1042,"email":"ada@example.com","total_price":"20.00","customer":{"id":77,"firstName":"Ada","verified":true},
            "line_items":[{"sku":"HAT","price":"10.00"}],"note_attributes":[{"name":"giftPhone","value":"0171"}],"contact_number":null,
            "properties":[{"name":"email","value":"x"},{"name":"colour","value":"red"}],"browser_ip":"192.0.2.1","landing":"mail ada@example.com"}"#;
        let seen = payload(body);
        for hidden in ["ada@", "Ada", "0171", "192.0.2.1", r#""value":"x""#] {
            assert!(!seen.contains(hidden), "{hidden}: {seen}");
        }
        for shown in ["1042", "20.00", "77", "true", "HAT", "red", "mail •••"] {
            assert!(seen.contains(shown), "{shown}: {seen}");
        }
        assert_eq!(
            payload("<order><name>Ada</name></order>"),
            "••• (31 bytes that are not JSON: shown to who may read personal data)"
        );
        assert_eq!(payload(""), "");
    }

    #[test]
    fn a_sentence_hides_addresses_and_telephones() {
        for (text, seen) in [
            ("The SKU \"HAT-XL\" has no match.", "The SKU \"HAT-XL\" has no match."),
            ("No customer \"ada@example.com\" there.", "No customer \"•••\" there."),
            ("Call +14155550100, or +1-415-555-0100.", "Call •••, or •••"),
            ("a@b is none, 2+2 neither", "a@b is none, 2+2 neither"),
            ("ada@example.com.", "•••"),
            ("https://a.example/find?email=ada%40example.com&limit=1", "https://a.example/find?email=•••&limit=1"),
        ] {
            assert_eq!(sentence(text), seen);
        }
        assert_eq!(value("customer.email", "x"), HIDDEN);
        assert_eq!((value("lines[2].sku", "HAT"), value("customer_id", "77")), ("HAT".into(), "77".into()));
    }
}
