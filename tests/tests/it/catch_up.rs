//! Catching up: a backlog is told with when it ends, goes by deadline before age and as a person decides, and never before what has just happened.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tests::client::Client;
use tests::sample;
use tests::simulator::own::OwnSystem;
use uuid::Uuid;

use crate::{World, eventually, world};

const PATIENCE: Duration = Duration::from_secs(60);

const CATCH_UPS: &str = "query($c: ID) { catchUps(connectionId: $c) { flowId deliveries held isPaused isCut dueBy overdue willBeLate confirmsPerMinute
    finishAt basis rank sentence flow { name } connection { name } } }";
const RANK: &str =
    "mutation($f: ID!, $r: CatchUpRank!) { catchUpRank(flowId: $f, rank: $r) { count userErrors { field code message } } }";

async fn catch_ups(client: &Client) -> Vec<Value> {
    client.ask(CATCH_UPS, json!({})).await.unwrap()["catchUps"].as_array().unwrap().clone()
}

/// An order of the tenant's own system that says until when it is to be sent.
async fn send(b2b: &OwnSystem, number: &str, ship_by: Option<DateTime<Utc>>, note: &str) {
    let mut order = json!({"source_id": number, "number": number, "status": "open", "currency": "USD", "taxes_included": false, "note": note,
        "placed_at": "2026-11-27T10:00:00Z", "customer": {"email": "buyer@example.com", "name": "Buyer"},
        "lines": [{"source_id": "1", "sku": "TEE-M", "quantity": "1", "unit_price": "10.00"}], "totals": {"grand": "10.00"}});
    if let Some(at) = ship_by {
        order["ship_by"] = at.to_rfc3339().into();
    }
    assert_eq!(b2b.send("order", order).await.unwrap(), 200);
}

async fn pause(world: &World, act: &str) {
    let pause = format!("mutation($id: ID!) {{ {act}(id: $id) {{ userErrors {{ message }} }} }}");
    world.acme.client.ask(&pause, json!({"id": world.acme.destination})).await.unwrap();
}

/// Waits until so many deliveries wait.
async fn planned(world: &World, count: i64) {
    let mut database = world.platform.database.connect().await.unwrap();
    eventually("the backlog is planned", async || {
        let planned = "SELECT count(*) FROM deliveries WHERE state = 'planned'";
        (sqlx::query_scalar::<_, i64>(planned).fetch_one(&mut database).await.unwrap() == count).then_some(())
    })
    .await;
}

/// The numbers in the order in which they were sent.
async fn sent(world: &World) -> Vec<String> {
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::query_scalar(
        "SELECT r.number FROM deliveries d JOIN records r ON r.id = d.record_id JOIN attempts a ON a.id = d.attempt_id
         WHERE d.state = 'confirmed' ORDER BY a.ended_at",
    )
    .fetch_all(&mut database)
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_told_and_goes_by_deadline_before_age_or_as_a_person_decides() {
    world(async |world| {
        let client = &world.acme.client;
        // One call at a time, so that there is one order of them.
        let one = "mutation($id: ID!, $s: JSON!) { connectionUpdate(id: $id, input: {settings: $s}) { userErrors { message } } }";
        client.ask(one, json!({"id": world.acme.destination, "s": world.erp.settings(1)})).await.unwrap();
        let b2b = OwnSystem::connect(client, "B2B").await.unwrap();
        let flow = client.flow_publish("b2b", &b2b.connection, &world.acme.destination, json!({})).await.unwrap();
        assert!(catch_ups(client).await.is_empty());

        // What is known of the past is how fast it went.
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(0)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        pause(world, "connectionPause").await;
        for n in 1..=3 {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        planned(world, 3).await;
        let now = Utc::now();
        for (number, hours) in [("B-5", Some(5)), ("B-none", None), ("B-1", Some(1)), ("B-over", Some(-1))] {
            send(&b2b, number, hours.map(|hours| now + TimeDelta::hours(hours)), "first").await;
        }
        planned(world, 7).await;
        // Later updates take the place of those that were not sent.
        for note in ["second", "third"] {
            send(&b2b, "B-1", Some(now + TimeDelta::hours(1)), note).await;
        }
        eventually("the updates are collapsed", async || {
            let of_b2b = catch_ups(client).await.into_iter().find(|one| one["flowId"] == flow.as_str())?;
            let ledger = client.ledger().await.unwrap();
            (of_b2b["deliveries"] == 4 && ledger.delivery("superseded") == 2).then_some(())
        })
        .await;

        let backlogs = catch_ups(client).await;
        assert_eq!(backlogs.len(), 2, "{backlogs:?}");
        let (of_b2b, of_shop) = (&backlogs[0], &backlogs[1]);
        assert_eq!(
            (&of_b2b["flow"]["name"], &of_b2b["isPaused"], &of_b2b["overdue"]),
            (&json!("b2b"), &json!(true), &json!(1)),
            "{of_b2b}"
        );
        assert_eq!(
            (&of_shop["deliveries"], &of_shop["dueBy"], &of_shop["held"]),
            (&json!(3), &Value::Null, &json!(0)),
            "{of_shop}"
        );
        assert!(!of_b2b["finishAt"].is_null() && !of_b2b["basis"].is_null() && of_b2b["rank"] == "NORMAL", "{of_b2b}");
        let sentence = of_b2b["sentence"].as_str().unwrap();
        assert!(sentence.starts_with("4 to be delivered. The destination is paused: press Resume. "), "{sentence}");
        assert!(sentence.ends_with(" One misses its deadline."), "{sentence}");

        // Another tenant has no part in it.
        let id = world.platform.sign_in().await.unwrap().tenant_create("other").await.unwrap();
        let other = world.platform.sign_in().await.unwrap().of_tenant(&id);
        assert!(catch_ups(&other).await.is_empty());
        let refused = other.raw(RANK, json!({"f": flow, "r": "FIRST"})).await.unwrap();
        assert_eq!(refused["data"]["catchUpRank"]["userErrors"][0]["code"], "NOT_FOUND", "{refused}");

        pause(world, "connectionResume").await;
        world.acme.rest(10, PATIENCE).await.unwrap();
        let order = sent(world).await;
        // Those without a deadline come by age, and two that came at once may change places.
        assert!(order[1..4] == ["B-over", "B-1", "B-5"] && order[4].starts_with("#L"), "{order:?}");
        assert!(catch_ups(client).await.is_empty());
        assert!(world.erp.orders().values().all(|order| order.creates == 1), "{:?}", world.erp.orders());

        // A person decides otherwise. What a worker was about to look at when the connection was resumed goes before all: where a busy machine
        // was, another backlog shows it.
        for round in 0..5 {
            pause(world, "connectionPause").await;
            let last = format!("C-{round}");
            send(&b2b, &last, Some(now + TimeDelta::hours(1)), "first").await;
            planned(world, 1).await;
            for n in [11 + 2 * round, 12 + 2 * round] {
                world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
            }
            planned(world, 3).await;
            let ranked = client.ask(RANK, json!({"f": world.acme.flow, "r": "FIRST"})).await.unwrap();
            assert_eq!(ranked["catchUpRank"]["count"], 2);
            let backlogs = catch_ups(client).await;
            assert_eq!((&backlogs[0]["rank"], &backlogs[1]["rank"]), (&json!("FIRST"), &json!("NORMAL")), "{backlogs:?}");
            pause(world, "connectionResume").await;
            world.acme.rest(13 + 3 * i64::try_from(round).unwrap(), PATIENCE).await.unwrap();
            let order = sent(world).await;
            assert_eq!(order.len(), 11 + 3 * usize::try_from(round).unwrap(), "{order:?}");
            if order.last() == Some(&last) {
                break;
            }
            assert!(round < 4, "{order:?}");
        }
        let audit = client.ask("{ auditEvents(first: 100) { nodes { action } } }", json!({})).await.unwrap();
        assert!(audit.to_string().contains("backlog.ranked"), "{audit}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flows_cut_off_is_what_its_records_are_due_by() {
    world(async |world| {
        let client = &world.acme.client;
        let draft = "mutation($id: ID!, $p: JSON!) { flowDraft(id: $id, input: {policy: $p}) { userErrors { message } } }";
        let publish = "mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }";
        let refused = client.raw(draft, json!({"id": world.acme.flow, "p": {"cut_off": {"at": ["15:00"]}}})).await.unwrap();
        assert!(refused.to_string().contains("cut_off: say in which zone the times are read"), "{refused}");
        let policy = json!({"cut_off": {"at": ["15:00"], "zone": "Europe/Berlin"}});
        client.ask(draft, json!({"id": world.acme.flow, "p": policy})).await.unwrap();
        client.ask(publish, json!({"id": world.acme.flow})).await.unwrap();
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        let mut database = world.platform.database.connect().await.unwrap();
        let (at, wait): (String, f64) = sqlx::query_as(
            "SELECT to_char(due_by AT TIME ZONE 'Europe/Berlin', 'HH24:MI'), extract(epoch FROM due_by - origin_at)::float8 FROM deliveries",
        )
        .fetch_one(&mut database)
        .await
        .unwrap();
        assert!(at == "15:00" && wait > 0.0 && wait <= 25.0 * 3_600.0, "{at}, {wait} s from then");
    })
    .await;
}
