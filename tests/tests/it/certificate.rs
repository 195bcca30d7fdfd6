//! The no-loss certificate: made by the platform, and checked without it.

use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};
use tests::platform::binary;
use tests::sample;
use uuid::Uuid;

use crate::{World, world};

const MAKE: &str = "mutation($from: DateTime, $until: DateTime, $record: ID) {
    certificateMake(from: $from, until: $until, recordId: $record) { certificate nothingLost userErrors { message } } }";

async fn make(world: &World, variables: Value) -> (String, bool) {
    let made = world.acme.client.ask(MAKE, variables).await.unwrap()["certificateMake"].clone();
    assert_eq!(made["userErrors"], json!([]), "{made}");
    (made["certificate"].as_str().unwrap().to_owned(), made["nothingLost"].as_bool().unwrap())
}

fn verify(world: &World, certificate: &str, key: Option<&str>) -> Output {
    let file = world.platform.logs.join(format!("{}.json", Uuid::new_v4()));
    std::fs::write(&file, certificate).unwrap();
    let mut command = Command::new(binary().unwrap());
    command.args(["audit", "verify"]).arg(&file);
    if let Some(key) = key {
        command.args(["--key", key]);
    }
    command.output().unwrap()
}

fn hour() -> Value {
    let now = chrono::Utc::now();
    json!({"from": now - chrono::Duration::hours(1), "until": now + chrono::Duration::minutes(1)})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_says_what_became_of_everything_and_is_checked_offline() {
    world(async |world| {
        for n in 1..=3 {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        world.acme.rest(3, Duration::from_secs(60)).await.unwrap();
        let (certificate, nothing_lost) = make(world, hour()).await;
        assert!(nothing_lost);
        let key = world.acme.client.ask("{ certificateKey }", json!({})).await.unwrap()["certificateKey"].clone();
        let good = verify(world, &certificate, key.as_str());
        let said = String::from_utf8_lossy(&good.stdout).into_owned();
        assert!(
            good.status.success() && said.contains("Messages: 3 (3 mapped)") && said.contains("Deliveries: 3 confirmed"),
            "{said}"
        );
        assert!(said.contains("Nothing is lost"), "{said}");

        // A digit of an id at the destination is enough.
        let mut changed: Value = serde_json::from_str(&certificate).unwrap();
        changed["leaves"][0]["deliveries"][0]["destination_id"] = "0".into();
        let bad = verify(world, &changed.to_string(), None);
        let why = String::from_utf8_lossy(&bad.stderr).into_owned();
        assert!(!bad.status.success() && why.contains("its messages are not those that were signed"), "{why}");
        let other = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        assert!(!verify(world, &certificate, Some(other)).status.success());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_person_is_named_and_one_record_has_a_certificate_of_its_own() {
    world(async |world| {
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        world.acme.rest(1, Duration::from_secs(60)).await.unwrap();
        let records = world.acme.client.ask("{ records { nodes { id } } }", json!({})).await.unwrap();
        let record = records["records"]["nodes"][0]["id"].clone();
        let (certificate, _) = make(world, json!({"record": record})).await;
        let certificate: Value = serde_json::from_str(&certificate).unwrap();
        assert_eq!(certificate["leaves"].as_array().unwrap().len(), 1);
        assert_eq!(certificate["leaves"][0]["record"], record);
        assert!(certificate["leaves"][0]["deliveries"][0]["destination_id"].is_string());
        let refused = world.acme.client.ask(MAKE, json!({})).await.unwrap_err().to_string();
        assert!(refused.contains("say either `from` and `until`, or `recordId`"), "{refused}");
    })
    .await;
}
