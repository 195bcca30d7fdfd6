//! The web app in `frontend/`: its packages from npm, its build, its unit tests, and its journeys in a real browser.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::failures;
use crate::process::{find, root, say, shown};
use crate::services::Services;

/// What the build is made of.
const SOURCES: [&str; 10] = [
    "frontend/src",
    "frontend/public",
    "frontend/index.html",
    "frontend/package.json",
    "frontend/package-lock.json",
    "frontend/tsconfig.json",
    "frontend/vite.config.ts",
    "frontend/generate.mjs",
    "api/schema.graphql",
    // The functions of mappings are read from it.
    "docs/mapping.md",
];

fn folder() -> PathBuf {
    root().join("frontend")
}

/// Where the build lies: what `CROSSDOCK_WEB_DIR` is told.
pub fn built() -> PathBuf {
    folder().join("dist")
}

fn npm(arguments: &[&str]) -> Result<Command, String> {
    let npm = find(&["npm"], &[]).ok_or("npm is not on the PATH: the web app is built with Node 20.19 or newer")?;
    let mut command = Command::new(npm);
    command.args(arguments).current_dir(folder());
    Ok(command)
}

/// The packages as `package-lock.json` has them; nothing where they are there.
fn packages() -> Result<(), String> {
    let (wanted, there) = (folder().join("package-lock.json"), folder().join("node_modules/.package-lock.json"));
    if newest(&there).is_some_and(|there| newest(&wanted).is_some_and(|wanted| wanted <= there)) {
        return Ok(());
    }
    say("Packages of the web app from npm (the first time takes a minute)");
    shown(&mut npm(&["ci", "--no-audit", "--no-fund"])?, "npm ci")
}

/// Builds it where something has changed since.
pub fn build() -> Result<(), String> {
    let made = newest(&built().join("index.html"));
    let changed = SOURCES.iter().filter_map(|source| newest(&root().join(source))).max();
    if made.is_some() && made >= changed {
        return Ok(());
    }
    packages()?;
    say("Building the web app");
    shown(&mut npm(&["run", "--silent", "build"])?, "the web app's build")
}

/// Types, lints, the build and the unit tests; the size of the first load is one of them.
pub fn test() -> Result<(), String> {
    packages()?;
    for script in ["check", "build", "test"] {
        shown(&mut npm(&["run", "--silent", script])?, &format!("the web app's {script}"))?;
    }
    Ok(())
}

/// The pages in a browser, against the demo: real processes, simulated vendors.
pub fn journeys(services: &Services, demo: &Path) -> Result<(), String> {
    let mut command = npm(&["run", "--silent", "journeys"])?;
    services.environment(&mut command);
    failures::shown(command.env("CROSSDOCK_DEMO", demo).env("CROSSDOCK_WEB_DIR", built()), "the web app's journeys")
}

/// When the newest file in it was written; nothing where there is none.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        return std::fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max();
    }
    path.metadata().ok()?.modified().ok()
}
