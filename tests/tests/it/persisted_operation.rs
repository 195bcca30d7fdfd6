//! Who may read the schema, and what a key that is kept to registered operations may ask.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::client::{Client, http};
use tests::platform::{Options, Platform};

use crate::world_with;

const PASSWORD: &str = "a-password-of-the-schema";
const CREATE: &str =
    "mutation($i: ApiKeyCreateInput!) { apiKeyCreate(input: $i) { key apiKey { id persistedOnly } userErrors { field code } } }";
const REGISTER: &str = "mutation($i: PersistedOperationRegisterInput!) { persistedOperationRegister(input: $i) { persistedOperation { sha256 name } userErrors { field code } } }";
const REMOVE: &str = "mutation($h: String!) { persistedOperationRemove(sha256: $h) { done userErrors { code } } }";
const OPERATION: &str = "query Connections($n: Int) { connections(first: $n) { nodes { id } } }";

/// As an installation runs that is no developer's.
fn in_production() -> Options {
    Options { environment: vec![("CROSSDOCK_ENV", "production")], ..Options::default() }
}

fn code(answer: &Value) -> Option<&str> {
    answer["errors"][0]["extensions"]["code"].as_str()
}

fn sha256(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a client of persisted queries sends.
async fn send(platform: &Platform, token: &str, body: Value) -> Value {
    let request = http().build().unwrap().post(format!("{}/graphql", platform.url)).bearer_auth(token).json(&body);
    request.send().await.unwrap().json().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_is_read_by_those_who_build_on_it_and_by_nobody_else() {
    world_with(in_production(), async |world| {
        let platform = &world.platform;
        let key = async |permissions: &[&str]| {
            let made = world.acme.client.ask(CREATE, json!({"i": {"name": "k", "permissions": permissions}})).await.unwrap();
            Client::new(&platform.url).with_token(made["apiKeyCreate"]["key"].as_str().unwrap())
        };
        let mut callers = vec![
            ("stranger", Client::new(&platform.url), Some("UNAUTHENTICATED")),
            ("key", key(&["READ_OPERATIONS", "CONFIGURE"]).await, Some("FORBIDDEN")),
            ("key for it", key(&["READ_SCHEMA"]).await, None),
        ];
        for (role, expected) in [
            ("owner", None),
            ("admin", None),
            ("developer", None),
            ("operator", Some("FORBIDDEN")),
            ("auditor", Some("FORBIDDEN")),
            ("billing", Some("FORBIDDEN")),
        ] {
            let email = format!("{role}@crossdock.example");
            callers.push((role, world.member(&email, PASSWORD, role).await, expected));
        }
        for (who, client, expected) in &callers {
            for query in [
                "{ __schema { queryType { name } } }",
                "{ viewer { id } ...F } fragment F on Query { t: __type(name: \"Query\") { name } }",
            ] {
                let answer = client.raw(query, json!({})).await.unwrap();
                assert_eq!(code(&answer), *expected, "{who}: {answer}");
                assert_eq!(answer.to_string().contains("\"Query\""), expected.is_none(), "{who}: {answer}");
            }
            let answer = client.raw("{ __typename viewer { __typename } }", json!({})).await.unwrap();
            assert_eq!(answer["data"]["__typename"], "Query", "{who}: {answer}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_kept_to_registered_operations_asks_nothing_else() {
    world_with(in_production(), async |world| {
        let (owner, platform) = (&world.acme.client, &world.platform);
        let made = async |only: bool| {
            let input = json!({"name": "partner", "permissions": ["READ_OPERATIONS", "READ_AUDIT"], "persistedOnly": only});
            let made = owner.ask(CREATE, json!({"i": input})).await.unwrap();
            assert_eq!(made["apiKeyCreate"]["apiKey"]["persistedOnly"], only);
            made["apiKeyCreate"]["key"].as_str().unwrap().to_owned()
        };
        let (kept, free) = (made(true).await, made(false).await);
        let hash = sha256(OPERATION);
        let by_hash = json!({"variables": {"n": 1}, "extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash}}});
        let by_text = json!({"query": OPERATION, "variables": {"n": 1}});
        let mut both = by_hash.clone();
        both["query"] = OPERATION.into();

        // Before it is registered.
        for token in [&kept, &free] {
            let unknown = send(platform, token, by_hash.clone()).await;
            assert_eq!(unknown["errors"][0]["message"], "PersistedQueryNotFound", "{unknown}");
            assert_eq!(code(&unknown), Some("PERSISTED_QUERY_NOT_FOUND"));
        }
        for body in [&by_text, &both] {
            assert_eq!(code(&send(platform, &kept, body.clone()).await), Some("FORBIDDEN"));
            assert!(send(platform, &free, body.clone()).await["data"]["connections"].is_object());
        }
        assert_eq!(
            send(platform, &free, by_hash.clone()).await["errors"][0]["message"],
            "PersistedQueryNotFound",
            "asking registers nothing"
        );

        for (input, field) in [
            (json!({"name": " ", "document": OPERATION}), "name"),
            (json!({"name": "x", "document": "query {"}), "document"),
            (json!({"name": "x", "document": format!("{{ viewer {{ id }} }} # {}", "x".repeat(32 * 1024))}), "document"),
        ] {
            let refused = owner.raw(REGISTER, json!({"i": input})).await.unwrap();
            assert_eq!(refused["data"]["persistedOperationRegister"]["userErrors"][0]["field"], json!([field]), "{refused}");
        }
        let registered = owner.ask(REGISTER, json!({"i": {"name": "connections", "document": OPERATION}})).await.unwrap();
        assert_eq!(registered["persistedOperationRegister"]["persistedOperation"]["sha256"], hash);
        for body in [&by_hash, &by_text, &both] {
            for token in [&kept, &free] {
                let answer = send(platform, token, body.clone()).await;
                assert_eq!(answer["data"]["connections"]["nodes"].as_array().unwrap().len(), 1, "{answer}");
            }
        }
        let mut wrong = both.clone();
        wrong["query"] = "{ viewer { id } }".into();
        for token in [&kept, &free] {
            assert_eq!(code(&send(platform, token, wrong.clone()).await), Some("BAD_REQUEST"), "the hash is of another text");
        }
        for query in ["{ viewer { id } }", "mutation { sessionClose { closed } }"] {
            assert_eq!(code(&send(platform, &kept, json!({"query": query})).await), Some("FORBIDDEN"), "{query}");
        }
        let export =
            http().build().unwrap().get(format!("{}/audit/export", platform.url)).bearer_auth(&kept).send().await.unwrap();
        assert_eq!(export.status(), 403, "what is no operation is none that is registered");

        // Another tenant has none of it, and a key registers nothing for itself.
        let stranger = platform.tenant("other", &world.erp, 15).await.unwrap();
        let theirs = stranger.client.ask(CREATE, json!({"i": {"name": "k", "permissions": ["READ_OPERATIONS"]}})).await.unwrap();
        let theirs = theirs["apiKeyCreate"]["key"].as_str().unwrap();
        assert_eq!(send(platform, theirs, by_hash.clone()).await["errors"][0]["message"], "PersistedQueryNotFound");
        let by_key = json!({"query": REGISTER, "variables": {"i": {"name": "x", "document": "{ viewer { id } }"}}});
        assert_eq!(code(&send(platform, &free, by_key).await), Some("FORBIDDEN"));
        assert_eq!(
            stranger.client.ask("{ persistedOperations { sha256 } }", json!({})).await.unwrap()["persistedOperations"],
            json!([])
        );

        let listed = owner.ask("{ persistedOperations { sha256 name document } }", json!({})).await.unwrap();
        assert_eq!(listed["persistedOperations"], json!([{"sha256": hash, "name": "connections", "document": OPERATION}]));
        assert_eq!(owner.ask(REMOVE, json!({"h": hash})).await.unwrap()["persistedOperationRemove"]["done"], true);
        assert_eq!(
            send(platform, &kept, by_hash.clone()).await["errors"][0]["message"],
            "PersistedQueryNotFound",
            "removed is removed"
        );
        let again = owner.raw(REMOVE, json!({"h": hash})).await.unwrap();
        assert_eq!(again["data"]["persistedOperationRemove"]["userErrors"][0]["code"], "NOT_FOUND");
        let told = owner
            .ask("{ auditEvents(filter: {subjectKind: \"tenant\"}) { nodes { action } } }", json!({}))
            .await
            .unwrap()
            .to_string();
        assert!(told.contains("persisted_operation.registered") && told.contains("persisted_operation.removed"), "{told}");
    })
    .await;
}
