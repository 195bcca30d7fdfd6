//! What every bench does: it runs on two threads, prints its numbers as JSON, and writes them where `--json` says.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use serde_json::Value;

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Runs it to its end; a failure is told on standard error.
pub fn main(bench: impl Future<Output = Result<(), Failure>>) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = runtime.map_err(Failure::from).and_then(|runtime| runtime.block_on(bench));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "The bench failed: {error:?}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the numbers, and writes them into this file.
///
/// # Errors
/// Where one of the two cannot be written.
pub fn report(numbers: &Value, file: Option<&Path>) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(numbers)?;
    writeln!(std::io::stdout(), "{text}")?;
    if let Some(file) = file {
        std::fs::write(file, text + "\n")?;
    }
    Ok(())
}

/// To two places.
#[must_use]
pub fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}
