//! Where independent implementations of what `auth` does are kept: a folder of the user's cache, filled once. Where that cannot be, the reason
//! is printed and the test judges nothing.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The scripts of this run, not of the build: a build may be shared by several clones.
pub fn script(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("tests/judges").join(name)
}

/// Seen although the test passes: what is printed by the macros is not.
pub fn skip(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED, nothing was judged: {why}");
}

pub fn cache() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home)?;
    Some(cache.join("crossdock/judges"))
}

/// Makes a folder complete once, whoever else tries at the same time.
pub fn once(folder: &Path, make: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let done = folder.join("complete");
    let lock = File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    if done.exists() {
        return Ok(());
    }
    make()?;
    File::create(done).map(|_| ()).map_err(|error| error.to_string())
}

pub fn run(command: &mut Command) -> Result<(), String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("no reason").to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{} failed: {last}", command.get_program().display())) }
}
