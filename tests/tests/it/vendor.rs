//! A vendor that wants a token, look-ups, versions and actions, described by a folder of the installation's own.

use std::time::Duration;

use connectors::simulator::{Fault, FaultMatcher};
use domain::record::RecordKind;
use serde_json::json;
use tests::platform::Options;
use tests::sample;
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::{World, eventually, patient, world_with};

const PATIENCE: Duration = Duration::from_secs(60);

/// A platform whose tenant also sends its orders to a made-up ERP.
async fn with_desk(test: impl AsyncFnOnce(&mut World, &Vendor)) {
    let options = Options { has_own_connectors: true, ..patient() };
    world_with(options, async |world| {
        let desk = Vendor::start("harbor-desk").await;
        let client = &world.acme.client;
        let (destination, _) =
            client.connection_create("harbor-desk", "Desk", desk.settings.clone(), desk.credential.clone()).await.unwrap();
        let policy = json!({"attempts_max": 8, "backoff_ms": 100, "backoff_max_ms": 1_000});
        client.flow_publish("orders to the desk", &world.acme.source, &destination, policy).await.unwrap();
        test(world, &desk).await;
    })
    .await;
}

/// The calls of the deliveries to the desk, in their order.
async fn calls(world: &World) -> Vec<(String, String)> {
    let mut connection = world.platform.database.connect().await.unwrap();
    let sql = "SELECT a.kind, a.outcome FROM attempts a JOIN deliveries d ON d.id = a.delivery_id
               JOIN connections c ON c.id = d.connection_id WHERE c.connector = 'harbor-desk' ORDER BY a.started_at, a.number";
    sqlx::query_as(sql).fetch_all(&mut connection).await.unwrap()
}

async fn count(world: &World, action: &str) -> i64 {
    let mut connection = world.platform.database.connect().await.unwrap();
    let sql = "SELECT count(*) FROM audit_events WHERE action = $1";
    sqlx::query_scalar(sql).bind(action).fetch_one(&mut connection).await.unwrap()
}

fn kinds(calls: &[(String, String)]) -> Vec<&str> {
    calls.iter().map(|(kind, _)| kind.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_looked_up_for_written_and_confirmed_and_a_change_of_it_names_the_last_version() {
    with_desk(async |world, desk| {
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::revised(1, 0)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!(kinds(&calls(world).await), ["read", "write", "action"]);
        world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 1)).await.unwrap();
        let ledger = world.acme.rest(2, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (4, 0), "{ledger:?}");
        let calls = calls(world).await;
        assert_eq!(kinds(&calls), ["read", "write", "action", "read", "update"]);
        assert!(calls.iter().all(|(_, outcome)| outcome == "stored"), "{calls:?}");
        let orders: Vec<_> = desk.served.simulator().stored(RecordKind::Order);
        assert_eq!((orders.len(), orders[0].creates, orders[0].updates), (1, 1, 1));
        assert_eq!(orders[0].value.get("note").and_then(|note| note.as_str()), Some("revision 1"));
        assert_eq!(count(world, "token.renewed").await, 1, "one token serves all calls");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_to_a_look_before_a_write_stands_beside_its_audit_event_as_it_was_sealed() {
    with_desk(async |world, desk| {
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        let told = "{ auditEvents(action: \"attempt.read\", first: 5) { nodes { detail payload { text isAsSealed } } } }";
        let told = world.acme.client.ask(told, json!({})).await.unwrap()["auditEvents"]["nodes"].clone();
        let [read] = told.as_array().unwrap().as_slice() else { panic!("one look, one event: {told}") };
        let mut connection = world.platform.database.connect().await.unwrap();
        let kept: (i32, String) =
            sqlx::query_as("SELECT number, answer FROM attempts WHERE kind = 'read'").fetch_one(&mut connection).await.unwrap();
        let detail: serde_json::Value = serde_json::from_str(read["detail"].as_str().unwrap()).unwrap();
        assert_eq!((&detail["attempt"], &detail["status"]), (&json!(kept.0), &json!(200)), "{detail}");
        assert_eq!((&read["payload"]["text"], &read["payload"]["isAsSealed"]), (&json!(kept.1), &json!(true)), "{read}");
        for secret in desk.credential.as_object().unwrap().values().filter_map(serde_json::Value::as_str) {
            assert!(!kept.1.contains(secret), "{}", kept.1);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_ended_early_is_renewed_once_for_all_that_were_refused() {
    with_desk(async |world, desk| {
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        desk.served.simulator().fail(FaultMatcher::default(), Fault::ExpireTokens);
        for n in 2..=20 {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        let ledger = world.acme.rest(20, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (40, 0), "{ledger:?}");
        let orders = desk.served.simulator().stored(RecordKind::Order);
        assert_eq!((orders.len(), orders.iter().filter(|order| order.creates > 1).count()), (20, 0));
        assert_eq!(count(world, "token.renewed").await, 2, "one for the first calls, one after the vendor ended it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_whose_answer_was_lost_is_asked_about_and_the_write_before_it_is_not_made_again() {
    with_desk(async |world, desk| {
        let lost = [("order.write", Fault::DropAfterCommit), ("order.action.confirm", Fault::DropAfterCommit)];
        for (operation, fault) in lost {
            desk.served.simulator().fail(FaultMatcher::next(operation), fault);
        }
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        let ledger = world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (2, 0), "{ledger:?}");
        let outcomes: Vec<String> = calls(world).await.into_iter().map(|(kind, outcome)| format!("{kind} {outcome}")).collect();
        assert_eq!(outcomes, ["read stored", "write unknown", "proof stored", "action unknown", "proof stored"]);
        let orders = desk.served.simulator().stored(RecordKind::Order);
        assert_eq!((orders.len(), orders[0].creates), (1, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_refused_a_token_says_so_and_delivers_once_it_is_mended() {
    with_desk(async |world, desk| {
        let client = &world.acme.client;
        let wrong = json!({"client_id": "made-up-client_id", "client_secret": "wrong-secret-value"});
        let (destination, _) = client.connection_create("harbor-desk", "Wrong desk", desk.settings.clone(), wrong).await.unwrap();
        client.flow_publish("orders to the wrong desk", &world.acme.source, &destination, json!({})).await.unwrap();
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        let incidents = eventually("one waits", async || {
            let data = client
                .ask("{ incidents { nodes { sentence nextStep waiting connection { health } } } }", json!({}))
                .await
                .unwrap();
            (data["incidents"]["nodes"][0]["waiting"] == 1).then(|| data["incidents"]["nodes"].clone())
        })
        .await;
        let text = incidents.to_string();
        assert!(text.contains("Harbor Desk") && text.contains("refused") && !text.contains("wrong-secret-value"), "{text}");
        assert_eq!(count(world, "token.refused").await, 1);
        let replace =
            "mutation($id: ID!, $c: JSON!) { credentialReplace(connectionId: $id, credential: $c) { userErrors { message } } }";
        client.ask(replace, json!({"id": destination, "c": desk.credential})).await.unwrap();
        let ledger = world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (3, 0), "{ledger:?}");
    })
    .await;
}
