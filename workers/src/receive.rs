//! Receive: a batch of messages becomes revisions of records and planned deliveries, in one transaction for each tenant.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use connectors::Connector;
use domain::canonical;
use domain::exception::Reason;
use domain::fault::{Fault, FaultClass};
use domain::http::NoAnswer;
use domain::id::TenantId;
use domain::mapping::Vars;
use domain::scope::Scope;
use domain::task::Stage;
use domain::value::{Limits, Value};
use infra::broker::Nudged;
use infra::postgres::StoreError;
use infra::postgres::receive::{Inbound, PublishedFlow, Reading, Revised};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;
use uuid::Uuid;

use crate::directory::Directory;
use crate::sweep::nudge;
use crate::{Context, drain};

/// Messages of one transaction.
const BATCH_MAX: usize = 100;
/// How long a task waits for company. Short against a vendor's call, long against a round trip to Postgres.
const LINGER: Duration = Duration::from_millis(2);
const PREFETCH: u16 = 64;
/// Thin messages that one loop reads back at a time.
const FETCHES_MAX: usize = 16;
/// Tries to read a thin message back before a person is asked.
const FETCH_FAILURES_MAX: i32 = 8;

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, mut stop: watch::Receiver<bool>) {
    let mut consumer = context.broker.consume(Stage::Receive, PREFETCH);
    let mut fetches = JoinSet::new();
    loop {
        let first = tokio::select! {
            nudged = consumer.next() => nudged,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let mut tasks = vec![first];
        let mut count = tasks[0].task.ids.len();
        while count < BATCH_MAX {
            let Ok(nudged) = tokio::time::timeout(LINGER, consumer.next()).await else { break };
            count += nudged.task.ids.len();
            tasks.push(nudged);
        }
        for (tenant, ids) in by_tenant(&tasks) {
            match receive(&context, &directory, tenant, &ids).await {
                Ok(thin) => {
                    for message in thin {
                        while fetches.len() >= FETCHES_MAX {
                            fetches.join_next().await;
                        }
                        fetches.spawn(fetch(context.clone(), directory.clone(), tenant, message));
                    }
                }
                Err(error) => {
                    warn!(%error, tenant.id = %tenant, count = ids.len(), "Messages were not received; the sweeper brings them again")
                }
            }
        }
        for nudged in tasks {
            nudged.done().await;
        }
    }
    drain("reading back", async { while fetches.join_next().await.is_some() {} }).await;
}

fn by_tenant(tasks: &[Nudged]) -> HashMap<TenantId, Vec<Uuid>> {
    let mut tenants: HashMap<TenantId, Vec<Uuid>> = HashMap::new();
    for nudged in tasks {
        tenants.entry(nudged.task.place.tenant).or_default().extend(&nudged.task.ids);
    }
    tenants
}

/// Receives messages of one tenant; returns those that must be read back first.
async fn receive(context: &Context, directory: &Directory, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<Inbound>, StoreError> {
    let scope = Scope::system(tenant, "receive");
    let mut receiving = context.store.within(&scope).receive(ids).await?;
    let messages = std::mem::take(&mut receiving.messages);
    let flows = std::mem::take(&mut receiving.flows);
    let (thin, whole): (Vec<Inbound>, Vec<Inbound>) = messages.into_iter().partition(|message| message.must_fetch);
    let readings = whole.into_iter().map(|message| {
        let reading = read(context, directory, &flows, &message);
        (message, reading)
    });
    let planned = receiving.finish(readings.collect()).await?;
    nudge(context, Stage::Deliver, planned).await;
    Ok(thin)
}

/// What a message says: pure but for the catalog and the compiled filters.
fn read(context: &Context, directory: &Directory, flows: &[PublishedFlow], message: &Inbound) -> Reading {
    let Some(kind) = message.kind else { return Reading::Ignored };
    let unreadable = |why: &str| Reading::Exception(Reason::unreadable(&message.topic, &message.connection_name, why));
    let Some(connector) = context.catalog.get(&message.connector) else {
        return unreadable(&format!("there is no connector \"{}\" any more", message.connector));
    };
    let Some(plan) = connector.read_plan(kind) else {
        return unreadable(&format!("{} has no mapping that reads the kind {kind}", connector.title()));
    };
    let source = match Value::parse(&message.body, &Limits::DEFAULT) {
        Ok(source) => source,
        Err(error) => return unreadable(&format!("its body is not the JSON it should be: {error}")),
    };
    let mut vars = Vars::default();
    vars.set("settings", Value::from(&message.settings));
    let issue = |issues: Vec<domain::mapping::Issue>| match issues.first() {
        Some(first) => Reading::Exception(Reason::unmapped(&message.topic, &message.connection_name, first)),
        None => unreadable("the mapping refused it without saying why"),
    };
    let document = match plan.apply(&source, connector.tables(), &vars) {
        Ok(document) => document,
        Err(issues) => return issue(issues),
    };
    let summary = match canonical::check(kind, &document) {
        Ok(summary) => summary,
        Err(issues) => return issue(issues),
    };
    let Some(source_id) = message.source_id.clone().or_else(|| canonical::source_id(&document)) else {
        return unreadable("it carries no id of the thing it is about");
    };
    let flows = flows
        .iter()
        .filter(|flow| flow.source == message.connection && flow.kind == kind && directory.filter_passes(flow, &document));
    let search = [summary.number.as_deref(), Some(source_id.as_str()), summary.customer_email.as_deref()];
    Reading::Record(Box::new(Revised {
        kind,
        search: search.into_iter().flatten().map(str::to_lowercase).collect::<Vec<_>>().join(" "),
        number: summary.number,
        source_id,
        content_hash: canonical::content_hash(&document),
        document: document.to_json(),
        source_updated_at: summary.updated_at,
        flows: flows.cloned().collect(),
    }))
}

/// Reads a thin message back, then receives it.
async fn fetch(context: Arc<Context>, directory: Arc<Directory>, tenant: TenantId, message: Inbound) {
    let id = message.id;
    if let Err(error) = try_fetch(&context, &directory, tenant, message).await {
        warn!(%error, message.id = %id, "Message {id} was not read back; the sweeper brings it again");
    }
}

async fn try_fetch(context: &Context, directory: &Directory, tenant: TenantId, message: Inbound) -> Result<(), StoreError> {
    let scope = Scope::system(tenant, "receive");
    match call_back(context, directory, &scope, &message).await {
        Ok(body) => {
            context.store.within(&scope).keep_fetched(message.id, &body).await?;
            receive(context, directory, tenant, &[message.id.0]).await?;
        }
        Err(fault) => {
            let reading = if fault.class.is_passing() && message.failures < FETCH_FAILURES_MAX {
                let policy = domain::delivery::Policy::default();
                let ours = policy.backoff(u32::try_from(message.failures + 1).unwrap_or(1), rand::random());
                let wait =
                    fault.retry_after_ms.and_then(|ms| i64::try_from(ms).ok()).map_or(ours, chrono::Duration::milliseconds);
                Reading::Later { at: Utc::now() + wait, note: fault.reason }
            } else {
                Reading::Exception(Reason::from_unfetched(&message.topic, &message.connection_name, &fault))
            };
            let mut receiving = context.store.within(&scope).receive(&[message.id.0]).await?;
            let held = std::mem::take(&mut receiving.messages);
            let readings = held.into_iter().filter(|m| m.must_fetch).map(|m| (m, reading_again(&reading)));
            receiving.finish(readings.collect()).await?;
        }
    }
    Ok(())
}

fn reading_again(reading: &Reading) -> Reading {
    match reading {
        Reading::Later { at, note } => Reading::Later { at: *at, note: note.clone() },
        Reading::Exception(reason) => Reading::Exception(reason.clone()),
        Reading::Record(_) | Reading::Ignored => unreachable!("a message that was not read back is postponed or excepted"),
    }
}

/// Reading has no effect at the vendor, so a lost answer is simply asked for again.
async fn call_back(context: &Context, directory: &Directory, scope: &Scope, message: &Inbound) -> Result<bytes::Bytes, Fault> {
    let internal = |reason: String| Fault {
        class: FaultClass::Validation,
        code: "fetch".into(),
        reason,
        owner: domain::fault::Owner::Developer,
        fix: "Check the connection's settings and the connector, then press Retry.".into(),
        path: None,
        retry_after_ms: None,
        status: None,
    };
    let connector: &Connector = context
        .catalog
        .get(&message.connector)
        .ok_or_else(|| internal(format!("there is no connector \"{}\" any more", message.connector)))?;
    let source_id = message.source_id.as_deref().ok_or_else(|| internal("the message names no id to read back".into()))?;
    let credential = directory
        .credential(scope, message.connection)
        .await
        .map_err(|error| Fault { class: FaultClass::Retry, ..internal(error.to_string()) })?;
    let nonce = Uuid::new_v4().simple().to_string();
    let request_context = connectors::RequestContext {
        settings: &message.settings,
        credential: &credential,
        external_key: "",
        revision: 0,
        idempotency_key: "",
        now: Utc::now(),
        nonce: &nonce,
    };
    let request =
        connector.fetch_request(&message.topic, source_id, &request_context).map_err(|error| internal(error.to_string()))?;
    let request =
        request.ok_or_else(|| internal(format!("{} says nothing of how to read {} back", connector.title(), message.topic)))?;
    match context.outbound.send(request).await {
        Ok(answer) => connector.read_fetch(&message.topic, &answer),
        Err(NoAnswer::NotSent(why) | NoAnswer::Lost(why)) => {
            Err(Fault { class: FaultClass::Outage, ..internal(format!("{} did not answer: {why}", connector.title())) })
        }
    }
}
