//! A vendor's limit is kept by all workers together, learned where it is not as declared, and costs nobody an order.

use std::time::{Duration, Instant};

use connectors::simulator::{Fault, FaultMatcher};
use domain::record::RecordKind;
use serde_json::{Value, json};
use tests::platform::Options;
use tests::proxy::Proxy;
use tests::sample;
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::{World, eventually, world_with};

const PATIENCE: Duration = Duration::from_secs(90);
/// As the connector declares it, with room for calls that the network brings together.
const DECLARED: &str = "{ bucket: account, rate: { calls: 10, per_s: 1, burst: 8 }, headers: { remaining: X-Left } }";

struct Market {
    vendor: Vendor,
    /// Its connection.
    id: String,
}

/// A platform of two workers whose tenant sends its orders to the market only.
async fn with_market(options: Options, limit: &str, test: impl AsyncFnOnce(&mut World, &Market)) {
    let options = Options { has_own_connectors: true, workers: 2, ..options };
    world_with(options, async |world| {
        let vendor = Vendor::limited("weir-mart", limit).await;
        let client = &world.acme.client;
        let (settings, credential) = (vendor.settings.clone(), vendor.credential.clone());
        let (id, _) = client.connection_create("weir-mart", "Market", settings, credential).await.unwrap();
        let policy = json!({"attempts_max": 20, "backoff_ms": 100, "backoff_max_ms": 1_000});
        client.flow_publish("orders to the market", &world.acme.source, &id, policy).await.unwrap();
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        client.ask(pause, json!({"id": world.acme.destination})).await.unwrap();
        test(world, &Market { vendor, id }).await;
    })
    .await;
}

/// Orders that arrive while the market is paused, so that all are there when it goes on; since when it does.
async fn burst(world: &World, market: &Market, orders: std::ops::Range<u64>) -> Instant {
    let count = i64::try_from(orders.clone().count()).unwrap();
    let switch = async |what: &str| {
        let mutation = format!("mutation($id: ID!) {{ {what}(id: $id) {{ userErrors {{ message }} }} }}");
        world.acme.client.ask(&mutation, json!({"id": market.id})).await.unwrap();
    };
    switch("connectionPause").await;
    send(world, orders).await;
    let mut connection = world.platform.database.connect().await.unwrap();
    let sql = "SELECT count(*) FROM deliveries d JOIN connections c ON c.id = d.connection_id WHERE c.connector = 'weir-mart'";
    eventually("all are planned", async || {
        let planned: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        (planned == count).then_some(())
    })
    .await;
    // Before it is done: the first calls come before its answer.
    let resumed_at = Instant::now();
    switch("connectionResume").await;
    resumed_at
}

async fn send(world: &World, orders: std::ops::Range<u64>) {
    for n in orders {
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
    }
}

/// Waits until so many orders are confirmed at the market, each written once.
async fn confirmed(world: &World, market: &Market, count: i64) {
    let mut connection = world.platform.database.connect().await.unwrap();
    let sql = "SELECT count(*) FROM deliveries d JOIN connections c ON c.id = d.connection_id
               WHERE c.connector = 'weir-mart' AND d.state = 'confirmed'";
    let end = Instant::now() + PATIENCE;
    loop {
        let now: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        if now == count {
            break;
        }
        assert!(Instant::now() < end, "{now} of {count} were confirmed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let orders = market.vendor.served.simulator().stored(RecordKind::Order);
    let twice = orders.iter().filter(|order| order.creates != 1).count();
    assert_eq!((orders.len(), twice), (usize::try_from(count).unwrap(), 0));
}

/// Calls that came to the market, and of them those that were too many.
fn calls(market: &Market) -> (u64, u64) {
    let simulator = market.vendor.served.simulator();
    let stats = simulator.stats();
    (stats.requests.values().sum(), stats.refused.values().sum())
}

async fn budget(world: &World, market: &Market) -> Value {
    let query =
        "query($id: ID!) { connection(id: $id) { reservePct budget { bucket counts perS learnedPerS burst remaining toldRemaining
                 concurrency inFlight blockedUntil reservePct source } } }";
    let data = world.acme.client.ask(query, json!({"id": market.id})).await.unwrap();
    data["connection"]["budget"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_together_keep_what_is_declared_and_a_batch_is_one_call() {
    with_market(Options::default(), DECLARED, async |world, market| {
        burst(world, market, 0..200).await;
        confirmed(world, market, 200).await;
        let (made, refused) = calls(market);
        assert_eq!(refused, 0, "of {made} calls");
        // Had each order of a batch taken a call of its own, it would be 200.
        assert!(made < 120, "{made} calls");
        let budget = budget(world, market).await;
        let shared = if world.platform.options.all_in_one { "process" } else { "shared" };
        assert_eq!((&budget["bucket"], &budget["perS"], &budget["reservePct"]), (&json!("account"), &json!(10.0), &json!(10)));
        assert_eq!(
            (&budget["source"], &budget["counts"], &budget["learnedPerS"]),
            (&json!(shared), &json!("calls"), &Value::Null)
        );
        assert!(budget["toldRemaining"].as_f64().is_some_and(|left| left < 8.0), "{budget}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_that_is_lower_than_declared_is_learned_by_all_workers_and_loses_nothing() {
    let hidden = "{ bucket: account, rate: { calls: 3, per_s: 1, burst: 2 } }";
    with_market(Options::default(), hidden, async |world, market| {
        send(world, 0..150).await;
        confirmed(world, market, 150).await;
        let (made, refused) = calls(market);
        assert!(refused > 0 && refused * 3 < made, "{refused} of {made} calls were refused");
        let budget = budget(world, market).await;
        assert!(budget["learnedPerS"].as_f64().is_some_and(|per_s| per_s < 9.5), "{budget}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_vendor_says_wait_nobody_calls_until_then() {
    const BLOCK_S: u32 = 20;
    let block = Duration::from_secs(BLOCK_S.into());
    with_market(Options::default(), DECLARED, async |world, market| {
        market.vendor.served.simulator().fail(FaultMatcher::default(), Fault::LimitedFor(BLOCK_S));
        // Before the refusal, however late the test hears of it.
        let asked_at = Instant::now();
        send(world, 0..1).await;
        eventually("the refusal", async || (calls(market).1 == 1).then_some(())).await;
        eventually("the block", async || budget(world, market).await["blockedUntil"].is_string().then_some(())).await;
        send(world, 1..60).await;
        // Deliveries wait, with a time, and take no worker.
        let mut connection = world.platform.database.connect().await.unwrap();
        let sql = "SELECT count(*) FROM deliveries d JOIN connections c ON c.id = d.connection_id
                   WHERE c.connector = 'weir-mart' AND d.state = 'waiting' AND d.due_at > now()";
        eventually("they wait", async || {
            let waiting: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
            (waiting > 30).then_some(())
        })
        .await;
        let made = calls(market).0;
        assert!(asked_at.elapsed() < block, "it took too long to say anything");
        assert_eq!(made, 1, "sixty orders are there, and none was tried");
        confirmed(world, market, 60).await;
        assert!(asked_at.elapsed() > block);
        assert_eq!(calls(market).1, 1, "nobody else was refused");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_worker_keeps_half_and_nothing_is_lost() {
    let options = Options::default();
    if options.all_in_one {
        return; // Redis is not used.
    }
    let Some(url) = options.redis_url.clone() else { return };
    let proxy = Proxy::start(Proxy::target(&url, 6379)).await.unwrap();
    let options = Options { redis_url: Some(proxy.through(&url)), ..options };
    with_market(options, DECLARED, async |world, market| {
        send(world, 0..60).await;
        proxy.cut();
        send(world, 60..160).await;
        confirmed(world, market, 160).await;
        let (made, refused) = calls(market);
        // Of what one of them held as Redis went away nobody knows.
        assert!(refused <= 3, "{refused} of {made} calls were refused");
        assert_eq!(budget(world, market).await["source"], "process");
        proxy.restore();
        eventually("Redis is used again", async || (budget(world, market).await["source"] == "shared").then_some(())).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_keeps_more_for_others_where_a_person_says_so() {
    with_market(Options::default(), DECLARED, async |world, market| {
        let client = &world.acme.client;
        let set = "mutation($id: ID!, $percent: Int) { connectionReserveSet(id: $id, reservePct: $percent) {
                   connection { reservePct budget { reservePct burst } } userErrors { code message } } }";
        let refused = client.ask(set, json!({"id": market.id, "percent": 95})).await.unwrap_err();
        assert!(refused.to_string().contains("90"), "{refused}");
        let data = client.ask(set, json!({"id": market.id, "percent": 60})).await.unwrap();
        assert_eq!(
            data["connectionReserveSet"]["connection"],
            json!({"reservePct": 60, "budget": [{"reservePct": 60, "burst": 1.2}]})
        );
        let began = burst(world, market, 0..120).await;
        confirmed(world, market, 120).await;
        // Twenty calls at least, four a second.
        assert!(began.elapsed() > Duration::from_secs(4) && calls(market).1 == 0, "{:?}", began.elapsed());
        let data = client.ask(set, json!({"id": market.id, "percent": null})).await.unwrap();
        assert_eq!(data["connectionReserveSet"]["connection"]["budget"][0]["reservePct"], 10);
    })
    .await;
}
