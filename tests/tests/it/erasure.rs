//! What the audit log tells of a person can be erased, and every proof over the log holds.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
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
            [(records[0].as_str(), " ", "REQUIRED"), ("rec_00000000000070008000000000000001", "why", "NOT_FOUND")]
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

const ERASE_PERSON: &str = "mutation($i: PersonalDataEraseInput!) { personalDataErase(input: $i) { recordIds hasMore places { place rows } userErrors { field code message } } }";
const PAYLOADS: &str = "{ auditEvents(action: \"attempt.started\", first: 3) { nodes { payload { text isAsSealed } } }
    came: auditEvents(action: \"message.received\", first: 3) { nodes { payload { text isAsSealed } } } }";
const POLICY: &str = "mutation($h: String) { auditPolicySet(legalHold: $h) { userErrors { code } } }";
/// Of the sample: who bought, and where the goods go.
const ADA: [&str; 4] = ["ada@example.com", "Byron", "12 Analytical Way", "4155550100"];

/// Every row of every table, as text; bytes are read as text, too.
async fn rows(world: &World) -> String {
    let mut database = world.platform.database.connect().await.unwrap();
    let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition";
    let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut database).await.unwrap();
    sqlx::query("SET bytea_output = 'escape'").execute(&mut database).await.unwrap();
    let mut all = String::new();
    for table in tables {
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("SELECT t::text FROM \"{table}\" t")))
            .fetch_all(&mut database)
            .await
            .unwrap();
        rows.iter().for_each(|row| all.extend(["\n", table.as_str(), ": ", row.as_str()]));
    }
    all
}

fn rows_with<'t>(all: &'t str, words: &[&str]) -> Vec<&'t str> {
    all.lines().filter(|row| words.iter().any(|word| row.contains(word))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn erasure_of_a_persons_data_leaves_digests_and_every_proof_over_the_log_holds() {
    world(async |world| {
        let client = &world.acme.client;
        let grace = String::from_utf8(sample::order(2)).unwrap();
        let grace = ADA.iter().zip(["grace@example.com", "Murray", "9 Compiler Row", "4155550177"]).fold(grace, |text, (ada, theirs)| text.replace(ada, theirs));
        for body in [sample::order(1), sample::revised(1, 1), grace.into_bytes()] {
            assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), body).await.unwrap().status, 200);
            world.acme.rest(1, Duration::from_secs(60)).await.unwrap();
        }
        let (before, _) = verified(world, "before.jsonl").await;
        assert!(rows_with(&rows(world).await, &ADA).len() >= 5, "there is something to erase");
        let search = async |address: &str| -> Vec<Value> {
            let query = "query($t: String!) { search(text: $t, first: 5) { record { id document } } }";
            client.ask(query, json!({"t": address})).await.unwrap()["search"].as_array().unwrap().clone()
        };
        let record = search("ada@example.com").await[0]["record"]["id"].clone();
        let erase = async |input: Value| client.raw(ERASE_PERSON, json!({"i": input})).await.unwrap()["data"]["personalDataErase"].clone();
        let ada = json!({"email": "Ada@example.com ", "reason": "request 17"});

        for (input, code) in [
            (json!({"reason": "why"}), "REQUIRED"),
            (json!({"email": "ada@example.com", "recordIds": [record], "reason": "why"}), "REQUIRED"),
            (json!({"email": "ada", "reason": "why"}), "INVALID"),
            (json!({"email": "nobody@example.com", "reason": "why"}), "NOT_FOUND"),
            (json!({"email": "ada@example.com", "reason": " "}), "REQUIRED"),
            (json!({"recordIds": ["rec_00000000000070008000000000000001"], "reason": "why"}), "NOT_FOUND"),
        ] {
            assert_eq!(erase(input.clone()).await["userErrors"][0]["code"], code, "{input}");
        }
        let mut would = ada.clone();
        would["dryRun"] = true.into();
        let would = erase(would).await;
        let of = |answer: &Value, place: &str| {
            answer["places"].as_array().unwrap().iter().find(|one| one["place"] == place).map_or(0, |one| one["rows"].as_i64().unwrap())
        };
        assert_eq!((of(&would, "record_revisions"), of(&would, "messages"), of(&would, "search_keys")), (2, 2, 1), "{would}");
        assert!(of(&would, "attempts") >= 1, "{would}");
        assert_eq!(search("ada@example.com").await[0]["record"]["id"], record, "and nothing was");

        // A legal hold stands before it.
        client.ask(POLICY, json!({"h": "case 4711"})).await.unwrap();
        let held = erase(ada.clone()).await;
        assert_eq!(held["userErrors"][0]["code"], "BLOCKED", "{held}");
        assert!(held["userErrors"][0]["message"].as_str().unwrap().contains("case 4711"), "{held}");
        client.ask(POLICY, json!({"h": null})).await.unwrap();

        let erased = erase(ada.clone()).await;
        assert_eq!((&erased["recordIds"], &erased["hasMore"], &erased["places"]), (&json!([record]), &json!(false), &would["places"]), "{erased}");
        let left = rows(world).await;
        assert_eq!(rows_with(&left, &ADA), [""; 0], "not a word of her is left in any table");
        assert!(rows_with(&left, &["grace@example.com", "Murray"]).len() >= 3, "and nobody else lost anything");
        assert!(search("ada@example.com").await.is_empty());
        assert_eq!(search("grace@example.com").await.len(), 1);
        assert_eq!(erase(ada).await["userErrors"][0]["code"], "NOT_FOUND", "once is enough");

        // What was sent is gone, and its digest is still the one that was sealed.
        let told = client.ask(PAYLOADS, json!({})).await.unwrap();
        let sent: Vec<&Value> = told["auditEvents"]["nodes"].as_array().unwrap().iter().map(|event| &event["payload"]).collect();
        let tombstones = sent.iter().filter(|payload| payload["text"].as_str().unwrap().starts_with("{\"erased\":\"")).count();
        assert!((1..sent.len()).contains(&tombstones) && sent.iter().all(|payload| payload["isAsSealed"] == true), "{told}");
        let came: Vec<&Value> = told["came"]["nodes"].as_array().unwrap().iter().map(|event| &event["payload"]).collect();
        assert!(came.len() == 3 && came.iter().all(|payload| payload["isAsSealed"] == true), "{told}");
        let (after, _) = verified(world, "after.jsonl").await;
        let events = |text: &str| text.lines().filter(|line| line.starts_with("{\"event\"")).map(str::to_owned).collect::<Vec<_>>();
        let (before, after) = (events(&before), events(&after));
        assert!(before.iter().all(|event| after.contains(event)), "not a byte of the log has changed");
        let erasure = after.iter().find(|event| event.contains("personal_data.erased")).unwrap();
        assert!(erasure.contains("request 17") && erasure.contains("sha256") && !erasure.contains("ada@"), "{erasure}");

        // What was to be sent once more is not sent as blanks: a person is told why.
        let mut database = world.platform.database.connect().await.unwrap();
        let uuid = Uuid::parse_str(record.as_str().unwrap().trim_start_matches("rec_")).unwrap();
        let attempts = "SELECT count(*) FROM attempts";
        let calls: i64 = sqlx::query_scalar(attempts).fetch_one(&mut database).await.unwrap();
        let again = "UPDATE deliveries SET state = 'planned', due_at = now(), sweep_at = now() WHERE id = (SELECT id FROM deliveries WHERE record_id = $1 ORDER BY revision DESC LIMIT 1)";
        sqlx::query(again).bind(uuid).execute(&mut database).await.unwrap();
        let stopped = crate::eventually("a person is told", async || {
            let data = client.ask("{ exceptions(state: \"open\") { nodes { id code sentence nextStep } } }", json!({})).await.unwrap();
            data["exceptions"]["nodes"].as_array().unwrap().first().cloned()
        })
        .await;
        assert_eq!(stopped["code"], "gone.personal_data_erased", "{stopped}");
        assert!(stopped["sentence"].as_str().unwrap().contains("was erased"), "{stopped}");
        assert_eq!(sqlx::query_scalar::<_, i64>(attempts).fetch_one(&mut database).await.unwrap(), calls, "nobody was called");
        let edits = json!([{"path": "customer.name", "value": "\"Ada\""}]);
        let edited = client.raw(EDIT, json!({"id": stopped["id"], "e": edits})).await.unwrap();
        assert_eq!(edited["data"]["exceptionEditRecord"]["userErrors"][0]["code"], "BLOCKED", "{edited}");

        // What its source sends afterwards is something new.
        assert_eq!(world.acme.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 5)).await.unwrap().status, 200);
        crate::eventually("it is known by its address again", async || (search("ada@example.com").await.len() == 1).then_some(())).await;
        let document = search("ada@example.com").await[0]["record"]["document"].clone();
        assert!(document.as_str().unwrap().contains("ada@example.com"), "{document}");
    })
    .await;
}
