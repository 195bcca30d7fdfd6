//! Order to cash: what was ordered, shipped and billed is compared, and what disagrees is an exception until it agrees.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Client;
use tests::simulator::own::OwnSystem;

use crate::world;

const PATIENCE: Duration = Duration::from_secs(60);

const SET: &str =
    "mutation($i: MatchPolicyInput!) { matchPolicySet(input: $i) { matchPolicy { amount } userErrors { field message } } }";

/// The open exceptions' sentences.
async fn open(client: &Client) -> Vec<String> {
    let data = client.ask("{ exceptions(state: \"open\") { nodes { sentence } } }", json!({})).await.unwrap();
    let sentence = |node: &Value| node["sentence"].as_str().unwrap().to_owned();
    data["exceptions"]["nodes"].as_array().unwrap().iter().map(sentence).collect()
}

/// Waits until these are open and no others.
async fn opens(client: &Client, expected: &[&str]) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut open = open(client).await;
        open.sort();
        if open == expected {
            return;
        }
        assert!(Instant::now() < deadline, "expected {expected:?}, open are {open:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until everything that changed was compared.
async fn compared(connection: &mut sqlx::postgres::PgConnection, left: i64) {
    let deadline = Instant::now() + PATIENCE;
    let due = "SELECT count(*) FROM match_dues";
    while sqlx::query_scalar::<_, i64>(due).fetch_one(&mut *connection).await.unwrap() != left {
        assert!(Instant::now() < deadline, "not everything was compared");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn order(quantity: &str) -> Value {
    json!({"source_id": "O-1", "number": "#1042", "status": "open", "currency": "USD", "taxes_included": false,
           "lines": [{"source_id": "10", "sku": "HAT", "quantity": quantity, "unit_price": "10.00"}], "totals": {"grand": "120.00"}})
}

fn shipment(number: &str, quantity: &str) -> Value {
    json!({"source_id": number, "number": number, "status": "shipped", "order": {"number": "1042"},
           "lines": [{"sku": "hat", "quantity": quantity}]})
}

fn invoice(quantity: &str, grand: &str) -> Value {
    json!({"source_id": "INV-7", "number": "INV-7", "kind": "invoice", "status": "open", "currency": "USD", "taxes_included": false,
           "order": {"number": "#1042"}, "lines": [{"sku": "HAT", "quantity": quantity, "unit_price": "10.00"}], "totals": {"grand": grand}})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_billed_and_not_shipped_is_an_exception_that_closes_itself_when_the_rest_is_shipped() {
    world(async |world| {
        let client = &world.acme.client;
        let mut database = world.platform.database.connect().await.unwrap();
        let (shop, warehouse) =
            (OwnSystem::connect(client, "Own shop").await.unwrap(), OwnSystem::connect(client, "Warehouse").await.unwrap());
        let books = OwnSystem::connect(client, "Books").await.unwrap();
        // Nobody asked for it yet: nothing is compared.
        assert_eq!(warehouse.send("shipment", shipment("S0", "99")).await.unwrap(), 200);
        world.acme.rest(1, PATIENCE).await.unwrap();
        compared(&mut database, 0).await;
        let refused = client.raw(SET, json!({"i": {"amountPercent": "101"}})).await.unwrap();
        assert_eq!(refused["data"]["matchPolicySet"]["userErrors"][0]["field"], json!(["input", "amountPercent"]), "{refused}");
        client.ask(SET, json!({"i": {"amount": "0.05"}})).await.unwrap();
        // What came before is compared too; its order is waited for, and comes later.
        compared(&mut database, 1).await;
        assert_eq!(warehouse.send("shipment", shipment("S0", "0")).await.unwrap(), 200);
        assert_eq!(shop.send("order", order("12")).await.unwrap(), 200);
        world.acme.rest(3, PATIENCE).await.unwrap();
        // As who asks for it: a comparison that is under way, and did not see the order yet, leaves it due.
        sqlx::query("UPDATE match_dues SET asked = asked + 1, tries = 0, due_at = now()").execute(&mut database).await.unwrap();
        compared(&mut database, 0).await;
        assert!(open(client).await.is_empty());

        assert_eq!(warehouse.send("shipment", shipment("S1", "10")).await.unwrap(), 200);
        world.acme.rest(4, PATIENCE).await.unwrap();
        assert_eq!(books.send("invoice", invoice("12", "120.04")).await.unwrap(), 200);
        let too_much = "Invoice INV-7 bills 12 of HAT, but only 10 were shipped.";
        opens(client, &[too_much]).await;
        let group = &client.exception_groups().await.unwrap()[0];
        assert_eq!(
            (&group["code"], &group["owner"], &group["value"]),
            (&json!("match.billed_not_shipped"), &json!("operations"), &json!("HAT"))
        );
        // It stands in the timeline of the order.
        let query = "{ search(text: \"#1042\", first: 1) { record { kind timeline(first: 100) { nodes { what sentence } } } } }";
        let data = client.ask(query, json!({})).await.unwrap();
        let told = data["search"][0]["record"]["timeline"]["nodes"].as_array().unwrap();
        assert!(told.contains(&json!({"what": "exception.opened", "sentence": too_much})), "{told:#?}");

        assert_eq!(warehouse.send("shipment", shipment("S2", "2")).await.unwrap(), 200);
        opens(client, &[]).await;
        let data = client.ask("{ exceptions(state: \"resolved\") { nodes { sentence resolution } } }", json!({})).await.unwrap();
        assert_eq!(data["exceptions"]["nodes"][0]["resolution"], "The documents do not say that any more");

        // The order is changed after it was shipped: now too much has left, and more was billed.
        assert_eq!(shop.send("order", order("11")).await.unwrap(), 200);
        let shipped = "Shipments S1 and S2 together sent 12 of HAT, but only 11 were ordered in #1042.";
        let billed = "Invoice INV-7 bills 12 of HAT, but only 11 were ordered in #1042.";
        opens(client, &[billed, shipped]).await;

        // Nobody wants it any more: what is open is closed, and nothing more is found.
        let remove = "mutation { matchPolicyRemove { done resolved userErrors { code } } }";
        let removed = client.ask(remove, json!({})).await.unwrap();
        assert_eq!(removed["matchPolicyRemove"], json!({"done": true, "resolved": 2, "userErrors": []}));
        assert!(open(client).await.is_empty());
        assert_eq!(shop.send("order", order("9")).await.unwrap(), 200);
        world.acme.rest(8, PATIENCE).await.unwrap();
        compared(&mut database, 0).await;
        assert!(open(client).await.is_empty());
        assert_eq!(client.ask("{ matchPolicy { amount } }", json!({})).await.unwrap()["matchPolicy"], Value::Null);
        let again = client.raw(remove, json!({})).await.unwrap();
        assert_eq!(again["data"]["matchPolicyRemove"]["userErrors"], json!([{"code": "NOT_FOUND"}]));
        client.ask(SET, json!({"i": {"amount": "0.05"}})).await.unwrap();
        opens(
            client,
            &[
                "Invoice INV-7 bills 12 of HAT, but only 9 were ordered in #1042.",
                "Shipments S1 and S2 together sent 12 of HAT, but only 9 were ordered in #1042.",
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_leaves_stays_left_and_what_is_retried_is_compared_again() {
    world(async |world| {
        let client = &world.acme.client;
        let mut database = world.platform.database.connect().await.unwrap();
        let books = OwnSystem::connect(client, "Books").await.unwrap();
        client.ask(SET, json!({"i": {"billsAfterShipping": false}})).await.unwrap();
        assert_eq!(books.send("order", order("12")).await.unwrap(), 200);
        world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!(books.send("invoice", invoice("13", "130.00")).await.unwrap(), 200);
        let quantity = "Invoice INV-7 bills 13 of HAT, but only 12 were ordered in #1042.";
        let total = "Invoice INV-7 bills 130.00 USD, and order #1042 comes to 120.00 USD.";
        opens(client, &[quantity, total]).await;
        for group in client.exception_groups().await.unwrap() {
            let (cause, is_total) = (group["causeKey"].as_str().unwrap().to_owned(), group["code"] == "match.total");
            if is_total {
                assert_eq!(client.exception_retry(&cause).await.unwrap(), 1);
            } else {
                let query = "mutation($k: String!) { exceptionIgnore(input: {causeKey: $k}, reason: \"a present\") { count } }";
                client.ask(query, json!({"k": cause})).await.unwrap();
            }
        }
        // The one is compared again and found again; the other was decided.
        opens(client, &[total]).await;
        let mut same = invoice("13", "130.00");
        same["note"] = json!("only a word was changed");
        assert_eq!(books.send("invoice", same).await.unwrap(), 200);
        world.acme.rest(3, PATIENCE).await.unwrap();
        compared(&mut database, 0).await;
        assert_eq!(open(client).await, [total]);
        // Other numbers are another matter.
        assert_eq!(books.send("invoice", invoice("14", "120.00")).await.unwrap(), 200);
        opens(client, &["Invoice INV-7 bills 14 of HAT, but only 12 were ordered in #1042."]).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purchase_order_is_matched_too_and_what_was_received_and_never_billed_is_told_in_time() {
    world(async |world| {
        let client = &world.acme.client;
        let mut database = world.platform.database.connect().await.unwrap();
        let books = OwnSystem::connect(client, "Books").await.unwrap();
        let warehouse = OwnSystem::connect(client, "Warehouse").await.unwrap();
        client.ask(SET, json!({"i": {"billWithinDays": 14}})).await.unwrap();
        let refused = client.raw(SET, json!({"i": {"billWithinDays": 0}})).await.unwrap();
        assert_eq!(refused["data"]["matchPolicySet"]["userErrors"][0]["field"], json!(["input", "billWithinDays"]), "{refused}");
        let ordered = json!({"source_id": "7001", "number": "PO-77", "status": "submitted", "vendor": {"name": "Hatters Ltd"}, "currency": "USD",
            "lines": [{"source_id": "1", "sku": "FELT", "quantity": "20", "unit_cost": "3.00"}], "totals": {"grand": "60.00"}});
        assert_eq!(books.send("purchase_order", ordered).await.unwrap(), 200);
        world.acme.rest(1, PATIENCE).await.unwrap();
        let received = |day: i64| {
            let at = (chrono::Utc::now() - chrono::TimeDelta::days(day)).to_rfc3339();
            json!({"source_id": "R-1", "number": "R-1", "status": "delivered", "shipped_at": at, "order": {"number": "PO-77"},
                   "lines": [{"sku": "FELT", "quantity": "20"}]})
        };
        // There is time until the fourteenth day, and what waits for it is not forgotten.
        assert_eq!(warehouse.send("shipment", received(3)).await.unwrap(), 200);
        world.acme.rest(2, PATIENCE).await.unwrap();
        let later = "SELECT count(*) FROM match_dues WHERE due_at > now() + interval '10 days'";
        let end = Instant::now() + PATIENCE;
        while sqlx::query_scalar::<_, i64>(later).fetch_one(&mut database).await.unwrap() != 1 {
            assert!(Instant::now() < end, "the day is not waited for");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(open(client).await.is_empty());
        assert_eq!(warehouse.send("shipment", received(15)).await.unwrap(), 200);
        opens(client, &["Shipment R-1 sent 20 of FELT, but none was billed within 14 days."]).await;
        let bill = json!({"source_id": "B-9", "number": "B-9", "kind": "invoice", "status": "open", "currency": "USD", "taxes_included": false,
            "order": {"source_id": "7001"}, "lines": [{"sku": "FELT", "quantity": "20", "unit_price": "3.50"}], "totals": {"grand": "70.00"}});
        assert_eq!(books.send("invoice", bill).await.unwrap(), 200);
        opens(
            client,
            &["Invoice B-9 bills 70.00 USD, and order PO-77 comes to 60.00 USD.", "Invoice B-9 bills FELT at 3.50, and it was ordered at 3.00."],
        )
        .await;
    })
    .await;
}
