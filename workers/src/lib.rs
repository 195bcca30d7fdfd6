//! The stages behind the queues. Each reads as prose: load everything, decide, call, decide, write everything.
//!
//! - [`alert`]: who is told of which exceptions, by mail, webhook or chat.
//! - [`audit_stream`]: what was sealed is sent to the tenants' own systems.
//! - [`arrival`]: what comes from sources is counted, and alarms of silence and surge are raised.
//! - [`file`]: what files of a folder say becomes messages, each version of each once.
//! - [`first`]: exceptions that wait for what they refer to are tried again once that is there.
//! - [`receive`]: messages become revisions of records and planned deliveries.
//! - [`fetch`]: thin messages are read back.
//! - [`deliver`]: deliveries are sent, or proven, and their ends written to the ledger.
//! - [`sweep`]: what is due and not under way is nudged again, so a lost task changes nothing.
//! - [`backfill`]: a period or some ids of a source are brought once more.
//! - [`breaker`]: what failing destinations hold is let go when they work again.
//! - [`drift`]: what documents look like is gathered, and a message with news that must be looked at is held.
//! - [`impersonation`]: those of support that are over are closed in the audit log.
//! - [`inventory`]: what there is of each item is added up, and sellers are told what they may offer.
//! - [`invoice`]: months that are over are billed, each once.
//! - [`mail`]: mails to people leave.
//! - [`poll`]: what sources list becomes messages.
//! - [`reconcile`]: both sides of a flow are read and held against the ledger.
//! - [`replay`]: a draft is run over what came before, and what would be different is told.
//! - [`rotation`]: secrets are exchanged for new ones before they are old.
//! - [`seal`]: what was done is closed in signed batches, so that nobody changes it unseen.
//! - [`shadow`]: what a swap's candidate would be sent is made beside what is sent, and compared.
//! - [`subscription`]: webhooks are kept registered at vendors, and sources are listed, as published flows need it.
//! - [`tenant_deletion`]: tenants whose owners asked for it are deleted, whole.
//! - [`three_way_match`]: orders are compared with their shipments and invoices after one of them has changed.
//! - [`sunset`]: the announced ends of API versions become notices.
//! - [`upkeep`]: connections are asked whether they answer, and what of them ends is told before it does.
//! - [`undo`]: what a bad version of a flow did at its destination is looked at, and planned back once a person approved it.

use std::sync::Arc;
use std::time::Duration;

use connectors::Catalog;
use infra::broker::Broker;
use infra::drift::Drifts;
use infra::limiter::Limiter;
use infra::mail::Mailer;
use infra::outbound::Outbound;
use infra::postgres::Store;
use infra::sunset::Sunsets;
use infra::vault::Vault;
use tokio::sync::watch;
use tokio::task::JoinSet;

mod alert;
mod arrival;
mod audit_stream;
mod backfill;
mod batch;
mod breaker;
mod call;
mod deliver;
mod directory;
mod drift;
mod fetch;
mod file;
mod first;
mod impersonation;
mod interchange;
mod inventory;
mod invoice;
mod lane;
mod leased;
mod listing;
mod mail;
mod pace;
mod poll;
mod receive;
mod reconcile;
mod replay;
mod rotation;
mod seal;
mod shadow;
mod subscription;
mod sunset;
mod sweep;
mod tenant_deletion;
mod three_way_match;
pub mod token;
mod undo;
mod upkeep;
pub mod vendor;
mod waiting;

use directory::Directory;

/// What a worker that is told to stop may need beyond its longest call: the wait for a slot, and the writing of the ends.
const DRAIN_MARGIN: Duration = Duration::from_secs(10);

/// Everything a stage needs.
#[derive(Clone)]
pub struct Context {
    pub store: Store,
    pub broker: Broker,
    pub limiter: Limiter,
    pub outbound: Outbound,
    pub vault: Vault,
    /// None where the operator has set up no mail server.
    pub mailer: Option<Mailer>,
    pub catalog: &'static Catalog,
    pub sunsets: Sunsets,
    pub drifts: Drifts,
    pub settings: Settings,
}

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Loops that receive; each has its own transaction under way.
    pub receivers: usize,
    /// How often the sweeper looks.
    pub sweep_every: Duration,
    /// How often what was done is sealed: what is younger than this is not sealed yet.
    pub seal_every: Duration,
    /// Where vendors reach our hooks, without a slash at the end; none where the operator has not said.
    pub public_url: Option<String>,
    /// Sources of published flows are listened to by themselves; false where people set everything by hand.
    pub listens: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            receivers: 2,
            sweep_every: Duration::from_millis(500),
            seal_every: Duration::from_secs(60),
            public_url: None,
            listens: true,
        }
    }
}

/// Runs all stages until `stop` says so, then finishes what was begun.
pub async fn run(context: Context, mut stop: watch::Receiver<bool>) {
    let context = Arc::new(context);
    let directory = Arc::new(Directory::new(context.clone()));
    let mut stages = JoinSet::new();
    let fetches = fetch::Fetches::new(context.clone(), directory.clone(), stop.clone());
    let waiting = receive::waiting();
    stages.spawn(receive::hear(context.clone(), directory.clone(), waiting.clone(), stop.clone()));
    for _ in 0..context.settings.receivers {
        stages.spawn(receive::run(context.clone(), directory.clone(), fetches.clone(), waiting.clone(), stop.clone()));
    }
    stages.spawn(deliver::run(context.clone(), directory.clone(), stop.clone()));
    stages.spawn(sweep::run(context.clone(), directory.clone(), stop.clone()));
    stages.spawn(breaker::run(context.clone(), stop.clone()));
    stages.spawn(replay::run(context.clone(), stop.clone()));
    stages.spawn(reconcile::run(context.clone(), directory.clone(), stop.clone()));
    stages.spawn(seal::run(context.clone(), stop.clone()));
    stages.spawn(shadow::run(context.clone(), stop.clone()));
    stages.spawn(three_way_match::run(context.clone(), stop.clone()));
    stages.spawn(backfill::run(context.clone(), directory.clone(), stop.clone()));
    stages.spawn(poll::run(context.clone(), directory.clone(), stop.clone()));
    stages.spawn(subscription::run(context.clone(), directory.clone(), stop.clone()));
    stages.spawn(impersonation::run(context.clone(), stop.clone()));
    stages.spawn(mail::run(context.clone(), stop.clone()));
    stages.spawn(inventory::run(context.clone(), stop.clone()));
    stages.spawn(invoice::run(context.clone(), stop.clone()));
    stages.spawn(tenant_deletion::run(context.clone(), stop.clone()));
    stages.spawn(sunset::run(context.clone(), stop.clone()));
    stages.spawn(drift::run(context.clone(), stop.clone()));
    stages.spawn(alert::run(context.clone(), stop.clone()));
    stages.spawn(arrival::run(context.clone(), stop.clone()));
    stages.spawn(audit_stream::run(context.clone(), stop.clone()));
    stages.spawn(first::run(context.clone(), stop.clone()));
    stages.spawn(undo::run(context.clone(), stop.clone()));
    stages.spawn(rotation::run(context.clone(), directory.clone(), stop.clone()));
    stages.spawn(upkeep::run(context.clone(), directory.clone(), stop.clone()));
    let stopped = async {
        // A closed line means that whoever could tell us to stop is gone.
        let _ = stop.wait_for(|stop| *stop).await;
        tracing::info!("Stopping: finishing what was begun");
        while stages.join_next().await.is_some() {}
        drain(&context, "reading back", fetches.close()).await;
        // What a vendor gave is nowhere else yet; whoever stores it has said so where the database does not take it.
        let _ = tokio::time::timeout(DRAIN_MARGIN, directory.settle()).await;
    };
    stopped.await;
    tracing::info!("Workers stopped");
}

/// Bounds the end of a drain.
async fn drain<F: Future>(context: &Context, what: &'static str, work: F) {
    let patience = context.outbound.timeout() + DRAIN_MARGIN;
    if tokio::time::timeout(patience, work).await.is_err() {
        tracing::warn!(what, "Not everything was finished within {} s; the sweeper brings the rest", patience.as_secs());
    }
}
