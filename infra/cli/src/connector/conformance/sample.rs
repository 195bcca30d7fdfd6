//! What is written: a canonical record of each kind, as rich as most vendors can hold, and what a connector's mapping makes of it.

use std::cell::RefCell;

use domain::canonical;
use domain::counter_example::plain;
use domain::mapping::{Lookups, Vars};
use domain::record::RecordKind;
use domain::value::{Limits, Value};

use super::{Proving, first};

/// What a tenant's tables say of the first, the second … that is looked up: numbers, because vendors' ids are such.
const CODES: [&str; 24] = [
    "7001", "7002", "7003", "7004", "7005", "7006", "7007", "7008", "7009", "7010", "7011", "7012", "7013", "7014", "7015",
    "7016", "7017", "7018", "7019", "7020", "7021", "7022", "7023", "7024",
];

/// A tenant's tables, which a test has not: every word that the connector has no translation of itself gets one of its own.
pub(super) struct Codes<'t> {
    own: &'t dyn Lookups,
    given: RefCell<Vec<String>>,
}

impl<'t> Codes<'t> {
    pub fn new(own: &'t dyn Lookups) -> Self {
        Self { own, given: RefCell::default() }
    }

    /// The word that a code stands for.
    pub fn word(&self, code: &str) -> Option<String> {
        let at = CODES.iter().position(|known| *known == code)?;
        self.given.borrow().get(at).cloned()
    }
}

impl Lookups for Codes<'_> {
    fn find(&self, table: &str, key: &str) -> Option<&str> {
        if self.own.has_table(table) {
            return self.own.find(table, key);
        }
        let mut given = self.given.borrow_mut();
        let at = given.iter().position(|known| known == key).unwrap_or_else(|| {
            given.push(key.to_owned());
            given.len() - 1
        });
        CODES.get(at).copied()
    }

    fn has_table(&self, _: &str) -> bool {
        true
    }
}

impl Proving {
    /// The connector's own canonical sample of what it writes, or ours.
    pub(super) fn canonical(&self, kind: RecordKind) -> Result<Value, String> {
        let text = self.connector.write_sample(kind).unwrap_or_else(|| plain(kind));
        let record = Value::parse(text.as_bytes(), &Limits::DEFAULT).map_err(|error| error.to_string())?;
        canonical::check(kind, &record).map_err(|issues| format!("the canonical sample is no record: {}", first(&issues)))?;
        Ok(record)
    }

    /// What the write mapping makes of the canonical sample; none where the connector has none.
    pub(super) fn payload(
        &self,
        kind: RecordKind,
        key: &str,
        revision: i64,
        settings: &serde_json::Value,
    ) -> Result<Option<Value>, String> {
        let record = self.canonical(kind)?;
        self.payload_of(kind, &record, (key, revision), settings, &Codes::new(self.connector.tables()))
    }

    pub(super) fn payload_of(
        &self,
        kind: RecordKind,
        record: &Value,
        (key, revision): (&str, i64),
        settings: &serde_json::Value,
        codes: &Codes<'_>,
    ) -> Result<Option<Value>, String> {
        let Some(plan) = self.connector.write_plan(kind) else { return Ok(None) };
        let mut vars = Vars::default();
        vars.set("settings", Value::from(settings));
        let about = serde_json::json!({"revision": revision, "external_key": key, "kind": kind.as_str()});
        vars.set("record", Value::from(&about));
        vars.set("source", Value::from(&serde_json::json!({"connection": "Test"})));
        plan.apply(record, codes, &vars).map(Some).map_err(|issues| first(&issues))
    }
}
