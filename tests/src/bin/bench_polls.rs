//! Ten thousand connections that are listed by one worker process: how late their reads begin, and how much memory the process takes.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tests::bench::{Failure, report, round};
use tests::client::Client;
use tests::platform::{Options, Platform};
use tests::vendor::Vendor;

/// Connections of one tenant.
const OF_A_TENANT: usize = 100;
const AT_ONCE: usize = 16;

#[derive(Parser)]
#[command(about = "Many connections polled by one process; `cargo xtask bench polls` starts the services first")]
struct Arguments {
    #[arg(long, default_value_t = 10_000)]
    connections: usize,
    /// How often each is listed, s.
    #[arg(long, default_value_t = 300)]
    every: u32,
    /// How long it is measured after each was read once, s.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// Writes the numbers here, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    tests::bench::main(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let platform = Platform::start(Options { call_timeout_s: 5, ..Options::default() }).await?;
    let outcome = measure(&arguments, &platform).await;
    platform.stop().await?;
    report(&outcome?, arguments.json.as_deref())
}

async fn measure(arguments: &Arguments, platform: &Platform) -> Result<Value, Failure> {
    let vendor = Vendor::of_catalog("http", &["authorization"]).await;
    let worker = platform.workers.first().or(platform.api.as_ref()).and_then(tokio::process::Child::id);
    let worker = worker.ok_or("no process of the platform runs")?;
    let begin = Instant::now();
    for tenant in 0..arguments.connections.div_ceil(OF_A_TENANT) {
        let client = platform.sign_in().await?;
        let id = client.tenant_create(&format!("tenant-{tenant}")).await?;
        let client = client.of_tenant(&id);
        let first = tenant * OF_A_TENANT;
        let last = (first + OF_A_TENANT).min(arguments.connections);
        let mut made =
            futures::stream::iter((first..last).map(|n| connect(&client, &vendor, n, arguments.every))).buffer_unordered(AT_ONCE);
        while let Some(made) = made.next().await {
            made?;
        }
    }
    let made_s = begin.elapsed().as_secs_f64();
    let mut database = platform.database.connect().await?;
    // As they are in a running installation: spread over the time between two reads.
    sqlx::query("UPDATE polls SET due_at = now() + random() * make_interval(secs => every_s)").execute(&mut database).await?;
    let unread = "SELECT count(*) FROM polls WHERE read_at IS NULL";
    let begin = Instant::now();
    let patience = Duration::from_secs(u64::from(arguments.every) * 3);
    while sqlx::query_scalar::<_, i64>(unread).fetch_one(&mut database).await? > 0 {
        if begin.elapsed() > patience {
            return Err(format!("not all were read within {} s", patience.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let (first_mib, mut most_mib, mut overdue) = (memory_mib(worker)?, 0.0_f64, Vec::new());
    let reads_before = vendor.served.simulator().calls().len();
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(arguments.seconds) {
        // How long what is due and not yet begun has been due.
        let late = "SELECT coalesce(max(extract(epoch FROM now() - due_at)), 0)::float8 FROM polls WHERE due_at < now() AND lease_until IS NULL";
        overdue.push(sqlx::query_scalar::<_, f64>(late).fetch_one(&mut database).await?);
        most_mib = most_mib.max(memory_mib(worker)?);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let reads = vendor.served.simulator().calls().len() - reads_before;
    overdue.sort_by(f64::total_cmp);
    let failed: i64 = sqlx::query_scalar("SELECT count(*) FROM polls WHERE failures > 0").fetch_one(&mut database).await?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench fit a double")]
    let per_s = reads as f64 / begin.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench fit a double")]
    let due_per_s = arguments.connections as f64 / f64::from(arguments.every);
    Ok(json!({
        "connections": arguments.connections, "every_s": arguments.every, "made_s": round(made_s), "measured_s": arguments.seconds,
        "calls": reads, "calls_per_s": round(per_s), "due_per_s": round(due_per_s), "failed": failed,
        "latest_p50_s": round(at(&overdue, 0.5)), "latest_p99_s": round(at(&overdue, 0.99)),
        "memory_after_the_first_reads_mib": round(first_mib), "memory_most_mib": round(most_mib),
    }))
}

async fn connect(client: &Client, vendor: &Vendor, n: usize, every_s: u32) -> Result<(), Failure> {
    const SET: &str = "mutation($i: PollSetInput!) { pollSet(input: $i) { poll { id } userErrors { field code message } } }";
    let (id, _) =
        client.connection_create("http", &format!("Shop {n}"), vendor.settings.clone(), vendor.credential.clone()).await?;
    client.ask(SET, json!({"i": {"connectionId": id, "recordKind": "order", "everyS": every_s}})).await?;
    Ok(())
}

/// What a process has in memory.
fn memory_mib(process: u32) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the process tells no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}

/// The value below which this share of them is.
fn at(sorted: &[f64], share: f64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a short list"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}
