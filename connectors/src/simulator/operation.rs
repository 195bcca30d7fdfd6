//! What a request asks for.

use std::fmt;

use domain::record::RecordKind;

/// What a request asks for; its name is `order.write`, `webhooks.subscribe`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    List(RecordKind),
    /// What is kept apart from a record, by the field that it becomes.
    Include(RecordKind, String),
    /// Those that records belong to.
    Parents(RecordKind),
    Get(RecordKind),
    Write(RecordKind),
    Update(RecordKind),
    Batch(RecordKind),
    Proof(RecordKind),
    /// What is looked up before a write, by its name.
    LookUp(RecordKind, String),
    Action(RecordKind, String),
    ActionProof(RecordKind, String),
    /// Reads back what a webhook of this topic brought the id of.
    Fetch(String),
    Subscribe,
    Subscriptions,
    Renew,
    Unsubscribe,
    /// Exchange rates, as the sample has them.
    Rates,
    /// Whether the account is there.
    Probe,
    /// A key is made, those that there are are listed, one is removed.
    MakeKey,
    ListKeys,
    RetireKey,
    /// Where a person consents.
    Authorize,
    Token,
    LogIn,
}

impl Operation {
    #[must_use]
    pub fn kind(&self) -> Option<RecordKind> {
        match self {
            Self::List(kind) | Self::Include(kind, _) | Self::Parents(kind) | Self::Get(kind) | Self::Write(kind) => Some(*kind),
            Self::Update(kind) | Self::Batch(kind) | Self::Proof(kind) => Some(*kind),
            Self::Action(kind, _) | Self::ActionProof(kind, _) => Some(*kind),
            _ => None,
        }
    }

    /// True where it changes what the vendor has.
    #[must_use]
    pub fn writes(&self) -> bool {
        matches!(self, Self::Write(_) | Self::Update(_) | Self::Batch(_) | Self::Action(..))
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(kind) => write!(f, "{kind}.list"),
            Self::Include(kind, into) => write!(f, "{kind}.include.{into}"),
            Self::Parents(kind) => write!(f, "{kind}.parents"),
            Self::Get(kind) => write!(f, "{kind}.get"),
            Self::Write(kind) => write!(f, "{kind}.write"),
            Self::Update(kind) => write!(f, "{kind}.update"),
            Self::Batch(kind) => write!(f, "{kind}.batch"),
            Self::Proof(kind) => write!(f, "{kind}.proof"),
            Self::LookUp(kind, name) => write!(f, "{kind}.look_up.{name}"),
            Self::Action(kind, name) => write!(f, "{kind}.action.{name}"),
            Self::ActionProof(kind, name) => write!(f, "{kind}.action_proof.{name}"),
            Self::Fetch(topic) => write!(f, "webhooks.fetch.{topic}"),
            Self::Subscribe => f.write_str("webhooks.subscribe"),
            Self::Subscriptions => f.write_str("webhooks.subscriptions"),
            Self::Renew => f.write_str("webhooks.renew"),
            Self::Unsubscribe => f.write_str("webhooks.unsubscribe"),
            Self::Rates => f.write_str("rates"),
            Self::Probe => f.write_str("probe"),
            Self::MakeKey => f.write_str("rotation.create"),
            Self::ListKeys => f.write_str("rotation.list"),
            Self::RetireKey => f.write_str("rotation.retire"),
            Self::Authorize => f.write_str("auth.authorize"),
            Self::Token => f.write_str("auth.token"),
            Self::LogIn => f.write_str("auth.log_in"),
        }
    }
}
