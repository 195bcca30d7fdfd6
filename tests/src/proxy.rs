//! A TCP proxy that can be cut: to whoever speaks through it, the server behind it is gone.
//! So a test can stop "RabbitMQ" without stopping the one that other tests use.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    pub address: SocketAddr,
    up: Arc<watch::Sender<bool>>,
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
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (target, mut state) = (target.clone(), state.clone());
                tokio::spawn(async move {
                    if !*state.borrow() {
                        return;
                    }
                    let Ok(server) = TcpStream::connect(target).await else { return };
                    let _ = client.set_nodelay(true);
                    let _ = server.set_nodelay(true);
                    let (mut client, mut server) = (client, server);
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = state.wait_for(|up| !*up) => {}
                    }
                });
            }
        });
        Ok(Self { address, up: Arc::new(up) })
    }

    /// Breaks every connection and accepts none.
    pub fn cut(&self) {
        self.up.send_replace(false);
    }

    pub fn restore(&self) {
        self.up.send_replace(true);
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
