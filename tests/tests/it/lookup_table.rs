//! Lookup tables: files come in with a report of their bad rows, nothing of an earlier version is lost, an order is mapped by what stood when it
//! was accepted, and what waits for a value is counted and let go.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tests::client::Client;
use tests::sample;
use uuid::Uuid;

use crate::{World, world};

const PATIENCE: Duration = Duration::from_secs(30);
const OTHER: &str = "other@crossdock.example";
const PASSWORD: &str = "other-person-password";

const IMPORT: &str = "mutation($id: ID!, $csv: String!, $mode: LookupImportMode!, $preview: Boolean!, $skip: Boolean!) {
    lookupTableImport(id: $id, csv: $csv, mode: $mode, preview: $preview, skipBadRows: $skip) {
        lookupTable { version } written added changed removed unchanged badRowCount badRows { line what row } userErrors { field code message } } }";
const INBOX: &str = "query($t: String, $n: Int, $a: String) { lookupInbox(table: $t, first: $n, after: $a) {
    nodes { table value deliveryCount recordCount records since lookupTable { id } suggestions { from to likeness score } }
    pageInfo { hasNextPage endCursor } } }";
const RESOLVE: &str = "mutation($id: ID!, $v: String!, $to: String!, $f: DateTime) {
    lookupInboxResolve(tableId: $id, value: $v, to: $to, effectiveFrom: $f) { retried userErrors { field code message } } }";

async fn import(client: &Client, table: &str, csv: &str, mode: &str, preview: bool, skip: bool) -> Value {
    let variables = json!({"id": table, "csv": csv, "mode": mode, "preview": preview, "skip": skip});
    let mut answer = client.raw(IMPORT, variables).await.unwrap();
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"]["lookupTableImport"].take()
}

fn counts(import: &Value) -> [i64; 4] {
    ["added", "changed", "removed", "unchanged"].map(|key| import[key].as_i64().unwrap())
}

async fn csv(client: &Client, table: &str, version: Option<i64>) -> String {
    let query = "query($id: ID!, $v: Int) { lookupTable(id: $id) { csv(version: $v) } }";
    let data = client.ask(query, json!({"id": table, "v": version})).await.unwrap();
    data["lookupTable"]["csv"].as_str().unwrap().to_owned()
}

async fn inbox(client: &Client) -> Vec<Value> {
    let data = client.ask(INBOX, json!({})).await.unwrap();
    data["lookupInbox"]["nodes"].as_array().unwrap().clone()
}

/// An order whose two lines have these SKUs.
fn order(n: u64, skus: [&str; 2]) -> Vec<u8> {
    let text = String::from_utf8(sample::order(n)).unwrap();
    text.replace("\"TEE-M\"", &format!("\"{}\"", skus[0])).replace("\"MUG-S\"", &format!("\"{}\"", skus[1])).into_bytes()
}

async fn send(world: &World, n: u64, skus: [&str; 2]) {
    assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), order(n, skus)).await.unwrap().status, 200);
}

async fn set(client: &Client, table: &str, from: &str, to: &str, effective_from: Option<DateTime<Utc>>) {
    let query = "mutation($id: ID!, $e: [LookupEntryInput!]!) { lookupEntriesSet(id: $id, entries: $e) { userErrors { field message } } }";
    let entry = json!([{"from": from, "to": to, "effectiveFrom": effective_from}]);
    client.ask(query, json!({"id": table, "e": entry})).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_in_whole_or_not_at_all_and_its_bad_rows_are_told() {
    world(async |world| {
        let client = &world.acme.client;
        let table = client.lookup_table_create("Codes", &[("A".into(), "1".into()), ("B".into(), "2".into())]).await.unwrap();
        let file = "from;to;effective_from\nA;1\nB;3\nC;4;2026-12-01\n;5\nC;6;2026-12-01\nD;7;soon\n";

        let report = import(client, &table, file, "MERGE", true, false).await;
        assert_eq!((counts(&report), &report["written"], &report["lookupTable"]["version"]), ([1, 1, 0, 1], &json!(false), &json!(2)));
        let bad: Vec<(i64, &str)> = report["badRows"].as_array().unwrap().iter().map(|row| (row["line"].as_i64().unwrap(), row["what"].as_str().unwrap())).collect();
        assert_eq!(
            bad,
            [
                (5, "the value that it is looked up by is empty"),
                (6, "line 4 has the same value and the same beginning already"),
                (7, "\"soon\" is neither a day such as 2026-11-24 nor a time such as 2026-11-24T08:00:00Z"),
            ]
        );
        assert_eq!((&report["badRowCount"], &report["badRows"][0]["row"], &report["userErrors"]), (&json!(3), &json!(";5"), &json!([])));

        let refused = import(client, &table, file, "MERGE", false, false).await;
        assert_eq!((&refused["written"], &refused["userErrors"][0]["code"]), (&json!(false), &json!("INVALID")));
        let plain = "from,to,effective_from,effective_until\r\nA,1,,\r\nB,2,,\r\n";
        assert_eq!(csv(client, &table, None).await, plain, "nothing was written");

        let written = import(client, &table, file, "MERGE", false, true).await;
        assert_eq!((counts(&written), &written["written"], &written["lookupTable"]["version"]), ([1, 1, 0, 1], &json!(true), &json!(3)));
        let merged = "from,to,effective_from,effective_until\r\nA,1,,\r\nB,3,,\r\nC,4,2026-12-01,\r\n";
        assert_eq!(csv(client, &table, None).await, merged);
        let same = import(client, &table, merged, "REPLACE", false, false).await;
        assert_eq!((counts(&same), &same["written"], &same["lookupTable"]["version"]), ([0, 0, 0, 3], &json!(false), &json!(3)), "what changes nothing is no version");
        let replaced = import(client, &table, "from,to\nA,9\n", "REPLACE", false, false).await;
        assert_eq!((counts(&replaced), &replaced["lookupTable"]["version"]), ([0, 1, 2, 0], &json!(4)));

        // Every version is there to be read, and to be gone back to.
        assert_eq!((csv(client, &table, Some(2)).await.as_str(), csv(client, &table, Some(3)).await.as_str()), (plain, merged));
        let rollback = "mutation($id: ID!, $v: Int!) { lookupTableRollback(id: $id, version: $v) { lookupTable { version } userErrors { code } } }";
        let data = client.ask(rollback, json!({"id": table, "v": 3})).await.unwrap();
        assert_eq!(data["lookupTableRollback"]["lookupTable"]["version"], 5);
        assert_eq!(csv(client, &table, None).await, merged);
        let unknown = client.raw(rollback, json!({"id": table, "v": 77})).await.unwrap();
        assert_eq!(unknown["data"]["lookupTableRollback"]["userErrors"][0]["code"], "NOT_FOUND");
        let versions = "query($id: ID!) { lookupTable(id: $id) { entryCount versions { version cause added changed removed }
            entries(first: 2, search: \"\") { nodes { from to } pageInfo { hasNextPage endCursor } } } }";
        let data = client.ask(versions, json!({"id": table})).await.unwrap();
        let causes: Vec<&str> = data["lookupTable"]["versions"].as_array().unwrap().iter().map(|v| v["cause"].as_str().unwrap()).collect();
        assert_eq!(causes, ["rolled_back", "imported", "imported", "set", "created"]);
        assert_eq!((&data["lookupTable"]["versions"][0]["added"], &data["lookupTable"]["entryCount"]), (&json!(2), &json!(3)));
        let page = &data["lookupTable"]["entries"];
        assert_eq!((&page["nodes"][1], &page["pageInfo"]["hasNextPage"]), (&json!({"from": "B", "to": "3"}), &json!(true)));
        let next = "query($id: ID!, $a: String) { lookupTable(id: $id) { entries(after: $a) { nodes { from effectiveFrom } }
            old: entries(version: 2, search: \"b\") { nodes { from to } } } }";
        let data = client.ask(next, json!({"id": table, "a": page["pageInfo"]["endCursor"]})).await.unwrap();
        assert_eq!(data["lookupTable"]["entries"]["nodes"], json!([{"from": "C", "effectiveFrom": "2026-12-01T00:00:00+00:00"}]));
        assert_eq!(data["lookupTable"]["old"]["nodes"], json!([{"from": "B", "to": "2"}]));
        let audit = "query($id: ID!) { auditEvents(subjectId: $id) { nodes { action } } }";
        let data = client.ask(audit, json!({"id": table})).await.unwrap();
        let actions: Vec<&str> = data["auditEvents"]["nodes"].as_array().unwrap().iter().map(|e| e["action"].as_str().unwrap()).collect();
        assert_eq!(
            actions,
            ["rolled_back", "imported", "imported", "entries_set", "created"].map(|action| format!("lookup_table.{action}"))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_mapped_by_what_stood_when_it_was_accepted_however_late_it_is_sent() {
    world(async |world| {
        let (client, table) = (&world.acme.client, &world.acme.table);
        send(world, 1, ["TEE-M", "NEW-1"]).await;
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        set(client, table, "TEE-M", "4711", Some(Utc::now())).await;
        send(world, 2, ["TEE-M", "MUG-S"]).await;
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().delivery("confirmed"), 1);
        assert!(world.erp.orders().values().next().unwrap().says("4711"));

        // The first order comes after the change, and was accepted before it.
        let data = client.ask(RESOLVE, json!({"id": table, "v": "NEW-1", "to": "5001"})).await.unwrap();
        assert_eq!(data["lookupInboxResolve"]["retried"], 1);
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().delivery("confirmed"), 2);
        let orders = world.erp.orders();
        let late = orders.values().find(|order| order.says("5001")).unwrap();
        assert!(!late.says("4711"), "{late:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_that_an_order_lacks_is_in_the_inbox_and_leaves_it_when_it_is_answered() {
    world(async |world| {
        let (client, table) = (&world.acme.client, &world.acme.table);
        let sku = sample::skus().into_iter().find(|(sku, _)| sku == "TEE-S").unwrap();
        for (n, skus) in [["TEES", "NEW-2"], ["TEES", "MUG-S"], ["TEE-M", "NEW-2"], ["TEES", "TEES"]].into_iter().enumerate() {
            send(world, n as u64, skus).await;
        }
        assert_eq!(world.acme.rest(4, PATIENCE).await.unwrap().delivery("exception"), 4);
        let items = inbox(client).await;
        let said: Vec<(&str, &str, i64, i64)> = items
            .iter()
            .map(|item| {
                (
                    item["table"].as_str().unwrap(),
                    item["value"].as_str().unwrap(),
                    item["deliveryCount"].as_i64().unwrap(),
                    item["recordCount"].as_i64().unwrap(),
                )
            })
            .collect();
        assert_eq!(said, [("SKUs", "TEES", 3, 3), ("SKUs", "NEW-2", 2, 2)], "the second value of an order counts as the first");
        let mut records: Vec<&str> = items[0]["records"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        records.sort_unstable();
        assert_eq!((records, &items[0]["lookupTable"]["id"]), (vec!["#L0", "#L1", "#L3"], &json!(table)));
        let suggested = &items[0]["suggestions"][0];
        assert_eq!((&suggested["from"], &suggested["to"], &suggested["score"]), (&json!("TEE-S"), &json!(sku.1), &json!(1.0)));
        assert!(items[0]["suggestions"].as_array().unwrap().len() <= 3);
        let exceptions = "{ exceptions(state: \"open\") { nodes { value missing { lookupTable value } } } }";
        let data = client.ask(exceptions, json!({})).await.unwrap();
        let first =
            data["exceptions"]["nodes"].as_array().unwrap().iter().find(|node| node["missing"][1] != Value::Null).unwrap();
        assert_eq!((&first["value"], &first["missing"][1]), (&json!("TEES"), &json!({"lookupTable": "SKUs", "value": "NEW-2"})));
        let page = client.ask(INBOX, json!({"n": 1})).await.unwrap();
        let cursor = &page["lookupInbox"]["pageInfo"];
        let next = client.ask(INBOX, json!({"n": 1, "a": cursor["endCursor"]})).await.unwrap();
        assert_eq!((&cursor["hasNextPage"], &next["lookupInbox"]["nodes"][0]["value"]), (&json!(true), &json!("NEW-2")));
        assert_eq!(next["lookupInbox"]["pageInfo"]["hasNextPage"], false);
        let elsewhere = client.ask(INBOX, json!({"t": "Taxes"})).await.unwrap();
        assert_eq!(elsewhere["lookupInbox"]["nodes"], json!([]));

        // An answer lets all go that waited for it; one that lacks another value too waits for that one alone.
        let data = client.ask(RESOLVE, json!({"id": table, "v": "TEES", "to": sku.1})).await.unwrap();
        assert_eq!(data["lookupInboxResolve"]["retried"], 3);
        let ledger = world.acme.rest(4, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (2, 2));
        let items = inbox(client).await;
        assert_eq!((items.len(), &items[0]["value"], &items[0]["deliveryCount"]), (1, &json!("NEW-2"), &json!(2)));
        let other = client.raw(RESOLVE, json!({"id": table, "v": "TEES", "to": "another"})).await.unwrap();
        assert_eq!(other["data"]["lookupInboxResolve"]["userErrors"][0]["code"], "TAKEN", "{other}");
        client.ask(RESOLVE, json!({"id": table, "v": "NEW-2", "to": "5002"})).await.unwrap();
        assert_eq!(world.acme.rest(4, PATIENCE).await.unwrap().delivery("confirmed"), 4);
        assert!(inbox(client).await.is_empty());

        // What a person decides not to send waits no more either.
        send(world, 9, ["NEVER", "MUG-S"]).await;
        assert_eq!(world.acme.rest(5, PATIENCE).await.unwrap().delivery("exception"), 1);
        let cause = client.exception_groups().await.unwrap()[0]["causeKey"].clone();
        let ignore = "mutation($i: ExceptionSelectionInput!) { exceptionIgnore(input: $i, reason: \"a test order\") { count } }";
        client.ask(ignore, json!({"i": {"causeKey": cause}})).await.unwrap();
        assert!(inbox(client).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_and_packs_of_a_file_are_what_an_order_is_converted_by() {
    world(async |world| {
        let client = &world.acme.client;
        let create = "mutation($n: String!, $k: LookupTableKind!) { lookupTableCreate(name: $n, kind: $k) { lookupTable { id } userErrors { message } } }";
        let table = async |name: &str, kind: &str| {
            let data = client.ask(create, json!({"n": name, "k": kind})).await.unwrap();
            data["lookupTableCreate"]["lookupTable"]["id"].as_str().unwrap().to_owned()
        };
        let (rates, packs) = (table("Rates", "RATES").await, table("Packs", "UNITS").await);
        let rules = json!([
            {"to": "memo", "expr": "'worth ' & fx(1, 'USD', 'EUR', 'Rates', placed_at)"},
            {"to": "otherRefNum", "expr": "'pieces ' & convert_unit(2, 'case', 'each', 'Packs', 'TEE-M')"}
        ]);
        let draft = "mutation($id: ID!, $m: JSON!) { flowDraft(id: $id, input: {mapping: $m}) { userErrors { message } } }";
        client.ask(draft, json!({"id": world.acme.flow, "m": rules})).await.unwrap();
        client.ask("mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }", json!({"id": world.acme.flow})).await.unwrap();
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        let mut waits: Vec<String> =
            inbox(client).await.iter().map(|item| format!("{} {}", item["table"].as_str().unwrap(), item["value"].as_str().unwrap())).collect();
        waits.sort_unstable();
        assert_eq!(waits, ["Packs TEE-M|case|each", "Rates USD/EUR"]);

        let file = "from,to,date,rate\nusd,eur,2020-01-01,0.9\nusd,eur,2026-11-01,0.8725\nusd,eur,2999-01-01,5\nusd,eur,1.1.2026,1\n";
        let report = import(client, &rates, file, "MERGE", false, true).await;
        assert_eq!((counts(&report), &report["badRows"][0]["line"]), ([3, 0, 0, 0], &json!(5)));
        let file = "item,from,to,factor\n,case,each,12\nTEE-M,case,pcs,24\n";
        assert_eq!(counts(&import(client, &packs, file, "REPLACE", false, false).await), [2, 0, 0, 0]);
        assert_eq!(csv(client, &packs, None).await, "item,from,to,factor,effective_from,effective_until\r\nTEE-M,case,each,24,,\r\n,case,each,12,,\r\n");
        let cause = client.exception_groups().await.unwrap()[0]["causeKey"].as_str().unwrap().to_owned();
        assert_eq!(client.exception_retry(&cause).await.unwrap(), 1);
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("confirmed"), 1);
        let orders = world.erp.orders();
        let order = orders.values().next().unwrap();
        assert!(order.says("worth 0.8725") && order.says("pieces 48"), "{order:?}");
        assert!(inbox(client).await.is_empty());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_a_published_flow_reads_keeps_its_name_and_another_tenant_sees_none_of_it() {
    world(async |world| {
        let (client, table) = (&world.acme.client, world.acme.table.clone());
        let rename = "mutation($id: ID!, $n: String!) { lookupTableRename(id: $id, name: $n) { lookupTable { name version } userErrors { code message } } }";
        let delete = "mutation($id: ID!) { lookupTableDelete(id: $id) { userErrors { code message } } }";
        for (query, field) in [(rename, "lookupTableRename"), (delete, "lookupTableDelete")] {
            let answer = client.raw(query, json!({"id": table, "n": "Items"})).await.unwrap();
            let error = &answer["data"][field]["userErrors"][0];
            assert_eq!(error["code"], "INVALID", "{answer}");
            assert!(error["message"].as_str().unwrap().contains("\"orders: shopify to netsuite\""), "{answer}");
        }
        let spare = client.lookup_table_create("Spare", &[("a".into(), "b".into())]).await.unwrap();
        let data = client.ask(rename, json!({"id": spare, "n": "Kept"})).await.unwrap();
        assert_eq!(data["lookupTableRename"]["lookupTable"], json!({"name": "Kept", "version": 3}));
        let taken = client.raw(rename, json!({"id": spare, "n": "SKUs"})).await.unwrap();
        assert_eq!(taken["data"]["lookupTableRename"]["userErrors"][0]["code"], "TAKEN");
        client.ask(delete, json!({"id": spare})).await.unwrap();
        let gone = "query($id: ID!) { lookupTable(id: $id) { id } node(id: $id) { __typename } lookupTables { nodes { name } } }";
        let data = client.ask(gone, json!({"id": spare})).await.unwrap();
        assert_eq!((&data["lookupTable"], &data["node"], &data["lookupTables"]["nodes"]), (&Value::Null, &Value::Null, &json!([{"name": "SKUs"}])));
        client.lookup_table_create("Kept", &[]).await.expect("the name is free again");

        send(world, 1, ["NEW-3", "MUG-S"]).await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        world.platform.user_create(OTHER, PASSWORD).await.unwrap();
        let other = Client::new(&world.platform.url).sign_in(OTHER, PASSWORD).await.unwrap();
        let own = other.tenant_create("other").await.unwrap();
        let other = other.of_tenant(&own);
        assert!(inbox(&other).await.is_empty() && inbox(client).await.len() == 1);
        let data = other.ask("query($id: ID!) { lookupTable(id: $id) { csv } }", json!({"id": table})).await.unwrap();
        assert_eq!(data["lookupTable"], Value::Null);
        let changes = "mutation($id: ID!) {
            a: lookupTableRename(id: $id, name: \"x\") { userErrors { code } } b: lookupTableDelete(id: $id) { userErrors { code } }
            c: lookupTableRollback(id: $id, version: 1) { userErrors { code } } d: lookupEntriesRemove(id: $id, from: [\"TEE-M\"]) { userErrors { code } }
            e: lookupTableImport(id: $id, csv: \"a,b\", mode: REPLACE) { userErrors { code } }
            f: lookupInboxResolve(tableId: $id, value: \"NEW-3\", to: \"1\") { retried userErrors { code } } }";
        let answer = other.raw(changes, json!({"id": table})).await.unwrap();
        for field in ["a", "b", "c", "d", "e", "f"] {
            assert_eq!(answer["data"][field]["userErrors"][0]["code"], "NOT_FOUND", "{answer}");
        }
        // Of the same name, and still its own.
        let theirs = other.lookup_table_create("SKUs", &[]).await.unwrap();
        let data = other.ask(RESOLVE, json!({"id": theirs, "v": "NEW-3", "to": "1"})).await.unwrap();
        assert_eq!(data["lookupInboxResolve"]["retried"], 0);
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
    })
    .await;
}
