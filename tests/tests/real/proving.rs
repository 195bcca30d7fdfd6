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
        let is_whole = self.checks.iter().all(|(_, outcome)| outcome.is_ok());
        if std::env::var_os("UPDATE_VERIFIED").is_some() && is_whole {
            let lines: String = self.proven(&claimed).iter().map(|line| format!("{line}\n")).collect();
            std::fs::write(&file, format!("{HEADER}{lines}")).unwrap();
            println!("  {} lines are in {}", self.checks.len(), file.display());
            return;
        }
        let differences = self.differences(&claimed);
        assert!(differences.is_empty(), "{} is not as {} says:\n{}", self.connector, file.display(), differences.join("\n"));
    }

    /// What did not hold, what is claimed and was not proven, and the lines that are missing.
    fn differences(&self, claimed: &[Verified]) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for (name, outcome) in &self.checks {
            if let Err(why) = outcome {
                found.push(format!("\"{name}\" does not hold: {why}"));
            }
        }
        for claim in claimed.iter().filter(|claim| !self.checks.iter().any(|(name, _)| *name == claim.check)) {
            found.push(format!("\"{}\" is claimed, and nothing here proved it: take the line out", claim.check));
        }
        for line in self.proven(claimed).iter().filter(|line| !claimed.contains(line)) {
            found.push(format!("this line is missing, and UPDATE_VERIFIED=1 writes it:\n{line}"));
        }
        found
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

#[cfg(test)]
mod tests {
    use super::*;

    fn proving(checks: &[(&str, Result<(), &str>)]) -> Proving {
        let checks = checks.iter().map(|(name, outcome)| ((*name).to_owned(), outcome.map_err(str::to_owned))).collect();
        Proving { connector: "acme", software: "acmed 2.0".into(), checks }
    }

    fn claims(text: &str) -> Vec<Verified> {
        Verified::parse(text).unwrap()
    }

    #[test]
    fn a_claim_is_held_by_a_check_and_a_check_by_a_claim() {
        let proving = proving(&[("a", Ok(())), ("b", Ok(()))]);
        let a = "- { check: a, software: acmed 2.0, on: 2026-01-01 }\n";
        assert_eq!(proving.differences(&claims(&format!("{a}- {{ check: b, software: acmed 2.0, on: 2026-01-02 }}"))), [""; 0]);
        let found = proving.differences(&claims(&format!("{a}- {{ check: c, software: acmed 2.0, on: 2026-01-02 }}")));
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "\"c\" is claimed, and nothing here proved it: take the line out");
        assert!(found[1].contains("- { check: \"b\", software: acmed 2.0, on: "), "{found:?}");
    }

    #[test]
    fn what_did_not_hold_and_what_held_for_another_version_only_is_said() {
        let proving = proving(&[("a", Err("it is two")), ("b", Ok(()))]);
        let claimed =
            claims("- { check: a, software: acmed 2.0, on: 2026-01-01 }\n- { check: b, software: acmed 1.9, on: 2026-01-01 }");
        let found = proving.differences(&claimed);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], "\"a\" does not hold: it is two");
        assert!(found[1].contains("software: acmed 2.0"), "{found:?}");
    }
}
