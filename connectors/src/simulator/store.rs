//! What the simulated vendor has: rows of each kind, in the order they came, with when they may be seen.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use domain::value::Value;

use super::seed::IdForm;
use crate::manifest::TimeFormat;
use crate::path;

/// A kind holds no more; a test that needs more tests something else.
pub(super) const ROWS_MAX: usize = 1_000_000;

/// One stored record.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// In the order of creation.
    pub seq: u64,
    pub id: Value,
    /// Our key of the record, where the request that wrote it named one.
    pub key: Option<String>,
    pub revision: Option<String>,
    pub parent: Option<String>,
    pub value: Value,
    /// Milliseconds since 1970, or a number that grows.
    pub changed: i64,
    /// Until when the vendor does not show the last write, ms since 1970, and what it shows until then.
    pub settles_at: i64,
    pub before: Option<(Value, i64)>,
    pub creates: u32,
    pub updates: u32,
    /// Actions that were done.
    pub actions: BTreeSet<String>,
}

impl Row {
    pub fn id_text(&self) -> String {
        self.id.to_text().unwrap_or_default().into_owned()
    }

    /// What the vendor shows at a moment: the record and when it changed.
    pub fn seen(&self, now_ms: i64) -> Option<(&Value, i64)> {
        if now_ms >= self.settles_at {
            return Some((&self.value, self.changed));
        }
        self.before.as_ref().map(|(value, changed)| (value, *changed))
    }

    /// True where the record carries this key: as the key it was written under, or anywhere in it.
    pub fn carries(&self, key: &str) -> bool {
        self.key.as_deref() == Some(key) || holds(&self.value, key)
    }
}

fn holds(value: &Value, text: &str) -> bool {
    match value {
        Value::Text(own) => own == text,
        Value::Number(number) => number.as_str() == text,
        Value::List(list) => list.iter().any(|value| holds(value, text)),
        Value::Map(map) => map.values().any(|value| holds(value, text)),
        Value::Null | Value::Bool(_) => false,
    }
}

/// Where a kind's records carry what.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// The path of the id.
    pub id: String,
    /// The path of the time of the last change, where there is one.
    pub updated_at: Option<String>,
    /// The path of the version that a change must name, where there is one.
    pub version: Option<String>,
    pub time: TimeFormat,
}

/// The rows of a kind.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub rows: Vec<Row>,
    pub shape: Shape,
    ids: IdForm,
    by_id: HashMap<String, usize>,
    by_key: HashMap<String, usize>,
    /// How the vendor writes the time and the version: as in the first sample.
    time_like: Option<Value>,
    counts_in_numbers: bool,
    next_change: i64,
}

impl Table {
    pub fn new(shape: Shape, sample: Option<&Value>, seed: u64) -> Self {
        let ids = IdForm::new(sample.and_then(|sample| path::first(sample, &shape.id)), seed);
        let time_like = shape.updated_at.as_deref().and_then(|at| path::first(sample?, at)).cloned();
        let version = shape.version.as_deref().and_then(|at| path::first(sample?, at));
        let counts_in_numbers = matches!(version, Some(Value::Number(_)));
        let (by_id, by_key) = (HashMap::new(), HashMap::new());
        Self { rows: vec![], shape, ids, by_id, by_key, time_like, counts_in_numbers, next_change: 1 }
    }

    pub fn by_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub fn by_key(&self, key: &str) -> Option<usize> {
        self.by_key.get(key).copied()
    }

    /// The row that carries a key, under it or in it; the newest where there are several.
    pub fn carrying(&self, key: &str) -> Option<usize> {
        self.by_key(key).or_else(|| self.rows.iter().rposition(|row| row.carries(key)))
    }

    /// The id that the next record gets.
    pub fn next_id(&self) -> Value {
        // Ids of records that a test brought itself are passed over.
        let mut n = self.rows.len() as u64;
        loop {
            let id = self.ids.make(n);
            if !id.to_text().is_some_and(|id| self.by_id.contains_key(&*id)) {
                return id;
            }
            n += 1;
        }
    }

    /// The mark of a change at this moment.
    fn change(&mut self, now_ms: i64) -> i64 {
        if self.shape.time == TimeFormat::Integer {
            self.next_change += 1;
            return self.next_change;
        }
        now_ms
    }

    fn stamp(&self, value: &mut Value, changed: i64) {
        if let Some(at) = &self.shape.updated_at {
            let like = path::first(value, at).filter(|value| !value.is_null()).or(self.time_like.as_ref()).cloned();
            path::put(value, at, super::time::write(&self.shape.time, changed, like.as_ref()));
        }
    }

    /// Counts the versions of a record: the one after that of `before`, or the first.
    fn count(&self, value: &mut Value, before: Option<&Value>) {
        // Where the version is the time of the last change, that is stamped already.
        let Some(at) = self.shape.version.as_deref().filter(|at| self.shape.updated_at.as_deref() != Some(at)) else { return };
        let last = before.and_then(|before| path::first(before, at)).and_then(Value::to_decimal);
        let next = match (last, path::first(value, at)) {
            (Some(last), _) => last + rust_decimal::Decimal::ONE,
            (None, Some(own)) if before.is_none() && !own.is_null() => return,
            _ => rust_decimal::Decimal::ZERO,
        };
        path::put(value, at, if self.counts_in_numbers { Value::from(next) } else { Value::Text(next.to_string()) });
    }

    /// Adds a record under an id; its time of change is now.
    pub fn insert(&mut self, id: Value, mut value: Value, key: Option<&str>, now_ms: i64, settles_at: i64) -> usize {
        let changed = self.change(now_ms);
        path::put(&mut value, &self.shape.id.clone(), id.clone());
        self.stamp(&mut value, changed);
        self.count(&mut value, None);
        let at = self.rows.len();
        let text = id.to_text().unwrap_or_default().into_owned();
        self.by_id.insert(text, at);
        if let Some(key) = key {
            self.by_key.insert(key.to_owned(), at);
        }
        self.rows.push(Row {
            seq: at as u64,
            id,
            key: key.map(str::to_owned),
            revision: None,
            parent: None,
            value,
            changed,
            settles_at,
            before: None,
            creates: 1,
            updates: 0,
            actions: BTreeSet::new(),
        });
        at
    }

    /// Takes a record away. Its row stays where it was, and nobody sees or finds it any more.
    pub fn remove(&mut self, at: usize) {
        self.by_id.retain(|_, row| *row != at);
        self.by_key.retain(|_, row| *row != at);
        let row = &mut self.rows[at];
        (row.value, row.before, row.key, row.settles_at) = (Value::Null, None, None, i64::MAX);
    }

    /// Gives a record other content; its id stays, its time of change is now.
    pub fn replace(&mut self, at: usize, mut value: Value, now_ms: i64, settles_at: i64) {
        let changed = self.change(now_ms);
        path::put(&mut value, &self.shape.id.clone(), self.rows[at].id.clone());
        self.stamp(&mut value, changed);
        self.count(&mut value, Some(&self.rows[at].value));
        let row = &mut self.rows[at];
        row.before = row.seen(now_ms).map(|(value, changed)| (value.clone(), changed));
        row.value = value;
        row.changed = changed;
        row.settles_at = settles_at;
        row.updates += 1;
    }
}

/// Everything that the vendor has.
#[derive(Debug, Clone, Default)]
pub(super) struct Store {
    pub tables: BTreeMap<domain::record::RecordKind, Table>,
    /// What is kept apart from its record: by kind, the field it becomes, and the record's id.
    pub apart: BTreeMap<(domain::record::RecordKind, String), HashMap<String, Vec<Value>>>,
    /// Those that records of a kind belong to, where they are no kind of their own.
    pub parents: BTreeMap<domain::record::RecordKind, Table>,
}
