//! A delivery that waits says why, since when and until when: as it is, and nothing that is not known.

use std::time::Duration;

use connectors::simulator::Fault;
use serde_json::{Value, json};
use tests::client::Client;
use tests::platform::{Options, SHOP_DOMAIN};
use tests::sample;
use tests::simulator::erp::Erp;
use tests::simulator::shop::Shop;
use uuid::Uuid;

use crate::{World, eventually, world, world_with};

const HOOK_SECRET: &str = "shop-client-secret";
const ASK: &str = "query($f: DeliveryFilterInput) { deliveries(filter: $f, first: 50) { nodes {
    id state revision dueAt settledAt connectionId waiting { reason sentence since until } } } }";

async fn deliveries(client: &Client, filter: Value) -> Vec<Value> {
    client.ask(ASK, json!({"f": filter})).await.unwrap()["deliveries"]["nodes"].as_array().unwrap().clone()
}

/// A delivery of the tenant's, once one waits for this.
async fn waits_for(client: &Client, reason: &str) -> Value {
    eventually(reason, async || deliveries(client, json!({})).await.into_iter().find(|one| one["waiting"]["reason"] == reason))
        .await
}

async fn send(world: &World, n: u64) {
    world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
}

async fn pause(world: &World, act: &str) {
    let pause = format!("mutation($id: ID!) {{ {act}(id: $id) {{ userErrors {{ message }} }} }}");
    let done = world.acme.client.ask(&pause, json!({"id": world.acme.destination})).await.unwrap();
    assert_eq!(done[act]["userErrors"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_says_that_its_destination_is_paused_and_nothing_once_it_is_delivered() {
    world(async |world| {
        pause(world, "connectionPause").await;
        send(world, 1).await;
        let waiting = waits_for(&world.acme.client, "PAUSE").await;
        assert_eq!(waiting["waiting"]["sentence"], "Acme ERP is paused: nothing is sent to it until somebody resumes it.");
        assert!(waiting["waiting"]["since"].is_string() && waiting["waiting"]["until"].is_null(), "{waiting}");
        // One by one as in a list.
        let one = "query($id: ID!) { delivery(id: $id) { waiting { reason since } } }";
        let one = world.acme.client.ask(one, json!({"id": waiting["id"]})).await.unwrap();
        assert_eq!(
            (&one["delivery"]["waiting"]["reason"], &one["delivery"]["waiting"]["since"]),
            (&json!("PAUSE"), &waiting["waiting"]["since"])
        );
        pause(world, "connectionResume").await;
        world.acme.rest(1, Duration::from_secs(60)).await.unwrap();
        let done = deliveries(&world.acme.client, json!({})).await;
        assert_eq!((&done[0]["state"], &done[0]["waiting"]), (&json!("confirmed"), &Value::Null));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_says_that_nobody_knows_whether_it_arrived_and_that_it_was_called_too_often() {
    world(async |world| {
        // A flow whose waits are long enough to be looked at.
        let client = world.platform.sign_in().await.unwrap();
        let client = client.clone().of_tenant(&client.tenant_create("patient").await.unwrap());
        let credential = json!({"hook_secret": HOOK_SECRET});
        let (source, hook) = client.connection_create("shopify", "Shop", json!({"shop": SHOP_DOMAIN}), credential).await.unwrap();
        let (destination, _) =
            client.connection_create("netsuite", "Patient ERP", world.erp.settings(15), Erp::credential()).await.unwrap();
        client.lookup_table_create("SKUs", &sample::skus()).await.unwrap();
        let policy = json!({"attempts_max": 8, "backoff_ms": 3_600_000, "backoff_max_ms": 3_600_000});
        client.flow_publish("orders", &source, &destination, policy).await.unwrap();
        let shop = Shop::new(SHOP_DOMAIN, HOOK_SECRET, &hook);
        for (n, (status, reason)) in [(503, "PROOF"), (429, "LIMIT")].into_iter().enumerate() {
            world.erp.fail([Fault::Status(status)]);
            shop.send("orders/create", Uuid::new_v4(), sample::order(n as u64)).await.unwrap();
            let waits = waits_for(&client, reason).await;
            let told = &waits["waiting"];
            let end = if status == 503 { "that is asked before anything is sent again." } else { "that is no failed try." };
            assert!(told["sentence"].as_str().unwrap().ends_with(end), "{waits}");
            assert!(told["until"].as_str() > told["since"].as_str(), "{waits}");
        }
        assert_eq!(deliveries(&world.acme.client, json!({})).await, Vec::<Value>::new(), "another tenant's are not seen");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_says_which_revision_goes_before_it_and_which_incident_holds_it() {
    world_with(Options { call_timeout_s: 1, ..Options::default() }, async |world| {
        let mut root = world.platform.database.connect().await.unwrap();
        send(world, 1).await;
        world.acme.rest(1, Duration::from_secs(60)).await.unwrap();
        let first = deliveries(&world.acme.client, json!({})).await.remove(0);
        let id: Uuid = first["id"].as_str().unwrap().parse::<domain::id::DeliveryId>().unwrap().0;
        // As if it had stopped, and a later revision had been planned behind it.
        let stop = "UPDATE deliveries SET state = 'exception' WHERE id = $1";
        sqlx::query("ALTER TABLE deliveries DISABLE TRIGGER deliveries_guard").execute(&mut root).await.unwrap();
        sqlx::query(stop).bind(id).execute(&mut root).await.unwrap();
        let later = "INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, state, due_at, sweep_at,
                         origin_at, planned_at, held_by)
                     SELECT gen_random_uuid(), tenant_id, flow_id, flow_version_id, record_id, revision + n, revision_id, connection_id,
                            CASE n WHEN 1 THEN 'planned' ELSE 'held' END, now() + interval '1 hour', now() + interval '1 hour', now(), now(), $2
                     FROM deliveries, generate_series(1, 2) n WHERE id = $1";
        let breaker = "WITH b AS (INSERT INTO breakers (id, tenant_id, connection_id, operation, state, next_at)
                           SELECT gen_random_uuid(), tenant_id, connection_id, 'order.write', 'open', now() + interval '1 hour' FROM deliveries WHERE id = $1
                           RETURNING *)
                       INSERT INTO incidents (id, tenant_id, connection_id, breaker_id, operation, code, sentence, owner, next_step)
                       SELECT gen_random_uuid(), tenant_id, connection_id, id, operation, 'http_503', 'Acme ERP does not answer.', 'vendor', 'Wait.' FROM b
                       RETURNING breaker_id";
        let breaker: Uuid = sqlx::query_scalar(breaker).bind(id).fetch_one(&mut root).await.unwrap();
        sqlx::query(later).bind(id).bind(breaker).execute(&mut root).await.unwrap();
        let all = deliveries(&world.acme.client, json!({"connectionId": world.acme.destination})).await;
        let of = |revision: i64| &all.iter().find(|one| one["revision"] == revision).unwrap()["waiting"];
        assert_eq!(*of(1), Value::Null, "an exception is a person's");
        assert_eq!(of(2)["sentence"], "Revision 1 of this record goes first, and it needs a person: work its exception.");
        assert_eq!((&of(3)["reason"], &of(3)["sentence"]), (&json!("INCIDENT"), &json!("Acme ERP does not answer. It goes by itself once that is over.")));
        assert!(of(3)["until"].is_string());
        assert_eq!(deliveries(&world.acme.client, json!({"connectionId": world.acme.source})).await, Vec::<Value>::new());
    })
    .await;
}
