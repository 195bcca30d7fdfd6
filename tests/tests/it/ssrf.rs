//! The door out under the policy of production: nothing inside our walls is opened, and no address that a tenant may set leads there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use domain::http::{HttpAnswer, HttpRequest};
use infra::loopback::{Running, serve};
use serde_json::json;
use tests::platform::Options;
use tests::sample;
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::{eventually, world_with};

/// Counts who calls.
async fn canary() -> (Running, Arc<AtomicUsize>) {
    let hits = Arc::new(AtomicUsize::new(0));
    let seen = hits.clone();
    let handler = Arc::new(move |_: HttpRequest, _: usize| {
        seen.fetch_add(1, Ordering::SeqCst);
        HttpAnswer { status: 200, headers: vec![], body: Bytes::from_static(b"{}") }.into()
    });
    (serve(([127, 0, 0, 1], 0).into(), handler).await.unwrap(), hits)
}

#[tokio::test(flavor = "multi_thread")]
async fn ssrf_by_what_a_tenant_sets_reaches_nothing_inside_and_no_proxy_of_the_environment_is_asked() {
    let (hook, hook_hits) = canary().await;
    let (proxy, proxy_hits) = canary().await;
    let proxy_url: &'static str = Box::leak(proxy.url().into_boxed_str());
    let proxies =
        ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"].map(|name| (name, proxy_url));
    let options = Options {
        allow: String::new(),
        has_own_connectors: true,
        environment: [("NO_PROXY", ""), ("no_proxy", "")].into_iter().chain(proxies).collect(),
        ..Options::default()
    };
    world_with(options, async |world| {
        // A base address, and one that a token is asked of.
        let desk = Vendor::start("harbor-desk").await;
        let client = &world.acme.client;
        let (destination, _) =
            client.connection_create("harbor-desk", "Desk", desk.settings.clone(), desk.credential.clone()).await.unwrap();
        client.flow_publish("orders to the desk", &world.acme.source, &destination, json!({})).await.unwrap();
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        // A webhook of ours.
        let receiver = "mutation($i: AlertReceiverCreateInput!) { alertReceiverCreate(input: $i) { alertReceiver { id } userErrors { message } } }";
        let input = json!({"name": "hook", "kind": "WEBHOOK", "address": hook.url(), "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"});
        let made = client.ask(receiver, json!({"i": input})).await.unwrap();
        let test = "mutation($id: ID!) { alertReceiverTest(id: $id) { userErrors { message } } }";
        client.ask(test, json!({"id": made["alertReceiverCreate"]["alertReceiver"]["id"]})).await.unwrap();

        let mut root = world.platform.database.connect().await.unwrap();
        let refused = "SELECT (SELECT count(DISTINCT d.connection_id) FROM deliveries d
                               LEFT JOIN exceptions e ON e.delivery_id = d.id LEFT JOIN incidents i ON i.connection_id = d.connection_id
                               LEFT JOIN attempts a ON a.delivery_id = d.id
                               WHERE concat(e.sentence, e.cause, i.sentence, a.fault) LIKE '%not a public one%')
                            + (SELECT count(*) FROM alert_receivers WHERE failure LIKE '%not a public one%')";
        eventually("both destinations and the webhook are refused", async || {
            let count: i64 = sqlx::query_scalar(refused).fetch_one(&mut root).await.unwrap();
            (count == 3).then_some(())
        })
        .await;
        assert!(world.erp.calls().is_empty() && desk.served.simulator().calls().is_empty());
        assert_eq!((hook_hits.load(Ordering::SeqCst), proxy_hits.load(Ordering::SeqCst)), (0, 0));
    })
    .await;
}
