//! What a tenant with a million orders of history waits for: searches and timelines over the API, by themselves and while orders arrive, and new orders
//! from end to end, with the rate that the same platform had on its empty database beside it. Everything comes at its own moment, whether or not what
//! came before is answered (an open loop), and is timed from that moment: what had to wait for others is not left out. The history is made by Postgres,
//! of the rows of one order that the platform itself delivered, spread over ten months and their partitions. The database is taken away at the end.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use domain::search_key::{KeyKind, SearchKey};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Executor};
use tests::bench::{Failure, Limit, measured, quantile, report, round};
use tests::client::Client;
use tests::platform::{Options, Platform, Tenant};
use tests::sample;
use tests::simulator::erp::{Account, Erp};
use tests::simulator::own::OwnSystem;
use uuid::Uuid;

const HISTORY: &str = include_str!("history.sql");
/// Orders of one transaction while the history is made.
const BATCH: u64 = 25_000;
const CUSTOMERS: u64 = 100_000;
const DAYS: u64 = 300;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
/// What 99 of 100 searches, and pages of timelines, may take with a million orders of history and nothing else to do, ms.
const ASKED_P99_MS_MAX: f64 = 100.0;
/// Above it the history is too large for what a bench may take of a disk.
const DATABASE_BYTES_MAX: i64 = 15_000_000_000;

#[derive(Parser)]
#[command(about = "A million orders of history; `cargo xtask bench ledger` starts the services first")]
struct Arguments {
    /// Orders of history.
    #[arg(long, default_value_t = 1_000_000)]
    orders: u64,
    /// Orders that are delivered before the history is there, and with it.
    #[arg(long, default_value_t = 4_000)]
    delivered: u64,
    /// Orders that are sent at once.
    #[arg(long, default_value_t = 50)]
    at_once: usize,
    /// Searches, and half as many timelines.
    #[arg(long, default_value_t = 1_000)]
    queries: u64,
    /// Searches and timelines a second.
    #[arg(long, default_value_t = 30.0)]
    rate: f64,
    /// Orders a second that arrive meanwhile.
    #[arg(long, default_value_t = 200.0)]
    beside: f64,
    /// Writes the numbers here, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    tests::bench::main(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let erp = Erp::start(Account { concurrency: 100, latency: Duration::ZERO }).await;
    let platform = Platform::start(Options { call_timeout_s: 10, ..Options::default() }).await?;
    let outcome = measure(&arguments, &platform, &erp).await;
    platform.stop().await?;
    let numbers = outcome?;
    let limit = |what: &str, name: &str| Limit::at_most(what, measured(&numbers, name), ASKED_P99_MS_MAX, "ms");
    let limits = vec![limit("A search by any id, p99", "search_p99_ms"), limit("A page of a timeline, p99", "timeline_p99_ms")];
    report(numbers, limits, arguments.json.as_deref())
}

async fn measure(arguments: &Arguments, platform: &Platform, erp: &Erp) -> Result<Value, Failure> {
    let mut tenant = platform.tenant("bench", erp, 100).await?;
    let warehouse = OwnSystem::connect(&tenant.client, "Bench warehouse").await?;
    let mut database = platform.database.connect().await?;
    // The first orders make what is made once: partitions, recipes, compiled mappings, pooled connections.
    deliver(arguments, &tenant, &mut database, 0..500).await?;
    let empty_per_s = deliver(arguments, &tenant, &mut database, 500..500 + arguments.delivered).await?;
    let made_s = make_history(arguments, platform, &warehouse, &mut database).await?;
    let bytes: i64 = sqlx::query_scalar("SELECT pg_database_size(current_database())").fetch_one(&mut database).await?;
    if bytes > DATABASE_BYTES_MAX {
        return Err(format!("the history takes {bytes} bytes; {DATABASE_BYTES_MAX} is the limit: make fewer orders").into());
    }
    // Making the history took longer than a sign-in lasts.
    tenant.sign_in_again(platform).await?;
    let alone = ask(arguments, &tenant, &mut database, 0.0).await?;
    let beside = ask(arguments, &tenant, &mut database, arguments.beside).await?;
    let before = rows_read(&mut database).await?;
    let first = 100_000;
    let full_per_s = deliver(arguments, &tenant, &mut database, first..first + arguments.delivered).await?;
    // Postgres counts with a delay.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut read: Vec<(f64, String)> = rows_read(&mut database)
        .await?
        .into_iter()
        .map(|(table, rows)| (per(rows - before.get(&table).copied().unwrap_or(0), arguments.delivered), table))
        .filter(|(rows, _)| *rows >= 1.0)
        .collect();
    read.sort_by(|a, b| b.0.total_cmp(&a.0));
    let read: serde_json::Map<String, Value> = read.into_iter().map(|(rows, table)| (table, json!(rows))).collect();
    let at = |sorted: &[f64], share: f64| round(quantile(sorted, share));
    Ok(json!({
        "orders_of_history": arguments.orders, "made_s": round(made_s), "database_gb": round(per(bytes, 1_000_000_000)),
        "asked_per_s": arguments.rate,
        "search_p50_ms": at(&alone.searches, 0.5), "search_p99_ms": at(&alone.searches, 0.99), "search_max_ms": at(&alone.searches, 1.0),
        "timeline_p50_ms": at(&alone.timelines, 0.5), "timeline_p99_ms": at(&alone.timelines, 0.99), "timeline_max_ms": at(&alone.timelines, 1.0),
        "orders_per_s_beside": round(beside.orders_per_s),
        "search_beside_p50_ms": at(&beside.searches, 0.5), "search_beside_p99_ms": at(&beside.searches, 0.99),
        "timeline_beside_p50_ms": at(&beside.timelines, 0.5), "timeline_beside_p99_ms": at(&beside.timelines, 0.99),
        "orders_per_s_at_0": round(empty_per_s), "orders_per_s_at_1m": round(full_per_s),
        "rows_read_per_order": read,
    }))
}

#[expect(clippy::cast_precision_loss, reason = "counts of a bench fit a double")]
fn per(of: i64, each: u64) -> f64 {
    round(of as f64 / each.max(1) as f64)
}

/// Sends these orders, as many at once as asked, and waits until the last is confirmed. Orders a second from the first sending on.
async fn deliver(
    arguments: &Arguments,
    tenant: &Tenant,
    database: &mut PgConnection,
    orders: std::ops::Range<u64>,
) -> Result<f64, Failure> {
    let count = orders.end - orders.start;
    let since: Uuid = sqlx::query_scalar("SELECT uuid7_floor(clock_timestamp())").fetch_one(&mut *database).await?;
    let begin = Instant::now();
    let mut sends = tokio::task::JoinSet::new();
    for n in orders {
        if sends.len() >= arguments.at_once {
            taken(sends.join_next().await)?;
        }
        let shop = tenant.shop.clone();
        sends.spawn(async move { shop.send("orders/create", Uuid::new_v4(), sample::order(n)).await });
    }
    while let Some(sent) = sends.join_next().await {
        taken(Some(sent))?;
    }
    confirmed(database, since, count).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of orders fits a double")]
    Ok(count as f64 / begin.elapsed().as_secs_f64())
}

/// Waits until so many deliveries that were planned since then are confirmed.
async fn confirmed(database: &mut PgConnection, since: Uuid, count: u64) -> Result<(), Failure> {
    // By the primary key: whoever asks how far it is must not read the history.
    let confirmed = "SELECT count(*) FROM deliveries WHERE id > $1 AND state = 'confirmed'";
    let (begin, patience) = (Instant::now(), Duration::from_secs(600));
    loop {
        let confirmed: i64 = sqlx::query_scalar(confirmed).bind(since).fetch_one(&mut *database).await?;
        if confirmed.unsigned_abs() >= count {
            return Ok(());
        }
        if begin.elapsed() > patience {
            return Err(format!("{confirmed} of {count} orders were confirmed within {} s", patience.as_secs()).into());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

type Sent = Result<Result<tests::simulator::shop::Answer, reqwest::Error>, tokio::task::JoinError>;

fn taken(sent: Option<Sent>) -> Result<(), Failure> {
    let answer = sent.ok_or("nothing was sent")???;
    if answer.status == 200 { Ok(()) } else { Err(format!("an order was answered with {}", answer.status).into()) }
}

/// Makes the history, and lets Postgres learn what it holds. Seconds that it took.
async fn make_history(
    arguments: &Arguments,
    platform: &Platform,
    warehouse: &OwnSystem,
    database: &mut PgConnection,
) -> Result<f64, Failure> {
    let begin = Instant::now();
    prepare(platform, warehouse, database).await?;
    // What a million orders did was sealed as it happened. Here it comes within minutes, and sealing it would go on beside what is measured.
    database.execute(sqlx::raw_sql("ALTER TABLE audit_events DISABLE TRIGGER audit_event_is_unsealed")).await?;
    let now: i64 = sqlx::query_scalar("SELECT (extract(epoch FROM now()) * 1000)::bigint").fetch_one(&mut *database).await?;
    // What happens to an order goes on for a day.
    let first_ms = now.unsigned_abs() - (DAYS + 2) * DAY_MS;
    let step_ms = DAYS * DAY_MS / arguments.orders.max(1);
    for from in (0..arguments.orders).step_by(usize::try_from(BATCH)?) {
        let to = (from + BATCH).min(arguments.orders) - 1;
        let values =
            [("{from}", from), ("{to}", to), ("{first_ms}", first_ms), ("{step_ms}", step_ms), ("{customers}", CUSTOMERS)];
        let sql = values.iter().fold(HISTORY.to_owned(), |sql, (name, value)| sql.replace(name, &value.to_string()));
        let mut tx = database.begin().await?;
        tx.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
        tx.commit().await?;
        let _ = write!(std::io::stderr(), "\r{} orders of history", to + 1);
    }
    let _ = writeln!(std::io::stderr());
    database.execute(sqlx::raw_sql("ALTER TABLE audit_events ENABLE TRIGGER audit_event_is_unsealed")).await?;
    database.execute(sqlx::raw_sql("VACUUM (ANALYZE)")).await?;
    database.execute(sqlx::raw_sql("CHECKPOINT")).await?;
    Ok(begin.elapsed().as_secs_f64())
}

/// The partitions of the months behind, the rows to copy, and the hashes of the customers' addresses.
async fn prepare(platform: &Platform, warehouse: &OwnSystem, database: &mut PgConnection) -> Result<(), Failure> {
    let partitions = "DO $$ DECLARE parent text; month timestamptz; child text; BEGIN
        FOREACH parent IN ARRAY ARRAY['messages', 'record_revisions', 'attempts', 'audit_events', 'usage_events'] LOOP
            FOR back IN 1..11 LOOP
                month := date_trunc('month', (now() AT TIME ZONE 'UTC') - make_interval(months => back)) AT TIME ZONE 'UTC';
                child := parent || to_char(month AT TIME ZONE 'UTC', '\"_\"YYYYMM');
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', child, parent, uuid7_floor(month),
                    uuid7_floor(date_trunc('month', (month AT TIME ZONE 'UTC') + interval '1 month') AT TIME ZONE 'UTC'));
                PERFORM guard_partition(child);
            END LOOP;
        END LOOP;
    END $$";
    database.execute(sqlx::raw_sql(partitions)).await?;
    let connection: domain::id::ConnectionId = warehouse.connection.parse()?;
    let sample = format!(
        "CREATE FUNCTION bench_id(ms bigint, n bigint, salt integer) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
             $$ SELECT (lpad(to_hex(ms), 12, '0') || '7' || lpad(to_hex(salt), 3, '0') || '8' || lpad(to_hex(n), 15, '0'))::uuid $$;
         CREATE UNLOGGED TABLE bench_sample AS
         SELECT r.tenant_id, r.connection_id AS source, d.connection_id AS destination, '{}'::uuid AS warehouse, d.flow_id, d.flow_version_id,
                m.id AS message_id, convert_from(m.body, 'UTF8') AS body, r.source_id, v.document, v.recipe_id AS read_recipe, a.id AS attempt_id,
                convert_from(a.request, 'UTF8') AS request, a.recipe_id AS write_recipe
         FROM records r JOIN record_revisions v ON v.id = r.revision_id JOIN messages m ON m.id = v.message_id
         JOIN deliveries d ON d.record_id = r.id JOIN attempts a ON a.id = d.attempt_id WHERE r.number = '#L0';
         CREATE UNLOGGED TABLE bench_customers (n bigint PRIMARY KEY, hash text NOT NULL);
         SELECT set_config('crossdock.tenant_id', (SELECT tenant_id::text FROM bench_sample), false);
         SET synchronous_commit = off",
        connection.0
    );
    database.execute(sqlx::raw_sql(AssertSqlSafe(sample))).await?;
    let tenant: Uuid = sqlx::query_scalar("SELECT tenant_id FROM bench_sample").fetch_one(&mut *database).await?;
    let key: (i32, String, Vec<u8>) =
        sqlx::query_as("SELECT version, master_key_id, wrapped FROM data_keys WHERE tenant_id = $1 ORDER BY version LIMIT 1")
            .bind(tenant)
            .fetch_one(&mut *database)
            .await?;
    let hasher = platform.vault()?.unwrap(domain::id::TenantId(tenant), key.0, &key.1, &key.2)?.hasher();
    let hash = |n: u64| hasher.store(SearchKey { kind: KeyKind::Email, text: format!("c{n}@example.com") }).value;
    sqlx::query("INSERT INTO bench_customers SELECT n - 1, hash FROM unnest($1::text[]) WITH ORDINALITY AS h (hash, n)")
        .bind((0..CUSTOMERS).map(hash).collect::<Vec<_>>())
        .execute(&mut *database)
        .await?;
    Ok(())
}

const SEARCH: &str =
    "query($t: String!) { search(text: $t) { matched value isExact record { id kind number connectionId updatedAt } } }";

/// What a person asks for, and what the answer must say.
enum Query {
    Search { text: String, finds: bool },
    Timeline { record: String, n: u64 },
}

/// What was asked while orders arrived. Milliseconds, sorted.
#[derive(Default)]
struct Asked {
    searches: Vec<f64>,
    timelines: Vec<f64>,
    orders_per_s: f64,
}

/// Searches and timelines at their own moments, beside so many orders a second at theirs; each finds what it must, and each order is confirmed.
async fn ask(arguments: &Arguments, tenant: &Tenant, database: &mut PgConnection, orders_per_s: f64) -> Result<Asked, Failure> {
    let queries = queries(arguments, tenant, database).await?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench fit a double")]
    let spans = queries.len() as f64 / arguments.rate;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of orders")]
    let orders = (spans * orders_per_s) as u64;
    let since: Uuid = sqlx::query_scalar("SELECT uuid7_floor(clock_timestamp())").fetch_one(&mut *database).await?;
    let begin = tokio::time::Instant::now();
    let mut sends = tokio::task::JoinSet::new();
    for (n, at) in moments(orders_per_s).take(usize::try_from(orders)?).enumerate() {
        let shop = tenant.shop.clone();
        let order = sample::order(200_000 + u64::try_from(n)?);
        sends.spawn(async move {
            tokio::time::sleep_until(begin + at).await;
            shop.send("orders/create", Uuid::new_v4(), order).await
        });
    }
    let mut asks = tokio::task::JoinSet::new();
    for (query, at) in queries.into_iter().zip(moments(arguments.rate)) {
        let client = tenant.client.clone();
        asks.spawn(async move {
            tokio::time::sleep_until(begin + at).await;
            let is_search = matches!(query, Query::Search { .. });
            answer(&client, query).await.map(|()| (is_search, (begin + at).elapsed().as_secs_f64() * 1000.0))
        });
    }
    let mut asked = Asked::default();
    while let Some(answered) = asks.join_next().await {
        let (is_search, ms) = answered??;
        if is_search { asked.searches.push(ms) } else { asked.timelines.push(ms) }
    }
    while let Some(sent) = sends.join_next().await {
        taken(Some(sent))?;
    }
    confirmed(database, since, orders).await?;
    #[expect(clippy::cast_precision_loss, reason = "a count of orders fits a double")]
    {
        asked.orders_per_s = orders as f64 / begin.elapsed().as_secs_f64();
    }
    asked.searches.sort_by(f64::total_cmp);
    asked.timelines.sort_by(f64::total_cmp);
    Ok(asked)
}

/// Moments of a Poisson process: so many a second, each independent of the others. The same in each run.
fn moments(per_s: f64) -> impl Iterator<Item = Duration> {
    let (mut random, mut at) = (StdRng::seed_from_u64(5), 0.0);
    std::iter::from_fn(move || {
        at -= (1.0 - random.random::<f64>()).ln() / per_s;
        Some(Duration::from_secs_f64(at))
    })
}

/// Two searches for each timeline, of orders of all ages.
async fn queries(arguments: &Arguments, tenant: &Tenant, database: &mut PgConnection) -> Result<Vec<Query>, Failure> {
    let ids: Vec<(Uuid, Uuid)> = sqlx::query_as("SELECT record_id, id FROM deliveries ORDER BY md5(id::text) LIMIT 1000")
        .fetch_all(&mut *database)
        .await?;
    let mut queries = Vec::new();
    for query in 0..arguments.queries {
        let n = query * 7_919_993 % arguments.orders;
        let (record, delivery) = ids[usize::try_from(query)? % ids.len()];
        let (text, finds) = match query % 11 {
            0 => (format!("#H{n}"), true),
            1 => (format!("h{}", n / 100), true),
            2 => (format!("SKU-{}", n % 5000), true),
            3 => (format!("C{}@example.com", n % CUSTOMERS), true),
            4 => ((900_000_000 + n).to_string(), true),
            5 => ((8_000_000_000_000 + n).to_string(), true),
            6 => (domain::id::RecordId(record).to_string(), true),
            7 => (domain::id::DeliveryId(delivery).to_string(), true),
            8 => (format!("1Z{}AA", n / 10 * 10 + 3), true),
            9 => (format!("SHP-{}", n / 10 * 10 + 3), true),
            _ => (format!("nothing-{n}"), false),
        };
        queries.push(Query::Search { text, finds });
        if query % 2 == 0 {
            let n = query * 104_729_003 % arguments.orders;
            let data = tenant.client.ask(SEARCH, json!({"t": format!("#H{n}")})).await?;
            let record = data["search"][0]["record"]["id"].as_str().ok_or("an order of the history was not found")?;
            queries.push(Query::Timeline { record: record.to_owned(), n });
        }
    }
    Ok(queries)
}

async fn answer(client: &Client, query: Query) -> Result<(), Failure> {
    match query {
        Query::Search { text, finds } => {
            let data = client.ask(SEARCH, json!({"t": text})).await?;
            let found = data["search"].as_array().map_or(0, Vec::len);
            if (found > 0) != finds {
                return Err(format!("the search for {text} found {found} records").into());
            }
        }
        Query::Timeline { record, n } => {
            let data = client.ask(TIMELINE, json!({"id": record})).await?;
            let told = data["record"]["timeline"]["nodes"].as_array().map_or(0, Vec::len);
            let expected = if n % 50 == 1 { 8 } else { 4 * (1 + usize::from(n.is_multiple_of(20))) };
            let related = data["record"]["related"].as_array().map_or(0, Vec::len);
            if told != expected || related != usize::from(n % 10 == 3) {
                let told = format!("the timeline of #H{n} tells {told} things, and {expected} happened; {related} belong to it");
                return Err(told.into());
            }
        }
    }
    Ok(())
}

const TIMELINE: &str = "query($id: ID!) { record(id: $id) { number timeline(first: 50) { nodes { at what sentence who revision
    call { kind method url outcome status } madeWith { connector } } } related { isReferredTo record { kind number } } } }";

/// Rows that were read so far, by table.
async fn rows_read(database: &mut PgConnection) -> Result<BTreeMap<String, i64>, Failure> {
    let read = "SELECT regexp_replace(relname::text, '_(\\d{6}|default)$', ''), sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
                FROM pg_stat_user_tables WHERE relname NOT LIKE 'bench%' GROUP BY 1";
    Ok(sqlx::query_as::<_, (String, i64)>(read).fetch_all(database).await?.into_iter().collect())
}
