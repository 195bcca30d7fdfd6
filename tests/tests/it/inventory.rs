//! Inventory: sellers are told what they may offer, and where one offers what is not there an exception says so.

use domain::record::RecordKind;
use serde_json::{Value, json};
use tests::client::Client;
use tests::simulator::own::OwnSystem;
use tests::vendor::Vendor;

use crate::{World, eventually, world};

const SET: &str = "mutation($i: InventoryPolicyInput!) { inventoryPolicySet(input: $i) {
    inventoryPolicy { sellers { connectionId throughConnectionId } } userErrors { field code message } } }";
const ITEMS: &str = "{ inventoryItems(first: 50) { pageInfo { hasNextPage } nodes { sku there reserved free safetyStock riskSince
    places { location onHand available } reservedBy { number quantity } sellers { connectionId free buffer mayOffer told offers } } } }";

/// A warehouse that counts, a shop that takes orders, and a market that sells.
struct Trade {
    client: Client,
    warehouse: OwnSystem,
    shop: OwnSystem,
    market: Vendor,
    /// The market's connection,
    seller: String,
    /// and the one whose records say what it may offer.
    through: String,
}

impl Trade {
    async fn open(world: &World, policy: Value) -> Self {
        let client = world.acme.client.clone();
        let warehouse = OwnSystem::connect(&client, "Warehouse").await.unwrap();
        let shop = OwnSystem::connect(&client, "Own shop").await.unwrap();
        let market = Vendor::of_catalog("http", &["authorization"]).await;
        let (seller, _) =
            client.connection_create("http", "Market", market.settings.clone(), market.credential.clone()).await.unwrap();
        let mut input = json!({"stock": [{"connectionId": warehouse.connection}], "sellers": [{"connectionId": seller, "buffer": "1"}], "graceS": 0});
        input.as_object_mut().unwrap().extend(policy.as_object().unwrap().clone());
        let data = client.ask(SET, json!({"i": input})).await.unwrap();
        let through =
            data["inventoryPolicySet"]["inventoryPolicy"]["sellers"][0]["throughConnectionId"].as_str().unwrap().to_owned();
        Self { client, warehouse, shop, market, seller, through }
    }

    /// A flow that keeps the market's offers right.
    async fn flow(&self) -> String {
        let query = "mutation($i: FlowCreateInput!) { flowCreate(input: $i) { flow { id } userErrors { field message } } }";
        let input = json!({"name": "stock to the market", "recordKind": "inventory_level", "sourceId": self.through, "destinationId": self.seller});
        let data = self.client.ask(query, json!({"i": input})).await.unwrap();
        let id = data["flowCreate"]["flow"]["id"].as_str().unwrap().to_owned();
        let publish = "mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }";
        self.client.ask(publish, json!({"id": id})).await.unwrap();
        id
    }

    async fn count(&self, sku: &str, on_hand: &str, as_of: &str) {
        let level = json!({"source_id": sku, "item": {"sku": sku}, "location": {"code": "MAIN"}, "quantities": {"on_hand": on_hand}, "as_of": as_of});
        assert_eq!(self.warehouse.send("inventory_level", level).await.unwrap(), 200);
    }

    async fn order(&self, number: &str, status: &str, quantity: &str) {
        let order = json!({"source_id": number, "number": format!("#{number}"), "status": status, "currency": "USD", "taxes_included": false,
            "placed_at": "2026-11-27T10:00:00Z", "totals": {"grand": "10.00"},
            "lines": [{"source_id": "1", "sku": "hat", "quantity": quantity, "unit_price": "1.00"}]});
        assert_eq!(self.shop.send("order", order).await.unwrap(), 200);
    }

    async fn item(&self, sku: &str) -> Option<Value> {
        let data = self.client.ask(ITEMS, json!({})).await.unwrap();
        data["inventoryItems"]["nodes"].as_array().unwrap().iter().find(|item| item["sku"] == sku).cloned()
    }

    /// What the market says that it has to sell, and how often it was written.
    fn offered(&self, sku: &str) -> Option<(String, u32)> {
        let stored = self.market.served.simulator().stored(RecordKind::InventoryLevel);
        let level =
            stored.into_iter().find(|level| level.value.at("item.sku").and_then(domain::value::Value::as_str) == Some(sku))?;
        let quantity = level.value.at("quantities.available")?.to_text()?.into_owned();
        Some((quantity, level.creates + level.updates))
    }

    /// Waits until the market offers so many, and until that is known here: the market has them before it has said so.
    async fn offers(&self, sku: &str, quantity: &str) {
        let what = format!("the market offers {quantity} of {sku}");
        eventually(&what, async || self.offered(sku).filter(|(offered, _)| offered == quantity)).await;
        let is_known = async || self.item(sku).await.filter(|item| item["sellers"][0]["offers"] == quantity);
        eventually(&format!("it is known that {what}"), is_known).await;
    }

    async fn open_exceptions(&self) -> Vec<String> {
        let data = self.client.ask("{ exceptions(state: \"open\") { nodes { sentence } } }", json!({})).await.unwrap();
        let nodes = data["exceptions"]["nodes"].as_array().unwrap();
        nodes.iter().map(|node| node["sentence"].as_str().unwrap().to_owned()).collect()
    }

    async fn raises(&self, sentences: &[&str]) {
        let what = format!("open are {sentences:?}");
        eventually(&what, async || (self.open_exceptions().await == sentences).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_is_told_what_is_there_less_orders_and_buffers_and_an_older_count_changes_nothing() {
    world(async |world| {
        let trade = Trade::open(world, json!({"safetyStock": "2"})).await;
        trade.flow().await;
        trade.count("HAT", "10", "2026-11-27T11:00:00Z").await;
        trade.offers("HAT", "7").await;
        trade.order("1042", "open", "3").await;
        trade.offers("HAT", "4").await;
        // Counted before, and late: the count of the later moment holds.
        trade.count("HAT", "50", "2026-11-27T10:30:00Z").await;
        let ledger = eventually("the late count is stale", async || {
            Some(trade.client.ledger().await.unwrap()).filter(|ledger| ledger.message("stale") == 1)
        });
        ledger.await;
        trade.order("1042", "cancelled", "3").await;
        trade.offers("HAT", "7").await;

        let item = trade.item("HAT").await.unwrap();
        assert_eq!((&item["there"], &item["reserved"], &item["safetyStock"]), (&json!("10"), &json!("0"), &json!("2")));
        assert_eq!(item["places"], json!([{"location": "MAIN", "onHand": "10", "available": null}]));
        // Kept back from the market of this item: more than of any.
        let kept = "mutation($k: [InventoryKeptInput!]!) { inventoryKeptSet(input: $k) { count userErrors { message } } }";
        trade.client.ask(kept, json!({"k": [{"sku": " hat ", "connectionId": trade.seller, "quantity": "5"}]})).await.unwrap();
        trade.offers("HAT", "3").await;
        trade.client.ask(kept, json!({"k": [{"sku": "HAT", "connectionId": trade.seller}]})).await.unwrap();
        trade.offers("HAT", "7").await;
        // What the market says of it is what it was told; it was written once for each change, and each write has its timeline.
        assert_eq!(trade.offered("HAT").unwrap().1, 5);
        let told = &trade.item("HAT").await.unwrap()["sellers"][0];
        assert_eq!((&told["mayOffer"], &told["told"]), (&json!("7"), &json!("7")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_that_offers_what_is_not_there_raises_one_exception_that_closes_itself() {
    world(async |world| {
        let trade = Trade::open(world, json!({})).await;
        trade.flow().await;
        trade.count("HAT", "10", "2026-11-27T11:00:00Z").await;
        trade.offers("HAT", "9").await;
        // The market takes no writes any more, and somebody else buys: it goes on offering 9.
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        trade.client.ask(pause, json!({"id": trade.seller})).await.unwrap();
        trade.order("1042", "open", "4").await;
        trade.raises(&["Market offers 9 of HAT, but only 6 are free: 4 are reserved by open orders."]).await;
        let group = &trade.client.exception_groups().await.unwrap()[0];
        assert_eq!(
            (&group["code"], &group["owner"], &group["count"]),
            (&json!("inventory.offered_not_there"), &json!("operations"), &json!(1))
        );
        assert!(trade.item("HAT").await.unwrap()["riskSince"].is_string());
        // It says its numbers anew, and stays one.
        trade.order("1043", "open", "1").await;
        trade.raises(&["Market offers 9 of HAT, but only 5 are free: 5 are reserved by open orders."]).await;

        let resume = "mutation($id: ID!) { connectionResume(id: $id) { userErrors { message } } }";
        trade.client.ask(resume, json!({"id": trade.seller})).await.unwrap();
        trade.offers("HAT", "4").await;
        // Whoever does not want to wait for the next look tries it again.
        trade.client.exception_retry(group["causeKey"].as_str().unwrap()).await.unwrap();
        trade.raises(&[]).await;

        // More was sold than is there: nobody may offer any, and a person is told which orders.
        trade.order("1044", "open", "7").await;
        trade.offers("HAT", "0").await;
        trade.raises(&["Orders #1044, #1042 and #1043 want 12 of HAT, but only 10 are there."]).await;
        trade.count("HAT", "12", "2026-11-27T12:00:00Z").await;
        trade.raises(&[]).await;
        let resolved = trade.client.ask("{ exceptions(state: \"resolved\") { nodes { resolution } } }", json!({})).await.unwrap();
        let nodes = resolved["exceptions"]["nodes"].as_array().unwrap().clone();
        assert!(nodes.contains(&json!({"resolution": "The stock covers it again"})), "{nodes:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_items_stock_one_exception_is_open_whatever_is_opened_again() {
    world(async |world| {
        let trade = Trade::open(world, json!({})).await;
        trade.flow().await;
        trade.count("HAT", "10", "2026-11-27T11:00:00Z").await;
        trade.offers("HAT", "9").await;
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        trade.client.ask(pause, json!({"id": trade.seller})).await.unwrap();
        trade.order("1042", "open", "4").await;
        trade.raises(&["Market offers 9 of HAT, but only 6 are free: 4 are reserved by open orders."]).await;
        let cause = json!({"i": {"causeKey": trade.client.exception_groups().await.unwrap()[0]["causeKey"]}});
        let ignore = "mutation($i: ExceptionSelectionInput!) { exceptionIgnore(input: $i, reason: \"a slip\") { count } }";
        let reopen = "mutation($i: ExceptionSelectionInput!) { exceptionReopen(input: $i) { count stay { code count } } }";
        trade.client.ask(ignore, cause.clone()).await.unwrap();
        trade.order("1043", "open", "1").await;
        let five = "Market offers 9 of HAT, but only 5 are free: 5 are reserved by open orders.";
        trade.raises(&[five]).await;
        let reopened = trade.client.ask(reopen, cause.clone()).await.unwrap();
        assert_eq!(reopened["exceptionReopen"], json!({"count": 0, "stay": [{"code": "open", "count": 1}]}));
        // Of both that were ignored one is open again, and says the numbers of now.
        trade.client.ask(ignore, cause.clone()).await.unwrap();
        let reopened = trade.client.ask(reopen, cause).await.unwrap();
        assert_eq!(reopened["exceptionReopen"], json!({"count": 1, "stay": [{"code": "open", "count": 1}]}));
        trade.raises(&[five]).await;
        trade.order("1044", "open", "1").await;
        trade.raises(&["Market offers 9 of HAT, but only 4 are free: 6 are reserved by open orders."]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_survives_the_death_of_workers_and_is_nobody_elses() {
    world(async |world| {
        let trade = Trade::open(world, json!({})).await;
        trade.flow().await;
        let count = 60;
        for n in 0..count {
            trade.count(&format!("SKU-{n:03}"), "5", "2026-11-27T11:00:00Z").await;
            if n % 20 == 10 {
                if world.platform.options.all_in_one {
                    world.platform.kill_api().await.unwrap();
                    world.platform.start_api().await.unwrap();
                } else {
                    world.platform.kill_worker().await.unwrap();
                    world.platform.start_worker().await.unwrap();
                }
            }
        }
        eventually("each item is offered", async || {
            let stored = trade.market.served.simulator().stored(RecordKind::InventoryLevel);
            (stored.len() == count).then_some(())
        })
        .await;
        // Nothing was told twice.
        let stored = trade.market.served.simulator().stored(RecordKind::InventoryLevel);
        assert!(stored.iter().all(|level| level.creates == 1 && level.updates == 0));

        // Pages follow each other in the order of the SKUs.
        let page = "query($a: String) { inventoryItems(first: 40, sku: \"sku-\", after: $a) { pageInfo { hasNextPage endCursor } nodes { sku } } }";
        let first = trade.client.ask(page, json!({})).await.unwrap()["inventoryItems"].clone();
        assert_eq!((first["nodes"].as_array().unwrap().len(), &first["pageInfo"]["hasNextPage"]), (40, &json!(true)));
        let second = trade.client.ask(page, json!({"a": first["pageInfo"]["endCursor"]})).await.unwrap()["inventoryItems"].clone();
        assert_eq!((second["nodes"].as_array().unwrap().len(), &second["nodes"][0]["sku"]), (20, &json!("SKU-040")));
        assert_eq!(second["pageInfo"]["hasNextPage"], json!(false));

        // Another tenant sees none of it, and cannot name these connections.
        let other = world.platform.sign_in().await.unwrap();
        let tenant = other.tenant_create("globex").await.unwrap();
        let other = other.of_tenant(&tenant);
        let seen = other.ask("{ inventoryPolicy { graceS } inventoryItems { nodes { sku } } }", json!({})).await.unwrap();
        assert_eq!(seen, json!({"inventoryPolicy": null, "inventoryItems": {"nodes": []}}));
        let refused = other.raw(SET, json!({"i": {"stock": [{"connectionId": trade.warehouse.connection}]}})).await.unwrap();
        let error = &refused["data"]["inventoryPolicySet"]["userErrors"][0];
        assert_eq!(error["field"], json!(["input", "stock"]), "{refused}");
        // What says nothing sensible is refused with the field at fault.
        for (field, input) in [
            ("stock", json!({"stock": []})),
            ("sellers", json!({"stock": [{"connectionId": trade.warehouse.connection}], "sellers": [{"connectionId": trade.seller, "buffer": "-1"}]})),
            ("graceS", json!({"stock": [{"connectionId": trade.warehouse.connection}], "graceS": 100_000})),
        ] {
            let refused = trade.client.raw(SET, json!({"i": input})).await.unwrap();
            let error = &refused["data"]["inventoryPolicySet"]["userErrors"][0];
            assert_eq!(error["field"], json!(["input", field]), "{refused}");
        }
    })
    .await;
}
