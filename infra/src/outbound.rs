//! The one door out to the world. It resolves the name, refuses addresses inside our own walls, follows no redirect,
//! bounds time, size and decompressed size, and never sends a request twice.

mod identity;
mod inside;
mod names;
mod stream;

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::http::{HttpAnswer, HttpRequest, Identity, Method, NoAnswer};
use futures::{Stream, StreamExt};
use reqwest::header::{HeaderName, HeaderValue};

use crate::files::{DropFolders, Files};
use identity::Identified;
pub(crate) use inside::is_inside;
use names::Guard;
pub(crate) use names::{NameError, Names};
pub use stream::check_ca;

/// An answer beyond this is refused: decompressed bytes, so a small bomb does not become a large one.
const ANSWER_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// An answer that is read as it comes may be a file of this length, decompressed,
const OPEN_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;
/// and take this long.
const OPEN_TIMEOUT: Duration = Duration::from_secs(15 * 60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Kept shorter than what common servers close idle connections after, so that a write seldom meets a closed one.
const IDLE_TIMEOUT: Duration = Duration::from_secs(4);

/// Which hosts inside our own walls an operator has opened: `127.0.0.1:9000`, `erp.internal:443`. Exact host and port.
#[derive(Debug, Clone, Default)]
pub struct AllowList(Vec<(String, u16)>);

impl AllowList {
    /// Reads `host:port, host:port`; `host:*` opens every port.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let entries = text.split(',').filter_map(|entry| {
            let (host, port) = entry.trim().rsplit_once(':')?;
            let port = if port == "*" { 0 } else { port.parse().ok()? };
            Some((host.trim_matches(['[', ']']).to_ascii_lowercase(), port))
        });
        Self(entries.collect())
    }

    pub(crate) fn opens(&self, host: &str, port: u16) -> bool {
        self.0.iter().any(|(open, open_port)| open == host && (*open_port == 0 || *open_port == port))
    }

    fn opens_host(&self, host: &str) -> bool {
        self.0.iter().any(|(open, _)| open == host)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the HTTP client could not be made")]
pub struct OutboundError(#[from] reqwest::Error);

/// Sends requests. Cheap to clone; connections are kept and shared.
#[derive(Clone)]
pub struct Outbound {
    client: reqwest::Client,
    identified: Arc<Identified>,
    allowed: Arc<AllowList>,
    files: Arc<Files>,
    names: Names,
    timeout: Duration,
}

impl Outbound {
    /// `timeout` bounds a whole call, from name to last byte.
    ///
    /// # Errors
    /// Where the system has no certificates or the client cannot be made.
    pub fn new(allowed: AllowList, timeout: Duration) -> Result<Self, OutboundError> {
        Self::with_names(allowed, timeout, Names::System)
    }

    fn with_names(allowed: AllowList, timeout: Duration, names: Names) -> Result<Self, OutboundError> {
        // Fails only where another part of the process has chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let allowed = Arc::new(allowed);
        let client = builder(&allowed, &names, timeout).build()?;
        let files = Arc::new(Files::new(allowed.clone(), DropFolders::default(), timeout).with_names(names.clone()));
        Ok(Self { client, identified: Arc::default(), allowed, files, names, timeout })
    }

    /// With the folders of this machine that the operator has opened.
    #[must_use]
    pub fn with_drop_folders(mut self, folders: DropFolders) -> Self {
        self.files = Arc::new(Files::new(self.allowed.clone(), folders, self.timeout).with_names(self.names.clone()));
        self
    }

    /// The door's other leaf: file servers and drop folders.
    #[must_use]
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// The client of this identity: connections are shared by those who show the same certificate, and by nobody else.
    fn client_of(&self, identity: Option<&Identity>) -> Result<reqwest::Client, NoAnswer> {
        match identity {
            None | Some(Identity::Login(_)) => Ok(self.client.clone()),
            Some(Identity::Certificate(identity)) => {
                self.identified.client(identity, || builder(&self.allowed, &self.names, self.timeout))
            }
        }
    }

    /// True where an operator has opened this address inside our walls.
    #[must_use]
    pub fn is_opened(&self, url: &str) -> bool {
        let opens = |url: reqwest::Url| {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
            self.allowed.opens(&host, url.port_or_known_default().unwrap_or(0))
        };
        reqwest::Url::parse(url).is_ok_and(opens)
    }

    /// The longest a call may take.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Sends one request once, and takes its answer whole.
    ///
    /// # Errors
    /// [`NoAnswer::Refused`] where the address is none that may be called; [`NoAnswer::NotSent`] where it certainly did not reach the
    /// vendor; [`NoAnswer::Lost`] where it may have.
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, NoAnswer> {
        if Files::takes(&request.url) {
            return self.files.send(request).await;
        }
        let answer = self.request(request)?.send().await.map_err(|error| no_answer(&error))?;
        self.opened(answer).whole().await
    }

    /// Sends one request once, and takes its answer as it comes: for files that do not fit into memory. Until the head came, and then between
    /// any two chunks, no more time may pass than a whole call may take; all of it is bounded to a quarter of an hour.
    ///
    /// # Errors
    /// As those of [`Self::send`].
    pub async fn open(&self, request: HttpRequest) -> Result<Opened, NoAnswer> {
        let sending = self.request(request)?.timeout(OPEN_TIMEOUT).send();
        let answer = tokio::time::timeout(self.timeout, sending).await.map_err(|_| NoAnswer::Lost("timed out".to_owned()))?;
        Ok(self.opened(answer.map_err(|error| no_answer(&error))?))
    }

    fn opened(&self, answer: reqwest::Response) -> Opened {
        let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()));
        let headers = answer.headers().iter().filter_map(text).collect();
        let head = HttpAnswer { status: answer.status().as_u16(), headers, body: Bytes::new() };
        Opened { head, chunks: Box::pin(answer.bytes_stream()), patience: self.timeout, bytes: 0 }
    }

    fn request(&self, request: HttpRequest) -> Result<reqwest::RequestBuilder, NoAnswer> {
        let url =
            reqwest::Url::parse(&request.url).map_err(|error| NoAnswer::Refused(format!("the address is no URL: {error}")))?;
        self.check(&url)?;
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Patch => reqwest::Method::PATCH,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.client_of(request.identity.as_ref())?.request(method, url);
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body);
        }
        Ok(builder)
    }

    /// Refuses what is not http(s), and address literals inside our walls. Names are checked where they are resolved.
    fn check(&self, url: &reqwest::Url) -> Result<(), NoAnswer> {
        if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
            return Err(NoAnswer::Refused("only plain http and https addresses are called".to_owned()));
        }
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_ascii_lowercase();
        let port = url.port_or_known_default().unwrap_or(0);
        if self.allowed.opens(&host, port) {
            return Ok(());
        }
        // The URL standard has turned 0x7f000001, 127.1 and the like into dotted form already.
        let forbidden = host.parse::<IpAddr>().is_ok_and(is_inside) || self.allowed.opens_host(&host);
        if forbidden { Err(NoAnswer::Refused(refusal(&host).0)) } else { Ok(()) }
    }
}

fn builder(allowed: &Arc<AllowList>, names: &Names, timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .dns_resolver(Guard { allowed: allowed.clone(), names: names.clone() })
        .redirect(reqwest::redirect::Policy::none())
        // What is sent again is decided from the ledger, never by the client: the audit equals the wire.
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(timeout)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .user_agent(concat!("Crossdock/", env!("CARGO_PKG_VERSION")))
}

/// Why an address inside our walls is not called; found again in the client's error where a name resolves to one.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refusal(String);

fn refusal(host: &str) -> Refusal {
    Refusal(format!("the address of {host} is not a public one; an operator can open it with CROSSDOCK_OUTBOUND_ALLOW"))
}

/// An answer whose body is still coming.
pub struct Opened {
    /// The answer without its body.
    pub head: HttpAnswer,
    chunks: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    /// The longest wait for a chunk.
    patience: Duration,
    /// Decompressed bytes that came.
    bytes: u64,
}

impl Opened {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`NoAnswer::Lost`] where it breaks off, or is longer than any file we read.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, NoAnswer> {
        self.next(OPEN_BYTES_MAX).await
    }

    /// The answer with its body.
    ///
    /// # Errors
    /// [`NoAnswer::Lost`] where it breaks off, or does not fit into memory.
    pub async fn whole(mut self) -> Result<HttpAnswer, NoAnswer> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.next(ANSWER_BYTES_MAX).await? {
            body.extend_from_slice(&chunk);
        }
        Ok(HttpAnswer { body: body.freeze(), ..self.head })
    }

    async fn next(&mut self, bytes_max: u64) -> Result<Option<Bytes>, NoAnswer> {
        // The status came, so the request had its effect or not; but without the body we cannot tell which.
        let broken = |why: &str| NoAnswer::Lost(format!("the answer broke off: {why}"));
        let next = tokio::time::timeout(self.patience, self.chunks.next()).await.map_err(|_| broken("timed out"))?;
        let Some(chunk) = next.transpose().map_err(|error| broken(&text(&error)))? else { return Ok(None) };
        self.bytes += chunk.len() as u64;
        if self.bytes > bytes_max {
            return Err(NoAnswer::Lost(format!("the answer is longer than {bytes_max} bytes")));
        }
        Ok(Some(chunk))
    }
}

fn no_answer(error: &reqwest::Error) -> NoAnswer {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(cause) = next {
        if let Some(Refusal(why)) = cause.downcast_ref() {
            return NoAnswer::Refused(why.clone());
        }
        next = cause.source();
    }
    if error.is_connect() || error.is_builder() { NoAnswer::NotSent(text(error)) } else { NoAnswer::Lost(text(error)) }
}

/// The whole chain in one line, without the URL: it may carry a secret.
fn text(error: &reqwest::Error) -> String {
    let mut text = String::new();
    let mut next: Option<&dyn std::error::Error> = std::error::Error::source(error);
    if error.is_timeout() {
        text.push_str("timed out");
    }
    while let Some(error) = next {
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&error.to_string());
        next = error.source();
    }
    if text.is_empty() { "the connection failed".to_owned() } else { text }
}

#[cfg(test)]
mod tests;
