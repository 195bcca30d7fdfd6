//! A TCP proxy that can be cut: to whoever speaks through it, the server behind it is gone. So a test can stop "RabbitMQ" without stopping the
//! one that other tests use. And it can lose an answer: the server has done what it was asked, and whoever asked never hears of it.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    pub address: SocketAddr,
    up: Arc<watch::Sender<bool>>,
    loses: Arc<AtomicBool>,
}

/// The server's end of a connection. An answer that is to be lost breaks it with its first byte.
struct Server {
    stream: TcpStream,
    loses: Arc<AtomicBool>,
}

impl AsyncRead for Server {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        let has_come = matches!(polled, Poll::Ready(Ok(()))) && buffer.filled().len() > before;
        if has_come && self.loses.swap(false, Ordering::SeqCst) {
            return Poll::Ready(Err(std::io::ErrorKind::ConnectionAborted.into()));
        }
        polled
    }
}

impl AsyncWrite for Server {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Proxy {
    /// Listens on a free loopback port and forwards to `target`.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(target: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (up, state) = watch::channel(true);
        let loses = Arc::new(AtomicBool::new(false));
        let of_connections = loses.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, mut state, loses) = (target.clone(), state.clone(), of_connections.clone());
                tokio::spawn(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let _ = client.set_nodelay(true);
                    let _ = server.set_nodelay(true);
                    let (mut client, mut server) = (client, Server { stream: server, loses });
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = state.wait_for(|up| !*up) => {}
                    }
                });
            }
        });
        Ok(Self { address, up: Arc::new(up), loses })
    }

    /// Breaks every connection and accepts none.
    pub fn cut(&self) {
        self.up.send_replace(false);
    }

    pub fn restore(&self) {
        self.up.send_replace(true);
    }

    /// The next answer is lost on its way: the server has given it, and the connection breaks.
    pub fn lose_next_answer(&self) {
        self.loses.store(true, Ordering::SeqCst);
    }

    /// The same URL, through the proxy.
    #[must_use]
    pub fn through(&self, url: &str) -> String {
        let mut url = url::Url::parse(url).expect("the address of a service is a URL");
        url.set_host(Some("127.0.0.1")).expect("a loopback address is a host");
        url.set_port(Some(self.address.port())).expect("this kind of URL has a port");
        url.to_string()
    }

    /// `host:port` of a URL.
    #[must_use]
    pub fn target(url: &str, default_port: u16) -> String {
        let url = url::Url::parse(url).expect("the address of a service is a URL");
        format!("{}:{}", url.host_str().unwrap_or("127.0.0.1"), url.port().unwrap_or(default_port))
    }
}
