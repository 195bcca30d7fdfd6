//! A real Medusa shop, installed from npm when first needed and run for as long as a demo lasts: a database of its own, goods, customers
//! that fill carts and pay through its API, and staff that changes orders afterwards. Nothing of it is ours but the subscriber.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use domain::value::{Limits, Value as Exact};
use include_dir::{Dir, include_dir};
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::platform::{PlatformError, admin, admin_url, step, terminate};

/// The shop's own files: settings, goods, customers, and the subscriber that tells us of orders.
static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/real/medusa");
const START_PATIENCE: Duration = Duration::from_secs(120);
/// What one page of the Admin API holds at most.
const PAGE_MAX: usize = 100;
/// Asked for apart from the connector, so that a field it forgets is missed here.
const FIELDS: &str = "id,display_id,status,email,currency_code,total,credit_line_total,tax_total,items.id,items.quantity,items.unit_price,items.variant_sku";

/// A shop that has goods and keys; [`Self::open`] lets customers in.
pub struct Medusa {
    folder: PathBuf,
    admin: PgConnectOptions,
    database: String,
    database_url: String,
    /// Where it answers.
    pub url: String,
    port: u16,
    /// What its goods and keys are, as the seed script says.
    pub seed: Value,
    log: PathBuf,
    process: Option<Child>,
}

/// The folder with everything installed: found, or made.
///
/// # Errors
/// Where npm is missing or cannot install.
pub async fn install() -> Result<PathBuf, PlatformError> {
    let lock = FILES.get_file("package-lock.json").map(include_dir::File::contents).unwrap_or_default();
    let version: String = Sha256::digest(lock).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let home = std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from).join("crossdock");
    let folder = cache.join(format!("medusa-{version}"));
    if !folder.is_dir() {
        // Made aside and renamed when it is whole: an install that broke off is never taken for one.
        let partial = cache.join(format!("medusa-{version}.{}", std::process::id()));
        write(&partial)?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(&partial);
        quiet(&mut npm, "npm ci").await?;
        if std::fs::rename(&partial, &folder).is_err() {
            // Somebody else was faster.
            std::fs::remove_dir_all(&partial)?;
        }
    }
    // The packages are kept; our own files are today's.
    write(&folder)?;
    Ok(folder)
}

fn write(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    FILES.extract(folder)
}

async fn quiet(command: &mut Command, what: &str) -> Result<String, PlatformError> {
    let output = command.stdin(Stdio::null()).kill_on_drop(true).output().await.map_err(|error| step(what, error))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(step(what, format!("{text}{}", String::from_utf8_lossy(&output.stderr)).trim()))
}

impl Medusa {
    /// A new shop: its database, its schema, its goods and its keys.
    ///
    /// # Errors
    /// Where a step fails; says what it printed.
    pub async fn prepare(folder: PathBuf, logs: &Path) -> Result<Self, PlatformError> {
        let admin = admin()?;
        let database = format!("crossdock_medusa_{}", &Uuid::new_v4().simple().to_string()[..12]);
        admin.connect().await?.execute(sqlx::raw_sql(AssertSqlSafe(format!("CREATE DATABASE {database}")))).await?;
        let mut database_url = url::Url::parse(&admin_url()).map_err(|error| step("DATABASE_ADMIN_URL", error))?;
        database_url.set_path(&database);
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let url = format!("http://127.0.0.1:{port}");
        let mut shop = Self {
            folder,
            admin,
            database,
            database_url: database_url.into(),
            url,
            port,
            seed: Value::Null,
            log: logs.join("medusa.log"),
            process: None,
        };
        quiet(shop.medusa().args(["db:migrate", "--skip-scripts", "--execute-all-links"]), "the shop's schema").await?;
        let printed = quiet(shop.medusa().args(["exec", "./seed.js"]), "the shop's goods").await?;
        let seed = printed
            .lines()
            .find_map(|line| line.strip_prefix("CROSSDOCK_SEED "))
            .ok_or_else(|| step("the shop's goods", &printed))?;
        shop.seed = serde_json::from_str(seed).map_err(|error| step("the shop's goods", error))?;
        Ok(shop)
    }

    fn medusa(&self) -> Command {
        let mut command = Command::new("node");
        command
            .arg("node_modules/.bin/medusa")
            .current_dir(&self.folder)
            .env("DATABASE_URL", self.database_url.as_str())
            .env("NODE_ENV", "production")
            .env("MEDUSA_DISABLE_TELEMETRY", "1")
            .env("LOG_LEVEL", "warn")
            .env("HOST", "127.0.0.1")
            .env("PORT", self.port.to_string())
            .env_remove("REDIS_URL")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// Starts serving; its subscriber tells this hook of every order.
    ///
    /// # Errors
    /// Where it does not answer in time; says where its log is.
    pub async fn open(&mut self, hook_url: &str, hook_secret: &str) -> Result<(), PlatformError> {
        let log = std::fs::File::create(&self.log)?;
        let mut command = self.medusa();
        command.arg("start").env("CROSSDOCK_HOOK_URL", hook_url).env("CROSSDOCK_HOOK_SECRET", hook_secret);
        self.process = Some(command.stdout(log.try_clone()?).stderr(log).spawn()?);
        let client = http()?;
        let end = Instant::now() + START_PATIENCE;
        while Instant::now() < end {
            if client.get(format!("{}/health", self.url)).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Err(step("the shop", format!("it does not answer; its log is {}", self.log.display())))
    }

    /// The key that Crossdock's connection uses.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        self.seed["secret_key"].as_str().unwrap_or_default()
    }

    /// The SKUs that the demo's lookup table knows.
    #[must_use]
    pub fn skus(&self) -> Vec<(String, String)> {
        let unknown = self.unknown_skus();
        let skus = self.seed["skus"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let known = skus.filter(|sku| !unknown.contains(sku));
        known.enumerate().map(|(index, sku)| (sku.to_owned(), (3_000 + index).to_string())).collect()
    }

    /// Those that it lacks at first.
    #[must_use]
    pub fn unknown_skus(&self) -> Vec<&str> {
        self.seed["unknown_skus"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// Customers buy, and the staff changes some of the orders afterwards. `seen` learns of each order and act.
    ///
    /// # Errors
    /// Where the shop refuses somebody.
    pub async fn sell(&self, count: u32, mut seen: impl FnMut(&Value)) -> Result<(), PlatformError> {
        let mut command = Command::new("node");
        command.arg("checkout.mjs").arg(&self.url).arg(self.seed.to_string()).arg(count.to_string()).current_dir(&self.folder);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true).spawn()?;
        let output = child.stdout.take().ok_or_else(|| step("the customers", "no output"))?;
        let mut lines = BufReader::new(output).lines();
        while let Some(line) = lines.next_line().await? {
            seen(&serde_json::from_str(&line).map_err(|error| step("the customers", format!("{error}: {line}")))?);
        }
        let end = child.wait_with_output().await?;
        if end.status.success() { Ok(()) } else { Err(step("the customers", String::from_utf8_lossy(&end.stderr).trim())) }
    }

    /// What the shop says of every order of its, with all digits.
    ///
    /// # Errors
    /// Where it does not answer.
    pub async fn orders(&self) -> Result<Vec<Exact>, PlatformError> {
        let client = http()?;
        let mut orders = Vec::new();
        loop {
            let url =
                format!("{}/admin/orders?limit={PAGE_MAX}&offset={}&order=display_id&fields={FIELDS}", self.url, orders.len());
            let answer =
                client.get(url).basic_auth(self.secret_key(), Some("")).send().await.map_err(|error| step("the shop", error))?;
            let body = answer.error_for_status().map_err(|error| step("the shop", error))?.bytes().await;
            let body = body.map_err(|error| step("the shop", error))?;
            let page = Exact::parse(&body, &Limits::DEFAULT).map_err(|error| step("the shop", error))?;
            let found = page.at("orders").and_then(Exact::as_list).unwrap_or_default();
            orders.extend(found.iter().cloned());
            if found.len() < PAGE_MAX {
                return Ok(orders);
            }
        }
    }

    /// Stops it and takes its database away.
    ///
    /// # Errors
    /// Where the database cannot be dropped.
    pub async fn stop(mut self) -> Result<(), PlatformError> {
        if let Some(mut process) = self.process.take() {
            terminate(&mut process).await;
        }
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.database);
        self.admin.connect().await?.execute(sqlx::raw_sql(AssertSqlSafe(drop))).await?;
        Ok(())
    }
}

fn http() -> Result<reqwest::Client, PlatformError> {
    crate::client::http().timeout(Duration::from_secs(30)).build().map_err(|error| step("the client", error))
}
