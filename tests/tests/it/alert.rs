//! Alerts: one for a group and not one for each exception, by a mail server, a signed webhook and a chat; they outlive the processes that raise
//! them, and what does not arrive is seen.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use domain::http::{HttpAnswer, HttpRequest};
use hmac::{Hmac, KeyInit, Mac};
use infra::loopback::{Running, serve};
use serde_json::{Value, json};
use sha2::Sha256;
use tests::client::Client;
use tests::mail::MailServer;
use tests::platform::Options;
use tests::sample;
use uuid::Uuid;

use crate::{World, world, world_with};

const PATIENCE: Duration = Duration::from_secs(30);
pub const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const RECEIVER: &str = "mutation($i: AlertReceiverCreateInput!) { alertReceiverCreate(input: $i) { alertReceiver { id address } userErrors { field code message } } }";
const RULE: &str =
    "mutation($i: AlertRuleInput!) { alertRuleSet(input: $i) { alertRule { id } userErrors { field code message } } }";
const ALERTS: &str =
    "{ alerts { nodes { state subject tries failure receiverId isEscalated } } alertReceivers { id failure sentAt } }";

/// Keeps what it is sent, and answers with this status.
pub struct Hook {
    pub running: Running,
    pub status: Arc<Mutex<u16>>,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

impl Hook {
    pub async fn start(status: u16) -> Self {
        let (status, requests) = (Arc::new(Mutex::new(status)), Arc::<Mutex<Vec<HttpRequest>>>::default());
        let (answers, kept) = (status.clone(), requests.clone());
        let handler = Arc::new(move |request: HttpRequest, _: usize| {
            kept.lock().unwrap().push(request);
            HttpAnswer { status: *answers.lock().unwrap(), headers: vec![], body: Bytes::new() }.into()
        });
        Self { running: serve(([127, 0, 0, 1], 0).into(), handler).await.unwrap(), status, requests }
    }

    /// Waits until so many came.
    pub async fn came(&self, count: usize) -> Vec<HttpRequest> {
        let end = Instant::now() + PATIENCE;
        loop {
            let requests = self.requests.lock().unwrap().clone();
            if requests.len() >= count {
                return requests;
            }
            assert!(Instant::now() < end, "only {} of {count} came", requests.len());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

pub fn header<'r>(request: &'r HttpRequest, name: &str) -> &'r str {
    request.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
}

/// As a receiver would check it: HMAC-SHA256 over id, time and the raw body.
pub fn is_signed(request: &HttpRequest) -> bool {
    let key = STANDARD.decode(SECRET.trim_start_matches("whsec_")).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{}.{}.", header(request, "webhook-id"), header(request, "webhook-timestamp")).as_bytes());
    mac.update(&request.body);
    let expected = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    header(request, "webhook-signature") == expected
}

pub async fn receiver(client: &Client, input: Value) -> String {
    let data = client.ask(RECEIVER, json!({"i": input})).await.unwrap();
    data["alertReceiverCreate"]["alertReceiver"]["id"].as_str().unwrap().to_owned()
}

async fn send_unmapped(world: &World, orders: std::ops::Range<u64>) {
    for n in orders {
        let body = String::from_utf8(sample::order(n)).unwrap().replace("\"TEE-M\"", "\"HAT-XL\"");
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), body.into_bytes()).await.unwrap().status, 200);
    }
}

async fn wait_for(client: &Client, what: impl Fn(&Value) -> bool) -> Value {
    let end = Instant::now() + PATIENCE;
    loop {
        let data = client.ask(ALERTS, json!({})).await.unwrap();
        if what(&data) {
            return data;
        }
        assert!(Instant::now() < end, "{data}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_is_one_alert_by_mail_by_a_signed_webhook_and_in_a_chat() {
    let port = MailServer::free_port().unwrap();
    let server = MailServer::start(port).await;
    if let Err(why) = &server {
        println!("no mail is proven to arrive: {why}");
    }
    let url: &'static str = format!("smtp://127.0.0.1:{port}").leak();
    let environment = vec![("CROSSDOCK_SMTP_URL", url), ("CROSSDOCK_MAIL_FROM", "Crossdock <alerts@crossdock.example>")];
    world_with(Options { environment, ..Options::default() }, async |world| {
        let (client, hook, chat) = (&world.acme.client, Hook::start(204).await, Hook::start(200).await);
        let webhook = receiver(client, json!({"name": "ops", "kind": "WEBHOOK", "address": format!("{}/alerts", hook.running.url()), "secret": SECRET})).await;
        let slack = receiver(client, json!({"name": "chat", "kind": "SLACK", "address": format!("{}/services/T0/B0/s3cret", chat.running.url())})).await;
        let mail = receiver(client, json!({"name": "finance", "kind": "MAIL", "address": "finance@example.com, ops@example.com"})).await;
        for input in [
            json!({"name": "x", "kind": "WEBHOOK", "address": "https://example.com/"}),
            json!({"name": "x", "kind": "WEBHOOK", "address": "https://example.com/", "secret": "short"}),
            json!({"name": "x", "kind": "SLACK", "address": "ftp://example.com/"}),
            json!({"name": "x", "kind": "MAIL", "address": "nobody"}),
            json!({"name": "ops", "kind": "MAIL", "address": "a@example.com"}),
        ] {
            let answer = client.raw(RECEIVER, json!({"i": input})).await.unwrap();
            assert!(!answer["data"]["alertReceiverCreate"]["userErrors"].as_array().unwrap().is_empty(), "{answer}");
        }
        let me = client.ask("{ viewer { id } }", json!({})).await.unwrap()["viewer"]["id"].clone();
        let rule = json!({"name": "codes", "codePrefix": "no_entry", "countMin": 2, "receiverIds": [webhook, slack, mail], "assignToId": me});
        client.ask(RULE, json!({"i": rule})).await.unwrap();
        for (field, input) in [
            ("receiverIds", json!({"name": "x"})),
            ("receiverIds", json!({"name": "x", "receiverIds": ["alr_00000000000070008000000000000001"]})),
            ("assignToId", json!({"name": "x", "assignToId": "usr_00000000000070008000000000000001"})),
        ] {
            let answer = client.raw(RULE, json!({"i": input})).await.unwrap();
            assert_eq!(answer["data"]["alertRuleSet"]["userErrors"][0]["field"][1], field, "{answer}");
        }

        send_unmapped(world, 0..4).await;
        world.acme.rest(4, PATIENCE).await.unwrap();
        let requests = hook.came(1).await;
        assert!(is_signed(&requests[0]), "{:?}", requests[0].headers);
        let body: Value = serde_json::from_slice(&requests[0].body).unwrap();
        assert_eq!((&body["type"], &body["data"]["tenant"]), (&json!("exception_group.alerted"), &json!("acme")));
        assert_eq!(body["data"]["groups"][0]["cause"], "The value \"HAT-XL\" has no entry in the table \"SKUs\".");
        let text: Value = serde_json::from_slice(&chat.came(1).await[0].body).unwrap();
        assert!(text["text"].as_str().unwrap().contains("HAT-XL"), "{text}");
        if let Ok(server) = &server {
            let end = Instant::now() + PATIENCE;
            while server.mails().is_empty() {
                assert!(Instant::now() < end, "no mail came");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            let mails = server.mails();
            assert_eq!((&mails[0]["to"], mails.len()), (&json!(["finance@example.com", "ops@example.com"]), 1), "{mails:?}");
            assert!(mails[0]["subject"].as_str().unwrap().contains("HAT-XL") && mails[0]["text"].as_str().unwrap().contains("press Retry"), "{mails:?}");
            assert!(mails[0]["message_id"].as_str().unwrap().starts_with("<alt_"), "{mails:?}");
        }
        let groups = client.ask("{ exceptionGroups { nodes { assignee { userId } history { by action } } } }", json!({})).await.unwrap();
        let group = &groups["exceptionGroups"]["nodes"][0];
        assert_eq!((&group["assignee"]["userId"], &group["history"][0]["by"]), (&me, &json!("Crossdock")));

        // More of the same cause within the hour are no more alerts; the secrets are nowhere.
        send_unmapped(world, 4..8).await;
        world.acme.rest(8, PATIENCE).await.unwrap();
        let data = client.ask("mutation($id: ID!) { alertReceiverTest(id: $id) { alert { subject } userErrors { message } } }", json!({"id": slack})).await.unwrap();
        assert_eq!(data["alertReceiverTest"]["alert"]["subject"], "[acme] a test alert");
        chat.came(2).await;
        // Where its answer was late it came once more, under the same id.
        let ids: BTreeSet<String> = hook.came(1).await.iter().map(|request| header(request, "webhook-id").to_owned()).collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        let all = client.ask("{ alertReceivers { address name kind } alerts { nodes { text } } auditEvents(first: 100) { nodes { detail } } }", json!({})).await.unwrap();
        assert!(!all.to_string().contains("s3cret") && !all.to_string().contains(SECRET), "{all}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_does_not_arrive_is_seen_and_outlives_the_process_that_raised_it() {
    world(async |world| {
        let (client, hook) = (world.acme.client.clone(), Hook::start(500).await);
        let id =
            receiver(&client, json!({"name": "ops", "kind": "WEBHOOK", "address": hook.running.url(), "secret": SECRET})).await;
        client.ask(RULE, json!({"i": {"name": "all", "receiverIds": [id]}})).await.unwrap();
        send_unmapped(world, 0..2).await;
        world.acme.rest(2, PATIENCE).await.unwrap();
        let data = wait_for(&client, |data| {
            data["alerts"]["nodes"][0]["tries"].as_i64() >= Some(1) && !data["alertReceivers"][0]["failure"].is_null()
        })
        .await;
        assert_eq!(data["alertReceivers"][0]["failure"], "the receiver answered 500");
        assert_eq!(data["alerts"]["nodes"][0]["state"], "pending");
        let first = hook.came(1).await;
        let is_apart = !world.platform.options.all_in_one;
        if is_apart {
            world.platform.kill_worker().await.unwrap();
        }
        *hook.status.lock().unwrap() = 200;
        // It is due at once, so that nobody waits for the backoff.
        let mut connection = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE alerts SET due_at = now()").execute(&mut connection).await.unwrap();
        if is_apart {
            world.platform.start_worker().await.unwrap();
        }
        let data = wait_for(&client, |data| data["alerts"]["nodes"][0]["state"] == "sent").await;
        assert!(data["alertReceivers"][0]["failure"].is_null(), "{data}");
        let second = hook.came(2).await.pop().unwrap();
        assert!(is_signed(&second));
        assert_eq!(
            (header(&second, "webhook-id"), &second.body),
            (header(&first[0], "webhook-id"), &first[0].body),
            "the same alert once more"
        );

        // One that is tried often enough is over, and seen as failed.
        *hook.status.lock().unwrap() = 500;
        client
            .ask("mutation($id: ID!) { alertReceiverTest(id: $id) { userErrors { message } } }", json!({"id": id}))
            .await
            .unwrap();
        // Nobody is at it for some seconds after a try that failed.
        wait_for(&client, |data| !data["alerts"]["nodes"][0]["failure"].is_null()).await;
        sqlx::query("UPDATE alerts SET tries = 11, due_at = now() WHERE state = 'pending'")
            .execute(&mut connection)
            .await
            .unwrap();
        wait_for(&client, |data| data["alerts"]["nodes"][0]["state"] == "failed").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_stays_is_escalated_once() {
    world(async |world| {
        let (client, hook) = (&world.acme.client, Hook::start(200).await);
        let id =
            receiver(client, json!({"name": "boss", "kind": "WEBHOOK", "address": hook.running.url(), "secret": SECRET})).await;
        let me = client.ask("{ viewer { id } }", json!({})).await.unwrap()["viewer"]["id"].clone();
        send_unmapped(world, 0..1).await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        // Two hours ago, and a look that comes soon: the rule is set after it.
        let mut connection = world.platform.database.connect().await.unwrap();
        sqlx::query("UPDATE exceptions SET opened_at = now() - interval '2 hours'").execute(&mut connection).await.unwrap();
        let rule = json!({"name": "late", "escalate": {"afterMinutes": 60, "assignToId": me, "receiverIds": [id]}});
        client.ask(RULE, json!({"i": rule})).await.unwrap();
        let request = hook.came(1).await.pop().unwrap();
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["type"], "exception_group.escalated");
        for _ in 0..2 {
            let looked = "UPDATE alert_watches SET look_at = now() - interval '1 second', lease_until = now()";
            sqlx::query(looked).execute(&mut connection).await.unwrap();
            let end = Instant::now() + PATIENCE;
            while sqlx::query_scalar::<_, bool>("SELECT look_at < now() FROM alert_watches")
                .fetch_one(&mut connection)
                .await
                .unwrap()
            {
                assert!(Instant::now() < end, "nobody looks");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        let data = client.ask(ALERTS, json!({})).await.unwrap();
        assert_eq!(data["alerts"]["nodes"].as_array().unwrap().len(), 1, "{data}");
        let data =
            client.ask("{ exceptionGroups { nodes { assignee { userId } history { action } } } }", json!({})).await.unwrap();
        let group = &data["exceptionGroups"]["nodes"][0];
        assert_eq!(group["assignee"]["userId"], me);
        assert!(group["history"].to_string().contains("exception.escalated"), "{group}");
    })
    .await;
}
