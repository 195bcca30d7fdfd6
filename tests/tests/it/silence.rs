//! Alarms: a source that goes silent is told once, with a reason, and read at once; it closes by itself, is quiet when it is to be, and nobody
//! else's. Time is not waited for: what came is written as it would have come.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use domain::http::{HttpAnswer, HttpRequest};
use infra::loopback::{Running, serve};
use infra::postgres::arrival::{COUNT_SQL, PLANNED_SQL};
use serde_json::{Value, json};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::{World, eventually, world};

const SERIES: &str = "{ arrivalSeries { nodes { id connectionId recordKind topic flowId state seen lastAt silentSince mutedUntil
    band { low expected high } incident { id } } } }";
const INCIDENTS: &str =
    "{ incidents { nodes { id kind operation code sentence owner nextStep connection { name health } closedAt } } }";
const POLICY: &str = "mutation($i: AlarmPolicySetInput!) { alarmPolicySet(input: $i) { alarmPolicy { zone sensitivity quietHours { from until days } }
    userErrors { field code message } } }";
const MUTE: &str = "mutation($id: ID!, $until: DateTime) { arrivalSeriesMute(id: $id, until: $until) { arrivalSeries { id mutedUntil } userErrors { field code } } }";

/// Writes a row each five minutes, from so many minutes ago to so many: these values `at` that time beside an id of it, of what `of` calls `o` and has this id.
async fn written(
    database: &mut PgConnection,
    into: &str,
    values: &str,
    of: &str,
    id: &str,
    from_minutes: f64,
    until_minutes: f64,
) {
    let insert = format!(
        "INSERT INTO {into}
         SELECT (left(uuid7_floor(at)::text, 14) || '7' || right(left(gen_random_uuid()::text, 18), 3) || '-8' || right(gen_random_uuid()::text, 16))::uuid,
                {values}
         FROM {of},
              generate_series(now() - make_interval(secs => $2 * 60), now() - make_interval(secs => $3 * 60), interval '5 minutes') AS at
         WHERE o.id = $1"
    );
    sqlx::query(sqlx::AssertSqlSafe(insert))
        .bind(Uuid::try_parse(id.split_once('_').unwrap().1).unwrap())
        .bind(from_minutes)
        .bind(until_minutes)
        .execute(database)
        .await
        .unwrap();
}

/// Writes what would have come by a webhook: every five minutes one order.
async fn came(database: &mut PgConnection, connection: &str, from_minutes: f64, until_minutes: f64) {
    let into = "messages (id, tenant_id, connection_id, origin, topic, dedupe_key, record_kind, source_id, body, received_at, state, sweep_at)";
    let values =
        "o.tenant_id, o.id, 'webhook', 'orders/create', 'made:' || at::text, 'order', at::text, '', at, 'unchanged', now()";
    written(database, into, values, "connections o", connection, from_minutes, until_minutes).await;
}

/// Writes what would have been planned for a flow: every five minutes one delivery.
async fn planned(database: &mut PgConnection, flow: &str, from_minutes: f64, until_minutes: f64) {
    let into = "deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, due_at, sweep_at, origin_at,
                            planned_at, settled_at, state)";
    let values = "o.tenant_id, o.id, v.id, gen_random_uuid(), 1, gen_random_uuid(), o.destination_connection_id, at, at, at, at, at, 'confirmed'";
    let of = "flows o JOIN flow_versions v ON v.flow_id = o.id AND v.state = 'published'";
    written(database, into, values, of, flow, from_minutes, until_minutes).await;
}

/// What was counted is so many minutes older than it was, and it is looked now: so time passes.
async fn pass(database: &mut PgConnection, minutes: i32) {
    let back = "WITH s AS (
        UPDATE arrival_series SET begun_at = begun_at - make_interval(mins => $1), until_at = until_at - make_interval(mins => $1),
            last_at = last_at - make_interval(mins => $1)
    ) UPDATE arrival_watches SET counted_until = counted_until - make_interval(mins => $1), look_at = now()";
    sqlx::query(back).bind(minutes).execute(&mut *database).await.unwrap();
}

/// Three weeks are read, as they would have been counted, and it is looked until now.
async fn learn(database: &mut PgConnection) {
    let from = "UPDATE arrival_watches SET counted_until = now() - interval '22 days 12 hours', look_at = now()";
    sqlx::query(from).execute(&mut *database).await.unwrap();
    looked(database).await;
}

/// Waits until everything is counted.
async fn looked(database: &mut PgConnection) {
    eventually("everything is counted", async || {
        let behind = "SELECT bool_and(counted_until > now() - interval '6 minutes' AND look_at > now()) FROM arrival_watches";
        sqlx::query_scalar::<_, bool>(behind).fetch_one(&mut *database).await.unwrap().then_some(())
    })
    .await;
}

async fn incidents(world: &World) -> Value {
    world.acme.client.ask(INCIDENTS, json!({})).await.unwrap()["incidents"]["nodes"].clone()
}

async fn series(world: &World, topic: Option<&str>) -> Value {
    let data = world.acme.client.ask(SERIES, json!({})).await.unwrap();
    let nodes = data["arrivalSeries"]["nodes"].as_array().unwrap().clone();
    nodes.into_iter().find(|node| node["topic"].as_str() == topic && node["flowId"].is_null()).unwrap_or_default()
}

/// Takes alerts and keeps them.
pub struct Hook {
    running: Running,
    bodies: Arc<Mutex<Vec<Value>>>,
}

impl Hook {
    /// A receiver that is told at once of what begins with this code, or of everything.
    pub async fn start(world: &World, code_prefix: Option<&str>) -> Self {
        let bodies: Arc<Mutex<Vec<Value>>> = Arc::default();
        let kept = bodies.clone();
        let handler = Arc::new(move |request: HttpRequest, _: usize| {
            kept.lock().unwrap().push(serde_json::from_slice(&request.body).unwrap());
            HttpAnswer { status: 204, headers: vec![], body: Bytes::new() }.into()
        });
        let hook = Self { running: serve(([127, 0, 0, 1], 0).into(), handler).await.unwrap(), bodies };
        let create = "mutation($i: AlertReceiverCreateInput!) { alertReceiverCreate(input: $i) { alertReceiver { id } userErrors { message } } }";
        let input = json!({"name": "ops", "kind": "WEBHOOK", "address": hook.running.url(), "everyMinutes": 1,
            "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqrTwjU"});
        let data = world.acme.client.ask(create, json!({"i": input})).await.unwrap();
        let rule = "mutation($i: AlertRuleInput!) { alertRuleSet(input: $i) { alertRule { id } userErrors { message } } }";
        let input = json!({"name": "alarms", "codePrefix": code_prefix, "receiverIds": [data["alertReceiverCreate"]["alertReceiver"]["id"]]});
        world.acme.client.ask(rule, json!({"i": input})).await.unwrap();
        hook
    }

    pub fn told(&self) -> Vec<Value> {
        self.bodies.lock().unwrap().clone()
    }
}

/// The alert rules are looked at once more.
pub async fn rules_looked(database: &mut PgConnection) {
    let looked = "UPDATE alert_watches SET look_at = now() - interval '1 second', lease_until = now()";
    sqlx::query(looked).execute(&mut *database).await.unwrap();
    eventually("the rules are looked at", async || {
        let due = "SELECT bool_or(look_at < now()) FROM alert_watches";
        (!sqlx::query_scalar::<_, bool>(due).fetch_one(&mut *database).await.unwrap()).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_goes_silent_is_told_once_read_at_once_and_closes_when_it_is_back() {
    world(async |world| {
        let (client, source) = (world.acme.client.clone(), world.acme.source.clone());
        let mut database = world.platform.database.connect().await.unwrap();
        let hook = Hook::start(world, Some("arrival.")).await;
        // The sweep of its orders is not due for a week.
        sqlx::query(
            "INSERT INTO polls (id, tenant_id, connection_id, kind, every_s, due_at)
             SELECT gen_random_uuid(), tenant_id, id, 'order', 604800, now() + interval '7 days' FROM connections WHERE id = $1",
        )
        .bind(Uuid::try_parse(source.trim_start_matches("con_")).unwrap())
        .execute(&mut database)
        .await
        .unwrap();
        came(&mut database, &source, 22.5 * 1_440.0, 72.0).await;
        learn(&mut database).await;

        let open =
            eventually("it is told", async || Some(incidents(world).await).filter(|open| open.as_array().unwrap().len() == 1))
                .await;
        let sentence = open[0]["sentence"].as_str().unwrap();
        assert!(sentence.starts_with("No orders have arrived from Acme shop for 7"), "{open}");
        assert!(sentence.ends_with(" minutes; at this hour about 12 arrive."), "{open}");
        assert_eq!(
            (&open[0]["kind"], &open[0]["operation"], &open[0]["owner"]),
            (&json!("SILENCE"), &json!("order.silence"), &json!("operations"))
        );
        assert!(open[0]["nextStep"].as_str().unwrap().contains("A read of its orders was begun at once"), "{open}");
        assert_eq!(open[0]["connection"]["health"], "silent");
        let kind = series(world, None).await;
        assert_eq!(
            (&kind["state"], &kind["seen"], &kind["recordKind"]),
            (&json!("SILENT"), &json!(0), &json!("order")),
            "{kind}"
        );
        assert_eq!((&kind["incident"]["id"], &kind["silentSince"]), (&open[0]["id"], &kind["lastAt"]));
        assert_eq!(kind["band"]["expected"], 12.0, "{kind}");
        // Its only topic is silent as well, and that is not told twice.
        assert_eq!(series(world, Some("orders/create")).await["state"], "SILENT");
        let due: i64 = sqlx::query_scalar("SELECT count(*) FROM polls WHERE due_at <= now() OR begun_at IS NOT NULL")
            .fetch_one(&mut database)
            .await
            .unwrap();
        assert_eq!(due, 1, "the sweep is due at once");
        sqlx::query("UPDATE polls SET state = 'paused'").execute(&mut database).await.unwrap();
        let told = eventually("an alert arrives", async || Some(hook.told()).filter(|told| !told.is_empty())).await;
        assert_eq!((&told[0]["type"], &told[0]["data"]["incidents"][0]["cause"]), (&json!("incident.alerted"), &json!(sentence)));

        // It lasts: still one incident, and no other alert.
        pass(&mut database, 20).await;
        looked(&mut database).await;
        rules_looked(&mut database).await;
        let lasting = incidents(world).await;
        assert_eq!((lasting.as_array().unwrap().len(), &lasting[0]["id"]), (1, &open[0]["id"]), "{lasting}");
        assert!(lasting[0]["sentence"].as_str().unwrap().starts_with("No orders have arrived from Acme shop for 9"), "{lasting}");
        assert_eq!(hook.told().len(), 1);
        // Four hours after the first, it is told again.
        sqlx::query("UPDATE incidents SET opened_at = now() - interval '5 hours'").execute(&mut database).await.unwrap();
        sqlx::query("UPDATE alert_marks SET at = at - interval '5 hours', last_at = last_at - interval '5 hours'")
            .execute(&mut database)
            .await
            .unwrap();
        rules_looked(&mut database).await;
        eventually("a reminder arrives", async || Some(hook.told()).filter(|told| told.len() == 2)).await;

        // Orders come again.
        came(&mut database, &source, 90.0, 6.0).await;
        pass(&mut database, 120).await;
        eventually("it is over", async || Some(incidents(world).await).filter(|open| open == &json!([]))).await;
        let kind = series(world, None).await;
        assert_eq!(
            (&kind["state"], &kind["incident"], &kind["silentSince"]),
            (&json!("STEADY"), &Value::Null, &Value::Null),
            "{kind}"
        );
        let actions = client.ask("{ auditEvents(first: 100) { nodes { action } } }", json!({})).await.unwrap().to_string();
        assert!(actions.contains("incident.opened") && actions.contains("incident.closed"), "{actions}");

        // Nobody else sees any of it.
        let other = world.platform.sign_in().await.unwrap();
        let tenant = other.tenant_create("globex").await.unwrap();
        let other = other.of_tenant(&tenant);
        let theirs = other.ask(SERIES, json!({})).await.unwrap();
        assert_eq!(theirs["arrivalSeries"]["nodes"], json!([]));
        let refused = other.raw(MUTE, json!({"id": kind["id"]})).await.unwrap();
        assert_eq!(refused["data"]["arrivalSeriesMute"]["userErrors"][0]["code"], "NOT_FOUND", "{refused}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_quiet_hours_nobody_is_told_and_what_is_still_so_is_told_then() {
    world(async |world| {
        let (client, source) = (world.acme.client.clone(), world.acme.source.clone());
        let mut database = world.platform.database.connect().await.unwrap();
        let hook = Hook::start(world, Some("arrival.")).await;
        let always = json!([{"from": "00:00", "until": "00:00"}]);
        let set = client.ask(POLICY, json!({"i": {"zone": "Europe/Berlin", "quietHours": always}})).await.unwrap();
        assert_eq!(set["alarmPolicySet"]["alarmPolicy"]["zone"], "Europe/Berlin");
        for (field, input) in [
            ("zone", json!({"zone": "Mars/Olympus"})),
            ("quietHours", json!({"quietHours": [{"from": "25:00", "until": "07:00"}]})),
            ("quietHours", json!({"quietHours": [{"from": "22:00", "until": "07:00", "days": ["Someday"]}]})),
        ] {
            let refused = client.raw(POLICY, json!({"i": input})).await.unwrap();
            assert_eq!(refused["data"]["alarmPolicySet"]["userErrors"][0]["field"], json!(["input", field]), "{refused}");
        }
        came(&mut database, &source, 22.5 * 1_440.0, 62.0).await;
        learn(&mut database).await;
        eventually("it is raised", async || Some(incidents(world).await).filter(|open| open.as_array().unwrap().len() == 1))
            .await;
        rules_looked(&mut database).await;
        let alerts: i64 = sqlx::query_scalar("SELECT count(*) FROM alerts").fetch_one(&mut database).await.unwrap();
        assert_eq!((alerts, hook.told().len()), (0, 0), "it is quiet");
        client.ask(POLICY, json!({"i": {"quietHours": []}})).await.unwrap();
        let told = eventually("it is told afterwards", async || Some(hook.told()).filter(|told| !told.is_empty())).await;
        assert_eq!(told[0]["type"], "incident.alerted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_reads_what_is_paused_and_what_is_muted_raises_nothing() {
    world(async |world| {
        let (client, source) = (world.acme.client.clone(), world.acme.source.clone());
        let mut database = world.platform.database.connect().await.unwrap();
        // No published flow reads orders.
        sqlx::query("UPDATE flows SET record_kind = 'invoice'").execute(&mut database).await.unwrap();
        came(&mut database, &source, 22.5 * 1_440.0, 62.0).await;
        learn(&mut database).await;
        assert_eq!(series(world, None).await["state"], "SILENT");
        assert_eq!(incidents(world).await, json!([]));

        // One does, but the series is muted.
        let id = series(world, None).await["id"].clone();
        let refused = client.raw(MUTE, json!({"id": id, "until": "2020-01-01T00:00:00Z"})).await.unwrap();
        assert_eq!(refused["data"]["arrivalSeriesMute"]["userErrors"][0]["field"], json!(["until"]), "{refused}");
        let tomorrow = chrono::Utc::now() + chrono::TimeDelta::days(1);
        client.ask(MUTE, json!({"id": id, "until": tomorrow})).await.unwrap();
        sqlx::query("UPDATE flows SET record_kind = 'order'").execute(&mut database).await.unwrap();
        sqlx::query("UPDATE arrival_watches SET look_at = now()").execute(&mut database).await.unwrap();
        looked(&mut database).await;
        assert_eq!(incidents(world).await, json!([]));
        // It is told when it is muted no more.
        client.ask(MUTE, json!({"id": id})).await.unwrap();
        eventually("it is told", async || Some(incidents(world).await).filter(|open| open.as_array().unwrap().len() == 1)).await;

        // A paused connection is to be silent.
        let pause = "mutation($id: ID!) { connectionPause(id: $id) { userErrors { message } } }";
        client.ask(pause, json!({"id": source})).await.unwrap();
        pass(&mut database, 20).await;
        looked(&mut database).await;
        eventually("it is over", async || Some(incidents(world).await).filter(|open| open == &json!([]))).await;
        let kind = series(world, None).await;
        assert_eq!(kind["state"], "STEADY", "{kind}");

        // One that is forgotten learns anew.
        let forget = "mutation($id: ID!) { arrivalSeriesForget(id: $id) { arrivalSeries { state band { expected } } userErrors { message } } }";
        let forgotten = client.ask(forget, json!({"id": id})).await.unwrap();
        assert_eq!(forgotten["arrivalSeriesForget"]["arrivalSeries"], json!({"state": "LEARNING", "band": null}));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_gone_is_told_although_the_sweep_brings_everything() {
    world(async |world| {
        let source = world.acme.source.clone();
        let mut database = world.platform.database.connect().await.unwrap();
        came(&mut database, &source, 22.5 * 1_440.0, 122.0).await;
        came(&mut database, &source, 120.0, 6.0).await;
        // In the last two hours a poll brought them.
        sqlx::query(
            "UPDATE messages SET origin = 'poll', topic = 'poll/order' WHERE received_at > now() - interval '121 minutes'",
        )
        .execute(&mut database)
        .await
        .unwrap();
        learn(&mut database).await;
        let open =
            eventually("it is told", async || Some(incidents(world).await).filter(|open| open.as_array().unwrap().len() == 1))
                .await;
        assert_eq!(open[0]["operation"], "orders/create.silence", "{open}");
        assert!(
            open[0]["sentence"].as_str().unwrap().starts_with("No webhook \"orders/create\" has arrived from Acme shop for "),
            "{open}"
        );
        assert_eq!(series(world, None).await["state"], "STEADY");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_that_nothing_passes_any_more_is_told_although_everything_still_comes() {
    world(async |world| {
        let (client, flow) = (world.acme.client.clone(), world.acme.flow.clone());
        let mut database = world.platform.database.connect().await.unwrap();
        // It has chosen so for as long as it is looked at.
        let old = "SET session_replication_role = replica; UPDATE flow_versions SET published_at = now() - interval '30 days'";
        sqlx::raw_sql(old).execute(&mut database).await.unwrap();
        came(&mut database, &world.acme.source, 22.5 * 1_440.0, 6.0).await;
        planned(&mut database, &flow, 22.5 * 1_440.0, 122.0).await;
        learn(&mut database).await;
        let open =
            eventually("it is told", async || Some(incidents(world).await).filter(|open| open.as_array().unwrap().len() == 1))
                .await;
        assert_eq!(
            (&open[0]["operation"], &open[0]["code"]),
            (&json!("order.flow.silence"), &json!("arrival.silence")),
            "{open}"
        );
        let sentence = open[0]["sentence"].as_str().unwrap();
        assert!(
            sentence.contains("has had nothing to deliver for 2 hours")
                && sentence.ends_with("and others still arrive from Acme shop."),
            "{open}"
        );
        assert_eq!(series(world, None).await["state"], "STEADY");
        let of_flow = "query($id: ID!) { arrivalSeries(flowId: $id) { nodes { state topic flow { id } } } }";
        let of_flow = client.ask(of_flow, json!({"id": flow})).await.unwrap();
        assert_eq!(of_flow["arrivalSeries"]["nodes"], json!([{"state": "SILENT", "topic": null, "flow": {"id": flow}}]));
        let beside = "{ arrivalSeries { nodes { connectionId flowId connection { id } flow { id } } } }";
        let beside = client.ask(beside, json!({})).await.unwrap();
        let nodes = beside["arrivalSeries"]["nodes"].as_array().unwrap();
        assert!(nodes.len() >= 2, "{beside}");
        for node in nodes {
            // Read for all of them at once, and each has its own.
            assert_eq!((&node["connection"]["id"], &node["flow"]["id"]), (&node["connectionId"], &node["flowId"]), "{beside}");
        }

        // What chooses otherwise from now on learns anew.
        crate::flow::publish(&client, &flow, json!({"filter": "totals.grand > 1000"})).await;
        pass(&mut database, 20).await;
        eventually("it is over", async || Some(incidents(world).await).filter(|open| open == &json!([]))).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_reads_new_messages_and_deliveries_by_their_index_and_no_history() {
    world(async |world| {
        let mut database = world.platform.database.connect().await.unwrap();
        came(&mut database, &world.acme.source, 30.0 * 1_440.0, 10.0).await;
        planned(&mut database, &world.acme.flow, 30.0 * 1_440.0, 10.0).await;
        sqlx::raw_sql("ANALYZE messages; ANALYZE deliveries").execute(&mut database).await.unwrap();
        let tenant: Uuid = sqlx::query_scalar("SELECT id FROM tenants").fetch_one(&mut database).await.unwrap();
        let until = chrono::Utc::now() - chrono::TimeDelta::minutes(1);
        let explain = format!("EXPLAIN {COUNT_SQL}");
        let plan: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
            .bind(tenant)
            .bind(until - chrono::TimeDelta::minutes(5))
            .bind(until)
            .bind(300_i64)
            .bind("webhook")
            .bind(vec!["webhook", "poll", "file"])
            .fetch_all(&mut database)
            .await
            .unwrap();
        let explain = format!("EXPLAIN {PLANNED_SQL}");
        let planned: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(explain))
            .bind(tenant)
            .bind(until - chrono::TimeDelta::minutes(5))
            .bind(until)
            .bind(300_i64)
            .bind(2_i16)
            .fetch_all(&mut database)
            .await
            .unwrap();
        for plan in [plan, planned] {
            let plan = plan.join("\n");
            assert!(plan.contains("Index Cond") && !plan.contains("Seq Scan"), "{plan}");
        }
    })
    .await;
}
