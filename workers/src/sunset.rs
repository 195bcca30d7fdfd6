//! Sunset: writes what answers say of the end of an API version, and compares the connectors' own dates with all connections once a day.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use connectors::Connector;
use domain::id::{ConnectionId, SunsetId, TenantId};
use domain::scope::Scope;
use domain::sunset::Sign;
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::sunset::Pinned;
use tokio::sync::watch;
use tracing::{info, warn};
use uuid::Uuid;

use crate::Context;

const CHECK_EVERY: Duration = Duration::from_secs(24 * 60 * 60);
const CHECK_AGAIN: Duration = Duration::from_secs(10 * 60);
/// Connections, or notices, of one look.
const ROWS_MAX: usize = 1_000;
/// What no answer has said for so long is not so any more.
const UNSEEN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    tokio::join!(context.sunsets.write(&context.store, stop.clone()), check_daily(&context, stop));
}

async fn check_daily(context: &Context, mut stop: watch::Receiver<bool>) {
    loop {
        let wait = match check(context).await {
            Ok(()) => CHECK_EVERY,
            Err(error) => {
                warn!(error = chain(&error), "The connectors' dates could not be compared; that is tried again in 10 minutes");
                CHECK_AGAIN
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Raises what the connectors in use know, and closes what is over. Several workers may do so at once: the second finds nothing.
async fn check(context: &Context) -> Result<(), StoreError> {
    let used = context.store.connectors_in_use().await?;
    let used: Vec<&'static Connector> = used.iter().filter_map(|name| context.catalog.get(name)).collect();
    let dated: HashMap<&str, Sign> =
        used.iter().filter_map(|connector| Some((connector.name(), connector.sunset_by_date()?))).collect();
    let pin = |connector: &&'static Connector| Pinned {
        connector: connector.name(),
        version: connector.version(),
        ends_at: dated.get(connector.name()).and_then(|sign| sign.ends_at),
    };
    let pinned: Vec<Pinned<'_>> = used.iter().map(pin).collect();
    let rows_max = i32::try_from(ROWS_MAX).unwrap_or(i32::MAX);
    let (mut raised, mut closed) = (0, 0);

    let mut after = SunsetId(Uuid::nil());
    loop {
        let over = context.store.sunsets_over(&pinned, UNSEEN.as_secs_f64(), after, rows_max).await?;
        for (tenant, ids) in by_tenant(over.iter().map(|(tenant, id)| (*tenant, id.0))) {
            let scope = Scope::system(tenant, "sunset");
            context.store.within(&scope).sunsets_close(&ids).await?;
            closed += ids.len();
        }
        match over.last() {
            Some((_, last)) if over.len() == ROWS_MAX => after = *last,
            _ => break,
        }
    }
    let mut after = ConnectionId(Uuid::nil());
    loop {
        let missing = context.store.sunsets_missing(&pinned, after, rows_max).await?;
        let signs = missing.iter().filter_map(|(tenant, id, connector)| Some((*tenant, (*id, dated.get(connector.as_str())?))));
        for (tenant, signs) in by_tenant(signs) {
            let scope = Scope::system(tenant, "sunset");
            raised += context.store.within(&scope).sunsets_note(&signs).await?;
        }
        match missing.last() {
            Some((_, last, _)) if missing.len() == ROWS_MAX => after = *last,
            _ => break,
        }
    }
    if raised + closed > 0 {
        info!(raised, closed, "Raised {raised} and closed {closed} notices of an API version's end");
    }
    Ok(())
}

fn by_tenant<T>(rows: impl Iterator<Item = (TenantId, T)>) -> HashMap<TenantId, Vec<T>> {
    let mut tenants: HashMap<TenantId, Vec<T>> = HashMap::new();
    for (tenant, row) in rows {
        tenants.entry(tenant).or_default().push(row);
    }
    tenants
}
