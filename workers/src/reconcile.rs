//! Reconciliation: the source is listed and held against what came, then the destination against what was confirmed. What is missing is brought
//! and planned at once; what was confirmed and is gone or changed there waits for a person. One whose worker died is begun again: it reads.

mod destination;
mod source;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use connectors::trial::Trial;
use domain::id::{FlowVersionId, ReconciliationId, TenantId};
use domain::reconciliation::{DIFFERENCES_MAX, Report};
use domain::scope::Scope;
use infra::chain;
use infra::lookup::Tables;
use infra::postgres::difference::FoundDifference;
use infra::postgres::flow::FlowVersion;
use infra::postgres::reconciliation::Reconciliation;
use infra::postgres::{StoreError, TenantStore};
use infra::trial::{self, Sides, TrialError};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::directory::Directory;
use crate::listing::{Listing, ListingError};
use crate::{Context, leased};

/// Reconciliations of one process at a time: what is delivered comes first.
const AT_ONCE: usize = 2;
/// How long a page, with the rests before it, may take until another worker takes the reconciliation.
const LEASE_S: f64 = 240.0;

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.reconciliations_take(count_max, LEASE_S).await;
    let stopped = stop.clone();
    leased::run(context, stop, "reconciliations", AT_ONCE, take, move |context, tenant, id| {
        reconcile(context, directory.clone(), tenant, id, stopped.clone())
    })
    .await;
}

/// Why a reconciliation came to no end.
#[derive(Debug, thiserror::Error)]
enum ReconcileError {
    #[error(transparent)]
    Trial(#[from] TrialError),
    #[error(transparent)]
    Listing(#[from] ListingError),
    #[error("no version of the flow is published; publish one, then reconcile")]
    NotPublished,
    /// It is to stop, or somebody else has it.
    #[error("it was taken over")]
    Over,
}

impl From<StoreError> for ReconcileError {
    fn from(error: StoreError) -> Self {
        Self::Trial(error.into())
    }
}

async fn reconcile(
    context: Arc<Context>,
    directory: Arc<Directory>,
    tenant: TenantId,
    id: ReconciliationId,
    stop: watch::Receiver<bool>,
) {
    let scope = Scope::system(tenant, "reconcile");
    let store = context.store.within(&scope);
    let outcome = match both(&context, &directory, &scope, id, stop).await {
        Ok(Some(report)) => store.reconciliation_end(id, Ok(&report)).await,
        Ok(None) | Err(ReconcileError::Over) => return,
        Err(ReconcileError::Trial(TrialError::Store(error)) | ReconcileError::Listing(ListingError::Store(error)))
            if error.is_passing() =>
        {
            warn!(error = chain(&error), reconciliation.id = %id, "A reconciliation broke off; it is taken again");
            return;
        }
        Err(error) => store.reconciliation_end(id, Err(&error.to_string())).await,
    };
    match outcome {
        Ok(()) => info!(reconciliation.id = %id, "Reconciliation {id} ended"),
        Err(error) => {
            warn!(error = chain(&error), reconciliation.id = %id, "The end of a reconciliation was not written; it is taken again")
        }
    }
}

/// What every page of a reconciliation is worked with.
struct Pass<'a> {
    context: &'a Context,
    scope: &'a Scope,
    stop: watch::Receiver<bool>,
    of: Reconciliation,
    version: FlowVersion,
    sides: &'a Sides,
    trial: &'a Trial<'a>,
    /// Versions of before by which deliveries of the period were made, between their sides.
    made_by: HashMap<FlowVersionId, Arc<(FlowVersion, Sides)>>,
    tables: Tables,
    ignored: HashSet<String>,
    report: Report,
    /// Differences that were kept.
    kept: u64,
}

async fn both(
    context: &Context,
    directory: &Directory,
    scope: &Scope,
    id: ReconciliationId,
    stop: watch::Receiver<bool>,
) -> Result<Option<Report>, ReconcileError> {
    let store = context.store.within(scope);
    let Some(of) = store.reconciliation_load(id).await? else { return Ok(None) };
    let version = store.flow_published(of.flow).await?.ok_or(ReconcileError::NotPublished)?;
    let sides = Sides::load(&store, context.catalog, &version).await?;
    let trial = sides.trial(&version.spec)?;
    let tables = trial::tables(&store, &trial).await?;
    let ignored = of.ignored_fields.iter().cloned().collect();
    let (sides, trial, made_by) = (&sides, &trial, HashMap::new());
    let mut pass =
        Pass { context, scope, stop, of, version, sides, trial, made_by, tables, ignored, report: Report::default(), kept: 0 };
    let mut listing = Listing::open(context, directory, scope, pass.version.source).await?;
    source::reconcile(&mut pass, &mut listing).await?;
    let mut listing = Listing::open(context, directory, scope, pass.version.destination).await?;
    destination::reconcile(&mut pass, &mut listing).await?;
    let (under_way, stopped) = store.reconciliation_owed(pass.of.flow, pass.of.period).await?;
    pass.report.under_way += under_way;
    pass.report.exceptions += stopped;
    Ok(Some(pass.report))
}

impl Pass<'_> {
    fn store(&self) -> TenantStore<'_> {
        self.context.store.within(self.scope)
    }

    /// Writes down the calls of a page, and that the reconciliation goes on.
    async fn go_on(&mut self, listing: &mut Listing<'_>) -> Result<(), ReconcileError> {
        let calls = listing.take_calls();
        self.report.calls += calls.len() as u64;
        self.store().reconciliation_read(self.of.id, &calls).await?;
        let goes_on = self.store().reconciliation_goes_on(self.of.id, &self.report, LEASE_S).await?;
        if *self.stop.borrow() || !goes_on { Err(ReconcileError::Over) } else { Ok(()) }
    }

    /// Keeps differences, as many as are kept of one reconciliation; those that a person accepted before count as agreed.
    async fn keep(&mut self, found: Vec<FoundDifference>) -> Result<(), ReconcileError> {
        let room = usize::try_from(DIFFERENCES_MAX.saturating_sub(self.kept)).unwrap_or(usize::MAX);
        let (kept, beyond) = found.split_at(room.min(found.len()));
        if !kept.is_empty() {
            let accepted = self.store().differences_keep(self.of.id, self.of.flow, self.version.destination, kept).await?;
            for (one, accepted) in kept.iter().zip(accepted) {
                if accepted {
                    self.report.agreed += 1;
                } else {
                    self.report.count(one.difference.kind);
                    self.kept += 1;
                }
            }
        }
        for one in beyond {
            self.report.count(one.difference.kind);
        }
        Ok(())
    }

    /// True where a record that changed at this time belongs to the period; one whose time nobody knows does.
    fn is_of_period(&self, changed_at: Option<DateTime<Utc>>) -> bool {
        changed_at.is_none_or(|at| self.of.period.contains(at))
    }
}
