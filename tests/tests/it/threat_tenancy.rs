//! What one tenant holds comes to no other by accident or by force: side by side, in one request, in one task, or beneath the API.

use std::time::Duration;

use futures::{StreamExt, stream};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tests::client::Client;
use tests::platform::Connected;
use tests::sample;
use uuid::Uuid;

use crate::{World, eventually, world};

const PATIENCE: Duration = Duration::from_secs(30);
/// Everything that names what it belongs to, through as many ways as there are.
const EVERYTHING: [&str; 2] = [
    "{ connections { nodes { name settings } } flows { nodes { name } } lookupTables { nodes { name } }
       records(first: 5) { nodes { document } } messages(first: 5) { nodes { body } } }",
    "{ connections { nodes { name } } records(first: 3) { nodes { document deliveries(first: 1) { nodes { id state } } } }
       deliveries(first: 5) { nodes { id record { document } } } }",
];

/// A tenant in which everything says whose it is.
pub async fn marked(world: &World, tenant: &Connected, hook_url: &str, mark: &str) {
    tenant.client.lookup_table_create(&format!("table {mark}"), &[("A".into(), mark.into())]).await.unwrap();
    let rename = "mutation($id: ID!, $n: String!) { connectionUpdate(id: $id, input: {name: $n}) { userErrors { message } } }";
    tenant.client.ask(rename, json!({"id": tenant.source, "n": format!("shop {mark}")})).await.unwrap();
    let mut shop = world.acme.shop.clone();
    shop.hook_url = hook_url.to_owned();
    for n in 1..=5 {
        // The same orders of both, so that whatever is kept by an id of the vendor's is kept under the same one.
        let order =
            String::from_utf8(sample::order(n)).unwrap().replace("\"note\":\"revision 0\"", &format!("\"note\":\"{mark}\""));
        assert!(order.contains(mark));
        assert_eq!(shop.send("orders/create", Uuid::from_u128(u128::from(n)), order.into_bytes()).await.unwrap().status, 200);
    }
    tenant.rest(5, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_tenant_requests_side_by_side_see_their_own_and_nothing_else() {
    const REQUESTS: usize = 800;
    const AT_ONCE: usize = 40;
    world(async |world| {
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        let marks = ["canary-of-acme", "canary-of-other"];
        marked(world, &world.acme, &world.acme.hook_url, marks[0]).await;
        marked(world, &other, &other.hook_url, marks[1]).await;
        // One person, one session, one token: only the header says which tenant is meant. And a key of each.
        let mut clients = vec![(world.acme.client.clone(), 0), (other.client.clone(), 1)];
        for (at, tenant) in [&world.acme.client, &other.client].into_iter().enumerate() {
            let create = "mutation { apiKeyCreate(input: {name: \"k\", callsPerMinute: 60000, permissions: [READ_OPERATIONS, READ_PERSONAL_DATA]}) { key userErrors { message } } }";
            let key = tenant.ask(create, json!({})).await.unwrap();
            clients.push((Client::new(&world.platform.url).with_token(key["apiKeyCreate"]["key"].as_str().unwrap()), at));
        }
        let (clients, marks) = (&clients, &marks);
        let seen = stream::iter(0..REQUESTS).map(|n| async move {
            let (client, own) = &clients[n % clients.len()];
            let seen = client.ask(EVERYTHING[n / 4 % 2], json!({})).await.unwrap().to_string();
            (seen.matches(marks[*own]).count(), seen.matches(marks[1 - own]).count())
        });
        let seen: Vec<(usize, usize)> = seen.buffer_unordered(AT_ONCE).collect().await;
        let least = seen.iter().map(|(own, _)| *own).min().unwrap();
        let foreign: usize = seen.iter().map(|(_, foreign)| *foreign).sum();
        assert!(least >= 5, "each sees what is its own: {least}");
        assert_eq!(foreign, 0, "of {REQUESTS} requests");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_tenant_ids_under_aliases_are_absent_beside_own_ones_and_a_batch_is_not_taken() {
    world(async |world| {
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        marked(world, &world.acme, &world.acme.hook_url, "canary-of-acme").await;
        marked(world, &other, &other.hook_url, "canary-of-other").await;
        let ids = "{ records(first: 1) { nodes { id } } deliveries(first: 1) { nodes { id } } connections(first: 1) { nodes { id } } flows(first: 1) { nodes { id } } }";
        let (own, foreign) = (other.client.ask(ids, json!({})).await.unwrap(), world.acme.client.ask(ids, json!({})).await.unwrap());
        let absent = |id: &str| format!("{}_00000000000070008000000000000001", id.split('_').next().unwrap());
        for (list, field) in [("records", "record"), ("deliveries", "delivery"), ("connections", "connection"), ("flows", "flow"), ("records", "node"), ("deliveries", "node")] {
            let id = |of: &Value| of[list]["nodes"][0]["id"].as_str().unwrap().to_owned();
            let (own, foreign) = (id(&own), id(&foreign));
            let ask = async |second: &str| {
                let query = format!("query($a: ID!, $b: ID!) {{ a: {field}(id: $a) {{ __typename }} b: {field}(id: $b) {{ __typename }} c: {field}(id: $a) {{ __typename }} }}");
                let answer = other.client.raw(&query, json!({"a": own, "b": second})).await.unwrap();
                // Fields come in the order in which they were found.
                serde_json::from_str::<Value>(&answer.to_string().replace(second, "ID")).unwrap()
            };
            let mixed = ask(&foreign).await;
            assert_eq!(mixed, ask(&absent(&foreign)).await, "{field}: as absent as what was never made");
            let answer = mixed;
            assert!(answer["data"]["a"].is_object() && answer["data"]["b"].is_null() && answer["data"]["c"].is_object(), "{field}: {answer}");
        }
        // Of a mutation the own part is done and the foreign one is not.
        let tag = "mutation($a: ID!, $b: ID!) { a: connectionUpdate(id: $a, input: {name: \"mine\"}) { userErrors { code } } b: connectionUpdate(id: $b, input: {name: \"mine\"}) { userErrors { code } } }";
        let done = other.client.raw(tag, json!({"a": other.source, "b": world.acme.source})).await.unwrap();
        assert_eq!((&done["data"]["a"]["userErrors"], &done["data"]["b"]["userErrors"][0]["code"]), (&json!([]), &json!("NOT_FOUND")), "{done}");
        let name = "query($id: ID!) { connection(id: $id) { name } }";
        assert_eq!(world.acme.client.ask(name, json!({"id": world.acme.source})).await.unwrap()["connection"]["name"], "shop canary-of-acme");

        let one = |id: &str| json!({"query": "query($id: ID!) { connection(id: $id) { name } }", "variables": {"id": id}});
        let batch = tests::client::http().build().unwrap().post(format!("{}/graphql", world.platform.url));
        let batch = batch.bearer_auth(other.client.token().unwrap()).header("X-Crossdock-Tenant", "other");
        let batch = batch.json(&json!([one(&other.source), one(&world.acme.source)])).send().await.unwrap();
        assert_eq!((batch.status().as_u16(), batch.text().await.unwrap().contains("canary")), (400, false));
    })
    .await;
}

/// Publishes a task as whoever has the broker's password could.
pub async fn publish(world: &World, stage: &str, task: &Value) {
    let url = world.platform.options.amqp_url.clone().unwrap();
    let amqp = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await.unwrap();
    let channel = amqp.create_channel().await.unwrap();
    channel.confirm_select(lapin::options::ConfirmSelectOptions::default()).await.unwrap();
    let queue = format!("{}{}.{stage}", std::env::var("CROSSDOCK_PREFIX").unwrap_or_default(), world.platform.database.name);
    let (options, properties) = (lapin::options::BasicPublishOptions::default(), lapin::BasicProperties::default());
    let confirm = channel.basic_publish("".into(), queue.into(), options, task.to_string().as_bytes(), properties).await.unwrap();
    confirm.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_tenant_task_does_nothing_and_the_tenant_whose_name_it_used_is_told() {
    world(async |world| {
        if world.platform.options.all_in_one {
            return println!("without a broker nobody can publish a task");
        }
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        let acme = &world.acme;
        // Work that could be done at once: a delivery that waits for its paused destination, and a message of a moment ago.
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        acme.client.ask(pause, json!({"id": acme.destination})).await.unwrap();
        acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        let ledger = eventually("the order is planned", async || {
            let ledger = acme.client.ledger().await.unwrap();
            (ledger.delivery("planned") == 1).then_some(ledger)
        })
        .await;
        let mut root = world.platform.database.connect().await.unwrap();
        let id = async |root: &mut sqlx::PgConnection, sql: &'static str| {
            sqlx::query_scalar::<_, Uuid>(sql).fetch_one(root).await.unwrap()
        };
        let message = id(&mut root, "SELECT id FROM messages").await;
        let delivery = id(&mut root, "SELECT id FROM deliveries").await;
        let before = rows(&mut root).await;
        for (stage, ids) in [("receive.live", message), ("deliver.live", delivery), ("deliver.retry", delivery)] {
            for connection in [&acme.destination, &other.destination, &acme.source] {
                publish(world, stage, &json!({"tenant": other.id, "connection": connection, "ids": [ids, Uuid::now_v7()]})).await;
            }
        }
        let told = eventually("each is refused and told", async || {
            let audit = "{ auditEvents(action: \"task.refused\", first: 100) { nodes { subjectId detail actor } } }";
            let audit = other.client.ask(audit, json!({})).await.unwrap();
            let events = audit["auditEvents"]["nodes"].as_array().unwrap().clone();
            let named =
                |id: Uuid| events.iter().filter(|event| event["detail"].as_str().unwrap().contains(&id.to_string())).count();
            (named(message) >= 1 && named(delivery) >= 1).then_some(events)
        })
        .await;
        for event in &told {
            let detail: Value = serde_json::from_str(event["detail"].as_str().unwrap()).unwrap();
            let is_whole =
                ["receive", "deliver"].contains(&detail["stage"].as_str().unwrap()) && detail["count"].as_u64().unwrap() >= 2;
            assert!(is_whole && event["actor"]["kind"] == "system", "{event}");
        }
        assert_eq!(rows(&mut root).await, before, "nothing of acme moved, and the other tenant got nothing");
        assert!(world.erp.calls().is_empty());
        assert_eq!(acme.client.ledger().await.unwrap().deliveries, ledger.deliveries);
        let theirs = acme.client.ask("{ auditEvents(action: \"task.refused\") { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!(theirs["auditEvents"]["nodes"], json!([]), "whose ids they were is told nothing: nothing was done");
        // Once it may be sent it is, once.
        acme.client
            .ask("mutation($id: ID!) { connectionResume(id: $id) { userErrors { message } } }", json!({"id": acme.destination}))
            .await
            .unwrap();
        assert_eq!(acme.rest(1, PATIENCE).await.unwrap().delivery("confirmed"), 1);
        assert_eq!(world.erp.stats().creates, 1);
    })
    .await;
}

/// What could have been changed.
async fn rows(root: &mut sqlx::PgConnection) -> Vec<(String, i64)> {
    let sql = "SELECT 'message ' || state || ' ' || tenant_id, count(*) FROM messages GROUP BY 1 UNION ALL
               SELECT 'delivery ' || state || ' ' || attempts || ' ' || tenant_id, count(*) FROM deliveries GROUP BY 1 UNION ALL
               SELECT 'record ' || revision || ' ' || tenant_id, count(*) FROM records GROUP BY 1 UNION ALL
               SELECT 'attempt ' || tenant_id, count(*) FROM attempts GROUP BY 1 UNION ALL
               SELECT 'exception ' || tenant_id, count(*) FROM exceptions GROUP BY 1 ORDER BY 1";
    sqlx::query_as(sql).fetch_all(root).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_tenant_rows_of_every_table_are_hidden_from_the_applications_role() {
    world(async |world| {
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        marked(world, &world.acme, &world.acme.hook_url, "canary-of-acme").await;
        marked(world, &other, &other.hook_url, "canary-of-other").await;
        let options: sqlx::postgres::PgConnectOptions = world.platform.database.app_url.parse().unwrap();
        let mut app = options.connect().await.unwrap();
        let mut root = world.platform.database.connect().await.unwrap();
        let tables =
            "SELECT c.relname::text, EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
                      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                      WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relname <> '_sqlx_migrations'";
        let tables: Vec<(String, bool)> = sqlx::query_as(tables).fetch_all(&mut root).await.unwrap();
        let (mut looked, mut denied) = (0, 0);
        for (table, has_tenant) in &tables {
            let count = format!("SELECT count(*) FROM \"{table}\"");
            match sqlx::query_scalar::<_, i64>(AssertSqlSafe(count)).fetch_one(&mut app).await {
                // What connectors were like is nobody's own.
                Ok(_) if table == "connector_versions" => continue,
                Ok(seen) => assert_eq!(seen, 0, "{table}: without a tenant nothing is seen"),
                Err(error) => {
                    assert!(error.to_string().contains("permission denied"), "{table}: {error}");
                    denied += 1;
                    continue;
                }
            }
            if !has_tenant {
                continue;
            }
            let id = Uuid::parse_str(world.acme.id.split('_').nth(1).unwrap()).unwrap();
            let enter = format!("BEGIN; SELECT set_config('crossdock.tenant_id', '{id}', true)");
            app.execute(sqlx::raw_sql(AssertSqlSafe(enter))).await.unwrap();
            let foreign = format!("SELECT count(*) FILTER (WHERE tenant_id <> '{id}'), count(*) FROM \"{table}\"");
            let (foreign, own): (i64, i64) = sqlx::query_as(AssertSqlSafe(foreign)).fetch_one(&mut app).await.unwrap();
            app.execute("ROLLBACK").await.unwrap();
            assert_eq!(foreign, 0, "{table}");
            looked += usize::from(own > 0);
        }
        assert!(
            looked > 15 && denied > 0,
            "of {} tables {looked} had rows of the tenant's own, {denied} may not be read",
            tables.len()
        );
    })
    .await;
}

const TYPES: &str = "{ __schema { queryType { name } types { name kind fields { name args { name defaultValue type { kind } } type { ...t } } } } }
    fragment t on __Type { kind name ofType { kind name ofType { kind name ofType { kind name } } } }";

/// A way from the root to objects of some type, as the fields of a query.
struct Path {
    of: String,
    fields: Vec<String>,
}

/// For each field that leads to objects, the shortest query that goes through it and shows what stands there.
fn queries(schema: &Value) -> Vec<String> {
    let types = schema["types"].as_array().unwrap();
    let fields = |name: &str| types.iter().find(|one| one["name"] == name).and_then(|one| one["fields"].as_array()).unwrap();
    let named = |field: &Value| {
        let mut of = field["type"].clone();
        while of["ofType"].is_object() {
            of = of["ofType"].take();
        }
        (of["kind"].as_str().unwrap().to_owned(), of["name"].as_str().unwrap().to_owned())
    };
    let needs = |arg: &Value| arg["type"]["kind"] == "NON_NULL" && arg["defaultValue"].is_null();
    let asked = |field: &Value| {
        let args = field["args"].as_array().unwrap();
        let name = field["name"].as_str().unwrap();
        let first = if args.iter().any(|arg| arg["name"] == "first") { "(first: 3)" } else { "" };
        (!args.iter().any(needs)).then(|| format!("{name}{first}"))
    };
    let root = schema["queryType"]["name"].as_str().unwrap().to_owned();
    let (mut found, mut next) = (vec![], std::collections::VecDeque::from([Path { of: root, fields: vec![] }]));
    let mut seen = std::collections::BTreeSet::new();
    while let Some(path) = next.pop_front() {
        let all = fields(&path.of);
        let plain = all.iter().filter(|field| matches!(named(field).0.as_str(), "SCALAR" | "ENUM")).filter_map(asked);
        // A table as a sheet costs more than a query may.
        let plain: Vec<String> = plain.filter(|field| field != "csv").collect();
        if !plain.is_empty() && !path.fields.is_empty() {
            let close = "}".repeat(path.fields.len());
            found.push(format!("{{ {} {{ {} {close} }}", path.fields.join(" { "), plain.join(" ")));
        }
        for field in all.iter().filter(|field| named(field).0 == "OBJECT") {
            let (name, (_, of)) = (field["name"].as_str().unwrap(), named(field));
            // The same rows once more, and where the next ones are.
            let is_aside = ["edges", "pageInfo"].contains(&name);
            let Some(field) = asked(field).filter(|_| !is_aside && seen.insert((path.of.clone(), name.to_owned()))) else {
                continue;
            };
            next.push_back(Path { of, fields: path.fields.iter().cloned().chain([field]).collect() });
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn cross_tenant_paths_to_every_object_of_the_schema_show_nothing_of_another() {
    world(async |world| {
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        marked(world, &world.acme, &world.acme.hook_url, "canary-of-acme").await;
        marked(world, &other, &other.hook_url, "canary-of-other").await;
        let schema = other.client.ask(TYPES, json!({})).await.unwrap()["__schema"].take();
        let mut queries = queries(&schema);
        // Who asks is a member of both, and is told so.
        queries.retain(|query| !query.starts_with("{ viewer"));
        assert!(queries.len() > 100, "{}", queries.len());
        let (mut own, mut answered) = (0, 0);
        for query in &queries {
            let answer = other.client.raw(query, json!({})).await.unwrap();
            let text = answer.to_string();
            assert!(!text.contains("canary-of-acme") && !text.contains(&world.acme.id), "{query}: {text}");
            assert!(!text.contains("INTERNAL"), "{query}: {text}");
            answered += usize::from(answer["errors"].is_null());
            own += usize::from(text.contains("canary-of-other"));
        }
        assert!(
            own >= 10 && answered * 10 > queries.len() * 8,
            "of {} paths {answered} are answered, {own} show what is its own",
            queries.len()
        );
    })
    .await;
}
