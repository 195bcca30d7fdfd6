//! A change is known before it is made: what a draft would send is shown, compared with what was sent to the cent, and can be made a condition;
//! and what was sent once can be made again to the byte.

use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Client;
use tests::sample;
use uuid::Uuid;

use crate::flow::{draft, publish, step};
use crate::{World, eventually, world};

const PATIENCE: Duration = Duration::from_secs(60);
const ORDERS: u64 = 12;

/// Orders that were delivered, and three that wait for a code.
async fn delivered(world: &World) {
    for n in 0..ORDERS {
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
    }
    for (_, body) in sample::orders().into_iter().filter(|(name, _)| name.contains("unmapped_sku")) {
        world.acme.shop.send("orders/create", Uuid::new_v4(), body).await.unwrap();
    }
    let ledger = world.acme.rest(i64::try_from(ORDERS).unwrap() + 3, PATIENCE).await.unwrap();
    assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (12, 3), "{ledger:?}");
}

/// Runs the newest version over the last thousand records, and waits for what it says.
pub async fn replay(client: &Client, flow: &str) -> Value {
    let query = "mutation($id: ID!) { flowReplay(id: $id, input: {last: 1000}) { run { id state } userErrors { message } } }";
    let data = client.ask(query, json!({"id": flow})).await.unwrap();
    let id = data["flowReplay"]["run"]["id"].as_str().unwrap_or_else(|| panic!("{data}")).to_owned();
    eventually("the run ends", async || {
        let data =
            client.ask("query($id: ID!) { run(id: $id) { id state isClean failure report } }", json!({"id": id})).await.unwrap();
        matches!(data["run"]["state"].as_str(), Some("done" | "failed")).then(|| data["run"].clone())
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_changes_nothing_is_clean_and_one_that_does_says_what_to_the_cent() {
    world(async |world| {
        delivered(world).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        let run = replay(client, flow).await;
        assert_eq!((&run["state"], &run["isClean"]), (&json!("done"), &json!(true)), "{run}");
        let report = &run["report"];
        assert_eq!(
            (&report["records"], &report["unchanged"], &report["still_failing"]),
            (&json!(15), &json!(12), &json!(3)),
            "{report}"
        );

        // A cent more for each line, and the memo: of what is sent, these two fields differ and nothing else.
        let rules = world.platform.connector_rules("netsuite");
        let mut lines = rules.iter().find(|rule| rule["to"] == "item.items").unwrap().clone();
        let line_rules = lines["rules"].as_array_mut().unwrap();
        let rate = line_rules.iter_mut().find(|rule| rule["to"] == "rate").unwrap();
        *rate = json!({"to": "rate", "expr": "unit_price + 0.01", "as": "number", "required": true});
        let field = "item.items[].rate";
        assert_eq!(
            draft(client, flow, json!({"mapping": [lines, {"to": "memo", "default": "replayed"}]})).await,
            [] as [&str; 0]
        );
        let run = replay(client, flow).await;
        assert_eq!((&run["isClean"], &run["report"]["changed"]), (&json!(false), &json!(12)), "{run}");
        let fields = run["report"]["fields"].as_array().unwrap();
        let names: Vec<&str> = fields.iter().map(|field| field["field"].as_str().unwrap()).collect();
        assert!(names.len() == 2 && names.contains(&field) && names.contains(&"memo"), "{run}");
        let lines: u64 = fields.iter().find(|f| f["field"] == field).unwrap()["changes"].as_u64().unwrap();
        let sum = format!("0.{lines:02}");
        assert_eq!(run["report"]["money"], json!([{"currency": "USD", "amount": sum}]), "{run}");
        assert_eq!(world.erp.stats().updates, 0, "a replay sends nothing");

        // A code that is added makes what failed pass.
        publish(client, flow, json!({"mapping": []})).await;
        client.lookup_entries_set(&world.acme.table, &[("HAT-XL".into(), "1999".into())]).await.unwrap();
        let run = replay(client, flow).await;
        assert_eq!((&run["isClean"], &run["report"]["newly_passing"]), (&json!(true), &json!(3)), "{run}");
        // And one that needs what orders do not have makes what passed fail, each with the reason that a person would see.
        assert_eq!(
            draft(client, flow, json!({"mapping": [{"to": "memo", "from": "attributes.nowhere", "required": true}]})).await,
            [] as [&str; 0]
        );
        let run = replay(client, flow).await;
        assert_eq!(run["report"]["newly_failing"], 12, "{run}");
        let cause = &run["report"]["causes"][0];
        assert_eq!((&cause["newly"], &cause["reason"]["code"]), (&json!(12), &json!("required")), "{run}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_replay_is_a_condition_a_draft_is_published_only_once_what_it_changes_is_wanted() {
    world(async |world| {
        delivered(world).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        assert_eq!(step(client, "flowGatesSet(id: $id, needsReplay: true)", flow).await, [] as [&str; 0]);
        assert_eq!(draft(client, flow, json!({"mapping": [{"to": "memo", "default": "changed"}]})).await, [] as [&str; 0]);
        assert_eq!(step(client, "flowPublish(id: $id)", flow).await.len(), 1);
        let run = replay(client, flow).await;
        assert_eq!(run["isClean"], false);
        assert_eq!(step(client, "flowPublish(id: $id)", flow).await.len(), 1);
        let accept = "mutation($id: ID!) { runAccept(id: $id, why: \"The memo is wanted\") { run { acceptedWhy } userErrors { message } } }";
        let data = client.ask(accept, json!({"id": run["id"]})).await.unwrap();
        assert_eq!(data["runAccept"]["run"]["acceptedWhy"], "The memo is wanted", "{data}");
        assert_eq!(step(client, "flowPublish(id: $id)", flow).await, [] as [&str; 0]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_shows_the_exact_request_and_sends_none() {
    world(async |world| {
        delivered(world).await;
        let (client, flow, sent) = (&world.acme.client, &world.acme.flow, world.erp.stats());
        let data = client.ask("{ records(first: 50) { nodes { id number } } deliveries(first: 50) { nodes { id record { number } } } }", json!({})).await.unwrap();
        let ids: Vec<Value> = data["records"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect();
        let query = "query($id: ID!, $i: DryRunInput!) { flowDryRun(id: $id, input: $i) { name verdict reason { code sentence } issues { field value }
            request { method url body isLookUp headers { name value } } } }";
        let answer = client.ask(query, json!({"id": flow, "i": {"recordIds": ids}})).await.unwrap();
        let runs = answer["flowDryRun"].as_array().unwrap();
        let verdict = |word: &str| runs.iter().filter(|run| run["verdict"] == word).count();
        assert_eq!((verdict("SENT"), verdict("EXCEPTION")), (12, 3), "{answer}");
        for run in runs.iter().filter(|run| run["verdict"] == "SENT") {
            let deliveries = data["deliveries"]["nodes"].as_array().unwrap();
            let delivery = deliveries.iter().find(|delivery| delivery["record"]["number"] == run["name"]).unwrap();
            let attempts = "query($id: ID!) { delivery(id: $id) { attempts { kind request url } } }";
            let attempts = client.ask(attempts, json!({"id": delivery["id"]})).await.unwrap();
            let attempts = attempts["delivery"]["attempts"].as_array().unwrap().clone();
            let attempt = attempts.iter().find(|attempt| attempt["kind"] == "write").unwrap();
            assert_eq!((&run["request"]["body"], &run["request"]["url"]), (&attempt["request"], &attempt["url"]));
        }
        let refused = runs.iter().find(|run| run["verdict"] == "EXCEPTION").unwrap();
        assert_eq!((&refused["reason"]["code"], &refused["issues"][0]["value"]), (&json!("no_entry"), &json!("HAT-XL")));
        let answer = client.ask(query, json!({"id": flow, "i": {"samples": true}})).await.unwrap();
        assert!(answer["flowDryRun"].as_array().unwrap().len() > 1, "{answer}");
        // What nobody has saved: it is run, and is still not there.
        let left = runs.iter().find(|run| run["verdict"] == "SENT").unwrap()["name"].as_str().unwrap();
        let draft = json!({"filter": format!("number != {left:?}"), "mapping": [{"to": "memo", "default": "not saved"}]});
        let unsaved = client.ask(query, json!({"id": flow, "i": {"recordIds": ids, "draft": draft}})).await.unwrap();
        let runs = unsaved["flowDryRun"].as_array().unwrap();
        let made: Vec<&Value> = runs.iter().filter(|run| run["verdict"] == "SENT").collect();
        let of_left = runs.iter().filter(|run| run["name"] == left).map(|run| &run["verdict"]).collect::<Vec<_>>();
        assert_eq!((made.len(), of_left), (11, vec![&json!("LEFT")]), "its filter leaves one out: {unsaved}");
        assert!(made.iter().all(|run| run["request"]["body"].as_str().unwrap().contains("not saved")), "{unsaved}");
        let versions = client.ask("query($id: ID!) { flow(id: $id) { newest { version } } }", json!({"id": flow})).await.unwrap();
        assert_eq!(versions["flow"]["newest"]["version"], 1, "{versions}");
        for wrong in [json!({"filter": "number =="}), json!({"mapping": [{"too": "memo"}]})] {
            let refused = client.raw(query, json!({"id": flow, "i": {"samples": true, "draft": wrong}})).await.unwrap();
            assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_REQUEST", "{refused}");
        }
        let after = world.erp.stats();
        assert_eq!((after.creates, after.updates, after.reads), (sent.creates, sent.updates, sent.reads));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_that_was_sent_can_be_made_again_to_the_byte_whatever_has_changed_since() {
    world(async |world| {
        delivered(world).await;
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        // Changed since: the mapping, a code, and the name that the source goes by.
        publish(client, flow, json!({"mapping": [{"to": "memo", "default": "since"}]})).await;
        let codes: Vec<(String, String)> = sample::skus().into_iter().map(|(sku, id)| (sku, format!("9{id}"))).collect();
        client.lookup_entries_set(&world.acme.table, &codes).await.unwrap();
        let data = client.ask("{ deliveries(first: 50) { nodes { attempts { id kind } record { id revision } } } }", json!({})).await.unwrap();
        let deliveries = data["deliveries"]["nodes"].as_array().unwrap();
        let attempts = deliveries.iter().flat_map(|delivery| delivery["attempts"].as_array().unwrap());
        let writes: Vec<&Value> = attempts.filter(|attempt| attempt["kind"] == "write").collect();
        assert!(writes.len() >= 12, "{data}");
        let query = "query($id: ID!, $w: RemakeInput) { attemptRemade(id: $id, with: $w) { isSame failure changes { path before after } madeWith { lookupTables { name version } } } }";
        for attempt in &writes {
            let remade = client.ask(query, json!({"id": attempt["id"]})).await.unwrap();
            assert_eq!(remade["attemptRemade"]["isSame"], true, "{remade}");
        }
        let changed = client.ask(query, json!({"id": writes[0]["id"], "w": {"flowVersion": 2, "lookupTables": "NOW"}})).await.unwrap();
        let paths: Vec<&str> =
            changed["attemptRemade"]["changes"].as_array().unwrap().iter().map(|change| change["path"].as_str().unwrap()).collect();
        assert!(paths.contains(&"memo") && paths.iter().any(|path| path.ends_with("item.id")), "{changed}");
        let query = "query($id: ID!, $r: Int!) { revisionRemade(recordId: $id, revision: $r) { isSame failure } record(id: $id) { provenance { field from how } } }";
        for delivery in deliveries {
            let record = &delivery["record"];
            let remade = client.ask(query, json!({"id": record["id"], "r": record["revision"]})).await.unwrap();
            assert_eq!(remade["revisionRemade"]["isSame"], true, "{remade}");
            let provenance = remade["record"]["provenance"].as_array().unwrap();
            let sku = provenance.iter().find(|field| field["field"] == "lines[].sku").unwrap();
            assert!(sku["from"].as_array().unwrap().contains(&json!("line_items[].sku")), "{sku}");
        }
    })
    .await;
}
