//! Our commands: `cargo xtask demo | test | bench | services | tidy`. Each brings up what it needs and takes it down again.

mod build;
mod failures;
mod process;
mod run;
mod services;
mod tidy;
mod web;

use std::process::ExitCode;

use services::Rung;

const HELP: &str = "\
cargo xtask demo [--exit] [--all-in-one] [--real]
                                             the main job: orders from a shop arrive in an ERP, exactly once;
                                             --real: from a Medusa shop, installed from npm when first needed
cargo xtask test [FILTER]                    formatting, lints, every test, and the web app in a browser; in both modes what orders go through
cargo xtask test --real [FILTER]             connectors against software of others (Medusa, localstripe, moto), installed from npm and
                                             PyPI when first needed; UPDATE_VERIFIED=1 writes what held into the catalog's verified.yaml
cargo xtask test --web                       of all that, the web app alone: types, lints, unit tests, and what people do, in a browser
cargo xtask bench [--rate N] [--seconds N] [--json FILE] [--all-in-one]
                                             orders at their own moments through everything. Of this bench and those that follow: each prints
                                             its limits beside its numbers and fails where one is not kept
cargo xtask bench read [--json FILE]         what reading 100,000 records from a vendor costs; needs no services
cargo xtask bench load [--json FILE]         what loading 1,000 connectors costs; needs no services
cargo xtask bench mapping [--json FILE]      what a mapping costs beside the same work written by hand; needs no services
cargo xtask bench ledger [--orders N] [--json FILE]
                                             search, timelines and new orders of a tenant with a million orders of history
cargo xtask bench lanes [--group N] [--backfill N] [--json FILE]
                                             what bulk (a mended group, a backfill) costs orders that arrive meanwhile
cargo xtask bench outage [--items N] [--updates N] [--json FILE]
                                             what an outage's backlog costs in writes, and how well its finish is predicted
cargo xtask bench polls [--connections N] [--every S] [--listed N] [--fresh N] [--json FILE]
                                             how late one process lists many connections, whether all that is new gets here, and in how much memory
cargo xtask bench replay [--records N] [--limit-s S] [--json FILE]
                                             how long a draft is replayed over delivered orders
cargo xtask bench drift                      what watching for drift costs beside receiving; needs no services
cargo xtask services                         brings up Postgres, RabbitMQ and Redis and keeps them until Ctrl-C
cargo xtask tidy                             who may know whom, licences, leftovers

All take --services env|local|private|install|embedded: begin at that step instead of at the first that works.";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let rung = match take_value(&mut arguments, "--services").map(|name| Rung::parse(&name)) {
        None => None,
        Some(Some(rung)) => Some(rung),
        Some(None) => return fail("--services takes env, local, private, install or embedded"),
    };
    let command = if arguments.is_empty() { String::new() } else { arguments.remove(0) };
    process::stop_on_signals();
    let outcome = match command.as_str() {
        "demo" => run::demo(rung, &arguments),
        "test" if take_flag(&mut arguments, "--real") => run::real(rung, &arguments),
        "test" if take_flag(&mut arguments, "--web") => run::web(rung),
        "test" => run::test(rung, &arguments),
        "bench" => run::bench(rung, &arguments),
        "services" => run::services(rung),
        "tidy" => tidy::run(),
        _ => return fail(HELP),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

/// Removes `--name value` and gives the value.
fn take_value(arguments: &mut Vec<String>, name: &str) -> Option<String> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.remove(at);
    if at < arguments.len() { Some(arguments.remove(at)) } else { Some(String::new()) }
}

/// Removes `--name`; true where it was there.
fn take_flag(arguments: &mut Vec<String>, name: &str) -> bool {
    let before = arguments.len();
    arguments.retain(|argument| argument != name);
    arguments.len() < before
}

fn fail(text: &str) -> ExitCode {
    process::say(text);
    ExitCode::FAILURE
}
