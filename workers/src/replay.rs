//! Replays: a version of a flow is run over what came before, in the background and page by page, and what would be different is written to its
//! run. The sweeper's promise holds here too: a run whose worker died is taken by another, from the beginning, because it changes nothing.

use std::sync::Arc;

use chrono::Utc;
use connectors::Inputs;
use connectors::trial::{Revision, Tried, sent};
use domain::delivery::DeliveryState;
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
use tokio::task::JoinSet;
use tracing::{info, warn};

use crate::Context;

/// Runs of one process at a time: what is delivered comes first.
const RUNS_MAX: usize = 2;
/// Records of one query.
const PAGE: i64 = 500;
/// How long a page may take before another worker takes the run.
const LEASE_S: f64 = 60.0;

pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut runs = JoinSet::new();
    loop {
        while runs.try_join_next().is_some() {}
        let room = i32::try_from(RUNS_MAX.saturating_sub(runs.len())).unwrap_or(0);
        if room > 0 {
            match context.store.runs_take(room, LEASE_S).await {
                Ok(taken) => {
                    for (tenant, id) in taken {
                        runs.spawn(replay(context.clone(), tenant, id, stop.clone()));
                    }
                }
                Err(error) => warn!(error = chain(&error), "Runs could not be looked for; the next look tries again"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(context.settings.sweep_every) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    // What is under way stops at its next page, and is taken again once its lease is over.
    runs.join_all().await;
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
        before = page.last().map(|record| record.record);
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
        for record in page {
            let lookups = TenantLookups::new(&self.tables, destination.tables(), record.origin_at);
            let read = record.body.as_deref().map(|body| {
                let lookups = TenantLookups::new(&self.tables, source.tables(), record.origin_at);
                trial.read(body, &lookups)
            });
            let document;
            let (text, unbalanced) = match &read {
                Some(Ok(read)) => {
                    document = read.document.to_json();
                    (document.as_str(), read.unbalanced.as_deref())
                }
                _ => (record.document.as_str(), record.unbalanced.as_deref()),
            };
            let revision = Revision {
                source_id: &record.source_id,
                number: record.number.as_deref(),
                revision: record.revision,
                document: text.as_bytes(),
                unbalanced,
                delivery: record.delivery.map_or_else(|| DeliveryId(record.record.0), |(id, _)| id),
            };
            let inputs = Inputs::parse(record.sent.as_ref().and_then(|(_, inputs)| inputs.as_deref()));
            let tried = match read {
                Some(Err(reason)) => Tried::Refused(Box::new(reason)),
                _ => trial.run(&revision, &inputs.unwrap_or_default(), &lookups, now),
            };
            let (before, after) = sides_of(record, tried);
            let currency = currency(text);
            let of = Of { record: record.record, number: record.number.as_deref(), currency: currency.as_deref() };
            report.add(of, &before, after, &|field| trial.is_money(field));
        }
        Ok(())
    }
}

/// What was sent, and what would be, in the same form.
fn sides_of(record: &Delivered, tried: Tried) -> (Before, After) {
    let nothing_sent = || match record.delivery {
        Some((_, DeliveryState::Exception)) => Before::Failed,
        _ => Before::Nothing,
    };
    match tried {
        Tried::Left => (record.sent.as_ref().map_or_else(nothing_sent, |_| Before::Sent(Value::Null)), After::Left),
        Tried::Refused(reason) => {
            let before = record.sent.as_ref().map_or_else(nothing_sent, |_| Before::Sent(Value::Null));
            (before, After::Failed(reason))
        }
        Tried::Made(made) => {
            let before = record.sent.as_ref().map(|(request, _)| sent(request, &made.request.body));
            (before.map_or_else(nothing_sent, Before::Sent), After::Sent(made.body()))
        }
    }
}

/// The currency of a record, for the sums of its amounts.
fn currency(document: &str) -> Option<String> {
    let document = Value::parse(document.as_bytes(), &Limits::DEFAULT).ok()?;
    document.get("currency").and_then(Value::as_str).map(str::to_owned)
}
