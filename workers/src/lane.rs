//! A lane is the work of one place: one tenant's deliveries to one connection, in order, within the vendor's limit.
//! It loads a batch, decides, commits the attempts as started, calls, and hands the ends to the writer.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::Utc;
use connectors::flow::{FlowPlan, developer_fault, external_key, thing};
use domain::breaker::Gate;
use domain::erasure;
use domain::exception::Reason;
use domain::fault::Fault;
use domain::http::{HttpRequest, NoAnswer};
use domain::id::{ConnectionId, DeliveryId, FlowVersionId, RecipeId, TenantId};
use domain::recipe::Recipe;
use domain::retry_budget::RetryBudget;
use domain::scope::Scope;
use domain::task::Place;
use infra::chain;
use infra::limiter::UsedUp;
use infra::lookup::TenantLookups;
use infra::postgres::StoreError;
use infra::postgres::external_id::Theirs;
use infra::postgres::ledger::{ConnectionRow, Finish, Load, ReadBefore, Start, Step};
use infra::postgres::sent_group::{Partner, PlannedGroup};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tracing::warn;
use uuid::Uuid;

use crate::batch::{self, Sending};
use crate::call::{CONCURRENCY_UNLIMITED, Call, Duty, Known, Made, Ready, finish, kept, missing_connector, told};
use crate::directory::{Directory, looked_into};
use crate::pace::{Pace, SLOT_WAIT, Window, per_call};
use crate::waiting::{Ids, Turns};
use crate::{Context, drift};

/// Ids of one lane that wait in memory for one place; the backlog waits in Postgres.
const QUEUE_MAX: usize = 20_000;
/// Deliveries of one transaction.
const BATCH_MAX: usize = 100;
/// Reads before one call: the version of what is there, and look-ups.
const READS_MAX: usize = 16;
/// What an attempt may take beyond the call itself and the wait for a slot, before the sweeper calls it unknown.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

pub struct Lane {
    shared: Arc<Shared>,
    worker: JoinHandle<()>,
}

struct Shared {
    queue: Mutex<Queue>,
    arrived: Notify,
}

struct Queue {
    ids: Ids,
    tenant: TenantId,
    closed: bool,
    busy: bool,
    idle_since: Instant,
}

impl Lane {
    pub fn open(
        context: Arc<Context>,
        directory: Arc<Directory>,
        turns: Arc<Turns>,
        place: Place,
        ends: mpsc::Sender<(TenantId, Finish)>,
    ) -> Self {
        let ids = Ids::new(QUEUE_MAX);
        let queue = Queue { ids, tenant: place.tenant, closed: false, busy: false, idle_since: Instant::now() };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), arrived: Notify::new() });
        let work = Work {
            context,
            directory,
            turns,
            scope: Scope::system(place.tenant, "deliver"),
            ends,
            slots: Mutex::default(),
            calls: Pace::default(),
            retries: Mutex::new(RetryBudget::new(Duration::ZERO)),
            began: Instant::now(),
        };
        let worker = tokio::spawn(run(Arc::new(work), shared.clone()));
        Self { shared, worker }
    }

    /// Queues ids. Those that find no room stay as they are in Postgres, and the sweeper brings them when there is.
    pub fn load(&self, lane: domain::lane::Lane, ids: &[Uuid]) {
        let mut queue = self.shared.lock();
        let tenant = queue.tenant;
        queue.ids.push(lane, tenant, 1, ids);
        drop(queue);
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
            queue.ids = Ids::new(QUEUE_MAX);
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
    /// The next ones, with the lane of the first.
    fn take(&mut self, count: usize) -> (domain::lane::Lane, Vec<Uuid>) {
        let (mut first, mut ids) = (None, Vec::new());
        while ids.len() < count
            && let Some(turn) = self.ids.next(count - ids.len())
        {
            first.get_or_insert(turn.lane);
            ids.extend(turn.items);
        }
        (first.unwrap_or_default(), ids)
    }
}

/// What a lane works with.
struct Work {
    context: Arc<Context>,
    directory: Arc<Directory>,
    turns: Arc<Turns>,
    scope: Scope,
    ends: mpsc::Sender<(TenantId, Finish)>,
    /// One semaphore for each bucket: calls of this process queue here in order instead of all asking Redis.
    slots: Mutex<HashMap<String, Arc<Semaphore>>>,
    calls: Pace,
    retries: Mutex<RetryBudget>,
    began: Instant,
}

async fn run(work: Arc<Work>, shared: Arc<Shared>) {
    let mut calls: JoinSet<()> = JoinSet::new();
    let begins = Pace::default();
    let (mut concurrency_max, mut per_call_max, mut turns_max) = (1, 1, None);
    loop {
        let window = Window::of(concurrency_max, begins.us(), work.calls.us()).within(turns_max);
        while calls.try_join_next().is_some() {}
        let room = window.most.saturating_sub(calls.len());
        let (lane, ids, closed) = {
            let mut queue = shared.lock();
            let take = if room >= window.batch.min(BATCH_MAX) || calls.is_empty() { room } else { 0 };
            let (lane, ids) = queue.take(take.saturating_mul(per_call_max).min(BATCH_MAX));
            queue.busy = !ids.is_empty() || !calls.is_empty();
            if queue.busy {
                queue.idle_since = Instant::now();
            }
            (lane, ids, queue.closed)
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
        let begun = work.begin_all(lane, ids).await;
        begins.note(started.elapsed());
        if !begun.is_empty() {
            per_call_max = per_call(begun.iter().map(Sending::count).sum(), begun.len());
        }
        for sending in begun {
            let buckets = sending.buckets();
            concurrency_max = buckets.concurrency_max().unwrap_or(CONCURRENCY_UNLIMITED);
            turns_max = work.context.limiter.turns(&buckets, SLOT_WAIT);
            let mut call = Box::pin(work.clone().call(sending));
            // Polled once, so that calls queue for their slots in the order in which they were begun, whichever thread takes them up first.
            if futures::poll!(call.as_mut()).is_pending() {
                calls.spawn(call);
            }
        }
    }
}

/// True where ids wait already: then only the end of a call makes room, and another arrival changes nothing.
fn shared_is_waiting(shared: &Shared) -> bool {
    !shared.lock().ids.is_empty()
}

impl Work {
    fn lease(&self) -> Duration {
        self.context.outbound.timeout() + SLOT_WAIT + LEASE_MARGIN
    }

    /// Begins a batch. Where that fails for good it is halved until the delivery at fault stands alone and becomes an exception: it must
    /// not strand the others.
    async fn begin_all(&self, lane: domain::lane::Lane, ids: Vec<Uuid>) -> Vec<Sending> {
        let (mut calls, mut batches) = (Vec::new(), vec![ids]);
        while let Some(ids) = batches.pop() {
            match self.begin(lane, &ids).await {
                Ok(begun) => calls.extend(begun),
                Err(error) if error.is_passing_for(ids.len()) => {
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
    async fn begin(&self, lane: domain::lane::Lane, ids: &[Uuid]) -> Result<Vec<Sending>, StoreError> {
        let store = self.context.store.within(&self.scope);
        let turn = self.turns.take(lane, self.scope.tenant, self.directory.weight(self.scope.tenant)).await;
        let load = store.load_deliveries(ids, self.lease().as_secs_f64()).await?;
        drop(turn);
        if load.parcels.is_empty() {
            return Ok(vec![]);
        }
        let connections: HashMap<_, Arc<ConnectionRow>> =
            load.connections.iter().map(|row| (row.id, Arc::new(row.clone()))).collect();
        let mut accounts = HashMap::new();
        let mut versions = HashMap::new();
        for parcel in &load.parcels {
            let Some(connection) = connections.get(&parcel.destination) else { continue };
            let Some(connector) = self.context.catalog.get(&connection.connector) else { continue };
            versions.insert(parcel.version, (parcel.kind, connector));
            if let std::collections::hash_map::Entry::Vacant(e) = accounts.entry(connection.id) {
                let (access, lack) = self.directory.access(&self.scope, connection, connector).await?;
                e.insert((Arc::new(access), lack));
            }
        }
        let flows = self.directory.flows(&self.scope, &versions).await?;
        let plans = versions.iter().filter_map(|(id, (kind, connector))| flows.get(id)?.write_plan(connector, *kind));
        let read = plans.flat_map(|plan| plan.tables().iter().map(String::as_str)).collect();
        let tables = self.directory.tables(&self.scope, &load.tables, &read).await?;
        let recipes = self.recipes(&load, &connections, &flows).await?;
        let (mut calls, mut ends, mut reads) = (Vec::with_capacity(load.parcels.len()), Vec::new(), Vec::new());
        let mut unnumbered = Vec::new();
        let mut probed = HashSet::new();
        for parcel in load.parcels {
            let ready = connections.get(&parcel.destination).and_then(|connection| {
                let connector = self.context.catalog.get(&connection.connector)?;
                Some((connection.clone(), connector, accounts.get(&connection.id)?, flows.get(&parcel.version)?.clone()))
            });
            let Some((connection, connector, (access, lack), flow)) = ready else {
                warn!(delivery.id = %parcel.id, "Delivery {} has no connector or flow version any more", parcel.id);
                let name = connections.get(&parcel.destination).map_or("", |connection| connection.connector.as_str());
                let broken = self.context.catalog.find(name).and_then(Result::err);
                ends.push(finish(&parcel, None, Step::Stop(missing_connector(&parcel, broken))));
                continue;
            };
            if erasure::is_tombstone(parcel.document.as_bytes()) {
                // A payload made of it would be blanks.
                let thing = thing(parcel.kind, parcel.number.as_deref().unwrap_or(&parcel.source_id));
                let reason = Reason::from_fault(&thing, connector.title(), &erasure::fault());
                ends.push(finish(&parcel, None, Step::Stop(reason)));
                continue;
            }
            let source = connections.get(&parcel.source);
            let external_key =
                external_key(source.map_or("", |source| source.connector.as_str()), parcel.source, &parcel.source_id);
            let Some(recipe) = recipes.get(&(parcel.version, parcel.source)).copied() else { continue };
            let known = Known::default();
            let mut duty = Duty { parcel, connector, connection, access: access.clone(), flow, recipe, external_key, known };
            let operation = duty.operation();
            let held = duty.gate(&operation).filter(|(open, gate)| *gate == Gate::Held || !probed.insert(open.id));
            if let Some((open, _)) = held {
                ends.push(duty.held(open));
                continue;
            }
            if let Some(fault) = lack {
                ends.push(duty.without_access(fault.clone()));
                continue;
            }
            if !self.may_try(&duty) {
                ends.push(duty.put_off());
                continue;
            }
            let lookups = TenantLookups::new(&tables, connector.tables(), duty.parcel.origin_at);
            let source = source.map_or("", |source| source.name.as_str());
            match duty.make(&lookups, source) {
                Ok(Made::Read(request)) => reads.push(self.read_before(duty, request, lookups, source)),
                Ok(Made::Number(group)) => unnumbered.push((duty, group, lookups, source)),
                Ok(Made::Ready(ready)) => ends.extend(taken(duty, Ok(ready), &mut calls)),
                Err(reason) => ends.extend(taken(duty, Err(reason), &mut calls)),
            }
        }
        for (mut duty, lookups, source) in self.number(unnumbered, &mut ends).await? {
            match duty.make(&lookups, source) {
                Ok(Made::Read(request)) => reads.push(self.read_before(duty, request, lookups, source)),
                // It has none still: the sweeper brings it again.
                Ok(Made::Number(_)) => {}
                Ok(Made::Ready(ready)) => ends.extend(taken(duty, Ok(ready), &mut calls)),
                Err(reason) => ends.extend(taken(duty, Err(reason), &mut calls)),
            }
        }
        let mut noted = Vec::new();
        for (duty, made, read) in futures::future::join_all(reads).await {
            noted.extend(read);
            match made {
                Ok(ready) => ends.extend(taken(duty, ready, &mut calls)),
                Err(fault) => ends.push(duty.unread(fault)),
            }
        }
        if !noted.is_empty() {
            store.note_reads(&noted).await?;
        }
        calls.retain(|call| {
            let wait = self.limited(call);
            ends.extend(wait.map(|wait| call.duty.limited(wait)));
            wait.is_none()
        });
        for end in ends {
            self.end(end).await;
        }
        let sendings = batch::gather(calls);
        let starts: Vec<Start> = sendings.iter().flat_map(Sending::starts).collect();
        if starts.is_empty() {
            return Ok(vec![]);
        }
        let begun = store.begin_attempts(&starts, self.lease().as_secs_f64()).await?;
        // Counted from the commit, within its lease: a slow Postgres must not eat up the time for the call.
        let deadline = Instant::now() + SLOT_WAIT;
        Ok(sendings.into_iter().filter_map(|sending| sending.begun(&begun, deadline)).collect())
    }

    /// Gives groups of X12 their numbers, all of a partner at once. What has no partner becomes an end.
    async fn number<'l>(
        &self,
        unnumbered: Vec<(Duty, PlannedGroup, TenantLookups<'l>, &'l str)>,
        ends: &mut Vec<Finish>,
    ) -> Result<Vec<(Duty, TenantLookups<'l>, &'l str)>, StoreError> {
        let store = self.context.store.within(&self.scope);
        let mut partners: HashMap<Partner, Vec<PlannedGroup>> = HashMap::new();
        let mut duties = Vec::with_capacity(unnumbered.len());
        for (duty, group, lookups, source) in unnumbered {
            match duty.partner() {
                Ok(partner) => {
                    partners.entry(partner).or_default().push(group);
                    duties.push((duty, lookups, source));
                }
                Err(reason) => ends.push(duty.finish(None, Step::Stop(reason), None)),
            }
        }
        let mut numbered = HashMap::new();
        for (partner, groups) in &partners {
            numbered.extend(store.sent_groups_plan(partner, groups).await?);
        }
        for (duty, _, _) in &mut duties {
            duty.known.group = numbered.get(&duty.parcel.id).copied();
        }
        Ok(duties)
    }

    /// What the payloads of a batch are made with, written down before any is made: for each flow version and source.
    async fn recipes(
        &self,
        load: &Load,
        connections: &HashMap<ConnectionId, Arc<ConnectionRow>>,
        flows: &HashMap<FlowVersionId, Arc<FlowPlan>>,
    ) -> Result<HashMap<(FlowVersionId, ConnectionId), RecipeId>, StoreError> {
        let mut recipes = HashMap::new();
        for parcel in &load.parcels {
            let std::collections::hash_map::Entry::Vacant(entry) = recipes.entry((parcel.version, parcel.source)) else {
                continue;
            };
            let Some(connection) = connections.get(&parcel.destination) else { continue };
            let Some(connector) = self.context.catalog.get(&connection.connector) else { continue };
            let plan = flows.get(&parcel.version).and_then(|flow| flow.write_plan(connector, parcel.kind));
            let recipe = Recipe {
                connector: connector.name().to_owned(),
                connector_hash: connector.hash().to_string(),
                flows: vec![parcel.version],
                tables: plan.map(|plan| looked_into(plan, &load.tables)).unwrap_or_default(),
                settings: connection.settings.clone(),
                source: connections.get(&parcel.source).map(|source| source.name.clone()),
            };
            entry.insert(self.directory.recipe(&self.scope, connector, &recipe).await?);
        }
        Ok(recipes)
    }

    /// Reads what belongs before a call, one after the other and within the vendor's limit. It changes nothing there.
    async fn read_before(
        &self,
        mut duty: Duty,
        first: HttpRequest,
        lookups: TenantLookups<'_>,
        source: &str,
    ) -> (Duty, Result<Result<Ready, Reason>, Fault>, Vec<ReadBefore>) {
        let (mut reads, mut request) = (Vec::new(), first);
        loop {
            let buckets = duty.buckets(&request);
            let permit = match self.context.limiter.take_until(&buckets, Instant::now() + SLOT_WAIT).await {
                Ok(permit) => permit,
                Err(used_up) => {
                    let fault = duty.used_up(used_up);
                    return (duty, Err(fault), reads);
                }
            };
            let (started_at, url) = (Utc::now(), duty.access.redact(&request.url).into_owned());
            let (method, asked) = (request.method.as_str(), kept(&request.body, &duty.access));
            let answer = self.context.outbound.send(request).await;
            self.context.limiter.give(permit, &told(duty.connector, &answer)).await;
            let status = answer.as_ref().ok().map(|answer| answer.status);
            let answered = answer.as_ref().ok().and_then(|answer| kept(&answer.body, &duty.access));
            let read = match answer {
                Ok(answer) => duty.take(&answer),
                Err(no_answer) => Err(duty.silent(no_answer)),
            };
            let (connection, fault) = (duty.connection.id, read.as_ref().err().cloned());
            let delivery = duty.parcel.id;
            let ended_at = Utc::now();
            let read_before = ReadBefore {
                delivery,
                connection,
                method,
                url,
                request: asked,
                answer: answered,
                status,
                fault,
                started_at,
                ended_at,
            };
            reads.push(read_before);
            if let Err(fault) = read {
                return (duty, Err(fault), reads);
            }
            if let Some(id) = duty.adopts().map(str::to_owned) {
                let store = self.context.store.within(&self.scope);
                match store.external_id_theirs(connection, duty.parcel.kind, &id, duty.parcel.record).await {
                    Ok(None) => {}
                    Ok(Some(Theirs::Settled)) => {
                        let reason = duty.anothers();
                        return (duty, Ok(Err(reason)), reads);
                    }
                    Ok(Some(Theirs::Disputed)) => {
                        let why = "what is found there is claimed by another record, which is asked about first";
                        let fault = duty.silent(NoAnswer::NotSent(why.into()));
                        return (duty, Err(fault), reads);
                    }
                    Err(error) => {
                        warn!(error = chain(&error), delivery.id = %delivery, "Whose record was found is not known; it is tried again");
                        let fault = duty.silent(NoAnswer::NotSent("Crossdock's database did not answer".into()));
                        return (duty, Err(fault), reads);
                    }
                }
            }
            match duty.make(&lookups, source) {
                Ok(Made::Read(next)) if reads.len() < READS_MAX => request = next,
                Ok(Made::Read(_)) => {
                    let what = format!("it takes more than {READS_MAX} look-ups");
                    return (
                        duty,
                        Err(developer_fault("look_ups", what, "Mend the connector's look-ups, then press Retry.")),
                        reads,
                    );
                }
                // Numbers are given before anything is read, and stay.
                Ok(Made::Number(_)) => {
                    let fault = duty.silent(NoAnswer::NotSent("its control number is missing".into()));
                    return (duty, Err(fault), reads);
                }
                Ok(Made::Ready(ready)) => return (duty, Ok(Ok(ready)), reads),
                Err(reason) => return (duty, Ok(Err(reason)), reads),
            }
        }
    }

    /// A first try always; a retry only within its connection's share.
    fn may_try(&self, duty: &Duty) -> bool {
        if duty.is_proof() {
            return true;
        }
        let mut retries = self.retries.lock().expect("no code panics while it holds the budget");
        let is_retry = duty.parcel.failures > 0;
        if !is_retry {
            retries.first_try();
        }
        !is_retry || retries.take_retry(self.began.elapsed())
    }

    /// How long nothing of this kind is sent, where that is longer than a call waits for its turn.
    fn limited(&self, call: &Call) -> Option<Duration> {
        self.context.limiter.wait(&call.buckets).filter(|wait| *wait > SLOT_WAIT)
    }

    async fn end(&self, finish: Finish) {
        if self.ends.send((self.scope.tenant, finish)).await.is_err() {
            warn!("The writer of ends is gone; the sweeper makes the delivery unknown");
        }
    }

    async fn end_all(&self, finishes: Vec<Finish>) {
        for finish in finishes {
            self.end(finish).await;
        }
    }

    /// Waits for a permit, sends once, and decides.
    async fn call(self: Arc<Self>, sending: Sending) {
        let call = sending.first();
        let buckets = sending.buckets();
        let semaphore = {
            let mut slots = self.slots.lock().expect("no code panics while it holds the slots");
            let most = buckets.concurrency_max().unwrap_or(CONCURRENCY_UNLIMITED);
            slots.entry(buckets.key()).or_insert_with(|| Arc::new(Semaphore::new(most as usize))).clone()
        };
        let Ok(Ok(turn)) = tokio::time::timeout_at(call.deadline.into(), semaphore.acquire()).await else {
            let used_up = UsedUp { wait: self.context.limiter.wait(&buckets) };
            return self.end_all(sending.not_sent(used_up)).await;
        };
        let permit = match self.context.limiter.take_until(&buckets, call.deadline).await {
            Ok(permit) => permit,
            Err(used_up) => return self.end_all(sending.not_sent(used_up)).await,
        };
        let (sent_at, started) = (Utc::now(), Instant::now());
        let answer = self.context.outbound.send(sending.request().clone()).await;
        self.calls.note(started.elapsed());
        let told = told(call.duty.connector, &answer);
        let mut given = std::pin::pin!(self.context.limiter.give(permit, &told));
        // Polled once, so that it is on its way: the next one asks behind it and need not wait for its answer.
        let is_given = futures::poll!(given.as_mut()).is_ready();
        drop(turn);
        let signs = answer.iter().flat_map(|answer| call.duty.connector.sunset_signs(answer));
        self.context.sunsets.note(self.scope.tenant, call.duty.connection.id, signs);
        for (call, finish) in sending.end(answer, sent_at) {
            if let Some(taken) = call.taken(&finish.step) {
                drift::note_taken(&self.context, self.scope.tenant, call, taken);
            }
            self.end(finish).await;
        }
        if !is_given {
            given.await;
        }
    }
}

/// A call that is to be begun, or the end of what needs none.
fn taken(duty: Duty, ready: Result<Ready, Reason>, calls: &mut Vec<Call>) -> Option<Finish> {
    match ready {
        Ok(Ready::Call(request)) => {
            calls.push(Call::new(duty, request));
            None
        }
        Ok(Ready::Step(step)) => Some(duty.finish(None, step, None)),
        Err(reason) => Some(duty.finish(None, Step::Stop(reason), None)),
    }
}
