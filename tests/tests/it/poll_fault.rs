//! A process that reads a source dies in each step of it: no change is lost, and none comes twice.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::json;

use crate::file::count;
use crate::file_fault::{Step, exchange, stop_at, wait_at};
use crate::poll::{Shop, first_read, poll};
use crate::{eventually, world};

const PATIENCE: Duration = Duration::from_secs(90);

/// More than two pages.
const ORDERS: usize = 250;

const READ: [Step; 5] = [
    Step { name: "a change is taken", on: "INSERT ON messages", when: "NEW.origin = 'poll'" },
    Step { name: "what was seen is written down", on: "INSERT ON poll_seen", when: "true" },
    Step { name: "the position moves", on: "UPDATE ON polls", when: "NEW.position IS DISTINCT FROM OLD.position" },
    Step { name: "a page is counted", on: "UPDATE ON polls", when: "NEW.listed > OLD.listed" },
    Step { name: "the read has ended", on: "UPDATE ON polls", when: "NEW.read_at IS DISTINCT FROM OLD.read_at" },
];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_in_any_step_of_a_read_the_next_one_goes_on_there() {
    world(async |world| {
        let shop = Shop::open(world).await;
        let day = shop.vendor.served.now() - TimeDelta::hours(2);
        // Seldom: a read that nobody asked for would come before the step that it is to die in.
        let id = shop.poll_every(world, Some(day - TimeDelta::hours(1)), 3_600).await;
        first_read(world).await;
        let mut database = world.platform.database.connect().await.unwrap();
        let look = "mutation($id: ID!) { pollResume(id: $id) { userErrors { message } } }";
        for (n, step) in READ.iter().enumerate() {
            let at = day + TimeDelta::minutes(10 * i64::try_from(n).unwrap());
            (n * ORDERS..(n + 1) * ORDERS)
                .for_each(|order| shop.order(order, "new", at + TimeDelta::seconds(i64::try_from(order % ORDERS / 50).unwrap())));
            stop_at(&mut database, step).await;
            world.acme.client.ask(look, json!({"id": id})).await.unwrap();
            wait_at(world, step).await;
            let before = poll(world).await["readAt"].clone();
            exchange(world, &mut database, step).await;
            // Its lease runs out by itself; nobody wants to wait for that here.
            sqlx::query("UPDATE polls SET lease_until = now(), due_at = now()").execute(&mut database).await.unwrap();
            eventually("the read ends", async || Some(poll(world).await).filter(|poll| poll["readAt"] != before)).await;
            let all = i64::try_from((n + 1) * ORDERS).unwrap();
            let ledger = world.acme.rest(all, PATIENCE).await.unwrap();
            assert_eq!(
                (ledger.accepted(), ledger.message("mapped"), ledger.duplicates),
                (all, all, 0),
                "{}: {ledger:?}",
                step.name
            );
            assert_eq!(count(world, "SELECT count(*) FROM records WHERE source_id LIKE 'O-%'").await, all, "{}", step.name);
        }
    })
    .await;
}

const BACKFILL: [Step; 4] = [
    Step { name: "it is estimated", on: "UPDATE ON backfills", when: "NEW.state = 'ready' AND OLD.state = 'preparing'" },
    Step { name: "a page is taken", on: "UPDATE ON backfills", when: "NEW.brought > OLD.brought AND OLD.brought = 0" },
    Step { name: "the next page is taken", on: "UPDATE ON backfills", when: "NEW.brought > OLD.brought AND OLD.brought > 0" },
    Step { name: "it is done", on: "UPDATE ON backfills", when: "NEW.state = 'done'" },
];

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_in_any_step_of_a_backfill_the_next_one_goes_on_there() {
    world(async |world| {
        let shop = Shop::open(world).await;
        let client = world.acme.client.clone();
        let day = shop.vendor.served.now() - TimeDelta::days(2);
        let mut database = world.platform.database.connect().await.unwrap();
        let prepare =
            "mutation($i: BackfillPrepareInput!) { backfillPrepare(input: $i) { backfill { id } userErrors { message } } }";
        let query = "query($id: ID!) { backfill(id: $id) { state brought failure } }";
        let run = "mutation($id: ID!) { backfillRun(id: $id) { userErrors { message } } }";
        for (n, step) in BACKFILL.iter().enumerate() {
            let since = day + TimeDelta::hours(i64::try_from(n).unwrap());
            (n * ORDERS..(n + 1) * ORDERS).for_each(|order| {
                shop.order(order, "of old", since + TimeDelta::seconds(i64::try_from(order % ORDERS).unwrap()))
            });
            let until = since + TimeDelta::hours(1);
            let input = json!({"connectionId": shop.connection, "recordKind": "order", "since": since, "until": until});
            if n == 0 {
                stop_at(&mut database, step).await;
            }
            let data = client.ask(prepare, json!({"i": input})).await.unwrap();
            let id = data["backfillPrepare"]["backfill"]["id"].as_str().unwrap().to_owned();
            let look = async || client.ask(query, json!({"id": id})).await.unwrap()["backfill"].clone();
            let is =
                async |state: &str| eventually(state, async || Some(look().await).filter(|found| found["state"] == state)).await;
            if n > 0 {
                is("ready").await;
                stop_at(&mut database, step).await;
                client.ask(run, json!({"id": id})).await.unwrap();
            }
            wait_at(world, step).await;
            exchange(world, &mut database, step).await;
            sqlx::query("UPDATE backfills SET lease_until = now(), due_at = now()").execute(&mut database).await.unwrap();
            if n == 0 {
                is("ready").await;
                client.ask(run, json!({"id": id})).await.unwrap();
            }
            let done = is("done").await;
            assert_eq!((&done["brought"], &done["failure"]), (&json!(ORDERS), &json!(null)), "{}: {done}", step.name);
            let all = i64::try_from((n + 1) * ORDERS).unwrap();
            world.acme.rest(all, PATIENCE).await.unwrap();
            assert_eq!(count(world, "SELECT count(*) FROM records WHERE source_id LIKE 'O-%'").await, all, "{}", step.name);
            assert_eq!(
                count(world, "SELECT max(revision)::bigint FROM records WHERE source_id LIKE 'O-%'").await,
                1,
                "{}",
                step.name
            );
        }
    })
    .await;
}
