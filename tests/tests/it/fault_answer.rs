//! Every way in which an answer can go wrong, against a vendor that would make a second order of a second write.

use std::time::Duration;

use connectors::simulator::{Fault, FaultMatcher, Weather};
use domain::id::ConnectionId;
use domain::record::RecordKind;
use domain::value::Value;
use serde_json::json;
use sqlx::PgConnection;
use tests::platform::Options;
use tests::sample;
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::{World, world_with};

const PATIENCE: Duration = Duration::from_secs(60);

/// A platform whose tenant sends its orders to the books only.
async fn with_books(test: impl AsyncFnOnce(&mut World, &Vendor)) {
    // Longer than a busy machine takes for a call that does not hang: one that is given up shows in the calls.
    let options = Options { has_own_connectors: true, call_timeout_s: 3, ..Options::default() };
    world_with(options, async |world| {
        let books = Vendor::start("tarn-books").await;
        let client = &world.acme.client;
        let (destination, _) =
            client.connection_create("tarn-books", "Books", books.settings.clone(), books.credential.clone()).await.unwrap();
        let policy = json!({"attempts_max": 8, "backoff_ms": 100, "backoff_max_ms": 1_000});
        client.flow_publish("orders to the books", &world.acme.source, &destination, policy).await.unwrap();
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        client.ask(pause, json!({"id": world.acme.destination})).await.unwrap();
        test(world, &books).await;
    })
    .await;
}

/// Sends an order and waits until its delivery to the books is settled or with a person: its state, and its calls in their order.
async fn story(world: &World, n: u64) -> (String, Vec<String>) {
    assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap().status, 200);
    settled(world, n).await
}

async fn settled(world: &World, n: u64) -> (String, Vec<String>) {
    let mut connection = world.platform.database.connect().await.unwrap();
    let end = tokio::time::Instant::now() + PATIENCE;
    let sql =
        "SELECT d.id, d.state FROM deliveries d JOIN connections c ON c.id = d.connection_id JOIN records r ON r.id = d.record_id
               WHERE c.connector = 'tarn-books' AND r.number = $1";
    loop {
        let row: Option<(Uuid, String)> =
            sqlx::query_as(sql).bind(format!("#L{n}")).fetch_optional(&mut connection).await.unwrap();
        if let Some((id, state)) = &row
            && ["confirmed", "exception"].contains(&state.as_str())
        {
            let calls = "SELECT kind || ' ' || coalesce(outcome, 'open') FROM attempts WHERE delivery_id = $1 ORDER BY started_at, number";
            return (state.clone(), sqlx::query_scalar(calls).bind(id).fetch_all(&mut connection).await.unwrap());
        }
        assert!(tokio::time::Instant::now() < end, "order {n} is not settled: {row:?}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// How many seconds after the end of its first write an order was written again.
async fn again_after(world: &World, n: u64) -> f64 {
    let mut connection = world.platform.database.connect().await.unwrap();
    let sql = "SELECT extract(epoch FROM max(a.started_at) - min(a.ended_at))::float8
               FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
               JOIN connections c ON c.id = d.connection_id JOIN records r ON r.id = d.record_id
               WHERE c.connector = 'tarn-books' AND r.number = $1 AND a.kind = 'write'";
    sqlx::query_scalar(sql).bind(format!("#L{n}")).fetch_one(&mut connection).await.unwrap()
}

/// How often each order of the books was made.
fn creates(books: &Vendor) -> Vec<u32> {
    books.served.simulator().stored(RecordKind::Order).iter().map(|order| order.creates).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_becomes_of_an_answer_an_order_is_there_once() {
    with_books(async |world, books| {
        let proven = "read stored, write unknown, proof stored";
        let limited = "read stored, write failed, read stored, write stored";
        let stories = [
            (None, "read stored, write stored"),
            // It is done, and the answer is lost, late, cut, garbage, a failure, or another's.
            (Some(Fault::DropAfterCommit), proven),
            (Some(Fault::HangAfterCommit), proven),
            (Some(Fault::TruncateBody), proven),
            (Some(Fault::InvalidUtf8), proven),
            (Some(Fault::WrongContentType), proven),
            (Some(Fault::StatusAfterCommit(500)), proven),
            (Some(Fault::AnotherId), proven),
            // Nothing is done, and the vendor says so.
            (Some(Fault::Status(429)), limited),
            (Some(Fault::LimitedFor(1)), limited),
            (Some(Fault::ErrorInside), "read stored, write failed"),
        ];
        for (n, (fault, expected)) in (1..).zip(stories) {
            if let Some(fault) = fault.clone() {
                books.served.simulator().fail(FaultMatcher::next("order.write"), fault);
            }
            let (state, calls) = story(world, n).await;
            assert_eq!(calls.join(", "), expected, "{fault:?}");
            assert_eq!(state == "exception", fault == Some(Fault::ErrorInside), "{fault:?} {state}");
            assert!(creates(books).iter().all(|creates| *creates == 1), "{fault:?}");
        }
        assert_eq!(creates(books).len(), 10, "all but the one that was refused");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_done_or_done_late_is_asked_about_until_the_vendor_must_have_shown_it() {
    with_books(async |world, books| {
        // Nothing is done, without a word; then it is sent again, and not before the vendor's time is over.
        for (n, fault) in (1..).zip([Fault::DropBeforeCommit, Fault::HangBeforeCommit, Fault::Status(500)]) {
            books.served.simulator().fail(FaultMatcher::next("order.write"), fault.clone());
            let (state, calls) = story(world, n).await;
            assert_eq!(state, "confirmed", "{fault:?}");
            assert_eq!(calls[..2], ["read stored", "write unknown"], "{fault:?}");
            assert_eq!(calls[calls.len() - 2..], ["read stored", "write stored"], "{fault:?}");
            // How often it is asked within that time depends on how soon the first time is.
            let proofs = &calls[2..calls.len() - 2];
            assert!(!proofs.is_empty() && proofs.iter().all(|call| call == "proof absent"), "{fault:?} {calls:?}");
            let after = again_after(world, n).await;
            assert!(after >= 1.79, "{fault:?}: the books may take 1.8 s, and it was sent again after {after} s");
        }
        // It is done after the first look-up: a second write would make a second order. Where a busy machine looked too late for
        // that, another order shows it.
        for n in 4.. {
            books.served.simulator().fail(FaultMatcher::next("order.write"), Fault::DropThenCommitMs(1_200));
            let (state, calls) = story(world, n).await;
            assert_eq!((state.as_str(), calls.last().map(String::as_str)), ("confirmed", Some("proof stored")), "{calls:?}");
            assert_eq!(calls.iter().filter(|call| call.starts_with("write")).count(), 1, "{calls:?}");
            assert_eq!(creates(books), vec![1_u32; usize::try_from(n).unwrap()]);
            if calls.contains(&"proof absent".to_owned()) {
                break;
            }
            assert!(n < 20, "none was asked about too early: {calls:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_there_already_is_adopted_and_another_records_is_a_persons() {
    with_books(async |world, books| {
        let source: ConnectionId = world.acme.source.parse().unwrap();
        let put = |n: u64| {
            let key = connectors::flow::external_key("shopify", source, &(7_000_000_000_000 + n).to_string());
            let order = json!({"key": key, "revision": 0, "number": format!("L{n}"), "total": "1.00"});
            let now = books.served.now();
            books.served.simulator().put_record(RecordKind::Order, Value::from(&order), now)
        };
        put(1);
        assert_eq!(story(world, 1).await, ("confirmed".into(), vec!["read stored".into(), "update stored".into()]));
        let orders = books.served.simulator().stored(RecordKind::Order);
        assert_eq!((orders.len(), orders[0].creates, orders[0].updates), (1, 0, 1), "it was changed and not made again");
        // The books give the second order an id that is known to be the first one's.
        let id = put(2);
        let mut connection = world.platform.database.connect().await.unwrap();
        let learn = "INSERT INTO external_ids (tenant_id, connection_id, kind, value, record_id)
                     SELECT d.tenant_id, d.connection_id, 'order', $1, d.record_id FROM deliveries d WHERE d.receipt_id IS NOT NULL";
        assert_eq!(sqlx::query(learn).bind(&id).execute(&mut connection).await.unwrap().rows_affected(), 1);
        assert_eq!(story(world, 2).await, ("exception".into(), vec!["read stored".into()]));
        let groups = world.acme.client.exception_groups().await.unwrap();
        assert_eq!(groups[0]["code"], "conflict.another_record", "{groups:?}");
        assert_eq!(creates(books), [0, 0], "nothing was made");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_named_an_order_of_ours_that_was_not_known_yet_is_found_out_when_that_one_comes() {
    with_books(async |world, books| {
        let source: ConnectionId = world.acme.source.parse().unwrap();
        let key = connectors::flow::external_key("shopify", source, "7000000000001");
        let order = json!({"key": key, "revision": 0, "number": "L1", "total": "1.00"});
        let now = books.served.now();
        let first = books.served.simulator().put_record(RecordKind::Order, Value::from(&order), now);
        books.served.simulator().fail(FaultMatcher::next("order.write"), Fault::AnotherId);
        assert_eq!(story(world, 2).await, ("confirmed".into(), vec!["read stored".into(), "write stored".into()]));
        let mut connection = world.platform.database.connect().await.unwrap();
        let receipts = "SELECT r.number, d.receipt_id FROM deliveries d JOIN connections c ON c.id = d.connection_id JOIN records r ON r.id = d.record_id
                        WHERE c.connector = 'tarn-books' ORDER BY 1";
        let told: Vec<(String, String)> = sqlx::query_as(receipts).fetch_all(&mut connection).await.unwrap();
        assert_eq!(told, [("#L2".to_owned(), first.clone())], "nothing contradicts it so far");

        // The first is found by its own key, under the id that the second's answer named: each is asked about by its own key.
        let (state, calls) = story(world, 1).await;
        assert_eq!((state.as_str(), calls.last().map(String::as_str)), ("confirmed", Some("update stored")), "{calls:?}");
        let (state, mut calls) = settled(world, 2).await;
        // Asked before the books show what they have made, they are asked again.
        calls.retain(|call| call != "proof absent");
        assert_eq!((state.as_str(), calls.join(", ").as_str()), ("confirmed", "read stored, write stored, proof stored"));
        let told: Vec<(String, String)> = sqlx::query_as(receipts).fetch_all(&mut connection).await.unwrap();
        let second = books.served.simulator().ids(RecordKind::Order).pop().unwrap();
        assert_eq!(told, [("#L1".to_owned(), first), ("#L2".to_owned(), second)]);
        let orders = books.served.simulator().stored(RecordKind::Order);
        let written: Vec<_> = orders.iter().map(|order| (order.creates, order.updates)).collect();
        assert_eq!(written, [(0, 1), (1, 0)], "the first was changed once, the second made once");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changes_all_the_time_during_an_outage_is_written_once_as_it_was_told_last() {
    with_books(async |world, books| {
        let mut connection = world.platform.database.connect().await.unwrap();
        let count = async |connection: &mut PgConnection, sql: &'static str, wanted: i64| {
            let end = tokio::time::Instant::now() + PATIENCE;
            loop {
                let count: i64 = sqlx::query_scalar(sql).fetch_one(&mut *connection).await.unwrap();
                if count >= wanted {
                    return;
                }
                assert!(tokio::time::Instant::now() < end, "{count} of {wanted}: {sql}");
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        };
        let bad =
            |operation: &str, fault| Weather { matcher: FaultMatcher::next(operation), per_mille: 1_000, faults: vec![fault] };
        // The breaker opens over writes of which nobody knows what became; nothing may stand between them and their proof for ever.
        books.served.simulator().set_weather(vec![bad("order.write", Fault::DropBeforeCommit)], 1);
        for n in 0..8 {
            assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap().status, 200);
        }
        count(&mut connection, "SELECT count(*) FROM deliveries WHERE unproven", 5).await;
        books.served.simulator().set_weather(vec![bad("order", Fault::DropBeforeCommit)], 1);
        for (revision, n) in [1, 2].into_iter().flat_map(|revision| (0..8).map(move |n| (revision, n))) {
            let order = sample::revised(n, revision);
            assert_eq!(world.acme.shop.send("orders/updated", Uuid::new_v4(), order).await.unwrap().status, 200);
        }
        count(&mut connection, "SELECT count(*) FROM messages WHERE state = 'mapped'", 24).await;
        books.served.simulator().set_weather(vec![], 0);
        let settled = "SELECT count(*) FROM deliveries d JOIN connections c ON c.id = d.connection_id
                       WHERE c.connector = 'tarn-books' AND d.state IN ('confirmed', 'superseded')";
        count(&mut connection, settled, 24).await;
        let orders = books.served.simulator().stored(RecordKind::Order);
        let note = |value: &Value| value.at("note").and_then(Value::as_str).map(str::to_owned);
        let there: Vec<_> = orders.iter().map(|order| (order.creates, order.updates, note(&order.value))).collect();
        assert_eq!(there, vec![(1, 0, Some("revision 2".to_owned())); 8]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_exists_by_the_vendors_word_is_an_exception_with_that_word() {
    with_books(async |world, books| {
        books.served.simulator().fail(FaultMatcher::next("order.write"), Fault::Status(409));
        let (state, calls) = story(world, 1).await;
        assert_eq!((state.as_str(), calls.join(", ").as_str()), ("exception", "read stored, write failed"));
        let group = &world.acme.client.exception_groups().await.unwrap()[0];
        assert!(group["code"].as_str().unwrap().starts_with("conflict."), "{group}");
        // A person made it there by hand: Retry finds it, and makes no second one.
        let source: ConnectionId = world.acme.source.parse().unwrap();
        let key = connectors::flow::external_key("shopify", source, "7000000000001");
        let now = books.served.now();
        books.served.simulator().put_record(RecordKind::Order, Value::from(&json!({"key": key, "revision": 1})), now);
        assert_eq!(world.acme.client.exception_retry(group["causeKey"].as_str().unwrap()).await.unwrap(), 1);
        loop {
            let (state, calls) = settled(world, 1).await;
            if state == "confirmed" {
                assert_eq!(calls.join(", "), "read stored, write failed, read stored");
                break;
            }
        }
        assert_eq!(creates(books), [0]);
    })
    .await;
}
