//! How connections are kept: a test answers in plain words, what ends is told in time and once, and what is mended is told no more.

use std::time::{Duration, Instant};

use chrono::{SecondsFormat, Utc};
use connectors::simulator::{Fault, FaultMatcher};
use domain::fault::FaultClass;
use serde_json::{Value, json};
use tests::platform::Options;
use tests::vendor::Vendor;

use crate::{World, eventually, world_with};

const TEST: &str = "mutation($id: ID!) { connectionTest(id: $id) { probe { state isUnderWay probedAt sentence owner nextStep tookMs } userErrors { code } } }";
const HEALTH: &str = "query($id: ID) { connectionHealth(connectionId: $id, first: 50) { nodes { connection { id name health incidents { kind code sentence nextStep owner } }
    probe { state sentence } ends { what daysLeft nextStep } needsConsent missingScopes { title } } } }";
const CREATE: &str =
    "mutation($i: ConnectionCreateInput!) { connectionCreate(input: $i) { connection { id } userErrors { message } } }";
const REPLACE: &str = "mutation($id: ID!, $c: JSON!, $e: DateTime) { credentialReplace(connectionId: $id, credential: $c, endsAt: $e) { userErrors { message } } }";

async fn with_desk(test: impl AsyncFnOnce(&mut World, &Vendor, &str)) {
    world_with(Options { has_own_connectors: true, ..Options::default() }, async |world| {
        let desk = Vendor::start("harbor-desk").await;
        let created =
            world.acme.client.connection_create("harbor-desk", "Desk", desk.settings.clone(), desk.credential.clone()).await;
        test(world, &desk, &created.unwrap().0).await;
    })
    .await;
}

async fn tested(world: &World, id: &str) -> Value {
    world.acme.client.ask(TEST, json!({"id": id})).await.unwrap()["connectionTest"]["probe"].clone()
}

async fn health(world: &World, id: &str) -> Value {
    world.acme.client.ask(HEALTH, json!({"id": id})).await.unwrap()["connectionHealth"]["nodes"][0].clone()
}

fn in_days(days: i64) -> String {
    // An hour more, so that the day is not over before it is looked at.
    (Utc::now() + chrono::Duration::days(days) + chrono::Duration::hours(1)).to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_says_in_plain_words_whether_the_vendor_answers_to_the_credential() {
    with_desk(async |world, desk, id| {
        assert_eq!(health(world, id).await["probe"]["state"], "WAITING", "nobody has asked yet");
        let works = tested(world, id).await;
        assert_eq!((&works["state"], &works["sentence"]), (&json!("WORKS"), &json!("Desk answers to its credential.")));
        assert!(works["tookMs"].as_i64().unwrap() >= 0 && works["isUnderWay"] == false, "{works}");

        let refuses = |count| FaultMatcher { count: Some(count), ..FaultMatcher::default() };
        desk.served.simulator().fail(refuses(10), Fault::Class(FaultClass::Authentication));
        let fails = tested(world, id).await;
        assert_eq!((&fails["state"], &fails["owner"]), (&json!("FAILS"), &json!("developer")));
        assert!(fails["sentence"].as_str().unwrap().starts_with("Desk: Harbor Desk"), "{fails}");
        assert!(fails["nextStep"].as_str().unwrap().len() > 10, "{fails}");
        let told = health(world, id).await;
        assert_eq!(
            (&told["connection"]["health"], &told["connection"]["incidents"][0]["kind"]),
            (&json!("failing"), &json!("PROBE"))
        );

        // Mended there: the next test says so, and the incident is over.
        desk.served.simulator().reset();
        eventually("it works again", async || (tested(world, id).await["state"] == "WORKS").then_some(())).await;
        let mended = health(world, id).await;
        assert_eq!((&mended["connection"]["health"], &mended["connection"]["incidents"]), (&json!("healthy"), &json!([])));

        // Each call stands in the audit log, and nobody tests what is another's.
        let mut database = world.platform.database.connect().await.unwrap();
        let calls: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM audit_events WHERE action = 'connection.probed' AND detail LIKE '%/customers%'",
        )
        .fetch_one(&mut database)
        .await
        .unwrap();
        assert!(calls >= 3, "{calls}");
        let globex = world.acme.client.tenant_create("globex").await.unwrap();
        let globex = world.acme.client.clone().of_tenant(&globex);
        let foreign = globex.raw(TEST, json!({"id": id})).await.unwrap();
        assert_eq!(foreign["data"]["connectionTest"]["userErrors"][0]["code"], "NOT_FOUND", "{foreign}");
        let none = globex.ask(HEALTH, json!({"id": id})).await.unwrap();
        assert_eq!(none["connectionHealth"]["nodes"], json!([]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_is_told_once_at_each_distance_until_something_new_is_stored() {
    with_desk(async |world, desk, far| {
        let client = &world.acme.client;
        let receiver = client
            .ask("mutation { alertReceiverCreate(input: {name: \"ops\", kind: SLACK, address: \"http://127.0.0.1:9/services/x\", everyMinutes: 1}) { alertReceiver { id } userErrors { message } } }", json!({}))
            .await
            .unwrap();
        let rule = json!({"name": "ends", "codePrefix": "upkeep.", "receiverIds": [receiver["alertReceiverCreate"]["alertReceiver"]["id"]]});
        client.ask("mutation($i: AlertRuleInput!) { alertRuleSet(input: $i) { userErrors { message } } }", json!({"i": rule})).await.unwrap();
        client.ask(REPLACE, json!({"id": far, "c": desk.credential, "e": in_days(45)})).await.unwrap();
        let input = json!({"connector": "harbor-desk", "name": "Old desk", "settings": desk.settings, "credential": desk.credential, "credentialEndsAt": in_days(10)});
        let near = client.ask(CREATE, json!({"i": input})).await.unwrap()["connectionCreate"]["connection"]["id"].as_str().unwrap().to_owned();

        let told = eventually("the end is told", async || {
            let health = health(world, &near).await;
            (health["connection"]["health"] == "expiring").then_some(health)
        })
        .await;
        assert_eq!((&told["ends"][0]["what"], &told["ends"][0]["daysLeft"]), (&json!("SECRET"), &json!(10)));
        let incident = &told["connection"]["incidents"][0];
        assert_eq!((&incident["kind"], &incident["code"], &incident["owner"]), (&json!("EXPIRY"), &json!("upkeep.secret"), &json!("developer")));
        assert!(incident["sentence"].as_str().unwrap().starts_with("The secret of Old desk ends on "), "{incident}");
        let other = health(world, far).await;
        assert_eq!((&other["ends"][0]["daysLeft"], &other["connection"]["health"]), (&json!(45), &json!("healthy")), "it is too early to tell");

        let alerts = async || {
            let found = client.ask("{ alerts { nodes { subject } } }", json!({})).await.unwrap()["alerts"]["nodes"].clone();
            let subjects: Vec<String> = found.as_array().unwrap().iter().map(|alert| alert["subject"].as_str().unwrap().to_owned()).collect();
            subjects
        };
        let first = eventually("somebody is told", async || Some(alerts().await).filter(|alerts| !alerts.is_empty())).await;
        assert_eq!(first.len(), 1, "{first:?}");
        assert!(first[0].contains("Old desk ends on") && first[0].ends_with("(in 10 days)."), "{first:?}");
        // Looked at again and again, it is not told again before the next distance.
        let mut database = world.platform.database.connect().await.unwrap();
        let looked: chrono::DateTime<Utc> = sqlx::query_scalar("SELECT look_at FROM alert_watches").fetch_one(&mut database).await.unwrap();
        sqlx::query("UPDATE alert_marks SET at = at - interval '1 day'").execute(&mut database).await.unwrap();
        let look_again = async |database: &mut sqlx::PgConnection| {
            sqlx::query("UPDATE alert_watches SET look_at = now()").execute(&mut *database).await.unwrap();
            let end = Instant::now() + Duration::from_secs(30);
            loop {
                let at: chrono::DateTime<Utc> = sqlx::query_scalar("SELECT look_at FROM alert_watches").fetch_one(&mut *database).await.unwrap();
                if at > Utc::now() + chrono::Duration::seconds(5) {
                    return at;
                }
                assert!(Instant::now() < end, "nobody looks");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        assert!(look_again(&mut database).await >= looked);
        assert_eq!(alerts().await.len(), 1);
        // As if it had been told at thirty days only: fourteen are over since, and that is told.
        sqlx::query("UPDATE alert_marks SET count = 1, last_at = last_at - interval '16 days'").execute(&mut database).await.unwrap();
        look_again(&mut database).await;
        assert_eq!(alerts().await.len(), 2);

        // A new secret, which lives for a year: nothing is told any more.
        client.ask(REPLACE, json!({"id": near, "c": desk.credential, "e": in_days(365)})).await.unwrap();
        eventually("it is over", async || (health(world, &near).await["connection"]["health"] == "healthy").then_some(())).await;
        let mended = health(world, &near).await;
        assert_eq!((&mended["ends"][0]["daysLeft"], &mended["connection"]["incidents"]), (&json!(365), &json!([])));
        let board = client.ask(HEALTH, json!({})).await.unwrap();
        assert_eq!(board["connectionHealth"]["nodes"].as_array().unwrap().len(), 4, "all of the tenant's");
    })
    .await;
}
