//! Whether what is done in bulk hurts what has just happened. Two parts, each beside orders that arrive at their own moments (an open loop):
//!
//! - a group of exceptions is mended by one act: how near it comes to its destination's limit, and what an order that arrives meanwhile waits;
//! - one tenant has a backfill of many records enqueued: what another tenant's orders wait from webhook to confirmed, until the backfill is done.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tests::bench::{Failure, Limit, measured, report, round};
use tests::platform::{Options, Platform, Tenant};
use tests::sample;
use tests::simulator::erp::{Account, Erp};
use uuid::Uuid;

/// How long either part may take; a backfill that is not done by then fails.
const PATIENCE: Duration = Duration::from_secs(600);
/// What 95 of 100 of another tenant's live orders may take beside a backfill, ms.
const LIVE_P95_MS_MAX: f64 = 2_000.0;

#[derive(Parser)]
#[command(about = "Bulk beside live work; `cargo xtask bench lanes` starts the services first")]
struct Arguments {
    /// Exceptions of the group.
    #[arg(long, default_value_t = 5_000)]
    group: u64,
    /// Records of the backfill.
    #[arg(long, default_value_t = 100_000)]
    backfill: u64,
    /// Live orders a second, in both parts.
    #[arg(long, default_value_t = 10.0)]
    rate: f64,
    /// Writes the numbers here, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    tests::bench::main(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let platform = Platform::start(Options { call_timeout_s: 10, ..Options::default() }).await?;
    let outcome = measure(&arguments, &platform).await;
    platform.stop().await?;
    let numbers = outcome?;
    let p95 = measured(&numbers["backfill"], "live_confirmed_p95_ms");
    let limit =
        Limit::at_most("Live orders beside another tenant's backfill, webhook to confirmed, p95", p95, LIVE_P95_MS_MAX, "ms");
    report(numbers, vec![limit], arguments.json.as_deref())
}

async fn measure(arguments: &Arguments, platform: &Platform) -> Result<Value, Failure> {
    Ok(json!({"group": group(arguments, platform).await?, "backfill": backfill(arguments, platform).await?}))
}

/// A destination that takes 200 orders a second: ten at once, 50 ms each.
async fn group(arguments: &Arguments, platform: &Platform) -> Result<Value, Failure> {
    const LIMIT_PER_S: f64 = 200.0;
    let erp = Erp::start(Account { concurrency: 10, latency: Duration::from_millis(50) }).await;
    let tenant = platform.tenant("bulk", &erp, 10).await?;
    for from in (0..arguments.group).step_by(50) {
        let sends = (from..(from + 50).min(arguments.group)).map(|n| {
            let body = String::from_utf8_lossy(&sample::order(n)).replace("\"TEE-M\"", "\"HAT-XL\"");
            tenant.shop.send("orders/create", Uuid::new_v4(), body.into_bytes())
        });
        for answer in futures::future::join_all(sends).await {
            accepted(answer?.status)?;
        }
    }
    tenant.rest(i64::try_from(arguments.group)?, PATIENCE).await?;
    let data = tenant.client.ask("{ exceptionGroups { nodes { causeKey count } } }", json!({})).await?;
    let cause = &data["exceptionGroups"]["nodes"][0];
    if cause["count"] != arguments.group {
        return Err(format!("the group is to be of {} exceptions: {cause}", arguments.group).into());
    }
    let mut database = platform.database.connect().await?;
    let live = Live::start(&tenant, arguments.rate, 1_000_000);
    let (since, begin) = (now(&mut database).await?, Instant::now());
    let fix = "mutation($k: String!) { exceptionFixLookupValue(causeKey: $k, to: \"1999\") { count userErrors { message } } }";
    tenant.client.ask(fix, json!({"k": cause["causeKey"]})).await?;
    let act_s = begin.elapsed().as_secs_f64();
    let bulk = "SELECT count(*) FROM deliveries d JOIN records r ON r.id = d.record_id
                WHERE d.connection_id = $1 AND d.state = 'confirmed' AND d.planned_at < $2";
    let destination: domain::id::ConnectionId = tenant.destination.parse()?;
    wait_for(&mut database, arguments.group, bulk, destination, since).await?;
    let drained_s = begin.elapsed().as_secs_f64();
    let sent = live.stop().await?;
    tenant.rest(i64::try_from(arguments.group + sent)?, PATIENCE).await?;
    let [p50, p95, p99] = latency(&mut database, destination, since).await?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench fit a double")]
    let (group, live_per_s) = (arguments.group as f64, sent as f64 / drained_s);
    let per_s = group / drained_s;
    Ok(json!({
        "exceptions": arguments.group, "act_s": round(act_s), "drained_s": round(drained_s), "drained_per_s": round(per_s),
        "live_per_s": round(live_per_s), "limit_per_s": LIMIT_PER_S, "of_limit": round((per_s + live_per_s) / LIMIT_PER_S),
        "live_confirmed_p50_ms": p50, "live_confirmed_p95_ms": p95, "live_confirmed_p99_ms": p99,
    }))
}

async fn backfill(arguments: &Arguments, platform: &Platform) -> Result<Value, Failure> {
    let erp = Erp::start(Account { concurrency: 100, latency: Duration::ZERO }).await;
    let filling = platform.tenant("filling", &erp, 100).await?;
    let selling = platform.tenant("selling", &erp, 100).await?;
    let mut database = platform.database.connect().await?;
    // Alone first, for the comparison.
    let alone = Live::start(&selling, arguments.rate, 0);
    let since = now(&mut database).await?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let before = alone.stop().await?;
    selling.rest(i64::try_from(before)?, PATIENCE).await?;
    let destination: domain::id::ConnectionId = selling.destination.parse()?;
    let alone = latency(&mut database, destination, since).await?;

    // The first are delivered while the last are enqueued.
    let (since, begin) = (now(&mut database).await?, Instant::now());
    enqueue(&mut database, &filling, arguments.backfill).await?;
    let live = Live::start(&selling, arguments.rate, 500_000);
    let done = "SELECT count(*) FROM deliveries WHERE connection_id = $1 AND state = 'confirmed' AND planned_at >= $2";
    wait_for(&mut database, arguments.backfill, done, filling.destination.parse()?, since).await?;
    let filled_s = begin.elapsed().as_secs_f64();
    let sent = live.stop().await?;
    selling.rest(i64::try_from(before + sent)?, PATIENCE).await?;
    let [p50, p95, p99] = latency(&mut database, destination, since).await?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench fit a double")]
    let filled_per_s = arguments.backfill as f64 / filled_s;
    Ok(json!({
        "records": arguments.backfill, "filled_s": round(filled_s), "filled_per_s": round(filled_per_s), "live_orders": sent,
        "live_confirmed_p50_ms": p50, "live_confirmed_p95_ms": p95, "live_confirmed_p99_ms": p99,
        "alone_p50_p95_p99_ms": alone, "limit_p95_ms": LIVE_P95_MS_MAX,
    }))
}

/// Messages in the lane of a backfill, all there at once: a real one reads the next page when the last has come to rest, and is gentler.
async fn enqueue(database: &mut PgConnection, tenant: &Tenant, count: u64) -> Result<(), Failure> {
    const BATCH: u64 = 2_000;
    let source: domain::id::ConnectionId = tenant.source.parse()?;
    let owner: domain::id::TenantId = tenant.id.parse()?;
    for from in (0..count).step_by(usize::try_from(BATCH)?) {
        let bodies: Vec<Vec<u8>> = (from..(from + BATCH).min(count)).map(sample::order).collect();
        let mut tx = database.begin().await?;
        sqlx::query("SELECT set_config('crossdock.tenant_id', $1, true)").bind(owner.0.to_string()).execute(&mut *tx).await?;
        sqlx::query(
            "INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, body, sweep_at, lane)
             SELECT id, $1, $2, 'backfill', 'backfill/order', 'backfill:' || id::text, 'order', body, now(), 2
             FROM unnest($3::uuid[], $4::bytea[]) AS i (id, body)",
        )
        .bind(owner.0)
        .bind(source.0)
        .bind(bodies.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>())
        .bind(&bodies)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Orders that arrive at a steady rate until they are told to stop.
struct Live {
    stop: tokio::sync::watch::Sender<bool>,
    task: tokio::task::JoinHandle<Result<u64, Failure>>,
}

impl Live {
    fn start(tenant: &Tenant, per_s: f64, first: u64) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let shop = tenant.shop.clone();
        let task = tokio::spawn(async move {
            let mut sends = tokio::task::JoinSet::new();
            let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_s));
            let mut count = 0;
            while !*stopped.borrow() {
                ticks.tick().await;
                let (shop, order) = (shop.clone(), sample::order(first + count));
                sends.spawn(async move { shop.send("orders/create", Uuid::new_v4(), order).await });
                count += 1;
            }
            while let Some(sent) = sends.join_next().await {
                accepted(sent??.status)?;
            }
            Ok(count)
        });
        Self { stop, task }
    }

    async fn stop(self) -> Result<u64, Failure> {
        self.stop.send(true)?;
        self.task.await?
    }
}

fn accepted(status: u16) -> Result<(), Failure> {
    if status == 200 { Ok(()) } else { Err(format!("an order was answered with {status}").into()) }
}

async fn now(database: &mut PgConnection) -> Result<chrono::DateTime<chrono::Utc>, Failure> {
    Ok(sqlx::query_scalar("SELECT clock_timestamp()").fetch_one(database).await?)
}

async fn wait_for(
    database: &mut PgConnection,
    count: u64,
    sql: &'static str,
    connection: domain::id::ConnectionId,
    since: chrono::DateTime<chrono::Utc>,
) -> Result<(), Failure> {
    let begin = Instant::now();
    loop {
        let done: i64 = sqlx::query_scalar(sql).bind(connection.0).bind(since).fetch_one(&mut *database).await?;
        if done.unsigned_abs() >= count {
            return Ok(());
        }
        if begin.elapsed() > PATIENCE {
            return Err(format!("{done} of {count} were done within {} s", PATIENCE.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// From acceptance to confirmation of what a connection was sent of messages since then: p50, p95, p99, ms.
async fn latency(
    database: &mut PgConnection,
    destination: domain::id::ConnectionId,
    since: chrono::DateTime<chrono::Utc>,
) -> Result<[f64; 3], Failure> {
    let ms: Option<Vec<f64>> = sqlx::query_scalar(
        "SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(epoch FROM settled_at - origin_at)::float8 * 1000)
         FROM deliveries WHERE connection_id = $1 AND origin_at >= $2 AND state = 'confirmed'",
    )
    .bind(destination.0)
    .bind(since)
    .fetch_one(database)
    .await?;
    match ms.as_deref() {
        Some([p50, p95, p99]) => Ok([*p50, *p95, *p99].map(round)),
        _ => Err("no live order was confirmed".into()),
    }
}
