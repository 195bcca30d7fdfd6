//! The sweeper re-dispatches what is due and not under way. It is what makes tasks mere nudges: the rows are the truth.

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::task::{Place, Stage, Task};
use infra::postgres::StoreError;
use tokio::sync::watch;
use tracing::{info, warn};
use uuid::Uuid;

use crate::Context;

/// Rows of one sweep; the next follows at once while there are more.
const ROWS_MAX: i32 = 1_000;
/// How long whoever is nudged may take before the sweeper nudges again.
const LEASE_S: f64 = 10.0;
const PARTITIONS_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    let mut partitions_at = Instant::now();
    loop {
        if Instant::now() >= partitions_at {
            match context.store.ensure_partitions().await {
                Ok(()) => partitions_at = Instant::now() + PARTITIONS_EVERY,
                Err(error) => warn!(%error, "The partitions of the months ahead could not be made; the default partitions serve"),
            }
        }
        let mut full = false;
        for stage in Stage::ALL {
            match sweep(&context, stage).await {
                Ok(count) => full |= count >= usize::try_from(ROWS_MAX).unwrap_or(usize::MAX),
                Err(error) => warn!(%error, queue = stage.queue(), "The sweep failed; the next one tries again"),
            }
        }
        let wait = if full { Duration::ZERO } else { context.settings.sweep_every };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

async fn sweep(context: &Context, stage: Stage) -> Result<usize, StoreError> {
    let due: Vec<(Place, Uuid)> = match stage {
        Stage::Receive => context.store.sweep_messages(ROWS_MAX, LEASE_S).await?,
        Stage::Deliver => context.store.sweep_deliveries(ROWS_MAX, LEASE_S).await?,
    };
    let count = due.len();
    if count > 0 {
        info!(count, queue = stage.queue(), "Nudged {count} due rows");
        nudge(context, stage, due).await;
    }
    Ok(count)
}

/// Tells the stage about rows. If the broker does not take it, the sweeper tells it again.
pub async fn nudge(context: &Context, stage: Stage, rows: Vec<(Place, Uuid)>) {
    if rows.is_empty() {
        return;
    }
    if let Err(error) = context.broker.publish(stage, Task::batch(rows)).await {
        warn!(%error, queue = stage.queue(), "Tasks were not taken");
    }
}
