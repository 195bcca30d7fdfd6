//! Three-way matches: an order is compared with its shipments and invoices after one of them has changed. It happens beside the way of orders:
//! receiving only notes what changed, and the row that says so is leased, so that a worker that dies loses nothing.

use std::sync::Arc;

use chrono::Utc;
use domain::id::TenantId;
use domain::scope::Scope;
use domain::three_way_match::compare as compared;
use futures::StreamExt;
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::three_way_match::MatchDue;
use tokio::sync::watch;
use tracing::warn;

use crate::Context;

/// Records of one look.
const TAKEN_MAX: i32 = 64;
/// Comparisons of one process at a time: what is delivered comes first.
const AT_ONCE: usize = 4;
/// How long a look may take before another worker takes what is left of it.
const LEASE_S: f64 = 60.0;

pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let taken = context.store.match_dues_take(TAKEN_MAX, LEASE_S).await.unwrap_or_else(|error| {
            warn!(error = chain(&error), "Three-way matches could not be looked for; the next look tries again");
            vec![]
        });
        let is_idle = taken.is_empty();
        let context = &context;
        futures::stream::iter(taken)
            .for_each_concurrent(AT_ONCE, |(tenant, due)| async move { compare(context, tenant, due).await })
            .await;
        // As long as there is something, it goes on at once.
        if is_idle {
            tokio::select! {
                () = tokio::time::sleep(context.settings.sweep_every) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}

async fn compare(context: &Context, tenant: TenantId, due: MatchDue) {
    if let Err(error) = compare_once(context, tenant, due).await {
        warn!(error = chain(&error), record.id = %due.record, "An order could not be compared; it is tried again");
    }
}

async fn compare_once(context: &Context, tenant: TenantId, due: MatchDue) -> Result<(), StoreError> {
    let scope = Scope::system(tenant, "three_way_match");
    let Some(matching) = context.store.within(&scope).match_begin(due).await? else { return Ok(()) };
    let found = compared(&matching.document, &matching.shipments, &matching.invoices, &matching.policy, Utc::now());
    matching.finish(&found).await
}
