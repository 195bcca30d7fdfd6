//! `crossdock`: the one binary. It serves, works, migrates and prints its contract.

mod audit;
mod connector;
mod flow;
mod invoice;
mod keys;
mod plan;

use std::io::{BufRead, Write};
use std::process::ExitCode;

use api::config::Config;
use api::{AppState, password};
use clap::{Parser, Subcommand};
use connector::ConnectorCommand;
use connectors::Catalog;
use domain::id::UserId;
use domain::scope::Request;
use flow::{Apply, FlowCommand};
use infra::broker::Broker;
use infra::drift::Drifts;
use infra::limiter::Limiter;
use infra::mail::Mailer;
use infra::outbound::{AllowList, Outbound};
use infra::postgres::Store;
use infra::postgres::data_key::MasterKeyUse;
use infra::sunset::Sunsets;
use infra::vault::Vault;
use tokio::sync::watch;
use tracing::{error, info};

#[derive(Parser)]
#[command(name = "crossdock", version, about = "The integration platform for ecommerce and B2B operations")]
struct Cli {
    /// One JSON object a log line, for machines.
    #[arg(long, global = true, env = "CROSSDOCK_LOG_JSON")]
    log_json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves the API and the hooks. Needs the environment that `crossdock settings` lists.
    Serve {
        /// Workers in the same process, with an in-process broker and limiter: Postgres alone is enough.
        #[arg(long)]
        all_in_one: bool,
    },
    /// Runs the stages behind the queues.
    Work,
    /// Brings the schema up to date, as the role of MIGRATE_DATABASE_URL, and makes the role that the others sign in with.
    Migrate {
        /// Its name; the password comes from CROSSDOCK_APP_PASSWORD.
        #[arg(long)]
        app_role: Option<String>,
    },
    /// People, from beside the database.
    User {
        #[command(subcommand)]
        command: UserCommand,
    },
    /// Connectors: check, simulate, prove, begin.
    Connector {
        #[command(subcommand)]
        command: ConnectorCommand,
    },
    /// Flows: try a mapping on awkward records before a real one comes; begin with a template; write them as files.
    Flow {
        #[command(subcommand)]
        command: FlowCommand,
    },
    /// Makes a tenant's flows and lookup tables as files say, over the API of a running Crossdock: plans, says the plan, and does it.
    /// Signs in by CROSSDOCK_TOKEN, or by CROSSDOCK_EMAIL and CROSSDOCK_PASSWORD, of the environment.
    Apply(Apply),
    /// The audit log: takes it from a running Crossdock, and checks what Crossdock has signed without one.
    Audit {
        #[command(subcommand)]
        command: audit::AuditCommand,
    },
    /// The master key: what it has wrapped, and its replacement while everything runs.
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// What tenants pay: plans, and who is on which.
    Plan {
        #[command(subcommand)]
        command: plan::PlanCommand,
    },
    /// What tenants were billed.
    Invoice {
        #[command(subcommand)]
        command: invoice::InvoiceCommand,
    },
    /// Prints the GraphQL contract.
    Schema,
    /// Lists the environment that serve and work read.
    Settings,
}

#[derive(Subcommand)]
enum UserCommand {
    /// Makes a person staff of this installation: with a second factor they may ask tenants to be let in, and nothing else.
    StaffGrant {
        #[arg(long)]
        email: String,
    },
    /// Takes that away; what they have begun ends at once.
    StaffRevoke {
        #[arg(long)]
        email: String,
    },
    /// Takes away the second factor of a person who has lost their app and their codes on paper. Be sure that it is them who asks.
    SecondFactorRemove {
        #[arg(long)]
        email: String,
    },
    /// Sets another password and ends all sessions of the person; it is read from the first line of standard input.
    Password {
        #[arg(long)]
        email: String,
    },
    /// Makes a person; the password is read from the first line of standard input.
    Create {
        #[arg(long)]
        email: String,
        #[arg(long, default_value = "")]
        name: String,
    },
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let cli = Cli::parse();
    infra::telemetry::start(cli.log_json);
    infra::process::hide_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let run = || runtime?.block_on(run(cli.command));
    match run() {
        Ok(code) => code,
        Err(error) => {
            error!("{}", infra::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Apply(apply) => return apply.run().await,
        Command::Serve { all_in_one } => serve(all_in_one).await,
        Command::Work => work().await,
        Command::Migrate { app_role } => migrate(app_role).await,
        Command::User { command: UserCommand::Create { email, name } } => user_create(&email, &name).await,
        Command::User { command: UserCommand::Password { email } } => user_password(&email).await,
        Command::User { command: UserCommand::SecondFactorRemove { email } } => second_factor_remove(&email).await,
        Command::User { command: UserCommand::StaffGrant { email } } => staff_grant(&email).await,
        Command::User { command: UserCommand::StaffRevoke { email } } => staff_revoke(&email).await,
        Command::Connector { command } => connector::run(command).await,
        Command::Flow { command } => flow::run(command).await,
        Command::Audit { command } => return command.run().await,
        Command::Keys { command } => return command.run().await,
        Command::Plan { command } => plan::run(command).await,
        Command::Invoice { command } => invoice::run(command).await,
        Command::Schema => {
            std::io::stdout().write_all(api::graphql::sdl().as_bytes())?;
            Ok(())
        }
        Command::Settings => say(SETTINGS),
    }?;
    Ok(ExitCode::SUCCESS)
}

const SETTINGS: &str = "\
DATABASE_URL                    Postgres, as the application's own role (never the schema's owner)
MIGRATE_DATABASE_URL            Postgres, as the schema's owner; `crossdock migrate` only
CROSSDOCK_APP_PASSWORD          the password of the role that `crossdock migrate --app-role` makes
AMQP_URL                        RabbitMQ; not needed all-in-one
REDIS_URL                       Redis; without it limits hold within each process
CROSSDOCK_PREFIX                crossdock.           keeps installations apart that share RabbitMQ or Redis
CROSSDOCK_LISTEN                127.0.0.1:8080
CROSSDOCK_PUBLIC_URL            http://<listen>      how vendors and people reach it; the workers need it too, to register webhooks
CROSSDOCK_LISTENING             automatic            by_hand: no poll is made and no webhook registered unless a person does it
CROSSDOCK_MASTER_KEY            32 bytes in base64, wraps the tenants' keys: openssl rand -base64 32
CROSSDOCK_MASTER_KEY_FILE       a file that holds it, in its place
CROSSDOCK_MASTER_KEY_COMMAND    or a program with its arguments that prints it, such as the tool of a key service
CROSSDOCK_MASTER_KEY_ALSO       another one that is read while the master key is replaced (`crossdock keys rotate`); or …_ALSO_FILE, …_ALSO_COMMAND
CROSSDOCK_JWT_KEY               32 characters at least, signs access tokens
CROSSDOCK_JWT_KEY_ALSO          another one whose access tokens are taken, while it is replaced
CROSSDOCK_ENV                   production           development opens GraphiQL, and introspection to all
CROSSDOCK_OUTBOUND_ALLOW        host:port, ...       addresses inside your own walls that connectors may call
CROSSDOCK_DROP_FOLDERS          /path=ten_..., ...   folders of this machine that a tenant's connections may read and write
CROSSDOCK_CONNECTORS            a folder             connectors of your own, beside those that come with Crossdock
CROSSDOCK_WEB_DIR               a folder             the built web app (frontend/dist); without it only the API is served
CROSSDOCK_COOKIES               secure               plain: the web app over plain http, on this machine only
CROSSDOCK_TRUSTED_PROXIES       10.0.0.0/8, ...      the proxies in front of it: whose request they pass on is believed of them, and of nobody else
CROSSDOCK_FORWARDED_HEADER      x-forwarded-for      the header that they write; or forwarded
CROSSDOCK_LIMIT_ADDRESS         600                  requests a minute of one network address whose sender is not known
CROSSDOCK_LIMIT_PERSON          3000                 requests a minute of one person in one tenant; an API key says its own
CROSSDOCK_LIMIT_HOOK            120000               deliveries a minute to one connection's hook
CROSSDOCK_CALL_TIMEOUT_S        30                   the longest a vendor may take
CROSSDOCK_SMTP_URL              smtps://user:password@host:465, or smtp://host:587?tls=required: takes alerts, invitations and what people need to sign in again
CROSSDOCK_MAIL_FROM             whom they come from: Crossdock <alerts@example.com>
CROSSDOCK_DATABASE_CONNECTIONS  12                   the most one process takes
CROSSDOCK_DRIFT_FLUSH_MS        10000                how often what documents look like is written
CROSSDOCK_DRIFT_DOCUMENTS       50                   documents that are learned before anything is called different
CROSSDOCK_DRIFT_HOURS           24                   and how long that takes at least
RUST_LOG                        info";

fn say(text: &str) -> Result<(), Failure> {
    writeln!(std::io::stdout(), "{text}")?;
    Ok(())
}

/// Everything a process is made of.
struct Parts {
    config: Config,
    catalog: &'static Catalog,
    store: Store,
    vault: Vault,
    broker: Broker,
    limiter: Limiter,
}

async fn parts(all_in_one: bool) -> Result<Parts, Failure> {
    let config = Config::from_env()?;
    let catalog = Catalog::installed(config.connectors.as_deref())?;
    let vault = config.master_keys.vault()?;
    let store = Store::connect(&config.database_url, config.database_connections).await?;
    // One that cannot read some tenants' credentials must not look as if it worked.
    let is_lost = |used: &MasterKeyUse| used.data_keys + used.second_factors > 0 && !vault.knows(&used.master_key_id);
    if let Some(MasterKeyUse { master_key_id, data_keys, second_factors, .. }) =
        store.master_keys().await?.into_iter().find(is_lost)
    {
        return Err(format!(
            "{data_keys} tenants' data keys and {second_factors} people's second factors are sealed by the master key {master_key_id}, which is not configured here: set CROSSDOCK_MASTER_KEY to it, or CROSSDOCK_MASTER_KEY_ALSO while it is being replaced"
        )
        .into());
    }
    let (broker, limiter) = if all_in_one {
        (Broker::in_process(), Limiter::in_process(config.outward.call_timeout))
    } else {
        let amqp = config
            .amqp_url
            .as_deref()
            .ok_or("AMQP_URL is not set: give RabbitMQ's address, or start with `serve --all-in-one`")?;
        let limiter = match &config.redis_url {
            Some(url) => Limiter::redis(url, &config.prefix, config.outward.call_timeout)?,
            None => Limiter::without_redis(config.outward.call_timeout),
        };
        (Broker::rabbitmq(amqp, &config.prefix), limiter)
    };
    Ok(Parts { config, catalog, store, vault, broker, limiter })
}

/// Learns of SIGTERM and Ctrl-C.
fn stop_signal() -> Result<watch::Receiver<bool>, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let (stop, stopped) = watch::channel(false);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("Told to stop");
        // Whoever listens is gone only where the process ends anyway.
        let _ = stop.send(true);
        std::future::pending::<()>().await;
    });
    Ok(stopped)
}

fn workers(parts: &Parts) -> Result<workers::Context, Failure> {
    Ok(workers::Context {
        store: parts.store.clone(),
        broker: parts.broker.clone(),
        limiter: parts.limiter.clone(),
        outbound: Outbound::new(AllowList::parse(&parts.config.outward.allow), parts.config.outward.call_timeout)?
            .with_drop_folders(parts.config.outward.drop_folders.clone()),
        vault: parts.vault.clone(),
        mailer: mailer(parts)?,
        catalog: parts.catalog,
        sunsets: Sunsets::default(),
        drifts: Drifts::new(parts.config.drift.clone()),
        settings: workers::Settings {
            public_url: parts.config.is_public.then(|| parts.config.public_url.clone()),
            listens: parts.config.listens,
            ..workers::Settings::default()
        },
    })
}

fn mailer(parts: &Parts) -> Result<Option<Mailer>, Failure> {
    Ok(parts.config.mail.as_ref().map(|mail| Mailer::new(&mail.url, &mail.from)).transpose()?)
}

async fn serve(all_in_one: bool) -> Result<(), Failure> {
    let parts = parts(all_in_one).await?;
    let stop = stop_signal()?;
    let (store, vault, broker) = (parts.store.clone(), parts.vault.clone(), parts.broker.clone());
    // The workers send mails; that the server's address cannot be read is told by whoever is started first.
    mailer(&parts)?;
    let state = AppState::new(&parts.config, parts.catalog, store, vault, broker, parts.limiter.clone())?;
    let working = if all_in_one { Some(tokio::spawn(workers::run(workers(&parts)?, stop.clone()))) } else { None };
    // Whoever starts us learns the address from the first line of standard output.
    let ready = |address| {
        let _ = say(&serde_json::json!({"url": format!("http://{address}")}).to_string());
    };
    api::serve(&parts.config, state, stop, ready).await?;
    if let Some(working) = working {
        working.await?;
    }
    parts.store.close().await;
    Ok(())
}

async fn work() -> Result<(), Failure> {
    let parts = parts(false).await?;
    let stop = stop_signal()?;
    say(&serde_json::json!({"ready": true}).to_string())?;
    workers::run(workers(&parts)?, stop).await;
    parts.store.close().await;
    Ok(())
}

async fn migrate(app_role: Option<String>) -> Result<(), Failure> {
    let url = std::env::var("MIGRATE_DATABASE_URL")
        .map_err(|_| "MIGRATE_DATABASE_URL is not set: the address of Postgres for the schema's owner")?;
    let options = migrations::options(&url)?;
    migrations::up(&options).await?;
    info!("The schema is up to date");
    if let Some(role) = app_role {
        let password =
            std::env::var("CROSSDOCK_APP_PASSWORD").map_err(|_| "CROSSDOCK_APP_PASSWORD is not set: the password of the role")?;
        migrations::app_login(&options, &role, &password).await?;
        info!(role, "The application's role is ready");
    }
    Ok(())
}

async fn database() -> Result<Store, Failure> {
    let url = std::env::var("DATABASE_URL").map_err(|_| "DATABASE_URL is not set")?;
    Ok(Store::connect(&url, 4).await?)
}

/// The hash of the password on standard input, and the way to the database.
async fn password_read() -> Result<(String, Store), Failure> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let hash = password::hash(line.trim_end_matches(['\r', '\n']).to_owned().into()).await?;
    Ok((hash, database().await?))
}

async fn person(store: &Store, email: &str) -> Result<UserId, Failure> {
    let found = store.user_find(email.trim(), "").await?;
    Ok(found.ok_or_else(|| format!("nobody has the address {email}"))?.id)
}

async fn second_factor_remove(email: &str) -> Result<(), Failure> {
    let store = database().await?;
    let user = person(&store, email).await?;
    if store.second_factors_remove(user, Request::own()).await? {
        say(&user.to_string())
    } else {
        Err(format!("{email} has no second factor").into())
    }
}

async fn staff_grant(email: &str) -> Result<(), Failure> {
    let store = database().await?;
    let user = person(&store, email).await?;
    if !store.staff_grant(user).await? {
        return Err(format!("{email} is staff already").into());
    }
    if !store.has_second_factor(user).await? {
        info!("{email} has no second factor yet, and can begin nothing without one");
    }
    say(&user.to_string())
}

async fn staff_revoke(email: &str) -> Result<(), Failure> {
    let store = database().await?;
    let user = person(&store, email).await?;
    if store.staff_revoke(user, Request::own()).await? {
        say(&user.to_string())
    } else {
        Err(format!("{email} is no staff of this installation").into())
    }
}

async fn user_password(email: &str) -> Result<(), Failure> {
    let (hash, store) = password_read().await?;
    let user = person(&store, email).await?;
    store.password_set(user, &hash, None, Request::own()).await?;
    say(&user.to_string())
}

async fn user_create(email: &str, name: &str) -> Result<(), Failure> {
    let (hash, store) = password_read().await?;
    match store.user_create(email.trim(), name, &hash).await? {
        Some(id) => say(&id.to_string()),
        None => Err(format!("the address {email} is taken").into()),
    }
}
