//! Exceptions that people can work: groups with what they come to, acts about one or thousands, and fixes by one click.

use std::time::{Duration, Instant};

use chrono::Utc;
use connectors::simulator::{Fault, FaultMatcher, Weather};
use serde_json::{Value, json};
use sqlx::{Executor, PgConnection};
use tests::client::Client;
use tests::sample;
use uuid::Uuid;

use crate::{World, world};

const PATIENCE: Duration = Duration::from_secs(30);
const GROUPS: &str = "query($f: ExceptionGroupFilterInput) { exceptionGroups(filter: $f) { nodes {
    causeKey code cause owner nextStep value lookupTable count oldestAgeS money { currency amount count } tags isSnoozed snoozedAbove
    assignee { email } fixes { kind label } comments { by text } history { by action detail } } } }";
const CAUSE: &str = "{ exceptionGroups { nodes { causeKey } } }";

async fn groups(client: &Client, filter: Value) -> Vec<Value> {
    let data = client.ask(GROUPS, json!({"f": filter})).await.unwrap();
    data["exceptionGroups"]["nodes"].as_array().unwrap().clone()
}

async fn cause(client: &Client) -> String {
    let data = client.ask(CAUSE, json!({})).await.unwrap();
    data["exceptionGroups"]["nodes"][0]["causeKey"].as_str().unwrap().to_owned()
}

/// An act, by the field's name and its arguments beside the selection.
async fn act(client: &Client, selection: Value, call: &str, variables: Value) -> Value {
    let (field, arguments) = call.split_once('(').unwrap();
    let declared = if variables.get("u").is_some() {
        ", $u: ID"
    } else if variables.get("t").is_some() {
        ", $t: DateTime"
    } else {
        ""
    };
    let query = format!(
        "mutation($i: ExceptionSelectionInput!{declared}) {{ {field}(input: $i, {arguments} {{ count hasMore userErrors {{ field code message }} }} }}"
    );
    let mut all = json!({"i": selection});
    all.as_object_mut().unwrap().extend(variables.as_object().unwrap().clone());
    let mut answer = client.raw(&query, all).await.unwrap();
    assert!(answer.get("errors").is_none(), "{answer}");
    answer["data"][field].take()
}

/// An order with a SKU that the table lacks.
async fn send_unmapped(world: &World, n: u64) {
    let body = String::from_utf8(sample::order(n)).unwrap().replace("\"TEE-M\"", "\"HAT-XL\"");
    assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), body.into_bytes()).await.unwrap().status, 200);
}

/// Makes so many more of the one exception that there is, with records and deliveries of their own.
async fn multiply(connection: &mut PgConnection, count: u32) {
    let sql = format!(
        "CREATE TEMP TABLE clones AS SELECT n, gen_random_uuid() AS record, gen_random_uuid() AS revision, gen_random_uuid() AS delivery
             FROM generate_series(1, {count}) n;
         INSERT INTO records (id, tenant_id, kind, connection_id, source_id, number, revision, revision_id, content_hash, source_updated_at)
             SELECT c.record, r.tenant_id, r.kind, r.connection_id, 'clone-' || c.n, '#C' || c.n, 1, c.revision, r.content_hash, r.source_updated_at
             FROM clones c, (SELECT * FROM records LIMIT 1) r;
         INSERT INTO record_revisions (id, tenant_id, record_id, revision, message_id, document, recipe_id)
             SELECT c.revision, v.tenant_id, c.record, 1, v.message_id, v.document, v.recipe_id FROM clones c, (SELECT * FROM record_revisions LIMIT 1) v;
         INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, state, due_at, sweep_at, origin_at)
             SELECT c.delivery, d.tenant_id, d.flow_id, d.flow_version_id, c.record, 1, c.revision, d.connection_id, d.state, now(), now(), d.origin_at
             FROM clones c, (SELECT * FROM deliveries LIMIT 1) d;
         INSERT INTO exceptions (id, tenant_id, cause_key, code, sentence, cause, owner, next_step, path, value, lookup_table, missing, delivery_id,
                                 record_id, flow_id, connection_id, amount, currency)
             SELECT gen_random_uuid(), e.tenant_id, e.cause_key, e.code, e.sentence, e.cause, e.owner, e.next_step, e.path, e.value, e.lookup_table,
                    e.missing, c.delivery, c.record, e.flow_id, e.connection_id, e.amount, e.currency FROM clones c, (SELECT * FROM exceptions LIMIT 1) e;
         DROP TABLE clones; ANALYZE exceptions; ANALYZE deliveries;"
    );
    connection.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(sql))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_says_what_it_comes_to_and_keeps_what_people_decide_about_it() {
    world(async |world| {
        for n in 0..3 {
            send_unmapped(world, n).await;
        }
        world.erp.fail([Fault::Status(400)]);
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(9)).await.unwrap();
        assert_eq!(world.acme.rest(4, PATIENCE).await.unwrap().delivery("exception"), 4);
        let client = &world.acme.client;
        let both = groups(client, json!({})).await;
        assert_eq!(both.len(), 2, "{both:?}");
        let group = &both[0];
        assert_eq!((&group["count"], &group["value"], &group["owner"]), (&json!(3), &json!("HAT-XL"), &json!("operations")));
        let money = &group["money"][0];
        let one: rust_decimal::Decimal = both[1]["money"][0]["amount"].as_str().unwrap().parse().unwrap();
        assert_eq!((money["count"].as_i64(), money["currency"].as_str().map(str::len)), (Some(3), Some(3)), "{group}");
        assert_eq!(money["amount"].as_str().unwrap().parse::<rust_decimal::Decimal>().unwrap(), one * rust_decimal::Decimal::from(3));
        assert_eq!(group["fixes"].as_array().unwrap().iter().map(|fix| fix["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["ADD_LOOKUP_VALUE", "DONE_ELSEWHERE"]);

        let key = group["causeKey"].as_str().unwrap().to_owned();
        let all = json!({"causeKey": key});
        let viewer = client.ask("{ viewer { id } members { userId email role } }", json!({})).await.unwrap();
        assert_eq!(viewer["members"][0]["role"], "owner");
        let me = viewer["viewer"]["id"].clone();
        assert_eq!(act(client, all.clone(), "exceptionAssign(userId: $u)", json!({"u": me})).await["count"], 3);
        assert_eq!(act(client, all.clone(), "exceptionTag(add: [\" Finance \", \"eu\"])", json!({})).await["count"], 3);
        assert_eq!(act(client, all.clone(), "exceptionTag(add: [\"q4\"], remove: [\"eu\"])", json!({})).await["count"], 3);
        assert_eq!(act(client, all.clone(), "exceptionComment(text: \"The shop renames it tomorrow.\")", json!({})).await["count"], 3);
        let refused = act(client, all.clone(), "exceptionAssign(userId: $u)", json!({"u": "usr_00000000000070008000000000000001"})).await;
        assert_eq!(refused["userErrors"][0]["code"], "NOT_FOUND", "{refused}");
        let refused = act(client, all.clone(), "exceptionTag(add: [\"a,b\"])", json!({})).await;
        assert_eq!(refused["userErrors"][0]["code"], "INVALID", "{refused}");

        let mine = groups(client, json!({"assigneeId": me, "tag": "finance"})).await;
        assert_eq!(mine.len(), 1);
        assert_eq!((&mine[0]["tags"], &mine[0]["assignee"]["email"]), (&json!(["finance", "q4"]), &json!(tests::platform::EMAIL)));
        assert_eq!(mine[0]["comments"][0]["text"], "The shop renames it tomorrow.");
        let acts: Vec<&str> = mine[0]["history"].as_array().unwrap().iter().map(|done| done["action"].as_str().unwrap()).collect();
        assert_eq!(acts, ["exception.commented", "exception.tagged", "exception.tagged", "exception.assigned"]);
        for (filter, count) in [
            (json!({"isUnassigned": true}), 1),
            (json!({"text": "hat-xl"}), 1),
            (json!({"text": "#L9"}), 1),
            (json!({"text": "100%"}), 0),
            (json!({"owner": "vendor"}), 0),
            (json!({"flowId": world.acme.flow}), 2),
            (json!({"connectionId": world.acme.destination}), 2),
            (json!({"connectionId": world.acme.source}), 0),
            (json!({"tag": "eu"}), 0),
        ] {
            assert_eq!(groups(client, filter.clone()).await.len(), count, "{filter}");
        }

        // One that joins later is in the same hands. Put away above three, the group is shown again with the fourth.
        let until = Utc::now() + chrono::Duration::hours(1);
        assert_eq!(act(client, all.clone(), "exceptionSnooze(until: $t, above: 3)", json!({"t": until})).await["count"], 3);
        assert_eq!((groups(client, json!({"isSnoozed": true})).await.len(), groups(client, json!({"isSnoozed": false})).await.len()), (1, 1));
        send_unmapped(world, 3).await;
        assert_eq!(world.acme.rest(5, PATIENCE).await.unwrap().delivery("exception"), 5);
        let grown = groups(client, json!({"isSnoozed": false, "assigneeId": me})).await;
        assert_eq!((grown.len(), &grown[0]["count"]), (1, &json!(4)));
        let refused = act(client, all, "exceptionSnooze(until: $t)", json!({"t": Utc::now()})).await;
        assert_eq!(refused["userErrors"][0]["code"], "INVALID", "{refused}");

        // Single ones may be somebody's own, and rest alone.
        let data = client.ask("{ exceptions(first: 2) { nodes { id } } }", json!({})).await.unwrap();
        let ids: Vec<Value> = data["exceptions"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].clone()).collect();
        assert_eq!(act(client, json!({"ids": ids}), "exceptionSnooze(until: $t)", json!({"t": until})).await["count"], 2);
        assert_eq!(act(client, json!({"ids": [ids[0]]}), "exceptionTag(add: [\"vip\"])", json!({})).await["count"], 1);
        let one = "query($id: ID!) { node(id: $id) { ... on Exception { tags snoozedUntil amount currency comments { text } history { action } } } }";
        let data = client.ask(one, json!({"id": ids[0]})).await.unwrap();
        assert_eq!(data["node"]["tags"], json!(["vip"]));
        assert!(!data["node"]["snoozedUntil"].is_null() && !data["node"]["amount"].is_null(), "{data}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_of_one_cause_go_on_by_one_act_and_hurt_nobody() {
    world(async |world| {
        send_unmapped(world, 1).await;
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        let mut connection = world.platform.database.connect().await.unwrap();
        multiply(&mut connection, 4_999).await;
        let client = &world.acme.client;
        let group = &groups(client, json!({})).await[0];
        assert_eq!((&group["count"], &group["money"][0]["count"]), (&json!(5_000), &json!(5_000)));

        // A destination that takes its time: whether its limit is used does not depend on how fast this machine is.
        let slow = Weather { matcher: FaultMatcher::next("order.write"), per_mille: 1_000, faults: vec![Fault::DelayMs(300)] };
        world.erp.set_weather(vec![slow], 1);
        let fix = "mutation($k: String!, $to: String!) { exceptionFixLookupValue(causeKey: $k, to: $to) { count userErrors { message } } }";
        let began = Instant::now();
        let data = client.ask(fix, json!({"k": group["causeKey"], "to": "1999"})).await.unwrap();
        assert_eq!(data["exceptionFixLookupValue"]["count"], 5_000);
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
        assert!(groups(client, json!({})).await.is_empty());

        // An order that arrives meanwhile does not stand behind them: they are in the lane of what comes again.
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(2)).await.unwrap();
        let confirmed = "SELECT count(*) FROM deliveries d JOIN records r ON r.id = d.record_id WHERE d.state = 'confirmed' AND r.number = '#L2'";
        let end = Instant::now() + PATIENCE;
        while sqlx::query_scalar::<_, i64>(confirmed).fetch_one(&mut connection).await.unwrap() == 0 {
            assert!(Instant::now() < end, "it stands behind the others");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        let planned: i64 =
            sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE state = 'planned'").fetch_one(&mut connection).await.unwrap();
        assert!(planned > 500, "it went before most of them: {planned}");
        // The destination's limit is used, and kept.
        crate::eventually("as many calls at once as it allows", async || (world.erp.stats().in_flight_max >= 15).then_some(())).await;
        let stats = world.erp.stats();
        assert!(stats.in_flight_max == 15 && stats.orders > 1, "{stats:?}");
        assert!(world.erp.orders().values().all(|order| order.creates == 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_beyond_ten_thousand_says_that_there_is_more() {
    world(async |world| {
        send_unmapped(world, 1).await;
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        multiply(&mut world.platform.database.connect().await.unwrap(), 10_004).await;
        let client = &world.acme.client;
        let all = json!({"causeKey": cause(client).await});
        let ignored = act(client, all.clone(), "exceptionIgnore(reason: \"a test shop\")", json!({})).await;
        assert_eq!((&ignored["count"], &ignored["hasMore"]), (&json!(10_000), &json!(true)));
        let ignored = act(client, all, "exceptionIgnore(reason: \"a test shop\")", json!({})).await;
        assert_eq!((&ignored["count"], &ignored["hasMore"]), (&json!(5), &json!(false)));
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("cancelled"), 10_005);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_takes_the_version_of_now_or_the_one_it_was_planned_with() {
    world(async |world| {
        let client = &world.acme.client;
        for n in [1, 2] {
            send_unmapped(world, n).await;
        }
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().delivery("exception"), 2);
        let draft = "mutation($id: ID!, $m: JSON!) { flowDraft(id: $id, input: {mapping: $m}) { userErrors { message } } }";
        let rules = json!([{"to": "memo", "expr": "'of the new version'"}]);
        client.ask(draft, json!({"id": world.acme.flow, "m": rules})).await.unwrap();
        client
            .ask("mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }", json!({"id": world.acme.flow}))
            .await
            .unwrap();
        client.lookup_entries_set(&world.acme.table, &[("HAT-XL".into(), "1999".into())]).await.unwrap();
        let data = client.ask("{ exceptions { nodes { id sentence } } }", json!({})).await.unwrap();
        for node in data["exceptions"]["nodes"].as_array().unwrap() {
            let versions = if node["sentence"].as_str().unwrap().contains("#L1") { "SAME" } else { "CURRENT" };
            let retried =
                act(client, json!({"ids": [node["id"]]}), &format!("exceptionRetry(versions: {versions})"), json!({})).await;
            assert_eq!(retried["count"], 1, "{retried}");
        }
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().delivery("confirmed"), 2);
        let orders = world.erp.orders();
        let news: Vec<bool> = orders.values().map(|order| order.says("of the new version")).collect();
        assert_eq!(news.iter().filter(|says| **says).count(), 1, "{orders:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_done_by_hand_is_confirmed_by_a_person_and_known_by_its_id_there() {
    world(async |world| {
        let client = &world.acme.client;
        for n in [1, 2] {
            send_unmapped(world, n).await;
        }
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().delivery("exception"), 2);
        let data = client.ask("{ exceptions { nodes { id deliveryId } } }", json!({})).await.unwrap();
        let nodes = data["exceptions"]["nodes"].as_array().unwrap().clone();
        let mark = "mutation($d: [ExceptionDoneInput!]!) { exceptionMarkDone(done: $d, note: \"keyed in by Kim\") { count userErrors { code message } } }";
        let data = client.ask(mark, json!({"d": [{"id": nodes[0]["id"], "destinationId": " 4711 "}]})).await.unwrap();
        assert_eq!(data["exceptionMarkDone"]["count"], 1);
        let one = "query($d: ID!, $e: ID!) { delivery(id: $d) { state receiptId } node(id: $e) { ... on Exception { state resolution } } auditEvents(subjectId: $d) { nodes { action } } }";
        let data = client.ask(one, json!({"d": nodes[0]["deliveryId"], "e": nodes[0]["id"]})).await.unwrap();
        assert_eq!((&data["delivery"]["state"], &data["delivery"]["receiptId"]), (&json!("confirmed"), &json!("4711")));
        assert_eq!(data["node"]["resolution"], "Done by hand: its id there is 4711");
        assert_eq!(data["auditEvents"]["nodes"][0]["action"], "delivery.done_elsewhere");
        let again = client.raw(mark, json!({"d": [{"id": nodes[1]["id"], "destinationId": "4711"}]})).await.unwrap();
        assert_eq!(again["data"]["exceptionMarkDone"]["userErrors"][0]["code"], "TAKEN", "{again}");
        assert_eq!((world.erp.stats().orders, groups(client, json!({})).await.len()), (0, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_become_of_a_group_is_known_before_anything_is_changed() {
    world(async |world| {
        let client = &world.acme.client;
        for n in 0..3 {
            send_unmapped(world, n).await;
        }
        let body = String::from_utf8(sample::order(3)).unwrap().replace("\"TEE-M\"", "\"HAT-XL\"").replace("\"MUG-S\"", "\"CUP-Z\"");
        world.acme.shop.send("orders/create", Uuid::new_v4(), body.into_bytes()).await.unwrap();
        assert_eq!(world.acme.rest(4, PATIENCE).await.unwrap().delivery("exception"), 4);
        let query = "query($i: ExceptionSelectionInput!, $l: [SupposedEntryInput!]!, $v: Int) { exceptionWhatIf(input: $i, lookupValues: $l, flowVersion: $v) {
            tried passes left hasMore reasons { code cause count example } } }";
        let all = json!({"causeKey": cause(client).await});
        let what_if = async |entries: Value, version: Option<i32>| {
            let data = client.ask(query, json!({"i": all, "l": entries, "v": version})).await.unwrap();
            data["exceptionWhatIf"].clone()
        };
        let as_it_is = what_if(json!([]), None).await;
        assert_eq!((&as_it_is["tried"], &as_it_is["passes"], &as_it_is["reasons"][0]["count"]), (&json!(4), &json!(0), &json!(4)), "{as_it_is}");
        let hat = json!([{"lookupTable": "SKUs", "from": "HAT-XL", "to": "1999"}]);
        let with_hat = what_if(hat, None).await;
        assert_eq!((&with_hat["passes"], &with_hat["reasons"].as_array().unwrap().len()), (&json!(3), &1), "{with_hat}");
        assert_eq!(with_hat["reasons"][0]["cause"], "The value \"CUP-Z\" has no entry in the table \"SKUs\".");
        assert_eq!(with_hat["reasons"][0]["example"], "#L3");

        let draft = "mutation($id: ID!, $p: JSON!) { flowDraft(id: $id, input: {policy: $p}) { userErrors { message } } }";
        client.ask(draft, json!({"id": world.acme.flow, "p": {"missing": "keep"}})).await.unwrap();
        let with_draft = what_if(json!([]), Some(2)).await;
        assert_eq!(with_draft["passes"], 4, "{with_draft}");
        let data = client.ask("{ exceptionGroups { nodes { count } } lookupInbox { nodes { value } } }", json!({})).await.unwrap();
        assert_eq!(data["exceptionGroups"]["nodes"][0]["count"], 4, "nothing is changed");
        assert_eq!(world.erp.stats().orders, 0);
    })
    .await;
}

const EDIT_RECORD: &str = "mutation($id: ID!, $e: [FieldEditInput!]!) { exceptionEditRecord(id: $id, edits: $e) { count userErrors { field code message } } }";
const EDIT_PAYLOAD: &str = "mutation($id: ID!, $e: [FieldEditInput!]!) { exceptionEditPayload(id: $id, edits: $e) { count userErrors { field code message } } }";

/// The only open exception.
async fn only(client: &Client) -> Value {
    let data = client.ask("{ exceptions(state: \"open\") { nodes { id deliveryId recordId } } }", json!({})).await.unwrap();
    let nodes = data["exceptions"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{data}");
    nodes[0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_a_person_corrects_is_a_revision_of_theirs_and_the_sources_next_word_counts() {
    world(async |world| {
        let client = &world.acme.client;
        send_unmapped(world, 1).await;
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        let exception = only(client).await;
        for (path, value) in [
            ("lines[0].sku", "TEE-M"),
            ("lines[7].sku", "\"TEE-M\""),
            ("lines[0].quantity", "\"many\""),
            ("no_such_field", "1"),
            ("source_id", "\"other\""),
            ("lines[0].sku", "\"HAT-XL\""),
        ] {
            let answer = client.raw(EDIT_RECORD, json!({"id": exception["id"], "e": [{"path": path, "value": value}]})).await.unwrap();
            assert_eq!(answer["data"]["exceptionEditRecord"]["userErrors"][0]["code"], "INVALID", "{path} {value}: {answer}");
        }
        let edits = json!([{"path": "lines[0].sku", "value": "\"TEE-M\""}]);
        let data = client.ask(EDIT_RECORD, json!({"id": exception["id"], "e": edits})).await.unwrap();
        assert_eq!(data["exceptionEditRecord"]["count"], 1);
        let ledger = world.acme.rest(2, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("superseded"), ledger.delivery("exception")), (1, 1, 0), "{ledger:?}");
        let query = "query($e: ID!, $r: ID!) { node(id: $e) { ... on Exception { state resolution } } record(id: $r) { revision document }
            auditEvents(subjectId: $r, action: \"record.edited\") { nodes { actor detail } } }";
        let data = client.ask(query, json!({"e": exception["id"], "r": exception["recordId"]})).await.unwrap();
        assert_eq!(data["node"], json!({"state": "resolved", "resolution": "The record was edited, and is delivered so"}));
        assert_eq!(data["record"]["revision"], 2);
        let told = data["auditEvents"]["nodes"][0]["detail"].as_str().unwrap();
        assert!(told.contains("lines[0].sku") && told.contains("HAT-XL") && told.contains("TEE-M"), "{told}");
        assert_eq!(data["auditEvents"]["nodes"][0]["actor"]["kind"], "member");
        let again = client.raw(EDIT_RECORD, json!({"id": exception["id"], "e": [{"path": "lines[0].sku", "value": "\"MUG-S\""}]})).await.unwrap();
        assert_eq!(again["data"]["exceptionEditRecord"]["userErrors"][0]["code"], "NOT_FOUND", "{again}");

        // The same webhook once more does not take the edit back; a newer one does.
        send_unmapped(world, 1).await;
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("stale"), ledger.delivery("exception")), (1, 0), "{ledger:?}");
        world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 5)).await.unwrap();
        assert_eq!(world.acme.rest(4, PATIENCE).await.unwrap().delivery("confirmed"), 2);
        let orders = world.erp.orders();
        let order = orders.values().next().unwrap();
        assert!(orders.len() == 1 && order.creates == 1 && order.says("revision 5"), "{order:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_corrected_for_one_delivery_and_made_again_to_the_byte() {
    world(async |world| {
        let client = &world.acme.client;
        world.erp.fail([Fault::Status(400)]);
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        let exception = only(client).await;
        for (path, value) in [("no.such", "1"), ("memo", "text"), ("item.items[9].quantity", "1")] {
            let answer = client.raw(EDIT_PAYLOAD, json!({"id": exception["id"], "e": [{"path": path, "value": value}]})).await.unwrap();
            assert_eq!(answer["data"]["exceptionEditPayload"]["userErrors"][0]["code"], "INVALID", "{path}: {answer}");
        }
        let edits = json!([{"path": "memo", "value": "\"as the customer asked on the phone\""}]);
        let data = client.ask(EDIT_PAYLOAD, json!({"id": exception["id"], "e": edits})).await.unwrap();
        assert_eq!(data["exceptionEditPayload"]["count"], 1);
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("confirmed"), 1);
        assert!(world.erp.orders().values().all(|order| order.says("as the customer asked on the phone") && order.creates == 1));
        let query = "query($d: ID!) { delivery(id: $d) { attempts { id kind outcome } } auditEvents(subjectId: $d, action: \"delivery.edited\") { nodes { detail } } }";
        let data = client.ask(query, json!({"d": exception["deliveryId"]})).await.unwrap();
        assert!(data["auditEvents"]["nodes"][0]["detail"].as_str().unwrap().contains("on the phone"), "{data}");
        for attempt in data["delivery"]["attempts"].as_array().unwrap() {
            let remade = client.ask("query($id: ID!) { attemptRemade(id: $id) { isSame failure } }", json!({"id": attempt["id"]})).await.unwrap();
            assert_eq!(remade["attemptRemade"]["isSame"], true, "{attempt} {remade}");
        }
        // The next revision is sent as the mapping makes it.
        world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 3)).await.unwrap();
        world.acme.rest(2, PATIENCE).await.unwrap();
        assert!(world.erp.orders().values().all(|order| order.says("revision 3") && !order.says("on the phone")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_order_names_is_delivered_first_and_the_order_after_it() {
    world(async |world| {
        let client = &world.acme.client;
        world.erp.fail([Fault::Status(400)]);
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().delivery("exception"), 1);
        let first = "mutation($i: ExceptionSelectionInput!) { exceptionCreateFirst(input: $i) { count userErrors { code message } } }";
        let all = json!({"causeKey": cause(client).await});
        let answer = client.raw(first, json!({"i": all})).await.unwrap();
        assert_eq!(answer["data"]["exceptionCreateFirst"]["userErrors"][0]["code"], "NOT_FOUND", "{answer}");

        // We hold the customer that the order names, and a flow takes customers there.
        let create = "mutation($i: FlowCreateInput!) { flowCreate(input: $i) { flow { id } userErrors { field message } } }";
        let input = json!({"name": "customers", "recordKind": "customer", "sourceId": world.acme.source, "destinationId": world.acme.destination});
        let flow = client.ask(create, json!({"i": input})).await.unwrap()["flowCreate"]["flow"]["id"].clone();
        client.ask("mutation($id: ID!) { flowPublish(id: $id) { userErrors { message } } }", json!({"id": flow})).await.unwrap();
        let sql = "WITH c AS (SELECT gen_random_uuid() AS record, gen_random_uuid() AS revision, r.tenant_id, r.connection_id, v.message_id,
                       v.document::jsonb #>> '{customer,source_id}' AS source_id FROM records r JOIN record_revisions v ON v.id = r.revision_id LIMIT 1),
                   kept AS (INSERT INTO records (id, tenant_id, kind, connection_id, source_id, number, revision, revision_id, content_hash)
                       SELECT record, tenant_id, 'customer', connection_id, source_id, 'Kim', 1, revision, '' FROM c)
              INSERT INTO record_revisions (id, tenant_id, record_id, revision, message_id, document)
              SELECT revision, tenant_id, record, 1, message_id,
                     jsonb_build_object('source_id', source_id, 'customer_type', 'person', 'name', 'Kim Example', 'email', 'kim@example.com')::text FROM c";
        let mut connection = world.platform.database.connect().await.unwrap();
        connection.execute(sqlx::raw_sql(sql)).await.unwrap();
        let data = client.ask(first, json!({"i": all})).await.unwrap();
        assert_eq!(data["exceptionCreateFirst"]["count"], 1);
        let end = Instant::now() + PATIENCE;
        loop {
            let ledger = world.acme.rest(1, PATIENCE).await.unwrap();
            if ledger.delivery("confirmed") == 2 {
                break;
            }
            assert!(Instant::now() < end, "{ledger:?}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        assert_eq!(world.erp.stats().orders, 1);
        let data = client.ask("{ exceptions { nodes { state resolution history { action } } } }", json!({})).await.unwrap();
        assert_eq!(data["exceptions"]["nodes"][0]["resolution"], "What it refers to is there now: tried again", "{data}");
        assert!(data.to_string().contains("exception.waits"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_nobody_could_read_is_over_once_a_later_one_of_the_same_thing_is_taken() {
    world(async |world| {
        let client = &world.acme.client;
        let broken = |n| {
            String::from_utf8(sample::order(n)).unwrap().replace("\"currency\":\"USD\"", "\"currency\":\"dollars\"").into_bytes()
        };
        for n in [1, 2] {
            world.acme.shop.send("orders/create", Uuid::new_v4(), broken(n)).await.unwrap();
        }
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().message("exception"), 2);
        world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 1)).await.unwrap();
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("exception"), ledger.message("stale"), ledger.delivery("confirmed")), (1, 1, 1), "{ledger:?}");
        let data = client.ask("{ exceptions { nodes { state resolution } } }", json!({})).await.unwrap();
        let ends: Vec<&Value> = data["exceptions"]["nodes"].as_array().unwrap().iter().map(|node| &node["resolution"]).collect();
        assert!(ends.contains(&&json!("A later message of the same thing was taken")) && ends.contains(&&Value::Null), "{data}");
    })
    .await;
}

const IGNORE: &str =
    "mutation($i: ExceptionSelectionInput!, $why: String!) { exceptionIgnore(input: $i, reason: $why) { count endedAt } }";
const REOPEN: &str = "mutation($i: ExceptionSelectionInput!, $at: DateTime) { exceptionReopen(input: $i, endedAt: $at) {
    count hasMore stay { code count why } userErrors { message } } }";

async fn ignore(client: &Client, selection: Value, why: &str) -> Value {
    client.ask(IGNORE, json!({"i": selection, "why": why})).await.unwrap()["exceptionIgnore"].take()
}

async fn reopen(client: &Client, selection: Value, ended_at: Value) -> Value {
    client.ask(REOPEN, json!({"i": selection, "at": ended_at})).await.unwrap()["exceptionReopen"].take()
}

/// The ids of the exceptions of a state, in their order.
async fn those(client: &Client, state: &str) -> Vec<String> {
    let data = client.ask("query($s: String) { exceptions(state: $s) { nodes { id } } }", json!({"s": state})).await.unwrap();
    let mut ids: Vec<String> =
        data["exceptions"]["nodes"].as_array().unwrap().iter().map(|node| node["id"].as_str().unwrap().to_owned()).collect();
    ids.sort_unstable();
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_ignored_by_mistake_is_open_again_as_it_was_and_is_delivered_once() {
    world(async |world| {
        let client = &world.acme.client;
        for n in 0..3 {
            send_unmapped(world, n).await;
        }
        assert_eq!(world.acme.rest(3, PATIENCE).await.unwrap().delivery("exception"), 3);
        let all = json!({"causeKey": cause(client).await});
        let before = those(client, "open").await;
        let (meant, slip) = (&before[..1], &before[1..]);
        assert_eq!(ignore(client, json!({"ids": meant}), "a test order").await["count"], 1);
        let ignored = ignore(client, all.clone(), "a slip").await;
        assert_eq!(ignored["count"], 2, "{ignored}");
        assert_eq!(world.acme.rest(3, PATIENCE).await.unwrap().delivery("cancelled"), 3);

        // What was ignored before is not taken back with it, and a second time there is nothing to take back.
        let reopened = reopen(client, all.clone(), ignored["endedAt"].clone()).await;
        assert_eq!(reopened, json!({"count": 2, "hasMore": false, "stay": [], "userErrors": []}));
        assert_eq!(those(client, "open").await, slip);
        assert_eq!(reopen(client, json!({"ids": slip}), Value::Null).await["count"], 0);
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("exception"), ledger.delivery("cancelled"), world.erp.stats().orders), (2, 1, 0), "{ledger:?}");
        let query = "query($e: ID!, $k: String!) { node(id: $e) { ... on Exception { state resolution closedAt deliveryId history { action by detail } } }
            exceptionGroup(causeKey: $k) { count history { action } } }";
        let data = client.ask(query, json!({"e": slip[0], "k": all["causeKey"]})).await.unwrap();
        let (one, group) = (&data["node"], &data["exceptionGroup"]);
        assert_eq!((&one["state"], &one["resolution"], &one["closedAt"]), (&json!("open"), &Value::Null, &Value::Null), "{data}");
        // What was done to its cause stands there as well.
        let told = |action: &str| one["history"].as_array().unwrap().iter().find(|event| event["action"] == action).unwrap();
        let (reopened, ignored) = (told("exception.reopened"), told("exception.ignored"));
        assert_eq!((&reopened["detail"], &ignored["detail"]), (&json!({"ignored_because": "a slip"}), &json!({"reason": "a slip"})));
        assert_eq!(reopened["by"], ignored["by"], "{data}");
        assert_eq!((&group["count"], &group["history"][0]["action"]), (&json!(2), &json!("exception.group_reopened")), "{data}");
        let data = client.ask("query($d: ID!) { delivery(id: $d) { state settledAt } }", json!({"d": one["deliveryId"]})).await.unwrap();
        assert_eq!(data["delivery"], json!({"state": "exception", "settledAt": null}));

        client.lookup_entries_set(&world.acme.table, &[("HAT-XL".into(), "1999".into())]).await.unwrap();
        assert_eq!(act(client, all.clone(), "exceptionRetry(versions: CURRENT)", json!({})).await["count"], 2);
        assert_eq!(world.acme.rest(3, PATIENCE).await.unwrap().delivery("confirmed"), 2);
        // What went on is not taken back to where it stood.
        assert_eq!(reopen(client, json!({"ids": slip}), Value::Null).await["count"], 0);
        assert_eq!(reopen(client, json!({"ids": meant}), Value::Null).await["count"], 1);
        assert_eq!(act(client, json!({"ids": meant}), "exceptionRetry(versions: CURRENT)", json!({})).await["count"], 1);
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("confirmed"), 3, "{ledger:?}");
        let orders = world.erp.orders();
        assert!(orders.len() == 3 && orders.values().all(|order| order.creates == 1), "{orders:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_later_version_overtook_while_it_was_ignored_stays_ignored_and_is_told() {
    world(async |world| {
        let client = &world.acme.client;
        for n in [1, 2] {
            send_unmapped(world, n).await;
        }
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().delivery("exception"), 2);
        let all = json!({"causeKey": cause(client).await});
        assert_eq!(ignore(client, all.clone(), "a slip").await["count"], 2);
        world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 5)).await.unwrap();
        assert_eq!(world.acme.rest(3, PATIENCE).await.unwrap().delivery("confirmed"), 1);

        let reopened = reopen(client, all.clone(), Value::Null).await;
        assert_eq!(
            (&reopened["count"], &reopened["stay"][0]["code"], &reopened["stay"][0]["count"]),
            (&json!(1), &json!("overtaken"), &json!(1))
        );
        assert!(reopened["stay"][0]["why"].as_str().unwrap().contains("later version"), "{reopened}");
        let overtaken = those(client, "ignored").await;
        assert_eq!(overtaken.len(), 1);
        let again = reopen(client, json!({"ids": overtaken}), Value::Null).await;
        assert_eq!((&again["count"], &again["stay"][0]["code"]), (&json!(0), &json!("overtaken")), "{again}");

        client.lookup_entries_set(&world.acme.table, &[("HAT-XL".into(), "1999".into())]).await.unwrap();
        assert_eq!(act(client, all, "exceptionRetry(versions: CURRENT)", json!({})).await["count"], 1);
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("cancelled")), (2, 1), "{ledger:?}");
        let orders = world.erp.orders();
        assert!(orders.len() == 2 && orders.values().all(|order| order.creates == 1), "{orders:?}");
        assert_eq!(orders.values().filter(|order| order.says("revision 5")).count(), 1, "the newer one stands: {orders:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_message_is_open_again_unless_a_later_one_of_the_same_thing_was_taken() {
    world(async |world| {
        let client = &world.acme.client;
        let broken = |n| {
            String::from_utf8(sample::order(n)).unwrap().replace("\"currency\":\"USD\"", "\"currency\":\"dollars\"").into_bytes()
        };
        for n in [1, 2] {
            world.acme.shop.send("orders/create", Uuid::new_v4(), broken(n)).await.unwrap();
        }
        assert_eq!(world.acme.rest(2, PATIENCE).await.unwrap().message("exception"), 2);
        let both = those(client, "open").await;
        assert_eq!(ignore(client, json!({"ids": both}), "a slip").await["count"], 2);
        world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 1)).await.unwrap();
        assert_eq!(world.acme.rest(3, PATIENCE).await.unwrap().message("ignored"), 2);
        let reopened = reopen(client, json!({"ids": both}), Value::Null).await;
        assert_eq!((&reopened["count"], &reopened["stay"][0]["code"]), (&json!(1), &json!("overtaken")), "{reopened}");
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!(
            (ledger.message("exception"), ledger.message("ignored"), ledger.delivery("confirmed")),
            (1, 1, 1),
            "{ledger:?}"
        );
    })
    .await;
}
