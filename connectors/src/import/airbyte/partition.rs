//! An incremental stream in partitions: a cursor for each of them, and one for all that new partitions begin with.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::value::{Map, Value};

use super::ImportError;
use super::cursor::{Cursor, Plan};
use super::literal;
use super::slice::Slice;

/// Beyond this many partitions a state keeps the one cursor only, as the reference does.
const OWN_CURSORS_MAX: usize = 10_000;

#[derive(Debug, Clone)]
pub(crate) struct Partitions {
    plan: Arc<Plan>,
    /// By the partition's canonical JSON, in the order in which they came.
    cursors: indexmap::IndexMap<String, (Map, Cursor)>,
    seen: HashSet<String>,
    /// The partition that is read.
    open: Option<(String, Slice)>,
    one_cursor: bool,
    all: Option<Value>,
    newest: Option<String>,
    found_some: bool,
    lookback_s: i64,
    begun: DateTime<Utc>,
    parent_state: Option<Value>,
}

fn key(partition: &Map) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Map(map) => {
                let mut pairs: Vec<(String, Value)> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
                pairs.sort_by(|one, other| one.0.cmp(&other.0));
                Value::Map(pairs.into_iter().collect())
            }
            Value::List(list) => Value::List(list.iter().map(sorted).collect()),
            plain => plain.clone(),
        }
    }
    sorted(&Value::Map(partition.clone())).to_json()
}

impl Partitions {
    pub(crate) fn new(plan: Plan, one_cursor: bool, state: &Map, now: DateTime<Utc>) -> Result<Partitions, ImportError> {
        let plan = Arc::new(plan);
        let mut partitions = Partitions {
            cursors: indexmap::IndexMap::new(),
            seen: HashSet::new(),
            open: None,
            one_cursor,
            all: None,
            newest: None,
            found_some: false,
            lookback_s: 0,
            begun: now,
            parent_state: state.get("parent_state").filter(|parent| literal::is_true(parent)).cloned(),
            plan,
        };
        if state.is_empty() {
            return Ok(partitions);
        }
        if !state.contains_key("states") && !state.contains_key("state") {
            partitions.begin_with(state)?;
            return Ok(partitions);
        }
        partitions.one_cursor = state.get("use_global_cursor").is_some_and(literal::is_true);
        partitions.lookback_s = state.get("lookback_window").and_then(|s| literal::text(s).parse().ok()).unwrap_or(0).max(0);
        for own in state.get("states").and_then(Value::as_list).unwrap_or_default() {
            let part = |name: &str| own.get(name).and_then(Value::as_map).cloned().unwrap_or_default();
            let partition = part("partition");
            let cursor = Cursor::new(partitions.plan.clone(), &part("cursor"), 0)?;
            partitions.cursors.insert(key(&partition), (partition, cursor));
        }
        if let Some(Value::Map(all)) = state.get("state") {
            partitions.begin_with(all)?;
        }
        Ok(partitions)
    }

    fn begin_with(&mut self, all: &Map) -> Result<(), ImportError> {
        if let Some(value) = all.get(&self.plan.field) {
            let wrong = || ImportError::State { why: format!("{} is no time of the stream's formats", literal::text(value)) };
            let at = self.plan.write(&self.plan.read(value).ok_or_else(wrong)?)?;
            self.newest = Some(literal::text(&at));
            self.all = Some(at);
        }
        Ok(())
    }

    /// The next stretch of time of the partition that is open.
    pub(crate) fn next_slice(&mut self) -> Result<Option<Slice>, ImportError> {
        let Some((key, partition)) = &self.open else { return Ok(None) };
        let Some((_, cursor)) = self.cursors.get_mut(key) else { return Ok(None) };
        Ok(cursor.next_slice()?.map(|stretch| Slice { cursor: stretch, ..partition.clone() }))
    }

    /// A partition begins. One that came before is not read twice.
    pub(crate) fn open(&mut self, partition: Slice) -> Result<(), ImportError> {
        let key = key(&partition.partition);
        self.one_cursor |= self.cursors.len() > OWN_CURSORS_MAX;
        if !self.seen.insert(key.clone()) {
            self.open = None;
            return Ok(());
        }
        if !self.cursors.contains_key(&key) {
            let (state, earlier_s) = match &self.all {
                Some(all) => ([(self.plan.field.clone(), all.clone())].into_iter().collect(), self.lookback_s),
                None => (Map::new(), 0),
            };
            let cursor = Cursor::new(self.plan.clone(), &state, earlier_s)?;
            self.cursors.insert(key.clone(), (partition.partition.clone(), cursor));
        }
        self.open = Some((key, partition));
        Ok(())
    }

    pub(crate) fn observe(&mut self, record: &Value) -> Result<(), ImportError> {
        let at = record.get(&self.plan.field).filter(|value| !value.is_null()).and_then(|value| self.plan.read(value));
        let Some(at) = at else { return Ok(()) };
        let text = literal::text(&self.plan.write(&at)?);
        self.found_some = true;
        self.newest = self.newest.take().max(Some(text));
        if let Some((_, cursor)) = self.open.as_ref().and_then(|(key, _)| self.cursors.get_mut(key)) {
            cursor.observe(record);
        }
        Ok(())
    }

    pub(crate) fn close(&mut self, slice: &Slice) -> Result<(), ImportError> {
        let Some((key, _)) = &self.open else { return Ok(()) };
        let Some((_, cursor)) = self.cursors.get_mut(key) else { return Ok(()) };
        cursor.close(&slice.cursor);
        if !cursor.has_next() {
            if !self.one_cursor {
                let position = literal::text(&cursor.position()?);
                self.newest = self.newest.take().max(Some(position));
            }
            if self.one_cursor {
                // Nobody asks for it again: `seen` keeps its partition from being read twice.
                let key = key.clone();
                self.cursors.shift_remove(&key);
            }
        }
        Ok(())
    }

    /// All partitions are read.
    pub(crate) fn finish(&mut self, parent_state: Option<Value>, now: DateTime<Utc>) {
        if self.found_some {
            self.all = self.newest.clone().map(Value::Text);
            // A new partition may have had records since the read began.
            self.lookback_s = (now - self.begun).num_seconds().max(1);
        }
        self.parent_state = parent_state;
    }

    pub(crate) fn is_due(&self, record: &Value) -> bool {
        self.open.as_ref().and_then(|(key, _)| self.cursors.get(key)).is_none_or(|(_, cursor)| cursor.is_due(record))
    }

    pub(crate) fn state(&self) -> Result<Map, ImportError> {
        let mut state = Map::new();
        state.insert("use_global_cursor".to_owned(), Value::Bool(self.one_cursor));
        if !self.one_cursor {
            let mut states = Vec::new();
            for (partition, cursor) in self.cursors.values() {
                let pair =
                    [("partition".to_owned(), Value::Map(partition.clone())), ("cursor".to_owned(), Value::Map(cursor.state()?))];
                states.push(Value::Map(pair.into_iter().collect()));
            }
            state.insert("states".to_owned(), Value::List(states));
        }
        if let Some(all) = &self.all {
            let own: Map = [(self.plan.field.clone(), all.clone())].into_iter().collect();
            state.insert("state".to_owned(), Value::Map(own));
        }
        state.insert("lookback_window".to_owned(), Value::from(self.lookback_s));
        if let Some(parent) = &self.parent_state {
            state.insert("parent_state".to_owned(), parent.clone());
        }
        Ok(state)
    }
}
