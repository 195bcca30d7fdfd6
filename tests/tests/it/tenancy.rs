//! Tenant B can read or change nothing of tenant A: through any query, mutation, node id or hook.

use std::time::Duration;

use serde_json::{Value, json};
use tests::sample;
use uuid::Uuid;

use crate::world;

const PATIENCE: Duration = Duration::from_secs(30);
const OTHER: &str = "other@crossdock.example";
const PASSWORD: &str = "other-person-password";

/// Everything of a tenant that has an id.
const HARVEST: &str = "{
    connections { nodes { id } } flows { nodes { id } } lookupTables { nodes { id } } records { nodes { id document } }
    messages { nodes { id } } deliveries { nodes { id attempts { id } } } exceptions { nodes { id causeKey tags } }
    exceptionGroups { nodes { id count tags } } alertReceivers { id name } alertRules { id name }
}";

fn ids(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| match (key.as_str(), value) {
            ("id", Value::String(id)) => found.push(id.clone()),
            _ => ids(value, found),
        }),
        Value::Array(list) => list.iter().for_each(|value| ids(value, found)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_reads_and_changes_nothing() {
    world(async |world| {
        let acme = &world.acme;
        acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        let unmapped = sample::orders().into_iter().find(|(name, _)| name.contains("unmapped")).unwrap().1;
        acme.shop.send("orders/create", Uuid::new_v4(), unmapped).await.unwrap();
        acme.rest(2, PATIENCE).await.unwrap();
        // Nobody is told anything: no group is so large.
        let alerts = "mutation { r: alertReceiverCreate(input: {name: \"ops\", kind: MAIL, address: \"ops@example.com\"}) { userErrors { message } }
            a: alertRuleSet(input: {name: \"all\", countMin: 1000, escalate: {afterMinutes: 9999, assignToId: \"USER\"}}) { userErrors { message } } }";
        let me = acme.client.ask("{ viewer { id } }", json!({})).await.unwrap()["viewer"]["id"].as_str().unwrap().to_owned();
        acme.client.ask(&alerts.replace("USER", &me), json!({})).await.unwrap();
        let before = acme.client.ask(HARVEST, json!({})).await.unwrap();
        let mut foreign = Vec::new();
        ids(&before, &mut foreign);
        assert!(foreign.len() >= 10, "{foreign:?}");

        world.platform.user_create(OTHER, PASSWORD).await.unwrap();
        let client = tests::client::Client::new(&world.platform.url).sign_in(OTHER, PASSWORD).await.unwrap();
        // A tenant that one is no member of cannot be chosen, by id or slug.
        for name in [acme.id.as_str(), "acme"] {
            let answer = client.clone().of_tenant(name).raw(HARVEST, json!({})).await.unwrap();
            assert_eq!(answer["errors"][0]["extensions"]["code"], "NO_TENANT", "{answer}");
        }
        let own = client.tenant_create("other").await.unwrap();
        let client = client.of_tenant(&own);
        let mut seen = Vec::new();
        ids(&client.ask(HARVEST, json!({})).await.unwrap(), &mut seen);
        assert!(seen.is_empty(), "{seen:?}");

        for id in &foreign {
            let query = "query($id: ID!) { node(id: $id) { __typename } record(id: $id) { id } delivery(id: $id) { id } connection(id: $id) { id }
                auditEvents(subjectId: $id) { nodes { id } } records(filter: {connectionId: $id}) { nodes { id } }
                deliveries(filter: {flowId: $id, recordId: $id}) { nodes { id } } }";
            let data = client.ask(query, json!({"id": id})).await.unwrap();
            assert!(["node", "record", "delivery", "connection"].iter().all(|field| data[field].is_null()), "{id}: {data}");
            for list in ["auditEvents", "records", "deliveries"] {
                assert_eq!(data[list]["nodes"], json!([]), "{id}: {data}");
            }
            let change = "mutation($id: ID!) {
                a: lookupEntriesSet(id: $id, entries: [{from: \"HAT-XL\", to: \"1\"}]) { lookupTable { id } userErrors { code } }
                b: flowPublish(id: $id) { flow { id } userErrors { code } }
                c: flowRetire(id: $id) { flow { id } userErrors { code } }
                d: exceptionRetry(input: {ids: [$id]}) { count }
                e: exceptionIgnore(input: {ids: [$id]}, reason: \"x\") { count }
                g: connectionUpdate(id: $id, input: {name: \"x\"}) { connection { id } userErrors { code } }
                h: credentialReplace(connectionId: $id, credential: {hook_secret: \"x\"}) { connection { id } userErrors { code } }
                i: connectionPause(id: $id) { connection { id } userErrors { code } }
                j: connectionResume(id: $id) { connection { id } userErrors { code } }
                k: flowDraft(id: $id, input: {filter: null}) { flow { id } userErrors { code } }
                l: exceptionEditRecord(id: $id, edits: [{path: \"test\", value: \"true\"}]) { userErrors { code } }
                m: exceptionEditPayload(id: $id, edits: [{path: \"memo\", value: \"1\"}]) { userErrors { code } }
                n: alertReceiverUpdate(id: $id, input: {isPaused: true}) { userErrors { code } }
                o: alertReceiverRemove(id: $id) { userErrors { code } }
                p: alertRuleRemove(id: $id) { userErrors { code } }
                q: exceptionTag(input: {ids: [$id]}, add: [\"x\"]) { count }
                r: exceptionMarkDone(done: [{id: $id, destinationId: \"1\"}]) { count }
                s: exceptionComment(input: {ids: [$id]}, text: \"x\") { count }
                f: flowCreate(input: {name: \"x\", recordKind: \"order\", sourceId: $id, destinationId: $id}) { flow { id } userErrors { code } } }";
            let answer = client.raw(change, json!({"id": id})).await.unwrap();
            for field in ["a", "b", "c", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"] {
                assert_eq!(answer["data"][field]["userErrors"][0]["code"], "NOT_FOUND", "{id}: {answer}");
            }
            for field in ["d", "e", "q", "r", "s"] {
                assert_eq!(answer["data"][field]["count"], 0, "{id}: {answer}");
            }
        }
        let cause = before["exceptions"]["nodes"][0]["causeKey"].as_str().unwrap();
        assert_eq!(client.exception_retry(cause).await.unwrap(), 0);
        let by_cause = "mutation($k: String!) { t: exceptionTag(input: {causeKey: $k}, add: [\"x\"]) { count }
            f: exceptionFixLookupValue(causeKey: $k, to: \"1\") { userErrors { code } } }";
        let answer = client.raw(by_cause, json!({"k": cause})).await.unwrap();
        assert_eq!((&answer["data"]["t"]["count"], &answer["data"]["f"]["userErrors"][0]["code"]), (&json!(0), &json!("NOT_FOUND")));
        assert_eq!(acme.client.ask(HARVEST, json!({})).await.unwrap(), before, "nothing of acme changed");

        // What acme ignored is opened again by nobody else, by its id or its cause.
        let ignore = "mutation($k: String!) { exceptionIgnore(input: {causeKey: $k}, reason: \"a slip\") { count } }";
        let ignored = acme.client.ask(ignore, json!({"k": cause})).await.unwrap()["exceptionIgnore"]["count"].clone();
        let reopen = "mutation($i: ExceptionSelectionInput!) { exceptionReopen(input: $i) { count stay { count } } }";
        let exception = &before["exceptions"]["nodes"][0]["id"];
        for selection in [json!({"ids": [exception]}), json!({"causeKey": cause})] {
            let answer = client.ask(reopen, json!({"i": selection})).await.unwrap();
            assert_eq!(answer["exceptionReopen"], json!({"count": 0, "stay": []}));
        }
        let own = acme.client.ask(reopen, json!({"i": {"causeKey": cause}})).await.unwrap();
        assert_eq!((own["exceptionReopen"]["count"].as_i64() > Some(0), &own["exceptionReopen"]["count"]), (true, &ignored));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_of_two_tenants_stays_two_and_a_hook_takes_its_own_secret_only() {
    world(async |world| {
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        for tenant in [&world.acme, &other] {
            assert_eq!(tenant.shop.send("orders/create", Uuid::from_u128(1), sample::order(1)).await.unwrap().status, 200);
        }
        for tenant in [&world.acme, &other] {
            let ledger = tenant.rest(1, PATIENCE).await.unwrap();
            assert_eq!((ledger.accepted(), ledger.delivery("confirmed"), ledger.duplicates), (1, 1, 0));
        }
        assert_eq!(world.erp.stats().orders, 2);
        let mut forged = other.shop.clone();
        forged.secret = "the secret of somebody else".into();
        assert_eq!(forged.send("orders/create", Uuid::new_v4(), sample::order(2)).await.unwrap().status, 401);
    })
    .await;
}
