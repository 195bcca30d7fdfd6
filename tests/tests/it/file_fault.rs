//! A process that reads a file dies after each step of it: no record is lost, and none comes twice.

use serde_json::json;
use sqlx::postgres::PgConnection;
use tests::sshd::Sshd;

use crate::file::{Inbox, PATIENCE, count, exceptions, files, orders};
use crate::{World, eventually, world};

/// Whoever holds it keeps the step from being committed.
const LOCK: i64 = 5_151;

/// A step of reading a file: the row that it changes, and when that is this step.
pub struct Step {
    pub name: &'static str,
    pub on: &'static str,
    pub when: &'static str,
}

const STEPS: [Step; 8] = [
    Step { name: "the file is noticed", on: "INSERT ON files", when: "true" },
    Step { name: "its bytes are known", on: "UPDATE ON files", when: "NEW.state = 'reading' AND OLD.state = 'noticed'" },
    Step { name: "its first records are taken", on: "UPDATE ON files", when: "NEW.position > 0 AND OLD.position = 0" },
    Step { name: "its next records are taken", on: "UPDATE ON files", when: "NEW.position > OLD.position AND OLD.position > 0" },
    Step { name: "a bad record is told", on: "INSERT ON exceptions", when: "true" },
    Step { name: "all of it is here", on: "UPDATE ON files", when: "NEW.state = 'read' AND OLD.state = 'reading'" },
    // It was moved to the archive before that.
    Step { name: "it is put away", on: "UPDATE ON files", when: "NEW.state = 'done'" },
    Step { name: "the look has ended", on: "UPDATE ON polls", when: "NEW.read_at IS DISTINCT FROM OLD.read_at" },
];

/// Stops whoever comes to a step in the middle of its transaction.
pub async fn stop_at(database: &mut PgConnection, step: &Step) {
    let trigger = format!(
        "CREATE OR REPLACE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN IF {} THEN PERFORM pg_advisory_xact_lock({LOCK}); END IF; RETURN NEW; END $$;
         CREATE OR REPLACE TRIGGER stop_here AFTER {} FOR EACH ROW EXECUTE FUNCTION stop_here()",
        step.when, step.on
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(trigger)).execute(&mut *database).await.unwrap();
    sqlx::query("SELECT pg_advisory_lock($1)").bind(LOCK).execute(&mut *database).await.unwrap();
}

/// Waits until somebody stands there.
pub async fn wait_at(world: &World, step: &Step) {
    let waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    eventually(step.name, async || (count(world, waits).await > 0).then_some(())).await;
}

/// Lets go of the step where others work on its table, which a trigger that is taken away would be locked for: it stays, and stops nobody.
pub async fn pass_on(database: &mut PgConnection) {
    let pass = "CREATE OR REPLACE FUNCTION stop_here() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$";
    sqlx::raw_sql(pass).execute(&mut *database).await.unwrap();
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK).execute(&mut *database).await.unwrap();
}

/// Lets go of the step: whose process is gone cannot commit.
pub async fn go_on(database: &mut PgConnection, step: &Step) {
    sqlx::query("SELECT pg_advisory_unlock($1)").bind(LOCK).execute(&mut *database).await.unwrap();
    // The trigger goes once the session of the dead has noticed.
    let table = step.on.split(' ').next_back().unwrap();
    let drop = format!("SET lock_timeout = '30s'; DROP TRIGGER stop_here ON {table}");
    sqlx::raw_sql(sqlx::AssertSqlSafe(drop)).execute(&mut *database).await.unwrap();
}

pub async fn kill(world: &mut World) {
    if world.platform.options.all_in_one {
        world.platform.kill_api().await.unwrap();
    } else {
        world.platform.kill_worker().await.unwrap();
    }
}

pub async fn restart(world: &mut World) {
    if world.platform.options.all_in_one {
        world.platform.start_api().await.unwrap();
    } else {
        world.platform.start_worker().await.unwrap();
    }
}

/// Kills whoever stands at the step, lets go of it, and starts another.
pub async fn exchange(world: &mut World, database: &mut PgConnection, step: &Step) {
    kill(world).await;
    go_on(database, step).await;
    restart(world).await;
}

/// Kills whoever reads the file in the middle of a step, so that nothing of the step is committed, and starts another.
pub async fn die_at(world: &mut World, database: &mut PgConnection, step: &Step, inbox: &Inbox) {
    stop_at(database, step).await;
    die_there(world, database, step, inbox).await;
}

/// The same where the step is stopped at already.
async fn die_there(world: &mut World, database: &mut PgConnection, step: &Step, inbox: &Inbox) {
    inbox.look(world).await;
    wait_at(world, step).await;
    exchange(world, database, step).await;
    // Its lease runs out by itself; nobody wants to wait for that here.
    sqlx::query("UPDATE polls SET lease_until = now(), due_at = now()").execute(&mut *database).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_dies_after_any_step_of_a_file_the_next_one_goes_on_there() {
    let sshd = Sshd::start();
    world(async |world| {
        let inbox = Inbox::of_server(world, &sshd, json!({"after": "archive", "archive": "done"})).await;
        inbox.looked(world).await;
        let mut database = world.platform.database.connect().await.unwrap();
        for (n, step) in STEPS.iter().enumerate() {
            // More than two pages, and one bad line in the second.
            let (begin, end) = (n * 2_000, n * 2_000 + 1_200);
            let text = format!("{}no order\n{}", orders(begin..begin + 700, "x"), orders(begin + 700..end, "x"));
            // Before the file is there: a look that nobody asked for might read it.
            stop_at(&mut database, step).await;
            inbox.put(&format!("orders-{n}.jsonl"), &text);
            die_there(world, &mut database, step, &inbox).await;
            let accepted = 1_201 * i64::try_from(n + 1).unwrap();
            let ledger = world.acme.rest(accepted, PATIENCE).await.unwrap();
            eventually("the file is done", async || {
                let done = files(world).await.iter().filter(|file| file["state"] == "done").count();
                (done == n + 1).then_some(())
            })
            .await;
            let bad = i64::try_from(n + 1).unwrap();
            assert_eq!((ledger.accepted(), ledger.message("exception")), (accepted, bad), "{}: {ledger:?}", step.name);
            assert_eq!(ledger.message("mapped"), accepted - bad, "{}: none came twice, none is missing", step.name);
            let records = count(world, "SELECT count(*) FROM records WHERE source_id LIKE 'F-%'").await;
            assert_eq!(records, accepted - bad, "{}", step.name);
            assert!(!inbox.folder.join(format!("orders-{n}.jsonl")).exists(), "{}", step.name);
            assert!(sshd.home().join(format!("done/orders-{n}.jsonl")).exists(), "{}", step.name);
        }
        assert_eq!(exceptions(world).await.len(), STEPS.len());
        assert!(exceptions(world).await.iter().all(|one| one["sentence"].as_str().unwrap().starts_with("Line 701 ")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_in_the_middle_costs_nothing_but_time() {
    let mut sshd = Sshd::start();
    world(async |world| {
        let inbox = Inbox::of_server(world, &sshd, json!({"after": "delete"})).await;
        inbox.looked(world).await;
        inbox.put("orders.jsonl", &orders(0..900, "x"));
        sshd.stop();
        inbox.look(world).await;
        let failed = async || Some(inbox.poll(world).await).filter(|poll| poll["failures"].as_i64() >= Some(1));
        eventually("the look fails", failed).await;
        sshd.start_again();
        inbox.looked(world).await;
        let ledger = world.acme.rest(900, PATIENCE).await.unwrap();
        assert_eq!((ledger.accepted(), ledger.message("mapped")), (900, 900), "{ledger:?}");
        assert_eq!(files(world).await[0]["state"], "done");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_exchanged_while_it_is_read_is_told_and_the_new_one_is_read() {
    let sshd = Sshd::start();
    world(async |world| {
        let inbox = Inbox::of_server(world, &sshd, json!({})).await;
        inbox.looked(world).await;
        let mut database = world.platform.database.connect().await.unwrap();
        inbox.put("orders.jsonl", &orders(0..1_200, "old"));
        // It dies with the first records taken, and the sender writes another version meanwhile.
        die_at(world, &mut database, &STEPS[3], &inbox).await;
        inbox.put("orders.jsonl", &orders(1_000..1_100, "new, and shorter"));
        let told = eventually("both are known", async || {
            let known = files(world).await;
            let has = |state: &str| known.iter().any(|file| file["state"] == state);
            (has("lost") && has("done") || known.iter().filter(|file| file["state"] == "done").count() == 2).then_some(known)
        })
        .await;
        // Whoever was faster: the old one was read to its end, or a person knows that it was not.
        if told.iter().any(|file| file["state"] == "lost") {
            let open = exceptions(world).await;
            assert!(
                open[0]["sentence"]
                    .as_str()
                    .unwrap()
                    .starts_with("The file orders.jsonl from Partner was taken away or changed while it was read"),
                "{open:?}"
            );
        }
        let fresh = "SELECT count(*) FROM record_revisions WHERE document::text LIKE '%new, and shorter%'";
        eventually("the new one is here", async || (count(world, fresh).await == 100).then_some(())).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_fetched_before_we_knew_that_it_is_there_is_not_written_twice() {
    let sshd = Sshd::start();
    world(async |world| {
        let out = sshd.folder("in");
        let settings = sshd.settings(json!({"out": "in"}));
        let client = world.acme.client.clone();
        let (destination, _) = client.connection_create("files", "Partner", settings, sshd.credential()).await.unwrap();
        let policy = json!({"attempts_max": 8, "backoff_ms": 200, "backoff_max_ms": 2_000});
        let flow = client.flow_publish("orders as files", &world.acme.source, &destination, policy).await.unwrap();
        let mut database = world.platform.database.connect().await.unwrap();
        // Whoever would write down that the file has its name now waits.
        let step = Step {
            name: "the file has its name, and nobody knows",
            on: "UPDATE ON attempts",
            when: "NEW.ended_at IS NOT NULL AND OLD.ended_at IS NULL AND NEW.kind = 'action'",
        };
        stop_at(&mut database, &step).await;
        let order = tests::sample::order(1);
        world.acme.shop.send("orders/create", uuid::Uuid::new_v4(), order).await.unwrap();
        wait_at(world, &step).await;
        let written: Vec<_> = std::fs::read_dir(&out).unwrap().flatten().map(|entry| entry.path()).collect();
        assert_eq!(written.len(), 1, "{written:?}");
        let name = written[0].file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with("order-") && name.ends_with("-1.json"), "{name}");
        let document: serde_json::Value = serde_json::from_slice(&std::fs::read(&written[0]).unwrap()).unwrap();
        assert_eq!((&document["record_kind"], &document["revision"]), (&json!("order"), &json!(1)));
        // The partner fetches it, and the process dies before it has written down what it did.
        std::fs::remove_file(&written[0]).unwrap();
        exchange(world, &mut database, &step).await;
        let confirmed = "SELECT count(*) FROM deliveries d JOIN connections c ON c.id = d.connection_id WHERE c.connector = 'files' AND d.state = 'confirmed'";
        eventually("it is known to be there", async || (count(world, confirmed).await == 1).then_some(())).await;
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 0, "no second file was written for {flow}");
        let renamed = "SELECT count(*) FROM attempts WHERE kind = 'action' AND url LIKE 'sftp:%'";
        assert_eq!(count(world, renamed).await, 1, "it was asked about and not done again");
    })
    .await;
}
