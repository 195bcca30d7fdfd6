//! A vendor's simulator, made of its own connector: it serves what `connector.yaml` declares and nothing else. Its records look like the
//! folder's samples, what is written to it can be read from it, and what goes wrong goes wrong on purpose.
//!
//! Values in, values out: time comes with each request and nothing is sent, so that the same seed and the same requests give the same bytes.
//! What a manifest cannot tell (what the vendor refuses and computes) stands beside it in `simulator.yaml`.

mod answer;
mod consent;
mod control;
mod derive;
mod extra;
mod fault;
mod guard;
mod hook;
mod incoming;
mod key;
mod limit;
mod list;
mod look_up;
mod operation;
mod pattern;
mod populate;
mod refusal;
mod render;
mod route;
mod seed;
mod store;
mod time;
mod token;
mod write;

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use domain::fault::FaultClass;
use domain::http::{Delivery, HttpRequest};
use domain::record::RecordKind;
use domain::secret::SecretFields;
use domain::value::Value;
use indexmap::IndexMap;

use self::derive::Wish;
use self::extra::{Extra, KindRules};
use self::fault::{Faults, Trouble};
use self::guard::{Account, Guard};
use self::hook::Hooks;
use self::incoming::Incoming;
use self::key::Keys;
use self::limit::Buckets;
use self::list::{Item, Listing};
use self::pattern::Found;
use self::refusal::{Codes, Refusal};
use self::route::Routes;
use self::store::{Shape, Store};
use self::write::Served;
use crate::connector::Connector;
use crate::manifest::{Include, Read};

pub use answer::{SimAnswer, SimCall, SimRecord, SimStats, Writes};
pub use consent::Consenting;
pub use fault::{Fault, FaultMatcher, Weather};
pub use hook::{HookEvent, HookSubscription, OutgoingHook};
pub use operation::Operation;

/// Answers that are remembered by their idempotency key.
const REMEMBERED_MAX: usize = 100_000;
/// What a folder's rates are served from.
const RATES_SAMPLES: [(&str, &str); 2] =
    [("samples/rates.in.json", "application/json"), ("samples/rates.in.xml", "application/xml")];
/// Requests that are remembered.
const CALLS_MAX: usize = 1_000_000;
/// How many records of a kind there are at the start, where there is a sample and nothing else is said.
const RECORDS: usize = 25;

/// Why a connector cannot be simulated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SimulatorError {
    #[error("simulator.yaml cannot be used: {0}")]
    Extra(String),
}

/// One vendor account.
#[derive(Debug)]
pub struct Simulator<'c> {
    connector: &'c Connector,
    settings: serde_json::Value,
    credential: SecretFields,
    /// What it may be called with: the credential, and what was made since.
    keys: Keys,
    seed: u64,
    limits: bool,
    records: usize,
    routes: Routes,
    rules: BTreeMap<RecordKind, KindRules>,
    no_rules: KindRules,
    samples: BTreeMap<RecordKind, Vec<Value>>,
    store: Store,
    guard: Guard,
    consenting: Consenting,
    buckets: Buckets,
    faults: Faults,
    hooks: Hooks,
    remembered: HashMap<String, SimAnswer>,
    outgoing: Vec<OutgoingHook>,
    /// Requests that take effect later, and when.
    late: Vec<(DateTime<Utc>, HttpRequest)>,
    calls: Vec<SimCall>,
    stats: SimStats,
    not_simulated: IndexMap<String, String>,
    codes: Codes,
    /// What tells of each action that it was done.
    marks: BTreeMap<RecordKind, IndexMap<String, Wish>>,
    /// How long each request takes, ms.
    latency_ms: u64,
}

impl<'c> Simulator<'c> {
    /// An account with these settings and this credential. The same seed makes the same records, ids and tokens.
    ///
    /// # Errors
    /// Where the folder's `simulator.yaml` cannot be used.
    pub fn new(
        connector: &'c Connector,
        seed: u64,
        settings: serde_json::Value,
        credential: SecretFields,
    ) -> Result<Self, SimulatorError> {
        let extra = connector.file("simulator.yaml").map(extra).transpose()?.unwrap_or_default();
        let (not_simulated, codes) = (extra.not_simulated.clone(), extra.codes.clone());
        let rules = kind_rules(extra)?;
        let mut simulator = Self {
            routes: Routes::new(connector, &settings, &credential),
            samples: populate::samples(connector),
            connector,
            settings,
            keys: Keys::new(&credential),
            credential,
            seed,
            limits: false,
            records: RECORDS,
            rules,
            no_rules: KindRules::default(),
            store: Store::default(),
            guard: Guard::new(seed),
            consenting: Consenting::default(),
            buckets: Buckets::default(),
            faults: Faults::default(),
            hooks: Hooks::default(),
            remembered: HashMap::new(),
            outgoing: vec![],
            late: vec![],
            calls: vec![],
            stats: SimStats::default(),
            not_simulated,
            codes,
            marks: derive::marks(connector),
            latency_ms: 0,
        };
        simulator.populate();
        Ok(simulator)
    }

    /// Whether the vendor's limits are kept and told. Off at first, because tests read fast.
    #[must_use]
    pub fn with_limits(self, limits: bool) -> Self {
        Self { limits, ..self }
    }

    /// How long each request takes, ms, beside what a fault makes of it.
    #[must_use]
    pub fn with_latency_ms(self, latency_ms: u64) -> Self {
        Self { latency_ms, ..self }
    }

    /// From now on each request takes so long, ms.
    pub fn set_latency_ms(&mut self, latency_ms: u64) {
        self.latency_ms = latency_ms;
    }

    /// How many records of each kind there are at the start, where there are samples and `simulator.yaml` says nothing else.
    #[must_use]
    pub fn with_records(mut self, records: usize) -> Self {
        self.records = records;
        self.store = Store::default();
        self.populate();
        self
    }

    /// Further rules, as of a `simulator.yaml`: for the kinds that they name, in place of the folder's.
    ///
    /// # Errors
    /// Where they cannot be used.
    pub fn with_rules(mut self, yaml: &str) -> Result<Self, SimulatorError> {
        self.rules.extend(kind_rules(extra(yaml)?)?);
        self.store = Store::default();
        self.populate();
        Ok(self)
    }

    /// Forgets all that happened; tokens that were given out stay good.
    pub fn reset(&mut self) {
        self.store = Store::default();
        self.buckets = Buckets::default();
        self.faults = Faults::default();
        self.hooks = Hooks::default();
        self.remembered.clear();
        self.outgoing.clear();
        self.late.clear();
        self.calls.clear();
        self.stats = SimStats::default();
        self.populate();
    }

    /// The next requests that fit meet this fault, after those that were ordered before.
    pub fn fail(&mut self, matcher: FaultMatcher, fault: Fault) {
        self.faults.order(matcher, fault);
    }

    /// From now on faults come at random: of the first of these that fits a request.
    pub fn set_weather(&mut self, weather: Vec<Weather>, seed: u64) {
        self.faults.set_weather(weather, seed);
    }

    /// Every request that came, in its order; the first 1,000,000.
    #[must_use]
    pub fn calls(&self) -> &[SimCall] {
        &self.calls
    }

    /// What it cannot show, and why, by the beginning of a check's name (`simulator.yaml`).
    #[must_use]
    pub fn not_simulated(&self) -> &IndexMap<String, String> {
        &self.not_simulated
    }

    #[must_use]
    pub fn stats(&self) -> &SimStats {
        &self.stats
    }

    /// All records of a kind, in the order of their creation.
    #[must_use]
    pub fn stored(&self, kind: RecordKind) -> Vec<SimRecord> {
        let rows = self.store.tables.get(&kind).map(|table| table.rows.as_slice()).unwrap_or_default();
        let record = |row: &store::Row| SimRecord {
            id: row.id_text(),
            external_key: row.key.clone(),
            revision: row.revision.clone(),
            value: row.value.clone(),
            creates: row.creates,
            updates: row.updates,
        };
        // One that was taken away is nothing.
        rows.iter().filter(|row| !row.value.is_null()).map(record).collect()
    }

    /// How many records of a kind there are.
    #[must_use]
    pub fn count(&self, kind: RecordKind) -> usize {
        self.store.tables.get(&kind).map_or(0, |table| table.rows.len())
    }

    /// The ids of all records of a kind, in the order of their creation.
    #[must_use]
    pub fn ids(&self, kind: RecordKind) -> Vec<String> {
        self.store.tables.get(&kind).map(|table| table.rows.iter().map(store::Row::id_text).collect()).unwrap_or_default()
    }

    /// A record changes at a moment, though its content stays; false where it is not there.
    pub fn touch(&mut self, kind: RecordKind, id: &str, at: DateTime<Utc>) -> bool {
        let value = self.store.tables.get(&kind).and_then(|table| Some(table.rows[table.by_id(id)?].value.clone()));
        value.map(|value| self.put_record(kind, value, at)).is_some()
    }

    /// When the newest change of a kind was; none where it has no records.
    #[must_use]
    pub fn newest(&self, kind: RecordKind) -> Option<DateTime<Utc>> {
        let changed = self.store.tables.get(&kind)?.rows.iter().map(|row| row.changed).max()?;
        DateTime::from_timestamp_millis(changed)
    }

    /// Canonical fields that a written record does not come back with as they were, and why (`simulator.yaml`).
    pub fn not_read_back(&self, kind: RecordKind) -> impl Iterator<Item = (&str, &str)> {
        self.rules_of(kind).extra.not_read_back.iter().map(|(field, why)| (field.as_str(), why.as_str()))
    }

    /// How often a record with this key, under it or in it, was written.
    #[must_use]
    pub fn writes(&self, kind: RecordKind, key: &str) -> Writes {
        let rows = self.store.tables.get(&kind).map(|table| table.rows.as_slice()).unwrap_or_default();
        rows.iter().filter(|row| row.carries(key)).fold(Writes::default(), |sum, row| Writes {
            records: sum.records + 1,
            creates: sum.creates + row.creates,
            updates: sum.updates + row.updates,
        })
    }

    /// Hooks that control requests asked for: whoever runs the simulator sends them.
    pub fn take_outgoing(&mut self) -> Vec<OutgoingHook> {
        std::mem::take(&mut self.outgoing)
    }

    /// The vendor's answer. `in_flight` is how many requests are served at this moment, this one included.
    pub fn answer(&mut self, request: &HttpRequest, in_flight: usize, now: DateTime<Utc>) -> SimAnswer {
        self.land(now);
        let mut incoming = Incoming::new(request);
        if let Some(rest) = incoming.path.strip_prefix(control::PREFIX) {
            return self.control(rest, &incoming, now);
        }
        let (operation, found) = self.asked(&incoming);
        let name = operation.as_ref().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        if self.calls.len() < CALLS_MAX {
            let key = ["external_key", "external_id"].into_iter().find_map(|name| found.get(name)).map(str::to_owned);
            let items = operation.as_ref().map_or_else(Vec::new, |operation| self.item_keys(operation, &found));
            self.calls.push(SimCall { operation: name.clone(), key, items });
        }
        *self.stats.requests.entry(name).or_default() += 1;
        self.stats.in_flight_max = self.stats.in_flight_max.max(in_flight);
        let fault = self.faults.take(operation.as_ref(), request.method.as_str());
        if let Some(Fault::DropThenCommitMs(ms)) = &fault {
            let at = now.checked_add_signed(chrono::Duration::milliseconds(i64::try_from(*ms).unwrap_or(i64::MAX)));
            self.late.push((at.unwrap_or(now), request.clone()));
        }
        let mut answer = match self.before(fault.as_ref(), now) {
            Some(answer) => answer,
            None => {
                let points = operation.as_ref().map_or(1, |operation| limit::points(operation, self.read_of(operation)));
                let admitted = self.admit(operation.as_ref(), &incoming, (in_flight, points), now);
                let trouble = fault.as_ref().and_then(Trouble::of);
                let served = admitted.and_then(|()| self.serve(operation.as_ref(), &mut incoming, found, trouble, now));
                let mut answer = served.unwrap_or_else(|refusal| self.connector.refuse(&refusal, &self.codes, now));
                if self.limits {
                    limit::report(&self.buckets, self.connector, (&incoming.path, points), &mut answer, now);
                }
                answer
            }
        };
        answer.delay_ms = self.latency_ms;
        if let Some(code) = &answer.code {
            *self.stats.refused.entry(code.clone()).or_default() += 1;
        }
        match &fault {
            Some(Fault::AnotherId) => self.name_another(operation.as_ref(), &mut answer),
            Some(Fault::StatusAfterCommit(status)) => {
                let refusal =
                    Refusal { status: Some(*status), ..Refusal::new(FaultClass::Outage, "An unexpected error occurred.") };
                answer = SimAnswer { delay_ms: answer.delay_ms, ..self.connector.refuse(&refusal, &self.codes, now) };
            }
            Some(fault) => fault::spoil(&mut answer, fault),
            None => {}
        }
        let echo = self.connector.manifest.version_echo.as_ref().and_then(|place| place.header.first());
        answer.headers.extend(echo.map(|name| (name.clone(), self.connector.version().to_owned())));
        answer.headers.push(("Date".to_owned(), now.format("%a, %d %b %Y %H:%M:%S GMT").to_string()));
        answer
    }

    /// What a request asks for, and what it carries for that.
    fn asked(&self, incoming: &Incoming<'_>) -> (Option<Operation>, Found) {
        let mut candidates = self.routes.find(incoming);
        if candidates.is_empty() {
            return (None, Found::default());
        }
        // Where several fit alike, it is the one whose record the vendor has.
        let at = candidates.iter().position(|(operation, found)| self.has(operation, found)).unwrap_or_default();
        let (operation, found) = candidates.swap_remove(at);
        (Some(operation), found)
    }

    /// What was asked earlier takes effect, where its time has come.
    fn land(&mut self, now: DateTime<Utc>) {
        while let Some(at) = self.late.iter().position(|(at, _)| *at <= now) {
            let (at, request) = self.late.swap_remove(at);
            let mut incoming = Incoming::new(&request);
            let (operation, found) = self.asked(&incoming);
            // Nobody waits for what it says.
            let _ = self.serve(operation.as_ref(), &mut incoming, found, None, at);
        }
    }

    /// Puts the id of another record into an answer, where there is one.
    fn name_another(&self, operation: Option<&Operation>, answer: &mut SimAnswer) {
        let ids = operation.and_then(Operation::kind).map(|kind| self.ids(kind)).unwrap_or_default();
        let [other, .., own] = ids.as_slice() else { return };
        answer.body = String::from_utf8_lossy(&answer.body).replace(own.as_str(), other).into();
        for (_, value) in &mut answer.headers {
            *value = value.replace(own.as_str(), other);
        }
    }

    /// What a fault does before the request is looked at; an answer where that is all there is.
    fn before(&mut self, fault: Option<&Fault>, now: DateTime<Utc>) -> Option<SimAnswer> {
        let refusal = |class, status| Refusal { status, ..Refusal::new(class, "An unexpected error occurred.") };
        match fault? {
            Fault::Status(status) => {
                let class = match *status {
                    401 => FaultClass::Authentication,
                    403 => FaultClass::Permission,
                    404 => FaultClass::NotFound,
                    409 => FaultClass::Conflict,
                    410 => FaultClass::Gone,
                    429 => FaultClass::Limit,
                    500.. => FaultClass::Outage,
                    _ => FaultClass::Validation,
                };
                Some(self.connector.refuse(&refusal(class, Some(*status)), &self.codes, now))
            }
            Fault::Class(class) => Some(self.connector.refuse(&refusal(*class, None), &self.codes, now)),
            Fault::LimitedFor(seconds) => {
                let refusal = Refusal::new(FaultClass::Limit, "Too many requests.");
                let wait_ms = Some(i64::from(*seconds) * 1_000);
                let mut answer = self.connector.refuse(&Refusal { wait_ms, ..refusal }, &self.codes, now);
                answer.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("retry-after"));
                answer.headers.push(("Retry-After".to_owned(), seconds.to_string()));
                Some(answer)
            }
            Fault::ErrorInside => {
                Some(self.error_inside(self.connector.manifest.error.inside.first().map_or("errors", String::as_str)))
            }
            Fault::DropBeforeCommit | Fault::HangBeforeCommit | Fault::DropThenCommitMs(_) => {
                Some(SimAnswer { delivery: Delivery::Drop, ..SimAnswer::empty(500) })
            }
            Fault::Redirect(to) => {
                let mut answer = SimAnswer::empty(302);
                answer.headers.push(("Location".to_owned(), to.clone()));
                Some(answer)
            }
            Fault::ExpireTokens => {
                self.expire_tokens();
                None
            }
            Fault::DeleteSubscriptions => {
                self.delete_subscriptions();
                None
            }
            _ => None,
        }
    }

    /// Who may come in, and how many.
    fn admit(
        &mut self,
        operation: Option<&Operation>,
        incoming: &Incoming<'_>,
        (in_flight, points): (usize, u32),
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if matches!(operation, Some(Operation::Authorize | Operation::Token | Operation::LogIn)) {
            return Ok(());
        }
        let mut verdict = Err("there is no key any more");
        for key in &self.keys.rows {
            let account = Account { connector: self.connector, settings: &self.settings, credential: &key.credential };
            verdict = self.guard.verify(&self.connector.manifest.auth, account, incoming, now);
            if verdict.is_ok() {
                break;
            }
        }
        verdict.map_err(|why| Refusal::new(FaultClass::Authentication, &format!("Authentication failed: {why}.")))?;
        if self.limits {
            let call = (incoming.path.as_str(), in_flight, points);
            limit::admit(&mut self.buckets, self.connector, &self.settings, call, now)
                .map_err(|full| Refusal { wait_ms: full.wait_ms, ..Refusal::new(FaultClass::Limit, full.message) })?;
        }
        Ok(())
    }

    fn serve(
        &mut self,
        operation: Option<&Operation>,
        incoming: &mut Incoming<'_>,
        mut found: Found,
        trouble: Option<Trouble>,
        now: DateTime<Utc>,
    ) -> Served {
        let Some(operation) = operation else {
            return Err(Refusal { status: Some(404), ..Refusal::new(FaultClass::NotFound, "There is nothing at this address.") });
        };
        let remembered = found.get("idempotency_key").filter(|_| operation.writes()).map(|key| format!("{operation} {key}"));
        if let Some(answer) = remembered.as_ref().and_then(|key| self.remembered.get(key)) {
            return Ok(answer.clone());
        }
        if found.is_body {
            // A list may still look for its page in the body; a write needs it once.
            found.payload = if operation.writes() { incoming.body.take() } else { incoming.body.clone() };
        }
        let (incoming, found) = (&*incoming, &mut found);
        let answer = match operation {
            Operation::List(_) | Operation::Include(..) | Operation::Parents(_) => {
                self.list(operation, incoming, found, trouble, now)
            }
            Operation::Get(kind) => {
                let get = self.connector.manifest.resources.get(kind).and_then(|resource| resource.get.as_ref());
                self.get(*kind, get.and_then(|get| get.record.as_deref()), found, now)
            }
            Operation::Fetch(topic) => {
                let topic = self.connector.manifest.webhooks.as_ref().and_then(|hook| hook.topics.get(topic));
                let topic = topic.ok_or_else(|| Refusal::new(FaultClass::NotFound, "There is no such topic."))?;
                self.get(topic.kind, topic.fetch.as_ref().and_then(|fetch| fetch.record.as_deref()), found, now)
            }
            Operation::Write(kind) => self.write(*kind, incoming, found, now),
            Operation::Update(kind) => self.update(*kind, incoming, found, now),
            Operation::Batch(kind) => self.batch(*kind, incoming, found, trouble, now),
            Operation::Proof(kind) => self.proof(*kind, found, now),
            Operation::LookUp(kind, name) => self.look_up(*kind, name, found, now),
            Operation::Action(kind, name) => self.act(*kind, name, found, now),
            Operation::ActionProof(kind, name) => self.action_proof(*kind, name, found),
            Operation::Subscribe => self.subscribe(found, now),
            Operation::Subscriptions => self.list_subscriptions(incoming, found, now),
            Operation::Renew => self.renew(found, now),
            Operation::Unsubscribe => self.unsubscribe(found, now),
            Operation::Rates => self.rates(),
            Operation::Probe => Ok(SimAnswer::json(200, &Value::from(&serde_json::json!({})))),
            Operation::MakeKey => self.make_key(found),
            Operation::ListKeys => self.list_keys(),
            Operation::RetireKey => self.retire_key(found),
            Operation::Authorize => Ok(self.authorize(incoming, now)),
            Operation::Token | Operation::LogIn => self.open(incoming, now),
        }?;
        if let Some(key) = remembered {
            if self.remembered.len() >= REMEMBERED_MAX {
                self.remembered.clear();
            }
            self.remembered.insert(key, answer.clone());
        }
        Ok(answer)
    }

    /// The rates of the folder's sample; nothing of them is made up.
    fn rates(&self) -> Served {
        let sample = RATES_SAMPLES.iter().find_map(|(name, kind)| Some((self.connector.file(name)?, *kind)));
        let (body, kind) = sample.ok_or_else(|| Refusal::new(FaultClass::NotFound, "There is no sample of rates."))?;
        let mut answer = SimAnswer::empty(200);
        answer.headers.push(("Content-Type".to_owned(), kind.to_owned()));
        answer.body = body.as_bytes().to_vec().into();
        Ok(answer)
    }

    /// True where the vendor has the record that a request names, or it names none.
    fn has(&self, operation: &Operation, found: &Found) -> bool {
        let topics = || self.connector.manifest.webhooks.as_ref().map(|hook| &hook.topics);
        let kind = match operation {
            Operation::Fetch(topic) => topics().and_then(|topics| topics.get(topic)).map(|topic| topic.kind),
            operation => operation.kind(),
        };
        let named = ["source_id", "external_id", "parent.id"].into_iter().find_map(|name| found.get(name));
        let (Some(kind), Some(named)) = (kind, named) else { return true };
        let Some(table) = self.store.tables.get(&kind) else { return false };
        match operation {
            Operation::List(_) => table.rows.iter().any(|row| row.parent.as_deref() == Some(named)),
            _ => table.by_id(named).or_else(|| table.by_key(named)).is_some(),
        }
    }

    /// The rules of the list that an operation is.
    fn read_of(&self, operation: &Operation) -> Option<&'c Read> {
        if let Operation::Include(kind, into) = operation {
            return includes(self.connector, *kind).find(|include| include.into == *into).map(|include| &include.read);
        }
        let read = self.connector.manifest.resources.get(&operation.kind()?)?.read.as_ref()?;
        match operation {
            Operation::List(_) => Some(read),
            Operation::Parents(_) => read.parent.as_ref().map(|parent| &parent.read),
            _ => None,
        }
    }

    fn list(
        &mut self,
        operation: &Operation,
        incoming: &Incoming<'_>,
        found: &Found,
        trouble: Option<Trouble>,
        now: DateTime<Utc>,
    ) -> Served {
        let nothing = || Refusal::new(FaultClass::NotFound, "There is no such list.");
        let (read, kind) = (self.read_of(operation).ok_or_else(nothing)?, operation.kind().ok_or_else(nothing)?);
        let name = operation.to_string();
        let listing = Listing { read, incoming, found, secret: self.seed, name: &name, trouble };
        self.table(kind);
        let now_ms = now.timestamp_millis();
        if let Operation::Include(_, into) = operation {
            let id = found.get("source_id").unwrap_or_default();
            let table = self.store.tables.get(&kind);
            let row = table.and_then(|table| Some(&table.rows[table.by_id(id)?])).ok_or_else(nothing)?;
            let kept = self.store.apart.get(&(kind, into.clone())).and_then(|lists| lists.get(id)).map(Vec::as_slice);
            let kept = kept.or_else(|| crate::path::first(&row.value, into)?.as_list()).unwrap_or_default();
            // In their own order, whichever way the list is read.
            let seq = |at: usize| (kept.len() - at) as u64;
            let mut items: Vec<_> = kept.iter().enumerate().map(|(at, value)| Item { value, changed: 0, seq: seq(at) }).collect();
            items.reverse();
            return listing.answer(items);
        }
        let table = match operation {
            Operation::Parents(_) => match self.store.parents.get(&kind) {
                None => self.parent_kind(kind).and_then(|other| self.store.tables.get(&other)),
                own => own,
            },
            _ => self.store.tables.get(&kind),
        };
        let parent = listing.parent();
        let rows = table.map(|table| table.rows.as_slice()).unwrap_or_default();
        let of_parent = rows.iter().filter(|row| parent.is_empty() || row.parent.as_deref() == Some(parent));
        let item = |row: &'_ store::Row| row.seen(now_ms).map(|_| ());
        let items = of_parent.filter(|row| item(row).is_some());
        let items = items.filter_map(|row| row.seen(now_ms).map(|(value, changed)| Item { value, changed, seq: row.seq }));
        listing.answer(items.collect())
    }
}

/// What a vendor keeps apart from a kind's records, whoever asks for it.
fn includes(connector: &Connector, kind: RecordKind) -> impl Iterator<Item = &Include> {
    let resource = connector.manifest.resources.get(&kind);
    let of_read = resource.and_then(|resource| resource.read.as_ref()).into_iter().flat_map(|read| &read.include);
    let of_get = resource.and_then(|resource| resource.get.as_ref()).into_iter().flat_map(|get| &get.include);
    let topics = connector.manifest.webhooks.iter().flat_map(|hook| hook.topics.values());
    let of_topics = topics.filter(move |topic| topic.kind == kind).filter_map(|topic| topic.fetch.as_ref());
    of_read.chain(of_get).chain(of_topics.flat_map(|fetch| &fetch.include))
}

fn extra(yaml: &str) -> Result<Extra, SimulatorError> {
    crate::parse::yaml(yaml).map_err(|error| SimulatorError::Extra(error.to_string()))
}

fn kind_rules(extra: Extra) -> Result<BTreeMap<RecordKind, KindRules>, SimulatorError> {
    extra.kinds.into_iter().map(|(kind, extra)| Ok((kind, KindRules::compile(kind, extra)?))).collect()
}

/// Where a kind's records carry what.
fn shape(connector: &Connector, kind: RecordKind) -> Shape {
    let resource = connector.manifest.resources.get(&kind);
    let since = resource.and_then(|resource| resource.read.as_ref()).and_then(|read| read.since.as_ref());
    let of_topic = || {
        let topics = connector.manifest.webhooks.as_ref().map(|hook| &hook.topics);
        topics.into_iter().flat_map(|topics| topics.values()).find(|topic| topic.kind == kind).map(|topic| topic.id.clone())
    };
    Shape {
        id: resource.and_then(|resource| resource.id.clone()).or_else(of_topic).unwrap_or_else(|| "id".to_owned()),
        updated_at: since
            .and_then(|since| since.field.clone())
            .or_else(|| resource.and_then(|resource| resource.updated_at.clone())),
        version: resource.and_then(|resource| resource.version.clone()),
        time: since.map(|since| since.record_format.clone().unwrap_or_else(|| since.format.clone())).unwrap_or_default(),
    }
}
