//! What stands open to strangers, under the settings of production.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tests::client::{Client, http};
use tests::platform::{EMAIL, Options};

use crate::walk::Schema;
use crate::{World, world, world_with};

async fn in_production(test: impl AsyncFnOnce(&mut World)) {
    world_with(Options { environment: vec![("CROSSDOCK_ENV", "production")], ..Options::default() }, test).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_surface_of_production_tells_no_schema_and_takes_json_by_post_only() {
    in_production(async |world| {
        let (url, client) = (format!("{}/graphql", world.platform.url), http().build().unwrap());
        let owner = &world.acme.client;
        for query in ["{ __schema { queryType { name } } }", "{ __type(name: \"Query\") { name } }"] {
            // Who may read it is in the table of permissions (READ_SCHEMA); strangers may not.
            let answer = Client::new(&world.platform.url).raw(query, json!({})).await.unwrap();
            assert!(
                answer["data"].get("__schema").is_none_or(Value::is_null)
                    && answer["data"].get("__type").is_none_or(Value::is_null),
                "{answer}"
            );
        }
        // The schema guesses no names for those who look for a way in.
        let guessed = owner.raw("{ conections { nodes { id } } }", json!({})).await.unwrap().to_string();
        assert!(
            guessed.contains("Unknown field") && !guessed.contains("Did you mean") && !guessed.contains("\"connections\""),
            "{guessed}"
        );

        let create = r#"{"query": "mutation { lookupTableCreate(name: \"made\") { lookupTable { id } } }"}"#;
        let with =
            |request: reqwest::RequestBuilder| request.bearer_auth(owner.token().unwrap()).header("X-Crossdock-Tenant", "acme");
        let map = "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n".to_owned() + create + "\r\n--b--\r\n";
        for (kind, body) in [
            ("text/plain", create),
            ("application/x-www-form-urlencoded", "query=mutation{lookupTableCreate(name:\"made\"){lookupTable{id}}}"),
            ("application/graphql", "mutation { lookupTableCreate(name: \"made\") { lookupTable { id } } }"),
            ("multipart/form-data; boundary=b", map.as_str()),
            ("application/jsonp", create),
            ("text/plain; a=application/json", create),
        ] {
            let answer = with(client.post(&url))
                .header("Content-Type", kind)
                .header("Origin", "https://evil.example")
                .body(body.to_owned())
                .send()
                .await
                .unwrap();
            assert!(answer.status().is_client_error(), "{kind}: {}", answer.status());
        }
        let get = [("query", "mutation { lookupTableCreate(name: \"made\") { lookupTable { id } } }")];
        let query: String = get.iter().map(|(name, value)| format!("{name}={}", percent(value))).collect();
        for method in
            [reqwest::Method::GET, reqwest::Method::HEAD, reqwest::Method::PUT, reqwest::Method::DELETE, reqwest::Method::OPTIONS]
        {
            let answer = with(client.request(method.clone(), format!("{url}?{query}"))).send().await.unwrap();
            let allowed = answer.headers().contains_key("access-control-allow-origin");
            assert!(answer.status().is_client_error() && !allowed, "{method}: {}", answer.status());
        }
        let tables = owner.ask("{ lookupTables { nodes { name } } }", json!({})).await.unwrap();
        assert_eq!(tables["lookupTables"]["nodes"], json!([{"name": "SKUs"}]), "none of them made anything");
        for header in ["x-content-type-options", "referrer-policy"] {
            let answer = client.post(&url).json(&json!({"query": "{ viewer { id } }"})).send().await.unwrap();
            assert!(answer.headers().contains_key(header), "{header}");
        }
    })
    .await;
}

fn percent(text: &str) -> String {
    text.bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_matrix_of_a_key_that_reads_lets_it_change_nothing() {
    world(async |world| {
        let create = "mutation { apiKeyCreate(input: {name: \"reads\", callsPerMinute: 60000, permissions: [READ_OPERATIONS, READ_AUDIT, READ_USAGE]}) { key userErrors { message } } }";
        let key = world.acme.client.ask(create, json!({})).await.unwrap();
        let key = Client::new(&world.platform.url).with_token(key["apiKeyCreate"]["key"].as_str().unwrap());
        assert!(key.ask("{ connections { nodes { id } } }", json!({})).await.is_ok(), "it reads");
        let schema = Schema::of(&world.acme.client).await;
        let (mut refused, mut open) = (0, vec![]);
        for operation in schema.operations().filter(|operation| operation.name().starts_with("mutation ")) {
            let answer = key.raw(&operation.least(), json!({})).await.unwrap();
            match answer["errors"][0]["extensions"]["code"].as_str() {
                Some("FORBIDDEN") => refused += 1,
                _ => open.push(operation.name().replace("mutation ", "")),
            }
        }
        // What is open to strangers is open to a key, too: it signs people in, and needs what only they have. A certificate changes nothing but the log
        // that says that it was made, and who reads the log may have one.
        let open_to_it =
            ["certificateMake", "emailVerify", "invitationAccept", "passwordReset", "passwordResetAsk", "sessionOpen", "sessionRefresh"];
        let others: Vec<&String> = open.iter().filter(|name| !open_to_it.contains(&name.as_str())).collect();
        assert!(others.is_empty() && refused > 80, "{refused} refused, and not these: {others:?}");
    })
    .await;
}

/// The middle of an odd number.
fn median(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took[took.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn threat_enumeration_of_addresses_learns_nothing_from_how_long_an_answer_takes() {
    const ROUNDS: u8 = 45;
    world(async |world| {
        let resting = "resting@crossdock.example";
        world.platform.user_create(resting, "a-password-that-rests").await.unwrap();
        let mut connection = world.platform.database.connect().await.unwrap();
        let rest = "UPDATE users SET failures = 40, locked_until = now() + interval '1 hour' WHERE email = $1";
        sqlx::query(rest).bind(resting).execute(&mut connection).await.unwrap();
        let open =
            "mutation($i: SessionOpenInput!) { sessionOpen(input: $i) { session { accessToken } userErrors { code message } } }";
        let (mut took, mut said) = ([vec![], vec![], vec![]], vec![]);
        for round in 0..ROUNDS {
            // From as many addresses as a botnet has, so that no throttle ends it before there is something to compare.
            let from = std::net::IpAddr::from([127, 0, 1, 1 + round / 5]);
            let client = http().local_address(from).build().unwrap();
            for (at, email) in ["nobody@crossdock.example", EMAIL, resting].into_iter().enumerate() {
                let body = json!({"query": open, "variables": {"i": {"email": email, "password": "a wrong password"}}});
                let begun = Instant::now();
                let answer: Value = client
                    .post(format!("{}/graphql", world.platform.url))
                    .json(&body)
                    .send()
                    .await
                    .unwrap()
                    .json()
                    .await
                    .unwrap();
                took[at].push(begun.elapsed());
                said.push(answer.to_string());
            }
            let unlock = "UPDATE users SET failures = 0, locked_until = NULL WHERE email = $1";
            sqlx::query(unlock).bind(EMAIL).execute(&mut connection).await.unwrap();
        }
        said.sort();
        said.dedup();
        assert_eq!(said.len(), 1, "all are told the same: {said:?}");
        let [unknown, known, resting] = took.map(median);
        println!("unknown {unknown:?}, known {known:?}, resting {resting:?}");
        let spread = [unknown, known, resting].into_iter().max().unwrap().as_secs_f64()
            / [unknown, known, resting].into_iter().min().unwrap().as_secs_f64();
        // A hash takes some fifty milliseconds; leaving it out would make an answer ten times as fast.
        assert!(spread < 1.5, "unknown {unknown:?}, known {known:?}, resting {resting:?}");
    })
    .await;
}
