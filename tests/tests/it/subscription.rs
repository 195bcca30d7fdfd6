//! Listening by itself: a published flow has its webhooks registered and its source listed, and whatever the vendor drops or refuses comes back.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use connectors::simulator::{Fault, FaultMatcher, OutgoingHook};
use domain::record::RecordKind;
use domain::value::{Limits, Value as Document};
use serde_json::{Value, json};
use tests::client::http;
use tests::platform::Options;
use tests::vendor::Vendor;

use crate::{World, eventually, world_with};

const PATIENCE: Duration = Duration::from_secs(90);
const ORDERS: usize = 200;

const LISTENING: &str = "query($id: ID!) { connection(id: $id) {
    subscriptions { topic state vendorId isRotating expiresAt seenAt missingSince restored failure }
    subscriptionCheck { checkedAt failures failure } incidents { operation owner sentence } }
    polls(connectionId: $id) { nodes { id recordKind everyS state isAutomatic readAt brought missedByWebhooks } } }";
/// Checks that are due or under way.
const CHECKS: &str = "SELECT count(*) FROM subscription_checks WHERE lease_id IS NOT NULL OR due_at <= now()";
const ROTATE: &str = "mutation($i: HookSecretRotateInput!) { hookSecretRotate(input: $i) { userErrors { field code message } } }";

/// A shop whose orders go to books, each a vendor of its own.
struct Shop {
    vendor: Vendor,
    books: Vendor,
    connection: String,
    flow: String,
}

impl Shop {
    async fn open(world: &World, name: &str) -> Self {
        let (vendor, books) = (Vendor::start(name).await, Vendor::start("tarn-books").await);
        let client = &world.acme.client;
        // Nobody types a webhook's secret in.
        let credential = json!({"key": vendor.credential["key"]});
        let (connection, _) = client.connection_create(name, "Hill shop", vendor.settings.clone(), credential).await.unwrap();
        let (destination, _) =
            client.connection_create("tarn-books", "Books", books.settings.clone(), books.credential.clone()).await.unwrap();
        let policy = json!({"attempts_max": 8, "backoff_ms": 100, "backoff_max_ms": 1_000});
        let flow = client.flow_publish("orders to the books", &connection, &destination, policy).await.unwrap();
        Self { vendor, books, connection, flow }
    }

    /// As `open`, and everything that a published flow needs is there.
    async fn listening(world: &World, name: &str) -> Self {
        let shop = Self::open(world, name).await;
        eventually("the flow is listened for", async || {
            let now = shop.look(world).await;
            let read = now["polls"]["nodes"][0]["readAt"].is_string();
            (read && shop.is_subscribed(world).await).then_some(())
        })
        .await;
        shop
    }

    async fn look(&self, world: &World) -> Value {
        world.acme.client.ask(LISTENING, json!({"id": self.connection})).await.unwrap()
    }

    async fn subscriptions(&self, world: &World) -> Vec<Value> {
        self.look(world).await["connection"]["subscriptions"].as_array().unwrap().clone()
    }

    async fn is_subscribed(&self, world: &World) -> bool {
        let all = self.subscriptions(world).await;
        all.len() == 2 && all.iter().all(|one| one["state"] == "ACTIVE" && one["isRotating"] == false)
    }

    async fn check(&self, world: &World) {
        let check = "mutation($id: ID!) { subscriptionCheck(connectionId: $id) { userErrors { message } } }";
        world.acme.client.ask(check, json!({"id": self.connection})).await.unwrap();
    }

    /// Checks, and waits until that has come to its end: one that was under way before has read the vendor's list already.
    async fn checked(&self, world: &World) {
        let at = async || self.look(world).await["connection"]["subscriptionCheck"]["checkedAt"].clone();
        let before = at().await;
        self.check(world).await;
        eventually("the check ends", async || (at().await != before && count(world, CHECKS).await == 0).then_some(())).await;
    }

    fn order(&self, n: usize, at: DateTime<Utc>) {
        let order = json!({
            "id": format!("R-{n}"), "number": format!("#{n}"), "status": "open", "currency": "EUR", "note": "new", "total": "10.00",
            "lines": [{"id": "1", "sku": "HAT", "quantity": "1", "price": "10.00"}],
        });
        let order = Document::parse(order.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        self.vendor.served.simulator().put_record(RecordKind::Order, order, at);
    }

    /// What the shop sends to those who subscribed.
    fn deliveries(&self, n: usize) -> Vec<OutgoingHook> {
        let now = self.vendor.served.now();
        self.vendor.served.simulator().deliveries("order/made", &format!("R-{n}"), now)
    }

    /// The ids of what is registered there.
    fn registered(&self) -> Vec<String> {
        let now = self.vendor.served.now();
        self.vendor.served.simulator().subscriptions(now).into_iter().map(|one| one.id).collect()
    }

    /// How often each order of the books was made.
    fn creates(&self) -> Vec<u32> {
        self.books.served.simulator().stored(RecordKind::Order).iter().map(|order| order.creates).collect()
    }
}

async fn send(hook: &OutgoingHook) -> u16 {
    let mut request = http().build().unwrap().post(&hook.url).body(hook.body.clone());
    for (name, value) in &hook.headers {
        request = request.header(name, value);
    }
    request.send().await.unwrap().status().as_u16()
}

async fn own(test: impl AsyncFnOnce(&mut World)) {
    world_with(Options { has_own_connectors: true, ..Options::default() }, test).await;
}

async fn count(world: &World, sql: &'static str) -> i64 {
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut database).await.unwrap()
}

async fn act(world: &World, sql: &'static str) {
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::query(sql).execute(&mut database).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_subscription_and_dropped_webhooks_are_all_found_in_one_sweep_and_it_is_made_again() {
    own(async |world| {
        let shop = Shop::listening(world, "ridge-shop").await;
        // Long enough ago that a webhook should have come, and after the flow was published as the test has it.
        act(world, "UPDATE polls SET position = '{}', every_s = 86400, due_at = now() + interval '1 day' WHERE is_own").await;
        let then = shop.vendor.served.now() - TimeDelta::minutes(10);
        let (mut dropped, mut sent) = (0, 0);
        for n in 0..ORDERS {
            shop.order(n, then);
            if n == ORDERS / 2 {
                shop.vendor.served.simulator().delete_subscriptions();
            }
            let hooks = shop.deliveries(n);
            // Of those that are sent 2 % are dropped on their way; after the deletion nothing is sent.
            match hooks.as_slice() {
                [hook] if n % 50 != 7 => {
                    assert_eq!(send(hook).await, 200);
                    sent += 1;
                }
                _ => dropped += 1,
            }
        }
        assert_eq!((sent, dropped), (98, 102));
        world.acme.rest(98, PATIENCE).await.unwrap();

        let poll = shop.look(world).await["polls"]["nodes"][0].clone();
        let resume = "mutation($id: ID!) { pollResume(id: $id) { userErrors { message } } }";
        world.acme.client.ask(resume, json!({"id": poll["id"]})).await.unwrap();
        let told =
            "SELECT count(*) FROM audit_events WHERE action = 'message.received' AND detail LIKE '%\"missed_by_webhook\":true%'";
        // What is of the same whole second as a webhook's is looked at again, so that a count of messages says nothing of what was missed.
        eventually("the sweep has found all 102", async || (count(world, told).await >= 102).then_some(())).await;
        world.acme.rest(200, PATIENCE).await.unwrap();
        assert_eq!(count(world, told).await, 102);
        assert_eq!(shop.creates(), vec![1; ORDERS]);

        // What the sweep found makes a check due, which makes the subscriptions again and another sweep due: one more cannot have been missed.
        let all = eventually("the subscriptions are restored", async || {
            let all = shop.subscriptions(world).await;
            (shop.is_subscribed(world).await && all.iter().all(|one| one["restored"] == 1)).then_some(all)
        })
        .await;
        assert!(all.iter().all(|one| one["missingSince"].is_null()), "{all:?}");
        let restored =
            "SELECT count(*) FROM audit_events WHERE action = 'subscription.restored' AND detail LIKE '%missing_since%'";
        assert_eq!(count(world, restored).await, 2);
        shop.order(ORDERS, shop.vendor.served.now());
        let hooks = shop.deliveries(ORDERS);
        assert_eq!(hooks.len(), 1);
        assert_eq!(send(&hooks[0]).await, 200, "what is signed with the new secret is believed");
        let ledger = world.acme.rest(201, PATIENCE).await.unwrap();
        assert_eq!((ledger.duplicates, ledger.delivery("exception")), (0, 0), "{ledger:?}");

        // Every call is in the audit log, and no secret anywhere.
        eventually("the sweep after the restoration has ended", async || {
            let due = "SELECT count(*) FROM polls WHERE is_own AND (lease_id IS NOT NULL OR due_at <= now())";
            (count(world, CHECKS).await == 0 && count(world, due).await == 0).then_some(())
        })
        .await;
        let calls = count(world, "SELECT count(*) FROM audit_events WHERE action IN ('subscription.called', 'poll.read')").await;
        let seen = shop.vendor.served.simulator().calls().len();
        assert_eq!(usize::try_from(calls).unwrap(), seen);
        assert_eq!(count(world, "SELECT count(*) FROM audit_events WHERE detail LIKE '%sim-hook-%'").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_a_flow_begins_to_listen_and_retiring_the_last_one_ends_it() {
    own(async |world| {
        let client = world.acme.client.clone();
        let shop = Shop::listening(world, "ridge-shop").await;
        let now = shop.look(world).await;
        let poll = &now["polls"]["nodes"][0];
        assert_eq!(
            (&poll["recordKind"], &poll["everyS"], &poll["isAutomatic"]),
            (&json!("order"), &json!(900), &json!(true)),
            "{poll}"
        );
        // Only what a flow reads: nobody needs customers.
        let mut topics: Vec<String> = shop.subscriptions(world).await.iter().map(|one| one["topic"].to_string()).collect();
        topics.sort();
        assert_eq!(topics, ["\"order/changed\"", "\"order/made\""]);
        // What is somebody else's, and what a person registered here for another topic, stays.
        let hook = {
            let now = shop.vendor.served.now();
            shop.vendor.served.simulator().subscriptions(now)[0].url.clone()
        };
        shop.vendor.served.simulator().add_subscription("order/made", "https://somebody.example/else");
        shop.vendor.served.simulator().add_subscription("customer/made", &hook);
        // One that is doubled is taken away.
        shop.vendor.served.simulator().add_subscription("order/made", &hook);
        shop.checked(world).await;
        assert_eq!(shop.registered().len(), 4);

        let retire = "mutation($id: ID!) { flowRetire(id: $id) { userErrors { message } } }";
        client.ask(retire, json!({"id": shop.flow})).await.unwrap();
        eventually("nothing is listened for", async || {
            let now = shop.look(world).await;
            let ended = shop.subscriptions(world).await.iter().all(|one| one["state"] == "ENDED" && one["vendorId"].is_null());
            (ended && now["polls"]["nodes"][0]["state"] == "paused").then_some(())
        })
        .await;
        assert_eq!(shop.registered().len(), 2);

        let back = "mutation($id: ID!) { flowRollBack(id: $id, version: 1) { userErrors { message } } }";
        client.ask(back, json!({"id": shop.flow})).await.unwrap();
        eventually("it is listened for again", async || {
            let poll = shop.look(world).await["polls"]["nodes"][0].clone();
            (poll["state"] == "active" && shop.is_subscribed(world).await).then_some(())
        })
        .await;
        // What a person pauses stays paused, whatever is published.
        let pause = "mutation($id: ID!) { pollPause(id: $id) { userErrors { message } } }";
        client.ask(pause, json!({"id": poll["id"]})).await.unwrap();
        client.ask(back, json!({"id": shop.flow})).await.unwrap();
        shop.checked(world).await;
        let poll = shop.look(world).await["polls"]["nodes"][0].clone();
        assert_eq!((&poll["state"], &poll["isAutomatic"]), (&json!("paused"), &json!(false)));
        // Another tenant sees nothing of it, and starts nothing.
        let other = world.platform.sign_in().await.unwrap();
        let tenant = other.tenant_create("globex").await.unwrap();
        let other = other.of_tenant(&tenant);
        assert_eq!(other.ask(LISTENING, json!({"id": shop.connection})).await.unwrap()["connection"], json!(null));
        let refused = other.raw(ROTATE, json!({"i": {"connectionId": shop.connection}})).await.unwrap();
        assert_eq!(refused["data"]["hookSecretRotate"]["userErrors"][0]["code"], "NOT_FOUND", "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_was_lost_and_a_worker_that_died_leave_one_subscription_of_each_topic() {
    own(async |world| {
        let shop = {
            let vendor = Vendor::start("ridge-shop").await;
            vendor.served.simulator().fail(FaultMatcher::next("webhooks.subscribe"), Fault::DropAfterCommit);
            let (connection, _) = world
                .acme
                .client
                .connection_create("ridge-shop", "Hill shop", vendor.settings.clone(), json!({"key": vendor.credential["key"]}))
                .await
                .unwrap();
            let books = Vendor::start("tarn-books").await;
            let (destination, _) = world
                .acme
                .client
                .connection_create("tarn-books", "Books", books.settings.clone(), books.credential.clone())
                .await
                .unwrap();
            let flow = world.acme.client.flow_publish("orders", &connection, &destination, json!({})).await.unwrap();
            Shop { vendor, books, connection, flow }
        };
        // The registration is there, and nobody knows its secret.
        eventually("the check fails", async || {
            let now = shop.look(world).await;
            (now["connection"]["subscriptionCheck"]["failures"] == 1).then_some(())
        })
        .await;
        assert_eq!(shop.registered().len(), 1);
        if world.platform.options.all_in_one {
            world.platform.kill_api().await.unwrap();
            world.platform.start_api().await.unwrap();
        } else {
            world.platform.kill_worker().await.unwrap();
            world.platform.start_worker().await.unwrap();
        }
        act(world, "UPDATE subscription_checks SET due_at = now(), lease_until = now()").await;
        eventually("all are there", async || shop.is_subscribed(world).await.then_some(())).await;
        shop.checked(world).await;
        let known: Vec<String> =
            shop.subscriptions(world).await.iter().map(|one| one["vendorId"].as_str().unwrap().to_owned()).collect();
        let mut registered = shop.registered();
        registered.sort();
        let mut sorted = known.clone();
        sorted.sort();
        assert_eq!(registered, sorted, "none is doubled, and none is one that nobody can verify");
        shop.order(1, shop.vendor.served.now());
        let hooks = shop.deliveries(1);
        assert_eq!((hooks.len(), send(&hooks[0]).await), (1, 200));
        // Made for the first time, they were never missing.
        assert_eq!(count(world, "SELECT count(*) FROM audit_events WHERE action = 'subscription.restored'").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_renewed_before_it_runs_out_and_one_that_was_switched_off_is_replaced() {
    own(async |world| {
        let shop = Shop::listening(world, "ridge-shop").await;
        let before = shop.registered();
        let expires = async || shop.subscriptions(world).await[0]["expiresAt"].clone();
        let first = expires().await;
        // Two thirds of three days are over, there and here.
        shop.vendor.served.pass(Duration::from_secs(2 * 86_400 + 60));
        act(world, "UPDATE subscriptions SET renew_at = now(), expires_at = now() + interval '1 day'").await;
        shop.checked(world).await;
        assert_ne!(expires().await, first);
        shop.vendor.served.pass(Duration::from_secs(2 * 86_400));
        assert_eq!(shop.registered(), before, "those that were renewed are still there");
        assert_eq!(count(world, "SELECT count(*) FROM audit_events WHERE action = 'subscription.renewed'").await, 2);

        shop.vendor.served.simulator().switch_off_subscriptions();
        shop.checked(world).await;
        let all = shop.subscriptions(world).await;
        assert!(all.iter().all(|one| one["restored"] == 1 && one["state"] == "ACTIVE"), "{all:?}");
        let after = shop.registered();
        assert!(after.len() == 2 && after.iter().all(|id| !before.contains(id)), "{after:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_rotated_and_what_the_old_one_signed_is_believed_for_the_overlap() {
    own(async |world| {
        for (name, told) in [("ridge-shop", false), ("scree-shop", true)] {
            let client = world.acme.client.clone();
            let shop = if told {
                // Another connection and flow of the same names would be taken.
                for sql in ["UPDATE connections SET name = 'Old ' || name", "UPDATE flows SET name = 'Old ' || name"] {
                    act(world, sql).await;
                }
                Shop::listening(world, name).await
            } else {
                Shop::listening(world, name).await
            };
            shop.order(1, shop.vendor.served.now());
            let old = (shop.deliveries(1), shop.deliveries(1));
            let before = shop.registered();
            client.ask(ROTATE, json!({"i": {"connectionId": shop.connection}})).await.unwrap();
            eventually("all are registered anew", async || {
                let after = shop.registered();
                (shop.is_subscribed(world).await && after.len() == 2 && after.iter().all(|id| !before.contains(id))).then_some(())
            })
            .await;
            // Signed before the secret was replaced, and here only now.
            assert_eq!((old.0.len(), send(&old.0[0]).await), (1, 200), "{name}");
            let new = shop.deliveries(1);
            assert_eq!((new.len(), send(&new[0]).await), (1, 200), "{name}");
            act(world, "UPDATE hook_secrets SET accepted_until = now() WHERE accepted_until IS NOT NULL").await;
            eventually("the old secret is over", async || (send(&old.1[0]).await == 401).then_some(())).await;
            let new = shop.deliveries(1);
            assert_eq!(send(&new[0]).await, 200, "{name}");
        }
        assert_eq!(count(world, "SELECT count(*) FROM audit_events WHERE action = 'hook_secret.rotated'").await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_a_person_makes_at_the_vendor_takes_the_place_of_the_credentials_own() {
    own(async |world| {
        use connectors::simulator::HookEvent;
        let (client, shop) = (world.acme.client.clone(), world.acme.shop.clone());
        let connection = &world.acme.source;
        let send = async |secret: &str, id: uuid::Uuid| {
            let fields = [("hook_secret".to_owned(), secret.into())].into_iter().collect();
            let connector = connectors::Catalog::embedded().get("shopify").unwrap();
            let delivery = id.to_string();
            let event = HookEvent {
                topic: "orders/create",
                delivery: &delivery,
                url: &shop.hook_url,
                body: tests::sample::order(1).into(),
            };
            let hook = connector.hook_delivery(event, &json!({"shop": shop.domain}), &fields, Utc::now()).unwrap();
            self::send(&hook).await
        };
        let id = || uuid::Uuid::new_v4();
        let refused = client.raw(ROTATE, json!({"i": {"connectionId": connection}})).await.unwrap();
        assert_eq!(refused["data"]["hookSecretRotate"]["userErrors"][0]["code"], "REQUIRED", "{refused}");
        assert_eq!(send("the-new-one", id()).await, 401);
        let rotate = json!({"i": {"connectionId": connection, "secret": "the-new-one", "overlapS": 3600}});
        client.ask(ROTATE, rotate).await.unwrap();
        // At once, although what is stored is looked up now and then only.
        eventually("the new secret is believed", async || (send("the-new-one", id()).await == 200).then_some(())).await;
        assert_eq!(send(&shop.secret, id()).await, 200);
        act(world, "UPDATE hook_secrets SET credential_until = now()").await;
        eventually("the old secret is over", async || (send(&shop.secret, id()).await == 401).then_some(())).await;
        assert_eq!(send("the-new-one", id()).await, 200);
        // A new credential is a new beginning.
        let replace =
            "mutation($id: ID!, $c: JSON!) { credentialReplace(connectionId: $id, credential: $c) { userErrors { message } } }";
        client.ask(replace, json!({"id": connection, "c": {"hook_secret": "typed-in-anew"}})).await.unwrap();
        eventually("the credential's own is believed", async || (send("typed-in-anew", id()).await == 200).then_some(())).await;
        let refused =
            client.raw(ROTATE, json!({"i": {"connectionId": connection, "secret": "x", "overlapS": -1}})).await.unwrap();
        assert_eq!(refused["data"]["hookSecretRotate"]["userErrors"][0]["field"], json!(["input", "overlapS"]), "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_honest_retry_is_taken_however_late_and_a_second_arrival_is_a_duplicate() {
    own(async |world| {
        let shop = Shop::listening(world, "ridge-shop").await;
        shop.order(1, shop.vendor.served.now());
        let sign = |ago: TimeDelta| {
            let now = shop.vendor.served.now() - ago;
            shop.vendor.served.simulator().deliveries("order/made", "R-1", now).remove(0)
        };
        // The vendor signs once and tries for days; we were down.
        let late = sign(TimeDelta::hours(30));
        assert_eq!(send(&late).await, 200);
        assert_eq!(send(&late).await, 200);
        let ledger = world.acme.rest(1, PATIENCE).await.unwrap();
        assert_eq!((ledger.accepted(), ledger.duplicates), (1, 1), "{ledger:?}");
        // What makes it another delivery is signed.
        let mut forged = late.clone();
        forged.headers.iter_mut().filter(|(name, _)| name == "X-Ridge-Delivery").for_each(|(_, id)| id.push('0'));
        assert_eq!(send(&forged).await, 401);
        // Nobody tries for longer than a week, and nobody signs in our future.
        assert_eq!(send(&sign(TimeDelta::days(8))).await, 401);
        assert_eq!(send(&sign(TimeDelta::minutes(-10))).await, 401);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_refuses_webhooks_is_one_incident_and_polls_serve_meanwhile() {
    own(async |world| {
        let shop = Shop::listening(world, "ridge-shop").await;
        shop.vendor.served.simulator().fail(FaultMatcher::next("webhooks.subscriptions").times(4), Fault::Status(403));
        for failures in 1..=4 {
            shop.check(world).await;
            eventually("a check fails", async || {
                let now = shop.look(world).await;
                (now["connection"]["subscriptionCheck"]["failures"] == failures).then_some(())
            })
            .await;
            // A second look: in the one that saw it fail, the incidents may have been read before.
            let now = shop.look(world).await;
            let incidents = now["connection"]["incidents"].as_array().unwrap();
            assert_eq!(incidents.len(), usize::from(failures >= 3), "{incidents:?}");
            if let Some(incident) = incidents.first() {
                let sentence = incident["sentence"].as_str().unwrap();
                assert_eq!(incident["operation"], "webhook.subscribe");
                assert!(sentence.starts_with("The webhooks of Hill shop could not be kept registered: "), "{sentence}");
            }
        }
        // What webhooks would have brought comes by the poll.
        shop.order(1, shop.vendor.served.now());
        act(world, "UPDATE polls SET due_at = now() WHERE is_own").await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        shop.checked(world).await;
        let now = shop.look(world).await;
        assert_eq!(
            (&now["connection"]["incidents"], &now["connection"]["subscriptionCheck"]["failure"]),
            (&json!([]), &json!(null))
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_registered_says_why_and_by_hand_nothing_is_done_by_itself() {
    let options = Options { has_own_connectors: true, has_public_url: false, ..Options::default() };
    world_with(options, async |world| {
        let shop = Shop::open(world, "ridge-shop").await;
        let now = eventually("the poll is made", async || {
            let now = shop.look(world).await;
            now["polls"]["nodes"][0]["readAt"].is_string().then_some(now)
        })
        .await;
        assert_eq!(now["polls"]["nodes"][0]["everyS"], 300, "without webhooks it is listed more often");
        let all = shop.subscriptions(world).await;
        assert!(all.len() == 2 && all.iter().all(|one| one["state"] == "BLOCKED"), "{all:?}");
        assert!(all[0]["failure"].as_str().unwrap().contains("CROSSDOCK_PUBLIC_URL"), "{all:?}");
        assert_eq!(shop.registered(), Vec::<String>::new());
        // A connection that can only be sent to has nothing that could be called with: nothing is, and nothing fails.
        let source = world.acme.client.ask(LISTENING, json!({"id": world.acme.source})).await.unwrap();
        assert_eq!((&source["connection"]["incidents"], &source["polls"]["nodes"]), (&json!([]), &json!([])), "{source}");
    })
    .await;
    let options =
        Options { has_own_connectors: true, environment: vec![("CROSSDOCK_LISTENING", "by_hand")], ..Options::default() };
    world_with(options, async |world| {
        let shop = Shop::open(world, "ridge-shop").await;
        world.acme.shop.send("orders/create", uuid::Uuid::new_v4(), tests::sample::order(1)).await.unwrap();
        world.acme.rest(1, PATIENCE).await.unwrap();
        let now = shop.look(world).await;
        assert_eq!((&now["polls"]["nodes"], &now["connection"]["subscriptions"]), (&json!([]), &json!([])), "{now}");
        assert_eq!(shop.vendor.served.simulator().calls().len(), 0);
    })
    .await;
}
