//! The life of a flow: what was published never changes, what is published was looked at, and each delivery keeps the version it ran under.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::Executor;
use tests::client::Client;
use tests::sample;
use uuid::Uuid;

use crate::world;

const PATIENCE: Duration = Duration::from_secs(30);
const OTHER: &str = "other@crossdock.example";
const PASSWORD: &str = "other-person-password";

/// A step in the life of a flow; its errors as sentences.
pub async fn step(client: &Client, mutation: &str, flow: &str) -> Vec<String> {
    let query = format!("mutation($id: ID!) {{ step: {mutation} {{ userErrors {{ message }} }} }}");
    errors(&client.raw(&query, json!({"id": flow})).await.unwrap())
}

pub async fn draft(client: &Client, flow: &str, input: Value) -> Vec<String> {
    let query = "mutation($id: ID!, $i: FlowDraftInput!) { step: flowDraft(id: $id, input: $i) { userErrors { message } } }";
    errors(&client.raw(query, json!({"id": flow, "i": input})).await.unwrap())
}

fn errors(answer: &Value) -> Vec<String> {
    let errors = answer["data"]["step"]["userErrors"].as_array().unwrap_or_else(|| panic!("{answer}"));
    errors.iter().map(|error| error["message"].as_str().unwrap().to_owned()).collect()
}

pub async fn publish(client: &Client, flow: &str, input: Value) {
    assert_eq!(draft(client, flow, input).await, [] as [&str; 0]);
    assert_eq!(step(client, "flowPublish(id: $id)", flow).await, [] as [&str; 0]);
}

async fn versions(client: &Client, flow: &str) -> Vec<(i64, String, Value)> {
    let data = client
        .ask("query($id: ID!) { flow(id: $id) { versions { version state mapping } } }", json!({"id": flow}))
        .await
        .unwrap();
    let versions = data["flow"]["versions"].as_array().unwrap();
    versions
        .iter()
        .map(|v| (v["version"].as_i64().unwrap(), v["state"].as_str().unwrap().to_owned(), v["mapping"].clone()))
        .collect()
}

fn memo(text: &str) -> Value {
    json!({"mapping": [{"to": "memo", "default": text}]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_published_never_changes_and_going_back_is_a_new_one() {
    world(async |world| {
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        publish(client, flow, memo("second")).await;
        publish(client, flow, memo("third")).await;
        assert_eq!(draft(client, flow, memo("not yet")).await, [] as [&str; 0]);
        assert_eq!(step(client, "flowRollBack(id: $id, version: 2)", flow).await, [] as [&str; 0]);
        let states: Vec<(i64, String, Value)> = versions(client, flow).await;
        let says = |text: &str| memo(text)["mapping"].clone();
        assert_eq!(
            states,
            [
                (5, "draft".into(), says("not yet")),
                (4, "published".into(), says("second")),
                (3, "retired".into(), says("third")),
                (2, "retired".into(), says("second")),
                (1, "retired".into(), json!([])),
            ]
        );
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        assert!(world.erp.orders().values().next().unwrap().says("second"));

        let refused = step(client, "flowRollBack(id: $id, version: 4)", flow).await;
        assert_eq!(refused, ["only a version that was published, and is not now, can be rolled back to"]);
        let mut owner = world.platform.database.connect().await.unwrap();
        for change in ["mapping = '[]'", "filter = 'true'", "state = 'draft'"] {
            let sql = format!("UPDATE flow_versions SET {change} WHERE version = 4");
            let error = owner.execute(sqlx::AssertSqlSafe(sql)).await.unwrap_err().to_string();
            assert!(error.contains("was published and cannot change"), "{error}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_needs_approval_is_published_only_after_another_person_looked_at_it() {
    world(async |world| {
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        assert_eq!(step(client, "flowGatesSet(id: $id, needsApproval: true)", flow).await, [] as [&str; 0]);
        assert_eq!(draft(client, flow, memo("looked at")).await, [] as [&str; 0]);
        let blocked = step(client, "flowPublish(id: $id)", flow).await;
        assert_eq!(blocked, ["another person approves it first: flowSubmit, then flowApprove by somebody else"]);
        assert_eq!(step(client, "flowSubmit(id: $id)", flow).await, [] as [&str; 0]);
        let own = step(client, "flowApprove(id: $id)", flow).await;
        assert_eq!(own, ["whoever drafted it cannot approve it; ask another admin, owner or developer"]);

        let other = world.member(OTHER, PASSWORD, "developer").await;
        assert_eq!(step(&other, "flowApprove(id: $id)", flow).await, [] as [&str; 0]);
        // What was changed after it was approved was not looked at.
        assert_eq!(draft(client, flow, memo("slipped in")).await, [] as [&str; 0]);
        assert_eq!(step(client, "flowPublish(id: $id)", flow).await.len(), 1);
        assert_eq!(step(client, "flowSubmit(id: $id)", flow).await, [] as [&str; 0]);
        assert_eq!(step(&other, "flowApprove(id: $id)", flow).await, [] as [&str; 0]);
        // Why it is published is no change of what was looked at.
        let too_long = format!("flowPublish(id: $id, note: \"{}\")", "x".repeat(2_001));
        assert_eq!(step(client, &too_long, flow).await, ["a note has at most 2000 characters"]);
        let noted = "flowPublish(id: $id, note: \"As agreed with the warehouse\")";
        assert_eq!(step(client, noted, flow).await, [] as [&str; 0]);
        let there = client.ask("query($id: ID!) { flow(id: $id) { published { note } } }", json!({"id": flow})).await.unwrap();
        assert_eq!(there["flow"]["published"]["note"], "As agreed with the warehouse");
        assert_eq!(versions(client, flow).await[0].2, memo("slipped in")["mapping"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_rule_reads_a_field_of_the_source_and_two_flows_cannot_read_it_differently() {
    world(async |world| {
        let client = &world.acme.client;
        let reads_note = json!([{"to": "po_number", "from": "note"}]);
        publish(client, &world.acme.flow, json!({"sourceMapping": reads_note, "mapping": [{"to": "memo", "from": "po_number"}]})).await;
        let mut order: Value = serde_json::from_slice(&sample::order(1)).unwrap();
        order["note"] = "PO-77".into();
        world.acme.shop.send("orders/create", Uuid::new_v4(), order.to_string().into_bytes()).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        assert!(world.erp.orders().values().next().unwrap().says("PO-77"));

        let input = json!({"name": "another", "recordKind": "order", "sourceId": world.acme.source, "destinationId": world.acme.destination,
            "sourceMapping": [{"to": "po_number", "from": "tags"}]});
        let query = "mutation($i: FlowCreateInput!) { flowCreate(input: $i) { flow { id } userErrors { message } } }";
        let data = client.ask(query, json!({"i": input})).await.unwrap();
        let other = data["flowCreate"]["flow"]["id"].as_str().unwrap();
        let refused = step(client, "flowPublish(id: $id)", other).await;
        assert!(refused[0].contains("writes po_number by another rule"), "{refused:?}");
        publish(client, other, json!({"sourceMapping": reads_note})).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_add_up_waits_for_a_person_unless_the_flow_passes_it() {
    world(async |world| {
        let client = &world.acme.client;
        let mut order: Value = serde_json::from_slice(&sample::order(1)).unwrap();
        order["total_price"] = "99999.00".into();
        order["total_price_set"]["shop_money"]["amount"] = "99999.00".into();
        order["current_total_price"] = "99999.00".into();
        world.acme.shop.send("orders/create", Uuid::new_v4(), order.to_string().into_bytes()).await.unwrap();
        let ledger = world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.delivery("exception")), (1, 1), "{ledger:?}");
        let groups = client.exception_groups().await.unwrap();
        assert_eq!(groups[0]["code"], "unbalanced", "{groups:?}");
        assert_eq!(world.erp.stats().orders, 0);
        publish(client, &world.acme.flow, json!({"policy": {"balance": "pass"}})).await;
        assert_eq!(client.exception_retry(groups[0]["causeKey"].as_str().unwrap()).await.unwrap(), 1);
        let ledger = world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("confirmed"), 1, "{ledger:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_scheduled_flow_gathers_waits_for_its_time_and_each_revision_is_kept_where_each_is_wanted() {
    world(async |world| {
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let daily = json!({"trigger": {"schedule": {"every_minutes": 1440}}, "policy": {"ordering": "each"}});
        publish(client, flow, daily).await;
        let planned = async || {
            let data = client.ask("{ deliveries(first: 10) { nodes { state dueAt } } }", json!({})).await.unwrap();
            data["deliveries"]["nodes"].as_array().unwrap().clone()
        };
        for revision in 0..3 {
            world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, revision)).await.unwrap();
            let deadline = std::time::Instant::now() + PATIENCE;
            while planned().await.len() <= revision as usize {
                assert!(std::time::Instant::now() < deadline, "the revision {revision} is planned");
                tokio::task::yield_now().await;
            }
        }
        let midnight = (chrono::Utc::now() + chrono::TimeDelta::days(1)).date_naive().to_string();
        for delivery in planned().await {
            assert_eq!(delivery["state"], "planned");
            assert!(delivery["dueAt"].as_str().unwrap().starts_with(&midnight), "{delivery}");
        }
        assert_eq!(world.erp.stats().orders, 0);
    })
    .await;
}
