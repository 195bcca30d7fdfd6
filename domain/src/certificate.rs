//! The no-loss certificate: a signed statement of what became of everything that arrived in a time, or of one record, that can be checked
//! without us. Each message is a leaf of a [`merkle`] tree whose root is signed, so that none can be taken out, put in or changed afterwards.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::delivery::DeliveryState;
use crate::id::{ConnectionId, DeliveryId, ExceptionId, MessageId, RecordId, TenantId};
use crate::merkle;
use crate::message::MessageState;

/// Messages of one certificate.
pub const LEAVES_MAX: usize = 20_000;
/// A certificate that says more than this is none of ours.
pub const CERTIFICATE_BYTES_MAX: usize = 64 * 1024 * 1024;
const FORMAT: u32 = 1;

/// What became of one message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    pub message: MessageId,
    pub received_at: DateTime<Utc>,
    pub state: MessageState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<RecordId>,
    /// The record's id at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_id: Option<String>,
    /// Open ones of the message itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<ExceptionId>,
    /// What was planned of the revision that it made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deliveries: Vec<LeafDelivery>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeafDelivery {
    pub delivery: DeliveryId,
    pub destination: ConnectionId,
    pub state: DeliveryState,
    /// What the destination calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_id: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exceptions: Vec<ExceptionId>,
}

/// What is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    pub format: u32,
    pub tenant: TenantId,
    pub made_at: DateTime<Utc>,
    pub of: Of,
    pub messages: u64,
    /// Hexadecimal.
    pub root: String,
    /// Messages and deliveries by state.
    pub message_states: BTreeMap<String, u64>,
    pub delivery_states: BTreeMap<String, u64>,
    pub open_exceptions: Vec<ExceptionId>,
    /// Everything that arrived has settled, or waits for a person who is named by an open exception.
    pub nothing_lost: bool,
}

/// What a certificate is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Of {
    /// All that arrived from a moment until before another.
    Period {
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    },
    Record(RecordId),
}

/// A statement with what it is about and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    pub statement: Statement,
    pub leaves: Vec<Leaf>,
    /// Of the Ed25519 key that signed (RFC 8032), base64.
    pub public_key: String,
    pub signature: String,
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("it is no certificate: {0}")]
    Unreadable(String),
    #[error("it is of format {0}, and this version reads format {FORMAT}")]
    Format(u32),
    #[error("its messages are not those that were signed: the root is {found} and the statement says {said}")]
    Root { found: String, said: String },
    #[error("the statement's {0} are not those of its messages")]
    Sums(&'static str),
    #[error("the signature is not that of the key: the statement was altered, or another key signed it")]
    Signature,
    #[error("the key is not the expected one: the certificate was signed by {0}")]
    OtherKey(String),
}

impl Statement {
    /// What is to be said of these leaves, which are put into the order of their messages.
    #[must_use]
    pub fn of(tenant: TenantId, of: Of, leaves: &mut [Leaf], made_at: DateTime<Utc>) -> Self {
        leaves.sort_by_key(|leaf| leaf.message);
        let sums = Sums::of(leaves);
        Self {
            format: FORMAT,
            tenant,
            made_at,
            of,
            messages: leaves.len() as u64,
            root: root(leaves),
            message_states: sums.messages,
            delivery_states: sums.deliveries,
            open_exceptions: sums.exceptions,
            nothing_lost: sums.nothing_lost,
        }
    }

    /// The bytes that are signed.
    #[must_use]
    pub fn to_sign(&self) -> Vec<u8> {
        let json = serde_json::to_vec(self).expect("a statement is plain data");
        [b"crossdock/no-loss-certificate/1\n".as_slice(), &json].concat()
    }
}

impl Certificate {
    /// # Errors
    /// Where the text is no certificate.
    pub fn parse(text: &[u8]) -> Result<Self, CertificateError> {
        if text.len() > CERTIFICATE_BYTES_MAX {
            return Err(CertificateError::Unreadable(format!("it is longer than {CERTIFICATE_BYTES_MAX} bytes")));
        }
        serde_json::from_slice(text).map_err(|error| CertificateError::Unreadable(error.to_string()))
    }

    /// That the messages are those that the statement was made of. The signature is for whoever has the means.
    ///
    /// # Errors
    /// What does not fit.
    pub fn check(&self) -> Result<(), CertificateError> {
        let said = &self.statement;
        if said.format != FORMAT {
            return Err(CertificateError::Format(said.format));
        }
        let found = root(&self.leaves);
        if found != said.root {
            return Err(CertificateError::Root { found, said: said.root.clone() });
        }
        let sums = Sums::of(&self.leaves);
        if said.messages != self.leaves.len() as u64 || sums.messages != said.message_states {
            return Err(CertificateError::Sums("sums of messages"));
        }
        if sums.deliveries != said.delivery_states {
            return Err(CertificateError::Sums("sums of deliveries"));
        }
        if sums.exceptions != said.open_exceptions || sums.nothing_lost != said.nothing_lost {
            return Err(CertificateError::Sums("open exceptions"));
        }
        Ok(())
    }
}

struct Sums {
    messages: BTreeMap<String, u64>,
    deliveries: BTreeMap<String, u64>,
    exceptions: Vec<ExceptionId>,
    nothing_lost: bool,
}

impl Sums {
    fn of(leaves: &[Leaf]) -> Self {
        let (mut messages, mut deliveries) = (BTreeMap::new(), BTreeMap::new());
        let (mut exceptions, mut nothing_lost) = (Vec::new(), true);
        for leaf in leaves {
            *messages.entry(leaf.state.as_str().to_owned()).or_default() += 1;
            exceptions.extend(&leaf.exceptions);
            nothing_lost &= match leaf.state {
                MessageState::Received | MessageState::Fetching => false,
                MessageState::Exception => !leaf.exceptions.is_empty(),
                MessageState::Mapped | MessageState::Unchanged | MessageState::Stale | MessageState::Ignored => true,
            };
            for delivery in &leaf.deliveries {
                *deliveries.entry(delivery.state.as_str().to_owned()).or_default() += 1;
                exceptions.extend(&delivery.exceptions);
                nothing_lost &= match delivery.state {
                    DeliveryState::Exception => !delivery.exceptions.is_empty(),
                    state => state.is_final(),
                };
            }
        }
        exceptions.sort_unstable();
        Self { messages, deliveries, exceptions, nothing_lost }
    }
}

fn root(leaves: &[Leaf]) -> String {
    let leaf = |leaf: &Leaf| merkle::leaf(&[&serde_json::to_vec(leaf).expect("a leaf is plain data")]);
    merkle::hex(&merkle::root(&leaves.iter().map(leaf).collect::<Vec<_>>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(n: u128, state: MessageState) -> Leaf {
        Leaf {
            message: MessageId(uuid::Uuid::from_u128(n)),
            received_at: DateTime::UNIX_EPOCH,
            state,
            record: None,
            source_id: Some(n.to_string()),
            exceptions: vec![],
            deliveries: vec![LeafDelivery {
                delivery: DeliveryId(uuid::Uuid::from_u128(n)),
                destination: ConnectionId(uuid::Uuid::from_u128(1)),
                state: DeliveryState::Confirmed,
                destination_id: Some("889".into()),
                exceptions: vec![],
            }],
        }
    }

    fn certificate(count: u128) -> Certificate {
        let mut leaves: Vec<Leaf> = (1..=count).rev().map(|n| leaf(n, MessageState::Mapped)).collect();
        let of = Of::Period { from: DateTime::UNIX_EPOCH, until: DateTime::UNIX_EPOCH + chrono::Duration::days(1) };
        let statement = Statement::of(TenantId(uuid::Uuid::nil()), of, &mut leaves, DateTime::UNIX_EPOCH);
        Certificate { statement, leaves, public_key: String::new(), signature: String::new() }
    }

    #[test]
    fn what_was_taken_out_put_in_or_changed_is_seen() {
        let good = certificate(5);
        assert_eq!(good.check(), Ok(()));
        assert!(good.statement.nothing_lost);
        assert_eq!(Certificate::parse(&serde_json::to_vec(&good).unwrap()), Ok(good.clone()));
        let tampered: Vec<fn(&mut Certificate)> = vec![
            |it| drop(it.leaves.pop()),
            |it| it.leaves.push(leaf(9, MessageState::Mapped)),
            |it| it.leaves.swap(0, 1),
            |it| it.leaves[2].deliveries[0].destination_id = Some("890".into()),
            |it| it.leaves[2].state = MessageState::Received,
        ];
        for tamper in tampered {
            let mut it = good.clone();
            tamper(&mut it);
            assert!(matches!(it.check(), Err(CertificateError::Root { .. })), "{it:?}");
        }
        let mut it = good.clone();
        it.statement.delivery_states.insert("confirmed".into(), 6);
        assert_eq!(it.check(), Err(CertificateError::Sums("sums of deliveries")));
        let mut it = good;
        it.statement.nothing_lost = false;
        assert_eq!(it.check(), Err(CertificateError::Sums("open exceptions")));
    }

    #[test]
    fn what_is_under_way_or_stopped_without_anybody_knowing_is_not_called_safe() {
        let lost = |leaf: Leaf| {
            let of = Of::Record(RecordId(uuid::Uuid::nil()));
            !Statement::of(TenantId(uuid::Uuid::nil()), of, &mut [leaf], DateTime::UNIX_EPOCH).nothing_lost
        };
        assert!(!lost(leaf(1, MessageState::Mapped)));
        assert!(lost(leaf(1, MessageState::Received)));
        assert!(lost(leaf(1, MessageState::Exception)));
        assert!(!lost(Leaf { exceptions: vec![ExceptionId(uuid::Uuid::nil())], ..leaf(1, MessageState::Exception) }));
        let delivery = |state, exceptions: usize| {
            let mut leaf = leaf(1, MessageState::Mapped);
            leaf.deliveries[0].state = state;
            leaf.deliveries[0].exceptions = vec![ExceptionId(uuid::Uuid::nil()); exceptions];
            leaf
        };
        assert!(lost(delivery(DeliveryState::Unknown, 0)));
        assert!(lost(delivery(DeliveryState::Exception, 0)));
        assert!(!lost(delivery(DeliveryState::Exception, 1)));
        assert!(!lost(delivery(DeliveryState::Superseded, 0)));
    }
}
