//! A server in a process of its own. It ends when its standard input does, and so with us, whatever ends us.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::python;

const PATIENCE: Duration = Duration::from_secs(60);

pub struct Program {
    /// What it said of itself when it was ready.
    pub said: Json,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Program {
    /// Starts a script of `real/python` and waits until it says where it answers.
    pub async fn start(script: &str) -> Self {
        let python = tokio::task::spawn_blocking(python::interpreter).await.unwrap();
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{script}.log"));
        let mut command = Command::new(python);
        command.arg(python::script(script)).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Where moto would look for real accounts.
        for name in ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"] {
            command.env_remove(name);
        }
        let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut program = Self { said: Json::Null, stdin: child.stdin.take().unwrap(), lines, _child: child };
        program.said = program.line().await.unwrap_or_else(|| panic!("{script} did not start; its log is {}", log.display()));
        program
    }

    pub fn text(&self, name: &str) -> &str {
        self.said[name].as_str().unwrap_or_else(|| panic!("it did not say {name}"))
    }

    /// Has somebody else make a call, and gives its answer.
    pub async fn ask(&mut self, call: &Json) -> Json {
        self.stdin.write_all(format!("{call}\n").as_bytes()).await.unwrap();
        let said = self.line().await.expect("it answers");
        assert!(said["error"].is_null(), "{call}: {}", said["error"]);
        said["answer"].clone()
    }

    async fn line(&mut self) -> Option<Json> {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.ok()?.ok()??;
        serde_json::from_str(&line).ok()
    }
}
