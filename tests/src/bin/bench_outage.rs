//! A destination is away while inventory changes all the time: how many writes the backlog costs once it is back, and how well its finish was
//! predicted. The outage of two hours is made shorter, as many updates come as in two hours: what waits is the same.

use std::collections::HashSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use domain::record::RecordKind;
use domain::value::Value as Field;
use serde_json::{Value, json};
use tests::bench::{Failure, Limit, measured, report, round};
use tests::client::Client;
use tests::platform::{Options, Platform};
use tests::proxy::Proxy;
use tests::simulator::own::OwnSystem;
use tests::vendor::Vendor;

/// How long either half may take.
const PATIENCE: Duration = Duration::from_secs(900);
/// Updates under way at once.
const AT_ONCE: usize = 16;
/// A prediction is asked for when this share of the backlog is done, and compared with when it is all done.
const ASKED_AT: f64 = 0.2;
/// By how much of the time that it took the finish may be told wrong, percent.
const ERROR_PCT_MAX: f64 = 15.0;

#[derive(Parser)]
#[command(about = "An outage and its backlog; `cargo xtask bench outage` starts the services first")]
struct Arguments {
    /// Items, each at one place.
    #[arg(long, default_value_t = 5_000)]
    items: usize,
    /// Updates while the destination is away.
    #[arg(long, default_value_t = 40_000)]
    updates: usize,
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
    let numbers = outcome?;
    let limits = limits(&arguments, &numbers);
    report(numbers, limits, arguments.json.as_deref())
}

/// Each item is written once, as it was told last, and the finish is told as it comes.
fn limits(arguments: &Arguments, numbers: &Value) -> Vec<Limit> {
    #[expect(clippy::cast_precision_loss, reason = "a bench's items fit a double")]
    let (items, told) = (arguments.items as f64, arguments.items.min(arguments.updates) as f64);
    let writes = format!("Writes for {} updates of {} items", arguments.updates, arguments.items);
    vec![
        Limit::at_most(writes, measured(numbers, "writes"), items, "writes"),
        Limit::at_least("Items that are there afterwards", measured(numbers, "items_there"), told, "items"),
        Limit::at_most("Items that are not as they were told last", measured(numbers, "items_not_as_last_told"), 0.0, "items"),
        Limit::at_most("The finish as it was told, against when it was", measured(numbers, "error_pct"), ERROR_PCT_MAX, "%"),
    ]
}

async fn measure(arguments: &Arguments, platform: &Platform) -> Result<Value, Failure> {
    let client = platform.sign_in().await?;
    let tenant = client.tenant_create("outage").await?;
    let client = client.of_tenant(&tenant);
    let warehouse = OwnSystem::connect(&client, "Warehouse").await?;
    let market = Vendor::of_catalog("http", &["authorization"]).await;
    market.served.simulator().set_latency_ms(20);
    let proxy = Proxy::start(market.served.url().trim_start_matches("http://").to_owned()).await?;
    let settings = json!({"base_url": format!("http://{}", proxy.address)});
    let (destination, _) = client.connection_create("http", "Market", settings, market.credential.clone()).await?;
    flow(&client, &warehouse.connection, &destination).await?;

    // What the past tells of how fast it goes.
    let begun = Utc::now() - TimeDelta::days(1);
    let before = 500;
    send(&warehouse, (0..before).map(|n| (format!("BEFORE-{n}"), 0)), begun).await?;
    rest(&client, before).await?;

    proxy.cut();
    let begin = Instant::now();
    // All items once, then all of them again: each has as many updates, in their order.
    let of = |n: usize| (format!("SKU-{}", n % arguments.items), n / arguments.items);
    send(&warehouse, (0..arguments.updates).map(of), begun).await?;
    let mut database = platform.database.connect().await?;
    let planned = "SELECT count(*) FROM messages WHERE state NOT IN ('mapped', 'stale', 'ignored', 'duplicate')";
    until("all updates are received", async || Ok((count(&mut database, planned).await? == 0).then_some(()))).await?;
    let accepted_s = begin.elapsed().as_secs_f64();

    proxy.restore();
    let up = Instant::now();
    let waits = "SELECT count(*) FROM deliveries WHERE state NOT IN ('confirmed', 'reconciled', 'superseded', 'cancelled')";
    let backlog = count(&mut database, waits).await?;
    #[expect(clippy::cast_precision_loss, reason = "a bench's backlog fits a double")]
    let left = (backlog as f64 * (1.0 - ASKED_AT)) as i64;
    until("a part of the backlog is done", async || Ok((count(&mut database, waits).await? <= left).then_some(()))).await?;
    let (asked_at, predicted) = (Utc::now(), finish(&client).await?);
    until("the backlog is done", async || Ok((count(&mut database, waits).await? == 0).then_some(()))).await?;
    let (finished_at, drained_s) = (Utc::now(), up.elapsed().as_secs_f64());

    let stored = market.served.simulator().stored(RecordKind::InventoryLevel);
    let sku = |value: &Field| value.at("item.sku").and_then(Field::as_str).unwrap_or_default().to_owned();
    let mut seen = HashSet::new();
    let (mut writes, mut stale) = (0, 0);
    let newest = ((arguments.updates - 1) / arguments.items).to_string();
    for level in stored.iter().filter(|level| sku(&level.value).starts_with("SKU-")) {
        writes += level.creates + level.updates;
        seen.insert(sku(&level.value));
        let quantity = level.value.at("quantities.on_hand").and_then(Field::to_text).unwrap_or_default().into_owned();
        stale += u32::from(arguments.updates.is_multiple_of(arguments.items) && quantity != newest);
    }
    let seconds = |to: DateTime<Utc>| (to - asked_at).as_seconds_f64();
    let error_pct = 100.0 * (seconds(predicted) - seconds(finished_at)).abs() / seconds(finished_at).max(0.001);
    Ok(json!({
        "items": arguments.items, "updates": arguments.updates, "accepted_s": round(accepted_s), "backlog": backlog, "drained_s": round(drained_s),
        "items_there": seen.len(), "items_not_as_last_told": stale, "writes": writes, "limit_writes": arguments.items,
        "predicted_in_s": round(seconds(predicted)), "finished_in_s": round(seconds(finished_at)), "error_pct": round(error_pct), "limit_error_pct": ERROR_PCT_MAX,
    }))
}

/// A flow of inventory levels that asks again soon after an outage.
async fn flow(client: &Client, source: &str, destination: &str) -> Result<(), Failure> {
    let create = "mutation($i: FlowCreateInput!) { flowCreate(input: $i) { flow { id } userErrors { field message } } }";
    let policy = json!({"attempts_max": 8, "backoff_ms": 200, "backoff_max_ms": 5_000});
    let input = json!({"name": "stock to the market", "recordKind": "inventory_level", "sourceId": source, "destinationId": destination, "policy": policy});
    let made = client.ask(create, json!({"i": input})).await?;
    let publish = "mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }";
    client.ask(publish, json!({"id": made["flowCreate"]["flow"]["id"]})).await?;
    Ok(())
}

/// Sends these counts, the second number being what there is and how much later it was counted.
async fn send(warehouse: &OwnSystem, levels: impl Iterator<Item = (String, usize)>, begun: DateTime<Utc>) -> Result<(), Failure> {
    use futures::StreamExt as _;
    let mut sends = futures::stream::iter(levels.map(|(sku, on_hand)| {
        let as_of = begun + TimeDelta::seconds(i64::try_from(on_hand).unwrap_or_default());
        let level = json!({"source_id": sku, "item": {"sku": sku}, "location": {"code": "MAIN"}, "quantities": {"on_hand": on_hand.to_string()}, "as_of": as_of.to_rfc3339()});
        warehouse.send("inventory_level", level)
    }))
    .buffered(AT_ONCE);
    while let Some(status) = sends.next().await {
        let status = status?;
        if status != 200 {
            return Err(format!("an update was answered with {status}").into());
        }
    }
    Ok(())
}

async fn rest(client: &Client, confirmed: usize) -> Result<(), Failure> {
    let confirmed = i64::try_from(confirmed)?;
    until("what came before is delivered", async || Ok((client.ledger().await?.delivery("confirmed") == confirmed).then_some(())))
        .await
}

/// When the whole backlog is done, as `catchUps` says it.
async fn finish(client: &Client) -> Result<DateTime<Utc>, Failure> {
    let data = client.ask("{ catchUps { finishAt basis deliveries sentence } }", json!({})).await?;
    let finish = data["catchUps"][0]["finishAt"].as_str().ok_or_else(|| format!("no finish is told: {data}"))?;
    Ok(finish.parse()?)
}

async fn count(database: &mut sqlx::PgConnection, sql: &'static str) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar(sql).fetch_one(database).await?)
}

async fn until(what: &str, mut ask: impl AsyncFnMut() -> Result<Option<()>, Failure>) -> Result<(), Failure> {
    let begin = Instant::now();
    while ask().await?.is_none() {
        if begin.elapsed() > PATIENCE {
            return Err(format!("{what}: not within {} s", PATIENCE.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
