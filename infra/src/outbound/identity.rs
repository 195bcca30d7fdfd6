//! Clients that show a certificate (mutual TLS), one for each identity. They are kept by a hash of the certificate and its key, a bounded
//! number of them, so that no secret is a key of a map and no tenant's many certificates fill the memory.

use std::sync::{Mutex, PoisonError};

use domain::http::{ClientIdentity, NoAnswer};
use domain::secret::{ExposeSecret, SecretString};
use reqwest::{Client, ClientBuilder, Identity};
use sha2::{Digest, Sha256};

/// Each holds its own connections. The one that was used longest ago makes room; its calls under way end undisturbed.
const CLIENTS_MAX: usize = 64;

/// In the order of their last use.
#[derive(Default)]
pub(super) struct Identified(Mutex<Vec<([u8; 32], Client)>>);

impl Identified {
    /// # Errors
    /// [`NoAnswer::Refused`] where the certificate or its key cannot be used.
    pub fn client(&self, identity: &ClientIdentity, builder: impl FnOnce() -> ClientBuilder) -> Result<Client, NoAnswer> {
        let hash = hash(identity);
        if let Some(client) = self.find(hash) {
            return Ok(client);
        }
        // Made without the lock: parsing and loading takes a while, and two that are made at once do no harm.
        let client = make(identity, builder())?;
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS_MAX {
            clients.remove(0);
        }
        clients.push((hash, client.clone()));
        Ok(client)
    }

    fn find(&self, hash: [u8; 32]) -> Option<Client> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = clients.iter().position(|(known, _)| *known == hash)?;
        let found = clients.remove(at);
        clients.push(found);
        clients.last().map(|(_, client)| client.clone())
    }
}

fn make(identity: &ClientIdentity, builder: ClientBuilder) -> Result<Client, NoAnswer> {
    // The library's own words may repeat what it could not read, which is the key.
    let refused = |what: &str| NoAnswer::Refused(format!("{what}; store the client certificate and its key again, both as PEM"));
    // Wiped when it is dropped.
    let pem = SecretString::from(format!("{}\n{}", identity.chain.expose_secret(), identity.key.expose_secret()));
    let shown =
        Identity::from_pem(pem.expose_secret().as_bytes()).map_err(|_| refused("the client certificate cannot be read"))?;
    builder.identity(shown).build().map_err(|_| refused("the client certificate and its key do not fit each other"))
}

fn hash(identity: &ClientIdentity) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [&identity.chain, &identity.key] {
        let part = part.expose_secret().as_bytes();
        // The length goes first, so that no two identities are one text.
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests;
