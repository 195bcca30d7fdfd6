//! A bad publish is taken back at the destination: what stood there before is previewed, approved and delivered like any other, and nothing that
//! came later is written over.

use std::time::Duration;

use rust_decimal::Decimal;
use serde_json::{Value, json};
use tests::client::Client;
use tests::sample;
use tests::simulator::erp::Order;
use uuid::Uuid;

use crate::flow::{publish, step};
use crate::reconciliation::{self, pair, reconcile, text};
use crate::{World, eventually_within, patient, world, world_by_hand, world_with};

pub const PATIENCE: Duration = Duration::from_secs(60);
const OTHER: &str = "other@crossdock.example";
const PASSWORD: &str = "other-person-password";

const UNDO: &str = "id state report failure progress { deliveries { name count } items { name count } }";

/// Amounts come out a hundred times too high.
fn bad() -> Value {
    json!({"mapping": [{"to": "custbody_crossdock_total", "expr": "totals.grand * 100", "as": "number", "required": true}]})
}

pub async fn send(world: &World, body: Vec<u8>) {
    world.acme.shop.send("orders/updated", Uuid::new_v4(), body).await.unwrap();
}

/// Order `n` changed in something that the ERP is not told of.
fn tagged(n: u64) -> Vec<u8> {
    let mut order: Value = serde_json::from_slice(&sample::revised(n, 1)).unwrap();
    order["tags"] = "looked at".into();
    order["note"] = "revision 0".into();
    order.to_string().into_bytes()
}

pub fn order(world: &World, n: u64) -> Order {
    let key = format!("{}", 7_000_000_000_000_u64 + n);
    let orders = world.erp.orders();
    orders.into_iter().find(|(external, _)| external.ends_with(&key)).unwrap_or_else(|| panic!("order {n} is there")).1
}

/// Orders `0..count` are delivered by a good version, changed and delivered by a bad one, and that is rolled back.
pub async fn bad_publish(world: &World, count: u64) -> i64 {
    let (client, flow) = (&world.acme.client, &world.acme.flow);
    for n in 0..count {
        send(world, sample::order(n)).await;
    }
    let sent = i64::try_from(count).unwrap();
    world.acme.rest(sent, PATIENCE).await.unwrap();
    publish(client, flow, bad()).await;
    for n in 0..count {
        send(world, sample::revised(n, 1)).await;
    }
    let ledger = world.acme.rest(2 * sent, PATIENCE).await.unwrap();
    assert_eq!(ledger.delivery("confirmed"), 2 * sent, "{ledger:?}");
    assert_eq!(step(client, "flowRollBack(id: $id, version: 1)", flow).await, [] as [&str; 0]);
    2 * sent
}

/// Asks for an undo of version 2; its errors where it is refused.
pub async fn try_prepare(client: &Client, flow: &str, input: Value) -> Result<String, Vec<String>> {
    let query = "mutation($id: ID!, $i: FlowUndoInput) { done: flowUndoPrepare(id: $id, version: 2, input: $i) { undo { id } userErrors { message } } }";
    done(&client.raw(query, json!({"id": flow, "i": input})).await.unwrap())
}

fn done(answer: &Value) -> Result<String, Vec<String>> {
    let done = &answer["data"]["done"];
    match done["undo"]["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => {
            let errors = done["userErrors"].as_array().unwrap_or_else(|| panic!("{answer}"));
            Err(errors.iter().map(|error| error["message"].as_str().unwrap().to_owned()).collect())
        }
    }
}

pub async fn approve(client: &Client, undo: &str) -> Result<String, Vec<String>> {
    let query = "mutation($id: ID!) { done: flowUndoApprove(id: $id, why: \"Prices were a hundred times too high.\") { undo { id } userErrors { message } } }";
    done(&client.raw(query, json!({"id": undo})).await.unwrap())
}

pub async fn when(client: &Client, undo: &str, states: &[&str]) -> Value {
    let query = format!("query($id: ID!) {{ flowUndo(id: $id) {{ {UNDO} }} }}");
    // The slots that a dead worker had at the destination are free only after half a minute.
    eventually_within(PATIENCE * 2, &format!("the undo is {}", states.join(" or ")), async || {
        let found = client.ask(&query, json!({"id": undo})).await.ok()?["flowUndo"].clone();
        assert!(found["state"] != "failed", "{found}");
        states.contains(&found["state"].as_str()?).then_some(found)
    })
    .await
}

pub async fn prepared(client: &Client, flow: &str, input: Value) -> (String, Value) {
    let id = try_prepare(client, flow, input).await.unwrap();
    let undo = when(client, &id, &["prepared"]).await;
    (id, undo)
}

pub async fn items(client: &Client, undo: &str) -> Vec<Value> {
    let query = "query($id: ID!) { flowUndo(id: $id) { items(first: 100) { nodes { number kind code sentence nextStep isExact isBehind previousRevision
        undoingId undoingState recordId changes { path sent previous will } } } } }";
    client.ask(query, json!({"id": undo})).await.unwrap()["flowUndo"]["items"]["nodes"].as_array().unwrap().clone()
}

pub fn counts<const N: usize>(undo: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| undo["report"][name].as_u64().unwrap_or_else(|| panic!("{name} of {undo}")))
}

pub fn of_state(undo: &Value, state: &str) -> i64 {
    let counts = undo["progress"]["deliveries"].as_array().unwrap();
    counts.iter().find(|count| count["name"] == state).map_or(0, |count| count["count"].as_i64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stood_there_before_a_bad_publish_is_previewed_approved_and_restored() {
    world_with(patient(), async |world| {
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        for n in 0..4 {
            send(world, sample::order(n)).await;
        }
        world.acme.rest(4, PATIENCE).await.unwrap();
        let good = order(world, 0).declared_total;
        publish(client, flow, bad()).await;
        // One changed in what the ERP is told of, one in what it is not, one new.
        for body in [sample::revised(0, 1), tagged(1), sample::order(10)] {
            send(world, body).await;
        }
        world.acme.rest(7, PATIENCE).await.unwrap();
        assert_eq!(order(world, 0).declared_total, good * Decimal::from(100));

        let refused = try_prepare(client, flow, json!({})).await.unwrap_err();
        assert!(refused[0].contains("roll back, publish another version or retire it first"), "{refused:?}");
        assert_eq!(step(client, "flowRollBack(id: $id, version: 1)", flow).await, [] as [&str; 0]);
        let (id, undo) = prepared(client, flow, json!({})).await;
        assert_eq!(
            counts(&undo, ["deliveries", "restore", "correct", "created", "behind", "inexact"]),
            [3, 2, 1, 0, 1, 0],
            "{undo}"
        );
        // To the cent: each becomes a hundredth of what was sent.
        let less = -(good * Decimal::from(99) * Decimal::from(3));
        assert_eq!(undo["report"]["values"]["money"], json!([{"currency": "USD", "amount": less.normalize().to_string()}]), "{undo}");
        let before = items(client, &id).await;
        let first = before.iter().find(|item| item["number"] == "#L0").unwrap();
        assert_eq!((&first["kind"], &first["isExact"], &first["isBehind"]), (&json!("restore"), &json!(true), &json!(true)));
        let total = first["changes"].as_array().unwrap().iter().find(|c| c["path"] == "custbody_crossdock_total").unwrap();
        assert_eq!(total["will"], total["previous"], "{total}");
        assert_ne!(total["will"], total["sent"], "{total}");
        let second = before.iter().find(|item| item["number"] == "#L1").unwrap();
        assert_eq!((&second["kind"], &second["isBehind"]), (&json!("restore"), &json!(false)), "{second}");
        assert_eq!(order(world, 0).declared_total, good * Decimal::from(100), "a preview sends nothing");

        assert_eq!(try_prepare(client, flow, json!({})).await.unwrap_err().len(), 1, "one at a time");
        let once = tokio::join!(approve(client, &id), approve(client, &id));
        assert_eq!((once.0.unwrap(), once.1.unwrap()), (id.clone(), id.clone()));
        let ended = when(client, &id, &["done"]).await;
        assert_eq!(of_state(&ended, "confirmed"), 3, "{ended}");
        assert_eq!(approve(client, &id).await.unwrap(), id, "to approve it again changes nothing");
        for (n, note, updates) in [(0, "revision 0", 2), (1, "revision 0", 2), (2, "revision 0", 0), (10, "revision 0", 1)] {
            let order = order(world, n);
            assert_eq!((order.declared_total, order.creates, order.updates), (good, 1, updates), "{n}: {order:?}");
            assert!(order.says(note), "{n}: {order:?}");
        }
        let ledger = client.ledger().await.unwrap();
        assert_eq!(ledger.deliveries.values().sum::<i64>(), 10, "{ledger:?}");

        // The record's timeline tells it, and so does the delivery.
        let query = "query($r: ID!, $d: ID!) { timeline(recordId: $r, first: 100) { nodes { what sentence } } delivery(id: $d) { state undoesId undoId } }";
        let after = items(client, &id).await;
        let first = after.iter().find(|item| item["number"] == "#L0").unwrap();
        let data = client.ask(query, json!({"r": first["recordId"], "d": first["undoingId"]})).await.unwrap();
        let told = data["timeline"]["nodes"].to_string();
        assert!(told.contains("is undone: version 1 sends what is to stand there. Prices were a hundred times too high."), "{told}");
        assert_eq!((&data["delivery"]["state"], &data["delivery"]["undoId"]), (&json!("confirmed"), &json!(id)));
        let audit = "query($id: ID!) { auditEvents(subjectId: $id) { nodes { action actor detail } } node(id: $id) { __typename } }";
        let data = client.ask(audit, json!({"id": id})).await.unwrap();
        let acts: Vec<&str> = data["auditEvents"]["nodes"].as_array().unwrap().iter().map(|n| n["action"].as_str().unwrap()).collect();
        assert_eq!(acts, ["undo.ended", "undo.approved", "undo.prepared", "undo.started"], "{data}");
        assert_eq!(data["node"]["__typename"], "FlowUndo");

        let query = "query($id: ID!) { delivery(id: $id) { attempts { id kind } } }";
        let attempts = client.ask(query, json!({"id": first["undoingId"]})).await.unwrap();
        let remade = "query($id: ID!) { attemptRemade(id: $id) { isSame failure } }";
        let remade = client.ask(remade, json!({"id": attempts["delivery"]["attempts"][0]["id"]})).await.unwrap();
        assert_eq!(remade["attemptRemade"]["isSame"], true, "{remade}");

        // Undone once, there is nothing left to undo.
        let (_, again) = prepared(client, flow, json!({})).await;
        assert_eq!(counts(&again, ["deliveries", "covered"]), [3, 3], "{again}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_source_changed_since_stays_where_it_is_undone_to_the_published_version() {
    world_with(patient(), async |world| {
        bad_publish(world, 2).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let (id, undo) = prepared(client, flow, json!({"to": "PUBLISHED"})).await;
        assert_eq!(counts(&undo, ["correct", "restore", "behind"]), [2, 0, 0], "{undo}");
        approve(client, &id).await.unwrap();
        when(client, &id, &["done"]).await;
        for n in 0..2 {
            let order = order(world, n);
            assert!(order.says("revision 1") && order.declared_total < Decimal::from(10_000), "{order:?}");
            assert_eq!((order.creates, order.updates), (1, 2));
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_bad_version_created_is_only_told_where_that_is_asked_for() {
    world(async |world| {
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        publish(client, flow, bad()).await;
        send(world, sample::order(1)).await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!(step(client, "flowRollBack(id: $id, version: 1)", flow).await, [] as [&str; 0]);
        let (id, undo) = prepared(client, flow, json!({"leavesCreated": true})).await;
        assert_eq!(counts(&undo, ["deliveries", "created"]), [1, 1], "{undo}");
        let item = &items(client, &id).await[0];
        assert!(item["sentence"].as_str().unwrap().contains("nothing to restore") && item["nextStep"].is_string(), "{item}");
        let cancel = "mutation($id: ID!) { done: flowUndoCancel(id: $id) { undo { id } userErrors { message } } }";
        assert_eq!(done(&client.raw(cancel, json!({"id": id})).await.unwrap()).unwrap(), id);
        assert!(approve(client, &id).await.unwrap_err()[0].contains("it is cancelled"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_restored_and_is_behind_its_source_proves_nothing_and_what_is_corrected_does() {
    // A poll of its own would bring the orders before they are reconciled, or once more.
    world_by_hand(async |world| {
        let pair = pair(world).await;
        let client = &world.acme.client;
        for n in 1..=2 {
            pair.order(n, "as ordered");
        }
        reconcile(world, &pair.flow).await;
        world.acme.rest(2, PATIENCE).await.unwrap();
        publish(client, &pair.flow, json!({"mapping": [{"to": "number", "expr": "concat(number, ' wrong')"}]})).await;
        for n in 1..=2 {
            pair.order(n, "with a ribbon");
        }
        reconcile(world, &pair.flow).await;
        world.acme.rest(4, PATIENCE).await.unwrap();
        assert!(pair.stored().iter().all(|order| text(&order.value, "number").ends_with(" wrong")));
        assert_eq!(step(client, "flowRollBack(id: $id, version: 1)", &pair.flow).await, [] as [&str; 0]);

        let notes = || pair.stored().iter().map(|order| text(&order.value, "note").to_owned()).collect::<Vec<_>>();
        let (id, undo) = prepared(client, &pair.flow, json!({})).await;
        assert_eq!(counts(&undo, ["restore", "behind", "inexact"]), [2, 2, 0], "{undo}");
        approve(client, &id).await.unwrap();
        when(client, &id, &["done"]).await;
        assert!(pair.stored().iter().all(|order| text(&order.value, "number").starts_with('#')), "{:?}", pair.stored());
        assert_eq!(notes(), ["as ordered"; 2]);
        let behind = reconcile(world, &pair.flow).await;
        assert_eq!(reconciliation::counts(&behind, ["agreed", "unchecked", "different"]), [0, 2, 0], "{behind}");
        assert_eq!(behind["isProof"], false, "green would be wrong");

        // What undid it is another version's by now: it is that one that another undo would be of.
        publish(client, &pair.flow, json!({"mapping": [{"to": "number", "expr": "concat(number, '!')"}]})).await;
        for n in 1..=2 {
            pair.order(n, "with two ribbons");
        }
        reconcile(world, &pair.flow).await;
        world.acme.rest(6, PATIENCE).await.unwrap();
        publish(client, &pair.flow, json!({"mapping": []})).await;
        let query = "mutation($id: ID!) { done: flowUndoPrepare(id: $id, version: 4, input: {to: PUBLISHED}) { undo { id } userErrors { message } } }";
        let id = done(&client.raw(query, json!({"id": pair.flow})).await.unwrap()).unwrap();
        when(client, &id, &["prepared"]).await;
        approve(client, &id).await.unwrap();
        when(client, &id, &["done"]).await;
        assert_eq!(notes(), ["with two ribbons"; 2]);
        let proof = reconcile(world, &pair.flow).await;
        assert_eq!((reconciliation::counts(&proof, ["agreed", "unchecked"]), &proof["isProof"]), ([2, 0], &json!(true)), "{proof}");
        assert!(pair.stored().iter().all(|order| !text(&order.value, "number").ends_with('!')));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_is_not_what_would_be_sent_any_more_is_not_approved() {
    world(async |world| {
        bad_publish(world, 1).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let (id, _) = prepared(client, flow, json!({})).await;
        client.lookup_entries_set(&world.acme.table, &[("ANOTHER".into(), "1".into())]).await.unwrap();
        let refused = approve(client, &id).await.unwrap_err();
        assert!(refused[0].contains("a lookup table that its rules look into was changed"), "{refused:?}");
        let gates = "flowGatesSet(id: $id, needsApproval: true)";
        assert_eq!(step(client, gates, flow).await, [] as [&str; 0]);
        let own = approve(client, &id).await.unwrap_err();
        assert!(own[0].contains("whoever prepared it cannot approve it"), "{own:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_sees_no_undo_and_who_may_not_publish_approves_none() {
    world(async |world| {
        bad_publish(world, 1).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let (id, _) = prepared(client, flow, json!({})).await;
        world.platform.user_create(OTHER, PASSWORD).await.unwrap();
        let other = Client::new(&world.platform.url).sign_in(OTHER, PASSWORD).await.unwrap();
        let own = other.tenant_create("other").await.unwrap();
        let stranger = other.clone().of_tenant(&own);
        let query = "query($id: ID!) { flowUndo(id: $id) { id } node(id: $id) { __typename } flowUndos { nodes { id } } }";
        let seen = stranger.ask(query, json!({"id": id})).await.unwrap();
        assert_eq!(seen, json!({"flowUndo": null, "node": null, "flowUndos": {"nodes": []}}));
        assert_eq!(approve(&stranger, &id).await.unwrap_err(), ["there is no such undo"]);
        assert_eq!(try_prepare(&stranger, flow, json!({})).await.unwrap_err(), ["there is no such version of a flow"]);

        let mut connection = world.platform.database.connect().await.unwrap();
        let operator = "INSERT INTO members (tenant_id, user_id, role) SELECT t.id, u.id, 'operator' FROM tenants t, users u
                        WHERE t.slug = 'acme' AND u.email = 'other@crossdock.example'";
        sqlx::query(operator).execute(&mut connection).await.unwrap();
        let operator = other.of_tenant(&world.acme.id);
        for mutation in ["flowUndoApprove(id: $id, why: \"x\") { undo { id } }", "flowUndoCancel(id: $id) { undo { id } }"] {
            let answer = operator.raw(&format!("mutation($id: ID!) {{ {mutation} }}"), json!({"id": id})).await.unwrap();
            assert_eq!(answer["errors"][0]["extensions"]["code"], "FORBIDDEN", "{answer}");
        }
        let seen = operator.ask("query($id: ID!) { flowUndo(id: $id) { state } }", json!({"id": id})).await.unwrap();
        assert_eq!(seen["flowUndo"]["state"], "prepared");
        assert_eq!(order(world, 0).updates, 1, "nothing was sent");
    })
    .await;
}
