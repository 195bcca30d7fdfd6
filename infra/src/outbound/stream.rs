//! Bytes to a server of a tenant's that answers nothing: syslog over TCP or TLS. What tells that they arrived is the end: we close our side, and the server
//! closes its own only after it has read up to there. A connection that breaks before is a try that failed, and all of it is sent again.

use std::sync::Arc;
use std::time::Duration;

use domain::audit_stream::SyslogAddress;
use domain::http::NoAnswer;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{CONNECT_TIMEOUT, NameError, Outbound};

/// What a server may say that has nothing to say.
const SAID_BYTES_MAX: usize = 64 * 1024;

impl Outbound {
    /// Sends all of it over a connection of its own, and returns once the server has taken it. `ca_pem` is who vouches for the server; none for the
    /// authorities that the system knows.
    ///
    /// # Errors
    /// As those of [`Outbound::send`]; and where the server shows no certificate that is vouched for.
    pub async fn stream(&self, to: &SyslogAddress, ca_pem: Option<&str>, bytes: &[u8]) -> Result<(), NoAnswer> {
        let sending = async {
            let stream = self.dial(&to.host, to.port).await?;
            if !to.is_tls {
                return put(stream, bytes, self.timeout()).await;
            }
            let not_sent = |error: String| NoAnswer::NotSent(error);
            let name = ServerName::try_from(to.host.clone()).map_err(|error| not_sent(error.to_string()))?;
            let connector = TlsConnector::from(Arc::new(client_config(ca_pem)?));
            let stream = connector.connect(name, stream).await;
            put(stream.map_err(|error| not_sent(format!("{}: {error}", to.host)))?, bytes, self.timeout()).await
        };
        // What is slow in every single step must end, too.
        tokio::time::timeout(self.timeout() * 4, sending).await.unwrap_or_else(|_| Err(NoAnswer::Lost("timed out".to_owned())))
    }

    /// A connection to an address that may be called: a name is resolved once, and one that leads inside our walls is refused.
    async fn dial(&self, host: &str, port: u16) -> Result<TcpStream, NoAnswer> {
        let is_opened = self.allowed.opens(host, port);
        let addresses = self.names.addresses(host, port, is_opened).await.map_err(|error| match error {
            NameError::Refusal(refusal) => NoAnswer::Refused(refusal.to_string()),
            NameError::Lookup(error) => NoAnswer::NotSent(format!("{host}: {error}")),
        })?;
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(addresses.as_slice())).await {
            Ok(stream) => stream.map_err(|error| NoAnswer::NotSent(format!("{host}:{port}: {error}"))),
            Err(_) => Err(NoAnswer::NotSent(format!("{host}:{port} did not answer in time"))),
        }
    }
}

/// # Errors
/// Where the text holds no certificate.
pub fn check_ca(pem: &str) -> Result<(), String> {
    roots(pem).map(|_| ())
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| format!("this is no certificate in PEM: {error}"))?;
        roots.add(certificate).map_err(|error| format!("this is no certificate of an authority: {error}"))?;
    }
    if roots.is_empty() { Err("there is no certificate in it: -----BEGIN CERTIFICATE-----".to_owned()) } else { Ok(roots) }
}

fn client_config(ca_pem: Option<&str>) -> Result<ClientConfig, NoAnswer> {
    let broken = |error: String| NoAnswer::NotSent(error);
    let builder = ClientConfig::builder();
    Ok(match ca_pem {
        Some(pem) => builder.with_root_certificates(roots(pem).map_err(broken)?).with_no_client_auth(),
        None => builder.with_platform_verifier().map_err(|error| broken(error.to_string()))?.with_no_client_auth(),
    })
}

async fn put(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8], patience: Duration) -> Result<(), NoAnswer> {
    let lost = |why: &str| NoAnswer::Lost(format!("the connection broke off: {why}"));
    for chunk in bytes.chunks(64 * 1024) {
        let written = tokio::time::timeout(patience, stream.write_all(chunk)).await;
        written.map_err(|_| lost("timed out"))?.map_err(|error| lost(&error.to_string()))?;
    }
    let closed = async {
        stream.flush().await?;
        stream.shutdown().await?;
        let (mut said, mut buffer) = (0, [0u8; 1024]);
        loop {
            match stream.read(&mut buffer).await {
                Ok(0) => return Ok(()),
                Ok(count) if said + count <= SAID_BYTES_MAX => said += count,
                Ok(_) => return Err(std::io::Error::other("the server says more than one of syslog does")),
                // One that closes without the goodbye of TLS has closed all the same: it read up to ours.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    };
    let closed = tokio::time::timeout(patience, closed).await;
    closed.map_err(|_| lost("the server did not close it after it was told all"))?.map_err(|error| lost(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::AllowList;
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(10);

    fn outbound() -> Outbound {
        Outbound::new(AllowList::parse("127.0.0.1:*, localhost:*"), TIMEOUT).unwrap()
    }

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn at(host: &str, port: u16, is_tls: bool) -> SyslogAddress {
        SyslogAddress { host: host.to_owned(), port, is_tls }
    }

    #[tokio::test]
    async fn all_of_it_arrives_or_the_try_failed() {
        let (server, port) = listener().await;
        let received = async {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.unwrap();
            bytes
        };
        let sent = vec![7u8; 300_000];
        let address = at("127.0.0.1", port, false);
        let out = outbound();
        let (told, received) = tokio::join!(out.stream(&address, None, &sent), received);
        assert!(told.is_ok() && received == sent, "{told:?}");

        let (server, port) = listener().await;
        let broken = async {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut some = [0u8; 10];
            stream.read_exact(&mut some).await.unwrap();
            // Closed with what was not read: a reset.
        };
        let address = at("127.0.0.1", port, false);
        let (told, ()) = tokio::join!(out.stream(&address, None, &sent), broken);
        assert!(matches!(told, Err(NoAnswer::Lost(_))), "{told:?}");
        let gone = out.stream(&at("127.0.0.1", 1, false), None, b"x").await;
        assert!(matches!(gone, Err(NoAnswer::NotSent(_))), "{gone:?}");
    }

    #[tokio::test]
    async fn ssrf_a_server_inside_our_walls_is_not_dialled() {
        let out = Outbound::new(AllowList::default(), TIMEOUT).unwrap();
        for host in ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "localhost"] {
            let refused = out.stream(&at(host, 514, false), None, b"x").await;
            assert!(matches!(refused, Err(NoAnswer::Refused(_))), "{host}: {refused:?}");
        }
    }

    #[tokio::test]
    async fn over_tls_the_server_shows_a_certificate_that_somebody_vouches_for() {
        let out = outbound();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        let chain = vec![certificate.der().clone()];
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let (server, port) = listener().await;
        let serving = async {
            let mut received = vec![];
            for _ in 0..2 {
                let (stream, _) = server.accept().await.unwrap();
                // The second one does not believe us.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                stream.read_to_end(&mut received).await.unwrap();
                stream.shutdown().await.unwrap();
            }
            received
        };
        let calls = async {
            let believed = out.stream(&at("localhost", port, true), Some(&issuer.pem()), b"5 hello").await;
            let doubted = out.stream(&at("localhost", port, true), None, b"5 hello").await;
            (believed, doubted)
        };
        let (received, (believed, doubted)) = tokio::join!(serving, calls);
        assert!(believed.is_ok() && received == b"5 hello", "{believed:?}");
        assert!(matches!(doubted, Err(NoAnswer::NotSent(_))), "{doubted:?}");
        assert!(check_ca(&issuer.pem()).is_ok() && check_ca("no certificate").is_err());
    }
}
