//! A request to a vendor and its answer, as values: connectors build and read them, one door in `infra` sends them.

use bytes::Bytes;

use crate::secret::SecretString;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

impl Method {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
        }
    }
}

/// A client certificate, shown to a server that asks who connects (RFC 8446 section 4.4.2). `Debug` shows nothing of it.
#[derive(Clone)]
pub struct ClientIdentity {
    /// PEM: the certificate, then those that lead to its issuer.
    pub chain: SecretString,
    /// PEM.
    pub key: SecretString,
}

impl std::fmt::Debug for ClientIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientIdentity")
    }
}

/// How a file server is signed in to (SSH, RFC 4252): with a key, or else with a password. `Debug` shows nothing secret.
#[derive(Clone)]
pub struct Login {
    pub user: String,
    pub password: Option<SecretString>,
    /// OpenSSH's own format, PEM or PuTTY's.
    pub key: Option<SecretString>,
    /// Of the key, where it is encrypted.
    pub passphrase: Option<SecretString>,
    /// What the server must show: `SHA256:…`, or a public key as `known_hosts` has it. Empty: nobody has said yet.
    pub host_key: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Login {}", self.user)
    }
}

/// Who connects, where that is no matter of a header. `Debug` shows nothing of it.
#[derive(Clone)]
pub enum Identity {
    Certificate(ClientIdentity),
    Login(Box<Login>),
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity")
    }
}

/// A request that is ready to be sent. `Debug` leaves the header values and the query out, because they carry credentials.
#[derive(Clone)]
pub struct HttpRequest {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// For mutual TLS, and for file servers.
    pub identity: Option<Identity>,
}

impl std::fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        let url = self.url.split_once('?').map_or(self.url.as_str(), |(before, _)| before);
        write!(f, "{} {url} headers {names:?} {} bytes", self.method.as_str(), self.body.len())
    }
}

/// What came back, whole: bounded in size by the door that read it.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl HttpAnswer {
    /// The first header of this name, whatever its case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// How an answer reaches whoever asked, for servers that play a vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    Whole,
    /// In pieces of so many bytes, without a length.
    Chunked(usize),
    /// Not at all: the connection is closed.
    Drop,
    /// The length is that of the whole body, and the connection is closed after so many bytes.
    Truncated(usize),
    /// The length says so many bytes, and so the body ends there.
    Short(usize),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoAnswer {
    /// We do not send it, now or later: the address is none that may be called.
    #[error("the request is not sent: {0}")]
    Refused(String),
    /// The request certainly did not reach the vendor: it may be tried again at once.
    #[error("the request was not sent: {0}")]
    NotSent(String),
    /// It may have reached the vendor and may have had its effect: the vendor must be asked before anything is sent again.
    #[error("no answer: {0}")]
    Lost(String),
}

impl NoAnswer {
    /// Why, whatever it means for a next try.
    #[must_use]
    pub fn into_why(self) -> String {
        let (Self::Refused(why) | Self::NotSent(why) | Self::Lost(why)) = self;
        why
    }
}
