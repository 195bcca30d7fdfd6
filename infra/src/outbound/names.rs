//! Names become addresses once, here, and all of them are looked at before any is connected to.

use std::net::SocketAddr;
use std::sync::Arc;

use super::inside::is_inside;
use super::{AllowList, Refusal, refusal};

/// What names a stub knows.
#[cfg(test)]
type Answers = dyn Fn(&str) -> Vec<std::net::IpAddr> + Send + Sync;

/// Who is asked for the addresses of a name.
#[derive(Clone, Default)]
pub(crate) enum Names {
    #[default]
    System,
    /// Answers as a test says, with another answer each time if it likes.
    #[cfg(test)]
    Stub(Arc<Answers>),
}

/// Why there is no address to connect to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NameError {
    #[error(transparent)]
    Refusal(#[from] Refusal),
    #[error(transparent)]
    Lookup(#[from] std::io::Error),
}

impl Names {
    async fn ask(&self, host: &str, port: u16) -> std::io::Result<Vec<SocketAddr>> {
        match self {
            Self::System => Ok(tokio::net::lookup_host((host, port)).await?.collect()),
            #[cfg(test)]
            Self::Stub(answer) => Ok(answer(host).into_iter().map(|ip| SocketAddr::new(ip, port)).collect()),
        }
    }

    /// The addresses of a name, which is what is connected to: one that answers differently the second time gains nothing. A name of which one
    /// address is inside our walls is refused whole, unless `is_opened`.
    ///
    /// # Errors
    /// Where it has no address, or one that may not be called.
    pub async fn addresses(&self, host: &str, port: u16, is_opened: bool) -> Result<Vec<SocketAddr>, NameError> {
        let addresses = self.ask(host, port).await?;
        if !is_opened && addresses.iter().any(|address| is_inside(address.ip())) {
            return Err(refusal(host).into());
        }
        Ok(addresses)
    }
}

/// What the one client of HTTP asks.
pub(super) struct Guard {
    pub allowed: Arc<AllowList>,
    pub names: Names,
}

impl reqwest::dns::Resolve for Guard {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let host = name.as_str().to_ascii_lowercase();
        let (names, is_opened) = (self.names.clone(), self.allowed.opens_host(&host));
        Box::pin(async move {
            match names.addresses(&host, 0, is_opened).await {
                Ok(addresses) => Ok(Box::new(addresses.into_iter()) as reqwest::dns::Addrs),
                // Found again in the client's error by its type.
                Err(NameError::Refusal(refusal)) => Err(refusal.into()),
                Err(NameError::Lookup(error)) => Err(error.into()),
            }
        })
    }
}
