//! The audit log arrives at the tenant's own systems: each event at least once and in the order of its seals, whatever breaks on the way.

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use tests::client::http;
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::alert::{Hook, SECRET, header, is_signed, receiver};
use crate::{World, eventually, world};

const CREATE: &str = "mutation($i: AuditStreamCreateInput!) { auditStreamCreate(input: $i) { auditStream { id seal address } userErrors { field code } } }";
const STREAMS: &str = "{ auditStreams { id name seal behind behindSince failure sentAt isPaused } }";

/// A syslog server: takes what comes, as long as it is open.
struct Syslog {
    port: u16,
    is_open: Arc<Mutex<bool>>,
    messages: Arc<Mutex<Vec<String>>>,
}

impl Syslog {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (is_open, messages) = (Arc::new(Mutex::new(true)), Arc::<Mutex<Vec<String>>>::default());
        let (open, kept) = (is_open.clone(), messages.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if !*open.lock().unwrap() {
                    // Half a look at it, and gone: a reset.
                    let mut some = [0u8; 20];
                    let _ = stream.read(&mut some).await;
                    continue;
                }
                let mut bytes = Vec::new();
                if stream.read_to_end(&mut bytes).await.is_ok() {
                    kept.lock().unwrap().extend(frames(&bytes));
                }
            }
        });
        Self { port, is_open, messages }
    }

    fn events(&self) -> Vec<Value> {
        let json = |message: &String| serde_json::from_str(message.split_once('\u{feff}').unwrap().1).unwrap();
        self.messages.lock().unwrap().iter().map(json).collect()
    }
}

/// By their lengths, as RFC 6587 has it.
fn frames(mut bytes: &[u8]) -> Vec<String> {
    let mut messages = vec![];
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').unwrap();
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let (message, rest) = bytes[space + 1..].split_at(length);
        messages.push(String::from_utf8(message.to_vec()).unwrap());
        bytes = rest;
    }
    messages
}

/// Seals what was done, and gives the ids of all that is sealed, in the order of the seals.
async fn sealed(world: &World) -> Vec<String> {
    let create = "mutation { apiKeyCreate(input: {name: \"log\", permissions: [READ_AUDIT]}) { key userErrors { code } } }";
    let key = world.acme.client.ask(create, json!({})).await.unwrap()["apiKeyCreate"]["key"].as_str().unwrap().to_owned();
    let export =
        http().build().unwrap().get(format!("{}/audit/export", world.platform.url)).bearer_auth(key).send().await.unwrap();
    let text = export.text().await.unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter_map(|line| line["event"]["id"].as_str().map(str::to_owned)).collect()
}

fn ids(events: &[Value]) -> Vec<String> {
    events.iter().map(|told| told["event"]["id"].as_str().unwrap().to_owned()).collect()
}

/// In the order in which each came first: what was not known to have arrived comes again.
fn order(events: &[Value]) -> Vec<String> {
    let mut seen = BTreeSet::new();
    ids(events).into_iter().filter(|id| seen.insert(id.clone())).collect()
}

async fn create(world: &World, input: Value) -> String {
    let made = world.acme.client.ask(CREATE, json!({"i": input})).await.unwrap();
    made["auditStreamCreate"]["auditStream"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn syslog_gets_every_event_whatever_breaks_on_the_way() {
    world(async |world| {
        let server = Syslog::start().await;
        let address = format!("tcp://127.0.0.1:{}", server.port);
        create(world, json!({"name": "siem", "kind": "SYSLOG", "address": address, "fromStart": true})).await;
        let first = sealed(world).await;
        assert!(first.len() > 5, "{first:?}");
        eventually("all that was sealed arrived", async || order(&server.events()).starts_with(&first).then_some(())).await;
        let message = server.messages.lock().unwrap()[0].clone();
        assert!(message.starts_with("<110>1 ") && message.contains(" crossdock - "), "{message}");

        // The server goes in the middle of a seal, and the worker dies without a word.
        *server.is_open.lock().unwrap() = false;
        let more = sealed(world).await;
        assert!(more.len() > first.len());
        eventually("it fails, and says why", async || {
            let data = world.acme.client.ask(STREAMS, json!({})).await.unwrap();
            let stream = &data["auditStreams"][0];
            (stream["failure"].is_string() && stream["behind"].as_i64() >= Some(1) && stream["behindSince"].is_string())
                .then_some(())
        })
        .await;
        if !world.platform.options.all_in_one {
            world.platform.kill_worker().await.unwrap();
            world.platform.start_worker().await.unwrap();
        }
        *server.is_open.lock().unwrap() = true;
        // As if the lease were over of a turn in which the worker died.
        let mut database = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE audit_streams SET due_at = now()").execute(&mut database).await.unwrap();
        eventually("what waited arrived", async || {
            let came: BTreeSet<String> = ids(&server.events()).into_iter().collect();
            more.iter().all(|id| came.contains(id)).then_some(())
        })
        .await;
        assert!(order(&server.events()).starts_with(&more), "each after those of the seals before");
        let data = world.acme.client.ask(STREAMS, json!({})).await.unwrap();
        assert!(data["auditStreams"][0]["sentAt"].is_string(), "{data}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn batches_over_http_are_signed_and_come_again_under_the_same_id_and_who_lags_is_told() {
    world(async |world| {
        let owner = &world.acme.client;
        let (hook, alerts) = (Hook::start(500).await, Hook::start(200).await);
        receiver(owner, json!({"name": "ops", "kind": "WEBHOOK", "address": alerts.running.url(), "secret": SECRET})).await;
        for (input, field) in [
            (json!({"name": " ", "kind": "SYSLOG", "address": "tls://a.example"}), "name"),
            (json!({"name": "x", "kind": "SYSLOG", "address": "https://a.example"}), "address"),
            (json!({"name": "x", "kind": "HTTP", "address": "tls://a.example", "secret": SECRET}), "address"),
            (json!({"name": "x", "kind": "HTTP", "address": "https://a.example"}), "secret"),
            (json!({"name": "x", "kind": "SYSLOG", "address": "tls://a.example", "caPem": "none"}), "caPem"),
        ] {
            let refused = owner.raw(CREATE, json!({"i": input})).await.unwrap();
            assert_eq!(refused["data"]["auditStreamCreate"]["userErrors"][0]["field"][1], field, "{refused}");
        }
        let id = create(world, json!({"name": "lake", "kind": "HTTP", "address": hook.running.url(), "secret": SECRET, "fromStart": true})).await;
        let all = sealed(world).await;
        let first = hook.came(1).await.remove(0);
        assert!(is_signed(&first));
        assert_eq!(header(&first, "webhook-id"), format!("{id}.1.0"));

        // As if it had waited for an hour already.
        let mut database = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE audit_seals SET sealed_at = sealed_at - interval '1 hour'").execute(&mut database).await.unwrap();
        let told = alerts.came(1).await.remove(0);
        assert!(is_signed(&told));
        let told: Value = serde_json::from_slice(&told.body).unwrap();
        assert!(told.to_string().contains("The audit log does not arrive at") && told.to_string().contains("answered 500"), "{told}");

        *hook.status.lock().unwrap() = 204;
        let came = eventually("all of it arrived", async || {
            // The first was refused, whatever was in it.
            let requests = hook.came(2).await;
            let bodies = requests.iter().map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
            let came: BTreeSet<String> = bodies
                .flat_map(|body| body["events"].as_array().unwrap().clone())
                .map(|event| event["id"].as_str().unwrap().to_owned())
                .collect();
            all.iter().all(|id| came.contains(id)).then_some(requests)
        })
        .await;
        let again: Vec<_> = came.iter().filter(|request| header(request, "webhook-id") == format!("{id}.1.0")).collect();
        assert!(again.len() >= 2 && again.iter().all(|request| request.body == first.body), "the same under the same id");
        let data = eventually("it has caught up", async || {
            let data = owner.ask(STREAMS, json!({})).await.unwrap();
            (data["auditStreams"][0]["behind"] == 0).then_some(data)
        })
        .await;
        assert!(data["auditStreams"][0]["failure"].is_null(), "{data}");
        let kept: String = sqlx::query_scalar("SELECT string_agg(s::text, '') FROM audit_streams s").fetch_one(&mut database).await.unwrap();
        assert!(!kept.contains(SECRET.trim_start_matches("whsec_")), "the secret is sealed");

        let pause = "mutation($id: ID!, $p: Boolean!) { auditStreamPause(id: $id, isPaused: $p) { auditStream { isPaused } userErrors { code } } }";
        assert_eq!(owner.ask(pause, json!({"id": id, "p": true})).await.unwrap()["auditStreamPause"]["auditStream"]["isPaused"], true);
        let count = hook.came(1).await.len();
        sealed(world).await;
        owner.ask(pause, json!({"id": id, "p": false})).await.unwrap();
        hook.came(count + 1).await;
        let remove = "mutation($id: ID!) { auditStreamRemove(id: $id) { done userErrors { code } } }";
        assert_eq!(owner.ask(remove, json!({"id": id})).await.unwrap()["auditStreamRemove"]["done"], true);
        assert_eq!(owner.ask("{ auditStreams { id } }", json!({})).await.unwrap()["auditStreams"], json!([]));
    })
    .await;
}
