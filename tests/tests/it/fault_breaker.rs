//! A destination that fails is one incident and not thousands of exceptions; deliveries wait without attempts, and go by themselves once it
//! works again.

use std::time::Duration;

use chrono::Utc;
use domain::delivery::DeliveryState;
use domain::id::{AttemptId, ConnectionId, DeliveryId, FlowId, RecordId, TenantId};
use domain::record::RecordKind;
use domain::scope::Scope;
use infra::postgres::Store;
use infra::postgres::ledger::{Finish, Step};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};
use tests::platform::{Database, Options, Tenant};
use tests::proxy::Proxy;
use tests::sample;
use tests::simulator::erp::{Account, Erp};
use uuid::Uuid;

use crate::silence::{Hook, rules_looked};
use crate::{World, world, world_with};

const PATIENCE: Duration = Duration::from_secs(90);

/// Asks until it is so.
async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ask().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < end, "{what}: not within {} s", PATIENCE.as_secs());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn incidents(tenant: &Tenant, open: bool) -> Vec<Value> {
    let query = "query($o: Boolean!) { incidents(open: $o) { nodes { kind operation code sentence owner nextStep waiting nextTryAt openedAt
                 closedAt probes connection { name health } } } }";
    let data = tenant.client.ask(query, json!({"o": open})).await.unwrap();
    data["incidents"]["nodes"].as_array().unwrap().clone()
}

/// As the vendor sends them: again and again until they are taken.
async fn send(tenant: &Tenant, orders: std::ops::Range<u64>) {
    let mut sends = tokio::task::JoinSet::new();
    for n in orders {
        let shop = tenant.shop.clone();
        sends.spawn(async move { shop.deliver("orders/create", sample::order(n), Duration::from_millis(200)).await });
    }
    assert!(sends.join_all().await.into_iter().all(|taken| taken));
}

async fn number(world: &World, sql: &'static str) -> i64 {
    let mut connection = world.platform.database.connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

fn assert_once(erp: &Erp, count: usize) {
    let orders = erp.orders();
    let twice: Vec<_> = orders.iter().filter(|(_, order)| order.creates != 1 || order.updates != 0).map(|(id, _)| id).collect();
    assert_eq!((orders.len(), twice.len()), (count, 0), "{twice:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_down_is_one_incident_over_a_restart_and_everything_goes_once_it_is_up() {
    // Nothing hangs here: its connections break. What is only slow is no outage, and opens no other incident.
    let options = Options { call_timeout_s: 5, ..Options::default() };
    world_with(options, async |world| {
        let erp = Erp::start(Account::default()).await;
        let proxy = Proxy::start(erp.url().trim_start_matches("http://").to_owned()).await.unwrap();
        let tenant = world.platform.tenant("down", &erp, 10).await.unwrap();
        let mut settings = erp.settings(10);
        settings["base_url"] = format!("http://{}", proxy.address).into();
        let update =
            "mutation($id: ID!, $i: ConnectionUpdateInput!) { connectionUpdate(id: $id, input: $i) { userErrors { message } } }";
        tenant.client.ask(update, json!({"id": tenant.destination, "i": {"settings": settings}})).await.unwrap();
        send(&tenant, 0..5).await;
        tenant.rest(5, PATIENCE).await.unwrap();

        proxy.cut();
        send(&tenant, 5..305).await;
        // Those that were under way when it went have lost their answer, and wait to be proven; all others are held without a call.
        let incident = until("an incident that holds all that was not begun", async || {
            let ledger = tenant.client.ledger().await.unwrap();
            let begun = ledger.delivery("unknown") + ledger.delivery("waiting");
            let incidents = incidents(&tenant, true).await;
            incidents.into_iter().find(|incident| incident["waiting"].as_i64().is_some_and(|held| held + begun >= 295))
        })
        .await;
        assert_eq!((&incident["kind"], &incident["operation"]), (&json!("OUTAGE"), &json!("order.write")));
        assert_eq!((&incident["owner"], &incident["connection"]["health"]), (&json!("vendor"), &json!("failing")));
        assert!(incident["sentence"].as_str().unwrap().contains("NetSuite did not answer"), "{incident}");
        assert!(!incident["nextTryAt"].is_null() && incident["closedAt"].is_null(), "{incident}");
        let calls = number(world, "SELECT count(*) FROM attempts WHERE kind = 'write'").await;
        // What was begun before the first failure was written: 13 to 81 here, and 133 once with two cores at a load of twelve.
        assert!(calls < 200, "300 orders cost {calls} calls to a vendor that is down");

        // Another connection is not touched by it.
        send(&world.acme, 0..10).await;
        world.acme.rest(10, PATIENCE).await.unwrap();

        if !world.platform.options.all_in_one {
            world.platform.kill_worker().await.unwrap();
            world.platform.start_worker().await.unwrap();
        }
        until("a probe that failed", async || {
            incidents(&tenant, true).await.into_iter().find(|i| i["probes"].as_i64() >= Some(1))
        })
        .await;
        let all = incidents(&tenant, false).await;
        assert_eq!(all.len(), 1, "{all:?}");
        assert_eq!(tenant.client.ledger().await.unwrap().delivery("exception"), 0);

        proxy.restore();
        let ledger = tenant.rest(305, PATIENCE).await.unwrap();
        assert_eq!((ledger.delivery("confirmed"), ledger.delivery("exception")), (305, 0), "{ledger:?}");
        assert_once(&erp, 305);
        until("the incident closes itself", async || incidents(&tenant, true).await.is_empty().then_some(())).await;
        let all = incidents(&tenant, false).await;
        assert_eq!((all.len(), &all[0]["connection"]["health"]), (1, &json!("healthy")), "{all:?}");
        let told = "SELECT count(*) FROM audit_events WHERE action IN ('incident.opened', 'incident.closed')";
        assert_eq!(number(world, told).await, 2);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_credential_holds_the_connection_once_for_all_orders_and_a_new_one_sends_them() {
    world(async |world| {
        let client = &world.acme.client;
        let replace = "mutation($id: ID!, $c: JSON!) { credentialReplace(connectionId: $id, credential: $c) { userErrors { field message } } }";
        let hook = Hook::start(world, None).await;
        let mut wrong = Erp::credential();
        wrong["token_secret"] = json!("a secret that was revoked");
        client.ask(replace, json!({"id": world.acme.destination, "c": wrong})).await.unwrap();
        send(&world.acme, 0..10).await;
        let held = async |count: i64| {
            until("all are held but a probe", async || {
                let incidents = incidents(&world.acme, true).await;
                incidents.into_iter().find(|incident| incident["waiting"].as_i64() >= Some(count - 1))
            })
            .await
        };
        held(10).await;
        let calls = number(world, "SELECT count(*) FROM attempts").await;
        send(&world.acme, 10..110).await;
        let incident = held(110).await;
        let more = number(world, "SELECT count(*) FROM attempts").await - calls;
        assert!(more < 10, "a hundred more orders cost {more} calls to a vendor that refuses us");
        assert_eq!((&incident["kind"], &incident["operation"]), (&json!("CREDENTIAL"), &json!("")));
        assert_eq!((&incident["owner"], &incident["connection"]["health"]), (&json!("developer"), &json!("refused")));
        assert!(incident["nextStep"].as_str().unwrap().ends_with("What waits is sent by itself then."), "{incident}");
        assert_eq!(client.ledger().await.unwrap().delivery("exception"), 0, "nobody works a hundred exceptions");
        // Who is told of exceptions is told of it, once.
        let mut database = world.platform.database.connect().await.unwrap();
        rules_looked(&mut database).await;
        let told = until("an alert", async || Some(hook.told()).filter(|told| !told.is_empty())).await;
        assert_eq!((told.len(), &told[0]["type"], &told[0]["data"]["incidents"][0]["cause"]), (1, &json!("incident.alerted"), &incident["sentence"]));

        client.ask(replace, json!({"id": world.acme.destination, "c": Erp::credential()})).await.unwrap();
        let ledger = world.acme.rest(110, PATIENCE).await.unwrap();
        assert_eq!(ledger.delivery("confirmed"), 110, "{ledger:?}");
        assert_once(&world.erp, 110);
        until("the incident closes itself", async || incidents(&world.acme, true).await.is_empty().then_some(())).await;
        assert_eq!(incidents(&world.acme, false).await.len(), 1);
    })
    .await;
}

/// A breaker that is half open, and what it looks at: the tables that these rows belong to are not filled.
struct HalfOpen {
    database: Database,
    root: PgConnection,
    store: Store,
    tenant: TenantId,
}

impl HalfOpen {
    async fn start() -> Self {
        let database = Database::create().await.unwrap();
        let mut root = database.connect().await.unwrap();
        let store = Store::connect(&database.app_url, 4).await.unwrap();
        let tenant = TenantId::generate();
        let breaker = format!(
            "SET session_replication_role = replica;
             INSERT INTO breakers (id, tenant_id, connection_id, operation, state, opens, batch, window_at, next_at)
             VALUES ('{0}', '{0}', '{0}', 'order.write', 'half_open', 2, 1, now(), now());",
            tenant.0
        );
        root.execute(sqlx::raw_sql(AssertSqlSafe(breaker))).await.unwrap();
        Self { database, root, store, tenant }
    }

    fn scope(&self) -> Scope {
        Scope::system(self.tenant, "test")
    }

    /// A delivery that it holds or let go, whose last attempt began then.
    async fn delivery(&mut self, number: i32, state: &str, begun: &str) {
        let row = format!(
            "WITH a AS (
                 INSERT INTO attempts (id, tenant_id, delivery_id, number, kind, method, url, request, started_at, ended_at, outcome)
                 VALUES ('{1}', '{0}', gen_random_uuid(), 1, 'write', 'POST', '/', '', {begun}, now(), 'unknown') RETURNING id
             )
             INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, state, attempt_id,
                                     held_by, due_at, sweep_at, origin_at)
             SELECT gen_random_uuid(), '{0}', '{0}', '{0}', gen_random_uuid(), {number}, '{0}', '{0}', '{state}', id, '{0}',
                    now() + interval '1 hour', now() + interval '1 hour', now() FROM a;",
            self.tenant.0,
            Uuid::now_v7()
        );
        self.root.execute(sqlx::raw_sql(AssertSqlSafe(row))).await.unwrap();
    }

    async fn run(&mut self, sql: &'static str) {
        self.root.execute(sqlx::raw_sql(sql)).await.unwrap();
    }

    /// Its time has come; how many it let go.
    async fn due(&self) -> usize {
        self.store.within(&self.scope()).breaker_due(self.tenant.0).await.unwrap().len()
    }

    /// What was let go finds no slot, and waits for an hour.
    async fn finds_no_slot(&mut self) {
        let probe = "SELECT id, record_id, attempt_id FROM deliveries WHERE state = 'planned'";
        let (id, record, attempt): (Uuid, Uuid, Uuid) = sqlx::query_as(probe).fetch_one(&mut self.root).await.unwrap();
        let end = Finish {
            delivery: DeliveryId(id),
            record: RecordId(record),
            kind: RecordKind::Order,
            flow: FlowId(self.tenant.0),
            destination: ConnectionId(self.tenant.0),
            seen: DeliveryState::Planned,
            after: Some(AttemptId(attempt)),
            attempt: None,
            step: Step::Wait { until: Utc::now() + chrono::Duration::hours(1), counts: false },
            health: None,
            worth: None,
            group: None,
        };
        self.store.within(&self.scope()).finish_attempts(&[end], &[]).await.unwrap();
    }

    /// How many wait that it would let pass.
    async fn passing(&mut self) -> i64 {
        let passing = "SELECT count(*) FROM deliveries WHERE state = 'waiting' AND held_by IS NOT NULL";
        sqlx::query_scalar(passing).fetch_one(&mut self.root).await.unwrap()
    }

    async fn stands(&mut self) -> (String, i32) {
        sqlx::query_as("SELECT state, opens FROM breakers").fetch_one(&mut self.root).await.unwrap()
    }

    async fn end(self) {
        self.store.close().await;
        self.root.close().await.unwrap();
        self.database.drop().await.unwrap();
    }
}

/// One whose answer was lost is asked about in its own time; what waits must not wait for that.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_call_of_before_the_probe_is_not_waited_for_and_one_of_the_probe_is() {
    let mut stage = HalfOpen::start().await;
    stage.delivery(1, "unknown", "now() - interval '1 minute'").await;
    stage.delivery(2, "held", "now()").await;
    assert_eq!(stage.due().await, 1, "the one that is held is the probe");

    stage
        .run(
            "UPDATE deliveries SET state = 'unknown' WHERE state = 'planned';
             UPDATE attempts SET started_at = clock_timestamp() WHERE started_at > now() - interval '30 seconds'",
        )
        .await;
    stage.delivery(3, "held", "now()").await;
    assert_eq!(stage.due().await, 0, "the probe is under way");
    stage.end().await;
}

/// Where our own limit leaves nothing, no call says how the destination is.
#[tokio::test(flavor = "multi_thread")]
async fn a_probe_that_found_no_slot_is_the_probe_still_and_nothing_is_over_before_it_is_heard_of() {
    let mut stage = HalfOpen::start().await;
    stage.delivery(1, "held", "now()").await;
    stage.delivery(2, "held", "now()").await;
    assert_eq!(stage.due().await, 1);
    stage.finds_no_slot().await;
    assert_eq!((stage.due().await, stage.passing().await), (0, 1), "it waits, and no other goes in its place");

    let later = "UPDATE breakers SET window_at = now() - interval '3 minutes'";
    stage.run(later).await;
    assert_eq!(
        (stage.due().await, stage.passing().await),
        (1, 0),
        "after two minutes another is the probe, and the first is none any more"
    );
    stage.finds_no_slot().await;
    stage.run(later).await;
    assert_eq!((stage.due().await, stage.passing().await), (0, 1), "nothing else is held");
    assert_eq!(stage.stands().await, ("half_open".to_owned(), 2), "nobody has heard of the destination");

    stage.run("UPDATE deliveries SET state = 'cancelled'").await;
    assert_eq!((stage.due().await, stage.stands().await), (0, ("half_open".to_owned(), 2)), "whoever comes first is the probe");
    stage.run(later).await;
    assert_eq!((stage.due().await, stage.stands().await), (0, ("closed".to_owned(), 0)), "nobody came, and nobody needs to know");
    stage.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_is_not_in_the_protocols_table_is_refused_by_the_database() {
    world(async |world| {
        send(&world.acme, 0..1).await;
        world.acme.rest(1, PATIENCE).await.unwrap();
        let mut connection = world.platform.database.connect().await.unwrap();
        let again = sqlx::query("UPDATE deliveries SET state = 'sending'").execute(&mut connection).await.unwrap_err();
        assert!(again.to_string().contains("cannot become sending from confirmed"), "{again}");
        let guard = "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgname = 'deliveries_guard'";
        let guard: String = sqlx::query_scalar(guard).fetch_one(&mut connection).await.unwrap();
        for from in domain::delivery::DeliveryState::ALL {
            for to in domain::delivery::DeliveryState::ALL.into_iter().filter(|to| *to != from) {
                let word = format!("'{}>{}'", from.as_str(), to.as_str());
                assert_eq!(guard.contains(&word), from.may_become(to), "{word} is not in both tables");
            }
        }
    })
    .await;
}
