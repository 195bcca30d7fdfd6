//! A tenant's lookup tables in memory, as a mapping asks them: as of one version, at one moment. The moment is the delivery's `origin_at`, so
//! that the same record gets the same answer however often and however late it is mapped.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, Utc};
use domain::id::LookupTableId;
use domain::lookup_table::{Entry, TableKind, midnight, rate_key};
use domain::mapping::{LookupSet, Lookups, Rate};

use crate::postgres::lookup_table::LookupTableRow;
use crate::postgres::{StoreError, TenantStore};

/// Tables by the name that mappings call them by.
pub type Tables = HashMap<String, Arc<Entries>>;

/// The entries of one version of a table.
#[derive(Debug, Default)]
pub struct Entries {
    kind: TableKind,
    inverts: bool,
    by_value: HashMap<String, Answers>,
    count: usize,
    bytes: usize,
}

/// What a value becomes. Most have one answer that always stands.
#[derive(Debug)]
enum Answers {
    Always(String),
    /// By their beginnings, earliest first: the last that has begun stands, if it has not ended.
    Dated(Vec<Dated>),
}

#[derive(Debug)]
struct Dated {
    from: Option<DateTime<Utc>>,
    until: Option<DateTime<Utc>>,
    to: String,
}

impl Answers {
    fn at(&self, moment: DateTime<Utc>) -> Option<&str> {
        match self {
            Self::Always(to) => Some(to),
            Self::Dated(answers) => {
                let begun = answers.partition_point(|answer| answer.from.is_none_or(|from| from <= moment));
                let last = answers[..begun].last()?;
                last.until.is_none_or(|until| moment < until).then_some(last.to.as_str())
            }
        }
    }
}

impl Entries {
    #[must_use]
    pub fn new(kind: TableKind, inverts: bool, entries: Vec<Entry>) -> Self {
        /// Of an entry beside its texts: the texts' own heads, its place in the map.
        const ENTRY_BYTES: usize = 120;
        let count = entries.len();
        let bytes = entries.iter().map(|entry| entry.from.len() + entry.to.len() + ENTRY_BYTES).sum();
        let mut by_value: HashMap<String, Answers> = HashMap::with_capacity(count);
        for Entry { from: value, to, effective_from: from, effective_until: until } in entries {
            let is_plain = from.is_none() && until.is_none();
            match by_value.entry(value) {
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(if is_plain { Answers::Always(to) } else { Answers::Dated(vec![Dated { from, until, to }]) });
                }
                std::collections::hash_map::Entry::Occupied(mut place) => {
                    let answers = match std::mem::replace(place.get_mut(), Answers::Dated(vec![])) {
                        Answers::Always(to) => vec![Dated { from: None, until: None, to }],
                        Answers::Dated(answers) => answers,
                    };
                    place.insert(Answers::Dated(answers.into_iter().chain([Dated { from, until, to }]).collect()));
                }
            }
        }
        for answers in by_value.values_mut() {
            if let Answers::Dated(answers) = answers {
                answers.sort_by_key(|answer| answer.from);
            }
        }
        Self { kind, inverts, by_value, count, bytes }
    }

    /// What a value becomes at a moment.
    #[must_use]
    pub fn find(&self, value: &str, moment: DateTime<Utc>) -> Option<&str> {
        self.by_value.get(value)?.at(moment)
    }

    /// About what it takes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many entries it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn rate(&self, from: &str, to: &str, moment: DateTime<Utc>) -> Option<Rate<'_>> {
        let direct = self.find(&rate_key(from, to), moment).map(Rate::Direct);
        direct.or_else(|| self.find(&rate_key(to, from), moment).filter(|_| self.inverts).map(Rate::Inverse))
    }
}

impl From<LookupTableRow> for Entries {
    fn from(row: LookupTableRow) -> Self {
        Self::new(row.kind, row.inverts, row.entries)
    }
}

/// Tables as of the versions, by the names that they had then; one that is not there is left out. This is what a replay asks with the versions
/// that a delivery was mapped by.
///
/// # Errors
/// Where the database does not answer.
pub async fn load(store: &TenantStore<'_>, tables: &[(LookupTableId, i64)]) -> Result<Tables, StoreError> {
    let rows = store.lookup_tables_at(tables).await?;
    Ok(rows.into_iter().map(|row| (row.name.clone(), Arc::new(Entries::from(row)))).collect())
}

/// The tenant's lookup tables at a moment, before the connector's own.
#[derive(Debug, Clone, Copy)]
pub struct TenantLookups<'a> {
    tables: &'a Tables,
    connector: &'a LookupSet,
    at: DateTime<Utc>,
}

impl<'a> TenantLookups<'a> {
    /// `at` is when the message was accepted that the record comes from.
    #[must_use]
    pub fn new(tables: &'a Tables, connector: &'a LookupSet, at: DateTime<Utc>) -> Self {
        Self { tables, connector, at }
    }
}

impl Lookups for TenantLookups<'_> {
    fn find(&self, table: &str, key: &str) -> Option<&str> {
        match self.tables.get(table) {
            Some(entries) => entries.find(key, self.at),
            None => self.connector.find(table, key),
        }
    }

    fn has_table(&self, table: &str) -> bool {
        self.tables.contains_key(table) || self.connector.has_table(table)
    }

    fn has_rates(&self, table: &str) -> bool {
        self.tables.get(table).is_some_and(|entries| entries.kind == TableKind::Rates)
    }

    fn rate(&self, table: &str, from: &str, to: &str, day: Option<NaiveDate>) -> Option<Rate<'_>> {
        match self.tables.get(table) {
            Some(entries) if entries.kind == TableKind::Rates => entries.rate(from, to, day.map_or(self.at, midnight)),
            // A plain table has the day within its values.
            _ => match day {
                Some(day) => self.find(table, &format!("{}/{day}", rate_key(from, to))),
                None => self.find(table, &rate_key(from, to)),
            }
            .map(Rate::Direct),
        }
    }
}

/// Entries that tables are supposed to have, by the names that mappings call them by.
#[derive(Debug, Clone, Default)]
pub struct Supposed(HashMap<String, HashMap<String, String>>);

impl Supposed {
    pub fn add(&mut self, table: String, from: String, to: String) {
        self.0.entry(table).or_default().insert(from, to);
    }
}

/// The tenant's lookup tables, with entries that are not there yet: what a what-if asks.
#[derive(Debug, Clone, Copy)]
pub struct Supposing<'a> {
    tables: TenantLookups<'a>,
    supposed: &'a Supposed,
}

impl<'a> Supposing<'a> {
    #[must_use]
    pub fn new(tables: TenantLookups<'a>, supposed: &'a Supposed) -> Self {
        Self { tables, supposed }
    }
}

impl Lookups for Supposing<'_> {
    fn find(&self, table: &str, key: &str) -> Option<&str> {
        let supposed = self.supposed.0.get(table).and_then(|entries| entries.get(key)).map(String::as_str);
        supposed.or_else(|| self.tables.find(table, key))
    }

    fn has_table(&self, table: &str) -> bool {
        self.supposed.0.contains_key(table) || self.tables.has_table(table)
    }

    fn has_rates(&self, table: &str) -> bool {
        self.tables.has_rates(table)
    }

    fn rate(&self, table: &str, from: &str, to: &str, day: Option<NaiveDate>) -> Option<Rate<'_>> {
        let supposed = self.supposed.0.get(table).and_then(|entries| entries.get(&rate_key(from, to)));
        supposed.map(|rate| Rate::Direct(rate)).or_else(|| self.tables.rate(table, from, to, day))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: u32) -> DateTime<Utc> {
        format!("2026-11-{n:02}T00:00:00Z").parse().expect("a moment")
    }

    fn entry(from: &str, to: &str, begins: Option<u32>, ends: Option<u32>) -> Entry {
        Entry { effective_from: begins.map(day), effective_until: ends.map(day), ..Entry::always(from, to) }
    }

    #[test]
    fn the_entry_that_began_last_stands_until_it_ends() {
        let entries = Entries::new(
            TableKind::Codes,
            false,
            vec![
                entry("HAT", "c", Some(20), None),
                entry("HAT", "a", None, None),
                entry("HAT", "b", Some(10), Some(15)),
                entry("CAP", "x", None, None),
            ],
        );
        let hat = |n| entries.find("HAT", day(n));
        assert_eq!(
            [hat(1), hat(9), hat(10), hat(14), hat(15), hat(19), hat(20), hat(30)],
            [Some("a"), Some("a"), Some("b"), Some("b"), None, None, Some("c"), Some("c")]
        );
        assert_eq!((entries.find("CAP", day(1)), entries.find("SCARF", day(1)), entries.len()), (Some("x"), None, 4));
        let early = Entries::new(TableKind::Codes, false, vec![entry("HAT", "a", Some(10), None)]);
        assert_eq!((early.find("HAT", day(9)), early.find("HAT", day(10))), (None, Some("a")));
    }

    #[test]
    fn a_rate_is_asked_for_its_day_and_a_code_for_the_moment_of_the_message() {
        let rates = |inverts| {
            let rates = vec![entry("EUR/USD", "1.1", Some(10), None), entry("EUR/USD", "1.2", Some(20), None)];
            Tables::from([
                ("fx".to_owned(), Arc::new(Entries::new(TableKind::Rates, inverts, rates))),
                (
                    "plain".to_owned(),
                    Arc::new(Entries::new(TableKind::Codes, false, vec![entry("EUR/USD/2026-11-12", "1.3", None, None)])),
                ),
            ])
        };
        let own: LookupSet =
            [("theirs".to_owned(), HashMap::from([("EUR/USD".to_owned(), "1.4".to_owned())]))].into_iter().collect();
        let (tables, inverting) = (rates(false), rates(true));
        let (lookups, inverts) = (TenantLookups::new(&tables, &own, day(25)), TenantLookups::new(&inverting, &own, day(25)));
        let on = |n| Some(day(n).date_naive());
        assert_eq!(lookups.rate("fx", "EUR", "USD", on(12)), Some(Rate::Direct("1.1")));
        assert_eq!(lookups.rate("fx", "EUR", "USD", on(9)), None);
        assert_eq!(lookups.rate("fx", "EUR", "USD", None), Some(Rate::Direct("1.2")));
        assert_eq!(
            (lookups.rate("fx", "USD", "EUR", None), inverts.rate("fx", "USD", "EUR", None)),
            (None, Some(Rate::Inverse("1.2")))
        );
        assert_eq!(
            (lookups.rate("plain", "EUR", "USD", on(12)), lookups.rate("plain", "EUR", "USD", on(13))),
            (Some(Rate::Direct("1.3")), None)
        );
        assert_eq!(lookups.rate("theirs", "EUR", "USD", None), Some(Rate::Direct("1.4")));
        assert!(
            lookups.has_rates("fx") && !lookups.has_rates("plain") && lookups.has_table("theirs") && !lookups.has_table("none")
        );
    }
}
