//! The platform, started for real: its own database and role, its own queues and keys, the processes a person would start.
//! Everything is taken away again at the end.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::lane::Lane;
use domain::task::Stage;
use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpSocket;
use tokio::process::{Child, Command};
use uuid::Uuid;

use crate::client::{Client, ClientError, Ledger};
use crate::simulator::erp::Erp;
use crate::simulator::shop::Shop;

pub const EMAIL: &str = "demo@crossdock.example";
const HOOK_SECRET: &str = "shop-client-secret";
pub const SHOP_DOMAIN: &str = "acme-demo.myshopify.com";
/// How long a process may take to be ready, and to end where it is told to: on a busy machine, and more than it ever should.
const PROCESS_PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    #[error("{what} failed: {why}")]
    Step { what: String, why: String },
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the database")]
    Sql(#[from] sqlx::Error),
    #[error("the schema")]
    Migrate(#[from] migrations::MigrateError),
    #[error("a process")]
    Io(#[from] std::io::Error),
}

/// A step that failed, and why.
pub fn step(what: &str, why: impl std::fmt::Display) -> PlatformError {
    PlatformError::Step { what: what.to_owned(), why: why.to_string() }
}

/// How it is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// api and workers in one process, without RabbitMQ and Redis.
    pub all_in_one: bool,
    pub call_timeout_s: u32,
    /// Processes that work, where not all in one.
    pub workers: usize,
    /// Addresses that connectors may call.
    pub allow: String,
    pub listen_port: Option<u16>,
    pub amqp_url: Option<String>,
    pub redis_url: Option<String>,
    /// Where the platform's own processes reach Postgres, if not directly: a proxy that a test cuts.
    pub postgres_port: Option<u16>,
    /// Connectors of its own beside the catalog: those of `tests/connectors`.
    pub has_own_connectors: bool,
    /// Vendors can be told where to send.
    pub has_public_url: bool,
    /// More of the environment that `crossdock settings` lists.
    pub environment: Vec<(&'static str, &'static str)>,
}

impl Default for Options {
    /// As the environment says: RabbitMQ and Redis where they are known, else all in one.
    fn default() -> Self {
        let get = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (amqp_url, redis_url) = (get("AMQP_URL"), get("REDIS_URL"));
        let all_in_one = get("CROSSDOCK_ALL_IN_ONE").is_some() || amqp_url.is_none();
        Self {
            all_in_one,
            call_timeout_s: 2,
            workers: 1,
            allow: "127.0.0.1:*".into(),
            listen_port: None,
            amqp_url,
            redis_url,
            postgres_port: None,
            has_own_connectors: false,
            has_public_url: true,
            environment: vec![],
        }
    }
}

/// A database of its own.
pub struct Database {
    admin: PgConnectOptions,
    pub name: String,
    /// As the schema's owner.
    pub owner: PgConnectOptions,
    pub app_url: String,
}

/// The server, as a role that may make databases and roles.
///
/// # Errors
/// Where `DATABASE_ADMIN_URL` cannot be read.
pub fn admin() -> Result<PgConnectOptions, PlatformError> {
    Ok(admin_url().parse()?)
}

#[must_use]
pub fn admin_url() -> String {
    std::env::var("DATABASE_ADMIN_URL").unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/postgres".into())
}

impl Database {
    /// Makes it, with the whole schema and the application's role.
    ///
    /// # Errors
    /// Where the server does not answer or the role may not create databases.
    pub async fn create() -> Result<Self, PlatformError> {
        let admin = admin()?;
        let name = format!("crossdock_{}", &Uuid::new_v4().simple().to_string()[..12]);
        let template = Template::taken(&admin).await?;
        execute(&admin, format!("CREATE DATABASE {name} TEMPLATE {template}")).await?;
        let owner = admin.clone().database(&name);
        let password = Uuid::new_v4().simple().to_string();
        migrations::app_login(&owner, &format!("{name}_app"), &password).await?;
        let app_url = format!("postgres://{name}_app:{password}@{}:{}/{name}", owner.get_host(), owner.get_port());
        Ok(Self { admin, name, owner, app_url })
    }

    /// # Errors
    /// Where the server does not answer.
    pub async fn connect(&self) -> Result<PgConnection, PlatformError> {
        Ok(self.owner.connect().await?)
    }

    /// Takes it away, with its role.
    ///
    /// # Errors
    /// Where the server does not answer.
    pub async fn drop(self) -> Result<(), PlatformError> {
        let name = &self.name;
        let dropped = async {
            execute(&self.admin, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await?;
            execute(&self.admin, format!("DROP ROLE IF EXISTS {name}_app")).await
        };
        let outcome = dropped.await;
        Template::given_back(&self.admin).await?;
        outcome
    }
}

async fn execute(server: &PgConnectOptions, sql: String) -> Result<(), PlatformError> {
    let mut connection = server.connect().await?;
    connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    Ok(connection.close().await?)
}

/// A database with nothing but the schema, of which those of this process are copies: that takes a quarter of the time of the migrations.
/// It is there while a copy is.
struct Template {
    name: String,
    copies: usize,
}

static TEMPLATE: tokio::sync::Mutex<Option<Template>> = tokio::sync::Mutex::const_new(None);

impl Template {
    /// Its name, for one more copy. Makes it where this is the first.
    async fn taken(server: &PgConnectOptions) -> Result<String, PlatformError> {
        let mut held = TEMPLATE.lock().await;
        if let Some(template) = held.as_mut() {
            template.copies += 1;
            return Ok(template.name.clone());
        }
        let name = format!("crossdock_{}_empty", &Uuid::new_v4().simple().to_string()[..12]);
        execute(server, format!("CREATE DATABASE {name}")).await?;
        migrations::up(&server.clone().database(&name)).await?;
        *held = Some(Self { name: name.clone(), copies: 1 });
        Ok(name)
    }

    /// Takes it away where that was the last copy.
    async fn given_back(server: &PgConnectOptions) -> Result<(), PlatformError> {
        let mut held = TEMPLATE.lock().await;
        let Some(template) = held.as_mut() else { return Ok(()) };
        template.copies -= 1;
        if template.copies > 0 {
            return Ok(());
        }
        let name = template.name.clone();
        *held = None;
        execute(server, format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await
    }
}

/// The running platform.
pub struct Platform {
    pub options: Options,
    pub database: Database,
    pub url: String,
    pub password: String,
    prefix: String,
    port: u16,
    /// What keeps the ports that its processes listen on, or will again.
    ports: Vec<TcpSocket>,
    secrets: [(&'static str, String); 2],
    pub logs: PathBuf,
    pub api: Option<Child>,
    pub workers: Vec<Child>,
}

impl Platform {
    /// Starts everything and makes the demo's person.
    ///
    /// # Errors
    /// Where a part does not start; says which and where its log is.
    pub async fn start(options: Options) -> Result<Self, PlatformError> {
        let database = Database::create().await?;
        let (port, kept) = match options.listen_port {
            Some(port) => (port, None),
            None => free_port()?,
        };
        let logs = std::env::temp_dir().join(&database.name);
        std::fs::create_dir_all(&logs)?;
        if options.has_own_connectors {
            crate::vendor::CONNECTORS.extract(&logs)?;
        }
        let random = |bytes: usize| STANDARD.encode((0..bytes).map(|_| rand::random::<u8>()).collect::<Vec<_>>());
        let prefix = format!("{}{}.", std::env::var("CROSSDOCK_PREFIX").unwrap_or_default(), database.name);
        let mut platform = Self {
            url: format!("http://127.0.0.1:{port}"),
            password: format!("demo-{}", &Uuid::new_v4().simple().to_string()[..12]),
            secrets: [("CROSSDOCK_MASTER_KEY", random(32)), ("CROSSDOCK_JWT_KEY", random(32))],
            prefix,
            port,
            ports: kept.into_iter().collect(),
            logs,
            database,
            options,
            api: None,
            workers: vec![],
        };
        platform.user_create(EMAIL, &platform.password.clone()).await?;
        platform.start_api().await?;
        if !platform.options.all_in_one {
            for _ in 0..platform.options.workers {
                platform.start_worker().await?;
            }
        }
        Ok(platform)
    }

    /// The platform's own, for whoever makes rows beside it that it must be able to read.
    ///
    /// # Errors
    /// Where the key is none.
    pub fn vault(&self) -> Result<infra::vault::Vault, PlatformError> {
        let [(_, master_key), _] = &self.secrets;
        infra::vault::Vault::new(&master_key.as_str().into()).map_err(|error| step("the vault", error))
    }

    /// The settings that are secrets, by name: what must stand nowhere else.
    pub fn secrets(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.secrets.iter().map(|(name, secret)| (*name, secret.as_str()))
    }

    fn database_url(&self) -> Result<String, PlatformError> {
        let Some(port) = self.options.postgres_port else { return Ok(self.database.app_url.clone()) };
        let mut url = url::Url::parse(&self.database.app_url).map_err(|error| step("the database's address", error))?;
        url.set_host(Some("127.0.0.1")).map_err(|error| step("the database's address", error))?;
        url.set_port(Some(port)).map_err(|()| step("the database's address", "it takes no port"))?;
        Ok(url.into())
    }

    fn command(&self, log: &str, arguments: &[&str]) -> Result<Command, PlatformError> {
        let mut command = Command::new(binary()?);
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.logs.join(log))?;
        command
            .args(arguments)
            .env("DATABASE_URL", self.database_url()?)
            .env("CROSSDOCK_PREFIX", &self.prefix)
            .env("CROSSDOCK_LISTEN", format!("127.0.0.1:{}", self.port))
            .env("CROSSDOCK_ENV", "development")
            .env("CROSSDOCK_COOKIES", "plain")
            .env("CROSSDOCK_OUTBOUND_ALLOW", &self.options.allow)
            .env("CROSSDOCK_CALL_TIMEOUT_S", self.options.call_timeout_s.to_string())
            // A test asks more often than a person does.
            .env("CROSSDOCK_LIMIT_PERSON", "600000")
            .envs(self.options.environment.iter().copied())
            .envs(self.secrets.iter().map(|(name, value)| (*name, value)))
            .env_remove("AMQP_URL")
            .env_remove("REDIS_URL")
            .env_remove("CROSSDOCK_PUBLIC_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true);
        if self.options.has_public_url {
            command.env("CROSSDOCK_PUBLIC_URL", &self.url);
        }
        if self.options.has_own_connectors {
            command.env("CROSSDOCK_CONNECTORS", &self.logs);
        }
        if let Some(url) = &self.options.amqp_url {
            command.env("AMQP_URL", url);
        }
        if let Some(url) = &self.options.redis_url {
            command.env("REDIS_URL", url);
        }
        Ok(command)
    }

    /// # Errors
    /// Where it does not come up within a minute.
    pub async fn start_api(&mut self) -> Result<(), PlatformError> {
        let arguments: &[&str] = if self.options.all_in_one { &["serve", "--all-in-one"] } else { &["serve"] };
        let child = self.command("api.log", arguments)?.spawn()?;
        self.api = Some(self.ready(child, "api").await?);
        Ok(())
    }

    /// Another process of the API beside the first, of the same installation; its address.
    ///
    /// # Errors
    /// As [`Self::start_api`].
    pub async fn start_api_beside(&mut self) -> Result<String, PlatformError> {
        let (port, kept) = free_port()?;
        self.ports.extend(kept);
        let mut command = self.command("api_beside.log", &["serve"])?;
        let child = command.env("CROSSDOCK_LISTEN", format!("127.0.0.1:{port}")).spawn()?;
        let child = self.ready(child, "api_beside").await?;
        self.workers.push(child);
        Ok(format!("http://127.0.0.1:{port}"))
    }

    /// # Errors
    /// As [`Self::start_api`].
    pub async fn start_worker(&mut self) -> Result<(), PlatformError> {
        let child = self.command("workers.log", &["work"])?.spawn()?;
        let child = self.ready(child, "workers").await?;
        self.workers.push(child);
        Ok(())
    }

    /// Waits for the line that says it is ready.
    async fn ready(&self, mut child: Child, what: &str) -> Result<Child, PlatformError> {
        let failed = |why: &str| step(what, format!("{why}; its log is {}/{what}.log", self.logs.display()));
        let output = child.stdout.take().ok_or_else(|| failed("it has no output"))?;
        let mut lines = BufReader::new(output).lines();
        match tokio::time::timeout(PROCESS_PATIENCE, lines.next_line()).await {
            Ok(Ok(Some(_))) => Ok(child),
            Ok(_) => Err(failed("it ended before it was ready")),
            Err(_) => Err(failed("it was not ready within a minute")),
        }
    }

    /// `kill -9`: nothing is finished, nothing is cleaned up.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn kill_api(&mut self) -> Result<(), PlatformError> {
        let mut child = self.api.take().ok_or_else(|| step("kill", "no api runs"))?;
        Ok(child.kill().await?)
    }

    /// `kill -9` of one worker process.
    ///
    /// # Errors
    /// Where there is none.
    pub async fn kill_worker(&mut self) -> Result<(), PlatformError> {
        let mut child = self.workers.pop().ok_or_else(|| step("kill", "no worker runs"))?;
        Ok(child.kill().await?)
    }

    /// Makes a person, from beside the database.
    ///
    /// # Errors
    /// Where the command fails.
    pub async fn user_create(&self, email: &str, password: &str) -> Result<(), PlatformError> {
        let mut child = self.command("cli.log", &["user", "create", "--email", email])?.stdin(Stdio::piped()).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(format!("{password}\n").as_bytes()).await?;
        }
        let status = child.wait().await?;
        if status.success() { Ok(()) } else { Err(step("user create", format!("see {}/cli.log", self.logs.display()))) }
    }

    /// Runs the program beside the platform, and says how it ended.
    ///
    /// # Errors
    /// Where it cannot be run.
    pub async fn run(&self, arguments: &[&str]) -> Result<std::process::Output, PlatformError> {
        Ok(self.command("cli.log", arguments)?.stderr(Stdio::piped()).output().await?)
    }

    /// The rules by which a connector writes orders, as a person would copy them into a flow.
    #[must_use]
    pub fn connector_rules(&self, connector: &str) -> Vec<Value> {
        let rules = connectors::Catalog::embedded().get(connector).and_then(|c| c.write_rules(domain::record::RecordKind::Order));
        rules.and_then(|rules| serde_json::to_value(rules).ok()?.as_array().cloned()).unwrap_or_default()
    }

    /// The demo's person, signed in.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn sign_in(&self) -> Result<Client, PlatformError> {
        Ok(Client::new(&self.url).sign_in(EMAIL, &self.password).await?)
    }

    /// A tenant with a shop, an ERP and a published flow between them.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn tenant(&self, slug: &str, erp: &Erp, concurrency: u32) -> Result<Tenant, PlatformError> {
        let source = Source {
            connector: "shopify",
            settings: json!({"shop": SHOP_DOMAIN}),
            credential: json!({"hook_secret": HOOK_SECRET}),
            skus: crate::sample::skus(),
        };
        let connected = self.connect(slug, source, erp, concurrency).await?;
        Ok(Tenant { shop: Shop::new(SHOP_DOMAIN, HOOK_SECRET, &connected.hook_url), connected })
    }

    /// A tenant whose orders go from this source to the ERP.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn connect(&self, slug: &str, from: Source, erp: &Erp, concurrency: u32) -> Result<Connected, PlatformError> {
        let client = self.sign_in().await?;
        let id = client.tenant_create(slug).await?;
        let client = client.of_tenant(&id);
        let (source, hook_url) = client.connection_create(from.connector, "Acme shop", from.settings, from.credential).await?;
        let (destination, _) =
            client.connection_create("netsuite", "Acme ERP", erp.settings(concurrency), Erp::credential()).await?;
        let table = client.lookup_table_create("SKUs", &from.skus).await?;
        let policy = json!({"attempts_max": 8, "backoff_ms": 200, "backoff_max_ms": 5_000});
        let name = format!("orders: {} to netsuite", from.connector);
        let flow = client.flow_publish(&name, &source, &destination, policy).await?;
        Ok(Connected { id, source, destination, table, flow, client, hook_url })
    }

    /// Stops everything in order and takes database, queues and keys away.
    ///
    /// # Errors
    /// Where the database cannot be dropped.
    pub async fn stop(mut self) -> Result<(), PlatformError> {
        for mut child in self.api.take().into_iter().chain(self.workers.drain(..)) {
            terminate(&mut child).await;
        }
        if let Some(url) = self.options.amqp_url.as_deref().filter(|_| !self.options.all_in_one) {
            delete_queues(url, &self.prefix).await;
        }
        if let Some(url) = self.options.redis_url.as_deref().filter(|_| !self.options.all_in_one) {
            delete_keys(url, &self.prefix).await;
        }
        let _ = std::fs::remove_dir_all(&self.logs);
        self.database.drop().await
    }
}

/// Where a tenant's orders come from.
pub struct Source {
    pub connector: &'static str,
    pub settings: Value,
    pub credential: Value,
    /// What the lookup table knows: SKU and the ERP's item id.
    pub skus: Vec<(String, String)>,
}

/// A tenant with a source, an ERP and a flow between them.
pub struct Connected {
    pub id: String,
    pub source: String,
    pub destination: String,
    pub table: String,
    pub flow: String,
    pub client: Client,
    pub hook_url: String,
}

/// One whose source is a simulated shop.
pub struct Tenant {
    connected: Connected,
    pub shop: Shop,
}

impl Tenant {
    /// Signs in anew: an access token does not outlive a long test.
    ///
    /// # Errors
    /// Where the API refuses.
    pub async fn sign_in_again(&mut self, platform: &Platform) -> Result<(), PlatformError> {
        self.connected.client = platform.sign_in().await?.of_tenant(&self.connected.id);
        Ok(())
    }
}

impl std::ops::Deref for Tenant {
    type Target = Connected;

    fn deref(&self) -> &Connected {
        &self.connected
    }
}

impl Connected {
    /// Waits until nothing waits for a machine any more and `accepted` messages are there.
    ///
    /// # Errors
    /// Where that is not so within the time; says how the ledger stands.
    pub async fn rest(&self, accepted: i64, patience: Duration) -> Result<Ledger, PlatformError> {
        let end = Instant::now() + patience;
        let mut last = Err(step("rest", "the API never answered"));
        while Instant::now() < end {
            match self.client.ledger().await {
                Ok(ledger) if ledger.is_at_rest() && ledger.accepted() >= accepted => return Ok(ledger),
                Ok(ledger) => last = Err(step("rest", format!("not at rest after {} s: {ledger:?}", patience.as_secs()))),
                Err(error) => last = Err(error.into()),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        last
    }
}

/// A free port, and what keeps it: a socket that is bound there and does not listen. As long as it is there nobody else is given
/// the port, neither before our process listens nor while it is started anew; whoever asks for just this one may listen there.
fn free_port() -> std::io::Result<(u16, Option<TcpSocket>)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(([127, 0, 0, 1], 0).into())?;
    let port = socket.local_addr()?.port();
    // Other systems than Linux let nobody listen beside it.
    Ok((port, cfg!(target_os = "linux").then_some(socket)))
}

/// SIGTERM, then patience, then `kill -9`.
pub async fn terminate(child: &mut Child) {
    if let Some(pid) = child.id() {
        let _ = Command::new("kill").arg("-TERM").arg(pid.to_string()).status().await;
    }
    if tokio::time::timeout(PROCESS_PATIENCE, child.wait()).await.is_err() {
        let _ = child.kill().await;
    }
}

/// `CROSSDOCK_BIN`, or the one that was built beside us.
/// The program, where it was built.
///
/// # Errors
/// Where it was not.
pub fn binary() -> Result<PathBuf, PlatformError> {
    if let Some(path) = std::env::var_os("CROSSDOCK_BIN") {
        return Ok(path.into());
    }
    let own = std::env::current_exe()?;
    let found = own.ancestors().skip(1).take(2).map(|folder| folder.join("crossdock")).find(|path| path.is_file());
    found.ok_or_else(|| step("crossdock", "it is not built: run `cargo build -p crossdock` first, or set CROSSDOCK_BIN"))
}

async fn delete_queues(url: &str, prefix: &str) {
    let Ok(connection) = lapin::Connection::connect(url, lapin::ConnectionProperties::default()).await else { return };
    let Ok(channel) = connection.create_channel().await else { return };
    let lanes = Stage::ALL.into_iter().flat_map(|stage| Lane::ALL.map(|lane| stage.queue(lane)));
    for queue in lanes.chain(["dead".to_owned()]) {
        let _ = channel.queue_delete(format!("{prefix}{queue}").into(), lapin::options::QueueDeleteOptions::default()).await;
    }
}

async fn delete_keys(url: &str, prefix: &str) {
    let Ok(client) = redis::Client::open(url) else { return };
    let Ok(mut connection) = client.get_multiplexed_async_connection().await else { return };
    let keys: Vec<String> = redis::cmd("KEYS").arg(format!("{prefix}*")).query_async(&mut connection).await.unwrap_or_default();
    if !keys.is_empty() {
        let _: Result<i64, _> = redis::cmd("DEL").arg(keys).query_async(&mut connection).await;
    }
}
