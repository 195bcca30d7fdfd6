//! The main job, seen: real-shaped orders go from a shop to an ERP, each exactly once; what needs a person is a grouped exception;
//! adding the missing code and retrying empties it.

mod real;

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tests::client::Ledger;
use tests::platform::{Connected, EMAIL, Options, Platform, Tenant};
use tests::sample;
use tests::simulator::erp::{Account, Erp};
use uuid::Uuid;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[derive(Parser)]
#[command(about = "Runs the demo against services that are up; `cargo xtask demo` starts them first")]
struct Arguments {
    /// Ends after the table; non-zero when the numbers do not add up.
    #[arg(long)]
    exit: bool,
    /// Orders of a real shop: Medusa, installed from npm when first needed.
    #[arg(long)]
    real: bool,
    /// api and workers in one process, Postgres alone.
    #[arg(long)]
    all_in_one: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            say(&format!("The demo failed: {error}{}", cause(&*error)));
            ExitCode::FAILURE
        }
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map(|cause| format!(": {cause}{}", self::cause(cause))).unwrap_or_default()
}

fn say(text: &str) {
    // A closed terminal is no reason to stop the demo.
    let _ = writeln!(std::io::stdout(), "{text}");
}

async fn run(arguments: Arguments) -> Result<bool, Failure> {
    let mut options = Options { call_timeout_s: 10, ..Options::default() };
    options.all_in_one |= arguments.all_in_one;
    say(match options.all_in_one {
        true => "Starting Crossdock all-in-one: Postgres, in-process broker and limiter",
        false => "Starting Crossdock: Postgres, RabbitMQ, Redis, one api and one worker process",
    });
    let erp = Erp::start(Account::default()).await;
    let platform = Platform::start(options).await?;
    let outcome = if arguments.real {
        real::run(&platform, &erp, arguments.exit).await
    } else {
        until_stopped(show(&platform, &erp), arguments.exit).await
    };
    say("Stopping and cleaning up");
    platform.stop().await?;
    outcome
}

/// Runs to the end or to Ctrl-C, and then stays up where that is wanted.
async fn until_stopped(work: impl Future<Output = Result<bool, Failure>>, exit: bool) -> Result<bool, Failure> {
    let outcome = tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Err("stopped by Ctrl-C".into()),
    };
    if let (Ok(_), false) = (&outcome, exit) {
        say("\nEverything stays up until Ctrl-C.");
        let _ = tokio::signal::ctrl_c().await;
    }
    outcome
}

/// How people get in.
fn doors(platform: &Platform, erp: &Erp, hook_url: &str) -> String {
    let web =
        std::env::var_os("CROSSDOCK_WEB_DIR").map(|_| format!("\nWeb app               {}/", platform.url)).unwrap_or_default();
    format!(
        "{web}\nGraphQL and GraphiQL  {0}/graphql\nHealth                {0}/readyz\nSign-in               {EMAIL} / {1}\n\
         Tenant header         X-Crossdock-Tenant: acme\nHook of the shop      {hook_url}\n\
         ERP simulator         {2}/_control/stats\nLogs                  {3}",
        platform.url,
        platform.password,
        erp.url(),
        platform.logs.display()
    )
}

async fn show(platform: &Platform, erp: &Erp) -> Result<bool, Failure> {
    let tenant = platform.tenant("acme", erp, 15).await?;
    let since = chrono::Utc::now();
    let orders = sample::orders();
    say(&format!("Posting {} real-shaped orders as signed webhooks; the first one three times", orders.len()));
    let accepted = post(&tenant, &orders).await?;
    tenant.rest(accepted, Duration::from_secs(60)).await?;
    let first = Outcome::of(&tenant, erp, since).await?;
    first.print();
    say("\nThe lookup table \"SKUs\" gets the missing code; the group is retried");
    let retried = mend(&tenant, sample::UNMAPPED_SKU).await?;
    tenant.rest(accepted, Duration::from_secs(60)).await?;
    let second = Outcome::of(&tenant, erp, since).await?;
    second.print();
    let adds_up = check(&first, &second, accepted, retried, erp);
    say(&doors(platform, erp, &tenant.hook_url));
    Ok(adds_up)
}

/// Sends every sample once, and the first two times more: with the same webhook id, and with another.
async fn post(tenant: &Tenant, orders: &std::collections::BTreeMap<String, Vec<u8>>) -> Result<i64, Failure> {
    let bar = ProgressBar::new(orders.len() as u64 + 2);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}")?);
    let send = async |name: &str, body: &[u8], id: Uuid| -> Result<bool, Failure> {
        let answer = tenant.shop.send("orders/create", id, body.to_vec()).await?;
        if answer.status != 200 {
            return Err(format!("{name} was refused with {}: {}", answer.status, answer.body).into());
        }
        bar.set_message(name.to_owned());
        bar.inc(1);
        Ok(serde_json::from_str::<Value>(&answer.body)?["duplicate"] == Value::Bool(false))
    };
    let mut accepted = 0;
    let same = Uuid::new_v4();
    for (index, (name, body)) in orders.iter().enumerate() {
        let id = if index == 0 { same } else { Uuid::new_v4() };
        accepted += i64::from(send(name, body, id).await?);
    }
    if let Some((name, body)) = orders.iter().next() {
        accepted += i64::from(send(name, body, same).await?);
        accepted += i64::from(send(name, body, Uuid::new_v4()).await?);
    }
    bar.finish_and_clear();
    Ok(accepted)
}

/// Adds what the exceptions ask for and retries that group; says how many were retried.
async fn mend(tenant: &Connected, sku: &str) -> Result<i64, Failure> {
    tenant.client.lookup_entries_set(&tenant.table, &[(sku.to_owned(), "1999".to_owned())]).await?;
    let groups = tenant.client.exception_groups().await?;
    let group = groups.iter().find(|group| group["value"] == sku).ok_or("there is no group for the unmapped SKU")?;
    Ok(tenant.client.exception_retry(group["causeKey"].as_str().unwrap_or_default()).await?)
}

struct Outcome {
    ledger: Ledger,
    groups: Vec<Value>,
    latency: [f64; 3],
    stored: usize,
}

impl Outcome {
    async fn of(tenant: &Connected, erp: &Erp, since: chrono::DateTime<chrono::Utc>) -> Result<Self, Failure> {
        Ok(Self {
            ledger: tenant.client.ledger().await?,
            groups: tenant.client.exception_groups().await?,
            latency: tenant.client.latency(since).await?,
            stored: erp.stats().orders,
        })
    }

    fn print(&self) {
        let ledger = &self.ledger;
        let mut lines = vec![
            ("received".to_owned(), (ledger.accepted() + ledger.duplicates).to_string()),
            ("duplicates refused a second effect".to_owned(), (ledger.duplicates + ledger.message("unchanged")).to_string()),
            ("deliveries planned".to_owned(), ledger.deliveries.values().sum::<i64>().to_string()),
            ("confirmed by the ERP, a revision each".to_owned(), ledger.delivery("confirmed").to_string()),
            ("orders that the ERP holds".to_owned(), self.stored.to_string()),
            ("exceptions".to_owned(), ledger.delivery("exception").to_string()),
        ];
        for group in &self.groups {
            lines.push((format!("  {}", group["cause"].as_str().unwrap_or_default()), group["count"].to_string()));
            lines.push((
                format!(
                    "    {}: {}",
                    group["owner"].as_str().unwrap_or_default(),
                    group["nextStep"].as_str().unwrap_or_default()
                ),
                String::new(),
            ));
        }
        let [p50, _, p99] = self.latency;
        lines.push(("webhook to confirmed, p50 / p99".to_owned(), format!("{p50:.0} / {p99:.0} ms")));
        let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        say("");
        for (name, value) in lines {
            say(format!("  {name:<width$}  {value}").trim_end());
        }
    }
}

/// The numbers must add up: nothing lost, nothing twice, every total equal to the cent.
fn check(first: &Outcome, second: &Outcome, accepted: i64, retried: i64, erp: &Erp) -> bool {
    let orders = erp.orders();
    let planned: i64 = second.ledger.deliveries.values().sum();
    let confirmed = usize::try_from(second.ledger.delivery("confirmed")).unwrap_or_default();
    let checks = [
        ("every accepted message has one state", second.ledger.accepted() == accepted),
        (
            "every planned order is confirmed or an exception",
            second.ledger.delivery("confirmed") + second.ledger.delivery("exception") == planned,
        ),
        ("the ERP holds what was confirmed", orders.len() == confirmed),
        ("each was written once", orders.values().all(|order| order.creates == 1 && order.updates == 0)),
        (
            "every total at the ERP equals the shop's, to the cent",
            orders.values().all(|order| order.total == order.declared_total),
        ),
        ("one posted three times arrived once", first.ledger.duplicates == 1 && first.ledger.message("unchanged") == 1),
        (
            "the unmapped SKU was one group",
            first.groups.iter().filter(|group| group["value"] == sample::UNMAPPED_SKU).count() == 1,
        ),
        ("adding the code emptied it", retried == 3 && second.groups.iter().all(|group| group["value"] != sample::UNMAPPED_SKU)),
    ];
    say("");
    for (what, holds) in checks {
        say(&format!("  {} {what}", if holds { "ok  " } else { "FAIL" }));
    }
    checks.iter().all(|(_, holds)| *holds)
}
