//! Undos: what a version did at its destination is looked at page by page, and once a person approved it, planned page by page. A page is one
//! transaction, so one whose worker died is gone on with where it stopped; what is planned is delivered like any other.

use std::collections::HashMap;
use std::sync::Arc;

use connectors::flow::FlowError;
use domain::id::{FlowVersionId, TenantId, UndoId};
use domain::scope::Scope;
use domain::task::Stage;
use domain::undo::{ITEMS_MAX, UndoState};
use infra::chain;
use infra::lookup::{self, Tables};
use infra::postgres::flow::FlowVersion;
use infra::postgres::undo::Undo;
use infra::postgres::undo_item::Undoable;
use infra::postgres::undo_plan::PlanPage;
use infra::postgres::{StoreError, TenantStore};
use infra::trial::{self, Sides, TrialError};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Context, leased};

mod preview;

/// Undos of one process at a time: what is delivered comes first.
const AT_ONCE: usize = 2;
/// Deliveries of one page: each has two documents and two requests.
const PAGE: i64 = 200;
/// How long a page may take before another worker takes the undo.
const LEASE_S: f64 = 60.0;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.undos_take(count_max, LEASE_S).await;
    let stopped = stop.clone();
    leased::run(context, stop, "undos", AT_ONCE, take, move |context, tenant, id| undo(context, tenant, id, stopped.clone()))
        .await;
}

async fn undo(context: Arc<Context>, tenant: TenantId, id: UndoId, stop: watch::Receiver<bool>) {
    let scope = Scope::system(tenant, "undo");
    if let Err(error) = step(&context, &scope, id, &stop).await {
        warn!(error = chain(&error), undo.id = %id, "Undo {id} broke off; it is gone on with");
    }
}

/// Does what is next, until a person is asked or it is over.
async fn step(context: &Context, scope: &Scope, id: UndoId, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
    let store = context.store.within(scope);
    let Some(undo) = store.undo_load(id).await? else { return Ok(()) };
    match undo.state {
        UndoState::Preparing => prepare(context, scope, undo, stop).await,
        UndoState::Approved => {
            while !*stop.borrow() {
                match store.undo_plan(id, LEASE_S).await? {
                    PlanPage::Planned(nudges) => context.broker.nudge(Stage::Deliver, nudges).await,
                    PlanPage::Over => break,
                }
            }
            Ok(())
        }
        UndoState::Delivering => {
            if store.undo_settle(id).await? {
                info!(undo.id = %id, "Undo {id} ended");
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Looks at all pages. What a person can mend ends the preview with the reason.
async fn prepare(context: &Context, scope: &Scope, mut undo: Undo, stop: &watch::Receiver<bool>) -> Result<(), StoreError> {
    let store = context.store.within(scope);
    match pages(context, scope, &mut undo, stop).await {
        Ok(true) => {
            undo.report.values.sort();
            store.undo_prepared(&undo, Ok(&undo.report)).await
        }
        // It is to stop, or somebody else has it.
        Ok(false) => Ok(()),
        Err(TrialError::Store(error)) if error.is_passing() => Err(error),
        Err(error) => store.undo_prepared(&undo, Err(&error.to_string())).await,
    }
}

async fn pages(context: &Context, scope: &Scope, undo: &mut Undo, stop: &watch::Receiver<bool>) -> Result<bool, TrialError> {
    let store = context.store.within(scope);
    let gone = || TrialError::Version(vec![FlowError { field: "version", what: "it is not there any more".into() }]);
    let undone = store.flow_version_by_id(undo.version).await?.ok_or_else(gone)?;
    let mut pass = Pass { undone, made_by: HashMap::new(), tables: Tables::default(), versions: undo.tables.clone() };
    pass.load(context, &store, undo.version).await?;
    if let Some(good) = undo.good {
        pass.load(context, &store, good).await?;
    }
    loop {
        let left = ITEMS_MAX.saturating_sub(undo.report.deliveries);
        let page = store.undo_page(undo, PAGE.min(i64::try_from(left).unwrap_or(PAGE)).max(1)).await?;
        let Some(last) = page.last() else { return Ok(true) };
        if left == 0 {
            undo.report.has_more = true;
            return Ok(true);
        }
        let last = last.id.0;
        for version in previous_versions(&page) {
            pass.load(context, &store, version).await?;
        }
        let (work, of, mut report) = (pass.clone(), undo.clone(), undo.report.clone());
        let made =
            tokio::task::spawn_blocking(move || preview::items(&work, &of, &page, &mut report).map(|items| (items, report)));
        let (items, report) = match made.await {
            Ok(made) => made?,
            // A panic would be one again.
            Err(error) => {
                return Err(StoreError::Corrupt { what: "the undo", id: undo.id.to_string(), why: error.to_string() }.into());
            }
        };
        if !store.undo_page_keep(undo, &items, &report, &pass.versions, LEASE_S).await? || *stop.borrow() {
            return Ok(false);
        }
        (undo.cursor, undo.report) = (Some(last), report);
    }
}

fn previous_versions(page: &[Undoable]) -> Vec<FlowVersionId> {
    let mut versions: Vec<_> = page.iter().filter_map(|one| Some(one.previous.as_ref()?.version)).collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// What every page is looked at with.
#[derive(Clone)]
struct Pass {
    undone: FlowVersion,
    /// Versions by which something is made, between their sides.
    made_by: HashMap<FlowVersionId, Arc<(FlowVersion, Sides)>>,
    tables: Tables,
    /// Those tables by id. A preview that is gone on with keeps what it began with, so that it is found out where one has changed.
    versions: Vec<(domain::id::LookupTableId, i64)>,
}

impl Pass {
    /// Loads a version, once, and the tables that it looks into.
    async fn load(&mut self, context: &Context, store: &TenantStore<'_>, id: FlowVersionId) -> Result<(), TrialError> {
        if self.made_by.contains_key(&id) {
            return Ok(());
        }
        let Some(version) = store.flow_version_by_id(id).await? else { return Ok(()) };
        let sides = Sides::load(store, context.catalog, &version).await?;
        // One that does not fit any more is told with each item that needs it.
        if let Ok(trial) = sides.trial(&version.spec) {
            let used = trial::tables_used(store, &trial).await?;
            self.tables.extend(lookup::load(store, &used).await?);
            for (table, version) in used {
                if !self.versions.iter().any(|(known, _)| *known == table) {
                    self.versions.push((table, version));
                }
            }
        }
        self.made_by.insert(id, Arc::new((version, sides)));
        Ok(())
    }
}
