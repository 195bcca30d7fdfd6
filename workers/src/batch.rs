//! Several first writes in one call, where the connector has a batch of their kind. Each delivery keeps an attempt of its own, started before the
//! call, and an end of its own from what is said of its item; what they share is the call: its permit, its place in the sums of usage, and
//! what it says of the destination's health.
//!
//! Only what was never tried goes together. Whatever fails is tried again, or proven, alone, so that no item strands its neighbours twice.

use std::collections::HashSet;
use std::time::Instant;

use chrono::{DateTime, Utc};
use connectors::{Change, RequestContext, RequestError};
use domain::breaker::Signal;
use domain::delivery::Outcome;
use domain::fault::{Fault, FaultClass};
use domain::http::{HttpAnswer, HttpRequest, NoAnswer};
use domain::id::{AttemptId, ConnectionId};
use domain::record::RecordKind;
use domain::value::Value;
use infra::limiter::{Buckets, UsedUp};
use infra::postgres::breaker::ACCOUNT;
use infra::postgres::ledger::{Finish, Start, Step};
use tracing::warn;
use uuid::Uuid;

use crate::call::{Call, Duty};

/// Bytes of all payloads of one call.
const BYTES_MAX: usize = 1024 * 1024;

/// What goes out with one request.
pub enum Sending {
    Alone(Box<Call>),
    Together(Box<Batch>),
}

/// Calls that are one.
pub struct Batch {
    id: Uuid,
    calls: Vec<Call>,
    request: HttpRequest,
}

/// What decides with which others a call may go.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    connection: ConnectionId,
    kind: RecordKind,
    items_max: usize,
    bytes: usize,
    /// What its result is found by; none where results stand in the order of the items.
    key: Option<String>,
}

/// Puts together what may go together, in its order. All calls are of one lane.
pub fn gather(calls: Vec<Call>) -> Vec<Sending> {
    let (mut sendings, mut items, mut together) = (Vec::with_capacity(calls.len()), Vec::new(), Vec::new());
    for call in calls {
        match Item::of(&call) {
            Some(item) => {
                items.push(item);
                together.push(Some(call));
            }
            None => sendings.push(Sending::Alone(Box::new(call))),
        }
    }
    for portion in portions(&items) {
        let mut calls: Vec<Call> = portion.into_iter().filter_map(|index| together[index].take()).collect();
        // By age: of two that the vendor gave one id the older is believed.
        calls.sort_by_key(|call| call.duty.parcel.id.0);
        match Batch::of(calls) {
            Ok(batch) => sendings.push(Sending::Together(Box::new(batch))),
            Err(calls) => sendings.extend(calls.into_iter().map(|call| Sending::Alone(Box::new(call)))),
        }
    }
    sendings
}

/// Which items make one call: as many as the connector takes, of one kind, no two of which would be found by the same key.
fn portions(items: &[Item]) -> Vec<Vec<usize>> {
    let mut portions: Vec<Vec<usize>> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let has_room = |portion: &&mut Vec<usize>| {
            let first = &items[portion[0]];
            let bytes: usize = portion.iter().map(|at| items[*at].bytes).sum();
            (first.connection, first.kind) == (item.connection, item.kind)
                && portion.len() < item.items_max
                && bytes.saturating_add(item.bytes) <= BYTES_MAX
                && (item.key.is_none() || portion.iter().all(|at| items[*at].key != item.key))
        };
        match portions.iter_mut().find(has_room) {
            Some(portion) => portion.push(index),
            None => portions.push(vec![index]),
        }
    }
    portions
}

impl Item {
    /// `None` for a call that goes alone: anything but a first write, and what is a breaker's probe or let go by one.
    fn of(call: &Call) -> Option<Self> {
        let duty = &call.duty;
        let (connector, kind, payload) = (duty.connector, duty.parcel.kind, duty.known.payload.as_ref()?);
        let is_first_write = !duty.is_proof()
            && matches!(duty.due(), Ok(Change::Write))
            && (duty.parcel.calls_done, duty.parcel.failures, duty.parcel.resends) == (0, 0, 0)
            && duty.parcel.undoes_since.is_none();
        if !is_first_write || duty.is_watched() || !connector.writes_in_batches(kind) {
            return None;
        }
        let key = connector.batch_item_key(kind, payload);
        if key.is_none() && connector.batch_is_keyed(kind) {
            return None;
        }
        Some(Self {
            connection: duty.connection.id,
            kind,
            items_max: connector.batch_items_max(kind).and_then(|count| usize::try_from(count).ok()).unwrap_or(1),
            bytes: call.request.body.len(),
            key,
        })
    }
}

impl Duty {
    /// True where a breaker that stands before it is not closed: then it is a question whether the destination works, and is asked alone.
    fn is_watched(&self) -> bool {
        let operation = self.operation();
        self.connection.breakers.iter().any(|open| open.operation == ACCOUNT || open.operation == operation)
    }

    /// What all items of a batch share; what is of one record stands in its payload.
    fn batch_context<'c>(&'c self, batch: &'c str, nonce: &'c str) -> RequestContext<'c> {
        RequestContext { idempotency_key: batch, ..self.access.context(&self.connection.settings, nonce) }
    }
}

impl Batch {
    /// A batch of at least two; the calls as they were where they make none.
    fn of(mut calls: Vec<Call>) -> Result<Self, Vec<Call>> {
        let id = Uuid::now_v7();
        let made = if calls.len() < 2 { None } else { request(id, &calls).ok().zip(items(id, &calls).ok()) };
        let Some((request, items)) = made else { return Err(calls) };
        for (call, item) in calls.iter_mut().zip(items) {
            call.request = item;
            call.batch = Some(id);
        }
        Ok(Self { id, calls, request })
    }

    /// Without those that somebody else took meanwhile.
    fn retain(mut self, begun: &HashSet<AttemptId>) -> Option<Self> {
        let count = self.calls.len();
        self.calls.retain(|call| begun.contains(&call.attempt));
        if self.calls.is_empty() {
            return None;
        }
        if self.calls.len() < count {
            match request(self.id, &self.calls) {
                Ok(request) => self.request = request,
                Err(error) => {
                    warn!(%error, batch.id = %self.id, "A batch was not sent; the sweeper makes its deliveries unknown");
                    return None;
                }
            }
        }
        Some(self)
    }

    fn end(self, answer: Result<HttpAnswer, NoAnswer>, sent_at: DateTime<Utc>) -> Vec<(Call, Finish)> {
        let Some(first) = self.calls.first() else { return vec![] };
        let (connector, kind) = (first.duty.connector, first.duty.parcel.kind);
        let answer = match answer {
            Ok(answer) => answer,
            Err(no_answer) => return shared(self.calls, |call| call.end(Err(no_answer.clone()), sent_at)),
        };
        match connector.read_batch_answer(kind, &payloads(&self.calls), &answer) {
            Ok(items) => {
                let mut items = items.into_iter();
                shared(self.calls, |call| match items.next() {
                    Some(item) => call.end_with(item.result, &item.answer),
                    None => call.end(Err(NoAnswer::Lost("the answer has no result for it".into())), sent_at),
                })
            }
            // One of them may be what it was refused for: each is tried alone, and only that one is an exception.
            Err(fault) if is_of_one(fault.class) && self.calls.len() > 1 => shared(self.calls, |call| {
                let fault = call.duty.access.told(fault.clone());
                let (step, signal) = (Step::Wait { until: Utc::now(), counts: true }, Signal::of(&fault));
                call.close("failed", Some(&answer), Some(fault), step, signal)
            }),
            Err(fault) => shared(self.calls, |call| call.end_with(Err(fault.clone()), &answer)),
        }
    }
}

impl Call {
    /// The end of a write that was read already.
    fn end_with(&self, result: Result<domain::delivery::Receipt, Fault>, answer: &HttpAnswer) -> Finish {
        let outcome = match result {
            Ok(receipt) => Outcome::Stored(receipt),
            Err(fault) => {
                let access = &self.duty.access;
                Outcome::Failed(access.renewable(access.told(fault), self.duty.parcel.failures))
            }
        };
        self.end_write(outcome, Some(answer), false)
    }
}

/// True for a refusal that the content of one item may be the reason of.
fn is_of_one(class: FaultClass) -> bool {
    !class.is_passing() && !matches!(class, FaultClass::Unknown | FaultClass::Authentication)
}

/// The ends of calls that were one: only the first counts as a call, and only one says how the destination is.
fn shared(calls: Vec<Call>, mut end: impl FnMut(&Call) -> Finish) -> Vec<(Call, Finish)> {
    let ends: Vec<Finish> = calls.iter().map(&mut end).collect();
    calls.into_iter().zip(as_one(ends)).collect()
}

fn as_one(mut ends: Vec<Finish>) -> Vec<Finish> {
    let signals: Vec<Option<&Signal>> = ends.iter().map(|end| end.health.as_ref().map(|health| &health.signal)).collect();
    // What told us anything works, whatever it said of the others.
    let answered = signals.iter().position(|signal| matches!(signal, Some(Signal::Answered)));
    let teller = answered.or_else(|| signals.iter().position(Option::is_some));
    for (index, end) in ends.iter_mut().enumerate() {
        // Each that is held for a refused credential needs the breaker that holds it, in whichever transaction it ends.
        let is_refused = end.health.as_ref().is_some_and(|health| matches!(health.signal, Signal::Refused(_)));
        if Some(index) != teller && !is_refused {
            end.health = None;
        }
        if let Some(attempt) = &mut end.attempt {
            attempt.shares_call = index > 0;
        }
    }
    ends
}

fn payloads(calls: &[Call]) -> Vec<Value> {
    calls.iter().filter_map(|call| call.duty.known.payload.clone()).collect()
}

fn request(id: Uuid, calls: &[Call]) -> Result<HttpRequest, RequestError> {
    let (id, nonce) = (id.to_string(), Uuid::new_v4().simple().to_string());
    let duty = &calls[0].duty;
    duty.connector.batch_request(duty.parcel.kind, &payloads(calls), &duty.batch_context(&id, &nonce))
}

/// What each attempt keeps of the request: its own payload.
fn items(id: Uuid, calls: &[Call]) -> Result<Vec<HttpRequest>, RequestError> {
    let (id, nonce) = (id.to_string(), Uuid::new_v4().simple().to_string());
    let item = |call: &Call| {
        let (duty, nothing) = (&call.duty, Value::Null);
        let payload = duty.known.payload.as_ref().unwrap_or(&nothing);
        let draft = duty.connector.batch_item_draft(duty.parcel.kind, payload, &duty.batch_context(&id, &nonce))?;
        Ok(draft.unsigned())
    };
    calls.iter().map(item).collect()
}

impl Sending {
    /// The deliveries that it carries.
    pub fn count(&self) -> usize {
        self.calls().len()
    }

    fn calls(&self) -> &[Call] {
        match self {
            Self::Alone(call) => std::slice::from_ref(call),
            Self::Together(batch) => &batch.calls,
        }
    }

    pub fn starts(&self) -> impl Iterator<Item = Start> {
        self.calls().iter().map(Call::start)
    }

    /// What of it was committed as started, to be sent until then.
    pub fn begun(self, begun: &HashSet<AttemptId>, deadline: Instant) -> Option<Self> {
        match self {
            Self::Alone(mut call) => {
                call.deadline = deadline;
                begun.contains(&call.attempt).then_some(Self::Alone(call))
            }
            Self::Together(batch) => {
                let mut batch = batch.retain(begun)?;
                batch.calls.iter_mut().for_each(|call| call.deadline = deadline);
                Some(Self::Together(Box::new(batch)))
            }
        }
    }

    /// The call that stands for all of them: they are of one connection.
    pub fn first(&self) -> &Call {
        &self.calls()[0]
    }

    /// The vendor's buckets that it counts in: as one call, whatever it carries.
    pub fn buckets(&self) -> Buckets {
        match self {
            Self::Alone(call) => call.buckets.clone(),
            Self::Together(batch) => batch.calls[0].duty.buckets(&batch.request),
        }
    }

    pub fn request(&self) -> &HttpRequest {
        match self {
            Self::Alone(call) => &call.request,
            Self::Together(batch) => &batch.request,
        }
    }

    /// Reads the answer to what was sent at this time, and decides what follows for each.
    pub fn end(self, answer: Result<HttpAnswer, NoAnswer>, sent_at: DateTime<Utc>) -> Vec<(Call, Finish)> {
        match self {
            Self::Alone(call) => {
                let finish = call.end(answer, sent_at);
                vec![(*call, finish)]
            }
            Self::Together(batch) => batch.end(answer, sent_at),
        }
    }

    pub fn not_sent(self, used_up: UsedUp) -> Vec<Finish> {
        match self {
            Self::Alone(call) => vec![call.not_sent(used_up)],
            Self::Together(batch) => {
                shared(batch.calls, |call| call.not_sent(used_up)).into_iter().map(|(_, finish)| finish).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::delivery::{DeliveryState, Receipt};
    use domain::fault::Owner;
    use domain::id::{DeliveryId, FlowId, RecordId};
    use infra::postgres::ledger::{Ended, Health};

    use super::*;

    fn items(items: &[(RecordKind, usize, Option<&str>)]) -> Vec<Item> {
        let connection = ConnectionId::generate();
        let item = |(kind, bytes, key): &(RecordKind, usize, Option<&str>)| Item {
            connection,
            kind: *kind,
            items_max: 3,
            bytes: *bytes,
            key: key.map(str::to_owned),
        };
        items.iter().map(item).collect()
    }

    #[test]
    fn a_call_carries_what_the_connector_takes_of_one_kind_and_no_key_twice() {
        let order = |key| (RecordKind::Order, 10, Some(key));
        let item = |key| (RecordKind::Item, 10, Some(key));
        let parts = |list: &[(RecordKind, usize, Option<&str>)]| portions(&items(list));
        assert_eq!(parts(&[order("a"), order("b"), order("c"), order("d")]), [vec![0, 1, 2], vec![3]]);
        assert_eq!(parts(&[order("a"), item("a"), order("b")]), [vec![0, 2], vec![1]]);
        assert_eq!(parts(&[order("a"), order("a"), order("b")]), [vec![0, 2], vec![1]]);
        let large = |bytes| (RecordKind::Order, bytes, None);
        assert_eq!(parts(&[large(BYTES_MAX), large(1), large(1)]), [vec![0], vec![1, 2]]);
        assert_eq!(parts(&[]), [[0_usize; 0]; 0]);
    }

    fn end(signal: Option<Signal>) -> Finish {
        let ended = Ended {
            id: AttemptId::generate(),
            outcome: "stored",
            status: None,
            answer: None,
            fault: None,
            shares_call: false,
            ended_at: Utc::now(),
        };
        Finish {
            delivery: DeliveryId::generate(),
            record: RecordId::generate(),
            kind: RecordKind::Order,
            flow: FlowId::generate(),
            destination: ConnectionId::generate(),
            seen: DeliveryState::Planned,
            after: None,
            attempt: Some(ended),
            step: Step::Confirmed(Receipt { id: "1".into(), version: None }),
            worth: None,
            group: None,
            health: signal.map(|signal| Health { operation: "order.write".into(), signal, is_watched: false }),
        }
    }

    #[test]
    fn a_batch_counts_as_one_call_and_says_once_how_the_destination_is() {
        let fault = |class| Fault::new(class, "x", "It failed".into(), Owner::Vendor, "Wait.");
        let failed = || Some(Signal::Failed(fault(FaultClass::Unknown)));
        let told = |signals: Vec<Option<Signal>>| {
            let ends = as_one(signals.into_iter().map(end).collect());
            let counted: Vec<bool> = ends.iter().filter_map(|end| Some(!end.attempt.as_ref()?.shares_call)).collect();
            assert!(counted[0] && counted[1..].iter().all(|counts| !counts), "one of them counts");
            ends.into_iter().map(|end| end.health.is_some()).collect::<Vec<_>>()
        };
        assert_eq!(told(vec![failed(), failed(), failed()]), [true, false, false]);
        assert_eq!(told(vec![failed(), Some(Signal::Answered), Some(Signal::Answered)]), [false, true, false]);
        assert_eq!(told(vec![None, None]), [false, false]);
        let refused = || Some(Signal::Refused(fault(FaultClass::Authentication)));
        assert_eq!(told(vec![refused(), refused()]), [true, true], "each needs the breaker that holds it");
    }

    #[test]
    fn a_refusal_that_one_item_may_be_the_reason_of_sends_each_alone() {
        let of_one: Vec<FaultClass> = FaultClass::ALL.into_iter().filter(|class| is_of_one(*class)).collect();
        use FaultClass::{Conflict, Gone, NotFound, Permission, Validation};
        assert_eq!(of_one, [Permission, Validation, Conflict, NotFound, Gone]);
    }
}
