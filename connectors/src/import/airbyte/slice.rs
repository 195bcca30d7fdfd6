//! One part of a stream that is read by itself: a partition, a stretch of time, or a stretch of time of a partition.

use domain::value::{Map, Value};

use super::jinja::{Scope, jinja_value};

#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Slice {
    pub(crate) partition: Map,
    /// From when to when, as the cursor writes it.
    pub(crate) cursor: Map,
    /// What a parent's record adds, for expressions only.
    pub(crate) extra: Map,
}

impl Slice {
    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.cursor.get(key).or_else(|| self.partition.get(key))
    }

    /// The names that expressions know a slice and a page by.
    pub(crate) fn scope(&self, scope: &Scope, token: Option<&Value>) -> Scope {
        let mut map = self.partition.clone();
        map.extend(self.cursor.clone());
        for (name, part) in [("extra_fields", &self.extra), ("partition", &self.partition), ("cursor_slice", &self.cursor)] {
            map.entry(name.to_owned()).or_insert_with(|| Value::Map(part.clone()));
        }
        let slice = jinja_value(&Value::Map(map));
        let page =
            token.map_or(Value::Null, |token| Value::Map([("next_page_token".to_owned(), token.clone())].into_iter().collect()));
        let mut scope = scope.clone();
        for (name, value) in &self.extra {
            scope = scope.and(name, value);
        }
        for name in ["stream_slice", "stream_interval", "stream_partition"] {
            scope = scope.with(name, slice.clone());
        }
        scope.and("next_page_token", &page).and("stream_state", &Value::Map(Map::new()))
    }
}
