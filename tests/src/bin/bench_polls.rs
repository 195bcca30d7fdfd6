//! Ten thousand connections that are listed by one worker process, each at a shop of its own to which orders come all the time: how late the reads begin,
//! whether every order gets here, and how much memory the process takes. Of a list of twenty orders two are new, as the defaults are; the others are what
//! was listed before, word for word, so that a poll does what it does in earnest: it reads, tells what is new, and brings that.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::Parser;
use domain::http::{HttpAnswer, HttpRequest};
use futures::StreamExt as _;
use infra::loopback::{self, Answer};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;
use tests::bench::{Failure, Limit, measured, quantile, report, round};
use tests::client::Client;
use tests::platform::{Options, Platform};

/// Connections of one tenant.
const OF_A_TENANT: u32 = 100;
const AT_ONCE: usize = 16;
/// Orders that a shop had before the first list of it.
const HISTORY: i64 = 1_000;
/// How long what the lists brought may wait to be received, once nothing is listed.
const PATIENCE: Duration = Duration::from_secs(300);

/// How many of the polls that are due must be made, percent: fewer, and they fall ever further behind.
const KEPT_UP_PCT_MIN: f64 = 95.0;
/// How late 99 of 100 may begin, as a share of the time between two: polls are spread by a tenth of it on purpose.
const LATE_MAX: f64 = 0.1;
/// The most that the process may have in memory, MiB, and as a multiple of what it had when each had been read once: it does not grow with what comes.
const MEMORY_MIB_MAX: f64 = 256.0;
const MEMORY_GROWTH_MAX: f64 = 1.25;

#[derive(Parser)]
#[command(about = "Many connections polled by one process; `cargo xtask bench polls` starts the services first")]
struct Arguments {
    #[arg(long, default_value_t = 10_000)]
    connections: u32,
    /// How often each is listed, s.
    #[arg(long, default_value_t = 300)]
    every: u32,
    /// How long it is measured after each was read once, s.
    #[arg(long, default_value_t = 300)]
    seconds: u32,
    /// Orders of a list; 100 at most, which are a page.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100))]
    listed: u32,
    /// How many of them are new, on average: so many come to a shop between two polls.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    fresh: u32,
    /// Writes the numbers here, too.
    #[arg(long)]
    json: Option<std::path::PathBuf>,
}

fn main() -> ExitCode {
    tests::bench::main(run(Arguments::parse()))
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    if arguments.fresh > arguments.listed {
        return Err("a list has no more new orders than orders: --fresh is at most --listed".into());
    }
    let platform = Platform::start(Options { call_timeout_s: 5, ..Options::default() }).await?;
    let outcome = measure(&arguments, &platform).await;
    platform.stop().await?;
    let numbers = outcome?;
    let limits = limits(&arguments, &numbers);
    report(numbers, limits, arguments.json.as_deref())
}

fn limits(arguments: &Arguments, numbers: &Value) -> Vec<Limit> {
    let (most, first) = (measured(numbers, "memory_most_mib"), measured(numbers, "memory_after_the_first_reads_mib"));
    let kept_up_pct = 100.0 * measured(numbers, "polls_per_s") / due_per_s(arguments);
    vec![
        Limit::at_least("Polls that were made of those that were due", kept_up_pct, KEPT_UP_PCT_MIN, "%"),
        Limit::at_most(
            "How late polls begin, p99",
            measured(numbers, "latest_p99_s"),
            LATE_MAX * f64::from(arguments.every),
            "s",
        ),
        Limit::at_most("Orders that were listed and are not here", measured(numbers, "orders_missing"), 0.0, "orders"),
        Limit::at_most("Memory of the process that polls", most, MEMORY_MIB_MAX, "MiB"),
        Limit::at_most("Memory at most, against after the first reads", most / first, MEMORY_GROWTH_MAX, "times as much"),
    ]
}

fn due_per_s(arguments: &Arguments) -> f64 {
    f64::from(arguments.connections) / f64::from(arguments.every)
}

/// Shops to each of which an order comes every so often, at moments of its own. Whoever lists one is told its newest orders, whatever moment he asks from:
/// so answers a vendor whose filter knows days. What the answer says is made of the time alone, so that a list that is asked for twice loses nothing.
#[derive(Debug)]
struct Shops {
    count: u32,
    /// Orders of a list.
    listed: u32,
    /// Between two orders of a shop, ms.
    step_ms: i64,
    /// When the first shop's first order came, ms since 1970.
    begun_ms: i64,
    lists: AtomicU64,
    bytes: AtomicU64,
}

impl Shops {
    fn new(arguments: &Arguments) -> Self {
        let step_ms = 1_000 * i64::from(arguments.every) / i64::from(arguments.fresh);
        let begun_ms = Utc::now().timestamp_millis() - HISTORY * step_ms;
        let (lists, bytes) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { count: arguments.connections, listed: arguments.listed, step_ms, begun_ms, lists, bytes }
    }

    /// When an order came. Each shop has its own part of a step, so that not all of them get one at once.
    fn at_ms(&self, shop: u32, number: i64) -> i64 {
        let part = self.step_ms * i64::from(shop) / i64::from(self.count.max(1));
        self.begun_ms + part + number * self.step_ms
    }

    /// The number of a shop's newest order at a moment.
    fn newest(&self, shop: u32, at_ms: i64) -> i64 {
        (at_ms - self.at_ms(shop, 0)).div_euclid(self.step_ms)
    }

    fn answer(&self, request: &HttpRequest) -> Answer {
        let answer = |status: u16, body: Value| {
            let headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
            HttpAnswer { status, headers, body: body.to_string().into() }
        };
        // http://127.0.0.1:4711/<shop>/orders?updated_since=…
        let mut path = request.url.split(['/', '?']).skip(3);
        let shop = path.next().and_then(|shop| shop.parse::<u32>().ok()).filter(|shop| *shop < self.count);
        let (Some(shop), Some("orders")) = (shop, path.next()) else {
            return answer(404, json!({"code": "not_found", "detail": "There is no such list."})).into();
        };
        let newest = self.newest(shop, Utc::now().timestamp_millis());
        let records: Vec<Value> = (newest + 1 - i64::from(self.listed)..=newest).map(|number| self.order(shop, number)).collect();
        let list = answer(200, json!({"records": records, "next": null}));
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(list.body.len() as u64, Ordering::Relaxed);
        list.into()
    }

    /// An order of four lines, as the contract of one's own system has it: the same whenever it is asked for.
    fn order(&self, shop: u32, number: i64) -> Value {
        let at = DateTime::from_timestamp_millis(self.at_ms(shop, number)).unwrap_or_default();
        let at = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let line = |line: i64| {
            json!({
                "source_id": line.to_string(), "sku": format!("SKU-{}", (number * 7 + line) % 5_000), "title": "A hat of felt, black",
                "quantity": "2", "unit_price": "19.95", "tax_total": "6.37", "requires_shipping": true,
            })
        };
        json!({
            "source_id": format!("{shop}-{number}"), "number": format!("S{shop}-{number}"), "status": "open", "payment_status": "paid",
            "fulfillment_status": "unfulfilled", "currency": "EUR", "placed_at": at, "updated_at": at,
            "customer": {"source_id": format!("C-{}", number % 97), "name": "Zoë Müller", "email": format!("zoe{}@example.com", number % 97)},
            "shipping_address": {"name": "Zoë Müller", "line1": "Hafenstraße 9", "city": "Hamburg", "postal_code": "20359", "country": "DE"},
            "lines": (1..=4).map(line).collect::<Vec<_>>(), "taxes_included": true, "totals": {"tax": "25.48", "grand": "159.60"},
        })
    }
}

async fn measure(arguments: &Arguments, platform: &Platform) -> Result<Value, Failure> {
    let shops = Arc::new(Shops::new(arguments));
    let of_server = shops.clone();
    let handler = move |request: HttpRequest, _in_flight: usize| of_server.answer(&request);
    let vendor = loopback::serve(([127, 0, 0, 1], 0).into(), Arc::new(handler)).await?;
    let worker = platform.workers.first().or(platform.api.as_ref()).and_then(tokio::process::Child::id);
    let worker = worker.ok_or("no process of the platform runs")?;
    let begin = Instant::now();
    make(arguments, platform, &vendor.url()).await?;
    let made_s = begin.elapsed().as_secs_f64();

    let mut database = platform.database.connect().await?;
    // As they are in a running installation: spread over the time between two reads.
    sqlx::query("UPDATE polls SET due_at = now() + random() * make_interval(secs => every_s)").execute(&mut database).await?;
    let unread = "SELECT count(*) FROM polls WHERE read_at IS NULL";
    none(&mut database, "connections that were not read once", unread, Duration::from_secs(u64::from(arguments.every) * 3))
        .await?;
    none(&mut database, "messages of the first lists that were not received", WAITING, PATIENCE).await?;

    let (first_mib, mut most_mib, mut overdue) = (memory_mib(worker)?, 0.0_f64, Vec::new());
    let (lists_before, bytes_before) = (shops.lists.load(Ordering::Relaxed), shops.bytes.load(Ordering::Relaxed));
    let orders_before = count(&mut database, ORDERS).await?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(arguments.seconds.into()) {
        // How long what is due and not yet begun has been due.
        let late = "SELECT coalesce(max(extract(epoch FROM now() - due_at)), 0)::float8 FROM polls WHERE due_at < now() AND lease_until IS NULL";
        overdue.push(sqlx::query_scalar::<_, f64>(late).fetch_one(&mut database).await?);
        most_mib = most_mib.max(memory_mib(worker)?);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let measured_s = begin.elapsed().as_secs_f64();
    let lists = shops.lists.load(Ordering::Relaxed) - lists_before;
    let bytes = shops.bytes.load(Ordering::Relaxed) - bytes_before;
    let orders = count(&mut database, ORDERS).await? - orders_before;
    let waiting = count(&mut database, WAITING).await?;
    let failed = count(&mut database, "SELECT count(*) FROM polls WHERE failures > 0").await?;
    // How much of what its last poll listed was news to each.
    let brought = "SELECT coalesce(avg(brought), 0)::float8 FROM polls WHERE lease_until IS NULL AND failures = 0";
    let brought: f64 = sqlx::query_scalar(brought).fetch_one(&mut database).await?;

    // No poll begins any more, and what was brought comes to rest: then everything that was listed is here.
    sqlx::query("UPDATE polls SET due_at = now() + interval '1 day'").execute(&mut database).await?;
    none(&mut database, "polls under way", "SELECT count(*) FROM polls WHERE lease_until > now()", PATIENCE).await?;
    none(&mut database, "messages that were not received", WAITING, PATIENCE).await?;
    let missing = missing(&mut database, &shops).await?;
    overdue.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "counts of a bench fit a double")]
    let (polls, bytes, orders_per_s) = (lists as f64, bytes as f64, orders as f64 / measured_s);
    Ok(json!({
        "connections": arguments.connections, "every_s": arguments.every, "made_s": round(made_s), "measured_s": round(measured_s),
        "one_poll": {
            "listed": arguments.listed, "of_them_new": round(brought), "kilobytes": round(bytes / polls.max(1.0) / 1_000.0),
            "what": "a list is read, compared with what was listed before, and what is new becomes messages and records",
        },
        "polls": lists, "polls_per_s": round(polls / measured_s), "due_per_s": round(due_per_s(arguments)), "failed": failed,
        "orders_per_s": round(orders_per_s), "messages_waiting": waiting, "orders_missing": missing,
        "latest_p50_s": round(quantile(&overdue, 0.5)), "latest_p99_s": round(quantile(&overdue, 0.99)),
        "memory_after_the_first_reads_mib": round(first_mib), "memory_most_mib": round(most_mib),
    }))
}

const ORDERS: &str = "SELECT count(*) FROM records";
/// Leans on messages_sweep.
const WAITING: &str = "SELECT count(*) FROM messages WHERE state IN ('received', 'fetching')";

/// Tenants with their connections, each of which is polled from now on.
async fn make(arguments: &Arguments, platform: &Platform, vendor: &str) -> Result<(), Failure> {
    for tenant in 0..arguments.connections.div_ceil(OF_A_TENANT) {
        let client = platform.sign_in().await?;
        let id = client.tenant_create(&format!("tenant-{tenant}")).await?;
        let client = client.of_tenant(&id);
        let first = tenant * OF_A_TENANT;
        let last = (first + OF_A_TENANT).min(arguments.connections);
        let connections = (first..last).map(|shop| connect(&client, vendor, shop, arguments.every));
        let mut made = futures::stream::iter(connections).buffer_unordered(AT_ONCE);
        while let Some(made) = made.next().await {
            made?;
        }
    }
    Ok(())
}

async fn connect(client: &Client, vendor: &str, shop: u32, every_s: u32) -> Result<(), Failure> {
    const SET: &str = "mutation($i: PollSetInput!) { pollSet(input: $i) { poll { id } userErrors { field code message } } }";
    let (settings, credential) = (json!({"base_url": format!("{vendor}/{shop}")}), json!({"authorization": "Bearer made-up"}));
    let (id, _) = client.connection_create("http", &format!("Shop {shop}"), settings, credential).await?;
    client.ask(SET, json!({"i": {"connectionId": id, "recordKind": "order", "everyS": every_s}})).await?;
    Ok(())
}

async fn count(database: &mut PgConnection, sql: &'static str) -> Result<i64, Failure> {
    Ok(sqlx::query_scalar(sql).fetch_one(database).await?)
}

/// Waits until there are none.
async fn none(database: &mut PgConnection, what: &str, sql: &'static str, patience: Duration) -> Result<(), Failure> {
    let begin = Instant::now();
    loop {
        match count(database, sql).await? {
            0 => return Ok(()),
            left if begin.elapsed() > patience => {
                return Err(format!("there are {left} {what} after {} s", patience.as_secs()).into());
            }
            _ => tokio::time::sleep(Duration::from_secs(1)).await,
        }
    }
}

/// How many orders are not here that came to a shop after the oldest that is, and before its last poll began.
async fn missing(database: &mut PgConnection, shops: &Shops) -> Result<i64, Failure> {
    let here = "SELECT shop::int, min(number), max(number), count(*), (extract(epoch FROM max(begun_at)) * 1000)::bigint, bool_and(failures = 0) FROM (
            SELECT split_part(r.source_id, '-', 1) AS shop, split_part(r.source_id, '-', 2)::bigint AS number, p.begun_at, p.failures
            FROM records r JOIN polls p ON p.connection_id = r.connection_id
        ) o GROUP BY shop";
    let here: Vec<(i32, i64, i64, i64, i64, bool)> = sqlx::query_as(here).fetch_all(database).await?;
    // A shop of which nothing is here lacks a whole list.
    let mut missing = (i64::from(shops.count) - i64::try_from(here.len())?) * i64::from(shops.listed);
    for (shop, oldest, newest, there, begun_ms, is_read) in here {
        // One whose last poll failed is compared up to what came before that.
        let last = if is_read { newest.max(shops.newest(u32::try_from(shop)?, begun_ms)) } else { newest };
        missing += last - oldest + 1 - there;
    }
    Ok(missing)
}

/// What a process has in memory.
fn memory_mib(process: u32) -> Result<f64, Failure> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("the process tells no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
}
