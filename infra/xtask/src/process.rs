//! Child processes: started with a word of what they do, and stopped again whatever happens.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Set by Ctrl-C and SIGTERM; whoever waits looks at it.
static STOP: AtomicBool = AtomicBool::new(false);

pub fn say(text: &str) {
    // A closed terminal is no reason to leave servers behind.
    let _ = writeln!(std::io::stdout(), "{text}");
}

pub fn stop_on_signals() {
    let signals = signal_hook::iterator::Signals::new([signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM]);
    if let Ok(mut signals) = signals {
        std::thread::spawn(move || {
            for _ in signals.forever() {
                STOP.store(true, Ordering::SeqCst);
            }
        });
    }
}

pub fn is_stopped() -> bool {
    STOP.load(Ordering::SeqCst)
}

/// The folder of the workspace: as `cargo run` says now, because a build cache may be shared by several clones, and what another one
/// compiled would say its own.
pub fn root() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.ancestors().nth(2).unwrap_or(&own).to_owned()
}

/// Where servers of ours keep their data: git-ignored, kept between runs so that a second start is quick.
pub fn data() -> PathBuf {
    root().join(".crossdock")
}

pub fn is_root() -> bool {
    std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|text| text.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0")))
}

/// The first of these programs that is there.
pub fn find(names: &[&str], folders: &[PathBuf]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let searched: Vec<PathBuf> = std::env::split_paths(&path).chain(folders.iter().cloned()).collect();
    names.iter().find_map(|name| searched.iter().map(|folder| folder.join(name)).find(|file| file.is_file()))
}

/// Runs to the end; the output is shown only where it fails.
pub fn quiet(command: &mut Command, what: &str) -> Result<String, String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{what}: {error}"))?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(text) } else { Err(format!("{what} failed:\n{}", text.trim())) }
}

/// Runs to the end with its output shown; ends it when we are told to stop.
pub fn shown(command: &mut Command, what: &str) -> Result<(), String> {
    ended(&mut command.spawn().map_err(|error| format!("{what}: {error}"))?, what)
}

/// Waits for the end of a process; ends it when we are told to stop.
pub fn ended(child: &mut Child, what: &str) -> Result<(), String> {
    loop {
        match child.try_wait().map_err(|error| format!("{what}: {error}"))? {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(format!("{what} failed ({status})")),
            None if is_stopped() => {
                stop(child, Duration::from_secs(40));
                return Err("stopped".into());
            }
            None => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// SIGTERM, patience, SIGKILL.
pub fn stop(child: &mut Child, patience: Duration) {
    stop_with("-TERM", child, patience);
}

/// As [`stop`], with the signal that this server takes as "now".
pub fn stop_with(signal: &str, child: &mut Child, patience: Duration) {
    let _ = Command::new("kill").args([signal, &child.id().to_string()]).stderr(Stdio::null()).status();
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// A free loopback port.
pub fn free_port() -> Result<u16, String> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no free port: {error}"))?;
    Ok(listener.local_addr().map_err(|error| error.to_string())?.port())
}

/// Waits until it is so, or says what was waited for.
pub fn wait(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) -> Result<(), String> {
    let end = Instant::now() + patience;
    while Instant::now() < end {
        if is_so() {
            return Ok(());
        }
        if is_stopped() {
            return Err("stopped".into());
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Err(format!("{what} within {} s", patience.as_secs()))
}

/// Says what is done and how long it took.
pub fn step<T>(what: &str, act: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    let started = Instant::now();
    let outcome = act();
    match &outcome {
        Ok(_) => say(&format!("  {what} ({:.1} s)", started.elapsed().as_secs_f64())),
        Err(_) => say(&format!("  {what}: no")),
    }
    outcome
}
