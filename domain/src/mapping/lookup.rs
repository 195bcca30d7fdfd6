//! Lookup tables: code translations. A missing entry is never a silent default.

use std::collections::HashMap;

/// Where a plan finds its lookup tables.
pub trait Lookups {
    fn find(&self, table: &str, key: &str) -> Option<&str>;
    fn has_table(&self, table: &str) -> bool;
}

/// Tables in memory: a connector's own, or a test's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LookupSet(HashMap<String, HashMap<String, String>>);

impl Lookups for LookupSet {
    fn find(&self, table: &str, key: &str) -> Option<&str> {
        self.0.get(table)?.get(key).map(String::as_str)
    }

    fn has_table(&self, table: &str) -> bool {
        self.0.contains_key(table)
    }
}

impl FromIterator<(String, HashMap<String, String>)> for LookupSet {
    fn from_iter<I: IntoIterator<Item = (String, HashMap<String, String>)>>(tables: I) -> Self {
        Self(tables.into_iter().collect())
    }
}
