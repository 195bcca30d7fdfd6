//! SQS as moto serves it: what Crossdock sends is received and deleted by somebody else's client, which checks the digests of body and
//! attributes.

use domain::fault::FaultClass;
use domain::mapping::LookupSet;
use domain::record::RecordKind::Order;
use serde_json::{Value as Json, json};

use crate::account::{Account, assert_understood, fault, secrets};
use crate::program::Program;
use crate::proving::{Proving, Stopped};

pub const NAME: &str = "sqs";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "installs and runs software of others: cargo xtask test --real"]
async fn sqs() {
    let mut moto = Program::start("moto_server.py").await;
    let mut proving = Proving::of(NAME, "moto", moto.text("version"));
    let _ = prove(&mut proving, &mut moto).await;
    proving.finish();
}

async fn open(moto: &Program, user: &str, queue_url: &str, group: Option<&str>) -> Account {
    let key = |field: &str| moto.said[user][field].as_str().unwrap();
    let credential = secrets(&[("access_key_id", key("access_key_id")), ("secret_access_key", key("secret_access_key"))]);
    let mut settings = json!({"region": moto.text("region"), "queue_url": queue_url});
    if let Some(group) = group {
        settings["message_group"] = group.into();
    }
    Account::open(NAME, moto.text("url"), settings, credential).await
}

fn order(status: &str) -> Json {
    json!({"source_id": "90017", "number": "SO-90017 – ü😀", "status": status, "currency": "EUR", "totals": {"grand": "126.44"}})
}

async fn prove(proving: &mut Proving, moto: &mut Program) -> Result<(), Stopped> {
    let none = LookupSet::default();
    let queue = moto.text("queue_url").to_owned();
    let account = open(moto, "crossdock", &queue, None).await;
    let payload = account.payload(Order, &order("open"), ("o-1", 1), &none);
    let id = proving
        .check("authentication: the right credential is let in", async {
            account.write(Order, "o-1", 1, &payload).await.unwrap().id
        })
        .await?;
    proving
        .check("order: what was sent is received by others as it is, with its attributes, and deleted", async {
            let messages = receive(moto, &queue).await;
            assert_eq!((messages.len(), &messages[0]["MessageId"]), (1, &json!(id)));
            assert_eq!(messages[0]["Body"], "Order SO-90017 – ü😀 is open, 126.44 EUR");
            let attribute = |name: &str| messages[0]["MessageAttributes"][name]["StringValue"].as_str().unwrap().to_owned();
            assert_eq!((attribute("external_key").as_str(), attribute("revision").as_str()), ("o-1", "1"));
            assert_eq!((attribute("source").as_str(), attribute("total").as_str()), ("ERP", "126.44"));
            assert_eq!(count(moto, &queue).await, 0);
        })
        .await?;
    // moto says no in XML here, as SQS's older protocol did, so that its codes prove nothing of the catalog's.
    proving
        .check("authentication: unknown keys are refused", async {
            let fault = fault(account.write_as(&account.wrong_credential(), Order, "o-1", 1, &payload).await);
            assert_eq!(fault.status, Some(403), "{fault:?}");
        })
        .await?;
    proving
        .check("authentication: a signature by another secret is refused, and nothing is sent", async {
            let mut credential = account.credential.clone();
            let wrong = account.wrong_credential().0.remove("secret_access_key").unwrap();
            credential.0.insert("secret_access_key".into(), wrong);
            let fault = fault(account.write_as(&credential, Order, "o-1", 1, &payload).await);
            assert_eq!(fault.status, Some(403), "{fault:?}");
            assert_eq!(count(moto, &queue).await, 0);
        })
        .await?;
    let fifo_url = moto.text("fifo_url").to_owned();
    let fifo = open(moto, "crossdock", &fifo_url, Some("orders")).await;
    proving
        .check("order: a message to a FIFO queue whose answer was lost is sent again and kept once", async {
            fifo.write_and_lose(Order, "o-2", 1, &payload).await;
            fifo.write(Order, "o-2", 1, &payload).await.unwrap();
            assert_eq!(count(moto, &fifo_url).await, 1);
        })
        .await?;
    proving
        .check("order: a FIFO queue gives the revisions of an order in their order", async {
            for revision in 2..=5 {
                let payload = fifo.payload(Order, &order("open"), ("o-2", revision), &none);
                fifo.write(Order, "o-2", revision, &payload).await.unwrap();
            }
            let messages = receive(moto, &fifo_url).await;
            let revisions: Vec<&str> = messages
                .iter()
                .map(|message| message["MessageAttributes"]["revision"]["StringValue"].as_str().unwrap())
                .collect();
            assert_eq!(revisions, ["1", "2", "3", "4", "5"]);
        })
        .await?;
    proving
        .check("order: a message to a standard queue that is sent again comes twice, with the same key and revision", async {
            account.write_and_lose(Order, "o-3", 1, &payload).await;
            account.write(Order, "o-3", 1, &payload).await.unwrap();
            let messages = receive(moto, &queue).await;
            assert_eq!(messages.len(), 2);
            assert_eq!(messages[0]["MessageAttributes"], messages[1]["MessageAttributes"]);
        })
        .await?;
    errors(proving, moto, &payload).await
}

async fn errors(proving: &mut Proving, moto: &Program, payload: &domain::value::Value) -> Result<(), Stopped> {
    let queue = moto.text("queue_url").to_owned();
    proving
        .check("errors: keys that may not do this are a lack of permission", async {
            let stranger = open(moto, "stranger", &queue, None).await;
            assert_understood(&fault(stranger.write(Order, "o-4", 1, payload).await), FaultClass::Permission);
        })
        .await?;
    proving
        .check("errors: a queue that is not there is not found", async {
            let elsewhere = open(moto, "crossdock", &format!("{queue}-of-nobody"), None).await;
            assert_understood(&fault(elsewhere.write(Order, "o-5", 1, payload).await), FaultClass::NotFound);
        })
        .await?;
    proving
        .check("errors: a FIFO queue without a message group is validation", async {
            let fifo = open(moto, "crossdock", moto.text("fifo_url"), None).await;
            assert_understood(&fault(fifo.write(Order, "o-6", 1, payload).await), FaultClass::Validation);
        })
        .await
}

/// What is in the queue, taken out of it.
async fn receive(moto: &mut Program, queue: &str) -> Vec<Json> {
    let mut messages = Vec::new();
    loop {
        let arguments = json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "MessageAttributeNames": ["All"]});
        let answer = moto.ask(&json!({"service": "sqs", "call": "receive_message", "arguments": arguments})).await;
        let Some(some) = answer["Messages"].as_array().filter(|some| !some.is_empty()) else { return messages };
        for message in some {
            let arguments = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
            moto.ask(&json!({"service": "sqs", "call": "delete_message", "arguments": arguments})).await;
        }
        messages.extend(some.iter().cloned());
    }
}

async fn count(moto: &mut Program, queue: &str) -> u64 {
    let arguments = json!({"QueueUrl": queue, "AttributeNames": ["ApproximateNumberOfMessages"]});
    let answer = moto.ask(&json!({"service": "sqs", "call": "get_queue_attributes", "arguments": arguments})).await;
    answer["Attributes"]["ApproximateNumberOfMessages"].as_str().unwrap().parse().unwrap()
}
