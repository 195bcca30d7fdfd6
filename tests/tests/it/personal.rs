//! What tells of a person is seen by those whose work needs it, and by nobody else, wherever it stands: in the record, in what came, in what was sent.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::sample;
use uuid::Uuid;

use crate::flow::{draft, publish};
use crate::replay::replay;
use crate::{World, impersonation, world};

const PASSWORD: &str = "a-password-of-the-buyers";
const CREATE: &str = "mutation($i: ApiKeyCreateInput!) { apiKeyCreate(input: $i) { key userErrors { field code } } }";
/// Of the sample: who bought, and where the goods go.
const PERSONAL: [&str; 4] = ["ada@example.com", "Byron", "12 Analytical Way", "+14155550100"];
const EVERYTHING: &str = "{
    records(first: 1) { nodes { number document content { ... on Order { customer { name email } shippingAddress { line1 city phone } lines { sku } } }
        revisions { document } timeline(first: 20) { nodes { sentence detail call { url reason } } }
        deliveries(first: 1) { nodes { id attempts { url request answer } exceptions { sentence value } } } } }
    messages(first: 1) { nodes { body } }
    search(text: \"ada@example.com\", first: 1) { value record { number } } }";

/// What somebody is shown, as text.
async fn seen(client: &Client) -> Value {
    let answer = client.raw(EVERYTHING, json!({})).await.unwrap();
    assert!(answer["errors"].is_null(), "{answer}");
    answer["data"].clone()
}

fn shows_whole(seen: &Value) {
    let text = seen.to_string();
    for personal in PERSONAL {
        assert!(text.contains(personal), "{personal} is shown: {text}");
    }
    let order = &seen["records"]["nodes"][0];
    assert!(order["content"]["customer"]["name"].as_str().unwrap().contains("Byron"), "{order}");
    assert!(!text.contains("•••"), "{text}");
}

fn hides(seen: &Value, who: &str) {
    let text = seen.to_string();
    for personal in PERSONAL {
        assert!(!text.contains(personal), "{who} does not see {personal}: {text}");
    }
    // What is no person's stays: without it nobody could work.
    let order = &seen["records"]["nodes"][0];
    assert_eq!((&order["number"], &order["content"]["customer"]["email"]), (&json!("#L1"), &json!("•••")), "{who}");
    assert!(order["content"]["lines"][0]["sku"].as_str().unwrap().len() > 3, "{who}: {order}");
    for whole in
        [&order["document"], &seen["messages"]["nodes"][0]["body"], &order["deliveries"]["nodes"][0]["attempts"][0]["request"]]
    {
        let parsed: Value = serde_json::from_str(whole.as_str().unwrap()).unwrap();
        assert!(parsed.is_object() && whole.as_str().unwrap().contains("•••"), "{who}: {whole}");
    }
}

/// Somebody of the tenant who has this role.
async fn member(world: &World, role: &str) -> Client {
    world.member(&format!("{role}@crossdock.example"), PASSWORD, role).await
}

/// An order of Ada Byron's, ada@example.com.
async fn order(world: &World, n: u64) {
    assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap().status, 200);
}

/// A mapping that looks a field of the buyer's up, and the table that lacks it.
async fn looked_up(world: &World, field: &str) -> (Value, String) {
    let table = world.acme.client.lookup_table_create("Buyers", &[("Charles Babbage".into(), "7".into())]).await.unwrap();
    (json!({"mapping": [{"to": "shippingAddress.addressee", "from": field, "lookup": "Buyers"}]}), table)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_sees_what_tells_of_a_person_only_where_its_work_needs_it() {
    world(async |world| {
        let platform = &world.platform;
        order(world, 1).await;
        world.acme.rest(1, Duration::from_secs(30)).await.unwrap();
        // What a vendor says of a call may name somebody.
        let mut connection = platform.database.connect().await.unwrap();
        let told = "UPDATE attempts SET fault = '{\"reason\": \"ada@example.com is nobody there\"}'";
        sqlx::query(told).execute(&mut connection).await.unwrap();
        let whole = seen(&world.acme.client).await;
        shows_whole(&whole);
        assert!(whole.to_string().contains("ada@example.com is nobody there"), "{whole}");

        for (role, sees) in [("owner", true), ("admin", true), ("operator", true), ("developer", false), ("auditor", false)] {
            let seen = seen(&member(world, role).await).await;
            if sees { shows_whole(&seen) } else { hides(&seen, role) }
        }
        for (permissions, sees) in [(json!(["READ_OPERATIONS"]), false), (json!(["READ_OPERATIONS", "READ_PERSONAL_DATA"]), true)]
        {
            let made = world.acme.client.ask(CREATE, json!({"i": {"name": "k", "permissions": permissions}})).await.unwrap();
            let key = Client::new(&platform.url).with_token(made["apiKeyCreate"]["key"].as_str().unwrap());
            let seen = seen(&key).await;
            if sees { shows_whole(&seen) } else { hides(&seen, "a key") }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_what_a_draft_would_do_names_nobody_to_who_may_not_see_it() {
    world(async |world| {
        let (client, flow) = (&world.acme.client, &world.acme.flow);
        order(world, 1).await;
        world.acme.rest(1, Duration::from_secs(30)).await.unwrap();
        let (mapping, _) = looked_up(world, "customer.name").await;
        assert_eq!(draft(client, flow, mapping).await, [] as [&str; 0]);
        let run = replay(&member(world, "developer").await, flow).await;
        let reason = &run["report"]["causes"][0]["reason"];
        assert!(!run.to_string().contains("Byron"), "{run}");
        assert_eq!((&reason["code"], &reason["table"]), (&json!("no_entry"), &json!("Buyers")), "{run}");
        assert!(reason["path"].as_str().unwrap().contains("addressee"), "{run}");
        assert_eq!((&reason["value"], &reason["missing"][0]["value"]), (&json!("•••"), &json!("•••")), "{run}");
        assert!(reason["sentence"].as_str().unwrap().contains("the value \"•••\" has no entry"), "{run}");
        let whole = replay(client, flow).await;
        let whole = &whole["report"]["causes"][0]["reason"];
        assert!(whole["sentence"].as_str().unwrap().contains("Byron"), "an owner sees it: {whole}");
        assert!(whole["missing"][0]["value"].as_str().unwrap().contains("Byron"), "{whole}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cause_that_repeats_a_name_is_named_by_a_key_that_tells_none() {
    const CAUSES: &str = "{ exceptionGroups(first: 1) { edges { cursor } nodes { id causeKey cause count } } exceptions(first: 1) { nodes { causeKey } }
        lookupInbox(first: 1) { edges { cursor } } }";
    const GROUP: &str =
        "query($k: String!) { exceptionGroup(causeKey: $k) { count causeKey tags } exceptions(causeKey: $k) { nodes { id } } }";
    const WHAT_IF: &str = "query($k: String!) { exceptionWhatIf(input: {causeKey: $k}) { tried } }";
    const TAG: &str =
        "mutation($k: String!) { exceptionTag(input: {causeKey: $k}, add: [\"vip\"]) { count userErrors { message } } }";
    const FIX: &str =
        "mutation($k: String!) { exceptionFixLookupValue(causeKey: $k, to: \"7\") { count userErrors { message } } }";
    world(async |world| {
        let client = &world.acme.client;
        let (mapping, _) = looked_up(world, "customer.name").await;
        publish(client, &world.acme.flow, mapping).await;
        order(world, 1).await;
        order(world, 2).await;
        assert_eq!(world.acme.rest(2, Duration::from_secs(30)).await.unwrap().delivery("exception"), 2);
        let whole = client.ask(CAUSES, json!({})).await.unwrap();
        let plain = whole["exceptionGroups"]["nodes"][0]["causeKey"].clone();
        assert!(plain.as_str().unwrap().contains("Byron") && plain == whole["exceptions"]["nodes"][0]["causeKey"], "{whole}");

        let (developer, auditor) = (member(world, "developer").await, member(world, "auditor").await);
        let mut keys = vec![];
        for client in [&developer, &auditor] {
            let seen = client.ask(CAUSES, json!({})).await.unwrap();
            assert!(
                !seen["exceptionGroups"].to_string().contains("Byron") && !seen["exceptions"].to_string().contains("Byron"),
                "{seen}"
            );
            for list in ["exceptionGroups", "lookupInbox"] {
                let cursor = seen[list]["edges"][0]["cursor"].as_str().unwrap();
                let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
                assert!(!String::from_utf8_lossy(&bytes).contains("Byron"), "{list}: {cursor}");
            }
            let key = seen["exceptionGroups"]["nodes"][0]["causeKey"].clone();
            assert_eq!(key, seen["exceptions"]["nodes"][0]["causeKey"], "of the group as of the exception");
            keys.push(key);
        }
        assert_eq!(keys[0], keys[1], "one cause has one key");
        // It is taken wherever a key is, of whoever was given it and of whoever was told it.
        let key = json!({"k": keys[0]});
        for (client, shown) in [(&developer, &keys[0]), (&auditor, &keys[0]), (client, &plain)] {
            let group = client.ask(GROUP, key.clone()).await.unwrap();
            assert_eq!((&group["exceptionGroup"]["count"], &group["exceptionGroup"]["causeKey"]), (&json!(2), shown), "{group}");
            assert_eq!(group["exceptions"]["nodes"].as_array().unwrap().len(), 2, "{group}");
            assert_eq!(client.ask(WHAT_IF, key.clone()).await.unwrap()["exceptionWhatIf"]["tried"], 2);
        }
        assert_eq!(developer.ask(TAG, key.clone()).await.unwrap()["exceptionTag"]["count"], 2);
        let group = client.ask(GROUP, json!({"k": plain})).await.unwrap();
        assert_eq!(group["exceptionGroup"]["tags"], json!(["vip"]), "it is the same group: {group}");
        assert_eq!(developer.ask(FIX, key.clone()).await.unwrap()["exceptionFixLookupValue"]["count"], 2);
        assert_eq!(world.acme.rest(2, Duration::from_secs(30)).await.unwrap().delivery("confirmed"), 2);
        // Another tenant's people are told nothing by it.
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        let nothing = other.client.ask(GROUP, key).await.unwrap();
        assert_eq!((&nothing["exceptionGroup"], &nothing["exceptions"]["nodes"]), (&Value::Null, &json!([])), "{nothing}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dots_are_never_taken_for_the_value_that_they_hide() {
    const INBOX: &str = "{ lookupInbox { nodes { value } } exceptions { nodes { id } } }";
    const RESOLVE: &str = "mutation($id: ID!, $v: String!) { answer: lookupInboxResolve(tableId: $id, value: $v, to: \"8\") {
        retried userErrors { field code message } } }";
    const SET: &str = "mutation($id: ID!, $v: String!) { answer: lookupEntriesSet(id: $id, entries: [{from: $v, to: \"8\"}]) {
        userErrors { field code message } } }";
    const IMPORT: &str = "mutation($id: ID!, $v: String!) { answer: lookupTableImport(id: $id, csv: $v, mode: MERGE) {
        written badRows { line what } userErrors { code } } }";
    const EDIT: &str =
        "mutation($id: ID!, $v: String!) { answer: exceptionEditRecord(id: $id, edits: [{path: \"customer.name\", value: $v}]) {
        userErrors { field code message } } }";
    const WHAT_IF: &str = "query($id: ID!, $v: String!) { exceptionWhatIf(input: {ids: [$id]}, lookupValues: [{lookupTable: \"Buyers\", from: $v, to: \"8\"}]) {
        passes } }";
    world(async |world| {
        let client = &world.acme.client;
        let (mapping, table) = looked_up(world, "customer.email").await;
        publish(client, &world.acme.flow, mapping).await;
        order(world, 1).await;
        assert_eq!(world.acme.rest(1, Duration::from_secs(30)).await.unwrap().delivery("exception"), 1);
        let developer = member(world, "developer").await;
        let seen = developer.ask(INBOX, json!({})).await.unwrap();
        assert_eq!(seen["lookupInbox"]["nodes"], json!([{"value": "•••"}]), "{seen}");
        let exception = &seen["exceptions"]["nodes"][0]["id"];
        for (query, id, value, field) in [
            (RESOLVE, &json!(table), "•••", json!(["value"])),
            (SET, &json!(table), "for •••", json!(["entries", "0"])),
            (EDIT, exception, "\"•••\"", json!(["edits"])),
            (EDIT, exception, "\"\\u2022\\u2022\\u2022\"", json!(["edits"])),
        ] {
            let answer = developer.raw(query, json!({"id": id, "v": value})).await.unwrap();
            let error = &answer["data"]["answer"]["userErrors"][0];
            assert_eq!((&error["code"], &error["field"]), (&json!("INVALID"), &field), "{query}: {answer}");
            assert!(error["message"].as_str().unwrap().contains("an operator of the tenant sees it"), "{answer}");
        }
        let supposed = developer.raw(WHAT_IF, json!({"id": exception, "v": "•••"})).await.unwrap();
        assert_eq!(supposed["errors"][0]["extensions"]["code"], "BAD_REQUEST", "{supposed}");
        let file = developer.raw(IMPORT, json!({"id": table, "v": "eve@example.com,7\nfor •••,8\n"})).await.unwrap();
        let (file, bad) = (&file["data"]["answer"], &file["data"]["answer"]["badRows"][0]);
        assert_eq!(
            (&file["written"], &file["userErrors"], &bad["line"]),
            (&json!(false), &json!([{"code": "INVALID"}]), &json!(2))
        );
        assert!(bad["what"].as_str().unwrap().contains("an operator of the tenant sees it"), "{file}");
        let entries = "query($id: ID!) { lookupTable(id: $id) { entryCount } }";
        let kept = client.ask(entries, json!({"id": table})).await.unwrap();
        assert_eq!(kept["lookupTable"]["entryCount"], 1, "nothing is kept of it");

        // Who sees the value answers it; and who sees dots that are dots may write them.
        let operator = member(world, "operator").await;
        let seen = operator.ask(INBOX, json!({})).await.unwrap();
        let value = &seen["lookupInbox"]["nodes"][0]["value"];
        let answer = operator.ask(RESOLVE, json!({"id": table, "v": value})).await.unwrap();
        assert_eq!((value, &answer["answer"]["retried"]), (&json!("ada@example.com"), &json!(1)));
        operator.ask(SET, json!({"id": table, "v": "•••"})).await.unwrap();
        let file = operator.ask(IMPORT, json!({"id": table, "v": "•••,9"})).await.unwrap();
        assert_eq!(file["answer"], json!({"written": true, "badRows": [], "userErrors": []}));
        assert_eq!(world.acme.rest(1, Duration::from_secs(30)).await.unwrap().delivery("confirmed"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn support_sees_what_tells_of_a_person_only_where_the_tenant_shows_it() {
    world(async |world| {
        order(world, 1).await;
        world.acme.rest(1, Duration::from_secs(30)).await.unwrap();
        let staff = impersonation::staff(world).await;
        impersonation::consent(world, true).await;
        let begun = impersonation::begin(world, &staff, true).await;
        hides(&seen(&begun.client).await, "support");
        let set = "mutation($y: Boolean!) { supportPersonalDataSet(isShown: $y) { isShown userErrors { code } } }";
        let refused = begun.client.raw(set, json!({"y": true})).await.unwrap();
        assert_eq!(refused["errors"][0]["extensions"]["code"], "FORBIDDEN", "support shows it to nobody");
        world.acme.client.ask(set, json!({"y": true})).await.unwrap();
        assert_eq!(
            world.acme.client.ask("{ supportSeesPersonalData }", json!({})).await.unwrap()["supportSeesPersonalData"],
            true
        );
        shows_whole(&seen(&begun.client).await);
        world.acme.client.ask(set, json!({"y": false})).await.unwrap();
        hides(&seen(&begun.client).await, "support");
        let told = world
            .acme
            .client
            .ask("{ auditEvents(action: \"support.personal_data_set\") { nodes { detail } } }", json!({}))
            .await
            .unwrap();
        assert_eq!(told["auditEvents"]["nodes"].as_array().unwrap().len(), 2, "{told}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sheet_of_the_log_hides_what_an_edit_changed_from_who_may_not_see_it() {
    world(async |world| {
        let mut connection = world.platform.database.connect().await.unwrap();
        // As the edit of a record is told.
        let detail = r#"{"changes":[{"path":"customer.name","before":"Ada","after":"Augusta"}]}"#;
        let told = "INSERT INTO audit_events (id, tenant_id, actor, action, subject_kind, subject_id, request_id, detail)
            SELECT $2, id, '{\"kind\":\"operator\"}', 'record.edited', 'record', id, id, $1 FROM tenants WHERE slug = 'acme'";
        let told = sqlx::query(told).bind(detail).bind(Uuid::now_v7()).execute(&mut connection).await;
        let made = world.acme.client.ask(CREATE, json!({"i": {"name": "k", "permissions": ["READ_AUDIT"]}})).await.unwrap();
        let key = made["apiKeyCreate"]["key"].as_str().unwrap().to_owned();
        told.unwrap();
        let sheet = format!("{}/audit/events.csv?action=record.edited", world.platform.url);
        let text = http().build().unwrap().get(&sheet).bearer_auth(&key).send().await.unwrap().text().await.unwrap();
        assert!(text.contains("customer.name") && !text.contains("Augusta"), "{text}");
        let of_key = Client::new(&world.platform.url).with_token(&key);
        let events = "{ auditEvents(action: \"record.edited\") { nodes { detail } } }";
        let shown = of_key.ask(events, json!({})).await.unwrap().to_string();
        assert!(shown.contains("customer.name") && !shown.contains("Augusta"), "{shown}");
        assert!(world.acme.client.ask(events, json!({})).await.unwrap().to_string().contains("Augusta"), "an owner sees it");
    })
    .await;
}
