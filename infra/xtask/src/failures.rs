//! What failed and why, gathered from the output of long runs while it is shown: said once more at the end, nobody has to look for it among
//! thousands of lines.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Command, Stdio};

use crate::process;

/// Lines of one failure, and of all of a run.
const OF_ONE: usize = 6;
const IN_ALL: usize = 120;
const LINE_CHARS: usize = 400;

#[derive(Default)]
struct Failures {
    lines: Vec<String>,
    /// How many more lines belong to the last one.
    rest: usize,
}

impl Failures {
    fn read(&mut self, line: &str) {
        if line.contains("panicked at") || line.starts_with("  FAIL ") || line.starts_with("error: ") {
            self.rest = OF_ONE;
        } else if is_after(line) {
            self.rest = 0;
        }
        if self.rest > 0 && self.lines.len() < IN_ALL && !line.trim().is_empty() {
            self.rest -= 1;
            self.lines.push(line.chars().take(LINE_CHARS).collect());
        }
    }
}

/// True where a line tells no more about the failure before it.
fn is_after(line: &str) -> bool {
    ["stack backtrace:", "note: ", "----", "--- ", "  ok "].iter().any(|start| line.starts_with(start))
}

/// As [`process::shown`], with what failed in the error.
pub fn shown(command: &mut Command, what: &str) -> Result<(), String> {
    let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = spawned.map_err(|error| format!("{what}: {error}"))?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (outcome, told) = std::thread::scope(|scope| {
        // Each by itself: what one says between two lines of the other is no part of its failure.
        let said = [scope.spawn(|| copy(stdout, std::io::stdout())), scope.spawn(|| copy(stderr, std::io::stderr()))];
        let outcome = process::ended(&mut child, what);
        let told: Vec<String> = said.into_iter().flat_map(|said| said.join().unwrap_or_default()).collect();
        (outcome, told)
    });
    outcome.map_err(|error| if told.is_empty() { error } else { format!("{error}\n{}", told.join("\n")) })
}

/// Copies line by line; returns what is told of failures.
fn copy(from: Option<impl Read>, mut to: impl std::io::Write) -> Vec<String> {
    let mut failures = Failures::default();
    let Some(from) = from else { return failures.lines };
    let mut from = BufReader::new(from);
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
        // A closed terminal is no reason to leave servers behind.
        let _ = to.write_all(&bytes).and_then(|()| to.flush());
        failures.read(String::from_utf8_lossy(&bytes).trim_end());
        bytes.clear();
    }
    failures.lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_words_and_without_what_follows() {
        let mut failures = Failures::default();
        let output = "test one ... ok\n\n---- two stdout ----\nthread 'two' panicked at it/two.rs:7:9:\nassertion failed\n  left: 1\n right: 2\n\
                      stack backtrace:\n   0: somewhere\n  FAIL a journey (1.0 s)\n       it never came\n  ok   another (2 s)\n       not this";
        output.lines().for_each(|line| failures.read(line));
        let told = [
            "thread 'two' panicked at it/two.rs:7:9:",
            "assertion failed",
            "  left: 1",
            " right: 2",
            "  FAIL a journey (1.0 s)",
            "       it never came",
        ];
        assert_eq!(failures.lines, told);
    }

    #[test]
    fn a_program_that_fails_says_why_in_its_error() {
        let script = "echo fine; echo \"thread 'x' panicked at y.rs:1:1:\" >&2; exit 3";
        let error = shown(Command::new("sh").args(["-c", script]), "the tests").unwrap_err();
        assert_eq!(error, "the tests failed (exit status: 3)\nthread 'x' panicked at y.rs:1:1:");
        assert_eq!(shown(Command::new("sh").args(["-c", "echo fine"]), "the tests"), Ok(()));
    }
}
