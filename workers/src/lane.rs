//! A lane is the work of one place: one tenant's deliveries to one connection, in order, within the vendor's limit.
//! It loads a batch, decides, commits the attempts as started, calls, and hands the ends to the writer.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::Utc;
use connectors::{Connector, Proof, RequestContext};
use domain::delivery::{self, DeliveryState, Next, Outcome};
use domain::exception::Reason;
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest, NoAnswer};
use domain::id::{AttemptId, ConnectionId, DeliveryId, TenantId};
use domain::mapping::{Untranslated, Vars};
use domain::scope::Scope;
use domain::secret::Redactor;
use domain::task::Place;
use domain::value::{Limits, Value};
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::ledger::{ANSWER_BYTES_MAX, ConnectionRow, Ended, Finish, Parcel, Start, Step};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tracing::warn;
use uuid::Uuid;

use crate::Context;
use crate::directory::{CompiledFlow, Credential, Directory, TenantLookups};

/// Ids that wait in memory for one place; the backlog waits in Postgres.
const QUEUE_MAX: usize = 20_000;
/// Calls that one lane begins ahead, whatever the vendor allows.
const WINDOW_MAX: u32 = 256;
/// Deliveries of one transaction.
const BATCH_MAX: usize = 100;
/// How long a started attempt may wait for a slot of the vendor's limit.
pub const SLOT_WAIT: Duration = Duration::from_secs(2);
/// What an attempt may take beyond the call itself and the wait for a slot, before the sweeper calls it unknown.
const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// Tries to prove an unknown delivery before a person is asked.
const PROOFS_MAX: i32 = 20;
/// Calls at once to a vendor that declares no limit.
pub const CONCURRENCY_UNLIMITED: u32 = 32;

pub struct Lane {
    shared: Arc<Shared>,
    worker: JoinHandle<()>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Notify,
}

struct Queue {
    ids: VecDeque<Uuid>,
    waiting: HashSet<Uuid>,
    closed: bool,
    busy: bool,
    idle_since: Instant,
}

impl Lane {
    pub fn open(context: Arc<Context>, directory: Arc<Directory>, place: Place, ends: mpsc::Sender<(TenantId, Finish)>) -> Self {
        let queue =
            Queue { ids: VecDeque::new(), waiting: HashSet::new(), closed: false, busy: false, idle_since: Instant::now() };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), arrived: Notify::new() });
        let work = Work {
            context,
            directory,
            scope: Scope::system(place.tenant, "deliver"),
            ends,
            slots: Mutex::default(),
            calls: Pace::default(),
        };
        let worker = tokio::spawn(run(Arc::new(work), shared.clone()));
        Self { shared, worker }
    }

    /// Queues ids. Those that find no room stay as they are in Postgres, and the sweeper brings them when there is.
    pub fn load(&self, ids: &[Uuid]) {
        let mut queue = self.shared.lock();
        for id in ids {
            if queue.ids.len() < QUEUE_MAX && queue.waiting.insert(*id) {
                queue.ids.push_back(*id);
            }
        }
        self.shared.arrived.notify_one();
    }

    pub fn is_idle_for(&self, time: Duration) -> bool {
        let queue = self.shared.lock();
        queue.ids.is_empty() && !queue.busy && queue.idle_since.elapsed() > time
    }

    /// Takes nothing more and waits for the calls under way.
    pub async fn close(self) {
        {
            let mut queue = self.shared.lock();
            queue.closed = true;
            queue.ids.clear();
        }
        self.shared.arrived.notify_one();
        if let Err(error) = self.worker.await {
            warn!(%error, "A lane broke off; the sweeper brings its deliveries again");
        }
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.queue.lock().expect("no code panics while it holds the queue")
    }
}

impl Queue {
    fn take(&mut self, count: usize) -> Vec<Uuid> {
        let ids: Vec<Uuid> = self.ids.drain(..count.min(self.ids.len())).collect();
        for id in &ids {
            self.waiting.remove(id);
        }
        ids
    }
}

/// How long things take here, as a moving average: what decides how many calls are begun ahead.
#[derive(Default)]
struct Pace(AtomicU64);

impl Pace {
    fn note(&self, took: Duration) {
        let (old, new) = (self.0.load(Ordering::Relaxed), u64::try_from(took.as_micros()).unwrap_or(u64::MAX).min(60_000_000));
        self.0.store(if old == 0 { new } else { (old * 7 + new) / 8 }, Ordering::Relaxed);
    }

    fn us(&self) -> u64 {
        self.0.load(Ordering::Relaxed).max(1)
    }
}

/// So many calls begun that the vendor's slots stay busy while the next batch is loaded and committed: no more, because a begun attempt
/// that waits for its slot is one that a crash makes unknown.
fn window(concurrency_max: u32, begin_us: u64, call_us: u64) -> usize {
    if u128::from(call_us) >= SLOT_WAIT.as_micros() {
        // What is begun beyond the slots would only find out that none becomes free in time.
        return usize::try_from(concurrency_max).unwrap_or(usize::MAX);
    }
    let ahead = u64::from(concurrency_max) * 2 * begin_us / call_us;
    let least = u64::from(concurrency_max) + u64::from(concurrency_max) / 2 + 1;
    usize::try_from((u64::from(concurrency_max) + ahead).clamp(least, u64::from(WINDOW_MAX.max(concurrency_max * 2))))
        .unwrap_or(usize::MAX)
}

/// What a lane works with.
struct Work {
    context: Arc<Context>,
    directory: Arc<Directory>,
    scope: Scope,
    ends: mpsc::Sender<(TenantId, Finish)>,
    /// One semaphore for each bucket: calls of this process queue here in order instead of all asking Redis.
    slots: Mutex<HashMap<String, Arc<Semaphore>>>,
    calls: Pace,
}

async fn run(work: Arc<Work>, shared: Arc<Shared>) {
    let mut calls: JoinSet<()> = JoinSet::new();
    let begins = Pace::default();
    let mut concurrency_max = 1;
    loop {
        let window = window(concurrency_max, begins.us(), work.calls.us());
        while calls.try_join_next().is_some() {}
        let room = window.saturating_sub(calls.len()).min(BATCH_MAX);
        let (ids, closed) = {
            let mut queue = shared.lock();
            // Half a window at least, so that batches stay batches under load.
            let take = if room * 2 >= window.min(BATCH_MAX) || calls.is_empty() { room } else { 0 };
            let ids = queue.take(take);
            queue.busy = !ids.is_empty() || !calls.is_empty();
            if queue.busy {
                queue.idle_since = Instant::now();
            }
            (ids, queue.closed)
        };
        if ids.is_empty() {
            if closed && calls.is_empty() {
                return;
            }
            if calls.is_empty() {
                shared.arrived.notified().await;
            } else {
                tokio::select! {
                    _ = calls.join_next() => {}
                    () = shared.arrived.notified(), if !shared_is_waiting(&shared) => {}
                }
            }
            continue;
        }
        let started = Instant::now();
        let begun = work.begin_all(ids).await;
        begins.note(started.elapsed());
        for call in begun {
            concurrency_max = call.concurrency_max;
            calls.spawn(work.clone().call(call));
        }
    }
}

/// True where ids wait already: then only the end of a call makes room, and another arrival changes nothing.
fn shared_is_waiting(shared: &Shared) -> bool {
    !shared.lock().ids.is_empty()
}

/// One call, committed as started.
struct Call {
    parcel: Parcel,
    attempt: AttemptId,
    request: HttpRequest,
    is_proof: bool,
    connector: &'static Connector,
    connection: Arc<ConnectionRow>,
    credential: Arc<Credential>,
    external_key: String,
    flow: Arc<CompiledFlow>,
    bucket: String,
    concurrency_max: u32,
    deadline: Instant,
}

impl Work {
    fn lease(&self) -> Duration {
        self.context.outbound.timeout() + SLOT_WAIT + LEASE_MARGIN
    }

    /// Begins a batch. Where that fails for good it is halved until the delivery at fault stands alone and becomes an exception: it must
    /// not strand the others.
    async fn begin_all(&self, ids: Vec<Uuid>) -> Vec<Call> {
        let (mut calls, mut batches) = (Vec::new(), vec![ids]);
        while let Some(ids) = batches.pop() {
            match self.begin(&ids).await {
                Ok(begun) => calls.extend(begun),
                Err(error) if error.is_passing() => {
                    warn!(error = chain(&error), count = ids.len(), "Deliveries were not begun; the sweeper brings them again");
                }
                Err(error) if ids.len() == 1 => {
                    let name = DeliveryId(ids[0]);
                    warn!(error = chain(&error), delivery.id = %name, "Delivery {name} cannot be begun");
                    let reason = Reason::internal(&format!("The delivery {name}"), &chain(&error));
                    if let Err(error) = self.context.store.within(&self.scope).delivery_stopped(ids[0], &reason).await {
                        warn!(error = chain(&error), delivery.id = %name, "Its exception could not be opened; the sweeper brings it again");
                    }
                }
                Err(_) => {
                    let (first, second) = ids.split_at(ids.len() / 2);
                    batches.extend([second.to_vec(), first.to_vec()]);
                }
            }
        }
        calls
    }

    /// Loads a batch, maps it, and commits its attempts as started. What has no answer becomes an exception.
    async fn begin(&self, ids: &[Uuid]) -> Result<Vec<Call>, StoreError> {
        let store = self.context.store.within(&self.scope);
        let load = store.load_deliveries(ids).await?;
        if load.parcels.is_empty() {
            return Ok(vec![]);
        }
        let connections: HashMap<_, Arc<ConnectionRow>> =
            load.connections.iter().map(|row| (row.id, Arc::new(row.clone()))).collect();
        let mut credentials = HashMap::new();
        let mut versions = HashMap::new();
        for parcel in &load.parcels {
            let Some(connection) = connections.get(&parcel.destination) else { continue };
            let Some(connector) = self.context.catalog.get(&connection.connector) else { continue };
            versions.insert(parcel.version, (parcel.kind, connector));
            if let std::collections::hash_map::Entry::Vacant(e) = credentials.entry(connection.id) {
                e.insert(self.directory.credential_of(&self.scope, connection).await?);
            }
        }
        let flows = self.directory.flows(&self.scope, &versions).await?;
        let tables = self.directory.tables(&self.scope, &load).await?;
        let deadline = Instant::now();
        let mut calls = Vec::with_capacity(load.parcels.len());
        let mut stopped = Vec::new();
        for parcel in load.parcels {
            let ready = connections.get(&parcel.destination).and_then(|connection| {
                let connector = self.context.catalog.get(&connection.connector)?;
                Some((
                    connection.clone(),
                    connector,
                    credentials.get(&connection.id)?.clone(),
                    flows.get(&parcel.version)?.clone(),
                ))
            });
            let Some((connection, connector, credential, flow)) = ready else {
                warn!(delivery.id = %parcel.id, "Delivery {} has no connector or flow version any more", parcel.id);
                stopped.push(self.stopped(&parcel, missing_connector(&parcel)));
                continue;
            };
            let source = connections.get(&parcel.source).map_or("", |source| source.connector.as_str());
            let external_key = external_key(source, &parcel);
            let limit = connector.limits(&connection.settings).into_iter().next();
            let mut call = Call {
                attempt: AttemptId::generate(),
                request: HttpRequest {
                    method: domain::http::Method::Get,
                    url: String::new(),
                    headers: vec![],
                    body: bytes::Bytes::new(),
                    identity: None,
                },
                is_proof: parcel.state == DeliveryState::Unknown,
                bucket: bucket(connection.id, limit.as_ref()),
                concurrency_max: limit.map_or(CONCURRENCY_UNLIMITED, |limit| limit.concurrency_max),
                parcel,
                connector,
                connection,
                credential,
                external_key,
                flow,
                deadline,
            };
            let lookups = TenantLookups::new(&tables, connector.tables());
            let source_name = connections.get(&call.parcel.source).map_or("", |source| source.name.as_str());
            match call.build(&lookups, source_name) {
                Ok(request) => {
                    call.request = request;
                    calls.push(call);
                }
                Err(reason) => stopped.push(self.stopped(&call.parcel, reason)),
            }
        }
        for finish in stopped {
            self.end(finish).await;
        }
        let starts: Vec<Start> = calls.iter().map(Call::start).collect();
        if starts.is_empty() {
            return Ok(calls);
        }
        let begun = store.begin_attempts(&starts, self.lease().as_secs_f64()).await?;
        calls.retain(|call| begun.contains(&call.attempt));
        // Counted from the commit, within its lease: a slow Postgres must not eat up the time for the call.
        let deadline = Instant::now() + SLOT_WAIT;
        calls.iter_mut().for_each(|call| call.deadline = deadline);
        Ok(calls)
    }

    fn stopped(&self, parcel: &Parcel, reason: Reason) -> Finish {
        Finish {
            delivery: parcel.id,
            record: parcel.record,
            kind: parcel.kind,
            flow: parcel.flow,
            destination: parcel.destination,
            seen: parcel.state,
            attempt: None,
            step: Step::Stop(reason),
        }
    }

    async fn end(&self, finish: Finish) {
        if self.ends.send((self.scope.tenant, finish)).await.is_err() {
            warn!("The writer of ends is gone; the sweeper makes the delivery unknown");
        }
    }

    /// Waits for a slot, sends once, and decides.
    async fn call(self: Arc<Self>, call: Call) {
        let semaphore = {
            let mut slots = self.slots.lock().expect("no code panics while it holds the slots");
            slots.entry(call.bucket.clone()).or_insert_with(|| Arc::new(Semaphore::new(call.concurrency_max as usize))).clone()
        };
        let Ok(Ok(_turn)) = tokio::time::timeout_at(call.deadline.into(), semaphore.acquire()).await else {
            return self.end(call.not_sent("the vendor's limit was used up")).await;
        };
        let Some(slot) = self.context.limiter.take_until(&call.bucket, call.concurrency_max, call.deadline).await else {
            return self.end(call.not_sent("the vendor's limit was used up")).await;
        };
        let sent_at = Instant::now();
        let answer = self.context.outbound.send(call.request.clone()).await;
        self.calls.note(sent_at.elapsed());
        self.context.limiter.give(slot).await;
        let finish = call.finish(answer);
        self.end(finish).await;
    }
}

impl Call {
    fn context<'a>(&'a self, idempotency_key: &'a str, nonce: &'a str) -> RequestContext<'a> {
        RequestContext {
            settings: &self.connection.settings,
            credential: &self.credential.fields,
            external_key: &self.external_key,
            revision: i64::from(self.parcel.revision),
            idempotency_key,
            now: Utc::now(),
            nonce,
            token: None,
        }
    }

    fn build(&self, lookups: &TenantLookups<'_>, source: &str) -> Result<HttpRequest, Reason> {
        let (key, nonce) = (self.parcel.id.to_string(), Uuid::new_v4().simple().to_string());
        let context = self.context(&key, &nonce);
        let unbuilt =
            |error: String| self.reason(&developer_fault("request", error, "Complete the connection, then press Retry."));
        if self.is_proof {
            let needs_payload = self.connector.proof_needs_payload(self.parcel.kind);
            let payload = if needs_payload { Some(self.payload(lookups, source)?) } else { None };
            let request = self
                .connector
                .proof_request(self.parcel.kind, payload.as_ref(), &context)
                .map_err(|error| unbuilt(error.to_string()))?;
            return request.ok_or_else(|| self.reason(&unprovable(self.connector)));
        }
        let payload = self.payload(lookups, source)?;
        self.connector.write_request(self.parcel.kind, &payload, &context).map_err(|error| unbuilt(error.to_string()))
    }

    fn payload(&self, lookups: &TenantLookups<'_>, source: &str) -> Result<Value, Reason> {
        let parcel = &self.parcel;
        let plan = self.flow.overlay.as_ref().or_else(|| self.connector.write_plan(parcel.kind)).ok_or_else(|| {
            let what = format!("{} has no mapping that writes the kind {}", self.connector.title(), parcel.kind);
            self.reason(&developer_fault("mapping", what, "Add the mapping to the flow, then press Retry."))
        })?;
        let mut vars = Vars::default();
        vars.set("settings", Value::from(&self.connection.settings));
        let record =
            serde_json::json!({"revision": parcel.revision, "external_key": self.external_key, "kind": parcel.kind.as_str()});
        vars.set("record", Value::from(&record));
        vars.set("source", Value::from(&serde_json::json!({"connection": source})));
        plan.read(parcel.document.as_bytes(), &Limits::DEFAULT, lookups, &vars).map_err(|why| {
            let issues = match why {
                Untranslated::Unmapped(issues) => issues,
                Untranslated::Unreadable(error) => {
                    let fix = "Tell Crossdock: a stored record cannot be read.";
                    return self.reason(&developer_fault("document", error.to_string(), fix));
                }
            };
            match issues.first() {
                Some(issue) => Reason::from_issue(&self.thing(), self.connector.title(), issue),
                None => self.reason(&developer_fault(
                    "mapping",
                    "the mapping refused it without saying why".into(),
                    "Look at the mapping.",
                )),
            }
        })
    }

    fn start(&self) -> Start {
        Start {
            delivery: self.parcel.id,
            attempt: self.attempt,
            kind: if self.is_proof { "proof" } else { "write" },
            method: self.request.method.as_str(),
            url: self.credential.redactor.redact(&self.request.url).into_owned(),
            request: self.request.body.to_vec(),
        }
    }

    /// "Order #1042"
    fn thing(&self) -> String {
        let kind = self.parcel.kind.as_str().replace('_', " ");
        let name = self.parcel.number.as_deref().unwrap_or(&self.parcel.source_id);
        let mut chars = kind.chars();
        let first: String = chars.next().map(|c| c.to_uppercase().collect()).unwrap_or_default();
        format!("{first}{} {name}", chars.as_str())
    }

    fn reason(&self, fault: &Fault) -> Reason {
        Reason::from_fault(&self.thing(), self.connector.title(), fault)
    }

    fn settle(&self) -> chrono::Duration {
        milliseconds(self.connector.proof_settle_ms(self.parcel.kind))
    }

    /// Reads the answer and decides what follows.
    fn finish(&self, answer: Result<HttpAnswer, NoAnswer>) -> Finish {
        match answer {
            Ok(answer) if self.is_proof => self.finish_proof(&answer),
            Ok(answer) => {
                let outcome = match self.connector.read_write_answer(self.parcel.kind, &answer) {
                    Ok(receipt) => Outcome::Stored(receipt),
                    Err(fault) => Outcome::Failed(fault.redacted(&self.credential.redactor)),
                };
                self.finish_write(outcome, Some(&answer), false)
            }
            Err(NoAnswer::Refused(why)) => {
                let fault = developer_fault("address", why, "Correct the connection's address, then press Retry.");
                let step = Step::Stop(self.reason(&fault));
                self.close("not_sent", None, Some(fault), step)
            }
            Err(NoAnswer::NotSent(why)) if self.is_proof => {
                self.prove_again(lost(self.connector, &why, FaultClass::Outage), None)
            }
            Err(NoAnswer::NotSent(why)) => {
                self.finish_write(Outcome::Failed(lost(self.connector, &why, FaultClass::Outage)), None, true)
            }
            Err(NoAnswer::Lost(why)) if self.is_proof => self.prove_again(lost(self.connector, &why, FaultClass::Outage), None),
            Err(NoAnswer::Lost(why)) => {
                self.finish_write(Outcome::Failed(lost(self.connector, &why, FaultClass::Unknown)), None, false)
            }
        }
    }

    fn not_sent(&self, why: &str) -> Finish {
        let fault = lost(self.connector, why, FaultClass::Limit);
        if self.is_proof { self.prove_again(fault, None) } else { self.finish_write(Outcome::Failed(fault), None, true) }
    }

    fn finish_write(&self, outcome: Outcome, answer: Option<&HttpAnswer>, not_sent: bool) -> Finish {
        let fault = if let Outcome::Failed(fault) = &outcome { Some(fault.clone()) } else { None };
        let word = match &fault {
            None => "stored",
            Some(_) if not_sent => "not_sent",
            Some(fault) if fault.class == FaultClass::Unknown => "unknown",
            Some(_) => "failed",
        };
        let failures = u32::try_from(self.parcel.failures + 1).unwrap_or(u32::MAX);
        let step =
            match delivery::after(outcome, failures, &self.flow.policy, self.settle(), self.age(), Utc::now(), rand::random()) {
                Next::Confirmed(receipt) => Step::Confirmed(receipt),
                Next::Wait { until, fault } => Step::Wait { until, counts: self.counts(fault.class) },
                Next::Prove { at, .. } => Step::Unknown { prove_at: at, counts: true },
                Next::Stop(fault) => Step::Stop(self.reason(&fault)),
            };
        self.close(word, answer, fault, step)
    }

    fn age(&self) -> chrono::Duration {
        Utc::now() - self.parcel.origin_at
    }

    /// A limit is nobody's failure. An outage makes us wait longer each time, but is not what a delivery's patience ends by: a failure right
    /// after a long one is still the first of its kind.
    fn counts(&self, class: FaultClass) -> bool {
        let patience = i32::try_from(self.flow.policy.attempts_max).unwrap_or(i32::MAX);
        match class {
            FaultClass::Limit => false,
            FaultClass::Outage => self.parcel.failures < patience - 2,
            _ => true,
        }
    }

    fn finish_proof(&self, answer: &HttpAnswer) -> Finish {
        match self.connector.read_proof_answer(self.parcel.kind, answer, i64::from(self.parcel.revision)) {
            Proof::Found { receipt, current: true } => self.close("stored", Some(answer), None, Step::Confirmed(receipt)),
            // Not there, or only an older revision: what was sent had no effect, once the vendor had time to show it.
            Proof::Found { current: false, .. } | Proof::Absent => {
                let lands =
                    self.connector.proof_settle_ms(self.parcel.kind).max(self.connector.lands_within_ms(self.parcel.kind));
                let shown_at = self.parcel.attempted_at.map(|at| at + milliseconds(lands)).unwrap_or_default();
                let step =
                    if Utc::now() >= shown_at { Step::Resend } else { Step::Unknown { prove_at: shown_at, counts: false } };
                self.close("absent", Some(answer), None, step)
            }
            Proof::Failed(fault) => self.prove_again(fault.redacted(&self.credential.redactor), Some(answer)),
        }
    }

    fn prove_again(&self, fault: Fault, answer: Option<&HttpAnswer>) -> Finish {
        // A limit or an outage says nothing of whether it arrived: it is asked again while that lasts, though not in silence for ever.
        let counts = !matches!(fault.class, FaultClass::Limit | FaultClass::Outage);
        let failures = self.parcel.failures + i32::from(counts);
        let lasts =
            fault.class == FaultClass::Outage && self.age() > delivery::OUTAGE_PATIENCE && self.parcel.attempts >= PROOFS_MAX;
        let step = if lasts || (counts && failures >= PROOFS_MAX) {
            Step::Stop(self.reason(&fault))
        } else {
            let wait = self.flow.policy.wait(&fault, u32::try_from(failures.max(1)).unwrap_or(1), rand::random());
            Step::Unknown { prove_at: Utc::now() + wait, counts }
        };
        self.close("failed", answer, Some(fault), step)
    }

    fn close(&self, outcome: &'static str, answer: Option<&HttpAnswer>, fault: Option<Fault>, step: Step) -> Finish {
        Finish {
            delivery: self.parcel.id,
            record: self.parcel.record,
            kind: self.parcel.kind,
            flow: self.parcel.flow,
            destination: self.parcel.destination,
            seen: self.parcel.state,
            attempt: Some(Ended {
                id: self.attempt,
                outcome,
                status: answer.map(|answer| answer.status),
                answer: answer.and_then(|answer| answer_text(answer, &self.credential.redactor)),
                fault,
                ended_at: Utc::now(),
            }),
            step,
        }
    }
}

fn milliseconds(ms: u64) -> chrono::Duration {
    chrono::Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// The limit that a call counts against: one of the vendor's buckets, for one connection.
pub fn bucket(connection: ConnectionId, limit: Option<&connectors::Limit>) -> String {
    format!("{connection}:{}", limit.map_or("", |limit| &limit.bucket))
}

/// What an attempt keeps of an answer: vendors echo what they were sent, so the credential is taken out.
pub fn answer_text(answer: &HttpAnswer, redactor: &Redactor) -> Option<String> {
    // Cut after it is redacted, so that no half of a secret is left at the end.
    let whole = String::from_utf8_lossy(&answer.body).replace('\0', "");
    let redacted = redactor.redact(&whole);
    let end = redacted.floor_char_boundary(ANSWER_BYTES_MAX);
    Some(redacted[..end].to_owned()).filter(|text| !text.is_empty())
}

/// Our key of the record at the destination. It is made of what never changes, so that the first try and the last have the same:
/// the source's connector, the connection (two shops may count alike) and the id there.
fn external_key(source: &str, parcel: &Parcel) -> String {
    let connection = parcel.source.0.simple().to_string();
    format!("{source}-{}-{}", &connection[24..], parcel.source_id)
}

fn lost(connector: &Connector, why: &str, class: FaultClass) -> Fault {
    let code = match class {
        FaultClass::Unknown => "no_answer",
        FaultClass::Limit => "limit",
        _ => "unreachable",
    };
    silent(connector, class, code, why)
}

/// A vendor that was not reached or did not answer.
pub fn silent(connector: &Connector, class: FaultClass, code: &str, why: &str) -> Fault {
    let fix = "Check the connection's address and that the system is up, then press Retry.";
    Fault::new(class, code, format!("{} did not answer: {why}", connector.title()), Owner::Vendor, fix)
}

fn unprovable(connector: &Connector) -> Fault {
    let reason = format!("{} gave no answer, and it offers no way to ask whether the record arrived", connector.title());
    Fault {
        fix: "Look for the record there; if it is missing, press Retry, else cancel the delivery.".into(),
        ..developer_fault("unprovable", reason, "")
    }
}

/// What the connection or the connector must be changed for.
pub fn developer_fault(code: &str, reason: String, fix: &str) -> Fault {
    Fault::new(FaultClass::Validation, code, reason, Owner::Developer, fix)
}

fn missing_connector(parcel: &Parcel) -> Reason {
    let fault = developer_fault(
        "connector",
        "its connector is not part of this installation any more".into(),
        "Install the connector again, then press Retry.",
    );
    Reason::from_fault(&format!("The {} {}", parcel.kind, parcel.source_id), "its destination", &fault)
}

#[cfg(test)]
mod tests {
    use super::window;

    #[test]
    fn a_fast_vendor_gets_calls_ahead_and_a_slow_one_hardly_more_than_its_slots() {
        assert_eq!(window(15, 20_000, 5_000), 135);
        assert_eq!(window(5, 20_000, 1_000_000), 8);
        assert_eq!(window(5, 20_000, 30_000_000), 5);
        assert_eq!(window(1, 20_000, 100), 256);
        assert_eq!(window(200, 1, 1_000_000), 301);
    }
}
