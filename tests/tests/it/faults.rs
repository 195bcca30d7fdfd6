//! Any process or server can die at any line. Afterwards each accepted order is at the destination exactly once,
//! or in exactly one exception, and the sums over the ledger's states equal what was accepted.

use std::time::Duration;

use connectors::simulator::{FaultMatcher, Weather};
use tests::platform::{Options, PlatformError};
use tests::proxy::Proxy;
use tests::sample;
use tests::simulator::Fault;
use tests::simulator::erp::{Account, Erp};
use uuid::Uuid;

use crate::{World, world, world_with};

const PATIENCE: Duration = Duration::from_secs(90);
const RETRY_WAIT: Duration = Duration::from_millis(300);

/// Sends orders as the vendor does, again and again until they are taken, a few each tick; says how many were.
fn sending(world: &World, from: u64, count: u64) -> tokio::task::JoinHandle<i64> {
    let shop = world.acme.shop.clone();
    tokio::spawn(async move {
        let mut sends = tokio::task::JoinSet::new();
        let mut tick = tokio::time::interval(Duration::from_millis(10));
        for n in from..from + count {
            tick.tick().await;
            let shop = shop.clone();
            sends.spawn(async move { shop.deliver("orders/create", sample::order(n), RETRY_WAIT).await });
        }
        sends.join_all().await.into_iter().filter(|taken| *taken).count() as i64
    })
}

/// Nothing lost, nothing twice, and the ledger adds up.
async fn assert_exactly_once(world: &World, accepted: i64) -> Result<(), PlatformError> {
    let ledger = world.acme.rest(accepted, PATIENCE).await?;
    let planned: i64 = ledger.deliveries.values().sum();
    // A sender whose answer was lost comes again with the same id: what was taken is what the ledger has.
    assert_eq!(ledger.accepted(), accepted, "{ledger:?}");
    assert_eq!(ledger.message("mapped"), accepted, "{ledger:?}");
    assert_eq!((planned, ledger.delivery("confirmed")), (accepted, accepted), "{ledger:?}");
    let orders = world.erp.orders();
    let doubled: Vec<_> = orders
        .iter()
        .filter(|(_, order)| order.creates != 1 || order.updates != 0)
        .map(|(id, o)| (id, o.creates, o.updates))
        .collect();
    assert!(doubled.is_empty(), "written more than once: {doubled:?}");
    assert_eq!(orders.len() as i64, accepted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_and_lost_requests_are_proven_and_nothing_is_written_twice() {
    world(async |world| {
        // By silence until the caller gives up, and by a connection that breaks.
        let kinds = [Fault::HangAfterCommit, Fault::HangBeforeCommit, Fault::DropAfterCommit, Fault::DropBeforeCommit];
        world.erp.fail(kinds.into_iter().cycle().take(12));
        let accepted = sending(world, 0, 40).await.unwrap();
        assert_eq!(accepted, 40);
        assert_exactly_once(world, accepted).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_of_workers_and_api_under_load_loses_and_doubles_nothing() {
    world(async |world| {
        let load = sending(world, 0, 600);
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_millis(700 + rand::random::<u64>() % 700)).await;
            if world.platform.options.all_in_one {
                world.platform.kill_api().await.unwrap();
                world.platform.start_api().await.unwrap();
            } else if rand::random() {
                world.platform.kill_worker().await.unwrap();
                world.platform.start_worker().await.unwrap();
            } else {
                world.platform.kill_api().await.unwrap();
                world.platform.start_api().await.unwrap();
            }
        }
        let accepted = load.await.unwrap();
        assert_eq!(accepted, 600);
        assert_exactly_once(world, accepted).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_to_stop_finishes_what_it_began() {
    // No call is given up because the machine is slow: that one would have to be proven.
    world_with(Options { call_timeout_s: 15, ..Options::default() }, async |world| {
        if world.platform.options.all_in_one {
            return; // There is no worker process of its own.
        }
        let load = sending(world, 0, 200);
        tokio::time::sleep(Duration::from_millis(800)).await;
        let mut worker = world.platform.workers.pop().unwrap();
        tests::platform::terminate(&mut worker).await;
        let mut connection = world.platform.database.connect().await.unwrap();
        let open: i64 = sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE state = 'sending'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
        assert_eq!(open, 0, "no attempt is left open");
        world.platform.start_worker().await.unwrap();
        let accepted = load.await.unwrap();
        assert_exactly_once(world, accepted).await.unwrap();
        let unknown: i64 =
            sqlx::query_scalar("SELECT count(*) FROM attempts WHERE kind = 'proof'").fetch_one(&mut connection).await.unwrap();
        assert_eq!(unknown, 0, "nothing had to be proven");
    })
    .await;
}

async fn outage(broker: bool, cut: Duration) {
    let options = Options::default();
    if options.all_in_one {
        return; // Neither of them is used.
    }
    let (url, port) = if broker { (options.amqp_url.clone(), 5672) } else { (options.redis_url.clone(), 6379) };
    let Some(url) = url else { return };
    let proxy = Proxy::start(Proxy::target(&url, port)).await.unwrap();
    let through = Some(proxy.through(&url));
    let options = if broker { Options { amqp_url: through, ..options } } else { Options { redis_url: through, ..options } };
    world_with(options, async |world| {
        let load = sending(world, 0, 400);
        tokio::time::sleep(Duration::from_millis(800)).await;
        proxy.cut();
        tokio::time::sleep(cut).await;
        proxy.restore();
        let accepted = load.await.unwrap();
        assert_eq!(accepted, 400, "hooks are taken while the others are away");
        assert_exactly_once(world, accepted).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_away_for_thirty_seconds_loses_nothing() {
    outage(true, Duration::from_secs(30)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_away_loses_nothing_and_stops_nothing() {
    outage(false, Duration::from_secs(8)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_breaking_every_connection_loses_nothing() {
    world(async |world| {
        let load = sending(world, 0, 500);
        let mut connection = world.platform.database.connect().await.unwrap();
        for _ in 0..6 {
            tokio::time::sleep(Duration::from_millis(600)).await;
            // What a restart does to every client: each connection breaks in the middle of what it does.
            let kill = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = current_database() AND usename LIKE '%\\_app'";
            sqlx::query(kill).execute(&mut connection).await.unwrap();
        }
        let accepted = load.await.unwrap();
        assert_eq!(accepted, 500);
        assert_exactly_once(world, accepted).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_away_for_ten_seconds_loses_nothing() {
    let proxy = Proxy::start(Proxy::target(&tests::platform::admin_url(), 5432)).await.unwrap();
    let options = Options { postgres_port: Some(proxy.address.port()), ..Options::default() };
    world_with(options, async |world| {
        let load = sending(world, 0, 400);
        tokio::time::sleep(Duration::from_millis(800)).await;
        proxy.cut();
        let order = sample::order(10_000);
        let refused = world.acme.shop.send("orders/create", Uuid::new_v4(), order).await.map(|answer| answer.status);
        // Nothing is taken that cannot be kept: the sender is told to come again, or gives up waiting and does.
        assert!(refused.as_ref().map_or(true, |status| *status == 503), "{refused:?}");
        tokio::time::sleep(Duration::from_secs(10)).await;
        proxy.restore();
        let accepted = load.await.unwrap();
        assert_eq!(accepted, 400);
        assert_exactly_once(world, accepted).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_are_doubled_or_say_nonsense_change_nothing() {
    world(async |world| {
        let Some(url) = world.platform.options.amqp_url.clone().filter(|_| !world.platform.options.all_in_one) else { return };
        for n in 0..20 {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        let mut connection = world.platform.database.connect().await.unwrap();
        let mut ids = async |table: &str| -> Vec<Uuid> {
            loop {
                let query = sqlx::AssertSqlSafe(format!("SELECT id FROM {table}"));
                let ids: Vec<Uuid> = sqlx::query_scalar(query).fetch_all(&mut connection).await.unwrap();
                if ids.len() == 20 {
                    return ids;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let rows = [("receive.live", ids("messages").await), ("deliver.live", ids("deliveries").await)];
        let tenant: Uuid = sqlx::query_scalar("SELECT id FROM tenants").fetch_one(&mut connection).await.unwrap();
        let prefix = format!("{}.", world.platform.database.name);
        let amqp = lapin::Connection::connect(&url, lapin::ConnectionProperties::default()).await.unwrap();
        let channel = amqp.create_channel().await.unwrap();
        for (stage, ids) in rows {
            let task = |tenant: Uuid| serde_json::json!({"tenant": format!("ten_{}", tenant.simple()), "ids": ids}).to_string();
            // Doubled, of another tenant, and not to be read at all.
            for body in [task(tenant), task(tenant), task(Uuid::new_v4()), "{\"nonsense\":".to_owned()] {
                let queue = format!("{}{prefix}{stage}", std::env::var("CROSSDOCK_PREFIX").unwrap_or_default());
                let options = lapin::options::BasicPublishOptions::default();
                channel
                    .basic_publish("".into(), queue.into(), options, body.as_bytes(), lapin::BasicProperties::default())
                    .await
                    .unwrap();
            }
        }
        assert_exactly_once(world, 20).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vendor_that_hangs_holds_up_no_other_tenant() {
    world(async |world| {
        // Its calls time out, one after the other; more orders than any prefetch wait for it, each with a task of its own.
        let hanging = Erp::start(Account { latency: Duration::from_secs(60), ..Account::default() }).await;
        let slow = world.platform.tenant("slow", &hanging, 2).await.unwrap();
        for n in 0..600 {
            assert_eq!(slow.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap().status, 200);
        }
        for n in 0..20 {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        assert_exactly_once(world, 20).await.unwrap();
        let waiting = slow.client.ledger().await.unwrap();
        assert_eq!((waiting.accepted(), waiting.delivery("confirmed")), (600, 0), "{waiting:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_may_have_arrived_is_asked_about_even_after_a_person_retries_it() {
    world(async |world| {
        world.erp.fail([Fault::HangAfterCommit]);
        // No proof succeeds before the person is asked.
        let unasked = Weather { matcher: FaultMatcher::next("order.proof"), per_mille: 1_000, faults: vec![Fault::Status(503)] };
        world.erp.set_weather(vec![unasked], 1);
        world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(1)).await.unwrap();
        // What twenty proofs that fail make of it: an exception over a write that nobody knows of.
        let mut connection = world.platform.database.connect().await.unwrap();
        let stop = "WITH d AS (UPDATE deliveries SET state = 'exception' WHERE state = 'unknown' RETURNING *)
                    INSERT INTO exceptions (id, tenant_id, cause_key, code, sentence, cause, owner, next_step, delivery_id, record_id, flow_id, connection_id)
                    SELECT gen_random_uuid(), tenant_id, 'unprovable', 'x', 'x', 'x', 'vendor', 'x', id, record_id, flow_id, connection_id FROM d";
        while sqlx::query(stop).execute(&mut connection).await.unwrap().rows_affected() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.erp.set_weather(vec![], 0);
        assert_eq!(world.acme.client.exception_retry("unprovable").await.unwrap(), 1);
        assert_exactly_once(world, 1).await.unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_revision_takes_the_place_of_one_that_was_refused_while_it_came() {
    world(async |world| {
        let erp = Erp::start(Account { latency: Duration::from_secs(1), ..Account::default() }).await;
        let tenant = world.platform.tenant("late", &erp, 5).await.unwrap();
        erp.fail([Fault::Status(400)]);
        tenant.shop.send("orders/create", Uuid::new_v4(), sample::revised(1, 0)).await.unwrap();
        let mut connection = world.platform.database.connect().await.unwrap();
        // Or refused already, on a machine where a second goes by unseen.
        let sending = "SELECT count(*) FROM deliveries WHERE state IN ('sending', 'exception')";
        while sqlx::query_scalar::<_, i64>(sending).fetch_one(&mut connection).await.unwrap() == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        tenant.shop.send("orders/updated", Uuid::new_v4(), sample::revised(1, 1)).await.unwrap();
        loop {
            let ledger = tenant.rest(2, PATIENCE).await.unwrap();
            if ledger.delivery("confirmed") == 1 {
                assert_eq!((ledger.delivery("superseded"), ledger.delivery("exception")), (1, 0), "{ledger:?}");
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(tenant.client.exception_groups().await.unwrap().is_empty(), "its exception closed itself");
        let orders = erp.orders();
        assert!(orders.len() == 1 && orders.values().all(|order| order.creates == 1 && order.says("revision 1")));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_work_for_an_order_does_not_grow_with_the_backlog() {
    world(async |world| {
        const ORDERS: i64 = 1_500;
        // Rows that one order's way may touch, retries and sweeps included; a plan that reads the backlog for each batch touches thousands.
        const ROWS_PER_ORDER_MAX: i64 = 150;
        let accepted = sending(world, 0, ORDERS.unsigned_abs()).await.unwrap();
        // Whoever asks the platform how far it is reads rows too, the more of them the slower it is: the ERP is asked instead.
        while i64::try_from(world.erp.stats().orders).unwrap() < accepted {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut connection = world.platform.database.connect().await.unwrap();
        let read =
            "SELECT relname::text, (coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint, coalesce(seq_scan, 0), coalesce(seq_tup_read, 0)
             FROM pg_stat_user_tables
             WHERE relname = 'deliveries' OR relname = 'records' OR relname LIKE 'messages%' ORDER BY 2 DESC";
        // Postgres counts with a delay: the count is whole when it stays.
        let mut rows: Vec<(String, i64, i64, i64)> = Vec::new();
        for _ in 0..30 {
            tokio::time::sleep(Duration::from_millis(1_500)).await;
            let before = std::mem::replace(&mut rows, sqlx::query_as(read).fetch_all(&mut connection).await.unwrap());
            if before == rows {
                break;
            }
        }
        assert!(rows[0].1 >= ORDERS, "nothing was counted: {rows:?}");
        let by = "SELECT indexrelname::text, idx_scan, idx_tup_fetch FROM pg_stat_user_indexes WHERE relname = 'deliveries' ORDER BY 3 DESC";
        let by: Vec<(String, i64, i64)> = sqlx::query_as(by).fetch_all(&mut connection).await.unwrap();
        assert!(rows[0].1 <= ORDERS * ROWS_PER_ORDER_MAX, "tables (rows, sequential scans, rows of these): {rows:?}; indexes: {by:?}");
        println!("rows read: {rows:?} {by:?}");
        assert_exactly_once(world, accepted).await.unwrap();
    })
    .await;
}
