//! The Python that servers run in: pinned packages from PyPI in a virtual environment of the user's cache folder, made once.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

/// The scripts of this run, not of the build: a build may be shared by several clones.
pub fn script(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("real/python").join(name)
}

/// The interpreter of the environment that has them: found, or made after saying so.
///
/// # Panics
/// Where it cannot be made: then nothing is proven, and nobody is to think it was.
pub fn interpreter() -> PathBuf {
    let pins = std::fs::read(script("requirements.txt")).unwrap();
    let version: String = Sha256::digest(pins).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let home = || PathBuf::from(std::env::var_os("HOME").expect("there is a home folder to install into")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).unwrap_or_else(home);
    let folder = cache.join("crossdock").join(format!("real-python-{version}"));
    let (python, done) = (folder.join("bin/python"), folder.join("complete"));
    std::fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if !done.exists() {
        println!("  localstripe and moto from PyPI (about 15 s, once), into {}", folder.display());
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
        let install =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "20", "--retries", "1", "-r"];
        run(Command::new(&python).args(install).arg(script("requirements.txt")));
        File::create(done).unwrap();
    }
    python
}

fn run(command: &mut Command) {
    let program = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program} failed, so nothing was proven: {}", String::from_utf8_lossy(&output.stderr));
}
