//! The sweeper re-dispatches what is due and not under way. It is what makes tasks mere nudges: the rows are the truth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::task::{Place, Stage};
use infra::chain;
use infra::postgres::StoreError;
use tokio::sync::watch;
use tracing::{info, warn};
use uuid::Uuid;

use crate::Context;

/// Rows of one sweep, shared between the connections that have something due. Only that many are on the way at a time: a backlog waits
/// in Postgres, not in the broker.
const ROWS_MAX: i32 = 2_000;
/// How long whoever is nudged may take before the sweeper nudges again.
const LEASE_S: f64 = 10.0;
const PARTITIONS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut partitions_at = Instant::now();
    loop {
        if Instant::now() >= partitions_at {
            match context.store.ensure_partitions().await {
                Ok(()) => partitions_at = Instant::now() + PARTITIONS_EVERY,
                Err(error) => warn!(
                    error = chain(&error),
                    "The partitions of the months ahead could not be made; the default partitions serve"
                ),
            }
        }
        for stage in Stage::ALL {
            if let Err(error) = sweep(&context, stage).await {
                warn!(error = chain(&error), queue = stage.queue(), "The sweep failed; the next one tries again");
            }
        }
        tokio::select! {
            () = tokio::time::sleep(context.settings.sweep_every) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn sweep(context: &Context, stage: Stage) -> Result<(), StoreError> {
    let due: Vec<(Place, Uuid)> = match stage {
        Stage::Receive => context.store.sweep_messages(ROWS_MAX, LEASE_S).await?,
        Stage::Deliver => context.store.sweep_deliveries(ROWS_MAX, LEASE_S).await?,
    };
    let count = due.len();
    if count > 0 {
        info!(count, queue = stage.queue(), "Nudged {count} due rows");
        context.broker.nudge(stage, due).await;
    }
    Ok(())
}
