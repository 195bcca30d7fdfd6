//! A guest: a low-code manifest of a tenant's own, surveyed, and read against its vendor. Records go to standard output as lines of JSON,
//! everything else to standard error, and how far each stream is read into a file that the next read begins with.

use std::collections::BTreeMap;
use std::io::{BufWriter, Stdout, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use api::config::Outward;
use chrono::Utc;
use clap::{Args, Subcommand};
use connectors::import::airbyte::{Manifest, Reader};
use domain::delivery::Policy;
use domain::fault::{Fault, FaultClass, Owner};
use domain::http::{HttpAnswer, HttpRequest, NoAnswer};
use domain::secret::{Redactor, SecretString};
use infra::outbound::{AllowList, Outbound};
use serde_json::{Value, json};
use tracing::{info, warn};

use crate::{Failure, say};

/// Nobody sits before a terminal for longer: a vendor who asks for more is read another time.
const WAIT_MAX: Duration = Duration::from_secs(300);
/// Tries of one request that brings no answer at all.
const TRIES_MAX: u32 = 5;
/// Manifests, settings and states are read whole, bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[derive(Args)]
pub struct Guest {
    /// YAML or JSON, with `type: DeclarativeSource` at its top.
    file: PathBuf,
    #[command(subcommand)]
    act: Option<Act>,
}

#[derive(Subcommand)]
enum Act {
    /// Reads its streams from the vendor: one line {"stream": …, "record": …} for each record. It succeeds where every stream that was
    /// asked for was read to its end, or to a bound given here. Hosts inside your own walls must be opened with CROSSDOCK_OUTBOUND_ALLOW.
    Read(Read),
}

#[derive(Args)]
struct Read {
    /// The settings that the manifest's own form asks for, as a JSON object. No message shows a secret of it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How far each stream is read, in the list that Airbyte itself keeps. The read goes on from there where the file is there already; it
    /// is written after each stream.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// A stream to read, by name; may be said more than once. Without it, all are read.
    #[arg(long = "stream", value_name = "NAME")]
    streams: Vec<String>,
    /// Stops each stream after so many pages.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..))]
    pages: Option<u32>,
    /// Stops each stream after so many records.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    records: Option<u64>,
}

pub async fn run(guest: Guest) -> Result<(), Failure> {
    let manifest = Manifest::parse(&text(&guest.file)?)?;
    match guest.act {
        None => say(&manifest.report().to_string()),
        Some(Act::Read(arguments)) => read(&manifest, &arguments).await,
    }
}

fn text(file: &Path) -> Result<String, Failure> {
    let fail = |why: String| format!("{} cannot be read: {why}", file.display());
    let length = std::fs::metadata(file).map_err(|error| fail(error.to_string()))?.len();
    if length > FILE_BYTES_MAX {
        return Err(fail(format!("it is longer than {FILE_BYTES_MAX} bytes")).into());
    }
    Ok(std::fs::read_to_string(file).map_err(|error| fail(error.to_string()))?)
}

fn json_file(file: &Path) -> Result<Value, Failure> {
    Ok(serde_json::from_str(&text(file)?).map_err(|error| format!("{} is no JSON: {error}", file.display()))?)
}

async fn read(manifest: &Manifest, arguments: &Read) -> Result<(), Failure> {
    let config = json_file(&arguments.config)?;
    if !config.is_object() {
        return Err(format!("{} is no JSON object: it should have the settings by name", arguments.config.display()).into());
    }
    let report = manifest.report();
    let streams: Vec<String> = match arguments.streams.as_slice() {
        [] => report.streams.into_iter().map(|stream| stream.name).collect(),
        asked => asked.to_vec(),
    };
    let mut states = States::open(arguments.state.as_deref())?;
    let outward = Outward::from_env()?;
    let secrets = secrets(manifest, &config);
    let mut reading = Reading {
        outbound: Outbound::new(AllowList::parse(&outward.allow), outward.call_timeout)?,
        out: BufWriter::new(std::io::stdout()),
        secrets,
        arguments,
    };
    // What belongs to no stream is not read either, so a read of all of them is not whole.
    let mut unread: Vec<String> = if arguments.streams.is_empty() { report.missing } else { Vec::new() };
    for stream in &streams {
        let reader = manifest.read(stream, &config, states.of(stream), Utc::now());
        let end = match reader {
            Ok(reader) => reading.stream(stream, reader).await?,
            Err(error) => End { why: Some(reading.redactor(&[]).redact(&error.to_string()).into_owned()), ..End::default() },
        };
        if let Some(state) = end.state {
            states.keep(stream, state)?;
        }
        match end.why {
            None => info!("{stream}: {} records on {} pages, {}", end.records, end.pages, end.how),
            Some(why) => {
                warn!("{stream}: {} records on {} pages, not read to its end: {why}", end.records, end.pages);
                unread.push(format!("{stream}: {why}"));
            }
        }
        if end.stopped {
            return Err("stopped before its end; the same command reads on from what is kept".into());
        }
    }
    if unread.is_empty() { Ok(()) } else { Err(format!("not all of it was read:\n{}", unread.join("\n")).into()) }
}

/// All that a read of several streams shares.
struct Reading<'r> {
    outbound: Outbound,
    out: BufWriter<Stdout>,
    secrets: Vec<SecretString>,
    arguments: &'r Read,
}

/// How the read of one stream ended.
#[derive(Default)]
struct End {
    records: u64,
    pages: u32,
    /// Why it is not read to its end, where nobody asked for that.
    why: Option<String>,
    how: &'static str,
    /// How far it is read whole; nothing where it could not begin.
    state: Option<Value>,
    /// By Ctrl-C.
    stopped: bool,
}

impl Reading<'_> {
    /// # Errors
    /// Where the records cannot be handed over; then nothing of the stream is kept as read.
    async fn stream(&mut self, name: &str, mut reader: Reader) -> Result<End, Failure> {
        let head = format!("{{\"stream\":{},\"record\":", json!(name));
        let (pages_max, records_max) = (self.arguments.pages.unwrap_or(u32::MAX), self.arguments.records);
        let mut end = End { how: "read to its end", ..End::default() };
        // Faults in a row, and the wait that the last of them asks for.
        let (mut faults, mut pause) = (0, None);
        let mut tokens = Vec::new();
        let why = loop {
            reader.set_now(Utc::now());
            let request = match reader.next() {
                Ok(Some(request)) => request,
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            };
            // Only now it is known that it is asked again; and after a wait a token may be over.
            if let Some(wait) = pause.take() {
                if !self.wait(wait).await {
                    end.stopped = true;
                    break Some("it was told to stop".to_owned());
                }
                continue;
            }
            // Kept beyond the answer: a token that is refused is forgotten, and may be what the refusal quotes.
            let carried = reader.tokens();
            if !carried.is_empty() {
                tokens = carried;
            }
            // A bound may fall within a page, which is then not kept as read.
            let before = records_max.map(|_| reader.state());
            let Some(answer) = self.send(request).await else {
                end.stopped = true;
                break Some("it was told to stop".to_owned());
            };
            let fault = match answer.map_err(|error| silence(&error, faults)).and_then(|answer| reader.take(&answer)) {
                Ok(records) => {
                    faults = 0;
                    let left = records_max.map_or(u64::MAX, |most| most - end.records);
                    let is_cut = records.len() as u64 > left;
                    for record in records.iter().take(usize::try_from(left).unwrap_or(usize::MAX)) {
                        for part in [head.as_bytes(), record, b"}\n"] {
                            self.out.write_all(part)?;
                        }
                        end.records += 1;
                    }
                    if is_cut || records_max == Some(end.records) || reader.pages() >= pages_max {
                        end.how = "stopped at the bound";
                        end.state = before.filter(|_| is_cut);
                        break None;
                    }
                    continue;
                }
                Err(fault) => fault.redacted(&self.redactor(&tokens)),
            };
            faults += 1;
            let wait = Policy::default().wait(&fault, faults, 1.0).to_std().unwrap_or(WAIT_MAX);
            if !fault.class.is_passing() {
                break Some(format!("{} {}", fault.reason, fault.fix));
            }
            if wait > WAIT_MAX {
                break Some(format!("{} It asks to wait {} s; read again after that.", fault.reason, wait.as_secs()));
            }
            info!("{name}: {} It is asked again in {:.1} s.", fault.reason, wait.as_secs_f64());
            pause = Some(wait);
        };
        // What is kept as read must have been handed over.
        self.out.flush()?;
        end.why = why.map(|why| self.redactor(&tokens).redact(&why).into_owned());
        end.pages = reader.pages();
        end.state.get_or_insert_with(|| reader.state());
        Ok(end)
    }

    /// The answer, or why there is none; nothing where a person presses Ctrl-C.
    async fn send(&self, request: HttpRequest) -> Option<Result<HttpAnswer, NoAnswer>> {
        tokio::select! {
            answer = self.outbound.send(request) => Some(answer),
            _ = tokio::signal::ctrl_c() => None,
        }
    }

    /// False where a person presses Ctrl-C.
    async fn wait(&self, wait: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(wait) => true,
            _ = tokio::signal::ctrl_c() => false,
        }
    }

    fn redactor(&self, tokens: &[SecretString]) -> Redactor {
        let all = self.secrets.iter().chain(tokens).enumerate();
        Redactor::new(&all.map(|(at, secret)| (at.to_string(), secret.clone())).collect())
    }
}

/// Why there was no answer, after so many faults. Reading has no effect at the vendor, so a lost answer is asked for again.
fn silence(error: &NoAnswer, faults: u32) -> Fault {
    let reason = format!("The vendor was not reached: {error}.");
    let (class, fix) = match error {
        NoAnswer::Refused(_) => (FaultClass::Validation, "Compare the settings with the address that is meant."),
        _ if faults + 1 >= TRIES_MAX => (FaultClass::Unknown, "See whether the vendor is there, and read again."),
        _ => (FaultClass::Outage, "Nothing: it is asked again."),
    };
    Fault::new(class, "no_answer", reason, Owner::Developer, fix)
}

/// What no message may show. The form says which settings are secret; what it does not declare is taken for one.
fn secrets(manifest: &Manifest, config: &Value) -> Vec<SecretString> {
    let mut is_secret: BTreeMap<Vec<String>, bool> = BTreeMap::new();
    for field in manifest.settings() {
        *is_secret.entry(field.path).or_default() |= field.secret;
    }
    let (mut secrets, mut waiting) = (Vec::new(), vec![(Vec::new(), config)]);
    while let Some((path, value)) = waiting.pop() {
        match value {
            Value::Object(fields) => {
                waiting
                    .extend(fields.iter().map(|(name, value)| ([path.as_slice(), std::slice::from_ref(name)].concat(), value)));
            }
            Value::Array(items) => waiting.extend(items.iter().map(|item| (path.clone(), item))),
            Value::String(_) | Value::Number(_) if is_secret.get(&path) != Some(&false) => {
                secrets.push(value.as_str().map_or_else(|| value.to_string(), str::to_owned).into());
            }
            _ => {}
        }
    }
    secrets
}

/// How far each stream is read, in a file.
struct States<'f> {
    file: Option<&'f Path>,
    by_stream: BTreeMap<String, Value>,
}

impl<'f> States<'f> {
    fn open(file: Option<&'f Path>) -> Result<Self, Failure> {
        let mut by_stream = BTreeMap::new();
        if let Some(file) = file.filter(|file| file.exists()) {
            let wrong = || format!("{} is no list of stream states; move it away to read from the beginning", file.display());
            for state in json_file(file)?.as_array().ok_or_else(wrong)? {
                let stream = &state["stream"];
                let name = stream["stream_descriptor"]["name"].as_str().ok_or_else(wrong)?;
                by_stream.insert(name.to_owned(), stream["stream_state"].clone());
            }
        }
        Ok(Self { file, by_stream })
    }

    fn of(&self, stream: &str) -> &Value {
        self.by_stream.get(stream).unwrap_or(&Value::Null)
    }

    /// The file is replaced as a whole: whoever is cut off finds the one from before.
    fn keep(&mut self, stream: &str, state: Value) -> Result<(), Failure> {
        self.by_stream.insert(stream.to_owned(), state);
        let Some(file) = self.file else { return Ok(()) };
        let list: Vec<Value> = self
            .by_stream
            .iter()
            .map(
                |(name, state)| json!({"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": state}}),
            )
            .collect();
        let beside = file.with_added_extension("new");
        let write =
            || std::fs::write(&beside, format!("{:#}\n", Value::from(list))).and_then(|()| std::fs::rename(&beside, file));
        write().map_err(|error| format!("{} cannot be written: {error}", file.display()).into())
    }
}
