//! Fetch: thin messages are read back, each source in a lane of its own, so that one that hangs never stands before another.
//! A lane takes what it has room for, commits the attempts as started, calls within the vendor's limit, and writes what came of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::Utc;
use connectors::flow::developer_fault;
use connectors::{Connector, Getter};
use domain::exception::Reason;
use domain::fault::{Fault, FaultClass};
use domain::governor::Told;
use domain::http::{HttpAnswer, HttpRequest, NoAnswer};
use domain::id::{AttemptId, TenantId};
use domain::scope::Scope;
use domain::task::Place;
use infra::chain;
use infra::limiter::Buckets;
use infra::postgres::StoreError;
use infra::postgres::fetch::{FetchEnd, FetchNext, FetchStart};
use infra::postgres::ledger::Ended;
use infra::postgres::receive::Inbound;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;
use uuid::Uuid;

use crate::call::{exhausted, kept, silent, told};
use crate::directory::{Access, Directory};
use crate::pace::SLOT_WAIT;
use crate::{Context, receive};

/// Messages that wait in memory for one source; the others wait in Postgres.
const QUEUE_MAX: usize = 1_000;
/// Calls under way to one source, whatever its vendor allows.
const CALLS_MAX: usize = 16;
/// A lane that was idle this long is put away.
const IDLE: Duration = Duration::from_secs(60);
/// What a call may take beyond its own time-out and the wait for a slot, before the sweeper takes it that we died.
const LEASE_MARGIN: Duration = Duration::from_secs(5);
/// Failed tries to read a message back before a person is asked; an outage of the source is waited out for hours.
const FAILURES_MAX: i32 = 8;

/// All lanes of this process.
pub struct Fetches {
    context: Arc<Context>,
    directory: Arc<Directory>,
    stop: watch::Receiver<bool>,
    lanes: Mutex<HashMap<Place, mpsc::Sender<Inbound>>>,
    running: Mutex<JoinSet<()>>,
}

impl Fetches {
    pub fn new(context: Arc<Context>, directory: Arc<Directory>, stop: watch::Receiver<bool>) -> Arc<Self> {
        Arc::new(Self { context, directory, stop, lanes: Mutex::default(), running: Mutex::default() })
    }

    /// Hands messages to the lanes of their sources. What finds no room stays received, and the sweeper brings it when there is.
    pub fn hand(self: &Arc<Self>, tenant: TenantId, messages: Vec<Inbound>) {
        for message in messages {
            let place = Place { tenant, connection: Some(message.connection) };
            let mut lanes = self.lanes.lock().expect("no code panics while it holds the lanes");
            if lanes.get(&place).is_none_or(mpsc::Sender::is_closed) {
                let (sender, waiting) = mpsc::channel(QUEUE_MAX);
                lanes.insert(place, sender);
                let mut running = self.running.lock().expect("no code panics while it holds the lanes");
                while running.try_join_next().is_some() {}
                running.spawn(run(self.clone(), tenant, waiting));
            }
            // Full, or closed this moment: the row waits.
            let _ = lanes[&place].try_send(message);
        }
    }

    /// Waits for the calls under way; the lanes know of the stop by themselves.
    pub async fn close(&self) {
        let running = std::mem::take(&mut *self.running.lock().expect("no code panics while it holds the lanes"));
        running.join_all().await;
    }
}

async fn run(fetches: Arc<Fetches>, tenant: TenantId, mut waiting: mpsc::Receiver<Inbound>) {
    let mut stop = fetches.stop.clone();
    let mut calls: JoinSet<FetchEnd> = JoinSet::new();
    loop {
        let room = CALLS_MAX - calls.len();
        let mut messages = Vec::with_capacity(room);
        tokio::select! {
            () = async { drop(stop.wait_for(|stop| *stop).await) } => break,
            Some(first) = calls.join_next() => fetches.end(tenant, &mut calls, first).await,
            count = waiting.recv_many(&mut messages, room), if room > 0 => {
                if count == 0 {
                    break;
                }
                let ids: Vec<Uuid> = messages.iter().map(|message| message.id.0).collect();
                match fetches.begin(tenant, messages).await {
                    Ok(begun) => {
                        for call in begun {
                            let context = fetches.context.clone();
                            calls.spawn(call.make(context, tenant));
                        }
                    }
                    Err(error) if error.is_passing() || error.is_locked() => {
                        warn!(error = chain(&error), "Messages were not read back; the sweeper brings them again");
                    }
                    // A credential that does not open, say: nothing that comes again by itself would help.
                    Err(error) => {
                        for id in ids {
                            receive::stop_message(&fetches.context, tenant, id, &error).await;
                        }
                    }
                }
            }
            () = tokio::time::sleep(IDLE), if calls.is_empty() => waiting.close(),
        }
    }
    while let Some(first) = calls.join_next().await {
        fetches.end(tenant, &mut calls, first).await;
    }
}

/// A call, committed as started.
struct Call {
    message: Inbound,
    attempt: AttemptId,
    access: Arc<Access>,
    connector: &'static Connector,
    getter: Getter<'static>,
    /// The first one; what is kept apart has requests of its own.
    request: HttpRequest,
    reserve_pct: Option<u32>,
}

impl Fetches {
    /// Makes the requests and commits their attempts as started. A message whose request cannot be made becomes an exception.
    async fn begin(&self, tenant: TenantId, messages: Vec<Inbound>) -> Result<Vec<Call>, StoreError> {
        let scope = Scope::system(tenant, "receive");
        let store = self.context.store.within(&scope);
        let (mut calls, mut ends) = (Vec::with_capacity(messages.len()), Vec::new());
        // A lane is one connection's, so one account serves the batch.
        let Some(connection) = messages.first().map(|message| message.connection) else { return Ok(calls) };
        let row = store.connection_rows(&[connection.0]).await?.pop();
        let connector = row.as_ref().and_then(|row| self.context.catalog.get(&row.connector));
        let reserve_pct = row.as_ref().and_then(|row| row.reserve_pct);
        let account = match (row, connector) {
            (Some(row), Some(connector)) => {
                let (access, lack) = self.directory.access(&scope, &row, connector).await?;
                Ok((connector, Arc::new(access), lack))
            }
            (Some(row), None) => Err(format!("there is no connector \"{}\" any more", row.connector)),
            (None, _) => Err("its connection is gone".to_owned()),
        };
        for message in messages {
            if let Ok((_, _, Some(lack))) = &account {
                ends.push(FetchEnd { message: message.id, connection, attempt: None, next: after(&message, lack.clone()) });
                continue;
            }
            let built = account.as_ref().map_err(Clone::clone).and_then(|(connector, access, _)| {
                let (getter, request) = build(&message, connector, access)?;
                Ok((*connector, access.clone(), getter, request))
            });
            match built {
                Ok((connector, access, getter, request)) => {
                    calls.push(Call { attempt: AttemptId::generate(), access, reserve_pct, message, connector, getter, request });
                }
                Err(why) => {
                    let next =
                        FetchNext::Exception(Reason::from_unfetched(&message.topic, &message.connection_name, &unbuilt(why)));
                    ends.push(FetchEnd { message: message.id, connection: message.connection, attempt: None, next });
                }
            }
        }
        if !ends.is_empty() {
            store.end_fetches(&ends).await?;
        }
        let start = |call: &Call| FetchStart {
            message: call.message.id,
            attempt: call.attempt,
            method: call.request.method.as_str(),
            url: call.access.redact(&call.request.url).into_owned(),
        };
        let lease = self.context.outbound.timeout() + SLOT_WAIT + LEASE_MARGIN;
        let begun = store.begin_fetches(&calls.iter().map(start).collect::<Vec<_>>(), lease.as_secs_f64()).await?;
        calls.retain(|call| begun.contains(&call.attempt));
        Ok(calls)
    }

    /// Writes what came of all calls that have ended by now, and receives what was read back.
    async fn end(&self, tenant: TenantId, calls: &mut JoinSet<FetchEnd>, first: Result<FetchEnd, tokio::task::JoinError>) {
        let mut ends = Vec::new();
        let mut next = Some(first);
        while let Some(end) = next {
            match end {
                Ok(end) => ends.push(end),
                Err(error) => warn!(%error, "A call broke off; the sweeper brings its message again"),
            }
            next = calls.try_join_next();
        }
        let scope = Scope::system(tenant, "receive");
        if let Err(error) = self.context.store.within(&scope).end_fetches(&ends).await {
            warn!(
                error = chain(&error),
                count = ends.len(),
                "What was read back was not kept; the sweeper brings the messages again"
            );
            return;
        }
        let kept = ends.iter().filter(|end| matches!(end.next, FetchNext::Kept(_))).map(|end| end.message.0).collect();
        receive::receive_all(&self.context, &self.directory, tenant, kept).await;
    }
}

impl Call {
    /// Waits for a permit and calls, and once more for each part that the vendor keeps apart: all of it is one attempt to read one thing.
    /// Reading has no effect at the vendor, so a lost answer is simply asked for again.
    async fn make(mut self, context: Arc<Context>, tenant: TenantId) -> FetchEnd {
        // What takes longer is given up before the sweeper takes it that we died.
        let deadline = Instant::now() + context.outbound.timeout() + SLOT_WAIT;
        let (mut request, mut is_first) = (self.request.clone(), true);
        loop {
            let until = if is_first { Instant::now() + SLOT_WAIT } else { deadline };
            let of = self.connector.buckets(&self.message.settings, self.reserve_pct, &request.url);
            let permit = match context.limiter.take_until(&Buckets::new(self.message.connection, of), until).await {
                Ok(permit) => permit,
                Err(used_up) => return self.end(None, Err(exhausted(self.connector, "limit", used_up)), is_first),
            };
            let answer = tokio::time::timeout_at(deadline.into(), context.outbound.send(request)).await;
            let said = answer.as_ref().map_or_else(|_| Told::nothing(), |answer| told(self.connector, answer));
            context.limiter.give(permit, &said).await;
            let answer = match answer {
                Ok(Ok(answer)) => answer,
                Ok(Err(NoAnswer::Refused(why))) => return self.end(None, Err(unbuilt(why)), true),
                Ok(Err(NoAnswer::NotSent(why))) => {
                    return self.end(None, Err(self.silent(FaultClass::Outage, "unreachable", &why)), is_first);
                }
                Ok(Err(NoAnswer::Lost(why))) => {
                    return self.end(None, Err(self.silent(FaultClass::Outage, "no_answer", &why)), false);
                }
                Err(_) => return self.end(None, Err(self.silent(FaultClass::Outage, "no_answer", "it took too long")), false),
            };
            context.sunsets.note(tenant, self.message.connection, self.connector.sunset_signs(&answer));
            let read = self.getter.take(&answer);
            let read = read.map_err(|fault| self.access.renewable(self.access.told(fault), self.message.failures));
            if let Some(read) = read.transpose() {
                return self.end(Some(&answer), read, false);
            }
            request = match next(&mut self.getter, &self.message, &self.access) {
                Ok(request) => request,
                Err(why) => return self.end(Some(&answer), Err(unbuilt(why)), false),
            };
            is_first = false;
        }
    }

    fn silent(&self, class: FaultClass, code: &str, why: &str) -> Fault {
        silent(self.connector, class, code, why)
    }

    fn end(&self, answer: Option<&HttpAnswer>, read: Result<Bytes, Fault>, not_sent: bool) -> FetchEnd {
        let outcome = match &read {
            Ok(_) => "stored",
            Err(_) if not_sent => "not_sent",
            Err(_) => "failed",
        };
        let fault = read.as_ref().err().cloned();
        // The thing itself is kept with the message; an attempt keeps what went wrong.
        let refusal = answer.filter(|_| fault.is_some()).and_then(|answer| kept(&answer.body, &self.access));
        let next = match read {
            Ok(body) => FetchNext::Kept(body.to_vec()),
            Err(fault) => after(&self.message, fault),
        };
        FetchEnd {
            message: self.message.id,
            connection: self.message.connection,
            attempt: Some(Ended {
                id: self.attempt,
                outcome,
                status: answer.map(|answer| answer.status),
                answer: refusal,
                fault,
                shares_call: false,
                ended_at: Utc::now(),
            }),
            next,
        }
    }
}

fn build(message: &Inbound, connector: &'static Connector, access: &Access) -> Result<(Getter<'static>, HttpRequest), String> {
    let source_id = message.source_id.as_deref().ok_or("the message names no id to read back")?;
    let none = || format!("{} says nothing of how to read {} back", connector.title(), message.topic);
    let mut getter = connector.fetcher(&message.topic, source_id).ok_or_else(none)?;
    let request = next(&mut getter, message, access)?;
    Ok((getter, request))
}

/// The request for the thing, or for the next part of it.
fn next(getter: &mut Getter<'_>, message: &Inbound, access: &Access) -> Result<HttpRequest, String> {
    let nonce = Uuid::new_v4().simple().to_string();
    let request = getter.next(&access.context(&message.settings, &nonce)).map_err(|error| error.to_string())?;
    request.ok_or_else(|| "the record ended before it was whole".to_owned())
}

/// What becomes of a message that was not read back.
fn after(message: &Inbound, fault: Fault) -> FetchNext {
    let counts = fault.class != FaultClass::Limit;
    let failures = message.failures + i32::from(counts);
    let is_young = Utc::now() - message.received_at <= domain::delivery::OUTAGE_PATIENCE;
    let patient = match fault.class {
        FaultClass::Limit => true,
        FaultClass::Outage => is_young || failures < FAILURES_MAX,
        _ => failures < FAILURES_MAX,
    };
    if !fault.class.is_passing() || !patient {
        return FetchNext::Exception(Reason::from_unfetched(&message.topic, &message.connection_name, &fault));
    }
    let policy = domain::delivery::Policy::default();
    let wait = policy.wait(&fault, u32::try_from(failures.max(1)).unwrap_or(1), rand::random());
    FetchNext::Later { at: Utc::now() + wait, counts }
}

fn unbuilt(why: String) -> Fault {
    developer_fault("request", why, "Check the connection's settings and the connector, then press Retry.")
}
