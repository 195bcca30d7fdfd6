//! Secrets are exchanged on schedule: by the vendor's API, or by a person step by step. Whoever dies, whatever the vendor says and whichever of the two
//! secrets stops working: orders go on, no key is lost at the vendor, and the reason is told.

use std::time::Duration;

use connectors::simulator::{Fault, FaultMatcher};
use domain::fault::FaultClass;
use domain::secret::SecretFields;
use futures::future::join_all;
use infra::postgres::Store;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use tests::client::Client;
use tests::platform::Options;
use tests::sample;
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::{World, eventually, eventually_within, patient, world_with};

const HEALTH: &str = "query($id: ID) { connectionHealth(connectionId: $id, first: 1) { nodes { connection { id health incidents { kind code sentence nextStep owner } }
    secretAgeDays ends { what daysLeft } rotation { way advisedDays everyDays followsAdvice dueAt overlapHours source
        guide { secrets { name title } steps page remove } newest { state sentence reason owner nextStep overlapUntil } } } } }";
const SCHEDULE: &str = "mutation($id: ID!, $s: RotationScheduleInput!) { rotationScheduleSet(connectionId: $id, schedule: $s) { userErrors { field code message } } }";
const BEGIN: &str = "mutation($id: ID!) { rotationBegin(connectionId: $id) { userErrors { field code message } } }";
const ENTER: &str = "mutation($id: ID!, $s: JSON!) { rotationSecretEnter(connectionId: $id, secrets: $s) { health { rotation { newest { state } } } userErrors { field code message } } }";
const CONFIRM: &str = "mutation($id: ID!) { rotationRemovalConfirm(connectionId: $id) { userErrors { field code message } } }";
const CANCEL: &str = "mutation($id: ID!) { rotationCancel(connectionId: $id) { userErrors { field code message } } }";

/// So long others may wait for the slots of workers that were killed: a minute, and then until it is tried again.
const PATIENCE: Duration = Duration::from_secs(150);

/// A platform whose tenant sends its orders to the books only, whose keys can be made by their API.
async fn with_books(options: Options, test: impl AsyncFnOnce(&mut World, &Vendor, &str)) {
    world_with(Options { has_own_connectors: true, ..options }, async |world| {
        let books = Vendor::start("tarn-books").await;
        let client = &world.acme.client;
        let (id, _) =
            client.connection_create("tarn-books", "Books", books.settings.clone(), books.credential.clone()).await.unwrap();
        let policy = json!({"attempts_max": 8, "backoff_ms": 100, "backoff_max_ms": 1_000});
        client.flow_publish("orders to the books", &world.acme.source, &id, policy).await.unwrap();
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        client.ask(pause, json!({"id": world.acme.destination})).await.unwrap();
        test(world, &books, &id).await;
    })
    .await;
}

async fn with_desk(test: impl AsyncFnOnce(&mut World, &Vendor, &str)) {
    world_with(Options { has_own_connectors: true, ..patient() }, async |world| {
        let desk = Vendor::start("harbor-desk").await;
        let created = world.acme.client.connection_create("harbor-desk", "Desk", desk.settings.clone(), desk.credential.clone());
        let id = created.await.unwrap().0;
        test(world, &desk, &id).await;
    })
    .await;
}

async fn health(client: &Client, id: &str) -> Value {
    client.ask(HEALTH, json!({"id": id})).await.unwrap()["connectionHealth"]["nodes"][0].clone()
}

async fn comes_to(world: &World, id: &str, state: &str) -> Value {
    let client = &world.acme.client;
    eventually_within(PATIENCE, &format!("it is {state}"), async || {
        let newest = health(client, id).await["rotation"]["newest"].clone();
        (newest["state"] == state).then_some(newest)
    })
    .await
}

/// What somebody wanted, and that nothing was wrong with it.
async fn done(world: &World, mutation: &str, variables: Value) -> Value {
    let answer = world.acme.client.ask(mutation, variables).await.unwrap();
    let payload = answer.as_object().unwrap().values().next().unwrap().clone();
    assert_eq!(payload["userErrors"], json!([]), "{payload}");
    payload
}

async fn refused(world: &World, mutation: &str, variables: Value) -> String {
    let answer = world.acme.client.raw(mutation, variables).await.unwrap();
    answer["data"].as_object().unwrap().values().next().unwrap()["userErrors"][0]["message"].as_str().unwrap().to_owned()
}

async fn sql(world: &World, sql: &str) {
    let mut database = world.platform.database.connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut database).await.unwrap();
}

async fn number(database: &mut PgConnection, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(database).await.unwrap()
}

/// As if the secret had been stored so many days ago.
async fn ages(world: &World, days: i64) {
    let older = format!(
        "UPDATE credentials SET created_at = now() - interval '{days} days' WHERE state = 'active' AND connection_id IN (SELECT id FROM connections WHERE connector IN ('tarn-books', 'harbor-desk'))"
    );
    sql(world, &older).await;
}

/// As if the time had come for which the rotation rests.
async fn time_passes(world: &World) {
    sql(world, "UPDATE rotation_schedules SET wake_at = now() WHERE wake_at IS NOT NULL").await;
}

/// As if it had been long ago that a worker died which led the rotation.
async fn lease_ends(world: &World) {
    sql(world, "UPDATE rotation_schedules SET wake_at = now(), lease_until = now() WHERE wake_at IS NOT NULL").await;
}

/// A call more than before. Those of workers that were killed count as under way until their time is over (a minute), so that it may have to wait.
async fn called(books: &Vendor, operation: &str, before: usize) {
    let more = async || (calls(books, operation) > before).then_some(());
    eventually_within(PATIENCE, &format!("{operation} is called"), more).await;
}

async fn overlap_ends(world: &World) {
    sql(world, "UPDATE rotations SET overlap_until = now() WHERE state = 'overlapping'").await;
    time_passes(world).await;
}

async fn send(world: &World, numbers: std::ops::Range<u64>) {
    for n in numbers {
        assert_eq!(world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap().status, 200);
    }
}

async fn all_confirmed(world: &World, count: i64) {
    let mut database = world.platform.database.connect().await.unwrap();
    let confirmed = "SELECT count(*) FROM deliveries d JOIN connections c ON c.id = d.connection_id WHERE c.connector = 'tarn-books' AND d.state IN ('confirmed', 'reconciled')";
    eventually("all are confirmed", async || (number(&mut database, confirmed).await == count).then_some(())).await;
}

async fn is_let_in(books: &Vendor, key: &str) -> bool {
    let http = tests::client::http().build().unwrap();
    let answer = http.get(format!("{}/account", books.served.url())).header("X-Key", key).send().await.unwrap();
    answer.status().is_success()
}

fn keys(vendor: &Vendor) -> Vec<String> {
    vendor.served.simulator().key_labels()
}

fn fails(operation: &str, count: u32) -> FaultMatcher {
    FaultMatcher { operation: Some(operation.into()), count: Some(count), ..FaultMatcher::default() }
}

fn calls(vendor: &Vendor, operation: &str) -> usize {
    vendor.served.simulator().calls().iter().filter(|call| call.operation == operation).count()
}

/// No secret stands where it has no business: neither the first one nor one that the vendor has made.
async fn assert_secret(world: &World) {
    let mut database = world.platform.database.connect().await.unwrap();
    let told = "SELECT count(*) FROM (
            SELECT row_to_json(a)::text AS t FROM audit_events a UNION ALL SELECT row_to_json(r)::text FROM rotations r UNION ALL
            SELECT row_to_json(s)::text FROM rotation_schedules s UNION ALL SELECT row_to_json(i)::text FROM incidents i UNION ALL
            SELECT row_to_json(p)::text FROM attempts p UNION ALL SELECT row_to_json(p)::text FROM connection_probes p
        ) x WHERE t LIKE '%sim-key-%' OR t LIKE '%made-up-key%' OR t LIKE '%made-up-client_secret%' OR t LIKE '%the-new-secret%'";
    assert_eq!(number(&mut database, told).await, 0, "a secret stands in the database");
    for log in ["api.log", "workers.log"] {
        let text = std::fs::read_to_string(world.platform.logs.join(log)).unwrap_or_default();
        assert!(
            !text.contains("sim-key-") && !text.contains("made-up-key") && !text.contains("the-new-secret"),
            "a secret stands in {log}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_exchanged_by_itself_while_orders_go_on_and_none_of_them_fails() {
    with_books(patient(), async |world, books, id| {
        let before = health(&world.acme.client, id).await;
        assert_eq!((&before["rotation"]["way"], &before["rotation"]["advisedDays"]), (&json!("AUTOMATIC"), &json!(90)));
        assert_eq!(
            (&before["rotation"]["everyDays"], &before["rotation"]["newest"]),
            (&Value::Null, &Value::Null),
            "nobody has said so yet"
        );
        send(world, 0..8).await;
        all_confirmed(world, 8).await;

        ages(world, 100).await;
        done(world, SCHEDULE, json!({"id": id, "s": {"followAdvice": true}})).await;
        send(world, 8..16).await;
        let both = comes_to(world, id, "OVERLAPPING").await;
        assert_eq!(
            both["sentence"],
            "The new secret of Books is used. The old one still works, and is used again if the new one is refused."
        );
        assert!(is_let_in(books, "made-up-key").await, "the old one still works");
        let now = health(&world.acme.client, id).await;
        assert_eq!(
            (&now["secretAgeDays"], &now["rotation"]["everyDays"], &now["rotation"]["overlapHours"]),
            (&json!(0), &json!(90), &json!(24))
        );
        send(world, 16..24).await;
        all_confirmed(world, 24).await;
        assert!(keys(books).len() == 2 && keys(books)[1].starts_with("crossdock-"), "{:?}", keys(books));

        overlap_ends(world).await;
        send(world, 24..32).await;
        comes_to(world, id, "RETIRED").await;
        send(world, 32..40).await;
        all_confirmed(world, 40).await;
        assert!(keys(books).len() == 1 && keys(books)[0].starts_with("crossdock-"), "{:?}", keys(books));
        assert!(!is_let_in(books, "made-up-key").await, "the old one is over");

        let mut database = world.platform.database.connect().await.unwrap();
        assert_eq!(
            number(&mut database, "SELECT count(*) FROM attempts WHERE outcome IS DISTINCT FROM 'stored'").await,
            0,
            "no call failed"
        );
        assert_eq!(number(&mut database, "SELECT count(*) FROM incidents").await, 0, "nobody had to be told");
        let steps: Vec<String> = sqlx::query_scalar(
            "SELECT action FROM audit_events WHERE action LIKE 'rotation.%' AND action <> 'rotation.called' ORDER BY id",
        )
        .fetch_all(&mut database)
        .await
        .unwrap();
        let expected =
            ["scheduled", "begun", "secret_kept", "accepted", "overlap_over", "retired"].map(|step| format!("rotation.{step}"));
        assert_eq!(steps, expected);
        assert!(
            number(&mut database, "SELECT count(*) FROM audit_events WHERE action = 'rotation.called'").await >= 5,
            "each call is told"
        );
        assert_eq!(number(&mut database, "SELECT count(*) FROM credentials WHERE state IN ('draft', 'retiring')").await, 0);

        // The next time, the key that is to go is known by its id.
        done(world, BEGIN, json!({"id": id})).await;
        comes_to(world, id, "OVERLAPPING").await;
        overlap_ends(world).await;
        comes_to(world, id, "RETIRED").await;
        assert_eq!((keys(books).len(), calls(books, "rotation.create")), (1, 2));
        send(world, 40..44).await;
        all_confirmed(world, 44).await;
        assert_secret(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_at_any_call_leaves_no_key_behind_and_no_connection_without_one() {
    let options = Options { all_in_one: false, ..patient() };
    if options.amqp_url.is_none() {
        return println!("no worker is killed: there is no RabbitMQ");
    }
    with_books(options, async |world, books, id| {
        // Each of these was done at the vendor, and its answer came to nobody.
        let deaths = ["rotation.list", "rotation.create", "rotation.create", "rotation.retire", "probe"];
        for (n, operation) in deaths.into_iter().enumerate() {
            books.served.simulator().fail(fails(operation, 1), Fault::HangAfterCommit);
            let before = calls(books, operation);
            // Whoever lives keeps its lease: taken from it in the middle of its work, two would work side by side.
            if n == 0 {
                done(world, BEGIN, json!({"id": id})).await;
            } else {
                lease_ends(world).await;
            }
            called(books, operation, before).await;
            world.platform.kill_worker().await.unwrap();
            assert!(keys(books).len() <= 2, "{:?}", keys(books));
            world.platform.start_worker().await.unwrap();
        }
        assert_eq!(calls(books, "rotation.create"), 3, "two that nobody kept, and the one that is being tried");
        lease_ends(world).await;
        comes_to(world, id, "OVERLAPPING").await;
        assert_eq!(keys(books).len(), 2, "what broken tries had left was removed");
        // A new secret is probed at once by upkeep, too: the probe that hangs next is to be the rotation's.
        let mut database = world.platform.database.connect().await.unwrap();
        let probed =
            "SELECT count(*) FROM connection_probes p JOIN connections c ON c.id = p.connection_id WHERE c.connector = 'tarn-books' AND p.due_at > now()";
        eventually("the new secret is probed", async || (number(&mut database, probed).await == 1).then_some(())).await;
        for (n, operation) in ["probe", "rotation.list", "rotation.retire"].into_iter().enumerate() {
            books.served.simulator().fail(fails(operation, 1), Fault::HangAfterCommit);
            let before = calls(books, operation);
            if n == 0 {
                overlap_ends(world).await;
            } else {
                lease_ends(world).await;
            }
            called(books, operation, before).await;
            world.platform.kill_worker().await.unwrap();
            world.platform.start_worker().await.unwrap();
        }
        lease_ends(world).await;
        comes_to(world, id, "RETIRED").await;
        assert!(keys(books).len() == 1 && keys(books)[0].starts_with("crossdock-"), "{:?}", keys(books));
        send(world, 0..3).await;
        all_confirmed(world, 3).await;
        assert_secret(world).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_makes_no_secret_is_told_of_with_its_reason_and_the_old_one_is_used_on() {
    with_books(patient(), async |world, books, id| {
        // Somebody else has a second key there, which is as many as the vendor holds.
        let other = SecretFields([("key".to_owned(), "another-application".into())].into());
        books.served.simulator().key_add("the till", other);
        done(world, BEGIN, json!({"id": id})).await;
        let failed = comes_to(world, id, "FAILED").await;
        assert_eq!(
            failed["reason"],
            "Tarn Books made no new secret, and the old one is used on: Books: Tarn Books makes no more keys: An account has 2 keys at most."
        );
        assert_eq!((&failed["owner"], &failed["nextStep"]), (&json!("developer"), &json!("Remove a key there that nobody uses.")));
        let told = health(&world.acme.client, id).await["connection"]["incidents"][0].clone();
        assert_eq!((&told["kind"], &told["owner"]), (&json!("ROTATION"), &json!("developer")), "{told}");
        assert!(told["code"].as_str().unwrap().starts_with("rotation.conflict."), "{told}");
        assert_eq!(keys(books), ["made by hand", "the till"], "what is somebody else's stays");
        send(world, 0..3).await;
        all_confirmed(world, 3).await;

        // Mended there: the next one is begun, and the incident is over.
        books.served.simulator().key_remove("the till");
        done(world, BEGIN, json!({"id": id})).await;
        comes_to(world, id, "OVERLAPPING").await;
        assert_eq!(health(&world.acme.client, id).await["connection"]["incidents"], json!([]));
        assert!(refused(world, BEGIN, json!({"id": id})).await.contains("being exchanged already"));
        assert!(refused(world, CANCEL, json!({"id": id})).await.contains("does not stand where that could be said"));
        assert!(refused(world, ENTER, json!({"id": id, "s": {"key": "x"}})).await.contains("exchanged by itself"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_that_is_refused_is_not_used_or_not_any_longer_and_no_order_is_lost_with_it() {
    with_books(patient(), async |world, books, id| {
        // The vendor makes one that it does not take.
        books.served.simulator().fail(fails("probe", 100), Fault::Class(FaultClass::Authentication));
        done(world, BEGIN, json!({"id": id})).await;
        let failed = eventually("it is given up", async || {
            time_passes(world).await;
            let newest = health(&world.acme.client, id).await["rotation"]["newest"].clone();
            (newest["state"] == "FAILED").then_some(newest)
        })
        .await;
        let reason = failed["reason"].as_str().unwrap();
        assert!(
            reason.starts_with(
                "The new secret of Books was not taken, and the old one is used on: Books: Tarn Books refused the key"
            ),
            "{reason}"
        );
        assert_eq!(keys(books), ["made by hand"], "the one that is not used was removed");
        books.served.simulator().reset();
        send(world, 0..3).await;
        all_confirmed(world, 3).await;

        // The next one is taken, and refused while both stand.
        done(world, BEGIN, json!({"id": id})).await;
        comes_to(world, id, "OVERLAPPING").await;
        let new = keys(books)[1].clone();
        books.served.simulator().key_remove(&new);
        send(world, 3..8).await;
        let failed = eventually("the old one is used again", async || {
            time_passes(world).await;
            let newest = health(&world.acme.client, id).await["rotation"]["newest"].clone();
            (newest["state"] == "FAILED").then_some(newest)
        })
        .await;
        let reason = failed["reason"].as_str().unwrap();
        assert!(reason.starts_with("The new secret of Books is refused, and the old one is used again: Books: "), "{reason}");
        all_confirmed(world, 8).await;
        let mut database = world.platform.database.connect().await.unwrap();
        assert_eq!(number(&mut database, "SELECT count(*) FROM exceptions").await, 0, "nobody had to retry an order");
        assert_secret(world).await;

        // Whoever stores one by hand in the middle of an exchange ends it.
        done(world, BEGIN, json!({"id": id})).await;
        comes_to(world, id, "OVERLAPPING").await;
        let replace =
            "mutation($id: ID!, $c: JSON!) { credentialReplace(connectionId: $id, credential: $c) { userErrors { message } } }";
        done(world, replace, json!({"id": id, "c": books.credential})).await;
        comes_to(world, id, "FAILED").await;
        send(world, 8..10).await;
        all_confirmed(world, 10).await;
        assert_eq!(number(&mut database, "SELECT count(*) FROM credentials WHERE state IN ('draft', 'retiring')").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_workers_that_look_at_once_make_one_exchange() {
    with_books(Options { workers: 2, ..patient() }, async |world, books, id| {
        // Twenty look at the same moment, by as many connections as a test may have: one is given the work.
        let store = Store::connect(&world.platform.database.app_url, 6).await.unwrap();
        ages(world, 100).await;
        done(world, SCHEDULE, json!({"id": id, "s": {"everyDays": 365}})).await;
        sql(world, "UPDATE rotation_schedules SET wake_at = now()").await;
        let taken = join_all((0..20).map(|_| store.rotations_take(4, 1.0))).await;
        let by_us: usize = taken.into_iter().map(|taken| taken.unwrap().len()).sum();
        assert!(by_us <= 1, "{by_us} have it");
        // And the processes that work make one of it, as often as they are woken.
        done(world, SCHEDULE, json!({"id": id, "s": {"followAdvice": true}})).await;
        for _ in 0..20 {
            time_passes(world).await;
        }
        comes_to(world, id, "OVERLAPPING").await;
        assert_eq!((calls(books, "rotation.create"), keys(books).len()), (1, 2));
        store.close().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_led_through_an_exchange_and_the_new_secret_is_tried_before_it_is_used() {
    with_desk(async |world, desk, id| {
        let client = world.acme.client.clone();
        done(world, SCHEDULE, json!({"id": id, "s": {"everyDays": 180}})).await;
        ages(world, 160).await;
        done(world, SCHEDULE, json!({"id": id, "s": {"followAdvice": true}})).await;
        let told = eventually("somebody is told in time", async || {
            let health = health(&client, id).await;
            (health["connection"]["incidents"] != json!([])).then_some(health)
        })
        .await;
        let incident = &told["connection"]["incidents"][0];
        assert_eq!(
            (&incident["kind"], &incident["code"], &incident["owner"]),
            (&json!("ROTATION"), &json!("upkeep.rotation"), &json!("developer"))
        );
        assert!(incident["sentence"].as_str().unwrap().starts_with("The secret of Desk is to be exchanged by "), "{incident}");
        assert_eq!((&told["secretAgeDays"], &told["rotation"]["way"]), (&json!(160), &json!("GUIDED")));
        let guide = &told["rotation"]["guide"];
        assert_eq!(guide["secrets"], json!([{"name": "client_secret", "title": "Secret"}]));
        assert_eq!(
            (guide["steps"].as_array().unwrap().len(), &guide["page"]),
            (2, &json!("https://harbor-desk.example/settings/clients"))
        );

        // What is wrong is said before anything is exchanged.
        let enter = |secret: &str| json!({"id": id, "s": {"client_secret": secret}});
        assert!(refused(world, ENTER, enter("made-up-client_secret")).await.contains("used already"));
        assert!(
            refused(world, ENTER, json!({"id": id, "s": {"client_id": "x"}}))
                .await
                .contains("only client_secret is exchanged here")
        );
        let why = refused(world, ENTER, enter("mistyped-by-somebody")).await;
        assert!(why.starts_with("The new secret of Desk was not taken, and the old one is used on: Desk: "), "{why}");
        let still = health(&client, id).await["rotation"]["newest"].clone();
        assert_eq!(
            (&still["state"], &still["sentence"]),
            (&json!("DUE"), &json!("A new secret of Desk is to be made at Harbor Desk."))
        );
        let test = "mutation($id: ID!) { connectionTest(id: $id) { probe { state } userErrors { code } } }";
        assert_eq!(done(world, test, json!({"id": id})).await["probe"]["state"], "WORKS", "the old one is used on");

        // The one that the vendor made is taken, and both stand.
        let both = [("client_id".to_owned(), "made-up-client_id".into()), ("client_secret".to_owned(), "the-new-secret".into())];
        desk.served.simulator().key_add("by hand", SecretFields(both.into()));
        let entered = done(world, ENTER, enter("the-new-secret")).await;
        assert_eq!(entered["health"]["rotation"]["newest"]["state"], "OVERLAPPING");
        eventually("nobody is told any more", async || {
            (health(&client, id).await["connection"]["incidents"] == json!([])).then_some(())
        })
        .await;
        assert_eq!(done(world, test, json!({"id": id})).await["probe"]["state"], "WORKS");

        // When both have stood for long enough, a person is asked to remove the old one, and says so.
        overlap_ends(world).await;
        let removing = comes_to(world, id, "REMOVING").await;
        let step = "Press Remove beside the older secret at Harbor Desk. Then open the connection and say that it is removed.";
        assert_eq!((&removing["nextStep"], &removing["owner"]), (&json!(step), &json!("developer")));
        assert_eq!(health(&client, id).await["connection"]["incidents"][0]["kind"], "ROTATION");
        desk.served.simulator().key_remove("made by hand");
        done(world, CONFIRM, json!({"id": id})).await;
        let over = health(&client, id).await;
        assert_eq!((&over["rotation"]["newest"]["state"], &over["connection"]["incidents"]), (&json!("RETIRED"), &json!([])));
        assert_eq!(done(world, test, json!({"id": id})).await["probe"]["state"], "WORKS");
        assert!(refused(world, CONFIRM, json!({"id": id})).await.contains("does not stand where that could be said"));
        assert_secret(world).await;

        // One that was begun by mistake is taken back; and what is another's cannot be found.
        done(world, BEGIN, json!({"id": id})).await;
        done(world, CANCEL, json!({"id": id})).await;
        comes_to(world, id, "FAILED").await;
        let globex = client.tenant_create("globex").await.unwrap();
        let globex = client.clone().of_tenant(&globex);
        for (mutation, variables) in [
            (SCHEDULE, json!({"id": id, "s": {"everyDays": 30}})),
            (BEGIN, json!({"id": id})),
            (ENTER, enter("the-newest-secret")),
            (CONFIRM, json!({"id": id})),
            (CANCEL, json!({"id": id})),
        ] {
            let answer = globex.raw(mutation, variables).await.unwrap();
            let payload = answer["data"].as_object().unwrap().values().next().unwrap().clone();
            assert_eq!(payload["userErrors"][0]["code"], "NOT_FOUND", "{answer}");
        }
        assert!(refused(world, SCHEDULE, json!({"id": id, "s": {"everyDays": 731}})).await.contains("1 to 730 days"));
        assert!(
            refused(world, SCHEDULE, json!({"id": id, "s": {"everyDays": 7, "followAdvice": true}}))
                .await
                .contains("and not both")
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_that_stops_working_gives_way_to_the_old_one_in_the_guided_way_too() {
    with_desk(async |world, desk, id| {
        let both = [("client_id".to_owned(), "made-up-client_id".into()), ("client_secret".to_owned(), "the-new-secret".into())];
        desk.served.simulator().key_add("by hand", SecretFields(both.into()));
        let entered = done(world, ENTER, json!({"id": id, "s": {"client_secret": "the-new-secret"}})).await;
        assert_eq!(entered["health"]["rotation"]["newest"]["state"], "OVERLAPPING");
        desk.served.simulator().key_remove("by hand");
        desk.served.simulator().fail(fails("customer.list", 2), Fault::ExpireTokens);
        // The probe of every day finds that it does not answer any more.
        let test = "mutation($id: ID!) { connectionTest(id: $id) { probe { state } userErrors { code } } }";
        assert_eq!(done(world, test, json!({"id": id})).await["probe"]["state"], "FAILS");
        let failed = eventually("the old one is used again", async || {
            time_passes(world).await;
            let newest = health(&world.acme.client, id).await["rotation"]["newest"].clone();
            (newest["state"] == "FAILED").then_some(newest)
        })
        .await;
        assert!(
            failed["reason"].as_str().unwrap().starts_with("The new secret of Desk is refused, and the old one is used again"),
            "{failed}"
        );
        eventually("it answers", async || {
            (done(world, test, json!({"id": id})).await["probe"]["state"] == "WORKS").then_some(())
        })
        .await;
    })
    .await;
}
