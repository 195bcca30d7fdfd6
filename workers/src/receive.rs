//! Receive: a batch of messages becomes revisions of records and planned deliveries, in one transaction for each tenant.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connectors::flow::{Origin, unread};
use domain::canonical;
use domain::drift::Worth;
use domain::erasure;
use domain::exception::Reason;
use domain::id::{ConnectionId, RecipeId, TenantId};
use domain::mapping::{MappingErrors, Plan};
use domain::poll::absent_topic;
use domain::recipe::Recipe;
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::search_key;
use domain::task::Stage;
use infra::chain;
use infra::drift::Document;
use infra::lookup::{Tables, TenantLookups};
use infra::postgres::StoreError;
use infra::postgres::ledger::TableVersion;
use infra::postgres::receive::{Inbound, PublishedFlow, Reading, Revised};
use infra::vault::KeyHasher;
use tokio::sync::watch;
use tracing::warn;
use uuid::Uuid;

use crate::directory::{Directory, looked_into};
use crate::fetch::Fetches;
use crate::waiting::Waiting;
use crate::{Context, drift};

/// Messages of one transaction.
const BATCH_MAX: usize = 100;
/// How long a task waits for company. Short against a vendor's call, long against a round trip to Postgres.
const LINGER: Duration = Duration::from_millis(4);
const PREFETCH: u16 = 64;
/// Messages of one tenant and lane that wait in memory; the others wait in Postgres.
const WAITS_MAX: usize = 20_000;

/// Messages that wait to be received, for those who hear of them and those who receive.
pub fn waiting() -> Arc<Waiting> {
    Arc::new(Waiting::new(WAITS_MAX))
}

/// Hears of messages. The ids are nudges, so their task is done when they wait here: kept until they were received, those of one tenant would
/// fill the prefetch, and no other tenant's would come.
pub async fn hear(context: Arc<Context>, directory: Arc<Directory>, waiting: Arc<Waiting>, mut stop: watch::Receiver<bool>) {
    let mut consumer = context.broker.consume(Stage::Receive, PREFETCH);
    loop {
        let nudged = tokio::select! {
            nudged = consumer.next() => nudged,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let tenant = nudged.task.place.tenant;
        waiting.push(nudged.task.lane, tenant, directory.weight(tenant), &nudged.task.ids);
        nudged.done().await;
    }
}

/// Receives what waits, the next tenant's turn after the other's.
pub async fn run(
    context: Arc<Context>,
    directory: Arc<Directory>,
    fetches: Arc<Fetches>,
    waiting: Arc<Waiting>,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let turn = tokio::select! {
            turn = waiting.next(BATCH_MAX, LINGER) => turn,
            _ = stop.wait_for(|stop| *stop) => return,
        };
        let (started, bill) = (Instant::now(), turn.bill());
        let thin = receive_all(&context, &directory, turn.tenant, turn.items).await;
        waiting.charge(bill, started.elapsed());
        fetches.hand(turn.tenant, thin);
    }
}

/// Receives messages of one tenant; returns those that must be read back first. Where a batch fails for good it is halved until the
/// message at fault stands alone and becomes an exception: it must not strand the others.
pub async fn receive_all(context: &Context, directory: &Directory, tenant: TenantId, ids: Vec<Uuid>) -> Vec<Inbound> {
    let (mut thin, mut batches) = (Vec::new(), vec![ids]);
    while let Some(ids) = batches.pop() {
        if ids.is_empty() {
            continue;
        }
        match receive(context, directory, tenant, &ids).await {
            Ok(found) => thin.extend(found),
            Err(error) if error.is_passing_for(ids.len()) => {
                warn!(error = chain(&error), tenant.id = %tenant, count = ids.len(), "Messages were not received; the sweeper brings them again");
            }
            Err(error) if ids.len() == 1 => stop_message(context, tenant, ids[0], &error).await,
            Err(_) => {
                let (first, second) = ids.split_at(ids.len() / 2);
                batches.extend([second.to_vec(), first.to_vec()]);
            }
        }
    }
    thin
}

/// Makes an exception of a message that cannot be worked on at all.
pub async fn stop_message(context: &Context, tenant: TenantId, message: Uuid, error: &StoreError) {
    let scope = Scope::system(tenant, "receive");
    let name = domain::id::MessageId(message);
    warn!(error = chain(error), message.id = %name, "Message {name} cannot be received");
    let reason = Reason::internal(&format!("The message {name}"), &chain(error));
    if let Err(error) = context.store.within(&scope).message_stopped(message, &reason).await {
        warn!(error = chain(&error), message.id = %name, "Its exception could not be opened; the sweeper brings it again");
    }
}

/// Receives messages of one tenant in one transaction; returns those that must be read back first.
async fn receive(context: &Context, directory: &Directory, tenant: TenantId, ids: &[Uuid]) -> Result<Vec<Inbound>, StoreError> {
    let scope = Scope::system(tenant, "receive");
    let mut receiving = context.store.within(&scope).receive(ids).await?;
    let holds = directory.holds.of(&mut receiving).await?;
    let messages = std::mem::take(&mut receiving.messages);
    let flows = std::mem::take(&mut receiving.flows);
    let versions = std::mem::take(&mut receiving.tables);
    let sources = sources(context, directory, &scope, &messages, &flows, &versions).await?;
    let plans = sources.values().filter_map(|source| source.plan.as_ref().ok()?.as_ref());
    let looked_up = plans.flat_map(|plan| plan.tables().iter().map(String::as_str)).collect();
    let tables = directory.tables(&scope, &versions, &looked_up).await?;
    let hasher = directory.key_hasher(&scope).await?;
    let (thin, whole): (Vec<Inbound>, Vec<Inbound>) = messages.into_iter().partition(|message| message.must_fetch);
    let (mut readings, mut held, mut seen) = (Vec::with_capacity(whole.len()), Vec::new(), Vec::new());
    for mut message in whole {
        let mut reading = read(context, directory, &flows, &sources, &tables, &hasher, &message);
        let hold = if matches!(reading, Reading::Record(_)) { drift::hold(&holds, &message) } else { None };
        match (hold, message.kind) {
            (Some((reason, drifts)), _) => {
                reading = Reading::Exception(reason);
                held.push(drifts);
            }
            // What the mapping could not read says most of all what has changed.
            (None, Some(kind)) if !matches!(reading, Reading::Ignored | Reading::Deleted { .. }) => {
                seen.push((drift::source(message.connection, kind), message.id.0, std::mem::take(&mut message.body)));
            }
            _ => {}
        }
        readings.push((message, reading));
    }
    if !held.is_empty() {
        receiving.hold(context.catalog, held).await?;
    }
    let received = receiving.finish(readings).await?;
    // Only now: what is not committed comes again.
    for (place, id, body) in seen {
        let bytes = body.len();
        context.drifts.note(tenant, place, id, Document::Json(body), bytes);
    }
    drift::note_created(context, tenant, received.created);
    context.broker.nudge(Stage::Deliver, received.planned).await;
    Ok(thin)
}

/// How the messages of one connection and kind are read.
struct Source {
    /// The connector's rules with those of the flows on top; `None` where no flow has any.
    plan: Result<Option<Arc<Plan>>, MappingErrors>,
    recipe: RecipeId,
}

type Sources = HashMap<(ConnectionId, RecordKind), Source>;

/// How each connection and kind of a batch is read, with the recipes written down before anything is made with them.
async fn sources(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    messages: &[Inbound],
    flows: &[PublishedFlow],
    versions: &[TableVersion],
) -> Result<Sources, StoreError> {
    let mut sources = Sources::new();
    for message in messages {
        let Some(kind) = message.kind else { continue };
        let Entry::Vacant(entry) = sources.entry((message.connection, kind)) else { continue };
        let Some(connector) = context.catalog.get(&message.connector) else { continue };
        let with_rules: Vec<&PublishedFlow> = flows
            .iter()
            .filter(|flow| flow.source == message.connection && flow.kind == kind && !flow.source_mapping.is_empty())
            .collect();
        let plan = directory.reading(connector, kind, &with_rules);
        let recipe = Recipe {
            connector: connector.name().to_owned(),
            connector_hash: connector.hash().to_string(),
            flows: with_rules.iter().map(|flow| flow.version).collect(),
            tables: plan.iter().flatten().flat_map(|plan| looked_into(plan, versions)).collect(),
            settings: message.settings.clone(),
            source: None,
        };
        entry.insert(Source { plan, recipe: directory.recipe(scope, connector, &recipe).await? });
    }
    Ok(sources)
}

/// What a message says: pure but for the catalog and the compiled filters.
fn read(
    context: &Context,
    directory: &Directory,
    flows: &[PublishedFlow],
    sources: &Sources,
    tables: &Tables,
    hasher: &KeyHasher,
    message: &Inbound,
) -> Reading {
    let Some(kind) = message.kind else { return Reading::Ignored };
    let unreadable = |why: &str| Reading::Exception(Reason::unreadable(&message.topic, &message.connection_name, why));
    let connector = context.catalog.get(&message.connector).zip(sources.get(&(message.connection, kind)));
    let Some((connector, source)) = connector else {
        return unreadable(&format!("there is no connector \"{}\" any more", message.connector));
    };
    if erasure::is_tombstone(&message.body) {
        return unreadable(&erasure::fault().reason);
    }
    if message.topic == absent_topic(kind) || connector.tells_deleted(kind, &message.topic, &message.body) {
        return match message.source_id.clone() {
            Some(source_id) => Reading::Deleted { kind, source_id },
            None => unreadable("it carries no id of the thing that is deleted"),
        };
    }
    let plan = match &source.plan {
        Ok(plan) => plan.as_deref().or_else(|| connector.read_plan(kind)),
        Err(errors) => return unreadable(&format!("the rules of the flows that read it do not fit its connector: {errors}")),
    };
    let origin = Origin { topic: &message.topic, source: &message.connection_name };
    let Some(plan) = plan else { return Reading::Exception(unread(kind, connector, origin)) };
    let lookups = TenantLookups::new(tables, connector.tables(), message.received_at);
    let (document, summary) = match connectors::flow::read(kind, plan, origin, &message.body, &message.settings, &lookups) {
        Ok(read) => read,
        Err(reason) => return Reading::Exception(reason),
    };
    let Some(source_id) = message.source_id.clone().or_else(|| canonical::source_id(&document)) else {
        return unreadable("it carries no id of the thing it is about");
    };
    let of_kind = flows.iter().filter(|flow| flow.source == message.connection && flow.kind == kind);
    let (takes, left): (Vec<&PublishedFlow>, Vec<&PublishedFlow>) =
        of_kind.partition(|flow| directory.filter_passes(flow, &document));
    let worth = Worth::of(&summary);
    let search = [summary.number.as_deref(), Some(source_id.as_str()), summary.customer_email.as_deref()];
    Reading::Record(Box::new(Revised {
        kind,
        search: search.into_iter().flatten().map(str::to_lowercase).collect::<Vec<_>>().join(" "),
        keys: search_key::of(kind, &document).into_iter().map(|key| hasher.store(key)).collect(),
        number: summary.number,
        source_id,
        content_hash: canonical::content_hash(&document),
        document: document.to_json(),
        source_updated_at: summary.updated_at,
        due_by: summary.due_by,
        unbalanced: summary.unbalanced.map(|issue| issue.sentence),
        recipe: Some(source.recipe),
        worth,
        flows: takes.into_iter().cloned().collect(),
        left: left.into_iter().map(|flow| flow.flow).collect(),
    }))
}
