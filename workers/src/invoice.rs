//! Months that are over are billed. A month is leased in Postgres, and what closes it is one transaction that takes its number with it: a worker that dies
//! leaves nothing, and another one that is at the same month finds it closed.

use std::sync::Arc;

use domain::id::TenantId;
use domain::invoice::Month;
use domain::scope::Scope;
use infra::chain;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{Context, leased};

/// Numbers are taken one after the other, so more at a time would only wait for each other.
const AT_ONCE: usize = 2;
/// How long a month may take before another worker tries it.
const LEASE_S: f64 = 30.0;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.invoices_take(count_max, LEASE_S).await;
    leased::run(context, stop, "invoices", AT_ONCE, take, close).await;
}

async fn close(context: Arc<Context>, tenant: TenantId, month: Month) {
    let scope = Scope::system(tenant, "invoice");
    match context.store.within(&scope).invoice_close(month).await {
        Ok(Some(number)) => info!(tenant.id = %tenant, number, "Closed {month} of {tenant} as invoice {number}"),
        Ok(None) => {}
        Err(error) => {
            warn!(error = chain(&error), tenant.id = %tenant, "{month} of {tenant} was not closed; it is tried again in {LEASE_S} s");
        }
    }
}
