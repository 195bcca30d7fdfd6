//! Tenants whose owners asked for it a week ago are deleted: first their keys and every door to them, in one transaction, then all else, in batches. A worker
//! that dies leaves it where it was, and the next one goes on there. Until a day later it is looked again for what was under way when the tenant ended.

use std::sync::Arc;

use domain::id::TenantId;
use infra::chain;
use infra::postgres::StoreError;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Context, leased};

/// Beside the way of orders, so few at a time; one that takes long does not keep the next one's keys alive.
const AT_ONCE: usize = 2;
/// How long a batch may take before another worker tries it.
const LEASE_S: f64 = 90.0;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| {
        let tenants = context.store.tenant_deletions_take(count_max, LEASE_S).await?;
        Ok::<_, StoreError>(tenants.into_iter().map(|tenant| (tenant, ())).collect())
    };
    let told = stop.clone();
    let work = move |context, tenant, ()| delete(context, tenant, told.clone());
    leased::run(context, stop, "tenants to delete", AT_ONCE, take, work).await;
}

async fn delete(context: Arc<Context>, tenant: TenantId, stop: watch::Receiver<bool>) {
    match delete_until(&context, tenant, &stop).await {
        Ok(0) => {}
        Ok(rows) => info!(tenant.id = %tenant, rows, "Purged {rows} rows of {tenant}, which was deleted"),
        Err(error) => {
            warn!(error = chain(&error), tenant.id = %tenant, "The deletion of {tenant} stopped; it goes on where it was in {LEASE_S} s");
        }
    }
}

/// Says how many rows it purged. What a worker that is told to stop leaves is taken by another once the lease is over.
async fn delete_until(context: &Context, tenant: TenantId, stop: &watch::Receiver<bool>) -> Result<i64, StoreError> {
    if context.store.tenant_destroy(tenant).await? {
        info!(tenant.id = %tenant, "Deleted {tenant}: its keys are destroyed, and nobody comes in any more");
    }
    let mut rows = 0;
    while !*stop.borrow() {
        let batch = context.store.tenant_purge(tenant, LEASE_S).await?;
        rows += batch.rows;
        if batch.is_over {
            break;
        }
    }
    Ok(rows)
}
