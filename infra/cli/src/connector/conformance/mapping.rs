//! Mappings both ways: samples read to records, and what was written is read back with the same values.

use std::time::Duration;

use chrono::DateTime;
use domain::canonical;
use domain::mapping::{Plan, Vars};
use domain::record::RecordKind;
use domain::value::{Limits, Value};
use rust_decimal::Decimal;

use super::sample::Codes;
use super::{Outcome, Proving, first, must, read, said};
use crate::Failure;

const KEY: &str = "crossdock-both-ways-1";
/// Which record it is there, and when it changed there, is the vendor's own.
const VENDORS_OWN: [&str; 2] = ["source_id", "updated_at"];
/// So many differences are told.
const TOLD_MAX: usize = 8;

impl Proving {
    /// Every sample reads to a canonical record.
    pub(super) fn samples(&mut self) {
        for kind in RecordKind::ALL {
            let Some(plan) = self.connector.read_plan(kind) else { continue };
            for (name, text) in self.connector.samples(kind) {
                let outcome = Value::parse(text.as_bytes(), &Limits::DEFAULT).map_err(said).and_then(|source| {
                    let document =
                        plan.apply(&source, self.connector.tables(), &Vars::default()).map_err(|issues| first(&issues))?;
                    canonical::check(kind, &document).map(|_| ()).map_err(|issues| first(&issues))
                });
                self.check(format!("{kind}: the sample {name} reads to a record"), outcome);
            }
        }
    }

    /// A canonical record is written, and the vendor's record read back to a canonical one.
    pub(super) async fn both_ways(&mut self, kind: RecordKind) -> Result<(), Failure> {
        let (Some(read), Some(write)) = (self.connector.read_plan(kind), self.connector.write_plan(kind)) else { return Ok(()) };
        let stage = self.stage_with(|simulator| simulator.with_records(1)).await?;
        let not_read_back: Vec<(String, String)> =
            stage.served.simulator().not_read_back(kind).map(|(field, why)| (field.to_owned(), why.to_owned())).collect();
        let outcome = match self.back(&stage, kind, read).await {
            Err(why) => Err(why),
            Ok((record, back)) => {
                let mut differences = Vec::new();
                for (at, value) in leaves(&record, String::new()) {
                    if !VENDORS_OWN.contains(&at.as_str()) && knows(write.reads(), &at) && knows(read.writes(), &at) {
                        let difference = difference(value, find(&back, &at));
                        differences.extend(difference.map(|what| (at, what)));
                    }
                }
                judge(&differences, &not_read_back)
            }
        };
        self.check(format!("{kind}: what was written is read back with the same values"), outcome);
        Ok(())
    }

    /// The canonical record that was written, and what is read of it at the vendor.
    async fn back(&self, stage: &super::Stage, kind: RecordKind, plan: &Plan) -> Result<(Value, Value), String> {
        let connector = self.connector;
        let record = self.canonical(kind)?;
        let codes = Codes::new(connector.tables());
        let payload = self.payload_of(kind, &record, (KEY, 1), &stage.settings, &codes)?.ok_or("there is no write mapping")?;
        let vendor = stage.vendor().await.map_err(said)?;
        self.write_one(&vendor, kind, &payload, (KEY, 1, KEY)).await?;
        stage.served.pass(Duration::from_millis(connector.proof_settle_ms(kind) + 1));
        let written = stage.served.simulator().stored(kind).pop().ok_or("nothing was stored")?;
        let all = read(&vendor, kind).await.map_err(said)?;
        // Records without an id of their own are told by being the last.
        let found = all.iter().find(|one| one.id.as_deref() == Some(&written.id));
        let bytes = match found {
            Some(one) => one.bytes.clone(),
            None => written.value.to_json().into(),
        };
        let source = Value::parse(&bytes, &Limits::DEFAULT).map_err(said)?;
        let back = plan.apply(&source, connector.tables(), &Vars::default());
        let mut back = back.map_err(|issues| format!("what was written does not read to a record: {}", first(&issues)))?;
        decode(&mut back, &codes);
        Ok((record, back))
    }
}

/// Puts the words of a tenant's tables back in place of the vendor's codes.
fn decode(value: &mut Value, codes: &Codes<'_>) {
    match value {
        Value::Text(text) => {
            if let Some(word) = codes.word(text) {
                *text = word;
            }
        }
        Value::List(list) => list.iter_mut().for_each(|value| decode(value, codes)),
        Value::Map(map) => map.values_mut().for_each(|value| decode(value, codes)),
        _ => {}
    }
}

/// All plain values with their places: `lines[0].sku`.
fn leaves(value: &Value, at: String) -> Vec<(String, &Value)> {
    match value {
        Value::Map(map) => map
            .iter()
            .flat_map(|(name, value)| leaves(value, if at.is_empty() { name.clone() } else { format!("{at}.{name}") }))
            .collect(),
        Value::List(list) => list.iter().enumerate().flat_map(|(index, value)| leaves(value, format!("{at}[{index}]"))).collect(),
        Value::Null => vec![],
        plain => vec![(at, plain)],
    }
}

fn find<'v>(value: &'v Value, at: &str) -> Option<&'v Value> {
    at.split(['.', '[']).try_fold(value, |here, step| match step.strip_suffix(']') {
        Some(index) => here.as_list()?.get(index.parse::<usize>().ok()?),
        None => here.get(step),
    })
}

/// `lines[0].sku` without which one: `lines.sku`.
fn plain(at: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for c in at.chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

/// True where a mapping names the field, or what it is part of. `lines[]` names only how many there are.
fn knows(names: &[String], at: &str) -> bool {
    let at = plain(at);
    names.iter().filter(|name| !name.ends_with("[]")).any(|name| is_in(&at, &plain(name)))
}

fn is_in(at: &str, whole: &str) -> bool {
    at.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn difference(written: &Value, back: Option<&Value>) -> Option<String> {
    let text = |value: &Value| value.to_text().map_or_else(|| value.to_json(), |text| text.into_owned());
    match back.filter(|value| !value.is_null()) {
        None => Some(format!("\"{}\" was written, and nothing read", text(written))),
        Some(back) if is_same(written, back) => None,
        Some(back) => Some(format!("\"{}\" was written, and \"{}\" read", text(written), text(back))),
    }
}

/// The same to a person: amounts to the cent, times as moments, text as it is.
fn is_same(written: &Value, back: &Value) -> bool {
    let (Some(one), Some(other)) = (written.to_text(), back.to_text()) else { return written == back };
    let number = |text: &str| domain::value::decimal(text);
    let moment = |text: &str| DateTime::parse_from_rfc3339(text).ok();
    one == other
        || number(&one).zip(number(&other)).is_some_and(|(one, other)| (one - other).abs() < Decimal::new(5, 3))
        || moment(&one).zip(moment(&other)).is_some_and(|(one, other)| one == other)
}

/// Differences that nobody explains, and explanations of what does not differ.
fn judge(differences: &[(String, String)], explained: &[(String, String)]) -> Outcome {
    let explains = |at: &str| explained.iter().any(|(field, _)| is_in(&plain(at), field));
    let open: Vec<String> =
        differences.iter().filter(|(at, _)| !explains(at)).map(|(at, what)| format!("{at}: {what}")).collect();
    let told = open.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>().join("; ");
    must(open.is_empty(), || format!("{} fields differ: {told}", open.len()))?;
    let needless = explained.iter().find(|(field, _)| !differences.iter().any(|(at, _)| is_in(&plain(at), field)));
    match needless {
        Some((field, _)) => Err(format!("{field} comes back as it was written: take it out of not_read_back in simulator.yaml")),
        None => Ok(()),
    }
}
