//! Shadow runs: of each delivery of a flow the candidate's request is made too, and not sent. It happens in the background, page by page behind
//! what was planned, and never on the way of an order. The row of the swap says how far it came, so a page is counted once, whoever maps it.

use std::sync::Arc;

use chrono::Utc;
use connectors::Inputs;
use connectors::swap::lost;
use connectors::trial::{Trial, Tried};
use domain::canonical;
use domain::drift::Worth;
use domain::id::{SwapId, TenantId};
use domain::replay::Of;
use domain::scope::Scope;
use domain::swap::{Outcome, Parity, Seen, SwapState};
use domain::value::{Limits, Value};
use infra::chain;
use infra::lookup::{Tables, TenantLookups};
use infra::postgres::StoreError;
use infra::postgres::flow::FlowVersion;
use infra::postgres::swap::Swap;
use infra::postgres::swap_shadow::Shadowed;
use infra::trial::{self, Sides, TrialError};
use tokio::sync::watch;
use tracing::warn;

use crate::{Context, leased};

/// Shadows of one process at a time: what is delivered comes first.
const SHADOWS_MAX: usize = 2;
/// Deliveries of one look.
const PAGE: i64 = 500;
/// How long a look may take before another worker takes the shadow.
const LEASE_S: f64 = 60.0;
/// Until the next look, where the last one came to the end.
const WAIT_S: f64 = 2.0;
/// The same where the mapping does not fit: a person has to mend it.
const FAILED_WAIT_S: f64 = 30.0;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.swaps_take(count_max, LEASE_S).await;
    leased::run(context, stop, "shadows", SHADOWS_MAX, take, look).await;
}

async fn look(context: Arc<Context>, tenant: TenantId, id: SwapId) {
    let scope = Scope::system(tenant, "shadow");
    let store = context.store.within(&scope);
    let outcome = match store.swap_load(id).await {
        Ok(None) => return,
        Ok(Some(swap)) => match look_once(&context, &scope, &swap).await {
            Ok(()) => return,
            Err(TrialError::Store(error)) if error.is_passing() => Err(error),
            Err(error) => store.swap_failed(id, Some(&swap), &error.to_string(), FAILED_WAIT_S).await,
        },
        Err(error) if error.is_passing() => Err(error),
        Err(error) => store.swap_failed(id, None, &error.to_string(), FAILED_WAIT_S).await,
    };
    if let Err(error) = outcome {
        warn!(error = chain(&error), swap.id = %id, "A shadow broke off; it is looked at again");
    }
}

/// Maps the next page and adds it to the report.
async fn look_once(context: &Context, scope: &Scope, swap: &Swap) -> Result<(), TrialError> {
    let store = context.store.within(scope);
    if swap.state != SwapState::Shadow {
        return Ok(());
    }
    let Some(version) = store.flow_published(swap.flow).await? else {
        return Ok(store
            .swap_failed(swap.id, Some(swap), "no version of the flow is published, so nothing is delivered", FAILED_WAIT_S)
            .await?);
    };
    let page = store.swap_page(swap, PAGE).await?;
    let mut report = swap.report.clone();
    if !page.rows.is_empty() {
        let candidate = swap.over(&version);
        let pair =
            Pair { old: Half::load(context, scope, version).await?, candidate: Half::load(context, scope, candidate).await? };
        let rows = page.rows;
        let mapped = tokio::task::spawn_blocking(move || pair.add(&rows, &mut report).map(|()| report)).await;
        report = match mapped {
            Ok(mapped) => mapped?,
            // A panic would be one again.
            Err(error) => {
                return Err(StoreError::Corrupt { what: "the shadow", id: swap.id.to_string(), why: error.to_string() }.into());
            }
        };
        report.sort();
    }
    let wait_s = if page.is_full { 0.0 } else { WAIT_S };
    store.swap_seen(swap, page.seen, &report, wait_s).await?;
    Ok(())
}

/// One of the two that are compared.
struct Half {
    version: FlowVersion,
    sides: Sides,
    tables: Tables,
}

impl Half {
    async fn load(context: &Context, scope: &Scope, version: FlowVersion) -> Result<Self, TrialError> {
        let store = context.store.within(scope);
        let sides = Sides::load(&store, context.catalog, &version).await?;
        let tables = trial::tables(&store, &sides.trial(&version.spec)?).await?;
        Ok(Self { version, sides, tables })
    }

    fn trial(&self) -> Result<Trial<'_>, TrialError> {
        self.sides.trial(&self.version.spec)
    }

    fn outcome(&self, trial: &Trial<'_>, (delivery, row): &Shadowed) -> Outcome {
        let lookups = TenantLookups::new(&self.tables, self.sides.destination().connector.tables(), row.origin_at);
        match trial.run(&row.of(*delivery), &Inputs::default(), &lookups, Utc::now()) {
            Tried::Left => Outcome::Left,
            Tried::Refused(reason) => Outcome::Refused(reason),
            Tried::Made(made) => Outcome::Made { looks_up: made.not_looked_up },
        }
    }
}

struct Pair {
    old: Half,
    candidate: Half,
}

impl Pair {
    fn add(&self, rows: &[Shadowed], report: &mut Parity) -> Result<(), TrialError> {
        let (old, candidate) = (self.old.trial()?, self.candidate.trial()?);
        let kind = self.old.version.kind;
        let plans = old.write_plan().zip(candidate.write_plan());
        let lost = plans.map(|(old, candidate)| lost(kind, old, candidate)).unwrap_or_default();
        for shadowed in rows {
            let (_, row) = shadowed;
            // A stored document that cannot be read is refused by both, and says so there.
            let document = Value::parse(row.document.as_bytes(), &Limits::DEFAULT).unwrap_or(Value::Null);
            let worth = canonical::examine(kind, &document).ok().as_ref().and_then(Worth::of);
            let currency = document.get("currency").and_then(Value::as_str);
            let seen = Seen {
                of: Of { record: row.record, number: row.number.as_deref(), currency },
                old: self.old.outcome(&old, shadowed),
                candidate: self.candidate.outcome(&candidate, shadowed),
                document: &document,
                worth: worth.as_ref(),
            };
            report.add(seen, &lost);
        }
        Ok(())
    }
}
