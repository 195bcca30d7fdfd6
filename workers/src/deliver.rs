//! Deliver: hands each task to the lane of its connection, so that a slow vendor never stands before another,
//! and writes what came of the attempts in batches.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use domain::id::TenantId;
use domain::scope::Scope;
use domain::task::{Place, Stage};
use infra::chain;
use infra::postgres::ledger::Finish;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::warn;

use crate::breaker::Answers;
use crate::directory::Directory;
use crate::lane::Lane;
use crate::waiting::Turns;
use crate::{Context, drain};

const PREFETCH: u16 = 256;
/// Ends that wait to be written; a lane that outruns Postgres waits here.
const ENDS_MAX: usize = 1_000;
const END_BATCH_MAX: usize = 200;
/// How long an end waits for company.
const END_LINGER: Duration = Duration::from_millis(5);
/// Transactions of ends under way: two let one batch gather while another commits, the others are for tenants beside a slow one.
const WRITES_MAX: usize = 4;
/// Batches that are loaded at a time, over all tenants.
const LOADS_MAX: usize = 8;
/// Lanes that were idle this long are put away.
const LANE_IDLE: Duration = Duration::from_secs(60);

pub async fn run(context: Arc<Context>, directory: Arc<Directory>, mut stop: watch::Receiver<bool>) {
    let (ends, ended) = mpsc::channel(ENDS_MAX);
    let writer = tokio::spawn(write_ends(context.clone(), ended));
    let mut consumer = context.broker.consume(Stage::Deliver, PREFETCH);
    let mut lanes: HashMap<Place, Lane> = HashMap::new();
    let turns = Turns::new(LOADS_MAX);
    let mut tidy = tokio::time::interval(LANE_IDLE);
    loop {
        let nudged = tokio::select! {
            nudged = consumer.next() => nudged,
            _ = tidy.tick() => {
                for (_, lane) in lanes.extract_if(|_, lane| lane.is_idle_for(LANE_IDLE)) {
                    tokio::spawn(lane.close());
                }
                continue;
            }
            _ = stop.wait_for(|stop| *stop) => break,
        };
        let place = nudged.task.place;
        let lane = lanes
            .entry(place)
            .or_insert_with(|| Lane::open(context.clone(), directory.clone(), turns.clone(), place, ends.clone()));
        lane.load(nudged.task.lane, &nudged.task.ids);
        // The ids are nudges, and a row whose worker dies is swept. Kept until they were sent, the tasks of one slow vendor would fill the
        // prefetch, and no other tenant's would come.
        nudged.done().await;
    }
    // From here on no lane takes anything new; each finishes the calls that it began, then the last ends are written.
    drain(&context, "deliveries", async {
        let mut closing = JoinSet::new();
        for (_, lane) in lanes {
            closing.spawn(lane.close());
        }
        closing.join_all().await;
        drop(ends);
        if let Err(error) = writer.await {
            warn!(%error, "The writer of ends broke off; the sweeper makes its deliveries unknown");
        }
    })
    .await;
}

/// Writes ends in one transaction for each tenant and batch; a tenant whose rows are locked holds up no other's.
async fn write_ends(context: Arc<Context>, mut ended: mpsc::Receiver<(TenantId, Finish)>) {
    let mut batch = Vec::with_capacity(END_BATCH_MAX);
    let mut writes = JoinSet::new();
    let answers = Arc::new(Answers::default());
    while ended.recv_many(&mut batch, END_BATCH_MAX).await > 0 {
        if batch.len() < END_BATCH_MAX {
            tokio::time::sleep(END_LINGER).await;
            while batch.len() < END_BATCH_MAX {
                let Ok(end) = ended.try_recv() else { break };
                batch.push(end);
            }
        }
        let mut tenants: HashMap<TenantId, Vec<Finish>> = HashMap::new();
        for (tenant, finish) in batch.drain(..) {
            tenants.entry(tenant).or_default().push(finish);
        }
        for (tenant, finishes) in tenants {
            while writes.len() >= WRITES_MAX {
                writes.join_next().await;
            }
            let (context, answers) = (context.clone(), answers.clone());
            writes.spawn(async move { write(&context, &answers, tenant, finishes).await });
        }
        while writes.try_join_next().is_some() {}
    }
    writes.join_all().await;
}

/// An answer that is not written would be asked for again, so a passing failure of Postgres is waited out for a while, and a batch that
/// cannot be written is written one by one, so that the row at fault does not take the others with it.
async fn write(context: &Context, answers: &Answers, tenant: TenantId, finishes: Vec<Finish>) {
    const TRIES: u32 = 6;
    let scope = Scope::system(tenant, "deliver");
    let store = context.store.within(&scope);
    let (mut batches, mut attempt) = (vec![finishes], 1);
    while let Some(batch) = batches.pop() {
        match store.finish_attempts(&batch, &answers.notes(&batch)).await {
            Ok(next) => context.broker.nudge(Stage::Deliver, next).await,
            Err(error) if error.is_passing_for(batch.len()) && attempt < TRIES => {
                warn!(error = chain(&error), count = batch.len(), "Answers could not be written, trying again");
                tokio::time::sleep(Duration::from_millis(250 << attempt)).await;
                attempt += 1;
                batches.push(batch);
            }
            Err(error) if !error.is_passing() && batch.len() > 1 => batches.extend(batch.into_iter().map(|one| vec![one])),
            Err(error) => {
                warn!(
                    error = chain(&error),
                    count = batch.len(),
                    "Answers were not written; the destination will be asked for them"
                );
            }
        }
    }
}
