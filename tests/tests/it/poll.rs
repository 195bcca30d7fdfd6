//! Polls: what a source lists comes here, each change once, whoever dies meanwhile; what webhooks missed is found and told.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::record::RecordKind;
use domain::value::{Limits, Value as Document};
use serde_json::{Value, json};
use tests::platform::Options;
use tests::vendor::Vendor;
use uuid::Uuid;

use crate::file::moment;
use crate::file_fault::{Step, pass_on, stop_at, wait_at};
use crate::{World, eventually, world, world_with};

const PATIENCE: Duration = Duration::from_secs(90);

const SET: &str = "mutation($i: PollSetInput!) { pollSet(input: $i) { poll { id } userErrors { field code message } } }";
const POLLS: &str =
    "{ polls { nodes { id recordKind state begunAt readAt listed brought missedByWebhooks failures failure seenUntil } } }";

/// A shop that sends no webhooks.
pub struct Shop {
    pub vendor: Vendor,
    pub connection: String,
}

impl Shop {
    pub async fn open(world: &World) -> Self {
        let vendor = Vendor::of_catalog("http", &["authorization"]).await;
        let (connection, _) = world
            .acme
            .client
            .connection_create("http", "Own shop", vendor.settings.clone(), vendor.credential.clone())
            .await
            .unwrap();
        Self { vendor, connection }
    }

    /// An order as a person at the shop makes or changes it.
    pub fn order(&self, n: usize, note: &str, at: DateTime<Utc>) {
        self.order_called(&format!("O-{n}"), &format!("#{n}"), note, at);
    }

    fn order_called(&self, id: &str, number: &str, note: &str, at: DateTime<Utc>) {
        let order = json!({
            "source_id": id, "number": number, "status": "open", "currency": "EUR", "note": note,
            "lines": [{"source_id": "1", "sku": "HAT", "quantity": "1", "unit_price": "10.00"}],
            "taxes_included": false, "totals": {"grand": "10.00"},
        });
        let order = Document::parse(order.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
        self.vendor.served.simulator().put_record(RecordKind::Order, order, at);
    }

    /// Seldom: of a read that nobody asked for the test would not know what it brought.
    async fn poll(&self, world: &World, since: Option<DateTime<Utc>>) -> String {
        self.poll_every(world, since, 3_600).await
    }

    pub async fn poll_every(&self, world: &World, since: Option<DateTime<Utc>>, every_s: u32) -> String {
        let input = json!({"connectionId": self.connection, "recordKind": "order", "everyS": every_s, "since": since});
        let data = world.acme.client.ask(SET, json!({"i": input})).await.unwrap();
        data["pollSet"]["poll"]["id"].as_str().unwrap().to_owned()
    }
}

pub async fn poll(world: &World) -> Value {
    world.acme.client.ask(POLLS, json!({})).await.unwrap()["polls"]["nodes"][0].clone()
}

/// Waits until the first read has come to its end.
pub async fn first_read(world: &World) -> Value {
    eventually("the first read ends", async || Some(poll(world).await).filter(|poll| poll["readAt"].is_string())).await
}

/// Reads now, and waits until a read has come to its end.
async fn read(world: &World, id: &str) -> Value {
    let before = poll(world).await;
    let resume = "mutation($id: ID!) { pollResume(id: $id) { userErrors { message } } }";
    world.acme.client.ask(resume, json!({"id": id})).await.unwrap();
    read_since(world, &before).await
}

/// Waits until a read that began since has come to its end.
async fn read_since(world: &World, before: &Value) -> Value {
    let is_over = |poll: &Value| poll["begunAt"] != before["begunAt"] && moment(&poll["readAt"]) > moment(&poll["begunAt"]);
    eventually("the source is read", async || Some(poll(world).await).filter(is_over)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_comes_once_however_many_share_a_moment_or_come_late() {
    world(async |world| {
        let shop = Shop::open(world).await;
        let day = shop.vendor.served.now() - TimeDelta::hours(1);
        // More of one moment than a page holds.
        (0..250).for_each(|n| shop.order(n, "new", day));
        let id = shop.poll(world, Some(day - TimeDelta::hours(1))).await;
        world.acme.rest(250, PATIENCE).await.unwrap();
        let first = first_read(world).await;
        assert_eq!((&first["listed"], &first["brought"]), (&json!(250), &json!(250)), "{first}");
        // Nothing changed: nothing comes, although the vendor is asked for what overlaps.
        let second = read(world, &id).await;
        assert_eq!((&second["brought"], &second["failures"]), (&json!(0), &json!(0)), "{second}");

        // A change, a new one, and one that was written late with a time before the last that was seen.
        shop.order(3, "changed", day + TimeDelta::minutes(2));
        shop.order(300, "new", day + TimeDelta::minutes(2));
        assert_eq!(read(world, &id).await["brought"], 2);
        shop.order(301, "late", day + TimeDelta::seconds(90));
        assert_eq!(read(world, &id).await["brought"], 1);
        let ledger = world.acme.rest(253, PATIENCE).await.unwrap();
        assert_eq!(ledger.message("mapped"), 253, "{ledger:?}");
        assert_eq!(ledger.duplicates, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_whose_id_cannot_be_kept_stops_no_other_and_is_told_once() {
    world(async |world| {
        let shop = Shop::open(world).await;
        let day = shop.vendor.served.now() - TimeDelta::hours(1);
        shop.order(1, "new", day);
        shop.order_called(&"9".repeat(201), "#2", "of a long id", day + TimeDelta::seconds(1));
        shop.order(3, "new", day + TimeDelta::seconds(2));
        let id = shop.poll(world, Some(day - TimeDelta::hours(1))).await;
        let ledger = world.acme.rest(3, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.message("exception")), (2, 1), "{ledger:?}");
        first_read(world).await;
        let second = read(world, &id).await;
        assert_eq!((&second["brought"], &second["failures"]), (&json!(0), &json!(0)), "{second}");
        let mut database = world.platform.database.connect().await.unwrap();
        let stopped = "SELECT e.sentence FROM exceptions e JOIN messages m ON m.id = e.message_id WHERE m.source_id IS NULL";
        let told: Vec<String> = sqlx::query_scalar(stopped).fetch_all(&mut database).await.unwrap();
        assert!(told.len() == 1 && told[0].contains("longer than 200 bytes"), "{told:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_between_pages_neither_loses_nor_doubles_a_record() {
    world(async |world| {
        let shop = Shop::open(world).await;
        let day = shop.vendor.served.now() - TimeDelta::hours(1);
        (0..2_000).for_each(|n| shop.order(n, "new", day + TimeDelta::milliseconds(i64::try_from(n).unwrap() * 700)));
        shop.poll_every(world, Some(day - TimeDelta::hours(1)), 30).await;
        let mut database = world.platform.database.connect().await.unwrap();
        let count = "SELECT count(*) FROM messages";
        for pages in [300, 900, 1_500] {
            loop {
                if sqlx::query_scalar::<_, i64>(count).fetch_one(&mut database).await.unwrap() >= pages {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if world.platform.options.all_in_one {
                world.platform.kill_api().await.unwrap();
                world.platform.start_api().await.unwrap();
            } else {
                world.platform.kill_worker().await.unwrap();
                world.platform.start_worker().await.unwrap();
            }
            // Its lease runs out by itself; nobody wants to wait for that here.
            sqlx::query("UPDATE polls SET lease_until = now()").execute(&mut database).await.unwrap();
        }
        let ledger = world.acme.rest(2_000, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.duplicates), (2_000, 0), "{ledger:?}");
        eventually("the read ends", async || Some(poll(world).await).filter(|poll| poll["readAt"].is_string())).await;
        let records: i64 = sqlx::query_scalar("SELECT count(*) FROM records").fetch_one(&mut database).await.unwrap();
        let messages: i64 = sqlx::query_scalar(count).fetch_one(&mut database).await.unwrap();
        assert_eq!((records, messages), (2_000, 2_000));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_webhooks_missed_is_found_in_one_sweep_and_told() {
    world(async |world| {
        let shop = Shop::open(world).await;
        let now = shop.vendor.served.now();
        let id = shop.poll(world, Some(now - TimeDelta::hours(2))).await;
        first_read(world).await;
        // Ten minutes ago, and no webhook came; the last one may still come.
        (0..20).for_each(|n| shop.order(n, "dropped", now - TimeDelta::minutes(10)));
        shop.order(20, "on its way", now);
        let swept = read(world, &id).await;
        assert_eq!((&swept["brought"], &swept["missedByWebhooks"]), (&json!(21), &json!(20)), "{swept}");
        let ledger = world.acme.rest(21, PATIENCE).await.unwrap();
        assert_eq!(ledger.message("mapped"), 21);
        let mut database = world.platform.database.connect().await.unwrap();
        let told =
            "SELECT count(*) FROM audit_events WHERE action = 'message.received' AND detail LIKE '%\"missed_by_webhook\":true%'";
        assert_eq!(sqlx::query_scalar::<_, i64>(told).fetch_one(&mut database).await.unwrap(), 20);
        let calls: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_events WHERE action = 'poll.read'")
            .fetch_one(&mut database)
            .await
            .unwrap();
        let seen = shop.vendor.served.simulator().calls().len();
        assert_eq!(usize::try_from(calls).unwrap(), seen, "the audit has every call");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_person_or_for_its_turn_is_brought_again_only_where_it_may_be_of_a_change_before() {
    world(async |world| {
        let shop = Shop::open(world).await;
        let since = shop.vendor.served.now() - TimeDelta::hours(2);
        shop.order(5, "told as it is listed", since + TimeDelta::hours(1));
        let id = shop.poll(world, Some(since)).await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        first_read(world).await;
        let mut database = world.platform.database.connect().await.unwrap();
        // As a webhook would have brought it, and nobody could read it.
        for waits in ["UPDATE messages SET state = 'exception'", "UPDATE records SET source_updated_at = NULL"] {
            sqlx::query(waits).execute(&mut database).await.unwrap();
        }
        let now = shop.vendor.served.now();
        // Told nine minutes ago, and none of them is a record. The first could not be asked for: nobody does before a person retries it.
        for (n, state, is_thin) in
            [(0, "exception", true), (1, "received", true), (2, "ignored", true), (3, "exception", true), (4, "received", false)]
        {
            let told = "INSERT INTO messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, body, state, thin, received_at, sweep_at)
                        SELECT $1, tenant_id, connection_id, 'webhook', 'order', $2, 'order', $2, '', $3, $4, now() - interval '9 minutes', now() + interval '1 hour'
                        FROM polls";
            let told = sqlx::query(told).bind(Uuid::now_v7()).bind(format!("O-{n}")).bind(state).bind(is_thin);
            told.execute(&mut database).await.unwrap();
        }
        (0..3).for_each(|n| shop.order(n, "told", now - TimeDelta::minutes(10)));
        shop.order(3, "changed since", now - TimeDelta::minutes(8));
        // Of a whole message nobody knows yet whether it is of this change or of one before it.
        shop.order(4, "perhaps of before", now - TimeDelta::minutes(10));
        // From then on, everything is looked at anew, and at once.
        let before = poll(world).await;
        assert_eq!(shop.poll(world, Some(since)).await, id);
        let swept = read_since(world, &before).await;
        assert_eq!((&swept["brought"], &swept["missedByWebhooks"]), (&json!(4), &json!(2)), "{swept}");
        let brought = "SELECT array_agg(source_id ORDER BY source_id) FROM messages WHERE origin = 'poll'";
        let brought: Vec<String> = sqlx::query_scalar(brought).fetch_one(&mut database).await.unwrap();
        assert_eq!(brought, ["O-0", "O-2", "O-3", "O-4", "O-5"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_cannot_be_listed_is_one_incident_and_goes_on_by_itself() {
    world(async |world| {
        use connectors::simulator::{Fault, FaultMatcher};
        let client = world.acme.client.clone();
        let shop = Shop::open(world).await;
        let now = shop.vendor.served.now();
        shop.order(1, "new", now - TimeDelta::minutes(20));
        shop.vendor.served.simulator().fail(FaultMatcher::next("order.list").times(4), Fault::Status(503));
        let id = shop.poll(world, Some(now - TimeDelta::hours(1))).await;
        let mut database = world.platform.database.connect().await.unwrap();
        for failures in 1..=4 {
            eventually("a read fails", async || Some(poll(world).await).filter(|poll| poll["failures"] == failures)).await;
            let open = "{ incidents { nodes { operation owner sentence nextStep probes } } }";
            let incidents = client.ask(open, json!({})).await.unwrap()["incidents"]["nodes"].clone();
            // Two are passing; the third is told, once.
            assert_eq!(incidents.as_array().unwrap().len(), usize::from(failures >= 3), "{incidents}");
            if failures == 4 {
                assert_eq!((&incidents[0]["operation"], &incidents[0]["owner"]), (&json!("order.list"), &json!("vendor")));
                assert_eq!(incidents[0]["probes"], 1);
                assert!(incidents[0]["sentence"].as_str().unwrap().starts_with("Own shop could not be listed: "), "{incidents}");
            }
            sqlx::query("UPDATE polls SET due_at = now()").execute(&mut database).await.unwrap();
        }
        world.acme.rest(1, PATIENCE).await.unwrap();
        let read = eventually("the read ends", async || Some(poll(world).await).filter(|poll| poll["failures"] == 0)).await;
        assert_eq!((&read["brought"], &read["failure"]), (&json!(1), &json!(null)), "{read}");
        let incidents = client.ask("{ incidents { nodes { id } } }", json!({})).await.unwrap();
        assert_eq!(incidents["incidents"]["nodes"], json!([]));

        // Paused, nothing is read; another tenant knows nothing of it.
        let pause = "mutation($id: ID!) { pollPause(id: $id) { poll { state } userErrors { code } } }";
        assert_eq!(client.ask(pause, json!({"id": id})).await.unwrap()["pollPause"]["poll"]["state"], "paused");
        let other = world.platform.sign_in().await.unwrap();
        let tenant = other.tenant_create("globex").await.unwrap();
        let other = other.of_tenant(&tenant);
        let refused = other.raw(pause, json!({"id": id})).await.unwrap();
        assert_eq!(refused["data"]["pollPause"]["userErrors"][0]["code"], "NOT_FOUND", "{refused}");
        for (field, input) in [
            (
                "connectionId",
                json!({"connectionId": "con_00000000000000000000000000000000", "recordKind": "order", "everyS": 60}),
            ),
            ("recordKind", json!({"connectionId": shop.connection, "recordKind": "ordre", "everyS": 60})),
            ("everyS", json!({"connectionId": shop.connection, "recordKind": "order", "everyS": 5})),
        ] {
            let refused = client.raw(SET, json!({"i": input})).await.unwrap();
            assert_eq!(refused["data"]["pollSet"]["userErrors"][0]["field"], json!(["input", field]), "{refused}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_rates_is_fed_from_a_connection_and_the_same_rates_again_are_no_version() {
    world_with(Options { has_own_connectors: true, ..Options::default() }, async |world| {
        let client = &world.acme.client;
        let bank = Vendor::start("tarn-bank").await;
        let (connection, _) =
            client.connection_create("tarn-bank", "Bank", bank.settings.clone(), bank.credential.clone()).await.unwrap();
        let table = "mutation { lookupTableCreate(name: \"Rates\", kind: RATES) { lookupTable { id } userErrors { message } } }";
        let data = client.ask(table, json!({})).await.unwrap();
        let table = data["lookupTableCreate"]["lookupTable"]["id"].as_str().unwrap().to_owned();
        let mut database = world.platform.database.connect().await.unwrap();
        let set = "mutation($i: RateFeedSetInput!) { rateFeedSet(input: $i) { poll { id recordKind lookupTableId } userErrors { field message } } }";
        let fed = client.ask(set, json!({"i": {"lookupTableId": table, "connectionId": connection}})).await.unwrap();
        let poll = fed["rateFeedSet"]["poll"].clone();
        assert_eq!((&poll["recordKind"], &poll["lookupTableId"]), (&json!("rates"), &json!(table)));
        let polls = "{ polls { nodes { readAt listed brought failures failure } } }";
        let read = eventually("the rates are read", async || {
            let poll = client.ask(polls, json!({})).await.ok()?["polls"]["nodes"][0].clone();
            (poll["readAt"].is_string() || poll["failure"].is_string()).then_some(poll)
        })
        .await;
        assert_eq!((&read["listed"], &read["brought"], &read["failure"]), (&json!(4), &json!(3), &json!(null)), "{read}");
        // One pair is of no currency: it is left out and holds no other up.
        let resume = "mutation($id: ID!) { pollResume(id: $id) { userErrors { message } } }";
        client.ask(resume, json!({"id": poll["id"]})).await.unwrap();
        eventually("they are read again", async || {
            let poll = client.ask(polls, json!({})).await.ok()?["polls"]["nodes"][0].clone();
            (poll["readAt"] != read["readAt"]).then_some(poll)
        })
        .await;
        let version: i64 = sqlx::query_scalar("SELECT version FROM lookup_tables WHERE name = 'Rates'").fetch_one(&mut database).await.unwrap();
        let rates: Vec<(String, String)> =
            sqlx::query_as("SELECT from_value, to_value FROM lookup_entries WHERE from_value LIKE 'EUR/%' ORDER BY from_value")
                .fetch_all(&mut database)
                .await
                .unwrap();
        assert_eq!(version, 2);
        assert_eq!(rates.first(), Some(&("EUR/GBP".to_owned(), "0.83105".to_owned())), "{rates:?}");

        let refused = client.raw(set, json!({"i": {"lookupTableId": table, "connectionId": world.acme.source}})).await.unwrap();
        assert_eq!(refused["data"]["rateFeedSet"]["userErrors"][0]["message"], "Acme shop publishes no exchange rates");
        let refused = client.raw(set, json!({"i": {"lookupTableId": world.acme.table, "connectionId": connection}})).await.unwrap();
        assert_eq!(refused["data"]["rateFeedSet"]["userErrors"][0]["field"], json!(["input", "lookupTableId"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_period_is_estimated_brought_page_by_page_paused_and_gone_on_with_after_a_crash() {
    world(async |world| {
        let client = world.acme.client.clone();
        let shop = Shop::open(world).await;
        let day = shop.vendor.served.now() - TimeDelta::days(2);
        (0..1_200).for_each(|n| shop.order(n, "of old", day + TimeDelta::seconds(i64::try_from(n).unwrap() * 30)));
        let prepare = "mutation($i: BackfillPrepareInput!) { backfillPrepare(input: $i) { backfill { id state estimate isExact } userErrors { field } } }";
        // The first half of the ten hours; the shop's clock has whole seconds.
        let until = day + TimeDelta::hours(5) - TimeDelta::seconds(10);
        let input = json!({"connectionId": shop.connection, "recordKind": "order", "since": day, "until": until});
        let data = client.ask(prepare, json!({"i": input})).await.unwrap();
        let id = data["backfillPrepare"]["backfill"]["id"].as_str().unwrap().to_owned();
        let query = "query($id: ID!) { backfill(id: $id) { state estimate isExact listed brought failures failure } }";
        let look = async || client.ask(query, json!({"id": id})).await.unwrap()["backfill"].clone();
        let ready = eventually("it is estimated", async || Some(look().await).filter(|found| found["state"] == "ready")).await;
        let estimate = ready["estimate"].as_i64().unwrap();
        assert!((500..=700).contains(&estimate) && ready["isExact"] == false, "{ready}");
        assert_eq!(client.ledger().await.unwrap().accepted(), 0, "nothing is brought before it is run");

        let act = async |what: &str| {
            let query = format!("mutation($id: ID!) {{ {what}(id: $id) {{ backfill {{ state }} userErrors {{ code message }} }} }}");
            client.raw(&query, json!({"id": id})).await.unwrap()["data"][what].clone()
        };
        assert_eq!(act("backfillPause").await["userErrors"][0]["code"], "BLOCKED");
        // The next page waits until the first one has come to rest: it does not before it is paused.
        let mut database = world.platform.database.connect().await.unwrap();
        let step = Step { name: "a page came", on: "UPDATE ON messages", when: "NEW.origin = 'backfill'" };
        stop_at(&mut database, &step).await;
        act("backfillRun").await;
        wait_at(world, &step).await;
        assert_eq!(act("backfillPause").await["backfill"]["state"], "paused");
        pass_on(&mut database).await;
        let paused = look().await["brought"].as_i64().unwrap();
        world.acme.rest(paused, PATIENCE).await.unwrap();
        assert!((100..600).contains(&paused), "{paused}");
        act("backfillRun").await;
        if world.platform.options.all_in_one {
            world.platform.kill_api().await.unwrap();
            world.platform.start_api().await.unwrap();
        } else {
            world.platform.kill_worker().await.unwrap();
            world.platform.start_worker().await.unwrap();
        }
        sqlx::query("UPDATE backfills SET lease_until = now()").execute(&mut database).await.unwrap();
        let done = eventually("it is done", async || Some(look().await).filter(|found| found["state"] == "done")).await;
        assert_eq!((&done["brought"], &done["failure"]), (&json!(600), &json!(null)), "{done}");
        let ledger = world.acme.rest(600, PATIENCE).await.unwrap();
        assert_eq!((ledger.message("mapped"), ledger.accepted()), (600, 600), "{ledger:?}");

        for input in [
            json!({"connectionId": shop.connection, "recordKind": "order"}),
            json!({"connectionId": shop.connection, "recordKind": "order", "since": until, "until": day}),
            json!({"connectionId": shop.connection, "recordKind": "order", "ids": []}),
            // Its contract has no way to ask for a single order.
            json!({"connectionId": shop.connection, "recordKind": "order", "ids": ["O-1"]}),
        ] {
            let refused = client.raw(prepare, json!({"i": input})).await.unwrap();
            assert_eq!(refused["data"]["backfillPrepare"]["userErrors"].as_array().unwrap().len(), 1, "{refused}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_asked_for_one_by_one_and_those_that_are_not_there_are_counted() {
    world_with(Options { has_own_connectors: true, ..Options::default() }, async |world| {
        let client = world.acme.client.clone();
        let desk = Vendor::start("harbor-desk").await;
        let (connection, _) =
            client.connection_create("harbor-desk", "Desk", desk.settings.clone(), desk.credential.clone()).await.unwrap();
        for id in [1, 2] {
            let order = json!({"id": id, "number": format!("A-{id}"), "total": "10.00", "version": 1, "status": "open"});
            let order = Document::parse(order.to_string().as_bytes(), &Limits::DEFAULT).unwrap();
            let now = desk.served.now();
            desk.served.simulator().put_record(RecordKind::Order, order, now);
        }
        let prepare = "mutation($i: BackfillPrepareInput!) { backfillPrepare(input: $i) { backfill { id state estimate isExact } userErrors { message } } }";
        let input = json!({"connectionId": connection, "recordKind": "order", "ids": ["1", "2", "2", "77"]});
        let found = client.ask(prepare, json!({"i": input})).await.unwrap()["backfillPrepare"]["backfill"].clone();
        assert_eq!((&found["state"], &found["estimate"], &found["isExact"]), (&json!("ready"), &json!(3), &json!(true)));
        let run = "mutation($id: ID!) { backfillRun(id: $id) { userErrors { message } } }";
        client.ask(run, json!({"id": found["id"]})).await.unwrap();
        let query = "query($id: ID!) { backfill(id: $id) { state listed brought missing failure } }";
        let done = eventually("it is done", async || {
            let backfill = client.ask(query, json!({"id": found["id"]})).await.unwrap()["backfill"].clone();
            (backfill["state"] == "done").then_some(backfill)
        })
        .await;
        assert_eq!((&done["listed"], &done["brought"], &done["missing"]), (&json!(2), &json!(2), &json!(1)), "{done}");
    })
    .await;
}
