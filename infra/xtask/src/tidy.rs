//! What a reviewer should not have to look for: who may know whom, licences, where libraries come from, vendors named in Rust, leftovers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::{quiet, root, say};

/// Which of our crates each may know.
const KNOWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("connectors", &["domain"]),
    ("migrations", &[]),
    ("infra", &["domain", "connectors", "migrations"]),
    ("api", &["domain", "connectors", "infra"]),
    ("workers", &["domain", "connectors", "infra"]),
    ("crossdock", &["api", "workers", "domain", "connectors", "infra", "migrations"]),
    ("tests", &["api", "workers", "domain", "connectors", "infra", "migrations"]),
    ("xtask", &[]),
];
/// Who may name a library that talks to the world.
const ONLY: &[(&str, &[&str])] = &[
    ("sea-orm", &["infra"]),
    ("sqlx", &["infra", "migrations", "tests"]),
    ("lapin", &["infra", "tests"]),
    ("lettre", &["infra"]),
    ("redis", &["infra", "tests"]),
    ("reqwest", &["infra", "tests"]),
    ("russh", &["infra"]),
    ("russh-sftp", &["infra"]),
    ("actix-web", &["api"]),
    ("async-graphql", &["api"]),
];
/// Where all that is not ours comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MPL-2.0",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "0BSD",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
    "Unlicense",
    "MIT-0",
];
const VENDORS: &[&str] = &["shopify", "netsuite", "medusa"];

pub fn run() -> Result<(), String> {
    let mut findings = Vec::new();
    let metadata = quiet(
        Command::new("cargo").args(["metadata", "--format-version", "1", "--locked"]).current_dir(root()),
        "cargo metadata",
    )?;
    let json = metadata.lines().find(|line| line.starts_with('{')).unwrap_or_default();
    let metadata: serde_json::Value = serde_json::from_str(json).map_err(|error| format!("cargo metadata: {error}"))?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let name = package["name"].as_str().unwrap_or_default();
        if package["source"].is_null() {
            dependencies(name, package, &mut findings);
        } else {
            licence(name, package["license"].as_str().unwrap_or_default(), &mut findings);
            // What comes from there has a checksum in Cargo.lock, and nobody can change it afterwards.
            if package["source"] != REGISTRY {
                findings.push(format!("{name} comes from {}, and not from the registry", package["source"]));
            }
        }
    }
    let mut sizes: BTreeMap<usize, PathBuf> = BTreeMap::new();
    for file in rust_files(&root()) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        sizes.insert(text.lines().count() * 10_000 + sizes.len(), file.clone());
        source(&file, &text, &mut findings);
    }
    for (lines, file) in sizes.iter().rev().take(10) {
        say(&format!("  {:>5} lines {}", lines / 10_000, file.strip_prefix(root()).unwrap_or(file).display()));
    }
    if findings.is_empty() { Ok(()) } else { Err(findings.join("\n")) }
}

fn dependencies(name: &str, package: &serde_json::Value, findings: &mut Vec<String>) {
    let Some((_, known)) = KNOWS.iter().find(|(member, _)| *member == name) else {
        return findings.push(format!("{name}: a new crate; say in tidy.rs whom it may know"));
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let other = dependency["name"].as_str().unwrap_or_default();
        if KNOWS.iter().any(|(member, _)| *member == other) && !known.contains(&other) {
            findings.push(format!("{name} may not know {other}"));
        }
        let allowed = ONLY.iter().find(|(library, _)| *library == other).map(|(_, allowed)| *allowed);
        if let Some(allowed) = allowed.filter(|allowed| !allowed.contains(&name)) {
            findings.push(format!("{name} may not name {other}: {} may", allowed.join(", ")));
        }
    }
}

/// An expression such as `(MIT OR Apache-2.0) AND Unicode-3.0`: of each part that is joined by AND one alternative must be on the list.
fn licence(name: &str, expression: &str, findings: &mut Vec<String>) {
    let parts = expression.split(" AND ").map(|part| part.trim_matches(['(', ')']));
    let allowed =
        |part: &str| part.replace('/', " OR ").split(" OR ").any(|one| LICENCES.contains(&one.trim_matches(['(', ')', ' '])));
    if expression.is_empty() || !parts.into_iter().all(allowed) {
        findings.push(format!("{name} has the licence \"{expression}\", which is not on the list in tidy.rs"));
    }
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() && !matches!(name.as_str(), "target" | ".git" | ".crossdock" | "node_modules") {
            files.extend(rust_files(&path));
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files
}

fn source(file: &Path, text: &str, findings: &mut Vec<String>) {
    let place = file.strip_prefix(root()).unwrap_or(file).display().to_string();
    let is_tidy = place.ends_with("tidy.rs");
    let names_vendors = place.starts_with("tests/")
        || place.starts_with("connectors/tests/")
        || place.starts_with("infra/xtask/")
        || place.ends_with("/tests.rs");
    for (number, line) in text.lines().enumerate() {
        let mut fail = |what: &str| findings.push(format!("{place}:{}: {what}", number + 1));
        if line.ends_with(' ') || line.ends_with('\t') {
            fail("trailing space");
        }
        if !is_tidy && ["TODO", "FIXME", "dbg!("].iter().any(|leftover| line.contains(leftover)) {
            fail("a leftover");
        }
        let code = line.split("//").next().unwrap_or_default().to_lowercase();
        if !names_vendors && VENDORS.iter().any(|vendor| code.contains(vendor)) && !in_test(text, number) {
            fail("a vendor is named in Rust; vendors are data");
        }
    }
}

/// True within a file's own tests, which may quote what a vendor would say.
fn in_test(text: &str, number: usize) -> bool {
    text.lines().position(|line| line.trim() == "#[cfg(test)]").is_some_and(|start| number > start)
}
