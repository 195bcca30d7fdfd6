//! What was sent and answered stands beside the audit event of every call, also of those that are told after they were made.

use chrono::TimeDelta;
use domain::record::RecordKind;
use domain::value::{Limits, Value as Document};
use serde_json::{Value, json};
use tests::platform::Options;
use tests::vendor::Vendor;

use crate::{World, eventually, world_with};

const TOLD: &str = "query($a: String!) { auditEvents(action: $a, first: 5) { nodes { id detail payload { text length sha256 isAsSealed answer { text length isAsSealed } } } } }";

async fn told(world: &World, action: &str) -> Vec<Value> {
    world.acme.client.ask(TOLD, json!({"a": action})).await.unwrap()["auditEvents"]["nodes"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_probes_and_token_calls_have_what_was_sent_and_answered_beside_their_events() {
    world_with(Options { has_own_connectors: true, ..Options::default() }, async |world| {
        let client = &world.acme.client;
        // A probe, for which a token is asked first.
        let desk = Vendor::start("harbor-desk").await;
        let (id, _) =
            client.connection_create("harbor-desk", "Desk", desk.settings.clone(), desk.credential.clone()).await.unwrap();
        let test = "mutation($id: ID!) { connectionTest(id: $id) { probe { state } userErrors { code } } }";
        let tested = client.ask(test, json!({"id": id})).await.unwrap();
        assert_eq!(tested["connectionTest"]["probe"]["state"], "WORKS", "{tested}");
        let probed = &told(world, "connection.probed").await[0];
        assert_eq!(
            (&probed["payload"]["isAsSealed"], &probed["payload"]["answer"]["isAsSealed"]),
            (&json!(true), &json!(true)),
            "{probed}"
        );
        assert!(probed["payload"]["answer"]["length"].as_i64().unwrap() > 0, "{probed}");
        let token = &told(world, "token.renewed").await[0];
        let (asked, answered) =
            (token["payload"]["text"].as_str().unwrap(), token["payload"]["answer"]["text"].as_str().unwrap());
        assert!(asked.contains("grant_type") && answered.contains("\"access_token\":\"•••\""), "{token}");
        assert_eq!(
            (&token["payload"]["isAsSealed"], &token["payload"]["answer"]["isAsSealed"]),
            (&json!(true), &json!(true)),
            "{token}"
        );
        for secret in desk.credential.as_object().unwrap().values().filter_map(Value::as_str) {
            assert!(!token.to_string().contains(secret), "{token}");
        }
        let detail: Value = serde_json::from_str(token["detail"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&detail["version"], &detail["method"], &detail["status"]),
            (&json!(1), &json!("POST"), &json!(200)),
            "{detail}"
        );
        assert_eq!(detail["answer_whole_sha256"].as_str().unwrap().len(), 64);

        // A poll: what was bought, and not by whom.
        let shop = Vendor::of_catalog("http", &["authorization"]).await;
        let (source, _) =
            client.connection_create("http", "Own shop", shop.settings.clone(), shop.credential.clone()).await.unwrap();
        let day = shop.served.now() - TimeDelta::hours(1);
        let order = json!({
            "source_id": "O-1", "number": "#1", "status": "open", "currency": "EUR",
            "customer": {"source_id": "C-1", "name": "Ada Byron", "email": "ada@example.com"},
            "lines": [{"source_id": "1", "sku": "HAT", "quantity": "1", "unit_price": "10.00"}],
            "taxes_included": false, "totals": {"grand": "10.00"},
        });
        let order = Document::parse(order.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        shop.served.simulator().put_record(RecordKind::Order, order, day);
        let set = "mutation($i: PollSetInput!) { pollSet(input: $i) { poll { id } userErrors { message } } }";
        let input = json!({"connectionId": source, "recordKind": "order", "everyS": 30, "since": day - TimeDelta::hours(1)});
        client.ask(set, json!({"i": input})).await.unwrap();
        let read = eventually("the shop is read", async || {
            told(world, "poll.read")
                .await
                .into_iter()
                .find(|event| event["payload"]["answer"]["text"].to_string().contains("O-1"))
        })
        .await;
        let said = read["payload"]["answer"]["text"].as_str().unwrap();
        assert!(said.contains("HAT") && said.contains("10.00"), "{read}");
        assert!(!said.contains("ada@") && !said.contains("Byron"), "{read}");
        assert_eq!(read["payload"]["answer"]["isAsSealed"], true);

        // Whoever changes it is found out.
        let mut database = world.platform.database.connect().await.unwrap();
        let change = "UPDATE call_payloads SET answer = replace(answer, 'HAT', 'CAP') WHERE answer LIKE '%HAT%'";
        // Where another poll has come meanwhile, it has read the same again.
        assert!(sqlx::query(change).execute(&mut database).await.unwrap().rows_affected() >= 1);
        let changed = told(world, "poll.read").await;
        let changed = changed.iter().find(|event| event["id"] == read["id"]).unwrap();
        assert_eq!(changed["payload"]["answer"]["isAsSealed"], false, "{changed}");
        // No key of a vendor's stands in any of them.
        let kept: Vec<String> = sqlx::query_scalar("SELECT concat_ws(' ', request, answer) FROM call_payloads")
            .fetch_all(&mut database)
            .await
            .unwrap();
        let secrets = [&desk.credential, &shop.credential].map(|credential| credential.as_object().unwrap().clone());
        for secret in
            secrets.iter().flat_map(|secrets| secrets.values()).filter_map(Value::as_str).filter(|secret| secret.len() > 5)
        {
            assert!(kept.iter().all(|text| !text.contains(secret)), "a secret stands in {kept:?}");
        }
    })
    .await;
}
