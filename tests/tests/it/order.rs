//! The way of one order: revisions in order, exceptions that people can work, and an audit of it all.

use std::time::Duration;

use serde_json::json;
use tests::sample;
use tests::simulator::Fault;
use tests::simulator::erp::Erp;
use uuid::Uuid;

use crate::world;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn revisions_arrive_in_order_and_a_stale_one_changes_nothing() {
    world(async |world| {
        let send = async |revision: u32| {
            world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, revision)).await.unwrap()
        };
        send(0).await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        send(5).await;
        world.acme.rest(2, PATIENCE).await.unwrap();
        send(3).await;
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!(ledger.message("stale"), 1, "{ledger:?}");
        let orders = world.erp.orders();
        let order = orders.values().next().unwrap();
        assert_eq!((orders.len(), order.creates), (1, 1));
        assert!(order.says("revision 5"), "{order:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_revisions_at_once_end_with_the_last_and_never_run_side_by_side() {
    world(async |world| {
        let sends = (0..30).map(|revision| world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(9, revision)));
        futures::future::join_all(sends).await;
        let ledger = world.acme.rest(30, PATIENCE).await.unwrap();
        let orders = world.erp.orders();
        let order = orders.values().next().unwrap();
        assert!(order.says("revision 29"), "{ledger:?} {order:?}");
        assert_eq!(
            i64::from(order.creates + order.updates),
            ledger.delivery("confirmed"),
            "each confirmed delivery was written once"
        );
        let planned: i64 = ledger.deliveries.values().sum();
        assert_eq!(ledger.delivery("confirmed") + ledger.delivery("superseded"), planned, "{ledger:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unmapped_sku_is_one_group_and_adding_the_code_and_retrying_empties_it() {
    world(async |world| {
        for (_, body) in sample::orders().into_iter().filter(|(name, _)| name.contains("unmapped_sku")) {
            world.acme.shop.send("orders/create", Uuid::new_v4(), body).await.unwrap();
        }
        world.acme.rest(3, PATIENCE).await.unwrap();
        let client = &world.acme.client;
        let groups = client.exception_groups().await.unwrap();
        assert_eq!(groups.len(), 1, "{groups:?}");
        assert_eq!(
            (&groups[0]["count"], &groups[0]["value"], &groups[0]["lookupTable"]),
            (&json!(3), &json!("HAT-XL"), &json!("SKUs"))
        );
        let data = client.ask("{ exceptions(state: \"open\") { nodes { sentence nextStep } } }", json!({})).await.unwrap();
        let sentence = data["exceptions"]["nodes"][0]["sentence"].as_str().unwrap();
        assert!(sentence.starts_with("Order #10") && sentence.contains("was not sent to NetSuite"), "{sentence}");
        assert_eq!(world.erp.stats().orders, 0);

        client.lookup_entries_set(&world.acme.table, &[("HAT-XL".into(), "1999".into())]).await.unwrap();
        assert_eq!(client.exception_retry(groups[0]["causeKey"].as_str().unwrap()).await.unwrap(), 3);
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (3, 0));
        assert!(client.exception_groups().await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_of_the_destination_is_an_exception_and_its_outage_is_waited_out() {
    world(async |world| {
        world.erp.fail([Fault::Status(503), Fault::Status(500), Fault::Status(429)]);
        for n in 0..3 {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("confirmed"), 3, "{ledger:?}");
        // An answer of 500 or 503 says nothing of whether it was written: it was asked for, and is there once.
        assert!(world.erp.orders().values().all(|order| (order.creates, order.updates) == (1, 0)));
        assert!(world.erp.stats().reads >= 2, "{:?}", world.erp.stats());
        world.erp.fail([Fault::Status(400)]);
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(10)).await.unwrap();
        let ledger = world.acme.rest(4, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("exception"), 1, "{ledger:?}");
        let groups = world.acme.client.exception_groups().await.unwrap();
        assert_eq!(groups[0]["code"], "validation.INVALID_CONTENT");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_act_is_in_the_audit_log_and_every_call_is_counted() {
    world(async |world| {
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        let client = &world.acme.client;
        let data = client.ask("{ auditEvents(first: 100) { nodes { action } } }", json!({})).await.unwrap();
        let actions: Vec<&str> =
            data["auditEvents"]["nodes"].as_array().unwrap().iter().rev().map(|node| node["action"].as_str().unwrap()).collect();
        for action in ["tenant.created", "connection.created", "credential.stored", "flow.published", "lookup_table.entries_set"]
        {
            assert!(actions.contains(&action), "{action} is missing in {actions:?}");
        }
        let way: Vec<&&str> = actions
            .iter()
            .filter(|action| ["message", "delivery", "attempt"].iter().any(|noun| action.starts_with(noun)))
            .collect();
        assert_eq!(way, [&"message.received", &"message.mapped", &"delivery.planned", &"attempt.started", &"attempt.confirmed"]);
        let usage = "query($f: DateTime!, $t: DateTime!) { usage(from: $f, to: $t) { meter quantity } }";
        let now = chrono::Utc::now();
        let range = json!({"f": now - chrono::Duration::hours(1), "t": now + chrono::Duration::hours(1)});
        let data = client.ask(usage, range).await.unwrap();
        let one = |meter: &str| json!({"meter": meter, "quantity": 1});
        assert_eq!(data["usage"], json!([one("DELIVERY_CONFIRMED"), one("MESSAGE_ACCEPTED"), one("VENDOR_CALL")]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_next_step_of_an_exception_says_can_be_done_and_helps() {
    world(async |world| {
        let client = &world.acme.client;
        let ask = async |query: &str, variables: serde_json::Value| client.ask(query, variables).await.unwrap();
        let exceptions = async || client.exception_groups().await.unwrap();
        let retry_all = async || client.exception_retry(exceptions().await[0]["causeKey"].as_str().unwrap()).await.unwrap();

        // An item without SKU is required to have one; the flow's own rule gives it one, and Retry runs the version published now.
        let no_sku = sample::orders().into_iter().find(|(name, _)| name.contains("no_sku")).unwrap().1;
        world.acme.shop.send("orders/create", Uuid::new_v4(), no_sku).await.unwrap();
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        let base = world.platform.connector_rules("netsuite");
        let mut lines = base.iter().find(|rule| rule["to"] == "item.items").unwrap().clone();
        for rule in lines["rules"].as_array_mut().unwrap().iter_mut().filter(|rule| rule["to"] == "item.id") {
            rule["default"] = json!("7777");
        }
        let draft = "mutation($id: ID!, $i: FlowDraftInput!) { flowDraft(id: $id, input: $i) { userErrors { field message } } }";
        ask(draft, json!({"id": world.acme.flow, "i": {"mapping": [lines]}})).await;
        ask("mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }", json!({"id": world.acme.flow})).await;
        assert_eq!(retry_all().await, 1);
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("confirmed"), 1);
        assert!(world.erp.orders().values().next().unwrap().says("7777"));

        // A credential that the vendor refuses is an incident and no exception; a new one is all that is needed.
        let replace = "mutation($id: ID!, $c: JSON!) { credentialReplace(connectionId: $id, credential: $c) { userErrors { field message } } }";
        let mut wrong = Erp::credential();
        wrong["token_secret"] = json!("a secret that was revoked");
        ask(replace, json!({"id": world.acme.destination, "c": wrong})).await;
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        while client.ledger().await.unwrap().delivery("held") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let data = ask("{ incidents { nodes { owner kind } } }", json!({})).await;
        assert_eq!(data["incidents"]["nodes"], json!([{"owner": "developer", "kind": "CREDENTIAL"}]));
        assert_eq!(client.ledger().await.unwrap().delivery("exception"), 0);
        ask(replace, json!({"id": world.acme.destination, "c": Erp::credential()})).await;
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().delivery("confirmed"), 2);

        // A paused destination is sent nothing; resumed, it gets what waited.
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        ask(pause, json!({"id": world.acme.destination})).await;
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(2)).await.unwrap();
        while client.ledger().await.unwrap().delivery("planned") == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        ask("mutation($id: ID!) { connectionResume(id: $id) { userErrors { message } } }", json!({"id": world.acme.destination})).await;
        assert_eq!(world.acme.rest(3, PATIENCE).await.unwrap().delivery("confirmed"), 3);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_may_not_be_called_is_a_developers_exception_at_once() {
    world(async |world| {
        let client = &world.acme.client;
        let mut settings = world.erp.settings(5);
        settings["base_url"] = json!("http://169.254.169.254");
        let update =
            "mutation($id: ID!, $i: ConnectionUpdateInput!) { connectionUpdate(id: $id, input: $i) { userErrors { message } } }";
        client.ask(update, json!({"id": world.acme.destination, "i": {"settings": settings}})).await.unwrap();
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        let group = &client.exception_groups().await.unwrap()[0];
        assert_eq!((&group["owner"], &group["code"]), (&json!("developer"), &json!("validation.address")));
        let usage = "query($f: DateTime!, $t: DateTime!) { usage(from: $f, to: $t) { meter quantity } }";
        let now = chrono::Utc::now();
        let hour = chrono::Duration::hours(1);
        let metered = client.ask(usage, json!({"f": now - hour, "t": now + hour})).await.unwrap();
        assert!(!metered.to_string().contains("VENDOR_CALL"), "nothing was called: {metered}");
    })
    .await;
}
