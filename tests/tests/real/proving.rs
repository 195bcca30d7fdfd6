//! What is checked of one connector against one piece of software, and the comparison of what held with what `verified.yaml` claims.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use connectors::{VERIFIED_FILE, Verified};
use futures::FutureExt;

use crate::catalog;

const HEADER: &str = "\
# What was proven against software that we did not write, and since when. `cargo xtask test --real` holds each line, and with
# UPDATE_VERIFIED=1 it writes them.
";

/// A check did not hold, and what comes after it needs what it would have given.
#[derive(Debug)]
pub struct Stopped;

pub struct Proving {
    connector: &'static str,
    /// A name and a version.
    software: String,
    /// The reason where one does not hold.
    checks: Vec<(String, Result<(), String>)>,
}

impl Proving {
    pub fn of(connector: &'static str, software: &str, version: &str) -> Self {
        println!("\n{connector}, against {software} {version}");
        Self { connector, software: format!("{software} {version}"), checks: Vec::new() }
    }

    /// Whether something holds. `proof` panics where it does not.
    pub async fn check<T>(&mut self, name: impl Into<String>, proof: impl Future<Output = T>) -> Result<T, Stopped> {
        let (name, started) = (name.into(), Instant::now());
        let outcome = AssertUnwindSafe(proof).catch_unwind().await.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
            text.unwrap_or("it panicked without a word").to_owned()
        });
        let (mark, seconds) = (if outcome.is_ok() { "ok  " } else { "FAIL" }, started.elapsed().as_secs_f64());
        println!("  {mark} {name} ({seconds:.1} s)");
        assert!(self.checks.iter().all(|(known, _)| *known != name), "two checks have the name \"{name}\"");
        let (given, why) = match outcome {
            Ok(given) => (Ok(given), Ok(())),
            Err(why) => (Err(Stopped), Err(why)),
        };
        self.checks.push((name, why));
        given
    }

    /// Compares what held with what is claimed.
    ///
    /// # Panics
    /// Where a check did not hold, a claim has no check, or a check no claim: each with what to do.
    pub fn finish(self) {
        let file = catalog().join(self.connector).join(VERIFIED_FILE);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let claimed = match text.is_empty() {
            true => Vec::new(),
            false => Verified::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
        };
        let proven = self.proven(&claimed);
        let mut wrong: Vec<String> = Vec::new();
        for (name, outcome) in &self.checks {
            if let Err(why) = outcome {
                wrong.push(format!("\"{name}\" does not hold: {why}"));
            }
        }
        if std::env::var_os("UPDATE_VERIFIED").is_some() && wrong.is_empty() {
            let lines: String = proven.iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(&file, format!("{HEADER}{lines}")).unwrap();
            println!("  {} lines are in {}", proven.len(), file.display());
            return;
        }
        for claim in claimed.iter().filter(|claim| !self.checks.iter().any(|(name, _)| *name == claim.check)) {
            wrong.push(format!("{} claims \"{}\", which nothing here proved: take the line out", file.display(), claim.check));
        }
        let missing: Vec<String> = proven.iter().filter(|line| !claimed.contains(line)).map(ToString::to_string).collect();
        if !missing.is_empty() {
            let lines = missing.join("\n");
            wrong.push(format!("{} lacks what was proven; UPDATE_VERIFIED=1 writes these lines:\n{lines}", file.display()));
        }
        assert!(wrong.is_empty(), "{}: {}", self.connector, wrong.join("\n"));
    }

    /// The lines of what held. One that stands there already keeps its day.
    fn proven(&self, claimed: &[Verified]) -> Vec<Verified> {
        let held = self.checks.iter().filter(|(_, outcome)| outcome.is_ok());
        held.map(|(name, _)| {
            let known = claimed.iter().find(|claim| claim.check == *name && claim.software == self.software);
            let on = known.map_or_else(|| chrono::Utc::now().date_naive(), |claim| claim.on);
            Verified { check: name.clone(), software: self.software.clone(), on }
        })
        .collect()
    }
}
