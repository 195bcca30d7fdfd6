//! Small manifests of our own, read by Airbyte's reference implementation and by ours against the same vendor: the same records, the same
//! requests, the same state. The reference lives in a virtual environment in the user's cache folder, made once; without Python or without
//! a way to install it the tests say so and judge nothing.

#![expect(clippy::unwrap_used, reason = "helpers of a test")]

#[path = "judges/airbyte/world.rs"]
mod world;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use connectors::import::airbyte::Manifest;
use serde_json::{Value, json};
use world::{Asked, World};

/// The version that decides.
const VERSION: &str = "7.39.1";
/// Answers of one read: an endless read fails the test.
const ANSWERS_MAX: usize = 500;

fn folder() -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/judges/airbyte")
}

/// The reference's Python, or why there is none.
fn python() -> Result<&'static Path, &'static str> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(install).as_deref().map_err(String::as_str)
}

fn install() -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache"))).ok_or("there is no home folder")?;
    let home = cache.join("crossdock/judges-airbyte");
    let python = home.join("bin/python");
    let marker = home.join(format!("airbyte-cdk-{VERSION}"));
    if marker.exists() {
        return Ok(python);
    }
    let run = |command: &mut Command| -> Result<(), String> {
        let output = command.output().map_err(|error| format!("{command:?} does not start: {error}"))?;
        let last = String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or_default().to_owned();
        if output.status.success() { Ok(()) } else { Err(format!("{command:?} failed: {last}")) }
    };
    run(Command::new("python3").args(["-m", "venv"]).arg(&home))?;
    let package = format!("airbyte-cdk=={VERSION}");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--timeout", "60", "--retries", "1", &package]))?;
    std::fs::write(&marker, "").map_err(|error| error.to_string())?;
    Ok(python)
}

#[derive(Debug, Default, PartialEq)]
struct Read {
    records: BTreeMap<String, Vec<Value>>,
    states: BTreeMap<String, Value>,
    failed: Vec<String>,
}

/// A record's fields have no order, and parts of a stream may be read in any.
fn sorted(mut records: Vec<Value>) -> Vec<Value> {
    records.iter_mut().for_each(Value::sort_all_objects);
    records.sort_by_key(Value::to_string);
    records
}

/// How long a read took is nobody's promise.
fn without_lookback(mut state: Value) -> Value {
    if let Some(state) = state.as_object_mut() {
        state.remove("lookback_window");
        state.values_mut().for_each(|value| {
            if let Some(parents) = value.as_object_mut() {
                parents.values_mut().for_each(|parent| *parent = without_lookback(parent.take()));
            }
        });
    }
    state.sort_all_objects();
    state
}

fn theirs(python: &Path, manifest: &Value, config: &Value, state: &BTreeMap<String, Value>, streams: &[&str]) -> Read {
    let mut child = Command::new(python)
        .arg(folder().join("judge.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let asked = json!({"manifest": manifest, "config": config, "state": state, "streams": streams});
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(text.lines().last().unwrap_or_default())
        .unwrap_or_else(|error| panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr)));
    let mut read = Read::default();
    for stream in streams {
        read.records.insert((*stream).to_owned(), sorted(last["records"][stream].as_array().unwrap().clone()));
        read.states.insert((*stream).to_owned(), last["states"][stream].clone());
    }
    read.failed = last["failed"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(Value::as_str)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect();
    read.failed.sort();
    read.failed.dedup();
    read
}

fn ours(manifest: &Manifest, config: &Value, state: &BTreeMap<String, Value>, streams: &[&str]) -> Read {
    let mut read = Read::default();
    for stream in streams {
        let before = state.get(*stream).cloned().unwrap_or(Value::Null);
        let mut reader = manifest.read(stream, config, &before, chrono::Utc::now()).unwrap();
        let mut records = Vec::new();
        let mut answers = 0;
        loop {
            let request = match reader.next() {
                Ok(Some(request)) => request,
                Ok(None) => break,
                Err(_) => {
                    read.failed.push((*stream).to_owned());
                    break;
                }
            };
            answers += 1;
            assert!(answers <= ANSWERS_MAX, "{stream} does not end");
            // A fault is asked again or has ended the read: `next` knows.
            let taken = reader.take(&world::send(&request)).unwrap_or_default();
            records.extend(taken.iter().map(|record| serde_json::from_slice::<Value>(record).unwrap()));
        }
        read.records.insert((*stream).to_owned(), sorted(records));
        read.states.insert((*stream).to_owned(), reader.state());
    }
    read.failed.sort();
    read
}

/// One manifest, read once with each of these settings, each read beginning where the one before it ended.
fn judge(file: &str, streams: &[&str], settings: &[Value]) {
    let python = match python() {
        Ok(python) => python,
        Err(why) => {
            // Not by println, which a test that passes keeps to itself.
            let _ = writeln!(std::io::stderr(), "SKIPPED: Airbyte's reference is not here to compare with: {why}");
            return;
        }
    };
    let text = std::fs::read_to_string(folder().join("manifests").join(file)).unwrap();
    let raw: Value = serde_saphyr::from_str(&text).unwrap();
    let manifest = Manifest::parse(&text).unwrap();
    let report = manifest.report();
    assert!(streams.iter().all(|name| report.streams.iter().any(|stream| stream.name == *name && stream.runnable)), "{report}");
    let world = World::new();
    let mut state = BTreeMap::new();
    for (at, own) in settings.iter().enumerate() {
        let mut config = own.clone();
        config["base"] = json!(world.base);
        let theirs = theirs(python, &raw, &config, &state, streams);
        let they_asked = world.asked();
        let ours = ours(&manifest, &config, &state, streams);
        let we_asked = world.asked();
        for stream in streams {
            assert_eq!(ours.records[*stream], theirs.records[*stream], "read {at}: records of {stream}");
        }
        assert_eq!(we_asked.keys().collect::<Vec<_>>(), they_asked.keys().collect::<Vec<_>>(), "read {at}: paths");
        for (path, asked) in &they_asked {
            let lines = |asked: &[Asked]| asked.iter().map(|asked| format!("{asked:?}")).collect::<Vec<_>>().join("\n");
            assert_eq!(lines(&we_asked[path]), lines(asked), "read {at}: requests of {path}");
        }
        assert_eq!(ours.failed, theirs.failed, "read {at}: failed");
        for stream in streams.iter().filter(|stream| !ours.failed.iter().any(|failed| failed == *stream)) {
            let (ours, theirs) = (&ours.states[*stream], &theirs.states[*stream]);
            assert_eq!(without_lookback(ours.clone()), without_lookback(theirs.clone()), "read {at}: state of {stream}");
        }
        state = theirs.states;
    }
}

#[test]
fn pages_are_counted_alike() {
    judge("pages.yaml", &["numbers", "numbered", "offsets"], &[json!({"key": "k-1", "lang": "de", "size": 5})]);
}

#[test]
fn the_next_page_is_found_alike() {
    judge("cursors.yaml", &["by_value", "by_header", "by_link", "by_address", "by_last_record"], &[json!({"token": "t 1"})]);
}

#[test]
fn a_second_read_begins_where_the_first_ended() {
    let config = |end: &str| json!({"user": "ada", "password": "p:w", "start": "2024-01-01", "end": end});
    judge(
        "times.yaml",
        &["stepped", "whole", "months", "client_side", "counted", "feed"],
        &[config("2024-01-31T00:00:00Z"), config("2024-02-12T00:00:00Z")],
    );
}

#[test]
fn the_parts_of_a_stream_are_read_alike() {
    judge("partitions.yaml", &["listed", "product", "orders"], &[json!({"colours": ["red", "blue"], "end": "2024-02-01"})]);
}

#[test]
fn every_part_has_its_own_position() {
    let config = |end: &str| json!({"colours": [], "end": end});
    judge("partitions.yaml", &["events"], &[config("2024-01-31"), config("2024-02-25")]);
}

#[test]
fn one_position_may_serve_all_parts() {
    let config = |end: &str| json!({"colours": [], "end": end});
    judge("partitions.yaml", &["together"], &[config("2024-01-31"), config("2024-02-25")]);
}

#[test]
fn a_parent_is_read_from_its_own_position() {
    let config = |end: &str| json!({"colours": [], "end": end});
    judge("partitions.yaml", &["changes"], &[config("2024-01-31"), config("2024-02-25")]);
}

#[test]
fn records_are_changed_alike() {
    judge("changed.yaml", &["changed", "lowered", "flattened", "flattened_but_lists", "lines", "table"], &[json!({})]);
}

#[test]
fn errors_mean_the_same() {
    judge("errors.yaml", &["flaky", "passed_over", "exhausted", "refused"], &[json!({})]);
}

#[test]
fn tokens_are_asked_for_and_shown_alike() {
    let config = json!({"id": "me", "secret": "s3cret & more", "refresh": "r-1", "way": "key"});
    judge("tokens.yaml", &["client_credentials", "refresh", "session", "chosen", "renewed", "older_session"], &[config]);
}
