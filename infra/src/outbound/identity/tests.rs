use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::http::{HttpRequest, Method};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::outbound::{AllowList, CONNECT_TIMEOUT, Names};

const TIMEOUT: Duration = Duration::from_secs(10);

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (rcgen::Certificate, KeyPair) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    fn client(&self, name: &str) -> ClientIdentity {
        let (certificate, key) = self.issue(name, ExtendedKeyUsagePurpose::ClientAuth);
        ClientIdentity { chain: certificate.pem().into(), key: key.serialize_pem().into() }
    }
}

/// A server that answers whoever shows a certificate of this authority with the size of it, and nobody else.
async fn server(authority: &Authority) -> u16 {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let verifier = rustls::server::WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let (certificate, key) = authority.issue("server", ExtendedKeyUsagePurpose::ServerAuth);
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let shown = stream.get_ref().1.peer_certificates().map_or(0, |chain| chain[0].len());
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = shown.to_string();
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

/// As the door makes it, but for an authority that only this test knows.
fn trusting(authority: &Authority) -> ClientBuilder {
    let root = reqwest::Certificate::from_pem(authority.0.pem().as_bytes()).unwrap();
    let allowed = Arc::new(AllowList::parse("localhost:*"));
    crate::outbound::builder(&allowed, &Names::System, TIMEOUT).connect_timeout(CONNECT_TIMEOUT).tls_certs_only([root])
}

#[tokio::test]
async fn a_server_that_asks_for_a_certificate_is_shown_the_connections_own() {
    let authority = Authority::new();
    let address = format!("https://localhost:{}/", server(&authority).await);
    let known = authority.client("acme");
    let identified = Identified::default();
    let client = identified.client(&known, || trusting(&authority)).unwrap();
    let answer = client.get(&address).send().await.unwrap();
    let shown: usize = answer.text().await.unwrap().parse().unwrap();
    assert!(shown > 100, "the server saw a certificate of {shown} bytes");

    assert!(trusting(&authority).build().unwrap().get(&address).send().await.is_err(), "without a certificate");
    let stranger = Authority::new().client("acme");
    let client = identified.client(&stranger, || trusting(&authority)).unwrap();
    assert!(client.get(&address).send().await.is_err(), "with another authority's certificate");
}

#[tokio::test]
async fn an_identity_goes_through_the_door_with_its_request() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let outbound = crate::outbound::Outbound::new(AllowList::default(), TIMEOUT).unwrap();
    let broken = ClientIdentity { chain: "no certificate".into(), key: "s3cret-key".into() };
    let request = HttpRequest {
        method: Method::Get,
        url: "https://vendor.example/".into(),
        headers: vec![],
        body: Bytes::new(),
        identity: Some(domain::http::Identity::Certificate(broken)),
    };
    assert!(!format!("{request:?} {:?}", request.identity).contains("s3cret"));
    let Err(NoAnswer::Refused(why)) = outbound.send(request).await else { panic!("it is not sent") };
    assert!(why.contains("store the client certificate") && !why.contains("s3cret"), "{why}");
}

#[test]
fn clients_are_shared_by_identity_and_bounded() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let authority = Authority::new();
    let identified = Identified::default();
    let first = authority.client("first");
    let made = std::cell::Cell::new(0);
    let builder = || {
        made.set(made.get() + 1);
        Client::builder()
    };
    identified.client(&first, builder).unwrap();
    identified.client(&first, builder).unwrap();
    assert_eq!(made.get(), 1, "the second call uses the first one's client");
    for number in 0..CLIENTS_MAX {
        identified.client(&authority.client(&number.to_string()), builder).unwrap();
    }
    assert_eq!(identified.0.lock().unwrap().len(), CLIENTS_MAX);
    identified.client(&first, builder).unwrap();
    assert_eq!(made.get(), CLIENTS_MAX + 2, "the one that was used longest ago had made room");
    let mut half = authority.client("half");
    half.key = authority.client("other").key;
    assert!(matches!(identified.client(&half, builder), Err(NoAnswer::Refused(_))), "the key of another certificate");
}
