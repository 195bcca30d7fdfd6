//! API keys: shown once, kept as a hash, good for what they were made for and no longer.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::Client;

use crate::{eventually, world};

const CREATE: &str =
    "mutation($i: ApiKeyCreateInput!) { apiKeyCreate(input: $i) { key apiKey { id prefix } userErrors { field code } } }";

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_may_what_it_was_made_for_until_it_ends() {
    world(async |world| {
        let (owner, url) = (&world.acme.client, &world.platform.url);
        for (input, field) in [
            (json!({"name": " ", "permissions": ["READ_AUDIT"]}), "name"),
            (json!({"name": "usr_0198a3b4c5d67e8f9012345678901234", "permissions": ["READ_AUDIT"]}), "name"),
            (json!({"name": "x", "permissions": []}), "permissions"),
            (json!({"name": "x", "permissions": ["READ_AUDIT", "MANAGE_MEMBERS"]}), "permissions"),
            (json!({"name": "x", "permissions": ["READ_AUDIT"], "expiresAt": "2020-01-01T00:00:00Z"}), "expiresAt"),
            (json!({"name": "x", "permissions": ["READ_AUDIT"], "expiresAt": "2099-01-01T00:00:00Z"}), "expiresAt"),
            (json!({"name": "x", "permissions": ["READ_AUDIT"], "callsPerMinute": 0}), "callsPerMinute"),
        ] {
            let refused = owner.raw(CREATE, json!({"i": input})).await.unwrap();
            assert_eq!(refused["data"]["apiKeyCreate"]["userErrors"][0]["field"], json!([field]), "{refused}");
        }
        let made = owner.ask(CREATE, json!({"i": {"name": "the partner's", "permissions": ["READ_OPERATIONS", "WORK_EXCEPTIONS"]}})).await.unwrap();
        let (text, id) = (made["apiKeyCreate"]["key"].as_str().unwrap(), &made["apiKeyCreate"]["apiKey"]["id"]);
        let key = Client::new(url).with_token(text);
        let code = async |client: &Client, query: &str| {
            client.raw(query, json!({})).await.unwrap()["errors"][0]["extensions"]["code"].as_str().map(str::to_owned)
        };
        let viewer = key.ask("{ viewer { id permissions memberships { role } } tenant { slug } }", json!({})).await.unwrap();
        let expected = json!({"id": id, "permissions": ["READ_OPERATIONS", "WORK_EXCEPTIONS"], "memberships": []});
        assert_eq!((&viewer["viewer"], &viewer["tenant"]["slug"]), (&expected, &json!("acme")));
        assert_eq!(code(&key, "{ connections { nodes { id } } }").await, None);
        let table = "mutation { lookupTableCreate(name: \"t\") { userErrors { code } } }";
        for refused in [table, "{ auditEvents { nodes { id } } }", "{ apiKeys { id } }", "{ sessions { id } }", "mutation { sessionClose { closed } }"] {
            assert_eq!(code(&key, refused).await.as_deref(), Some("FORBIDDEN"), "{refused}");
        }
        let elsewhere = world.acme.client.tenant_create("elsewhere").await.unwrap();
        assert_eq!(code(&key.clone().of_tenant(&elsewhere), "{ connections { nodes { id } } }").await.as_deref(), Some("NO_TENANT"));
        key.ask("mutation { exceptionRetry(input: {causeKey: \"x\"}) { count } }", json!({})).await.unwrap();

        // What is kept is no key; that it is used is noted beside the answers.
        let mut connection = world.platform.database.connect().await.unwrap();
        let everything: String = sqlx::query_scalar("SELECT (SELECT string_agg(k::text, '') FROM api_keys k) || (SELECT string_agg(a::text, '') FROM audit_events a)")
            .fetch_one(&mut connection).await.unwrap();
        assert!(everything.contains(text.split('_').nth(1).unwrap()) && !everything.contains(&text[17..]));
        let mut forged = text.to_owned();
        forged.replace_range(20..21, if &text[20..21] == "A" { "B" } else { "A" });
        for stranger in [forged.as_str(), &text[..text.len() - 1], "cdk_000000000000_0000000000000000000000000000000000000000000"] {
            assert_eq!(code(&Client::new(url).with_token(stranger), "{ connections { nodes { id } } }").await.as_deref(), Some("UNAUTHENTICATED"));
        }
        let list = "{ apiKeys { id state lastUsedAt replacesId prefix } }";
        let keys = async || owner.ask(list, json!({})).await.unwrap()["apiKeys"].take();
        eventually("the key's use is noted", async || keys().await[0]["lastUsedAt"].is_string().then_some(())).await;

        // Rotated: both are good for as long as they overlap.
        let rotate = "mutation($id: ID!, $h: Int!) { apiKeyRotate(id: $id, overlapHours: $h) { key apiKey { id replacesId } userErrors { code } } }";
        let rotated = owner.ask(rotate, json!({"id": id, "h": 1})).await.unwrap();
        let next = Client::new(url).with_token(rotated["apiKeyRotate"]["key"].as_str().unwrap());
        assert_eq!(&rotated["apiKeyRotate"]["apiKey"]["replacesId"], id);
        for both in [&key, &next] {
            assert_eq!(code(both, "{ connections { nodes { id } } }").await, None);
        }
        let next_id = &rotated["apiKeyRotate"]["apiKey"]["id"];
        let last = owner.ask(rotate, json!({"id": next_id, "h": 0})).await.unwrap();
        assert_eq!(code(&next, "{ connections { nodes { id } } }").await.as_deref(), Some("UNAUTHENTICATED"), "no overlap was asked for");
        let revoke = "mutation($id: ID!) { apiKeyRevoke(id: $id) { apiKey { state } userErrors { code } } }";
        assert_eq!(owner.ask(revoke, json!({"id": id})).await.unwrap()["apiKeyRevoke"]["apiKey"]["state"], "REVOKED");
        assert_eq!(code(&key, "{ connections { nodes { id } } }").await.as_deref(), Some("UNAUTHENTICATED"));
        assert_eq!(owner.raw(revoke, json!({"id": id})).await.unwrap()["data"]["apiKeyRevoke"]["userErrors"][0]["code"], "NOT_FOUND");
        let states: Vec<Value> = keys().await.as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
        assert_eq!(states, ["ACTIVE", "EXPIRED", "REVOKED"], "{last}");
        let audit = owner.ask("query($id: ID!) { auditEvents(subjectId: $id) { nodes { action } } }", json!({"id": id})).await.unwrap();
        let told: Vec<&str> = audit["auditEvents"]["nodes"].as_array().unwrap().iter().filter_map(|event| event["action"].as_str()).collect();
        assert_eq!(told, ["api_key.revoked", "api_key.rotated", "api_key.created"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_key_that_asks_too_often_is_told_when_to_come_back_and_slows_no_other() {
    world(async |world| {
        let made = async |calls: i32| {
            let input = json!({"name": "k", "permissions": ["READ_OPERATIONS"], "callsPerMinute": calls});
            let made = world.acme.client.ask(CREATE, json!({"i": input})).await.unwrap();
            Client::new(&world.platform.url).with_token(made["apiKeyCreate"]["key"].as_str().unwrap())
        };
        let (slow, other) = (made(6).await, made(600).await);
        let ask = async |client: &Client| client.raw("{ viewer { id } }", json!({})).await.unwrap();
        let asked = Instant::now();
        assert!(ask(&slow).await["errors"].is_null());
        let refused = ask(&slow).await;
        let extensions = &refused["errors"][0]["extensions"];
        let wait = Duration::from_millis(extensions["retryAfterMs"].as_u64().unwrap());
        assert_eq!(extensions["code"], "RATE_LIMITED");
        assert!(wait + asked.elapsed() > Duration::from_secs(5) && wait <= Duration::from_secs(20), "{wait:?}");
        for _ in 0..20 {
            assert!(ask(&other).await["errors"].is_null());
        }
    })
    .await;
}
