//! Breakers: what came of calls is gathered for them, and those whose time has come let go of what they hold.
//!
//! While all is well an answer costs nothing: it is counted in memory, and told together with the next failure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::breaker::{Signal, Tally};
use domain::id::{ConnectionId, TenantId};
use domain::scope::Scope;
use domain::task::Stage;
use infra::chain;
use infra::postgres::breaker::{ACCOUNT, BreakerNote};
use infra::postgres::ledger::Finish;
use tokio::sync::watch;
use tracing::{info, warn};
use uuid::Uuid;

use crate::{Context, leased};

/// Breakers that one process looks at side by side.
const AT_ONCE: usize = 16;
/// How long a look may take before another worker takes it that we died.
const LEASE_S: f64 = 10.0;
/// Operations whose answers are counted; beyond that they are forgotten, which only makes a breaker more careful.
const OPERATIONS_MAX: usize = 10_000;

/// Answers that were not told yet, by connection and operation.
#[derive(Default)]
pub struct Answers(Mutex<HashMap<(ConnectionId, String), u32>>);

impl Answers {
    /// What breakers are to be told of these ends: failures with the answers before them, and answers where a breaker waits for one.
    pub fn notes(&self, batch: &[Finish]) -> Vec<BreakerNote> {
        let mut notes: Vec<(BreakerNote, bool)> = Vec::new();
        for finish in batch {
            let Some(health) = &finish.health else { continue };
            let mut add = |operation: &str, is_told: bool| {
                let at = notes.iter().position(|(note, _)| note.connection == finish.destination && note.operation == operation);
                let at = at.unwrap_or_else(|| {
                    let (connection, operation) = (finish.destination, operation.to_owned());
                    notes.push((BreakerNote { connection, operation, tally: Tally::default(), fault: None }, false));
                    notes.len() - 1
                });
                let (note, tells) = &mut notes[at];
                note.tally.add(&health.signal);
                *tells |= is_told;
                if let Signal::Failed(fault) | Signal::Refused(fault) = &health.signal {
                    note.fault = Some(fault.clone());
                }
            };
            match &health.signal {
                Signal::Answered => {
                    add(&health.operation, health.is_watched);
                    if health.is_watched {
                        add(ACCOUNT, true);
                    }
                }
                Signal::Failed(_) => add(&health.operation, true),
                Signal::Refused(_) => add(ACCOUNT, true),
            }
        }
        let mut answers = self.0.lock().expect("no code panics while it holds the answers");
        if answers.len() > OPERATIONS_MAX {
            answers.clear();
        }
        let mut told = Vec::new();
        for (mut note, is_told) in notes {
            let key = (note.connection, note.operation.clone());
            if is_told {
                note.tally.calls = note.tally.calls.saturating_add(answers.remove(&key).unwrap_or_default());
                told.push(note);
            } else {
                let count = answers.entry(key).or_default();
                *count = count.saturating_add(note.tally.calls);
            }
        }
        told
    }
}

/// Lets go of what breakers hold, as often as one's time has come, until `stop` says so.
pub async fn run(context: Arc<Context>, stop: watch::Receiver<bool>) {
    let take = async |context: &Context, count_max: i32| context.store.breakers_take(count_max, LEASE_S).await;
    leased::run(context, stop, "breakers", AT_ONCE, take, look).await;
}

async fn look(context: Arc<Context>, tenant: TenantId, breaker: Uuid) {
    let scope = Scope::system(tenant, "breaker");
    match context.store.within(&scope).breaker_due(breaker).await {
        Ok(released) if released.is_empty() => {}
        Ok(released) => {
            info!(breaker.id = %breaker, count = released.len(), "A breaker let {} deliveries go", released.len());
            context.broker.nudge(Stage::Deliver, released).await;
        }
        Err(error) => warn!(error = chain(&error), breaker.id = %breaker, "A breaker was not looked at; it comes again"),
    }
}
