//! Arrivals: what came of each tenant is counted every five minutes, beside the way of orders, and alarms of silence and surge are raised and
//! closed. A tenant's look is leased, so that a worker that dies loses nothing: what it did not commit is counted by another.

use std::sync::Arc;

use chrono::Utc;
use domain::id::TenantId;
use domain::scope::Scope;
use infra::chain;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Context, leased};

/// Tenants of one process at a time: what is delivered comes first.
const AT_ONCE: usize = 8;
const LEASE_S: f64 = 60.0;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.arrival_watches_take(count_max, LEASE_S).await;
    leased::run(context, stop, "arrivals", AT_ONCE, take, look).await;
}

async fn look(context: Arc<Context>, tenant: TenantId, _: TenantId) {
    let scope = Scope::system(tenant, "arrival");
    loop {
        match context.store.within(&scope).arrival_look(Utc::now()).await {
            Ok(looked) if looked.is_behind => continue,
            Ok(looked) if looked.opened + looked.closed > 0 => {
                info!(tenant.id = %tenant, opened = looked.opened, closed = looked.closed, "Alarms of arrivals changed");
            }
            Ok(_) => {}
            Err(error) => warn!(error = chain(&error), tenant.id = %tenant, "Arrivals could not be counted; it is tried again"),
        }
        return;
    }
}
