//! The one door out to the world. It resolves the name, refuses addresses inside our own walls, follows no redirect,
//! bounds time, size and decompressed size, and never sends a request twice.

mod identity;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use domain::http::{ClientIdentity, HttpAnswer, HttpRequest, Method, NoAnswer};
use futures::{Stream, StreamExt};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{HeaderName, HeaderValue};

use identity::Identified;

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

    fn opens(&self, host: &str, port: u16) -> bool {
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
    timeout: Duration,
}

impl Outbound {
    /// `timeout` bounds a whole call, from name to last byte.
    ///
    /// # Errors
    /// Where the system has no certificates or the client cannot be made.
    pub fn new(allowed: AllowList, timeout: Duration) -> Result<Self, OutboundError> {
        // Fails only where another part of the process has chosen already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let allowed = Arc::new(allowed);
        let client = builder(&allowed, timeout).build()?;
        Ok(Self { client, identified: Arc::default(), allowed, timeout })
    }

    /// The client of this identity: connections are shared by those who show the same certificate, and by nobody else.
    fn client_of(&self, identity: Option<&ClientIdentity>) -> Result<reqwest::Client, NoAnswer> {
        match identity {
            None => Ok(self.client.clone()),
            Some(identity) => self.identified.client(identity, || builder(&self.allowed, self.timeout)),
        }
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

fn builder(allowed: &Arc<AllowList>, timeout: Duration) -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .dns_resolver(Guard { allowed: allowed.clone() })
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
struct Refusal(String);

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

/// Resolves a name once, refuses it if any of its addresses is inside our walls, and hands the checked addresses to the connection:
/// a name that answers differently the second time gains nothing.
struct Guard {
    allowed: Arc<AllowList>,
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_ascii_lowercase();
        let opened = self.allowed.opens_host(&host);
        Box::pin(async move {
            let addresses: Vec<SocketAddr> = tokio::net::lookup_host((host.as_str(), 0)).await?.collect();
            if !opened && addresses.iter().any(|address| is_inside(address.ip())) {
                return Err(refusal(&host).into());
            }
            let addresses: Addrs = Box::new(addresses.into_iter());
            Ok(addresses)
        })
    }
}

/// Private, loopback, link-local, metadata, shared, multicast, documentation and otherwise not public
/// (IANA special-purpose address registries, RFC 6890).
fn is_inside(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_inside_v4(ip),
        IpAddr::V6(ip) => {
            let v4 = ip.to_ipv4_mapped().or_else(|| nat64(ip)).or_else(|| six_to_four(ip));
            v4.is_some_and(is_inside_v4)
                || ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unique_local()
                || ip.is_unicast_link_local()
                || (ip.segments()[0] == 0x2001 && ip.segments()[1] == 0x0db8)
                || (ip.segments()[0] == 0 && ip.segments()[1..6].iter().all(|s| *s == 0) && ip.to_ipv4_mapped().is_none())
        }
    }
}

fn is_inside_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_unspecified()
        || ip.is_broadcast()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 198 && (b == 18 || b == 19))
}

/// 64:ff9b::/96 (RFC 6052)
fn nat64(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    (s[..6] == [0x64, 0xff9b, 0, 0, 0, 0]).then(|| from_segments(s[6], s[7]))
}

/// 2002::/16 (RFC 3056)
fn six_to_four(ip: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = ip.segments();
    (s[0] == 0x2002).then(|| from_segments(s[1], s[2]))
}

fn from_segments(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(url: &str) -> HttpRequest {
        HttpRequest { method: Method::Get, url: url.to_owned(), headers: vec![], body: Bytes::new(), identity: None }
    }

    #[tokio::test]
    async fn addresses_inside_our_walls_are_refused_before_a_byte_is_sent() {
        let outbound = Outbound::new(AllowList::default(), Duration::from_secs(1)).unwrap();
        for host in [
            "127.0.0.1",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            "0x7f000001",
            "2130706433",
            "017700000001",
            "127.1",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "100.100.100.200",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "[fe80::1]",
            "localhost",
            "localhost.",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
        ] {
            let answer = outbound.send(get(&format!("http://{host}:9/"))).await;
            // Some resolvers know no absolute spelling of this name: then there is nothing to refuse, and nothing is sent either.
            let has_no_address = host == "localhost." && matches!(answer, Err(NoAnswer::NotSent(_)));
            assert!(has_no_address || matches!(answer, Err(NoAnswer::Refused(_))), "{host}: {answer:?}");
        }
        for url in ["file:///etc/passwd", "gopher://example.com/", "http://user:pass@example.com/"] {
            assert!(matches!(outbound.send(get(url)).await, Err(NoAnswer::Refused(_))), "{url}");
        }
    }

    #[test]
    fn an_operator_opens_one_host_and_port_only() {
        let outbound = Outbound::new(AllowList::parse("127.0.0.1:9000, erp.internal:*"), Duration::from_secs(1)).unwrap();
        let check = |url: &str| outbound.check(&reqwest::Url::parse(url).unwrap()).is_ok();
        assert!(check("http://127.0.0.1:9000/x"));
        assert!(!check("http://127.0.0.1:9001/x"));
        assert!(check("https://erp.internal/x"));
    }
}
