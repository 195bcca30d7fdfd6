//! What the process tells of itself: one line a happening, as text for people or as JSON for machines. Names and messages of vendors stand in it, so
//! what they hold must neither look like a line of ours nor move a terminal's cursor.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, Write};

use tracing::error;
use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` filters; `json` writes one JSON object a line.
pub fn start(json: bool) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,lapin=warn,sqlx=warn,sea_orm=warn,actix_server=warn"));
    // Without colours every control character is somebody else's.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_target(false);
    let builder = builder.with_writer(|| OneLine(io::stderr()));
    if json {
        builder.json().init();
    } else {
        builder.compact().init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let why = panic.payload_as_str().unwrap_or("it says nothing");
        let trace = Backtrace::capture();
        let trace = (trace.status() == BacktraceStatus::Captured).then(|| trace.to_string());
        error!(place, trace, "A defect ended a task, at {place}: {why}");
    }));
}

/// Writes each event, which comes whole, as one line.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let (line, end) = text.strip_suffix('\n').map_or((&*text, ""), |line| (line, "\n"));
        match in_one_line(line) {
            Cow::Borrowed(_) => self.0.write_all(event)?,
            Cow::Owned(line) => self.0.write_all((line + end).as_bytes())?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What would end a line or steer a terminal is written as JSON would escape it, which is right within JSON and can be read in plain text.
fn in_one_line(text: &str) -> Cow<'_, str> {
    let steers = |c: char| (c.is_control() && c != '\t') || is_of_layout(c);
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            c if steers(c) => write!(out, "\\u{:04x}", u32::from(c)).expect("writing to memory does not fail"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The separators of lines and paragraphs, which some programs break lines at, and the marks that turn the direction of a text, by which a line can
/// be made to read as another (Unicode TR 36, 3.2).
fn is_of_layout(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    const HOSTILE: &str = "hats\n2026-11-29T00:00:00Z  INFO Signed in user=owner\r\n\u{1b}[2K\u{1b}[1A\u{7}\u{8}\u{b}\u{c}\u{7f}\u{85}\u{9b}2J\u{2028}\u{2029}\u{202e}tpecca\u{0} ä\t😀";

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged when a name is hostile in every way in which one gets into a line.
    fn logged(json: bool) -> String {
        let kept = Kept::default();
        let inner = kept.clone();
        let builder = tracing_subscriber::fmt().with_ansi(false).with_writer(move || OneLine(inner.clone()));
        let log = || {
            tracing::warn!(text = HOSTILE, shown = %HOSTILE, debugged = ?HOSTILE, "Refused {HOSTILE}");
            let error = io::Error::other(HOSTILE);
            tracing::warn!(error = &error as &dyn std::error::Error, "Failed");
        };
        if json {
            tracing::subscriber::with_default(builder.json().finish(), log);
        } else {
            tracing::subscriber::with_default(builder.compact().finish(), log);
        }
        let bytes = kept.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn threat_log_injection_leaves_one_line_for_one_event() {
        for json in [false, true] {
            let log = logged(json);
            let lines: Vec<&str> = log.split(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}']).collect();
            assert_eq!((lines.len(), lines[2]), (3, ""), "two events, two lines: {log:?}");
            let controls: String = log.chars().filter(|c| (c.is_control() && *c != '\t') || is_of_layout(*c)).collect();
            assert_eq!(controls, "\n\n", "nothing steers a terminal: {log:?}");
            assert!(log.contains("tpecca"), "what it says is told as text: {log:?}");
            if json {
                for line in &lines[..2] {
                    let event: serde_json::Value = serde_json::from_str(line).unwrap();
                    assert_eq!(event["level"], "WARN", "{line}");
                }
                let event: serde_json::Value = serde_json::from_str(lines[0]).unwrap();
                assert_eq!(event["fields"]["text"], HOSTILE, "and a machine reads it as it was");
            }
        }
    }

    #[test]
    fn an_ordinary_line_is_written_as_it_is() {
        for line in ["", "Delivery dlv_1 throttled by 127.0.0.1", "ä\tb 😀 \\n"] {
            assert!(matches!(in_one_line(line), Cow::Borrowed(same) if same == line), "{line}");
        }
    }
}
