//! What changes in what a source sends is told with the flows that read it, to the tenant whose it is and to no other; and what a tenant wants
//! to see first waits for a person, and is never sent wrong.

use std::time::Duration;

use chrono::{DateTime, Utc};
use connectors::Catalog;
use domain::drift::{Gatherer, Learning, Policy, Side, Volume};
use domain::id::{ConnectionId, TenantId};
use domain::record::RecordKind;
use domain::scope::Scope;
use domain::value::{Arena, Limits, Tree};
use infra::postgres::Store;
use infra::postgres::drift::{Accepted, DriftPlace, Flushed};
use infra::postgres::entity::drift;
use infra::postgres::filter;
use serde_json::{Value, json};
use tests::client::Client;
use tests::platform::{Connected, Database, Options};
use tests::sample;
use uuid::Uuid;

use crate::flow::publish;
use crate::{World, eventually, world_with};

const PATIENCE: Duration = Duration::from_secs(30);
const OTHER: &str = "other@crossdock.example";
const PASSWORD: &str = "other-person-password";
const LEARNED: u64 = 25;

const DRIFTS: &str =
    "query($s: String) { drifts(first: 100, state: $s) { nodes { id field what value before after risk sentence owner nextStep
    state side recordKind connection { name } flows { flow { name } fields } recordsPerDay moneyPerDay { currency amount }
    exampleMessageId exampleDeliveryId } } }";
const PROFILE: &str =
    "query($c: ID!, $s: String!) { profile(connectionId: $c, kind: \"order\", side: $s) { documents establishedAt
    fields { path documents filled types { name count } values { value count } } } }";
const ACCEPT: &str = "mutation($id: ID!) { driftAccept(id: $id) { drift { state } userErrors { message } } }";
const POLICY: &str =
    "mutation($i: DriftPolicySetInput!) { driftPolicySet(input: $i) { policies { field policy } userErrors { message } } }";

/// A platform that knows a shop after 20 orders, and writes what it has seen ten times a second.
async fn watching(test: impl AsyncFnOnce(&mut World)) {
    let environment =
        vec![("CROSSDOCK_DRIFT_FLUSH_MS", "100"), ("CROSSDOCK_DRIFT_DOCUMENTS", "20"), ("CROSSDOCK_DRIFT_HOURS", "0")];
    world_with(Options { environment, ..Options::default() }, test).await;
}

async fn drifts(client: &Client, state: &str) -> Vec<Value> {
    client.ask(DRIFTS, json!({"s": state})).await.unwrap()["drifts"]["nodes"].as_array().unwrap().clone()
}

async fn drift_of(tenant: &Connected, field: &str) -> Value {
    eventually(field, async || drifts(&tenant.client, "open").await.into_iter().find(|drift| drift["field"] == field)).await
}

async fn profile(client: &Client, connection: &str, side: &str) -> Value {
    client.ask(PROFILE, json!({"c": connection, "s": side})).await.unwrap()["profile"].take()
}

/// Sends orders as usual until it is known what is usual.
async fn learn(world: &World) {
    for n in 0..LEARNED {
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
    }
    let accepted = i64::try_from(LEARNED).unwrap();
    assert_eq!(world.acme.rest(accepted, PATIENCE).await.unwrap().delivery("confirmed"), accepted);
    eventually("the profile is established", async || {
        let profile = profile(&world.acme.client, &world.acme.source, "source").await;
        (profile["documents"] == accepted && !profile["establishedAt"].is_null()).then_some(())
    })
    .await;
    assert_eq!(drifts(&world.acme.client, "open").await, Vec::<Value>::new());
}

/// An order as usual, but for what is changed.
fn changed(n: u64, change: impl FnOnce(&mut Value)) -> Vec<u8> {
    let mut order: Value = serde_json::from_slice(&sample::order(n)).unwrap();
    change(&mut order);
    order.to_string().into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_word_type_field_and_tax_are_told_with_the_flows_that_read_them() {
    watching(async |world| {
        learn(world).await;
        let odd = changed(100, |order| {
            order["financial_status"] = json!("split");
            order["shipping_lines"][0]["price"] = json!(5.9);
            order["delivery_promise"] = json!({"by": "2026-12-01", "carrier": {"code": "x"}});
            order["line_items"][1]["tax_lines"][0]["title"] = json!("Eco levy");
        });
        world.acme.shop.send("orders/create", Uuid::new_v4(), odd).await.unwrap();
        let name = "orders: shopify to netsuite";

        let word = drift_of(&world.acme, "financial_status").await;
        assert_eq!((&word["what"], &word["value"], &word["risk"]), (&json!("new_value"), &json!("split"), &json!("high")));
        assert_eq!(word["flows"], json!([{"flow": {"name": name}, "fields": ["orderStatus.id"]}]));
        assert_eq!(
            word["sentence"],
            "What Acme shop sends has \"split\" in the field financial_status, where it had \"paid\" until now."
        );
        assert_eq!(
            (&word["owner"], &word["side"], &word["connection"]["name"]),
            (&json!("operations"), &json!("source"), &json!("Acme shop"))
        );
        let kind = drift_of(&world.acme, "shipping_lines[].price").await;
        assert_eq!(
            (&kind["what"], &kind["value"], &kind["before"], &kind["risk"]),
            (&json!("retyped"), &json!("decimal"), &json!("text"), &json!("high"))
        );
        assert!(kind["flows"][0]["fields"].as_array().unwrap().contains(&json!("shippingCost")), "{kind}");
        let field = drift_of(&world.acme, "delivery_promise").await;
        assert_eq!((&field["what"], &field["risk"], &field["flows"]), (&json!("new_field"), &json!("low"), &json!([])));
        let tax = drift_of(&world.acme, "line_items[].tax_lines[].title").await;
        assert_eq!((&tax["what"], &tax["value"], &tax["risk"]), (&json!("new_tax_code"), &json!("Eco levy"), &json!("medium")));
        assert!(tax["before"].as_str().unwrap().contains("State tax"), "{tax}");

        // It was sent all the same, and the message that shows it is named.
        let accepted = i64::try_from(LEARNED).unwrap() + 1;
        assert_eq!(world.acme.rest(accepted, PATIENCE).await.unwrap().delivery("confirmed"), accepted);
        let shown = world
            .acme
            .client
            .ask("query($id: ID!) { node(id: $id) { ... on Message { body } } }", json!({"id": word["exampleMessageId"]}));
        assert!(shown.await.unwrap()["node"]["body"].as_str().unwrap().contains("split"));

        // What it is worth: all orders of the week, by currency.
        let total: f64 =
            serde_json::from_slice::<Value>(&sample::order(0)).unwrap()["total_price"].as_str().unwrap().parse().unwrap();
        let week = total * accepted as f64 / 7.0;
        eventually("the volume", async || {
            let drift = drift_of(&world.acme, "financial_status").await;
            let records = drift["recordsPerDay"].as_f64().unwrap();
            let amount: f64 = drift["moneyPerDay"][0]["amount"].as_str()?.parse().unwrap();
            let is_it = (records - accepted as f64 / 7.0).abs() < 0.01 && (amount - week).abs() < 0.02;
            (is_it && drift["moneyPerDay"][0]["currency"] == "USD").then_some(())
        })
        .await;

        // What was taken is known too.
        let taken = eventually("the destination's profile", async || {
            let profile = profile(&world.acme.client, &world.acme.destination, "destination").await;
            (profile["documents"] == accepted).then_some(profile)
        })
        .await;
        let paths: Vec<&str> = taken["fields"].as_array().unwrap().iter().map(|field| field["path"].as_str().unwrap()).collect();
        assert!(paths.contains(&"item.items[].rate"), "{paths:?}");
        let said = profile(&world.acme.client, &world.acme.source, "source").await.to_string();
        assert!(
            said.contains("State tax") && !said.contains("ada@example.com") && !said.contains("Byron"),
            "no person is in a profile"
        );

        // Accepted, it is said once and no more, and the audit has it.
        world.acme.client.ask(ACCEPT, json!({"id": word["id"]})).await.unwrap();
        assert!(world.acme.client.ask(ACCEPT, json!({"id": word["id"]})).await.is_err(), "it is accepted already");
        assert_eq!(drifts(&world.acme.client, "accepted").await[0]["id"], word["id"]);
        let audit = world
            .acme
            .client
            .ask("query($id: ID!) { auditEvents(subjectId: $id) { nodes { action } } }", json!({"id": word["id"]}));
        assert_eq!(
            audit.await.unwrap()["auditEvents"]["nodes"],
            json!([{"action": "drift.accepted"}, {"action": "drift.raised"}])
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_only_a_tenants_own_rule_reads_is_told_with_its_flow() {
    watching(async |world| {
        let reads = json!([{"to": "po_number", "from": "total_weight", "as": "text"}]);
        publish(&world.acme.client, &world.acme.flow, json!({"sourceMapping": reads})).await;
        learn(world).await;
        let odd = changed(100, |order| order["total_weight"] = json!("heavy"));
        world.acme.shop.send("orders/create", Uuid::new_v4(), odd).await.unwrap();
        let kind = drift_of(&world.acme, "total_weight").await;
        assert_eq!((&kind["what"], &kind["value"], &kind["risk"]), (&json!("retyped"), &json!("text"), &json!("high")));
        assert_eq!(kind["flows"], json!([{"flow": {"name": "orders: shopify to netsuite"}, "fields": ["otherRefNum"]}]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_that_is_held_lets_no_new_word_through_until_a_person_accepts_it() {
    watching(async |world| {
        learn(world).await;
        let client = &world.acme.client;
        let input =
            json!({"connectionId": world.acme.source, "recordKind": "order", "field": "financial_status", "policy": "hold"});
        let set = client.ask(POLICY, json!({"i": input})).await.unwrap();
        assert_eq!(set["driftPolicySet"]["policies"], json!([{"field": "financial_status", "policy": "hold"}]));
        let split = |n| changed(n, |order| order["financial_status"] = json!("split"));
        world.acme.shop.send("orders/create", Uuid::new_v4(), split(100)).await.unwrap();
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(101)).await.unwrap();
        let sent = i64::try_from(LEARNED).unwrap();
        let ledger = world.acme.rest(sent + 2, PATIENCE).await.unwrap();
        assert_eq!(
            (ledger.message("exception"), ledger.delivery("confirmed")),
            (1, sent + 1),
            "the other order is not held: {ledger:?}"
        );

        let groups = client.exception_groups().await.unwrap();
        assert_eq!(
            (&groups[0]["code"], &groups[0]["value"], &groups[0]["owner"]),
            (&json!("drift.new_value"), &json!("split"), &json!("operations"))
        );
        assert_eq!(groups[0]["cause"], "The field financial_status has the value \"split\", which it never had before.");
        let cause = groups[0]["causeKey"].as_str().unwrap();
        // The notice is there with the exception, and the one shows the other.
        let open = drifts(client, "open").await;
        assert_eq!((open.len(), &open[0]["field"], &open[0]["risk"]), (1, &json!("financial_status"), &json!("high")));
        let exceptions = client.ask("{ exceptions(state: \"open\") { nodes { messageId } } }", json!({})).await.unwrap();
        assert_eq!(exceptions["exceptions"]["nodes"][0]["messageId"], open[0]["exampleMessageId"]);

        // Retry alone sends nothing wrong either, and raises nothing twice.
        assert_eq!(client.exception_retry(cause).await.unwrap(), 1);
        let ledger = world.acme.rest(sent + 2, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("exception"), ledger.delivery("confirmed")), (1, sent + 1));
        assert_eq!(drifts(client, "open").await.len(), 1);

        client.ask(ACCEPT, json!({"id": open[0]["id"]})).await.unwrap();
        assert_eq!(client.exception_retry(cause).await.unwrap(), 1);
        world.acme.shop.send("orders/create", Uuid::new_v4(), split(102)).await.unwrap();
        let ledger = world.acme.rest(sent + 3, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("exception"), ledger.delivery("confirmed")), (0, sent + 3), "{ledger:?}");
        assert!(drifts(client, "open").await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tenant_sees_or_changes_anothers_drift() {
    watching(async |world| {
        learn(world).await;
        let odd = changed(100, |order| order["financial_status"] = json!("split"));
        world.acme.shop.send("orders/create", Uuid::new_v4(), odd).await.unwrap();
        let raised = drift_of(&world.acme, "financial_status").await;
        world.platform.user_create(OTHER, PASSWORD).await.unwrap();
        let other = Client::new(&world.platform.url).sign_in(OTHER, PASSWORD).await.unwrap();
        let own = other.tenant_create("other").await.unwrap();
        let other = other.of_tenant(&own);
        assert!(drifts(&other, "open").await.is_empty());
        assert_eq!(profile(&other, &world.acme.source, "source").await, Value::Null);
        let node = "query($id: ID!) { node(id: $id) { ... on Drift { field } } }";
        let seen = async |client: &Client| client.ask(node, json!({"id": raised["id"]})).await.unwrap()["node"].take();
        assert_eq!((seen(&other).await, seen(&world.acme.client).await), (Value::Null, json!({"field": "financial_status"})));
        let refused = other.ask(ACCEPT, json!({"id": raised["id"]})).await.unwrap_err().to_string();
        assert!(refused.contains("there is no such drift"), "{refused}");
        let input = json!({"connectionId": world.acme.source, "recordKind": "order", "field": "*", "policy": "pass"});
        let refused = other.ask(POLICY, json!({"i": input})).await.unwrap_err().to_string();
        assert!(refused.contains("there is no such connection"), "{refused}");
        assert_eq!(drifts(&world.acme.client, "open").await.len(), 1);
    })
    .await;
}

/// What a worker gathered of these documents.
fn gathered(documents: &[String]) -> Gatherer {
    let mut gatherer = Gatherer::default();
    for document in documents {
        let arena = Arena::new();
        gatherer.add(Tree::parse(document.as_bytes(), &Limits::DEFAULT, None, &arena).unwrap(), Uuid::now_v7());
    }
    gatherer
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_flush_at_once_count_every_document_and_a_field_that_is_back_resolves_its_notice() {
    let database = Database::create().await.unwrap();
    let mut owner = database.connect().await.unwrap();
    let (tenant, connection) = (TenantId::generate(), ConnectionId::generate());
    sqlx::query("INSERT INTO tenants (id, slug, name) VALUES ($1, 'acme', 'Acme')")
        .bind(tenant.0)
        .execute(&mut owner)
        .await
        .unwrap();
    let connections = "INSERT INTO connections (id, tenant_id, connector, name, hook_token) VALUES ($1, $2, 'x', 'X', 't')";
    sqlx::query(connections).bind(connection.0).bind(tenant.0).execute(&mut owner).await.unwrap();
    let store = Store::connect(&database.app_url, 8).await.unwrap();
    let scope = Scope::system(tenant, "drift");
    let place = DriftPlace { connection, kind: RecordKind::Order, side: Side::Source };
    let now: DateTime<Utc> = "2026-11-27T12:00:00Z".parse().unwrap();
    let flush = async |documents: &[String], hours: i64| {
        let (gatherer, now) = (gathered(documents), now + chrono::Duration::hours(hours));
        let mut volume = Volume::default();
        volume.add(None);
        let store = store.within(&scope);
        store
            .drift_flush(Catalog::embedded(), &Learning::default(), &[(place, &gatherer)], &[(place, &volume)], now)
            .await
            .unwrap()
    };
    let documents = |count: usize, text: &str| -> Vec<String> { vec![text.to_owned(); count] };
    let (usual, without) = (r#"{"state": "paid", "total": "1.50"}"#, r#"{"state": "paid"}"#);

    let ten = documents(10, usual);
    let flushes = futures::future::join_all((0..8).map(|_| flush(&ten, 0))).await;
    assert!(flushes.iter().all(|flushed| *flushed == Flushed::default()));
    flush(&ten, 25).await;
    let known = store.within(&scope).drift_profile(place).await.unwrap().unwrap();
    assert_eq!((known.all.documents, known.baseline.established_at.is_some()), (90, true));

    // Two workers see it at once, and it is one notice.
    let ten = documents(10, without);
    let raised: usize =
        futures::future::join_all((0..4).map(|_| flush(&ten, 26))).await.iter().map(|flushed| flushed.raised).sum();
    assert_eq!(raised, 1);
    assert_eq!(flush(&documents(1, usual), 27).await, Flushed { raised: 0, resolved: 1 });
    let list = async |state: &str| {
        let page =
            store.within(&scope).page::<drift::Entity>(filter::drift_state(Some(state.to_owned())), None, 10).await.unwrap();
        page.rows.into_iter().map(|row| (row.id, row.what, row.path)).collect::<Vec<_>>()
    };
    let resolved = list("resolved").await;
    assert_eq!((resolved[0].1.as_str(), resolved[0].2.as_str()), ("vanished", "total"));
    assert_eq!(store.within(&scope).drift_accept(resolved[0].0).await.unwrap(), Accepted::Closed);

    // What is passed is not said; what is accepted is not said again.
    let new = r#"{"state": "paid", "total": "1.50", "extra": {"a": 1}, "other": 1}"#;
    let set = store.within(&scope).drift_policy_set(connection, RecordKind::Order, "extra", Policy::Pass).await;
    assert_eq!(set.unwrap(), Some(true));
    assert_eq!(flush(&documents(1, new), 28).await.raised, 1);
    let open = list("open").await;
    assert_eq!((open.len(), open[0].2.as_str()), (1, "other"));
    assert_eq!(store.within(&scope).drift_accept(open[0].0).await.unwrap(), Accepted::Done);
    assert_eq!(flush(&documents(1, new), 29).await.raised, 0);
    assert_eq!(store.within(&scope).drift_accept(Uuid::now_v7()).await.unwrap(), Accepted::NotFound);
    store.close().await;
    drop(owner);
    database.drop().await.unwrap();
}
