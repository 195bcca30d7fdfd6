//! `simulator.yaml`: what a vendor does that its manifest cannot tell. Data, not code: checks of what is written, fields that the vendor
//! computes itself, how many records there are.

use std::collections::BTreeMap;

use domain::fault::FaultClass;
use domain::mapping::{LookupSet, Plan, Rule, Rules, Vars};
use domain::record::RecordKind;
use domain::value::Value;
use indexmap::IndexMap;
use serde::Deserialize;

use super::SimulatorError;
use super::refusal::{Codes, Refusal};
use super::seed::{lay_over, lay_under};
use crate::path;
use crate::template::fill;

/// The whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Extra {
    #[serde(default)]
    pub kinds: BTreeMap<RecordKind, KindExtra>,
    /// What this simulator cannot show, and why, by the beginning of the check's name: it is declared, and not simulated.
    #[serde(default)]
    pub not_simulated: IndexMap<String, String>,
    /// The vendor's usual code of a refusal, by its class: `authentication: INVALID_LOGIN`.
    #[serde(default)]
    pub codes: Codes,
}

/// What a kind of record does.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KindExtra {
    /// How many records there are at the start.
    #[serde(default)]
    pub records: Option<usize>,
    /// Paths whose values no two records share: order numbers, SKUs.
    #[serde(default)]
    pub unique: Vec<String>,
    /// A write under a key that the vendor has already changes that record.
    #[serde(default)]
    pub upsert: bool,
    /// Values by path that the vendor puts where a write has none.
    #[serde(default)]
    pub defaults: IndexMap<String, serde_json::Value>,
    /// What is refused; the first that applies decides.
    #[serde(default)]
    pub checks: Vec<Check>,
    /// Makes the stored record of the payload; absent: the payload itself.
    #[serde(default)]
    pub store: Rules,
    /// Values that the vendor works out where a write has none, before `store` and `add`: those of a list go to its values one by one.
    #[serde(default)]
    pub fill: Rules,
    /// Fields that the vendor computes of the payload and keeps beside it.
    #[serde(default)]
    pub add: Rules,
    /// What there is for a look-up before a write to find, by its name; absent: the records of its kind, or else what is asked for.
    #[serde(default)]
    pub look_ups: IndexMap<String, Vec<serde_json::Value>>,
    /// Canonical fields, with all below them, that a written record does not come back with as they were, and why: the vendor works them out
    /// itself, or has no place for them.
    #[serde(default)]
    pub not_read_back: IndexMap<String, String>,
    /// Values by path that an action puts into the record.
    #[serde(default)]
    pub actions: IndexMap<String, IndexMap<String, serde_json::Value>>,
}

/// One reason to refuse a payload. One of `when`, `known`, `numbers` and `texts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Check {
    /// An expression over the payload that is true where it is refused. Knows `$key` (the key that the request names), `$settings`, and
    /// with `each` `$root` and `$index` too.
    #[serde(default)]
    when: Option<String>,
    /// The fields that there are; `custbody_*` is all that begin so. Any other is refused.
    #[serde(default)]
    known: Vec<String>,
    /// Fields that are JSON numbers where they are there at all: a number in quotes is refused.
    #[serde(default)]
    numbers: Vec<String>,
    /// Fields that are texts where they are there at all.
    #[serde(default)]
    texts: Vec<String>,
    /// A path: the check is made of each value of this list, or of this group, and not of the payload.
    #[serde(default)]
    each: Option<String>,
    #[serde(default)]
    code: Option<String>,
    /// The field that is at fault.
    #[serde(default)]
    path: Option<String>,
    /// Knows `{{ path }}` and `{{ field }}`, its last part.
    message: String,
    #[serde(default = "validation")]
    class: FaultClass,
}

fn validation() -> FaultClass {
    FaultClass::Validation
}

/// A kind's rules, compiled.
#[derive(Debug, Clone, Default)]
pub(super) struct KindRules {
    pub extra: KindExtra,
    /// The compiled `when` of each check that has one.
    whens: Vec<Option<Plan>>,
    fill: Option<Plan>,
    store: Option<Plan>,
    add: Option<Plan>,
}

impl KindRules {
    pub fn compile(kind: RecordKind, extra: KindExtra) -> Result<Self, SimulatorError> {
        let fail = |what: String| SimulatorError::Extra(format!("kinds.{kind}: {what}"));
        let plan = |rules: &Rules| match rules.is_empty() {
            true => Ok(None),
            false => Plan::compile(rules).map(Some).map_err(|error| fail(error.to_string())),
        };
        let mut whens = Vec::new();
        for check in &extra.checks {
            let kinds = [check.when.is_some(), !check.known.is_empty(), !check.numbers.is_empty(), !check.texts.is_empty()];
            if kinds.into_iter().filter(|is_there| *is_there).count() != 1 {
                return Err(fail(format!("the check \"{}\" needs one of when, known, numbers and texts", check.message)));
            }
            whens.push(check.when.as_deref().map(|when| plan(&when_rules(when, check.each.as_deref()))).transpose()?.flatten());
        }
        let (fill, store, add) = (plan(&extra.fill)?, plan(&extra.store)?, plan(&extra.add)?);
        Ok(Self { extra, whens, fill, store, add })
    }

    /// The first reason to refuse a payload.
    pub fn refusal(&self, payload: &Value, vars: &Vars) -> Option<Refusal> {
        self.extra.checks.iter().zip(&self.whens).find_map(|(check, when)| check.refusal(when.as_ref(), payload, vars))
    }

    /// What the vendor keeps of a payload.
    pub fn stored(&self, mut payload: Value, vars: &Vars) -> Value {
        // A rule that has no answer for this payload leaves it as it is: a simulator is no validator but where it is told.
        let apply = |plan: &Option<Plan>, payload: &Value| plan.as_ref()?.apply(payload, &LookupSet::default(), vars).ok();
        if let Some(filling) = apply(&self.fill, &payload) {
            lay_under(&mut payload, filling);
        }
        let (stored, added) = (apply(&self.store, &payload), apply(&self.add, &payload));
        let mut stored = stored.unwrap_or(payload);
        if let Some(added) = added {
            lay_over(&mut stored, added);
        }
        for (at, value) in &self.extra.defaults {
            if path::first(&stored, at).is_none_or(Value::is_null) {
                path::put(&mut stored, at, Value::from(value));
            }
        }
        stored
    }
}

/// `hit` is true where the expression is; with `each` a list of such.
fn when_rules(when: &str, each: Option<&str>) -> Rules {
    let rule = |to: &str| Rule { to: to.into(), ..Rule::default() };
    let hit = Rule { expr: Some(format!("({when}) ? true : false")), ..rule("hit") };
    Rules(vec![match each {
        None => hit,
        Some(each) => Rule { each: Some(each.to_owned()), rules: Some(vec![hit]), ..rule("hits") },
    }])
}

impl Check {
    fn refusal(&self, when: Option<&Plan>, payload: &Value, vars: &Vars) -> Option<Refusal> {
        if let Some(plan) = when {
            let index = match plan.apply(payload, &LookupSet::default(), vars) {
                Ok(answer) => match answer.get("hits") {
                    Some(hits) => Some(hits.as_list()?.iter().position(|hit| hit.get("hit") == Some(&Value::Bool(true)))?),
                    None if answer.get("hit") == Some(&Value::Bool(true)) => None,
                    None => return None,
                },
                // What the check cannot even be asked of, such as a text where it compares numbers, is refused as well.
                Err(_) => None,
            };
            return Some(self.refuse(&self.prefix(index), self.path.as_deref().unwrap_or_default()));
        }
        let places: Vec<(String, &Value)> = match &self.each {
            None => vec![(String::new(), payload)],
            Some(each) => match path::first(payload, each) {
                Some(Value::List(list)) => list.iter().enumerate().map(|(at, value)| (self.prefix(Some(at)), value)).collect(),
                Some(Value::Null) | None => return None,
                Some(value) => vec![(format!("{each}."), value)],
            },
        };
        places.into_iter().find_map(|(prefix, value)| {
            let map = value.as_map();
            let is = |name: &str, fits: fn(&Value) -> bool| {
                path::first(value, name).is_none_or(|value| value.is_null() || fits(value))
            };
            let wrong = if self.known.is_empty() {
                let numbers = self.numbers.iter().filter(|name| !is(name, |value| matches!(value, Value::Number(_))));
                numbers.chain(self.texts.iter().filter(|name| !is(name, |value| matches!(value, Value::Text(_))))).next()
            } else {
                map.into_iter().flat_map(|map| map.keys()).find(|name| !self.knows(name))
            };
            wrong.map(|name| self.refuse(&prefix, name))
        })
    }

    fn knows(&self, name: &str) -> bool {
        self.known.iter().any(|known| known.strip_suffix('*').map_or(known == name, |start| name.starts_with(start)))
    }

    fn prefix(&self, index: Option<usize>) -> String {
        match (&self.each, index) {
            (Some(each), Some(index)) => format!("{each}[{index}]."),
            _ => String::new(),
        }
    }

    fn refuse(&self, prefix: &str, field: &str) -> Refusal {
        let at = format!("{prefix}{field}");
        let find = |name: &str| match name {
            "path" => Some(at.as_str().into()),
            "field" => Some(field.into()),
            _ => None,
        };
        let message = fill(&self.message, false, find).unwrap_or_else(|_| self.message.clone());
        let refusal = Refusal::new(self.class, &message);
        Refusal { code: self.code.clone(), path: (!at.is_empty()).then_some(at), ..refusal }
    }
}
