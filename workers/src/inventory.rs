//! Inventory: what changed levels, orders and shipments say is added up by item, and sellers are told what they may offer. It happens beside the
//! way of orders: receiving only notes what changed. A tenant's stock is worked on by one worker at a time, in one transaction for a batch.

use std::sync::Arc;

use domain::id::TenantId;
use domain::scope::Scope;
use domain::task::Stage;
use futures::StreamExt;
use infra::chain;
use infra::postgres::StoreError;
use tokio::sync::watch;
use tracing::warn;

use crate::Context;

/// Tenants whose stock one process works on at a time: what is delivered comes first.
const AT_ONCE: usize = 2;

pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        let tenants = context.store.stock_tenants().await.unwrap_or_else(|error| {
            warn!(error = chain(&error), "Changes of stock could not be looked for; the next look tries again");
            vec![]
        });
        let context = &context;
        let done: Vec<bool> =
            futures::stream::iter(tenants).map(|tenant| work(context, tenant)).buffer_unordered(AT_ONCE).collect().await;
        // As long as there is something, it goes on at once.
        if !done.contains(&true) {
            tokio::select! {
                () = tokio::time::sleep(context.settings.sweep_every) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }
}

/// One batch of a tenant's stock; false where there was nothing to do, or nobody could.
async fn work(context: &Context, tenant: TenantId) -> bool {
    work_once(context, tenant).await.unwrap_or_else(|error| {
        warn!(error = chain(&error), tenant.id = %tenant, "The stock could not be added up; it is tried again");
        false
    })
}

async fn work_once(context: &Context, tenant: TenantId) -> Result<bool, StoreError> {
    let scope = Scope::system(tenant, "inventory");
    let Some(mut stock) = context.store.within(&scope).stock().await? else { return Ok(false) };
    stock.read().await?;
    let told = stock.finish().await?;
    context.broker.nudge(Stage::Receive, told).await;
    Ok(true)
}
