//! What arrives: refused with the right status, or kept. Never dropped, never doubled.

use std::time::Duration;

use serde_json::{Value, json};
use tests::platform::terminate;
use tests::sample;
use tests::simulator::shop::Answer;
use uuid::Uuid;

use crate::{World, eventually, world};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_trusted_or_read_is_refused_and_nothing_is_stored() {
    world(async |world| {
        let shop = &world.acme.shop;
        let order = sample::order(1);
        let (header, signature) = shop.sign(&order);
        let forged = (header.clone(), "AAAA".to_owned());
        let wrong = shop.send_with("orders/create", Uuid::new_v4(), order.clone(), forged).await.unwrap();
        assert_eq!(wrong.status, 401, "{wrong:?}");
        let mut flipped = order.clone();
        flipped[10] ^= 1;
        let altered = shop.send_with("orders/create", Uuid::new_v4(), flipped, (header, signature)).await.unwrap();
        assert_eq!(altered.status, 401, "{altered:?}");

        let mut stranger = shop.clone();
        stranger.hook_url = format!("{}/hooks/{}", world.platform.url, "x".repeat(43));
        let unknown = stranger.send("orders/create", Uuid::new_v4(), order.clone()).await.unwrap();
        assert_eq!((unknown.status, &unknown.body), (401, &wrong.body), "an unknown hook and a forged one look alike");

        let mut other = shop.clone();
        other.domain = "other-shop.myshopify.com".into();
        assert_eq!(other.send("orders/create", Uuid::new_v4(), order).await.unwrap().status, 401);

        let not_json = shop.send("orders/create", Uuid::new_v4(), b"{\"id\": 1,".to_vec()).await.unwrap();
        assert_eq!(not_json.status, 400, "{not_json:?}");
        assert!(not_json.body.contains("line 1, column"), "{not_json:?}");
        let too_large = shop.send("orders/create", Uuid::new_v4(), vec![b' '; 2 * 1024 * 1024 + 1]).await.unwrap();
        assert_eq!(too_large.status, 413, "{too_large:?}");

        assert_eq!(world.acme.client.ledger().await.unwrap().accepted(), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn json_of_another_shape_becomes_an_exception_and_not_a_loss() {
    world(async |world| {
        let body = br#"{"id": 820982911946154500, "hello": "world"}"#.to_vec();
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), body).await.unwrap().status, 200);
        let ledger = world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("exception"), ledger.deliveries.len()), (1, 0));
        let groups = world.acme.client.exception_groups().await.unwrap();
        assert_eq!(groups.len(), 1);
        assert!(groups[0]["cause"].as_str().unwrap().contains("required"), "{groups:?}");
        assert!(groups[0]["nextStep"].as_str().unwrap().contains("Retry"), "{groups:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_without_use_is_kept_as_ignored() {
    world(async |world| {
        assert_eq!(world.acme.shop.send("app/uninstalled", Uuid::new_v4(), b"{}".to_vec()).await.unwrap().status, 200);
        assert_eq!(world.acme.rest(1, PATIENCE).await.unwrap().message("ignored"), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doubled_webhook_makes_one_order() {
    world(async |world| {
        let id = Uuid::new_v4();
        let sends = (0..20).map(|_| world.acme.shop.send("orders/create", id, sample::order(7)));
        let answers = futures::future::join_all(sends).await;
        let news = answers.iter().filter(|answer| {
            let answer = answer.as_ref().unwrap();
            assert_eq!(answer.status, 200);
            serde_json::from_str::<Value>(&answer.body).unwrap()["duplicate"] == false
        });
        assert_eq!(news.count(), 1, "one of twenty at once is new");
        // A replay under another webhook id, which the signature does not cover, says nothing new either.
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(7)).await.unwrap().status, 200);
        let ledger = world.acme.rest(2, PATIENCE).await.unwrap();
        assert_eq!((ledger.duplicates, ledger.message("unchanged"), ledger.delivery("confirmed")), (19, 1, 1));
        let orders = world.erp.orders();
        assert_eq!(orders.values().map(|order| (order.creates, order.updates)).collect::<Vec<_>>(), [(1, 0)]);
    })
    .await;
}

/// An order under the signature of another one.
async fn forge(world: &World) -> Answer {
    let signature = world.acme.shop.sign(&sample::order(1));
    world.acme.shop.send_with("orders/create", Uuid::new_v4(), sample::order(2), signature).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_refused_is_told_to_its_tenant_once_with_how_many_came_and_what_to_do() {
    const TOLD: &str = "{ auditEvents(action: \"hook.refused\", first: 5) { nodes { subjectKind subjectId actor requestId detail payload { text } } } }";
    world(async |world| {
        for _ in 0..3 {
            assert_eq!(forge(world).await.status, 401);
        }
        let shop = &world.acme.shop;
        let too_large = shop.send("orders/create", Uuid::new_v4(), vec![b' '; 2 * 1024 * 1024 + 1]).await.unwrap();
        assert_eq!(too_large.status, 413, "{too_large:?}");
        let told = eventually("the tenant is told", async || {
            let told = world.acme.client.ask(TOLD, json!({})).await.unwrap();
            let told = told["auditEvents"]["nodes"].as_array().unwrap().clone();
            (told.len() > 1).then_some(told)
        })
        .await;
        let detail = |event: &Value| serde_json::from_str::<Value>(event["detail"].as_str().unwrap()).unwrap();
        let of = |reason: &str| told.iter().find(|event| detail(event)["reason"] == reason).unwrap_or_else(|| panic!("{told:?}"));
        let forged = of("bad_signature");
        assert_eq!((&forged["subjectKind"], &forged["subjectId"]), (&json!("connection"), &json!(world.acme.source)), "{forged}");
        assert_eq!((&forged["actor"]["kind"], &forged["actor"]["address"]), (&json!("system"), &json!("127.0.0.1")), "{forged}");
        assert_eq!((&detail(forged)["count"], &forged["payload"]), (&json!(3), &Value::Null), "{forged}");
        assert!(detail(forged)["next_step"].as_str().unwrap().contains("secret"), "{forged}");
        assert_eq!(detail(of("too_large"))["count"], 1, "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");

        // Whoever guesses addresses is of no tenant; another one is told nothing.
        let mut stranger = shop.clone();
        stranger.hook_url = format!("{}/hooks/{}", world.platform.url, "x".repeat(43));
        assert_eq!(stranger.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap().status, 401);
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        assert_eq!(other.client.ask(TOLD, json!({})).await.unwrap()["auditEvents"]["nodes"], json!([]));

        // What came since waits for its minute, unless the process is stopped.
        for _ in 0..2 {
            assert_eq!(forge(world).await.status, 401);
        }
        terminate(&mut world.platform.api.take().unwrap()).await;
        let mut database = world.platform.database.connect().await.unwrap();
        let counts = "SELECT detail::json->>'count' FROM audit_events WHERE action = 'hook.refused' AND detail::json->>'reason' = 'bad_signature' ORDER BY id";
        let counts: Vec<String> = sqlx::query_scalar(counts).fetch_all(&mut database).await.unwrap();
        assert_eq!(counts, ["3", "2"]);
        let all: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE action = 'hook.refused'")
            .fetch_one(&mut database)
            .await
            .unwrap();
        assert_eq!(all, 3, "those of acme, and none of whom nobody knows");
    })
    .await;
}
