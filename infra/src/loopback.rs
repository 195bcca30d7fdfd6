//! A small HTTP/1.1 server on a loopback address, for handlers of values: a request in, an answer out. Simulators stand behind it, so it
//! can misbehave as real servers do: late, cut off, in pieces, or not at all. It serves no address that others can reach.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use domain::http::{Delivery, HttpAnswer, HttpRequest, Method};
use futures::{Stream, StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};

/// A longer request body is refused, bytes.
const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Connections at once; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;
/// How long a request may take to arrive, head and body each.
const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(30);
/// No answer is later.
const DELAY_MAX: Duration = Duration::from_secs(600);
/// A shorter answer is not worth compressing, bytes.
const GZIP_BYTES_MIN: usize = 256;
/// Between what is sent of a cut answer and the end of the connection, so that the first part is on its way.
const CUT_AFTER: Duration = Duration::from_millis(20);
/// After a failed accept, which repeats at once while the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a handler answers.
#[derive(Debug, Clone)]
pub struct Answer {
    pub answer: HttpAnswer,
    /// How long it takes before the first byte.
    pub delay: Duration,
    pub delivery: Delivery,
}

impl From<HttpAnswer> for Answer {
    fn from(answer: HttpAnswer) -> Self {
        Self { answer, delay: Duration::ZERO, delivery: Delivery::Whole }
    }
}

/// Takes a request and how many are served at this moment, this one included. It must not block.
pub type Handler = Arc<dyn Fn(HttpRequest, usize) -> Answer + Send + Sync>;

#[derive(Debug, thiserror::Error)]
pub enum LoopbackError {
    #[error("{0} is no loopback address; listen on 127.0.0.1 or [::1], because a simulator lets everybody in who reaches it")]
    NotLoopback(SocketAddr),
    #[error("{address} cannot be listened on; choose another port, or 0 for any that is free")]
    Listen {
        address: SocketAddr,
        #[source]
        source: std::io::Error,
    },
}

/// A running server. It stops, with all its connections, when it is stopped or dropped.
#[derive(Debug)]
pub struct Running {
    /// The port is a real one, where 0 was asked for.
    pub address: SocketAddr,
    task: AbortHandle,
}

impl Running {
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn stop(&self) {
        self.task.abort();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Serves until it is stopped.
///
/// # Errors
/// Where the address is none of loopback, or is taken.
pub async fn serve(listen: SocketAddr, handler: Handler) -> Result<Running, LoopbackError> {
    if !listen.ip().is_loopback() {
        return Err(LoopbackError::NotLoopback(listen));
    }
    let fail = |source| LoopbackError::Listen { address: listen, source };
    let listener = TcpListener::bind(listen).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let task = tokio::spawn(accept(listener, Arc::new(Server { handler, address, in_flight: AtomicUsize::new(0) })));
    Ok(Running { address, task: task.abort_handle() })
}

struct Server {
    handler: Handler,
    address: SocketAddr,
    in_flight: AtomicUsize,
}

/// Counts what is served at once, and gives the place back however the request ends.
struct Place<'s>(&'s AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn accept(listener: TcpListener, server: Arc<Server>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    // Dropped with this task, which ends all connections.
    let mut connections = JoinSet::new();
    while let Ok(place) = places.clone().acquire_owned().await {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        // Small answers go at once; where it cannot be set, they go a little later.
        let _ = stream.set_nodelay(true);
        let server = server.clone();
        connections.spawn(async move {
            let service = service_fn(|request| server.clone().serve(request));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(ARRIVAL_TIMEOUT);
            // It fails where the caller hangs up, and where an answer is cut on purpose.
            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// An answer that is not given: the connection ends instead.
#[derive(Debug, thiserror::Error)]
#[error("dropped on purpose")]
struct Dropped;

type Body = UnsyncBoxBody<Bytes, Dropped>;

impl Server {
    async fn serve(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Dropped> {
        let place = Place(&self.in_flight);
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let takes_gzip = has(request.headers().get(ACCEPT_ENCODING), "gzip");
        let request = match self.read(request).await {
            Ok(request) => request,
            Err(status) => return Ok(plain(status)),
        };
        let Answer { answer, delay, delivery } = (self.handler)(request, in_flight);
        tokio::time::sleep(delay.min(DELAY_MAX)).await;
        drop(place);
        write(answer, delivery, takes_gzip)
    }

    /// The request as a value, whole.
    async fn read(&self, request: Request<Incoming>) -> Result<HttpRequest, StatusCode> {
        let (head, body) = request.into_parts();
        let method = match head.method {
            hyper::Method::GET => Method::Get,
            hyper::Method::POST => Method::Post,
            hyper::Method::PUT => Method::Put,
            hyper::Method::PATCH => Method::Patch,
            hyper::Method::DELETE => Method::Delete,
            _ => return Err(StatusCode::METHOD_NOT_ALLOWED),
        };
        let host = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = host.map_or_else(|| self.address.to_string(), str::to_owned);
        let text = |(name, value): (&HeaderName, &HeaderValue)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned()));
        let headers = head.headers.iter().filter_map(text).collect();
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let body = tokio::time::timeout(ARRIVAL_TIMEOUT, Limited::new(body, REQUEST_BYTES_MAX).collect()).await;
        let body = body.map_err(|_| StatusCode::REQUEST_TIMEOUT)?.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
        Ok(HttpRequest { method, url: format!("http://{host}{path}"), headers, body, identity: None })
    }
}

fn has(header: Option<&HeaderValue>, word: &str) -> bool {
    header.and_then(|value| value.to_str().ok()).is_some_and(|value| value.split([',', ';']).any(|part| part.trim() == word))
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = status;
    response
}

fn whole(body: Bytes) -> Body {
    Full::new(body).map_err(|never: Infallible| match never {}).boxed_unsync()
}

fn streamed(frames: impl Stream<Item = Result<Bytes, Dropped>> + Send + 'static) -> Body {
    StreamBody::new(frames.map(|piece| piece.map(Frame::data))).boxed_unsync()
}

fn write(answer: HttpAnswer, delivery: Delivery, takes_gzip: bool) -> Result<Response<Body>, Dropped> {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = plain(status);
    for (name, value) in &answer.headers {
        // What is no header cannot be sent, and the length is the delivery's matter.
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value))
            && name != CONTENT_LENGTH
        {
            response.headers_mut().append(name, value);
        }
    }
    let mut body = answer.body;
    // Bytes at which an answer is cut are those of the body as it is.
    let is_cut = matches!(delivery, Delivery::Truncated(_) | Delivery::Short(_));
    if takes_gzip && !is_cut && body.len() >= GZIP_BYTES_MIN && !response.headers().contains_key(CONTENT_ENCODING) {
        body = gzip(&body);
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *response.body_mut() = match delivery {
        Delivery::Drop => return Err(Dropped),
        Delivery::Whole => whole(body),
        Delivery::Short(bytes) => whole(body.slice(..bytes.min(body.len()))),
        Delivery::Chunked(bytes) => {
            let bytes = bytes.max(1);
            let pieces = stream::unfold(body, move |mut rest| async move {
                if rest.is_empty() {
                    return None;
                }
                let piece = rest.split_to(bytes.min(rest.len()));
                Some((Ok(piece), rest))
            });
            streamed(pieces)
        }
        Delivery::Truncated(bytes) => {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            let first = body.slice(..bytes.min(body.len()));
            let cut = stream::once(async {
                tokio::time::sleep(CUT_AFTER).await;
                Err(Dropped)
            });
            streamed(stream::once(async { Ok(first) }).chain(cut))
        }
    };
    Ok(response)
}

fn gzip(bytes: &[u8]) -> Bytes {
    use std::io::Write as _;
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).and_then(|()| out.finish()).map(Bytes::from).expect("writing to memory does not fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough for three to be there at once on a busy machine.
    const LATE: Duration = Duration::from_millis(500);

    /// Answers with what it was asked, as the address says: `/truncated?1000`.
    fn echo(request: HttpRequest, in_flight: usize) -> Answer {
        let (path, bytes) = request.url.split_once('?').unwrap_or((&request.url, "0"));
        let bytes: usize = bytes.parse().unwrap_or_default();
        let delivery = match path.rsplit('/').next().unwrap_or_default() {
            "chunked" => Delivery::Chunked(bytes),
            "drop" => Delivery::Drop,
            "truncated" => Delivery::Truncated(bytes),
            "short" => Delivery::Short(bytes),
            _ => Delivery::Whole,
        };
        let delay = if path.ends_with("/late") { LATE } else { Duration::ZERO };
        let headers = vec![
            ("X-Method".to_owned(), request.method.as_str().to_owned()),
            ("X-Url".to_owned(), request.url.clone()),
            ("X-In-Flight".to_owned(), in_flight.to_string()),
        ];
        let body = if request.body.is_empty() { Bytes::from("0123456789".repeat(1_000)) } else { request.body };
        Answer { answer: HttpAnswer { status: 201, headers, body }, delay, delivery }
    }

    fn client() -> reqwest::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::Client::builder().no_proxy().retry(reqwest::retry::never()).timeout(Duration::from_secs(5)).build().unwrap()
    }

    #[tokio::test]
    async fn every_way_of_delivery_reaches_the_caller_as_it_was_meant() {
        let running = serve("127.0.0.1:0".parse().unwrap(), Arc::new(echo)).await.unwrap();
        let client = client();
        let get = |path: &str| client.get(format!("{}{path}", running.url())).send();

        let answer = client.put(format!("{}/whole?x=%20y", running.url())).body("hello").send().await.unwrap();
        assert_eq!(answer.status(), 201);
        assert_eq!(answer.headers()["x-url"], format!("{}/whole?x=%20y", running.url()));
        assert_eq!(answer.headers()["x-method"], "PUT");
        assert_eq!(answer.text().await.unwrap(), "hello");

        let answer = get("/whole").await.unwrap();
        // The client decodes by itself, and takes the header away with it.
        assert_eq!((answer.content_length(), answer.text().await.unwrap().len()), (None, 10_000));

        let answer = get("/chunked?7").await.unwrap();
        assert_eq!((answer.content_length(), answer.bytes().await.unwrap().len()), (None, 10_000));

        assert!(get("/drop").await.unwrap_err().is_request());

        let answer = client.post(format!("{}/truncated?3", running.url())).body("0123456789").send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), answer.content_length()),
            (201, Some(10)),
            "the head came, and says more than comes"
        );
        assert!(answer.bytes().await.is_err());

        let answer = client.post(format!("{}/short?3", running.url())).body("0123456789").send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "012");

        let started = std::time::Instant::now();
        let all = futures::future::join_all((0..3).map(|_| get("/late"))).await;
        assert!(started.elapsed() >= LATE);
        let most = all.into_iter().map(|answer| answer.unwrap().headers()["x-in-flight"].to_str().unwrap().to_owned()).max();
        assert_eq!(most.as_deref(), Some("3"), "those that wait are counted");

        let options = client.request(reqwest::Method::OPTIONS, running.url()).send().await.unwrap();
        assert_eq!(options.status(), 405);
        running.stop();
        assert!(get("/whole").await.is_err(), "a stopped server answers nobody");
    }

    #[tokio::test]
    async fn only_loopback_is_listened_on_and_a_long_body_is_refused() {
        for listen in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
            let refused = serve(listen.parse().unwrap(), Arc::new(echo)).await;
            assert!(matches!(refused, Err(LoopbackError::NotLoopback(_))), "{listen}");
        }
        let running = serve("127.0.0.1:0".parse().unwrap(), Arc::new(echo)).await.unwrap();
        let taken = serve(running.address, Arc::new(echo)).await;
        assert!(matches!(taken, Err(LoopbackError::Listen { .. })));
        let long = client().post(running.url()).body(vec![b'x'; REQUEST_BYTES_MAX + 1]).send().await;
        // The server may hang up before the last byte was taken.
        assert!(long.is_err() || long.is_ok_and(|answer| answer.status() == 413));
    }
}
