//! Drives the running system with an open-loop load: orders are sent when their time has come, whether or not the earlier ones were answered,
//! and their latency counts from that time. Beside the numbers stands the limit: the same rows, inserted by Postgres alone in plain batches.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, Row};
use tests::bench::{Failure, quantile, report};
use tests::platform::{Options, Platform};
use tests::sample;
use tests::simulator::erp::{Account, Erp};
use tokio::sync::Mutex;
use uuid::Uuid;

#[derive(Parser, Clone)]
#[command(about = "Open-loop load; `cargo xtask bench` starts the services first")]
struct Arguments {
    /// Orders a second.
    #[arg(long, default_value_t = 100)]
    rate: u32,
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// Writes the numbers here, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
    #[arg(long)]
    all_in_one: bool,
    /// What the simulated ERP serves at once.
    #[arg(long, default_value_t = 15)]
    concurrency: u32,
    /// How long the simulated ERP takes, ms.
    #[arg(long, default_value_t = 5)]
    erp_latency_ms: u64,
}

fn main() -> ExitCode {
    tests::bench::main(run(Arguments::parse()))
}

fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let mut options = Options { call_timeout_s: 10, ..Options::default() };
    options.all_in_one |= arguments.all_in_one;
    let account = Account { concurrency: arguments.concurrency, latency: Duration::from_millis(arguments.erp_latency_ms) };
    let erp = Erp::start(account).await;
    let platform = Platform::start(options).await?;
    let outcome = measure(&arguments, &platform, &erp).await;
    platform.stop().await?;
    // How much it must bear depends on the rate that was asked for; what is refused or lost fails before this.
    report(outcome?, vec![], arguments.json.as_deref())
}

async fn measure(arguments: &Arguments, platform: &Platform, erp: &Erp) -> Result<Value, Failure> {
    let tenant = platform.tenant("bench", erp, arguments.concurrency).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle_kb: u64 = own(platform).values().flatten().map(|pid| status_kb(*pid, "VmRSS")).sum();
    let before = cpu(&groups(platform));
    let started_at = chrono::Utc::now();
    let total = u64::from(arguments.rate) * u64::from(arguments.seconds);
    say(&format!("{} orders a second for {} s against {}", arguments.rate, arguments.seconds, platform.url));
    let sent = load(arguments, &tenant.shop, total).await;
    let accepted = i64::try_from(sent.accepted)?;
    tenant.rest(accepted, Duration::from_secs(120)).await?;
    // Asked again: servers have started further processes meanwhile, and each counts from its start.
    let groups = groups(platform);
    let after = cpu(&groups);
    let ledger = tenant.client.ledger().await?;
    let confirmed = latency(platform, started_at).await?;
    let stages = stages(platform).await?;
    let peaks: BTreeMap<&str, u64> = groups.iter().map(|(name, pids)| (*name, memory_mb(name, pids))).collect();
    let spent: BTreeMap<&str, f64> =
        after.iter().map(|(name, s)| (*name, ((s - before.get(name).unwrap_or(&0.0)) * 100.0).round() / 100.0)).collect();
    let orders = ledger.delivery("confirmed");
    let (inserted_per_s, published_per_s) = limit(platform, orders).await?;
    let confirmed_per_s = confirmed.per_s;
    Ok(json!({
        "mode": if platform.options.all_in_one { "all-in-one" } else { "RabbitMQ and Redis" },
        "rate": arguments.rate, "seconds": arguments.seconds,
        "sent": total, "accepted": sent.accepted, "refused": sent.refused, "confirmed": orders,
        "accepted_per_s": round(sent.accepted_per_s), "confirmed_per_s": round(confirmed_per_s),
        "hook_p50_ms": sent.percentile(0.5), "hook_p95_ms": sent.percentile(0.95), "hook_p99_ms": sent.percentile(0.99),
        "confirmed_p50_ms": round(confirmed.ms[0]), "confirmed_p95_ms": round(confirmed.ms[1]), "confirmed_p99_ms": round(confirmed.ms[2]),
        "stages_p50_p99_ms": stages,
        "limit": {
            "inserted_orders_per_s": round(inserted_per_s), "confirmed_publishes_per_s": published_per_s.map(round),
            "of_limit": round(confirmed_per_s / inserted_per_s * 100.0) / 100.0,
            "what": "the same rows into the same tables and indexes, INSERT … SELECT in one transaction for each 100 orders, one connection"
        },
        "cpu_s": spent, "peak_mb": peaks, "idle_mb": idle_kb / 1024,
        "erp": erp.stats(),
    }))
}

fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

struct Sent {
    accepted: u64,
    refused: u64,
    accepted_per_s: f64,
    latencies_ms: Vec<f64>,
}

impl Sent {
    fn percentile(&self, at: f64) -> f64 {
        round(quantile(&self.latencies_ms, at))
    }
}

/// Sends each order when its time has come. A late order's latency counts from when it should have been sent.
async fn load(arguments: &Arguments, shop: &tests::simulator::shop::Shop, total: u64) -> Sent {
    let interval = Duration::from_secs(1) / arguments.rate.max(1);
    let latencies = Arc::new(Mutex::new(Vec::with_capacity(usize::try_from(total).unwrap_or_default())));
    let mut sends = tokio::task::JoinSet::new();
    let start = Instant::now();
    for n in 0..total {
        let due = start + interval * u32::try_from(n).unwrap_or(u32::MAX);
        tokio::time::sleep_until(due.into()).await;
        let (shop, latencies) = (shop.clone(), latencies.clone());
        sends.spawn(async move {
            let taken =
                shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.is_ok_and(|answer| answer.status == 200);
            latencies.lock().await.push(due.elapsed().as_secs_f64() * 1000.0);
            taken
        });
    }
    let results = sends.join_all().await;
    let elapsed = start.elapsed().as_secs_f64();
    let accepted = results.iter().filter(|taken| **taken).count() as u64;
    let mut latencies_ms = latencies.lock().await.clone();
    latencies_ms.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "a count of orders fits a double")]
    let accepted_per_s = accepted as f64 / elapsed;
    Sent { accepted, refused: total - accepted, accepted_per_s, latencies_ms }
}

struct Confirmed {
    ms: [f64; 3],
    per_s: f64,
}

async fn latency(platform: &Platform, since: chrono::DateTime<chrono::Utc>) -> Result<Confirmed, Failure> {
    let mut connection = platform.database.connect().await?;
    // From the first acceptance to the last confirmation: a backlog at the end counts against the rate.
    let row = sqlx::query(
        "SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM settled_at - origin_at)::float8 * 1000) AS ms,
                count(*)::float8 / greatest(extract(epoch FROM max(settled_at) - min(origin_at))::float8, 0.001) AS per_s
         FROM deliveries WHERE state = 'confirmed' AND origin_at >= $1",
    )
    .bind(since)
    .fetch_one(&mut connection)
    .await?;
    let ms: Vec<f64> = row.try_get("ms")?;
    Ok(Confirmed { ms: [ms[0], ms[1], ms[2]], per_s: row.try_get("per_s")? })
}

/// Where the time goes between acceptance and confirmation.
async fn stages(platform: &Platform) -> Result<Value, Failure> {
    let mut connection = platform.database.connect().await?;
    let row = sqlx::query(
        "SELECT array_agg(v ORDER BY n, i) AS p FROM (
            SELECT n, percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY ms) AS p FROM (
                SELECT n, extract(epoch FROM ms)::float8 * 1000 AS ms FROM deliveries d JOIN attempts a ON a.id = d.attempt_id
                CROSS JOIN LATERAL (VALUES (1, d.planned_at - d.origin_at), (2, a.started_at - d.planned_at), (3, a.ended_at - a.started_at),
                                           (4, d.settled_at - a.ended_at)) AS s (n, ms)
                WHERE d.state = 'confirmed'
            ) t GROUP BY n
         ) u CROSS JOIN LATERAL unnest(p) WITH ORDINALITY AS x (v, i)",
    )
    .fetch_one(&mut connection)
    .await?;
    let values: Option<Vec<f64>> = row.try_get("p").ok();
    let values = values.unwrap_or_default();
    let names = ["accepted_to_planned", "planned_to_started", "started_to_answered", "answered_to_confirmed"];
    Ok(names
        .iter()
        .zip(values.chunks(2))
        .map(|(name, p)| ((*name).to_owned(), json!(p.iter().copied().map(round).collect::<Vec<_>>())))
        .collect())
}

/// The same rows again, by Postgres alone: what the tables and indexes cost at the least on this machine. And what the broker confirms.
async fn limit(platform: &Platform, orders: i64) -> Result<(f64, Option<f64>), Failure> {
    const TABLES: &[&str] = &[
        "messages",
        "message_keys",
        "records",
        "record_revisions",
        "external_ids",
        "deliveries",
        "attempts",
        "audit_events",
        "usage_events",
    ];
    let mut connection = platform.database.connect().await?;
    let batches = (orders / 100).max(1);
    let mut setup = String::from("CREATE SCHEMA staging; CREATE SCHEMA plain; SET session_replication_role = replica;");
    for table in TABLES {
        // The copies have the same columns, indexes and storage. A partitioned parent has its indexes on itself.
        setup.push_str(&format!(
            "CREATE TABLE plain.{table} (LIKE public.{table} INCLUDING ALL);
             CREATE UNLOGGED TABLE staging.{table} AS SELECT ntile({batches}) OVER () AS bucket, t AS row FROM public.{table} t;
             CREATE INDEX ON staging.{table} (bucket);"
        ));
    }
    connection.execute(sqlx::raw_sql(AssertSqlSafe(setup))).await?;
    let started = Instant::now();
    for bucket in 1..=batches {
        let mut tx = connection.begin().await?;
        for table in TABLES {
            let sql = format!("INSERT INTO plain.{table} SELECT (s.row).* FROM staging.{table} s WHERE bucket = {bucket}");
            tx.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        }
        tx.commit().await?;
    }
    #[expect(clippy::cast_precision_loss, reason = "a count of orders fits a double")]
    let inserted_per_s = orders as f64 / started.elapsed().as_secs_f64();
    let published_per_s = match platform.options.amqp_url.as_deref().filter(|_| !platform.options.all_in_one) {
        Some(url) => Some(publish(url).await?),
        None => None,
    };
    Ok((inserted_per_s, published_per_s))
}

async fn publish(url: &str) -> Result<f64, Failure> {
    use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions};
    use lapin::types::{AMQPValue, FieldTable};
    const COUNT: u32 = 2_000;
    let connection = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let queue = format!("bench-{}", Uuid::new_v4());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.clone().into(), durable, arguments).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let started = Instant::now();
    let mut confirms = Vec::new();
    for _ in 0..COUNT {
        let properties = lapin::BasicProperties::default().with_delivery_mode(2);
        confirms.push(
            channel.basic_publish("".into(), queue.clone().into(), BasicPublishOptions::default(), &[0; 120], properties).await?,
        );
    }
    for confirm in confirms {
        confirm.await?;
    }
    let per_s = f64::from(COUNT) / started.elapsed().as_secs_f64();
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await?;
    Ok(per_s)
}

/// The processes by what they are.
fn groups(platform: &Platform) -> BTreeMap<&'static str, Vec<u32>> {
    let mut groups = own(platform);
    for (name, command) in [("postgres", "postgres"), ("rabbitmq", "beam.smp"), ("redis", "redis-server")] {
        let pids = std::fs::read_dir("/proc")
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let named =
            pids.filter(|pid| std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == command));
        groups.insert(name, named.collect());
    }
    groups.insert("load_and_erp", vec![std::process::id()]);
    groups
}

fn own(platform: &Platform) -> BTreeMap<&'static str, Vec<u32>> {
    let mut groups = BTreeMap::new();
    groups.insert("api", platform.api.iter().filter_map(tokio::process::Child::id).collect());
    groups.insert("workers", platform.workers.iter().filter_map(tokio::process::Child::id).collect());
    groups
}

/// CPU seconds so far. Postgres' children that ended are counted by their parent.
fn cpu(groups: &BTreeMap<&'static str, Vec<u32>>) -> BTreeMap<&'static str, f64> {
    const TICKS_PER_S: f64 = 100.0;
    let of = |pid: &u32| -> Option<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let sum: f64 = fields.get(11..15)?.iter().filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        Some(sum / TICKS_PER_S)
    };
    groups.iter().map(|(name, pids)| (*name, pids.iter().filter_map(of).sum())).collect()
}

/// Peak resident memory; of Postgres, whose processes share most of theirs, the proportional part now.
fn memory_mb(name: &str, pids: &[u32]) -> u64 {
    let kb: u64 = match name {
        "postgres" => pids.iter().map(|pid| line_kb(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum(),
        _ => pids.iter().map(|pid| status_kb(*pid, "VmHWM")).sum(),
    };
    kb / 1024
}

fn status_kb(pid: u32, field: &str) -> u64 {
    line_kb(&format!("/proc/{pid}/status"), field)
}

fn line_kb(path: &str, field: &str) -> u64 {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).unwrap_or_default()
}
