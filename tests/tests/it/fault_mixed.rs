//! The long run: all that can go wrong, at random, at once, while workers are killed. Afterwards every order is at both destinations once, the
//! ledger adds up, and the audit has every call that the destinations saw.
//!
//! 500 orders here; `CROSSDOCK_MIXED_ORDERS=10000` makes it as many as one likes, `CROSSDOCK_MIXED_SEED` another weather.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use connectors::simulator::{Fault, FaultMatcher, SimCall, Weather};
use domain::record::RecordKind;
use serde_json::json;
use tests::client::Ledger;
use tests::platform::Options;
use tests::sample;
use tests::vendor::Vendor;

use crate::{World, world_with};

const RETRY_WAIT: Duration = Duration::from_millis(200);
const KILL_EVERY: Duration = Duration::from_millis(1_500);

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// A fifth of all writes and a tenth of all questions go wrong.
fn weather() -> Vec<Weather> {
    let writes = vec![
        Fault::DropAfterCommit,
        Fault::DropBeforeCommit,
        Fault::HangAfterCommit,
        Fault::StatusAfterCommit(500),
        Fault::Status(503),
        Fault::TruncateBody,
        Fault::WrongContentType,
        Fault::InvalidUtf8,
        Fault::AnotherId,
        Fault::Status(429),
        Fault::LimitedFor(1),
        Fault::DropThenCommitMs(1_000),
        Fault::ErrorInside,
    ];
    let asks = vec![Fault::DropAfterCommit, Fault::Status(503), Fault::Status(429), Fault::WrongContentType, Fault::TruncateBody];
    vec![
        Weather { matcher: FaultMatcher::next("order.write"), per_mille: 200, faults: writes },
        Weather { matcher: FaultMatcher::next("order.proof"), per_mille: 100, faults: asks },
    ]
}

/// Calls by operation and key.
fn by_key(calls: &[SimCall], operation: &str) -> HashMap<String, i64> {
    let mut seen: HashMap<String, i64> = HashMap::new();
    for call in calls.iter().filter(|call| call.operation == operation) {
        *seen.entry(call.key.clone().unwrap_or_default()).or_default() += 1;
    }
    seen
}

/// Waits until the ledger is at rest, longer than an access token lives.
async fn rest(world: &mut World, accepted: i64, patience: Duration) -> Ledger {
    const TOKEN_LIFE: Duration = Duration::from_secs(240);
    let end = Instant::now() + patience;
    loop {
        world.acme.sign_in_again(&world.platform).await.unwrap();
        match world.acme.rest(accepted, TOKEN_LIFE.min(patience)).await {
            Ok(ledger) => return ledger,
            Err(error) => assert!(Instant::now() < end, "{error:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_can_go_wrong_mixed_under_kill_nine_loses_and_doubles_nothing_and_the_audit_has_every_call() {
    let (count, seed) = (number("CROSSDOCK_MIXED_ORDERS", 500), number("CROSSDOCK_MIXED_SEED", 20_261_128));
    let patience = Duration::from_secs(900 + count / 10);
    let options = Options { has_own_connectors: true, call_timeout_s: 1, workers: 2, ..Options::default() };
    world_with(options, async |world| {
        let books = Vendor::start("tarn-books").await;
        let client = world.acme.client.clone();
        let (destination, _) =
            client.connection_create("tarn-books", "Books", books.settings.clone(), books.credential.clone()).await.unwrap();
        let policy = json!({"attempts_max": 20, "backoff_ms": 100, "backoff_max_ms": 1_000});
        client.flow_publish("orders to the books", &world.acme.source, &destination, policy).await.unwrap();
        books.served.simulator().set_weather(weather(), seed);
        world.erp.set_weather(weather(), seed + 1);

        let (shop, started) = (world.acme.shop.clone(), Instant::now());
        let load = tokio::spawn(async move {
            let mut sends = tokio::task::JoinSet::new();
            let mut tick = tokio::time::interval(Duration::from_millis(8));
            for n in 0..count {
                tick.tick().await;
                let shop = shop.clone();
                sends.spawn(async move { shop.deliver("orders/create", sample::order(n), RETRY_WAIT).await });
            }
            sends
        });
        let mut kills = 0;
        while !load.is_finished() || kills < 5 {
            tokio::time::sleep(KILL_EVERY).await;
            if world.platform.options.all_in_one {
                world.platform.kill_api().await.unwrap();
                world.platform.start_api().await.unwrap();
            } else {
                // The one that lives longest.
                world.platform.workers.rotate_left(1);
                world.platform.kill_worker().await.unwrap();
                world.platform.start_worker().await.unwrap();
            }
            kills += 1;
        }
        // A shop gives up after nine tries, so nothing is killed for as long as a slow machine needs to take them all.
        assert_eq!(load.await.unwrap().join_all().await.into_iter().filter(|taken| *taken).count() as u64, count);

        // What the vendor refused inside a success waits for a person, who finds fair weather.
        let accepted = i64::try_from(count).unwrap();
        rest(world, accepted, patience).await;
        books.served.simulator().set_weather(vec![], 0);
        world.erp.set_weather(vec![], 0);
        let ledger = loop {
            let ledger = rest(world, accepted, patience).await;
            let client = world.acme.client.clone();
            let groups = client.exception_groups().await.unwrap();
            if groups.is_empty() {
                break ledger;
            }
            for group in groups {
                client.exception_retry(group["causeKey"].as_str().unwrap()).await.unwrap();
            }
        };

        // Nothing lost, nothing twice, each in one state.
        assert_eq!((ledger.accepted(), ledger.message("mapped")), (accepted, accepted), "{ledger:?}");
        assert_eq!(ledger.deliveries, BTreeMap::from([("confirmed".to_owned(), 2 * accepted)]));
        let twice = |orders: Vec<(String, u32)>| orders.into_iter().filter(|(_, creates)| *creates != 1).collect::<Vec<_>>();
        let at_erp: Vec<(String, u32)> = world.erp.orders().into_iter().map(|(key, order)| (key, order.creates)).collect();
        let stored = books.served.simulator().stored(RecordKind::Order);
        let mut at_books: BTreeMap<String, u32> = BTreeMap::new();
        let mut ids: HashMap<String, String> = HashMap::new();
        for order in stored {
            ids.insert(order.external_key.clone().unwrap_or_default().rsplit('-').next().unwrap_or_default().to_owned(), order.id);
            *at_books.entry(order.external_key.unwrap_or_default()).or_default() += order.creates;
        }
        assert_eq!((at_erp.len() as u64, at_books.len() as u64), (count, count));
        assert_eq!(twice(at_erp), [], "the ERP has orders twice");
        assert_eq!(twice(at_books.into_iter().collect()), [], "the books have orders twice");

        // Each is known by its own id there, whatever an answer said.
        let mut connection = world.platform.database.connect().await.unwrap();
        let sql = "SELECT r.source_id, d.receipt_id FROM deliveries d JOIN records r ON r.id = d.record_id JOIN connections c ON c.id = d.connection_id
                   WHERE c.connector = 'tarn-books'";
        let receipts: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        assert_eq!(receipts.into_iter().collect::<HashMap<_, _>>(), ids);

        // The audit has every call that a destination saw, order by order: none that it saw is missing, and none that was answered is made up.
        let sql = "SELECT c.connector, CASE a.kind WHEN 'read' THEN 'proof' ELSE a.kind END, r.source_id, count(*) FILTER (WHERE a.outcome IS DISTINCT FROM 'not_sent'),
                          count(*) FILTER (WHERE a.status IS NOT NULL)
                   FROM attempts a JOIN deliveries d ON d.id = a.delivery_id JOIN records r ON r.id = d.record_id
                   JOIN connections c ON c.id = d.connection_id GROUP BY 1, 2, 3";
        let rows: Vec<(String, String, String, i64, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        let mut attempts: HashMap<(String, String, String), (i64, i64)> = HashMap::new();
        for (connector, kind, source_id, made, answered) in rows {
            attempts.insert((connector, kind, source_id), (made, answered));
        }
        let (mut calls, mut lost) = (0, 0);
        for (connector, seen_calls) in
            [("netsuite", world.erp.calls()), ("tarn-books", books.served.simulator().calls().to_vec())]
        {
            for kind in ["write", "proof"] {
                for (key, seen) in by_key(&seen_calls, &format!("order.{kind}")) {
                    let source_id = key.rsplit('-').next().unwrap_or_default().to_owned();
                    let told = attempts.remove(&(connector.to_owned(), kind.to_owned(), source_id));
                    let (made, answered) = told.unwrap_or_default();
                    // A read that was under way when its worker died changed nothing, and may be missing.
                    let reads = i64::from(connector == "tarn-books" && kind == "proof") * i64::from(kills);
                    assert!(answered <= seen && seen <= made + reads, "{connector} {kind} {key}: answered {answered}, seen {seen}, made {made}");
                    calls += seen;
                    lost += made - answered;
                }
            }
        }
        attempts.retain(|_, (_, answered)| *answered > 0);
        assert_eq!(attempts, HashMap::new(), "calls in the audit that nobody saw");
        let audited = "SELECT (SELECT count(*) FROM attempts WHERE delivery_id IS NOT NULL),
                              (SELECT count(*) FROM audit_events WHERE action IN ('attempt.started', 'attempt.read'))";
        let (made, audited): (i64, i64) = sqlx::query_as(audited).fetch_one(&mut connection).await.unwrap();
        assert_eq!(made, audited);
        println!(
            "{count} orders to two destinations in {:.0} s with seed {seed}: {calls} calls, {lost} without an answer, {kills} kills",
            started.elapsed().as_secs_f64()
        );
    })
    .await;
}
