//! What is deleted at its source: its record says so, what waits of it is not sent, and nothing is believed that would empty a whole list.

use domain::record::RecordKind;
use domain::value::{Limits, Value as Document};
use serde_json::{Value, json};
use tests::client::Client;
use tests::platform::Options;
use tests::simulator::own::OwnSystem;
use tests::vendor::Vendor;

use crate::{World, eventually, world, world_with};

const RECORDS: &str = "{ records(first: 100) { nodes { id connectionId sourceId revision deletedAt } } }";

async fn records(client: &Client, connection: &str) -> Vec<Value> {
    let data = client.ask(RECORDS, json!({})).await.unwrap();
    let records = data["records"]["nodes"].as_array().unwrap();
    records.iter().filter(|record| record["connectionId"] == connection).cloned().collect()
}

/// The ids there of those that are told to be deleted, in their order.
async fn deleted(client: &Client, connection: &str) -> Vec<String> {
    let records = records(client, connection).await.into_iter().filter(|record| record["deletedAt"].is_string());
    let mut ids: Vec<String> = records.map(|record| record["sourceId"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

fn order(id: &str, sku: &str) -> Value {
    json!({"source_id": id, "number": format!("#{id}"), "status": "open", "currency": "EUR", "taxes_included": false,
        "customer": {"email": "buyer@example.com", "name": "Buyer"}, "totals": {"grand": "10.00"},
        "lines": [{"source_id": "1", "sku": sku, "quantity": "1", "unit_price": "10.00"}]})
}

async fn pause(world: &World, act: &str) {
    let act = format!("mutation($id: ID!) {{ {act}(id: $id) {{ userErrors {{ message }} }} }}");
    world.acme.client.ask(&act, json!({"id": world.acme.destination})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_of_a_deleted_thing_is_not_sent_its_exception_closes_and_it_may_come_back() {
    world(async |world| {
        let client = world.acme.client.clone();
        let shop = OwnSystem::connect(&client, "Own shop").await.unwrap();
        client.flow_publish("own orders", &shop.connection, &world.acme.destination, json!({})).await.unwrap();
        // One that was sent, one whose code nobody knows, and one that waits.
        for (id, sku) in [("sent", "TEE-M"), ("stopped", "NOBODY-KNOWS")] {
            assert_eq!(shop.send("order", order(id, sku)).await.unwrap(), 200);
        }
        let counts = async || {
            let ledger = client.ledger().await.unwrap();
            ["confirmed", "exception", "planned", "superseded"].map(|state| ledger.delivery(state))
        };
        eventually("one is sent and one is stopped", async || (counts().await == [1, 1, 0, 0]).then_some(())).await;
        pause(world, "connectionPause").await;
        assert_eq!(shop.send("order", order("waits", "TEE-M")).await.unwrap(), 200);
        eventually("one waits", async || (counts().await == [1, 1, 1, 0]).then_some(())).await;

        // One that nobody could read: it never became a record.
        assert_eq!(shop.send("order", json!({"source_id": "unread", "status": "open"})).await.unwrap(), 200);
        eventually("it is stopped, too", async || (client.exception_groups().await.unwrap().len() > 1).then_some(())).await;
        for id in ["sent", "stopped", "waits", "never-heard-of", "unread"] {
            assert_eq!(shop.send("order", json!({"source_id": id, "deleted": true})).await.unwrap(), 200);
        }
        eventually("all are told to be deleted", async || {
            (deleted(&client, &shop.connection).await == ["sent", "stopped", "waits"]).then_some(())
        })
        .await;
        assert_eq!(counts().await, [1, 0, 0, 2]);
        let ledger = eventually("those that never were records are ignored", async || {
            Some(client.ledger().await.unwrap()).filter(|ledger| ledger.message("ignored") == 2)
        })
        .await;
        assert_eq!((ledger.message("mapped"), ledger.message("stale")), (6, 1), "{ledger:?}");
        assert!(client.exception_groups().await.unwrap().is_empty());
        let all = records(&client, &shop.connection).await;
        let waits = all.iter().find(|record| record["sourceId"] == "waits").unwrap();
        let timeline = "query($id: ID!) { record(id: $id) { timeline(first: 50) { nodes { sentence } } } }";
        let data = client.ask(timeline, json!({"id": waits["id"]})).await.unwrap();
        let told: Vec<&str> = data["record"]["timeline"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["sentence"].as_str().unwrap())
            .collect();
        assert!(told.contains(&"It is deleted at its source; what was not sent yet is not sent."), "{told:?}");

        // It is there again and says what it said before: that is news.
        assert_eq!(shop.send("order", order("waits", "TEE-M")).await.unwrap(), 200);
        pause(world, "connectionResume").await;
        eventually("it is sent after all", async || (counts().await == [2, 0, 0, 2]).then_some(())).await;
        assert_eq!(deleted(&client, &shop.connection).await, ["sent", "stopped"]);
        // A deletion that comes late, told again, changes nothing twice.
        assert_eq!(shop.send("order", json!({"source_id": "sent", "deleted": true, "again": 1})).await.unwrap(), 200);
        eventually("it was known", async || (client.ledger().await.unwrap().message("ignored") == 3).then_some(())).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_deleted_while_it_was_ignored_is_not_opened_again() {
    world(async |world| {
        let client = world.acme.client.clone();
        let shop = OwnSystem::connect(&client, "Own shop").await.unwrap();
        client.flow_publish("own orders", &shop.connection, &world.acme.destination, json!({})).await.unwrap();
        // One whose code nobody knows, and one that nobody could read: it never became a record.
        assert_eq!(shop.send("order", order("stopped", "NOBODY-KNOWS")).await.unwrap(), 200);
        assert_eq!(shop.send("order", json!({"source_id": "unread", "status": "open"})).await.unwrap(), 200);
        eventually("both are stopped", async || (client.exception_groups().await.unwrap().len() == 2).then_some(())).await;
        let data = client.ask("{ exceptions(state: \"open\") { nodes { id } } }", json!({})).await.unwrap();
        let ids: Vec<&Value> = data["exceptions"]["nodes"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
        let ignore = "mutation($i: ExceptionSelectionInput!) { exceptionIgnore(input: $i, reason: \"a slip\") { count } }";
        assert_eq!(client.ask(ignore, json!({"i": {"ids": ids}})).await.unwrap()["exceptionIgnore"]["count"], 2);
        for id in ["stopped", "unread"] {
            assert_eq!(shop.send("order", json!({"source_id": id, "deleted": true})).await.unwrap(), 200);
        }
        eventually("both are told to be deleted", async || {
            let ignored = client.ledger().await.unwrap().message("ignored");
            (ignored == 2 && deleted(&client, &shop.connection).await == ["stopped"]).then_some(())
        })
        .await;
        let reopen = "mutation($i: ExceptionSelectionInput!) { exceptionReopen(input: $i) { count stay { code count } } }";
        let reopened = client.ask(reopen, json!({"i": {"ids": ids}})).await.unwrap();
        assert_eq!(reopened["exceptionReopen"], json!({"count": 0, "stay": [{"code": "deleted", "count": 2}]}));
    })
    .await;
}

/// A desk whose customers are all listed each time.
struct Desk {
    client: Client,
    vendor: Vendor,
    connection: String,
    poll: String,
}

impl Desk {
    async fn open(world: &World, customers: u32) -> Self {
        let client = world.acme.client.clone();
        let vendor = Vendor::start("harbor-desk").await;
        let (connection, _) =
            client.connection_create("harbor-desk", "Desk", vendor.settings.clone(), vendor.credential.clone()).await.unwrap();
        let desk = Self { client, vendor, connection, poll: String::new() };
        (1..=customers).for_each(|id| desk.put(id));
        let set = "mutation($i: PollSetInput!) { pollSet(input: $i) { poll { id } userErrors { message } } }";
        let input = json!({"connectionId": desk.connection, "recordKind": "customer", "everyS": 86_400});
        let data = desk.client.ask(set, json!({"i": input})).await.unwrap();
        let desk = Self { poll: data["pollSet"]["poll"]["id"].as_str().unwrap().to_owned(), ..desk };
        let customers = usize::try_from(customers).unwrap();
        eventually("all are here", async || (records(&desk.client, &desk.connection).await.len() == customers).then_some(()))
            .await;
        eventually("the first read ends", async || Some(desk.look().await).filter(|poll| poll["readAt"].is_string())).await;
        desk
    }

    fn put(&self, id: u32) {
        let customer = json!({"id": id, "name": format!("Customer {id}")});
        let customer = Document::parse(customer.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        let now = self.vendor.served.now();
        self.vendor.served.simulator().put_record(RecordKind::Customer, customer, now);
    }

    fn remove(&self, id: u32) {
        assert!(self.vendor.served.simulator().remove(RecordKind::Customer, &id.to_string()));
    }

    async fn look(&self) -> Value {
        let data = self.client.ask("{ polls { nodes { id readAt failures failure } } }", json!({})).await.unwrap();
        data["polls"]["nodes"].as_array().unwrap().iter().find(|poll| poll["id"] == self.poll.as_str()).unwrap().clone()
    }

    async fn ask_now(&self) {
        let resume = "mutation($id: ID!) { pollResume(id: $id) { userErrors { message } } }";
        self.client.ask(resume, json!({"id": self.poll})).await.unwrap();
    }

    /// Reads now, and waits until a read has come to its end.
    async fn read(&self) {
        let before = self.look().await["readAt"].clone();
        self.ask_now().await;
        eventually("the desk is read", async || Some(self.look().await).filter(|poll| poll["readAt"] != before)).await;
    }

    async fn deleted(&self) -> Vec<String> {
        deleted(&self.client, &self.connection).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_two_whole_reads_do_not_list_is_deleted_and_what_is_listed_again_is_back() {
    world_with(Options { has_own_connectors: true, ..Options::default() }, async |world| {
        let desk = Desk::open(world, 5).await;
        desk.remove(2);
        desk.remove(4);
        desk.read().await;
        // One read may have missed them while its pages were turned.
        assert!(desk.deleted().await.is_empty());
        desk.put(4);
        desk.read().await;
        eventually("one is deleted", async || (desk.deleted().await == ["2"]).then_some(())).await;
        desk.read().await;
        assert_eq!(desk.deleted().await, ["2"]);

        desk.put(2);
        desk.read().await;
        eventually("it is back", async || desk.deleted().await.is_empty().then_some(())).await;
        let back = records(&desk.client, &desk.connection).await.into_iter().find(|record| record["sourceId"] == "2").unwrap();
        assert_eq!(back["revision"], 2, "{back}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_is_suddenly_empty_deletes_nothing_and_is_told() {
    world_with(Options { has_own_connectors: true, ..Options::default() }, async |world| {
        let desk = Desk::open(world, 30).await;
        (1..=30).for_each(|id| desk.remove(id));
        for failures in 1..=3 {
            desk.ask_now().await;
            eventually("it is not believed", async || Some(desk.look().await).filter(|poll| poll["failures"] == failures)).await;
        }
        let incidents = "{ incidents(open: true) { nodes { code sentence nextStep } } }";
        let data = desk.client.ask(incidents, json!({})).await.unwrap();
        let incident = &data["incidents"]["nodes"][0];
        assert_eq!(incident["code"], "poll.absent", "{data}");
        let sentence = "30 of 30 things of the kind customer are not listed any more, which is more than is believed; none was marked as deleted";
        assert_eq!(incident["sentence"], sentence);
        assert!(desk.deleted().await.is_empty());

        // It was a fault of theirs.
        (1..=30).for_each(|id| desk.put(id));
        desk.read().await;
        assert!(desk.deleted().await.is_empty());
        let data = desk.client.ask(incidents, json!({})).await.unwrap();
        assert_eq!(data["incidents"]["nodes"], json!([]), "{data}");
    })
    .await;
}
