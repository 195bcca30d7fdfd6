//! A seal closes a batch of a tenant's audit events: it holds the digest of each, the root of the [`merkle`] tree over them and the hash of the
//! seal before, and is signed. So the log is a chain: nobody changes, takes out, puts in or moves an event without every later seal telling.
//!
//! What nobody can tell from a chain is that its end was cut off. A [`Head`] says how far it went, and is kept elsewhere.

mod export;
mod verify;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::{AuditEventId, TenantId};
use crate::merkle::{self, Hash};

pub use export::{ExportLine, LINE_BYTES_MAX};
pub use verify::{Tampered, Verified, Verifier};

/// Events of one seal.
pub const EVENTS_MAX: usize = 5_000;
const FORMAT: u32 = 1;
/// In the place of the hash of what comes before the first seal.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One event of a seal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Entry {
    pub id: AuditEventId,
    pub digest: Hash,
}

impl Entry {
    /// A leaf of the tree: 16 bytes of the id, 32 of the digest.
    fn leaf(&self) -> Hash {
        merkle::leaf(&[self.id.0.as_bytes(), &self.digest])
    }
}

impl From<Entry> for String {
    fn from(entry: Entry) -> Self {
        format!("{}:{}", entry.id, merkle::hex(&entry.digest))
    }
}

impl TryFrom<String> for Entry {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once(':').and_then(|(id, digest)| Some((id.parse().ok()?, merkle::from_hex(digest)?)));
        let (id, digest) = parts.ok_or_else(|| format!("\"{text}\" is no id and digest"))?;
        Ok(Self { id, digest })
    }
}

/// What is signed of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub format: u32,
    pub tenant: TenantId,
    /// 1, 2, 3 … without a gap.
    pub number: u64,
    /// The hash of the statement before.
    pub previous: String,
    pub sealed_at: DateTime<Utc>,
    pub events: u64,
    /// Of all seals before this one.
    pub events_before: u64,
    /// Hexadecimal.
    pub root: String,
    /// Up to this seal the tenant's rule of how long events are kept has taken them away; their seals stay.
    #[serde(default, skip_serializing_if = "is_none_removed")]
    pub removed: u64,
}

fn is_none_removed(removed: &u64) -> bool {
    *removed == 0
}

/// Where a tenant's chain stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tip {
    /// Of the last seal; 0 where there is none.
    pub number: u64,
    pub hash: String,
    /// In all seals.
    pub events: u64,
    /// Up to this seal events were taken away.
    pub removed: u64,
}

impl Tip {
    /// Where nothing was sealed yet.
    #[must_use]
    pub fn start() -> Self {
        Self { number: 0, hash: NOTHING.to_owned(), events: 0, removed: 0 }
    }
}

impl Statement {
    /// What is to be said of the next batch.
    #[must_use]
    pub fn next(tenant: TenantId, tip: &Tip, entries: &[Entry], sealed_at: DateTime<Utc>) -> Self {
        Self {
            format: FORMAT,
            tenant,
            number: tip.number + 1,
            previous: tip.hash.clone(),
            sealed_at,
            events: entries.len() as u64,
            events_before: tip.events,
            root: root(entries),
            removed: tip.removed,
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        [b"crossdock/audit-seal/1\n".as_slice(), self.to_json().as_bytes()].concat()
    }

    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a statement is plain data")
    }

    /// The chain up to this statement.
    #[must_use]
    pub fn tip(&self) -> Tip {
        Tip {
            number: self.number,
            hash: merkle::hex(&merkle::hash(&[&self.to_sign()])),
            // Of a forged one they may be any numbers.
            events: self.events_before.saturating_add(self.events),
            removed: self.removed,
        }
    }
}

fn root(entries: &[Entry]) -> String {
    merkle::hex(&merkle::root(&entries.iter().map(Entry::leaf).collect::<Vec<_>>()))
}

/// A signed batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Seal {
    pub statement: Statement,
    pub entries: Vec<Entry>,
    /// Of the Ed25519 key (RFC 8032) that signs the tenant's certificates, too; base64.
    pub signature: String,
}

/// How far a tenant's chain goes, signed: kept elsewhere, it tells when the end of the log is cut off. It is also what an export begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub statement: HeadStatement,
    /// Base64.
    pub public_key: String,
    pub signature: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeadStatement {
    pub format: u32,
    pub tenant: TenantId,
    pub made_at: DateTime<Utc>,
    /// The export holds the seals after this one: 0 for all of them. Of a head alone it is the last seal.
    pub after: u64,
    /// The last seal; 0 where there is none.
    pub seal: u64,
    /// Of its statement.
    pub hash: String,
    /// In all seals.
    pub events: u64,
    /// As the last seal says it.
    #[serde(default, skip_serializing_if = "is_none_removed")]
    pub removed: u64,
}

impl HeadStatement {
    #[must_use]
    pub fn new(tenant: TenantId, tip: Tip, after: u64, made_at: DateTime<Utc>) -> Self {
        Self {
            format: FORMAT,
            tenant,
            made_at,
            after: after.min(tip.number),
            seal: tip.number,
            hash: tip.hash,
            events: tip.events,
            removed: tip.removed,
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("a statement is plain data");
        [b"crossdock/audit-head/1\n".as_slice(), &json].concat()
    }
}

fn base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text.trim()).ok()
}
