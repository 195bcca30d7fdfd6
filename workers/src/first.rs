//! First: exceptions that wait for what they refer to are tried again once that is there.

use std::sync::Arc;

use domain::id::TenantId;
use domain::scope::Scope;
use infra::chain;
use tokio::sync::watch;
use tracing::warn;

use crate::{Context, leased};

/// Tenants of one process at a time.
const TENANTS_MAX: usize = 2;

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max| context.store.exception_waits_over(count_max).await;
    leased::run(context, stop, "waiting exceptions", TENANTS_MAX, take, let_go).await;
}

async fn let_go(context: Arc<Context>, tenant: TenantId, _: TenantId) {
    let scope = Scope::system(tenant, "first");
    match context.store.within(&scope).exception_waits_let_go().await {
        Ok(nudges) => context.broker.nudge_stages(&nudges).await,
        Err(error) => {
            warn!(error = chain(&error), tenant.id = %tenant, "Waiting exceptions were not let go; the next look tries again");
        }
    }
}
