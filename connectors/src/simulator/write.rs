//! What changes the vendor's records, and what finds again by key what was written: writes, updates, batches, actions, proofs.

use chrono::{DateTime, Utc};
use domain::fault::FaultClass;
use domain::http::Method;
use domain::mapping::Vars;
use domain::record::RecordKind;
use domain::value::{Map, Value};

use super::derive;
use super::extra::KindRules;
use super::fault::Trouble;
use super::incoming::Incoming;
use super::operation::Operation;
use super::pattern::Found;
use super::refusal::{Refusal, as_http, concrete};
use super::render;
use super::seed::{empty, lay_over};
use super::store::{ROWS_MAX, Row, Table};
use super::{SimAnswer, Simulator};
use crate::manifest::{Batch, Body, ProofRule, ReceiptRule, Request, Resource};
use crate::path;
use crate::template::names;

pub(super) type Served = Result<SimAnswer, Refusal>;

/// One stored write.
struct Stored {
    at: usize,
    created: bool,
}

/// True where a proof's answer is a list of one.
fn is_in_list(done: &str) -> bool {
    done.contains("$root[0]")
}

fn absent() -> Refusal {
    Refusal::new(FaultClass::NotFound, "The record does not exist. Provide a valid id.")
}

impl<'c> Simulator<'c> {
    fn resource(&self, kind: RecordKind) -> Result<&'c Resource, Refusal> {
        self.connector.manifest.resources.get(&kind).ok_or_else(absent)
    }

    fn settles_at(&self, kind: RecordKind, now: DateTime<Utc>) -> i64 {
        now.timestamp_millis() + i64::try_from(self.connector.proof_settle_ms(kind)).unwrap_or(i64::MAX / 2)
    }

    pub(super) fn write(&mut self, kind: RecordKind, incoming: &Incoming<'_>, found: &mut Found, now: DateTime<Utc>) -> Served {
        let resource = self.resource(kind)?;
        let rule = resource.write.as_ref().ok_or_else(absent)?;
        let payload = payload(incoming, found, &rule.request)?;
        // Whoever puts its own key into the address asks to create or replace.
        let upsert = names(&rule.request.path).any(|name| name == "external_key");
        let key = found.get("external_key").or_else(|| found.looked_up());
        let same = if rule.repeatable { self.same_write(kind, &payload, key) } else { None };
        let stored = match same {
            Some(at) => {
                self.change(kind, at, empty(), false, now);
                Stored { at, created: false }
            }
            None => self.store_one(kind, payload, key, (upsert, incoming), now)?,
        };
        self.table(kind).rows[stored.at].revision = found.get("revision").map(str::to_owned);
        Ok(self.receipt(kind, &rule.receipt, &stored, incoming))
    }

    pub(super) fn update(&mut self, kind: RecordKind, incoming: &Incoming<'_>, found: &mut Found, now: DateTime<Utc>) -> Served {
        let resource = self.resource(kind)?;
        let rule = resource.update.as_ref().ok_or_else(absent)?;
        let at = self.named(kind, found);
        let payload = payload(incoming, found, &rule.request)?;
        let at = at.ok_or_else(absent)?;
        self.knows_version(kind, at, found)?;
        let vars = self.vars(found.get("external_key"));
        if let Some(refusal) = self.rules_of(kind).refusal(&payload, &vars) {
            return Err(refusal);
        }
        let stored = self.rules_of(kind).stored(payload, &vars);
        self.change(kind, at, stored, incoming.request.method == Method::Put, now);
        if let Some(revision) = found.get("revision") {
            self.table(kind).rows[at].revision = Some(revision.to_owned());
        }
        Ok(self.receipt(kind, &rule.receipt, &Stored { at, created: false }, incoming))
    }

    /// The row that an identical write has made before.
    fn same_write(&mut self, kind: RecordKind, payload: &Value, key: Option<&str>) -> Option<usize> {
        let stored = self.rules_of(kind).stored(payload.clone(), &self.vars(key));
        let rows = &self.table(kind).rows;
        rows.iter().rposition(|row| row.creates > 0 && row.key.as_deref() == key && says(&row.value, &stored))
    }

    /// A change that names a version must name the last.
    fn knows_version(&mut self, kind: RecordKind, at: usize, found: &Found) -> Result<(), Refusal> {
        let stale = self.connector.stale();
        let table = self.table(kind);
        let (Some(sent), Some(place)) = (found.get("receipt_version"), &table.shape.version) else { return Ok(()) };
        if path::is_text(&table.rows[at].value, place, sent) { Ok(()) } else { Err(stale) }
    }

    /// All that belong together, where an answer lists them: what was written, and a stranger's that was there before.
    fn siblings(&mut self, kind: RecordKind, now_ms: i64) -> Vec<Row> {
        let rows = &self.table(kind).rows;
        let strangers = rows.iter().filter(|row| row.creates == 0).take(1);
        let seen = |row: &Row| row.seen(now_ms).map(|(value, _)| Row { value: value.clone(), ..row.clone() });
        strangers.chain(rows.iter().filter(|row| row.creates > 0)).filter_map(seen).collect()
    }

    /// An answer that lists all that belong together, each with its receipt.
    fn listed(&mut self, kind: RecordKind, rule: &ReceiptRule, among: &str, now_ms: i64) -> Value {
        let each = |row: Row| {
            let mut one = row.value.clone();
            put_receipt(&mut one, rule, &row);
            if let (Some(at), Some(key)) = (&rule.key, &row.key) {
                path::put(&mut one, &concrete(at), key.as_str().into());
            }
            one
        };
        let list = self.siblings(kind, now_ms).into_iter().map(each).collect();
        let mut document = empty();
        render::place(&mut document, Some(among), list);
        document
    }

    /// Checks and stores one payload.
    fn store_one(
        &mut self,
        kind: RecordKind,
        payload: Value,
        key: Option<&str>,
        (upsert, incoming): (bool, &Incoming<'_>),
        now: DateTime<Utc>,
    ) -> Result<Stored, Refusal> {
        let vars = self.vars(key);
        let rules = self.rules_of(kind);
        if let Some(refusal) = rules.refusal(&payload, &vars) {
            return Err(refusal);
        }
        let stored = rules.stored(payload, &vars);
        let by_rule = rules.extra.upsert;
        let known = key.filter(|_| upsert || by_rule).and_then(|key| self.table(kind).by_key(key));
        if let Some(at) = known {
            self.change(kind, at, stored, incoming.request.method == Method::Put, now);
            return Ok(Stored { at, created: false });
        }
        let settles_at = self.settles_at(kind, now);
        let mut value =
            if matches!(stored, Value::Map(_)) { stored } else { Value::Map(Map::from_iter([("payload".to_owned(), stored)])) };
        // A new record has had no action done to it.
        let resource = self.resource(kind)?;
        for name in resource.actions.keys() {
            value = self.mark(kind, value, name, false);
        }
        let table = self.table(kind);
        if table.rows.len() >= ROWS_MAX {
            return Err(Refusal::new(FaultClass::Limit, "There is no room for more records."));
        }
        let id = table.next_id();
        let at = table.insert(id, value, key, now.timestamp_millis(), settles_at);
        self.stats.creates += 1;
        Ok(Stored { at, created: true })
    }

    fn change(&mut self, kind: RecordKind, at: usize, over: Value, whole: bool, now: DateTime<Utc>) {
        let settles_at = self.settles_at(kind, now);
        let table = self.table(kind);
        let value = if whole {
            over
        } else {
            let mut value = table.rows[at].value.clone();
            lay_over(&mut value, over);
            value
        };
        table.replace(at, value, now.timestamp_millis(), settles_at);
        self.stats.updates += 1;
    }

    fn vars(&self, key: Option<&str>) -> Vars {
        let mut vars = Vars::default();
        vars.set("settings", Value::from(&self.settings));
        vars.set("key", key.map_or(Value::Null, Value::from));
        vars
    }

    pub(super) fn rules_of(&self, kind: RecordKind) -> &KindRules {
        self.rules.get(&kind).unwrap_or(&self.no_rules)
    }

    /// The row that a request names, whatever it names it by.
    fn named(&mut self, kind: RecordKind, found: &Found) -> Option<usize> {
        let table = self.table(kind);
        let id = ["external_id", "source_id"].into_iter().find_map(|name| found.get(name));
        match (id, found.get("external_key")) {
            (Some(id), _) => table.by_id(id).or_else(|| table.by_key(id)),
            (None, Some(key)) => table.carrying(key),
            (None, None) => match &found.payload {
                // Some vendors are asked for what was written: a number and a date.
                Some(payload) => table.rows.iter().rposition(|row| says(&row.value, payload)),
                // What names nothing is about the only one there is.
                None => (table.rows.len() == 1).then_some(0),
            },
        }
    }

    fn receipt(&mut self, kind: RecordKind, rule: &ReceiptRule, stored: &Stored, incoming: &Incoming<'_>) -> SimAnswer {
        if let Some(among) = &rule.among {
            // The answer to a write has what was written, though searches do not show it yet.
            return SimAnswer::json(200, &self.listed(kind, rule, among, i64::MAX));
        }
        let table = self.table(kind);
        let (row, id_path) = (&table.rows[stored.at], table.shape.id.as_str());
        if let Some(name) = &rule.header {
            let is_place = name.eq_ignore_ascii_case("location") || name.eq_ignore_ascii_case("content-location");
            let own = incoming.path.trim_end_matches('/');
            // A key of ours at the end of the address gives way to the vendor's id.
            let folder = if incoming.request.method == Method::Post {
                own
            } else {
                own.rsplit_once('/').map_or(own, |(folder, _)| folder)
            };
            let id = row.id_text();
            let value = if is_place { format!("{}{folder}/{id}", incoming.origin) } else { id };
            let status = if incoming.request.method == Method::Post { 201 } else { 204 };
            let mut answer = SimAnswer::empty(status);
            answer.headers.push((name.clone(), value));
            return answer;
        }
        let mut document = empty();
        put_record(&mut document, rule, id_path, row);
        let status = if stored.created && incoming.request.method == Method::Post { 201 } else { 200 };
        SimAnswer::json(status, &document)
    }

    pub(super) fn proof(&mut self, kind: RecordKind, found: &Found, now: DateTime<Utc>) -> Served {
        let proof = self.resource(kind)?.proof.as_ref().ok_or_else(absent)?;
        if let Some(among) = &proof.receipt.among {
            return Ok(SimAnswer::json(200, &self.listed(kind, &proof.receipt, among, now.timestamp_millis())));
        }
        let at = self.named(kind, found);
        let table = self.table(kind);
        let seen = at.and_then(|at| {
            let row = &table.rows[at];
            row.seen(now.timestamp_millis()).map(|(value, _)| (row, value))
        });
        let Some((row, value)) = seen else { return not_proven(proof) };
        let row = Row { value: value.clone(), ..row.clone() };
        let mut document = empty();
        put_record(&mut document, &proof.receipt, &table.shape.id, &row);
        if let (Some(at), Some(revision)) = (&proof.revision, &row.revision)
            && path::first(&document, at).is_none()
        {
            path::put(&mut document, &concrete(at), number_or_text(revision));
        }
        if let Some(found) = &proof.found
            && path::first(&document, found).is_none()
        {
            render::place(&mut document, Some(found), vec![row.value]);
        }
        let mut answer = SimAnswer::json(200, &document);
        answer.headers.extend(proof.receipt.header.clone().map(|name| (name, row.id.to_text().unwrap_or_default().into_owned())));
        Ok(answer)
    }

    /// One record by its id.
    pub(super) fn get(&mut self, kind: RecordKind, record: Option<&str>, found: &Found, now: DateTime<Utc>) -> Served {
        let at = self.named(kind, found).ok_or_else(absent)?;
        let (value, _) = self.table(kind).rows[at].seen(now.timestamp_millis()).ok_or_else(absent)?;
        Ok(SimAnswer::json(200, &placed(value.clone(), record)))
    }

    pub(super) fn act(&mut self, kind: RecordKind, name: &str, found: &Found, now: DateTime<Utc>) -> Served {
        let at = self.named(kind, found).ok_or_else(absent)?;
        self.knows_version(kind, at, found)?;
        let receipt = self.resource(kind)?.actions.get(name).and_then(|action| action.receipt.as_ref());
        let before = self.table(kind).rows[at].value.clone();
        let mut value = self.mark(kind, before, name, true);
        for (place, own) in self.rules_of(kind).extra.actions.get(name).into_iter().flatten() {
            path::put(&mut value, place, Value::from(own));
        }
        let table = self.table(kind);
        table.replace(at, value, now.timestamp_millis(), now.timestamp_millis());
        let row = &mut table.rows[at];
        // An action is no write of content.
        row.updates -= 1;
        row.actions.insert(name.to_owned());
        let mut document = row.value.clone();
        if let Some(rule) = receipt {
            document = empty();
            put_record(&mut document, rule, &table.shape.id, &table.rows[at]);
        }
        Ok(SimAnswer::json(200, &document))
    }

    pub(super) fn action_proof(&mut self, kind: RecordKind, name: &str, found: &Found) -> Served {
        let resource = self.resource(kind)?;
        let proof = resource.actions.get(name).and_then(|action| action.proof.as_ref());
        if let Some((proof, among)) = proof.and_then(|proof| Some((proof, proof.among.as_ref()?))) {
            let each = |row: Row| {
                let mut one = row.value.clone();
                derive::make(&mut one, &proof.done, row.actions.contains(name) || row.creates == 0);
                one
            };
            let list = self.siblings(kind, i64::MAX).into_iter().map(each).collect();
            let mut document = empty();
            render::place(&mut document, Some(among), list);
            return Ok(SimAnswer::json(200, &document));
        }
        let at = self.named(kind, found).ok_or_else(absent)?;
        let row = &self.table(kind).rows[at];
        let (value, is_seeded, done) = (row.value.clone(), row.creates == 0, row.actions.clone());
        let asked = proof.ok_or_else(absent)?;
        // One request may prove several actions: what was done decides over what was not, the later over the earlier.
        let proofs = resource.actions.iter().filter_map(|(name, action)| Some((name, action.proof.as_ref()?)));
        let mut proofs: Vec<_> = proofs.filter(|(_, proof)| is_same_request(&proof.request, &asked.request)).collect();
        proofs.sort_by_key(|(name, _)| done.contains(*name));
        let mut document = self.proof_document(kind, value, &asked.done);
        for (name, proof) in proofs {
            let is_done = done.contains(name);
            // What was there from the start is as its sample is.
            if is_done || !is_seeded {
                derive::make(&mut document, &proof.done, is_done);
            }
        }
        Ok(SimAnswer::json(200, &document))
    }

    /// The record as an answer carries it that an action's proof looks at.
    fn proof_document(&self, kind: RecordKind, value: Value, done: &str) -> Value {
        if is_in_list(done) {
            return Value::List(vec![value]);
        }
        let resource = self.connector.manifest.resources.get(&kind);
        placed(value, resource.and_then(|resource| resource.get.as_ref()).and_then(|get| get.record.as_deref()))
    }

    /// The record as it is where an action was done, or was not, as far as the record itself tells.
    pub(super) fn mark(&self, kind: RecordKind, mut value: Value, action: &str, done: bool) -> Value {
        let Some(wish) = self.marks.get(&kind).and_then(|marks| marks.get(action)) else { return value };
        let resource = self.connector.manifest.resources.get(&kind);
        let proof = resource.and_then(|resource| resource.actions.get(action)).and_then(|action| action.proof.as_ref());
        let Some(proof) = proof else { return value };
        let record =
            resource.and_then(|resource| resource.get.as_ref()).and_then(|get| get.record.as_deref()).unwrap_or_default();
        // Found among others, a record stands as it is; found alone, where its own request puts it.
        if proof.among.is_some() || (record.is_empty() && !is_in_list(&proof.done)) {
            wish.grant(&mut value, done);
            return value;
        }
        let mut document = self.proof_document(kind, value.clone(), &proof.done);
        wish.grant(&mut document, done);
        if let Value::List(list) = &document {
            return list.first().cloned().unwrap_or(value);
        }
        path::first(&document, record).cloned().unwrap_or(value)
    }

    pub(super) fn batch(
        &mut self,
        kind: RecordKind,
        incoming: &Incoming<'_>,
        found: &Found,
        trouble: Option<Trouble>,
        now: DateTime<Utc>,
    ) -> Served {
        let rule = self.resource(kind)?.batch.as_ref().ok_or_else(absent)?;
        let payloads = match &found.payloads {
            Some(Value::List(list)) => list.clone(),
            _ => return Err(Refusal::new(FaultClass::Validation, "A list was expected.")),
        };
        if payloads.len() > rule.items_max as usize {
            let message = format!("{} items are more than the {} of one request.", payloads.len(), rule.items_max);
            return Err(Refusal::new(FaultClass::Validation, &message));
        }
        if trouble == Some(Trouble::AllOrNothing) {
            let refusal = |payload| self.rules_of(kind).refusal(payload, &self.vars(item_key(rule, payload).as_deref()));
            if let Some(refusal) = payloads.iter().find_map(refusal) {
                return Err(refusal);
            }
        }
        let count = if let Some(Trouble::ItemsMax(count)) = trouble { count } else { payloads.len() };
        let mut results = Vec::new();
        for (index, payload) in payloads.into_iter().take(count).enumerate() {
            let refused = trouble == Some(Trouble::RefuseItem(index));
            let result = self.batch_item(kind, rule, payload, (refused, incoming), now);
            results.extend(Some(result).filter(|_| trouble != Some(Trouble::OmitItem(index))));
        }
        let mut document = empty();
        render::place(&mut document, Some(&rule.results), results);
        Ok(SimAnswer::json(200, &document))
    }

    /// What the items of a batch are known by.
    pub(super) fn item_keys(&self, operation: &Operation, found: &Found) -> Vec<String> {
        let Operation::Batch(kind) = operation else { return vec![] };
        let rule = self.resource(*kind).ok().and_then(|resource| resource.batch.as_ref());
        let payloads = found.payloads.as_ref().and_then(Value::as_list).unwrap_or_default();
        rule.map(|rule| payloads.iter().filter_map(|payload| item_key(rule, payload)).collect()).unwrap_or_default()
    }

    fn batch_item(
        &mut self,
        kind: RecordKind,
        rule: &Batch,
        payload: Value,
        (refused, incoming): (bool, &Incoming<'_>),
        now: DateTime<Utc>,
    ) -> Value {
        let key = item_key(rule, &payload);
        let mut result = empty();
        let is_keyed = rule.item_key.is_some();
        let stored = if refused {
            Err(Refusal::new(FaultClass::Validation, "This item was refused."))
        } else {
            self.store_one(kind, payload.clone(), key.as_deref(), (is_keyed, incoming), now)
        };
        match stored {
            Ok(stored) => {
                let row = &self.table(kind).rows[stored.at];
                put_receipt(&mut result, &rule.receipt, row);
                derive::make(&mut result, &rule.refused, false);
            }
            Err(refusal) => {
                let said = self.connector.refuse(&refusal, &self.codes, now);
                result = self.connector.parse(&as_http(&said)).unwrap_or_else(empty);
                derive::make(&mut result, &rule.refused, true);
            }
        }
        if let (Some(at), Some(key)) = (&rule.result_key, key) {
            path::put(&mut result, at, key.into());
        }
        result
    }

    pub(super) fn table(&mut self, kind: RecordKind) -> &mut Table {
        let (connector, seed) = (self.connector, self.seed);
        let samples = &self.samples;
        self.store.tables.entry(kind).or_insert_with(|| {
            let sample = samples.get(&kind).and_then(|list| list.first());
            Table::new(super::shape(connector, kind), sample, super::seed::hash(seed, &[kind.as_str()]))
        })
    }
}

fn item_key(rule: &Batch, payload: &Value) -> Option<String> {
    path::first(payload, rule.item_key.as_deref()?).and_then(Value::to_text).map(|text| text.into_owned())
}

fn is_same_request(one: &Request, other: &Request) -> bool {
    std::ptr::eq(one, other) || format!("{one:?}") == format!("{other:?}")
}

/// A record where an answer carries it.
fn placed(value: Value, record: Option<&str>) -> Value {
    let Some(at) = record.filter(|at| !at.is_empty()) else { return value };
    let mut document = empty();
    path::put(&mut document, &concrete(at), value);
    document
}

fn not_proven(proof: &ProofRule) -> Served {
    if let Some(found) = &proof.found {
        let mut document = empty();
        match found.rsplit_once('.') {
            _ if !proof.absent_is_empty => render::place(&mut document, Some(found), vec![]),
            // What is around the list stays.
            Some((around, _)) => path::put(&mut document, &concrete(around), empty()),
            None => {}
        }
        return Ok(SimAnswer::json(200, &document));
    }
    let said = proof.absent.first();
    Err(Refusal { code: said.and_then(|said| said.code.first()).cloned(), status: said.map(|said| said.status), ..absent() })
}

/// The record where the receipt says that its id is: `data.order.id` is the `id` of `data.order`.
fn put_record(document: &mut Value, rule: &ReceiptRule, id_path: &str, row: &Row) {
    let at = rule.path.as_deref().unwrap_or(id_path);
    let whole = at.strip_suffix(id_path).filter(|before| before.is_empty() || before.ends_with('.'));
    let before =
        whole.map(|before| before.trim_end_matches('.')).unwrap_or_else(|| at.rsplit_once('.').map_or("", |(before, _)| before));
    if before.is_empty() {
        *document = row.value.clone();
    } else {
        path::put(document, &concrete(before), row.value.clone());
    }
    put_receipt(document, rule, row);
}

fn put_receipt(document: &mut Value, rule: &ReceiptRule, row: &Row) {
    if let Some(at) = &rule.path {
        path::put(document, &concrete(at), row.id.clone());
    }
    if let Some(at) = &rule.version
        && path::first(document, at).is_none_or(Value::is_null)
    {
        path::put(document, &concrete(at), (i64::from(row.updates) + 1).to_string().into());
    }
}

fn number_or_text(text: &str) -> Value {
    text.parse::<i64>().map_or_else(|_| Value::from(text), Value::from)
}

/// True where a record says all that is asked for.
fn says(record: &Value, asked: &Value) -> bool {
    match asked {
        Value::Map(asked) => asked.iter().all(|(name, asked)| record.get(name).is_some_and(|own| says(own, asked))),
        Value::List(_) => record == asked,
        plain => record.to_text() == plain.to_text(),
    }
}

/// Takes what a write carries; a body that cannot be read is refused.
fn payload(incoming: &Incoming<'_>, found: &mut Found, request: &Request) -> Result<Value, Refusal> {
    let is_text = matches!(request.body, Some(Body::Text(_) | Body::X12));
    if !incoming.request.body.is_empty() && incoming.body.is_none() && !found.is_body && !is_text {
        return Err(Refusal::new(FaultClass::Validation, "Error while parsing the request body."));
    }
    Ok(found.payload.take().unwrap_or_else(empty))
}
