//! Where the master key comes from: the environment, a file, or a key service of the operator's, whose own tool is asked for it when the process
//! starts. Another way to keep keys is another [`KeySource`].

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use domain::secret::SecretString;
use infra::vault::{Vault, VaultError};

use crate::config::{ConfigError, get};

/// How long a key service may take: a process that waits for ever for its key is one that nobody sees fail.
const PATIENCE: Duration = Duration::from_secs(30);
/// 32 bytes in base64 are 44; what is longer is no key.
const BYTES_MAX: u64 = 1024;

/// Gives a master key: 32 bytes in base64.
pub trait KeySource {
    /// # Errors
    /// Why there is none, without anything of the key.
    fn key(&self) -> Result<SecretString, ConfigError>;
}

/// Said by the environment itself.
struct Said(String);

/// A file that holds it, perhaps with a line break behind.
struct KeyFile {
    setting: &'static str,
    path: PathBuf,
}

/// A program that prints it: the tool of a cloud's key service or of a secret store, which unwraps what only it can. Words are parted by spaces; no shell
/// sees them.
struct KeyCommand {
    setting: &'static str,
    line: String,
}

impl KeySource for Said {
    fn key(&self) -> Result<SecretString, ConfigError> {
        Ok(self.0.clone().into())
    }
}

impl KeySource for KeyFile {
    fn key(&self) -> Result<SecretString, ConfigError> {
        let text = std::fs::read_to_string(&self.path).map_err(|_| ConfigError::Wrong {
            name: self.setting,
            value: self.path.display().to_string(),
            what: "a file that can be read was expected",
        })?;
        Ok(text.trim().into())
    }
}

impl KeySource for KeyCommand {
    fn key(&self) -> Result<SecretString, ConfigError> {
        let wrong = |what| ConfigError::Wrong { name: self.setting, value: self.line.clone(), what };
        let mut words = self.line.split_whitespace();
        let program = words.next().ok_or_else(|| wrong("a program and its arguments were expected"))?;
        // What it says of a failure goes where our own log goes; it reads nothing of ours.
        let child = Command::new(program).args(words).stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child = child.map_err(|_| wrong("this program cannot be started"))?;
        let output = child.stdout.take();
        let (done, said) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let read = output.map(|output| output.take(BYTES_MAX).read_to_string(&mut text));
            // Whoever waited has given up by now, or hears of it.
            let _ = done.send(matches!(read, Some(Ok(_))).then_some(text));
        });
        let Ok(said) = said.recv_timeout(PATIENCE) else {
            let _ = child.kill();
            let _ = child.wait();
            return Err(wrong("it did not answer within 30 seconds"));
        };
        match (said, ended(&mut child)) {
            (Some(text), true) => Ok(text.trim().into()),
            _ => Err(wrong("it failed; what it said is in front of this")),
        }
    }
}

/// Whether a program that has said all ended well, soon.
fn ended(child: &mut std::process::Child) -> bool {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) | Err(_) => {
                let _ = child.kill();
                return child.wait().is_ok_and(|status| status.success());
            }
        }
    }
}

/// The settings that may say where one master key is.
struct Settings {
    said: &'static str,
    file: &'static str,
    command: &'static str,
}

impl Settings {
    /// # Errors
    /// Where two of them are set: nobody would know which one holds.
    fn source(&self) -> Result<Option<Box<dyn KeySource>>, ConfigError> {
        let (said, file, command) = (get(self.said), get(self.file), get(self.command));
        match (said, file, command) {
            (None, None, None) => Ok(None),
            (Some(key), None, None) => Ok(Some(Box::new(Said(key)))),
            (None, Some(path), None) => Ok(Some(Box::new(KeyFile { setting: self.file, path: path.into() }))),
            (None, None, Some(line)) => Ok(Some(Box::new(KeyCommand { setting: self.command, line }))),
            _ => Err(ConfigError::Twice { names: [self.said, self.file, self.command] }),
        }
    }

    fn key(&self) -> Result<Option<SecretString>, ConfigError> {
        self.source()?.map(|source| source.key()).transpose()
    }
}

const KEY: Settings =
    Settings { said: "CROSSDOCK_MASTER_KEY", file: "CROSSDOCK_MASTER_KEY_FILE", command: "CROSSDOCK_MASTER_KEY_COMMAND" };
const ALSO: Settings = Settings {
    said: "CROSSDOCK_MASTER_KEY_ALSO",
    file: "CROSSDOCK_MASTER_KEY_ALSO_FILE",
    command: "CROSSDOCK_MASTER_KEY_ALSO_COMMAND",
};

/// What wraps the tenants' data keys.
#[derive(Debug, Clone)]
pub struct MasterKeys {
    /// `CROSSDOCK_MASTER_KEY`, `…_FILE` or `…_COMMAND`.
    key: SecretString,
    /// `CROSSDOCK_MASTER_KEY_ALSO`, `…_FILE` or `…_COMMAND`: another one that is read, while the master key is replaced.
    also: Option<SecretString>,
}

impl MasterKeys {
    /// # Errors
    /// Where there is none, a file cannot be read, or a key service does not give it.
    pub fn from_env() -> Result<Self, ConfigError> {
        let what = "the key that wraps the tenants' keys; make one with `openssl rand -base64 32`";
        let key = KEY.key()?.ok_or(ConfigError::Missing { name: KEY.said, what })?;
        Ok(Self { key, also: ALSO.key()? })
    }

    /// # Errors
    /// Where one of them is no key.
    pub fn vault(&self) -> Result<Vault, VaultError> {
        let vault = Vault::new(&self.key)?;
        match &self.also {
            Some(also) => vault.also_reading(also),
            None => Ok(vault),
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::secret::ExposeSecret;

    use super::*;

    fn command(line: &str) -> Result<SecretString, ConfigError> {
        KeyCommand { setting: KEY.command, line: line.into() }.key()
    }

    #[test]
    fn a_key_service_is_asked_by_its_own_tool() {
        assert_eq!(command("echo c2VjcmV0").unwrap().expose_secret(), "c2VjcmV0");
    }

    #[test]
    fn a_tool_that_fails_or_is_not_there_is_named_and_no_shell_reads_the_line() {
        for (line, what) in
            [("false", "it failed"), ("/nowhere/kms decrypt", "cannot be started"), (" ", "a program and its arguments")]
        {
            let text = command(line).unwrap_err().to_string();
            assert!(text.contains(what) && text.contains("CROSSDOCK_MASTER_KEY_COMMAND"), "{text}");
        }
        assert_eq!(command("echo a; echo b").unwrap().expose_secret(), "a; echo b");
    }

    #[test]
    fn a_tool_that_says_more_than_a_key_gives_none() {
        let said = command("head -c 5000000 /dev/zero");
        assert!(said.is_err() || said.is_ok_and(|key| Vault::new(&key).is_err()));
    }
}
