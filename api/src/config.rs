//! Every setting, typed, with its default and reason. All come from the environment.

use std::path::PathBuf;
use std::time::Duration;

use domain::drift::Learning;
use domain::quota::Quota;
use domain::secret::SecretString;
use infra::drift::DriftSettings;
use infra::files::DropFolders;

use crate::client_address::{Forwarding, Proxies};
use crate::master_key::MasterKeys;
use crate::quota::Quotas;
use crate::web_session::Cookie;

/// What the process was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// `CROSSDOCK_LISTEN`: where the API listens. Loopback unless somebody decides otherwise.
    pub listen: String,
    /// `CROSSDOCK_TRUSTED_PROXIES`: `10.0.0.0/8, 2001:db8::1, …`, the proxies in front of it. What they say about whose request they pass on is believed,
    /// and nobody else's word; where none is named everybody behind a proxy counts as one. `CROSSDOCK_FORWARDED_HEADER`: the header that they write,
    /// `x-forwarded-for` or `forwarded`.
    pub proxies: Proxies,
    /// `CROSSDOCK_LIMIT_ADDRESS`: requests a minute of one network address whose sender is not known (600). `CROSSDOCK_LIMIT_PERSON`: of one person in one
    /// tenant (3000). `CROSSDOCK_LIMIT_HOOK`: deliveries a minute to one connection's hook (120000). An API key says its own.
    pub quotas: Quotas,
    /// `CROSSDOCK_PUBLIC_URL`: how vendors and people reach it; hook URLs begin with it.
    pub public_url: String,
    /// Somebody has said so: vendors can be told.
    pub is_public: bool,
    /// `CROSSDOCK_LISTENING`: `automatic`, or `by_hand`, where no poll is made and no webhook registered unless a person does it.
    pub listens: bool,
    /// `DATABASE_URL`: the application's own role, never the schema's owner.
    pub database_url: String,
    /// `AMQP_URL`: RabbitMQ. Without it the process runs all-in-one.
    pub amqp_url: Option<String>,
    /// `REDIS_URL`: without it limits hold within this process.
    pub redis_url: Option<String>,
    /// `CROSSDOCK_PREFIX`: keeps installations apart that share a broker or a cache.
    pub prefix: String,
    pub master_keys: MasterKeys,
    /// `CROSSDOCK_JWT_KEY`: signs access tokens; 32 characters at least.
    pub jwt_key: SecretString,
    /// `CROSSDOCK_JWT_KEY_ALSO`: another one whose tokens are taken, while it is replaced.
    pub jwt_key_also: Option<SecretString>,
    /// `CROSSDOCK_ENV=development`: GraphiQL and introspection are open.
    pub is_development: bool,
    /// `CROSSDOCK_CONNECTORS`: a folder of connectors of your own, beside those that come with Crossdock.
    pub connectors: Option<PathBuf>,
    /// `CROSSDOCK_COOKIES`: `secure`, or `plain` for the web app over plain http on this machine.
    pub cookie: Cookie,
    /// `CROSSDOCK_WEB_DIR`: the folder of the built web app; without it this process serves none.
    pub web_dir: Option<PathBuf>,
    pub outward: Outward,
    /// `CROSSDOCK_SMTP_URL` and `CROSSDOCK_MAIL_FROM`: the mail server that alerts are handed to, and whom they come from.
    pub mail: Option<MailSettings>,
    /// `CROSSDOCK_DATABASE_CONNECTIONS`: the most this process takes, 12.
    pub database_connections: u32,
    /// `CROSSDOCK_DRIFT_…`: how often profiles are written (10 s), and how many documents (50) over how many hours (24) come before
    /// anything is called different.
    pub drift: DriftSettings,
}

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{name} is not set: {what}")]
    Missing { name: &'static str, what: &'static str },
    #[error("{name}=\"{value}\" cannot be read: {what}")]
    Wrong { name: &'static str, value: String, what: &'static str },
    #[error("more than one of {} is set; leave one", names.join(", "))]
    Twice { names: [&'static str; 3] },
}

/// How mails leave.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// `smtps://user:password@host:465`, or `smtp://host:587?tls=required`.
    pub url: SecretString,
    /// `Crossdock <alerts@example.com>`
    pub from: String,
}

impl MailSettings {
    fn from_env() -> Result<Option<Self>, ConfigError> {
        let Some(url) = get("CROSSDOCK_SMTP_URL") else { return Ok(None) };
        let from = get("CROSSDOCK_MAIL_FROM")
            .ok_or(ConfigError::Missing { name: "CROSSDOCK_MAIL_FROM", what: "the address that alerts by mail come from" })?;
        Ok(Some(Self { url: url.into(), from }))
    }
}

/// What the one door out to the world is told: all that a command needs which calls vendors and keeps nothing.
#[derive(Debug, Clone)]
pub struct Outward {
    /// `CROSSDOCK_OUTBOUND_ALLOW`: `host:port, …` inside our own walls that connectors may call: self-hosted systems, simulators.
    pub allow: String,
    /// `CROSSDOCK_DROP_FOLDERS`: `/srv/drop/acme=ten_…, …`: folders of this machine that a tenant's connections may read and write; one without a
    /// tenant is open to all of them. None where nothing is said.
    pub drop_folders: DropFolders,
    /// `CROSSDOCK_CALL_TIMEOUT_S`: the longest a vendor may take, 30 s.
    pub call_timeout: Duration,
}

impl Outward {
    /// # Errors
    /// Where a setting cannot be read.
    pub fn from_env() -> Result<Self, ConfigError> {
        let drop_folders = DropFolders::parse(&get("CROSSDOCK_DROP_FOLDERS").unwrap_or_default()).map_err(|value| {
            let what = "an absolute path was expected, perhaps with =ten_… behind";
            ConfigError::Wrong { name: "CROSSDOCK_DROP_FOLDERS", value, what }
        })?;
        Ok(Self {
            drop_folders,
            allow: get("CROSSDOCK_OUTBOUND_ALLOW").unwrap_or_default(),
            call_timeout: Duration::from_secs(number("CROSSDOCK_CALL_TIMEOUT_S", 30)?.clamp(1, 300)),
        })
    }
}

pub(crate) fn get(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

/// An address that no other machine reaches, so that nobody on the way can read what is not encrypted.
fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', ':']).next());
    host.is_some_and(|host| host == "localhost" || host.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback()))
}

fn number(name: &'static str, default: u64) -> Result<u64, ConfigError> {
    match get(name) {
        None => Ok(default),
        Some(value) => value.parse().map_err(|_| ConfigError::Wrong { name, value, what: "a whole number was expected" }),
    }
}

/// Calls a minute, from one to ten million.
fn calls(name: &'static str, default: u64) -> Result<u32, ConfigError> {
    Ok(u32::try_from(number(name, default)?.clamp(1, 10_000_000)).unwrap_or(u32::MAX))
}

fn proxies() -> Result<Proxies, ConfigError> {
    let forwarding = match get("CROSSDOCK_FORWARDED_HEADER") {
        None => Forwarding::default(),
        Some(value) => Forwarding::parse(&value).ok_or(ConfigError::Wrong {
            name: "CROSSDOCK_FORWARDED_HEADER",
            value,
            what: "x-forwarded-for or forwarded was expected",
        })?,
    };
    let what = "addresses and networks were expected: 10.0.0.0/8, 2001:db8::1";
    Proxies::parse(&get("CROSSDOCK_TRUSTED_PROXIES").unwrap_or_default(), forwarding).map_err(|value| ConfigError::Wrong {
        name: "CROSSDOCK_TRUSTED_PROXIES",
        value,
        what,
    })
}

impl Config {
    /// # Errors
    /// Where a setting is missing or cannot be read; it says which and what it is for.
    pub fn from_env() -> Result<Self, ConfigError> {
        let need = |name: &'static str, what: &'static str| get(name).ok_or(ConfigError::Missing { name, what });
        let listen = get("CROSSDOCK_LISTEN").unwrap_or_else(|| "127.0.0.1:8080".to_owned());
        let jwt_key = need("CROSSDOCK_JWT_KEY", "the key that signs access tokens; make one with `openssl rand -base64 32`")?;
        let long_enough = |name: &'static str, key: String| {
            let what = "32 characters at least were expected";
            if key.len() < 32 { Err(ConfigError::Wrong { name, value: "…".into(), what }) } else { Ok(key.into()) }
        };
        let jwt_key_also = get("CROSSDOCK_JWT_KEY_ALSO").map(|key| long_enough("CROSSDOCK_JWT_KEY_ALSO", key)).transpose()?;
        let jwt_key = long_enough("CROSSDOCK_JWT_KEY", jwt_key)?;
        let listens = match get("CROSSDOCK_LISTENING").as_deref() {
            None | Some("automatic") => true,
            Some("by_hand") => false,
            Some(value) => {
                let value = value.to_owned();
                return Err(ConfigError::Wrong { name: "CROSSDOCK_LISTENING", value, what: "automatic or by_hand was expected" });
            }
        };
        let public_url =
            get("CROSSDOCK_PUBLIC_URL").unwrap_or_else(|| format!("http://{listen}")).trim_end_matches('/').to_owned();
        let cookie = match get("CROSSDOCK_COOKIES").as_deref() {
            None | Some("secure") => Cookie::Secure,
            Some("plain") if is_loopback(&public_url) => Cookie::Plain,
            Some(value) => {
                let what =
                    "secure was expected, or plain where CROSSDOCK_PUBLIC_URL begins with http://127.0.0.1 or http://localhost";
                return Err(ConfigError::Wrong { name: "CROSSDOCK_COOKIES", value: value.to_owned(), what });
            }
        };
        Ok(Self {
            proxies: proxies()?,
            quotas: Quotas {
                address: Quota::at_once(calls("CROSSDOCK_LIMIT_ADDRESS", 600)?),
                person: Quota::per_minute(calls("CROSSDOCK_LIMIT_PERSON", 3_000)?),
                hook: Quota::per_minute(calls("CROSSDOCK_LIMIT_HOOK", 120_000)?),
            },
            is_public: get("CROSSDOCK_PUBLIC_URL").is_some(),
            listens,
            cookie,
            public_url,
            listen,
            database_url: need(
                "DATABASE_URL",
                "the address of Postgres for the application's role: postgres://crossdock@host/crossdock",
            )?,
            amqp_url: get("AMQP_URL"),
            redis_url: get("REDIS_URL"),
            prefix: get("CROSSDOCK_PREFIX").unwrap_or_else(|| "crossdock.".to_owned()),
            master_keys: MasterKeys::from_env()?,
            jwt_key,
            jwt_key_also,
            is_development: get("CROSSDOCK_ENV").as_deref() == Some("development"),
            connectors: get("CROSSDOCK_CONNECTORS").map(PathBuf::from),
            web_dir: get("CROSSDOCK_WEB_DIR").map(PathBuf::from),
            outward: Outward::from_env()?,
            mail: MailSettings::from_env()?,
            drift: DriftSettings {
                flush_every: Duration::from_millis(number("CROSSDOCK_DRIFT_FLUSH_MS", 10_000)?.clamp(50, 600_000)),
                learning: Learning {
                    documents_min: number("CROSSDOCK_DRIFT_DOCUMENTS", 50)?.clamp(1, 1_000_000),
                    age_min: Duration::from_secs(number("CROSSDOCK_DRIFT_HOURS", 24)?.min(8_760) * 60 * 60),
                },
            },
            database_connections: u32::try_from(number("CROSSDOCK_DATABASE_CONNECTIONS", 12)?.clamp(4, 200)).unwrap_or(12),
        })
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn only_this_machine_may_have_a_cookie_without_encryption() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", true),
            ("http://localhost:8080", true),
            ("http://127.0.0.1.example.com", false),
            ("http://localhost.example.com:8080", false),
            ("http://192.168.1.4:8080", false),
            ("https://127.0.0.1", false),
        ] {
            assert_eq!(super::is_loopback(url), expected, "{url}");
        }
    }
}
