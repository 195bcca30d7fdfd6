//! A real SMTP server (aiosmtpd) that keeps what it was handed. It is installed once, pinned, in the user's cache folder; where that is not
//! possible, there is none, and whoever asks says why.

use std::fs::File;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const PACKAGE: &str = "aiosmtpd==1.4.6";
const PATIENCE: Duration = Duration::from_secs(60);

pub struct MailServer {
    pub port: u16,
    mails: Arc<Mutex<Vec<Value>>>,
    _child: Child,
}

impl MailServer {
    /// A port for one that is started later.
    ///
    /// # Errors
    /// Where none is free.
    pub fn free_port() -> std::io::Result<u16> {
        Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
    }

    /// # Errors
    /// Why there is none.
    pub async fn start(port: u16) -> Result<Self, String> {
        let python = tokio::task::spawn_blocking(interpreter).await.map_err(|error| error.to_string())??;
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("real/python/smtp_server.py");
        let mut command = Command::new(python);
        command.arg(script).arg(port.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let mut lines = BufReader::new(child.stdout.take().ok_or("it has no output")?).lines();
        let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        if !matches!(ready, Ok(Ok(Some(_)))) {
            return Err("it did not start".to_owned());
        }
        let mails: Arc<Mutex<Vec<Value>>> = Arc::default();
        let inbox = mails.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                inbox.lock().expect("no code panics while it holds the inbox").extend(serde_json::from_str::<Value>(&line));
            }
        });
        Ok(Self { port, mails, _child: child })
    }

    /// What came, oldest first.
    #[must_use]
    pub fn mails(&self) -> Vec<Value> {
        self.mails.lock().expect("no code panics while it holds the inbox").clone()
    }
}

fn interpreter() -> Result<PathBuf, String> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    let folder = cache.ok_or("there is no home folder to install into")?.join("crossdock").join(PACKAGE.replace("==", "-"));
    let (python, done) = (folder.join("bin/python"), folder.join("complete"));
    let io = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(&folder).map_err(io)?;
    let lock = File::create(folder.join("lock")).map_err(io)?;
    lock.lock().map_err(io)?;
    if !done.exists() {
        run(std::process::Command::new("python3").args(["-m", "venv"]).arg(&folder))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--timeout", "20", "--retries", "1"];
        run(std::process::Command::new(&python).args(install).arg(PACKAGE))?;
        File::create(done).map_err(io)?;
    }
    Ok(python)
}

fn run(command: &mut std::process::Command) -> Result<(), String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
