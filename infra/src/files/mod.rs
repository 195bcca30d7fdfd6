//! The door to files: servers that speak SFTP, and folders of this machine that the operator has opened. The same rules as for any other call:
//! addresses inside our walls are refused, a server must show the key that the connection says, and time and size are bounded.
//!
//! A delivery writes files through [`Files::send`], in the words of HTTP, so that attempts, proofs and the audit are those of any call: `PUT` writes a
//! file, `POST` with `?rename_to=` gives it another name in its folder and never takes the place of one that is there, `GET` reads it, `GET` with
//! `?ask=exists` says whether it is there, `DELETE` takes it away. Whoever reads a folder opens it ([`Files::open`]).

mod folder;
mod sftp;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use connectors::file::Site;
use domain::http::{HttpAnswer, HttpRequest, Identity, Method, NoAnswer};
use domain::id::TenantId;
use tokio::io::AsyncWrite;

use crate::outbound::{AllowList, Names};
use folder::Folder;
use sftp::Sftp;

/// Names of one folder that are looked at.
pub const ENTRIES_MAX: usize = 20_000;
/// Of a file that is read back whole, as a proof.
const BODY_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// A session that nobody used for so long is not used again, because servers close what is idle.
const IDLE_MAX: Duration = Duration::from_secs(15);
const IDLE_SESSIONS_MAX: usize = 64;
const SFTP: &str = "sftp://";
const LOCAL: &str = "file://";

/// Why something could not be done with files.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileFault {
    /// We do not call there, or do not trust who answers.
    #[error("{0}")]
    Refused(String),
    #[error("the server did not let {user} in: {why}")]
    Login { user: String, why: String },
    #[error("there is no \"{0}\"")]
    NotFound(String),
    #[error("nobody gave us leave for \"{0}\"")]
    Denied(String),
    #[error("\"{0}\" is there already")]
    Exists(String),
    #[error("\"{path}\" has more than {max} bytes")]
    TooLong { path: String, max: u64 },
    /// Nothing was changed there.
    #[error("{0}")]
    NotSent(String),
    /// It may have been done.
    #[error("{0}")]
    Lost(String),
}

/// What lies in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub size: u64,
    /// By the clock of the machine that it lies on.
    pub modified_at: DateTime<Utc>,
}

/// Folders of this machine that connections may use: `/srv/drop/acme=ten_…, /srv/drop/globex=ten_…`. One without a tenant is open to every tenant of
/// the installation.
#[derive(Debug, Clone, Default)]
pub struct DropFolders(Vec<(PathBuf, Option<TenantId>)>);

impl DropFolders {
    /// # Errors
    /// The entry that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let read = |entry: &str| {
            let (path, tenant) = match entry.rsplit_once('=') {
                Some((path, tenant)) => (path, Some(tenant.trim().parse::<TenantId>().map_err(|_| entry.to_owned())?)),
                None => (entry, None),
            };
            let path = PathBuf::from(path.trim());
            if path.is_absolute() { Ok((path, tenant)) } else { Err(entry.to_owned()) }
        };
        entries.map(read).collect::<Result<_, _>>().map(Self)
    }

    /// Why a tenant may not use this address; `None` where it may, or where it is none of this machine's folders.
    #[must_use]
    pub fn refuses(&self, tenant: TenantId, url: &str) -> Option<String> {
        let path = url.strip_prefix(LOCAL)?;
        let path = Path::new(path);
        let is_plain = path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
        let opened = |(root, of): &(PathBuf, Option<TenantId>)| path.starts_with(root) && of.is_none_or(|of| of == tenant);
        let is_open = is_plain && self.0.iter().any(opened);
        (!is_open).then(|| closed(&path.display().to_string()))
    }

    /// The path with every link followed, where it lies within an opened folder.
    fn within(&self, path: &Path) -> Result<PathBuf, FileFault> {
        // Before the disk is asked: whether something else is there is nobody's business.
        if !self.0.iter().any(|(root, _)| path.starts_with(root)) {
            return Err(FileFault::Refused(closed(&path.display().to_string())));
        }
        let real = path.canonicalize().map_err(|error| folder::fault(&path.display().to_string(), &error))?;
        let is_open = self.0.iter().any(|(root, _)| root.canonicalize().is_ok_and(|root| real.starts_with(root)));
        if is_open { Ok(real) } else { Err(FileFault::Refused(closed(&path.display().to_string()))) }
    }
}

fn closed(path: &str) -> String {
    format!("the folder {path} is not open to this tenant; an operator can open it with CROSSDOCK_DROP_FOLDERS")
}

pub struct Files {
    allowed: Arc<AllowList>,
    folders: Arc<DropFolders>,
    names: Names,
    timeout: Duration,
    idle: Mutex<Vec<(sftp::SessionKey, Instant, Sftp)>>,
}

impl Files {
    pub(crate) fn new(allowed: Arc<AllowList>, folders: DropFolders, timeout: Duration) -> Self {
        Self { allowed, folders: Arc::new(folders), names: Names::System, timeout, idle: Mutex::default() }
    }

    /// With names that are asked elsewhere.
    pub(crate) fn with_names(self, names: Names) -> Self {
        Self { names, ..self }
    }

    /// True of addresses that are files.
    #[must_use]
    pub fn takes(url: &str) -> bool {
        url.starts_with(SFTP) || url.starts_with(LOCAL)
    }

    /// Why a tenant may not use this address, where that is one of this machine's folders.
    #[must_use]
    pub fn refuses(&self, tenant: TenantId, url: &str) -> Option<String> {
        self.folders.refuses(tenant, url)
    }

    /// Opens the place that files lie in.
    ///
    /// # Errors
    /// Where it cannot be reached, or does not let us in.
    pub async fn open(&self, site: &Site) -> Result<Session<'_>, FileFault> {
        if let Some(root) = site.url.strip_prefix(LOCAL) {
            let folder = Folder { root: decoded_path(root)?, folders: self.folders.clone() };
            return Ok(Session { files: self, inner: Inner::Folder(folder) });
        }
        let rest =
            site.url.strip_prefix(SFTP).ok_or_else(|| FileFault::Refused(format!("{} is no address of files", site.url)))?;
        let (host, root) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let login = site.login.as_ref().ok_or_else(|| FileFault::Refused("the connector does not say how to sign in".into()))?;
        let key = sftp::SessionKey::of(host, login);
        let session = match self.idle(&key) {
            Some(session) => session,
            None => Sftp::connect(&self.allowed, &self.names, host, login, self.timeout).await?,
        };
        Ok(Session { files: self, inner: Inner::Sftp { session: Box::new(session), key, root: decoded_path(root)? } })
    }

    fn idle(&self, key: &sftp::SessionKey) -> Option<Sftp> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(_, since, session)| since.elapsed() < IDLE_MAX && !session.is_closed());
        let at = idle.iter().position(|(known, _, _)| known == key)?;
        Some(idle.swap_remove(at).2)
    }

    fn keep(&self, key: sftp::SessionKey, session: Sftp) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_SESSIONS_MAX && !session.is_closed() {
            idle.push((key, Instant::now(), session));
        }
    }

    /// Does what a request says, once.
    ///
    /// # Errors
    /// As those of [`crate::outbound::Outbound::send`].
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, NoAnswer> {
        match tokio::time::timeout(self.timeout, self.act(&request)).await {
            Ok(Ok((status, body))) => Ok(answer(status, body)),
            Ok(Err(FileFault::Refused(why))) => Err(NoAnswer::Refused(why)),
            Ok(Err(FileFault::NotSent(why))) => Err(NoAnswer::NotSent(why)),
            Ok(Err(FileFault::Lost(why))) => Err(NoAnswer::Lost(why)),
            Ok(Err(fault)) => Ok(answer(status_of(&fault), said(&fault))),
            Err(_) => Err(NoAnswer::Lost("timed out".into())),
        }
    }

    async fn act(&self, request: &HttpRequest) -> Result<(u16, Bytes), FileFault> {
        let (address, query) = request.url.split_once('?').unwrap_or((&request.url, ""));
        let (root, path) = split(address)?;
        let login = match &request.identity {
            Some(Identity::Login(login)) => Some(login.as_ref().clone()),
            _ => None,
        };
        let query =
            |name: &str| url::form_urlencoded::parse(query.as_bytes()).find(|(known, _)| known == name).map(|(_, value)| value);
        let mut session = self.open(&Site { url: root.to_owned(), login }).await?;
        let done = match request.method {
            Method::Put => {
                session.write(&path, &request.body).await?;
                (201, wrote(&path, request.body.len()))
            }
            Method::Post => {
                let name = query("rename_to")
                    .ok_or_else(|| FileFault::Refused("the request does not say what to rename it to".into()))?;
                let to = format!("{}/{}", path.rsplit_once('/').map_or("", |(folder, _)| folder), plain_name(&name)?);
                session.rename(&path, &to).await?;
                (201, wrote(&to, 0))
            }
            Method::Get if query("ask").as_deref() == Some("exists") => {
                let exists = session.stat(&path).await?.is_some();
                (200, serde_json::json!({"exists": exists}).to_string().into())
            }
            Method::Get => {
                let mut body = std::io::Cursor::new(Vec::new());
                session.read(&path, &mut body, BODY_BYTES_MAX).await?;
                (200, body.into_inner().into())
            }
            Method::Delete => {
                session.remove(&path).await?;
                (200, wrote(&path, 0))
            }
            Method::Patch => return Err(FileFault::Refused("files are not changed in part".into())),
        };
        session.give_back();
        Ok(done)
    }
}

fn wrote(path: &str, bytes: usize) -> Bytes {
    serde_json::json!({"path": path.trim_start_matches('/'), "bytes": bytes}).to_string().into()
}

fn said(fault: &FileFault) -> Bytes {
    serde_json::json!({"message": fault.to_string()}).to_string().into()
}

fn status_of(fault: &FileFault) -> u16 {
    match fault {
        FileFault::Login { .. } => 401,
        FileFault::Denied(_) => 403,
        FileFault::NotFound(_) => 404,
        FileFault::Exists(_) => 409,
        FileFault::TooLong { .. } => 413,
        FileFault::Refused(_) | FileFault::NotSent(_) | FileFault::Lost(_) => 500,
    }
}

fn answer(status: u16, body: Bytes) -> HttpAnswer {
    HttpAnswer { status, headers: vec![("Content-Type".into(), "application/json".into())], body }
}

/// The server, and the path there.
fn split(url: &str) -> Result<(&str, String), FileFault> {
    if let Some(path) = url.strip_prefix(LOCAL) {
        return Ok((LOCAL, decoded_path(path)?));
    }
    let host = url.find("://").map_or(0, |at| at + 3);
    let end = url[host..].find('/').map_or(url.len(), |at| host + at);
    Ok((&url[..end], decoded_path(&url[end..])?))
}

/// Each part of a path decoded by itself: an id with a slash in it is no way into another folder.
fn decoded_path(path: &str) -> Result<String, FileFault> {
    let mut out = String::with_capacity(path.len());
    for part in path.split('/').filter(|part| !part.is_empty()) {
        check_name(part)?;
        let plain = percent_encoding::percent_decode_str(part).decode_utf8();
        let plain = plain.map_err(|_| FileFault::Refused(format!("the path {path} is no UTF-8")))?;
        out.push('/');
        out.push_str(&plain_name(&plain)?);
    }
    Ok(out)
}

/// A name of one file. What cannot stand in one stays percent-encoded, so that every id has a file of its own.
fn plain_name(name: &str) -> Result<String, FileFault> {
    if check_name(name).is_ok() {
        return Ok(name.to_owned());
    }
    // The rest stays as it is: whoever fetches files goes by their ending, and a hidden one stays hidden.
    const WITHIN: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'/').add(b'%');
    let set = if matches!(name, "." | "..") { percent_encoding::NON_ALPHANUMERIC } else { WITHIN };
    let encoded = percent_encoding::utf8_percent_encode(name, set).to_string();
    check_name(&encoded)?;
    Ok(encoded)
}

fn check_name(name: &str) -> Result<(), FileFault> {
    let is_bad = matches!(name, "" | "." | "..") || name.len() > 255 || name.chars().any(|c| c == '/' || c.is_control());
    if is_bad { Err(FileFault::Refused(format!("{name:?} is no name of a file or folder"))) } else { Ok(()) }
}

/// A place that is open.
pub struct Session<'f> {
    files: &'f Files,
    inner: Inner,
}

enum Inner {
    Folder(Folder),
    Sftp { session: Box<Sftp>, key: sftp::SessionKey, root: String },
}

impl Session<'_> {
    /// What lies in a folder and is a file: no folder, no link.
    ///
    /// # Errors
    /// Where it cannot be listed, or has too many.
    pub async fn list(&mut self, folder: &str) -> Result<Vec<Entry>, FileFault> {
        match &self.inner {
            Inner::Folder(local) => local.list(folder).await,
            Inner::Sftp { session, root, .. } => session.list(&at(root, folder)).await,
        }
    }

    /// A file; `None` where there is none of this path.
    ///
    /// # Errors
    /// Where nobody says.
    pub async fn stat(&mut self, path: &str) -> Result<Option<Entry>, FileFault> {
        match &self.inner {
            Inner::Folder(local) => local.stat(path).await,
            Inner::Sftp { session, root, .. } => session.stat(&at(root, path)).await,
        }
    }

    /// Copies a file out; returns its bytes.
    ///
    /// # Errors
    /// Where it cannot be read, or is longer than that.
    pub async fn read<W: AsyncWrite + Unpin>(&mut self, path: &str, into: &mut W, max: u64) -> Result<u64, FileFault> {
        match &self.inner {
            Inner::Folder(local) => local.read(path, into, max).await,
            Inner::Sftp { session, root, .. } => session.read(&at(root, path), into, max).await,
        }
    }

    /// Writes a file, in place of one that is there.
    ///
    /// # Errors
    /// Where it cannot be written; half of it may be there.
    pub async fn write(&mut self, path: &str, bytes: &[u8]) -> Result<(), FileFault> {
        match &self.inner {
            Inner::Folder(local) => local.write(path, bytes).await,
            Inner::Sftp { session, root, .. } => session.write(&at(root, path), bytes).await,
        }
    }

    /// Gives a file another path, at once or not at all, and never in place of another.
    ///
    /// # Errors
    /// [`FileFault::Exists`] where there is one; [`FileFault::Lost`] where nobody said whether it was done.
    pub async fn rename(&mut self, from: &str, to: &str) -> Result<(), FileFault> {
        match &self.inner {
            Inner::Folder(local) => local.rename(from, to).await,
            Inner::Sftp { session, root, .. } => session.rename(&at(root, from), &at(root, to)).await,
        }
    }

    /// Makes a folder, where it is not there.
    ///
    /// # Errors
    /// Where it can neither be found nor made.
    pub async fn make_folder(&mut self, path: &str) -> Result<(), FileFault> {
        match &self.inner {
            Inner::Folder(local) => local.make_folder(path).await,
            Inner::Sftp { session, root, .. } => session.make_folder(&at(root, path)).await,
        }
    }

    /// # Errors
    /// Where it is not there, or stays.
    pub async fn remove(&mut self, path: &str) -> Result<(), FileFault> {
        match &self.inner {
            Inner::Folder(local) => local.remove(path).await,
            Inner::Sftp { session, root, .. } => session.remove(&at(root, path)).await,
        }
    }

    /// Leaves the session to the next who calls the same server in the same name; one in which something failed is not given back.
    pub fn give_back(self) {
        if let Inner::Sftp { session, key, .. } = self.inner {
            self.files.keep(key, *session);
        }
    }
}

/// The path at the server. One that begins with `/~` is below the folder that the user begins in.
fn at(root: &str, path: &str) -> String {
    let whole = format!("{root}/{}", path.trim_start_matches('/'));
    let whole = if whole.len() > 1 { whole.trim_end_matches('/') } else { whole.as_str() };
    match whole.strip_prefix("/~") {
        Some("") => ".".to_owned(),
        Some(rest) if rest.starts_with('/') => rest.trim_start_matches('/').to_owned(),
        _ => whole.to_owned(),
    }
}
