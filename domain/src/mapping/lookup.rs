//! Lookup tables: code translations. A missing entry is never a silent default.

use std::collections::HashMap;

use chrono::NaiveDate;

/// Where a plan finds its lookup tables.
pub trait Lookups {
    fn find(&self, table: &str, key: &str) -> Option<&str>;
    fn has_table(&self, table: &str) -> bool;

    /// True of a table whose rates are in force from a day until the next.
    fn has_rates(&self, _table: &str) -> bool {
        false
    }

    /// The rate of a pair of currencies: in a table of rates the one in force on the day, or at the moment of the run where no day is said.
    /// Any other table has it for that day alone, as `EUR/USD/2026-11-24`, or for all as `EUR/USD`.
    fn rate(&self, table: &str, from: &str, to: &str, day: Option<NaiveDate>) -> Option<Rate<'_>> {
        self.find(table, &rate_key(from, to, day)).map(Rate::Direct)
    }
}

/// What a table says of a pair of currencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rate<'a> {
    Direct(&'a str),
    /// Of the pair the other way round: it is divided by. Only where the table says that this is meant.
    Inverse(&'a str),
}

/// What a rate is looked up by in a table that is not of rates.
pub(super) fn rate_key(from: &str, to: &str, day: Option<NaiveDate>) -> String {
    day.map_or_else(|| format!("{from}/{to}"), |day| format!("{from}/{to}/{day}"))
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
