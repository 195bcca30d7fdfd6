//! A flow's destination is replaced while orders come: first as a shadow that sends nothing, then for a part of the new orders, and back again;
//! and whatever happens, each order is made once, and its changes follow it.

use std::collections::BTreeSet;
use std::time::Duration;

use connectors::simulator::Fault;
use domain::record::RecordKind;
use serde_json::{Value, json};
use tests::client::Client;
use tests::platform::Options;
use tests::sample;
use tests::simulator::erp::{Account, Erp};
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::flow::{draft, step};
use crate::{World, eventually, patient, world, world_with};

const PATIENCE: Duration = Duration::from_secs(60);
const SWAP: &str = "swap { id state percent failure movesKnown report } userErrors { code message }";

/// A step of a swap, taken.
async fn take(client: &Client, mutation: &str, variables: Value) -> Value {
    let answer = refused(client, mutation, variables).await;
    assert_eq!(answer["userErrors"], json!([]), "{answer}");
    answer["swap"].clone()
}

/// A step of a swap, whatever comes of it.
async fn refused(client: &Client, mutation: &str, variables: Value) -> Value {
    let declared = [("$id", "ID!"), ("$to", "ID!"), ("$m", "JSON!")].iter().filter(|(name, _)| mutation.contains(name));
    let declared: Vec<String> = declared.map(|(name, kind)| format!("{name}: {kind}")).collect();
    let query = format!("mutation({}) {{ step: {mutation} {{ {SWAP} }} }}", declared.join(", "));
    let answer = client.raw(&query, variables).await.unwrap();
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"]["step"].clone()
}

async fn begin(client: &Client, flow: &str, candidate: &str, mapping: Value) -> String {
    let variables = json!({"id": flow, "to": candidate, "m": mapping});
    let swap = take(client, "swapBegin(input: {flowId: $id, connectionId: $to, mapping: $m})", variables).await;
    assert_eq!(swap["state"], "draft");
    swap["id"].as_str().unwrap().to_owned()
}

/// Waits until the shadow has seen so many deliveries.
async fn shadow_sees(client: &Client, swap: &str, deliveries: u64) -> Value {
    eventually(&format!("the shadow sees {deliveries}"), async || {
        let data = client.ask("query($id: ID!) { swap(id: $id) { failure report } }", json!({"id": swap})).await.unwrap();
        assert!(data["swap"]["failure"].is_null(), "{data}");
        let report = &data["swap"]["report"];
        (report["deliveries"].as_u64() == Some(deliveries)).then(|| report.clone())
    })
    .await
}

async fn send(world: &World, orders: std::ops::Range<u64>, revision: u32) {
    let topic = if revision == 0 { "orders/create" } else { "orders/updated" };
    for n in orders {
        world.acme.shop.send(topic, Uuid::new_v4(), sample::revised(n, revision)).await.unwrap();
    }
}

/// The keys of the orders that an ERP has, each made once and changed so often.
fn orders(erp: &Erp, updates: impl Fn(&str) -> u32) -> BTreeSet<String> {
    let orders = erp.orders();
    for (key, order) in &orders {
        assert_eq!((order.creates, order.updates), (1, updates(key)), "{key}");
    }
    orders.into_keys().collect()
}

/// A second account of the ERP, and the swap of the flow to it, which the shadow has seen five orders of.
async fn swapping(world: &World, mapping: Value) -> (Erp, String, String) {
    let new = Erp::start(Account::default()).await;
    let client = &world.acme.client;
    let (candidate, _) = client.connection_create("netsuite", "New ERP", new.settings(15), Erp::credential()).await.unwrap();
    let swap = begin(client, &world.acme.flow, &candidate, mapping).await;
    take(client, "swapShadow(id: $id)", json!({"id": swap})).await;
    send(world, 0..5, 0).await;
    world.acme.rest(5, PATIENCE).await.unwrap();
    shadow_sees(client, &swap, 5).await;
    assert_eq!((world.erp.stats().orders, new.stats().orders), (5, 0));
    (new, candidate, swap)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_sends_nothing_and_says_what_the_candidate_loses_and_what_it_comes_to() {
    let options = Options { has_own_connectors: true, ..Options::default() };
    world_with(options, async |world| {
        let desk = Vendor::start("harbor-desk").await;
        let client = &world.acme.client;
        let (candidate, _) =
            client.connection_create("harbor-desk", "Desk", desk.settings.clone(), desk.credential.clone()).await.unwrap();
        let query =
            "query($f: ID!, $c: ID!) { swapGaps(flowId: $f, connectionId: $c) { severity topic subject sentence nextStep } }";
        let gaps = client.ask(query, json!({"f": world.acme.flow, "c": candidate})).await.unwrap();
        let gaps = gaps["swapGaps"].as_array().unwrap();
        let sku = gaps.iter().find(|gap| gap["subject"] == "lines[].sku").unwrap_or_else(|| panic!("{gaps:?}"));
        assert_eq!((&sku["severity"], &sku["topic"]), (&json!("loses"), &json!("field")));
        assert!(gaps.iter().any(|gap| gap["topic"] == "action" && gap["subject"] == "confirm"), "{gaps:?}");
        assert!(gaps.iter().all(|gap| gap["severity"] != "blocks"), "{gaps:?}");

        let swap = begin(client, &world.acme.flow, &candidate, json!([])).await;
        take(client, "swapShadow(id: $id)", json!({"id": swap})).await;
        send(world, 0..7, 0).await;
        for (_, body) in sample::orders().into_iter().filter(|(name, _)| name.contains("unmapped_sku")) {
            world.acme.shop.send("orders/create", Uuid::new_v4(), body).await.unwrap();
        }
        let ledger = world.acme.rest(10, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (7, 3), "{ledger:?}");
        let report = shadow_sees(client, &swap, 10).await;
        // The desk asks for no code, so what fails now would pass there.
        assert_eq!((&report["made"], &report["mended"], &report["refused"]), (&json!(7), &json!(3), &json!(0)), "{report}");
        assert_eq!(report["looked_up"], 10, "the desk looks the customer up first: {report}");
        let lost = report["lost"].as_array().unwrap();
        let amount = lost.iter().find(|field| field["field"] == "lines[].unit_price").unwrap_or_else(|| panic!("{report}"));
        assert_eq!((&amount["records"], &amount["money"][0]["currency"]), (&json!(7), &json!("USD")), "{report}");
        assert!(report["worth"][0]["candidate"].as_str().unwrap() > "0", "{report}");
        {
            let simulator = desk.served.simulator();
            assert_eq!((simulator.count(RecordKind::Order), simulator.stats().requests.values().sum::<u64>()), (0, 0));
        }
        assert_eq!(world.erp.stats().orders, 7);

        // Another shop in the place of the source would leave the record's fields behind that it has no rule for.
        let query = "query($f: ID!, $c: ID!) { swapGaps(flowId: $f, connectionId: $c, side: SOURCE) { severity topic } }";
        let gaps = client.ask(query, json!({"f": world.acme.flow, "c": candidate})).await.unwrap();
        assert_eq!(gaps["swapGaps"][0], json!({"severity": "blocks", "topic": "read"}), "{gaps}");

        // What loses something is cut over only where a person wants that; other rules are looked at from the beginning.
        let answer = refused(client, "swapCut(id: $id, percent: 10)", json!({"id": swap})).await;
        assert_eq!(answer["userErrors"][0]["code"], "BLOCKED", "{answer}");
        let rules = json!([{"to": "memo", "from": "attributes.nowhere", "required": true}]);
        take(client, "swapChange(id: $id, mapping: $m)", json!({"id": swap, "m": rules})).await;
        let report = shadow_sees(client, &swap, 10).await;
        assert_eq!((&report["refused"], &report["both_refused"], &report["made"]), (&json!(7), &json!(3), &json!(0)), "{report}");
        assert_eq!((&report["causes"][0]["reason"]["code"], &report["causes"][0]["newly"]), (&json!("required"), &json!(7)));
        assert_eq!(desk.served.simulator().stats().requests.values().sum::<u64>(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_new_orders_goes_to_the_candidate_each_once_and_its_changes_follow_it() {
    world_with(patient(), async |world| {
        let (new, _, swap) = swapping(world, json!([])).await;
        let client = &world.acme.client;
        take(client, "swapCut(id: $id, percent: 50)", json!({"id": swap})).await;
        // An answer that is lost is proven there.
        new.fail([Fault::DropAfterCommit, Fault::DropAfterCommit]);
        send(world, 5..205, 0).await;
        let ledger = world.acme.rest(205, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (205, 0), "{ledger:?}");
        let (there, here) = (orders(&new, |_| 0), orders(&world.erp, |_| 0));
        assert!((60..=140).contains(&there.len()), "{} of 200 at 50 percent", there.len());
        assert_eq!((there.len() + here.len(), there.intersection(&here).count()), (205, 0));

        // Changes follow their order, whatever the percent is now.
        take(client, "swapCut(id: $id, percent: 100)", json!({"id": swap})).await;
        send(world, 0..205, 1).await;
        let ledger = world.acme.rest(410, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("exception"), 0, "{ledger:?}");
        assert_eq!((orders(&new, |_| 1), orders(&world.erp, |_| 1)), (there.clone(), here.clone()));
        send(world, 300..310, 0).await;
        world.acme.rest(420, PATIENCE).await.unwrap();
        assert_eq!((new.stats().orders, world.erp.stats().orders), (there.len() + 10, here.len()));

        // Back again: new ones go where they went before, and what the candidate has is still changed there.
        take(client, "swapBack(id: $id, why: \"not yet\")", json!({"id": swap})).await;
        send(world, 400..410, 0).await;
        send(world, 300..310, 1).await;
        world.acme.rest(440, PATIENCE).await.unwrap();
        assert_eq!((new.stats().orders, world.erp.stats().orders), (there.len() + 10, here.len() + 10));
        let all = new.orders();
        assert!(all.values().all(|order| (order.creates, order.updates) == (1, 1)), "every order there was changed once");
        let answer = refused(client, "swapCut(id: $id, percent: 10)", json!({"id": swap})).await;
        assert_eq!(answer["userErrors"][0]["message"], "the swap was taken back; begin another one");
        let query = "query($id: ID!) { auditEvents(subjectId: $id) { nodes { action } } }";
        let told = client.ask(query, json!({"id": swap})).await.unwrap();
        let told: Vec<&str> =
            told["auditEvents"]["nodes"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
        assert_eq!(told, ["swap.back", "swap.cut", "swap.cut", "swap.shadowed", "swap.begun"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_that_is_done_leaves_what_is_known_where_it_is_and_a_flow_goes_back_by_another_swap() {
    world_with(patient(), async |world| {
        let (new, candidate, swap) = swapping(world, json!([{"to": "custbody_swap", "default": "from the new rules"}])).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let blocked = async |mutation: &str| {
            let answer = refused(client, mutation, json!({"id": swap})).await;
            assert_eq!(answer["userErrors"][0]["code"], "BLOCKED", "{mutation}: {answer}");
        };
        blocked("swapDone(id: $id)").await;
        take(client, "swapCut(id: $id, percent: 99)", json!({"id": swap})).await;
        blocked("swapDone(id: $id)").await;
        take(client, "swapCut(id: $id, percent: 100)", json!({"id": swap})).await;
        send(world, 10..15, 0).await;
        world.acme.rest(10, PATIENCE).await.unwrap();
        assert!(new.orders().values().all(|order| order.says("from the new rules")));

        // A draft was made for the destination that is left.
        assert_eq!(draft(client, flow, json!({"policy": {"attempts_max": 3}})).await, [] as [&str; 0]);
        blocked("swapDone(id: $id)").await;
        assert_eq!(step(client, "flowPublish(id: $id)", flow).await, [] as [&str; 0]);
        let query = "query($id: ID!) { flow(id: $id) { versions { state mapping policy } } }";
        let data = client.ask(query, json!({"id": flow})).await.unwrap();
        let follows = data["flow"]["versions"].as_array().unwrap().iter().find(|version| version["state"] == "candidate");
        let follows = follows.unwrap_or_else(|| panic!("{data}"));
        assert_eq!((&follows["policy"]["attempts_max"], &follows["mapping"][0]["to"]), (&json!(3), &json!("custbody_swap")));
        let done = take(client, "swapDone(id: $id)", json!({"id": swap})).await;
        assert_eq!((&done["state"], &done["movesKnown"]), (&json!("done"), &json!(false)));
        let query = "query($id: ID!) { flow(id: $id) { destination { id } versions { version state mapping } } }";
        let data = client.ask(query, json!({"id": flow})).await.unwrap();
        assert_eq!(data["flow"]["destination"]["id"], json!(candidate), "{data}");
        let newest = &data["flow"]["versions"][0];
        assert_eq!((&newest["state"], &newest["mapping"][0]["to"]), (&json!("published"), &json!("custbody_swap")), "{data}");

        // New ones go to the new destination; what each side knows is changed there.
        send(world, 20..25, 0).await;
        send(world, 0..5, 1).await;
        send(world, 10..15, 1).await;
        let ledger = world.acme.rest(25, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("exception"), 0, "{ledger:?}");
        assert_eq!((world.erp.stats().orders, new.stats().orders), (5, 10));
        orders(&world.erp, |_| 1);
        assert!(
            world.erp.orders().values().all(|order| !order.says("from the new rules")),
            "by the rules of its own destination"
        );
        let (changed, plain): (Vec<_>, Vec<_>) = new.orders().into_values().partition(|order| order.updates == 1);
        assert_eq!((changed.len(), plain.len()), (5, 5));
        assert!(changed.iter().chain(&plain).all(|order| order.creates == 1 && order.says("from the new rules")));

        // A version of the destination that was left is no way back: a swap is, and it may move what is known.
        let refusal = step(client, "flowRollBack(id: $id, version: 1)", flow).await;
        assert!(refusal[0].contains("begin a swap"), "{refusal:?}");
        let back = begin(client, flow, &world.acme.destination, json!([])).await;
        take(client, "swapShadow(id: $id)", json!({"id": back})).await;
        take(client, "swapCut(id: $id, percent: 100, why: \"it ran there for years\")", json!({"id": back})).await;
        take(client, "swapDone(id: $id, movesKnown: true)", json!({"id": back})).await;
        send(world, 20..25, 1).await;
        let ledger = world.acme.rest(30, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("exception"), 0, "{ledger:?}");
        assert_eq!((world.erp.stats().orders, new.stats().orders), (10, 10), "what moved was made anew");
        let moved = world.erp.orders().into_values().filter(|order| (order.creates, order.updates) == (1, 0)).count();
        assert_eq!(moved, 5);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_candidate_refuses_is_retried_there_by_its_mended_rules() {
    world(async |world| {
        let rule = |needs: &str| json!([{"to": "custbody_swap", "from": needs, "required": true}]);
        let (new, _, swap) = swapping(world, rule("number")).await;
        let client = &world.acme.client;
        take(client, "swapCut(id: $id, percent: 100)", json!({"id": swap})).await;
        take(client, "swapChange(id: $id, mapping: $m)", json!({"id": swap, "m": rule("attributes.nowhere")})).await;
        send(world, 10..13, 0).await;
        let ledger = world.acme.rest(8, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("exception"), 3, "{ledger:?}");
        take(client, "swapChange(id: $id, mapping: $m)", json!({"id": swap, "m": rule("number")})).await;
        let groups = client.exception_groups().await.unwrap();
        assert_eq!(client.exception_retry(groups[0]["causeKey"].as_str().unwrap()).await.unwrap(), 3);
        let ledger = world.acme.rest(8, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (8, 0), "{ledger:?}");
        assert_eq!((orders(&new, |_| 0).len(), world.erp.stats().orders), (3, 5));
        assert!(new.orders().values().all(|order| order.says("#L1")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_is_its_tenants_own_and_a_flow_that_wants_two_people_is_cut_over_by_the_second() {
    world(async |world| {
        let (_new, candidate, swap) = swapping(world, json!([])).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let answer =
            refused(client, "swapBegin(input: {flowId: $id, connectionId: $to})", json!({"id": flow, "to": candidate})).await;
        assert_eq!(answer["userErrors"][0]["code"], "TAKEN", "{answer}");
        assert_eq!(step(client, "flowGatesSet(id: $id, needsApproval: true)", flow).await, [] as [&str; 0]);
        let answer = refused(client, "swapCut(id: $id, percent: 10)", json!({"id": swap})).await;
        assert!(answer["userErrors"][0]["message"].as_str().unwrap().contains("second person"), "{answer}");

        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        let data = other.client.ask(
            "query($id: ID!) { swap(id: $id) { id } node(id: $id) { __typename } swaps { nodes { id } } }",
            json!({"id": swap}),
        );
        let data = data.await.unwrap();
        assert!(data["swap"].is_null() && data["node"].is_null() && data["swaps"]["nodes"] == json!([]), "{data}");
        for mutation in [
            "swapChange(id: $id, mapping: $m)",
            "swapShadow(id: $id)",
            "swapCut(id: $id, percent: 10)",
            "swapBack(id: $id, why: \"x\")",
            "swapDone(id: $id)",
        ] {
            let answer = refused(&other.client, mutation, json!({"id": swap, "m": []})).await;
            assert_eq!(answer["userErrors"][0]["code"], "NOT_FOUND", "{mutation}: {answer}");
        }
        for (flow, to) in [(flow, &other.source), (&other.flow, &candidate)] {
            let answer =
                refused(&other.client, "swapBegin(input: {flowId: $id, connectionId: $to})", json!({"id": flow, "to": to})).await;
            assert_eq!(answer["userErrors"][0]["code"], "NOT_FOUND", "{answer}");
        }
    })
    .await;
}
