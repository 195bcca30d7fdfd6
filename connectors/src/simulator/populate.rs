//! The records that are there at the start, made of the folder's samples.

use std::collections::BTreeMap;

use domain::record::RecordKind;
use domain::value::{Limits, Value};

use super::seed::{IdForm, hash, take, with_id};
use super::store::{Shape, Table};
use super::{Simulator, shape};
use crate::connector::Connector;
use crate::manifest::{Parent, Request};
use crate::path;

/// When the first record changed, ms since 1970: 2026-01-01.
const START_MS: i64 = 1_767_225_600_000;
/// The most that lies between two changes, s.
const STEP_S_MAX: u64 = 3_600;
/// So many records belong to one parent where nothing else says whose they are.
const PER_PARENT: usize = 3;

/// The samples of each kind, as the vendor writes them.
pub(super) fn samples(connector: &Connector) -> BTreeMap<RecordKind, Vec<Value>> {
    let of_kind = |kind: RecordKind| {
        let parse = |(_, text): (&str, &str)| Value::parse(text.as_bytes(), &Limits::DEFAULT).ok();
        connector.samples(kind).filter_map(parse).filter(|value| value.as_map().is_some()).collect::<Vec<_>>()
    };
    RecordKind::ALL.map(|kind| (kind, of_kind(kind))).into_iter().filter(|(_, samples)| !samples.is_empty()).collect()
}

impl Simulator<'_> {
    pub(super) fn populate(&mut self) {
        let mut kinds: Vec<RecordKind> = self.samples.keys().copied().collect();
        // Parents before those that belong to them.
        kinds.sort_by_key(|kind| self.parent_rule(*kind).is_some());
        for kind in kinds {
            let records = self.rules.get(&kind).and_then(|rules| rules.extra.records).unwrap_or(self.records);
            self.seed_records(kind, records);
        }
    }

    fn parent_rule(&self, kind: RecordKind) -> Option<&Parent> {
        self.connector.manifest.resources.get(&kind)?.read.as_ref()?.parent.as_deref()
    }

    /// The kind of record that records of this kind belong to, where their parents are read from its list.
    pub(super) fn parent_kind(&self, kind: RecordKind) -> Option<RecordKind> {
        let parent = &self.parent_rule(kind)?.read.request;
        let same =
            |one: &Request| one.method == parent.method && one.path == parent.path && one.body.is_none() && parent.body.is_none();
        let mut resources = self.connector.manifest.resources.iter();
        let (other, _) = resources
            .find(|(other, resource)| **other != kind && resource.read.as_ref().is_some_and(|read| same(&read.request)))?;
        self.store.tables.get(other).filter(|table| !table.rows.is_empty()).map(|_| *other)
    }

    /// Adds so many records of a kind, made of its samples; none where it has no sample.
    pub fn seed_records(&mut self, kind: RecordKind, count: usize) -> usize {
        let Some(samples) = self.samples.get(&kind).cloned() else { return 0 };
        let parents = self.parents(kind, count);
        let read = self.connector.manifest.resources.get(&kind).and_then(|resource| resource.read.as_ref());
        let mut apart: Vec<String> = super::includes(self.connector, kind).map(|include| include.into.clone()).collect();
        apart.sort_unstable();
        apart.dedup();
        let into = read.and_then(|read| read.parent.as_ref()).and_then(|parent| parent.into.clone());
        let unique = self.rules.get(&kind).map(|rules| rules.extra.unique.clone()).unwrap_or_default();
        let shape = shape(self.connector, kind);
        let before = self.table(kind).rows.len();
        let mut at_ms = self.table(kind).rows.last().map_or(START_MS, |row| row.changed.max(START_MS));
        for n in 0..count {
            let number = (before + n).to_string();
            let sample = &samples[(before + n) % samples.len()];
            let id = self.table(kind).next_id();
            let mut record = with_id(sample, &shape.id, &id);
            for at in &unique {
                let form = IdForm::new(path::first(sample, at), hash(self.seed, &["unique", at]));
                path::put(&mut record, at, form.make((before + n) as u64));
            }
            let id_text = id.to_text().unwrap_or_default().into_owned();
            for into in &apart {
                let kept = match take(&mut record, into) {
                    Some(Value::List(list)) => list,
                    Some(Value::Null) | None => vec![],
                    Some(value) => vec![value],
                };
                self.store.apart.entry((kind, into.clone())).or_default().insert(id_text.clone(), kept);
            }
            if let Some(into) = &into {
                take(&mut record, into);
            }
            at_ms += 1_000 * i64::try_from(1 + hash(self.seed, &[kind.as_str(), &number]) % STEP_S_MAX).unwrap_or(1);
            let table = self.table(kind);
            let at = table.insert(id, record, None, at_ms, 0);
            table.rows[at].creates = 0;
            table.rows[at].parent = (!parents.is_empty()).then(|| parents[(before + n) % parents.len()].clone());
        }
        count
    }

    /// The ids of those that records of this kind belong to: another kind's where its list is the same, else some of their own.
    fn parents(&mut self, kind: RecordKind, count: usize) -> Vec<String> {
        let Some(rule) = self.parent_rule(kind).cloned() else { return vec![] };
        if let Some(table) = self.parent_kind(kind).and_then(|other| self.store.tables.get(&other)) {
            let id =
                |row: &super::store::Row| path::first(&row.value, &rule.id).and_then(Value::to_text).map(|id| id.into_owned());
            return table.rows.iter().filter_map(id).collect();
        }
        let since = rule.read.since.as_ref();
        let shape = Shape {
            id: rule.id.clone(),
            updated_at: since.and_then(|since| since.field.clone()),
            version: None,
            time: since.map(|since| since.record_format.clone().unwrap_or_else(|| since.format.clone())).unwrap_or_default(),
        };
        let like = rule.into.as_deref().and_then(|into| path::first(self.samples.get(&kind)?.first()?, into)).cloned();
        let form = IdForm::new(like.as_ref(), hash(self.seed, &["parent", kind.as_str()]));
        let seed = self.seed;
        let table = self.store.parents.entry(kind).or_insert_with(|| Table::new(shape, None, seed));
        let wanted = count.div_ceil(PER_PARENT).max(1);
        for n in table.rows.len()..wanted {
            let at = START_MS + i64::try_from(n).unwrap_or_default() * 60_000;
            let mut parent = super::seed::empty();
            // What the connector would leave out belongs to nobody here.
            if let Some(filter) = &rule.read.filter {
                super::derive::make(&mut parent, filter, true);
            }
            table.insert(form.make(n as u64), parent, None, at, 0);
        }
        table.rows.iter().map(super::store::Row::id_text).collect()
    }

    /// Makes a record like the samples, on which no action was done yet. Returns its id; none where there is no sample.
    pub fn put_new(&mut self, kind: RecordKind, now: chrono::DateTime<chrono::Utc>) -> Option<String> {
        let mut value = self.samples.get(&kind)?.first()?.clone();
        let at = shape(self.connector, kind).id;
        path::put(&mut value, &at, Value::Null);
        let resource = self.connector.manifest.resources.get(&kind)?;
        for name in resource.actions.keys() {
            value = self.mark(kind, value, name, false);
        }
        let id = self.put_record(kind, value, now);
        let table = self.table(kind);
        let row = table.by_id(&id)?;
        table.rows[row].creates = 1;
        Some(id)
    }

    /// Puts a record there, as if somebody at the vendor had made it now; its id where it brings one, else a new one. Returns the id.
    pub fn put_record(&mut self, kind: RecordKind, value: Value, now: chrono::DateTime<chrono::Utc>) -> String {
        let table = self.table(kind);
        let own = path::first(&value, &table.shape.id).filter(|id| id.to_text().is_some_and(|id| !id.is_empty())).cloned();
        let known = own.as_ref().and_then(Value::to_text).and_then(|id| table.by_id(&id));
        let now_ms = now.timestamp_millis();
        let at = match known {
            Some(at) => {
                table.replace(at, value, now_ms, now_ms);
                table.rows[at].updates -= 1;
                at
            }
            None => {
                let id = own.unwrap_or_else(|| table.next_id());
                let at = table.insert(id, value, None, now_ms, 0);
                table.rows[at].creates = 0;
                at
            }
        };
        table.rows[at].id_text()
    }

    /// Takes a record away, as if somebody at the vendor had deleted it; false where it is not there.
    pub fn remove(&mut self, kind: RecordKind, id: &str) -> bool {
        let table = self.table(kind);
        let at = table.by_id(id);
        at.inspect(|at| table.remove(*at)).is_some()
    }
}
