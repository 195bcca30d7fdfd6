//! What watching for drift costs beside receiving: CPU for each order of the samples. Receiving is what a worker does with the bytes before
//! the database: it is the smaller part, so what is said here is the most that watching can be of the whole.

use std::io::Write;
use std::time::Duration;

use connectors::Catalog;
use domain::canonical;
use domain::drift::{Baseline, Gatherer, Learning, Policies, Policy, Watch};
use domain::mapping::Vars;
use domain::record::RecordKind;
use domain::value::{Arena, Limits, Tree};
use serde_json::json;
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Orders of each measurement; as many as a busy place has in one flush.
const ORDERS: u64 = 2_000;
const TURNS: u32 = 10;

fn main() -> Result<(), Failure> {
    let connector =
        Catalog::embedded().iter().find(|c| c.name() == "shopify").ok_or("the catalog has the connector of the samples")?;
    let plan = connector.read_plan(RecordKind::Order).ok_or("the connector reads orders")?;
    let orders: Vec<Vec<u8>> = (0..ORDERS).map(tests::sample::order).collect();
    let (mut received, mut gathered, mut flushed, mut looked) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let now = chrono::Utc::now();
    let learning = Learning { documents_min: 50, age_min: Duration::ZERO };
    let mut baseline = Baseline::new(now);
    let policies = Policies::new([("*".to_owned(), Policy::Hold)]);
    for _ in 0..TURNS {
        received += timed(|| {
            for order in &orders {
                let document =
                    plan.read(order, &Limits::DEFAULT, connector.tables(), &Vars::default()).map_err(|_| "it is mapped")?;
                canonical::check(RecordKind::Order, &document).map_err(|_| "it is right")?;
                std::hint::black_box((canonical::content_hash(&document), document.to_json()));
            }
            Ok(())
        })?;
        let mut gatherer = Gatherer::default();
        gathered += timed(|| {
            for order in &orders {
                let arena = Arena::new();
                gatherer.add(Tree::parse(order, &Limits::DEFAULT, None, &arena)?, Uuid::nil());
            }
            Ok(())
        })?;
        flushed += timed(|| {
            let drifts = baseline.take(&gatherer.profile(), &learning, now);
            std::hint::black_box((serde_json::to_vec(&baseline.known)?, serde_json::to_vec(&baseline.recent)?, drifts));
            Ok(())
        })?;
        let watch = Watch::new(baseline.known.clone(), policies.clone());
        looked += timed(|| {
            for order in &orders {
                let arena = Arena::new();
                let tree = Tree::parse(order, &Limits::DEFAULT, None, &arena)?;
                std::hint::black_box(watch.held(tree, Uuid::nil()));
            }
            Ok(())
        })?;
    }
    let us = |spent: Duration| (spent.as_secs_f64() * 1e8 / (f64::from(TURNS) * ORDERS as f64)).round() / 100.0;
    let report = json!({
        "bytes": orders[0].len(),
        "fields": baseline.known.fields.len(),
        "receive_us_per_order": us(received),
        "gather_us_per_order": us(gathered),
        "flush_us": (flushed.as_secs_f64() * 1e6 / f64::from(TURNS)).round(),
        "hold_us_per_order": us(looked),
        "gather_of_receive": (1e3 * gathered.as_secs_f64() / received.as_secs_f64()).round() / 1e3,
    });
    writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&report)?)?;
    Ok(())
}

/// What this thread has run for it, in nanoseconds (the scheduler's first number of it).
fn timed(work: impl FnOnce() -> Result<(), Failure>) -> Result<Duration, Failure> {
    let begin = cpu()?;
    work()?;
    Ok(cpu()?.saturating_sub(begin))
}

fn cpu() -> Result<Duration, Failure> {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let run = stat.split(' ').next().ok_or("/proc/thread-self/schedstat has a first number")?;
    Ok(Duration::from_nanos(run.parse()?))
}
