//! S3 as moto serves it, which checks signatures with botocore's own code: what Crossdock writes is read by somebody else's client, and the other
//! way round.

use std::collections::BTreeSet;

use connectors::{Position, Proof};
use domain::fault::FaultClass;
use domain::mapping::LookupSet;
use domain::record::RecordKind::Order;
use serde_json::{Value as Json, json};

use crate::account::{Account, assert_understood, fault, secrets};
use crate::program::Program;
use crate::proving::{Proving, Stopped};

pub const NAME: &str = "s3";
/// What a path, a query or a signature may get wrong.
const NAMES: [&str; 7] = [
    "order-1.json",
    "order-2 with spaces.json",
    "order-3+plus.json",
    "order-4&=?#%41.json",
    "order-5-Größe-注文-😀.json",
    "order-6~tilde'(quoted)*!.json",
    "order-7:colon@;,$.json",
];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs and runs software of others: cargo xtask test --real"]
async fn s3() {
    let mut moto = Program::start("moto_server.py").await;
    let mut proving = Proving::of(NAME, "moto", moto.text("version"));
    let _ = prove(&mut proving, &mut moto).await;
    proving.finish();
}

async fn open(moto: &Program, user: &str, bucket: &str) -> Account {
    let key = |field: &str| moto.said[user][field].as_str().unwrap();
    let credential = secrets(&[("access_key_id", key("access_key_id")), ("secret_access_key", key("secret_access_key"))]);
    let settings = json!({"region": moto.text("region"), "bucket": bucket, "prefix": "order-"});
    Account::open(NAME, moto.text("url"), settings, credential).await.with_pages_of(3)
}

fn order(source_id: &str, quantity: &str) -> Json {
    json!({
        "source_id": source_id,
        "number": "SO-90017",
        "status": "open",
        "currency": "EUR",
        "customer": {"name": "Metallbau Krüger 😀", "email": "einkauf@krueger.example"},
        "lines": [{"source_id": "10", "sku": "BOLT-M8x40", "title": "Bolt M8×40", "quantity": quantity, "unit_price": "0.0425"}],
        "taxes_included": false,
        "totals": {"tax": "20.19", "grand": "126.44"},
    })
}

async fn prove(proving: &mut Proving, moto: &mut Program) -> Result<(), Stopped> {
    let none = LookupSet::default();
    let bucket = moto.text("bucket").to_owned();
    let account = open(moto, "crossdock", &bucket).await;
    proving
        .check("authentication: the right credential is let in", async {
            account.read_all(Order).await.unwrap();
        })
        .await?;
    proving
        .check("authentication: unknown keys, and a signature by another secret, are refused", async {
            let unknown = account.wrong_credential();
            let mut forged = account.credential.clone();
            forged.0.insert("secret_access_key".into(), unknown.get("secret_access_key").unwrap().clone());
            for wrong in [unknown, forged] {
                let fault = fault(account.read_as(&wrong, Order, &mut Position::default()).await.map(|brought| brought.pages));
                assert_eq!(fault.status, Some(403), "{fault:?}");
            }
        })
        .await?;
    proving
        .check("order: a full read brings every object once, to the last page, whatever its name", async {
            for name in NAMES {
                let arguments = json!({"Bucket": bucket, "Key": name, "Body": order(name, "2500").to_string()});
                moto.ask(&json!({"service": "s3", "call": "put_object", "arguments": arguments})).await;
            }
            moto.ask(&json!({"service": "s3", "call": "put_object", "arguments": {"Bucket": bucket, "Key": "invoice-1.json", "Body": "{}"}}))
                .await;
            let brought = account.read_all(Order).await.unwrap();
            assert_eq!(brought.ids(), NAMES.map(str::to_owned).into());
            assert_eq!(brought.records.len(), NAMES.len());
            // Three lists, and each object.
            assert_eq!(brought.pages, 3 + NAMES.len() as u64);
            for record in &brought.records {
                let order = account.record(Order, &record.bytes);
                assert_eq!(order["source_id"].as_str(), record.id.as_deref());
                assert_eq!(order["lines"][0]["unit_price"], "0.0425");
            }
        })
        .await?;
    proving
        .check("order: one object is read by its name", async {
            for name in NAMES {
                let stored = account.get(Order, name).await.unwrap();
                assert_eq!(stored.at("source_id").and_then(domain::value::Value::to_text).as_deref(), Some(name));
            }
        })
        .await?;
    proving
        .check("order: a write is stored, and its receipt understood", async {
            let payload = account.payload(Order, &order("90017", "2500"), ("acme 1+2&ü", 1), &none);
            let receipt = account.write(Order, "acme 1+2&ü", 1, &payload).await.unwrap();
            let stored = object(moto, &bucket, "order-acme 1+2&ü.json").await;
            assert_eq!(stored["ETag"], receipt.id);
            let body: Json = serde_json::from_str(stored["Body"].as_str().unwrap()).unwrap();
            assert_eq!((&body["external_key"], &body["revision"]), (&json!("acme 1+2&ü"), &json!(1)));
            assert_eq!(body["customer"]["name"], "Metallbau Krüger 😀");
            assert_eq!(body["lines"], order("90017", "2500")["lines"]);
        })
        .await?;
    proving
        .check("order: a change replaces the object", async {
            let payload = account.payload(Order, &order("90017", "3000"), ("acme 1+2&ü", 2), &none);
            let receipt = account.write(Order, "acme 1+2&ü", 2, &payload).await.unwrap();
            let stored = object(moto, &bucket, "order-acme 1+2&ü.json").await;
            let body: Json = serde_json::from_str(stored["Body"].as_str().unwrap()).unwrap();
            assert_eq!((&stored["ETag"], &body["lines"][0]["quantity"]), (&json!(receipt.id), &json!("3000")));
            assert_eq!(names(moto, &bucket).await.len(), NAMES.len() + 2);
        })
        .await?;
    proving
        .check("order: a lost answer is found out, and nothing is done twice", async {
            let payload = account.payload(Order, &order("90018", "1"), ("lost-1", 3), &none);
            assert_eq!(account.prove(Order, "lost-1", 3, &payload).await, Proof::Absent);
            account.write_into_nothing(Order, "lost-1", 3, &payload).await;
            assert_eq!(account.prove(Order, "lost-1", 3, &payload).await, Proof::Absent);
            account.write_and_lose(Order, "lost-1", 3, &payload).await;
            let stored = object(moto, &bucket, "order-lost-1.json").await;
            let Proof::Found { receipt, current: true } = account.prove(Order, "lost-1", 3, &payload).await else {
                panic!("it is there")
            };
            assert_eq!(stored["ETag"], receipt.id);
            // A later revision is not there yet.
            let later = account.prove(Order, "lost-1", 4, &payload).await;
            assert!(matches!(later, Proof::Found { current: false, .. }), "{later:?}");
        })
        .await?;
    errors(proving, moto).await
}

async fn errors(proving: &mut Proving, moto: &Program) -> Result<(), Stopped> {
    proving
        .check("errors: keys that may not do this are a lack of permission", async {
            let stranger = open(moto, "stranger", moto.text("bucket")).await;
            assert_understood(&fault(stranger.read_all(Order).await.map(|brought| brought.pages)), FaultClass::Permission);
        })
        .await?;
    proving
        .check("errors: a bucket that is not there is not found", async {
            let elsewhere = open(moto, "owner", "no-such-bucket-here").await;
            let fault = fault(elsewhere.read_all(Order).await.map(|brought| brought.pages));
            assert_understood(&fault, FaultClass::NotFound);
        })
        .await
}

async fn object(moto: &mut Program, bucket: &str, name: &str) -> Json {
    moto.ask(&json!({"service": "s3", "call": "get_object", "arguments": {"Bucket": bucket, "Key": name}})).await
}

async fn names(moto: &mut Program, bucket: &str) -> BTreeSet<String> {
    let list = moto.ask(&json!({"service": "s3", "call": "list_objects_v2", "arguments": {"Bucket": bucket}})).await;
    list["Contents"].as_array().unwrap().iter().map(|one| one["Key"].as_str().unwrap().to_owned()).collect()
}
