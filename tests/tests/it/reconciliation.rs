//! Nothing is green but wrong: both sides are read and held against the ledger, and what differs is brought, sent again or a person's to decide.

use std::time::Duration;

use connectors::simulator::SimRecord;
use domain::record::RecordKind;
use domain::value::{Limits, Value as Document};
use serde_json::{Value, json};
use tests::vendor::Vendor;

use crate::{World, eventually, world_by_hand};

const PATIENCE: Duration = Duration::from_secs(60);

/// A shop and an ERP that nobody told of each other, but by a flow.
pub struct Pair {
    shop: Vendor,
    erp: Vendor,
    pub flow: String,
}

pub async fn pair(world: &World) -> Pair {
    let (shop, erp) =
        (Vendor::of_catalog("http", &["authorization"]).await, Vendor::of_catalog("http", &["authorization"]).await);
    let client = &world.acme.client;
    let (source, _) = client.connection_create("http", "Own shop", shop.settings.clone(), shop.credential.clone()).await.unwrap();
    let (destination, _) =
        client.connection_create("http", "Own ERP", erp.settings.clone(), erp.credential.clone()).await.unwrap();
    let policy = json!({"attempts_max": 8, "backoff_ms": 100, "backoff_max_ms": 1_000});
    let flow = client.flow_publish("own orders", &source, &destination, policy).await.unwrap();
    Pair { shop, erp, flow }
}

impl Pair {
    /// An order at the shop, as a person there makes or changes it. Nobody sends a webhook.
    pub fn order(&self, n: usize, note: &str) {
        self.order_called(&format!("O-{n}"), &format!("#{n}"), note);
    }

    fn order_called(&self, id: &str, number: &str, note: &str) {
        let order = json!({
            "source_id": id, "number": number, "status": "open", "payment_status": "paid",
            "fulfillment_status": "unfulfilled", "currency": "EUR", "placed_at": "2026-11-24T10:15:00Z", "note": note,
            "customer": {"source_id": "K-1", "name": "Kr\u{fc}ger", "email": "k@example.com"},
            "lines": [
                {"source_id": "1", "sku": "HAT", "title": "Hat", "quantity": "2", "unit_price": "10.00", "tax_total": "0.00"},
                {"source_id": "2", "sku": "SCARF", "title": "Scarf", "quantity": "1", "unit_price": "5.50", "tax_total": "0.00"},
            ],
            "taxes_included": false,
            "totals": {"subtotal": "25.50", "shipping": "0.00", "tax": "0.00", "grand": "25.50"},
        });
        let now = self.shop.served.now();
        self.shop.served.simulator().put_record(RecordKind::Order, document(&order), now);
    }

    pub fn stored(&self) -> Vec<SimRecord> {
        self.erp.served.simulator().stored(RecordKind::Order)
    }

    /// Somebody at the ERP changes an order there.
    fn change_there(&self, number: &str, field: &str, value: &str) {
        let record = self.stored().into_iter().find(|order| text(&order.value, "number") == number).unwrap();
        let mut changed: Value = serde_json::from_str(&record.value.to_json()).unwrap();
        changed[field] = value.into();
        let now = self.erp.served.now();
        self.erp.served.simulator().put_record(RecordKind::Order, document(&changed), now);
    }

    fn id_there(&self, number: &str) -> String {
        let record = self.stored().into_iter().find(|order| text(&order.value, "number") == number).unwrap();
        record.id
    }
}

fn document(json: &Value) -> Document {
    Document::parse(json.to_string().as_bytes(), &Limits::DEFAULT).unwrap()
}

pub fn text<'a>(value: &'a Document, field: &str) -> &'a str {
    value.get(field).and_then(Document::as_str).unwrap_or("")
}

/// Reconciles all of the last hour, up to now: a schedule leaves the last minutes to settle. Returns it with its report once it ended.
pub async fn reconcile(world: &World, flow: &str) -> Value {
    let mut connection = world.platform.database.connect().await.unwrap();
    let id = domain::id::ReconciliationId::generate();
    let sql = "INSERT INTO reconciliations (id, tenant_id, flow_id, from_at, until_at, started_by)
               SELECT $1, tenant_id, id, now() - interval '1 hour', now() + interval '1 minute', '{}' FROM flows WHERE id = $2";
    let flow: domain::id::FlowId = flow.parse().unwrap();
    sqlx::query(sql).bind(id.0).bind(flow.0).execute(&mut connection).await.unwrap();
    let query = "query($id: ID!) { reconciliation(id: $id) { state isProof failure report } }";
    eventually("the reconciliation ends", async || {
        let answer = world.acme.client.ask(query, json!({"id": id.to_string()})).await.ok()?;
        let found = answer["reconciliation"].clone();
        matches!(found["state"].as_str(), Some("done" | "failed")).then_some(found)
    })
    .await
}

pub fn counts<const N: usize>(reconciliation: &Value, names: [&str; N]) -> [u64; N] {
    assert_eq!(reconciliation["state"], "done", "{reconciliation}");
    names.map(|name| reconciliation["report"][name].as_u64().unwrap_or_else(|| panic!("{name} of {reconciliation}")))
}

pub async fn health(world: &World, flow: &str) -> Value {
    let query = "query($id: ID!) { flow(id: $id) { health { state openExceptions openDifferences provenUntil } } }";
    world.acme.client.ask(query, json!({"id": flow})).await.unwrap()["flow"]["health"].clone()
}

async fn differences(world: &World) -> Vec<Value> {
    let query =
        "{ differences(filter: {state: \"open\"}) { nodes { id kind sourceId destinationId fields { path ours theirs } } } }";
    let found = world.acme.client.ask(query, json!({})).await.unwrap();
    let mut nodes = found["differences"]["nodes"].as_array().unwrap().clone();
    nodes.sort_by_key(|node| node["kind"].to_string());
    nodes
}

async fn resend(world: &World, ids: &[Value]) -> i64 {
    let mutation = "mutation($ids: [ID!]!) { differenceResend(ids: $ids) { count userErrors { message } } }";
    let done = world.acme.client.ask(mutation, json!({"ids": ids})).await.unwrap();
    done["differenceResend"]["count"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_came_is_brought_and_what_agrees_is_proven() {
    world_by_hand(async |world| {
        let pair = pair(world).await;
        for n in 1..=3 {
            pair.order(n, "as ordered");
        }
        let first = reconcile(world, &pair.flow).await;
        assert_eq!(counts(&first, ["source_listed", "never_came", "confirmed"]), [3, 3, 0]);
        assert_eq!(first["isProof"], false);
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (3, 0), "{ledger:?}");
        assert_eq!(health(world, &pair.flow).await["state"], "UNPROVEN");

        let second = reconcile(world, &pair.flow).await;
        assert_eq!(
            counts(&second, ["source_listed", "destination_listed", "confirmed", "agreed", "never_came", "unchecked"]),
            [3, 3, 3, 3, 0, 0],
            "{second}"
        );
        assert_eq!(second["isProof"], true, "{second}");
        let compared = second["report"]["fields_compared"].to_string();
        for field in ["lines[].quantity", "totals.grand", "customer.email"] {
            assert!(compared.contains(field), "{field} of {compared}");
        }
        assert_eq!(world.acme.client.ledger().await.unwrap().delivery("reconciled"), 3);
        let healthy = health(world, &pair.flow).await;
        assert_eq!(healthy["state"], "HEALTHY");
        assert!(healthy["provenUntil"].is_string());
        // Nothing is done twice by looking.
        assert!(pair.stored().iter().all(|order| (order.creates, order.updates) == (1, 0)));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_id_cannot_be_kept_hides_none_beside_it_and_nothing_is_proven_with_it() {
    world_by_hand(async |world| {
        let pair = pair(world).await;
        pair.order(1, "as ordered");
        pair.order_called(&"9".repeat(201), "#2", "as ordered");
        let first = reconcile(world, &pair.flow).await;
        assert_eq!(counts(&first, ["source_listed", "never_came", "unreadable"]), [2, 1, 1], "{first}");
        world.acme.rest(1, PATIENCE).await.unwrap();
        let second = reconcile(world, &pair.flow).await;
        assert_eq!(counts(&second, ["source_listed", "agreed", "never_came", "unreadable"]), [2, 1, 0, 1], "{second}");
        assert_eq!(second["isProof"], false, "{second}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_or_changed_at_the_destination_is_told_down_to_the_field_and_sent_again() {
    world_by_hand(async |world| {
        let pair = pair(world).await;
        for n in 1..=3 {
            pair.order(n, "as ordered");
        }
        reconcile(world, &pair.flow).await;
        world.acme.rest(3, PATIENCE).await.unwrap();
        let id = pair.id_there("#1");
        assert!(pair.erp.served.simulator().remove(RecordKind::Order, &id));
        pair.change_there("#2", "note", "changed by hand");

        let found = reconcile(world, &pair.flow).await;
        assert_eq!(counts(&found, ["agreed", "gone", "different"]), [1, 1, 1], "{found}");
        let open = differences(world).await;
        assert_eq!((open[0]["kind"].as_str(), open[0]["sourceId"].as_str()), (Some("different"), Some("O-2")));
        assert_eq!(open[0]["fields"], json!([{"path": "note", "ours": "as ordered", "theirs": "changed by hand"}]));
        assert_eq!((open[1]["kind"].as_str(), open[1]["sourceId"].as_str()), (Some("gone"), Some("O-1")));
        let unhealthy = health(world, &pair.flow).await;
        assert_eq!((unhealthy["state"].as_str(), &unhealthy["openExceptions"]), (Some("UNHEALTHY"), &json!(2)));
        let groups = world.acme.client.exception_groups().await.unwrap();
        let causes: Vec<&str> = groups.iter().map(|group| group["cause"].as_str().unwrap()).collect();
        assert!(causes.contains(&"The field note is not at Own ERP as it was sent."), "{causes:?}");
        assert!(causes.contains(&"It is not at Own ERP any more."), "{causes:?}");
        // Looked at again, it is the same.
        let again = reconcile(world, &pair.flow).await;
        assert_eq!(counts(&again, ["gone", "different"]), [1, 1]);
        assert_eq!(differences(world).await.len(), 2);

        let ids: Vec<Value> = open.iter().map(|one| one["id"].clone()).collect();
        assert_eq!(resend(world, &ids).await, 2);
        assert_eq!(resend(world, &ids).await, 0, "once is enough");
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("exception"), 0, "{ledger:?}");
        let proof = reconcile(world, &pair.flow).await;
        assert_eq!((counts(&proof, ["agreed", "gone", "different"]), &proof["isProof"]), ([3, 0, 0], &json!(true)), "{proof}");
        assert_eq!(health(world, &pair.flow).await["state"], "HEALTHY");
        let notes: Vec<String> = pair.stored().iter().map(|order| text(&order.value, "note").to_owned()).collect();
        assert_eq!(notes, ["as ordered"; 3]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_never_came_arrives_and_what_a_person_accepted_is_not_raised_again() {
    world_by_hand(async |world| {
        let pair = pair(world).await;
        pair.order(1, "as ordered");
        pair.order(2, "as ordered");
        reconcile(world, &pair.flow).await;
        world.acme.rest(2, PATIENCE).await.unwrap();
        pair.order(1, "with a ribbon");
        pair.change_there("#2", "status", "closed");
        let found = reconcile(world, &pair.flow).await;
        assert_eq!(counts(&found, ["outdated", "different"]), [1, 1], "{found}");
        world.acme.rest(3, PATIENCE).await.unwrap();
        let notes: Vec<String> = pair.stored().iter().map(|order| text(&order.value, "note").to_owned()).collect();
        assert!(notes.contains(&"with a ribbon".to_owned()), "{notes:?}");

        let open = differences(world).await;
        let mutation = "mutation($ids: [ID!]!) { differenceAccept(ids: $ids, reason: \"closed there on purpose\") { count } }";
        let accepted = world.acme.client.ask(mutation, json!({"ids": [open[0]["id"]]})).await.unwrap();
        assert_eq!(accepted["differenceAccept"]["count"], 1);
        let proof = reconcile(world, &pair.flow).await;
        assert_eq!((counts(&proof, ["outdated", "different"]), &proof["isProof"]), ([0, 0], &json!(true)), "{proof}");
        assert_eq!(health(world, &pair.flow).await["openExceptions"], 0);

        // Accepted by mistake: the exception is open again and the difference with it, until somebody decides anew.
        let client = &world.acme.client;
        let ignored = client.ask("{ exceptions(state: \"ignored\") { nodes { id } } }", json!({})).await.unwrap();
        let reopen = "mutation($ids: [ID!]!) { exceptionReopen(input: {ids: $ids}) { count stay { code } } }";
        let ids = json!({"ids": [ignored["exceptions"]["nodes"][0]["id"]]});
        let reopened = client.ask(reopen, ids.clone()).await.unwrap();
        assert_eq!(reopened["exceptionReopen"], json!({"count": 1, "stay": []}));
        assert_eq!(health(world, &pair.flow).await["openExceptions"], 1);
        let found = reconcile(world, &pair.flow).await;
        assert_eq!((counts(&found, ["different"]), &found["isProof"]), ([1], &json!(false)), "{found}");
        let again = differences(world).await;
        assert_eq!((again.len(), &again[0]["id"]), (1, &open[0]["id"]), "{again:?}");
        client.ask(mutation, json!({"ids": [open[0]["id"]]})).await.unwrap();
        assert_eq!(health(world, &pair.flow).await["openExceptions"], 0);

        // Another change there is another difference.
        pair.change_there("#2", "status", "cancelled");
        assert_eq!(counts(&reconcile(world, &pair.flow).await, ["different"]), [1]);
        // It is open in the place of the one before, which does not come back beside it.
        let beside = client.ask(reopen, ids).await.unwrap();
        assert_eq!(beside["exceptionReopen"], json!({"count": 0, "stay": [{"code": "open"}]}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_under_our_key_is_told_and_every_call_stands_in_the_audit() {
    world_by_hand(async |world| {
        let pair = pair(world).await;
        pair.order(1, "as ordered");
        reconcile(world, &pair.flow).await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        let mut second: Value = serde_json::from_str(&pair.stored()[0].value.to_json()).unwrap();
        second["source_id"] = "a-second-one".into();
        let now = pair.erp.served.now();
        pair.erp.served.simulator().put_record(RecordKind::Order, document(&second), now);
        let found = reconcile(world, &pair.flow).await;
        assert_eq!(counts(&found, ["extra", "agreed", "different"]), [1, 1, 0], "{found}");
        let open = differences(world).await;
        assert_eq!((open[0]["kind"].as_str(), open[0]["destinationId"].as_str()), (Some("extra"), Some("a-second-one")));
        let mut connection = world.platform.database.connect().await.unwrap();
        let reads: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE action = 'reconciliation.read'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        let lists = |vendor: &Vendor| vendor.served.simulator().stats().requests.get("order.list").copied().unwrap_or(0);
        assert_eq!(u64::try_from(reads).unwrap(), lists(&pair.shop) + lists(&pair.erp), "the audit equals the wire");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_with_a_schedule_is_reconciled_by_itself_and_a_time_that_proves_nothing_is_refused() {
    world_by_hand(async |world| {
        let pair = pair(world).await;
        let client = &world.acme.client;
        let set = "mutation($id: ID!, $s: ReconciliationScheduleInput) {
            reconciliationScheduleSet(flowId: $id, schedule: $s) { schedule { everyHours backHours } userErrors { message } } }";
        let schedule = json!({"everyHours": 24, "ignoredFields": ["note"]});
        let done = client.ask(set, json!({"id": pair.flow, "s": schedule})).await.unwrap();
        assert_eq!(done["reconciliationScheduleSet"]["schedule"], json!({"everyHours": 24, "backHours": 48}));
        let query = "query($id: ID!) { reconciliations(flowId: $id) { nodes { state startedBy from until } }
            flow(id: $id) { reconciliationSchedule { ignoredFields nextAt } } }";
        let found = eventually("the schedule's reconciliation ends", async || {
            let found = client.ask(query, json!({"id": pair.flow})).await.ok()?;
            (found["reconciliations"]["nodes"][0]["state"] == "done").then_some(found)
        })
        .await;
        let nodes = found["reconciliations"]["nodes"].as_array().unwrap();
        assert_eq!((nodes.len(), &nodes[0]["startedBy"]["stage"]), (1, &json!("schedule")), "once a day is once");
        assert_eq!(found["flow"]["reconciliationSchedule"]["ignoredFields"], json!(["note"]));

        let start = "mutation($id: ID!, $from: DateTime!, $until: DateTime) {
            reconciliationStart(flowId: $id, from: $from, until: $until) { userErrors { message } } }";
        let now = chrono::Utc::now();
        let too_new = json!({"id": pair.flow, "from": now - chrono::Duration::hours(1), "until": now});
        let refused = client.ask(start, too_new).await.unwrap_err().to_string();
        assert!(refused.contains("may still be on its way"), "{refused}");
        let none =
            client.ask(set, json!({"id": pair.flow, "s": {"everyHours": 24, "backHours": 1}})).await.unwrap_err().to_string();
        assert!(none.contains("so that no time is left out"), "{none}");
    })
    .await;
}
