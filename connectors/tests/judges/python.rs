//! Judges in Python: pinned packages in a virtual environment.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value as Json;

use super::judges::{cache, once, run, script, skip};

const REQUIREMENTS: &str = include_str!("requirements.txt");

fn environment() -> Result<PathBuf, String> {
    // Another list of packages is another environment.
    let pins =
        REQUIREMENTS.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let folder = cache().ok_or("there is no home folder to install into")?.join(format!("python-{pins:016x}"));
    let python = folder.join("bin/python");
    once(&folder, || {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let install =
            ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "20", "--retries", "1", "-r"];
        run(Command::new(&python).args(install).arg(script("requirements.txt")))
    })?;
    Ok(python)
}

/// What a script makes of the input; `None`, with the reason printed, where there is no Python to run it.
pub fn ask(name: &str, input: &Json) -> Option<Json> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let python = match PYTHON.get_or_init(environment) {
        Ok(python) => python,
        Err(why) => {
            skip(&format!("{name}: {why}"));
            return None;
        }
    };
    let mut child =
        Command::new(python).arg(script(name)).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the judge starts");
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.to_string().as_bytes()).expect("the judge reads");
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name} failed; its own words are above");
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Has every case judged, and fails where the judge disagrees.
pub fn judge(name: &str, cases: &[Json]) {
    assert!(cases.len() >= 20, "only {} cases", cases.len());
    let Some(verdict) = ask(name, &Json::Array(cases.to_vec())) else { return };
    let failures = verdict["failures"].as_array().unwrap();
    let first: Vec<String> = failures.iter().take(3).map(|failure| serde_json::to_string_pretty(failure).unwrap()).collect();
    assert!(failures.is_empty(), "{} of {} cases differ, such as\n{}", failures.len(), cases.len(), first.join("\n"));
    assert_eq!(verdict["judged"], cases.len());
}
