//! Impersonations that are over by themselves are closed, so that their tenants read when and why. Nothing hangs on how soon: no request of one that is
//! over is answered.

use std::sync::Arc;
use std::time::Duration;

use infra::chain;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::Context;

const EVERY: Duration = Duration::from_secs(5);

pub async fn run(context: Arc<Context>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        match context.store.impersonations_close().await {
            Ok(0) => {}
            Ok(count) => info!(count, "Closed {count} impersonations that were over"),
            Err(error) => {
                warn!(error = chain(&error), "Impersonations that are over could not be closed; the next look tries again");
            }
        }
    }
}
