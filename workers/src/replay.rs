//! Replays: a version of a flow is run over what came before, in the background and page by page, and what would be different is written to its
//! run. The sweeper's promise holds here too: a run whose worker died is taken by another, from the beginning, because it changes nothing.

use std::sync::Arc;

use chrono::Utc;
use connectors::Inputs;
use connectors::trial::{Revision, Tried, sent};
use domain::delivery::DeliveryState;
use domain::erasure;
use domain::id::{DeliveryId, RunId, TenantId};
use domain::replay::{After, Before, Of, Over, RECORDS_MAX, Report};
use domain::scope::Scope;
use domain::value::{Limits, Value};
use infra::chain;
use infra::lookup::{Tables, TenantLookups};
use infra::postgres::StoreError;
use infra::postgres::flow::FlowVersion;
use infra::postgres::run::Delivered;
use infra::trial::{self, Sides, TrialError};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Context, leased};

/// Runs of one process at a time: what is delivered comes first.
const RUNS_MAX: usize = 2;
/// Records of one query.
const PAGE: i64 = 500;
/// How long a page may take before another worker takes the run.
const LEASE_S: f64 = 60.0;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.runs_take(count_max, LEASE_S).await;
    // What is under way stops at its next page.
    let stopped = stop.clone();
    leased::run(context, stop, "runs", RUNS_MAX, take, move |context, tenant, id| replay(context, tenant, id, stopped.clone()))
        .await;
}

async fn replay(context: Arc<Context>, tenant: TenantId, id: RunId, stop: watch::Receiver<bool>) {
    let scope = Scope::system(tenant, "replay");
    let store = context.store.within(&scope);
    let outcome = match over(&context, &scope, id, &stop).await {
        Ok(Some(report)) => store.run_end(id, Ok(&report)).await,
        Ok(None) => return,
        Err(TrialError::Store(error)) if error.is_passing() => {
            warn!(error = chain(&error), run.id = %id, "A run broke off; it is taken again");
            return;
        }
        Err(error) => store.run_end(id, Err(&error.to_string())).await,
    };
    match outcome {
        Ok(()) => info!(run.id = %id, "Run {id} ended"),
        Err(error) => warn!(error = chain(&error), run.id = %id, "The end of a run was not written; it is taken again"),
    }
}

/// Runs over all pages; `None` where it is to stop, or somebody else has it.
async fn over(context: &Context, scope: &Scope, id: RunId, stop: &watch::Receiver<bool>) -> Result<Option<Report>, TrialError> {
    let store = context.store.within(scope);
    let Some(run) = store.run_load(id).await? else { return Ok(None) };
    let Some(version) = store.flow_version_by_id(run.version).await? else {
        return Err(TrialError::Version(vec![connectors::flow::FlowError {
            field: "version",
            what: "the draft was replaced by a newer one; replay that".into(),
        }]));
    };
    let published = store.flow_published(run.flow).await?;
    let sides = Sides::load(&store, context.catalog, &version).await?;
    let pass = Arc::new(Pass {
        // Only where a record would be read differently is its message read again.
        reads_again: published.is_none_or(|published| published.spec.source_mapping != version.spec.source_mapping),
        tables: trial::tables(&store, &sides.trial(&version.spec)?).await?,
        sides,
        version,
    });
    let limit = if let Over::Last(count) = run.over { count } else { RECORDS_MAX };
    let (mut report, mut before, mut left) = (Report::default(), None, i64::from(limit));
    // The next page is read while the one at hand is mapped.
    let mut page = load(&store, &pass, &run.over, before, left).await?;
    while !page.is_empty() {
        if *stop.borrow() {
            return Ok(None);
        }
        left -= i64::try_from(page.len()).unwrap_or(left);
        before = page.last().map(|last| last.revision.record);
        let (work, mut so_far) = (pass.clone(), std::mem::take(&mut report));
        let mapped = tokio::task::spawn_blocking(move || work.add(&page, &mut so_far).map(|()| so_far));
        let (next, mapped) = tokio::join!(load(&store, &pass, &run.over, before, left), mapped);
        report = match mapped {
            Ok(mapped) => mapped?,
            // A panic would be one again.
            Err(error) => return Err(StoreError::Corrupt { what: "the run", id: id.to_string(), why: error.to_string() }.into()),
        };
        page = next?;
        if !store.run_goes_on(id, &report, LEASE_S).await? {
            return Ok(None);
        }
    }
    report.sort();
    Ok(Some(report))
}

async fn load(
    store: &infra::postgres::TenantStore<'_>,
    pass: &Pass,
    over: &Over,
    before: Option<domain::id::RecordId>,
    left: i64,
) -> Result<Vec<Delivered>, StoreError> {
    if left <= 0 {
        return Ok(vec![]);
    }
    store.delivered(&pass.version, over, before, PAGE.min(left), pass.reads_again).await
}

/// What every record of a replay is run with.
struct Pass {
    version: FlowVersion,
    sides: Sides,
    tables: Tables,
    reads_again: bool,
}

impl Pass {
    /// Adds the records of a page to a report.
    fn add(&self, page: &[Delivered], report: &mut Report) -> Result<(), TrialError> {
        let trial = self.sides.trial(&self.version.spec)?;
        let now = Utc::now();
        let (source, destination) = (self.sides.source().connector, self.sides.destination().connector);
        // What was erased says nothing of a mapping any more.
        for record in page.iter().filter(|record| !erasure::is_tombstone(record.revision.document.as_bytes())) {
            let lookups = TenantLookups::new(&self.tables, destination.tables(), record.revision.origin_at);
            let read = record.body.as_deref().map(|body| {
                let lookups = TenantLookups::new(&self.tables, source.tables(), record.revision.origin_at);
                trial.read(body, &lookups)
            });
            let document;
            let (text, unbalanced) = match &read {
                Some(Ok(read)) => {
                    document = read.document.to_json();
                    (document.as_str(), read.unbalanced.as_deref())
                }
                _ => (record.revision.document.as_str(), record.revision.unbalanced.as_deref()),
            };
            let delivery = record.delivery.map_or_else(|| DeliveryId(record.revision.record.0), |(id, _)| id);
            let revision = Revision { document: text.as_bytes(), unbalanced, ..record.revision.of(delivery) };
            let inputs = Inputs::parse(record.sent.as_ref().and_then(|(_, inputs)| inputs.as_deref()));
            let tried = match read {
                Some(Err(reason)) => Tried::Refused(Box::new(reason)),
                _ => trial.run(&revision, &inputs.unwrap_or_default(), &lookups, now),
            };
            let (before, after) = sides_of(record, tried);
            let currency = currency(text);
            let of =
                Of { record: record.revision.record, number: record.revision.number.as_deref(), currency: currency.as_deref() };
            report.add(of, &before, after, &|field| trial.is_money(field));
        }
        Ok(())
    }
}

/// What was sent, and what would be, in the same form. Where nothing would be sent, only that something was is told.
fn sides_of(record: &Delivered, tried: Tried) -> (Before, After) {
    let before = |form: &dyn Fn(&[u8]) -> Value| match (&record.sent, record.delivery) {
        (Some((request, _)), _) => Before::Sent(form(request)),
        (None, Some((_, DeliveryState::Exception))) => Before::Failed,
        (None, _) => Before::Nothing,
    };
    match tried {
        Tried::Left => (before(&|_| Value::Null), After::Left),
        Tried::Refused(reason) => (before(&|_| Value::Null), After::Failed(reason)),
        Tried::Made(made) => (before(&|request| sent(request, &made.request.body)), After::Sent(made.body())),
    }
}

/// The currency of a record, for the sums of its amounts.
fn currency(document: &str) -> Option<String> {
    let document = Value::parse(document.as_bytes(), &Limits::DEFAULT).ok()?;
    document.get("currency").and_then(Value::as_str).map(str::to_owned)
}
