//! One order is found by whatever id a person has in hand, and its timeline tells all that happened to it, over all systems.

use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Client;
use tests::sample;
use tests::simulator::Fault;
use tests::simulator::own::OwnSystem;
use uuid::Uuid;

use crate::{World, world};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a search finds: by which id, and which record.
async fn search(client: &Client, text: &str) -> Vec<(String, String)> {
    let query = "query($t: String!) { search(text: $t) { matched value isExact record { id kind number sourceId } } }";
    let data = client.ask(query, json!({"t": text})).await.unwrap();
    let hit = |hit: &Value| {
        let how = if hit["isExact"] == json!(true) { "" } else { "~" };
        let number = hit["record"]["number"].as_str().unwrap_or_default();
        (format!("{how}{}", hit["matched"].as_str().unwrap()), format!("{} {number}", hit["record"]["kind"].as_str().unwrap()))
    };
    data["search"].as_array().unwrap().iter().map(hit).collect()
}

fn hits(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(how, what)| ((*how).to_owned(), (*what).to_owned())).collect()
}

async fn order_id(client: &Client, number: &str) -> String {
    let query = "query($t: String!) { search(text: $t, first: 1) { record { id } } }";
    let data = client.ask(query, json!({"t": number})).await.unwrap();
    data["search"][0]["record"]["id"].as_str().unwrap().to_owned()
}

/// The entries of a timeline, page by page.
async fn timeline(client: &Client, record: &str, page: u32) -> Vec<Value> {
    let query = "query($id: ID!, $n: Int, $a: String) { record(id: $id) { timeline(first: $n, after: $a) {
        pageInfo { hasNextPage endCursor }
        nodes { id at what sentence who revision flowVersion deliveryId exceptionId messageId
                call { kind outcome status reason } madeWith { connector lookupTables { name version } } } } } }";
    let (mut entries, mut after) = (Vec::new(), Value::Null);
    loop {
        let data = client.ask(query, json!({"id": record, "n": page, "a": after})).await.unwrap();
        let list = &data["record"]["timeline"];
        entries.extend(list["nodes"].as_array().unwrap().iter().cloned());
        if list["pageInfo"]["hasNextPage"] == json!(false) {
            return entries;
        }
        after = list["pageInfo"]["endCursor"].clone();
    }
}

fn whats(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["what"].as_str().unwrap()).collect()
}

async fn shipped(world: &World) -> OwnSystem {
    let warehouse = OwnSystem::connect(&world.acme.client, "Acme warehouse").await.unwrap();
    let shipment = json!({
        "source_id": "SHP/7", "number": "SHP-7", "status": "shipped", "order": {"number": "#L1"},
        "packages": [{"tracking_number": "1Z 999 AA1 01"}], "lines": [{"sku": "MUG-01", "quantity": "1"}],
    });
    assert_eq!(warehouse.send("shipment", shipment).await.unwrap(), 200);
    warehouse
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_found_by_any_id_that_anybody_has_of_it() {
    world(async |world| {
        for n in [1, 12] {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        world.acme.rest(2, PATIENCE).await.unwrap();
        shipped(world).await;
        world.acme.rest(3, PATIENCE).await.unwrap();
        let client = &world.acme.client;
        let by_number = hits(&[("NUMBER", "order #L1"), ("ORDER_NUMBER", "shipment SHP-7"), ("~NUMBER", "order #L12")]);
        for text in ["#L1", "l1", " #l1 "] {
            assert_eq!(search(client, text).await, by_number, "{text}");
        }
        assert_eq!(search(client, "1z999aa101").await, hits(&[("TRACKING_NUMBER", "shipment SHP-7")]));
        assert_eq!(search(client, "1Z 999 AA1").await, hits(&[("~TRACKING_NUMBER", "shipment SHP-7")]));
        assert_eq!(search(client, "SHP/7").await, hits(&[("EXTERNAL_ID", "shipment SHP-7")]));
        assert_eq!(search(client, "7000000000012").await, hits(&[("EXTERNAL_ID", "order #L12")]), "the shop's id");

        let query = "query($t: String!) { search(text: $t) { record { id deliveries { nodes { id receiptId } } revisions { messageId } } } }";
        let data = client.ask(query, json!({"t": "L12"})).await.unwrap();
        let order = &data["search"][0]["record"];
        let ours = [
            &order["id"],
            &order["deliveries"]["nodes"][0]["id"],
            &order["revisions"][0]["messageId"],
        ];
        for id in ours {
            assert_eq!(search(client, id.as_str().unwrap()).await, hits(&[("OWN_ID", "order #L12")]), "{id}");
        }
        let receipt = order["deliveries"]["nodes"][0]["receiptId"].as_str().unwrap();
        assert!(search(client, receipt).await.contains(&("EXTERNAL_ID".into(), "order #L12".into())), "the ERP's id {receipt}");

        let document = "query($t: String!) { search(text: $t) { record { document } } }";
        let data = client.ask(document, json!({"t": "L12"})).await.unwrap();
        let document: Value = serde_json::from_str(data["search"][0]["record"]["document"].as_str().unwrap()).unwrap();
        let (email, sku) = (document["customer"]["email"].as_str().unwrap(), document["lines"][0]["sku"].as_str().unwrap());
        for (text, how) in [(email.to_uppercase(), "EMAIL"), (sku.to_lowercase(), "SKU")] {
            let found = search(client, &text).await;
            assert!(found.contains(&(how.into(), "order #L12".into())), "{text}: {found:?}");
        }
        for nothing in ["l", "", "someone@example.com", "rec_00000000000000000000000000000000", "no such thing"] {
            assert_eq!(search(client, nothing).await, [], "{nothing}");
        }

        // The address is nowhere in the index, and another tenant with the same order finds its own only.
        let mut connection = world.platform.database.connect().await.unwrap();
        let plain = "SELECT count(*) FROM search_keys WHERE value LIKE '%@%'";
        assert_eq!(sqlx::query_scalar::<_, i64>(plain).fetch_one(&mut connection).await.unwrap(), 0);
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        for text in ["#L1", email, receipt, order["id"].as_str().unwrap()] {
            assert_eq!(search(&other.client, text).await, [], "{text}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_tells_all_that_happened_in_order_and_in_words() {
    world(async |world| {
        let client = &world.acme.client;
        world.erp.fail([Fault::Status(400)]);
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::revised(1, 0)).await.unwrap();
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        let cause = client.exception_groups().await.unwrap()[0]["causeKey"].as_str().unwrap().to_owned();
        client.exception_retry(&cause).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 5)).await.unwrap();
        world.acme.rest(2, PATIENCE).await.unwrap();
        world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 3)).await.unwrap();
        world.acme.rest(3, PATIENCE).await.unwrap();

        let order = order_id(client, "L1").await;
        let entries = timeline(client, &order, 100).await;
        let first = ["message.received", "message.mapped", "delivery.planned", "call.write", "exception.opened"];
        // What a person did: the exception closes and the delivery is tried again.
        let retried = ["exception.resolved", "delivery.retried", "call.write"];
        let second = ["message.received", "message.mapped", "delivery.planned"];
        let told = whats(&entries);
        assert_eq!(told[..8], [&first[..], &retried[..]].concat(), "{entries:#?}");
        assert_eq!(told[8..11], second, "{entries:#?}");
        assert_eq!(told[told.len() - 2..], ["message.received", "message.stale"], "{entries:#?}");
        let sentence = |at: usize| entries[at]["sentence"].as_str().unwrap();
        assert_eq!(sentence(0), "Acme shop told us of it (orders/create, by webhook).");
        assert_eq!(sentence(1), "What Acme shop told became revision 1.");
        assert_eq!(sentence(2), "Revision 1 is to be sent to Acme ERP by version 1 of the flow \"orders: shopify to netsuite\".");
        assert!(sentence(3).starts_with("It was sent to Acme ERP: refused, status 400"), "{}", sentence(3));
        assert!(sentence(4).starts_with("Order #L1 was not confirmed by NetSuite"), "{}", sentence(4));
        let retried = format!("{} tries revision 1 to Acme ERP again.", tests::platform::EMAIL);
        assert_eq!(sentence(6), retried);
        assert!(sentence(7).starts_with("It was sent to Acme ERP: stored, status 2"), "{}", sentence(7));
        assert_eq!(
            (&entries[1]["madeWith"]["connector"], &entries[3]["madeWith"]["connector"]),
            (&json!("shopify"), &json!("netsuite"))
        );
        assert_eq!(entries[3]["madeWith"]["lookupTables"][0]["name"], "SKUs");
        assert!(entries.windows(2).all(|two| two[0]["id"].as_str().unwrap()[4..] < two[1]["id"].as_str().unwrap()[4..]));

        // However small its pages are, it is the same list.
        assert_eq!(timeline(client, &order, 2).await, entries);
        let query = "query($id: ID!) { timeline(recordId: $id) { nodes { id } } }";
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        let data = other.client.ask(query, json!({"id": order})).await.unwrap();
        assert_eq!(data["timeline"]["nodes"], json!([]), "another tenant sees nothing of it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_names_its_shipment_and_that_its_order_where_there_is_no_doubt() {
    world(async |world| {
        let client = &world.acme.client;
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        let warehouse = shipped(world).await;
        world.acme.rest(2, PATIENCE).await.unwrap();
        let related = async |text: &str| {
            let query = "query($t: String!) { search(text: $t, first: 1) { record { related { isReferredTo record { kind number } } } } }";
            let data = client.ask(query, json!({"t": text})).await.unwrap();
            data["search"][0]["record"]["related"].clone()
        };
        assert_eq!(related("#L1").await, json!([{"isReferredTo": false, "record": {"kind": "shipment", "number": "SHP-7"}}]));
        assert_eq!(related("SHP-7").await, json!([{"isReferredTo": true, "record": {"kind": "order", "number": "#L1"}}]));
        // A second order of that number: now nobody knows which of them was shipped.
        let twin = json!({"source_id": "T1", "number": "#L1", "status": "open", "currency": "USD", "taxes_included": false,
                          "lines": [], "totals": {"grand": "0"}});
        assert_eq!(warehouse.send("order", twin).await.unwrap(), 200);
        world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!(related("SHP-7").await, json!([]));
    })
    .await;
}
