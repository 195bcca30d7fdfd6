//! How long a replay takes: orders are delivered through the running system, then a draft that changes two fields is replayed over all of them,
//! and its report is awaited as a person would. What it found is checked, so that the time is that of the whole work.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use tests::bench::{Failure, Limit, measured, report, round};
use tests::platform::{Options, Platform, Tenant};
use tests::sample;
use tests::simulator::erp::{Account, Erp};
use uuid::Uuid;

#[derive(Parser)]
#[command(about = "What a replay costs; `cargo xtask bench replay` starts the services first")]
struct Arguments {
    #[arg(long, default_value_t = 10_000)]
    records: u64,
    /// Orders that are sent at once while the records are made.
    #[arg(long, default_value_t = 50)]
    at_once: usize,
    /// What a replay of so many may take; longer is a failure. 10 s is the limit for 10,000.
    #[arg(long, default_value_t = 10.0)]
    limit_s: f64,
    /// Writes the numbers here, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    tests::bench::main(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let erp = Erp::start(Account { concurrency: 100, latency: Duration::ZERO }).await;
    let platform = Platform::start(Options::default()).await?;
    let outcome = measure(&arguments, &platform, &erp).await;
    platform.stop().await?;
    let numbers = outcome?;
    let took_s = measured(&numbers, "replay_s");
    let limit = Limit::at_most(format!("A replay of {} orders", arguments.records), took_s, arguments.limit_s, "s");
    report(numbers, vec![limit], arguments.json.as_deref())
}

async fn measure(arguments: &Arguments, platform: &Platform, erp: &Erp) -> Result<Value, Failure> {
    let tenant = platform.tenant("bench", erp, 100).await?;
    let begin = Instant::now();
    for first in (0..arguments.records).step_by(arguments.at_once) {
        let last = (first + arguments.at_once as u64).min(arguments.records);
        let sends = (first..last).map(|n| tenant.shop.send("orders/create", Uuid::new_v4(), sample::order(n)));
        for sent in futures::future::join_all(sends).await {
            sent?;
        }
    }
    tenant.rest(i64::try_from(arguments.records)?, Duration::from_secs(600)).await?;
    let delivered_s = begin.elapsed().as_secs_f64();
    // Twice: the first finds the records in Postgres' cache or not, as the day would have it.
    let clean = replay(&tenant, json!({}), arguments.records).await?;
    let mapping = json!([{"to": "memo", "default": "replayed"}, {"to": "shippingCost", "expr": "sum(shipping_lines.amount) + 0.01", "as": "number"}]);
    let changed = replay(&tenant, json!({"mapping": mapping}), arguments.records).await?;
    if clean.1["unchanged"] != arguments.records || changed.1["changed"] != arguments.records {
        return Err(format!("the replay did not find what there is: {} and {}", clean.1, changed.1).into());
    }
    Ok(json!({
        "records": arguments.records, "delivered_s": round(delivered_s),
        "replay_that_changes_nothing_s": round(clean.0), "replay_s": round(changed.0),
        "records_per_s": (arguments.records as f64 / changed.0).round(), "limit_s": arguments.limit_s,
        "money": changed.1["money"],
    }))
}

/// Drafts, replays over all records, and waits for the report.
async fn replay(tenant: &Tenant, draft: Value, records: u64) -> Result<(f64, Value), Failure> {
    let (client, flow) = (&tenant.client, &tenant.flow);
    let query = "mutation($id: ID!, $i: FlowDraftInput!) { flowDraft(id: $id, input: $i) { userErrors { message } } }";
    client.ask(query, json!({"id": flow, "i": draft})).await?;
    let begin = Instant::now();
    let query = "mutation($id: ID!, $n: Int) { flowReplay(id: $id, input: {last: $n}) { run { id } userErrors { message } } }";
    let data = client.ask(query, json!({"id": flow, "n": records})).await?;
    let run = data["flowReplay"]["run"]["id"].clone();
    loop {
        let data = client.ask("query($id: ID!) { run(id: $id) { state failure report } }", json!({"id": run})).await?;
        match data["run"]["state"].as_str() {
            Some("done") => return Ok((begin.elapsed().as_secs_f64(), data["run"]["report"].clone())),
            Some("failed") => return Err(format!("the run failed: {}", data["run"]["failure"]).into()),
            _ => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
