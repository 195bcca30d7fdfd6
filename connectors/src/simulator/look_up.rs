//! What is looked up before a write: among the vendor's own records, among those that `simulator.yaml` names, or else one is made up.

use chrono::{DateTime, Utc};
use domain::fault::FaultClass;
use domain::record::RecordKind;
use domain::value::Value;

use super::pattern::Found;
use super::refusal::{Refusal, concrete};
use super::seed::{empty, hash};
use super::write::Served;
use super::{SimAnswer, Simulator, render};
use crate::manifest::LookUp;
use crate::path;
use crate::template::fill;

impl Simulator<'_> {
    fn look_up_rule(&self, kind: RecordKind, name: &str) -> Option<&LookUp> {
        let resource = self.connector.manifest.resources.get(&kind)?;
        let writes = resource.write.iter().chain(&resource.update).flat_map(|write| &write.before);
        writes.chain(resource.actions.values().flat_map(|action| &action.before)).find(|look_up| look_up.name == name)
    }

    pub(super) fn look_up(&mut self, kind: RecordKind, name: &str, found: &Found, now: DateTime<Utc>) -> Served {
        let gone = || Refusal::new(FaultClass::NotFound, "There is nothing to look up here.");
        let rule = self.look_up_rule(kind, name).ok_or_else(gone)?.clone();
        let asked = texts(found);
        let carries = |value: &Value| asked.iter().all(|text| holds(value, text, rule.ignore_case));
        let named = self.rules_of(kind).extra.look_ups.get(name).cloned();
        let records: Vec<Value> = match (named, rule.kind) {
            (Some(named), _) => named.iter().map(Value::from).filter(|value| asked.is_empty() || carries(value)).collect(),
            (None, Some(other)) => {
                let rows = &self.table(other).rows;
                let seen = rows.iter().filter_map(|row| row.seen(now.timestamp_millis()).map(|(value, _)| value));
                seen.filter(|value| carries(value)).cloned().collect()
            }
            (None, None) => vec![made_up(&rule, found, &asked, self.seed)],
        };
        let (list, rest) = place(&rule);
        let Some(first) = records.first() else {
            if let Some(said) = rule.absent.first() {
                return Err(Refusal { code: said.code.first().cloned(), status: Some(said.status), ..gone() });
            }
            let mut document = empty();
            render::place(&mut document, list.as_deref(), vec![]);
            return Ok(SimAnswer::json(200, &document));
        };
        let mut document = empty();
        match list {
            Some(list) => render::place(&mut document, Some(&list), records),
            // The answer is about one thing, and what is around its value is its own business.
            None => {
                let value = path::first(first, &rest).or_else(|| path::first(first, last(&rest))).cloned();
                document = first.clone();
                path::put(&mut document, &concrete(&rest), value.unwrap_or_else(|| first.clone()));
            }
        }
        Ok(SimAnswer::json(200, &document))
    }
}

/// The list that the answer has, and the path of the value in each of it; no list where the answer is about one thing.
fn place(rule: &LookUp) -> (Option<String>, String) {
    if let Some(list) = &rule.among {
        return (Some(list.clone()), rule.value.clone());
    }
    let by_index = rule.value.split_once("[0].").map(|(list, rest)| (list.to_owned(), rest.to_owned()));
    match by_index.or_else(|| rule.value.split_once('.').map(|(list, rest)| (list.to_owned(), rest.to_owned()))) {
        // An answer that says "not there" by its status is about one thing.
        Some((list, rest)) if rule.absent.is_empty() => (Some(list), rest),
        _ => (None, rule.value.clone()),
    }
}

fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// A thing that is what was asked for; the same each time that the same is asked.
fn made_up(rule: &LookUp, found: &Found, asked: &[String], seed: u64) -> Value {
    let (_, rest) = place(rule);
    let mut record = empty();
    let words: Vec<&str> = std::iter::once(rule.name.as_str()).chain(asked.iter().map(String::as_str)).collect();
    let id = i64::try_from(1 + hash(seed, &words) % 1_000_000).unwrap_or(1);
    path::put(&mut record, &concrete(&rest), id.into());
    if let (Some(key), Some(equals)) = (&rule.key, &rule.equals) {
        let find = |name: &str| match name.strip_prefix("payload.") {
            Some(at) => found.payload.as_ref().and_then(|payload| path::first(payload, at)).and_then(Value::to_text),
            None => found.get(name).map(Into::into),
        };
        if let Ok(text) = fill(equals, false, find) {
            path::put(&mut record, &concrete(key), text.into());
        }
    }
    record
}

/// All that a request was asked with.
fn texts(found: &Found) -> Vec<String> {
    fn of(value: &Value, out: &mut Vec<String>) {
        match value {
            Value::List(list) => list.iter().for_each(|value| of(value, out)),
            Value::Map(map) => map.values().for_each(|value| of(value, out)),
            plain => out.extend(plain.to_text().map(|text| text.into_owned())),
        }
    }
    let mut out: Vec<String> = found.names.values().cloned().collect();
    if let Some(payload) = &found.payload {
        of(payload, &mut out);
    }
    out
}

fn holds(value: &Value, text: &str, ignore_case: bool) -> bool {
    match value {
        Value::List(list) => list.iter().any(|value| holds(value, text, ignore_case)),
        Value::Map(map) => map.values().any(|value| holds(value, text, ignore_case)),
        plain => plain.to_text().is_some_and(|own| own == text || ignore_case && own.to_lowercase() == text.to_lowercase()),
    }
}
