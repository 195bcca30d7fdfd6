//! A flow as a file: what one version says, with names in the place of ids, so that the same file fits every environment. A connection is
//! named and never described, so no secret can stand in it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{FlowSpec, Trigger};
use crate::delivery::Policy;
use crate::mapping::Rules;
use crate::record::RecordKind;

/// The one that this build reads and writes.
pub const FORMAT: u32 = 1;
const NAME_CHARS_MAX: usize = 200;
const NOTE_CHARS_MAX: usize = 2_000;

/// A flow as it stands in a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowFile {
    /// The version of this form: 1.
    pub format: u32,
    /// Which flow it is: unique in a tenant.
    pub name: String,
    pub kind: RecordKind,
    /// The name of the connection that records come from.
    pub source: String,
    /// The name of the connection that they go to.
    pub destination: String,
    /// The connectors that those must be of; without them any will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_connector: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_connector: Option<String>,
    /// What a draft must pass; without it the gates stay as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gates: Option<Gates>,
    /// What the version is for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub source_mapping: Rules,
    #[serde(default, skip_serializing_if = "Rules::is_empty")]
    pub mapping: Rules,
    #[serde(default, skip_serializing_if = "is_default")]
    pub policy: Policy,
    #[serde(default, skip_serializing_if = "is_default")]
    pub trigger: Trigger,
}

/// What a draft must pass before it is published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gates {
    pub needs_approval: bool,
    pub needs_replay: bool,
}

/// Why a file is no flow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    #[error("it is of format {0}, and this program reads format {FORMAT}: take the program that wrote it, or export it anew")]
    Format(u32),
    #[error("`{field}` has 1 to {max} characters")]
    Length { field: &'static str, max: usize },
    #[error("a note has at most {NOTE_CHARS_MAX} characters")]
    Note,
    #[error("it uses the variable ${{{0}}}, which is not given: add --var {0}=…")]
    NoVariable(String),
    #[error("with its variables it is no flow any more: {0}")]
    Filled(String),
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl FlowFile {
    /// A flow that says this between connections of these names.
    #[must_use]
    pub fn new(name: &str, kind: RecordKind, source: &str, destination: &str, spec: FlowSpec) -> Self {
        let FlowSpec { filter, source_mapping, mapping, policy, trigger } = spec;
        Self {
            format: FORMAT,
            name: name.to_owned(),
            kind,
            source: source.to_owned(),
            destination: destination.to_owned(),
            source_connector: None,
            destination_connector: None,
            gates: None,
            note: String::new(),
            filter,
            source_mapping,
            mapping,
            policy,
            trigger,
        }
    }

    /// What one version of it says.
    #[must_use]
    pub fn spec(&self) -> FlowSpec {
        FlowSpec {
            filter: self.filter.clone(),
            source_mapping: self.source_mapping.clone(),
            mapping: self.mapping.clone(),
            policy: self.policy.clone(),
            trigger: self.trigger.clone(),
        }
    }

    /// # Errors
    /// The first thing that no flow has.
    pub fn check(&self) -> Result<(), FileError> {
        if self.format != FORMAT {
            return Err(FileError::Format(self.format));
        }
        for (field, text) in [("name", &self.name), ("source", &self.source), ("destination", &self.destination)] {
            if !(1..=NAME_CHARS_MAX).contains(&text.chars().count()) {
                return Err(FileError::Length { field, max: NAME_CHARS_MAX });
            }
        }
        if self.note.chars().count() > NOTE_CHARS_MAX { Err(FileError::Note) } else { Ok(()) }
    }

    /// With the value of each `${variable}` in its place, which may stand in any text; `$${` is what a text with `${` is written as. Says
    /// which variables it uses.
    ///
    /// # Errors
    /// The first variable that is not given.
    pub fn filled(&self, variables: &BTreeMap<String, String>) -> Result<(Self, BTreeSet<String>), FileError> {
        let mut used = BTreeSet::new();
        let filled = self.with_texts(&mut |text| fill(text, variables, &mut used))?;
        Ok((filled, used))
    }

    /// As it is written: what looks like a variable is none.
    #[must_use]
    pub fn escaped(&self) -> Self {
        self.with_texts(&mut |text| Ok(text.replace("${", "$${"))).unwrap_or_else(|_| self.clone())
    }

    fn with_texts(&self, change: &mut dyn FnMut(&str) -> Result<String, FileError>) -> Result<Self, FileError> {
        let mut json = serde_json::to_value(self).map_err(|error| FileError::Filled(error.to_string()))?;
        each_text(&mut json, change)?;
        serde_json::from_value(json).map_err(|error| FileError::Filled(error.to_string()))
    }
}

fn each_text(json: &mut Value, change: &mut dyn FnMut(&str) -> Result<String, FileError>) -> Result<(), FileError> {
    match json {
        Value::String(text) if text.contains("${") => {
            *text = change(text)?;
            Ok(())
        }
        Value::Array(list) => list.iter_mut().try_for_each(|value| each_text(value, change)),
        Value::Object(map) => map.values_mut().try_for_each(|value| each_text(value, change)),
        _ => Ok(()),
    }
}

fn fill(text: &str, variables: &BTreeMap<String, String>, used: &mut BTreeSet<String>) -> Result<String, FileError> {
    let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        if let Some(before) = before.strip_suffix('$') {
            filled.extend([before, "${"]);
            rest = after;
            continue;
        }
        let Some((name, behind)) = after.split_once('}').filter(|(name, _)| is_name(name)) else {
            filled.extend([before, "${"]);
            rest = after;
            continue;
        };
        let value = variables.get(name).ok_or_else(|| FileError::NoVariable(name.to_owned()))?;
        used.insert(name.to_owned());
        filled.extend([before, value]);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn is_name(name: &str) -> bool {
    (1..=100).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(json: Value) -> FlowFile {
        let mut all = json!({"format": 1, "name": "orders", "kind": "order", "source": "shop", "destination": "erp"});
        for (field, value) in json.as_object().unwrap() {
            all[field] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn variables(given: &[(&str, &str)]) -> BTreeMap<String, String> {
        given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_version_is_the_same_after_a_file() {
        let spec: FlowSpec = serde_json::from_value(json!({
            "filter": "totals.grand > 0", "mapping": [{"to": "memo", "default": "x"}], "source_mapping": [{"to": "po_number", "from": "note"}],
            "policy": {"attempts_max": 3}, "trigger": {"schedule": {"at": ["02:00"], "zone": "Europe/Berlin", "days": ["Mon"]}},
        }))
        .unwrap();
        let file = FlowFile::new("orders", RecordKind::Order, "shop", "erp", spec.clone());
        assert_eq!(file.check(), Ok(()));
        let read: FlowFile = serde_json::from_value(serde_json::to_value(&file).unwrap()).unwrap();
        assert_eq!((read.spec(), &read), (spec, &file));
        let plain = FlowFile::new("orders", RecordKind::Order, "shop", "erp", FlowSpec::default());
        let fields = serde_json::to_value(&plain).unwrap();
        assert_eq!(fields, json!({"format": 1, "name": "orders", "kind": "order", "source": "shop", "destination": "erp"}));
    }

    #[test]
    fn a_variable_stands_in_any_text_and_one_that_is_not_given_is_told() {
        let written = file(json!({"source": "shop ${region}", "filter": "customer.email != '${test}'",
            "mapping": [{"to": "memo", "default": "${region}-$${region}-${ no }"}, {"to": "n", "default": 7}]}));
        let (filled, used) = written.filled(&variables(&[("region", "EU"), ("test", "a@b.c"), ("other", "x")])).unwrap();
        assert_eq!(filled.source, "shop EU");
        assert_eq!(filled.filter.as_deref(), Some("customer.email != 'a@b.c'"));
        assert_eq!(filled.mapping.0[0].default, Some(json!("EU-${region}-${ no }")));
        assert_eq!(used.into_iter().collect::<Vec<_>>(), ["region", "test"]);
        let error = written.filled(&variables(&[("region", "EU")])).unwrap_err().to_string();
        assert_eq!(error, "it uses the variable ${test}, which is not given: add --var test=…");
    }

    #[test]
    fn what_looks_like_a_variable_comes_back_as_it_was() {
        for text in ["${a}", "$${a}", "$$${a}", "a $ {b} ${", "${${a}}"] {
            let said = file(json!({"note": text}));
            let (read, used) = said.escaped().filled(&BTreeMap::new()).unwrap();
            assert_eq!((read, used.len()), (said, 0), "{text}");
        }
    }

    #[test]
    fn what_no_flow_has_is_said() {
        let cases = [
            (
                json!({"format": 2}),
                "it is of format 2, and this program reads format 1: take the program that wrote it, or export it anew",
            ),
            (json!({"name": ""}), "`name` has 1 to 200 characters"),
            (json!({"destination": "x".repeat(201)}), "`destination` has 1 to 200 characters"),
            (json!({"note": "x".repeat(2_001)}), "a note has at most 2000 characters"),
        ];
        for (json, sentence) in cases {
            assert_eq!(file(json).check().unwrap_err().to_string(), sentence);
        }
    }
}
