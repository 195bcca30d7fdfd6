//! A template read backwards: what a request carries is found by matching it against the template that made it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use domain::value::{Map, Value};
use percent_encoding::percent_decode_str;

use crate::path;
use crate::template::{fill, keeps_slashes, number_placeholder, placeholder};

/// Names that a call of their operation always has: a request without one is of another operation.
const REQUIRED: [&str; 8] =
    ["external_key", "source_id", "external_id", "receipt_version", "parent.id", "hook_url", "topic", "subscription_id"];

/// What a request carries, by the names of the template.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Found {
    pub names: BTreeMap<String, String>,
    pub payload: Option<Value>,
    /// The body, as it is, is the payload.
    pub is_body: bool,
    pub payloads: Option<Value>,
}

impl Found {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.names.get(name).map(String::as_str)
    }

    /// What was looked up before: a record may be known by nothing else.
    pub fn looked_up(&self) -> Option<&str> {
        self.names.iter().find(|(name, _)| name.starts_with("found.")).map(|(_, value)| value.as_str())
    }

    /// False where the same name has another value already.
    fn keep(&mut self, name: &str, value: &str) -> bool {
        if let Some(at) = name.strip_prefix("payload.") {
            path::put(self.payload.get_or_insert(Value::Null), at, Value::Text(value.to_owned()));
            return true;
        }
        self.names.entry(name.to_owned()).or_insert_with(|| value.to_owned()) == value
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Name { name: String, backslash: bool, double: bool, slashes: bool },
}

/// A template of one text, ready to be read backwards.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pattern {
    parts: Vec<Part>,
    encoded: bool,
}

impl Pattern {
    /// `known` are the names whose values are the same for all calls; `encoded` says whether values stand in an address.
    pub fn new<'k>(template: &str, encoded: bool, known: &impl Fn(&str) -> Option<Cow<'k, str>>) -> Self {
        let mut parts: Vec<Part> = Vec::new();
        let text = |parts: &mut Vec<Part>, more: &str| match parts.last_mut() {
            Some(Part::Text(before)) => before.push_str(more),
            _ if more.is_empty() => {}
            _ => parts.push(Part::Text(more.to_owned())),
        };
        let mut rest = template;
        while let Some((before, after)) = rest.split_once("{{") {
            text(&mut parts, before);
            let Some((inner, after)) = after.split_once("}}") else { break };
            let mut words = inner.split('|').map(str::trim);
            let name = words.next().unwrap_or_default();
            match known(name).and_then(|_| fill(&format!("{{{{{inner}}}}}"), encoded, known).ok()) {
                Some(filled) => text(&mut parts, &filled),
                None => {
                    let filters: Vec<&str> = words.collect();
                    let (backslash, double) = (filters.contains(&"backslash"), filters.contains(&"double"));
                    parts.push(Part::Name { name: name.to_owned(), backslash, double, slashes: keeps_slashes(&filters) });
                }
            }
            rest = after;
        }
        text(&mut parts, rest);
        Self { parts, encoded }
    }

    pub fn is_literal(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// True where a call of this operation always has all that it names.
    pub fn is_required(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Name { name, .. } if REQUIRED.contains(&name.as_str())))
    }

    /// Reads a text; false where the template cannot have made it.
    pub fn read(&self, text: &str, found: &mut Found) -> bool {
        let mut trial = found.clone();
        let fits = self.read_from(0, text, &mut trial);
        if fits {
            *found = trial;
        }
        fits
    }

    fn read_from(&self, at: usize, rest: &str, found: &mut Found) -> bool {
        match (self.parts.get(at), self.parts.get(at + 1)) {
            (None, _) => rest.is_empty(),
            (Some(Part::Text(literal)), _) => {
                rest.strip_prefix(literal.as_str()).is_some_and(|after| self.read_from(at + 1, after, found))
            }
            (Some(name), None) => self.keep(name, rest, found),
            // What stands between two names may stand in the first one too: of all places, the one that fits what is known.
            (Some(name), Some(Part::Text(next))) => rest.match_indices(next.as_str()).any(|(end, _)| {
                let mut trial = found.clone();
                let fits = self.keep(name, &rest[..end], &mut trial) && self.read_from(at + 1, &rest[end..], &mut trial);
                if fits {
                    *found = trial;
                }
                fits
            }),
            // Two names without anything between cannot be told apart.
            (Some(Part::Name { .. }), Some(Part::Name { .. })) => false,
        }
    }

    /// Keeps what stands in the place of a name; false where the template cannot have put it there.
    fn keep(&self, part: &Part, raw: &str, found: &mut Found) -> bool {
        let Part::Name { name, backslash, double, slashes } = part else { return false };
        let value = if self.encoded {
            if raw.is_empty() || (raw.contains('/') && !slashes) {
                return false;
            }
            percent_decode_str(raw).decode_utf8_lossy().into_owned()
        } else {
            raw.to_owned()
        };
        let value = if *backslash { value.replace("\\'", "'").replace("\\\\", "\\") } else { value };
        let value = if *double { value.replace("''", "'") } else { value };
        found.keep(name, &value)
    }
}

/// How well a request fits: `None` is not at all.
pub(super) type Fit = Option<i32>;

/// What one text of a request says for or against an operation.
pub(super) fn fit(pattern: &Pattern, text: Option<&str>, found: &mut Found) -> Fit {
    match text {
        Some(text) => {
            // What did not fit is not kept: half a match would leave wrong values.
            let mut trial = found.clone();
            if pattern.read(text, &mut trial) {
                *found = trial;
                Some(2)
            } else if pattern.is_literal() {
                Some(-3)
            } else {
                None
            }
        }
        None if pattern.is_required() => None,
        None if pattern.is_literal() => Some(-1),
        None => Some(0),
    }
}

/// The template of a tree, ready to be read backwards.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    /// `{{ payload.lines }}`, alone: takes the value as it is.
    Payload(String),
    Payloads,
    Text(Pattern),
    Plain(Value),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

impl Tree {
    pub fn new<'k>(json: &serde_json::Value, known: &impl Fn(&str) -> Option<Cow<'k, str>>) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::String(text) => match placeholder(text)
                .or_else(|| number_placeholder(text))
                .map(|name| (name, name.split_once('.').unwrap_or((name, ""))))
            {
                Some((_, ("payload", at))) => Self::Payload(at.to_owned()),
                Some(("payloads", _)) => Self::Payloads,
                _ => Self::Text(Pattern::new(text, false, known)),
            },
            Json::Array(list) => Self::List(list.iter().map(|json| Self::new(json, known)).collect()),
            Json::Object(map) => Self::Map(map.iter().map(|(name, json)| (name.clone(), Self::new(json, known))).collect()),
            plain => Self::Plain(Value::from(plain)),
        }
    }

    /// True where a call of this operation always has something of it.
    fn is_required(&self) -> bool {
        match self {
            Self::Text(pattern) => pattern.is_required(),
            Self::Payloads => true,
            Self::List(list) => list.iter().any(Self::is_required),
            Self::Map(map) => map.iter().any(|(_, tree)| tree.is_required()),
            Self::Payload(_) | Self::Plain(_) => false,
        }
    }

    pub fn fit(&self, value: Option<&Value>, found: &mut Found) -> Fit {
        let Some(value) = value else { return (!self.is_required()).then_some(0) };
        match self {
            Self::Payload(at) if at.is_empty() => {
                found.payload = Some(value.clone());
                Some(1)
            }
            Self::Payload(at) => {
                path::put(found.payload.get_or_insert(Value::Map(Map::new())), at, value.clone());
                // What any value fits says less than a word that is the same.
                Some(1)
            }
            Self::Payloads => {
                found.payloads = Some(value.clone());
                value.as_list().map(|_| 3)
            }
            Self::Text(pattern) => fit(pattern, value.to_text().as_deref(), found),
            // A page's size and number are numbers that change from call to call.
            Self::Plain(Value::Number(number)) => Some(2 * i32::from(value.to_text().as_deref() == Some(number.as_str()))),
            Self::Plain(plain) => Some(if plain == value || plain.to_text() == value.to_text() { 2 } else { -3 }),
            Self::List(trees) => {
                let list = value.as_list()?;
                trees.iter().enumerate().try_fold(0, |sum, (at, tree)| Some(sum + tree.fit(list.get(at), found)?))
            }
            Self::Map(trees) => {
                let map = value.as_map()?;
                // What the template does not have is a page's cursor, or says that it is another's.
                let foreign = map.keys().filter(|key| trees.iter().all(|(name, _)| name != *key)).count();
                let start = -i32::try_from(foreign).unwrap_or(i32::MAX);
                trees.iter().try_fold(start, |sum, (name, tree)| Some(sum + tree.fit(map.get(name), found)?))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(name: &str) -> Option<Cow<'static, str>> {
        (name == "settings.account").then_some(Cow::Borrowed("1_SB"))
    }

    #[test]
    fn what_a_template_made_is_read_back() {
        let cases = [
            ("/o/eid:{{ external_key }}", true, "/o/eid:a%20b%2Fc", Some(("external_key", "a b/c"))),
            ("/{{ settings.account | host }}/{{ source_id }}.json", true, "/1-sb/7.json", Some(("source_id", "7"))),
            ("name = '{{ external_key | backslash }}'", false, r"name = 'O\'Neil'", Some(("external_key", "O'Neil"))),
            ("a > '{{ since | double }}' order by x", false, "a > 'it''s' order by x", Some(("since", "it's"))),
            ("/o/{{ source_id }}", true, "/o/1/lines", None),
            ("/o/{{ source_id | path }}", true, "/o/in/a%20b", Some(("source_id", "in/a b"))),
            ("/o/{{ source_id }}", true, "/p/1", None),
            ("/o/{{ source_id }}", true, "/o/", None),
        ];
        for (template, encoded, text, expected) in cases {
            let mut found = Found::default();
            let fits = Pattern::new(template, encoded, &known).read(text, &mut found);
            let got = fits.then(|| found.names.iter().next().map(|(name, value)| (name.as_str(), value.as_str()))).flatten();
            assert_eq!(got, expected, "{template}");
        }
    }

    #[test]
    fn a_payload_is_taken_out_of_the_tree_that_it_was_put_into() {
        let template = serde_json::json!({"order": "{{ payload }}", "key": "{{ external_key }}", "test": false});
        let body = Value::from(&serde_json::json!({"order": {"lines": [1]}, "key": "k", "test": false}));
        let mut found = Found::default();
        assert!(Tree::new(&template, &known).fit(Some(&body), &mut found).is_some());
        assert_eq!(found.payload.unwrap().to_json(), r#"{"lines":[1]}"#);
        assert_eq!(found.names["external_key"], "k");
        let other = Value::from(&serde_json::json!({"order": {}}));
        assert_eq!(Tree::new(&template, &known).fit(Some(&other), &mut Found::default()), None);
    }
}
