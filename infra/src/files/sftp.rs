//! SFTP over SSH: one session to one server in one name. Its host key is held against what the connection says before anything is told to it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::http::Login;
use domain::secret::ExposeSecret;
use futures::StreamExt;
use futures::stream::FuturesOrdered;
use russh::MethodKind;
use russh::client::{self, AuthResult, KeyboardInteractiveAuthResponse};
use russh::keys::{HashAlg, PrivateKeyWithHashAlg, PublicKey, PublicKeyOrCertificate};
use russh_sftp::client::RawSftpSession;
use russh_sftp::client::error::Error as SftpError;
use russh_sftp::protocol::{FileAttributes, OpenFlags, StatusCode};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ENTRIES_MAX, Entry, FileFault};
use crate::outbound::{AllowList, NameError, Names};

const PORT: u16 = 22;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const BLOCK_BYTES: u32 = 32 * 1024;
/// Blocks under way at a time: a file's speed is not bound by the way to the server and back.
const BLOCKS_AT_ONCE: usize = 16;
/// Questions of a server that asks for the password in its own words.
const QUESTIONS_MAX: usize = 3;

/// Whose session it is: two that have the same may use it one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SessionKey([u8; 32]);

impl SessionKey {
    pub fn of(host: &str, login: &Login) -> Self {
        let secret = |secret: &Option<domain::secret::SecretString>| secret.as_ref().map_or("", |s| s.expose_secret()).to_owned();
        let parts = [host.to_owned(), login.user.clone(), login.host_key.clone(), secret(&login.password), secret(&login.key)];
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }
}

pub(super) struct Sftp {
    ssh: client::Handle<Host>,
    raw: RawSftpSession,
}

/// Holds the key that a server shows against those that it may have.
struct Host {
    expected: String,
    shown: Arc<Mutex<Option<String>>>,
}

impl client::Handler for Host {
    type Error = russh::Error;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Self::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = shown else { return Ok(false) };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        let is_known = is_one_of(key, &fingerprint, &self.expected);
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some(fingerprint);
        Ok(is_known)
    }
}

/// Fingerprints, or keys as `known_hosts` has them, with spaces between: a second one while a server changes its key.
fn is_one_of(key: &PublicKey, fingerprint: &str, expected: &str) -> bool {
    let whole = key.to_openssh().unwrap_or_default();
    let body = whole.split_whitespace().nth(1).unwrap_or_default();
    expected.split_whitespace().any(|word| word == fingerprint || (word.starts_with("AAAA") && word == body))
}

fn not_sent(what: impl std::fmt::Display) -> FileFault {
    FileFault::NotSent(what.to_string())
}

impl Sftp {
    pub async fn connect(
        allowed: &AllowList,
        names: &Names,
        host: &str,
        login: &Login,
        timeout: Duration,
    ) -> Result<Self, FileFault> {
        let connecting = Self::connect_with(allowed, names, host, login, timeout);
        tokio::time::timeout(timeout.max(CONNECT_TIMEOUT), connecting)
            .await
            .unwrap_or_else(|_| Err(not_sent(format!("{host} did not answer in time"))))
    }

    async fn connect_with(
        allowed: &AllowList,
        names: &Names,
        host: &str,
        login: &Login,
        timeout: Duration,
    ) -> Result<Self, FileFault> {
        let stream = dial(allowed, names, host).await?;
        let shown = Arc::new(Mutex::new(None));
        let handler = Host { expected: login.host_key.clone(), shown: shown.clone() };
        let config = client::Config { inactivity_timeout: Some(timeout * 4), nodelay: true, ..client::Config::default() };
        let connected = client::connect_stream(Arc::new(config), stream, handler).await;
        let mut ssh = match connected {
            Ok(ssh) => ssh,
            Err(russh::Error::UnknownKey) => {
                let shown = shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
                return Err(FileFault::Refused(wrong_key(host, &login.host_key, shown.as_deref())));
            }
            Err(error) => return Err(not_sent(format!("{host}: {error}"))),
        };
        sign_in(&mut ssh, host, login).await?;
        let channel = ssh.channel_open_session().await.map_err(not_sent)?;
        channel.request_subsystem(true, "sftp").await.map_err(not_sent)?;
        let config = russh_sftp::client::Config { request_timeout_secs: timeout.as_secs().max(1), ..Default::default() };
        let raw = RawSftpSession::new_with_config(channel.into_stream(), config);
        raw.init().await.map_err(|error| not_sent(format!("{host} has no SFTP: {error}")))?;
        Ok(Self { ssh, raw })
    }

    pub fn is_closed(&self) -> bool {
        self.ssh.is_closed()
    }

    pub async fn list(&self, folder: &str) -> Result<Vec<Entry>, FileFault> {
        let handle = self.raw.opendir(folder).await.map_err(|error| read_fault(folder, error))?.handle;
        let mut entries = Vec::new();
        let listed = loop {
            match self.raw.readdir(handle.as_str()).await {
                Ok(page) => entries.extend(page.files.into_iter().filter_map(|file| {
                    let name = file.filename;
                    told(name, &file.attrs)
                })),
                Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => break Ok(()),
                Err(error) => break Err(read_fault(folder, error)),
            }
            if entries.len() > ENTRIES_MAX {
                break Err(FileFault::Refused(format!("{folder} has more than {ENTRIES_MAX} files; move old ones away")));
            }
        };
        let _ = self.raw.close(handle).await;
        listed.map(|()| entries)
    }

    pub async fn stat(&self, path: &str) -> Result<Option<Entry>, FileFault> {
        match self.raw.lstat(path).await {
            Ok(found) => Ok(told(path.rsplit('/').next().unwrap_or_default().to_owned(), &found.attrs)),
            Err(SftpError::Status(status)) if status.status_code == StatusCode::NoSuchFile => Ok(None),
            Err(error) => Err(read_fault(path, error)),
        }
    }

    pub async fn read<W: AsyncWrite + Unpin>(&self, path: &str, into: &mut W, max: u64) -> Result<u64, FileFault> {
        let handle = self.raw.open(path, OpenFlags::READ, FileAttributes::empty()).await;
        let handle = handle.map_err(|error| read_fault(path, error))?.handle;
        let read = self.read_all(path, &handle, into, max).await;
        let _ = self.raw.close(handle).await;
        read
    }

    async fn read_all<W: AsyncWrite + Unpin>(&self, path: &str, handle: &str, into: &mut W, max: u64) -> Result<u64, FileFault> {
        let size = self.raw.fstat(handle).await.map_err(|error| read_fault(path, error))?.attrs.size.unwrap_or(0);
        if size > max {
            return Err(FileFault::TooLong { path: path.to_owned(), max });
        }
        // One block more than there should be: a file that grows is seen.
        let blocks = size.div_ceil(u64::from(BLOCK_BYTES)) + 1;
        let (mut next, mut bytes, mut coming) = (0, 0_u64, FuturesOrdered::new());
        loop {
            while next < blocks && coming.len() < BLOCKS_AT_ONCE {
                coming.push_back(self.block(path, handle, next * u64::from(BLOCK_BYTES)));
                next += 1;
            }
            let Some(chunk) = coming.next().await else { return Ok(bytes) };
            let chunk = chunk?;
            bytes += chunk.len() as u64;
            if bytes > max {
                return Err(FileFault::TooLong { path: path.to_owned(), max });
            }
            into.write_all(&chunk).await.map_err(not_sent)?;
        }
    }

    /// A block as far as the file goes: a server may give less than was asked for.
    async fn block(&self, path: &str, handle: &str, offset: u64) -> Result<Vec<u8>, FileFault> {
        let mut block = Vec::new();
        loop {
            let length = BLOCK_BYTES - u32::try_from(block.len()).unwrap_or(BLOCK_BYTES);
            if length == 0 {
                return Ok(block);
            }
            match self.raw.read(handle, offset + block.len() as u64, length).await {
                Ok(data) if data.data.is_empty() => return Ok(block),
                Ok(data) => block.extend_from_slice(&data.data),
                Err(SftpError::Status(status)) if status.status_code == StatusCode::Eof => return Ok(block),
                Err(error) => return Err(read_fault(path, error)),
            }
        }
    }

    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), FileFault> {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let handle = self.raw.open(path, flags, FileAttributes::empty()).await.map_err(|error| fault(path, error))?.handle;
        let written = self.write_all(&handle, bytes).await;
        // Not every server can; it is asked all the same.
        let _ = self.raw.fsync(handle.as_str()).await;
        let closed = self.raw.close(handle).await;
        written.and(closed.map(|_| ())).map_err(|error| fault(path, error))
    }

    async fn write_all(&self, handle: &str, bytes: &[u8]) -> Result<(), SftpError> {
        let (mut offset, mut going) = (0, FuturesOrdered::new());
        for chunk in bytes.chunks(BLOCK_BYTES as usize) {
            if going.len() >= BLOCKS_AT_ONCE {
                going.next().await.transpose()?;
            }
            going.push_back(self.raw.write(handle, offset, chunk.to_vec()));
            offset += chunk.len() as u64;
        }
        while let Some(done) = going.next().await {
            done?;
        }
        Ok(())
    }

    pub async fn rename(&self, from: &str, to: &str) -> Result<(), FileFault> {
        match self.raw.rename(from, to).await {
            Ok(_) => Ok(()),
            // Version 3 of the protocol has no word for it.
            Err(SftpError::Status(status)) if status.status_code == StatusCode::Failure => match self.raw.lstat(to).await {
                Ok(_) => Err(FileFault::Exists(to.to_owned())),
                Err(_) => Err(fault(from, SftpError::Status(status))),
            },
            Err(error) => Err(fault(from, error)),
        }
    }

    pub async fn make_folder(&self, path: &str) -> Result<(), FileFault> {
        if self.raw.stat(path).await.is_ok_and(|found| found.attrs.file_type().is_dir()) {
            return Ok(());
        }
        self.raw.mkdir(path, FileAttributes::empty()).await.map(|_| ()).map_err(|error| fault(path, error))
    }

    pub async fn remove(&self, path: &str) -> Result<(), FileFault> {
        self.raw.remove(path).await.map(|_| ()).map_err(|error| fault(path, error))
    }
}

/// A connection to an address that may be called: a name is resolved once, and one that leads inside our walls is refused.
async fn dial(allowed: &AllowList, names: &Names, host: &str) -> Result<TcpStream, FileFault> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => {
            (name, port.parse().map_err(|_| FileFault::Refused(format!("{host} has no port that can be called")))?)
        }
        _ => (host, PORT),
    };
    let name = name.trim_matches(['[', ']']).to_ascii_lowercase();
    if name.is_empty() || name.contains('@') {
        return Err(FileFault::Refused(format!("{host} is no host; the user stands in a field of its own")));
    }
    let addresses = names.addresses(&name, port, allowed.opens(&name, port)).await.map_err(|error| match error {
        NameError::Refusal(refusal) => FileFault::Refused(refusal.to_string()),
        NameError::Lookup(error) => not_sent(format!("{name}: {error}")),
    })?;
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addresses.as_slice()));
    match connecting.await {
        Ok(stream) => stream.map_err(|error| not_sent(format!("{name}:{port}: {error}"))),
        Err(_) => Err(not_sent(format!("{name}:{port} did not answer in time"))),
    }
}

fn wrong_key(host: &str, expected: &str, shown: Option<&str>) -> String {
    let shown = shown.unwrap_or("a certificate");
    if expected.trim().is_empty() {
        return format!(
            "the server {host} shows the host key {shown}, and the connection does not say which one it must have; ask the partner, and store it in the connection's settings"
        );
    }
    format!(
        "the server {host} shows another host key than the connection says ({shown}): it was changed, or somebody stands between; ask the partner, and store the new one in the connection's settings if it is theirs"
    )
}

async fn sign_in(ssh: &mut client::Handle<Host>, host: &str, login: &Login) -> Result<(), FileFault> {
    let failed = |why: &str| FileFault::Login { user: login.user.clone(), why: why.to_owned() };
    let passing = |error: russh::Error| not_sent(format!("{host}: {error}"));
    if let Some(key) = &login.key {
        let passphrase = login.passphrase.as_ref().map(ExposeSecret::expose_secret);
        // The library's own words may repeat what it could not read, which is the key.
        let key = russh::keys::decode_secret_key(key.expose_secret(), passphrase);
        let key =
            key.map_err(|_| failed("the private key cannot be read; store it again, with its passphrase where it has one"))?;
        let hash = if key.algorithm().is_rsa() {
            ssh.best_supported_rsa_hash().await.map_err(passing)?.flatten().or(Some(HashAlg::Sha256))
        } else {
            None
        };
        let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
        if ssh.authenticate_publickey(login.user.as_str(), key).await.map_err(passing)?.success() {
            return Ok(());
        }
        if login.password.is_none() {
            return Err(failed("the private key was refused"));
        }
    }
    let Some(password) = &login.password else { return Err(failed("the connection has neither a private key nor a password")) };
    let refusal = ssh.authenticate_password(login.user.as_str(), password.expose_secret()).await.map_err(passing)?;
    let AuthResult::Failure { remaining_methods, .. } = refusal else { return Ok(()) };
    if remaining_methods.contains(&MethodKind::KeyboardInteractive)
        && answers(ssh, login, password.expose_secret()).await.map_err(passing)?
    {
        return Ok(());
    }
    Err(failed("the password was refused"))
}

/// Some servers ask for the password as a question.
async fn answers(ssh: &mut client::Handle<Host>, login: &Login, password: &str) -> Result<bool, russh::Error> {
    let mut asked = ssh.authenticate_keyboard_interactive_start(login.user.as_str(), None).await?;
    for _ in 0..QUESTIONS_MAX {
        asked = match asked {
            KeyboardInteractiveAuthResponse::Success => return Ok(true),
            KeyboardInteractiveAuthResponse::Failure { .. } => return Ok(false),
            KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => {
                ssh.authenticate_keyboard_interactive_respond(prompts.iter().map(|_| password.to_owned()).collect()).await?
            }
        };
    }
    Ok(matches!(asked, KeyboardInteractiveAuthResponse::Success))
}

fn told(name: String, about: &FileAttributes) -> Option<Entry> {
    let is_file = about.permissions.is_none() || about.file_type().is_file();
    let modified_at = DateTime::<Utc>::from_timestamp(about.mtime.unwrap_or(0).into(), 0).unwrap_or_default();
    is_file.then(|| Entry { name, size: about.size.unwrap_or(0), modified_at })
}

/// Of what changes something: where no answer came, it may have been done.
fn fault(path: &str, error: SftpError) -> FileFault {
    match error {
        SftpError::Status(status) => match status.status_code {
            StatusCode::NoSuchFile => FileFault::NotFound(path.to_owned()),
            StatusCode::PermissionDenied => FileFault::Denied(path.to_owned()),
            _ => FileFault::NotSent(format!("{path}: {} {}", status.status_code, status.error_message.trim())),
        },
        error => FileFault::Lost(format!("{path}: {error}")),
    }
}

/// Of what changes nothing.
fn read_fault(path: &str, error: SftpError) -> FileFault {
    match fault(path, error) {
        FileFault::Lost(why) => FileFault::NotSent(why),
        fault => fault,
    }
}
