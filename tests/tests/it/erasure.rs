//! What the audit log tells of a person can be erased, and every proof over the log holds.

use serde_json::{Value, json};
use tests::client::http;
use tests::sample;
use uuid::Uuid;

use crate::{World, world};

const EDIT: &str = "mutation($id: ID!, $e: [FieldEditInput!]!) { exceptionEditRecord(id: $id, edits: $e) { count userErrors { field code message } } }";
const ERASE: &str =
    "mutation($id: ID!, $r: String!) { recordDetailsErase(id: $id, reason: $r) { done userErrors { field code } } }";
const TOLD: &str = "query($r: ID!) { auditEvents(subjectId: $r, action: \"record.edited\") { nodes { id detail } } record(id: $r) { timeline(first: 50) { nodes { what detail } } } }";

/// The log as a file, and what the program says of it.
async fn verified(world: &World, name: &str) -> (String, String) {
    let create = "mutation { apiKeyCreate(input: {name: \"log\", permissions: [READ_AUDIT]}) { key userErrors { code } } }";
    let key = world.acme.client.ask(create, json!({})).await.unwrap()["apiKeyCreate"]["key"].as_str().unwrap().to_owned();
    let export =
        http().build().unwrap().get(format!("{}/audit/export", world.platform.url)).bearer_auth(key).send().await.unwrap();
    let text = export.text().await.unwrap();
    let path = world.platform.logs.join(name);
    std::fs::write(&path, &text).unwrap();
    let output = world.platform.run(&["audit", "verify", path.to_str().unwrap()]).await.unwrap();
    assert!(output.status.success(), "{output:?}");
    (text, String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Orders that a person has corrected the buyer's name in; their records.
async fn corrected(world: &World, names: &[&str]) -> Vec<String> {
    let client = &world.acme.client;
    let mut records = vec![];
    for (n, name) in names.iter().enumerate() {
        let body = String::from_utf8(sample::order(n as u64 + 1)).unwrap().replace("\"TEE-M\"", "\"HAT-XL\"");
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), body.into_bytes()).await.unwrap().status, 200);
        let open = crate::eventually("it waits for a person", async || {
            let data = client.ask("{ exceptions(state: \"open\") { nodes { id recordId } } }", json!({})).await.unwrap();
            data["exceptions"]["nodes"].as_array().unwrap().first().cloned()
        })
        .await;
        let edits =
            json!([{"path": "lines[0].sku", "value": "\"TEE-M\""}, {"path": "customer.name", "value": format!("\"{name}\"")}]);
        client.ask(EDIT, json!({"id": open["id"], "e": edits})).await.unwrap();
        records.push(open["recordId"].as_str().unwrap().to_owned());
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn erasure_destroys_a_records_key_and_every_proof_over_the_log_holds() {
    world(async |world| {
        let client = &world.acme.client;
        let records = corrected(world, &["Augusta King", "Grace Murray"]).await;
        let told = async |record: &str| -> Value { client.ask(TOLD, json!({"r": record})).await.unwrap() };
        for (record, name) in records.iter().zip(["Augusta King", "Grace Murray"]) {
            let told = told(record).await;
            assert!(told["auditEvents"]["nodes"][0]["detail"].as_str().unwrap().contains(name), "{told}");
            assert!(told["record"]["timeline"].to_string().contains(name), "{told}");
        }
        let (before, _) = verified(world, "before.jsonl").await;
        assert!(
            before.contains("record.edited") && !before.contains("Augusta") && !before.contains("Grace"),
            "the log holds it encrypted"
        );
        let mut database = world.platform.database.connect().await.unwrap();
        let stored: String =
            sqlx::query_scalar("SELECT string_agg(e::text, '') FROM audit_events e").fetch_one(&mut database).await.unwrap();
        assert!(!stored.contains("Augusta") && !stored.contains("Grace"));

        for (id, reason, code) in
            [(records[0].as_str(), " ", "INVALID"), ("rec_00000000000070008000000000000001", "why", "NOT_FOUND")]
        {
            let refused = client.raw(ERASE, json!({"id": id, "r": reason})).await.unwrap();
            assert_eq!(refused["data"]["recordDetailsErase"]["userErrors"][0]["code"], code, "{refused}");
        }
        let erased = client.ask(ERASE, json!({"id": records[0], "r": "she asked for it, GDPR-17"})).await.unwrap();
        assert_eq!(erased["recordDetailsErase"]["done"], true);

        let gone = told(&records[0]).await;
        assert_eq!(gone["auditEvents"]["nodes"][0]["detail"], r#"{"erased":true}"#, "{gone}");
        assert!(!gone.to_string().contains("Augusta"), "{gone}");
        assert!(
            told(&records[1]).await["auditEvents"]["nodes"][0]["detail"].as_str().unwrap().contains("Grace Murray"),
            "the other one stays"
        );
        let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_detail_keys").fetch_one(&mut database).await.unwrap();
        assert_eq!(kept, 1, "the key is gone");
        let (after, _) = verified(world, "after.jsonl").await;
        let events =
            |text: &str| text.lines().filter(|line| line.contains("record.edited")).map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(events(&before), events(&after), "not a byte of the log has changed");
        assert!(after.contains("record.details_erased") && after.contains("GDPR-17"), "and that it was done is told");
        let again = client.raw(ERASE, json!({"id": records[0], "r": "again"})).await.unwrap();
        assert_eq!(again["data"]["recordDetailsErase"]["userErrors"][0]["code"], "NOT_FOUND", "{again}");
    })
    .await;
}
