//! Every query, mutation and subscription, asked by a stranger, by each role and by an API key, against a table that is committed: who is let in where. It walks the
//! schema itself, so an operation that nobody thought of is asked, too. `UPDATE_PERMISSION_MATRIX=1` writes the table anew, for a person to read.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::json;
use tests::client::Client;

use crate::walk::{Schema, answer};
use crate::{World, world};

const PASSWORD: &str = "a-password-of-the-matrix";
const ROLES: [&str; 6] = ["owner", "admin", "operator", "developer", "auditor", "billing"];
const TABLE: &str = include_str!("permission_matrix.txt");

/// Whether somebody is let in. What they then asked for may be wrong: it is made up.
async fn is_let_in(client: &Client, query: &str) -> bool {
    let answer = answer(client, query).await;
    match answer["errors"][0]["extensions"]["code"].as_str() {
        Some("UNAUTHENTICATED" | "FORBIDDEN") => false,
        Some("INTERNAL") => panic!("{query}: {answer}"),
        Some(_) => true,
        None => {
            let asked = answer["errors"][0]["message"].as_str().unwrap_or_default();
            // Before anybody is asked who they are: the query itself is none.
            assert!(
                !asked.starts_with("Invalid value") && !asked.contains("Unknown") && !asked.contains("parse"),
                "{query}: {answer}"
            );
            true
        }
    }
}

/// A stranger, a person of each role and an API key, by the names that they have in the tables.
pub async fn callers(world: &World) -> Vec<(String, Client)> {
    let platform = &world.platform;
    let mut callers = vec![("stranger".to_owned(), Client::new(&platform.url))];
    for role in ROLES {
        callers.push((role.to_owned(), world.member(&format!("{role}@crossdock.example"), PASSWORD, role).await));
    }
    let create = "mutation { apiKeyCreate(input: {name: \"all\", callsPerMinute: 60000, permissions: [READ_OPERATIONS, READ_AUDIT, READ_USAGE, WORK_EXCEPTIONS, CONFIGURE]}) { key userErrors { message } } }";
    let key = world.acme.client.ask(create, json!({})).await.unwrap();
    callers.push(("key".to_owned(), Client::new(&platform.url).with_token(key["apiKeyCreate"]["key"].as_str().unwrap())));
    callers
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_matrix() {
    world(async |world| {
        let callers = callers(world).await;
        let schema = Schema::of(&world.acme.client).await;
        let operations: BTreeMap<String, String> =
            schema.operations().map(|operation| (operation.name(), operation.least())).collect();
        assert!(operations.len() > 140, "the schema has them: {}", operations.len());
        // What ends the session that asks is asked last.
        let (last, first): (Vec<_>, Vec<_>) = operations.iter().partition(|(name, _)| name.as_str() == "mutation sessionClose");
        let mut let_in: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, query) in first.into_iter().chain(last) {
            let row = let_in.entry(name).or_default();
            for (caller, client) in &callers {
                if is_let_in(client, query).await {
                    row.push(caller);
                }
            }
        }
        let mut table = String::new();
        for (name, row) in &let_in {
            let columns: Vec<&str> =
                callers.iter().map(|(caller, _)| if row.contains(&caller.as_str()) { caller.as_str() } else { "-" }).collect();
            writeln!(table, "{name}: {}", columns.join(" ")).unwrap();
        }
        if std::env::var_os("UPDATE_PERMISSION_MATRIX").is_some() {
            std::fs::write("tests/it/permission_matrix.txt", &table).unwrap();
            return;
        }
        for (is, was) in table.lines().zip(TABLE.lines()) {
            assert_eq!(is, was, "if this is meant, run this test with UPDATE_PERMISSION_MATRIX=1 and read what changed");
        }
        assert_eq!(table, TABLE);
    })
    .await;
}
