//! Work in the background that is leased in Postgres: so many at a time, looked for as often as the sweeper looks, because what is delivered
//! comes first. What a process leaves is taken by another once its lease is over.

use std::sync::Arc;

use infra::chain;
use infra::postgres::StoreError;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::warn;

use crate::Context;

/// Takes and works until `stop` says so, then waits for what is under way. `take` leases at most so many, each with whose it is.
pub async fn run<T, I, W>(
    context: Arc<Context>,
    mut stop: watch::Receiver<bool>,
    what: &'static str,
    at_once: usize,
    take: impl AsyncFn(&Context, i32) -> Result<Vec<(T, I)>, StoreError>,
    work: impl Fn(Arc<Context>, T, I) -> W,
) where
    W: Future<Output = ()> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    loop {
        while under_way.try_join_next().is_some() {}
        let room = i32::try_from(at_once.saturating_sub(under_way.len())).unwrap_or(0);
        if room > 0 {
            match take(&context, room).await {
                Ok(taken) => {
                    for (whose, id) in taken {
                        under_way.spawn(work(context.clone(), whose, id));
                    }
                }
                Err(error) => {
                    warn!(error = chain(&error), what, "Leased work could not be looked for; the next look tries again")
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(context.settings.sweep_every) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
    }
    under_way.join_all().await;
}
