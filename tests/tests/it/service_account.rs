//! Service accounts: who a program is stays the same while its keys are exchanged, none of its keys may more than it, and all of them end with it.

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tests::client::{Client, http};
use uuid::Uuid;

use crate::{World, world};

const CREATE: &str = "mutation($i: ServiceAccountCreateInput!) { serviceAccountCreate(input: $i) {
    serviceAccount { id } userErrors { field code } } }";
const CHANGE: &str = "mutation($id: ID!, $i: ServiceAccountChangeInput!) { serviceAccountChange(id: $id, input: $i) {
    serviceAccount { name purpose permissions callsPerMinute } userErrors { field code } } }";
const END: &str = "mutation($id: ID!, $why: String!) { serviceAccountEnd(id: $id, why: $why) {
    serviceAccount { id endedAt } userErrors { field code } } }";
const KEY: &str = "mutation($i: ApiKeyCreateInput!) { apiKeyCreate(input: $i) {
    key apiKey { id prefix serviceAccount { id name } } userErrors { field code message } } }";
const ROTATE: &str =
    "mutation($id: ID!) { apiKeyRotate(id: $id) { key apiKey { id serviceAccount { id } } userErrors { code } } }";
const CONNECTIONS: &str = "{ connections { nodes { id } } }";

fn code(answer: &Value) -> Option<&str> {
    answer["errors"][0]["extensions"]["code"].as_str()
}

fn uuid(id: &str) -> Uuid {
    Uuid::try_parse(id.split_once('_').unwrap().1).unwrap()
}

/// The first user error of a mutation, as `field CODE`.
fn user_error(answer: &Value) -> String {
    let payload = answer["data"].as_object().and_then(|data| data.values().next()).cloned().unwrap_or_default();
    let error = &payload["userErrors"][0];
    format!("{} {}", error["field"][0].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default())
}

async fn account(world: &World, name: &str, permissions: &[&str], calls_per_minute: u32) -> String {
    let input = json!({"name": name, "purpose": "Reads orders, sends tracking", "permissions": permissions, "callsPerMinute": calls_per_minute});
    let made = world.acme.client.ask(CREATE, json!({"i": input})).await.unwrap();
    made["serviceAccountCreate"]["serviceAccount"]["id"].as_str().unwrap().to_owned()
}

/// A key of an account, or of none: its payload, and a program that has it.
async fn key(world: &World, account: Option<&str>, permissions: &[&str]) -> (Value, Client) {
    let input = json!({"name": "k", "permissions": permissions, "serviceAccountId": account});
    let mut made = world.acme.client.ask(KEY, json!({"i": input})).await.unwrap();
    let client = Client::new(&world.platform.url).with_token(made["apiKeyCreate"]["key"].as_str().unwrap());
    (made["apiKeyCreate"]["apiKey"].take(), client)
}

/// Makes a lookup table, which needs `CONFIGURE` and stands in the audit log.
async fn table(client: &Client, name: &str) -> Value {
    let create = "mutation($n: String!) { lookupTableCreate(name: $n) { userErrors { code } } }";
    client.raw(create, json!({"n": name})).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_names_one_account_while_its_keys_are_exchanged() {
    world(async |world| {
        let (owner, url) = (&world.acme.client, &world.platform.url);
        let account = account(world, "Acme 3PL", &["READ_OPERATIONS", "CONFIGURE"], 600).await;
        let (first, program) = key(world, Some(&account), &["READ_OPERATIONS", "CONFIGURE"]).await;
        assert_eq!(first["serviceAccount"], json!({"id": account, "name": "Acme 3PL"}));
        assert_eq!(code(&table(&program, "before").await), None);

        let rotated = owner.ask(ROTATE, json!({"id": first["id"]})).await.unwrap();
        let (next, program) = (&rotated["apiKeyRotate"]["apiKey"], rotated["apiKeyRotate"]["key"].as_str().unwrap());
        assert_eq!(next["serviceAccount"]["id"], json!(account));
        let renamed = owner.ask(CHANGE, json!({"id": account, "i": {"name": "Acme Logistics"}})).await.unwrap();
        assert_eq!(
            renamed["serviceAccountChange"]["serviceAccount"]["purpose"], "Reads orders, sends tracking",
            "what is not said stays"
        );
        assert_eq!(code(&table(&Client::new(url).with_token(program), "after").await), None);

        let acts =
            "query($id: ID!) { auditEvents(action: \"lookup_table.created\", filter: {actorId: $id}) { nodes { actor } } }";
        let acts = owner.ask(acts, json!({"id": account})).await.unwrap();
        let actor = |n: usize| {
            let actor = &acts["auditEvents"]["nodes"][n]["actor"];
            ["kind", "key", "service_account", "service_account_name"].map(|part| actor[part].clone())
        };
        let kind = json!("api_key");
        assert_eq!(actor(0), [kind.clone(), next["id"].clone(), json!(account), json!("Acme Logistics")]);
        assert_eq!(actor(1), [kind, first["id"].clone(), json!(account), json!("Acme 3PL")], "as it was called then");
        assert!(acts["auditEvents"]["nodes"][2].is_null(), "{acts}");

        let told = "query($id: ID!) { auditEvents(subjectId: $id) { nodes { action detail } } }";
        let told = owner.ask(told, json!({"id": account})).await.unwrap();
        let told = |n: usize| &told["auditEvents"]["nodes"][n];
        assert_eq!(
            (&told(0)["action"], &told(1)["action"]),
            (&json!("service_account.changed"), &json!("service_account.created"))
        );
        let detail: Value = serde_json::from_str(told(0)["detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail["changed"], json!({"name": {"was": "Acme 3PL", "is": "Acme Logistics"}}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_bounds_its_keys_and_takes_them_all_with_it_when_it_ends() {
    world(async |world| {
        let owner = &world.acme.client;
        let id_of_somebody = "usr_0198a3b4c5d67e8f9012345678901234";
        for (wrong, expected) in [
            (json!({"name": " "}), "name INVALID"),
            (json!({"name": id_of_somebody}), "name INVALID"),
            (json!({"purpose": ""}), "purpose INVALID"),
            (json!({"permissions": []}), "permissions REQUIRED"),
            (json!({"permissions": ["READ_AUDIT", "MANAGE_MEMBERS"]}), "permissions INVALID"),
            (json!({"callsPerMinute": 0}), "callsPerMinute INVALID"),
        ] {
            let mut input = json!({"name": "x", "purpose": "x", "permissions": ["READ_AUDIT"]});
            input.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
            assert_eq!(user_error(&owner.raw(CREATE, json!({"i": input})).await.unwrap()), expected);
        }
        let account = account(world, "Acme 3PL", &["READ_OPERATIONS", "CONFIGURE"], 6_000).await;
        let again = json!({"name": "ACME 3PL", "purpose": "x", "permissions": ["READ_AUDIT"]});
        assert_eq!(user_error(&owner.raw(CREATE, json!({"i": again})).await.unwrap()), "name TAKEN");

        // Too much is named, and what is not too much is not.
        let input = json!({"name": "k", "permissions": ["READ_USAGE", "READ_OPERATIONS", "READ_AUDIT"], "serviceAccountId": account});
        let refused = owner.raw(KEY, json!({"i": input})).await.unwrap();
        assert_eq!(user_error(&refused), "permissions INVALID");
        let message = refused["data"]["apiKeyCreate"]["userErrors"][0]["message"].as_str().unwrap();
        assert!(message.contains("Acme 3PL may not READ_AUDIT, READ_USAGE;"), "{message}");

        // Narrowed, its keys are; a key by itself is not.
        let (first, one) = key(world, Some(&account), &["READ_OPERATIONS", "CONFIGURE"]).await;
        let (_, other) = key(world, Some(&account), &["CONFIGURE"]).await;
        let (_, alone) = key(world, None, &["READ_OPERATIONS", "CONFIGURE"]).await;
        let permissions = async |to: &[&str]| owner.ask(CHANGE, json!({"id": account, "i": {"permissions": to}})).await.unwrap();
        permissions(&["READ_OPERATIONS"]).await;
        for (client, name, expected) in [(&one, "a", Some("FORBIDDEN")), (&other, "b", Some("FORBIDDEN")), (&alone, "c", None)] {
            assert_eq!(code(&table(client, name).await), expected, "{name}");
        }
        assert_eq!(code(&one.raw(CONNECTIONS, json!({})).await.unwrap()), None);
        let listed = owner.ask("{ apiKeys { id permissions } }", json!({})).await.unwrap();
        let listed = listed["apiKeys"].as_array().unwrap().iter().find(|key| key["id"] == first["id"]).unwrap();
        assert_eq!(listed["permissions"], json!(["READ_OPERATIONS"]));
        // A process of the release before asks this.
        let mut app = PgConnection::connect(&world.platform.database.app_url).await.unwrap();
        let mut found = async || -> Option<Vec<String>> {
            let find = sqlx::query_scalar("SELECT permissions FROM api_key_find($1)").bind(first["prefix"].as_str().unwrap());
            find.fetch_optional(&mut app).await.unwrap()
        };
        assert_eq!(found().await, Some(vec!["read_operations".to_owned()]));

        // A key that took the place of a narrowed one is as narrow, and as wide when the account is.
        let rotated = owner.ask(ROTATE, json!({"id": first["id"]})).await.unwrap();
        let third = Client::new(&world.platform.url).with_token(rotated["apiKeyRotate"]["key"].as_str().unwrap());
        assert_eq!(code(&table(&third, "d").await), Some("FORBIDDEN"));
        permissions(&["READ_OPERATIONS", "READ_AUDIT", "CONFIGURE"]).await;
        assert_eq!(code(&table(&third, "d").await), None);
        let log = "{ auditEvents { nodes { id } } }";
        assert_eq!(code(&third.raw(log, json!({})).await.unwrap()), Some("FORBIDDEN"), "no key has more than it was made with");

        // Ended, with a reason.
        assert_eq!(user_error(&owner.raw(END, json!({"id": account, "why": " "})).await.unwrap()), "why REQUIRED");
        let ended = owner.ask(END, json!({"id": account, "why": "The contract is over"})).await.unwrap();
        assert!(ended["serviceAccountEnd"]["serviceAccount"]["endedAt"].is_string());
        for gone in [&one, &other, &third] {
            assert_eq!(code(&gone.raw(CONNECTIONS, json!({})).await.unwrap()), Some("UNAUTHENTICATED"));
        }
        assert_eq!(found().await, None);
        assert_eq!(code(&alone.raw(CONNECTIONS, json!({})).await.unwrap()), None);
        let states = owner.ask("{ apiKeys { state serviceAccount { endedAt } } }", json!({})).await.unwrap();
        for key in states["apiKeys"].as_array().unwrap() {
            let expected = if key["serviceAccount"].is_null() { "ACTIVE" } else { "REVOKED" };
            assert_eq!(key["state"], expected, "{states}");
        }
        let told = "{ ended: auditEvents(action: \"service_account.ended\") { nodes { detail } } revoked: auditEvents(action: \"api_key.revoked\") { nodes { id } } }";
        let told = owner.ask(told, json!({})).await.unwrap();
        let detail: Value = serde_json::from_str(told["ended"]["nodes"][0]["detail"].as_str().unwrap()).unwrap();
        assert_eq!(detail, json!({"name": "Acme 3PL", "why": "The contract is over", "keys": 3}));
        assert_eq!(told["revoked"]["nodes"].as_array().unwrap().len(), 3);

        // It does not come back; its name is free.
        assert_eq!(user_error(&owner.raw(END, json!({"id": account, "why": "x"})).await.unwrap()), "id NOT_FOUND");
        assert_eq!(user_error(&owner.raw(CHANGE, json!({"id": account, "i": {"name": "y"}})).await.unwrap()), "id NOT_FOUND");
        let input = json!({"name": "k", "permissions": ["CONFIGURE"], "serviceAccountId": account});
        assert_eq!(user_error(&owner.raw(KEY, json!({"i": input})).await.unwrap()), "serviceAccountId NOT_FOUND");
        let second = owner.ask(CREATE, json!({"i": again})).await.unwrap()["serviceAccountCreate"]["serviceAccount"]["id"].take();
        let listed = owner.ask("{ serviceAccounts { id } }", json!({})).await.unwrap();
        assert_eq!(listed["serviceAccounts"], json!([{"id": second}, {"id": account}]), "those that have ended come last");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_the_release_before_rotates_stays_of_its_account() {
    world(async |world| {
        let owner = &world.acme.client;
        let account = account(world, "Acme 3PL", &["READ_OPERATIONS", "CONFIGURE"], 600).await;
        let (old, _) = key(world, Some(&account), &["READ_OPERATIONS", "CONFIGURE"]).await;
        owner.ask(CHANGE, json!({"id": account, "i": {"permissions": ["READ_OPERATIONS"]}})).await.unwrap();
        let mut app = PgConnection::connect(&world.platform.database.app_url).await.unwrap();
        // In another tenant it is a key by itself: nobody's account is anybody else's.
        let elsewhere = owner.tenant_create("elsewhere").await.unwrap();
        let mut found = Vec::new();
        for (tenant, prefix) in [(world.acme.id.as_str(), "next"), (elsewhere.as_str(), "theirs")] {
            let mut tx = app.begin().await.unwrap();
            let set = "SELECT set_config('crossdock.tenant_id', $1, true)";
            sqlx::query(set).bind(uuid(tenant).to_string()).execute(&mut *tx).await.unwrap();
            let insert = "INSERT INTO api_keys (id, tenant_id, name, prefix, key_hash, permissions, calls_per_minute, created_by, expires_at, replaces, persisted_only)
                VALUES (gen_random_uuid(), $1, 'k', $2, '', '{read_operations,configure}', 600, $1, now() + interval '1 day', $3, false)";
            let insert = sqlx::query(insert).bind(uuid(tenant)).bind(prefix).bind(uuid(old["id"].as_str().unwrap()));
            insert.execute(&mut *tx).await.unwrap();
            tx.commit().await.unwrap();
            let live = "SELECT permissions, account_id FROM api_key_live($1)";
            let live = sqlx::query_as::<_, (Vec<String>, Option<Uuid>)>(live).bind(prefix);
            found.push(live.fetch_one(&mut app).await.unwrap());
        }
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(found[0], (words(&["read_operations"]), Some(uuid(&account))), "as narrow as its account");
        assert_eq!(found[1], (words(&["read_operations", "configure"]), None));

        owner.ask(END, json!({"id": account, "why": "The contract is over"})).await.unwrap();
        let live = sqlx::query("SELECT id FROM api_key_live('next')").fetch_optional(&mut app).await.unwrap();
        assert!(live.is_none(), "it ends with its account");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_keys_of_an_account_share_its_limit_and_no_other_key_does() {
    world(async |world| {
        // One call at once, and the next only after a minute, however busy the machine is.
        let account = account(world, "Acme 3PL", &["READ_OPERATIONS"], 1).await;
        let (_, one) = key(world, Some(&account), &["READ_OPERATIONS"]).await;
        let (_, other) = key(world, Some(&account), &["READ_OPERATIONS"]).await;
        let (_, alone) = key(world, None, &["READ_OPERATIONS"]).await;
        let ask = async |client: &Client| {
            let request = http().build().unwrap().post(format!("{}/graphql", world.platform.url));
            let request = request.bearer_auth(client.token().unwrap()).json(&json!({"query": "{ viewer { id } }"}));
            let answer = request.send().await.unwrap();
            let limit = answer.headers()["RateLimit-Limit"].to_str().unwrap().to_owned();
            (answer.status().as_u16(), limit, answer.headers().contains_key("Retry-After"))
        };
        assert_eq!(ask(&one).await, (200, "1".to_owned(), false), "the tighter one of the two is told");
        for refused in [&other, &one] {
            assert_eq!(ask(refused).await, (429, "1".to_owned(), true));
        }
        let (status, limit, _) = ask(&alone).await;
        assert_eq!(status, 200);
        assert_ne!(limit, "1", "a key by itself has its own");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accounts_of_a_tenant_are_absent_in_another() {
    world(async |world| {
        let owner = &world.acme.client;
        let account = account(world, "Acme 3PL", &["READ_OPERATIONS"], 600).await;
        let (_, program) = key(world, Some(&account), &["READ_OPERATIONS"]).await;
        let elsewhere = owner.clone().of_tenant(&owner.tenant_create("elsewhere").await.unwrap());
        assert_eq!(elsewhere.ask("{ serviceAccounts { id } }", json!({})).await.unwrap()["serviceAccounts"], json!([]));
        let input = json!({"name": "k", "permissions": ["READ_OPERATIONS"], "serviceAccountId": account});
        for (query, variables, expected) in [
            (CHANGE, json!({"id": account, "i": {"name": "theirs"}}), "id NOT_FOUND"),
            (END, json!({"id": account, "why": "x"}), "id NOT_FOUND"),
            (KEY, json!({"i": input}), "serviceAccountId NOT_FOUND"),
        ] {
            assert_eq!(user_error(&elsewhere.raw(query, variables).await.unwrap()), expected);
        }
        assert_eq!(code(&program.raw(CONNECTIONS, json!({})).await.unwrap()), None, "it goes on");
    })
    .await;
}
