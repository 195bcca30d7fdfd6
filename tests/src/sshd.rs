//! An OpenSSH server of a test's own: on loopback, with its own keys, and no more than SFTP. `CROSSDOCK_SSHD` names the program; `cargo xtask test` finds or
//! gets one. It runs as whoever runs the test, or as nobody where that is root, because a server of root's own needs more of the machine.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(20);

/// Stops, and takes its folder away, when dropped.
pub struct Sshd {
    child: Child,
    folder: PathBuf,
    port: u16,
    user: String,
}

impl Sshd {
    /// # Panics
    /// Where there is no OpenSSH server, or it does not start; says why and what to do.
    #[must_use]
    pub fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("crossdock-sshd-{}", &Uuid::new_v4().simple().to_string()[..12]));
        std::fs::create_dir_all(folder.join("home")).expect("a folder can be made");
        for key in ["host", "other", "client"] {
            run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(folder.join(key)));
        }
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").port();
        let mut sshd = Self { child: server(&folder, port, "host"), folder, port, user: user() };
        sshd.wait();
        sshd
    }

    /// Starts it anew with another host key.
    ///
    /// # Panics
    /// As [`Self::start`].
    pub fn change_host_key(&mut self) {
        self.stop();
        self.child = server(&self.folder, self.port, "other");
        self.wait();
    }

    /// Stops it; [`Self::start_again`] goes on.
    pub fn stop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// # Panics
    /// As [`Self::start`].
    pub fn start_again(&mut self) {
        self.child = server(&self.folder, self.port, "host");
        self.wait();
    }

    /// The folder in which its user begins.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    /// A folder of it, made.
    ///
    /// # Panics
    /// Where it cannot be made.
    #[must_use]
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.home().join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        give(&self.home());
        path
    }

    /// The connect form of a connection, with what the test adds.
    ///
    /// # Panics
    /// Where the keys are gone.
    #[must_use]
    pub fn settings(&self, more: Value) -> Value {
        let mut settings = json!({
            "base_url": format!("sftp://127.0.0.1:{}/~", self.port),
            "user": self.user,
            "host_key": self.host_key(),
        });
        if let (Some(settings), Value::Object(more)) = (settings.as_object_mut(), more) {
            settings.extend(more);
        }
        settings
    }

    /// As people give it.
    ///
    /// # Panics
    /// Where the key is gone.
    #[must_use]
    pub fn host_key(&self) -> String {
        let told = run(Command::new("ssh-keygen").arg("-lf").arg(self.folder.join("host.pub")));
        told.split_whitespace().nth(1).expect("a fingerprint").to_owned()
    }

    /// # Panics
    /// Where the keys are gone.
    #[must_use]
    pub fn credential(&self) -> Value {
        json!({"private_key": std::fs::read_to_string(self.folder.join("client")).expect("the key is there")})
    }

    fn wait(&mut self) {
        let end = Instant::now() + PATIENCE;
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            let is_running = matches!(self.child.try_wait(), Ok(None));
            assert!(is_running && Instant::now() < end, "the OpenSSH server did not start:\n{}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.stop();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).trim() == "0"
}

fn user() -> String {
    if is_root() { "nobody".to_owned() } else { run(Command::new("id").arg("-un")).trim().to_owned() }
}

/// Gives what root has made to the server's user.
fn give(path: &Path) {
    if is_root() {
        run(Command::new("chown").args(["-R", "nobody"]).arg(path));
    }
}

fn server(folder: &Path, port: u16, key: &str) -> Child {
    let program = program();
    let at = |name: &str| folder.join(name).display().to_string();
    let home = at("home");
    let mut config = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM yes\nPidFile none\nMaxStartups 200\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nForceCommand internal-sftp -d {home}\nSubsystem sftp internal-sftp\n",
        at(key),
        at("client.pub"),
    );
    // One that was unpacked and not installed has its helpers and libraries beside it.
    let root = program.ancestors().nth(3).unwrap_or(Path::new("/"));
    for (name, word) in [("sshd-session", "SshdSessionPath"), ("sshd-auth", "SshdAuthPath")] {
        let helper = root.join("usr/lib/openssh").join(name);
        if helper.is_file() {
            config.push_str(&format!("{word} {}\n", helper.display()));
        }
    }
    let file = at("config");
    std::fs::write(&file, config).expect("a file can be written");
    let log = std::fs::File::create(at("log")).expect("a file can be written");
    give(folder);
    let libraries: Vec<String> = std::fs::read_dir(root.join("usr/lib"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().contains("-linux-"))
        .map(|entry| entry.path().display().to_string())
        .collect();
    let mut command = if is_root() { Command::new("setpriv") } else { Command::new(&program) };
    if is_root() {
        command.args(["--reuid", "nobody", "--regid", "nogroup", "--clear-groups", "--"]).arg(&program);
    }
    if root != Path::new("/") {
        command.env("LD_LIBRARY_PATH", libraries.join(":"));
    }
    let command = command.args(["-D", "-e", "-f", &file]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().unwrap_or_else(|error| panic!("{} cannot be run: {error}", program.display()))
}

fn program() -> PathBuf {
    let named = std::env::var_os("CROSSDOCK_SSHD").filter(|path| !path.is_empty()).map(PathBuf::from);
    let usual = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/bin/sshd"].map(PathBuf::from);
    let found = named.into_iter().chain(usual).find(|path| path.is_file());
    found.expect(
        "there is no OpenSSH server (sshd), which this test needs: install openssh-server, or set CROSSDOCK_SSHD to the program; `cargo xtask test` gets one by itself",
    )
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
