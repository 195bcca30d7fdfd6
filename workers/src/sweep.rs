//! The sweeper re-dispatches what is due and not under way. It is what makes tasks mere nudges: the rows are the truth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::task::Stage;
use infra::chain;
use infra::postgres::StoreError;
use infra::postgres::sweep::Sweep;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::Context;
use crate::directory::Directory;

/// How much one look brings. A backlog waits in Postgres, and not in the broker.
const SWEEP: Sweep = Sweep { rows_max: 2_000, window_max: 500, lease_s: 10.0 };
/// Where so many were due there may be more that had no room: the next look is soon, so that a backlog is drained by the workers and not by our clock.
const BACKLOG: usize = 20;
const SOON: Duration = Duration::from_millis(100);
const WEIGHTS_EVERY: Duration = Duration::from_secs(60);
const PARTITIONS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, mut stop: watch::Receiver<bool>) {
    let mut partitions_at = Instant::now();
    let mut weights_at = Instant::now();
    loop {
        if Instant::now() >= weights_at {
            weights_at = Instant::now() + WEIGHTS_EVERY;
            match context.store.tenant_weights().await {
                Ok(weights) => directory.set_weights(weights),
                Err(error) => warn!(error = chain(&error), "The tenants' weights could not be read; those of before hold"),
            }
        }
        if Instant::now() >= partitions_at {
            match context.store.ensure_partitions().await {
                Ok(()) => partitions_at = Instant::now() + PARTITIONS_EVERY,
                Err(error) => warn!(
                    error = chain(&error),
                    "The partitions of the months ahead could not be made; the default partitions serve"
                ),
            }
        }
        let mut found = false;
        for stage in Stage::ALL {
            match sweep(&context, stage).await {
                Ok(count) => found |= count >= BACKLOG,
                Err(error) => warn!(error = chain(&error), stage = stage.as_str(), "The sweep failed; the next one tries again"),
            }
        }
        let every = context.settings.sweep_every;
        tokio::select! {
            () = tokio::time::sleep(if found { every.min(SOON) } else { every }) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Returns how many rows were due.
async fn sweep(context: &Context, stage: Stage) -> Result<usize, StoreError> {
    let due = match stage {
        Stage::Receive => context.store.sweep_messages(SWEEP).await?,
        Stage::Deliver => context.store.sweep_deliveries(SWEEP).await?,
    };
    let count = due.len();
    if count > 0 {
        info!(count, stage = stage.as_str(), "Nudged {count} due rows");
        context.broker.nudge(stage, due).await;
    }
    Ok(count)
}
