//! How much goes, and how long it takes, is what happened, piece by piece; and a look at it costs the same however much there is.

use std::time::Duration;

use chrono::{SubsecRound as _, TimeDelta, Utc};
use infra::postgres::throughput::{SAMPLE_MAX, THROUGHPUT_SQL};
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection};
use tests::sample;
use uuid::Uuid;

use crate::{World, eventually, world};

const ASK: &str = "query($f: DateTime!, $n: Int!) { throughput(from: $f, pieceMinutes: 5, pieces: $n) {
    from to accepted confirmed live liveOrders isSampled p50Ms p95Ms } }";

async fn pieces(world: &World, from: chrono::DateTime<Utc>, count: i32) -> Vec<Value> {
    world.acme.client.ask(ASK, json!({"f": from, "n": count})).await.unwrap()["throughput"].as_array().unwrap().clone()
}

/// Live deliveries that were confirmed at a moment, each after so many milliseconds: 1, 2, 3 and on.
async fn confirmed(connection: &mut PgConnection, world: &World, ago: &str, count: i64) {
    let insert = "INSERT INTO deliveries (id, tenant_id, flow_id, flow_version_id, record_id, revision, revision_id, connection_id, state, due_at, sweep_at,
                      origin_at, planned_at, settled_at)
                  SELECT gen_random_uuid(), f.tenant_id, f.id, v.id, gen_random_uuid(), 1, gen_random_uuid(), f.destination_connection_id, 'confirmed', now(), now(),
                      now() - $1::interval - make_interval(secs => n / 1000.0), now() - $1::interval, now() - $1::interval
                  FROM flows f JOIN flow_versions v ON v.tenant_id = f.tenant_id AND v.flow_id = f.id, generate_series(1, $2) n
                  WHERE f.tenant_id = $3";
    let tenant: Uuid = world.acme.id.parse::<domain::id::TenantId>().unwrap().0;
    sqlx::query(insert).bind(ago).bind(count).bind(tenant).execute(connection).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn throughput_is_what_came_and_went_in_each_piece() {
    world(async |world| {
        let other = world.platform.tenant("other", &world.erp, 15).await.unwrap();
        for n in 0..3 {
            world.acme.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
            other.shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await.unwrap();
        }
        world.acme.rest(3, Duration::from_secs(30)).await.unwrap();
        other.rest(3, Duration::from_secs(30)).await.unwrap();
        let mut connection = world.platform.database.connect().await.unwrap();
        confirmed(&mut connection, world, "35 minutes", 100).await;
        // The last piece began three minutes ago: what was sent above is in it on a slow machine, too.
        let from = Utc::now().trunc_subsecs(0) - TimeDelta::minutes(58);
        let now = eventually("what was confirmed is counted", async || {
            let pieces = pieces(world, from, 12).await;
            (pieces[11]["confirmed"] == 3).then_some(pieces)
        })
        .await;
        let sum = |field: &str| now.iter().map(|piece| piece[field].as_i64().unwrap()).sum::<i64>();
        assert_eq!(
            (now.len(), sum("accepted"), sum("confirmed"), sum("live"), sum("liveOrders")),
            (12, 3, 3, 103, 103),
            "{now:?}"
        );
        assert_eq!((&now[11]["accepted"], &now[11]["live"]), (&json!(3), &json!(3)), "the other tenant's are not in it");
        assert!(now[11]["p50Ms"].as_f64().unwrap() > 0.0 && now[11]["p95Ms"].as_f64() >= now[11]["p50Ms"].as_f64());
        // 35 minutes ago is in the fifth piece of 58: a hundred of them took 1 to 100 ms.
        let timed = &now[4];
        assert_eq!(timed["live"], 100, "{now:?}");
        let close = |field: &str, ms: f64| (timed[field].as_f64().unwrap() - ms).abs() < 0.2;
        assert!(close("p50Ms", 50.5) && close("p95Ms", 95.05), "{timed}");
        assert_eq!((&now[0]["p50Ms"], &now[0]["isSampled"]), (&Value::Null, &json!(false)));
        for pair in now.windows(2) {
            assert_eq!(pair[0]["to"], pair[1]["from"], "they lie side by side");
        }
        let wrong = world.acme.client.raw(ASK, json!({"f": from, "n": 49})).await.unwrap();
        assert!(wrong["errors"][0]["message"].as_str().unwrap().contains("`pieces` is from 1 to 48"), "{wrong}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throughput_reads_the_newest_of_each_piece_by_their_index_and_no_history() {
    world(async |world| {
        let mut connection = world.platform.database.connect().await.unwrap();
        for days in 1..=20 {
            confirmed(&mut connection, world, &format!("{days} days"), 1_000).await;
        }
        confirmed(&mut connection, world, "20 minutes", SAMPLE_MAX + 500).await;
        sqlx::query("ANALYZE deliveries").execute(&mut connection).await.unwrap();
        let from = Utc::now() - TimeDelta::minutes(56);
        let pieces = pieces(world, from, 12).await;
        let sampled: Vec<&Value> = pieces.iter().filter(|piece| piece["isSampled"] == true).collect();
        assert_eq!((sampled.len(), &sampled[0]["live"]), (1, &json!(SAMPLE_MAX)), "{pieces:?}");
        let tenant: Uuid = world.acme.id.parse::<domain::id::TenantId>().unwrap().0;
        // As the application asks: row-level security decides which conditions an index may serve.
        let options: PgConnectOptions = world.platform.database.app_url.parse().unwrap();
        let mut app = options.connect().await.unwrap();
        let enter = format!("BEGIN; SELECT set_config('crossdock.tenant_id', '{tenant}', true)");
        app.execute(sqlx::raw_sql(AssertSqlSafe(enter))).await.unwrap();
        let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {THROUGHPUT_SQL}")))
            .bind(tenant)
            .bind(from)
            .bind(300.0_f64)
            .bind(12_i32)
            .bind(SAMPLE_MAX)
            .fetch_all(&mut app)
            .await
            .unwrap();
        let plan = plan.join("\n");
        assert!(plan.contains("deliveries_settled") && !plan.contains("Seq Scan on deliveries"), "{plan}");
        assert!(plan.contains("Limit") && !plan.contains("Seq Scan on usage_events"), "{plan}");
    })
    .await;
}
