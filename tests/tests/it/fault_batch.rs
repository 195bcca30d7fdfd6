//! Many orders in one call: each has an end of its own, whatever becomes of the call, and what one is refused for strands no other.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use connectors::simulator::{Fault, FaultMatcher, SimCall, Weather};
use domain::id::AttemptId;
use domain::record::RecordKind;
use serde_json::json;
use sqlx::PgConnection;
use tests::platform::Options;
use tests::sample;
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::{World, world_with};

// No measure of speed: on two cores beside three other tests the mixed one takes minutes.
const PATIENCE: Duration = Duration::from_secs(300);
const RETRY_WAIT: Duration = Duration::from_millis(200);

struct Ledger {
    vendor: Vendor,
    /// Its connection.
    id: String,
}

/// A platform whose tenant sends its orders to the ledger only.
async fn with_ledger(options: Options, test: impl AsyncFnOnce(&mut World, &Ledger)) {
    let options = Options { has_own_connectors: true, ..options };
    world_with(options, async |world| {
        let vendor = Vendor::start("fell-ledger").await;
        let client = &world.acme.client;
        let (id, _) =
            client.connection_create("fell-ledger", "Ledger", vendor.settings.clone(), vendor.credential.clone()).await.unwrap();
        let policy = json!({"attempts_max": 20, "backoff_ms": 100, "backoff_max_ms": 1_000});
        client.flow_publish("orders to the ledger", &world.acme.source, &id, policy).await.unwrap();
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        client.ask(pause, json!({"id": world.acme.destination})).await.unwrap();
        test(world, &Ledger { vendor, id }).await;
    })
    .await;
}

/// A call that hangs is given up soon; one that a busy machine is slow with is not, which would be a failure that no test means.
fn impatient() -> Options {
    Options { call_timeout_s: 3, ..Options::default() }
}

/// An order that the ledger refuses, because its period is closed.
fn closed(n: u64) -> Vec<u8> {
    String::from_utf8(sample::order(n)).unwrap().replace("\"note\":\"revision 0\"", "\"note\":\"closed\"").into_bytes()
}

/// Orders that arrive while the ledger is paused, so that all are there when it goes on.
async fn burst(world: &World, ledger: &Ledger, orders: Vec<Vec<u8>>) {
    let mut connection = world.platform.database.connect().await.unwrap();
    let (before, count) = (deliveries(&mut connection).await.values().sum::<i64>(), i64::try_from(orders.len()).unwrap());
    let switch = async |what: &str| {
        let mutation = format!("mutation($id: ID!) {{ {what}(id: $id) {{ userErrors {{ message }} }} }}");
        world.acme.client.ask(&mutation, json!({"id": ledger.id})).await.unwrap();
    };
    switch("connectionPause").await;
    for order in orders {
        assert!(world.acme.shop.deliver("orders/create", order, RETRY_WAIT).await);
    }
    until(async || deliveries(&mut connection).await.values().sum::<i64>() == before + count).await;
    switch("connectionResume").await;
}

async fn until(mut ask: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + PATIENCE;
    while !ask().await {
        assert!(tokio::time::Instant::now() < end, "it never came to this");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// Deliveries to the ledger by their state.
async fn deliveries(connection: &mut PgConnection) -> BTreeMap<String, i64> {
    let sql = "SELECT d.state, count(*) FROM deliveries d JOIN connections c ON c.id = d.connection_id
               WHERE c.connector = 'fell-ledger' GROUP BY 1";
    let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(connection).await.unwrap();
    rows.into_iter().collect()
}

/// Waits until each is confirmed or with a person; how many are with one.
async fn settled(world: &World, count: i64) -> i64 {
    let mut connection = world.platform.database.connect().await.unwrap();
    let mut last = BTreeMap::new();
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        let of = |states: &BTreeMap<String, i64>, state: &str| states.get(state).copied().unwrap_or_default();
        if of(&last, "confirmed") + of(&last, "exception") == count {
            return of(&last, "exception");
        }
        assert!(tokio::time::Instant::now() < end, "not settled: {last:?}");
        tokio::time::sleep(Duration::from_millis(25)).await;
        last = deliveries(&mut connection).await;
    }
}

/// The ledger has so many orders, and none was written twice.
fn assert_once(ledger: &Ledger, count: usize, when: &str) {
    let orders = ledger.vendor.served.simulator().stored(RecordKind::Order);
    let twice: Vec<_> = orders.iter().filter(|order| (order.creates, order.updates) != (1, 0)).collect();
    assert_eq!((orders.len(), twice.len()), (count, 0), "{when}: {twice:?}");
}

fn calls(ledger: &Ledger, operation: &str) -> Vec<SimCall> {
    let simulator = ledger.vendor.served.simulator();
    simulator.calls().iter().filter(|call| call.operation == operation).cloned().collect()
}

async fn number(world: &World, sql: &'static str) -> i64 {
    let mut connection = world.platform.database.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

/// Calls to the ledger, as they are billed.
const METERED: &str =
    "SELECT coalesce(sum(u.quantity), 0)::bigint FROM usage_events u JOIN connections c ON c.id = u.connection_id
                       WHERE c.connector = 'fell-ledger' AND u.meter = 'vendor_call'";

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_goes_in_fewer_calls_than_orders_and_each_order_has_its_own_attempt_and_receipt() {
    with_ledger(Options::default(), async |world, ledger| {
        burst(world, ledger, (0..60).map(sample::order).collect()).await;
        assert_eq!(settled(world, 60).await, 0);
        assert_once(ledger, 60, "a burst");
        let (batches, alone) = (calls(ledger, "order.batch"), calls(ledger, "order.write"));
        let carried: usize = batches.iter().map(|call| call.items.len()).sum();
        assert!(batches.len() + alone.len() <= 15, "{} batches, {} alone", batches.len(), alone.len());
        assert!(batches.iter().all(|call| call.items.len() <= 6), "no more than the ledger takes");
        assert_eq!(carried + alone.len(), 60);

        // Each delivery has one attempt of its own; one call is one call, whatever it carries.
        assert_eq!(number(world, "SELECT count(*) FROM attempts WHERE kind = 'write' AND outcome = 'stored'").await, 60);
        assert_eq!(number(world, "SELECT count(DISTINCT receipt_id) FROM deliveries").await, 60);
        assert_eq!(usize::try_from(number(world, METERED).await).unwrap(), batches.len() + alone.len());

        // The audit says of each that it was part of a batch, of which one, and of how many.
        let mut connection = world.platform.database.connect().await.unwrap();
        let sql = "SELECT detail::json->>'batch', (detail::json->>'of')::bigint, count(*) FROM audit_events
                   WHERE action = 'attempt.started' AND detail::json->>'batch' IS NOT NULL GROUP BY 1, 2";
        let told: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        assert!(told.iter().all(|(_, of, count)| of == count), "{told:?}");
        let (mut told, mut seen): (Vec<usize>, Vec<usize>) = (
            told.iter().map(|(.., count)| usize::try_from(*count).unwrap()).collect(),
            batches.iter().map(|call| call.items.len()).collect(),
        );
        told.sort_unstable();
        seen.sort_unstable();
        assert_eq!(told, seen);

        // What was sent of each can be made again to the letter.
        let sql = "SELECT id FROM attempts WHERE inputs IS NOT NULL AND inputs::json->>'batch' IS NOT NULL LIMIT 1";
        let attempt: Uuid = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
        let remake = "query($a: ID!) { attemptRemade(id: $a) { isSame failure } }";
        let made = world.acme.client.ask(remake, json!({"a": AttemptId(attempt).to_string()})).await.unwrap();
        assert_eq!(made["attemptRemade"], json!({"isSame": true, "failure": null}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_a_batch_each_of_its_orders_is_there_once() {
    with_ledger(impatient(), async |world, ledger| {
        let mut n = 0;
        let faults = [
            // Half a batch: some are done, and no answer comes.
            Fault::DropAfterItems(2),
            // All are done, and the answer is lost, late, cut, garbage, a failure, another's, or leaves one out.
            Fault::DropAfterCommit,
            Fault::HangAfterCommit,
            Fault::TruncateBody,
            Fault::InvalidUtf8,
            Fault::WrongContentType,
            Fault::StatusAfterCommit(500),
            Fault::AnotherId,
            Fault::OmitItem(1),
            // Nothing is done, without a word.
            Fault::DropBeforeCommit,
        ];
        // Four batches that fail one after the other are no destination that is down.
        for faults in faults.chunks(4) {
            for fault in faults {
                ledger.vendor.served.simulator().fail(FaultMatcher::next("order.batch"), fault.clone());
            }
            burst(world, ledger, (n..n + 24).map(sample::order).collect()).await;
            n += 24;
            assert_eq!(settled(world, i64::try_from(n).unwrap()).await, 0, "{faults:?}");
            assert_once(ledger, usize::try_from(n).unwrap(), &format!("{faults:?}"));
        }
        assert!(number(world, "SELECT count(*) FROM attempts WHERE kind = 'write' AND outcome = 'unknown'").await >= 20);
        let unproven = "SELECT count(*) FROM deliveries d WHERE EXISTS (SELECT FROM attempts a WHERE a.delivery_id = d.id AND a.outcome = 'unknown')
                        AND NOT EXISTS (SELECT FROM attempts a WHERE a.delivery_id = d.id AND a.kind = 'proof')";
        assert_eq!(number(world, unproven).await, 0, "each of them was asked about");
        let opened = number(world, "SELECT count(*) FROM audit_events WHERE action = 'incident.opened'").await;
        assert_eq!(opened, 0, "a batch that fails is one failure and not many");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_lets_all_of_a_batch_wait_and_none_of_them_has_failed() {
    with_ledger(impatient(), async |world, ledger| {
        ledger.vendor.served.simulator().fail(FaultMatcher::next("order.batch"), Fault::Status(429));
        ledger.vendor.served.simulator().fail(FaultMatcher::next("order.batch"), Fault::LimitedFor(1));
        burst(world, ledger, (0..10).map(sample::order).collect()).await;
        assert_eq!(settled(world, 10).await, 0);
        assert_once(ledger, 10, "a limit");
        assert_eq!(number(world, "SELECT max(failures)::bigint FROM deliveries").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_item_alone_is_an_exception_whether_it_or_the_whole_batch_is_refused() {
    with_ledger(impatient(), async |world, ledger| {
        let orders = |from: u64| (from..from + 9).map(sample::order).chain([closed(from + 9)]).collect::<Vec<_>>();
        burst(world, ledger, orders(0)).await;
        assert_eq!(settled(world, 10).await, 1);
        assert_once(ledger, 9, "an item is refused");
        let writes = calls(ledger, "order.write").len();
        assert!(writes <= 1, "nothing was tried again alone: {writes}");

        // The same where the ledger takes all of a batch or nothing: each is tried alone, and the one at fault stops.
        ledger.vendor.served.simulator().fail(FaultMatcher::next("order.batch").times(1_000), Fault::AllOrNothing);
        burst(world, ledger, orders(100)).await;
        assert_eq!(settled(world, 20).await, 2);
        assert_once(ledger, 18, "the whole batch is refused");
        assert!(calls(ledger, "order.write").len() > writes);
        let groups = world.acme.client.exception_groups().await.unwrap();
        assert_eq!((groups.len(), &groups[0]["count"], &groups[0]["code"]), (1, &json!(2), &json!("validation.CLOSED_PERIOD")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_was_down_is_asked_with_one_order_before_any_go_together_again() {
    with_ledger(impatient(), async |world, ledger| {
        let down = Weather { matcher: FaultMatcher::next("order"), per_mille: 1_000, faults: vec![Fault::Status(503)] };
        ledger.vendor.served.simulator().set_weather(vec![down], 1);
        burst(world, ledger, (0..48).map(sample::order).collect()).await;
        until(async || number(world, "SELECT count(*) FROM breakers WHERE state = 'open'").await == 1).await;
        for n in 48..60 {
            assert!(world.acme.shop.deliver("orders/create", sample::order(n), RETRY_WAIT).await);
        }
        until(async || number(world, "SELECT count(*) FROM deliveries WHERE state = 'held'").await >= 11).await;
        let before = ledger.vendor.served.simulator().calls().len();
        ledger.vendor.served.simulator().set_weather(vec![], 0);
        assert_eq!(settled(world, 60).await, 0);
        assert_once(ledger, 60, "it was down");
        let simulator = ledger.vendor.served.simulator();
        let first =
            simulator.calls()[before..].iter().find(|call| ["order.write", "order.batch"].contains(&call.operation.as_str()));
        assert_eq!(first.map(|call| call.operation.as_str()), Some("order.write"), "the probe goes alone");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_in_the_middle_of_a_batch_loses_and_doubles_none_of_it() {
    with_ledger(Options { call_timeout_s: 3, ..Options::default() }, async |world, ledger| {
        // It is done, and nobody is there for the answer.
        ledger.vendor.served.simulator().fail(FaultMatcher::next("order.batch").times(2), Fault::HangAfterCommit);
        burst(world, ledger, (0..12).map(sample::order).collect()).await;
        until(async || !calls(ledger, "order.batch").is_empty()).await;
        if world.platform.options.all_in_one {
            world.platform.kill_api().await.unwrap();
            world.platform.start_api().await.unwrap();
        } else {
            world.platform.kill_worker().await.unwrap();
            world.platform.start_worker().await.unwrap();
        }
        assert_eq!(settled(world, 12).await, 0);
        assert_once(ledger, 12, "kill -9");
        assert!(number(world, "SELECT count(*) FROM attempts WHERE kind = 'write' AND ended_at IS NULL").await >= 2);
    })
    .await;
}

/// A third of all calls go wrong.
fn weather() -> Vec<Weather> {
    let writes = vec![
        Fault::DropAfterItems(1),
        Fault::DropAfterItems(3),
        Fault::OmitItem(0),
        Fault::AllOrNothing,
        Fault::DropAfterCommit,
        Fault::DropBeforeCommit,
        Fault::HangAfterCommit,
        Fault::StatusAfterCommit(500),
        Fault::Status(503),
        Fault::Status(422),
        Fault::TruncateBody,
        Fault::WrongContentType,
        Fault::AnotherId,
        Fault::Status(429),
        Fault::LimitedFor(1),
        // Killed in the middle of it, a worker never learns what became of it.
        Fault::DelayMs(600),
        Fault::DelayMs(600),
        Fault::DelayMs(600),
    ];
    let alone = vec![Fault::DropAfterCommit, Fault::DropBeforeCommit, Fault::StatusAfterCommit(500), Fault::Status(429)];
    vec![
        Weather { matcher: FaultMatcher::next("order.batch"), per_mille: 330, faults: writes },
        Weather { matcher: FaultMatcher::next("order.write"), per_mille: 100, faults: alone },
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_mixed_under_kill_nine_lose_and_double_nothing_and_the_audit_equals_the_wire() {
    let options = Options { workers: 2, ..impatient() };
    with_ledger(options, async |world, ledger| {
        ledger.vendor.served.simulator().set_weather(weather(), 20_261_128);
        let count = 240_u64;
        for round in 0..6 {
            let from = round * (count / 6);
            let before = calls(ledger, "order.batch").len();
            burst(world, ledger, (from..from + count / 6).map(sample::order).collect()).await;
            until(async || calls(ledger, "order.batch").len() > before).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            if world.platform.options.all_in_one {
                world.platform.kill_api().await.unwrap();
                world.platform.start_api().await.unwrap();
            } else {
                world.platform.workers.rotate_left(1);
                world.platform.kill_worker().await.unwrap();
                world.platform.start_worker().await.unwrap();
            }
        }
        let accepted = i64::try_from(count).unwrap();
        let stopped = settled(world, accepted).await;
        assert_eq!(stopped, 0, "{:?}", world.acme.client.exception_groups().await);
        assert_once(ledger, usize::try_from(count).unwrap(), "mixed");

        // Batch by batch: each call that the ledger saw is one batch of the audit, with the same orders in it.
        let mut connection = world.platform.database.connect().await.unwrap();
        let sql = "SELECT a.inputs::json->>'batch', array_agg(r.source_id ORDER BY r.source_id), bool_or(a.status IS NOT NULL),
                          bool_or(a.outcome IS DISTINCT FROM 'not_sent')
                   FROM attempts a JOIN deliveries d ON d.id = a.delivery_id JOIN records r ON r.id = d.record_id
                   WHERE a.inputs::json->>'batch' IS NOT NULL GROUP BY 1";
        let rows: Vec<(String, Vec<String>, bool, bool)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        let mut told: HashMap<Vec<String>, (i64, i64)> = HashMap::new();
        for (_, orders, is_answered, is_made) in rows {
            let (answered, made) = told.entry(orders).or_default();
            *answered += i64::from(is_answered);
            *made += i64::from(is_made);
        }
        let batches = calls(ledger, "order.batch");
        let mut seen: HashMap<Vec<String>, i64> = HashMap::new();
        for call in &batches {
            let mut orders: Vec<String> = call.items.iter().map(|key| key.rsplit('-').next().unwrap().to_owned()).collect();
            orders.sort_unstable();
            *seen.entry(orders).or_default() += 1;
        }
        for (orders, seen) in seen {
            let (answered, made) = told.remove(&orders).unwrap_or_default();
            assert!(answered <= seen && seen <= made, "{orders:?}: answered {answered}, seen {seen}, made {made}");
        }
        told.retain(|_, (answered, _)| *answered > 0);
        assert_eq!(told, HashMap::new(), "batches in the audit that nobody saw");

        // Those that went alone, order by order.
        let sql = "SELECT r.source_id, count(*) FILTER (WHERE a.outcome IS DISTINCT FROM 'not_sent'), count(*) FILTER (WHERE a.status IS NOT NULL)
                   FROM attempts a JOIN deliveries d ON d.id = a.delivery_id JOIN records r ON r.id = d.record_id
                   JOIN connections c ON c.id = d.connection_id
                   WHERE c.connector = 'fell-ledger' AND a.kind = 'write' AND (a.inputs IS NULL OR a.inputs::json->>'batch' IS NULL) GROUP BY 1";
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap();
        let mut alone: HashMap<String, i64> = HashMap::new();
        for call in calls(ledger, "order.write") {
            let key = call.key.unwrap();
            *alone.entry(key.rsplit('-').next().unwrap().to_owned()).or_default() += 1;
        }
        for (order, made, answered) in rows {
            let seen = alone.remove(&order).unwrap_or_default();
            assert!(answered <= seen && seen <= made, "{order}: answered {answered}, seen {seen}, made {made}");
        }
        assert_eq!(alone, HashMap::new(), "calls that are not in the audit");

        // A batch is billed as one call, however many orders it carried.
        let audited = "SELECT count(DISTINCT coalesce(a.inputs::json->>'batch', a.id::text)) FROM attempts a
                       JOIN deliveries d ON d.id = a.delivery_id JOIN connections c ON c.id = d.connection_id
                       WHERE c.connector = 'fell-ledger' AND a.outcome <> 'not_sent'";
        let (all, metered) = (number(world, audited).await, number(world, METERED).await);
        assert!(metered <= all && all - metered <= 6, "{metered} calls are billed, and {all} were made");
        let carried: usize = batches.iter().map(|call| call.items.len()).sum();
        println!("{count} orders: {} batches with {carried} items, {metered} of {all} calls counted", batches.len());
    })
    .await;
}
