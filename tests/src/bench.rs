//! What every bench does: it runs on two threads, prints its numbers as JSON with the limits beside them, writes them where `--json` says, and
//! fails where a limit that we promise is not kept.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

pub type Failure = Box<dyn Error + Send + Sync>;

/// Runs it to its end; a failure is told on standard error.
pub fn main(bench: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    end(runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(bench)))
}

/// How the process ends: with a failure, and why, where there was one.
#[must_use]
pub fn end(outcome: Result<(), Failure>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    let mut told = format!("The bench failed: {error}");
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(told, ": {cause}");
        source = cause.source();
    }
    let _ = writeln!(std::io::stderr(), "{told}");
    ExitCode::FAILURE
}

/// Which side of a limit is the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    AtMost,
    AtLeast,
}

/// A limit that we promise, and what was measured against it.
#[derive(Debug, Clone)]
pub struct Limit {
    /// What is measured, as a sentence begins.
    what: String,
    unit: &'static str,
    side: Side,
    limit: f64,
    measured: f64,
}

impl Limit {
    #[must_use]
    pub fn at_most(what: impl Into<String>, measured: f64, limit: f64, unit: &'static str) -> Self {
        Self { what: what.into(), unit, side: Side::AtMost, limit, measured }
    }

    #[must_use]
    pub fn at_least(what: impl Into<String>, measured: f64, limit: f64, unit: &'static str) -> Self {
        Self { what: what.into(), unit, side: Side::AtLeast, limit, measured }
    }

    /// What is no number keeps no limit.
    fn holds(&self) -> bool {
        match self.side {
            Side::AtMost => self.measured <= self.limit,
            Side::AtLeast => self.measured >= self.limit,
        }
    }

    /// The measured as a share of the limit, which says how near it came.
    fn of_limit(&self) -> Option<f64> {
        (self.limit != 0.0).then(|| self.measured / self.limit)
    }

    fn to_json(&self) -> Value {
        let side = if self.side == Side::AtMost { "at_most" } else { "at_least" };
        json!({
            "what": self.what, "unit": self.unit, "measured": round(self.measured), side: round(self.limit),
            "of_limit": self.of_limit().map(round), "holds": self.holds(),
        })
    }
}

/// `Live orders, p95: 2310 ms; the limit is 2000 ms at most: 310 ms too much (16 %)`
impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, unit, limit, measured, .. } = self;
        let (side, wrong) = match self.side {
            Side::AtMost => ("at most", "too much"),
            Side::AtLeast => ("at least", "too little"),
        };
        let by = (measured - limit).abs();
        write!(f, "{what}: {} {unit}; the limit is {} {unit} {side}", round(*measured), round(*limit))?;
        if !self.holds() {
            write!(f, ": {} {unit} {wrong}", round(by))?;
            // A share of a share confuses.
            if *limit != 0.0 && *unit != "%" {
                write!(f, " ({} %)", (100.0 * by / limit).round())?;
            }
        }
        Ok(())
    }
}

/// Limits that were not kept, a sentence for each.
#[derive(Debug)]
struct Exceeded(Vec<Limit>);

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentences: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&sentences.join(". "))
    }
}

impl Error for Exceeded {}

/// Prints the numbers with the limits beside them, and writes them into this file.
///
/// # Errors
/// Where one of the two cannot be written, and where a limit is not kept: by then the numbers were told.
pub fn report(mut numbers: Value, limits: Vec<Limit>, file: Option<&Path>) -> Result<(), Failure> {
    if !limits.is_empty() {
        numbers["limits"] = limits.iter().map(Limit::to_json).collect();
    }
    let text = serde_json::to_string_pretty(&numbers)?;
    writeln!(std::io::stdout(), "{text}")?;
    if let Some(file) = file {
        std::fs::write(file, text + "\n")?;
    }
    let exceeded: Vec<Limit> = limits.into_iter().filter(|limit| !limit.holds()).collect();
    if exceeded.is_empty() { Ok(()) } else { Err(Exceeded(exceeded).into()) }
}

/// A number of those that are reported. What was not measured is no number, and keeps no limit.
#[must_use]
pub fn measured(numbers: &Value, name: &str) -> f64 {
    numbers[name].as_f64().unwrap_or(f64::NAN)
}

/// What this share of a sorted list is below of: 0.5 asks for the median, 1.0 for the largest. Of an empty list 0.
#[must_use]
pub fn quantile<T: Copy + Default>(sorted: &[T], share: f64) -> T {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list in memory"
    )]
    let place = (sorted.len() as f64 * share) as usize;
    sorted.get(place.min(sorted.len().saturating_sub(1))).copied().unwrap_or_default()
}

/// To two places.
#[must_use]
pub fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_is_not_kept_is_said_with_how_much_it_was_missed_by() {
        let cases = [
            (Limit::at_most("Live orders, p95", 2_310.0, 2_000.0, "ms"), Some("310 ms too much (16 %)")),
            (Limit::at_most("Live orders, p95", 2_000.0, 2_000.0, "ms"), None),
            (Limit::at_least("Reads", 30.0, 33.33, "a second"), Some("3.33 a second too little (10 %)")),
            (Limit::at_least("Reads", 33.4, 33.33, "a second"), None),
            (Limit::at_most("Levels that are not as told last", 3.0, 0.0, "of them"), Some("3 of them too much")),
            (Limit::at_most("The finish as it was told", 18.5, 15.0, "%"), Some("3.5 % too much")),
            (Limit::at_most("What nobody measured", f64::NAN, 1.0, "s"), Some("NaN s too much (NaN %)")),
        ];
        for (limit, missed_by) in cases {
            let outcome = report(json!({}), vec![limit.clone()], None);
            let said = outcome.err().map(|error| error.to_string());
            assert_eq!(said.as_deref().map(|text| text.rsplit_once(": ").map_or(text, |(_, end)| end)), missed_by, "{limit}");
        }
    }

    #[test]
    fn a_share_of_a_list_is_below_its_quantile() {
        let cases: [(&[u32], f64, u32); 6] = [
            (&[], 0.5, 0),
            (&[7], 0.99, 7),
            (&[1, 2, 3, 4], 0.0, 1),
            (&[1, 2, 3, 4], 0.5, 3),
            (&[1, 2, 3, 4], 0.99, 4),
            (&[1, 2], 1.0, 2),
        ];
        for (sorted, share, expected) in cases {
            assert_eq!(quantile(sorted, share), expected, "{share} of {sorted:?}");
        }
    }

    #[test]
    fn what_was_not_measured_keeps_no_limit() {
        let numbers = json!({"took_s": 2, "text": "2"});
        assert_eq!(["took_s", "other", "text"].map(|name| measured(&numbers, name).to_string()), ["2", "NaN", "NaN"]);
    }

    #[test]
    fn a_limit_stands_beside_its_number() {
        let told = Limit::at_most("A search, p99", 14.9, 100.0, "ms").to_json();
        let expected = json!({
            "what": "A search, p99", "unit": "ms", "measured": 14.9, "at_most": 100.0, "of_limit": 0.15, "holds": true
        });
        assert_eq!(told, expected);
    }
}
