//! What cargo builds for us. Every build is of the whole workspace: with another selection of packages cargo unifies features in another way,
//! and builds half of all crates once more.

use std::fmt;
use std::fs::File;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::process::{root, say, shown};

pub fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    command.args(arguments).current_dir(root());
    // What `cargo run` tells us about ourselves is not for the builds we start: build scripts watch these, and the slowest crates would be
    // built anew whenever a person and we build in turn.
    for (name, _) in std::env::vars_os() {
        let about_us = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_", "CARGO_PRIMARY_"];
        if name.to_str().is_some_and(|name| about_us.iter().any(|start| name.starts_with(start))) {
            command.env_remove(name);
        }
    }
    command
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// The programs that a person runs.
pub fn programs(more: &[&str]) -> Result<(), String> {
    say("Building (the first time takes a few minutes)");
    shown(&mut cargo(&[&["build", "--workspace", "--bins"], more].concat()), "the build")
}

/// A program made of tests.
pub struct Test {
    pub package: String,
    name: String,
    program: PathBuf,
    /// The package's own, where cargo would run it.
    folder: PathBuf,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.package == self.name {
            write!(f, "tests of {}", self.name)
        } else {
            write!(f, "tests {} of {}", self.name, self.package)
        }
    }
}

impl Test {
    /// As cargo would run it.
    pub fn command(&self) -> Command {
        say(&format!("\n-- {self}"));
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder);
        command
    }

    /// One line of what `cargo build --message-format json` says; none where it is not about a test.
    fn read(line: &str) -> Option<Self> {
        let said: Value = serde_json::from_str(line).ok()?;
        let text = |at: &str| said.pointer(at).and_then(Value::as_str);
        (said.pointer("/profile/test")?.as_bool()?).then_some(())?;
        let manifest = PathBuf::from(text("/manifest_path")?);
        let folder = manifest.parent()?.to_owned();
        // `path+file:///…/infra/cli#crossdock@0.1.0`, or without the name where the folder has it.
        let (path, id) = text("/package_id")?.rsplit_once('#')?;
        let package = id.split_once('@').map_or_else(|| path.rsplit('/').next().unwrap_or(path), |(name, _)| name).to_owned();
        Some(Self { package, name: text("/target/name")?.to_owned(), program: text("/executable")?.into(), folder })
    }
}

/// Builds everything, and says which tests there are.
pub fn tests() -> Result<Vec<Test>, String> {
    say("Building (the first time takes a few minutes)");
    let said = target().join(format!("built-{}.json", std::process::id()));
    std::fs::create_dir_all(target()).map_err(|error| format!("{}: {error}", target().display()))?;
    let file = File::create(&said).map_err(|error| format!("{}: {error}", said.display()))?;
    let arguments = ["build", "--workspace", "--bins", "--tests", "--message-format", "json-render-diagnostics"];
    let outcome = shown(cargo(&arguments).stdout(file), "the build");
    let text = std::fs::read_to_string(&said).unwrap_or_default();
    let _ = std::fs::remove_file(&said);
    outcome?;
    let tests: Vec<Test> = text.lines().filter_map(Test::read).collect();
    if tests.is_empty() { Err("cargo built no tests".into()) } else { Ok(tests) }
}
