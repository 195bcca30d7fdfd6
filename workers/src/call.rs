//! One call for a delivery: which one is due, the request that makes it, and what its answer decides.
//!
//! A delivery may take several calls, one after the other: the write, or the update of what is there, then the actions that belong to the
//! write. Each is an attempt of its own and is proven on its own, so that a crash between two of them repeats neither. What is read before
//! it (the version of what is there, ids that the vendor knows and the record does not) changes nothing and may be read again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use connectors::flow::{Carried, Document, FlowPlan, developer_fault, thing};
use connectors::trial::EDIT_FIX;
use connectors::x12::X12Error;
use connectors::{CatalogErrors, Change, Connector, Found, Inputs, LookUpError, Proof, RequestContext, RequestError};
use domain::breaker::{BreakerState, Gate, Signal};
use domain::call_payload::Part;
use domain::canonical;
use domain::delivery::{self, DeliveryState, Next, Outcome, Receipt};
use domain::drift::Worth;
use domain::edit::Edits;
use domain::exception::Reason;
use domain::fault::{Fault, FaultClass, NO_SLOT, Owner};
use domain::governor::Told;
use domain::http::{HttpAnswer, HttpRequest, NoAnswer};
use domain::id::{AttemptId, RecipeId};
use domain::proof::{Absence, Doubt};
use domain::record::RecordKind;
use domain::value::{Limits, Value};
use infra::limiter::{Buckets, UsedUp};
use infra::lookup::TenantLookups;
use infra::postgres::breaker::{ACCOUNT, OpenBreaker};
use infra::postgres::ledger::{ConnectionRow, Ended, Finish, Health, Parcel, Start, Step};
use infra::postgres::sent_group::{NumberedGroup, Partner, PlannedGroup};
use uuid::Uuid;

use crate::directory::Access;

/// Calls at once to a vendor that declares no limit.
pub const CONCURRENCY_UNLIMITED: u32 = 32;
/// Tries to prove an unknown delivery before a person is asked.
const PROOFS_MAX: i32 = 20;

/// A delivery, and all that its next call needs.
pub struct Duty {
    pub parcel: Parcel,
    pub connector: &'static Connector,
    pub connection: Arc<ConnectionRow>,
    pub access: Arc<Access>,
    pub flow: Arc<FlowPlan>,
    /// What its payload is made with.
    pub recipe: RecipeId,
    /// Our key of the record at the destination.
    pub external_key: String,
    pub known: Known,
}

/// What a call is made of, beside the delivery: each is found out once.
#[derive(Debug, Default)]
pub struct Known {
    /// What the mapping made.
    pub payload: Option<Value>,
    /// The record as it stands at the destination now, where a change must name its version.
    current: Option<Receipt>,
    /// What was looked up there.
    found: Found,
    search: Search,
    /// The group that it is written in, where that is X12.
    pub group: Option<NumberedGroup>,
}

/// What was found of a record before it is created.
#[derive(Debug, Default)]
enum Search {
    #[default]
    NotMade,
    Absent,
    Found {
        receipt: Receipt,
        /// It carries this revision: there is nothing to be changed.
        is_current: bool,
    },
}

/// A call, committed as started.
pub struct Call {
    pub duty: Duty,
    pub attempt: AttemptId,
    pub request: HttpRequest,
    /// The vendor's buckets that it counts in.
    pub buckets: Buckets,
    pub deadline: Instant,
    /// The batch that it goes in; its request is then its own part of that.
    pub batch: Option<Uuid>,
}

/// That a destination took a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The record was not there before.
    New,
    Again,
}

/// What a duty asks for.
pub enum Made {
    /// Something is to be read before its call.
    Read(HttpRequest),
    /// Its group needs a number first.
    Number(PlannedGroup),
    Ready(Ready),
}

/// What a duty comes to, once all is known that belongs to it.
pub enum Ready {
    /// Its call; it is to be committed as started.
    Call(HttpRequest),
    /// It needs no call to go on.
    Step(Step),
}

impl Duty {
    pub fn is_proof(&self) -> bool {
        self.parcel.state == DeliveryState::Unknown
    }

    /// The vendor's buckets that a request counts in.
    pub fn buckets(&self, request: &HttpRequest) -> Buckets {
        buckets(&self.connection, self.connector, request)
    }

    /// The change that is due.
    pub fn due(&self) -> Result<Change<'_>, RequestError> {
        let kind = self.parcel.kind;
        let stored = self.known.current.as_ref().or(self.parcel.stored.as_ref()).or(self.adopted());
        let Some(after_write) = usize::try_from(self.parcel.calls_done).ok().and_then(|done| done.checked_sub(1)) else {
            return Ok(match stored {
                Some(stored) if self.connector.updates(kind) => Change::Update(stored),
                _ => Change::Write,
            });
        };
        match (self.connector.actions_after_write(kind).get(after_write), stored) {
            (Some(name), Some(on)) => Ok(Change::Action(name, on)),
            // The connector was changed meanwhile.
            _ => Err(RequestError::Action(format!("number {}", after_write + 1))),
        }
    }

    /// The operation that is due, as its breaker is named.
    pub fn operation(&self) -> String {
        let kind = self.parcel.kind;
        match self.due() {
            Ok(Change::Write) | Err(_) => format!("{kind}.write"),
            Ok(Change::Update(_)) => format!("{kind}.update"),
            Ok(Change::Action(name, _)) => format!("{kind}.action.{name}"),
        }
    }

    /// The breaker that stands before it, and whether it lets it pass: that of the whole connection first.
    pub fn gate(&self, operation: &str) -> Option<(&OpenBreaker, Gate)> {
        let of = |name: &str| self.connection.breakers.iter().find(|open| open.operation == name);
        let gates = [of(ACCOUNT), of(operation)].into_iter().flatten();
        let passes = |open: &OpenBreaker| {
            // Where the destination answers again, questions need not stand in line.
            let is_asked = self.is_proof() && open.breaker.state == BreakerState::Recovering;
            is_asked || self.parcel.released_by == Some(open.id)
        };
        let mut gates = gates.map(|open| (open, open.breaker.gate(passes(open))));
        gates.find(|(_, gate)| *gate != Gate::Passes)
    }

    /// It is not sent now: it waits for its breaker, and what is unknown is asked about later. Nothing is called.
    pub fn held(&self, open: &OpenBreaker) -> Finish {
        let step = if self.is_proof() {
            // A little apart from each other, and from the probe.
            let apart = chrono::Duration::milliseconds(1_000 + i64::from(rand::random::<u16>()) / 16);
            // While a probe is under way its answer may come at any moment.
            let probed_at = open.breaker.next_at.filter(|_| open.breaker.state == BreakerState::Open);
            Step::Unknown { prove_at: probed_at.map_or_else(Utc::now, |at| at.max(Utc::now())) + apart, counts: false }
        } else {
            Step::Hold { breaker: Some(open.id) }
        };
        self.finish(None, step, None)
    }

    /// It is a retry, and its connection makes as many as it may.
    pub fn put_off(&self) -> Finish {
        let wait = chrono::Duration::milliseconds(1_000 + i64::from(rand::random::<u16>()) / 16);
        self.finish(None, Step::Wait { until: Utc::now() + wait, counts: false }, None)
    }

    /// The vendor's limit leaves nothing for so long: it waits, and nobody begins a call to find that out.
    pub fn limited(&self, wait: Duration) -> Finish {
        // A little apart from each other.
        let apart = chrono::Duration::milliseconds(i64::from(rand::random::<u16>()) / 32);
        let at = Utc::now() + chrono::Duration::from_std(wait).unwrap_or_default() + apart;
        let step = match self.is_proof() {
            true => Step::Unknown { prove_at: at, counts: false },
            false => Step::Wait { until: at, counts: false },
        };
        self.finish(None, step, None)
    }

    /// What came of a call says this of the destination's health.
    fn health(&self, signal: Option<Signal>) -> Option<Health> {
        let operation = self.operation();
        let is_watched = self.connection.breakers.iter().any(|open| open.operation == ACCOUNT || open.operation == operation);
        Some(Health { operation, signal: signal?, is_watched })
    }

    /// What is there already, and becomes this record.
    fn adopted(&self) -> Option<&Receipt> {
        if let Search::Found { receipt, .. } = &self.known.search { Some(receipt) } else { None }
    }

    /// The id of what was just found there: whoever has it already keeps it.
    pub fn adopts(&self) -> Option<&str> {
        self.adopted().map(|receipt| receipt.id.as_str())
    }

    /// What is found there is another record's.
    pub fn anothers(&self) -> Reason {
        let (title, id) = (self.connector.title(), self.adopts().unwrap_or_default());
        let fault = Fault::new(
            FaultClass::Conflict,
            "another_record",
            format!("{title} has it already as {id}, which belongs to another record"),
            Owner::Operations,
            "Compare the two there and at the source; change the number of one of them, then press Retry.",
        );
        self.reason(&fault)
    }

    /// True where it is asked first whether the record is there, because it came another way.
    fn searches(&self, change: Change<'_>) -> bool {
        matches!((change, &self.known.search), (Change::Write, Search::NotMade))
            && self.connector.searches_first(self.parcel.kind)
    }

    /// Fixed before the first try and the same for all of them. What is sent anew is another act: a vendor would answer it as it did the first.
    fn idempotency_key(&self) -> String {
        let id = self.parcel.id;
        if self.parcel.resends == 0 { id.to_string() } else { format!("{id}-{}", self.parcel.resends) }
    }

    fn context<'c>(&'c self, idempotency_key: &'c str, nonce: &'c str) -> RequestContext<'c> {
        RequestContext {
            external_key: &self.external_key,
            revision: i64::from(self.parcel.revision),
            idempotency_key,
            group: self.known.group.map(|group| group.number),
            ..self.access.context(&self.connection.settings, nonce)
        }
    }

    /// The request that is due, or what is decided without one.
    ///
    /// # Errors
    /// What a person must do before it can be made.
    pub fn make(&mut self, lookups: &TenantLookups<'_>, source: &str) -> Result<Made, Reason> {
        // A question by business key needs no payload, most often.
        let is_plain_proof = self.is_proof() && !matches!(self.due(), Ok(Change::Action(..)));
        if self.known.payload.is_none() && (!is_plain_proof || self.connector.proof_needs_payload(self.parcel.kind)) {
            self.known.payload = Some(self.payload(lookups, source)?);
        }
        if self.connector.writes_x12() && self.known.group.is_none() && !is_plain_proof {
            return self.planned_group().map(Made::Number);
        }
        let (key, nonce) = (self.idempotency_key(), Uuid::new_v4().simple().to_string());
        let mut found = std::mem::take(&mut self.known.found);
        let made = self.make_with(&mut found, &self.context(&key, &nonce));
        self.known.found = found;
        made
    }

    fn make_with(&self, found: &mut Found, context: &RequestContext<'_>) -> Result<Made, Reason> {
        let unbuilt = |error: RequestError| {
            self.reason(&developer_fault("request", error.to_string(), "Complete the connection, then press Retry."))
        };
        let (connector, kind, payload) = (self.connector, self.parcel.kind, self.known.payload.as_ref());
        let change = self.due().map_err(unbuilt)?;
        if self.is_proof() {
            // A vendor that makes a second one harmless need not be asked. Nor is one where what is found would say that the record
            // exists, which is known, and nothing of the update: it sets the same values, which is one effect however often it arrives.
            // And where the revision was there before already, to find it says nothing of this change: it undoes another delivery of it, or is
            // sent anew. A write that replaces what is there is one effect as well.
            let is_again = self.parcel.undoes_since.is_some() || self.parcel.resends > 0;
            let is_told = match change {
                Change::Update(_) => connector.proof_tells_revision(kind) && !is_again,
                Change::Write => !(is_again && self.parcel.stored.is_some() && connector.replaces(kind)),
                Change::Action(..) => true,
            };
            if connector.is_repeatable(kind, change) || !is_told {
                return Ok(Made::Ready(Ready::Step(self.send_again(Utc::now()))));
            }
            let request = match change {
                Change::Action(name, on) => connector.action_proof_request(kind, name, &on.id, payload, context),
                Change::Write | Change::Update(_) => connector.proof_request(kind, payload, context),
            };
            let request = request.map_err(unbuilt)?.ok_or_else(|| self.reason(&unprovable(connector)))?;
            return Ok(Made::Ready(Ready::Call(request)));
        }
        if self.searches(change) {
            let request = connector.proof_request(kind, payload, context).map_err(unbuilt)?;
            return request.map(Made::Read).ok_or_else(|| self.reason(&unprovable(connector)));
        }
        if let Search::Found { receipt, is_current } = &self.known.search
            && (*is_current || matches!(change, Change::Write))
            && self.parcel.calls_done == 0
        {
            return Ok(Made::Ready(Ready::Step(self.done(receipt.clone()))));
        }
        if let Some(id) = self.unversioned(change) {
            let request = connector.current_request(kind, id, context).map_err(unbuilt)?;
            return request.map(Made::Read).ok_or_else(|| unbuilt(RequestError::Version));
        }
        match connector.before_request(kind, change, payload, found, context) {
            Ok(Some(request)) => return Ok(Made::Read(request)),
            Ok(None) => {}
            Err(LookUpError::Request(error)) => return Err(unbuilt(error)),
            Err(LookUpError::Missing(fault)) => return Err(self.reason(&fault)),
        }
        let request = connector.change_request(kind, change, payload, found, context).map_err(unbuilt)?;
        Ok(Made::Ready(Ready::Call(request)))
    }

    fn planned_group(&self) -> Result<PlannedGroup, Reason> {
        let set = self.known.payload.as_ref().and_then(connectors::x12::set_of);
        let (set, functional_id) = set.ok_or_else(|| {
            let what = X12Error::Set.to_string();
            self.reason(&developer_fault("x12_set", what, "Correct the rules of the flow, then press Retry."))
        })?;
        Ok(PlannedGroup { delivery: self.parcel.id, resends: self.parcel.resends, functional_id, set })
    }

    /// Whose numbers its group takes.
    ///
    /// # Errors
    /// What a person must do before it can be known.
    pub fn partner(&self) -> Result<Partner, Reason> {
        let unbuilt = |error: RequestError| {
            self.reason(&developer_fault("request", error.to_string(), "Complete the connection, then press Retry."))
        };
        let agreement = self.connector.agreement(&self.context("", "")).transpose().map_err(unbuilt)?;
        let agreement = agreement.ok_or_else(|| unbuilt(RequestError::X12(X12Error::Set)))?;
        Ok(Partner {
            connection: self.connection.id,
            us: agreement.us.id.to_string(),
            partner: agreement.partner.id.to_string(),
            within_s: i32::try_from(agreement.acknowledge_within.num_seconds()).unwrap_or(i32::MAX),
        })
    }

    /// The id of the record whose version must be read first: the one that we were told last may be stale.
    fn unversioned<'d>(&self, change: Change<'d>) -> Option<&'d str> {
        let (Change::Update(stored) | Change::Action(_, stored)) = change else { return None };
        let is_asked = self.known.current.is_none() && self.connector.needs_version(self.parcel.kind, change);
        is_asked.then_some(stored.id.as_str())
    }

    /// Takes the answer to what was read before the call.
    ///
    /// # Errors
    /// The classified fault.
    pub fn take(&mut self, answer: &HttpAnswer) -> Result<(), Fault> {
        let change = self.due().map_err(|error| developer_fault("request", error.to_string(), "Press Retry."))?;
        let (connector, kind) = (self.connector, self.parcel.kind);
        if self.searches(change) {
            let revision = i64::from(self.parcel.revision);
            self.known.search = match connector.read_proof_answer(kind, &self.external_key, answer, revision) {
                Proof::Found { receipt, current } => {
                    Search::Found { receipt, is_current: current && connector.proof_tells_revision(kind) }
                }
                Proof::Absent => Search::Absent,
                Proof::Failed(fault) => return Err(self.access.told(fault)),
            };
            return Ok(());
        }
        if let Some(id) = self.unversioned(change) {
            let current = connector.read_current_answer(kind, id, answer).map_err(|fault| self.access.told(fault))?;
            self.known.current = Some(current);
            return Ok(());
        }
        let (key, nonce) = (self.idempotency_key(), Uuid::new_v4().simple().to_string());
        let (mut found, payload) = (self.known.found.clone(), self.known.payload.as_ref());
        connector
            .read_before_answer(kind, change, payload, &mut found, answer, &self.context(&key, &nonce))
            .map_err(|fault| self.access.told(fault))?;
        self.known.found = found;
        Ok(())
    }

    fn payload(&self, lookups: &TenantLookups<'_>, source: &str) -> Result<Value, Reason> {
        let parcel = &self.parcel;
        let carried = Carried {
            kind: parcel.kind,
            revision: parcel.revision,
            external_key: &self.external_key,
            settings: &self.connection.settings,
            source,
        };
        let document =
            Document { thing: &self.thing(), json: parcel.document.as_bytes(), unbalanced: parcel.unbalanced.as_deref() };
        let mut payload = self.flow.payload(self.connector, &carried, &document, lookups)?;
        let edited = self.edits().apply(&mut payload);
        edited.map_err(|error| self.reason(&developer_fault("edit", error.to_string(), EDIT_FIX)))?;
        Ok(payload)
    }

    /// What a person has changed of the payload.
    fn edits(&self) -> Edits {
        self.parcel.edits.as_deref().map(Edits::from_json).unwrap_or_default()
    }

    /// "Order #1042"
    fn thing(&self) -> String {
        thing(self.parcel.kind, self.parcel.number.as_deref().unwrap_or(&self.parcel.source_id))
    }

    fn reason(&self, fault: &Fault) -> Reason {
        Reason::from_fault(&self.thing(), self.connector.title(), fault)
    }

    fn age(&self) -> chrono::Duration {
        Utc::now() - self.parcel.undoes_since.unwrap_or(self.parcel.origin_at)
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

    /// What follows where what belongs before the call was not read: nothing was changed, so that nothing is to be proven.
    pub fn unread(&self, fault: Fault) -> Finish {
        let class = if fault.class == FaultClass::Unknown { FaultClass::Outage } else { fault.class };
        let fault = self.access.renewable(Fault { class, ..fault }, self.parcel.failures);
        let signal = Signal::of(&fault);
        self.finish(None, self.after(Outcome::Failed(fault)), signal)
    }

    /// The vendor was not reached, did not answer, or the call was not let out.
    pub fn silent(&self, no_answer: NoAnswer) -> Fault {
        match no_answer {
            NoAnswer::Refused(why) => developer_fault("address", why, "Correct the connection's address, then press Retry."),
            NoAnswer::NotSent(why) | NoAnswer::Lost(why) => lost(self.connector, &why, FaultClass::Outage),
        }
    }

    /// The vendor's limit left no room in time.
    pub fn used_up(&self, used_up: UsedUp) -> Fault {
        exhausted(self.connector, NO_SLOT, used_up)
    }

    /// What follows a call that was made, or could not be.
    fn after(&self, outcome: Outcome) -> Step {
        let failures = u32::try_from(self.parcel.failures + 1).unwrap_or(u32::MAX);
        let settle = milliseconds(self.connector.proof_settle_ms(self.parcel.kind));
        match delivery::after(outcome, failures, &self.flow.policy, settle, self.age(), Utc::now(), rand::random()) {
            Next::Confirmed(receipt) => self.done(receipt),
            Next::Wait { until, fault } => Step::Wait { until, counts: self.counts(fault.class) },
            Next::Prove { at, .. } => Step::Unknown { prove_at: at, counts: true },
            Next::Hold(_) => Step::Hold { breaker: None },
            Next::Stop(fault) => Step::Stop(self.reason(&fault)),
        }
    }

    /// The call that was due is done: the next one is, or none.
    fn done(&self, receipt: Receipt) -> Step {
        let done = usize::try_from(self.parcel.calls_done).unwrap_or(usize::MAX).saturating_add(1);
        let has_more = match self.due() {
            // What was adopted is completed as what is created is.
            Ok(Change::Update(_)) if self.adopted().is_some() => !self.connector.actions_after_write(self.parcel.kind).is_empty(),
            Ok(Change::Update(_)) | Err(_) => false,
            Ok(_) => done < 1 + self.connector.actions_after_write(self.parcel.kind).len(),
        };
        if has_more { Step::Proceed(receipt) } else { Step::Confirmed(receipt) }
    }

    /// Nothing that was sent is there, as of `asked_at`: it may be sent again where the vendor must have shown it by then.
    fn send_again(&self, asked_at: DateTime<Utc>) -> Step {
        let kind = self.parcel.kind;
        let doubt = Doubt {
            sent_until: self.parcel.sent_until.unwrap_or_default(),
            lands_within: milliseconds(self.connector.lands_within_ms(kind)),
            settle: milliseconds(self.connector.proof_settle_ms(kind)),
        };
        match doubt.after_absence(asked_at, Utc::now()) {
            Absence::ForGood => Step::Resend,
            Absence::Early(prove_at) => Step::Unknown { prove_at, counts: false },
        }
    }

    fn ask_again(&self, fault: &Fault) -> Step {
        // A limit, an outage or a refused credential says nothing of whether it arrived: it is asked again while that lasts, though not in
        // silence for ever; of a credential an incident tells.
        let counts = !matches!(fault.class, FaultClass::Limit | FaultClass::Outage | FaultClass::Authentication);
        let failures = self.parcel.failures + i32::from(counts);
        let lasts =
            fault.class == FaultClass::Outage && self.age() > delivery::OUTAGE_PATIENCE && self.parcel.attempts >= PROOFS_MAX;
        if lasts || (counts && failures >= PROOFS_MAX) {
            return Step::Stop(self.reason(fault));
        }
        let wait = self.flow.policy.wait(fault, u32::try_from(failures.max(1)).unwrap_or(1), rand::random());
        Step::Unknown { prove_at: Utc::now() + wait, counts }
    }

    /// The account cannot be called at all: it has no token, and this is why.
    pub fn without_access(&self, fault: Fault) -> Finish {
        let signal = Signal::of(&fault);
        let step = if !self.is_proof() {
            self.after(Outcome::Failed(fault))
        } else if fault.class.is_passing() || fault.class == FaultClass::Authentication {
            self.ask_again(&fault)
        } else {
            Step::Stop(self.reason(&fault))
        };
        self.finish(None, step, signal)
    }

    pub fn finish(&self, attempt: Option<Ended>, step: Step, signal: Option<Signal>) -> Finish {
        let group = self.known.group.map(|group| group.id);
        Finish { health: self.health(signal), group, ..finish(&self.parcel, attempt, step) }
    }
}

impl Call {
    pub fn new(duty: Duty, request: HttpRequest) -> Self {
        Self {
            attempt: AttemptId::generate(),
            buckets: duty.buckets(&request),
            duty,
            request,
            // It counts from the commit of the attempt.
            deadline: Instant::now(),
            batch: None,
        }
    }

    pub fn start(&self) -> Start {
        let kind = match self.duty.due() {
            _ if self.duty.is_proof() => "proof",
            Ok(Change::Update(_)) => "update",
            Ok(Change::Action(..)) => "action",
            Ok(Change::Write) | Err(_) => "write",
        };
        let is_proof = self.duty.is_proof();
        let inputs = self.duty.due().ok().filter(|_| !is_proof).and_then(|change| {
            let found = self.duty.known.found.clone();
            let batch = self.batch.map(|batch| batch.to_string());
            let group = self.duty.known.group.map(|group| group.number);
            Inputs::new(change, found).with_edits(self.duty.edits()).in_batch(batch).numbered(group).to_json()
        });
        Start {
            delivery: self.duty.parcel.id,
            attempt: self.attempt,
            after: self.duty.parcel.attempt,
            kind,
            method: self.request.method.as_str(),
            url: self.duty.access.redact(&self.request.url).into_owned(),
            request: self.request.body.to_vec(),
            recipe: (!is_proof).then_some(self.duty.recipe),
            inputs,
            batch: self.batch,
        }
    }

    /// Reads the answer to what was sent at this time, and decides what follows.
    pub fn end(&self, answer: Result<HttpAnswer, NoAnswer>, sent_at: DateTime<Utc>) -> Finish {
        let connector = self.duty.connector;
        match answer {
            Ok(answer) if self.duty.is_proof() => self.read_proof(&answer, sent_at),
            Ok(answer) => {
                let outcome = match self.read(&answer) {
                    Ok(receipt) => Outcome::Stored(receipt),
                    Err(fault) => Outcome::Failed(self.duty.access.renewable(fault, self.duty.parcel.failures)),
                };
                self.end_write(outcome, Some(&answer), false)
            }
            Err(NoAnswer::Lost(why)) if !self.duty.is_proof() => {
                self.end_write(Outcome::Failed(lost(connector, &why, FaultClass::Unknown)), None, false)
            }
            Err(NoAnswer::Refused(why)) => {
                let fault = self.duty.silent(NoAnswer::Refused(why));
                let step = Step::Stop(self.duty.reason(&fault));
                self.close("not_sent", None, Some(fault), step, None)
            }
            Err(no_answer) if self.duty.is_proof() => {
                let not_sent = matches!(no_answer, NoAnswer::NotSent(_));
                self.prove_again(self.duty.silent(no_answer), None, not_sent)
            }
            Err(no_answer) => self.end_write(Outcome::Failed(self.duty.silent(no_answer)), None, true),
        }
    }

    /// Whether the destination took the payload with this call, as far as its answer says: a proof says only that the record is there.
    pub fn taken(&self, step: &Step) -> Option<Taken> {
        let is_taken = !self.duty.is_proof() && matches!(step, Step::Confirmed(_) | Step::Proceed(_));
        match self.duty.due().ok().filter(|_| is_taken)? {
            Change::Write => Some(Taken::New),
            Change::Update(_) => Some(Taken::Again),
            Change::Action(..) => None,
        }
    }

    pub fn not_sent(&self, used_up: UsedUp) -> Finish {
        let fault = self.duty.used_up(used_up);
        if self.duty.is_proof() {
            self.prove_again(fault, None, true)
        } else {
            self.end_write(Outcome::Failed(fault), None, true)
        }
    }

    fn read(&self, answer: &HttpAnswer) -> Result<Receipt, Fault> {
        let duty = &self.duty;
        let (connector, kind) = (duty.connector, duty.parcel.kind);
        let change = duty.due().map_err(|error| developer_fault("request", error.to_string(), "Press Retry."))?;
        match (connector.read_change_answer(kind, change, answer, &duty.external_key), change) {
            // A vendor whose answer to an update names no id has changed the one that was named.
            (Err(_), Change::Update(stored)) if connector.read_action_answer(answer).is_ok() => {
                Ok(Receipt { id: stored.id.clone(), version: None })
            }
            // Somebody else has changed the record meanwhile: its version is read again, and it is tried once more.
            (Err(fault), _) if duty.parcel.failures == 0 && connector.is_stale(answer) => {
                Err(Fault { class: FaultClass::Retry, retry_after_ms: Some(0), ..duty.access.told(fault) })
            }
            (read, _) => read.map_err(|fault| duty.access.told(fault)),
        }
    }

    fn read_proof(&self, answer: &HttpAnswer, asked_at: DateTime<Utc>) -> Finish {
        let (connector, parcel) = (self.duty.connector, &self.duty.parcel);
        let proof = match self.duty.due() {
            Ok(Change::Action(name, on)) => match connector.read_action_proof(parcel.kind, name, &on.id, answer) {
                Ok(true) => Proof::Found { receipt: on.clone(), current: true },
                Ok(false) => Proof::Absent,
                Err(fault) => Proof::Failed(fault),
            },
            _ => connector.read_proof_answer(parcel.kind, &self.duty.external_key, answer, i64::from(parcel.revision)),
        };
        match proof {
            Proof::Found { receipt, current: true } => {
                self.close("stored", Some(answer), None, self.duty.done(receipt), Some(Signal::Answered))
            }
            // Not there, or only an older revision: what was sent had no effect yet.
            Proof::Found { current: false, .. } | Proof::Absent => {
                self.close("absent", Some(answer), None, self.duty.send_again(asked_at), Some(Signal::Answered))
            }
            Proof::Failed(fault) => self.prove_again(self.duty.access.told(fault), Some(answer), false),
        }
    }

    pub fn end_write(&self, outcome: Outcome, answer: Option<&HttpAnswer>, not_sent: bool) -> Finish {
        let fault = if let Outcome::Failed(fault) = &outcome { Some(fault.clone()) } else { None };
        let word = match &fault {
            None => "stored",
            Some(_) if not_sent => "not_sent",
            Some(fault) if fault.class == FaultClass::Unknown => "unknown",
            Some(_) => "failed",
        };
        let signal = fault.as_ref().map_or(Some(Signal::Answered), Signal::of);
        self.close(word, answer, fault, self.duty.after(outcome), signal)
    }

    fn prove_again(&self, fault: Fault, answer: Option<&HttpAnswer>, not_sent: bool) -> Finish {
        let (step, signal) = (self.duty.ask_again(&fault), Signal::of(&fault));
        // Who made no call is not billed for one.
        self.close(if not_sent { "not_sent" } else { "failed" }, answer, Some(fault), step, signal)
    }

    pub fn close(
        &self,
        outcome: &'static str,
        answer: Option<&HttpAnswer>,
        fault: Option<Fault>,
        step: Step,
        signal: Option<Signal>,
    ) -> Finish {
        let ended = Ended {
            id: self.attempt,
            outcome,
            status: answer.map(|answer| answer.status),
            answer: answer.and_then(|answer| kept(&answer.body, &self.duty.access)),
            fault,
            shares_call: false,
            ended_at: Utc::now(),
        };
        self.duty.finish(Some(ended), step, signal)
    }
}

/// The end of a delivery's step.
pub fn finish(parcel: &Parcel, attempt: Option<Ended>, step: Step) -> Finish {
    Finish {
        delivery: parcel.id,
        record: parcel.record,
        kind: parcel.kind,
        flow: parcel.flow,
        destination: parcel.destination,
        seen: parcel.state,
        after: parcel.attempt,
        attempt,
        worth: if matches!(step, Step::Stop(_)) { worth(parcel.kind, &parcel.document) } else { None },
        step,
        health: None,
        group: None,
    }
}

/// What a record comes to: how urgent its exception is.
pub fn worth(kind: RecordKind, document: &str) -> Option<Worth> {
    let document = Value::parse(document.as_bytes(), &Limits::DEFAULT).ok()?;
    Worth::of(&canonical::examine(kind, &document).ok()?)
}

fn milliseconds(ms: u64) -> chrono::Duration {
    chrono::Duration::milliseconds(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// The vendor's buckets that a request of a connection counts in.
pub fn buckets(connection: &ConnectionRow, connector: &Connector, request: &HttpRequest) -> Buckets {
    Buckets::new(connection.id, connector.buckets(&connection.settings, connection.reserve_pct, &request.url))
}

/// What a call says of the vendor's limits; one without an answer says nothing.
pub fn told(connector: &Connector, answer: &Result<HttpAnswer, NoAnswer>) -> Told {
    answer.as_ref().map_or_else(|_| Told::nothing(), |answer| connector.told(answer))
}

/// The vendor's limit left no room in time: it waits until there is some, where that is known.
pub fn exhausted(connector: &Connector, code: &str, used_up: UsedUp) -> Fault {
    let retry_after_ms = used_up.wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
    let reason = format!("the limit of {} is used up", connector.title());
    let fix = "Nothing to do: it is sent as soon as the limit allows. The connection's budget says how much that is.";
    Fault { retry_after_ms, ..Fault::new(FaultClass::Limit, code, reason, Owner::Vendor, fix) }
}

/// What an attempt keeps of an answer, or of what was asked before: vendors echo what they were sent, so the credential is taken out.
pub fn kept(body: &[u8], access: &Access) -> Option<Part> {
    Part::of_attempt(body, |text| access.redact(text))
}

fn lost(connector: &Connector, why: &str, class: FaultClass) -> Fault {
    let code = match class {
        FaultClass::Unknown => "no_answer",
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

/// A delivery whose connector cannot be used: it is gone, or `broken` says what is wrong with its files.
pub fn missing_connector(parcel: &Parcel, broken: Option<&CatalogErrors>) -> Reason {
    let fault = match broken {
        None => developer_fault(
            "connector",
            "its connector is not part of this installation any more".into(),
            "Install the connector again, then press Retry.",
        ),
        Some(errors) => developer_fault(
            "connector_broken",
            format!("its connector cannot be used: {errors}"),
            "Mend the connector's files, start Crossdock again, then press Retry.",
        ),
    };
    Reason::from_fault(&format!("The {} {}", parcel.kind, parcel.source_id), "its destination", &fault)
}
