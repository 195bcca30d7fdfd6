//! The door under the policy of production: nothing inside our walls is opened. Where a server of a test must be reached, its one host and port
//! are opened, and the canary behind it is not.

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const TIMEOUT: Duration = Duration::from_secs(5);

fn get(url: &str) -> HttpRequest {
    HttpRequest { method: Method::Get, url: url.to_owned(), headers: vec![], body: Bytes::new(), identity: None }
}

/// Counts who connects, and tells each of them the same.
struct Canary {
    port: u16,
    hits: Arc<AtomicUsize>,
}

impl Canary {
    async fn answering(address: &str, answer: impl Fn(u16) -> String) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (hits, answer) = (Arc::new(AtomicUsize::new(0)), answer(port));
        let seen = hits.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                seen.fetch_add(1, Ordering::SeqCst);
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { port, hits }
    }

    async fn start() -> Self {
        let secret = |_| "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nsecret".to_owned();
        Self::answering("127.0.0.1:0", secret).await
    }

    fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

fn production() -> Outbound {
    Outbound::new(AllowList::default(), TIMEOUT).unwrap()
}

/// A door whose names are answered by the test: the n-th question by `answer(name, n)`.
fn resolving(answer: impl Fn(&str, usize) -> Vec<&'static str> + Send + Sync + 'static) -> (Outbound, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = asked.clone();
    let stub = move |host: &str| -> Vec<IpAddr> {
        let n = count.fetch_add(1, Ordering::SeqCst);
        answer(host, n).into_iter().map(|ip| ip.parse().unwrap()).collect()
    };
    (Outbound::with_names(AllowList::default(), Duration::from_secs(1), Names::Stub(Arc::new(stub))).unwrap(), asked)
}

#[tokio::test]
async fn ssrf_literals_of_every_form_are_refused_before_a_byte_is_sent() {
    let (canary, outbound) = (Canary::start().await, production());
    for host in [
        "127.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[0:0:0:0:0:0:0:1]",
        "0.0.0.0",
        "0",
        "0x7f000001",
        "0X7F.1",
        "2130706433",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.000.000.001",
        "%31%32%37.0.0.1",
        "①②⑦.⓪.⓪.①",
        "127。0。0。1",
        "169.254.169.254",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "[fe80::1]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
    ] {
        for scheme in ["http", "https"] {
            let answer = outbound.send(get(&format!("{scheme}://{host}:{}/", canary.port))).await;
            // Some resolvers know no absolute spelling of this name: then there is nothing to refuse, and nothing is sent either.
            let has_no_address = host == "localhost." && matches!(answer, Err(NoAnswer::NotSent(_)));
            assert!(has_no_address || matches!(answer, Err(NoAnswer::Refused(_))), "{scheme}://{host}: {answer:?}");
        }
        let opened = outbound.open(get(&format!("http://{host}:{}/", canary.port))).await;
        assert!(opened.is_err(), "{host}: as a stream, too");
    }
    for url in [
        "file:///etc/passwd",
        "FILE:///etc/passwd",
        "file://localhost/etc/passwd",
        "gopher://example.com/",
        "ftp://example.com/",
        "data:text/plain,x",
        "ws://example.com/",
        "http://user:pass@example.com/",
        "http://example.com@127.0.0.1/",
        "http://",
        "//127.0.0.1/",
        "http:127.0.0.1",
        "",
    ] {
        let answer = outbound.send(get(url)).await;
        assert!(matches!(answer, Err(NoAnswer::Refused(_))), "{url}: {answer:?}");
    }
    assert_eq!(canary.hits(), 0);
}

#[tokio::test]
async fn ssrf_by_sftp_is_refused_as_by_http() {
    let (canary, outbound) = (Canary::start().await, production());
    let login = domain::http::Login {
        user: "u".into(),
        password: Some("p".into()),
        key: None,
        passphrase: None,
        host_key: String::new(),
    };
    for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "0x7f000001", "2130706433", "127.1", "localhost", "0"] {
        let request = HttpRequest {
            identity: Some(Identity::Login(Box::new(login.clone()))),
            ..get(&format!("sftp://{host}:{}/a", canary.port))
        };
        let answer = outbound.send(request).await;
        assert!(matches!(answer, Err(NoAnswer::Refused(_))), "{host}: {answer:?}");
    }
    let (outbound, asked) = resolving(|_, _| vec!["127.0.0.1"]);
    let request = HttpRequest {
        identity: Some(Identity::Login(Box::new(login))),
        ..get(&format!("sftp://files.example:{}/a", canary.port))
    };
    assert!(matches!(outbound.send(request).await, Err(NoAnswer::Refused(_))));
    assert_eq!((asked.load(Ordering::SeqCst), canary.hits()), (1, 0));
}

#[tokio::test]
async fn ssrf_by_redirect_is_not_followed_and_no_credential_goes_along() {
    let canary = Canary::start().await;
    for status in [301, 302, 303, 307, 308] {
        let to = canary.port;
        let server = Canary::answering("127.0.0.1:0", |_| {
            format!("HTTP/1.1 {status} x\r\nLocation: http://127.0.0.1:{to}/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        })
        .await;
        let outbound = Outbound::new(AllowList::parse(&format!("127.0.0.1:{}", server.port)), TIMEOUT).unwrap();
        for method in [Method::Get, Method::Post] {
            let mut request = get(&format!("http://127.0.0.1:{}/", server.port));
            request.method = method;
            request.headers.push(("authorization".into(), "Bearer s3cret".into()));
            assert_eq!(outbound.send(request).await.unwrap().status, status);
        }
        assert_eq!(server.hits(), 2, "{status}: once for each request");
    }
    assert_eq!(canary.hits(), 0);
}

#[tokio::test]
async fn ssrf_by_dns_rebinding_gains_nothing() {
    let canary = Canary::start().await;
    let url = format!("http://rebind.example:{}/", canary.port);
    // A public address first, ours the second time. Nobody answers at the first: what matters is where it went.
    let (outbound, asked) = resolving(|_, n| if n == 0 { vec!["192.31.196.1"] } else { vec!["127.0.0.1"] });
    let first = outbound.send(get(&url)).await;
    assert!(matches!(first, Err(NoAnswer::NotSent(_) | NoAnswer::Lost(_))), "{first:?}");
    assert_eq!(asked.load(Ordering::SeqCst), 1, "asked once, and the answer that was looked at is what was called");
    assert!(matches!(outbound.send(get(&url)).await, Err(NoAnswer::Refused(_))));
    // A good address does not cover a bad one, in whatever order and family.
    for answer in
        [["192.31.196.1", "::1"], ["::1", "192.31.196.1"], ["2606:4700::1111", "10.0.0.1"], ["127.0.0.1", "192.31.196.1"]]
    {
        let (outbound, _) = resolving(move |_, _| answer.to_vec());
        let refused = outbound.send(get(&url)).await;
        assert!(matches!(refused, Err(NoAnswer::Refused(_))), "{answer:?}: {refused:?}");
    }
    assert_eq!(canary.hits(), 0);
}

#[tokio::test]
async fn ssrf_tells_nothing_of_what_is_behind_the_wall() {
    let open = Canary::start().await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let outbound = production();
    let told = async |host: &str, port: u16| {
        let begun = Instant::now();
        let answer = outbound.send(get(&format!("http://{host}:{port}/"))).await;
        // No connection is tried, so there is no time in which one is refused or runs out.
        assert!(begun.elapsed() < CONNECT_TIMEOUT / 5, "{host}:{port} took {:?}", begun.elapsed());
        let Err(NoAnswer::Refused(why)) = answer else { panic!("{host}:{port}: {answer:?}") };
        why.replace(host, "HOST")
    };
    let first = told("127.0.0.1", open.port).await;
    for (host, port) in [("127.0.0.1", closed), ("10.255.255.1", 80), ("169.254.169.254", 80), ("localhost", open.port)] {
        assert_eq!(told(host, port).await, first, "{host}:{port}");
    }
    assert_eq!(open.hits(), 0);
}

#[tokio::test]
async fn an_operator_opens_one_host_and_port_only() {
    let outbound = Outbound::new(AllowList::parse("127.0.0.1:9000, erp.internal:*"), Duration::from_secs(1)).unwrap();
    let check = |url: &str| outbound.check(&reqwest::Url::parse(url).unwrap()).is_ok();
    assert!(check("http://127.0.0.1:9000/x"));
    assert!(!check("http://127.0.0.1:9001/x"));
    assert!(check("https://erp.internal/x"));
    assert!(!check("https://user@erp.internal/x"));
}

/// The body of a request, once all of it came.
async fn body(stream: &mut tokio::net::TcpStream) -> Option<String> {
    let mut came = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        came.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&came);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            return Some(body.to_owned());
        }
    }
}

/// What a server does once it has read a request on a connection that it keeps.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// The first is answered, the second is read and never answered: the connection ends.
    DropsTheSecond,
    /// Each is answered, and then the connection ends at once, whatever it promised.
    Closes,
}

#[tokio::test]
async fn threat_hidden_retries_no_request_is_seen_twice_whatever_becomes_of_a_kept_connection() {
    for then in [Then::DropsTheSecond, Then::Closes] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let bodies = seen.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let bodies = bodies.clone();
                tokio::spawn(async move {
                    for number in 0.. {
                        let Some(body) = body(&mut stream).await else { return };
                        bodies.lock().unwrap().push(body);
                        if then == Then::DropsTheSecond && number == 1 {
                            return;
                        }
                        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}";
                        if stream.write_all(answer).await.is_err() || then == Then::Closes {
                            return;
                        }
                    }
                });
            }
        });
        let outbound = Outbound::new(AllowList::parse(&format!("127.0.0.1:{port}")), TIMEOUT).unwrap();
        let (mut answered, mut lost) = (0, 0);
        for number in 0..60 {
            let method = if number % 4 == 3 { Method::Get } else { Method::Post };
            let body = Bytes::from(format!("request {number}"));
            let request = HttpRequest { method, body, ..get(&format!("http://127.0.0.1:{port}/")) };
            match outbound.send(request).await {
                Ok(answer) => answered += usize::from(answer.status == 200),
                Err(NoAnswer::Lost(_)) => lost += 1,
                // It says that nothing was sent, and is held to it below.
                Err(NoAnswer::NotSent(_)) => {}
                Err(refused) => panic!("{refused:?}"),
            }
        }
        let seen = seen.lock().unwrap().clone();
        let once: std::collections::BTreeSet<&String> = seen.iter().collect();
        assert_eq!(once.len(), seen.len(), "none is on the wire twice: {seen:?}");
        assert!(seen.len() >= answered && seen.len() <= answered + lost, "{} seen, {answered} answered, {lost} lost", seen.len());
        if then == Then::DropsTheSecond {
            assert!(
                answered + lost == 60 && lost > 10,
                "what was read and not answered is lost: {answered} answered, {lost} lost"
            );
        }
    }
}

/// A server that answers each request with this head, and then with this piece for as long as anybody listens. Counts the bytes that were taken.
async fn endless(head: &'static str, piece: Vec<u8>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (count, piece) = (count.clone(), piece.clone());
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(head.as_bytes()).await;
                while stream.write_all(&piece).await.is_ok() {
                    count.fetch_add(piece.len(), Ordering::SeqCst);
                }
            });
        }
    });
    (port, taken)
}

fn opened_to(port: u16, timeout: Duration) -> Outbound {
    Outbound::new(AllowList::parse(&format!("127.0.0.1:{port}")), timeout).unwrap()
}

#[tokio::test]
async fn threat_bomb_of_a_vendor_is_left_at_the_bound_packed_or_not() {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(&vec![b' '; 64 * 1024 * 1024]).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 100_000, "a thousandth of what it unpacks to");
    let plain = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let zipped = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";
    for (head, piece, taken_max) in [(plain, vec![b' '; 65_536], 64 * 1024 * 1024), (zipped, packed, 8 * 1024 * 1024)] {
        let (port, taken) = endless(head, piece).await;
        let answer = opened_to(port, Duration::from_secs(30)).send(get(&format!("http://127.0.0.1:{port}/"))).await;
        let Err(NoAnswer::Lost(why)) = answer else { panic!("{head}: {answer:?}") };
        assert_eq!(why, format!("the answer is longer than {ANSWER_BYTES_MAX} bytes"), "{head}");
        let taken = taken.load(Ordering::SeqCst);
        assert!(taken < taken_max, "it was not read to its end, which it has none of: {taken} bytes");
    }
}

#[tokio::test]
async fn threat_slow_answer_ends_with_the_time_of_a_call() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n").await;
                // Each byte comes in time, and all of them never do.
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            });
        }
    });
    let begun = Instant::now();
    let answer = opened_to(port, Duration::from_millis(500)).send(get(&format!("http://127.0.0.1:{port}/"))).await;
    assert!(matches!(answer, Err(NoAnswer::Lost(_))), "{answer:?}");
    assert!(begun.elapsed() < TIMEOUT, "{:?}", begun.elapsed());
}
